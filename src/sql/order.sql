-- order: what nodes call on the orderers of a channel, and how operators watch and steer them

CREATE FUNCTION fabric_internal.submit(channel text, envelope bytea) RETURNS void
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_internal_submit';
COMMENT ON FUNCTION fabric_internal.submit IS 'check an envelope and put it into the queue of this node''s orderer';

CREATE FUNCTION fabric_internal.raft_receive(channel text, sender bigint, message bytea)
	RETURNS boolean
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_internal_raft_receive';
COMMENT ON FUNCTION fabric_internal.raft_receive IS 'a Raft message of another consenter, identified by its TLS client certificate; false: not accepted';

CREATE FUNCTION fabric_internal.raft_forward(channel text, sender bigint, envelopes bytea)
	RETURNS boolean
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_internal_raft_forward';
COMMENT ON FUNCTION fabric_internal.raft_forward IS 'envelopes that another consenter has admitted, for the leader; false: not accepted';

CREATE FUNCTION fabric.transfer_leadership(channel text, consenter bigint DEFAULT 0) RETURNS void
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_transfer_leadership';
COMMENT ON FUNCTION fabric.transfer_leadership IS 'ask this node, the leader, to hand over to another consenter (0: the most up-to-date one); see fabric.stat_orderer';

CREATE FUNCTION fabric.recover_consenter(channel text) RETURNS void
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_recover_consenter';
COMMENT ON FUNCTION fabric.recover_consenter IS 'declare that this node has lost state as a consenter of the channel: it neither votes nor is counted until a leader, elected without it, has brought it up to date; see fabric.stat_orderer. LF401 when the channel is not joined, LF505 when the node is not a consenter';

CREATE FUNCTION fabric.trust_consenter(channel text, accept_loss boolean) RETURNS void
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_trust_consenter';
COMMENT ON FUNCTION fabric.trust_consenter IS 'DANGEROUS: let a recovering consenter take part at once with the state that it has; transactions that were committed with its lost state are lost, and nodes that have them differ permanently. Only for a majority of consenters that have lost their state. accept_loss must be true. LF401 when the channel is not joined, LF505 when the node is not a consenter';

CREATE FUNCTION fabric_internal.stat_orderer(OUT channel text, OUT consenter_id bigint,
	OUT running boolean, OUT role text, OUT term bigint, OUT leader_id bigint,
	OUT leader_changes bigint, OUT last_index bigint, OUT commit_index bigint,
	OUT applied_index bigint, OUT batches bigint, OUT pending_envelopes bigint,
	OUT pending_bytes bigint, OUT dropped_envelopes bigint, OUT inbox_records bigint,
	OUT inbox_bytes bigint, OUT inbox_refused bigint, OUT inbox_size bigint, OUT participation text,
	OUT recovering_since timestamptz, OUT recovering_reason text, OUT recovering_to bigint,
	OUT others_recovering bigint) RETURNS SETOF record
	LANGUAGE c VOLATILE STRICT PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'fabric_internal_stat_orderer';
COMMENT ON FUNCTION fabric_internal.stat_orderer IS 'state that the orderer processes of this node publish; read it as fabric.stat_orderer';

CREATE FUNCTION fabric_internal.stat_orderer_followers(OUT channel text, OUT consenter_id bigint,
	OUT connected boolean, OUT progress text, OUT match_index bigint, OUT next_index bigint,
	OUT lag bigint, OUT last_contact_at timestamptz) RETURNS SETOF record
	LANGUAGE c VOLATILE STRICT PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'fabric_internal_stat_orderer_followers';
COMMENT ON FUNCTION fabric_internal.stat_orderer_followers IS 'state of the other consenters, as the orderer processes of this node know it; read it as fabric.stat_orderer_followers';

-- evidence that no administrator has acknowledged
CREATE VIEW fabric.raft_evidence AS
	SELECT channel, kind, consenter_id, term, index, sqlstate, message, detail, first_at, last_at,
		occurrences
	FROM fabric_internal.raft_evidence e
	WHERE NOT EXISTS (SELECT FROM fabric_internal.raft_acknowledgment k
					  WHERE k.channel = e.channel AND k.up_to >= e.last_at);
COMMENT ON VIEW fabric.raft_evidence IS 'evidence that a consenter broke a promise of Raft, or that chains differ: kind, the other consenter (0: only this node), term and log entry, the first observation, since when and how often; until it is acknowledged with fabric.acknowledge_evidence';

CREATE FUNCTION fabric.acknowledge_evidence(channel text, up_to timestamptz DEFAULT NULL)
	RETURNS bigint
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_acknowledge_evidence';
COMMENT ON FUNCTION fabric.acknowledge_evidence IS 'acknowledge the evidence of a channel that was last seen until then (null: now): fabric.raft_evidence no longer shows it, and a ledger that stopped because of it continues if it can; returns the number of acknowledged rows';

CREATE VIEW fabric.stat_orderer AS
	SELECT channel, consenter_id, running, role, term, leader_id, leader_changes, last_index,
		commit_index, applied_index, batches, pending_envelopes, pending_bytes, dropped_envelopes,
		inbox_records, inbox_bytes, inbox_refused, inbox_size, participation, recovering_since,
		recovering_reason, recovering_to, others_recovering, coalesce(e.evidence, 0) AS evidence,
		e.evidence_since, e.evidence_last_at, e.evidence_detail
	FROM fabric_internal.stat_orderer() s
	LEFT JOIN LATERAL (
		SELECT count(*) AS evidence, min(first_at) AS evidence_since,
			max(last_at) AS evidence_last_at,
			string_agg(format('%s: %s (%s, consenter %s, term %s, entry %s, %s times)', sqlstate,
				message, kind, consenter_id, term, index, occurrences), '; ' ORDER BY first_at)
				AS evidence_detail
		FROM fabric.raft_evidence WHERE channel = s.channel) e ON true;
COMMENT ON VIEW fabric.stat_orderer IS 'one row for each channel that this node orders: Raft role, term, leader, log and ledger position, queues; evidence: how many rows fabric.raft_evidence has of the channel, since when, and their text (null: none)';

CREATE VIEW fabric.stat_orderer_followers AS
	SELECT f.channel, f.consenter_id, f.connected, f.progress, f.match_index, f.next_index, f.lag,
		f.last_contact_at, nullif(concat_ws(': ', c.message, c.detail), '') AS error,
		c.since AS error_since
	FROM fabric_internal.stat_orderer_followers() f
	LEFT JOIN fabric_internal.stat_conditions() c
		ON c.process = 'orderer' AND c.channel = f.channel AND c.topic = 'consenter'
			AND c.subject = f.consenter_id::text;
COMMENT ON VIEW fabric.stat_orderer_followers IS 'the other consenters as this node sees them; match_index, lag and last contact are known to the leader only; error: why a consenter cannot be reached or refuses messages, and since when';
