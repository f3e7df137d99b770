/* frame.c: audit header, links, data hash, metadata and orderers' signatures */
#include "core/block_audit/block_audit_internal.h"

#include "core/identity/identity.h"
#include "core/proto/proto.h"

#include <inttypes.h>

static void
check_header(Audit *audit, const BlockHeader *header)
{
	if (header->number == 0 ? header->previous_hash.size != 0
							: header->previous_hash.size != CRYPTO_SHA256_BYTES)
		audit_problem(audit, -1, "header", "Block %" PRIu64 " has a previous hash of %zu bytes.",
					  header->number, header->previous_hash.size);
	if (header->data_hash.size != CRYPTO_SHA256_BYTES)
		audit_problem(audit, -1, "header", "The data hash has %zu bytes.", header->data_hash.size);
}

static void
frame_check_link(Audit *audit, const BlockHeader *header, const AuditPrevious *previous)
{
	uint8_t hash[CRYPTO_SHA256_BYTES];
	char hex[2 * CRYPTO_SHA256_BYTES + 1];

	if (header->number != previous->header.number + 1)
	{
		audit_problem(audit, -1, "previous_hash",
					  "Block %" PRIu64 " does not follow block %" PRIu64 ".", header->number,
					  previous->header.number);
		return;
	}
	block_header_hash(&previous->header, hash);
	if (fb_bytes_equal(fb_bytes(hash, sizeof(hash)), header->previous_hash))
		return;
	fb_hex_encode(fb_bytes(hash, sizeof(hash)), hex);
	audit_problem(audit, -1, "previous_hash", "The hash of block %" PRIu64 " is %s.",
				  previous->header.number, hex);
}

FbStatus
audit_frame(Audit *audit, const BlockView *view, const AuditPrevious *previous, FbError *error)
{
	uint8_t hash[CRYPTO_SHA256_BYTES];
	FbStatus status;

	check_header(audit, &view->header);
	if (previous != NULL)
		frame_check_link(audit, &view->header, previous);
	block_data_hash(view->data, view->data_count, hash);
	if (!fb_bytes_equal(fb_bytes(hash, sizeof(hash)), view->header.data_hash))
		audit_problem(audit, -1, "data_hash",
					  "The header's data hash is not that of the transactions.");
	status = block_check_well_formed(view->data, view->data_count, error);
	if (audit_is_failure(status))
		return status;
	if (status != FB_OK)
		audit_problem(audit, -1, "transactions", "%s%s%s", error->message,
					  error->detail[0] ? ": " : "", error->detail);
	return FB_OK;
}

/* ---- slots 1 and 3 ---- */

static FbStatus
check_last_config(Audit *audit, const BlockView *view, const BlockSignatures *slot,
				  const AuditPrevious *previous, FbError *error)
{
	uint64_t number = slot->last_config_number;
	FbBytes received = view->metadata[COMMON__BLOCK_METADATA_INDEX__LAST_CONFIG];
	FbBytes expected;
	bool is_config = block_is_configuration(view);

	/* without codes, only the orderers state whether it is a configuration */
	if (view->metadata[COMMON__BLOCK_METADATA_INDEX__TRANSACTIONS_FILTER].size == 0 &&
		number != view->header.number)
		is_config = false;
	if (number > view->header.number)
		audit_problem(audit, -1, "last_config",
					  "It names the later block %" PRIu64 " as the last configuration.", number);
	if (is_config)
	{
		if (number != view->header.number)
			audit_problem(audit, -1, "last_config",
						  "A configuration block names block %" PRIu64
						  " as the last configuration.",
						  number);
	}
	else if (previous != NULL && number != (previous->is_config ? previous->header.number
																: previous->last_config_number))
		audit_problem(audit, -1, "last_config",
					  "It names block %" PRIu64
					  " as the last configuration, and the block before it names another.",
					  number);
	if (received.size == 0)
		return FB_OK;
	FB_TRY(block_last_config_pack(number, audit->allocator, &expected, error));
	if (!fb_bytes_equal(received, expected))
		audit_problem(audit, -1, "last_config",
					  "Metadata slot 1 does not hold number %" PRIu64 " of slot 0.", number);
	return FB_OK;
}

/* ---- slot 0 ---- */

static FbStatus
check_genesis_metadata(Audit *audit, const BlockView *view, FbError *error)
{
	FbBytes received = view->metadata[COMMON__BLOCK_METADATA_INDEX__SIGNATURES];
	FbBytes value;
	FbBytes expected;

	FB_TRY(block_signature_value(0, FB_BYTES_EMPTY, audit->allocator, &value, error));
	FB_TRY(block_signatures_pack(value, NULL, 0, audit->allocator, &expected, error));
	if (received.size > 0 && !fb_bytes_equal(received, expected))
		audit_problem(audit, -1, "metadata",
					  "Block 0 is not signed: its metadata slot 0 holds nothing but the number 0.");
	return FB_OK;
}

/* Was this signature made with the key of its certificate, whoever owns that? */
static FbStatus
check_integrity(FbAllocator *allocator, const PolicySignature *signature, bool *valid,
				FbError *error)
{
	CryptoCertificate *certificate;
	const char *msp_id;
	FbBytes pem;
	FbStatus status;

	*valid = false;
	status = identity_unpack(signature->identity, allocator, &msp_id, &pem, error);
	if (status == FB_OK)
		status = crypto_certificate_parse_pem(pem, &certificate, error);
	if (status != FB_OK)
		return audit_is_failure(status) ? status : FB_OK;
	if (crypto_certificate_public_key(certificate) != NULL)
	{
		status = crypto_verify_parts(crypto_certificate_public_key(certificate), signature->parts,
									 FB_POLICY_MESSAGE_PARTS_MAX, signature->signature, error);
		*valid = status == FB_OK;
	}
	else
		fb_fail(error, FB_INVALID_CERTIFICATE, "the certificate has no ECDSA key");
	crypto_certificate_free(certificate);
	return audit_is_failure(status) ? status : FB_OK;
}

FbStatus
audit_signature(Audit *audit, const PolicySignature *signature, bool *valid, FbError *error)
{
	const Identity *identity;
	FbStatus status;

	if (audit->bundle == NULL)
		return check_integrity(audit->allocator, signature, valid, error);
	*valid = false;
	status = msp_manager_identity(audit->bundle->msps, signature->identity, &identity, error);
	if (status == FB_OK)
		status = identity_verify_parts(identity, signature->parts, FB_POLICY_MESSAGE_PARTS_MAX,
									   signature->signature, error);
	*valid = status == FB_OK;
	return audit_is_failure(status) ? status : FB_OK;
}

static FbStatus
frame_check_policy(Audit *audit, const PolicySignature *signatures, size_t count, FbError *error)
{
	const Policy *policy =
		policy_manager_find(audit->bundle->policies, CONFIG_POLICY_BLOCK_VALIDATION);
	PolicySignatureSet *set;
	FbStatus status;

	FB_TRY(policy_signatures_create(audit->allocator, audit->bundle->msps, signatures, count, NULL,
									NULL, &set, error));
	status = policy_require(audit->allocator, policy, set, error);
	if (status == FB_POLICY_NOT_SATISFIED)
	{
		audit_problem(audit, -1, "block_validation", "%s: %s", error->message, error->detail);
		return FB_OK;
	}
	return status;
}

static FbStatus
check_signatures(Audit *audit, const BlockView *view, const BlockSignatures *slot, FbError *error)
{
	PolicySignature *signatures =
		fb_allocate_array(audit->allocator, slot->signatures_count, sizeof(PolicySignature));
	FbBytes header;

	if (signatures == NULL)
		return fb_out_of_memory(error);
	FB_TRY(block_header_bytes(&view->header, audit->allocator, &header, error));
	for (size_t i = 0; i < slot->signatures_count; i++)
	{
		Common__SignatureHeader *signer;
		FbStatus status =
			PROTO_UNPACK(common__signature_header, slot->signatures[i].signature_header,
						 audit->allocator, &signer, error);
		bool valid;

		if (audit_is_failure(status))
			return status;
		block_signed_parts(slot->value, &slot->signatures[i], header, signatures[i].parts);
		signatures[i].signature = slot->signatures[i].signature;
		if (status == FB_OK)
			signatures[i].identity = proto_bytes(signer->creator);
		FB_TRY(audit_signature(audit, &signatures[i], &valid, error));
		if (!valid)
			audit_problem(audit, -1, "orderer_signature",
						  "Signature %zu of the block's orderers is not valid: %s.", i + 1,
						  error->message);
	}
	if (audit->bundle != NULL)
		return frame_check_policy(audit, signatures, slot->signatures_count, error);
	if (slot->signatures_count == 0)
		audit_problem(audit, -1, "orderer_signature", "No orderer has signed the block.");
	return FB_OK;
}

/* the first releases of Fabric sign the header only, and name no consenters in this slot */
static FbStatus
frame_check_consenters(Audit *audit, FbBytes received, const BlockSignatures *slot, FbError *error)
{
	FbStatus status;

	if (audit->consenter_ids == NULL || slot->value.size == 0)
		return FB_OK;
	status = consenter_ids_require(audit->consenter_ids, received, audit->allocator, error);
	if (audit_is_failure(status))
		return status;
	if (status != FB_OK)
		audit_problem(audit, -1, "metadata", "Its orderer made a mistake or lies: %s.",
					  error->message);
	return FB_OK;
}

FbStatus
audit_orderers(Audit *audit, const BlockView *view, const AuditPrevious *previous, FbError *error)
{
	FbBytes received = view->metadata[COMMON__BLOCK_METADATA_INDEX__SIGNATURES];
	BlockSignatures slot;
	FbBytes packed;
	FbStatus status = block_signatures_parse(received, audit->allocator, &slot, error);

	if (audit_is_failure(status))
		return status;
	if (view->metadata[COMMON__BLOCK_METADATA_INDEX__ORDERER].size > 0)
		audit_problem(
			audit, -1, "metadata",
			"Metadata slot 3 is not empty; Raft orderers write their metadata into slot 0.");
	if (status != FB_OK)
	{
		audit_problem(audit, -1, "metadata", "Metadata slot 0 cannot be read: %s.", error->message);
		return FB_OK;
	}
	FB_TRY(check_last_config(audit, view, &slot, previous, error));
	if (view->header.number == 0)
		return check_genesis_metadata(audit, view, error);
	/* the bytes between the signatures */
	FB_TRY(block_signatures_pack(slot.value, slot.signatures, slot.signatures_count,
								 audit->allocator, &packed, error));
	if (!fb_bytes_equal(packed, received))
		audit_problem(audit, -1, "metadata",
					  "Metadata slot 0 holds bytes that its content does not need.");
	FB_TRY(frame_check_consenters(audit, received, &slot, error));
	return check_signatures(audit, view, &slot, error);
}
