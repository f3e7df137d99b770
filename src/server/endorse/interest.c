/*
 * interest.c: find the chaincodes, collections and key policies that a simulated transaction
 * touches (Fabric: core/endorser/endorser.go, buildChaincodeInterest).
 *
 * They are computed from the read-write set and from the metadata of the written keys in this
 * node's state, never from what another node states about its own read-write set. As in Fabric, a
 * written key with a policy of its own does not need the policy of its collection or chaincode, a
 * namespace that is only read needs the chaincode's policy, and system chaincodes are left out.
 */
#include "server/endorse/endorse.h"

#include "miscadmin.h"
#include "utils/snapmgr.h"

#include "server/chaincode/chaincode.h"

#include "core/rwset/rwset.h"

/* the list while it is built */
typedef struct InterestList
{
	const Ledger *ledger;
	FbAllocator *allocator;
	InterestCall *calls;
	size_t count;
	size_t capacity;
} InterestList;

static int
compare_policies(const void *a, const void *b)
{
	return fb_bytes_compare(*(const FbBytes *) a, *(const FbBytes *) b);
}

/* each policy once, in byte order, so that every endorser returns the same list */
static size_t
sort_policies(FbBytes *policies, size_t count)
{
	size_t distinct = 0;

	if (count > 1)
		qsort(policies, count, sizeof(FbBytes), compare_policies);
	for (size_t i = 0; i < count; i++)
		if (i == 0 || !fb_bytes_equal(policies[i], policies[i - 1]))
			policies[distinct++] = policies[i];
	return distinct;
}

/* the policy of a key in the committed state; empty: none */
static FbBytes
policy_of_key(const InterestList *list, FbBytes state_namespace, FbBytes key)
{
	StateRow row;
	FbBytes parameter = FB_BYTES_EMPTY;
	FbError error;

	CHECK_FOR_INTERRUPTS();
	if (state_store_get(list->ledger, state_namespace, key, NULL, &row) && row.metadata.size > 0)
		error_check(rwset_metadata_validation_parameter(list->allocator, row.metadata, &parameter,
														&error),
					&error);
	return parameter;
}

static InterestCall *
interest_add_call(InterestList *list, FbBytes name, FbBytes collection)
{
	InterestCall *call;

	if (list->count == list->capacity)
	{
		list->capacity = Max(4, list->capacity * 2);
		list->calls = list->calls == NULL
						  ? palloc(list->capacity * sizeof(InterestCall))
						  : repalloc(list->calls, list->capacity * sizeof(InterestCall));
	}
	call = &list->calls[list->count++];
	*call = (InterestCall) {.name = name, .collection = collection};
	return call;
}

/* add the policies of all written keys of a namespace or a collection */
static void
add_written_keys(InterestList *list, InterestCall *call, FbBytes state_namespace,
				 const RwSetWrite *writes, size_t writes_count, const RwSetMetadataWrite *metadata,
				 size_t metadata_count)
{
	FbBytes *policies = palloc((writes_count + metadata_count) * sizeof(FbBytes) + 1);
	size_t count = 0;

	for (size_t i = 0; i < writes_count + metadata_count; i++)
	{
		FbBytes policy =
			policy_of_key(list, state_namespace,
						  i < writes_count ? writes[i].key : metadata[i - writes_count].key);

		if (policy.size > 0)
			policies[count++] = policy;
		else
			call->policy_needed = true;
	}
	call->key_policies_count = sort_policies(policies, count);
	call->key_policies = policies;
}

static void
add_collection(InterestList *list, FbBytes name, const RwSetCollection *collection)
{
	InterestCall *call = interest_add_call(list, name, collection->name);
	FbBytes state_namespace;
	FbError error;

	error_check(rwset_hashed_namespace(list->allocator, name, collection->name, &state_namespace,
									   &error),
				&error);
	call->no_private_reads = collection->hashed_reads_count == 0;
	call->policy_needed = !call->no_private_reads;
	add_written_keys(list, call, state_namespace, collection->hashed_writes,
					 collection->hashed_writes_count, collection->metadata_writes,
					 collection->metadata_writes_count);
}

static void
add_namespace(InterestList *list, const RwSetNamespace *ns)
{
	InterestCall *call = interest_add_call(list, ns->name, FB_BYTES_EMPTY);

	call->policy_needed = !rwset_namespace_writes(ns);
	add_written_keys(list, call, ns->name, ns->writes, ns->writes_count, ns->metadata_writes,
					 ns->metadata_writes_count);
	if (!call->policy_needed && call->key_policies_count == 0)
		list->count--; /* only collections are written: the namespace itself needs no policy */
	for (size_t i = 0; i < ns->collections_count; i++)
		add_collection(list, ns->name, &ns->collections[i]);
}

FbStatus
interest_collect(const Channel *channel, FbBytes results, FbAllocator *allocator,
				 InterestCall **calls, size_t *calls_count, FbError *error)
{
	InterestList list = {.ledger = channel->ledger, .allocator = allocator};
	RwSet *rwset;
	FbStatus status = rwset_parse(allocator, results, &rwset, error);

	*calls = NULL;
	*calls_count = 0;
	if (status != FB_OK)
		return status;
	/* an orderer would refuse the transaction, so tell the caller at once */
	FB_TRY(check_limits_of_rwset(allocator, rwset, 1, error));
	for (size_t i = 0; i < rwset->namespaces_count; i++)
		if (system_chaincode_find(rwset->namespaces[i].name) == NULL)
			add_namespace(&list, &rwset->namespaces[i]);
	*calls = list.calls;
	*calls_count = list.count;
	return FB_OK;
}

void
interest_of_keys(const Channel *channel, FbBytes chaincode, const FbBytes *keys, size_t keys_count,
				 FbAllocator *allocator, InterestCall *call)
{
	InterestList list = {.ledger = channel->ledger, .allocator = allocator};
	RwSetWrite *writes = palloc0(keys_count * sizeof(RwSetWrite) + 1);

	for (size_t i = 0; i < keys_count; i++)
		writes[i].key = keys[i];
	*call = (InterestCall) {.name = chaincode};
	add_written_keys(&list, call, chaincode, writes, keys_count, NULL, 0);
}
