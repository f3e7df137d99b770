/*
 * signatures.c: real signatures against policies (common/policies/policy.go,
 * SignatureSetToValidIdentities).
 *
 * Fabric first makes the list of valid, de-duplicated identities and then evaluates. Here each
 * signature is verified when the evaluation first needs it, which gives the same verdict: a
 * signature that is not valid, or whose identity has signed validly before, satisfies no principal,
 * at any position.
 *
 * In this way superfluous signatures of a message cost nothing. But with a thousand signatures that
 * match no principal, and ten thousand keys with a policy each, every policy would be compared with
 * all signatures. So from the third evaluation on, all signatures are verified first, each once as
 * before, and only valid ones are compared. A copy of an invalid signature is invalid without a
 * second verification.
 */
#include "core/policy/policy_internal.h"

typedef enum SignerState
{
	SIGNER_UNKNOWN,
	SIGNER_VALID,
	SIGNER_BAD_IDENTITY,
	SIGNER_BAD_SIGNATURE,
	SIGNER_REPEATED
} SignerState;

typedef struct SignerSlot
{
	SignerState state;
	bool identified; /* identity and identity_status are set */
	FbStatus identity_status;
	const Identity *identity;
} SignerSlot;

/* evaluations of a set before all its signatures are verified */
#define LAZY_EVALUATIONS_MAX 2

struct PolicySignatureSet
{
	MspManager *msps;
	const PolicySignature *signatures;
	size_t count;
	size_t evaluations_count;
	bool all_verified;
	PolicySigners signers;
	PolicyVerify verify;
	void *verify_context;
	SignerSlot *slots;
	/* lack of memory or an OpenSSL failure: the evaluation's result is meaningless */
	FbStatus failure;
	FbError error;
};

static FbStatus
verify_plainly(void *context, const Identity *identity, const PolicySignature *signature,
			   size_t index, bool *valid, FbError *error)
{
	uint8_t digest[CRYPTO_SHA256_BYTES];
	FbStatus status;

	policy_signature_digest(signature, digest);
	status = identity_verify_digest(identity, digest, signature->signature, error);
	*valid = status == FB_OK;
	return status == FB_INVALID_SIGNATURE ? FB_OK : status;
}

void
policy_signature_digest(const PolicySignature *signature, uint8_t digest[CRYPTO_SHA256_BYTES])
{
	CryptoSha256 hash;
	int part = 0;

	if (signature->first_part != NULL)
	{
		hash = *signature->first_part;
		part = 1;
	}
	else
		crypto_sha256_start(&hash);
	for (; part < FB_POLICY_MESSAGE_PARTS_MAX; part++)
		crypto_sha256_add(&hash, signature->parts[part]);
	crypto_sha256_finish(&hash, digest);
}

static bool slot_is_valid(PolicySignatureSet *set, size_t index);
static bool match_identity(void *context, size_t signer_index, const Principal *principal);
static bool signer_is_valid(void *context, size_t signer_index);

FbStatus
policy_signatures_create(FbAllocator *allocator, MspManager *msps,
						 const PolicySignature *signatures, size_t signatures_count,
						 PolicyVerify verify, void *verify_context, PolicySignatureSet **set,
						 FbError *error)
{
	PolicySignatureSet *made;

	*set = NULL;
	if (signatures_count > FB_POLICY_SIGNATURES_MAX)
		return fb_fail(error, FB_LIMIT_EXCEEDED, "%zu signatures, more than %d", signatures_count,
					   FB_POLICY_SIGNATURES_MAX);
	made = fb_allocate_zero(allocator, sizeof(*made));
	if (made == NULL)
		return fb_out_of_memory(error);
	made->slots = fb_allocate_array(allocator, signatures_count, sizeof(made->slots[0]));
	if (made->slots == NULL)
		return fb_out_of_memory(error);
	made->msps = msps;
	made->signatures = signatures;
	made->count = signatures_count;
	made->verify = verify != NULL ? verify : verify_plainly;
	made->verify_context = verify_context;
	made->signers = (PolicySigners) {.count = signatures_count,
									 .match = match_identity,
									 .valid = signer_is_valid,
									 .context = made,
									 .allocator = allocator};
	*set = made;
	return FB_OK;
}

/* Is it a failure of this node, not of the signer? */
static bool
is_failure(PolicySignatureSet *set, FbStatus status)
{
	if (status != FB_OUT_OF_MEMORY && status != FB_CRYPTO_FAILURE && status != FB_INTERNAL)
		return false;
	set->failure = status;
	return true;
}

static const Identity *
slot_identity(PolicySignatureSet *set, size_t index)
{
	SignerSlot *slot = &set->slots[index];

	FB_ASSERT(index < set->count);
	if (!slot->identified)
	{
		slot->identity_status = msp_manager_identity(set->msps, set->signatures[index].identity,
													 &slot->identity, &set->error);
		if (slot->identity_status != FB_OK)
			slot->identity = NULL;
		if (is_failure(set, slot->identity_status))
			return NULL;
		slot->identified = true;
	}
	return slot->identity;
}

static bool
same_identity(const Identity *a, const Identity *b)
{
	return a == b || (strcmp(identity_id(a), identity_id(b)) == 0 &&
					  strcmp(identity_msp_id(a), identity_msp_id(b)) == 0);
}

/* the same signature of the same bytes: a verdict about one holds for the other */
static bool
same_signature(const PolicySignature *a, const PolicySignature *b)
{
	if (!fb_bytes_equal(a->signature, b->signature))
		return false;
	for (int i = 0; i < FB_POLICY_MESSAGE_PARTS_MAX; i++)
		if ((a->parts[i].data != b->parts[i].data || a->parts[i].size != b->parts[i].size) &&
			!fb_bytes_equal(a->parts[i], b->parts[i]))
			return false;
	return true;
}

/*
 * Does this signature count? Verifies it, and earlier signatures of the same identity, at most
 * once.
 */
static bool
slot_is_valid(PolicySignatureSet *set, size_t index)
{
	SignerSlot *slot = &set->slots[index];
	const Identity *identity;
	bool valid = false;
	FbStatus status;

	FB_ASSERT(index < set->count);
	if (slot->state != SIGNER_UNKNOWN)
		return slot->state == SIGNER_VALID;
	identity = slot_identity(set, index);
	if (set->failure != FB_OK)
		return false;
	if (identity == NULL)
	{
		slot->state = SIGNER_BAD_IDENTITY;
		return false;
	}
	for (size_t i = 0; i < index; i++)
	{
		const Identity *earlier = slot_identity(set, i);

		if (set->failure != FB_OK)
			return false;
		if (earlier == NULL || !same_identity(earlier, identity))
			continue;
		if (slot_is_valid(set, i))
		{
			slot->state = SIGNER_REPEATED;
			return false;
		}
		if (set->failure != FB_OK)
			return false;
		if (same_signature(&set->signatures[i], &set->signatures[index]))
		{
			slot->state = SIGNER_BAD_SIGNATURE;
			return false;
		}
	}
	status = set->verify(set->verify_context, identity, &set->signatures[index], index, &valid,
						 &set->error);
	if (status != FB_OK)
	{
		if (!is_failure(set, status))
			set->failure = status; /* a failure of the callback itself */
		return false;
	}
	slot->state = valid ? SIGNER_VALID : SIGNER_BAD_SIGNATURE;
	return valid;
}

/* compare with the principal first: that is cheap, unlike verifying a signature */
static bool
match_identity(void *context, size_t signer_index, const Principal *principal)
{
	PolicySignatureSet *set = context;
	const Identity *identity;

	if (set->failure != FB_OK)
		return false;
	identity = slot_identity(set, signer_index);
	return identity != NULL && principal_matches(principal, identity);
}

static bool
signer_is_valid(void *context, size_t signer_index)
{
	PolicySignatureSet *set = context;

	return set->failure == FB_OK && slot_is_valid(set, signer_index);
}

static void
verify_all(PolicySignatureSet *set)
{
	for (size_t i = 0; i < set->count && set->failure == FB_OK; i++)
		if (!slot_is_valid(set, i))
			set->signers.bad[i / 64] |= UINT64_C(1) << (i % 64);
	set->all_verified = set->failure == FB_OK;
}

FbStatus
policy_evaluate(const Policy *policy, PolicySignatureSet *set, bool *satisfied, FbError *error)
{
	bool result;

	*satisfied = false;
	set->failure = FB_OK;
	if (++set->evaluations_count > LAZY_EVALUATIONS_MAX && !set->all_verified)
		verify_all(set);
	if (set->failure == FB_OK)
	{
		FB_TRY(policy_evaluate_signers(policy, &set->signers, &result, error));
		*satisfied = result && set->failure == FB_OK;
	}
	if (set->failure != FB_OK)
	{
		/* a verdict that was caused by a failure of this node must not be kept */
		memset(set->signers.bad, 0, sizeof(set->signers.bad));
		if (error != NULL)
			*error = set->error;
	}
	return set->failure;
}

static const char *
describe_slot(const SignerSlot *slot)
{
	switch (slot->state)
	{
		case SIGNER_VALID:
			return "valid";
		case SIGNER_BAD_SIGNATURE:
			return "wrong signature";
		case SIGNER_REPEATED:
			return "the identity has signed before";
		case SIGNER_BAD_IDENTITY:
			break;
		case SIGNER_UNKNOWN:
			return "matches no principal";
	}
	return fb_status_text(slot->identity_status);
}

FbStatus
policy_require(FbAllocator *allocator, const Policy *policy, PolicySignatureSet *set,
			   FbError *error)
{
	bool satisfied;
	char *wanted;
	FbBuffer signers;
	FbBytes signers_text;

	FB_TRY(policy_evaluate(policy, set, &satisfied, error));
	if (satisfied)
		return FB_OK;
	FB_TRY(policy_describe(allocator, policy, &wanted, error));
	fb_buffer_init(&signers, allocator);
	for (size_t i = 0; i < set->count; i++)
	{
		const Identity *identity = slot_identity(set, i);

		if (set->failure != FB_OK)
		{
			if (error != NULL)
				*error = set->error;
			return set->failure;
		}
		if (set->slots[i].state == SIGNER_UNKNOWN && set->slots[i].identified && identity == NULL)
			set->slots[i].state = SIGNER_BAD_IDENTITY;
		fb_buffer_append_text(&signers, i == 0 ? "" : "; ");
		if (identity != NULL)
			fb_buffer_append_format(&signers, "%s %s \"%s\"", identity_msp_id(identity),
									identity_role_name(identity_role(identity)),
									crypto_certificate_common_name(identity_certificate(identity)));
		else
			fb_buffer_append_format(&signers, "signature %zu", i + 1);
		fb_buffer_append_format(&signers, ": %s", describe_slot(&set->slots[i]));
	}
	fb_buffer_append_byte(&signers, '\0');
	FB_TRY(fb_buffer_bytes(&signers, &signers_text, error));
	fb_fail(error, FB_POLICY_NOT_SATISFIED, "policy \"%s\" is not satisfied", policy_path(policy));
	fb_error_detail(error, "It needs %s. Signed by: %s.", wanted,
					set->count == 0 ? "no identity" : (const char *) signers_text.data);
	return FB_POLICY_NOT_SATISFIED;
}
