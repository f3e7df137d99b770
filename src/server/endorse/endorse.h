/*
 * endorse: a node's answer to a proposal: check it, simulate it, sign the result (TXF-2 to TXF-4).
 */
#ifndef FABRIC_SERVER_ENDORSE_H
#define FABRIC_SERVER_ENDORSE_H

#include "server/channel/channel.h"

#include "core/txn/txn.h"

typedef struct Endorsement
{
	ProposalView proposal;
	ProposalResponse response;	/* payload, endorser and signature are empty for endorser_evaluate */
	FbBytes		response_bytes; /* pb(ProposalResponse) */
} Endorsement;

/*
 * Endorse a SignedProposal with this node's identity. min_height: wait (at most fabric.endorsement_timeout) until this node has that many blocks,
 * because the asking node has simulated at that height; 0: do not wait. Private plaintext is stored durably before this returns. Raises what
 * TXF-2 refuses (FB_MALFORMED_MESSAGE, FB_INVALID_ARGUMENT, FB_DUPLICATE_TXID, FB_ACCESS_DENIED, FB_INVALID_SIGNATURE, FB_CERTIFICATE_EXPIRED ...),
 * FB_CHAINCODE_NOT_FOUND, and FB_CHAINCODE_ERROR with the chaincode's message, detail and hint.
 */
extern void endorser_endorse(FbBytes signed_proposal, uint64 min_height, Endorsement *endorsement);

/* the same without a signature and without any trace: a query (TXF-10). Works on a hot standby */
extern void endorser_evaluate(FbBytes signed_proposal, Endorsement *endorsement);

#endif
