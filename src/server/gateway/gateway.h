/*
 * gateway: a client's transaction, from the proposal to the answer. The whole call
 * is written with the split one.
 *
 *   gateway_new_proposal   bytes for the client to sign
 *   gateway_endorse        ask the organisations that the policy needs; the transaction for the
 * client to sign gateway_submit         hand it to an orderer gateway_commit_status  wait until
 * this node has committed it
 */
#ifndef FABRIC_SERVER_GATEWAY_H
#define FABRIC_SERVER_GATEWAY_H

#include "server/channel/channel.h"

#include "core/policy/policy.h"
#include "core/txn/txn.h"

typedef struct GatewayRequest
{
	const char *channel;
	const char *chaincode;
	const FbBytes *arguments; /* [0] is the function */
	size_t arguments_count;
	const TransientEntry *transient;
	size_t transient_count;
	bool is_init;
	List *endorsing_organisations; /* of char * (MSP ids); NIL: the policy decides */
} GatewayRequest;

/*
 * a proposal with a fresh nonce and the present time, not signed yet; it points into the request
 * and the creator. creator: SerializedIdentity. Raises FB_INVALID_ARGUMENT, FB_CHANNEL_NOT_FOUND
 */
extern void gateway_new_proposal(const GatewayRequest *request, FbBytes creator,
								 ProposalView *proposal);

typedef struct GatewayTransaction
{
	EnvelopePayload payload;  /* common.Payload, and its SHA-256: what the client signs */
	FbBytes result;			  /* what the chaincode returned */
	FbBytes response_payload; /* what the endorsers signed */
	char tx_id[TX_ID_LENGTH + 1];
} GatewayTransaction;

/*
 * Collect endorsements for a signed proposal: all needed organisations are asked at once, this node
 * simulates meanwhile. One that does not answer is replaced if another combination satisfies the
 * policy. organisations NIL: as the chaincode's policy needs. Raises FB_CHAINCODE_ERROR (the
 * chaincode refused), FB_ENDORSEMENT_FAILED (detail: each organisation's failure),
 * FB_ENDORSEMENT_MISMATCH (detail: which organisations differ in which key),
 * FB_CHAINCODE_NOT_FOUND, and what endorser_endorse raises.
 */
extern void gateway_endorse(const ProposalView *proposal, List *organisations,
							GatewayTransaction *transaction);

/*
 * Hand an envelope to an orderer: this node's own if it is one, else the channel's others in turn,
 * until fabric.broadcast_timeout. Raises the last orderer's refusal: FB_BUSY, FB_NO_LEADER,
 * FB_NODE_UNREACHABLE, FB_POLICY_NOT_SATISFIED, FB_LIMIT_EXCEEDED ...
 * Also what gateway_open_writable raises: 25006 on a standby and in a read-only SQL transaction,
 * 55006 in one that locks the committer out, FB_CHANNEL_NOT_FOUND.
 */
extern void gateway_submit(const Envelope *envelope);

typedef struct GatewayStatus
{
	bool committed; /* false: not on this node's ledger when the time was over */
	uint64 block_number;
	uint32 position;
	uint8 code; /* TxCode */
} GatewayStatus;

/*
 * timeout_ms 0: do not wait. envelope (may be NULL) is handed in again when its orderer may have
 * lost it
 */
extern void gateway_commit_status(const char *channel, const char *tx_id, int timeout_ms,
								  const Envelope *envelope, GatewayStatus *status);

/*
 * The error of a transaction that is not VALID: FB_MVCC_READ_CONFLICT with key, versions and the
 * writer, FB_DUPLICATE_TXID, else FB_TRANSACTION_INVALID with the code's name. Does nothing for
 * VALID.
 */
extern void gateway_raise_invalid(const char *channel, const char *tx_id,
								  const GatewayStatus *status);

/*
 * the whole call. signer: the client's identity. wait false: return after submission. Does not
 * raise for an invalid transaction
 */
extern void gateway_submit_transaction(const GatewayRequest *request, const Signer *signer,
									   bool wait, GatewayTransaction *transaction,
									   GatewayStatus *status);

/*
 * Evaluate: on this node if it has the chaincode, else on another organisation's. Raises
 * FB_CHAINCODE_ERROR and what endorser_evaluate raises.
 */
extern FbBytes gateway_evaluate(const ProposalView *proposal);
extern FbBytes gateway_query(const GatewayRequest *request, const Signer *signer);

/* ---- layouts.c: who could endorse ---- */

/* what a call would touch; all empty: public keys without policies of their own */
typedef struct GatewayInterest
{
	const FbBytes *collections; /* names */
	size_t collections_count;
	bool no_private_reads; /* of these collections: only written */
	const FbBytes *
		keys; /* public keys that would be written; their policies are those of this node's state */
	size_t keys_count;
} GatewayInterest;

typedef struct GatewayEndorser
{
	const char *msp_id;
	const char
		*address;  /* NULL: this node, whose address is not known, or which is no anchor peer */
	uint64 height; /* 0: of another node, not known here */
	size_t group;  /* index of the first endorser of its organization */
} GatewayEndorser;

/* a combination: from each of these groups so many endorsers, whichever they are */
typedef struct GatewayLayout
{
	size_t groups_count;
	size_t *groups; /* ascending */
	uint32 *quantities;
} GatewayLayout;

typedef struct GatewayPlan
{
	char **policies; /* in words */
	size_t policies_count;
	GatewayEndorser *endorsers; /* all that can be asked, this node first */
	size_t endorsers_count;
	GatewayLayout *layouts; /* those that are tried first come first */
	size_t layouts_count;	/* 0: these endorsers cannot satisfy the policies */
} GatewayPlan;

/*
 * The combinations of organizations of which each satisfies all policies that such a call needs:
 * minimal ones, the smallest first, at most 256. No other node is asked. Raises
 * FB_CHANNEL_NOT_FOUND, FB_CHAINCODE_NOT_FOUND, FB_INVALID_ARGUMENT (no such collection).
 */
extern void gateway_plan(const char *channel, const char *chaincode,
						 const GatewayInterest *interest, GatewayPlan *plan);

#endif
