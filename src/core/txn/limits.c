/*
 * limits: transactions that this project would judge by one of its own limits. Fabric's orderers look at no content, and its peers have no such limits
 * (but those of memory); here an orderer refuses what its peers could not judge as Fabric does. An honest client never comes near.
 */
#include "core/txn/txn_internal.h"

#include "core/policy/policy.h"

static FbStatus
exceed(FbError *error, const char *what, size_t count, size_t limit)
{
	fb_fail(error, FB_LIMIT_EXCEEDED, "transaction exceeds a limit of validation");
	fb_error_detail(error, "%s: %zu, more than %zu.", what, count, limit);
	return FB_LIMIT_EXCEEDED;
}

/* a limit that was reached while something was decoded: what was said there is the detail */
static FbStatus
exceed_inside(FbError *error, const char *part)
{
	char		reason[FB_ERROR_MESSAGE_BYTES];

	if (error == NULL)
		return FB_LIMIT_EXCEEDED;
	memcpy(reason, error->message, sizeof(reason));
	fb_fail(error, FB_LIMIT_EXCEEDED, "transaction exceeds a limit of validation");
	fb_error_detail(error, "%s: %s.", part, reason);
	return FB_LIMIT_EXCEEDED;
}

/* only limits matter: a policy that cannot be decoded satisfies nobody, here as in Fabric */
static FbStatus
check_policy(FbAllocator *allocator, FbBytes envelope, FbError *error)
{
	SignaturePolicy *policy;
	FbStatus	status = signature_policy_decode(allocator, envelope, &policy, error);

	if (status == FB_LIMIT_EXCEEDED)
		return exceed_inside(error, "The endorsement policy of a key");
	return status == FB_OUT_OF_MEMORY ? status : FB_OK;
}

static FbStatus
check_metadata(FbAllocator *allocator, const RwSetMetadataWrite *writes, size_t count, FbError *error)
{
	for (size_t i = 0; i < count; i++)
		for (size_t k = 0; k < writes[i].entries_count; k++)
			if (fb_bytes_equal(writes[i].entries[k].name, FB_BYTES_LITERAL(RWSET_VALIDATION_PARAMETER)))
				FB_TRY(check_policy(allocator, writes[i].entries[k].value, error));
	return FB_OK;
}

static FbStatus
check_ranges(const RwSetNamespace *ns, FbError *error)
{
	for (size_t i = 0; i < ns->ranges_count; i++)
		if (ns->ranges[i].kind == RWSET_RANGE_MERKLE && ns->ranges[i].merkle.max_degree > FB_QUERY_RESULTS_MAX)
			return exceed(error, "Degree of the hashes of a range", ns->ranges[i].merkle.max_degree, FB_QUERY_RESULTS_MAX);
	return FB_OK;
}

static FbStatus
check_rwset(FbAllocator *allocator, const RwSet *rwset, FbError *error)
{
	size_t		key_bytes = rwset_longest_written_key(rwset);

	/* longer names than any definition that is approved has get the code of what is not defined, as in Fabric */
	if (key_bytes > FB_STATE_KEY_BYTES_MAX)
		return exceed(error, "Bytes of a key that is written", key_bytes, FB_STATE_KEY_BYTES_MAX);
	for (size_t n = 0; n < rwset->namespaces_count; n++)
	{
		const RwSetNamespace *ns = &rwset->namespaces[n];

		FB_TRY(check_ranges(ns, error));
		FB_TRY(check_metadata(allocator, ns->metadata_writes, ns->metadata_writes_count, error));
		for (size_t c = 0; c < ns->collections_count; c++)
			FB_TRY(check_metadata(allocator, ns->collections[c].metadata_writes, ns->collections[c].metadata_writes_count, error));
	}
	return FB_OK;
}

FbStatus
check_limits(FbAllocator *allocator, FbBytes envelope, FbError *error)
{
	TxView		view;
	TxCode		code;

	FB_TRY(check_envelope(allocator, envelope, &view, &code, error));
	if (code == TX_VALID)
		FB_TRY(check_transaction(allocator, view.channel_id, &view, &code, error));
	if (view.endorsements_count > FB_ENDORSEMENTS_MAX)
		return exceed(error, "Endorsements", view.endorsements_count, FB_ENDORSEMENTS_MAX);
	for (size_t i = 0; i < view.endorsements_count; i++)
		if (view.endorsements[i].endorser.size > FB_IDENTITY_BYTES_MAX)
			return exceed(error, "Bytes of an endorser's identity", view.endorsements[i].endorser.size, FB_IDENTITY_BYTES_MAX);
	if (code == TX_VALID)
		FB_TRY(check_action(allocator, &view, &code, error));
	if (view.over_limit)
		return exceed_inside(error, "It cannot be decoded");
	return view.rwset == NULL ? FB_OK : check_rwset(allocator, view.rwset, error);
}
