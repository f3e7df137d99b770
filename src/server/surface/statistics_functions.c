/*
 * statistics_functions.c: SQL functions for the counters that this node's processes publish in
 * shared memory
 */
#include "server/surface/surface_internal.h"

#include "server/worker/worker.h"

FABRIC_FUNCTION(fabric_internal_stat_channel);
FABRIC_FUNCTION(fabric_internal_stat_workers);
FABRIC_FUNCTION(fabric_internal_stat_validation);
FABRIC_FUNCTION(fabric_internal_stat_relay);
FABRIC_FUNCTION(fabric_internal_stat_notifications);
FABRIC_FUNCTION(fabric_internal_stat_validation_work);
FABRIC_FUNCTION(fabric_internal_stat_work);

/* columns of a queue: records, bytes and refused records */
static int
put_inbox(Datum *values, int column, const InboxCounts *counts)
{
	values[column++] = Int64GetDatum((int64) counts->records);
	values[column++] = Int64GetDatum((int64) counts->bytes);
	values[column++] = Int64GetDatum((int64) counts->refused);
	return column;
}

static Datum
time_or_null(TimestampTz time, bool *is_null)
{
	*is_null = time == 0;
	return TimestampTzGetDatum(time);
}

/* stat_channel() */
Datum
fabric_internal_stat_channel(PG_FUNCTION_ARGS)
{
	shmem_require();
	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; i < guc_max_channels; i++)
	{
		char channel[FB_CHANNEL_ID_BYTES_MAX + 1];
		ChannelSlot *slot = shmem_channel_at(i, channel);
		Datum values[17];
		bool nulls[17] = {false};
		uint64 commit_index;
		uint64 applied_index;
		InboxCounts inbox;
		InboxCounts private_inbox;
		RaftSummary raft;
		bool running;
		char source[SLOT_SOURCE_BYTES];
		TimestampTz source_at;
		int column = 0;

		if (slot == NULL)
			continue;
		slot_raft(slot, &raft, &running);
		slot_source(slot, source, &source_at);
		inbox_counts(slot, &inbox);
		private_inbox_counts(slot, &private_inbox);
		commit_index = slot_commit_index(slot);
		applied_index = slot_applied_index(slot);
		values[column++] = CStringGetTextDatum(channel);
		values[column++] = Int64GetDatum((int64) slot_height(slot));
		values[column++] = Int64GetDatum((int64) slot_config_block(slot));
		values[column++] = Int64GetDatum((int64) slot_lifecycle_block(slot));
		nulls[column] = raft.raft_id == 0;
		values[column++] = Int64GetDatum(
			(int64) (commit_index > applied_index ? commit_index - applied_index : 0));
		values[column++] = Int64GetDatum((int64) raft.pending_count);
		values[column++] = Int64GetDatum((int64) raft.pending_bytes);
		column = put_inbox(values, column, &inbox);
		column = put_inbox(values, column, &private_inbox);
		values[column++] = Int32GetDatum(waiters_count(slot));
		values[column++] = Int64GetDatum((int64) slot_sessions_woken(slot));
		nulls[column] = source[0] == '\0';
		values[column++] = CStringGetTextDatum(source);
		values[column] = time_or_null(source_at, &nulls[column]);
		RESULT_ADD(RESULT_SET(fcinfo), values, nulls);
	}
	return (Datum) 0;
}

/* stat_workers() */
Datum
fabric_internal_stat_workers(PG_FUNCTION_ARGS)
{
	shmem_require();
	InitMaterializedSRF(fcinfo, 0);
	{
		pid_t pid = shmem_launcher_pid();
		Datum values[8] = {CStringGetTextDatum("launcher"), 0, Int32GetDatum((int32) pid)};
		bool nulls[8] = {false, true, pid == 0, true, true, true, true, true};

		RESULT_ADD(RESULT_SET(fcinfo), values, nulls);
	}
	for (int i = 0; i < guc_max_channels; i++)
	{
		char channel[FB_CHANNEL_ID_BYTES_MAX + 1];
		ChannelSlot *slot = shmem_channel_at(i, channel);

		for (int kind = 0; slot != NULL && kind < WORKER_KIND_COUNT; kind++)
		{
			WorkerState worker;
			Datum values[8];
			bool nulls[8] = {false};

			slot_worker(slot, (WorkerKind) kind, &worker);
			if (worker.started_at == 0 && worker.last_error[0] == '\0')
				continue; /* never started: this node does not order the channel */
			values[0] = CStringGetTextDatum(worker_kind((WorkerKind) kind)->name);
			values[1] = CStringGetTextDatum(channel);
			nulls[2] = worker.pid == 0;
			values[2] = Int32GetDatum((int32) worker.pid);
			values[3] = time_or_null(worker.started_at, &nulls[3]);
			values[4] = Int64GetDatum((int64) worker.restarts_count);
			values[5] = time_or_null(worker.last_exit_at, &nulls[5]);
			nulls[6] = worker.last_error[0] == '\0';
			values[6] = nulls[6] ? (Datum) 0 : CStringGetTextDatum(worker.last_error);
			values[7] = time_or_null(worker.last_error_at, &nulls[7]);
			RESULT_ADD(RESULT_SET(fcinfo), values, nulls);
		}
	}
	return (Datum) 0;
}

/* stat_validation() */
Datum
fabric_internal_stat_validation(PG_FUNCTION_ARGS)
{
	shmem_require();
	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; i < guc_max_channels; i++)
	{
		char channel[FB_CHANNEL_ID_BYTES_MAX + 1];
		ChannelSlot *slot = shmem_channel_at(i, channel);

		for (int code = 0; slot != NULL && code < 256; code++)
		{
			uint64 count = slot_validation_count(slot, code);
			const char *name = tx_code_name(code);
			Datum values[4];
			bool nulls[4] = {false};

			if (count == 0)
				continue;
			values[0] = CStringGetTextDatum(channel);
			values[1] = Int16GetDatum(code);
			nulls[2] = name == NULL;
			values[2] = name == NULL ? (Datum) 0 : CStringGetTextDatum(name);
			values[3] = Int64GetDatum((int64) count);
			RESULT_ADD(RESULT_SET(fcinfo), values, nulls);
		}
	}
	return (Datum) 0;
}

/* stat_relay() */
Datum
fabric_internal_stat_relay(PG_FUNCTION_ARGS)
{
	ExchangeCounts counts;
	pid_t pid;

	shmem_require();
	InitMaterializedSRF(fcinfo, 0);
	exchange_counts(&counts, &pid);
	{
		Datum values[5] = {Int32GetDatum((int32) pid), Int32GetDatum(counts.connections),
						   Int32GetDatum(counts.used), Int64GetDatum((int64) counts.requests),
						   Int64GetDatum((int64) counts.refused)};
		bool nulls[5] = {pid == 0};

		RESULT_ADD(RESULT_SET(fcinfo), values, nulls);
	}
	return (Datum) 0;
}

/* stat_notifications() */
Datum
fabric_internal_stat_notifications(PG_FUNCTION_ARGS)
{
	shmem_require();
	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; i < guc_max_channels; i++)
	{
		char channel[FB_CHANNEL_ID_BYTES_MAX + 1];
		ChannelSlot *slot = shmem_channel_at(i, channel);
		uint64 height;
		NotificationState state;
		Datum values[6];
		bool nulls[6] = {false};

		if (slot == NULL)
			continue;
		slot_notifications(slot, &state);
		height = slot_height(slot);
		values[0] = CStringGetTextDatum(channel);
		nulls[1] = state.height == 0;
		values[1] = Int64GetDatum((int64) state.height - 1);
		values[2] = Int64GetDatum((int64) (height > state.height ? height - state.height : 0));
		values[3] = Int64GetDatum((int64) state.failures_count);
		values[4] = time_or_null(state.failing_since, &nulls[4]);
		nulls[5] = state.last_error[0] == '\0';
		values[5] = nulls[5] ? (Datum) 0 : CStringGetTextDatum(state.last_error);
		RESULT_ADD(RESULT_SET(fcinfo), values, nulls);
	}
	return (Datum) 0;
}

/* stat_validation_work() */
Datum
fabric_internal_stat_validation_work(PG_FUNCTION_ARGS)
{
	shmem_require();
	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; i < guc_max_channels; i++)
	{
		char channel[FB_CHANNEL_ID_BYTES_MAX + 1];
		ChannelSlot *slot = shmem_channel_at(i, channel);
		ValidationState state;
		Datum values[11];
		bool nulls[11] = {false};
		int column = 0;

		if (slot == NULL)
			continue;
		slot_validation(slot, &state);
		values[column++] = CStringGetTextDatum(channel);
		values[column++] = Int64GetDatum((int64) state.blocks_count);
		values[column++] = Int64GetDatum((int64) state.work.policies_parsed);
		values[column++] = Int64GetDatum((int64) state.work.policies_evaluated);
		values[column++] = Int64GetDatum((int64) state.work.signatures_checked);
		values[column++] = Int64GetDatum((int64) state.work.identities_checked);
		values[column++] = Int64GetDatum((int64) state.work.range_rows);
		values[column++] = Float8GetDatum(state.total_us / 1000.0);
		values[column++] = Float8GetDatum(state.last_us / 1000.0);
		values[column++] = Float8GetDatum(state.longest_us / 1000.0);
		nulls[column] = state.blocks_count == 0;
		values[column++] = Int64GetDatum((int64) state.longest_block_number);
		RESULT_ADD(RESULT_SET(fcinfo), values, nulls);
	}
	return (Datum) 0;
}

/* stat_work() */
Datum
fabric_internal_stat_work(PG_FUNCTION_ARGS)
{
	static const char *const processes[] = {"session", "ledger", "orderer", "relay", "launcher"};

	StaticAssertStmt(lengthof(processes) == WORK_PROCESS_COUNT, "each process needs a name");
	shmem_require();
	InitMaterializedSRF(fcinfo, 0);
	work_publish();
	for (int process = 0; process < WORK_PROCESS_COUNT; process++)
		for (int work = 0; work < FB_WORK_COUNT; work++)
		{
			uint64 count = work_of_processes((WorkProcess) process, (FbWork) work);
			Datum values[4];
			bool nulls[4] = {false};

			if (count == 0)
				continue;
			values[0] = CStringGetTextDatum(processes[process]);
			values[1] = CStringGetTextDatum(fb_work_action((FbWork) work));
			values[2] = CStringGetTextDatum(fb_work_object((FbWork) work));
			values[3] = Int64GetDatum((int64) count);
			RESULT_ADD(RESULT_SET(fcinfo), values, nulls);
		}
	return (Datum) 0;
}
