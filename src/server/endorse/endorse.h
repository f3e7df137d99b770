/*
 * endorse: a node's answer to a proposal: check it, simulate it, sign the result.
 */
#ifndef FABRIC_SERVER_ENDORSE_H
#define FABRIC_SERVER_ENDORSE_H

#include "server/channel/channel.h"

#include "server/wire/wire.h"

#include "core/txn/txn.h"

typedef struct Endorsement
{
	const ProposalView *proposal;
	ProposalResponse response; /* payload, endorser and signature are empty for endorser_evaluate */
	uint64 height;			   /* how many blocks of the channel the simulation has seen, exactly */
	const WireRefusal *refusal; /* NULL: it was endorsed. Else what the chaincode refused with, and
								   there is no response */
} Endorsement;

/*
 * Endorse a proposal, which is signed, with this node's identity. min_height: this waits until this
 * node has that many blocks of the channel, at most half of fabric.endorsement_timeout, so that its
 * answer still arrives before the caller gives up; then it raises FB_NODE_BEHIND. seen_height: the
 * caller has seen that many blocks. What the chaincode refuses on an older state it may not refuse
 * on theirs, so before it refuses this waits for them likewise, and simulates again. 0: do not
 * wait. Private plaintext is stored durably before this returns. What the chaincode refuses is a
 * result (refusal), not an error. Raises what a peer refuses (FB_MALFORMED_MESSAGE,
 * FB_INVALID_ARGUMENT, FB_DUPLICATE_TXID, FB_ACCESS_DENIED, FB_INVALID_SIGNATURE,
 * FB_CERTIFICATE_EXPIRED ...), FB_CHANNEL_NOT_FOUND, FB_CHAINCODE_NOT_FOUND.
 */
extern void endorser_endorse(const ProposalView *proposal, uint64 min_height, uint64 seen_height,
							 Endorsement *endorsement);

/* pb(ProposalResponse), for another node, palloc'ed */
extern FbBytes endorser_pack_response(const Endorsement *endorsement);

/*
 * raise the refusal of an endorsement, if there is one, for another node, which reads it with
 * wire_call_refusal: FB_CHAINCODE_ERROR
 */
extern void endorser_check_refusal(const Endorsement *endorsement);

/*
 * the same without a signature and without any trace: a query. A refusal is a result here
 * too. Works on a hot standby
 */
extern void endorser_evaluate(const ProposalView *proposal, Endorsement *endorsement);

/* ---- interest.c: what a transaction touches ---- */

/*
 * From the bytes of a TxReadWriteSet and the metadata of its written keys in the active snapshot:
 * the chaincodes and collections that it touches, each with the policies of its keys; without
 * system chaincodes. Lives in allocator and the current memory context. Errors:
 * FB_MALFORMED_MESSAGE, FB_LIMIT_EXCEEDED of the bytes, or of what an orderer admits
 * (check_limits_of_rwset). Raises what the ledger raises.
 */
extern FbStatus interest_collect(const Channel *channel, FbBytes results, FbAllocator *allocator,
								 InterestCall **calls, size_t *calls_count, FbError *error);
/* the same for a transaction that would write these public keys of a chaincode */
extern void interest_of_keys(const Channel *channel, FbBytes chaincode, const FbBytes *keys,
							 size_t keys_count, FbAllocator *allocator, InterestCall *call);

#endif
