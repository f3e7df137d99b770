/*
 * comparison.c: compare the validation codes and the commit hash that another peer put into a block
 * with this node's own.
 *
 * A block that a peer stored holds the validation codes of its transactions (metadata slot 2) and a
 * hash of its state changes (slot 4). Both are results of that peer: no orderer signs them
 * (protoutil.BlockSignatureVerifier covers header and slot 0), and a node never adopts them. But
 * only they show whether a copy of a ledger validates as the original did, so a difference must be
 * reported: the block is refused, unless the caller accepts the difference.
 */
#include "server/commit/commit_internal.h"

/* maximum number of transactions that a message names */
#define NAMED_MAX 6

static const char *
validation_code_name(uint8 code)
{
	const char *name = tx_code_name(code);

	return name != NULL ? name : "unrecognized";
}

static void
describe_codes(const BlockView *block, FbBytes received, FbBytes own, FbError *difference)
{
	StringInfoData detail;
	size_t differences_count = 0;

	initStringInfo(&detail);
	for (size_t i = 0; i < own.size; i++)
		if (own.data[i] != received.data[i] && ++differences_count <= NAMED_MAX)
			appendStringInfo(
				&detail,
				"%sTransaction %zu is %s (%d) in the block, and %s (%d) by this node's validation.",
				detail.len > 0 ? " " : "", i, validation_code_name(received.data[i]),
				received.data[i], validation_code_name(own.data[i]), own.data[i]);
	if (differences_count == 0)
		return;
	if (differences_count > NAMED_MAX)
		appendStringInfo(&detail, " %zu more differ.", differences_count - NAMED_MAX);
	fb_fail(difference, FB_BLOCK_REFUSED,
			"validation codes in block " UINT64_FORMAT " are not those that this node finds",
			(uint64) block->header.number);
	fb_error_detail(difference, "%s", detail.data);
}

static void
compare_codes(const BlockView *block, FbBytes own, FbError *difference)
{
	FbBytes received = block->metadata[COMMON__BLOCK_METADATA_INDEX__TRANSACTIONS_FILTER];

	if (received.size == own.size)
		describe_codes(block, received, own, difference);
	else if (received.size > 0)
	{
		fb_fail(difference, FB_BLOCK_REFUSED,
				"validation codes in block " UINT64_FORMAT " do not fit its transactions",
				(uint64) block->header.number);
		fb_error_detail(difference, "There are %zu codes for %zu transactions.", received.size,
						own.size);
	}
}

static void
compare_commit_hash(const BlockView *block, FbBytes own, FbError *difference)
{
	FbBytes slot = block->metadata[COMMON__BLOCK_METADATA_INDEX__COMMIT_HASH];
	FbAllocator *allocator = memory_allocator(CurrentMemoryContext);
	FbBytes received;
	char own_hex[2 * CRYPTO_SHA256_BYTES + 1] = "none";
	char received_hex[2 * CRYPTO_SHA256_BYTES + 1] = "unreadable";
	FbError error;
	FbStatus status = block_commit_hash_parse(slot, allocator, &received, &error);

	if (status == FB_OUT_OF_MEMORY)
		error_throw(&error);
	if (status == FB_OK && (received.size == 0 || fb_bytes_equal(received, own)))
		return;
	if (own.size == CRYPTO_SHA256_BYTES)
		fb_hex_encode(own, own_hex);
	if (status == FB_OK && received.size == CRYPTO_SHA256_BYTES)
		fb_hex_encode(received, received_hex);
	fb_fail(difference, FB_BLOCK_REFUSED,
			"commit hash in block " UINT64_FORMAT " is not the one that this node finds",
			(uint64) block->header.number);
	fb_error_detail(
		difference,
		"It is %s in the block, and %s by this node's validation: state changes of this block or an earlier one differ.",
		received_hex, own_hex);
}

void
comparison_check(const Channel *channel, const BlockView *block, FbBytes codes, FbBytes commit_hash,
				 CommitComparison *comparison)
{
	FbError *difference = &comparison->difference;

	compare_codes(block, codes, difference);
	/* different codes also cause a different hash */
	if (difference->message[0] == '\0')
		compare_commit_hash(block, commit_hash, difference);
	if (difference->message[0] == '\0')
		return;
	fb_error_hint(
		difference,
		comparison->accept
			? "This node keeps its own; compare with the same block of another peer."
			: "No orderer signs them: compare with the same block of another peer. With accept_differences => true this node's own are stored.");
	if (!comparison->accept)
		error_throw(difference);
}
