/* endorse: check a proposal, simulate it, and sign the result. */
#ifndef FABRIC_SERVER_ENDORSE_H
#define FABRIC_SERVER_ENDORSE_H

#include "server/channel/channel.h"

#include "server/wire/wire.h"

#include "core/txn/txn.h"

typedef struct Endorsement
{
	const ProposalView *proposal;
	ProposalResponse response; /* payload, endorser and signature are empty for endorser_evaluate */
	/* the exact number of the channel's blocks that the simulation saw */
	uint64 height;
	/* The chaincode's error; then there is no response. NULL: the proposal was endorsed. */
	const WireRefusal *refusal;
} Endorsement;

/*
 * Endorse a signed proposal for its channel with this node's identity.
 *
 * min_height: wait until this node has that many blocks of the channel, at most half of
 * fabric.endorsement_timeout, so that the answer still arrives before the caller gives up; then
 * raise FB_NODE_BEHIND. seen_height: the number of blocks that the caller has seen. If the
 * chaincode refuses on an older state, this waits for these blocks in the same way and simulates
 * again, because it may accept on the caller's state. 0: do not wait.
 *
 * Private plaintext is stored durably before this returns. A refusal of the chaincode is a result
 * (endorsement->refusal), not an error. Raises the errors for which a peer refuses a proposal
 * (FB_MALFORMED_MESSAGE, FB_INVALID_ARGUMENT, FB_DUPLICATE_TXID, FB_ACCESS_DENIED,
 * FB_INVALID_SIGNATURE, FB_CERTIFICATE_EXPIRED ...), FB_CHAINCODE_NOT_FOUND.
 */
extern void endorser_endorse(const Channel *channel, const ProposalView *proposal,
							 uint64 min_height, uint64 seen_height, Endorsement *endorsement);

/* an encoded ProposalResponse for another node, palloc'ed */
extern FbBytes endorser_pack_response(const Endorsement *endorsement);

/*
 * Raise the refusal of an endorsement, if there is one, as FB_CHAINCODE_ERROR for another node,
 * which reads it with wire_call_refusal.
 */
extern void endorser_check_refusal(const Endorsement *endorsement);

/*
 * Run a query: like endorser_endorse, but nothing is signed or stored. is_signed: verify the
 * proposal's signature; false: the caller holds the key of its creator, so a signature would prove
 * nothing more. A refusal is a result here too. Works on a hot standby.
 */
extern void endorser_evaluate(const Channel *channel, const ProposalView *proposal, bool is_signed,
							  Endorsement *endorsement);

/* ---- interest.c: the chaincodes and collections that a transaction touches ---- */

/*
 * List the chaincodes and collections that a transaction touches, each with the policies of its
 * keys, without system chaincodes. results: the bytes of a TxReadWriteSet; the policies are those
 * of the written keys in the active snapshot. The result lives in allocator and the current memory
 * context. Errors: FB_MALFORMED_MESSAGE, FB_LIMIT_EXCEEDED (also for a set that an orderer would
 * refuse, see check_limits_of_rwset). Raises what the ledger raises.
 */
extern FbStatus interest_collect(const Channel *channel, FbBytes results, FbAllocator *allocator,
								 InterestCall **calls, size_t *calls_count, FbError *error);
/* the same for a transaction that would write these public keys of a chaincode */
extern void interest_of_keys(const Channel *channel, FbBytes chaincode, const FbBytes *keys,
							 size_t keys_count, FbAllocator *allocator, InterestCall *call);

#endif
