/* msp_samples.h: certificates and MSPs for the tests of core/identity */
#ifndef FABRIC_TEST_MSP_SAMPLES_H
#define FABRIC_TEST_MSP_SAMPLES_H

#include "core/identity/identity_internal.h"
#include "core/proto/proto.h"
#include "unit/check.h"

#define X509_DIR "test/vectors/x509/"
#define CRYPTO_DIR "test/vectors/crypto/"
#define ORG1 CRYPTO_DIR "peerOrganizations/org1.example.com/"
static FbArena arena;
static FbAllocator *const memory = &arena.allocator;

/* a file as bytes of the arena */
static inline FbBytes
file(const char *path)
{
	FbBytes from = check_read_file(path);
	FbBytes to;

	fb_bytes_copy(memory, from, &to, NULL);
	free((void *) from.data);
	return to;
}

static inline FbBytes
x509(const char *name)
{
	char path[256];

	snprintf(path, sizeof(path), X509_DIR "%s%s", name, strchr(name, '.') ? "" : ".pem");
	return file(path);
}

static inline FbBytes
serialized(const char *msp, FbBytes pem)
{
	FbBytes bytes;

	CHECK_STATUS(identity_serialize(msp, pem, memory, &bytes, NULL), FB_OK);
	return bytes;
}

#define LIST_MAX 6

/* an MSP of fixtures by name; NULL-terminated lists */
typedef struct MspCase
{
	const char *roots[LIST_MAX];
	const char *intermediates[LIST_MAX];
	const char *admins[LIST_MAX];
	const char *crls[LIST_MAX];
	bool node_ous;
} MspCase;

static inline size_t
load_list(const char *const *names, FbBytes *to)
{
	size_t count = 0;

	while (count < LIST_MAX && names[count] != NULL)
	{
		to[count] = x509(names[count]);
		count++;
	}
	return count;
}

static inline FbStatus
make_config(const MspCase *from, FbBytes *config, FbError *error)
{
	FbBytes roots[LIST_MAX];
	FbBytes intermediates[LIST_MAX];
	FbBytes admins[LIST_MAX];
	FbBytes crls[LIST_MAX];
	MspParts parts = {.msp_id = "TestMSP", .node_ous = from->node_ous};

	parts.root_certificates = roots;
	parts.root_certificates_count = load_list(from->roots, roots);
	parts.intermediate_certificates = intermediates;
	parts.intermediate_certificates_count = load_list(from->intermediates, intermediates);
	parts.admins = admins;
	parts.admins_count = load_list(from->admins, admins);
	parts.revocation_lists = crls;
	parts.revocation_lists_count = load_list(from->crls, crls);
	return msp_config_make(&parts, memory, config, error);
}

static inline Msp *
make_msp(const MspCase *from)
{
	FbBytes config;
	FbError error;
	Msp *msp = NULL;

	if (!CHECK_STATUS(make_config(from, &config, &error), FB_OK))
	{
		fprintf(stderr, "    %s\n", error.message);
		exit(1);
	}
	CHECK_STATUS(msp_create(config, memory, &msp, NULL), FB_OK);
	CHECK(fb_bytes_equal(msp_config(msp), config));
	return msp;
}

static const MspCase node_ous_case = {{"root"},
									  {"inter", "upper", "lower"},
									  {NULL},
									  {"inter.crl"},
									  true};

static const MspCase plain_case = {{"root"},
								   {"inter", "upper", "lower"},
								   {"client"},
								   {"inter.crl"},
								   false};

/* a signature by this identity of one run of bytes */
static inline FbStatus
verified(const Identity *identity, FbBytes message, FbBytes signature)
{
	return identity_verify_parts(identity, &message, 1, signature, NULL);
}

#endif
