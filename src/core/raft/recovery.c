/*
 * recovery.c: a node that may have lost what it promised.
 *
 * The problem. Raft is safe because a node never forgets a vote or a confirmed entry. A node whose
 * tables are lost, or are an older copy, breaks both promises: it votes twice in a term, and it
 * helps to elect a leader that lacks an entry which this node had helped to commit. No node notices
 * this.
 *
 * The rule, after Viewstamped Replication Revisited (Liskov, Cowling), section 4.3. A node is in
 * one of three states:
 *
 *   ASKING      after every start. The node sends the other voters a fresh nonce (HELLO). Each
 *               answers with the last promise that this node made to it. Until asking ends, the
 *               node neither votes, nor campaigns, nor confirms entries.
 *   RECOVERING  (durable) the node has lost promises, or may have lost some. It stores what a
 * leader sends, and answers, but its answers carry `recovering` and the nonce, so the leader counts
 * them for no purpose. The leader appends an entry X after it first saw the nonce. When X is
 * committed without this node, and this node has X, the leader says so (HEARTBEAT, `recovered`),
 * and the node is VOTING again. VOTING      as in the paper.
 *
 * Why X suffices. Let Q be the quorum without this node C that stored X in the leader's term T,
 * after C's loss. If C had promised anything to a leader of a later term before its loss, then that
 * leader's quorum has a node in Q, which was in that later term before it stored X in term T:
 * impossible. If C had voted in a later term for a candidate that is not elected yet: the candidate
 * lacks X, so all of Q refuse it, and the nodes outside of Q are not a quorum. What C had confirmed
 * to leaders up to T was counted by them, or is in the log of T's leader, which nodes with intact
 * memory elected; X follows it. A late answer from before C's loss lacks the nonce: it is ignored
 * while C recovers, and afterwards claims less than C has.
 *
 * When asking is over: all other voters have answered, or a quorum (with this node, without those
 * that are recovering) has and one election timeout has passed. If this node, or a node that
 * answered, hears a leader, that leader must have answered, because it counts this node's
 * confirmations; while there is a leader, no node waits for this one. Later answers are still taken
 * into account.
 *
 * When an answer makes a node recover: the other node remembers a term that this node has not
 * reached, or, in this node's term, a vote that it did not give or an entry beyond the end of its
 * log. (In a later term a shorter log is legal and proves nothing.) Other nodes store what they
 * remember with a leader's heartbeats, not with each confirmation: after a crash it may be a
 * heartbeat old, but the copy from which a node was restored is older.
 *
 * Founding. A node without any state (no term, no entries, no note that it ever had a vote) may be
 * new, or may have lost everything. It asks, too, and recovers if any answering node has entries, a
 * leader, or a memory of it. If a quorum answers that it has nothing either, the channel is new.
 * Missing nodes get four election timeouts, because nodes join one after the other. So any majority
 * founds a network, and brings nodes that join later up to date.
 *
 * Added nodes. A node whose number was added to a channel that existed before has no state either,
 * but its others do. It asks the voters that the channel's configuration names beside it, and takes
 * part if all of them have answered, know of no other voters, and remember no promise of this
 * number: then it has made none that counts. Until then it recovers, as one that lost everything.
 * So one node that is down does not keep a new one out, and with one voter, which no leader could
 * bring a second one up to date without, the second takes part at once.
 *
 * What holds: if there is a sign of the loss (from the host: see server/order/lost_state.c; or in
 * an answer), a minority may lose its memory at any time without loss of committed entries, and
 * recovers without help while a majority works. If so many nodes recover that the others are not a
 * quorum, no leader is elected, and an operator must decide (RAFT_EVENT_RECOVER).
 *
 * What does not hold: a node that was reset without a sign from its host, while all nodes that
 * remember its promises are down, takes part as if it had lost nothing. To exclude this, a node
 * would have to wait for all others after each start (as VR does), and one dead node of three would
 * keep another one from ever starting again. The same holds for a node that lost everything, among
 * a quorum of nodes without state: this looks like a new channel.
 *
 * Rejected: only a new number for a node that lost its memory, as etcd and Fabric do (remove and
 * add a consenter): it takes a decision of the organizations for what a node can do by itself.
 * Recovering by the leader's word alone, without X: a leader that was cut off with this node before
 * a later one was elected would take it back into its old term. Believing heartbeats ("you had
 * confirmed") while voting: any one node could then take all others out; the answers to HELLO are
 * believed once for each start.
 */
#include "core/raft/raft_internal.h"

#include <inttypes.h>

/* founding: so many election timeouts for nodes that have not joined yet */
#define FOUNDING_PATIENCE 4

const char *
raft_participation_name(RaftParticipation participation)
{
	switch (participation)
	{
		case RAFT_VOTING:
			return "voting";
		case RAFT_ASKING:
			return "asking";
		case RAFT_RECOVERING:
			return "recovering";
	}
	return "unknown";
}

/* ---- what the others promised ---- */

static RaftPromise *
recovery_find_promise(Raft *raft, uint64_t id)
{
	for (uint32_t i = 0; i < raft->promises_count; i++)
	{
		if (raft->promises[i].id == id)
			return &raft->promises[i];
	}
	return NULL;
}

/*
 * a promise of this term, empty if the last one was older. When there is no space, the oldest goes:
 * its node was removed long ago
 */
static RaftPromise *
recovery_make_promise(Raft *raft, uint64_t id)
{
	RaftPromise *promise = recovery_find_promise(raft, id);

	if (promise == NULL)
	{
		promise = &raft->promises[0];
		if (raft->promises_count < FB_RAFT_NODES_MAX)
			promise = &raft->promises[raft->promises_count++];
		else
		{
			for (uint32_t i = 1; i < raft->promises_count; i++)
			{
				if (raft->promises[i].term < promise->term)
					promise = &raft->promises[i];
			}
		}
		memset(promise, 0, sizeof(*promise));
		promise->id = id;
	}
	if (promise->term < raft->term)
	{
		promise->term = raft->term;
		promise->index = 0;
		promise->voted = false;
	}
	raft->promises_changed = true;
	return promise;
}

void
recovery_note_votes(Raft *raft)
{
	for (uint32_t i = 0; i < raft->granted_count; i++)
	{
		if (raft->granted_by[i] != raft->id)
			recovery_make_promise(raft, raft->granted_by[i])->voted = true;
	}
}

void
recovery_note_match(Raft *raft, uint64_t id, uint64_t index)
{
	RaftPromise *promise = recovery_make_promise(raft, id);

	if (promise->index < index)
		promise->index = index;
}

static size_t
recovery_put(uint8_t *out, uint64_t value)
{
	for (int i = 0; i < 8; i++)
		out[i] = (uint8_t) (value >> (56 - 8 * i));
	return 8;
}

static uint64_t
recovery_get(const uint8_t *in)
{
	uint64_t value = 0;

	for (int i = 0; i < 8; i++)
		value = value << 8 | in[i];
	return value;
}

size_t
recovery_encode_memory(const Raft *raft, uint8_t *out)
{
	size_t at = 0;

	out[at++] = (uint8_t) raft->promises_count;
	for (uint32_t i = 0; i < raft->promises_count; i++)
	{
		at += recovery_put(out + at, raft->promises[i].id);
		at += recovery_put(out + at, raft->promises[i].term);
		at += recovery_put(out + at, raft->promises[i].index);
		out[at++] = raft->promises[i].voted ? 1 : 0;
	}
	return at;
}

static void
recovery_decode_memory(Raft *raft, FbBytes memory)
{
	const uint8_t *in = memory.data;

	raft->promises_count = 0;
	if (memory.size == 0)
		return;
	for (uint32_t count = *in++; raft->promises_count < count; in += 25)
	{
		RaftPromise *promise = &raft->promises[raft->promises_count++];

		promise->id = recovery_get(in);
		promise->term = recovery_get(in + 8);
		promise->index = recovery_get(in + 16);
		promise->voted = in[24] != 0;
	}
}

/* ---- the other voters, and their answers ---- */

/*
 * The nodes to ask. An added node receives old configurations while it asks, so those in its log
 * say nothing about who may remember.
 */
static const RaftConfiguration *
recovery_asked(const Raft *raft)
{
	return raft->added ? &raft->added_asks : raft_configuration_in_force(raft);
}

static RaftWitness *
recovery_witness_of(Raft *raft, uint64_t id)
{
	RaftWitness *witness;

	for (uint32_t i = 0; i < raft->witnesses_count; i++)
	{
		if (raft->witnesses[i].id == id)
			return &raft->witnesses[i];
	}
	if (id == raft->id || !raft_configuration_has(recovery_asked(raft), id))
		return NULL;
	/* those that were removed since make space */
	if (raft->witnesses_count == FB_RAFT_NODES_MAX)
	{
		uint32_t kept = 0;

		for (uint32_t i = 0; i < raft->witnesses_count; i++)
		{
			if (raft_configuration_has(recovery_asked(raft), raft->witnesses[i].id))
				raft->witnesses[kept++] = raft->witnesses[i];
		}
		raft->witnesses_count = kept;
	}
	witness = &raft->witnesses[raft->witnesses_count++];
	memset(witness, 0, sizeof(*witness));
	witness->id = id;
	return witness;
}

static bool
recovery_has_answered(Raft *raft, uint64_t id)
{
	const RaftWitness *witness = recovery_witness_of(raft, id);

	return witness == NULL || witness->answered;
}

/*
 * how many voters, with this one, have answered; remembering: without those that have lost their
 * own memory
 */
static uint32_t
recovery_count_answers(Raft *raft, bool remembering)
{
	const RaftConfiguration *configuration = recovery_asked(raft);
	uint32_t count = 0;

	for (uint32_t i = 0; i < configuration->voters_count; i++)
	{
		const RaftWitness *witness = recovery_witness_of(raft, configuration->voters[i]);

		count +=
			witness == NULL || (witness->answered && !(remembering && witness->recovering)) ? 1 : 0;
	}
	return count;
}

/* is there a leader that has not answered? This node hears it, or one that has answered does */
static bool
recovery_awaits_leader(Raft *raft)
{
	if (raft->leader != 0 && raft_in_lease(raft) && !recovery_has_answered(raft, raft->leader))
		return true;
	for (uint32_t i = 0; i < raft->witnesses_count; i++)
	{
		const RaftWitness *witness = &raft->witnesses[i];

		if (witness->answered && witness->leader != 0 &&
			witness->answered_ms + raft->election_timeout_ms > raft->now_ms &&
			!recovery_has_answered(raft, witness->leader))
			return true;
	}
	return false;
}

static uint64_t
recovery_patience_ms(const Raft *raft)
{
	return (raft->stateless && !raft->added ? FOUNDING_PATIENCE : 1) * raft->election_timeout_ms;
}

/* ---- the three states ---- */

static void
recovery_say_hello(Raft *raft)
{
	const RaftConfiguration *configuration = recovery_asked(raft);
	bool asked = false;

	for (uint32_t i = 0; i < configuration->voters_count; i++)
	{
		RaftMessage *message;

		/* before it votes it wants to know whom the others hear now */
		if (configuration->voters[i] == raft->id ||
			(raft->participation == RAFT_VOTING &&
			 recovery_has_answered(raft, configuration->voters[i])))
			continue;
		asked = true;
		message = raft_send(raft, RAFT_HELLO, configuration->voters[i]);
		message->index = trail_last_index(&raft->trail);
		message->log_term = trail_last_term(&raft->trail);
		message->nonce = raft->nonce;
		message->recovering = raft->participation == RAFT_RECOVERING;
	}
	if (!asked)
		raft->hello_ms = UINT64_MAX;
	else
		raft->hello_ms =
			raft->now_ms +
			(raft->participation == RAFT_ASKING ? raft->heartbeat_ms : raft->election_timeout_ms);
}

/* an added node that recovers because not all have answered: it ends when all have */
static bool
recovery_is_precaution(const Raft *raft)
{
	return raft->recovery == RAFT_RECOVERY_STATELESS && raft->recovery_witness == 0;
}

static void
recovery_draw_nonce(Raft *raft)
{
	raft->nonce = fb_rand_next(&raft->rand) | 1;
}

FbStatus
recovery_check_start(const RaftEvent *event, FbError *error)
{
	FbBytes memory = event->start.memory;

	if (memory.size > 0 &&
		(memory.data[0] > FB_RAFT_NODES_MAX || memory.size != 1 + 25 * (size_t) memory.data[0]))
		return fb_fail(error, FB_CORRUPTED, "stored memory of promises does not decode");
	if (event->start.recovery > RAFT_RECOVERY_REASON_MAX)
		return fb_fail(error, FB_CORRUPTED, "unrecognized reason %d of a Raft recovery",
					   (int) event->start.recovery);
	return FB_OK;
}

void
recovery_start(Raft *raft, const RaftEvent *event)
{
	recovery_decode_memory(raft, event->start.memory);
	recovery_draw_nonce(raft);
	raft->established = event->start.established;
	raft->stateless = !raft->established && raft->term == 0 && trail_last_index(&raft->trail) == 0;
	raft->added_asks = event->start.configuration;
	raft->recovery = event->start.recovery;
	raft->recovery_witness = event->start.recovery_witness;
	raft->added = event->start.added && !raft->established &&
				  (raft->recovery == RAFT_RECOVERY_NONE || recovery_is_precaution(raft));
	raft->asking_since_ms = raft->now_ms;
	raft->hello_ms = UINT64_MAX;
	if (raft->recovery != RAFT_RECOVERY_NONE)
	{
		raft->participation = RAFT_RECOVERING;
		raft->update->persist_hard_state = true;
	}
	else if (raft->added ||
			 (raft_is_voter(raft) && raft_configuration_in_force(raft)->voters_count > 1))
		raft->participation = RAFT_ASKING;
	else if (!raft->established)
	{
		raft->established = true;
		raft->update->persist_hard_state = true;
	}
	if (raft->participation != RAFT_VOTING)
		recovery_say_hello(raft);
	if (raft->participation == RAFT_RECOVERING)
		TRACE(raft, "recover");
}

void
recovery_begin(Raft *raft, RaftRecoveryReason reason, uint64_t witness)
{
	TRACE(raft, "recover: reason %d, witness %" PRIu64, (int) reason, witness);
	if (raft->role != RAFT_FOLLOWER)
		raft_become_follower(raft, raft->term, 0, "recovering");
	raft->participation = RAFT_RECOVERING;
	raft->recovery = reason;
	raft->recovery_witness = witness;
	raft->recovery_index = 0;
	raft->added = raft->added && recovery_is_precaution(raft);
	recovery_draw_nonce(raft);
	raft->hello_ms = raft->now_ms;
	raft->update->persist_hard_state = true;
}

static void
recovery_end(Raft *raft, const char *why)
{
	TRACE(raft, "vote again: %s", why);
	if (raft->recovery != RAFT_RECOVERY_NONE || !raft->established)
		raft->update->persist_hard_state = true;
	raft->established = true;
	raft->participation = RAFT_VOTING;
	raft->recovery = RAFT_RECOVERY_NONE;
	raft->recovery_witness = 0;
	raft->recovery_index = 0;
	raft->stateless = false;
	raft->added = false;
	raft->hello_ms =
		recovery_count_answers(raft, false) == raft_configuration_in_force(raft)->voters_count
			? UINT64_MAX
			: raft->now_ms + raft->election_timeout_ms;
	raft_reset_election_timer(raft);
}

/* what the others remember counts no more: answers that are on their way are not to this nonce */
void
recovery_end_as_told(Raft *raft)
{
	if (raft->participation == RAFT_VOTING)
		return;
	recovery_end(raft, "as told");
	recovery_draw_nonce(raft);
	raft->hello_ms = UINT64_MAX;
}

/* is asking over? */
static void
recovery_conclude(Raft *raft)
{
	uint32_t voters_count = recovery_asked(raft)->voters_count;

	if (raft->participation != RAFT_ASKING && !raft->added)
		return;
	if (recovery_count_answers(raft, false) == voters_count && voters_count > 0)
		recovery_end(raft, "all nodes have answered");
	else if (raft->participation == RAFT_RECOVERING)
		return;
	else if (raft->added)
	{
		/* a missing one may remember: it takes part when a leader has brought it up to date */
		if (raft->now_ms >= raft->asking_since_ms + recovery_patience_ms(raft))
			recovery_begin(raft, RAFT_RECOVERY_STATELESS, 0);
	}
	else if (recovery_count_answers(raft, true) >= quorum_size(voters_count) &&
			 raft->now_ms >= raft->asking_since_ms + recovery_patience_ms(raft) &&
			 !recovery_awaits_leader(raft))
		recovery_end(raft, "a quorum has answered");
}

void
recovery_timeout(Raft *raft)
{
	if (raft->now_ms >= raft->hello_ms)
		recovery_say_hello(raft);
	recovery_conclude(raft);
}

uint64_t
recovery_deadline(const Raft *raft)
{
	return raft->hello_ms;
}

/* ---- question and answer ---- */

void
recovery_receive_hello(Raft *raft, const RaftMessage *message)
{
	const RaftPromise *promise = recovery_find_promise(raft, message->from);
	RaftMessage *answer = raft_send(raft, RAFT_HELLO_RESPONSE, message->from);

	answer->nonce = message->nonce;
	answer->index = trail_last_index(&raft->trail);
	answer->log_term = trail_last_term(&raft->trail);
	answer->configuration =
		fb_bytes(raft->hello_configuration, membership_encode_one(raft_configuration_in_force(raft),
																  raft->hello_configuration));
	answer->recovering = raft->participation == RAFT_RECOVERING;
	answer->leader = raft->leader != 0 && raft_in_lease(raft) ? raft->leader : 0;
	if (promise != NULL)
	{
		answer->promised_term = promise->term;
		answer->promised_index = promise->index;
		answer->voted = promise->voted;
	}
	/* a vote that may still make this node the leader */
	for (uint32_t i = 0; raft->role == RAFT_CANDIDATE && i < raft->granted_count; i++)
	{
		if (raft->granted_by[i] != message->from)
			continue;
		answer->promised_term = raft->term;
		answer->promised_index = 0;
		answer->voted = true;
	}
	TRACE(raft, "answer hello of %" PRIu64 ": it promised %" PRIu64 "/%" PRIu64 "%s", message->from,
		  answer->promised_index, answer->promised_term, answer->voted ? " and its vote" : "");
}

/*
 * a promise that this node does not know of. In a later term nothing follows: its log may have been
 * truncated since
 */
static bool
recovery_is_unknown_promise(const Raft *raft, const RaftMessage *message)
{
	if (message->promised_term > raft->term)
		return true;
	if (message->promised_term < raft->term || message->promised_term == 0)
		return false;
	return message->promised_index > trail_last_index(&raft->trail) ||
		   (message->voted && raft->vote != message->from);
}

/*
 * An added node asks the voters that it knows. Does the other one know of voters beside these? They
 * may remember promises too.
 */
static bool
recovery_knows_others(const Raft *raft, const RaftMessage *message)
{
	RaftConfiguration theirs;

	if (raft_configuration_decode(message->configuration, &theirs, NULL) != FB_OK)
		return true;
	for (uint32_t i = 0; i < theirs.voters_count; i++)
		if (theirs.voters[i] != raft->id &&
			!raft_configuration_has(&raft->added_asks, theirs.voters[i]))
			return true;
	return false;
}

void
recovery_receive_hello_response(Raft *raft, const RaftMessage *message)
{
	RaftWitness *witness = recovery_witness_of(raft, message->from);

	if (message->nonce != raft->nonce || witness == NULL)
	{
		TRACE(raft, "ignore hello_response of %" PRIu64, message->from);
		return;
	}
	witness->answered = true;
	witness->answered_ms = raft->now_ms;
	witness->recovering = message->recovering;
	witness->leader = message->leader != raft->id ? message->leader : 0;
	if (raft->participation == RAFT_RECOVERING && !raft->added)
		return;
	if (recovery_is_unknown_promise(raft, message))
		recovery_begin(raft, RAFT_RECOVERY_REMEMBERED, message->from);
	else if (raft->participation != RAFT_VOTING &&
			 (raft->added ? recovery_knows_others(raft, message)
						  : raft->stateless && (message->index > 0 || message->leader != 0 ||
												message->promised_term > 0)))
		recovery_begin(raft, RAFT_RECOVERY_STATELESS, message->from);
	else
		recovery_conclude(raft);
}

/* ---- between a leader and a node without a vote ---- */

void
recovery_mark_answer(const Raft *raft, RaftMessage *answer, const RaftMessage *received)
{
	answer->recovering = raft->participation != RAFT_VOTING;
	if (answer->recovering)
		answer->nonce = raft->nonce;
	else if (received != NULL)
		answer->nonce = received->nonce;
}

bool
recovery_leader_knows(const Raft *raft, const RaftMessage *message)
{
	return raft->participation == RAFT_VOTING || message->nonce == raft->nonce;
}

void
recovery_receive_heartbeat(Raft *raft, const RaftMessage *message)
{
	if (raft->participation == RAFT_VOTING || message->nonce != raft->nonce)
		return;
	raft->recovery_index = message->index;
	if (!message->recovered || message->index > raft->persisted_index)
		return;
	/* in this term it has followed this leader: another one may not have its vote */
	if (raft->vote == 0)
	{
		raft->vote = message->from;
		raft->update->persist_hard_state = true;
	}
	recovery_end(raft, "brought up to date");
}

bool
recovery_wants_entry(const Raft *raft)
{
	for (uint32_t i = 0; i < raft->progress_count; i++)
	{
		if (raft->progress[i].recovery_index > trail_last_index(&raft->trail))
			return true;
	}
	return false;
}

bool
recovery_is_complete(const Raft *raft, const RaftProgress *progress)
{
	return progress->recovery_nonce != 0 && raft->commit_index >= progress->recovery_index &&
		   progress->match_index >= progress->recovery_index;
}
