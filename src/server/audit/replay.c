/*
 * replay.c: validate and apply the blocks of a channel in memory, as the committer does in the
 * tables.
 *
 * The problem. An audit must find out which state, history, validation codes and commit hashes
 * follow from the blocks of a chain, without using any table that it is to check. The result must
 * be exactly the committer's: any difference between two implementations of validation would be
 * reported as damage of the ledger. And a damaged block must not make all later blocks look wrong.
 *
 * The rule. A Replay is a ValidationSource (server/commit/commit.h): validate_block_from runs the
 * same validation as in the committer, and gets transaction ids, committed values, ranges and
 * chaincode definitions from memory. The replay starts with the configuration of block 0
 * (replay_genesis) and takes the blocks in order. After each block its writes are applied to the
 * replayed state (replay_state.c), the values are added to the history as hashes, and the commit
 * hash is continued.
 *
 * Every signature is verified. The node's cache of verified signatures is not used, because an
 * audit must not depend on earlier verdicts of the node that it checks.
 *
 * Codes. For a block that is intact, and follows intact blocks only, the computed codes count
 * (REPLAY_OWN). After a damaged block the replayed state may not be the one that the block was
 * validated against. Then the stored codes count where both the stored and the computed code depend
 * on the state (REPLAY_STATE, is_decided_by_state); a code that depends on the transaction alone is
 * still computed. For the damaged block itself the stored codes count for all transactions
 * (REPLAY_STORED), because its transactions may no longer be those that were validated. Where
 * stored codes differ from the computed ones, the effect of the block is computed again from them,
 * without any reads (write_by_codes): otherwise a read conflict would drop a write that the
 * committer applied.
 *
 * Rejected: comparing each row with the blocks that mention it, because versions, deletions and
 * codes follow only from the whole chain. Replaying into temporary tables, because a verification
 * writes nothing, and they would use the code whose results the audit checks. A second
 * implementation of validation, because the audit would report differences between the two as
 * damage.
 *
 * What holds afterwards. The replay depends only on the blocks, and after damage on the stored
 * codes. It writes nothing but temporary files, and works on a standby. The state, the hashes of
 * the history and the transaction ids of the whole chain are in structures whose memory is bounded
 * by maintenance_work_mem (replay_state.c, replay_history.c), until replay->context is deleted.
 */
#include "server/audit/audit_internal.h"

#include "miscadmin.h"

/* ---- the source of a validation ---- */

/* verifies the signature itself, or takes it from a worker of this verification; without a cache */
static FbStatus
replay_verify(void *context, const Identity *identity, const PolicySignature *signature,
			  size_t index, bool *valid, FbError *error)
{
	const Replay *replay = context;
	uint8_t digest[CRYPTO_SHA256_BYTES];
	FbStatus status;

	CHECK_FOR_INTERRUPTS();
	policy_signature_digest(signature, digest);
	*valid = replay->ahead != NULL &&
			 verify_ahead_contains(replay->ahead, signature->identity,
								   fb_bytes(digest, sizeof(digest)), signature->signature);
	if (*valid)
		return FB_OK;
	status = identity_verify_digest(identity, digest, signature->signature, error);
	*valid = status == FB_OK;
	return status == FB_INVALID_SIGNATURE ? FB_OK : status;
}

static void
replay_find_tx_ids(ValidationSource *self, const FbBytes *tx_ids, int count, bool *found)
{
	Replay *replay = (Replay *) self;

	for (int i = 0; i < count; i++)
	{
		uint8_t hash[CRYPTO_SHA256_BYTES];
		ReplayRow row;

		if (tx_ids[i].size == 0)
			continue;
		crypto_sha256(tx_ids[i], hash);
		found[i] =
			replay_state_get(replay->tx_ids, FB_BYTES_EMPTY, fb_bytes(hash, sizeof(hash)), &row);
	}
}

static void
replay_fetch(ValidationSource *self, MvccBlock *keys)
{
	Replay *replay = (Replay *) self;

	for (size_t i = 0; i < keys->keys_count; i++)
	{
		MvccKey *key = &keys->keys[i];
		ReplayRow row;

		CHECK_FOR_INTERRUPTS();
		if (!key->storable ||
			!replay_state_get(replay->state, key->state_namespace, key->key, &row))
			continue;
		key->committed = row.version;
		key->committed_value = row.value;
		key->committed_metadata = row.metadata;
	}
}

static FbStatus
replay_range_open(RangeSource *self, FbBytes namespace_name, FbBytes start_key, FbBytes end_key,
				  FbError *error)
{
	Replay *replay = (Replay *) ((char *) self - offsetof(Replay, ranges));

	replay->cursor = replay_cursor_open(replay->state, namespace_name, start_key);
	replay->cursor_namespace = namespace_name;
	replay->cursor_end = end_key;
	return FB_OK;
}

static FbStatus
replay_range_next(RangeSource *self, FbBytes *key, RwSetVersion *version, bool *found,
				  FbError *error)
{
	Replay *replay = (Replay *) ((char *) self - offsetof(Replay, ranges));
	ReplayRow row;

	*found = replay_cursor_next(replay->cursor, &row) &&
			 fb_bytes_equal(row.namespace_name, replay->cursor_namespace) &&
			 (replay->cursor_end.size == 0 || fb_bytes_compare(row.key, replay->cursor_end) < 0);
	if (*found)
	{
		*key = row.key;
		*version = row.version;
	}
	return FB_OK;
}

static void
replay_range_close(RangeSource *self)
{
	Replay *replay = (Replay *) ((char *) self - offsetof(Replay, ranges));

	replay_cursor_close(replay->cursor);
	replay->cursor = NULL;
}

static bool
get_lifecycle(void *context, FbBytes key, FbBytes *value)
{
	Replay *replay = context;
	ReplayRow row;

	if (!replay_state_get(replay->state, FB_BYTES_LITERAL(LIFECYCLE_NAMESPACE), key, &row))
		return false;
	*value = row.value;
	return true;
}

static FbStatus
replay_definition(ValidationSource *self, const char *chaincode, ChaincodeDefinition *result,
				  FbError *error)
{
	return definition_find_in(get_lifecycle, self, chaincode, result, error);
}

/* ---- blocks ---- */

size_t
replay_memory_bytes(int divisor)
{
	return (size_t) maintenance_work_mem * 1024 / (size_t) divisor;
}

Replay *
replay_create(const Ledger *ledger, bool with_history)
{
	MemoryContext context =
		AllocSetContextCreate(CurrentMemoryContext, "fabric replay", ALLOCSET_DEFAULT_SIZES);
	Replay *replay = MemoryContextAllocZero(context, sizeof(Replay));

	replay->ranges = (RangeSource) {replay_range_open, replay_range_next, replay_range_close};
	replay->source = (ValidationSource) {replay_verify, replay_find_tx_ids, replay_fetch,
										 &replay->ranges, replay_definition};
	replay->context = context;
	replay->ledger = ledger;
	replay->state = replay_state_create(context, replay_memory_bytes(2));
	replay->tx_ids = replay_state_create(context, replay_memory_bytes(8));
	if (with_history)
		replay->history = replay_history_create(context, (int) (replay_memory_bytes(4) / 1024));
	return replay;
}

void
replay_close(Replay *replay)
{
	if (replay->ahead != NULL)
		verify_ahead_end(replay->ahead);
	replay_state_close(replay->state);
	replay_state_close(replay->tx_ids);
	if (replay->history != NULL)
		replay_history_close(replay->history);
	MemoryContextDelete(replay->context);
}

static void
replay_destroy_bundle(void *bundle)
{
	config_bundle_destroy(bundle);
}

static void
add_tx_id(Replay *replay, FbBytes tx_id)
{
	uint8_t hash[CRYPTO_SHA256_BYTES];

	/* the index does not find ids that are too long for it either */
	if (tx_id.size == 0 || tx_id.size > 1024)
		return;
	crypto_sha256(tx_id, hash);
	replay_state_put(replay->tx_ids, FB_BYTES_EMPTY, fb_bytes(hash, sizeof(hash)), FB_BYTES_EMPTY,
					 FB_BYTES_EMPTY, (RwSetVersion) {false, 0, 0});
}

/* the configuration of the blocks after this one; false: the envelope holds none, why tells */
static bool
replay_set_config(Replay *replay, uint64 number, FbBytes envelope, FbError *why)
{
	FbAllocator *allocator = memory_allocator(replay->context);
	FbBytes kept;
	ConfigBundle *bundle;
	ConsenterIds consenter_ids;
	FbStatus status;

	error_check(fb_bytes_copy(allocator, envelope, &kept, why), why);
	status = config_bundle_from_envelope(allocator, kept, &bundle, why);
	if (status == FB_OUT_OF_MEMORY || status == FB_CRYPTO_FAILURE)
		error_throw(why);
	if (status != FB_OK)
		return false;
	memory_on_reset(replay->context, replay_destroy_bundle, bundle);
	if (strcmp(bundle->channel_id, replay->ledger->channel) != 0)
	{
		fb_fail(why, FB_INVALID_CONFIG, "it is the configuration of channel \"%s\"",
				bundle->channel_id);
		return false;
	}
	if (number == 0)
		consenter_ids_first(bundle->consenters_count, &consenter_ids);
	else
		channel_follow_consenters(&replay->channel, bundle, &consenter_ids);
	replay->bundle = bundle;
	replay->channel = (Channel) {.name = replay->ledger->channel,
								 .config_block_number = number,
								 .bundle = bundle,
								 .consenter_ids = consenter_ids,
								 .ledger = replay->ledger};
	replay_state_put(replay->state, FB_BYTES_EMPTY, FB_BYTES_LITERAL("CHANNEL_CONFIG_ENV_BYTES"),
					 bundle->config_envelope, FB_BYTES_EMPTY, (RwSetVersion) {true, number, 0});
	return true;
}

bool
replay_genesis(Replay *replay, FbBytes envelope, FbError *why)
{
	Envelope view;

	if (!replay_set_config(replay, 0, envelope, why))
		return false;
	if (envelope_parse(memory_allocator(CurrentMemoryContext), envelope, &view, why) == FB_OK)
		add_tx_id(replay, view.ledger_tx_id);
	return true;
}

static void
replay_apply(Replay *replay, uint64 number, const MvccResult *result)
{
	for (size_t i = 0; i < result->updates_count; i++)
	{
		const StateUpdate *update = &result->updates[i];

		if (update->is_delete)
			replay_state_remove(replay->state, update->state_namespace, update->key);
		else
			replay_state_put(replay->state, update->state_namespace, update->key, update->value,
							 update->metadata, update->version);
	}
	for (size_t i = 0; replay->history != NULL && i < result->history_count; i++)
		replay_history_add(replay->history, number, &result->history[i]);
}

/*
 * Compute the effect of the transactions with code VALID in codes, whether or not their reads were
 * current.
 */
static void
write_by_codes(Replay *replay, uint64 number, const FbBytes *data, size_t data_count,
			   const uint8_t *codes, MvccResult *result)
{
	FbAllocator *allocator = memory_allocator(CurrentMemoryContext);
	MvccTransaction *transactions = palloc0(data_count * sizeof(MvccTransaction) + 1);
	MvccBlock *keys;
	FbError error;

	for (size_t i = 0; i < data_count; i++)
	{
		TxView view;
		TxCode code;

		transactions[i].code = codes[i];
		if (codes[i] != TX_VALID)
			continue;
		error_check(check_structure(allocator, data[i], fb_bytes_of_text(replay->ledger->channel),
									&view, &code, &error),
					&error);
		if (view.rwset != NULL)
			rwset_forget_reads(view.rwset);
		transactions[i].rwset = view.rwset;
	}
	error_check(mvcc_prepare(allocator, transactions, data_count, &keys, &error), &error);
	replay_fetch(&replay->source, keys);
	error_check(mvcc_validate(allocator, keys, number, &replay->ranges, result, &error), &error);
}

/* Does the code depend on what was committed before? */
static bool
is_decided_by_state(int code)
{
	switch (code)
	{
		case TX_VALID:
		case TX_DUPLICATE_TXID:
		case TX_ENDORSEMENT_POLICY_FAILURE:
		case TX_MVCC_READ_CONFLICT:
		case TX_PHANTOM_READ_CONFLICT:
		case TX_INVALID_CHAINCODE:
		case TX_INVALID_CONFIG_TRANSACTION:
			return true;
		default:
			return false;
	}
}

void
replay_block(Replay *replay, uint64 number, const FbBytes *data, size_t data_count,
			 ReplayTrust trust, const uint8_t *stored, ValidatedBlock *validated, uint8_t *codes,
			 FbBytes *commit_hash)
{
	uint8_t *hash = palloc(CRYPTO_SHA256_BYTES);
	bool own = true;
	FbError why;

	if (replay->ahead != NULL)
		verify_ahead_block(replay->ahead, number);
	validate_block_from(&replay->channel, &replay->source, number, data, data_count, validated);
	for (size_t i = 0; i < data_count; i++)
	{
		TxCode code = validated->transactions[i].code;

		codes[i] = (uint8_t) code;
		if (trust == REPLAY_STORED ||
			(trust == REPLAY_STATE && is_decided_by_state(code) && is_decided_by_state(stored[i])))
			codes[i] = stored[i];
		own = own && codes[i] == (uint8_t) code;
	}
	if (!own)
		write_by_codes(replay, number, data, data_count, codes, &validated->mvcc);
	update_commit_hash(fb_bytes(codes, data_count), validated->mvcc.updates,
					   validated->mvcc.updates_count, *commit_hash, hash);
	*commit_hash = fb_bytes(hash, CRYPTO_SHA256_BYTES);
	replay_apply(replay, number, &validated->mvcc);
	for (size_t i = 0; i < data_count; i++)
		add_tx_id(replay, validated->transactions[i].view.ledger_tx_id);
	replay_state_settle(replay->state);
	replay_state_settle(replay->tx_ids);
	msp_manager_trim(replay->bundle->msps);
	/* one that cannot be read has been reported as a wrong code */
	if (block_has_config(data, data_count) && codes[0] == TX_VALID)
		(void) replay_set_config(replay, number, data[0], &why);
}
