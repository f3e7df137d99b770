-- gateway: a client's transactions. The whole call signs with an identity that this node holds for
-- the caller's role; the split call is for clients that keep their key.

CREATE FUNCTION fabric.invoke(channel text, chaincode text, function text,
	VARIADIC args text[] DEFAULT '{}') RETURNS text
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_invoke';
COMMENT ON FUNCTION fabric.invoke IS 'execute a chaincode function as a transaction, and wait until it is committed on this node; returns its result';

CREATE FUNCTION fabric.query(channel text, chaincode text, function text,
	VARIADIC args text[] DEFAULT '{}') RETURNS text
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_query';
COMMENT ON FUNCTION fabric.query IS 'execute a chaincode function without ordering anything; returns its result';

CREATE FUNCTION fabric.submit_transaction(channel text, chaincode text, function text,
	args text[] DEFAULT '{}', transient jsonb DEFAULT NULL, endorsing_orgs text[] DEFAULT NULL,
	wait boolean DEFAULT true, is_init boolean DEFAULT false, identity text DEFAULT NULL,
	OUT tx_id text, OUT payload bytea, OUT block_number bigint, OUT validation_code text)
	RETURNS record
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_submit_transaction';
COMMENT ON FUNCTION fabric.submit_transaction IS 'as invoke, with all options; an invalid transaction is a result here, not an error; identity: the label of the signing identity';

CREATE FUNCTION fabric.evaluate_transaction(channel text, chaincode text, function text,
	args text[] DEFAULT '{}', transient jsonb DEFAULT NULL, identity text DEFAULT NULL)
	RETURNS bytea
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_evaluate_transaction';
COMMENT ON FUNCTION fabric.evaluate_transaction IS 'as query, with all options: returns the chaincode''s payload; identity: the label of the signing identity';

CREATE FUNCTION fabric.new_proposal(channel text, chaincode text, function text, args text[],
	creator bytea, transient jsonb DEFAULT NULL, is_init boolean DEFAULT false, OUT tx_id text,
	OUT proposal bytea, OUT digest bytea) RETURNS record
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_new_proposal';
COMMENT ON FUNCTION fabric.new_proposal IS 'the bytes of a proposal for the creator, a SerializedIdentity, to sign; digest is their SHA-256';

CREATE FUNCTION fabric.endorse(proposal bytea, signature bytea, endorsing_orgs text[] DEFAULT NULL,
	OUT payload bytea, OUT digest bytea, OUT result bytea) RETURNS record
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_endorse';
COMMENT ON FUNCTION fabric.endorse IS 'collect the endorsements for a signed proposal; returns the transaction for the client to sign';

CREATE FUNCTION fabric.submit(payload bytea, signature bytea) RETURNS text
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_submit';
COMMENT ON FUNCTION fabric.submit IS 'submit a signed transaction to an orderer; returns its transaction id';

CREATE FUNCTION fabric.commit_status(channel text, tx_id text, timeout interval DEFAULT NULL,
	OUT block_number bigint, OUT validation_code text, OUT tx_number int) RETURNS record
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_commit_status';
COMMENT ON FUNCTION fabric.commit_status IS 'wait until this node has committed a transaction; nulls after the timeout';

CREATE FUNCTION fabric.evaluate(proposal bytea, signature bytea) RETURNS bytea
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_evaluate';
COMMENT ON FUNCTION fabric.evaluate IS 'execute a signed proposal without ordering anything; returns the chaincode''s payload';

CREATE FUNCTION fabric.approve_chaincode(channel text, name text, version text, sequence bigint,
	package_id text, policy text DEFAULT NULL, collections jsonb DEFAULT NULL,
	init_required boolean DEFAULT false) RETURNS void
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_approve_chaincode';
COMMENT ON FUNCTION fabric.approve_chaincode IS 'approve a chaincode definition for this node''s organization; package_id null: approve without a package';

CREATE FUNCTION fabric.check_commit_readiness(channel text, name text, version text,
	sequence bigint, policy text DEFAULT NULL, collections jsonb DEFAULT NULL,
	init_required boolean DEFAULT false, OUT msp_id text, OUT approved boolean,
	OUT mismatches text[]) RETURNS SETOF record
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_check_commit_readiness';
COMMENT ON FUNCTION fabric.check_commit_readiness IS 'which organizations have approved this chaincode definition, and the differing fields of the others';

CREATE FUNCTION fabric.commit_chaincode(channel text, name text, version text, sequence bigint,
	policy text DEFAULT NULL, collections jsonb DEFAULT NULL, init_required boolean DEFAULT false,
	endorsing_orgs text[] DEFAULT NULL) RETURNS void
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_commit_chaincode';
COMMENT ON FUNCTION fabric.commit_chaincode IS 'commit a chaincode definition that enough organizations have approved; others are skipped. endorsing_orgs: ask exactly these';

CREATE FUNCTION fabric.endorsement_plan(channel text, chaincode text,
	collections text[] DEFAULT NULL, keys bytea[] DEFAULT NULL,
	no_private_reads boolean DEFAULT false) RETURNS jsonb
	LANGUAGE c STABLE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_endorsement_plan';
COMMENT ON FUNCTION fabric.endorsement_plan IS 'which combinations of organizations can endorse a call, as Fabric''s "discover endorsers" shows them; with collections or public keys that it would write, according to their policies (LF001: no such collection, LF302: no such chaincode)';
