/*
 * txn: a transaction as bytes, from the proposal to its validation.
 *
 * - client: proposal_build makes the proposal and the bytes to sign
 * - endorser: proposal_parse_signed returns the call to simulate; response_payload_build and
 *   response_pack make the endorsement
 * - client: response_compare finds which organizations differ, and where; envelope_assemble makes
 *   the payload to sign
 * - committer: check_envelope, check_transaction, check_action compute the TxValidationCode in
 *   Fabric's order of checks
 *
 * No function here signs or verifies: this header documents which bytes each party signs. Received
 * content is hashed and returned as received, never packed again.
 *
 * All results are allocated with the caller's allocator and may point into the input bytes, which
 * must live as long.
 */
#ifndef FABRIC_CORE_TXN_H
#define FABRIC_CORE_TXN_H

#include "core/base/base.h"
#include "core/crypto/crypto.h"
#include "core/rwset/rwset.h"

/* ---- transaction_check.c: validation codes (fabric-protos, peer/transaction.proto) ---- */

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

/* ---- header types used here (common.HeaderType) ---- */
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
 * The id under which the ledger records a transaction, valid or not: the id in its header or, if
 * that is empty, the id that the header should have (protoutil/txutils.go,
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
	int32_t chaincode_type; /* peer.ChaincodeSpec.Type: 0 undefined, 1 GOLANG, 2 NODE ...; ignored
							   by validation */
	const FbBytes *args;
	size_t args_count;
	bool is_init;
	const TransientEntry *transient; /* keys distinct, any order; packed in byte order */
	size_t transient_count;
} ProposalInput;

/*
 * A proposal that passed the checks of proposal_parse, or was built here: functions that take it
 * need not check its bytes again.
 */
typedef struct ProposalView
{
	FbBytes bytes;	   /* the proposal, which the client signs with ECDSA over its SHA-256 */
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
	uint8_t proposal_hash[32]; /* the hash that endorsers put into their responses */
	FbBytes channel_header;
	FbBytes signature_header;
	FbBytes payload_for_transaction; /* ChaincodeProposalPayload without the transient map */
} ProposalView;

/*
 * The view, with bytes to sign, points into the input's bytes, which must live as long. Errors:
 * FB_INVALID_ARGUMENT (channel id, chaincode, nonce or creator empty, names not UTF-8, a transient
 * key twice), FB_LIMIT_EXCEEDED, FB_OUT_OF_MEMORY.
 */
extern FbStatus proposal_build(FbAllocator *allocator, const ProposalInput *input,
							   ProposalView *view, FbError *error);

/*
 * Parse a Proposal and make the checks of an endorser that need no state, in Fabric's order
 * (msgvalidation.go): chaincode name, specification and input present; header type; epoch 0; nonce
 * and creator present; transaction id correct. Not checked; make sure that: the creator is valid,
 * the signature over view->bytes is its own, the timestamp is in the time window, the transaction
 * id is not committed, and the creator has access. Errors: FB_MALFORMED_MESSAGE,
 * FB_INVALID_ARGUMENT (a check failed), FB_LIMIT_EXCEEDED, FB_OUT_OF_MEMORY.
 */
extern FbStatus proposal_parse(FbAllocator *allocator, FbBytes proposal, ProposalView *view,
							   FbError *error);
/*
 * The same with a signature, passed separately or in a SignedProposal; an empty signature is
 * FB_INVALID_ARGUMENT.
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
	bool has_chaincode; /* only from response_payload_parse: there was a chaincode id; always true
						   when built */
	FbBytes chaincode_name;
	FbBytes chaincode_version; /* of the committed definition */
} ResponsePayload;

extern FbStatus response_payload_build(FbAllocator *allocator, const ResponsePayload *content,
									   FbBytes *bytes, FbError *error);
/* FB_MALFORMED_MESSAGE also for a missing extension */
extern FbStatus response_payload_parse(FbAllocator *allocator, FbBytes bytes,
									   ResponsePayload *content, FbError *error);

/*
 * The bytes that the endorser signs: payload || endorser. Validation verifies the signature over
 * the same bytes.
 */
extern FbStatus response_endorsement_message(FbAllocator *allocator, FbBytes payload,
											 FbBytes endorser, FbBytes *message, FbError *error);

/*
 * Pack a ProposalResponse. payload and endorsement are empty for a response that may not be
 * endorsed.
 */
/*
 * The accesses of a transaction to one chaincode: to its public keys, or to those of one collection
 * (protos.ChaincodeCall; core/endorser/endorser.go, buildChaincodeInterest).
 */
typedef struct InterestCall
{
	FbBytes name;		   /* of the chaincode */
	FbBytes collection;	   /* empty: the public keys */
	bool no_private_reads; /* of the collection */
	bool policy_needed;	   /* some keys have no policy of their own: the collection's or chaincode's
							  policy applies too */
	/* SignaturePolicyEnvelope of each key that has one, without repetitions */
	const FbBytes *key_policies;
	size_t key_policies_count;
} InterestCall;

typedef struct ProposalResponse
{
	ChaincodeResponse response;
	FbBytes payload;  /* ProposalResponsePayload */
	FbBytes endorser; /* SerializedIdentity */
	FbBytes signature;
	const InterestCall *interest; /* packed for foreign clients; not parsed, because the statement
									 of another node proves nothing */
	size_t interest_count;
} ProposalResponse;

extern FbStatus response_pack(FbAllocator *allocator, const ProposalResponse *response,
							  FbBytes *bytes, FbError *error);
extern FbStatus response_parse(FbAllocator *allocator, FbBytes bytes, ProposalResponse *response,
							   FbError *error);

/* ---- compare.c ---- */

/* kinds of differences between the payloads of several endorsers */
typedef enum ResponseDifferenceKind
{
	RESPONSE_DIFFERS_READ,		/* version of a key; name: the collection, if key is the hash of a
								   private key */
	RESPONSE_DIFFERS_RANGE,		/* range query; key: its start, name: its end */
	RESPONSE_DIFFERS_WRITE,		/* value; empty for a deletion */
	RESPONSE_DIFFERS_METADATA,	/* name: of the metadata entry; empty for deletion of all */
	RESPONSE_DIFFERS_PRIVATE,	/* name: the collection; hash of the writes to it */
	RESPONSE_DIFFERS_EVENT,		/* name: of the event */
	RESPONSE_DIFFERS_RESPONSE,	/* status, message or payload */
	RESPONSE_DIFFERS_CHAINCODE, /* name or version of the chaincode */
	RESPONSE_DIFFERS_PROPOSAL,	/* the proposal hash: the response is to another proposal */
	RESPONSE_DIFFERS_ENCODING,	/* same content, other bytes */
	RESPONSE_UNREADABLE			/* the payload cannot be parsed */
} ResponseDifferenceKind;

typedef struct ResponseDifference
{
	size_t response_index; /* index of the response that differs from response 0 */
	ResponseDifferenceKind kind;
	FbBytes namespace_name;
	FbBytes key;
	FbBytes name;
	bool expected_present; /* in response 0 */
	bool actual_present;   /* in this response */
	/* value, hash or text; a version is given as the text "block B, transaction T" */
	FbBytes expected;
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
	FbBytes bytes; /* common.Payload, which the submitter signs with ECDSA over its SHA-256: */
	uint8_t digest[32];
} EnvelopePayload;

/*
 * The transaction of a proposal and its endorsements: payloads must be byte-equal with status
 * 200..399, a second endorsement by the same endorser is dropped, and the transient map is left out
 * (protoutil/txutils.go, CreateSignedTx). Errors: FB_ENDORSEMENT_MISMATCH (response_compare has the
 * details), FB_ENDORSEMENT_FAILED (no response, or a status), FB_MALFORMED_MESSAGE.
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
 * Any envelope, decoded once but not judged (for ordering, deliver, views). Made by envelope_parse;
 * points into the bytes, which must live as long.
 */
typedef struct Envelope
{
	FbBytes bytes;
	uint64_t message_bytes; /* of payload and signature: the size that limits and batches count */
	bool canonical;	 /* result of block_is_canonical_envelope: a block with several transactions may
						hold it */
	bool is_config;	 /* type CONFIG */
	FbBytes payload; /* the signature is over these bytes */
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
 * Errors: FB_MALFORMED_MESSAGE (a required part is missing or cannot be decoded),
 * FB_LIMIT_EXCEEDED, FB_OUT_OF_MEMORY. message_bytes and canonical are set even then.
 */
extern FbStatus envelope_parse(FbAllocator *allocator, FbBytes bytes, Envelope *envelope,
							   FbError *error);
/*
 * Is the envelope's transaction id hex(SHA-256(nonce, creator))? FB_INVALID_ARGUMENT if not. Fabric
 * checks that at validation (msgvalidation.go, ValidateTransaction, through protoutil.CheckTxID)
 * and still records the id as used, so an orderer checks it before. Messages other than endorser
 * transactions may have no id: blkstorage computes it for them from the same two fields.
 */
extern FbStatus envelope_check_tx_id(const Envelope *envelope, FbError *error);

/* ---- transaction_check.c, transaction_limits.c: validation ---- */

/* After Fabric's core/common/validation/msgvalidation.go. */

typedef struct TxEndorsement
{
	FbBytes endorser;
	FbBytes signature; /* over proposal_response_payload || endorser */
} TxEndorsement;

/*
 * a namespace that a transaction writes, or the invoked chaincode if it writes nothing; set is NULL
 * then
 */
typedef struct TxNamespace
{
	FbBytes name;
	const RwSetNamespace *set;
} TxNamespace;

/*
 * The known content of a transaction. Each field is set by the phase named before it. A phase that
 * gives a code other than TX_VALID may have set some of its fields; the others are empty.
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
						reached, in any phase */
	TxNamespace *written_namespaces; /* the invoked chaincode and every namespace written, sorted
										distinct */
	size_t written_namespaces_count;
} TxView;

/*
 * The checks in Fabric's order. For each transaction, the caller does the following (in
 * parentheses: the codes of each step):
 *
 * - check_envelope (255, 2, 3)
 * - the creator must be known and valid, with its signature over view.payload (4); also for
 *   configuration transactions, but not for genesis
 * - check_transaction (7; 8, 5 | 6; 14)
 * - the transaction id must not be on the ledger (9); this and the next steps are for endorser
 *   transactions only
 * - check_action (20, 19, 21, 22, 255, 25, 255, 23)
 * - for each of view.written_namespaces: the chaincode must be defined (25), its policies satisfied
 *   (10)
 *
 * and then, for the block in order, check_mark_duplicates (9) and mvcc_validate (11, 12, 24).
 *
 * Each returns FB_OK with *code, or FB_OUT_OF_MEMORY, which is a failure of this node and never the
 * transaction's. why: for a refused transaction, error->message has the reason (status
 * FB_TRANSACTION_INVALID); may be NULL.
 */
extern FbStatus check_envelope(FbAllocator *allocator, FbBytes envelope, TxView *view, TxCode *code,
							   FbError *why);
extern FbStatus check_transaction(FbAllocator *allocator, FbBytes channel_id, TxView *view,
								  TxCode *code, FbError *why);
extern FbStatus check_action(FbAllocator *allocator, TxView *view, TxCode *code, FbError *why);

/*
 * Would an endorser transaction be judged by a limit of this project that a Fabric peer does not
 * have: too large or too many parts, keys that are too long for the state, endorsement policies
 * that are not evaluated? Or does it cause more work than one transaction may cause at every
 * committer (transaction_limits.c)? An orderer checks this, so that such a limit never decides the
 * code of a transaction, unless the orderer did not check. Other problems of the transaction do not
 * matter here. Errors: FB_LIMIT_EXCEEDED with the limit in the detail, FB_OUT_OF_MEMORY.
 */
extern FbStatus check_limits(FbAllocator *allocator, const Envelope *envelope, FbError *error);
/* the same for a read-write set with this number of endorsements */
extern FbStatus check_limits_of_rwset(FbAllocator *allocator, const RwSet *rwset,
									  size_t endorsements_count, FbError *error);

/*
 * Mark duplicates inside a block: of the transactions that are still valid (codes[i] == 0) and have
 * the same transaction id, all but the first get TX_DUPLICATE_TXID. tx_ids[i] is empty for
 * transactions that are not endorser transactions.
 */
extern FbStatus check_mark_duplicates(FbAllocator *allocator, const FbBytes *tx_ids, uint8_t *codes,
									  size_t count, FbError *error);

/*
 * all phases that need only the bytes, for tools and tests that verify signatures elsewhere or not
 * at all
 */
extern FbStatus check_structure(FbAllocator *allocator, FbBytes envelope, FbBytes channel_id,
								TxView *view, TxCode *code, FbError *why);

#endif
