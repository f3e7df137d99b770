/* access.c: who may do what on a channel */
#include "server/channel/channel.h"

#include <time.h>

static int64
now_seconds(void)
{
	return (int64) time(NULL);
}

/* the key of a verification in the verified set: identity, signature, message */
static void
verification_digest(FbBytes identity, FbBytes signature,
					const uint8_t message_digest[CRYPTO_SHA256_BYTES], uint8_t digest[32])
{
	CryptoSha256 hash;
	uint64 sizes[2] = {identity.size, signature.size};

	crypto_sha256_start(&hash);
	crypto_sha256_add(&hash, fb_bytes(sizes, sizeof(sizes)));
	crypto_sha256_add(&hash, identity);
	crypto_sha256_add(&hash, signature);
	crypto_sha256_add(&hash, fb_bytes(message_digest, CRYPTO_SHA256_BYTES));
	crypto_sha256_finish(&hash, digest);
}

FbStatus
access_verify(void *context, const Identity *identity, const PolicySignature *signature,
			  size_t index, bool *valid, FbError *error)
{
	uint8_t message_digest[CRYPTO_SHA256_BYTES];
	uint8_t digest[32];
	FbStatus status;

	/* hash it once: the message may be long, and have a thousand signatures */
	policy_signature_digest(signature, message_digest);
	verification_digest(signature->identity, signature->signature, message_digest, digest);
	*valid = shmem_verified_contains(digest);
	if (*valid)
		return FB_OK;
	status = identity_verify_digest(identity, message_digest, signature->signature, error);
	if (status == FB_OK)
	{
		*valid = true;
		shmem_verified_add(digest);
		return FB_OK;
	}
	return status == FB_INVALID_SIGNATURE ? FB_OK : status;
}

FbBytes
access_sign(const Signer *signer, const uint8_t message_digest[CRYPTO_SHA256_BYTES])
{
	uint8_t digest[32];
	FbBytes signature;
	FbError error;

	error_check(signer_sign_digest(signer, message_digest, memory_allocator(CurrentMemoryContext),
								   &signature, &error),
				&error);
	verification_digest(signer_identity(signer), signature, message_digest, digest);
	shmem_verified_add(digest);
	return signature;
}

static PolicySignature
policy_signature(const SignedMessage *message)
{
	return (PolicySignature) {message->creator, message->signature, {message->message}};
}

const Identity *
access_identify(const Channel *channel, FbBytes creator)
{
	const Identity *identity;
	FbError error;

	error_check(msp_manager_identity(channel->bundle->msps, creator, &identity, &error), &error);
	if (identity_expired(identity, now_seconds()))
		ereport(ERROR, (fb_errcode(FB_CERTIFICATE_EXPIRED),
						errmsg("the certificate of \"%s\" of %s has expired",
							   crypto_certificate_subject(identity_certificate(identity)),
							   identity_msp_id(identity)),
						errhint("Enroll again and use the new certificate.")));
	return identity;
}

const Identity *
access_authenticate(const Channel *channel, const SignedMessage *message)
{
	const Identity *identity = access_identify(channel, message->creator);
	PolicySignature signature = policy_signature(message);
	FbError error;
	bool valid;

	error_check(access_verify(NULL, identity, &signature, 0, &valid, &error), &error);
	if (!valid)
		ereport(
			ERROR,
			(fb_errcode(FB_INVALID_SIGNATURE),
			 errmsg("the signature of \"%s\" of %s is not valid",
					crypto_certificate_subject(identity_certificate(identity)),
					identity_msp_id(identity)),
			 errdetail(
				 "The signature must be ECDSA over SHA-256 of the message, DER encoded, with low S.")));
	return identity;
}

/* the PolicyVerify of an authenticated message: its only signature counts as valid */
static FbStatus
verify_authenticated(void *context, const Identity *identity, const PolicySignature *signature,
					 size_t index, bool *valid, FbError *error)
{
	*valid = true;
	return FB_OK;
}

/* for an authenticated message */
static void
access_check_signature(const Channel *channel, const char *policy_path,
					   const SignedMessage *message)
{
	FbAllocator *allocator = memory_allocator(CurrentMemoryContext);
	const Policy *policy = policy_manager_find(channel->bundle->policies, policy_path);
	PolicySignature signature = policy_signature(message);
	PolicySignatureSet *set;
	FbError error;
	FbStatus status;

	error_check(policy_signatures_create(allocator, channel->bundle->msps, &signature, 1,
										 verify_authenticated, NULL, &set, &error),
				&error);
	status = policy_require(allocator, policy, set, &error);
	if (status == FB_POLICY_NOT_SATISFIED)
		status = error.status = FB_ACCESS_DENIED;
	error_check(status, &error);
}

void
access_check_policy(const Channel *channel, const char *policy_path, const SignedMessage *message)
{
	(void) access_authenticate(channel, message);
	access_check_signature(channel, policy_path, message);
}

void
access_authorize(const Channel *channel, const char *resource, const SignedMessage *message)
{
	const char *path = config_acl_policy_path(channel->bundle, resource);

	if (path == NULL)
		ereport(ERROR,
				(fb_errcode(FB_ACCESS_DENIED),
				 errmsg("no policy of channel \"%s\" allows \"%s\"", channel->name, resource)));
	access_check_signature(channel, path, message);
}

void
access_check_time(int64 seconds, int32 nanos)
{
	int64 difference = seconds - now_seconds();

	if (guc_authentication_time_window > 0 && (difference > guc_authentication_time_window ||
											   difference < -guc_authentication_time_window))
		ereport(
			ERROR,
			(fb_errcode(FB_INVALID_ARGUMENT),
			 errmsg("timestamp of the request is too far from this node's time"),
			 errdetail("It differs by %lld seconds; %d are allowed.", (long long) difference,
					   guc_authentication_time_window),
			 errhint(
				 "Check the clocks of client and node, or change fabric.authentication_time_window.")));
}
