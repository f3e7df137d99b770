/*
 * PEM: any bytes have a first block or none; a block that is written again is found again with the
 * same content; a block found by name is one of those found in sequence, and each block consumes
 * input.
 */
#include "arena.h"
#include "core/crypto/crypto_internal.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
require(bool holds)
{
	if (!holds)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const names[] = {"CERTIFICATE", "A", "", NULL};
	FbBytes rest = fb_bytes(data, size);
	FbBytes der;
	FbBytes again;
	FbBytes pem;
	FbArena arena;
	FbError error;
	CryptoCertificate *certificate;

	if (size > FB_CERTIFICATE_BYTES_MAX)
		return 0;
	fb_arena_init(&arena);
	require(pem_read_first(rest, &der, &error) == FB_OK);
	if (der.data != NULL && der.size > 0)
	{
		require(pem_write("ANY", der, &arena.allocator, &pem, &error) == FB_OK);
		require(pem_read_first(pem, &again, &error) == FB_OK && fb_bytes_equal(der, again));
		fb_release(&crypto_heap, (void *) again.data);
	}
	fb_release(&crypto_heap, (void *) der.data);
	if (crypto_certificate_parse_pem(rest, &certificate, &error) == FB_OK)
		crypto_certificate_free(certificate);
	else
		require(error.status == FB_INVALID_CERTIFICATE || error.status == FB_LIMIT_EXCEEDED);
	while (rest.size > 0)
	{
		size_t before = rest.size;

		require(pem_read(rest, names, &der, &rest, NULL, &error) == FB_OK);
		fb_release(&crypto_heap, (void *) der.data);
		require(rest.size < before);
	}
	fb_arena_reset(&arena);
	return 0;
}
