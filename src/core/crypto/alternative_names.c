/*
 * alternative_names.c: the host names of certificates and of certificate requests (subject
 * alternative names, RFC 5280 4.2.1.6).
 *
 * Only DNS names and IP addresses matter here: they name the servers that a certificate is for.
 * Other kinds are skipped.
 */
#include "core/crypto/crypto_internal.h"

#include <stdio.h>

/* far more names than a real certificate has */
#define ALTERNATIVE_NAMES_MAX 256

#define ADDRESS_TEXT_BYTES 64

static FbStatus
address_text(const ASN1_STRING *value, char text[ADDRESS_TEXT_BYTES], FbError *error)
{
	const uint8_t *a = ASN1_STRING_get0_data(value);
	int size = ASN1_STRING_length(value);

	if (size == 4)
		snprintf(text, ADDRESS_TEXT_BYTES, "%d.%d.%d.%d", a[0], a[1], a[2], a[3]);
	else if (size == 16)
		snprintf(text, ADDRESS_TEXT_BYTES, "%x:%x:%x:%x:%x:%x:%x:%x", a[0] << 8 | a[1],
				 a[2] << 8 | a[3], a[4] << 8 | a[5], a[6] << 8 | a[7], a[8] << 8 | a[9],
				 a[10] << 8 | a[11], a[12] << 8 | a[13], a[14] << 8 | a[15]);
	else
		return fb_fail(error, FB_INVALID_CERTIFICATE,
					   "malformed address among the alternative names");
	return FB_OK;
}

FbStatus
alternative_names_read(const GENERAL_NAMES *names, FbAllocator *allocator, FbBytes **list,
					   size_t *count, FbError *error)
{
	int names_count = sk_GENERAL_NAME_num(names);

	*count = 0;
	if (names_count > ALTERNATIVE_NAMES_MAX)
		return fb_fail(error, FB_LIMIT_EXCEEDED, "more than %d alternative names",
					   ALTERNATIVE_NAMES_MAX);
	*list = fb_allocate_array(allocator, names_count, sizeof(FbBytes));
	if (*list == NULL)
		return fb_out_of_memory(error);
	for (int i = 0; i < names_count; i++)
	{
		int type;
		ASN1_STRING *value = GENERAL_NAME_get0_value(sk_GENERAL_NAME_value(names, i), &type);
		char address[ADDRESS_TEXT_BYTES];
		FbBytes text;

		if (type == GEN_DNS)
		{
			text = fb_bytes(ASN1_STRING_get0_data(value), ASN1_STRING_length(value));
			if (memchr(text.data, '\0', text.size) != NULL || !fb_utf8_valid(text))
				return fb_fail(error, FB_INVALID_CERTIFICATE,
							   "invalid character in an alternative name");
		}
		else if (type == GEN_IPADD)
		{
			FB_TRY(address_text(value, address, error));
			text = fb_bytes_of_text(address);
		}
		else
			continue;
		FB_TRY(fb_bytes_copy(allocator, text, &(*list)[*count], error));
		(*count)++;
	}
	return FB_OK;
}

void
alternative_names_free(FbBytes *list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		fb_release(&crypto_heap, (void *) list[i].data);
	fb_release(&crypto_heap, list);
}

FbStatus
crypto_certificate_hosts(const CryptoCertificate *certificate, FbAllocator *allocator,
						 FbBytes **hosts, size_t *hosts_count, FbError *error)
{
	int critical;
	GENERAL_NAMES *names =
		X509_get_ext_d2i(certificate->x509, NID_subject_alt_name, &critical, NULL);
	FbStatus status = FB_OK;

	*hosts = NULL;
	*hosts_count = 0;
	if (names != NULL)
		status = alternative_names_read(names, allocator, hosts, hosts_count, error);
	else if (critical != -1)
		status = crypto_openssl_fail(error, FB_INVALID_CERTIFICATE,
									 "malformed alternative names in a certificate");
	GENERAL_NAMES_free(names);
	return status;
}
