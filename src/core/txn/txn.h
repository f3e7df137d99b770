/*
 * txn: a transaction as bytes, from the proposal to its validation.
 *
 * - client: proposal_build gives the proposal bytes to sign
 * - endorser: proposal_parse_signed says what to simulate; response_payload_build and
 *   response_pack make the endorsement
 * - client: response_compare says which organizations differ, and where; envelope_assemble gives
 *   the payload to sign
 * - committer: check_envelope, check_transaction, check_action give the TxValidationCode in
 *   Fabric's order of checks
 *
 * Nothing here signs or verifies: this header says which bytes are to be signed by whom. What was
 * received is hashed and returned as received, never packed again.
 *
 * Everything returned lives in the allocator that was passed in and may point into the input bytes,
 * which must live as long.
 */
#ifndef FABRIC_CORE_TXN_H
#define FABRIC_CORE_TXN_H

#include "core/base/base.h"
#include "core/crypto/crypto.h"
#include "core/rwset/rwset.h"

/* ---- validation codes (fabric-protos, peer/transaction.proto, TxValidationCode): check.c ---- */

#define TX_CODE_LIST(X)                                                   \
	X(TX_VALID, 0, "VALID")                                               \
	X(TX_NIL_ENVELOPE, 1, "NIL_ENVELOPE")                                 \
	X(TX_BAD_PAYLOAD, 2, "BAD_PAYLOAD")                                   \
	X(TX_BAD_COMMON_HEADER, 3, "BAD_COMMON_HEADER")                       \
	X(TX_BAD_CREATOR_SIGNATURE, 4, "BAD_CREATOR_SIGNATURE")               \
	X(TX_INVALID_ENDORSER_TRANSACTION, 5, "INVALID_ENDORSER_TRANSACTION") \
	X(TX_INVALID_CONFIG_TRANSACTION, 6, "INVALID_CONFIG_TRANSACTION")     \
	X(TX_UNSUPPORTED_TX_PAYLOAD, 7, "UNSUPPORTED_TX_PAYLOAD")             \
	X(TX_BAD_PROPOSAL_TXID, 8, "BAD_PROPOSAL_TXID")                       \
	X(TX_DUPLICATE_TXID, 9, "DUPLICATE_TXID")                             \
	X(TX_ENDORSEMENT_POLICY_FAILURE, 10, "ENDORSEMENT_POLICY_FAILURE")    \
	X(TX_MVCC_READ_CONFLICT, 11, "MVCC_READ_CONFLICT")                    \
	X(TX_PHANTOM_READ_CONFLICT, 12, "PHANTOM_READ_CONFLICT")              \
	X(TX_UNKNOWN_TX_TYPE, 13, "UNKNOWN_TX_TYPE")                          \
	X(TX_TARGET_CHAIN_NOT_FOUND, 14, "TARGET_CHAIN_NOT_FOUND")            \
	X(TX_MARSHAL_TX_ERROR, 15, "MARSHAL_TX_ERROR")                        \
	X(TX_NIL_TXACTION, 16, "NIL_TXACTION")                                \
	X(TX_EXPIRED_CHAINCODE, 17, "EXPIRED_CHAINCODE")                      \
	X(TX_CHAINCODE_VERSION_CONFLICT, 18, "CHAINCODE_VERSION_CONFLICT")    \
	X(TX_BAD_HEADER_EXTENSION, 19, "BAD_HEADER_EXTENSION")                \
	X(TX_BAD_CHANNEL_HEADER, 20, "BAD_CHANNEL_HEADER")                    \
	X(TX_BAD_RESPONSE_PAYLOAD, 21, "BAD_RESPONSE_PAYLOAD")                \
	X(TX_BAD_RWSET, 22, "BAD_RWSET")                                      \
	X(TX_ILLEGAL_WRITESET, 23, "ILLEGAL_WRITESET")                        \
	X(TX_INVALID_WRITESET, 24, "INVALID_WRITESET")                        \
	X(TX_INVALID_CHAINCODE, 25, "INVALID_CHAINCODE")                      \
	X(TX_NOT_VALIDATED, 254, "NOT_VALIDATED")                             \
	X(TX_INVALID_OTHER_REASON, 255, "INVALID_OTHER_REASON")

typedef enum TxCode
{
#define TX_CODE_ENUM(name, number, text) name = number,
	TX_CODE_LIST(TX_CODE_ENUM)
#undef TX_CODE_ENUM
} TxCode;

extern const char *tx_code_name(int code); /* "VALID"; NULL for a number without a name */
extern bool tx_code_of_name(const char *name, TxCode *code);

/* ---- header types that occur here (common.HeaderType) ---- */
#define TX_TYPE_MESSAGE 0
#define TX_TYPE_CONFIG 1
#define TX_TYPE_CONFIG_UPDATE 2
#define TX_TYPE_ENDORSER_TRANSACTION 3
#define TX_TYPE_ORDERER_TRANSACTION 4
#define TX_TYPE_DELIVER_SEEK_INFO 5

typedef struct TxTime
{
	bool present;
	int64_t seconds; /* since 1970-01-01 UTC */
	int32_t nanoseconds;
} TxTime;

/* ---- transaction id (docs/wire-format.md, "Transaction id") ---- */

#define TX_ID_LENGTH 64
/* lower-case hex of H(nonce || creator), zero-terminated */
extern void tx_id_compute(FbBytes nonce, FbBytes creator, char tx_id[TX_ID_LENGTH + 1]);

/*
 * The id under which the ledger knows a transaction, valid or not: the one in its header, or, if
 * that is empty, the one that the header should have (protoutil/txutils.go,
 * GetOrComputeTxIDFromEnvelope). A later transaction with this id is a duplicate. Errors:
 * FB_OUT_OF_MEMORY.
 */
extern FbStatus tx_id_on_ledger(FbAllocator *allocator, FbBytes tx_id, FbBytes nonce,
								FbBytes creator, FbBytes *ledger_tx_id, FbError *error);

/* ---- proposal (proposal.c; docs/wire-format.md, "Transactions") ---- */

typedef struct TransientEntry
{
	FbBytes key; /* UTF-8 */
	FbBytes value;
} TransientEntry;

typedef struct ProposalInput
{
	FbBytes channel_id;
	FbBytes chaincode_name;
	FbBytes creator;		/* SerializedIdentity */
	FbBytes nonce;			/* FB_NONCE_BYTES random bytes by convention */
	TxTime timestamp;		/* left out if !present */
	FbBytes tls_cert_hash;	/* may be empty */
	int32_t chaincode_type; /* peer.ChaincodeSpec.Type: 0 undefined, 1 GOLANG, 2 NODE ...; no
							   meaning at validation */
	const FbBytes *args;
	size_t args_count;
	bool is_init;
	const TransientEntry *transient; /* keys distinct, any order; packed in byte order */
	size_t transient_count;
} ProposalInput;

/*
 * A proposal that passed the checks of proposal_parse, or was built here: whoever gets one need not
 * look at its bytes again.
 */
typedef struct ProposalView
{
	FbBytes bytes;	   /* the proposal: what the client signs, with ECDSA over its SHA-256 */
	FbBytes signature; /* empty until the proposal is signed */
	int32_t type;
	FbBytes channel_id;
	FbBytes tx_id;
	TxTime timestamp;
	FbBytes tls_cert_hash;
	FbBytes creator;
	FbBytes nonce;
	FbBytes chaincode_name;
	FbBytes *args;
	size_t args_count;
	bool is_init;
	TransientEntry *transient; /* sorted by key */
	size_t transient_count;
	uint8_t digest[32];		   /* SHA-256 of bytes */
	uint8_t proposal_hash[32]; /* what endorsers put into their responses */
	FbBytes channel_header;
	FbBytes signature_header;
	FbBytes payload_for_transaction; /* ChaincodeProposalPayload without the transient map */
} ProposalView;

/*
 * The view, with bytes to sign, points into the input's bytes, which must live as long.
 * FB_INVALID_ARGUMENT: channel id, chaincode, nonce or creator empty, names not UTF-8, a transient
 * key twice; FB_LIMIT_EXCEEDED, FB_OUT_OF_MEMORY.
 */
extern FbStatus proposal_build(FbAllocator *allocator, const ProposalInput *input,
							   ProposalView *view, FbError *error);

/*
 * Parse a Proposal and make the checks of an endorser that need no state, in Fabric's order
 * (msgvalidation.go): chaincode name, specification and input present; header type; epoch 0; nonce
 * and creator present; tx id correct. What is left to the caller: creator valid, signature over
 * view->bytes, time window, tx id not committed, access. FB_MALFORMED_MESSAGE, FB_INVALID_ARGUMENT
 * (a check failed), FB_LIMIT_EXCEEDED, FB_OUT_OF_MEMORY.
 */
extern FbStatus proposal_parse(FbAllocator *allocator, FbBytes proposal, ProposalView *view,
							   FbError *error);
/*
 * The same with a signature, given beside the proposal or in a SignedProposal; an empty signature
 * is FB_INVALID_ARGUMENT.
 */
extern FbStatus proposal_parse_parts(FbAllocator *allocator, FbBytes proposal, FbBytes signature,
									 ProposalView *view, FbError *error);
extern FbStatus proposal_parse_signed(FbAllocator *allocator, FbBytes signed_proposal,
									  ProposalView *view, FbError *error);
extern FbStatus proposal_pack_signed(FbAllocator *allocator, const ProposalView *view,
									 FbBytes *signed_proposal, FbError *error);

/* ---- proposal response (response.c; docs/wire-format.md, "Transactions") ---- */

typedef struct ChaincodeResponse
{
	int32_t status; /* 200..399 can be endorsed */
	FbBytes message;
	FbBytes payload;
} ChaincodeResponse;

typedef struct ChaincodeEvent
{
	FbBytes chaincode_name;
	FbBytes tx_id;
	FbBytes event_name;
	FbBytes payload;
} ChaincodeEvent;

extern FbStatus response_event_pack(FbAllocator *allocator, const ChaincodeEvent *event,
									FbBytes *bytes, FbError *error);
extern FbStatus response_event_parse(FbAllocator *allocator, FbBytes bytes, ChaincodeEvent *event,
									 FbError *error);

/* the content of a ProposalResponsePayload */
typedef struct ResponsePayload
{
	FbBytes proposal_hash;
	FbBytes results; /* TxReadWriteSet */
	FbBytes event;	 /* ChaincodeEvent; empty if none */
	ChaincodeResponse response;
	bool has_response;
	bool has_chaincode; /* only from response_payload_parse: there was a chaincode id; when built
						   always */
	FbBytes chaincode_name;
	FbBytes chaincode_version; /* of the committed definition */
} ResponsePayload;

extern FbStatus response_payload_build(FbAllocator *allocator, const ResponsePayload *content,
									   FbBytes *bytes, FbError *error);
/* FB_MALFORMED_MESSAGE also for a missing extension */
extern FbStatus response_payload_parse(FbAllocator *allocator, FbBytes bytes,
									   ResponsePayload *content, FbError *error);

/* what the endorser signs: payload || endorser (POL: the same bytes are verified at validation) */
extern FbStatus response_endorsement_message(FbAllocator *allocator, FbBytes payload,
											 FbBytes endorser, FbBytes *message, FbError *error);

/* ProposalResponse. payload and endorsement are empty for a response that may not be endorsed */
/*
 * What a transaction touches of one chaincode: its public keys, or those of one collection
 * (protos.ChaincodeCall; core/endorser/endorser.go, buildChaincodeInterest)
 */
typedef struct InterestCall
{
	FbBytes name;		   /* of the chaincode */
	FbBytes collection;	   /* empty: the public keys */
	bool no_private_reads; /* of the collection */
	bool policy_needed; /* not only keys with policies of their own: the collection's or chaincode's
						   policy applies too */
	const FbBytes *key_policies; /* SignaturePolicyEnvelope of keys that have one, each once */
	size_t key_policies_count;
} InterestCall;

typedef struct ProposalResponse
{
	ChaincodeResponse response;
	FbBytes payload;  /* ProposalResponsePayload */
	FbBytes endorser; /* SerializedIdentity */
	FbBytes signature;
	const InterestCall *interest; /* packed for foreign clients; not parsed: what another node says
									 about it proves nothing */
	size_t interest_count;
} ProposalResponse;

extern FbStatus response_pack(FbAllocator *allocator, const ProposalResponse *response,
							  FbBytes *bytes, FbError *error);
extern FbStatus response_parse(FbAllocator *allocator, FbBytes bytes, ProposalResponse *response,
							   FbError *error);

/* where the payloads of several endorsers differ */
typedef enum ResponseDifferenceKind
{
	RESPONSE_DIFFERS_READ,	/* version of a key; name: the collection, if key is a hash of a private
							   one */
	RESPONSE_DIFFERS_RANGE, /* range query; key: its start, name: its end */
	RESPONSE_DIFFERS_WRITE, /* value; empty for a deletion */
	RESPONSE_DIFFERS_METADATA,	/* name: of the metadata entry; empty for deletion of all */
	RESPONSE_DIFFERS_PRIVATE,	/* name: the collection; hashes of what was written there */
	RESPONSE_DIFFERS_EVENT,		/* name: of the event */
	RESPONSE_DIFFERS_RESPONSE,	/* status, message or payload */
	RESPONSE_DIFFERS_CHAINCODE, /* name or version of the chaincode */
	RESPONSE_DIFFERS_PROPOSAL,	/* the proposal hash: it answered another proposal */
	RESPONSE_DIFFERS_ENCODING,	/* same content, other bytes */
	RESPONSE_UNREADABLE			/* the payload cannot be parsed */
} ResponseDifferenceKind;

typedef struct ResponseDifference
{
	size_t response_index; /* which response differs from response 0 */
	ResponseDifferenceKind kind;
	FbBytes namespace_name;
	FbBytes key;
	FbBytes name;
	bool expected_present; /* in response 0 */
	bool actual_present;   /* in this response */
	FbBytes
		expected; /* value, hash or text; a version is given as the text "block B, transaction T" */
	FbBytes actual;
} ResponseDifference;

/* "read version", "write" ...: a noun for messages */
extern const char *response_difference_name(ResponseDifferenceKind kind);

/*
 * Compare the payloads of responses 1.. with that of response 0 (compare.c); *differences_count = 0
 * if all are equal. At most FB_RESPONSE_DIFFERENCES_MAX are listed, in the order of response, then
 * kind, namespace, key.
 */
extern FbStatus response_compare(FbAllocator *allocator, const ProposalResponse *responses,
								 size_t responses_count, ResponseDifference **differences,
								 size_t *differences_count, FbError *error);

/* ---- envelopes (envelope.c; docs/wire-format.md, "Transactions") ---- */

typedef struct EnvelopePayload
{
	FbBytes bytes; /* common.Payload: what the submitter signs, with ECDSA over its SHA-256: */
	uint8_t digest[32];
} EnvelopePayload;

/*
 * The transaction of a proposal and its endorsements: payloads byte-equal, status 200..399, an
 * endorser's second endorsement is dropped, the transient map is left out (protoutil/txutils.go,
 * CreateSignedTx). FB_ENDORSEMENT_MISMATCH (details by response_compare), FB_ENDORSEMENT_FAILED
 * (none, or a status), FB_MALFORMED_MESSAGE.
 */
extern FbStatus envelope_assemble(FbAllocator *allocator, const ProposalView *proposal,
								  const ProposalResponse *responses, size_t responses_count,
								  EnvelopePayload *payload, FbError *error);

/* any other message in an envelope: config transactions, config updates, SeekInfo ... */
typedef struct EnvelopeInput
{
	int32_t type; /* TX_TYPE_... */
	int32_t version;
	FbBytes channel_id;
	TxTime timestamp;
	FbBytes tx_id; /* may be empty */
	uint64_t epoch;
	FbBytes extension;
	FbBytes tls_cert_hash;
	FbBytes creator; /* may be empty (genesis) */
	FbBytes nonce;
	FbBytes data;
} EnvelopeInput;

extern FbStatus envelope_payload_build(FbAllocator *allocator, const EnvelopeInput *input,
									   EnvelopePayload *payload, FbError *error);
extern FbStatus envelope_pack(FbAllocator *allocator, FbBytes payload, FbBytes signature,
							  FbBytes *envelope, FbError *error);

/*
 * Any envelope, taken apart once and not judged (ordering, deliver, views). Made by envelope_parse;
 * points into the bytes, which must live as long.
 */
typedef struct Envelope
{
	FbBytes bytes;
	uint64_t message_bytes; /* of payload and signature: its size for limits and batches */
	bool canonical;			/* block_is_canonical_envelope: a block of several may hold it */
	bool is_config;			/* type CONFIG */
	FbBytes payload;		/* the signature is over these bytes */
	FbBytes signature;
	int32_t type;
	int32_t version;
	FbBytes channel_id;
	FbBytes tx_id;
	FbBytes ledger_tx_id; /* see tx_id_on_ledger */
	TxTime timestamp;
	uint64_t epoch;
	FbBytes extension;
	FbBytes tls_cert_hash;
	FbBytes creator;
	FbBytes nonce;
	FbBytes data;
	FbBytes channel_header;
	FbBytes signature_header;
} Envelope;

/*
 * FB_MALFORMED_MESSAGE: something that must be there is missing or cannot be decoded;
 * FB_LIMIT_EXCEEDED, FB_OUT_OF_MEMORY. Also then message_bytes and canonical are right.
 */
extern FbStatus envelope_parse(FbAllocator *allocator, FbBytes bytes, Envelope *envelope,
							   FbError *error);
/*
 * Is the envelope's transaction id its creator's own: hex(SHA-256(nonce, creator))?
 * FB_INVALID_ARGUMENT if not. Fabric finds that at validation (msgvalidation.go,
 * ValidateTransaction, through protoutil.CheckTxID) and still records the id as used; so an
 * orderer asks before. Messages that are no endorser transactions may have no id: blkstorage
 * computes it for them from the same two fields.
 */
extern FbStatus envelope_check_tx_id(const Envelope *envelope, FbError *error);

/* ---- validation (check.c; core/common/validation/msgvalidation.go) ---- */

typedef struct TxEndorsement
{
	FbBytes endorser;
	FbBytes signature; /* over proposal_response_payload || endorser */
} TxEndorsement;

/*
 * a namespace that a transaction writes, or the chaincode that was invoked and writes nothing: set
 * is NULL then
 */
typedef struct TxNamespace
{
	FbBytes name;
	const RwSetNamespace *set;
} TxNamespace;

/*
 * What is known of a transaction. A field is filled in by the phase that is named; a phase that
 * gives a code other than TX_VALID may have filled in some of its fields, the others are empty.
 */
typedef struct TxView
{
	/* check_envelope */
	FbBytes payload;
	FbBytes signature;
	int32_t type;
	FbBytes channel_id;
	FbBytes tx_id;
	FbBytes ledger_tx_id; /* see tx_id_on_ledger; set if both headers can be read, or if tx_id is
							 not empty */
	TxTime timestamp;
	uint64_t epoch;
	FbBytes creator;
	FbBytes nonce;
	FbBytes data; /* Transaction or ConfigEnvelope */
	FbBytes channel_header;
	FbBytes signature_header;
	FbBytes extension;
	/* check_transaction, endorser transactions only */
	FbBytes action_header;
	FbBytes proposal_payload; /* ChaincodeProposalPayload without the transient map */
	FbBytes proposal_response_payload;
	FbBytes proposal_hash;
	FbBytes chaincode_action; /* ChaincodeAction: the extension of proposal_response_payload */
	TxEndorsement *endorsements;
	size_t endorsements_count;
	/* check_action, endorser transactions only */
	FbBytes chaincode_name;
	FbBytes chaincode_version;
	FbBytes results;
	RwSet *rwset;
	FbBytes event; /* ChaincodeEvent as received; empty if none */
	ChaincodeEvent event_view;
	ChaincodeResponse response;
	bool over_limit; /* the code is that of undecodable bytes because a limit of this project was
						reached, any phase */
	TxNamespace *written_namespaces; /* the invoked chaincode and every namespace written, sorted
										distinct */
	size_t written_namespaces_count;
} TxView;

/*
 * The checks in Fabric's order. The caller does for each transaction:
 *
 *   code = check_envelope(...)           255, 2, 3
 *   creator known, valid, signature over view.payload     else 4      (config transactions too;
 * genesis is not checked) code = check_transaction(...)        7; 8, 5 | 6; 14 tx id already on the
 * ledger          then 9                       (endorser transactions only, from here on) code =
 * check_action(...)             20, 19, 21, 22, 255, 25, 255, 23 for each of
 * view.written_namespaces: chaincode defined  else 25;  its policies satisfied  else 10
 *
 * and then for the block in order: check_mark_duplicates (9), mvcc_validate (11, 12, 24).
 *
 * Return FB_OK with *code, or FB_OUT_OF_MEMORY: our failure, never the transaction's. why: in a
 * refused transaction error->message says what is wrong with it (status FB_TRANSACTION_INVALID);
 * may be NULL.
 */
extern FbStatus check_envelope(FbAllocator *allocator, FbBytes envelope, TxView *view, TxCode *code,
							   FbError *why);
extern FbStatus check_transaction(FbAllocator *allocator, FbBytes channel_id, TxView *view,
								  TxCode *code, FbError *why);
extern FbStatus check_action(FbAllocator *allocator, TxView *view, TxCode *code, FbError *why);

/*
 * Is there anything in an endorser transaction that would be judged by a limit of this project,
 * which a Fabric peer does not have: too large or too many parts, keys that are too long for the
 * state, endorsement policies that are not evaluated? Or more work than one transaction may ask of
 * every committer (limits.c)? Asked before ordering, so that no transaction is judged by it
 * afterwards unless an orderer did not ask. What else is wrong with it does not matter here.
 * Errors: FB_LIMIT_EXCEEDED with the limit in the detail, FB_OUT_OF_MEMORY.
 */
extern FbStatus check_limits(FbAllocator *allocator, const Envelope *envelope, FbError *error);
/* the same for a read-write set with so many endorsements */
extern FbStatus check_limits_of_rwset(FbAllocator *allocator, const RwSet *rwset,
									  size_t endorsements_count, FbError *error);

/*
 * Duplicates inside a block: of the transactions that are still valid (codes[i] == 0) and have a tx
 * id, all but the first with the same id get TX_DUPLICATE_TXID. tx_ids[i] is empty for transactions
 * that are not endorser transactions.
 */
extern FbStatus check_mark_duplicates(FbAllocator *allocator, const FbBytes *tx_ids, uint8_t *codes,
									  size_t count, FbError *error);

/*
 * all phases that need nothing but the bytes, for tools and tests that verify signatures elsewhere
 * or not at all
 */
extern FbStatus check_structure(FbAllocator *allocator, FbBytes envelope, FbBytes channel_id,
								TxView *view, TxCode *code, FbError *why);

#endif
