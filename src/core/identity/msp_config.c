/*
 * msp_config.c: the definition of an organization as bytes, as configtxgen makes it from an MSP
 * folder
 */
#include "core/identity/identity_internal.h"
#include "core/proto/proto.h"

/* MSPConfig.type of an X.509 MSP; 1 is idemix */
#define MSP_TYPE_FABRIC 0

static FbStatus
config_set_list(const FbBytes *from, size_t count, FbAllocator *allocator, ProtobufCBinaryData **to,
				size_t *to_count, FbError *error)
{
	*to_count = count;
	return proto_data_array(from, count, allocator, to, error);
}

static FbStatus
config_pack(const MspParts *parts, FbAllocator *scratch, FbAllocator *allocator, FbBytes *bytes,
			FbError *error)
{
	Msp__FabricMSPConfig config = MSP__FABRIC_MSPCONFIG__INIT;
	Msp__FabricCryptoConfig crypto = MSP__FABRIC_CRYPTO_CONFIG__INIT;
	Msp__FabricNodeOUs node = MSP__FABRIC_NODE_OUS__INIT;
	Msp__FabricOUIdentifier ou[IDENTITY_ROLES_COUNT];

	config.name = (char *) parts->msp_id;
	FB_TRY(config_set_list(parts->root_certificates, parts->root_certificates_count, scratch,
						   &config.root_certs, &config.n_root_certs, error));
	FB_TRY(config_set_list(parts->intermediate_certificates, parts->intermediate_certificates_count,
						   scratch, &config.intermediate_certs, &config.n_intermediate_certs,
						   error));
	FB_TRY(config_set_list(parts->admins, parts->admins_count, scratch, &config.admins,
						   &config.n_admins, error));
	FB_TRY(config_set_list(parts->revocation_lists, parts->revocation_lists_count, scratch,
						   &config.revocation_list, &config.n_revocation_list, error));
	FB_TRY(config_set_list(parts->tls_root_certificates, parts->tls_root_certificates_count,
						   scratch, &config.tls_root_certs, &config.n_tls_root_certs, error));
	FB_TRY(config_set_list(parts->tls_intermediate_certificates,
						   parts->tls_intermediate_certificates_count, scratch,
						   &config.tls_intermediate_certs, &config.n_tls_intermediate_certs,
						   error));
	crypto.signature_hash_family = "SHA2";
	crypto.identity_identifier_hash_function = "SHA256";
	config.crypto_config = &crypto;
	if (parts->node_ous)
	{
		FbBytes certifier = parts->intermediate_certificates_count > 0
								? parts->intermediate_certificates[0]
								: parts->root_certificates[0];

		for (int role = IDENTITY_ADMIN; role <= IDENTITY_ORDERER; role++)
		{
			ou[role] = (Msp__FabricOUIdentifier) MSP__FABRIC_OUIDENTIFIER__INIT;
			ou[role].certificate = proto_data(certifier);
			ou[role].organizational_unit_identifier = (char *) identity_role_name(role);
		}
		node.enable = true;
		node.client_ou_identifier = &ou[IDENTITY_CLIENT];
		node.peer_ou_identifier = &ou[IDENTITY_PEER];
		node.admin_ou_identifier = &ou[IDENTITY_ADMIN];
		node.orderer_ou_identifier = &ou[IDENTITY_ORDERER];
		config.fabric_node_ous = &node;
	}
	return PROTO_PACK(&config, allocator, bytes, error);
}

FbStatus
msp_config_make(const MspParts *parts, FbAllocator *allocator, FbBytes *fabric_msp_config,
				FbError *error)
{
	Scratch scratch;
	FbStatus status;
	Msp *msp;

	*fabric_msp_config = FB_BYTES_EMPTY;
	if (parts->msp_id == NULL || !fb_utf8_valid(fb_bytes_of_text(parts->msp_id)))
		return fb_fail(error, FB_INVALID_ARGUMENT, "MSP id must be UTF-8 text");
	if (parts->root_certificates_count == 0)
		return fb_fail(error, FB_INVALID_CONFIG, "MSP \"%s\" has no root certificate",
					   parts->msp_id);
	scratch_init(&scratch, allocator);
	status = config_pack(parts, &scratch.allocator, allocator, fabric_msp_config, error);
	scratch_free(&scratch);
	FB_TRY(status);
	/* only as a check */
	FB_TRY(msp_create(*fabric_msp_config, allocator, &msp, error));
	msp_destroy(msp);
	return FB_OK;
}

FbStatus
msp_config_wrap(FbBytes fabric_msp_config, FbAllocator *allocator, FbBytes *msp_config,
				FbError *error)
{
	Msp__MSPConfig config = MSP__MSPCONFIG__INIT;

	config.type = MSP_TYPE_FABRIC;
	config.config = proto_data(fabric_msp_config);
	return PROTO_PACK(&config, allocator, msp_config, error);
}

FbStatus
msp_config_unwrap(FbBytes msp_config, FbAllocator *allocator, FbBytes *fabric_msp_config,
				  FbError *error)
{
	Msp__MSPConfig *config;

	*fabric_msp_config = FB_BYTES_EMPTY;
	FB_TRY(PROTO_UNPACK(msp__mspconfig, msp_config, allocator, &config, error));
	if (config->type != MSP_TYPE_FABRIC)
		return fb_fail(error, FB_INVALID_CONFIG, "MSP type %d is not supported", config->type);
	*fabric_msp_config = proto_bytes(config->config);
	return FB_OK;
}
