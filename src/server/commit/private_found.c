/*
 * private_found.c: store plaintext received from another node of the organization.
 *
 * The transaction was committed without its plaintext, and later transactions may have been
 * committed since. So each value is checked separately: it is stored if the transaction wrote the
 * hash of its key with the hash of its value, and the hashed state still has the version that this
 * transaction wrote. Values that were overwritten or deleted since are ignored. The note that
 * plaintext is missing is removed when all current values of the transaction are present.
 */
#include "server/commit/commit_internal.h"

typedef struct FoundTransaction
{
	const Ledger *ledger;
	FbAllocator *allocator;
	RwSetVersion version;
	const RwSet *rwset;
	size_t wanted_count; /* values that are still current */
	size_t stored_count; /* number of these that were stored */
} FoundTransaction;

/* Does the hashed state still have the version that the transaction wrote? */
static bool
still_stands(const FoundTransaction *found, FbBytes namespace_name, FbBytes collection,
			 const RwSetWrite *write)
{
	FbBytes hashed_namespace;
	StateRow row;
	FbError error;

	error_check(rwset_hashed_namespace(found->allocator, namespace_name, collection,
									   &hashed_namespace, &error),
				&error);
	return state_store_get(found->ledger, hashed_namespace, write->key, NULL, &row) &&
		   fb_bytes_equal(row.value, write->value) &&
		   (row.metadata.size > 0 || rwset_version_equal(row.version, found->version));
}

/* the plaintext whose hashes are those of the write; NULL: the received data does not have it */
static const RwSetWrite *
find_plaintext(const RwSetPrivate *given, const RwSetWrite *hashed)
{
	for (size_t i = 0; i < given->writes_count; i++)
	{
		uint8_t key_hash[CRYPTO_SHA256_BYTES];
		uint8_t value_hash[CRYPTO_SHA256_BYTES];

		crypto_sha256(given->writes[i].key, key_hash);
		crypto_sha256(given->writes[i].value, value_hash);
		if (fb_bytes_equal(hashed->key, fb_bytes(key_hash, sizeof(key_hash))) &&
			fb_bytes_equal(hashed->value, fb_bytes(value_hash, sizeof(value_hash))))
			return &given->writes[i];
	}
	return NULL;
}

/* given: received data of this collection; NULL when there is none */
static void
store_collection(FoundTransaction *found, FbBytes namespace_name, const RwSetCollection *collection,
				 const RwSetPrivate *given)
{
	for (size_t w = 0; w < collection->hashed_writes_count; w++)
	{
		const RwSetWrite *hashed = &collection->hashed_writes[w];
		const RwSetWrite *plaintext;
		RwSetPrivate one = {.writes_count = 1};

		if (rwset_hashed_write_deletes(hashed) ||
			!still_stands(found, namespace_name, collection->name, hashed))
			continue;
		found->wanted_count++;
		plaintext = given == NULL ? NULL : find_plaintext(given, hashed);
		if (plaintext == NULL)
			continue;
		one.writes = (RwSetWrite *) plaintext;
		private_store_apply(found->ledger, namespace_name, collection->name, &one, found->version);
		found->stored_count++;
	}
}

static const RwSetPrivate *
given_of(const FoundTransaction *found, const RwSetPrivateCollection *collections,
		 size_t collections_count, FbBytes namespace_name, FbBytes collection)
{
	for (size_t i = 0; i < collections_count; i++)
	{
		RwSetPrivate *set;
		FbError error;

		if (fb_bytes_equal(collections[i].namespace_name, namespace_name) &&
			fb_bytes_equal(collections[i].collection, collection))
			return rwset_private_parse(found->allocator, collections[i].bytes, &set, &error) ==
						   FB_OK
					   ? set
					   : NULL;
	}
	return NULL;
}

bool
commit_private_found(const Channel *channel, RwSetVersion version, FbBytes private_rwset)
{
	FoundTransaction found = {.ledger = channel->ledger,
							  .allocator = memory_allocator(CurrentMemoryContext),
							  .version = version};
	RwSetPrivateCollection *collections = NULL;
	size_t collections_count = 0;
	TransactionRow row;
	TxView view = {0};
	TxCode code;
	FbError error;

	/* bytes from another node: if they cannot be read, they count as not received */
	if (private_rwset.size > 0 &&
		rwset_private_collections_parse(found.allocator, private_rwset, &collections,
										&collections_count, &error) != FB_OK)
		collections_count = 0;
	if (!block_store_transaction(channel->ledger, version.block_number, (uint32) version.tx_index,
								 NULL, true, &row) ||
		check_structure(found.allocator, row.envelope, fb_bytes_of_text(channel->name), &view,
						&code, &error) != FB_OK ||
		view.rwset == NULL)
		return false;
	for (size_t n = 0; n < view.rwset->namespaces_count; n++)
		for (size_t c = 0; c < view.rwset->namespaces[n].collections_count; c++)
		{
			const RwSetCollection *collection = &view.rwset->namespaces[n].collections[c];
			FbBytes name = view.rwset->namespaces[n].name;

			if (commit_is_own_collection(collection->name))
				store_collection(&found, name, collection,
								 given_of(&found, collections, collections_count, name,
										  collection->name));
		}
	if (found.stored_count < found.wanted_count)
		return false;
	private_store_forget_missing(channel->ledger, version);
	return true;
}
