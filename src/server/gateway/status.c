/* status.c: what became of a transaction (GWY-4, EVT-3) */
#include "server/gateway/gateway_internal.h"

#include "miscadmin.h"
#include "utils/snapmgr.h"

#include "server/commit/commit.h"

/* an envelope that is not committed after this time is handed in again: its orderer may have died with it (ORD-5) */
#define RESUBMIT_MS 10000
/* ... and sooner when the leader has changed meanwhile, or no orderer would take it the last time */
#define LOOK_MS 500

static uint64
raft_term(ChannelSlot *slot)
{
	uint64		term;

	SpinLockAcquire(&slot->mutex);
	term = slot->raft.leader_id != 0 ? slot->raft.term : 0;
	SpinLockRelease(&slot->mutex);
	return term;
}

static bool
look_up(const Channel *channel, const char *tx_id, GatewayStatus *status)
{
	status->committed = tx_index_find(channel->ledger, fb_bytes_of_text(tx_id), GetLatestSnapshot(), &status->block_number,
									  &status->position, &status->code);
	return status->committed;
}

/* between two looks the channel may have been left */
static const Channel *
open_again(const char *channel_name, const char *tx_id, int ledger_id)
{
	const Ledger *ledger = ledger_find(channel_name);
	FbError		error;

	if (ledger != NULL && ledger->id == ledger_id)
		return channel_open(channel_name);
	fb_fail(&error, FB_CHANNEL_NOT_FOUND, "this node has left channel \"%s\"", channel_name);
	fb_error_detail(&error, "What becomes of transaction %s is not known here; other nodes of the channel know it.", tx_id);
	error_throw(&error);
}

static void
wait_for_commit(const char *channel_name, const char *tx_id, int timeout_ms, FbBytes envelope, GatewayStatus *status)
{
	const Channel *channel = channel_open(channel_name);
	ChannelSlot *slot = channel_slot(channel);
	int			ledger_id = channel->ledger->id;
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz deadline = TimestampTzPlusMilliseconds(now, timeout_ms);
	TimestampTz submitted_at = now;
	uint64		term = slot != NULL ? raft_term(slot) : 0;

	memset(status, 0, sizeof(*status));
	for (;;)
	{
		uint64		term_now;
		TimestampTz until;

		/* first: a block that comes after the look-up ends the sleep */
		if (slot != NULL && timeout_ms > 0)
			waiter_enter(slot, fb_bytes_of_text(tx_id));
		if (look_up(channel, tx_id, status) || timeout_ms == 0)
			return;
		shmem_require();
		now = GetCurrentTimestamp();
		if (now >= deadline)
			return;
		until = Min(deadline, TimestampTzPlusMilliseconds(now, LOOK_MS));
		if (slot != NULL)
			(void) waiter_sleep(slot, until);
		else
			(void) channel_wait_slot(channel, until);
		channel = open_again(channel_name, tx_id, ledger_id);
		slot = channel_slot(channel);
		if (envelope.size == 0 || slot == NULL)
			continue;
		term_now = raft_term(slot);
		if ((term_now != 0 && term_now != term) || TimestampDifferenceMilliseconds(submitted_at, GetCurrentTimestamp()) >= RESUBMIT_MS)
		{
			/* committed just now? then there is nothing to hand in */
			if (look_up(channel, tx_id, status))
				return;
			/* what orderers say now is not the transaction's fate: it has been handed in before */
			if (submit_again(channel, envelope, deadline))
			{
				submitted_at = GetCurrentTimestamp();
				term = term_now;
			}
		}
	}
}

void
gateway_commit_status(const char *channel_name, const char *tx_id, int timeout_ms, FbBytes envelope, GatewayStatus *status)
{
	PG_TRY();
	{
		wait_for_commit(channel_name, tx_id, timeout_ms, envelope, status);
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
	return version.present ? psprintf("block " UINT64_FORMAT ", transaction " UINT64_FORMAT, (uint64) version.block_number, (uint64) version.tx_index)
		: "absent";
}

static void
raise_conflict(const Channel *channel, const char *tx_id, const GatewayStatus *status)
{
	CommitConflict conflict;
	FbError		error;

	PushActiveSnapshot(GetLatestSnapshot());
	commit_explain_conflict(channel->ledger, status->block_number, status->position, NULL, &conflict);
	PopActiveSnapshot();
	fb_fail(&error, FB_MVCC_READ_CONFLICT, "transaction %s is invalid: %s", tx_id, tx_code_name(status->code));
	if (conflict.found)
		fb_error_detail(&error, "Key \"%s\" of chaincode \"%s\" was read at version %s, but found at version %s%s%s when block "
						UINT64_FORMAT " was committed.", FB_DISPLAY(conflict.key), FB_DISPLAY(conflict.namespace_name),
						version_text(conflict.version_read), version_text(conflict.version_found),
						conflict.writer_tx_id.size > 0 ? ", written by transaction " : "", FB_DISPLAY(conflict.writer_tx_id),
						status->block_number);
	else
		fb_error_detail(&error, "Something that it read was changed before it was committed in block " UINT64_FORMAT ".", status->block_number);
	fb_error_hint(&error, "Nothing was changed. Call the function again: it will read the present values.");
	error_throw(&error);
}

void
gateway_raise_invalid(const char *channel_name, const char *tx_id, const GatewayStatus *status)
{
	const char *name = tx_code_name(status->code);
	FbError		error;

	if (status->code == TX_VALID)
		return;
	if (status->code == TX_MVCC_READ_CONFLICT || status->code == TX_PHANTOM_READ_CONFLICT)
		raise_conflict(channel_open(channel_name), tx_id, status);
	fb_fail(&error, status->code == TX_DUPLICATE_TXID ? FB_DUPLICATE_TXID : FB_TRANSACTION_INVALID, "transaction %s is invalid: %s", tx_id,
			name != NULL ? name : psprintf("code %d", status->code));
	fb_error_detail(&error, "It is transaction %u of block " UINT64_FORMAT ", stored with this code; it changed nothing.", status->position,
					status->block_number);
	error_throw(&error);
}
