/* identity: principals, attributes of certificates, the id of an identity */
#include "unit/msp_samples.h"

/* the identity id does not depend on which of its two signatures a certificate has */
static void
test_identity_id(void)
{
	Msp *msp = make_msp(&node_ous_case);
	Identity *high;
	Identity *low;
	CryptoCertificate *certificate;
	CryptoCertificate *normalized;
	FbBytes der;
	FbBytes pem;

	CHECK_STATUS(crypto_certificate_parse(x509("client"), &certificate, NULL), FB_OK);
	CHECK_STATUS(crypto_certificate_low_s_der(certificate, CRYPTO_P256, memory, &der, NULL), FB_OK);
	CHECK(!fb_bytes_equal(der, crypto_certificate_der(certificate)));
	CHECK_STATUS(crypto_certificate_parse(der, &normalized, NULL), FB_OK);
	CHECK_STATUS(crypto_certificate_pem(normalized, memory, &pem, NULL), FB_OK);
	CHECK_STATUS(identity_create(msp, serialized("TestMSP", x509("client")), memory, &high, NULL),
				 FB_OK);
	CHECK_STATUS(identity_create(msp, serialized("TestMSP", pem), memory, &low, NULL), FB_OK);
	CHECK_TEXT(identity_id(high), identity_id(low));
	identity_destroy(low);
	/* bare DER is not an identity, only PEM */
	CHECK_STATUS(identity_create(msp, serialized("TestMSP", der), memory, &low, NULL),
				 FB_INVALID_CERTIFICATE);
	identity_destroy(high);
	crypto_certificate_free(certificate);
	crypto_certificate_free(normalized);

	CHECK_STATUS(identity_create(msp, serialized("OtherMSP", pem), memory, &low, NULL),
				 FB_UNKNOWN_MSP);
	CHECK_STATUS(identity_create(msp, FB_BYTES_LITERAL("\x0a\xff"), memory, &low, NULL),
				 FB_MALFORMED_MESSAGE);
	CHECK_STATUS(identity_create(msp, FB_BYTES_EMPTY, memory, &low, NULL), FB_UNKNOWN_MSP);
	CHECK_STATUS(identity_create(msp, serialized("TestMSP", FB_BYTES_EMPTY), memory, &low, NULL),
				 FB_INVALID_CERTIFICATE);
	CHECK_STATUS(identity_create(msp, fb_bytes(pem.data, FB_IDENTITY_BYTES_MAX + 1), memory, &low,
								 NULL),
				 FB_LIMIT_EXCEEDED);
	/* exactly at the limit of length: the rest is an unknown field */
	{
		FbBytes good = serialized("TestMSP", pem);
		uint8_t *longest = fb_allocate_zero(memory, FB_IDENTITY_BYTES_MAX);
		size_t filler = FB_IDENTITY_BYTES_MAX - good.size - 5;

		memcpy(longest, good.data, good.size);
		memcpy(longest + good.size,
			   (uint8_t[]) {0x92, 0x03, 0x80 | (filler & 0x7f), 0x80 | (filler >> 7 & 0x7f),
							filler >> 14},
			   5);
		CHECK_STATUS(identity_create(msp, fb_bytes(longest, FB_IDENTITY_BYTES_MAX), memory, &low,
									 NULL),
					 FB_OK);
		CHECK_TEXT(identity_msp_id(low), "TestMSP");
		identity_destroy(low);
	}
	msp_destroy(msp);
}

static const Principal *
role_principal(const char *msp, int role)
{
	Common__MSPRole message = COMMON__MSPROLE__INIT;
	const Principal *principal = NULL;
	FbBytes bytes;

	message.msp_identifier = (char *) msp;
	message.role = role;
	CHECK_STATUS(PROTO_PACK(&message, memory, &bytes, NULL), FB_OK);
	CHECK_STATUS(principal_parse(PRINCIPAL_ROLE, bytes, memory, &principal, NULL), FB_OK);
	return principal;
}

static const Principal *
parsed(int32_t classification, FbBytes bytes)
{
	const Principal *principal = NULL;

	CHECK_STATUS(principal_parse(classification, bytes, memory, &principal, NULL), FB_OK);
	return principal;
}

static void
test_role_principals(void)
{
	/* rows: who; columns: member, admin, client, peer, orderer */
	static const struct
	{
		bool node_ous;
		const char *name;
		bool expected[5];
	} cases[] = {
		{true, "peer", {true, false, false, true, false}},
		{true, "client", {true, true, true, false, false}}, /* in the admins list */
		{true, "escape", {true, false, true, false, false}},
		{false, "peer", {true, false, false, false, false}},
		{false, "client", {true, true, false, false, false}},
	};
	MspCase listed = node_ous_case;

	listed.admins[0] = "client";
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		Msp *msp = make_msp(cases[i].node_ous ? &listed : &plain_case);
		Identity *identity;

		CHECK_STATUS(identity_create(msp, serialized("TestMSP", x509(cases[i].name)), memory,
									 &identity, NULL),
					 FB_OK);
		for (int role = 0; role < 5; role++)
		{
			const Principal *principal = role_principal("TestMSP", role);

			CHECK_TEXT(principal->msp_id, "TestMSP");
			CHECK(principal->kind == PRINCIPAL_ROLE && principal->role == (IdentityRole) role &&
				  !principal->impossible);
			if (!CHECK(principal_matches(principal, identity) == cases[i].expected[role]))
				fprintf(stderr, "    %s, role %s, NodeOUs %d\n", cases[i].name,
						identity_role_name(role), cases[i].node_ous);
			CHECK(identity_has_role(identity, role) == cases[i].expected[role]);
			CHECK(!principal_matches(role_principal("OtherMSP", role), identity));
		}
		CHECK(!principal_matches(role_principal("TestMSP", 5), identity));
		CHECK(!principal_matches(role_principal("TestMSP", -1), identity));
		identity_destroy(identity);
		msp_destroy(msp);
	}
}

/* the chain of an identity below inter, each certificate with its low-S signature (mspimpl.go:880)
 */
static void
hash_certifiers(uint8_t certifiers[CRYPTO_SHA256_BYTES])
{
	CryptoCertificate *certificates[2];
	CryptoSha256 hash;
	FbBytes normal;

	CHECK_STATUS(crypto_certificate_parse(x509("inter"), &certificates[0], NULL), FB_OK);
	CHECK_STATUS(crypto_certificate_parse(x509("root"), &certificates[1], NULL), FB_OK);
	crypto_sha256_start(&hash);
	for (int i = 0; i < 2; i++)
	{
		CHECK_STATUS(crypto_certificate_normalized_der(certificates[i], certificates[1], memory,
													   &normal, NULL),
					 FB_OK);
		crypto_sha256_add(&hash, normal);
		crypto_certificate_free(certificates[i]);
	}
	crypto_sha256_finish(&hash, certifiers);
}

/* the principal of department1 in TestMSP */
static FbBytes
department_principal(void)
{
	Common__OrganizationUnit unit = COMMON__ORGANIZATION_UNIT__INIT;
	uint8_t certifiers[CRYPTO_SHA256_BYTES];
	FbBytes bytes;

	hash_certifiers(certifiers);
	unit.msp_identifier = "TestMSP";
	unit.organizational_unit_identifier = "department1";
	unit.certifiers_identifier = proto_data(fb_bytes(certifiers, sizeof(certifiers)));
	CHECK_STATUS(PROTO_PACK(&unit, memory, &bytes, NULL), FB_OK);
	return bytes;
}

static void
test_unit_principals(void)
{
	Msp *msp = make_msp(&node_ous_case);
	Identity *client;
	Identity *peer;
	Common__OrganizationUnit unit = COMMON__ORGANIZATION_UNIT__INIT;
	uint8_t certifiers[CRYPTO_SHA256_BYTES];
	const Principal *principal;
	FbBytes bytes;

	CHECK_STATUS(identity_create(msp, serialized("TestMSP", x509("client")), memory, &client, NULL),
				 FB_OK);
	CHECK_STATUS(identity_create(msp, serialized("TestMSP", x509("peer")), memory, &peer, NULL),
				 FB_OK);

	hash_certifiers(certifiers);
	unit.msp_identifier = "TestMSP";
	unit.organizational_unit_identifier = "department1";
	unit.certifiers_identifier = proto_data(fb_bytes(certifiers, sizeof(certifiers)));
	CHECK_STATUS(PROTO_PACK(&unit, memory, &bytes, NULL), FB_OK);
	principal = parsed(PRINCIPAL_ORGANIZATION_UNIT, bytes);
	CHECK(principal_matches(principal, client) && !principal_matches(principal, peer));
	unit.msp_identifier = "OtherMSP";
	CHECK_STATUS(PROTO_PACK(&unit, memory, &bytes, NULL), FB_OK);
	CHECK(!principal_matches(parsed(PRINCIPAL_ORGANIZATION_UNIT, bytes), client));
	unit.msp_identifier = "TestMSP";
	certifiers[0] ^= 1;
	CHECK_STATUS(PROTO_PACK(&unit, memory, &bytes, NULL), FB_OK);
	CHECK(!principal_matches(parsed(PRINCIPAL_ORGANIZATION_UNIT, bytes), client));
	identity_destroy(client);
	identity_destroy(peer);
	msp_destroy(msp);
}

/* Identity: the certificate counts, not its PEM form or which of the two signatures it has. */
static void
test_identity_principals(void)
{
	Msp *msp = make_msp(&node_ous_case);
	Identity *client;
	Identity *peer;
	const Principal *principal;
	FbBytes normal;

	CHECK_STATUS(identity_create(msp, serialized("TestMSP", x509("client")), memory, &client, NULL),
				 FB_OK);
	CHECK_STATUS(identity_create(msp, serialized("TestMSP", x509("peer")), memory, &peer, NULL),
				 FB_OK);

	principal = parsed(PRINCIPAL_IDENTITY, serialized("TestMSP", x509("client")));
	CHECK(principal_matches(principal, client) && !principal_matches(principal, peer));
	{
		CryptoCertificate *certificate;
		CryptoCertificate *low;
		FbBytes pem;

		CHECK_STATUS(crypto_certificate_parse(x509("client"), &certificate, NULL), FB_OK);
		CHECK_STATUS(crypto_certificate_low_s_der(certificate, CRYPTO_P256, memory, &normal, NULL),
					 FB_OK);
		CHECK_STATUS(crypto_certificate_parse(normal, &low, NULL), FB_OK);
		CHECK_STATUS(crypto_certificate_pem(low, memory, &pem, NULL), FB_OK);
		CHECK(principal_matches(parsed(PRINCIPAL_IDENTITY, serialized("TestMSP", pem)), client));
		CHECK(!principal_matches(parsed(PRINCIPAL_IDENTITY, serialized("OtherMSP", pem)), client));
		crypto_certificate_free(certificate);
		crypto_certificate_free(low);
	}
	CHECK(parsed(PRINCIPAL_IDENTITY, FB_BYTES_LITERAL("rubbish"))->impossible);
	CHECK(
		parsed(PRINCIPAL_IDENTITY, serialized("TestMSP", FB_BYTES_LITERAL("rubbish")))->impossible);
	identity_destroy(client);
	identity_destroy(peer);
	msp_destroy(msp);
}

static void
test_anonymity_principals(void)
{
	Msp *msp = make_msp(&node_ous_case);
	Identity *client;
	Common__MSPIdentityAnonymity anonymity = COMMON__MSPIDENTITY_ANONYMITY__INIT;
	FbBytes bytes;

	CHECK_STATUS(identity_create(msp, serialized("TestMSP", x509("client")), memory, &client, NULL),
				 FB_OK);

	/* anonymity */
	CHECK_STATUS(PROTO_PACK(&anonymity, memory, &bytes, NULL), FB_OK);
	CHECK(principal_matches(parsed(PRINCIPAL_ANONYMITY, bytes), client));
	anonymity.anonymity_type = COMMON__MSPIDENTITY_ANONYMITY__MSPIDENTITY_ANONYMITY_TYPE__ANONYMOUS;
	CHECK_STATUS(PROTO_PACK(&anonymity, memory, &bytes, NULL), FB_OK);
	CHECK(!principal_matches(parsed(PRINCIPAL_ANONYMITY, bytes), client));
	identity_destroy(client);
	msp_destroy(msp);
}

static void
test_combined_principals(void)
{
	Msp *msp = make_msp(&node_ous_case);
	Identity *client;
	Identity *peer;
	Common__CombinedPrincipal combined = COMMON__COMBINED_PRINCIPAL__INIT;
	Common__MSPPrincipal parts[2] = {COMMON__MSPPRINCIPAL__INIT, COMMON__MSPPRINCIPAL__INIT};
	Common__MSPPrincipal *part_pointers[2] = {&parts[0], &parts[1]};
	const Principal *principal;
	FbBytes bytes;

	CHECK_STATUS(identity_create(msp, serialized("TestMSP", x509("client")), memory, &client, NULL),
				 FB_OK);
	CHECK_STATUS(identity_create(msp, serialized("TestMSP", x509("peer")), memory, &peer, NULL),
				 FB_OK);
	parts[0].principal_classification = COMMON__MSPPRINCIPAL__CLASSIFICATION__ORGANIZATION_UNIT;
	parts[0].principal = proto_data(department_principal());
	/* combined: department1 and (member or orderer) */
	{
		Common__MSPRole role = COMMON__MSPROLE__INIT;

		role.msp_identifier = "TestMSP";
		CHECK_STATUS(PROTO_PACK(&role, memory, &bytes, NULL), FB_OK);
		parts[1].principal = proto_data(bytes);
		combined.principals = part_pointers;
		combined.n_principals = 2;
		CHECK_STATUS(PROTO_PACK(&combined, memory, &bytes, NULL), FB_OK);
		principal = parsed(PRINCIPAL_COMBINED, bytes);
		CHECK(principal_matches(principal, client) && !principal_matches(principal, peer));
		role.role = COMMON__MSPROLE__MSPROLE_TYPE__ORDERER;
		CHECK_STATUS(PROTO_PACK(&role, memory, &bytes, NULL), FB_OK);
		parts[1].principal = proto_data(bytes);
		CHECK_STATUS(PROTO_PACK(&combined, memory, &bytes, NULL), FB_OK);
		CHECK(!principal_matches(parsed(PRINCIPAL_COMBINED, bytes), client));
	}
	CHECK(parsed(PRINCIPAL_COMBINED, FB_BYTES_EMPTY)->impossible);
	identity_destroy(client);
	identity_destroy(peer);
	msp_destroy(msp);
}

static void
test_nested_principals(void)
{
	Msp *msp = make_msp(&node_ous_case);
	Identity *client;
	Common__CombinedPrincipal combined = COMMON__COMBINED_PRINCIPAL__INIT;
	Common__MSPPrincipal parts[2] = {COMMON__MSPPRINCIPAL__INIT, COMMON__MSPPRINCIPAL__INIT};
	Common__MSPPrincipal *part_pointers[2] = {&parts[0], &parts[1]};
	const Principal *principal;
	FbBytes bytes;
	Common__MSPRole role = COMMON__MSPROLE__INIT;

	CHECK_STATUS(identity_create(msp, serialized("TestMSP", x509("client")), memory, &client, NULL),
				 FB_OK);
	combined.principals = part_pointers;
	role.msp_identifier = "TestMSP";
	role.role = COMMON__MSPROLE__MSPROLE_TYPE__ORDERER;
	CHECK_STATUS(PROTO_PACK(&role, memory, &bytes, NULL), FB_OK);
	parts[1].principal = proto_data(bytes);
	bytes = FB_BYTES_EMPTY;
	/* combined principals inside each other, and many beside each other */
	for (int depth = 0; depth < FB_PRINCIPAL_PARTS_MAX + 2; depth++)
	{
		combined.n_principals = 1;
		parts[0].principal_classification = depth == 0
												? COMMON__MSPPRINCIPAL__CLASSIFICATION__ROLE
												: COMMON__MSPPRINCIPAL__CLASSIFICATION__COMBINED;
		parts[0].principal = proto_data(bytes);
		CHECK_STATUS(PROTO_PACK(&combined, memory, &bytes, NULL), FB_OK);
		CHECK_STATUS(principal_parse(PRINCIPAL_COMBINED, bytes, memory, &principal, NULL),
					 depth + 1 <= FB_PRINCIPAL_PARTS_MAX ? FB_OK : FB_INVALID_POLICY);
	}
	for (size_t count = FB_PRINCIPAL_PARTS_MAX; count <= FB_PRINCIPAL_PARTS_MAX + 1; count++)
	{
		Common__MSPPrincipal *many[FB_PRINCIPAL_PARTS_MAX + 1];

		for (size_t i = 0; i < count; i++)
			many[i] = &parts[1];
		combined.principals = many;
		combined.n_principals = count;
		CHECK_STATUS(PROTO_PACK(&combined, memory, &bytes, NULL), FB_OK);
		CHECK_STATUS(principal_parse(PRINCIPAL_COMBINED, bytes, memory, &principal, NULL),
					 count <= FB_PRINCIPAL_PARTS_MAX ? FB_OK : FB_INVALID_POLICY);
		CHECK(count > FB_PRINCIPAL_PARTS_MAX ||
			  (!principal_matches(principal, client) && !principal->impossible));
	}
	identity_destroy(client);
	msp_destroy(msp);
}

/* malformed or unknown: never satisfied, but no error */
static void
test_impossible_principals(void)
{
	Msp *msp = make_msp(&node_ous_case);
	Identity *client;
	const Principal *principal;

	CHECK_STATUS(identity_create(msp, serialized("TestMSP", x509("client")), memory, &client, NULL),
				 FB_OK);

	for (int kind = -1; kind < 7; kind++)
	{
		principal = parsed(kind, FB_BYTES_LITERAL("\x0a\xff\xff"));
		CHECK(principal->impossible && !principal_matches(principal, client));
	}

	/* expiry is a separate check */
	CHECK(!identity_expired(client, 1795176000) && identity_expired(client, 3000000000));
	identity_destroy(client);
	msp_destroy(msp);
}

static void
check_attributes(const char *json, const char *expected)
{
	static CryptoPrivateKey *key;
	static CryptoPublicKey *public_key;
	CryptoTemplate template = {.subject = {.common_name = FB_BYTES_LITERAL("a")},
							   .not_before = 0,
							   .not_after = 1,
							   .attributes_json = fb_bytes_of_text(json == NULL ? "" : json)};
	CryptoCertificate *certificate;
	CertificateAttribute *attributes;
	size_t count;
	FbBytes pem;
	FbStatus status;
	char text[512] = "";

	if (json == NULL)
	{
		crypto_private_key_free(key);
		crypto_public_key_free(public_key);
		return;
	}
	if (key == NULL)
	{
		CHECK_STATUS(crypto_private_key_generate(CRYPTO_P256, &key, NULL), FB_OK);
		CHECK_STATUS(crypto_private_key_public(key, &public_key, NULL), FB_OK);
	}
	CHECK_STATUS(crypto_certificate_issue(&template, public_key, NULL, key, memory, &pem, NULL),
				 FB_OK);
	CHECK_STATUS(crypto_certificate_parse(pem, &certificate, NULL), FB_OK);
	status = certificate_attributes(certificate, memory, &attributes, &count, NULL);
	if (status != FB_OK)
		snprintf(text, sizeof(text), "%s", test_status_name(status));
	else
		for (size_t i = 0; i < count; i++)
			snprintf(text + strlen(text), sizeof(text) - strlen(text), "%.*s=%.*s;",
					 (int) attributes[i].name.size, (const char *) attributes[i].name.data,
					 (int) attributes[i].value.size, (const char *) attributes[i].value.data);
	CHECK_TEXT(text, expected);
	crypto_certificate_free(certificate);
}

static const char *const malformed_attributes[] = {
	"",
	" ",
	"{",
	"}",
	"{}x",
	"[]",
	"1",
	"\"a\"",
	"{\"attrs\":1}",
	"{\"attrs\":{\"a\":1}}",
	"{\"attrs\":{\"a\":\"b\"}",
	"{\"attrs\":{\"a\":\"b\",}}",
	"{\"attrs\":{\"a\":\"b\"},}",
	"{\"attrs\":[\"a\"]}",
	"{\"attrs\":{a:\"b\"}}",
	"{\"attrs\":{\"a\":\"\\x\"}}",
	"{\"attrs\":{\"a\":\"\\u12\"}}",
	"{\"attrs\":{\"a\":\"b}}",
	"{\"attrs\":{\"a\":\"\t\"}}",
	"{\"x\":01}",
	"{\"x\":1.}",
	"{\"x\":-}",
	"{\"x\":1e}",
	"{\"x\":tru}",
	"{\"x\":[1,]}",
	"{\"x\"}",
	"{\"attrs\":{\"a\":{}}}",
	"\\",
};

static void
test_attributes(void)
{
	CryptoCertificate *certificate;
	const char *client_id;
	FbBytes value;
	bool found;

	CHECK_STATUS(
		crypto_certificate_parse(
			file(ORG1 "users/User1@org1.example.com/msp/signcerts/User1@org1.example.com-cert.pem"),
			&certificate, NULL),
		FB_OK);
	CHECK_STATUS(certificate_client_id(certificate, memory, &client_id, NULL), FB_OK);
	CHECK_TEXT(
		client_id,
		"eDUwOTo6Q049VXNlcjFAb3JnMS5leGFtcGxlLmNvbSxPVT1jbGllbnQsTD1TYW4gRnJhbmNpc2NvLFNUPUNhbGlmb3JuaWEsQz1VUzo6Q049Y2Eub3JnMS5leGFt"
		"cGxlLmNvbSxPPW9yZzEuZXhhbXBsZS5jb20sTD1TYW4gRnJhbmNpc2NvLFNUPUNhbGlmb3JuaWEsQz1VUw==");
	CHECK_STATUS(certificate_attribute(certificate, FB_BYTES_LITERAL("role"), memory, &found,
									   &value, NULL),
				 FB_OK);
	CHECK(!found);
	crypto_certificate_free(certificate);

	CHECK_STATUS(crypto_certificate_parse(x509("client"), &certificate, NULL), FB_OK);
	CHECK_STATUS(certificate_attribute(certificate, FB_BYTES_LITERAL("role"), memory, &found,
									   &value, NULL),
				 FB_OK);
	CHECK(found && fb_bytes_equal(value, FB_BYTES_LITERAL("auditor \xc3\xa9")));
	CHECK_STATUS(certificate_attribute(certificate, FB_BYTES_LITERAL("Role"), memory, &found,
									   &value, NULL),
				 FB_OK);
	CHECK(!found);
	crypto_certificate_free(certificate);
}

static void
test_attributes_json(void)
{
	check_attributes("{\"attrs\":{\"a\":\"b\",\"c\":\"\"}}", "a=b;c=;");
	check_attributes(" { \"ATTRS\" : { \"a\" : \"b\" , \"a\" : \"c\" } } ", "a=c;");
	check_attributes("{\"attrs\":{\"a\":null},\"attrs\":{\"b\":\"2\"}}", "a=;b=2;");
	check_attributes("{\"attrs\":null}", "");
	check_attributes("null", "");
	check_attributes("{}", "");
	check_attributes(
		"{\"x\":[1,-0.5e+3,{\"y\":[true,false,null,\"z\"]},[],{}],\"attrs\":{\"a\":\"b\"}}",
		"a=b;");
	check_attributes(
		"{\"attrs\":{\"\\u0061\\\"\\\\\\/\\n\":\"\\u00e9\\u20ac\\ud83d\\ude00\\ud83dx\\ude00\"}}",
		"a\"\\/\n=\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\xef\xbf\xbdx\xef\xbf\xbd;");
	check_attributes("{\"attrs\":{\"a\":\"\xc3\xa9\xff\xe2\x82\"}}",
					 "a=\xc3\xa9\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd;");
	for (size_t i = 0; i < sizeof(malformed_attributes) / sizeof(malformed_attributes[0]); i++)
		if (malformed_attributes[i][0] != '\0')
			check_attributes(malformed_attributes[i], "FB_INVALID_CERTIFICATE");
	{
		FbBuffer deep;

		fb_buffer_init(&deep, memory);
		fb_buffer_append_text(&deep, "{\"x\":");
		for (int i = 0; i < 2000; i++)
			fb_buffer_append_byte(&deep, '[');
		fb_buffer_append_byte(&deep, '\0');
		check_attributes((const char *) deep.data, "FB_INVALID_CERTIFICATE");
	}
	check_attributes(NULL, NULL);
}

static void
test_made_attributes(void)
{
	CertificateAttribute attributes[3] = {
		{FB_BYTES_LITERAL("z"), FB_BYTES_LITERAL("<&>\"\\\n\x01\xe2\x80\xa8\xc3\xa9")},
		{FB_BYTES_LITERAL("a"), FB_BYTES_EMPTY},
		{FB_BYTES_LITERAL("\xff"), FB_BYTES_EMPTY},
	};
	FbBytes json;

	CHECK_STATUS(attributes_make(attributes, 2, memory, &json, NULL), FB_OK);
	CHECK(fb_bytes_equal(
		json,
		FB_BYTES_LITERAL(
			"{\"attrs\":{\"a\":\"\",\"z\":\"\\u003c\\u0026\\u003e\\\"\\\\\\n\\u0001\\u2028\xc3\xa9\"}}")));
	CHECK_STATUS(attributes_make(attributes, 3, memory, &json, NULL), FB_INVALID_ARGUMENT);
	attributes[0].name = attributes[1].name;
	CHECK_STATUS(attributes_make(attributes, 2, memory, &json, NULL), FB_INVALID_ARGUMENT);
	CHECK_STATUS(attributes_make(attributes, 0, memory, &json, NULL), FB_OK);
	CHECK(fb_bytes_equal(json, FB_BYTES_LITERAL("{\"attrs\":{}}")));
}

int
main(void)
{
	fb_arena_init(&arena);
	CHECK_TEST(test_identity_id());
	CHECK_TEST(test_role_principals());
	CHECK_TEST(test_unit_principals());
	CHECK_TEST(test_identity_principals());
	CHECK_TEST(test_anonymity_principals());
	CHECK_TEST(test_combined_principals());
	CHECK_TEST(test_nested_principals());
	CHECK_TEST(test_impossible_principals());
	CHECK_TEST(test_attributes());
	CHECK_TEST(test_attributes_json());
	CHECK_TEST(test_made_attributes());
	fb_arena_reset(&arena);
	return check_finish("identity/principals");
}
