/*
 * membership.c: who votes. "A server always uses the latest configuration in its log, regardless of
 * whether the entry is committed" (thesis 4.1), and one node is added or removed at a time, so that
 * majorities of neighbors always overlap.
 *
 * A leader starts a change only when the one before is committed, and an entry of its own term too.
 * So of all configurations in a log only the last can ever be truncated, and remembering the one
 * before it is enough to go back.
 */
#include "core/raft/raft_internal.h"

#include <inttypes.h>

bool
raft_configuration_equal(const RaftConfiguration *a, const RaftConfiguration *b)
{
	return a->voters_count == b->voters_count &&
		   memcmp(a->voters, b->voters, a->voters_count * sizeof(uint64_t)) == 0;
}

/* ---- bytes ---- */

/*
 * A configuration: u8 number of voters, u64 of each. A state: u8 number of configurations, then of
 * each, the one in force first, u64 index and the configuration.
 */

static size_t
membership_put_u64(uint8_t *out, uint64_t value)
{
	for (int i = 0; i < 8; i++)
		out[i] = (uint8_t) (value >> (56 - 8 * i));
	return 8;
}

static uint64_t
membership_get_u64(const uint8_t *in)
{
	uint64_t value = 0;

	for (int i = 0; i < 8; i++)
		value = value << 8 | in[i];
	return value;
}

size_t
membership_encode_one(const RaftConfiguration *configuration, uint8_t *out)
{
	size_t at = 0;

	out[at++] = (uint8_t) configuration->voters_count;
	for (uint32_t i = 0; i < configuration->voters_count; i++)
		at += membership_put_u64(out + at, configuration->voters[i]);
	return at;
}

/* the configuration at the start of bytes; *used: its size */
static FbStatus
membership_decode_prefix(FbBytes bytes, RaftConfiguration *configuration, size_t *used,
						 FbError *error)
{
	uint32_t count;

	memset(configuration, 0, sizeof(*configuration));
	if (bytes.size < 1)
		return fb_fail(error, FB_MALFORMED_MESSAGE, "Raft configuration is cut off");
	count = bytes.data[0];
	if (count > FB_RAFT_NODES_MAX)
		return fb_fail(error, FB_LIMIT_EXCEEDED, "Raft configuration of %" PRIu32 " nodes", count);
	if (bytes.size < 1 + 8 * (size_t) count)
		return fb_fail(error, FB_MALFORMED_MESSAGE, "Raft configuration is cut off");
	for (uint32_t i = 0; i < count; i++)
	{
		uint64_t node = membership_get_u64(bytes.data + 1 + 8 * (size_t) i);

		if (node == 0 || (i > 0 && node <= configuration->voters[i - 1]))
			return fb_fail(error, FB_MALFORMED_MESSAGE,
						   "nodes of a Raft configuration do not ascend");
		configuration->voters[i] = node;
	}
	configuration->voters_count = count;
	*used = 1 + 8 * (size_t) count;
	return FB_OK;
}

FbStatus
raft_configuration_decode(FbBytes payload, RaftConfiguration *configuration, FbError *error)
{
	size_t used;

	FB_TRY(membership_decode_prefix(payload, configuration, &used, error));
	if (used != payload.size)
		return fb_fail(error, FB_MALFORMED_MESSAGE, "Raft configuration has trailing bytes");
	return FB_OK;
}

size_t
membership_encode_state(const RaftLogConfiguration *configurations, uint32_t count, uint8_t *out)
{
	size_t at = 0;

	out[at++] = (uint8_t) count;
	for (uint32_t i = 0; i < count; i++)
	{
		at += membership_put_u64(out + at, configurations[i].index);
		at += membership_encode_one(&configurations[i].configuration, out + at);
	}
	return at;
}

FbStatus
membership_decode_state(FbBytes state, RaftLogConfiguration *configurations, uint32_t *count,
						FbError *error)
{
	size_t at = 1;

	if (state.size < 1 || state.data[0] < 1 || state.data[0] > 2)
		return fb_fail(error, FB_MALFORMED_MESSAGE, "Raft configuration state is malformed");
	*count = state.data[0];
	for (uint32_t i = 0; i < *count; i++)
	{
		size_t used;

		if (state.size - at < 8)
			return fb_fail(error, FB_MALFORMED_MESSAGE, "Raft configuration state is cut off");
		configurations[i].index = membership_get_u64(state.data + at);
		at += 8;
		FB_TRY(membership_decode_prefix(fb_bytes(state.data + at, state.size - at),
										&configurations[i].configuration, &used, error));
		at += used;
	}
	if (at != state.size || (*count == 2 && configurations[1].index >= configurations[0].index))
		return fb_fail(error, FB_MALFORMED_MESSAGE, "Raft configuration state is malformed");
	return FB_OK;
}

/* ---- the list of the last two ---- */

FbStatus
membership_start(Raft *raft, FbBytes state, const RaftConfiguration *first, FbError *error)
{
	if (state.size > 0 && !raft->configuration_fixed)
	{
		/* from this node's own store */
		if (membership_decode_state(state, raft->configurations, &raft->configurations_count,
									error) != FB_OK)
			return fb_fail(error, FB_CORRUPTED, "stored Raft configuration does not decode");
		return FB_OK;
	}
	if (first->voters_count > FB_RAFT_NODES_MAX)
		return fb_fail(error, FB_INVALID_ARGUMENT, "more than %d Raft nodes", FB_RAFT_NODES_MAX);
	memset(raft->configurations, 0, sizeof(raft->configurations));
	for (uint32_t i = 0; i < first->voters_count; i++)
	{
		if (!raft_configuration_add(&raft->configurations[0].configuration, first->voters[i]))
			return fb_fail(error, FB_INVALID_ARGUMENT,
						   "Raft node %" PRIu64 " is listed twice, or is 0", first->voters[i]);
	}
	raft->configurations_count = 1;
	return FB_OK;
}

FbStatus
membership_check_fixed(Raft *raft, const RaftMessage *message,
					   const RaftConfiguration *configuration, FbError *error)
{
	if (!raft->configuration_fixed ||
		raft_configuration_equal(configuration, raft_configuration_in_force(raft)))
		return FB_OK;
	return raft_evidence(raft, RAFT_EVIDENCE_VOTERS, message->from, message->term, 0, error,
						 "%s of node %" PRIu64 " in term %" PRIu64
						 " names other voters than the channel's configuration",
						 raft_message_type_name(message->type), message->from, message->term);
}

/* what the node may do, and when it must wake up, follow from the configuration */
static void
membership_changed(Raft *raft, bool was_voter)
{
	raft->update->configuration_changed = true;
	raft->update->persist_hard_state = true;
	if (raft->role == RAFT_FOLLOWER && !was_voter && raft_is_voter(raft))
		raft_reset_election_timer(raft);
	TRACE(raft, "configuration of entry %" PRIu64 ": %" PRIu32 " voters",
		  raft->configurations[0].index, raft->configurations[0].configuration.voters_count);
}

void
membership_push(Raft *raft, uint64_t index, const RaftConfiguration *configuration)
{
	bool was_voter = raft_is_voter(raft);

	/* a snapshot may have brought it before its entry came */
	if (index <= raft->configurations[0].index || raft->configuration_fixed)
		return;
	raft->configurations[1] = raft->configurations[0];
	raft->configurations[0].index = index;
	raft->configurations[0].configuration = *configuration;
	raft->configurations_count = 2;
	membership_changed(raft, was_voter);
}

bool
membership_can_truncate(const Raft *raft, uint64_t from_index)
{
	if (raft->configurations[0].index < from_index)
		return true;
	return raft->configurations_count == 2 && raft->configurations[1].index < from_index;
}

void
membership_truncate(Raft *raft, uint64_t from_index)
{
	bool was_voter = raft_is_voter(raft);

	FB_ASSERT(membership_can_truncate(raft, from_index));
	if (raft->configurations[0].index < from_index)
		return;
	raft->configurations[0] = raft->configurations[1];
	raft->configurations_count = 1;
	membership_changed(raft, was_voter);
}

void
membership_replace(Raft *raft, const RaftLogConfiguration *configuration)
{
	bool was_voter = raft_is_voter(raft);

	raft->configurations[0] = *configuration;
	raft->configurations_count = 1;
	membership_changed(raft, was_voter);
}

const RaftLogConfiguration *
membership_committed(const Raft *raft)
{
	if (raft->configurations_count == 2 && raft->configurations[0].index > raft->commit_index)
		return &raft->configurations[1];
	return &raft->configurations[0];
}

void
membership_follow_progress(Raft *raft)
{
	const RaftConfiguration *configuration = raft_configuration_in_force(raft);
	uint32_t kept = 0;

	for (uint32_t i = 0; i < raft->progress_count; i++)
	{
		if (raft_configuration_has(configuration, raft->progress[i].id))
		{
			if (kept != i)
				raft->progress[kept] = raft->progress[i];
			kept++;
		}
	}
	raft->progress_count = kept;
	for (uint32_t i = 0; i < configuration->voters_count; i++)
	{
		uint64_t id = configuration->voters[i];

		if (id != raft->id && raft_progress(raft, id) == NULL)
			progress_init(&raft->progress[raft->progress_count++], id,
						  trail_last_index(&raft->trail) + 1, raft->now_ms);
	}
}

FbStatus
membership_configure(Raft *raft, const RaftConfiguration *next, FbError *error)
{
	const RaftConfiguration *now = raft_configuration_in_force(raft);
	RaftConfiguration checked = {0};
	uint32_t differences = 0;
	uint32_t recovering = 0;
	uint32_t payload_bytes;
	uint64_t index = trail_last_index(&raft->trail) + 1;

	if (next->voters_count == 0)
		return fb_fail(error, FB_INVALID_ARGUMENT, "Raft configuration without nodes");
	if (next->voters_count > FB_RAFT_NODES_MAX)
		return fb_fail(error, FB_INVALID_ARGUMENT, "more than %d Raft nodes", FB_RAFT_NODES_MAX);
	for (uint32_t i = 0; i < next->voters_count; i++)
	{
		if (!raft_configuration_add(&checked, next->voters[i]))
			return fb_fail(error, FB_INVALID_ARGUMENT,
						   "Raft node %" PRIu64 " is listed twice, or is 0", next->voters[i]);
		if (!raft_configuration_has(now, next->voters[i]))
			differences++;
		recovering += raft_is_recovering(raft, next->voters[i]) ? 1 : 0;
	}
	for (uint32_t i = 0; i < now->voters_count; i++)
	{
		if (!raft_configuration_has(next, now->voters[i]))
			differences++;
	}
	if (raft->configuration_fixed)
		return fb_fail(error, FB_INVALID_ARGUMENT, "the Raft configuration of this node is fixed");
	if (raft->role != RAFT_LEADER)
		return fb_fail(error, FB_NO_LEADER, "this node is not the leader");
	if (differences == 0)
		return FB_OK;
	if (differences > 1)
		return fb_fail(error, FB_INVALID_ARGUMENT,
					   "only one Raft node can be added or removed at a time");
	if (raft->transfer_to != 0)
		return fb_fail(error, FB_BUSY, "leadership is being transferred");
	if (raft->configurations[0].index > raft->commit_index)
		return fb_fail(error, FB_BUSY,
					   "the last change of the Raft configuration is not committed yet");
	if (trail_term(&raft->trail, raft->commit_index) != raft->term)
		return fb_fail(error, FB_BUSY, "the leader has not committed an entry of its term yet");
	if (next->voters_count - recovering < quorum_size(next->voters_count))
		return fb_fail(error, FB_BUSY,
					   "too many voters of the new Raft configuration are recovering");
	if (trail_space(&raft->trail) == 0)
		return fb_fail(error, FB_BUSY, "Raft log is full");
	FB_TRY(trail_reserve(&raft->trail, 1, error));

	payload_bytes = (uint32_t) membership_encode_one(&checked, raft->entry_payload);
	raft_append_own(raft, &payload_bytes, 1, RAFT_FROM_CORE, RAFT_ENTRY_CONFIGURATION,
					fb_bytes(raft->entry_payload, payload_bytes));
	membership_push(raft, index, &checked);
	membership_follow_progress(raft);
	return FB_OK;
}
