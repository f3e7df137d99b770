/*
 * gateway: a client's transaction, from the proposal to the answer.
 *
 * A client that holds its own key makes four calls and signs in between; gateway_submit_transaction
 * makes the same four calls for a client whose key is on this node.
 *
 *   gateway_new_proposal   returns the bytes that the client signs
 *   gateway_endorse        asks the organizations that the policy needs and returns the
 *                          transaction that the client signs
 *   gateway_submit         hands the transaction to an orderer
 *   gateway_commit_status  waits until this node has committed it
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
	List *endorsing_organizations; /* of char * (MSP ids); NIL: the policy decides */
} GatewayRequest;

/*
 * Build an unsigned proposal with a fresh nonce and the current time. creator: SerializedIdentity.
 * The proposal points into the request and into creator, which must outlive it. Raises
 * FB_INVALID_ARGUMENT, FB_CHANNEL_NOT_FOUND.
 */
extern void gateway_new_proposal(const GatewayRequest *request, FbBytes creator,
								 ProposalView *proposal);

typedef struct GatewayTransaction
{
	EnvelopePayload payload;  /* common.Payload and its SHA-256, which the client signs */
	FbBytes result;			  /* the chaincode's return value */
	FbBytes response_payload; /* the bytes that the endorsers signed */
	uint64 height; /* number of blocks that this node's endorsement saw; 0: it did not endorse */
	char tx_id[TX_ID_LENGTH + 1];
} GatewayTransaction;

/*
 * Collect endorsements for a signed proposal. The requests to the other organizations run while
 * this node simulates. An organization that does not answer is replaced if another combination
 * satisfies the policy. organizations NIL: the chaincode's policy decides. Raises
 * FB_CHAINCODE_ERROR (the chaincode refused), FB_ENDORSEMENT_FAILED (detail: each organization's
 * failure), FB_ENDORSEMENT_MISMATCH (detail: which organizations differ in which key),
 * FB_CHAINCODE_NOT_FOUND, and what endorser_endorse raises.
 */
extern void gateway_endorse(const ProposalView *proposal, List *organizations,
							GatewayTransaction *transaction);

/*
 * Hand an envelope to an orderer: to this node's own if it has one, else to the channel's others in
 * turn, until fabric.broadcast_timeout. If none takes it, raises the refusal that says most
 * (submit.c): FB_BUSY, FB_NO_LEADER, FB_NODE_UNREACHABLE, FB_POLICY_NOT_SATISFIED,
 * FB_LIMIT_EXCEEDED ... Also raises what gateway_open_writable raises: 25006 on a standby and in a
 * read-only SQL transaction, 55006 in one that locks the committer out, FB_CHANNEL_NOT_FOUND.
 */
extern void gateway_submit(const Envelope *envelope);

typedef struct GatewayStatus
{
	bool committed; /* false: not on this node's ledger before the timeout */
	uint64 block_number;
	uint32 position;
	uint8 code; /* TxCode */
} GatewayStatus;

/*
 * Wait until the transaction is on this node's ledger, at most timeout_ms milliseconds; 0: look
 * once. Raises FB_CHANNEL_NOT_FOUND, also when the node leaves the channel meanwhile
 */
extern void gateway_commit_status(const char *channel, const char *tx_id, int timeout_ms,
								  GatewayStatus *status);

/*
 * Raise the error of a transaction that is not VALID: FB_MVCC_READ_CONFLICT with key, versions and
 * the writer, FB_DUPLICATE_TXID, else FB_TRANSACTION_INVALID with the name of the code. Does
 * nothing for VALID.
 */
extern void gateway_raise_invalid(const char *channel, const char *tx_id,
								  const GatewayStatus *status);

/*
 * The whole call. signer: the client's identity. wait false: return after submission. An invalid
 * transaction is not an error here: see gateway_raise_invalid.
 */
extern void gateway_submit_transaction(const GatewayRequest *request, const Signer *signer,
									   bool wait, GatewayTransaction *transaction,
									   GatewayStatus *status);

/*
 * Run a query on this node if it has the chaincode, else on another node. Raises FB_CHAINCODE_ERROR
 * and what endorser_evaluate raises.
 */
extern FbBytes gateway_evaluate(const ProposalView *proposal);
extern FbBytes gateway_query(const GatewayRequest *request, const Signer *signer);

/* ---- layouts.c: the nodes that could endorse a call ---- */

/* The data that a call would touch. All empty: public keys without policies of their own. */
typedef struct GatewayInterest
{
	const FbBytes *collections; /* names */
	size_t collections_count;
	bool no_private_reads; /* the collections are written and not read */
	/* Public keys that would be written. Their policies are read from this node's state. */
	const FbBytes *keys;
	size_t keys_count;
} GatewayInterest;

typedef struct GatewayEndorser
{
	const char *msp_id;
	/* NULL: this node, if its address is not known or is not an anchor peer. */
	const char *address;
	uint64 height; /* 0: another node, whose height is not known here */
	size_t group;  /* index of the first endorser of its organization */
} GatewayEndorser;

/* A combination: quantities[i] endorsers, whichever they are, from the group groups[i]. */
typedef struct GatewayLayout
{
	size_t groups_count;
	size_t *groups; /* ascending */
	uint32 *quantities;
} GatewayLayout;

typedef struct GatewayPlan
{
	char **policies; /* as text for users */
	size_t policies_count;
	GatewayEndorser *endorsers; /* all nodes that can be asked, this node first */
	size_t endorsers_count;
	GatewayLayout *layouts; /* in the order in which they are tried */
	size_t layouts_count;	/* 0: these endorsers cannot satisfy the policies */
} GatewayPlan;

/*
 * The minimal combinations of organizations that satisfy all policies of such a call, smallest
 * first, at most 256. Asks no other node. Raises FB_CHANNEL_NOT_FOUND, FB_CHAINCODE_NOT_FOUND,
 * FB_INVALID_ARGUMENT (no such collection).
 */
extern void gateway_plan(const char *channel, const char *chaincode,
						 const GatewayInterest *interest, GatewayPlan *plan);

#endif
