/*
 * hot_keys.c: let transactions of this node that read and write the same key run one after the
 * other.
 *
 * The problem. Of two transactions that read the same version of a key and write it, committers
 * accept one; the other has cost as much for nothing. With 256 sessions on 100 keys two of three
 * transactions are invalid, and the more sessions there are, the fewer transactions are valid.
 *
 * The rule. The first endorsement shows which keys are read and written. Before the transaction is
 * submitted, the session takes its turn for these keys (pg/waiters.c) and keeps it until the
 * transaction is committed here. If one of the keys was written since it was read, the transaction
 * would be invalid. Then the same proposal is endorsed again on the newest state, while no other
 * session of this node is about to change the keys.
 *
 * What holds afterwards. A client notices only fewer read conflicts: it gets the result of the
 * endorsement that was submitted. Turns are taken in one order for all sessions and within
 * fabric.hot_key_timeout in total, so no session waits forever. A session that gets no turn submits
 * its transaction as it is, and the committers decide.
 *
 * Not covered: transactions of other nodes. Keys that are only read or only written have no turns,
 * because such transactions do not conflict. The split call takes no turns: this node learns of the
 * transaction only when it is submitted.
 */
#include "server/gateway/gateway_internal.h"

#include "common/hashfn.h"
#include "utils/snapmgr.h"

#include "core/rwset/rwset.h"

/*
 * No turns with more reads than this: comparing them with the writes would take long, and hot keys
 * are not the main problem of such a transaction.
 */
#define READS_MAX 256

typedef struct HotKey
{
	FbBytes namespace_name;
	const RwSetRead *read;
	uint32 hash;
} HotKey;

static const RwSetRead *
find_read(const RwSetNamespace *ns, FbBytes key)
{
	for (size_t i = 0; i < ns->reads_count; i++)
		if (fb_bytes_equal(ns->reads[i].key, key))
			return &ns->reads[i];
	return NULL;
}

static uint32
hash_key(const Channel *channel, FbBytes namespace_name, FbBytes key)
{
	uint32 hash = hash_combine(hash_uint32((uint32) channel->ledger->id),
							   hash_bytes(namespace_name.data, (int) namespace_name.size));

	return hash_combine(hash, hash_bytes(key.data, (int) key.size));
}

/* one order for all sessions, so that they cannot deadlock */
static int
compare_hashes(const void *a, const void *b)
{
	uint32 left = ((const HotKey *) a)->hash;
	uint32 right = ((const HotKey *) b)->hash;

	return left < right ? -1 : left > right;
}

/*
 * List the keys that are both read and written, in the order of their turns; -1: too many for
 * turns.
 */
static int
list_keys(const Channel *channel, FbBytes response_payload, HotKey *keys)
{
	FbAllocator *allocator = memory_allocator(CurrentMemoryContext);
	ResponsePayload content;
	RwSet *rwset;
	int count = 0;
	FbError error;

	error_check(response_payload_parse(allocator, response_payload, &content, &error), &error);
	error_check(rwset_parse(allocator, content.results, &rwset, &error), &error);
	for (size_t n = 0; n < rwset->namespaces_count; n++)
	{
		const RwSetNamespace *ns = &rwset->namespaces[n];

		if (ns->writes_count > TURNS_MAX || ns->reads_count > READS_MAX)
			return -1;
		for (size_t w = 0; w < ns->writes_count; w++)
		{
			const RwSetRead *read = find_read(ns, ns->writes[w].key);

			if (read == NULL)
				continue;
			if (count == TURNS_MAX)
				return -1;
			keys[count++] = (HotKey) {ns->name, read, hash_key(channel, ns->name, read->key)};
		}
	}
	qsort(keys, count, sizeof(HotKey), compare_hashes);
	return count;
}

/* was one of the keys written since it was read? */
static bool
keys_changed(const Channel *channel, const HotKey *keys, int count)
{
	Snapshot snapshot = RegisterSnapshot(GetLatestSnapshot());
	bool changed = false;

	for (int i = 0; i < count && !changed; i++)
	{
		StateRow row;

		(void) state_store_get(channel->ledger, keys[i].namespace_name, keys[i].read->key, snapshot,
							   &row);
		changed = !rwset_version_equal(row.version, keys[i].read->version);
	}
	UnregisterSnapshot(snapshot);
	return changed;
}

bool
hot_keys_take_turns(const Channel *channel, const GatewayTransaction *transaction)
{
	ChannelSlot *slot = channel_slot(channel);
	TimestampTz until = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), guc_hot_key_timeout);
	HotKey keys[TURNS_MAX];
	bool waited = false;
	int count;

	if (slot == NULL || guc_hot_key_timeout == 0 ||
		(count = list_keys(channel, transaction->response_payload, keys)) <= 0)
		return false;
	for (int i = 0; i < count; i++)
		if (!turn_take(slot, keys[i].hash, until, &waited))
			break;
	/* without a block since this node simulated, nothing was written since then */
	return slot_height(slot) != transaction->height && keys_changed(channel, keys, count);
}
