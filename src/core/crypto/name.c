/*
 * name.c: distinguished names: read as Go's pkix.Name does, printed as Fabric's cid library prints
 * them, and made
 */
#include "core/crypto/crypto_internal.h"

#include <openssl/err.h>

/*
 * The attributes that Go knows, in the order of pkix.Name.ToRDNSequence. The values of a list form
 * one multi-valued element of the name; of other attributes the last value is used.
 */
static const struct
{
	int nid;
	const char *name;
	bool list;
} known_attributes[] = {
	{NID_countryName, "C", true},
	{NID_stateOrProvinceName, "ST", true},
	{NID_localityName, "L", true},
	{NID_streetAddress, "STREET", true},
	{NID_postalCode, "POSTALCODE", true},
	{NID_organizationName, "O", true},
	{NID_organizationalUnitName, "OU", true},
	{NID_commonName, "CN", false},
	{NID_serialNumber, "SERIALNUMBER", false},
};

#define KNOWN_ATTRIBUTES_COUNT (sizeof(known_attributes) / sizeof(known_attributes[0]))

/* more attributes than any real name has; bounds the work on a hostile name */
#define NAME_ENTRIES_MAX (FB_CERTIFICATE_OUS_MAX + 64)

/* the value of one attribute as UTF-8, in crypto_heap */
static FbStatus
entry_value(const X509_NAME *name, int index, FbBytes *value, FbError *error)
{
	unsigned char *text = NULL;
	int size =
		ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, index)));
	FbStatus status;

	*value = FB_BYTES_EMPTY;
	if (size < 0)
		return crypto_openssl_fail(error, FB_INVALID_CERTIFICATE,
								   "unreadable attribute in a distinguished name");
	/* a zero byte would truncate the name wherever it is used as a C string */
	if (memchr(text, '\0', size) != NULL || !fb_utf8_valid(fb_bytes(text, size)))
		status =
			fb_fail(error, FB_INVALID_CERTIFICATE, "invalid character in a distinguished name");
	else
		status = fb_bytes_copy(&crypto_heap, fb_bytes(text, size), value, error);
	OPENSSL_free(text);
	return status;
}

static void
append_escaped(FbBuffer *buffer, FbBytes value)
{
	for (size_t i = 0; i < value.size; i++)
	{
		uint8_t c = value.data[i];

		if ((i == 0 && (c == ' ' || c == '#')) || (i == value.size - 1 && c == ' ') ||
			strchr(",+\"\\<>;", c) != NULL)
			fb_buffer_append_byte(buffer, '\\');
		fb_buffer_append_byte(buffer, c);
	}
}

/* all values of one known attribute, joined by '+' */
static void
append_attribute(FbBuffer *buffer, const X509_NAME *name, const FbBytes *values, int count,
				 size_t known)
{
	bool any = false;
	int last = -1;

	for (int i = 0; i < count; i++)
		if (OBJ_obj2nid(X509_NAME_ENTRY_get_object(X509_NAME_get_entry(name, i))) ==
			known_attributes[known].nid)
			last = i;
	if (last < 0 || (!known_attributes[known].list && values[last].size == 0))
		return;
	for (int i = 0; i <= last; i++)
	{
		if (OBJ_obj2nid(X509_NAME_ENTRY_get_object(X509_NAME_get_entry(name, i))) !=
				known_attributes[known].nid ||
			(!known_attributes[known].list && i != last))
			continue;
		if (any)
			fb_buffer_append_byte(buffer, '+');
		else if (buffer->size > 0)
			fb_buffer_append_byte(buffer, ',');
		fb_buffer_append_text(buffer, known_attributes[known].name);
		fb_buffer_append_byte(buffer, '=');
		append_escaped(buffer, values[i]);
		any = true;
	}
}

static FbStatus
dn_fill(const X509_NAME *name, CryptoDn *dn, FbBytes *values, int count, FbError *error)
{
	FbBuffer buffer;
	FbBytes text;
	FbStatus status;
	FbBytes common_name = FB_BYTES_EMPTY;

	for (int i = 0; i < count; i++)
		FB_TRY(entry_value(name, i, &values[i], error));
	for (int i = 0; i < count; i++)
	{
		int nid = OBJ_obj2nid(X509_NAME_ENTRY_get_object(X509_NAME_get_entry(name, i)));

		if (nid == NID_commonName)
			common_name = values[i];
		else if (nid == NID_organizationalUnitName)
			dn->ous_count++;
	}
	if (dn->ous_count > FB_CERTIFICATE_OUS_MAX)
		return fb_fail(error, FB_LIMIT_EXCEEDED,
					   "certificate has more than %d organizational units", FB_CERTIFICATE_OUS_MAX);
	dn->common_name = fb_text_copy(&crypto_heap, common_name);
	dn->ous = fb_allocate_array(&crypto_heap, dn->ous_count, sizeof(FbBytes));
	if (dn->common_name == NULL || dn->ous == NULL)
		return fb_out_of_memory(error);
	for (int i = 0, next = 0; i < count; i++)
	{
		if (OBJ_obj2nid(X509_NAME_ENTRY_get_object(X509_NAME_get_entry(name, i))) ==
			NID_organizationalUnitName)
			FB_TRY(fb_bytes_copy(&crypto_heap, values[i], &dn->ous[next++], error));
	}

	/* RFC 2253: elements in reverse order */
	fb_buffer_init(&buffer, &crypto_heap);
	for (size_t known = KNOWN_ATTRIBUTES_COUNT; known-- > 0;)
		append_attribute(&buffer, name, values, count, known);
	status = fb_buffer_bytes(&buffer, &text, error);
	if (status == FB_OK)
	{
		dn->text = fb_text_copy(&crypto_heap, text);
		if (dn->text == NULL)
			status = fb_out_of_memory(error);
	}
	fb_release(&crypto_heap, buffer.data);
	return status;
}

FbStatus
dn_read(const X509_NAME *name, CryptoDn *dn, FbError *error)
{
	int count = X509_NAME_entry_count(name);
	FbBytes *values;
	FbStatus status;

	memset(dn, 0, sizeof(*dn));
	if (count > NAME_ENTRIES_MAX)
		return fb_fail(error, FB_LIMIT_EXCEEDED, "distinguished name has more than %d attributes",
					   NAME_ENTRIES_MAX);
	values = fb_allocate_array(&crypto_heap, count, sizeof(FbBytes));
	if (values == NULL)
		return fb_out_of_memory(error);
	status = dn_fill(name, dn, values, count, error);
	for (int i = 0; i < count; i++)
		fb_release(&crypto_heap, (void *) values[i].data);
	fb_release(&crypto_heap, values);
	if (status != FB_OK)
		dn_free(dn);
	return status;
}

void
dn_free(CryptoDn *dn)
{
	for (size_t i = 0; dn->ous != NULL && i < dn->ous_count; i++)
		fb_release(&crypto_heap, (void *) dn->ous[i].data);
	fb_release(&crypto_heap, dn->ous);
	fb_release(&crypto_heap, dn->common_name);
	fb_release(&crypto_heap, dn->text);
	memset(dn, 0, sizeof(*dn));
}

FbStatus
crypto_certificate_name(const CryptoCertificate *certificate, FbAllocator *allocator,
						CryptoName *name, FbError *error)
{
	const X509_NAME *subject = X509_get_subject_name(certificate->x509);
	const struct
	{
		int nid;
		FbBytes *value;
	} parts[] = {
		{NID_countryName, &name->country},	  {NID_stateOrProvinceName, &name->province},
		{NID_localityName, &name->locality},  {NID_organizationName, &name->organization},
		{NID_commonName, &name->common_name},
	};

	memset(name, 0, sizeof(*name));
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
	{
		int at = X509_NAME_get_index_by_NID((X509_NAME *) subject, parts[i].nid, -1);
		FbBytes value;
		FbStatus status;

		if (at < 0)
			continue;
		FB_TRY(entry_value(subject, at, &value, error));
		status = fb_bytes_copy(allocator, value, parts[i].value, error);
		fb_release(&crypto_heap, (void *) value.data);
		FB_TRY(status);
	}
	return FB_OK;
}

static FbStatus
name_add_entry(X509_NAME *name, int nid, FbBytes value, FbError *error)
{
	if (value.size == 0)
		return FB_OK;
	if (memchr(value.data, '\0', value.size) != NULL || !fb_utf8_valid(value) ||
		value.size > INT16_MAX)
		return fb_fail(error, FB_INVALID_ARGUMENT,
					   "invalid text in attribute %s of a distinguished name", OBJ_nid2sn(nid));
	if (X509_NAME_add_entry_by_NID(name, nid, MBSTRING_UTF8, value.data, (int) value.size, -1, 0) !=
		1)
		return crypto_openssl_fail(error, FB_INVALID_ARGUMENT,
								   "invalid value of attribute %s in a distinguished name",
								   OBJ_nid2sn(nid));
	return FB_OK;
}

static FbStatus
add_entries(X509_NAME *name, const CryptoName *from, FbError *error)
{
	FB_TRY(name_add_entry(name, NID_countryName, from->country, error));
	FB_TRY(name_add_entry(name, NID_stateOrProvinceName, from->province, error));
	FB_TRY(name_add_entry(name, NID_localityName, from->locality, error));
	FB_TRY(name_add_entry(name, NID_organizationName, from->organization, error));
	if (from->ous_count > FB_CERTIFICATE_OUS_MAX)
		return fb_fail(error, FB_INVALID_ARGUMENT, "more than %d organizational units",
					   FB_CERTIFICATE_OUS_MAX);
	for (size_t i = 0; i < from->ous_count; i++)
		FB_TRY(name_add_entry(name, NID_organizationalUnitName, from->ous[i], error));
	FB_TRY(name_add_entry(name, NID_commonName, from->common_name, error));
	if (X509_NAME_entry_count(name) == 0)
		return fb_fail(error, FB_INVALID_ARGUMENT, "the subject of a certificate cannot be empty");
	return FB_OK;
}

FbStatus
dn_make(const CryptoName *from, X509_NAME **name, FbError *error)
{
	FbStatus status;

	*name = X509_NAME_new();
	if (*name == NULL)
		return fb_out_of_memory(error);
	status = add_entries(*name, from, error);
	if (status != FB_OK)
	{
		X509_NAME_free(*name);
		*name = NULL;
	}
	return status;
}
