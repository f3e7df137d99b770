/*
 * commit_status.c: wait for the commit of a transaction, and submit it again if it may be lost.
 *
 * The problem. An orderer that has taken a transaction can lose it, because its queue is in memory,
 * as in Fabric. The session would then wait for a block that never comes.
 *
 * The rule. The waiting session submits the same bytes again; they are ordered at most once. It
 * does so when the leader has changed, as far as this node knows leaders (an orderer does, a pure
 * peer does not), and otherwise when the block takes longer than usual (pg/answer_times.c): first
 * after RESUBMIT_MS_MIN to RESUBMIT_FIRST_MS_MAX, then after twice that time, and so on up to
 * RESUBMIT_MS_MAX. The usual time is learned, so under load, when blocks take long, less is
 * submitted again. The upper limit of the first pause makes sure that a lost transaction is
 * submitted again soon however long blocks took before; a second submission costs an orderer one
 * look-up.
 *
 * When no orderer takes the transaction because there is no leader for longer than
 * fabric.broadcast_timeout, the wait ends with that error: without a quorum nothing is committed,
 * and the caller learns the reason. The error's context says that the transaction may still be
 * committed when there is a leader again.
 */
#include "server/gateway/gateway_internal.h"

#include "miscadmin.h"
#include "utils/snapmgr.h"

#include "server/audit/audit.h"

#define RESUBMIT_MS_MIN 1000
#define RESUBMIT_FIRST_MS_MAX 2000
#define RESUBMIT_MS_MAX 10000
/* how often to check for a new leader, and to try again after a refusal */
#define LOOK_MS 500

static uint64
raft_term(ChannelSlot *slot)
{
	OrdererState orderer;

	slot_orderer(slot, &orderer);
	return orderer.leader_id != 0 ? orderer.term : 0;
}

static bool
status_look_up(const Channel *channel, const char *tx_id, GatewayStatus *status)
{
	status->committed = tx_index_find(channel->ledger, fb_bytes_of_text(tx_id), GetLatestSnapshot(),
									  &status->block_number, &status->position, &status->code);
	return status->committed;
}

/* open the channel after a sleep, during which the node may have left it */
static const Channel *
open_again(const char *channel_name, const char *tx_id, int ledger_id)
{
	const Ledger *ledger = ledger_find(channel_name);

	if (ledger != NULL && ledger->id == ledger_id)
		return channel_open(channel_name);
	ereport(
		ERROR,
		(fb_errcode(FB_CHANNEL_NOT_FOUND),
		 errmsg("this node has left channel \"%s\"", channel_name),
		 errdetail(
			 "This node does not learn whether transaction %s is committed; other nodes of the channel do.",
			 tx_id)));
}

/* the state of a waiting session's resubmissions */
typedef struct Resubmission
{
	const Envelope *envelope; /* NULL: this session must not submit it again */
	TimestampTz submitted_at;
	int pause_ms; /* submit again after this time */
	uint64 term;  /* the term when it was submitted; 0: not known */
	/*
	 * The leader has changed since the first submission, so the time to the commit is not the usual
	 * one.
	 */
	bool leader_changed;
	TimestampTz leaderless_since; /* 0: an orderer took it the last time */
} Resubmission;

static bool
status_is_due(const Resubmission *again, uint64 term_now)
{
	return (term_now != 0 && term_now != again->term) || again->leaderless_since != 0 ||
		   TimestampDifferenceMilliseconds(again->submitted_at, GetCurrentTimestamp()) >=
			   again->pause_ms;
}

/*
 * Raise the orderers' error if there was no leader for fabric.broadcast_timeout; its context tells
 * of the doubt. Blocks that were ordered before and are not applied yet may still contain the
 * transaction, so the time does not count while there are any.
 */
static void
note_leaderless(Resubmission *again, ChannelSlot *slot, FbError *error)
{
	TimestampTz now = GetCurrentTimestamp();

	if (error->status != FB_NO_LEADER || slot_commit_index(slot) > slot_applied_index(slot))
	{
		again->leaderless_since = 0;
		return;
	}
	if (again->leaderless_since == 0)
		again->leaderless_since = now;
	if (TimestampDifferenceMilliseconds(again->leaderless_since, now) < guc_broadcast_timeout)
		return;
	fb_error_hint(
		error,
		"Check with fabric.commit_status whether the transaction was committed when more than half of the channel's orderers run again.");
	error_throw(error);
}

/* Submit the envelope again if it is time for that. True: it was committed meanwhile. */
static bool
submit_if_due(Resubmission *again, const Channel *channel, ChannelSlot *slot, const char *tx_id,
			  TimestampTz deadline, GatewayStatus *status)
{
	uint64 term_now = raft_term(slot);
	FbError error;

	if (!status_is_due(again, term_now))
		return false;
	/* it may have been committed since the last look-up */
	if (status_look_up(channel, tx_id, status))
		return true;
	again->leader_changed |= term_now != again->term;
	slow_call_note("submitted again");
	/* a refusal now does not decide: an earlier submission may still be ordered */
	if (submit_again(channel, again->envelope, deadline, &error) != FB_OK)
	{
		note_leaderless(again, slot, &error);
		return false;
	}
	again->submitted_at = GetCurrentTimestamp();
	again->pause_ms = Min(again->pause_ms * 2, RESUBMIT_MS_MAX);
	again->leaderless_since = 0;
	again->term = term_now;
	return false;
}

void
commit_expect(const Channel *channel, const char *tx_id)
{
	ChannelSlot *slot = channel_slot(channel);

	if (slot != NULL)
		waiter_enter(slot, fb_bytes_of_text(tx_id));
}

/* Is it committed? If not, a block with it ends the next sleep: so this enters before it looks. */
static bool
enter_and_look_up(const Channel *channel, ChannelSlot *slot, const char *tx_id,
				  GatewayStatus *status)
{
	if (slot != NULL)
		waiter_enter(slot, fb_bytes_of_text(tx_id));
	return status_look_up(channel, tx_id, status);
}

void
commit_wait(const Channel *channel, const char *tx_id, int timeout_ms, const Envelope *envelope,
			GatewayStatus *status)
{
	const char *channel_name = channel->name;
	ChannelSlot *slot = channel_slot(channel);
	int ledger_id = channel->ledger->id;
	uint64 label = answer_label(channel_name, ANSWER_COMMIT, FB_BYTES_EMPTY);
	uint64 began_ms = clock_ms();
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz deadline = TimestampTzPlusMilliseconds(now, timeout_ms);
	Resubmission again = {.envelope = envelope,
						  .submitted_at = now,
						  .term = slot != NULL ? raft_term(slot) : 0,
						  .pause_ms = Min(Max(answer_patience_ms(label), RESUBMIT_MS_MIN),
										  RESUBMIT_FIRST_MS_MAX)};
	/* this session has submitted it after commit_expect: a block that has it wakes the session */
	bool expected = envelope != NULL && slot != NULL;

	memset(status, 0, sizeof(*status));
	for (;;)
	{
		if (!expected && enter_and_look_up(channel, slot, tx_id, status))
		{
			if (envelope != NULL && !again.leader_changed)
				answer_note_time(label, clock_ms() - began_ms);
			return;
		}
		expected = false;
		shmem_require();
		now = GetCurrentTimestamp();
		if (now >= deadline)
			return;
		now = Min(deadline, TimestampTzPlusMilliseconds(now, LOOK_MS));
		if (slot == NULL)
			(void) channel_wait_slot(channel, now);
		else if (!waiter_sleep(slot, now))
			slow_call_note("the block is not among this node's " UINT64_FORMAT, slot_height(slot));
		channel = open_again(channel_name, tx_id, ledger_id);
		slot = channel_slot(channel);
		if (envelope != NULL && slot != NULL &&
			submit_if_due(&again, channel, slot, tx_id, deadline, status))
			return;
	}
}

void
gateway_commit_status(const char *channel_name, const char *tx_id, int timeout_ms,
					  GatewayStatus *status)
{
	const Channel *channel = channel_open(channel_name);

	memset(status, 0, sizeof(*status));
	if (timeout_ms == 0)
	{
		(void) status_look_up(channel, tx_id, status);
		return;
	}
	PG_TRY();
	{
		commit_wait(channel, tx_id, timeout_ms, NULL, status);
	}
	PG_FINALLY();
	{
		waiter_leave();
	}
	PG_END_TRY();
}

/* ---- errors ---- */

static char *
version_text(RwSetVersion version)
{
	return version.present ? psprintf("block " UINT64_FORMAT ", transaction " UINT64_FORMAT,
									  (uint64) version.block_number, (uint64) version.tx_index)
						   : "absent";
}

static void
raise_conflict(const Channel *channel, const char *tx_id, const GatewayStatus *status)
{
	ReadConflict conflict;

	PushActiveSnapshot(GetLatestSnapshot());
	explain_conflict(channel->ledger, status->block_number, status->position, NULL, &conflict);
	PopActiveSnapshot();
	ereport(
		ERROR,
		(fb_errcode(FB_MVCC_READ_CONFLICT),
		 errmsg("transaction %s is invalid: %s", tx_id, tx_code_name(status->code)),
		 conflict.found
			 ? errdetail(
				   "Key \"%s\" of chaincode \"%s\" was read at version %s, but found at version %s%s%s when block %llu was committed.",
				   FB_DISPLAY(conflict.key), FB_DISPLAY(conflict.namespace_name),
				   version_text(conflict.version_read), version_text(conflict.version_found),
				   conflict.writer_tx_id.size > 0 ? ", written by transaction " : "",
				   FB_DISPLAY(conflict.writer_tx_id), (unsigned long long) status->block_number)
			 : errdetail(
				   "Something that it read was changed before it was committed in block %llu.",
				   (unsigned long long) status->block_number),
		 errhint(
			 "Nothing was changed. Call the function again: it will read the present values.")));
}

void
gateway_raise_invalid(const char *channel_name, const char *tx_id, const GatewayStatus *status)
{
	const char *name = tx_code_name(status->code);

	if (status->code == TX_VALID)
		return;
	if (status->code == TX_MVCC_READ_CONFLICT || status->code == TX_PHANTOM_READ_CONFLICT)
		raise_conflict(channel_open(channel_name), tx_id, status);
	ereport(
		ERROR,
		(fb_errcode(status->code == TX_DUPLICATE_TXID ? FB_DUPLICATE_TXID : FB_TRANSACTION_INVALID),
		 errmsg("transaction %s is invalid: %s", tx_id,
				name != NULL ? name : psprintf("code %d", status->code)),
		 errdetail("It is transaction %u of block %llu, stored with this code; it changed nothing.",
				   status->position, (unsigned long long) status->block_number)));
}
