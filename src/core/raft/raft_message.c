/*
 * raft_message.c: messages as bytes. The layout is in raft.h. One size per field, no optional
 * parts: encoding is canonical, and decoding has nothing to guess.
 *
 * Versions. The consenters of a channel belong to different organizations, which never update their
 * nodes at the same moment. So messages of two versions of this file meet on every network, and a
 * new field must not need a day on which everyone updates.
 *
 * - A message names two versions: that of its sender, and the oldest version that can act on it
 *   ("needs"). The latter follows from what the message uses: its type and the kinds of its entries
 *   (message_types, entry_versions), and fields without which it would mean something else.
 * - A reader that is older than what a message needs answers FB_OTHER_VERSION, and its host drops
 * the message. To Raft that is a lost message, which is always allowed. It is no evidence of a lie.
 * - A newer version only appends: a flag takes the next free bit, a field follows after the
 * entries, in the order of the versions that brought them. A reader ignores unknown flags and what
 * follows its own last field, if the sender is newer. In a message of its own version, or of an
 * older one, both are malformed, and so is a type or kind of entry that the reader does not know
 * although it is said to have it.
 * - What an older sender does not know is 0 to the reader.
 * - Nothing that exists changes its place, its size or its meaning. Another meaning is another type
 *   or field, with a version of its own.
 *
 * So a newer node may send to an older one whatever it likes. An older node overlooks what may be
 * overlooked and drops the rest; so nothing may depend on the answer of an older node. A kind of
 * entry is different: it stays in the log, and a node that does not know it cannot follow. It is
 * used only when all voters have sent a message of a version that has it (RaftMessage.version).
 *
 * MESSAGE_VERSION_OLDEST is the oldest sender that is still understood. It rises when no release
 * that is still supported sends that version.
 *
 * Rejected: tagged fields as in protobuf (several encodings of one message, and messages of a known
 * size today would need a parser); agreeing on a version when a connection begins (messages
 * overtake connections, and a receiver must judge each message by itself); the reader's version in
 * the sender (it would be one encoding for each receiver, and a restart with another binary makes
 * it wrong).
 */
#include "core/raft/raft_internal.h"

#include <inttypes.h>

#define MESSAGE_MAGIC 'R'
#define MESSAGE_VERSION_OLDEST 3
#define MESSAGE_HEAD_BYTES (6 + 11 * 8)
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

/* what each type uses, and the version of messages that brought it */
static const struct
{
	uint16_t uses;
	uint8_t version;
} message_types[RAFT_MESSAGE_TYPE_MAX + 1] = {
	[RAFT_PRE_VOTE] = {USES_INDEX, 3},
	[RAFT_PRE_VOTE_RESPONSE] = {USES_REJECTED, 3},
	[RAFT_VOTE] = {USES_INDEX | USES_FORCED, 3},
	[RAFT_VOTE_RESPONSE] = {USES_REJECTED, 3},
	[RAFT_APPEND] = {USES_INDEX | USES_COMMIT | USES_ENTRIES | USES_NONCE, 3},
	[RAFT_APPEND_RESPONSE] = {USES_INDEX | USES_HINT | USES_REJECTED | USES_NONCE | USES_RECOVERING,
							  3},
	[RAFT_HEARTBEAT] = {USES_INDEX | USES_COMMIT | USES_NONCE | USES_RECOVERED, 3},
	[RAFT_HEARTBEAT_RESPONSE] = {USES_NONCE | USES_RECOVERING, 3},
	[RAFT_SNAPSHOT] = {USES_INDEX | USES_CONFIGURATION | USES_NONCE, 3},
	[RAFT_TIMEOUT_NOW] = {0, 3},
	[RAFT_HELLO] = {USES_INDEX | USES_NONCE | USES_RECOVERING | WITHOUT_TERM, 3},
	[RAFT_HELLO_RESPONSE] = {USES_INDEX | USES_CONFIGURATION | USES_NONCE | USES_RECOVERING |
								 USES_PROMISE | WITHOUT_TERM,
							 3},
};

static const uint8_t entry_versions[RAFT_ENTRY_KIND_MAX + 1] = {
	[RAFT_ENTRY_DATA] = 3,
	[RAFT_ENTRY_NOOP] = 3,
	[RAFT_ENTRY_CONFIGURATION] = 3,
};

/* the oldest version that can act on the message */
static uint8_t
message_needs(const RaftMessage *message)
{
	uint8_t version = message_types[message->type].version;

	for (uint32_t i = 0; i < message->entries_count; i++)
		if (entry_versions[message->entries[i].kind] > version)
			version = entry_versions[message->entries[i].kind];
	return version;
}

/* ---- writing ---- */

static void
put_u8(FbBuffer *buffer, uint8_t value)
{
	fb_buffer_append_byte(buffer, value);
}

static void
put_u16(FbBuffer *buffer, uint16_t value)
{
	put_u8(buffer, (uint8_t) (value >> 8));
	put_u8(buffer, (uint8_t) value);
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
	uint16_t uses = message_types[message->type].uses;
	uint64_t term = message->log_term;

	if (message->from == 0 || message->to == 0 || (message->term == 0 && !(uses & WITHOUT_TERM)))
		return fb_fail(error, FB_MALFORMED_MESSAGE,
					   "Raft message without sender, receiver or term");
	/* a host keeps them as signed numbers, and there must be space for the next ones */
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
		return fb_fail(error, FB_MALFORMED_MESSAGE,
					   "Raft %s contradicts an append without rejecting it",
					   raft_message_type_name(message->type));
	if (!(uses & USES_CONFIGURATION) && message->head.size != 0)
		return fb_fail(error, FB_MALFORMED_MESSAGE, "Raft %s has a field that it does not use",
					   raft_message_type_name(message->type));
	if (message->head.size > RAFT_HEAD_BYTES_MAX)
		return fb_fail(error, FB_LIMIT_EXCEEDED, "head of %zu bytes in a Raft message",
					   message->head.size);
	if (message->log_term > message->term)
		return fb_fail(error, FB_MALFORMED_MESSAGE,
					   "Raft %s of term %" PRIu64 " has an entry of the later term %" PRIu64,
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
			return fb_fail(error, FB_MALFORMED_MESSAGE, "unrecognized kind %d of a Raft entry",
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
		return fb_fail(error, FB_INVALID_ARGUMENT, "unrecognized Raft message type %d",
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
	put_u8(&buffer, RAFT_MESSAGE_VERSION);
	put_u8(&buffer, message_needs(message));
	put_u8(&buffer, (uint8_t) message->type);
	put_u16(&buffer, (uint16_t) ((message->rejected ? FLAG_REJECTED : 0) |
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

/* who sent it, and whether this node can act on it; flags as far as they are known here */
static FbStatus
message_read_head(MessageReader *reader, RaftMessage *message, uint16_t *flags, FbError *error)
{
	uint64_t needs;
	uint64_t type;

	if (message_get_number(reader, 1) != MESSAGE_MAGIC)
		return fb_fail(error, FB_MALFORMED_MESSAGE, "not a Raft message");
	message->version = (uint8_t) message_get_number(reader, 1);
	needs = message_get_number(reader, 1);
	type = message_get_number(reader, 1);
	*flags = (uint16_t) message_get_number(reader, 2);
	if (reader->cut_off)
		return fb_fail(error, FB_MALFORMED_MESSAGE, "Raft message is cut off");
	if (message->version < MESSAGE_VERSION_OLDEST)
	{
		fb_fail(error, FB_OTHER_VERSION,
				"Raft message of version %d, and this node knows version %d and later",
				(int) message->version, MESSAGE_VERSION_OLDEST);
		fb_error_hint(error, "Update the software of the node that sent it.");
		return FB_OTHER_VERSION;
	}
	if (needs > message->version || needs < MESSAGE_VERSION_OLDEST)
		return fb_fail(error, FB_MALFORMED_MESSAGE,
					   "Raft message of version %d that needs version %" PRIu64,
					   (int) message->version, needs);
	if (needs > RAFT_MESSAGE_VERSION)
	{
		fb_fail(error, FB_OTHER_VERSION,
				"Raft message that needs version %" PRIu64 ", and this node knows version %d",
				needs, RAFT_MESSAGE_VERSION);
		fb_error_hint(error, "Update the software of this node.");
		return FB_OTHER_VERSION;
	}
	if (type < 1 || type > RAFT_MESSAGE_TYPE_MAX || message_types[type].version > needs)
		return fb_fail(error, FB_MALFORMED_MESSAGE, "unrecognized Raft message type %" PRIu64,
					   type);
	if (message->version > RAFT_MESSAGE_VERSION)
		*flags &= FLAGS_ALL;
	if (*flags & ~FLAGS_ALL)
		return fb_fail(error, FB_MALFORMED_MESSAGE, "unrecognized flags in a Raft message");
	message->type = (RaftMessageType) type;
	return FB_OK;
}

FbStatus
raft_message_decode(FbAllocator *allocator, FbBytes bytes, RaftMessage *message, FbError *error)
{
	MessageReader reader = {bytes, false};
	uint8_t needs;
	uint16_t flags = 0;

	memset(message, 0, sizeof(*message));
	if (bytes.size > FB_MESSAGE_BYTES_MAX)
		return fb_fail(error, FB_LIMIT_EXCEEDED, "Raft message of %zu bytes", bytes.size);
	FB_TRY(message_read_head(&reader, message, &flags, error));
	needs = bytes.data[2];
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
	if (reader.cut_off || (reader.rest.size != 0 && message->version <= RAFT_MESSAGE_VERSION))
		return fb_fail(error, FB_MALFORMED_MESSAGE, "Raft message has a wrong size");
	FB_TRY(message_check(message, error));
	/* a newer sender may need more, for a field that this node cannot see */
	if (message_needs(message) > needs ||
		(message_needs(message) < needs && message->version <= RAFT_MESSAGE_VERSION))
		return fb_fail(error, FB_MALFORMED_MESSAGE,
					   "Raft %s does not need the version that it names",
					   raft_message_type_name(message->type));
	return FB_OK;
}
