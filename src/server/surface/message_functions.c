/*
 * message_functions.c: SQL functions for Fabric's messages, hashes and identities that need no
 * network
 */
#include "server/surface/surface_internal.h"

#include "utils/json.h"

#include "server/ledger/ledger.h"

#include "core/block/block.h"
#include "core/identity/identity.h"
#include "core/proto/proto.h"

FABRIC_FUNCTION(fabric_version);
FABRIC_FUNCTION(fabric_decode_block);
FABRIC_FUNCTION(fabric_decode_message);
FABRIC_FUNCTION(fabric_compute_tx_id);
FABRIC_FUNCTION(fabric_block_header_hash);
FABRIC_FUNCTION(fabric_identity_info);
FABRIC_FUNCTION(fabric_identity_bytes);

Datum
fabric_version(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(cstring_to_text(FABRIC_VERSION));
}

static Datum
bytes_to_json(const ProtobufCMessageDescriptor *descriptor, FbBytes bytes)
{
	FbError error;
	FbBytes text;

	error_check(proto_json(descriptor, bytes, PROTO_JSON_DATABASE,
						   memory_allocator(CurrentMemoryContext), &text, &error),
				&error);
	return result_jsonb(memory_cstring(text));
}

/* decode_block(block): the JSON of configtxlator */
Datum
fabric_decode_block(PG_FUNCTION_ARGS)
{
	return bytes_to_json(&common__block__descriptor, argument_bytes(fcinfo, 0, "block"));
}

/* decode_message(type, message) */
Datum
fabric_decode_message(PG_FUNCTION_ARGS)
{
	char *type = argument_text(fcinfo, 0, "type");
	FbBytes message = argument_bytes(fcinfo, 1, "message");
	const ProtobufCMessageDescriptor *descriptor = proto_descriptor_by_name(fb_bytes_of_text(type));

	if (descriptor == NULL)
		ereport(
			ERROR,
			(fb_errcode(FB_INVALID_ARGUMENT),
			 errmsg("unrecognized message type \"%s\"", error_excerpt(type)),
			 errhint(
				 "Message types are named as in Fabric's .proto files: common.Block, common.Envelope, protos.Transaction.")));
	return bytes_to_json(descriptor, message);
}

/* compute_tx_id(nonce, creator) */
Datum
fabric_compute_tx_id(PG_FUNCTION_ARGS)
{
	FbBytes nonce = argument_bytes(fcinfo, 0, "nonce");
	FbBytes creator = argument_bytes(fcinfo, 1, "creator");
	char tx_id[TX_ID_LENGTH + 1];

	tx_id_compute(nonce, creator, tx_id);
	PG_RETURN_TEXT_P(cstring_to_text(tx_id));
}

static void
require_hash(FbBytes hash, const char *name, bool may_be_empty)
{
	if (hash.size != CRYPTO_SHA256_BYTES && !(may_be_empty && hash.size == 0))
		ereport(ERROR, (fb_errcode(FB_INVALID_ARGUMENT),
						errmsg("argument \"%s\" must have 32 bytes", name),
						errdetail("It has %zu bytes.", hash.size)));
}

/* block_header_hash(number, previous_hash, data_hash) */
Datum
fabric_block_header_hash(PG_FUNCTION_ARGS)
{
	BlockHeader header;
	uint8_t hash[CRYPTO_SHA256_BYTES];

	argument_require(fcinfo, 0, "number");
	if (PG_GETARG_INT64(0) < 0)
		ereport(ERROR, (fb_errcode(FB_INVALID_ARGUMENT),
						errmsg("argument \"%s\" must not be negative", "number")));
	header.number = (uint64) PG_GETARG_INT64(0);
	header.previous_hash = argument_bytes(fcinfo, 1, "previous_hash");
	header.data_hash = argument_bytes(fcinfo, 2, "data_hash");
	require_hash(header.previous_hash, "previous_hash", header.number == 0);
	require_hash(header.data_hash, "data_hash", false);
	block_header_hash(&header, hash);
	PG_RETURN_BYTEA_P(memory_bytea(fb_bytes(hash, sizeof(hash))));
}

/* ---- identity_info ---- */

static void
message_free_certificate(void *certificate)
{
	crypto_certificate_free(certificate);
}

static void
add_ous(StringInfo json, const CryptoCertificate *certificate)
{
	static const char *const roles[] = {"client", "peer", "admin", "orderer"};
	const char *role = NULL;

	json_add_name(json, "organizational_units");
	appendStringInfoChar(json, '[');
	for (size_t i = 0; i < crypto_certificate_ous_count(certificate); i++)
	{
		FbBytes ou = crypto_certificate_ou(certificate, i);

		appendStringInfoString(json, i == 0 ? "" : ",");
		escape_json(json, state_key_text(ou));
		for (int r = 0; r < lengthof(roles); r++)
			if (fb_bytes_equal(ou, fb_bytes_of_text(roles[r])))
				role = roles[r];
	}
	appendStringInfoChar(json, ']');
	json_add_text(json, "role", role);
}

static void
add_attributes(StringInfo json, const CryptoCertificate *certificate, FbAllocator *allocator)
{
	CertificateAttribute *attributes;
	size_t count;
	FbError error;

	error_check(certificate_attributes(certificate, allocator, &attributes, &count, &error),
				&error);
	json_add_name(json, "attributes");
	appendStringInfoChar(json, '{');
	for (size_t i = 0; i < count; i++)
		json_add_text(json, state_key_text(attributes[i].name),
					  state_key_text(attributes[i].value));
	appendStringInfoChar(json, '}');
}

/*
 * The identifier that MSPs use: SHA-256 over the certificate with a low-S signature. The issuer is
 * not available here; P-256 is assumed, which nearly all CAs of channels use.
 */
static void
add_identity_id(StringInfo json, const CryptoCertificate *certificate, FbAllocator *allocator)
{
	uint8_t hash[CRYPTO_SHA256_BYTES];
	FbBytes der;
	FbError error;
	FbStatus status =
		crypto_certificate_low_s_der(certificate, CRYPTO_P256, allocator, &der, &error);

	if (status == FB_INVALID_CERTIFICATE) /* not signed with ECDSA: take the certificate as it is */
		der = crypto_certificate_der(certificate);
	else
		error_check(status, &error);
	crypto_sha256(der, hash);
	json_add_hex(json, "identity_id", fb_bytes(hash, sizeof(hash)));
}

/*
 * identity_info(creator): the contents of a SerializedIdentity. Nothing is verified, because that
 * needs the organization's MSP.
 */
Datum
fabric_identity_info(PG_FUNCTION_ARGS)
{
	FbAllocator *allocator = memory_allocator(CurrentMemoryContext);
	CryptoCertificate *certificate;
	const CryptoPublicKey *key;
	const char *msp_id;
	const char *client_id;
	FbBytes pem;
	FbError error;
	StringInfoData json;

	error_check(identity_unpack(argument_bytes(fcinfo, 0, "creator"), allocator, &msp_id, &pem,
								&error),
				&error);
	error_check(crypto_certificate_parse(pem, &certificate, &error), &error);
	memory_on_reset(CurrentMemoryContext, message_free_certificate, certificate);

	initStringInfo(&json);
	appendStringInfoChar(&json, '{');
	json_add_text(&json, "msp_id", msp_id);
	json_add_text(&json, "subject", crypto_certificate_subject(certificate));
	json_add_text(&json, "issuer", crypto_certificate_issuer(certificate));
	json_add_text(&json, "common_name", crypto_certificate_common_name(certificate));
	json_add_hex(&json, "serial", crypto_certificate_serial(certificate));
	json_add_time(&json, "not_before", crypto_certificate_not_before(certificate));
	json_add_time(&json, "not_after", crypto_certificate_not_after(certificate));
	add_ous(&json, certificate);
	add_attributes(&json, certificate, allocator);
	json_add_name(&json, "is_ca");
	appendStringInfoString(&json, crypto_certificate_is_ca(certificate) ? "true" : "false");
	key = crypto_certificate_public_key(certificate);
	json_add_text(&json, "key",
				  key == NULL ? NULL : crypto_curve_name(crypto_public_key_curve(key)));
	json_add_hex(&json, "subject_key_id", crypto_certificate_ski(certificate));
	json_add_hex(&json, "authority_key_id", crypto_certificate_aki(certificate));
	error_check(certificate_client_id(certificate, allocator, &client_id, &error), &error);
	json_add_text(&json, "client_id", client_id);
	add_identity_id(&json, certificate, allocator);
	appendStringInfoChar(&json, '}');
	return result_jsonb(json.data);
}

/* identity_bytes(msp_id, certificate): the SerializedIdentity that new_proposal takes as creator */
Datum
fabric_identity_bytes(PG_FUNCTION_ARGS)
{
	char *msp_id = argument_text(fcinfo, 0, "msp_id");
	FbBytes pem = argument_bytes(fcinfo, 1, "certificate");
	CryptoCertificate *certificate;
	FbBytes serialized;
	FbError error;

	if (msp_id[0] == '\0' || strlen(msp_id) > FB_MSP_ID_BYTES_MAX)
		ereport(ERROR,
				(fb_errcode(FB_INVALID_ARGUMENT),
				 errmsg("argument \"%s\" must have 1 to %d bytes", "msp_id", FB_MSP_ID_BYTES_MAX)));
	error_check(crypto_certificate_parse(pem, &certificate, &error), &error);
	crypto_certificate_free(certificate);
	error_check(identity_serialize(msp_id, pem, memory_allocator(CurrentMemoryContext), &serialized,
								   &error),
				&error);
	PG_RETURN_BYTEA_P(memory_bytea(serialized));
}
