/* signer.c: a certificate with its private key */
#include "core/identity/identity_internal.h"

struct Signer
{
	FbAllocator *allocator;
	char *msp_id;
	CryptoCertificate *certificate;
	CryptoPrivateKey *key;
	FbBytes identity;
};

static FbStatus
signer_fill(Signer *signer, const char *msp_id, FbBytes certificate_pem, FbBytes key_pem,
			FbError *error)
{
	FbBytes pem;
	Scratch scratch;
	FbStatus status;

	signer->msp_id = fb_text_copy(signer->allocator, fb_bytes_of_text(msp_id));
	if (signer->msp_id == NULL)
		return fb_out_of_memory(error);
	FB_TRY(crypto_certificate_parse_pem(certificate_pem, &signer->certificate, error));
	FB_TRY(crypto_private_key_parse(key_pem, &signer->key, error));
	if (!crypto_private_key_matches(signer->key,
									crypto_certificate_public_key(signer->certificate)))
		return fb_fail(error, FB_INVALID_KEY, "private key does not belong to certificate \"%s\"",
					   crypto_certificate_subject(signer->certificate));
	/*
	 * encode it again, without text around the PEM block: these bytes are part of every transaction
	 */
	scratch_init(&scratch, signer->allocator);
	status = crypto_certificate_pem(signer->certificate, &scratch.allocator, &pem, error);
	if (status == FB_OK)
		status = identity_serialize(msp_id, pem, signer->allocator, &signer->identity, error);
	scratch_free(&scratch);
	return status;
}

FbStatus
signer_create(const char *msp_id, FbBytes certificate_pem, FbBytes key_pem, FbAllocator *allocator,
			  Signer **signer, FbError *error)
{
	Signer *result;
	FbStatus status;
	size_t size = strlen(msp_id);

	*signer = NULL;
	if (size == 0 || size > FB_MSP_ID_BYTES_MAX || !fb_utf8_valid(fb_bytes(msp_id, size)))
		return fb_fail(error, FB_INVALID_ARGUMENT, "MSP id must be UTF-8 text of 1 to %d bytes",
					   FB_MSP_ID_BYTES_MAX);
	result = fb_allocate_zero(allocator, sizeof(*result));
	if (result == NULL)
		return fb_out_of_memory(error);
	result->allocator = allocator;
	status = signer_fill(result, msp_id, certificate_pem, key_pem, error);
	if (status != FB_OK)
	{
		signer_destroy(result);
		return status;
	}
	*signer = result;
	return FB_OK;
}

void
signer_destroy(Signer *signer)
{
	if (signer == NULL)
		return;
	crypto_certificate_free(signer->certificate);
	crypto_private_key_free(signer->key);
	fb_release(signer->allocator, (void *) signer->identity.data);
	fb_release(signer->allocator, signer->msp_id);
	fb_release(signer->allocator, signer);
}

FbBytes
signer_identity(const Signer *signer)
{
	return signer->identity;
}

FbStatus
signer_sign(const Signer *signer, FbBytes message, FbAllocator *allocator, FbBytes *signature,
			FbError *error)
{
	return crypto_sign(signer->key, message, allocator, signature, error);
}

FbStatus
signer_sign_digest(const Signer *signer, const uint8_t digest[CRYPTO_SHA256_BYTES],
				   FbAllocator *allocator, FbBytes *signature, FbError *error)
{
	return crypto_sign_digest(signer->key, digest, allocator, signature, error);
}
