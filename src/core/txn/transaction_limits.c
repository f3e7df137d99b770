/*
 * transaction_limits: well-formed transactions that are not ordered.
 *
 * The problem. Fabric's orderers do not look at the content of transactions, and its peers have no
 * limits but memory and time. A transaction is validated by every committer, in the order of the
 * chain, so a transaction that costs a minute delays every node for a minute, and so does the next
 * one. And where this project has limits and Fabric has none, the limit must not decide the code of
 * an ordered transaction, since a Fabric peer would find another code.
 *
 * The rule. An orderer refuses, with the limit in the detail (FB_LIMIT_EXCEEDED):
 *   - transactions that its peers could not judge as Fabric does: too many endorsements, names and
 *     keys that are too long, policies that are too deep;
 *   - transactions whose validation costs too much for their size (FB_ADMITTED_* in base/limits.h):
 *     endorsements, namespaces, collections, range queries and their results, keys times
 *     endorsements, and the size of policies of keys, which later transactions have to evaluate. An
 *     honest client never comes near these limits.
 * Codes do not depend on limits of the second kind: if a leader that does not check them orders
 * such a transaction, or a block with one is received from elsewhere, it is validated as in Fabric.
 * The time of validation is linear, up to logarithms, in the size of the transaction and in the
 * results of its range queries, whose summaries may be much shorter.
 *
 * Rejected: a code at commit for a transaction above a limit (two networks would disagree about the
 * same block); a time limit for a transaction (nodes would disagree); a cost in the batch, so that
 * expensive transactions get blocks of their own (every committer would still validate them).
 */
#include "core/txn/txn_internal.h"

#include "core/policy/policy.h"

static FbStatus
limit_exceeded(FbError *error, const char *what, size_t count, size_t limit)
{
	fb_fail(error, FB_LIMIT_EXCEEDED, "transaction exceeds a limit of validation");
	fb_error_detail(error, "%s: %zu, more than %zu.", what, count, limit);
	return FB_LIMIT_EXCEEDED;
}

/* A limit was reached while decoding: the decoder's message becomes the detail. */
static FbStatus
exceed_inside(FbError *error, const char *part)
{
	char reason[FB_ERROR_MESSAGE_BYTES];

	if (error == NULL)
		return FB_LIMIT_EXCEEDED;
	memcpy(reason, error->message, sizeof(reason));
	fb_fail(error, FB_LIMIT_EXCEEDED, "transaction exceeds a limit of validation");
	fb_error_detail(error, "%s: %s.", part, reason);
	return FB_LIMIT_EXCEEDED;
}

static FbStatus
limit_check_count(FbError *error, const char *what, size_t count, size_t limit)
{
	return count > limit ? limit_exceeded(error, what, count, limit) : FB_OK;
}

/* only sizes matter: a policy that cannot be decoded is never satisfied, here as in Fabric */
static FbStatus
limit_check_policy(FbAllocator *allocator, FbBytes envelope, FbError *error)
{
	size_t rules_count;
	size_t principals_count;
	FbStatus status =
		signature_policy_measure(allocator, envelope, &rules_count, &principals_count, error);

	if (status == FB_LIMIT_EXCEEDED)
		return exceed_inside(error, "The endorsement policy of a key");
	if (status != FB_OK)
		return status == FB_OUT_OF_MEMORY ? status : FB_OK;
	FB_TRY(limit_check_count(error, "Rules of the endorsement policy of a key", rules_count,
							 FB_ADMITTED_KEY_POLICY_RULES_MAX));
	return limit_check_count(error, "Principals of the endorsement policy of a key",
							 principals_count, FB_ADMITTED_KEY_POLICY_PRINCIPALS_MAX);
}

static FbStatus
check_metadata(FbAllocator *allocator, const RwSetMetadataWrite *writes, size_t count,
			   FbError *error)
{
	const FbBytes *before = NULL;

	for (size_t i = 0; i < count; i++)
		for (size_t k = 0; k < writes[i].entries_count; k++)
		{
			const FbBytes *policy = &writes[i].entries[k].value;

			if (!fb_bytes_equal(writes[i].entries[k].name,
								FB_BYTES_LITERAL(RWSET_VALIDATION_PARAMETER)))
				continue;
			/* many keys in a row often have the same policy */
			if (before == NULL || !fb_bytes_equal(*before, *policy))
				FB_TRY(limit_check_policy(allocator, *policy, error));
			before = policy;
		}
	return FB_OK;
}

/*
 * The least number of results of a query that is consistent with its summary: a hash of level L
 * stands for (degree + 1)^L results; only the last hash of a level may stand for fewer (merkle.c).
 * If a summary stands for fewer results than exist, validation fails after about that many.
 */
static size_t
count_results(const RwSetRange *range)
{
	uint64_t width = (uint64_t) range->merkle.max_degree + 1;
	uint64_t count =
		range->merkle.hashes_count > 1 ? range->merkle.hashes_count - 1 : range->merkle.max_degree;
	uint32_t levels = range->merkle.hashes_count > 1 ? range->merkle.max_level
					  : range->merkle.max_level > 0	 ? range->merkle.max_level - 1
													 : 0;

	if (range->kind != RWSET_RANGE_MERKLE)
		return range->reads_count;
	/* no endorser can have made it, and validation stops at it */
	if (range->merkle.max_degree < 2 || range->merkle.hashes_count == 0)
		return 0;
	for (uint32_t i = 0; i < levels && count <= FB_RWSET_ENTRIES_MAX; i++)
		count *= width;
	return (size_t) count;
}

static FbStatus
check_ranges(const RwSet *rwset, FbError *error)
{
	size_t ranges_count = 0;
	size_t results_count = 0;

	for (size_t n = 0; n < rwset->namespaces_count; n++)
	{
		const RwSetNamespace *ns = &rwset->namespaces[n];

		ranges_count += ns->ranges_count;
		for (size_t i = 0; i < ns->ranges_count; i++)
		{
			if (ns->ranges[i].kind == RWSET_RANGE_MERKLE)
				FB_TRY(limit_check_count(error, "Degree of the hashes of a range",
										 ns->ranges[i].merkle.max_degree, FB_QUERY_RESULTS_MAX));
			/* each count exceeds the limit by little at most, so the sum cannot overflow */
			results_count += count_results(&ns->ranges[i]);
			FB_TRY(limit_check_count(error, "Results of range queries", results_count,
									 FB_RWSET_ENTRIES_MAX));
		}
	}
	return limit_check_count(error, "Range queries", ranges_count, FB_ADMITTED_RANGES_MAX);
}

FbStatus
check_limits_of_rwset(FbAllocator *allocator, const RwSet *rwset, size_t endorsements_count,
					  FbError *error)
{
	size_t collections_count = 0;
	size_t keys_count = 0;

	/*
	 * a name longer than that of any approved definition gets the code of an undefined chaincode,
	 * as in Fabric
	 */
	FB_TRY(limit_check_count(error, "Bytes of a key that is written",
							 rwset_longest_written_key(rwset), FB_STATE_KEY_BYTES_MAX));
	FB_TRY(limit_check_count(error, "Namespaces", rwset->namespaces_count,
							 FB_ADMITTED_NAMESPACES_MAX));
	FB_TRY(check_ranges(rwset, error));
	for (size_t n = 0; n < rwset->namespaces_count; n++)
	{
		const RwSetNamespace *ns = &rwset->namespaces[n];

		collections_count += ns->collections_count;
		FB_TRY(limit_check_count(error, "Collections", collections_count,
								 FB_ADMITTED_COLLECTIONS_MAX));
		keys_count += ns->writes_count + ns->metadata_writes_count;
		FB_TRY(check_metadata(allocator, ns->metadata_writes, ns->metadata_writes_count, error));
		for (size_t c = 0; c < ns->collections_count; c++)
		{
			const RwSetCollection *collection = &ns->collections[c];

			keys_count += collection->hashed_writes_count + collection->metadata_writes_count;
			FB_TRY(check_metadata(allocator, collection->metadata_writes,
								  collection->metadata_writes_count, error));
		}
	}
	/* both factors are at most a million */
	return limit_check_count(error, "Written keys times endorsements",
							 keys_count * endorsements_count,
							 FB_ADMITTED_KEYS_TIMES_ENDORSEMENTS_MAX);
}

/* the fields that check_envelope sets */
static TxView
view_of_envelope(const Envelope *envelope)
{
	return (TxView) {
		.payload = envelope->payload,
		.signature = envelope->signature,
		.type = envelope->type,
		.channel_id = envelope->channel_id,
		.tx_id = envelope->tx_id,
		.ledger_tx_id = envelope->ledger_tx_id,
		.timestamp = envelope->timestamp,
		.epoch = envelope->epoch,
		.creator = envelope->creator,
		.nonce = envelope->nonce,
		.data = envelope->data,
		.channel_header = envelope->channel_header,
		.signature_header = envelope->signature_header,
		.extension = envelope->extension,
	};
}

FbStatus
check_limits(FbAllocator *allocator, const Envelope *envelope, FbError *error)
{
	TxView view = view_of_envelope(envelope);
	TxCode code;

	FB_TRY(txn_check_headers(&view, &code, error));
	if (code == TX_VALID)
		FB_TRY(check_transaction(allocator, view.channel_id, &view, &code, error));
	FB_TRY(limit_check_count(error, "Endorsements", view.endorsements_count,
							 FB_ADMITTED_ENDORSEMENTS_MAX));
	for (size_t i = 0; i < view.endorsements_count; i++)
		FB_TRY(limit_check_count(error, "Bytes of an endorser's identity",
								 view.endorsements[i].endorser.size, FB_IDENTITY_BYTES_MAX));
	if (code == TX_VALID)
		FB_TRY(check_action(allocator, &view, &code, error));
	if (view.over_limit)
		return exceed_inside(error, "It cannot be decoded");
	return view.rwset == NULL
			   ? FB_OK
			   : check_limits_of_rwset(allocator, view.rwset, view.endorsements_count, error);
}
