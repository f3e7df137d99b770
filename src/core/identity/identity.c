/* identity.c: an identity, which is a certificate that is valid in an MSP (msp/identities.go) */
#include "core/identity/identity_internal.h"
#include "core/proto/proto.h"

#include <stdlib.h>

/* ---- bytes ---- */

FbStatus
identity_serialize(const char *msp_id, FbBytes certificate_pem, FbAllocator *allocator,
				   FbBytes *serialized, FbError *error)
{
	Msp__SerializedIdentity message = MSP__SERIALIZED_IDENTITY__INIT;

	message.mspid = (char *) msp_id;
	message.id_bytes = proto_data(certificate_pem);
	return PROTO_PACK(&message, allocator, serialized, error);
}

FbStatus
identity_unpack(FbBytes serialized, FbAllocator *allocator, const char **msp_id,
				FbBytes *certificate_pem, FbError *error)
{
	Msp__SerializedIdentity *message;

	*msp_id = NULL;
	*certificate_pem = FB_BYTES_EMPTY;
	if (serialized.size > FB_IDENTITY_BYTES_MAX)
		return fb_fail(error, FB_LIMIT_EXCEEDED, "identity has %zu bytes, more than %d",
					   serialized.size, FB_IDENTITY_BYTES_MAX);
	FB_TRY(PROTO_UNPACK(msp__serialized_identity, serialized, allocator, &message, error));
	*msp_id = message->mspid;
	*certificate_pem = proto_bytes(message->id_bytes);
	return FB_OK;
}

static int
compare_ous(const void *a, const void *b)
{
	return fb_bytes_compare(*(const FbBytes *) a, *(const FbBytes *) b);
}

static FbStatus
sort_ous(Identity *identity, FbError *error)
{
	size_t count = crypto_certificate_ous_count(identity->certificate);

	identity->ous = fb_allocate_array(identity->allocator, count, sizeof(FbBytes));
	if (identity->ous == NULL)
		return fb_out_of_memory(error);
	for (size_t i = 0; i < count; i++)
		identity->ous[i] = crypto_certificate_ou(identity->certificate, i);
	if (count > 1)
		qsort(identity->ous, count, sizeof(FbBytes), compare_ous);
	identity->ous_count = count;
	return FB_OK;
}

bool
identity_has_ou(const Identity *identity, FbBytes name)
{
	return identity->ous_count > 0 &&
		   bsearch(&name, identity->ous, identity->ous_count, sizeof(FbBytes), compare_ous) != NULL;
}

static FbStatus
identity_fill(Identity *identity, const Msp *msp, FbBytes serialized, FbAllocator *scratch,
			  FbError *error)
{
	const char *id;
	FbBytes pem;

	FB_TRY(identity_unpack(serialized, scratch, &id, &pem, error));
	if (strcmp(id, msp->id) != 0)
		return fb_fail(error, FB_UNKNOWN_MSP, "identity is of MSP \"%s\", expected \"%s\"", id,
					   msp->id);
	FB_TRY(crypto_certificate_parse_pem(pem, &identity->certificate, error));
	FB_TRY(identity_check(identity, msp, identity->certificate, scratch, error));
	FB_TRY(sort_ous(identity, error));
	return fb_bytes_copy(identity->allocator, serialized, &identity->serialized, error);
}

FbStatus
identity_create(const Msp *msp, FbBytes serialized, FbAllocator *allocator, Identity **identity,
				FbError *error)
{
	Identity *result = fb_allocate_zero(allocator, sizeof(*result));
	Scratch scratch;
	FbStatus status;

	*identity = NULL;
	if (result == NULL)
		return fb_out_of_memory(error);
	result->allocator = allocator;
	scratch_init(&scratch, allocator);
	status = identity_fill(result, msp, serialized, &scratch.allocator, error);
	scratch_free(&scratch);
	if (status != FB_OK)
	{
		identity_destroy(result);
		return status;
	}
	*identity = result;
	return FB_OK;
}

void
identity_destroy(Identity *identity)
{
	if (identity == NULL)
		return;
	fb_release(identity->allocator, identity->ous);
	crypto_certificate_free(identity->certificate);
	fb_release(identity->allocator, (void *) identity->serialized.data);
	fb_release(identity->allocator, identity);
}

/* ---- accessors ---- */

const char *
identity_msp_id(const Identity *identity)
{
	return identity->msp->id;
}

const CryptoCertificate *
identity_certificate(const Identity *identity)
{
	return identity->certificate;
}

const char *
identity_id(const Identity *identity)
{
	return identity->id;
}

IdentityRole
identity_role(const Identity *identity)
{
	return identity->role;
}

FbStatus
identity_verify_parts(const Identity *identity, const FbBytes *parts, size_t parts_count,
					  FbBytes signature, FbError *error)
{
	return crypto_verify_parts(crypto_certificate_public_key(identity->certificate), parts,
							   parts_count, signature, error);
}

FbStatus
identity_verify_digest(const Identity *identity, const uint8_t digest[CRYPTO_SHA256_BYTES],
					   FbBytes signature, FbError *error)
{
	return crypto_verify_digest(crypto_certificate_public_key(identity->certificate), digest,
								signature, error);
}

bool
identity_expired(const Identity *identity, int64_t now)
{
	return now > crypto_certificate_not_after(identity->certificate);
}
