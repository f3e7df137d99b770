/* hash.c: SHA-256, random bytes, wiping, and the memory and error reporting of this directory */

/*
 * The low-level SHA-256 functions are deprecated since OpenSSL 3.0 in favor of EVP. They are used
 * because only they neither allocate nor fail, and because they are several times faster for short
 * inputs (EVP looks up a provider for each hash).
 */
#define OPENSSL_SUPPRESS_DEPRECATED

#include "core/crypto/crypto_internal.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/rand.h>
#include <openssl/sha.h>

_Static_assert(sizeof(SHA256_CTX) <= sizeof(CryptoSha256), "CryptoSha256 is too small");
_Static_assert(_Alignof(SHA256_CTX) <= _Alignof(CryptoSha256), "CryptoSha256 is not aligned");

void
crypto_sha256_start(CryptoSha256 *hash)
{
	SHA256_Init((SHA256_CTX *) hash->state);
}

void
crypto_sha256_add(CryptoSha256 *hash, FbBytes bytes)
{
	if (bytes.size > 0)
		SHA256_Update((SHA256_CTX *) hash->state, bytes.data, bytes.size);
}

void
crypto_sha256_finish(CryptoSha256 *hash, uint8_t out[CRYPTO_SHA256_BYTES])
{
	SHA256_Final(out, (SHA256_CTX *) hash->state);
	fb_work_add(FB_WORK_HASH);
}

void
crypto_sha256(FbBytes bytes, uint8_t out[CRYPTO_SHA256_BYTES])
{
	crypto_sha256_parts(&bytes, 1, out);
}

void
crypto_sha256_parts(const FbBytes *parts, size_t parts_count, uint8_t out[CRYPTO_SHA256_BYTES])
{
	CryptoSha256 hash;

	crypto_sha256_start(&hash);
	for (size_t i = 0; i < parts_count; i++)
		crypto_sha256_add(&hash, parts[i]);
	crypto_sha256_finish(&hash, out);
}

FbStatus
crypto_random(uint8_t *out, size_t size, FbError *error)
{
	while (size > 0)
	{
		int portion = size > 65536 ? 65536 : (int) size;

		if (RAND_bytes(out, portion) != 1)
			return crypto_openssl_fail(error, FB_CRYPTO_FAILURE, "could not generate random bytes");
		out += portion;
		size -= portion;
	}
	return FB_OK;
}

void
crypto_wipe(void *data, size_t size)
{
	if (size > 0)
		OPENSSL_cleanse(data, size);
}

static void *
heap_allocate(FbAllocator *self, size_t size)
{
	return OPENSSL_malloc(size);
}

static void
heap_release(FbAllocator *self, void *pointer)
{
	OPENSSL_free(pointer);
}

FbAllocator crypto_heap = {heap_allocate, heap_release};

bool
crypto_openssl_starved(void)
{
	bool starved = false;
	unsigned long code;

	/* the failure is seldom the last entry: each caller in OpenSSL adds its own */
	while ((code = ERR_get_error()) != 0)
		starved |= ERR_GET_REASON(code) == ERR_R_MALLOC_FAILURE;
	return starved;
}

bool
crypto_memory_is_short(void)
{
	/* larger than any structure of a certificate */
	void *probe = OPENSSL_malloc(65536);

	OPENSSL_free(probe);
	ERR_clear_error();
	return probe == NULL;
}

FbStatus
crypto_openssl_fail(FbError *error, FbStatus status, const char *format, ...)
{
	unsigned long code = ERR_peek_last_error();
	char message[FB_ERROR_MESSAGE_BYTES];
	char reason[256];
	va_list arguments;

	if (crypto_openssl_starved())
		return fb_out_of_memory(error);
	va_start(arguments, format);
	fb_print_cut(message, sizeof(message), format, arguments);
	va_end(arguments);
	fb_fail(error, status, "%s", message);
	if (code != 0 && error != NULL)
	{
		ERR_error_string_n(code, reason, sizeof(reason));
		fb_error_detail(error, "The cryptographic library says: %s.", reason);
	}
	return status;
}
