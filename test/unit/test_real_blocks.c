/*
 * The blocks of a real Fabric network through core/txn and core/rwset: structure, transaction ids,
 * proposal hashes, signatures, read-write sets byte by byte, MVCC against the state that our own
 * updates build, validation codes and the chain of commit hashes.
 */
#include "core/proto/proto.h"
#include "core/txn/txn.h"
#include "unit/check.h"

#define TXS_MAX 16

/* ---- a state, built by the updates of the blocks so far ---- */

typedef struct Row
{
	FbBytes state_namespace;
	FbBytes key;
	FbBytes value;
	RwSetVersion version;
} Row;

typedef struct Ledger
{
	FbArena arena; /* rows and their bytes, all blocks */
	Row rows[1024];
	size_t rows_count;
	uint8_t commit_hash[32];
	bool has_commit_hash;
	size_t history_count;
	size_t signatures_count;
	size_t hashed_updates_count;
} Ledger;

static Row *
find_row(Ledger *ledger, FbBytes state_namespace, FbBytes key)
{
	for (size_t i = 0; i < ledger->rows_count; i++)
	{
		if (fb_bytes_equal(ledger->rows[i].state_namespace, state_namespace) &&
			fb_bytes_equal(ledger->rows[i].key, key))
			return &ledger->rows[i];
	}
	return NULL;
}

static FbBytes
keep(Ledger *ledger, FbBytes bytes)
{
	FbBytes copy;

	if (fb_bytes_copy(&ledger->arena.allocator, bytes, &copy, NULL) != FB_OK)
		exit(2);
	return copy;
}

static void
apply_updates(Ledger *ledger, const MvccResult *result)
{
	for (size_t i = 0; i < result->updates_count; i++)
	{
		const StateUpdate *update = &result->updates[i];
		Row *row = find_row(ledger, update->state_namespace, update->key);

		CHECK(!update->is_delete);
		ledger->hashed_updates_count += update->hashed;
		if (row == NULL)
		{
			row = &ledger->rows[ledger->rows_count++];
			row->state_namespace = keep(ledger, update->state_namespace);
			row->key = keep(ledger, update->key);
		}
		row->value = keep(ledger, update->value);
		row->version = update->version;
	}
}

/* ---- one block ---- */

static bool
signed_by(FbAllocator *allocator, FbBytes identity, const FbBytes *parts, size_t parts_count,
		  FbBytes signature)
{
	Msp__SerializedIdentity *message;
	CryptoCertificate *certificate;
	bool good;

	if (PROTO_UNPACK(msp__serialized_identity, identity, allocator, &message, NULL) != FB_OK ||
		crypto_certificate_parse(proto_bytes(message->id_bytes), &certificate, NULL) != FB_OK)
		return false;
	good = crypto_verify_parts(crypto_certificate_public_key(certificate), parts, parts_count,
							   signature, NULL) == FB_OK;
	crypto_certificate_free(certificate);
	return good;
}

static void
check_signatures(Ledger *ledger, FbAllocator *allocator, const TxView *view)
{
	CHECK(signed_by(allocator, view->creator, &view->payload, 1, view->signature));
	for (size_t i = 0; i < view->endorsements_count; i++)
	{
		const FbBytes parts[2] = {view->proposal_response_payload, view->endorsements[i].endorser};

		CHECK(signed_by(allocator, view->endorsements[i].endorser, parts, 2,
						view->endorsements[i].signature));
		ledger->signatures_count++;
	}
}

/*
 * An endorser transaction: every check passes, the read-write set survives a round trip, and the id
 * belongs to nonce and creator.
 */
static void
check_transaction_of_block(Ledger *ledger, FbAllocator *allocator, FbBytes envelope, TxView *view)
{
	TxCode code;
	FbError why;
	FbBytes again;
	char tx_id[TX_ID_LENGTH + 1];
	ResponsePayload content;

	CHECK_STATUS(check_structure(allocator, envelope, FB_BYTES_LITERAL("bench"), view, &code, &why),
				 FB_OK);
	if (!CHECK(code == TX_VALID))
		fprintf(stderr, "    %s\n", why.message);
	CHECK_STATUS(envelope_pack(allocator, view->payload, view->signature, &again, NULL), FB_OK);
	CHECK(fb_bytes_equal(again, envelope));
	if (view->type != TX_TYPE_ENDORSER_TRANSACTION)
		return;
	tx_id_compute(view->nonce, view->creator, tx_id);
	CHECK(fb_bytes_equal(view->tx_id, fb_bytes_of_text(tx_id)));
	CHECK_STATUS(rwset_pack(allocator, view->rwset, &again, NULL), FB_OK);
	CHECK(fb_bytes_equal(again, view->results));
	CHECK_STATUS(response_payload_parse(allocator, view->proposal_response_payload, &content, NULL),
				 FB_OK);
	CHECK_STATUS(response_payload_build(allocator, &content, &again, NULL), FB_OK);
	CHECK(fb_bytes_equal(again, view->proposal_response_payload));
	check_signatures(ledger, allocator, view);
}

/*
 * Committed versions: from the ledger, or, for a block whose predecessors are not here, the version
 * that the first reader of the key saw (all first readers in these blocks are valid).
 */
static void
fill_committed(Ledger *ledger, MvccBlock *block, const MvccTransaction *transactions, size_t count,
			   bool from_reads)
{
	for (size_t k = 0; k < block->keys_count; k++)
	{
		MvccKey *key = &block->keys[k];

		if (!from_reads)
		{
			const Row *row = find_row(ledger, key->state_namespace, key->key);

			if (row != NULL)
			{
				key->committed = row->version;
				key->committed_value = row->value;
			}
			continue;
		}
		for (size_t t = count; t-- > 0;)
		{
			const RwSet *set = transactions[t].rwset;

			for (size_t n = 0; set != NULL && n < set->namespaces_count; n++)
			{
				for (size_t i = 0; i < set->namespaces[n].reads_count; i++)
				{
					if (fb_bytes_equal(set->namespaces[n].name, key->namespace_name) &&
						fb_bytes_equal(set->namespaces[n].reads[i].key, key->key))
						key->committed = set->namespaces[n].reads[i].version;
				}
			}
		}
	}
}

static void
check_block(Ledger *ledger, uint64_t number, const char *expected_codes)
{
	char path[64];
	FbArena arena;
	FbAllocator *allocator = &arena.allocator;
	FbBytes bytes;
	Common__Block *block;
	Common__Metadata *commit_hash;
	MvccTransaction transactions[TXS_MAX] = {0};
	TxView views[TXS_MAX];
	FbBytes ids[TXS_MAX];
	uint8_t codes[TXS_MAX] = {0};
	char text[64] = "";
	size_t count;
	MvccBlock *prepared;
	MvccResult result;
	FbBytes filter;

	fb_arena_init(&arena);
	snprintf(path, sizeof(path), "test/vectors/blocks/%llu.block", (unsigned long long) number);
	bytes = check_read_file(path);
	CHECK_STATUS(PROTO_UNPACK(common__block, bytes, allocator, &block, NULL), FB_OK);
	CHECK(block->header->number == number);
	count = block->data->n_data;
	if (!CHECK(count <= TXS_MAX))
		exit(2);
	for (size_t t = 0; t < count; t++)
	{
		FbBytes envelope = proto_bytes(block->data->data[t]);

		if (number == 0)
		{
			/* configtxgen made the genesis block: it has nonce and creator, but no signature. */
			Envelope view;

			CHECK_STATUS(envelope_parse(allocator, envelope, &view, NULL), FB_OK);
			CHECK(view.type == TX_TYPE_CONFIG &&
				  fb_bytes_equal(view.channel_id, FB_BYTES_LITERAL("bench")));
			CHECK(view.signature.size == 0 && view.data.size > 0);
			ids[t] = FB_BYTES_EMPTY;
			continue;
		}
		check_transaction_of_block(ledger, allocator, envelope, &views[t]);
		ids[t] = views[t].tx_id;
		transactions[t].rwset = views[t].rwset;
	}
	CHECK_STATUS(check_mark_duplicates(allocator, ids, codes, count, NULL), FB_OK);
	CHECK_STATUS(mvcc_prepare(allocator, transactions, count, &prepared, NULL), FB_OK);
	CHECK(!prepared->has_ranges);
	fill_committed(ledger, prepared, transactions, count, !ledger->has_commit_hash && number > 1);
	CHECK_STATUS(mvcc_validate(allocator, prepared, number, NULL, &result, NULL), FB_OK);
	for (size_t t = 0; t < count; t++)
	{
		codes[t] = transactions[t].code;
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%d", t > 0 ? " " : "",
				 codes[t]);
	}
	CHECK_TEXT(text, expected_codes);
	filter = proto_bytes(block->metadata->metadata[2]);
	CHECK(fb_bytes_equal(filter, fb_bytes(codes, count)));
	for (size_t i = 0; i < result.conflicts_count; i++)
	{
		const MvccConflict *conflict = &result.conflicts[i];

		/* all losers of a hot key read a key that a winner of this block changed */
		CHECK(conflict->writer_tx_index >= 0 && codes[conflict->writer_tx_index] == 0);
		CHECK(conflict->writer_tx_index < (int64_t) conflict->tx_index &&
			  conflict->version_read.present);
		CHECK(conflict->version_found.block_number == number);
	}
	ledger->history_count += result.history_count;
	apply_updates(ledger, &result);

	if (number == 1 || ledger->has_commit_hash)
	{
		update_commit_hash(filter, result.updates, result.updates_count,
						   ledger->has_commit_hash ? fb_bytes(ledger->commit_hash, 32)
												   : FB_BYTES_EMPTY,
						   ledger->commit_hash);
		ledger->has_commit_hash = true;
		CHECK_STATUS(PROTO_UNPACK(common__metadata, proto_bytes(block->metadata->metadata[4]),
								  allocator, &commit_hash, NULL),
					 FB_OK);
		CHECK(fb_bytes_equal(proto_bytes(commit_hash->value), fb_bytes(ledger->commit_hash, 32)));
	}
	fb_arena_reset(&arena);
	free((void *) bytes.data);
}

int
main(void)
{
	Ledger *ledger = calloc(1, sizeof(Ledger));

	fb_arena_init(&ledger->arena);
	CHECK_TEST(check_block(ledger, 0, "0"));
	for (uint64_t number = 1; number <= 8; number++)
		CHECK_TEST(check_block(ledger, number, "0"));
	CHECK_TEST(check_block(ledger, 9, "0 0 0 0 0 0 0 0 0 0"));
	/* approvals are hashes in the organizations' implicit collections */
	CHECK(ledger->hashed_updates_count > 10 && ledger->history_count > 10 &&
		  ledger->signatures_count > 20);

	/* blocks in between are missing, so the commit hash before these is unknown */
	ledger->has_commit_hash = false;
	CHECK_TEST(check_block(ledger, 13, "0"));
	CHECK_TEST(check_block(ledger, 15, "0 0 11 11 0 11 11 11 11 11"));
	fb_arena_reset(&ledger->arena);
	free(ledger);
	return check_finish("txn/real blocks");
}
