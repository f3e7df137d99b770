/*
 * raft_message.c: messages as bytes. The layout is in raft.h. One size per field, no optional
 * parts: encoding is canonical, and decoding has nothing to guess.
 */
#include "core/raft/raft_internal.h"

#include <inttypes.h>

#define MESSAGE_MAGIC 'R'
#define MESSAGE_VERSION 2
#define MESSAGE_HEAD_BYTES (4 + 11 * 8)
#define MESSAGE_ENTRY_HEAD_BYTES (8 + 1 + 4)

#define NUMBER_MAX (UINT64_MAX >> 2)

#define FLAG_REJECTED 1
#define FLAG_FORCED 2
#define FLAG_RECOVERING 4
#define FLAG_RECOVERED 8
#define FLAG_VOTED 16
#define FLAG_CONTRADICTED 32
#define FLAGS_ALL 63

/* which fields a type uses; all others are 0 */
#define USES_INDEX 1 /* index and log_term */
#define USES_COMMIT 2
#define USES_HINT 4
#define USES_REJECTED 8
#define USES_FORCED 16
#define USES_ENTRIES 32
#define USES_CONFIGURATION 64
#define USES_NONCE 128
#define USES_RECOVERING 256
#define USES_RECOVERED 512
#define USES_PROMISE 1024 /* promised_term, promised_index, voted, leader */
#define WITHOUT_TERM 2048 /* term may be 0 */

static const uint16_t message_uses[RAFT_MESSAGE_TYPE_MAX + 1] = {
	[RAFT_PRE_VOTE] = USES_INDEX,
	[RAFT_PRE_VOTE_RESPONSE] = USES_REJECTED,
	[RAFT_VOTE] = USES_INDEX | USES_FORCED,
	[RAFT_VOTE_RESPONSE] = USES_REJECTED,
	[RAFT_APPEND] = USES_INDEX | USES_COMMIT | USES_ENTRIES | USES_NONCE,
	[RAFT_APPEND_RESPONSE] = USES_INDEX | USES_HINT | USES_REJECTED | USES_NONCE | USES_RECOVERING,
	[RAFT_HEARTBEAT] = USES_INDEX | USES_COMMIT | USES_NONCE | USES_RECOVERED,
	[RAFT_HEARTBEAT_RESPONSE] = USES_NONCE | USES_RECOVERING,
	[RAFT_SNAPSHOT] = USES_INDEX | USES_CONFIGURATION | USES_NONCE,
	[RAFT_TIMEOUT_NOW] = 0,
	[RAFT_HELLO] = USES_INDEX | USES_NONCE | USES_RECOVERING | WITHOUT_TERM,
	[RAFT_HELLO_RESPONSE] = USES_INDEX | USES_NONCE | USES_RECOVERING | USES_PROMISE | WITHOUT_TERM,
};

/* ---- writing ---- */

static void
put_u8(FbBuffer *buffer, uint8_t value)
{
	fb_buffer_append_byte(buffer, value);
}

static void
put_u32(FbBuffer *buffer, uint32_t value)
{
	uint8_t bytes[4] = {(uint8_t) (value >> 24), (uint8_t) (value >> 16), (uint8_t) (value >> 8),
						(uint8_t) value};

	fb_buffer_append(buffer, bytes, sizeof(bytes));
}

static void
put_u64(FbBuffer *buffer, uint64_t value)
{
	put_u32(buffer, (uint32_t) (value >> 32));
	put_u32(buffer, (uint32_t) value);
}

/* ---- reading: errors are sticky, as in FbBuffer; a cut-off field reads as 0 ---- */

typedef struct MessageReader
{
	FbBytes rest;
	bool cut_off;
} MessageReader;

static FbBytes
get_bytes(MessageReader *reader, size_t size)
{
	FbBytes bytes;

	if (reader->rest.size < size)
	{
		reader->cut_off = true;
		reader->rest.size = 0;
		return FB_BYTES_EMPTY;
	}
	bytes = fb_bytes(reader->rest.data, size);
	reader->rest.data += size;
	reader->rest.size -= size;
	return bytes;
}

static uint64_t
message_get_number(MessageReader *reader, size_t size)
{
	FbBytes bytes = get_bytes(reader, size);
	uint64_t value = 0;

	for (size_t i = 0; i < bytes.size; i++)
		value = value << 8 | bytes.data[i];
	return value;
}

/* ---- the same rules for both directions ---- */

static FbStatus
message_check(const RaftMessage *message, FbError *error)
{
	uint16_t uses = message_uses[message->type];
	uint64_t term = message->log_term;

	if (message->from == 0 || message->to == 0 || (message->term == 0 && !(uses & WITHOUT_TERM)))
		return fb_fail(error, FB_MALFORMED_MESSAGE,
					   "Raft message without sender, receiver or term");
	/* a host keeps them as signed numbers, and there must be room for the next ones */
	if (message->term > NUMBER_MAX || message->index > NUMBER_MAX ||
		message->commit_index > NUMBER_MAX || message->hint_index > NUMBER_MAX ||
		message->promised_term > NUMBER_MAX || message->promised_index > NUMBER_MAX ||
		message->leader > NUMBER_MAX)
		return fb_fail(error, FB_MALFORMED_MESSAGE, "Raft %s has an impossible term or index",
					   raft_message_type_name(message->type));
	if ((!(uses & USES_INDEX) && (message->index != 0 || message->log_term != 0)) ||
		(!(uses & USES_COMMIT) && message->commit_index != 0) ||
		(!(uses & USES_HINT) && message->hint_index != 0) ||
		(!(uses & USES_REJECTED) && message->rejected) ||
		(!(uses & USES_FORCED) && message->forced) ||
		(!(uses & USES_ENTRIES) && message->entries_count != 0) ||
		(!(uses & USES_CONFIGURATION) && message->configuration.size != 0) ||
		(!(uses & USES_NONCE) && message->nonce != 0) ||
		(!(uses & USES_RECOVERING) && message->recovering) ||
		(!(uses & USES_RECOVERED) && message->recovered) ||
		(!(uses & USES_PROMISE) && (message->promised_term != 0 || message->promised_index != 0 ||
									message->voted || message->leader != 0)))
		return fb_fail(error, FB_MALFORMED_MESSAGE, "Raft %s has a field that it does not use",
					   raft_message_type_name(message->type));
	if (message->contradicted && (message->type != RAFT_APPEND_RESPONSE || !message->rejected))
		return fb_fail(error, FB_MALFORMED_MESSAGE, "Raft %s contradicts what it does not refuse",
					   raft_message_type_name(message->type));
	if (!(uses & USES_CONFIGURATION) && message->head.size != 0)
		return fb_fail(error, FB_MALFORMED_MESSAGE, "Raft %s has a field that it does not use",
					   raft_message_type_name(message->type));
	if (message->head.size > RAFT_HEAD_BYTES_MAX)
		return fb_fail(error, FB_LIMIT_EXCEEDED, "head of %zu bytes in a Raft message",
					   message->head.size);
	if (message->log_term > message->term)
		return fb_fail(error, FB_MALFORMED_MESSAGE,
					   "Raft %s of term %" PRIu64 " speaks of term %" PRIu64,
					   raft_message_type_name(message->type), message->term, message->log_term);
	if (message->entries_count > FB_RAFT_ENTRIES_PER_MESSAGE_MAX)
		return fb_fail(error, FB_LIMIT_EXCEEDED, "Raft message with %" PRIu32 " entries",
					   message->entries_count);
	if (message->configuration.size > RAFT_CONFIGURATION_STATE_BYTES_MAX)
		return fb_fail(error, FB_LIMIT_EXCEEDED, "Raft configuration of %zu bytes",
					   message->configuration.size);
	for (uint32_t i = 0; i < message->entries_count; i++)
	{
		const RaftEntry *entry = &message->entries[i];

		if (entry->term == 0 || entry->term < term || entry->term > message->term)
			return fb_fail(error, FB_MALFORMED_MESSAGE, "terms fall in a Raft append");
		if (entry->kind > RAFT_ENTRY_KIND_MAX)
			return fb_fail(error, FB_MALFORMED_MESSAGE, "unknown kind %d of a Raft entry",
						   (int) entry->kind);
		if (entry->kind == RAFT_ENTRY_NOOP && entry->payload.size != 0)
			return fb_fail(error, FB_MALFORMED_MESSAGE, "Raft no-op entry with a payload");
		term = entry->term;
	}
	return FB_OK;
}

FbStatus
raft_message_encode(FbAllocator *allocator, const RaftMessage *message, FbBytes *bytes,
					FbError *error)
{
	FbBuffer buffer;
	size_t size = MESSAGE_HEAD_BYTES + 4 + message->configuration.size + 4 + message->head.size + 4;

	if (message->type < 1 || message->type > RAFT_MESSAGE_TYPE_MAX)
		return fb_fail(error, FB_INVALID_ARGUMENT, "unknown Raft message type %d",
					   (int) message->type);
	FB_TRY(message_check(message, error));
	for (uint32_t i = 0; i < message->entries_count; i++)
	{
		if (message->entries[i].payload.size > FB_MESSAGE_BYTES_MAX)
			return fb_fail(error, FB_LIMIT_EXCEEDED, "Raft entry of %zu bytes",
						   message->entries[i].payload.size);
		size += MESSAGE_ENTRY_HEAD_BYTES + message->entries[i].payload.size;
	}
	if (size > FB_MESSAGE_BYTES_MAX)
		return fb_fail(error, FB_LIMIT_EXCEEDED, "Raft message of %zu bytes", size);

	fb_buffer_init(&buffer, allocator);
	put_u8(&buffer, MESSAGE_MAGIC);
	put_u8(&buffer, MESSAGE_VERSION);
	put_u8(&buffer, (uint8_t) message->type);
	put_u8(&buffer, (uint8_t) ((message->rejected ? FLAG_REJECTED : 0) |
							   (message->forced ? FLAG_FORCED : 0) |
							   (message->recovering ? FLAG_RECOVERING : 0) |
							   (message->recovered ? FLAG_RECOVERED : 0) |
							   (message->voted ? FLAG_VOTED : 0) |
							   (message->contradicted ? FLAG_CONTRADICTED : 0)));
	put_u64(&buffer, message->from);
	put_u64(&buffer, message->to);
	put_u64(&buffer, message->term);
	put_u64(&buffer, message->index);
	put_u64(&buffer, message->log_term);
	put_u64(&buffer, message->commit_index);
	put_u64(&buffer, message->hint_index);
	put_u64(&buffer, message->nonce);
	put_u64(&buffer, message->promised_term);
	put_u64(&buffer, message->promised_index);
	put_u64(&buffer, message->leader);
	put_u32(&buffer, (uint32_t) message->configuration.size);
	fb_buffer_append_bytes(&buffer, message->configuration);
	put_u32(&buffer, (uint32_t) message->head.size);
	fb_buffer_append_bytes(&buffer, message->head);
	put_u32(&buffer, message->entries_count);
	for (uint32_t i = 0; i < message->entries_count; i++)
	{
		put_u64(&buffer, message->entries[i].term);
		put_u8(&buffer, (uint8_t) message->entries[i].kind);
		put_u32(&buffer, (uint32_t) message->entries[i].payload.size);
		fb_buffer_append_bytes(&buffer, message->entries[i].payload);
	}
	return fb_buffer_bytes(&buffer, bytes, error);
}

FbStatus
raft_message_decode(FbAllocator *allocator, FbBytes bytes, RaftMessage *message, FbError *error)
{
	MessageReader reader = {bytes, false};
	uint64_t type;
	uint64_t flags;

	memset(message, 0, sizeof(*message));
	if (bytes.size > FB_MESSAGE_BYTES_MAX)
		return fb_fail(error, FB_LIMIT_EXCEEDED, "Raft message of %zu bytes", bytes.size);
	if (message_get_number(&reader, 1) != MESSAGE_MAGIC)
		return fb_fail(error, FB_MALFORMED_MESSAGE, "not a Raft message");
	if (message_get_number(&reader, 1) != MESSAGE_VERSION)
		return fb_fail(error, FB_MALFORMED_MESSAGE, "unknown version of a Raft message");
	type = message_get_number(&reader, 1);
	flags = message_get_number(&reader, 1);
	if (type < 1 || type > RAFT_MESSAGE_TYPE_MAX)
		return fb_fail(error, FB_MALFORMED_MESSAGE, "unknown Raft message type %" PRIu64, type);
	if (flags & ~(uint64_t) FLAGS_ALL)
		return fb_fail(error, FB_MALFORMED_MESSAGE, "unknown flags of a Raft message");
	message->type = (RaftMessageType) type;
	message->rejected = (flags & FLAG_REJECTED) != 0;
	message->forced = (flags & FLAG_FORCED) != 0;
	message->recovering = (flags & FLAG_RECOVERING) != 0;
	message->recovered = (flags & FLAG_RECOVERED) != 0;
	message->voted = (flags & FLAG_VOTED) != 0;
	message->contradicted = (flags & FLAG_CONTRADICTED) != 0;
	message->from = message_get_number(&reader, 8);
	message->to = message_get_number(&reader, 8);
	message->term = message_get_number(&reader, 8);
	message->index = message_get_number(&reader, 8);
	message->log_term = message_get_number(&reader, 8);
	message->commit_index = message_get_number(&reader, 8);
	message->hint_index = message_get_number(&reader, 8);
	message->nonce = message_get_number(&reader, 8);
	message->promised_term = message_get_number(&reader, 8);
	message->promised_index = message_get_number(&reader, 8);
	message->leader = message_get_number(&reader, 8);
	message->configuration = get_bytes(&reader, (size_t) message_get_number(&reader, 4));
	message->head = get_bytes(&reader, (size_t) message_get_number(&reader, 4));
	message->entries_count = (uint32_t) message_get_number(&reader, 4);
	if (reader.cut_off)
		return fb_fail(error, FB_MALFORMED_MESSAGE, "Raft message is cut off");
	if (message->entries_count > FB_RAFT_ENTRIES_PER_MESSAGE_MAX)
		return fb_fail(error, FB_LIMIT_EXCEEDED, "Raft message with %" PRIu32 " entries",
					   message->entries_count);
	if (message->entries_count > 0)
	{
		message->entries = fb_allocate_array(allocator, message->entries_count, sizeof(RaftEntry));
		if (message->entries == NULL)
			return fb_out_of_memory(error);
	}
	for (uint32_t i = 0; i < message->entries_count; i++)
	{
		RaftEntry *entry = &message->entries[i];

		entry->term = message_get_number(&reader, 8);
		entry->kind = (RaftEntryKind) message_get_number(&reader, 1);
		entry->payload = get_bytes(&reader, (size_t) message_get_number(&reader, 4));
	}
	if (reader.cut_off || reader.rest.size != 0)
		return fb_fail(error, FB_MALFORMED_MESSAGE, "Raft message has a wrong size");
	return message_check(message, error);
}
