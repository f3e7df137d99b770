/*
 * order_functions.c: functions that other nodes call on an orderer, and functions for operators of
 * an orderer
 */
#include "server/surface/surface_internal.h"

#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "core/raft/raft.h"
#include "server/order/order.h"

FABRIC_FUNCTION(fabric_internal_submit);
FABRIC_FUNCTION(fabric_internal_raft_receive);
FABRIC_FUNCTION(fabric_internal_raft_forward);
FABRIC_FUNCTION(fabric_transfer_leadership);
FABRIC_FUNCTION(fabric_recover_consenter);
FABRIC_FUNCTION(fabric_trust_consenter);
FABRIC_FUNCTION(fabric_acknowledge_evidence);
FABRIC_FUNCTION(fabric_internal_stat_orderer);
FABRIC_FUNCTION(fabric_internal_stat_orderer_followers);

/* the number of a consenter; no consenter has a negative number */
static uint64
consenter_argument(FunctionCallInfo fcinfo, int index, const char *name)
{
	int64 number = PG_GETARG_INT64(index);

	if (number < 0)
		ereport(ERROR, (fb_errcode(FB_INVALID_ARGUMENT),
						errmsg("argument \"%s\" must not be negative", name)));
	return (uint64) number;
}

Datum
fabric_internal_submit(PG_FUNCTION_ARGS)
{
	FbError error = {0};

	argument_require(fcinfo, 0, "channel");
	argument_require(fcinfo, 1, "envelope");
	error_check(order_receive_envelope(text_to_cstring(PG_GETARG_TEXT_PP(0)), PG_GETARG_FB_BYTES(1),
									   &error),
				&error);
	FAULT_POINT("submit_before_answer");
	PG_RETURN_VOID();
}

static bool
receive_message(FunctionCallInfo fcinfo, const char *what,
				FbStatus (*take)(const char *channel, uint64 sender_id, FbBytes bytes, bool *queued,
								 FbError *error))
{
	FbError error;
	bool queued;

	argument_require(fcinfo, 0, "channel");
	argument_require(fcinfo, 1, "sender");
	argument_require(fcinfo, 2, what);
	error_check(take(text_to_cstring(PG_GETARG_TEXT_PP(0)), consenter_argument(fcinfo, 1, "sender"),
					 PG_GETARG_FB_BYTES(2), &queued, &error),
				&error);
	return queued;
}

Datum
fabric_internal_raft_receive(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(receive_message(fcinfo, "message", order_receive_raft));
}

Datum
fabric_internal_raft_forward(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(receive_message(fcinfo, "envelopes", order_receive_forward));
}

Datum
fabric_transfer_leadership(PG_FUNCTION_ARGS)
{
	FbError error;

	argument_require(fcinfo, 0, "channel");
	argument_require(fcinfo, 1, "consenter");
	error_check(order_transfer_leadership(text_to_cstring(PG_GETARG_TEXT_PP(0)),
										  consenter_argument(fcinfo, 1, "consenter"), &error),
				&error);
	PG_RETURN_VOID();
}

/* recover_consenter(channel) */
Datum
fabric_recover_consenter(PG_FUNCTION_ARGS)
{
	argument_require(fcinfo, 0, "channel");
	order_write_note(text_to_cstring(PG_GETARG_TEXT_PP(0)), true,
					 psprintf("%s called fabric.recover_consenter",
							  GetUserNameFromId(GetSessionUserId(), false)));
	PG_RETURN_VOID();
}

/* trust_consenter(channel, accept_loss) */
Datum
fabric_trust_consenter(PG_FUNCTION_ARGS)
{
	argument_require(fcinfo, 0, "channel");
	argument_require(fcinfo, 1, "accept_loss");
	if (!PG_GETARG_BOOL(1))
		ereport(
			ERROR,
			(fb_errcode(FB_INVALID_ARGUMENT),
			 errmsg("cannot trust this node's state without accepting loss"),
			 errdetail(
				 "Transactions that were committed with votes or entries that this node has lost can be lost."),
			 errhint(
				 "If consenters that have lost nothing can be started again, wait for them. Otherwise pass accept_loss => true.")));
	order_write_note(
		text_to_cstring(PG_GETARG_TEXT_PP(0)), false,
		psprintf(
			"%s called fabric.trust_consenter and accepts that committed transactions are lost",
			GetUserNameFromId(GetSessionUserId(), false)));
	PG_RETURN_VOID();
}

Datum
fabric_acknowledge_evidence(PG_FUNCTION_ARGS)
{
	argument_require(fcinfo, 0, "channel");
	PG_RETURN_INT64(order_acknowledge_evidence(text_to_cstring(PG_GETARG_TEXT_PP(0)),
											   PG_ARGISNULL(1) ? GetCurrentTimestamp()
															   : PG_GETARG_TIMESTAMPTZ(1)));
}

/* ---- statistics ---- */

/* the next channel that this node orders; NULL after the last one */
static ChannelSlot *
next_ordered(int *slot_index, char channel[FB_CHANNEL_ID_BYTES_MAX + 1], RaftSummary *raft,
			 bool *running)
{
	while (*slot_index < guc_max_channels)
	{
		ChannelSlot *slot = shmem_channel_at((*slot_index)++, channel);

		if (slot == NULL)
			continue;
		slot_raft(slot, raft, running);
		if (raft->raft_id != 0)
			return slot;
	}
	return NULL;
}

Datum
fabric_internal_stat_orderer(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	char channel[FB_CHANNEL_ID_BYTES_MAX + 1];
	RaftSummary raft;
	InboxCounts inbox;
	ChannelSlot *slot;
	int slot_index = 0;
	bool running;

	shmem_require();
	InitMaterializedSRF(fcinfo, 0);
	while ((slot = next_ordered(&slot_index, channel, &raft, &running)) != NULL)
	{
		Datum values[23];
		bool nulls[23] = {false};
		int column = 0;

		values[column++] = CStringGetTextDatum(channel);
		values[column++] = Int64GetDatum((int64) raft.raft_id);
		values[column++] = BoolGetDatum(running);
		values[column++] = CStringGetTextDatum(raft_role_name((RaftRole) raft.role));
		values[column++] = Int64GetDatum((int64) raft.term);
		nulls[column] = raft.leader_id == 0;
		values[column++] = Int64GetDatum((int64) raft.leader_id);
		values[column++] = Int64GetDatum((int64) raft.leader_changes_count);
		values[column++] = Int64GetDatum((int64) raft.last_index);
		values[column++] = Int64GetDatum((int64) slot_commit_index(slot));
		values[column++] = Int64GetDatum((int64) slot_applied_index(slot));
		values[column++] = Int64GetDatum((int64) raft.batches_count);
		values[column++] = Int64GetDatum((int64) raft.pending_count);
		values[column++] = Int64GetDatum((int64) raft.pending_bytes);
		values[column++] = Int64GetDatum((int64) raft.dropped_count);
		inbox_counts(slot, &inbox);
		values[column++] = Int64GetDatum((int64) inbox.records);
		values[column++] = Int64GetDatum((int64) inbox.bytes);
		values[column++] = Int64GetDatum((int64) inbox.refused);
		values[column++] = Int64GetDatum((int64) inbox_capacity());
		values[column++] =
			CStringGetTextDatum(raft_participation_name((RaftParticipation) raft.participation));
		nulls[column] = nulls[column + 1] = raft.recovering_since == 0;
		values[column++] = TimestampTzGetDatum(raft.recovering_since);
		values[column++] = CStringGetTextDatum(raft.recovery_detail);
		nulls[column] = raft.recovery_index == 0;
		values[column++] = Int64GetDatum((int64) raft.recovery_index);
		values[column++] = Int64GetDatum((int64) raft.others_recovering_count);
		RESULT_ADD(result, values, nulls);
	}
	return (Datum) 0;
}

Datum
fabric_internal_stat_orderer_followers(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	char channel[FB_CHANNEL_ID_BYTES_MAX + 1];
	RaftSummary raft;
	FollowerState followers[FB_RAFT_NODES_MAX];
	ChannelSlot *slot;
	int slot_index = 0;
	bool running;

	shmem_require();
	InitMaterializedSRF(fcinfo, 0);
	while ((slot = next_ordered(&slot_index, channel, &raft, &running)) != NULL)
	{
		int followers_count = slot_raft_followers(slot, &raft, &running, followers);
		bool leads = running && raft.role == RAFT_LEADER;

		for (int index = 0; index < followers_count; index++)
		{
			const FollowerState *follower = &followers[index];
			Datum values[8];
			bool nulls[8] = {false};

			values[0] = CStringGetTextDatum(channel);
			values[1] = Int64GetDatum((int64) follower->raft_id);
			values[2] = BoolGetDatum(running && follower->connected);
			/* only a leader knows the other columns */
			nulls[3] = nulls[4] = nulls[5] = nulls[6] = !leads;
			if (leads)
				values[3] = CStringGetTextDatum(
					follower->recovering
						? "recovering"
						: raft_progress_state_name((RaftProgressState) follower->progress));
			values[4] = Int64GetDatum((int64) follower->match_index);
			values[5] = Int64GetDatum((int64) follower->next_index);
			values[6] = Int64GetDatum((int64) (raft.last_index > follower->match_index
												   ? raft.last_index - follower->match_index
												   : 0));
			nulls[7] = !leads || follower->last_contact_at == 0;
			values[7] = TimestampTzGetDatum(follower->last_contact_at);
			RESULT_ADD(result, values, nulls);
		}
	}
	return (Datum) 0;
}
