/*
 * broadcast.c: put requests of sessions and messages of other nodes into the inbox of the orderer
 * worker
 */
#include "server/order/order_internal.h"

#include "miscadmin.h"

#include <time.h>

/*
 * Envelopes may fill this part of the inbox. The rest is for Raft's own messages: without them a
 * busy leader would look like a dead one.
 */
#define ENVELOPES_SHARE_OF_INBOX(bytes) ((bytes) / 4 * 3)

static FbBytes
number_bytes(const uint64 *number)
{
	return fb_bytes(number, sizeof(*number));
}

static void
hint_other_orderers(const Channel *channel, FbError *error)
{
	StringInfoData addresses;

	initStringInfo(&addresses);
	for (size_t index = 0; index < channel->bundle->consenters_count; index++)
		appendStringInfo(&addresses, "%s%s:%u", index > 0 ? ", " : "",
						 channel->bundle->consenters[index].host,
						 channel->bundle->consenters[index].port);
	fb_error_hint(error, "The channel is ordered by %s.", addresses.data);
}

/* can this node's worker take an envelope now, as far as this process can see? */
static FbStatus
check_worker(const Channel *channel, ChannelSlot *slot, size_t envelope_bytes, FbError *error)
{
	OrdererState orderer = {0};

	if (channel_raft_id(channel) == 0)
	{
		fb_fail(error, FB_NOT_CONSENTER, "this node does not order channel \"%s\"", channel->name);
		hint_other_orderers(channel, error);
		return FB_NOT_CONSENTER;
	}
	if (slot != NULL && slot_is_forked(slot))
	{
		fb_fail(error, FB_CHAINS_DIFFER,
				"this node's ledger of channel \"%s\" differs from the chain in its Raft log",
				channel->name);
		fb_error_detail(error,
						"It takes no blocks, so nothing that is ordered would be committed here.");
		fb_error_hint(error,
					  "Look at fabric.raft_evidence on this node, and use another node meanwhile.");
		return FB_CHAINS_DIFFER;
	}
	if (slot != NULL)
		slot_orderer(slot, &orderer);
	if (orderer.pid == 0 || orderer.leader_id == 0)
	{
		fb_fail(error, FB_NO_LEADER, "channel \"%s\" has no leader now", channel->name);
		if (orderer.pid == 0)
			fb_error_detail(error, "The orderer process of this node is not running.");
		else if (orderer.leaderless_since != 0)
			fb_error_detail(
				error, "The orderer of this node, consenter %llu, has known of no leader since %s.",
				(unsigned long long) channel_raft_id(channel),
				timestamptz_to_str(orderer.leaderless_since));
		fb_error_hint(error,
					  "Try again, with the same transaction id, here or at another orderer.");
		return FB_NO_LEADER;
	}
	if (envelope_bytes > ENVELOPES_SHARE_OF_INBOX(inbox_capacity()))
	{
		fb_fail(error, FB_LIMIT_EXCEEDED, "envelope is too large for this node's orderer");
		fb_error_detail(error, "It has %zu bytes.", envelope_bytes);
		fb_error_hint(
			error, "Raise fabric.inbox_size and restart the server, or submit at another orderer.");
		return FB_LIMIT_EXCEEDED;
	}
	if (orderer.pending_bytes + inbox_used(slot) + envelope_bytes >
		ENVELOPES_SHARE_OF_INBOX(inbox_capacity()))
	{
		fb_fail(error, FB_BUSY, "too many transactions are waiting to be ordered on channel \"%s\"",
				channel->name);
		fb_error_hint(
			error,
			"Try again later, with the same transaction id. The limit is fabric.inbox_size.");
		return FB_BUSY;
	}
	return FB_OK;
}

/* append an envelope to a record, with the results of its admission */
static void
append_envelope(StringInfo record, const Envelope *envelope)
{
	/* neither size exceeds FB_MESSAGE_BYTES_MAX, so both fit */
	RecordMark mark = {.envelope_bytes = (uint32) envelope->bytes.size,
					   .message_bytes = (uint32) envelope->message_bytes,
					   .is_config = envelope->is_config};

	appendBinaryStringInfo(record, (const char *) &mark, sizeof(mark));
	appendBinaryStringInfo(record, (const char *) envelope->bytes.data, (int) envelope->bytes.size);
}

static FbBytes
record_bytes(const StringInfoData *record)
{
	return fb_bytes(record->data, (size_t) record->len);
}

/*
 * Check an envelope of any type, and append to the record what is to be ordered for it: the
 * envelope itself, or the configuration transaction for an update. context: reset by the caller.
 */
static FbStatus
admit_into(const Channel *channel, const Envelope *envelope, MemoryContext context,
		   StringInfo record, FbError *error)
{
	MemoryContext old_context = MemoryContextSwitchTo(context);
	bool is_update = envelope->is_config || envelope->type == TX_TYPE_CONFIG_UPDATE;
	int64 now = (int64) time(NULL);
	Envelope ordered = *envelope;
	FbStatus status = is_update ? config_admission_check(channel, envelope, now, &ordered, error)
								: admission_check(channel->bundle, envelope, now, error);

	MemoryContextSwitchTo(old_context);
	if (status == FB_OK)
		append_envelope(record, &ordered);
	return status;
}

static FbStatus
admit_envelope(const Channel *channel, ChannelSlot *slot, const Envelope *envelope, FbError *error)
{
	MemoryContext context =
		AllocSetContextCreate(CurrentMemoryContext, "fabric admission", ALLOCSET_DEFAULT_SIZES);
	StringInfoData record;
	FbStatus status;
	bool queued;

	initStringInfo(&record);
	status = admit_into(channel, envelope, context, &record, error);
	MemoryContextDelete(context);
	if (status != FB_OK)
	{
		pfree(record.data);
		return status;
	}
	queued = inbox_put(slot, RECORD_ENVELOPES, number_bytes(&channel->bundle->sequence),
					   record_bytes(&record));
	pfree(record.data);
	if (!queued)
	{
		fb_fail(error, FB_BUSY, "too many transactions are waiting to be ordered on channel \"%s\"",
				channel->name);
		fb_error_hint(
			error,
			"Try again later, with the same transaction id. The limit is fabric.inbox_size.");
		return FB_BUSY;
	}
	return FB_OK;
}

FbStatus
order_broadcast(const Channel *channel, const Envelope *envelope, FbError *error)
{
	ChannelSlot *slot;

	shmem_require();
	slot = channel_slot(channel);
	FB_TRY(check_worker(channel, slot, envelope->bytes.size, error));
	return admit_envelope(channel, slot, envelope, error);
}

/* The worker is checked first, so that a busy orderer refuses an envelope without decoding it. */
FbStatus
order_receive_envelope(const char *channel_name, FbBytes bytes, FbError *error)
{
	const Channel *channel;
	ChannelSlot *slot;
	Envelope envelope;

	shmem_require();
	channel = channel_open(channel_name);
	slot = channel_slot(channel);
	FB_TRY(check_worker(channel, slot, bytes.size, error));
	FB_TRY(envelope_parse(memory_allocator(CurrentMemoryContext), bytes, &envelope, error));
	return admit_envelope(channel, slot, &envelope, error);
}

/* ---- messages of other consenters ---- */

/*
 * The last sender that was checked on this connection. The connection's certificate does not
 * change, but the channel's configuration may.
 */
static struct
{
	int ledger_id;
	uint64 config_block_number;
	uint64 sender_id;
} known_sender;

/* is the client of this backend the consenter that it claims to be? */
static FbStatus
check_sender(const Channel *channel, uint64 sender_id, FbError *error)
{
	FbBytes certificate;

	if (known_sender.sender_id == sender_id &&
		known_sender.config_block_number == channel->config_block_number &&
		known_sender.ledger_id == channel->ledger->id)
		return FB_OK;
	FB_TRY(wire_sender_certificate(&certificate, error));
	if (sender_id != 0 &&
		voters_accept_sender(channel, channel_slot(channel), sender_id, certificate))
		return FB_OK;
	if (sender_id == 0 || channel_consenter_of_certificate(channel, certificate) != sender_id)
	{
		fb_fail(error, FB_ACCESS_DENIED, "sender is not consenter %llu of channel \"%s\"",
				(unsigned long long) sender_id, channel->name);
		fb_error_detail(
			error,
			"The TLS client certificate of the connection has not the key of the consenter's certificate in the channel configuration.");
		fb_error_hint(error, "A renewed certificate must have the key of the old one.");
		return FB_ACCESS_DENIED;
	}
	known_sender.ledger_id = channel->ledger->id;
	known_sender.config_block_number = channel->config_block_number;
	known_sender.sender_id = sender_id;
	return FB_OK;
}

/*
 * One line in the log for each connection and minute, because a lying consenter decides how many
 * envelopes are dropped.
 */
#define DROPPED_REPORT_MS 60000

static void
report_dropped(const Channel *channel, uint64 sender_id, size_t dropped_count, const FbError *why)
{
	static uint64 reported_ms = 0;
	uint64 now_ms = clock_ms();

	if (reported_ms != 0 && now_ms - reported_ms < DROPPED_REPORT_MS)
		return;
	reported_ms = now_ms;
	ereport(
		LOG,
		(fb_errcode(why->status),
		 errmsg("consenter %llu of channel \"%s\" forwarded %zu envelopes that cannot be ordered",
				(unsigned long long) sender_id, channel->name, dropped_count),
		 errdetail("The last one: %s.", why->message)));
}

/*
 * Admit forwarded envelopes, although the sender claims to have admitted them. An envelope that
 * would stop the whole channel makes this refuse the message. Each envelope is admitted again,
 * because one with another client's nonce and creator and a wrong signature would use up that
 * client's transaction id. This costs nothing extra: the committer need not verify the same
 * signature again, and here several sessions verify in parallel. An envelope that is not admitted
 * is dropped without refusing the message, because the other envelopes must be ordered, and the
 * sender would repeat the message.
 */
static FbStatus
admit_forwarded(const Channel *channel, uint64 sender_id, FbBytes envelopes, StringInfo record,
				FbError *error)
{
	MemoryContext context;
	const FbBytes *data;
	size_t data_count;
	size_t dropped_count = 0;
	FbStatus status = FB_OK;
	FbError why;

	FB_TRY(block_parse_data(envelopes, memory_allocator(CurrentMemoryContext), &data, &data_count,
							error));
	context =
		AllocSetContextCreate(CurrentMemoryContext, "fabric admission", ALLOCSET_DEFAULT_SIZES);
	for (size_t i = 0; i < data_count && status == FB_OK; i++)
	{
		MemoryContext old_context = MemoryContextSwitchTo(context);
		Envelope envelope;
		FbError refusal;
		FbStatus parsed;

		CHECK_FOR_INTERRUPTS();
		parsed = envelope_parse(memory_allocator(context), data[i], &envelope, &refusal);
		status = admission_check_canonical(&envelope, error);
		MemoryContextSwitchTo(old_context);
		if (status == FB_OK && parsed == FB_OK)
			parsed = admit_into(channel, &envelope, context, record, &refusal);
		if (status != FB_OK || parsed != FB_OK)
		{
			dropped_count++;
			why = refusal;
		}
		MemoryContextReset(context);
	}
	MemoryContextDelete(context);
	if (status == FB_OK && dropped_count > 0)
		report_dropped(channel, sender_id, dropped_count, &why);
	return status;
}

/* the slot of a channel whose orderer worker runs; NULL: it does not run */
static ChannelSlot *
open_slot(const Channel *channel)
{
	ChannelSlot *slot = channel_slot(channel);

	return slot != NULL && slot_worker_pid(slot, WORKER_ORDERER) != 0 ? slot : NULL;
}

FbStatus
order_receive_raft(const char *channel_name, uint64 sender_id, FbBytes message, bool *queued,
				   FbError *error)
{
	const Channel *channel;
	ChannelSlot *slot;

	*queued = false;
	shmem_require();
	channel = channel_open(channel_name);
	FB_TRY(check_sender(channel, sender_id, error));
	slot = open_slot(channel);
	if (slot != NULL)
		*queued = inbox_put(slot, RECORD_RAFT, number_bytes(&sender_id), message);
	return FB_OK;
}

FbStatus
order_receive_forward(const char *channel_name, uint64 sender_id, FbBytes envelopes, bool *queued,
					  FbError *error)
{
	const Channel *channel;
	ChannelSlot *slot;
	StringInfoData record;

	*queued = false;
	shmem_require();
	channel = channel_open(channel_name);
	slot = channel_slot(channel);
	if (slot != NULL)
	{
		OrdererState orderer;

		slot_orderer(slot, &orderer);
		/* the sender keeps envelopes that are not queued here and sends them again */
		if (orderer.pending_bytes + inbox_used(slot) + envelopes.size >
			ENVELOPES_SHARE_OF_INBOX(inbox_capacity()))
			return FB_OK;
	}
	FB_TRY(check_sender(channel, sender_id, error));
	initStringInfo(&record);
	FB_TRY(admit_forwarded(channel, sender_id, envelopes, &record, error));
	slot = open_slot(channel);
	if (slot != NULL)
		*queued = record.len == 0 ||
				  inbox_put(slot, RECORD_ENVELOPES, number_bytes(&channel->bundle->sequence),
							record_bytes(&record));
	return FB_OK;
}

FbStatus
order_transfer_leadership(const char *channel_name, uint64 target_id, FbError *error)
{
	const Channel *channel;
	ChannelSlot *slot;
	OrdererState orderer = {0};

	shmem_require();
	channel = channel_open(channel_name);
	if (channel_raft_id(channel) == 0)
		return fb_fail(error, FB_NOT_CONSENTER, "this node does not order channel \"%s\"",
					   channel_name);
	if ((target_id != 0 && !consenter_ids_has(&channel->consenter_ids, target_id)) ||
		target_id == channel_raft_id(channel))
		return fb_fail(error, FB_INVALID_ARGUMENT,
					   "consenter %llu cannot take over the leadership of channel \"%s\"",
					   (unsigned long long) target_id, channel_name);
	slot = channel_slot(channel);
	if (slot != NULL)
		slot_orderer(slot, &orderer);
	if (orderer.pid == 0 || orderer.role != RAFT_LEADER)
	{
		fb_fail(error, FB_NO_LEADER, "this node is not the leader of channel \"%s\"", channel_name);
		fb_error_hint(error, "Ask the leader, see fabric.stat_orderer.");
		return FB_NO_LEADER;
	}
	if (!inbox_put(slot, RECORD_TRANSFER, number_bytes(&target_id), FB_BYTES_EMPTY))
		return fb_fail(error, FB_BUSY, "the orderer of channel \"%s\" is busy", channel_name);
	return FB_OK;
}
