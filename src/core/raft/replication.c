/*
 * replication.c: from the leader's log to the followers' logs, and the commit index
 * (paper 5.3, 5.4.2).
 *
 * A leader keeps a progress per follower. In PROBE it sends one append and waits; once one is
 * accepted, it sends ahead (PIPELINE) until in_flight_max appends are unanswered. Heartbeats repair
 * losses: an answer to a heartbeat allows the next probe, and makes a pipeline whose appends went
 * quiet send one empty append, which a follower with a gap refuses.
 */
#include "core/raft/raft_internal.h"

#include <inttypes.h>

/* ---- the leader's side ---- */

/* one append; true if another may follow */
static bool
replication_send_one(Raft *raft, RaftProgress *progress, bool force)
{
	uint64_t prev_index = progress->next_index - 1;
	uint64_t last_index = trail_last_index(&raft->trail);
	uint64_t bytes = 0;
	uint32_t count = 0;
	RaftMessage *message;

	/*
	 * A term at the log's start that is too low may be that of another entry in the follower's log
	 * (catch_up.c).
	 */
	if (prev_index < raft->trail.base_index ||
		(prev_index == raft->trail.base_index && !raft->base_term_known &&
		 progress->match_index < prev_index))
	{
		catch_up_send(raft, progress);
		return false;
	}
	if (progress->state == RAFT_PROBE ? progress->probe_sent
									  : progress->in_flight_count >= raft->in_flight_max)
		return false;
	if (prev_index == last_index && progress->state == RAFT_PIPELINE &&
		progress->commit_sent >= raft->commit_index && !force)
		return false;
	if (raft->appends_count >= RAFT_UPDATE_APPENDS_MAX ||
		raft->entries_used + FB_RAFT_ENTRIES_PER_MESSAGE_MAX > RAFT_UPDATE_ENTRIES_MAX)
	{
		raft->more_to_send = true;
		return false;
	}
	while (count < FB_RAFT_ENTRIES_PER_MESSAGE_MAX && prev_index + count < last_index)
	{
		bytes += trail_payload_bytes(&raft->trail, prev_index + count + 1);
		if (count > 0 && bytes > raft->message_bytes_max)
			break;
		count++;
	}

	message = raft_send(raft, RAFT_APPEND, progress->id);
	message->early = true;
	message->index = prev_index;
	message->log_term = trail_term(&raft->trail, prev_index);
	message->commit_index = raft->commit_index;
	message->nonce = progress->recovery_nonce;
	message->entries_count = count;
	message->entries = raft->entries + raft->entries_used;
	for (uint32_t i = 0; i < count; i++)
	{
		memset(&message->entries[i], 0, sizeof(RaftEntry));
		message->entries[i].term = trail_term(&raft->trail, prev_index + i + 1);
	}
	raft->entries_used += count;
	raft->appends_count++;
	progress->commit_sent = raft->commit_index;
	progress->sent_ms = raft->now_ms;
	if (progress->state == RAFT_PROBE)
	{
		progress->probe_sent = true;
		return false;
	}
	if (count == 0)
		return false;
	progress_sent(progress, prev_index + count);
	return true;
}

void
replication_send(Raft *raft, RaftProgress *progress, bool force)
{
	if (progress->state == RAFT_CATCH_UP)
		return;
	while (replication_send_one(raft, progress, force))
		force = false;
}

void
replication_broadcast(Raft *raft)
{
	for (uint32_t i = 0; i < raft->progress_count; i++)
		replication_send(raft, &raft->progress[i], false);
}

static void
replication_heartbeat(Raft *raft)
{
	raft->heartbeat_deadline_ms = raft->now_ms + raft->heartbeat_ms;
	for (uint32_t i = 0; i < raft->progress_count; i++)
	{
		RaftProgress *progress = &raft->progress[i];
		RaftMessage *message = raft_send(raft, RAFT_HEARTBEAT, progress->id);

		message->early = true;
		message->commit_index =
			progress->match_index < raft->commit_index ? progress->match_index : raft->commit_index;
		message->nonce = progress->recovery_nonce;
		message->index = progress->recovery_index;
		message->recovered = recovery_is_complete(raft, progress);
	}
}

/*
 * "Upon election: send initial empty AppendEntries RPCs (heartbeat) to each server" (paper, figure
 * 2), and: "by having each leader commit a blank no-op entry into the log at the start of its term"
 * (section 8) it learns what is committed.
 */
void
replication_lead(Raft *raft)
{
	uint32_t nothing = 0;

	raft->transfer_to = 0;
	raft->more_to_send = false;
	raft->progress_count = 0;
	raft->quorum_grace_ms = 0;
	membership_follow_progress(raft);
	raft->term_start_index = trail_last_index(&raft->trail) + 1;
	raft_append_own(raft, &nothing, 1, RAFT_FROM_CORE, RAFT_ENTRY_NOOP, FB_BYTES_EMPTY);
	raft->heartbeat_deadline_ms = raft->now_ms + raft->heartbeat_ms;
	replication_broadcast(raft);
}

/*
 * "If there exists an N such that N > commitIndex, a majority of matchIndex[i] >= N, and
 * log[N].term == currentTerm: set commitIndex = N": entries of earlier terms are committed only by
 * one of this term above them (paper 5.4.2). The leader itself counts with what is durable, and
 * only while it is a voter. A node that recovers does not count.
 */
bool
replication_advance_commit(Raft *raft)
{
	const RaftConfiguration *configuration = raft_configuration_in_force(raft);
	uint64_t matches[FB_RAFT_NODES_MAX];
	uint64_t index;

	for (uint32_t i = 0; i < configuration->voters_count; i++)
	{
		RaftProgress *progress = raft_progress(raft, configuration->voters[i]);

		if (configuration->voters[i] == raft->id)
			matches[i] = raft->persisted_index;
		else
			matches[i] = progress->recovery_nonce == 0 ? progress->match_index : 0;
	}
	index = quorum_value(matches, configuration->voters_count);
	if (index <= raft->commit_index || trail_term(&raft->trail, index) != raft->term)
		return false;
	raft_set_commit(raft, index);
	return true;
}

/*
 * "the leader steps down if an election timeout elapses without a successful round of heartbeats to
 * a majority" (thesis 6.2)
 */
static bool
replication_quorum_is_silent(Raft *raft)
{
	const RaftConfiguration *configuration = raft_configuration_in_force(raft);
	uint64_t alive_ms[FB_RAFT_NODES_MAX];

	for (uint32_t i = 0; i < configuration->voters_count; i++)
	{
		RaftProgress *progress = raft_progress(raft, configuration->voters[i]);

		alive_ms[i] =
			configuration->voters[i] == raft->id ? raft->now_ms : progress_alive_ms(progress);
	}
	return quorum_value(alive_ms, configuration->voters_count) + raft->election_timeout_ms <=
		   raft->now_ms;
}

void
replication_timeout(Raft *raft)
{
	uint32_t nothing = 0;

	/*
	 * A host that was busy with its disk calls late; the answers are waiting in its queue. Once in
	 * a while it gets the time to read them before silence is held against the followers.
	 */
	if (raft->now_ms > raft->heartbeat_deadline_ms + raft->election_timeout_ms / 2 &&
		raft->now_ms >= raft->quorum_grace_ms + 2 * raft->election_timeout_ms)
		raft->quorum_grace_ms = raft->now_ms + raft->election_timeout_ms / 2;
	if (raft->now_ms >= raft->quorum_grace_ms && replication_quorum_is_silent(raft))
	{
		raft_become_follower(raft, raft->term, 0, "a quorum is silent");
		return;
	}
	if (raft->transfer_to != 0 && raft->now_ms >= raft->transfer_deadline_ms)
	{
		TRACE(raft, "give up the transfer to %" PRIu64, raft->transfer_to);
		raft->transfer_to = 0;
	}
	if (raft->more_to_send)
	{
		raft->more_to_send = false;
		replication_broadcast(raft);
	}
	if (raft->now_ms < raft->heartbeat_deadline_ms)
		return;
	/*
	 * a follower recovers with an entry that is younger than its recovery: without traffic, one of
	 * the leader's own
	 */
	if (recovery_wants_entry(raft) && raft->transfer_to == 0 && trail_space(&raft->trail) > 0)
	{
		raft_append_own(raft, &nothing, 1, RAFT_FROM_CORE, RAFT_ENTRY_NOOP, FB_BYTES_EMPTY);
		replication_broadcast(raft);
	}
	/* what the others promised is written here: once for many confirmations */
	if (raft->promises_changed)
		raft->update->persist_hard_state = true;
	replication_heartbeat(raft);
}

/*
 * Who takes over: the most advanced follower, and of those that were heard within the last
 * heartbeats before others: a follower that has stopped keeps the match index it had.
 */
uint64_t
replication_successor(const Raft *raft)
{
	const RaftProgress *best = NULL;
	bool best_heard = false;

	for (uint32_t i = 0; i < raft->progress_count; i++)
	{
		const RaftProgress *progress = &raft->progress[i];
		bool heard =
			progress->heard_ms != 0 && raft->now_ms <= progress->heard_ms + 3 * raft->heartbeat_ms;

		if (progress->recovery_nonce != 0)
			continue;
		if (best == NULL || heard > best_heard ||
			(heard == best_heard && progress->match_index > best->match_index))
		{
			best = progress;
			best_heard = heard;
		}
	}
	return best != NULL ? best->id : 0;
}

void
replication_hand_over(Raft *raft)
{
	raft_send(raft, RAFT_TIMEOUT_NOW, raft->transfer_to)->early = true;
	TRACE(raft, "%" PRIu64 " has been sent everything: timeout_now", raft->transfer_to);
}

/*
 * "the prior leader sends a TimeoutNow request to the target server" once its log is complete
 * (thesis 3.10)
 */
void
replication_transfer_if_ready(Raft *raft)
{
	RaftProgress *progress = raft->transfer_to != 0 ? raft_progress(raft, raft->transfer_to) : NULL;

	if (progress == NULL || progress->recovery_nonce != 0 ||
		progress->match_index < trail_last_index(&raft->trail))
		return;
	raft_send(raft, RAFT_TIMEOUT_NOW, raft->transfer_to)->early = true;
	TRACE(raft, "%" PRIu64 " has everything: timeout_now", raft->transfer_to);
}

/*
 * A leader that is no longer a voter "manages a cluster that does not include itself" until the
 * entry that says so is committed, and steps down then (thesis 4.2.2). Naming a successor spares
 * the others the election timeout.
 */
static bool
replication_leave_if_removed(Raft *raft)
{
	uint64_t successor = replication_successor(raft);

	if (raft_is_voter(raft) || raft->configurations[0].index > raft->commit_index)
		return false;
	if (successor != 0)
		raft_send(raft, RAFT_TIMEOUT_NOW, successor)->early = true;
	raft_become_follower(raft, raft->term, 0, "removed from the configuration");
	return true;
}

static void
replication_refused(Raft *raft, RaftProgress *progress, const RaftMessage *message)
{
	uint64_t next;

	/* an answer to something older than what is known by now, or to another probe */
	if (progress->state == RAFT_CATCH_UP || message->index <= progress->match_index ||
		(progress->state == RAFT_PROBE && message->index != progress->next_index - 1))
	{
		TRACE(raft, "ignore refusal of %" PRIu64 " at %" PRIu64 ": old", progress->id,
			  message->index);
		return;
	}

	/*
	 * The follower says: its log up to hint_index has terms up to log_term. Entries of later terms
	 * in ours cannot be in its log, so they are skipped at once: one round trip per term that
	 * differs, not per entry (paper 5.3, last paragraphs).
	 */
	next = trail_last_with_term_up_to(&raft->trail, message->hint_index, message->log_term) + 1;
	if (message->hint_index < raft->trail.base_index)
		next = message->hint_index + 1;
	if (next > message->index)
		next = message->index;
	progress_to_probe(progress, next > 0 ? next : 1);
	TRACE(raft, "%" PRIu64 " refuses at %" PRIu64 ": try from %" PRIu64, progress->id,
		  message->index, progress->next_index);
	replication_send(raft, progress, false);
}

/*
 * A follower that cannot take this leader's entries at all. It stays a follower that answers, so
 * silence does not end this leadership; and were a quorum of that kind, nothing would ever be
 * committed. Then the log here is the one that differs. A minority proves nothing.
 */
static void
replication_contradicted(Raft *raft, RaftProgress *progress, const RaftMessage *message)
{
	const RaftConfiguration *configuration = raft_configuration_in_force(raft);
	uint32_t willing = 0;

	raft->update->evidence = (RaftEvidence) {RAFT_EVIDENCE_REFUSED_BY_FOLLOWER, progress->id,
											 message->term, message->index};
	TRACE(raft, "%" PRIu64 " says that entry %" PRIu64 " contradicts what it has", progress->id,
		  message->index);
	/* its cause may be gone some day, but hardly before the next heartbeat */
	progress_to_probe(progress, progress->match_index + 1);
	progress->probe_sent = true;
	progress->sent_ms = raft->now_ms + raft->election_timeout_ms;
	for (uint32_t i = 0; i < configuration->voters_count; i++)
	{
		RaftProgress *other = raft_progress(raft, configuration->voters[i]);

		if (configuration->voters[i] == raft->id || (other != NULL && !other->contradicted))
			willing++;
	}
	if (willing >= quorum_size(configuration->voters_count))
		return;
	raft->refuted = true;
	raft_become_follower(raft, raft->term, 0, "a quorum contradicts");
}

/*
 * What an answer says of its sender. False: it answers an earlier start of that node, and must be
 * ignored
 */
static bool
replication_note_follower(Raft *raft, RaftProgress *progress, const RaftMessage *message)
{
	progress->heard_ms = raft->now_ms;
	if (message->recovering && message->nonce != progress->recovery_nonce)
	{
		TRACE(raft, "%" PRIu64 " has no vote: not counted before it has %" PRIu64, progress->id,
			  trail_last_index(&raft->trail) + 1);
		progress->recovery_nonce = message->nonce;
		progress->recovery_index = trail_last_index(&raft->trail) + 1;
		progress->match_index = 0;
		progress_to_probe(progress, trail_last_index(&raft->trail) + 1);
		replication_send(raft, progress, false);
		return false;
	}
	if (message->recovering)
		return true;
	if (progress->recovery_nonce != 0)
	{
		if (message->nonce != progress->recovery_nonce)
			return false;
		TRACE(raft, "%" PRIu64 " is counted again", progress->id);
		progress->recovery_nonce = 0;
		progress->recovery_index = 0;
		if (progress->match_index > 0)
			recovery_note_match(raft, progress->id, progress->match_index);
		if (replication_advance_commit(raft))
			replication_broadcast(raft);
	}
	progress->counted_ms = raft->now_ms;
	return true;
}

void
replication_receive_append_response(Raft *raft, const RaftMessage *message)
{
	RaftProgress *progress = raft->role == RAFT_LEADER ? raft_progress(raft, message->from) : NULL;
	bool advanced = false;

	if (progress == NULL || !replication_note_follower(raft, progress, message))
		return;
	progress->contradicted = message->contradicted;
	if (message->contradicted)
	{
		replication_contradicted(raft, progress, message);
		return;
	}
	if (message->rejected)
	{
		replication_refused(raft, progress, message);
		return;
	}
	if (message->index > progress->match_index)
	{
		progress->match_index = message->index;
		advanced = true;
		if (progress->recovery_nonce == 0)
			recovery_note_match(raft, progress->id, message->index);
	}
	if (progress->next_index <= progress->match_index)
		progress->next_index = progress->match_index + 1;
	if (progress->state == RAFT_PIPELINE)
		progress_free_up_to(progress, message->index);
	else if (progress->match_index >= raft->trail.base_index)
	{
		TRACE(raft, "%" PRIu64 " has %" PRIu64 ": %s to pipeline", progress->id,
			  progress->match_index, raft_progress_state_name(progress->state));
		progress_to_pipeline(progress);
	}
	if (advanced && replication_advance_commit(raft))
	{
		replication_broadcast(raft);
		if (replication_leave_if_removed(raft))
			return;
	}
	else
		replication_send(raft, progress, false);
	if (advanced && raft->transfer_to == progress->id)
		replication_transfer_if_ready(raft);
}

void
replication_receive_heartbeat_response(Raft *raft, const RaftMessage *message)
{
	RaftProgress *progress = raft->role == RAFT_LEADER ? raft_progress(raft, message->from) : NULL;
	bool quiet;

	if (progress == NULL || !replication_note_follower(raft, progress, message))
		return;
	quiet = raft->now_ms >= progress->sent_ms + raft->heartbeat_ms;
	if (progress->state == RAFT_CATCH_UP)
		catch_up_send(raft, progress);
	else if (progress->state == RAFT_PROBE)
	{
		if (quiet)
			progress->probe_sent = false;
		replication_send(raft, progress, false);
	}
	else if (progress->match_index < trail_last_index(&raft->trail) && quiet)
	{
		/*
		 * nothing was sent for a while, yet answers are missing: make space for one more, whose
		 * answer tells what is lost
		 */
		if (progress->in_flight_count >= raft->in_flight_max)
			progress_free_first(progress);
		replication_send(raft, progress, true);
	}
	if (raft->transfer_to == progress->id)
		replication_transfer_if_ready(raft);
}

/* ---- the follower's side ---- */

/*
 * Does this log have the entry before the message's first? A log that started again behind fetched
 * blocks gives the entry at its start a term that is too low (catch_up.c). What is committed here
 * is in every leader's log, so at the commit index a term of such a log is not compared: mine, if
 * that is where my log starts, or else the leader's, which is lower.
 */
static bool
replication_follows(const Raft *raft, const RaftMessage *message)
{
	if (trail_matches(&raft->trail, message->index, message->log_term))
		return true;
	return message->index == raft->commit_index &&
		   (message->index == raft->trail.base_index ||
			message->log_term < trail_term(&raft->trail, message->index));
}

/*
 * the first position in the message that this log does not have yet: beyond the end, or with
 * another term
 */
static uint32_t
replication_first_new(const Raft *raft, const RaftMessage *message)
{
	uint32_t position = 0;

	while (
		position < message->entries_count &&
		trail_matches(&raft->trail, message->index + position + 1, message->entries[position].term))
		position++;
	return position;
}

/*
 * How many of the new entries are stored. Leaders keep few entries uncommitted at a time, and
 * whatever they say, what they have not said is committed must not fill this node's disk: the rest
 * waits until the leader commits.
 */
static uint32_t
replication_fitting(const Raft *raft, const RaftMessage *message, uint32_t first,
					uint64_t truncate_from)
{
	size_t space = trail_space(&raft->trail);
	uint32_t count = message->entries_count - first;
	uint64_t equal_up_to = message->index + first;
	uint64_t committed = message->commit_index < equal_up_to ? message->commit_index : equal_up_to;
	uint64_t uncommitted_count;
	uint64_t uncommitted_bytes;
	uint32_t fitting = 0;

	if (truncate_from > 0)
		space += (size_t) (trail_last_index(&raft->trail) - truncate_from + 1);
	if (count > space)
		count = (uint32_t) space;
	if (committed < raft->commit_index)
		committed = raft->commit_index;
	uncommitted_count = equal_up_to - committed;
	uncommitted_bytes = trail_bytes_between(&raft->trail, committed, equal_up_to);
	for (; fitting < count; fitting++)
	{
		/* what the message says is committed is applied and forgotten */
		if (equal_up_to + fitting + 1 > message->commit_index)
		{
			uncommitted_count++;
			uncommitted_bytes += message->entries[first + fitting].payload.size;
		}
		if (uncommitted_count > FB_RAFT_UNCOMMITTED_ENTRIES_MAX ||
			uncommitted_bytes > FB_RAFT_UNCOMMITTED_BYTES_MAX)
			break;
	}
	return fitting;
}

/* what is known to be equal to the leader's log is not looked at again */
static bool
replication_is_old(const Raft *raft, const RaftMessage *message)
{
	return message->index < raft->commit_index;
}

FbStatus
replication_check_append(Raft *raft, const RaftMessage *message, FbError *error)
{
	uint64_t term = message->log_term;
	uint64_t conflict;
	uint32_t first;

	if (message->entries_count > FB_RAFT_ENTRIES_PER_MESSAGE_MAX)
		return fb_fail(error, FB_LIMIT_EXCEEDED, "Raft append with %" PRIu32 " entries",
					   message->entries_count);
	for (uint32_t i = 0; i < message->entries_count; i++)
	{
		const RaftEntry *entry = &message->entries[i];
		RaftConfiguration configuration;

		if (entry->term < term || entry->term == 0 || entry->term > message->term)
			return fb_fail(error, FB_MALFORMED_MESSAGE,
						   "terms fall in a Raft append of node %" PRIu64, message->from);
		if (entry->payload.size > FB_MESSAGE_BYTES_MAX)
			return fb_fail(error, FB_LIMIT_EXCEEDED, "Raft entry of %zu bytes",
						   entry->payload.size);
		if (entry->kind == RAFT_ENTRY_CONFIGURATION)
		{
			FB_TRY(raft_configuration_decode(entry->payload, &configuration, error));
			FB_TRY(membership_check_fixed(raft, message, &configuration, error));
		}
		term = entry->term;
	}
	if (replication_is_old(raft, message) || !replication_follows(raft, message))
		return FB_OK;
	first = replication_first_new(raft, message);
	if (first == 0 && message->entries_count > 0 &&
		message->entries[0].term < trail_term(&raft->trail, message->index))
		return raft_evidence(raft, RAFT_EVIDENCE_COMMITTED, message->from, message->term,
							 message->index, error,
							 "leader %" PRIu64 " of term %" PRIu64
							 " contradicts the committed entry %" PRIu64,
							 message->from, message->term, message->index);
	conflict = message->index + first + 1;
	if (first == message->entries_count || conflict > trail_last_index(&raft->trail))
		conflict = 0;
	if (conflict > 0 &&
		(conflict <= raft->commit_index || !membership_can_truncate(raft, conflict)))
		return raft_evidence(raft, RAFT_EVIDENCE_COMMITTED, message->from, message->term, conflict,
							 error,
							 "leader %" PRIu64 " of term %" PRIu64
							 " contradicts the committed entry %" PRIu64,
							 message->from, message->term, conflict);
	return trail_reserve(&raft->trail, replication_fitting(raft, message, first, conflict), error);
}

static void
replication_store(Raft *raft, const RaftMessage *message, uint32_t first)
{
	RaftUpdate *update = raft->update;
	uint64_t first_index = message->index + first + 1;
	uint64_t truncate_from = 0;
	uint32_t count;

	/*
	 * "If an existing entry conflicts with a new one (same index but different terms), delete the
	 * existing entry and all that follow it"
	 */
	if (first_index <= trail_last_index(&raft->trail))
		truncate_from = first_index;
	count = replication_fitting(raft, message, first, truncate_from);
	if (truncate_from > 0)
	{
		TRACE(raft, "truncate from %" PRIu64 ": term %" PRIu64 " there, %" PRIu64 " here",
			  truncate_from, message->entries[first].term, trail_term(&raft->trail, truncate_from));
		trail_truncate(&raft->trail, truncate_from);
		membership_truncate(raft, truncate_from);
		update->truncate_from_index = truncate_from;
		if (raft->persisted_index >= truncate_from)
			raft->persisted_index = truncate_from - 1;
	}
	for (uint32_t i = first; i < first + count; i++)
	{
		const RaftEntry *entry = &message->entries[i];

		trail_append(&raft->trail, entry->term, (uint32_t) entry->payload.size);
		if (entry->kind == RAFT_ENTRY_CONFIGURATION)
		{
			RaftConfiguration configuration;
			FbStatus status = raft_configuration_decode(entry->payload, &configuration, NULL);

			FB_ASSERT(status == FB_OK); /* replication_check_append looked */
			membership_push(raft, message->index + i + 1, &configuration);
		}
	}
	if (count == 0)
		return;
	update->entries.first_index = first_index;
	update->entries.count = count;
	update->entries.source = RAFT_FROM_MESSAGE;
	update->entries.first_position = first;
	update->entries.last_term = message->entries[first + count - 1].term;
	TRACE(raft, "store %" PRIu32 " from %" PRIu64, count, first_index);
}

void
replication_receive_append(Raft *raft, const RaftMessage *message)
{
	RaftMessage *answer = raft_send(raft, RAFT_APPEND_RESPONSE, message->from);
	uint64_t equal_up_to;
	uint32_t first;

	recovery_mark_answer(raft, answer, message);
	if (replication_is_old(raft, message))
	{
		answer->index = raft->commit_index;
		return;
	}
	if (!replication_follows(raft, message))
	{
		/*
		 * "reply false if log doesn't contain an entry at prevLogIndex whose term matches
		 * prevLogTerm"
		 */
		answer->rejected = true;
		answer->index = message->index;
		answer->hint_index =
			trail_last_with_term_up_to(&raft->trail, message->index, message->log_term);
		answer->log_term = trail_term(&raft->trail, answer->hint_index);
		TRACE(raft,
			  "refuse append at %" PRIu64 "/%" PRIu64 ": term %" PRIu64 " here, hint %" PRIu64
			  "/%" PRIu64,
			  message->index, message->log_term, trail_term(&raft->trail, message->index),
			  answer->hint_index, answer->log_term);
		return;
	}
	first = replication_first_new(raft, message);
	if (first < message->entries_count)
		replication_store(raft, message, first);
	equal_up_to = message->index + message->entries_count;
	if (equal_up_to > trail_last_index(&raft->trail))
		equal_up_to = trail_last_index(&raft->trail); /* no space for all of them */

	raft->refuted = false;
	if (raft->equal_term != message->term || raft->equal_index < equal_up_to)
		raft->equal_index = equal_up_to;
	raft->equal_term = message->term;
	/*
	 * "If leaderCommit > commitIndex, set commitIndex = min(leaderCommit, index of last new entry)"
	 */
	raft_set_commit(raft,
					message->commit_index < equal_up_to ? message->commit_index : equal_up_to);
	answer->index = equal_up_to;
}

void
replication_receive_heartbeat(Raft *raft, const RaftMessage *message)
{
	if (recovery_leader_knows(raft, message))
		raft_set_commit(raft, message->commit_index);
	recovery_receive_heartbeat(raft, message);
	recovery_mark_answer(raft, raft_send(raft, RAFT_HEARTBEAT_RESPONSE, message->from), message);
}
