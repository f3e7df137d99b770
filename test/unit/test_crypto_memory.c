/*
 * crypto and identity while OpenSSL runs out of memory: a check of an identity or a signature gives
 * its right answer or an error. A wrong answer ("not valid", when memory ran out) would give a
 * transaction another code than on all other nodes.
 */
#include "core/identity/identity.h"
#include "unit/check.h"

#include <openssl/crypto.h>

#define X509_DIR "test/vectors/x509/"

/* ---- an allocator for OpenSSL whose n-th call fails, alone or with all later calls ---- */

static unsigned long calls_count;
static unsigned long fail_at; /* 0: never */
static bool fail_on;

static bool
fails(void)
{
	calls_count++;
	return fail_at > 0 && (fail_on ? calls_count >= fail_at : calls_count == fail_at);
}

static void *
openssl_allocate(size_t size, const char *file, int line)
{
	return fails() ? NULL : malloc(size);
}

static void *
openssl_reallocate(void *pointer, size_t size, const char *file, int line)
{
	if (size == 0)
	{
		free(pointer);
		return NULL;
	}
	return fails() ? NULL : realloc(pointer, size);
}

static void
openssl_free(void *pointer, const char *file, int line)
{
	free(pointer);
}

/* ---- the checks ---- */

static FbArena arena;
static FbAllocator *const memory = &arena.allocator;

static FbBytes
file(const char *path)
{
	FbBytes from = check_read_file(path);
	FbBytes to;

	fb_bytes_copy(memory, from, &to, NULL);
	free((void *) from.data);
	return to;
}

static FbBytes config;
static Msp *msp;
static FbError last;

static FbBytes
serialized(const char *name)
{
	char path[256];
	FbBytes bytes;

	snprintf(path, sizeof(path), X509_DIR "%s.pem", name);
	CHECK_STATUS(identity_serialize("TestMSP", file(path), memory, &bytes, NULL), FB_OK);
	return bytes;
}

static FbStatus
ask_identity(const void *bytes)
{
	Identity *identity;
	FbStatus status = identity_create(msp, *(const FbBytes *) bytes, memory, &identity, &last);

	identity_destroy(identity);
	return status;
}

static FbStatus
ask_definition(const void *bytes)
{
	Msp *made;
	FbStatus status = msp_create(*(const FbBytes *) bytes, memory, &made, &last);

	msp_destroy(made);
	return status;
}

typedef struct SignatureQuestion
{
	const CryptoPublicKey *key;
	FbBytes message;
	FbBytes signature;
} SignatureQuestion;

static FbStatus
ask_signature(const void *question)
{
	const SignatureQuestion *asked = question;

	return crypto_verify(asked->key, asked->message, asked->signature, &last);
}

/*
 * Repeat the check, with every step-th call failing once, and then with that call and all later
 * ones failing.
 */
static void
walk(const char *what, unsigned long step, FbStatus (*ask)(const void *), const void *question,
	 FbStatus expected)
{
	unsigned long calls;

	CHECK_STATUS(ask(question), expected); /* OpenSSL keeps some allocations of the first time */
	for (int on = 0; on <= 1; on++)
	{
		fail_on = on != 0;
		calls_count = 0;
		CHECK_STATUS(ask(question), expected);
		calls = calls_count;
		CHECK(calls > 0);
		for (unsigned long n = 1; n <= calls; n += step)
		{
			FbStatus status;

			calls_count = 0;
			fail_at = n;
			status = ask(question);
			fail_at = 0;
			if (!CHECK(status == expected || status == FB_OUT_OF_MEMORY ||
					   status == FB_CRYPTO_FAILURE))
				fprintf(stderr, "    %s, call %lu of %lu%s: %s, not %s: %s\n", what, n, calls,
						fail_on ? " and on" : "", test_status_name(status),
						test_status_name(expected), status == FB_OK ? "" : last.message);
		}
	}
}

static void
make_msp(void)
{
	FbBytes roots[] = {file(X509_DIR "root.pem")};
	FbBytes intermediates[] = {file(X509_DIR "inter.pem"), file(X509_DIR "upper.pem"),
							   file(X509_DIR "lower.pem")};
	FbBytes lists[] = {file(X509_DIR "inter.crl")};
	MspParts parts = {.msp_id = "TestMSP",
					  .root_certificates = roots,
					  .root_certificates_count = 1,
					  .intermediate_certificates = intermediates,
					  .intermediate_certificates_count = 3,
					  .revocation_lists = lists,
					  .revocation_lists_count = 1,
					  .node_ous = true};

	CHECK_STATUS(msp_config_make(&parts, memory, &config, NULL), FB_OK);
	CHECK_STATUS(msp_create(config, memory, &msp, NULL), FB_OK);
}

int
main(void)
{
	static const struct
	{
		const char *name;
		unsigned long step;
		FbStatus status;
	} identities[] = {
		{"client", 1, FB_OK},
		{"revoked", 1, FB_CERTIFICATE_REVOKED},
		{"stranger", 5, FB_INVALID_IDENTITY},
		{"critical", 5, FB_INVALID_IDENTITY},
		{"rsaleaf", 5, FB_INVALID_IDENTITY},
		{"k1leaf", 5, FB_INVALID_IDENTITY},
	};
	CryptoCertificate *peer;
	SignatureQuestion question;
	FbBytes pem;

	if (CRYPTO_set_mem_functions(openssl_allocate, openssl_reallocate, openssl_free) != 1)
	{
		fprintf(stderr, "OpenSSL does not take another allocator\n");
		return 2;
	}
	fb_arena_init(&arena);
	make_msp();
	for (size_t i = 0; i < sizeof(identities) / sizeof(identities[0]); i++)
	{
		FbBytes bytes = serialized(identities[i].name);

		CHECK_TEST(walk(identities[i].name, identities[i].step, ask_identity, &bytes,
						identities[i].status));
	}
	CHECK_TEST(walk("definition", 97, ask_definition, &config, FB_OK));

	pem = file(X509_DIR "peer.pem");
	CHECK_STATUS(crypto_certificate_parse(pem, &peer, NULL), FB_OK);
	question.key = crypto_certificate_public_key(peer);
	question.message = file(X509_DIR "message");
	CHECK_STATUS(crypto_signature_to_low_s(CRYPTO_P256, file(X509_DIR "message.sig"), memory,
										   &question.signature, NULL),
				 FB_OK);
	CHECK_TEST(walk("signature", 1, ask_signature, &question, FB_OK));
	question.message = FB_BYTES_LITERAL("another message");
	CHECK_TEST(walk("wrong signature", 1, ask_signature, &question, FB_INVALID_SIGNATURE));
	crypto_certificate_free(peer);
	msp_destroy(msp);
	fb_arena_reset(&arena);
	return check_finish("crypto memory");
}
