/*
 * consenters.c: the Raft ids of a channel's consenters (orderer/consensus/etcdraft/membership.go,
 * ComputeMembershipChanges; consenter.go, ReadBlockMetadata).
 *
 * The problem. Raft is safe only if a node keeps its id, and if no id ever names another node:
 * votes and confirmations are counted by it. A position in the list of consenters is no id, because
 * removing the first of three consenters would give the other two new positions.
 *
 * The rule, Fabric's. Block 0 gives its consenters the ids 1 to n. A configuration block keeps the
 * id of each consenter whose TLS client certificate is in the list before and after, whatever its
 * position. One new certificate beside one that is gone is the same consenter with a new
 * certificate, and keeps its id; one new certificate alone is a new consenter and gets the next id,
 * which is never given again. More differences at once are no valid update.
 *
 * So the ids follow from the chain alone. Every orderer also writes them, and the next id, into the
 * metadata of each block that it signs. A node that gets a block from another node compares: an
 * orderer that names other ids is refused, so it cannot renumber the consenters.
 */
#include "core/config/config.h"

#include "core/block/block.h"

#include <inttypes.h>

bool
consenter_ids_equal(const ConsenterIds *a, const ConsenterIds *b)
{
	return a->count == b->count && a->next_id == b->next_id &&
		   memcmp(a->ids, b->ids, a->count * sizeof(a->ids[0])) == 0;
}

void
consenter_ids_first(size_t consenters_count, ConsenterIds *ids)
{
	memset(ids, 0, sizeof(*ids));
	FB_ASSERT(consenters_count <= FB_RAFT_NODES_MAX);
	ids->count = (uint32_t) consenters_count;
	for (uint32_t i = 0; i < ids->count; i++)
		ids->ids[i] = i + 1;
	ids->next_id = consenters_count + 1;
}

/* the index of the consenter with this TLS client certificate; the count: there is none */
static size_t
consenter_index(const ConfigConsenter *consenters, size_t count, const ConfigConsenter *wanted)
{
	size_t i = 0;

	while (i < count &&
		   !fb_bytes_equal(consenters[i].client_tls_certificate, wanted->client_tls_certificate))
		i++;
	return i;
}

FbStatus
consenter_ids_follow(const ConsenterIds *before, const ConfigBundle *old_bundle,
					 const ConfigBundle *new_bundle, ConsenterIds *after, ConsenterChange *change,
					 FbError *error)
{
	size_t old_count = old_bundle->consenters_count;
	size_t new_count = new_bundle->consenters_count;
	size_t added_index = 0;
	uint32_t added_count = 0;
	uint32_t removed_count = 0;
	uint64_t removed_id = 0;

	memset(after, 0, sizeof(*after));
	memset(change, 0, sizeof(*change));
	FB_ASSERT(before->count == old_count && new_count <= FB_RAFT_NODES_MAX);
	/* another type of consensus before, or from now on */
	if (old_count == 0 || new_count == 0)
	{
		consenter_ids_first(new_count, after);
		return FB_OK;
	}
	after->count = (uint32_t) new_count;
	after->next_id = before->next_id;
	for (size_t i = 0; i < new_count; i++)
	{
		size_t index =
			consenter_index(old_bundle->consenters, old_count, &new_bundle->consenters[i]);

		if (index < old_count)
		{
			after->ids[i] = before->ids[index];
			continue;
		}
		added_index = i;
		added_count++;
	}
	for (size_t i = 0; i < old_count; i++)
	{
		if (consenter_index(new_bundle->consenters, new_count, &old_bundle->consenters[i]) <
			new_count)
			continue;
		removed_id = before->ids[i];
		removed_count++;
	}
	if (added_count > 1 || removed_count > 1)
	{
		fb_fail(error, FB_INVALID_CONFIG,
				"more than one consenter is added, removed or replaced at once");
		fb_error_detail(error, "%" PRIu32 " are added and %" PRIu32 " are removed.", added_count,
						removed_count);
		fb_error_hint(error, "Change one consenter in each configuration update.");
		return FB_INVALID_CONFIG;
	}
	if (added_count == 1 && removed_count == 1)
	{
		after->ids[added_index] = removed_id;
		change->rotated_id = removed_id;
	}
	else if (added_count == 1)
	{
		after->ids[added_index] = after->next_id++;
		change->added_id = after->ids[added_index];
	}
	else
		change->removed_id = removed_id;
	return FB_OK;
}

static FbStatus
consenter_ids_check(const ConsenterIds *ids, FbError *error)
{
	for (uint32_t i = 0; i < ids->count; i++)
	{
		if (ids->ids[i] == 0 || ids->ids[i] >= ids->next_id)
			return fb_fail(error, FB_MALFORMED_MESSAGE,
						   "consenter id %" PRIu64 " is not between 1 and the next id, %" PRIu64,
						   ids->ids[i], ids->next_id);
		for (uint32_t k = 0; k < i; k++)
			if (ids->ids[k] == ids->ids[i])
				return fb_fail(error, FB_MALFORMED_MESSAGE, "two consenters have the id %" PRIu64,
							   ids->ids[i]);
	}
	return FB_OK;
}

FbStatus
consenter_ids_parse(FbBytes signatures_slot, FbAllocator *allocator, ConsenterIds *ids,
					FbError *error)
{
	BlockSignatures signatures;
	Etcdraft__BlockMetadata *metadata;

	memset(ids, 0, sizeof(*ids));
	FB_TRY(block_signatures_parse(signatures_slot, allocator, &signatures, error));
	if (signatures.consenter_metadata.size == 0)
		return fb_fail(error, FB_MALFORMED_MESSAGE, "block does not name the ids of consenters");
	FB_TRY(block_raft_metadata_parse(signatures.consenter_metadata, allocator, &metadata, error));
	if (metadata->n_consenter_ids > FB_RAFT_NODES_MAX)
		return fb_fail(error, FB_LIMIT_EXCEEDED, "block names the ids of %zu consenters",
					   metadata->n_consenter_ids);
	ids->count = (uint32_t) metadata->n_consenter_ids;
	ids->next_id = metadata->next_consenter_id;
	for (uint32_t i = 0; i < ids->count; i++)
		ids->ids[i] = metadata->consenter_ids[i];
	return consenter_ids_check(ids, error);
}

FbStatus
consenter_ids_require(const ConsenterIds *expected, FbBytes signatures_slot, FbAllocator *allocator,
					  FbError *error)
{
	ConsenterIds ids;

	/* another type of consensus has other metadata */
	if (expected->count == 0)
		return FB_OK;
	FB_TRY(consenter_ids_parse(signatures_slot, allocator, &ids, error));
	if (consenter_ids_equal(&ids, expected))
		return FB_OK;
	return fb_fail(error, FB_BLOCK_REFUSED,
				   "block names other ids of consenters than those that follow from the chain");
}

uint64_t
consenter_ids_id(const ConsenterIds *ids, size_t index)
{
	return index < ids->count ? ids->ids[index] : 0;
}

bool
consenter_ids_has(const ConsenterIds *ids, uint64_t id)
{
	for (uint32_t i = 0; i < ids->count; i++)
		if (ids->ids[i] == id)
			return true;
	return false;
}
