/*
 * private_exchange.c: the nodes of one organization exchange private plaintext.
 *
 * The problem. What an organization writes to a private collection, as the approval of a chaincode
 * to its implicit one, is on the ledger as hashes only. Only the endorsing node has the plaintext.
 * The organization's other peers need it: without it they know neither that the chaincode is
 * approved nor its package, and cannot endorse.
 *
 * The rule, as in Fabric (gossip/privdata: distributor.go, reconcile.go). Before it sends its
 * answer, the endorsing node sends the plaintext to the other peers of its organization that it
 * reaches; like the endorsing node they keep it until its transaction is committed. An unreachable
 * peer is not an error, since a node that is down must not stop its organization (core.yaml:
 * implicitCollectionDisseminationPolicy.requiredPeerCount is 0). A node that commits a transaction
 * without the plaintext notes that (private_missing), and its ledger worker asks the others for it
 * until one has it (worker/reconcile.c).
 *
 * Access. Both requests are signed by the asking node with its MSP identity, for this channel, for
 * one transaction and one content, and for a few minutes (fabric.authentication_time_window). They
 * are answered only if that identity is valid, of this node's own organization, and has the role
 * peer or orderer: the login of a connection is not enough, because every member's nodes have one.
 * The plaintext is accepted only where its hashes are those of the ledger, when it is committed or
 * found (commit/private_found.c).
 */
#include "server/channel/channel.h"

#include "miscadmin.h"
#include "utils/snapmgr.h"

#include "core/rwset/rwset.h"
#include "core/txn/txn.h"
#include "server/wire/wire.h"

#include <sys/time.h>

/* a peer that has not stored it by then requests it later */
#define GIVE_TIMEOUT_MS 2000

/* the contents of a request, as bytes to be signed; no other signed message has this form */
static FbBytes
describe_put(const char *tx_id, FbBytes private_rwset)
{
	uint8_t hash[CRYPTO_SHA256_BYTES];
	char hex[2 * CRYPTO_SHA256_BYTES + 1];

	crypto_sha256(private_rwset, hash);
	fb_hex_encode(fb_bytes(hash, sizeof(hash)), hex);
	return fb_bytes_of_text(psprintf("fabric: put private data\n%s\n%s", tx_id, hex));
}

static FbBytes
describe_get(RwSetVersion transaction)
{
	return fb_bytes_of_text(psprintf("fabric: get private data\n" UINT64_FORMAT "\n" UINT64_FORMAT,
									 (uint64) transaction.block_number,
									 (uint64) transaction.tx_index));
}

static FbBytes
sign_request(const Channel *channel, FbBytes what)
{
	FbAllocator *allocator = memory_allocator(CurrentMemoryContext);
	const Signer *signer = node_signer();
	uint8_t *nonce = palloc(FB_NONCE_BYTES);
	struct timeval now;
	EnvelopeInput input = {.type = TX_TYPE_MESSAGE};
	EnvelopePayload payload;
	FbBytes signature;
	FbBytes envelope;
	FbError error;

	gettimeofday(&now, NULL);
	error_check(crypto_random(nonce, FB_NONCE_BYTES, &error), &error);
	input.channel_id = fb_bytes_of_text(channel->name);
	input.timestamp = (TxTime) {true, now.tv_sec, (int32_t) now.tv_usec * 1000};
	input.creator = signer_identity(signer);
	input.nonce = fb_bytes(nonce, FB_NONCE_BYTES);
	input.data = what;
	error_check(envelope_payload_build(allocator, &input, &payload, &error), &error);
	error_check(signer_sign(signer, payload.bytes, allocator, &signature, &error), &error);
	error_check(envelope_pack(allocator, payload.bytes, signature, &envelope, &error), &error);
	return envelope;
}

/* the channel of such a request; an error if its signer has no access */
static const Channel *
check_request(FbBytes request, FbBytes what)
{
	FbAllocator *allocator = memory_allocator(CurrentMemoryContext);
	Envelope view;
	const Channel *channel;
	const Identity *identity;
	SignedMessage message;
	FbError error;

	error_check(envelope_parse(allocator, request, &view, &error), &error);
	if (view.type != TX_TYPE_MESSAGE || !view.timestamp.present || !fb_bytes_equal(view.data, what))
		ereport(ERROR,
				(fb_errcode(FB_INVALID_ARGUMENT), errmsg("malformed request for private data"),
				 errdetail("The signed request is for other data than this call.")));
	channel = channel_open(fb_text_copy(allocator, view.channel_id));
	access_check_time(view.timestamp.seconds, view.timestamp.nanoseconds);
	message = (SignedMessage) {view.creator, view.signature, view.payload};
	identity = access_authenticate(channel, &message);
	if (guc_node_msp_id[0] == '\0' || strcmp(identity_msp_id(identity), guc_node_msp_id) != 0 ||
		!(identity_has_role(identity, IDENTITY_PEER) ||
		  identity_has_role(identity, IDENTITY_ORDERER)))
		ereport(ERROR, (fb_errcode(FB_ACCESS_DENIED),
						errmsg("private data is given to nodes of the own organization only"),
						errdetail("The request is signed by an identity of \"%s\" with role %s.",
								  identity_msp_id(identity),
								  identity_role_name(identity_role(identity)))));
	return channel;
}

void
private_give(const Channel *channel, const char *tx_id, FbBytes private_rwset)
{
	List *addresses = channel_own_peers(channel);
	WireCall **calls = palloc0(sizeof(WireCall *) * (list_length(addresses) + 1));
	int calls_count = 0;
	FbBytes request;
	ListCell *cell;

	if (addresses == NIL)
		return;
	request = sign_request(channel, describe_put(tx_id, private_rwset));
	foreach(cell, addresses)
		if (!wire_is_silent(lfirst(cell)))
			calls[calls_count++] =
				wire_private_put_start(lfirst(cell), request, tx_id, private_rwset);
	(void) wire_wait(calls, calls_count, WIRE_WAIT_ALL,
					 TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
												 Min(GIVE_TIMEOUT_MS, guc_endorsement_timeout / 3)),
					 false);
	for (int i = 0; i < calls_count; i++)
	{
		const WireError *failure = wire_call_error(calls[i]);

		if (failure != NULL)
			ereport(DEBUG1,
					(errmsg_internal("private data of transaction %s was not given to %s: %s",
									 tx_id, wire_call_address(calls[i]), failure->error.message)));
		wire_call_release(calls[i]);
	}
}

void
private_take(FbBytes request, const char *tx_id, FbBytes private_rwset)
{
	TimestampTz deadline = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), GIVE_TIMEOUT_MS);
	const Channel *channel;
	RwSetPrivateCollection *collections;
	size_t collections_count;
	ChannelSlot *slot;
	uint64 block_number;
	uint32 position;
	uint8 code;
	FbError error;

	shmem_require();
	channel = check_request(request, describe_put(tx_id, private_rwset));
	if (private_rwset.size > FB_MESSAGE_BYTES_MAX || strlen(tx_id) != 2 * CRYPTO_SHA256_BYTES)
		ereport(
			ERROR,
			(fb_errcode(FB_INVALID_ARGUMENT), errmsg("private data of no transaction"),
			 errdetail(
				 "The transaction id has not 64 characters, or the data is larger than a message may be.")));
	error_check(rwset_private_collections_parse(memory_allocator(CurrentMemoryContext),
												private_rwset, &collections, &collections_count,
												&error),
				&error);
	/* committed meanwhile: the ledger worker has noted that it is missing, and asks */
	if (tx_index_find(channel->ledger, fb_bytes_of_text(tx_id), GetLatestSnapshot(), &block_number,
					  &position, &code))
		return;
	slot = channel_wait_slot(channel, deadline);
	if (slot == NULL || !private_inbox_put(slot, tx_id, private_rwset, deadline))
		ereport(ERROR, (fb_errcode(FB_BUSY), errmsg("private data could not be stored in time"),
						errdetail("The ledger process is busy or does not run.")));
}

FbBytes
private_request(const Channel *channel, RwSetVersion transaction, MemoryContext context)
{
	FbBytes request = sign_request(channel, describe_get(transaction));
	uint8_t *copy = MemoryContextAlloc(context, request.size);

	memcpy(copy, request.data, request.size);
	return fb_bytes(copy, request.size);
}

bool
private_answer(FbBytes request, RwSetVersion transaction, FbBytes *private_rwset)
{
	FbAllocator *allocator = memory_allocator(CurrentMemoryContext);
	const Channel *channel = check_request(request, describe_get(transaction));
	FbBytes collection = fb_bytes_of_text(psprintf("_implicit_org_%s", guc_node_msp_id));
	Snapshot snapshot = RegisterSnapshot(GetLatestSnapshot());
	PrivateScan *scan = private_store_scan(channel->ledger, snapshot);
	RwSetBuilder *builder;
	RwSetResult result = {.private_bytes = FB_BYTES_EMPTY};
	PrivateRow row;
	FbError error;

	error_check(rwset_builder_create(allocator, &builder, &error), &error);
	while (private_scan_next(scan, &row))
	{
		CHECK_FOR_INTERRUPTS();
		if (fb_bytes_equal(row.collection, collection) &&
			rwset_version_equal(row.state.version, transaction))
			error_check(rwset_builder_add_private_write(builder, row.namespace_name, row.collection,
														row.state.key, row.state.value, &error),
						&error);
	}
	private_scan_end(scan);
	UnregisterSnapshot(snapshot);
	error_check(rwset_builder_finish(builder, &result, &error), &error);
	*private_rwset = result.private_bytes;
	return result.private_bytes.size > 0;
}
