/*
 * lost_state.c: find out whether this node has lost promises that it made as a consenter.
 *
 * The problem. A consenter that forgets a vote or a confirmed entry, because an older state of its
 * server was restored, can help to elect a leader that lacks committed transactions. The server
 * cannot know what it has forgotten, but it can see signs that its state is old. This file looks
 * for the signs; core/raft/recovery.c decides what follows from them, and also asks the other
 * consenters after every start.
 *
 * The signs:
 *
 *   left      fabric.leave_channel dropped the Raft log. It leaves a row in consenter_note with the
 *             hash of block 0, so that the row does not count for another channel of this name.
 *   timeline  The server was promoted, or restored to a point in time: everything written after the
 *             branch is gone. A standby that has everything (a synchronous one) loses nothing by
 *             recovering.
 *   copy      The data directory is a copy of the one in which the state was written: a cold backup
 *             was restored. PostgreSQL writes global/pg_control in place from initdb on and never
 *             replaces the file, so the file's creation time (or its inode number where the file
 *             system has no creation time) changes with a copy and with nothing else.
 *   note      fabric.recover_consenter wrote a row in consenter_note.
 *
 * What is not covered: a copy below the file system (a snapshot of the volume or of the virtual
 * machine) shows no sign. Then only the memory of the other consenters and the operator's note
 * help; the note can be written before the first start with shared_preload_libraries = ''.
 * pg_upgrade and moving the directory to another file system make copies too, so treat one node
 * after the other.
 *
 * A node that is the only consenter cannot recover, because there is no other consenter to bring it
 * up to date. After leaving it waits for the operator's note like others. Timeline and copy are
 * only logged, because the operator who restored this only node wants its state.
 */
#include "server/order/order_internal.h"

#include <sys/stat.h>

#include "access/xlog.h"
#include "catalog/pg_type_d.h"
#include "miscadmin.h"
#include "storage/fd.h"
#include "utils/builtins.h"

/*
 * The identity of the data directory: "born SECONDS.NANOSECONDS", or "inode NUMBER"; empty if
 * unknown.
 */
static void
lost_state_describe_storage(char *storage, size_t size)
{
	char path[MAXPGPATH];
	struct stat status;

	storage[0] = '\0';
	snprintf(path, sizeof(path), "%s/global/pg_control", DataDir);
#ifdef STATX_BTIME
	{
		struct statx extended;

		if (statx(AT_FDCWD, path, 0, STATX_BTIME, &extended) == 0 &&
			(extended.stx_mask & STATX_BTIME) != 0)
		{
			snprintf(storage, size, "born %lld.%09u", (long long) extended.stx_btime.tv_sec,
					 (unsigned) extended.stx_btime.tv_nsec);
			return;
		}
	}
#endif
	if (stat(path, &status) == 0)
		snprintf(storage, size, "inode %llu", (unsigned long long) status.st_ino);
}

void
lost_state_describe(RaftPlace *place)
{
	place->timeline = GetWALInsertionTimeLine();
	lost_state_describe_storage(place->storage, sizeof(place->storage));
}

/* ---- notes of operators and of leave_channel ---- */

void
lost_state_read_genesis(const char *channel, uint8 *genesis_hash)
{
	BlockRow genesis;

	if (!block_store_row(ledger_open(channel), 0, NULL, &genesis) ||
		genesis.block_hash.size != CRYPTO_SHA256_BYTES)
		ereport(ERROR, (fb_errcode(FB_CORRUPTED),
						errmsg("block 0 of channel \"%s\" is not there", channel)));
	memcpy(genesis_hash, genesis.block_hash.data, CRYPTO_SHA256_BYTES);
}

/*
 * The worker looks for notes every second, so the query does not read the table of all channels'
 * blocks, which other sessions may have locked: the caller passes genesis_hash.
 */
ConsenterNote
lost_state_take_note(const char *channel, const uint8 *genesis_hash, char *reason,
					 size_t reason_size)
{
	static SpiStatement find = {
		.sql =
			"SELECT action, reason FROM fabric_internal.consenter_note WHERE channel = $1 AND genesis_hash = $2",
		.argument_count = 2,
		.argument_types = {TEXTOID, BYTEAOID},
		.periodic = true,
	};
	static SpiStatement forget = {
		.sql = "DELETE FROM fabric_internal.consenter_note WHERE channel = $1",
		.argument_count = 1,
		.argument_types = {TEXTOID},
	};
	ConsenterNote note = CONSENTER_NOTE_NONE;
	Datum values[2] = {CStringGetTextDatum(channel),
					   PointerGetDatum(memory_bytea(fb_bytes(genesis_hash, CRYPTO_SHA256_BYTES)))};
	SpiScope scope;

	spi_begin(&scope);
	(void) spi_run_latest(&find, values, NULL, 1);
	if (SPI_processed > 0)
	{
		char *action = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);
		char *text = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 2);

		note = strcmp(action, "trust") == 0 ? CONSENTER_NOTE_TRUST : CONSENTER_NOTE_RECOVER;
		strlcpy(reason, text, reason_size);
	}
	if (note != CONSENTER_NOTE_NONE)
		(void) spi_run(&forget, values, NULL, false, 0);
	spi_end(&scope);
	return note;
}

void
order_write_note(const char *channel_name, bool recover, const char *reason)
{
	static SpiStatement statement = {
		.sql =
			"INSERT INTO fabric_internal.consenter_note AS n (channel, genesis_hash, action, reason) "
			"VALUES ($1, $2, $3, $4) "
			"ON CONFLICT (channel) DO UPDATE SET genesis_hash = excluded.genesis_hash, action = excluded.action, "
			"reason = excluded.reason, noted_at = excluded.noted_at",
		.argument_count = 4,
		.argument_types = {TEXTOID, BYTEAOID, TEXTOID, TEXTOID},
	};
	const Channel *channel = channel_open(channel_name);
	uint8 genesis_hash[CRYPTO_SHA256_BYTES];
	Datum values[4];
	SpiScope scope;

	PreventCommandIfReadOnly(recover ? "recover_consenter()" : "trust_consenter()");
	if (channel_raft_id(channel) == 0)
		ereport(ERROR,
				(fb_errcode(FB_NOT_CONSENTER),
				 errmsg("this node does not order channel \"%s\"", channel_name),
				 errdetail("Its TLS certificate is not in the channel's list of consenters."),
				 errhint("Only a consenter has promises that it can lose.")));
	lost_state_read_genesis(channel_name, genesis_hash);
	spi_begin(&scope);
	values[0] = CStringGetTextDatum(channel_name);
	values[1] = PointerGetDatum(memory_bytea(fb_bytes(genesis_hash, sizeof(genesis_hash))));
	values[2] = CStringGetTextDatum(recover ? "recover" : "trust");
	values[3] = CStringGetTextDatum(reason);
	(void) spi_run(&statement, values, NULL, false, 0);
	spi_end(&scope);
}

/* ---- at the start of the worker ---- */

RaftRecoveryReason
lost_state_judge(const OrderNode *node, const RaftStored *stored, char *reason, size_t reason_size,
				 bool *trusted)
{
	const char *channel = node->channel;
	const RaftPlace *place = &node->place;
	char words[LOST_STATE_REASON_BYTES];
	const char *sign = NULL;

	*trusted = false;
	switch (lost_state_take_note(channel, node->genesis_hash, words, sizeof(words)))
	{
		case CONSENTER_NOTE_RECOVER:
			strlcpy(reason, words, reason_size);
			return RAFT_RECOVERY_TOLD;
		case CONSENTER_NOTE_TRUST:
			lost_state_log_trust(channel, words);
			*trusted = true;
			return RAFT_RECOVERY_NONE;
		case CONSENTER_NOTE_NONE:
			break;
	}
	if (stored->recovery != RAFT_RECOVERY_NONE)
	{
		strlcpy(reason, stored->recovery_detail, reason_size);
		return stored->recovery;
	}
	/* a node that has promised nothing has lost nothing */
	if (!stored->present || (stored->term == 0 && stored->entries_count == 0))
		return RAFT_RECOVERY_NONE;
	if (stored->place.timeline != place->timeline)
		sign = psprintf("the server's timeline was %u and is %u: it was promoted or restored",
						stored->place.timeline, place->timeline);
	else if (guc_detect_copied_directory && stored->place.storage[0] != '\0' &&
			 place->storage[0] != '\0' && strcmp(stored->place.storage, place->storage) != 0)
		sign = psprintf("the data directory is a copy: pg_control was \"%s\" and is \"%s\"",
						stored->place.storage, place->storage);
	if (sign == NULL)
		return RAFT_RECOVERY_NONE;
	if (node->settings.voters.voters_count == 1)
	{
		ereport(
			WARNING,
			(errmsg("channel \"%s\": %s", channel, sign),
			 errdetail(
				 "This node is the channel's only consenter: it continues with the blocks that it has."),
			 errhint(
				 "If other nodes of the channel have more blocks, stop this node, and restore it from a newer backup.")));
		return RAFT_RECOVERY_NONE;
	}
	strlcpy(reason, sign, reason_size);
	return RAFT_RECOVERY_TOLD;
}

/* ---- the log ---- */

void
lost_state_log_trust(const char *channel, const char *words)
{
	ereport(
		WARNING,
		(errmsg("channel \"%s\": this node takes part in Raft with the state that it has", channel),
		 errdetail("%s.", words),
		 errhint(
			 "Transactions that only this consenter had confirmed are lost. Compare the block hashes of all nodes.")));
}

void
lost_state_log_begin(const char *channel, const char *reason)
{
	ereport(
		LOG,
		(errmsg("channel \"%s\": this node is recovering as a consenter", channel),
		 errdetail("It may have lost votes or log entries that it had confirmed: %s.", reason),
		 errhint(
			 "It does not vote and is not counted until a leader, elected without it, has brought it up to date. See fabric.stat_orderer.")));
}

void
lost_state_log_hopeless(const char *channel, uint32 recovering_count, uint32 voters_count)
{
	ereport(
		WARNING,
		(errmsg("channel \"%s\": no leader can be elected: %u of %u consenters are recovering",
				channel, recovering_count, voters_count),
		 errdetail("The other consenters are not a majority."),
		 errhint(
			 "Start consenters that have lost nothing. If there are none, take the node with the most blocks, and call fabric.trust_consenter on it, "
			 "and on as many others as a majority needs.")));
}
