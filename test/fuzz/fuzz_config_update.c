/*
 * Updates of a real configuration: any bytes as a new configuration and as an update, signed by an
 * administrator of each organization. The update that is computed, if it is allowed, gives a
 * configuration that every node accepts as its result.
 */
#include "arena.h"
#include "core/config/config.h"
#include "core/proto/proto.h"

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define ADMIN(folder, domain)                                                                      \
	"test/vectors/crypto/" folder "/" domain "/users/Admin@" domain "/msp/signcerts/Admin@" domain \
	"-cert.pem"
static const char *const msp_ids[3] = {"OrdererMSP", "Org1MSP", "Org2MSP"};
static const char *const certificates[3] = {
	ADMIN("ordererOrganizations", "example.com"),
	ADMIN("peerOrganizations", "org1.example.com"),
	ADMIN("peerOrganizations", "org2.example.com"),
};

static FbArena kept;
static ConfigBundle *genesis; /* NULL before the first input */
static FbBytes genesis_config;
static FbBytes signature_headers[3];

static void
require(bool holds)
{
	if (!holds)
		abort();
}

static FbBytes
read_file(const char *path)
{
	static uint8_t data[1 << 20];
	FILE *file = fopen(path, "rb");
	size_t size;
	FbBytes copy;

	require(file != NULL);
	size = fread(data, 1, sizeof(data), file);
	fclose(file);
	require(fb_bytes_copy(&kept.allocator, fb_bytes(data, size), &copy, NULL) == FB_OK);
	return copy;
}

static FbBytes
pack(FbAllocator *allocator, const ProtobufCMessage *message)
{
	FbBytes bytes;

	require(proto_pack(message, allocator, &bytes, NULL) == FB_OK);
	return bytes;
}

static void
load_genesis(void)
{
	fb_arena_init(&kept);
	require(config_bundle_from_block(&kept.allocator, read_file("test/vectors/blocks/0.block"),
									 &genesis, NULL) == FB_OK);
	genesis_config = pack(&kept.allocator, &genesis->config->base);
	for (size_t i = 0; i < 3; i++)
	{
		Msp__SerializedIdentity identity = MSP__SERIALIZED_IDENTITY__INIT;
		Common__SignatureHeader header = COMMON__SIGNATURE_HEADER__INIT;

		identity.mspid = (char *) msp_ids[i];
		identity.id_bytes = proto_data(read_file(certificates[i]));
		header.creator = proto_data(pack(&kept.allocator, &identity.base));
		signature_headers[i] = pack(&kept.allocator, &header.base);
	}
}

static FbStatus
accept_signature(void *context, const Identity *identity, const PolicySignature *signature,
				 size_t index, bool *valid, FbError *error)
{
	*valid = true;
	return FB_OK;
}

static FbBytes
sign_update(FbAllocator *allocator, FbBytes update)
{
	Common__ConfigUpdateEnvelope message = COMMON__CONFIG_UPDATE_ENVELOPE__INIT;
	Common__ConfigSignature list[3] = {COMMON__CONFIG_SIGNATURE__INIT,
									   COMMON__CONFIG_SIGNATURE__INIT,
									   COMMON__CONFIG_SIGNATURE__INIT};
	Common__ConfigSignature *pointers[3] = {&list[0], &list[1], &list[2]};
	Common__ChannelHeader channel_header = COMMON__CHANNEL_HEADER__INIT;
	Common__Header header = COMMON__HEADER__INIT;
	Common__Payload payload = COMMON__PAYLOAD__INIT;
	Common__Envelope envelope = COMMON__ENVELOPE__INIT;

	for (size_t i = 0; i < 3; i++)
		list[i].signature_header = proto_data(signature_headers[i]);
	message.config_update = proto_data(update);
	message.n_signatures = 3;
	message.signatures = pointers;
	channel_header.type = COMMON__HEADER_TYPE__CONFIG_UPDATE;
	header.channel_header = proto_data(pack(allocator, &channel_header.base));
	payload.header = &header;
	payload.data = proto_data(pack(allocator, &message.base));
	envelope.payload = proto_data(pack(allocator, &payload.base));
	return pack(allocator, &envelope.base);
}

static void
apply_update(FbAllocator *allocator, FbBytes update)
{
	FbBytes result;
	FbBytes computed;
	ConfigBundle *next;
	FbError error;

	if (config_apply_update(allocator, genesis, sign_update(allocator, update), accept_signature,
							NULL, &result, &error) != FB_OK)
	{
		require(error.message[0] != '\0' && fb_utf8_valid(fb_bytes_of_text(error.message)));
		return;
	}
	require(config_check_update(allocator, genesis, result, accept_signature, NULL, &error) ==
			FB_OK);
	if (config_bundle_create(allocator, genesis->channel_id, result, &next, &error) != FB_OK)
		return;
	require(next->sequence == genesis->sequence + 1);
	(void) config_check_successor(genesis, next, &error);
	(void) config_check_orderer_rules(allocator, genesis, next, &error);
	/* the way back exists, too */
	(void) config_compute_update(allocator, genesis->channel_id,
								 pack(allocator, &next->config->base), genesis_config, &computed,
								 &error);
	config_bundle_destroy(next);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	FbArena arena;
	FbBytes update;
	FbError error;

	if (genesis == NULL)
		load_genesis();
	fb_arena_init(&arena);
	apply_update(&arena.allocator, fb_bytes(data, size));
	(void) config_check_capabilities(&arena.allocator, fb_bytes(data, size), &error);
	if (config_compute_update(&arena.allocator, genesis->channel_id, genesis_config,
							  fb_bytes(data, size), &update, &error) == FB_OK)
		apply_update(&arena.allocator, update);
	fb_arena_reset(&arena);
	return 0;
}
