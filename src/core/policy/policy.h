/*
 * policy: the signatures that an action needs. The policy language, its compiled form, its
 * evaluation exactly as in Fabric, the policies of a channel by path, and the smallest sets of
 * endorsers that can satisfy them.
 *
 * - SignaturePolicy: a decoded SignaturePolicyEnvelope: a tree of operators (n out of ...) over
 *   principals
 * - Policy: a policy that can be evaluated: a signature policy, or an ImplicitMeta policy over
 *   others; NULL: a policy that does not exist and therefore is never satisfied
 * - PolicyManager: the policies of a channel's configuration tree, by path
 * - PolicySignatureSet: the signatures of one message, in their order; each is verified at most
 *   once, and only if it matters
 *
 * Everything is allocated with the caller's allocator and needs no release. Decoded policies do not
 * refer to the bytes from which they were made, unless said otherwise.
 *
 * Evaluation is greedy and depends on the order of the signatures (common/cauthdsl/cauthdsl.go,
 * compile). This is Fabric's behavior, and every node of a network must reach the same verdict, so
 * it is kept exactly; clients choose a good order with policy_layouts.
 */
#ifndef FABRIC_CORE_POLICY_H
#define FABRIC_CORE_POLICY_H

#include "core/base/base.h"
#include "core/identity/identity.h"

struct Common__ConfigGroup; /* core/proto: a group of the configuration tree */
struct Common__SignaturePolicyEnvelope;

/* ---- decoded signature policies ---- */

/*
 * a node of the tree: signed_by >= 0 is the index of a principal; otherwise an operator that needs
 * `needed` of its rules
 */
typedef struct PolicyRule
{
	int32_t signed_by; /* -1: an operator */
	int32_t needed;	   /* as received: 0 or less is always satisfied, more than rules_count never */
	size_t rules_count;
	const struct PolicyRule *rules;
} PolicyRule;

typedef struct SignaturePolicy
{
	int32_t version; /* as received; only 0 is valid */
	PolicyRule rule;
	size_t principals_count;
	const Principal *const
		*principals; /* NULL: a principal that cannot be decoded, which no identity satisfies */
} SignaturePolicy;

/*
 * Decode and check a SignaturePolicyEnvelope: every operator and leaf present, principal indexes in
 * range, depth at most FB_POLICY_DEPTH_MAX, at most FB_POLICY_PRINCIPALS_MAX principals and
 * FB_POLICY_RULES_MAX rules (common/cauthdsl/cauthdsl.go, compile). Single principals that cannot
 * be decoded are not an error: no identity satisfies them, as in Fabric. Errors:
 * FB_MALFORMED_MESSAGE, FB_INVALID_POLICY, FB_LIMIT_EXCEEDED, FB_OUT_OF_MEMORY.
 */
extern FbStatus signature_policy_decode(FbAllocator *allocator, FbBytes envelope,
										SignaturePolicy **policy, FbError *error);

/*
 * The size of a SignaturePolicyEnvelope: number of its rules, operators included, and of its
 * principals. Cheaper than decoding it: principals, which may be certificates, are not read, and
 * only the depth is checked. Errors: FB_MALFORMED_MESSAGE, FB_LIMIT_EXCEEDED (depth),
 * FB_OUT_OF_MEMORY.
 */
extern FbStatus signature_policy_measure(FbAllocator *allocator, FbBytes envelope,
										 size_t *rules_count, size_t *principals_count,
										 FbError *error);

/* the same from a decoded message, which must live as long as the policy */
extern FbStatus signature_policy_from_message(FbAllocator *allocator,
											  const struct Common__SignaturePolicyEnvelope *message,
											  SignaturePolicy **policy, FbError *error);

/* ---- the policy language (common/policydsl/policyparser.go) ---- */

/*
 * Text for a NOTICE or WARNING about a policy that is valid but probably not intended; empty if
 * there is none.
 */
typedef struct PolicyNotice
{
	char text[FB_ERROR_MESSAGE_BYTES];
	char detail[FB_ERROR_DETAIL_BYTES];
} PolicyNotice;

/*
 * Compile policy text, UTF-8, such as
 *
 * OutOf(2, 'Org1MSP.peer', AND('Org2MSP.member', "Org3MSP.admin"))
 *
 * to the bytes of a SignaturePolicyEnvelope, identical to those of Fabric: principals are not
 * de-duplicated, and those of inner operators are numbered first. Operators are And/and/AND,
 * Or/or/OR, OutOf/outof/OUTOF. A principal is 'MSPID.role' in single or double quotes; the role is
 * one of admin, member, client, peer, orderer; the MSP id consists of letters, digits, '.' and '-'.
 * OutOf's number may be quoted; 0 <= n <= N + 1. notice (may be NULL) is filled in when an operator
 * is always satisfied (OutOf(0, ...)) or never (n = N + 1). Errors: FB_INVALID_POLICY (the detail
 * shows the place; position counts characters from 1), FB_LIMIT_EXCEEDED (text, depth, principals),
 * FB_OUT_OF_MEMORY.
 */
extern FbStatus policy_compile(FbAllocator *allocator, FbBytes text, FbBytes *envelope,
							   PolicyNotice *notice, FbError *error);

/*
 * The text of a SignaturePolicyEnvelope, zero-terminated: operators as OR (n = 1), AND (n = N > 1)
 * and OutOf; principals as 'MSPID.role'. The text of a policy from policy_compile compiles to the
 * same bytes. Parts that the language cannot express (a bare principal, an organizational unit, an
 * identity, an operator without rules) are shown in <> and do not compile. Errors: those of
 * signature_policy_decode.
 */
extern FbStatus policy_print(FbAllocator *allocator, FbBytes envelope, char **text, FbError *error);

/*
 * "ANY Readers", "ALL Writers", "MAJORITY Endorsement": two words with one space
 * (common/policies/implicitmetaparser.go) to the bytes of an ImplicitMetaPolicy. Errors:
 * FB_INVALID_POLICY, FB_OUT_OF_MEMORY.
 */
extern FbStatus policy_compile_implicit_meta(FbAllocator *allocator, FbBytes text,
											 FbBytes *implicit_meta, FbError *error);

/* ---- evaluation (common/cauthdsl/cauthdsl.go) ---- */

/*
 * Does signer number signer_index satisfy the principal? May be called repeatedly and must always
 * give the same answer.
 */
typedef bool (*PolicyMatch)(void *context, size_t signer_index, const Principal *principal);

/*
 * Greedy evaluation: a principal takes the first unused signer that satisfies it. An operator
 * evaluates all its rules and keeps the signers that succeeding rules have used; a failing rule
 * releases its signers. No backtracking, no memory allocated. At most FB_POLICY_SIGNATURES_MAX
 * signers; further ones are ignored.
 *
 * An evaluation with real signatures (policy_evaluate) makes one comparison for each principal and
 * each signer that may be valid, and handles a few machine words for each rule.
 * signature_policy_evaluate, which is for a small number of names, compares for each rule.
 */
extern bool signature_policy_evaluate(const SignaturePolicy *policy, size_t signers_count,
									  PolicyMatch match, void *context);

/*
 * Trial evaluation: principals[] are the signers in the order of their signatures, each
 * 'MSPID.role' without a certificate. A signer satisfies role principals of its MSP id with its own
 * role, and MEMBER (docs/wire-format.md, "Test vectors"). Only role principals can be satisfied.
 * Errors: FB_INVALID_ARGUMENT (a principal's syntax), FB_LIMIT_EXCEEDED, FB_OUT_OF_MEMORY, and
 * those of signature_policy_decode.
 */
extern FbStatus policy_satisfied(FbAllocator *allocator, FbBytes envelope,
								 const FbBytes *principals, size_t principals_count,
								 bool *satisfied, FbError *error);

/* ---- the policies of a channel ---- */

/* common/policies/policy.go, implicitmeta.go, core/policy/application.go */

typedef struct Policy Policy;
typedef struct PolicyManager PolicyManager;

/*
 * Build the manager of a configuration tree whose root is /Channel. Every policy of the tree is
 * decoded now. The whole configuration is invalid if a policy cannot be decoded, has an
 * unrecognized type or is a signature policy of another version than 0, or if a name occurs twice.
 * Errors: FB_INVALID_POLICY (the message names the path), FB_LIMIT_EXCEEDED, FB_OUT_OF_MEMORY.
 */
extern FbStatus policy_manager_create(FbAllocator *allocator,
									  const struct Common__ConfigGroup *channel_group,
									  PolicyManager **manager, FbError *error);

/*
 * Find a policy: an absolute path ('/Channel/Application/Org1MSP/Endorsement') or a path relative
 * to /Channel ('Application/Admins'). NULL when there is none. NULL is a valid policy for all
 * functions below: no signatures satisfy it.
 */
extern const Policy *policy_manager_find(const PolicyManager *manager, const char *path);

/*
 * '/Channel/Application/Writers' for a policy of a manager; "signature policy" for others; never
 * NULL
 */
extern const char *policy_path(const Policy *policy);

/*
 * a policy from the bytes of a signature policy (key-level parameters, collections); the version is
 * not checked, as in Fabric
 */
extern FbStatus policy_from_envelope(FbAllocator *allocator, FbBytes envelope,
									 const Policy **policy, FbError *error);
extern FbStatus policy_from_message(FbAllocator *allocator,
									const struct Common__SignaturePolicyEnvelope *message,
									const Policy **policy, FbError *error);

/*
 * Resolve an ApplicationPolicy (the validation parameter of a chaincode or a collection's
 * endorsement policy): either a signature policy, or a reference to a policy of the channel's
 * current configuration. Errors: FB_INVALID_POLICY (cannot be decoded, neither of both, no such
 * policy), FB_LIMIT_EXCEEDED, FB_OUT_OF_MEMORY.
 */
extern FbStatus policy_from_application_policy(FbAllocator *allocator, const PolicyManager *manager,
											   FbBytes application_policy, const Policy **policy,
											   FbError *error);

/*
 * A policy that members of `needed` of these MSPs must sign, each principal once, sorted by MSP id
 * (common/policydsl/policydsl_builder.go, SignedByNOutOfGivenRole with MEMBER). Errors:
 * FB_OUT_OF_MEMORY.
 */
extern FbStatus policy_from_members(FbAllocator *allocator, size_t needed,
									const char *const *msp_ids, size_t msp_ids_count,
									const Policy **policy, FbError *error);

/*
 * bytes of an ApplicationPolicy that holds a signature policy (its envelope bytes) or refers to a
 * channel policy; for chaincode definitions
 */
extern FbStatus application_policy_of_envelope(FbAllocator *allocator, FbBytes envelope,
											   FbBytes *application_policy, FbError *error);
extern FbStatus application_policy_of_reference(FbAllocator *allocator, const char *reference,
												FbBytes *application_policy, FbError *error);

/* ---- real signatures (common/policies/policy.go SignatureSetToValidIdentities) ---- */

#define FB_POLICY_MESSAGE_PARTS_MAX 3

/*
 * One signature. The signed bytes are the concatenation of the parts (payload and endorser; value,
 * signature header and block header; ...).
 */
typedef struct PolicySignature
{
	FbBytes identity; /* SerializedIdentity, as received */
	FbBytes signature;
	FbBytes parts[FB_POLICY_MESSAGE_PARTS_MAX]; /* unused parts are empty */
	const CryptoSha256 *first_part; /* a hash to which parts[0] was added, for signatures that share
									   a long first part; NULL: none */
} PolicySignature;

/* the signed digest: SHA-256 of the concatenated parts */
extern void policy_signature_digest(const PolicySignature *signature,
									uint8_t digest[CRYPTO_SHA256_BYTES]);

/*
 * Verifies a signature for a signature set: *valid: the signature is the identity's over the parts.
 * FB_OK also for an invalid one; other statuses end the evaluation (FB_OUT_OF_MEMORY,
 * FB_CRYPTO_FAILURE). The server passes a function that first looks into its cache of verified
 * signatures; NULL verifies with core/identity.
 */
typedef FbStatus (*PolicyVerify)(void *context, const Identity *identity,
								 const PolicySignature *signature, size_t index, bool *valid,
								 FbError *error);

typedef struct PolicySignatureSet PolicySignatureSet;

/*
 * Signatures in the order of the message. Identities that cannot be decoded, are not known or not
 * valid in their MSP, and invalid signatures are skipped silently; of one identity only the first
 * *valid* signature counts. Identities and signatures are checked when an evaluation first needs
 * them, and only once: use one set for all policies that a message must satisfy. After the first
 * evaluations all are checked, so that invalid ones cost later evaluations nothing. signatures[]
 * and msps must outlive the set, without msp_manager_trim in between. Errors: FB_LIMIT_EXCEEDED
 * (more than FB_POLICY_SIGNATURES_MAX), FB_OUT_OF_MEMORY.
 */
extern FbStatus policy_signatures_create(FbAllocator *allocator, MspManager *msps,
										 const PolicySignature *signatures, size_t signatures_count,
										 PolicyVerify verify, void *verify_context,
										 PolicySignatureSet **set, FbError *error);

/*
 * Do the signatures satisfy the policy? Errors: FB_OUT_OF_MEMORY, FB_CRYPTO_FAILURE; a policy that
 * is not satisfied is no error.
 */
extern FbStatus policy_evaluate(const Policy *policy, PolicySignatureSet *set, bool *satisfied,
								FbError *error);

/*
 * The same for callers that refuse: FB_POLICY_NOT_SATISFIED, with a detail that names the policy,
 * its requirement and the result for each signature.
 */
extern FbStatus policy_require(FbAllocator *allocator, const Policy *policy,
							   PolicySignatureSet *set, FbError *error);

/* Evaluate with any kind of signer. Each sub-policy of an ImplicitMeta policy gets all signers. */
extern bool policy_evaluate_match(const Policy *policy, size_t signers_count, PolicyMatch match,
								  void *context);

/*
 * a description of the policy, e.g. "MAJORITY Endorsement of Org1MSP, Org2MSP" or the policy
 * language
 */
extern FbStatus policy_describe(FbAllocator *allocator, const Policy *policy, char **text,
								FbError *error);

/* ---- layouts: sets of endorsers to request ---- */

/*
 * a possible endorser: a peer of an organization. Several of one
 * organization may be listed
 */
typedef struct PolicyEndorser
{
	const char *msp_id;
	FbBytes identity; /* its SerializedIdentity, for principals that name one; may be empty */
} PolicyEndorser;

typedef struct PolicyLayout
{
	size_t endorsers_count;
	const uint32_t *endorsers; /* indexes into the given endorsers, ascending; endorsements in this
								  order satisfy the policies */
} PolicyLayout;

#define FB_POLICY_ENDORSERS_MAX 32

/*
 * Find the smallest sets of endorsers that satisfy all policies at once (for a transaction that
 * writes several namespaces), at most layouts_max of them: smaller sets first, and among equal
 * sizes those whose members come first in endorsers[], so list the own organization first. No set
 * contains another set. The search is bounded: in very large networks it may return a single set
 * that is minimal, but not proved to be the smallest. Every endorser has the role peer.
 * layouts_count 0 means that these endorsers cannot satisfy the policies. Errors: FB_LIMIT_EXCEEDED
 * (more than FB_POLICY_ENDORSERS_MAX endorsers), FB_OUT_OF_MEMORY.
 */
extern FbStatus policy_layouts(FbAllocator *allocator, const Policy *const *policies,
							   size_t policies_count, const PolicyEndorser *endorsers,
							   size_t endorsers_count, size_t layouts_max, PolicyLayout **layouts,
							   size_t *layouts_count, FbError *error);

#endif
