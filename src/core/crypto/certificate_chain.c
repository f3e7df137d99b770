/*
 * certificate_chain.c: every chain that Go's x509.Certificate.Verify finds (crypto/x509/verify.go),
 * because Fabric counts the chains
 */
#include "core/crypto/crypto_internal.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>

typedef struct Search
{
	const CryptoTrust *trust;
	int64_t at;
	int signature_checks;
	const CryptoCertificate *path[FB_CERTIFICATE_CHAIN_LENGTH_MAX];
	size_t length;
	CryptoChain *chain; /* the first chain found */
	size_t chains_count;
	FbStatus reason; /* why the last candidate was refused */
	FbError why;
} Search;

FbStatus
crypto_certificate_check_signature(const CryptoCertificate *certificate,
								   const CryptoCertificate *issuer, FbError *error)
{
	int algorithm = X509_get_signature_nid(certificate->x509);
	int result = 0;

	if (!signature_algorithm_allowed(algorithm))
		return fb_fail(error, FB_INVALID_SIGNATURE,
					   "certificate is signed with %s, which is not allowed",
					   algorithm == NID_undef ? "an unrecognized algorithm"
											  : OBJ_nid2sn(algorithm));
	/* twice: see crypto_openssl_starved */
	ERR_clear_error();
	for (int attempt = 0; attempt < 2 && result != 1; attempt++)
	{
		result = X509_verify(certificate->x509, X509_get0_pubkey(issuer->x509));
		if (crypto_openssl_starved() && result != 1)
			return fb_out_of_memory(error);
	}
	if (result == 1)
		return FB_OK;
	return crypto_memory_is_short()
			   ? fb_out_of_memory(error)
			   : fb_fail(error, FB_INVALID_SIGNATURE, "certificate is not signed by \"%s\"",
						 issuer->subject.text);
}

static FbStatus
check_time(const CryptoCertificate *certificate, int64_t at, FbError *error)
{
	if (at < certificate->not_before)
		return fb_fail(error, FB_CERTIFICATE_EXPIRED, "certificate \"%s\" is not yet valid",
					   certificate->subject.text);
	if (at > certificate->not_after)
		return fb_fail(error, FB_CERTIFICATE_EXPIRED, "certificate \"%s\" has expired",
					   certificate->subject.text);
	return FB_OK;
}

static FbStatus
check_self(const CryptoCertificate *certificate, int64_t at, FbError *error)
{
	if (certificate->unknown_critical)
		return fb_fail(error, FB_INVALID_CERTIFICATE,
					   "certificate \"%s\" has an unrecognized critical extension",
					   certificate->subject.text);
	return check_time(certificate, at, error);
}

/* Do the name constraints of a CA, if there are any, allow every certificate below it? */
static FbStatus
check_name_constraints(const CryptoCertificate *ca, const Search *search, FbError *error)
{
	int critical;
	NAME_CONSTRAINTS *constraints;
	int result = X509_V_OK;

	ERR_clear_error();
	constraints = X509_get_ext_d2i(ca->x509, NID_name_constraints, &critical, NULL);
	if (constraints == NULL && critical != -1)
		result = X509_V_ERR_UNSUPPORTED_CONSTRAINT_SYNTAX; /* the extension is present, but OpenSSL
															  could not read it */
	for (size_t i = 0; constraints != NULL && i < search->length && result == X509_V_OK; i++)
		result = NAME_CONSTRAINTS_check(search->path[i]->x509, constraints);
	NAME_CONSTRAINTS_free(constraints);
	if ((crypto_openssl_starved() && result != X509_V_OK) || result == X509_V_ERR_OUT_OF_MEM)
		return fb_out_of_memory(error);
	if (result != X509_V_OK)
		return fb_fail(error, FB_INVALID_CERTIFICATE,
					   "name constraints of certificate \"%s\" are violated", ca->subject.text);
	return FB_OK;
}

FbStatus
crypto_certificate_check_may_sign(const CryptoCertificate *certificate, FbError *error)
{
	/* version 1 roots cannot have constraints */
	if ((X509_get_version(certificate->x509) == X509_VERSION_3 || certificate->basic_constraints) &&
		!certificate->is_ca)
		return fb_fail(error, FB_INVALID_CERTIFICATE, "certificate \"%s\" is not a CA",
					   certificate->subject.text);
	if (certificate->key_usage != 0 && !(certificate->key_usage & CRYPTO_USAGE_CERTIFICATE_SIGN))
		return fb_fail(error, FB_INVALID_CERTIFICATE,
					   "certificate \"%s\" may not sign certificates", certificate->subject.text);
	return FB_OK;
}

/* Can the candidate be the issuer of the last certificate of the path? */
static FbStatus
chain_check_issuer(Search *search, const CryptoCertificate *candidate, bool is_root, FbError *error)
{
	const CryptoCertificate *child = search->path[search->length - 1];
	const char *name = candidate->subject.text;
	FbStatus status;

	FB_TRY(crypto_certificate_check_may_sign(candidate, error));
	status = crypto_certificate_check_signature(child, candidate, error);
	if (status != FB_OK)
		return status == FB_INVALID_SIGNATURE ? FB_INVALID_CERTIFICATE : status;
	/* Certificate.isValid */
	FB_TRY(check_self(candidate, search->at, error));
	if (!is_root && !candidate->is_ca)
		return fb_fail(error, FB_INVALID_CERTIFICATE, "certificate \"%s\" is not a CA", name);
	if (candidate->basic_constraints && candidate->path_length >= 0 &&
		search->length - 1 > (size_t) candidate->path_length)
		return fb_fail(error, FB_INVALID_CERTIFICATE,
					   "chain is longer than certificate \"%s\" allows", name);
	return check_name_constraints(candidate, search, error);
}

static bool
issuer_has_key(const CryptoCertificate *a, const CryptoCertificate *b)
{
	bool same;

	/* EVP_PKEY_eq allocates memory for points, and returns "not equal" when there is none */
	if (a->public_key != NULL || b->public_key != NULL)
		return a->public_key != NULL && b->public_key != NULL &&
			   a->public_key->curve == b->public_key->curve &&
			   fb_bytes_equal(crypto_public_key_point(a->public_key),
							  crypto_public_key_point(b->public_key));
	same = EVP_PKEY_eq(X509_get0_pubkey(a->x509), X509_get0_pubkey(b->x509)) == 1;
	ERR_clear_error();
	return same;
}

/*
 * Go does not allow the same entity twice in one chain: equal subject, key and alternative names.
 */
static bool
already_in_path(const Search *search, const CryptoCertificate *candidate)
{
	FbBytes candidate_names;
	bool candidate_has = crypto_certificate_extension(candidate, "2.5.29.17", &candidate_names);

	for (size_t i = 0; i < search->length; i++)
	{
		const CryptoCertificate *certificate = search->path[i];
		FbBytes names;
		bool has = crypto_certificate_extension(certificate, "2.5.29.17", &names);

		if (issuer_has_key(certificate, candidate) && has == candidate_has &&
			fb_bytes_equal(names, candidate_names) &&
			fb_bytes_equal(crypto_certificate_subject_der(certificate),
						   crypto_certificate_subject_der(candidate)))
			return true;
	}
	return false;
}

/*
 * Unless the caller gives other usages, Go requires server authentication of every certificate in a
 * chain that states extended key usages, and Fabric gives none.
 */
static bool
extended_usages_allow(const Search *search)
{
	for (size_t i = 0; i < search->length; i++)
	{
		uint32_t usage = X509_get_extended_key_usage(search->path[i]->x509);

		if (usage != UINT32_MAX && (usage & (XKU_SSL_SERVER | XKU_ANYEKU)) == 0)
			return false;
	}
	return true;
}

static void
path_complete(Search *search)
{
	if (!extended_usages_allow(search))
	{
		search->reason =
			fb_fail(&search->why, FB_INVALID_CERTIFICATE,
					"extended key usage of certificate \"%s\" or its issuers does not fit",
					search->path[0]->subject.text);
		return;
	}
	if (search->chains_count++ == 0)
	{
		memcpy(search->chain->certificates, search->path, sizeof(search->path));
		search->chain->length = search->length;
	}
}

static FbStatus search_pool(Search *search, CryptoCertificate *const *pool, size_t pool_count,
							bool is_root, FbError *error);

static FbStatus
search_above(Search *search, FbError *error)
{
	FB_TRY(search_pool(search, search->trust->roots, search->trust->roots_count, true, error));
	return search_pool(search, search->trust->intermediates, search->trust->intermediates_count,
					   false, error);
}

static FbStatus
search_pool(Search *search, CryptoCertificate *const *pool, size_t pool_count, bool is_root,
			FbError *error)
{
	FbBytes issuer = crypto_certificate_issuer_der(search->path[search->length - 1]);

	for (size_t i = 0; i < pool_count; i++)
	{
		const CryptoCertificate *candidate = pool[i];
		bool seen = false;
		FbStatus status;

		if (!fb_bytes_equal(crypto_certificate_subject_der(candidate), issuer) ||
			already_in_path(search, candidate))
			continue;
		/* a pool is a set */
		for (size_t k = 0; k < i && !seen; k++)
			seen = fb_bytes_equal(pool[k]->der, candidate->der);
		if (seen)
			continue;
		if (++search->signature_checks > FB_CHAIN_SIGNATURE_CHECKS_MAX)
			return fb_fail(error, FB_LIMIT_EXCEEDED,
						   "more than %d signature checks for one certificate chain",
						   FB_CHAIN_SIGNATURE_CHECKS_MAX);
		status = chain_check_issuer(search, candidate, is_root, &search->why);
		if (status == FB_OUT_OF_MEMORY)
			return fb_out_of_memory(error);
		if (status != FB_OK)
		{
			search->reason = status;
			continue;
		}
		if (search->length == FB_CERTIFICATE_CHAIN_LENGTH_MAX)
		{
			search->reason =
				fb_fail(&search->why, FB_INVALID_CERTIFICATE, "certificate chain is longer than %d",
						FB_CERTIFICATE_CHAIN_LENGTH_MAX);
			continue;
		}
		search->path[search->length++] = candidate;
		if (is_root)
			path_complete(search);
		else
			status = search_above(search, error);
		search->length--;
		FB_TRY(status);
	}
	return FB_OK;
}

FbStatus
crypto_chain_find(const CryptoCertificate *certificate, const CryptoTrust *trust, int64_t at,
				  CryptoChain *chain, size_t *chains_count, FbError *error)
{
	Search search = {.trust = trust, .at = at, .path = {certificate}, .length = 1, .chain = chain};
	bool is_root = false;

	*chains_count = 0;
	chain->length = 0;
	FB_TRY(check_self(certificate, at, error));
	search.reason = fb_fail(&search.why, FB_INVALID_CERTIFICATE,
							"certificate \"%s\" is signed by unrecognized authority \"%s\"",
							certificate->subject.text, certificate->issuer.text);
	for (size_t i = 0; i < trust->roots_count && !is_root; i++)
		is_root = fb_bytes_equal(trust->roots[i]->der, certificate->der);
	if (is_root)
		path_complete(&search);
	else
	{
		FbStatus status = search_above(&search, error);

		/* chains that were found before the limit count, as in Go */
		if (status != FB_OK && !(status == FB_LIMIT_EXCEEDED && search.chains_count > 0))
			return status;
	}
	if (search.chains_count == 0)
	{
		if (error != NULL)
			*error = search.why;
		return search.reason;
	}
	*chains_count = search.chains_count;
	return FB_OK;
}
