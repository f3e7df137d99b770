/* config: a block with a new configuration, by an update of configtxlator, and changes that make it
 * invalid */
#include "unit/config_samples.h"

static Common__Config *
config_of_genesis(void)
{
	Common__Block *block;
	Common__Envelope *envelope;
	Common__Payload *payload;
	Common__ConfigEnvelope *result;

	CHECK_STATUS(PROTO_UNPACK(common__block, read_block("blocks", 0), allocator, &block, &error),
				 FB_OK);
	CHECK_STATUS(PROTO_UNPACK(common__envelope, proto_bytes(block->data->data[0]), allocator,
							  &envelope, &error),
				 FB_OK);
	CHECK_STATUS(PROTO_UNPACK(common__payload, proto_bytes(envelope->payload), allocator, &payload,
							  &error),
				 FB_OK);
	CHECK_STATUS(PROTO_UNPACK(common__config_envelope, proto_bytes(payload->data), allocator,
							  &result, &error),
				 FB_OK);
	return result->config;
}

static Common__ConfigValue *
batch_timeout_of(Common__ConfigGroup *channel)
{
	for (size_t i = 0; i < channel->n_groups; i++)
		for (size_t v = 0; strcmp(channel->groups[i]->key, "Orderer") == 0 &&
						   v < channel->groups[i]->value->n_values;
			 v++)
			if (strcmp(channel->groups[i]->value->values[v]->key, "BatchTimeout") == 0)
				return channel->groups[i]->value->values[v]->value;
	return NULL;
}

/* the parts of a new configuration, to be changed before it is put together */
typedef struct NewConfig
{
	Common__Config *config;
	Common__ConfigUpdate *update;
	Common__ChannelHeader header;
	Common__ConfigUpdateEnvelope signed_update;
	Common__ConfigSignature signature;
	bool has_update;
} NewConfig;

/*
 * A real update by configtxlator for the real network: another BatchTimeout. Signed by an orderer
 */
static NewConfig
real_update(void)
{
	Msp__SerializedIdentity identity = MSP__SERIALIZED_IDENTITY__INIT;
	Common__SignatureHeader signature_header = COMMON__SIGNATURE_HEADER__INIT;
	NewConfig made = {config_of_genesis(),
					  NULL,
					  COMMON__CHANNEL_HEADER__INIT,
					  COMMON__CONFIG_UPDATE_ENVELOPE__INIT,
					  COMMON__CONFIG_SIGNATURE__INIT,
					  true};
	FbBytes bytes;

	CHECK_STATUS(PROTO_UNPACK(common__config_update,
							  read_vector("test/vectors/tx/config_update.pb"), allocator,
							  &made.update, &error),
				 FB_OK);
	made.header.type = COMMON__HEADER_TYPE__CONFIG_UPDATE;
	made.config->sequence++;
	*batch_timeout_of(made.config->channel_group) = *batch_timeout_of(made.update->write_set);
	identity.mspid = "OrdererMSP";
	identity.id_bytes = proto_data(read_vector(
		"test/vectors/crypto/ordererOrganizations/example.com/orderers/orderer1.example.com/msp/signcerts/orderer1.example.com-cert.pem"));
	CHECK_STATUS(PROTO_PACK(&identity, allocator, &bytes, &error), FB_OK);
	signature_header.creator = proto_data(bytes);
	CHECK_STATUS(PROTO_PACK(&signature_header, allocator, &bytes, &error), FB_OK);
	made.signature.signature_header = proto_data(bytes);
	made.signature.signature = proto_data(FB_BYTES_LITERAL("good"));
	return made;
}

/*
 * no orderer's private key is available: the test compares the bytes that a signature would cover
 */
static FbStatus
verify_text(void *context, const Identity *identity, const PolicySignature *signature, size_t index,
			bool *valid, FbError *verify_error)
{
	Common__ConfigUpdate *update;

	CHECK_STATUS(PROTO_UNPACK(common__config_update, signature->parts[1], allocator, &update,
							  verify_error),
				 FB_OK);
	*valid = signature->parts[0].size > 0 &&
			 fb_bytes_equal(signature->signature, FB_BYTES_LITERAL("good"));
	return FB_OK;
}

static FbStatus
check_update(const ConfigBundle *bundle, NewConfig made)
{
	Common__ConfigEnvelope envelope = COMMON__CONFIG_ENVELOPE__INIT;
	Common__Envelope last_update = COMMON__ENVELOPE__INIT;
	Common__Payload payload = COMMON__PAYLOAD__INIT;
	Common__Header header = COMMON__HEADER__INIT;
	Common__ConfigSignature *signatures[] = {&made.signature};
	FbBytes bytes;

	CHECK_STATUS(PROTO_PACK(made.update, allocator, &bytes, &error), FB_OK);
	made.signed_update.config_update = proto_data(bytes);
	made.signed_update.n_signatures = 1;
	made.signed_update.signatures = signatures;
	CHECK_STATUS(PROTO_PACK(&made.signed_update, allocator, &bytes, &error), FB_OK);
	payload.data = proto_data(bytes);
	CHECK_STATUS(PROTO_PACK(&made.header, allocator, &bytes, &error), FB_OK);
	header.channel_header = proto_data(bytes);
	payload.header = &header;
	CHECK_STATUS(PROTO_PACK(&payload, allocator, &bytes, &error), FB_OK);
	last_update.payload = proto_data(bytes);
	envelope.config = made.config;
	envelope.last_update = made.has_update ? &last_update : NULL;
	CHECK_STATUS(PROTO_PACK(&envelope, allocator, &bytes, &error), FB_OK);
	return config_check_update(allocator, bundle, bytes, verify_text, NULL, &error);
}

static ConfigBundle *
bundle_of(Common__Config *config)
{
	Common__ConfigEnvelope envelope = COMMON__CONFIG_ENVELOPE__INIT;
	ConfigBundle *bundle;
	FbBytes bytes;

	envelope.config = config;
	CHECK_STATUS(PROTO_PACK(&envelope, allocator, &bytes, &error), FB_OK);
	CHECK_STATUS(config_bundle_create(allocator, "bench", bytes, &bundle, &error), FB_OK);
	return bundle;
}

/* the real configuration, where any orderer may change the timeout */
static Common__Config *
relaxed_config(void)
{
	Common__Config *config = config_of_genesis();

	batch_timeout_of(config->channel_group)->mod_policy = "BlockValidation";
	return config;
}

/* a new configuration counts only if all its parts fit: after any change it is refused */
static void
test_update_signatures(void)
{
	ConfigBundle *strict = bundle_of(config_of_genesis());
	Common__Config *relaxed = relaxed_config();
	ConfigBundle *bundle;
	NewConfig made;

	/* the orderer organization's administrators decide about the timeout */
	CHECK_STATUS(check_update(strict, real_update()), FB_POLICY_NOT_SATISFIED);
	CHECK_TEXT(
		error.message,
		"the update of /Channel/Orderer/BatchTimeout is not signed as its policy Admins wants");
	bundle = bundle_of(relaxed);
	CHECK_STATUS(check_update(bundle, real_update()), FB_OK);
	made = real_update();
	made.signature.signature = proto_data(FB_BYTES_LITERAL("bad"));
	CHECK_STATUS(check_update(bundle, made), FB_POLICY_NOT_SATISFIED);
	made = real_update();
	made.signature.signature_header = proto_data(FB_BYTES_LITERAL("\xff"));
	CHECK_STATUS(check_update(bundle, made), FB_MALFORMED_MESSAGE);
	config_bundle_destroy(bundle);
	config_bundle_destroy(strict);
}

static void
test_update_parts(void)
{
	Common__Config *relaxed = relaxed_config();
	ConfigBundle *bundle;
	NewConfig made;

	bundle = bundle_of(relaxed);
	made = real_update();
	made.config->sequence++;
	CHECK_STATUS(check_update(bundle, made), FB_STALE_CONFIG);
	made = real_update();
	made.has_update = false;
	CHECK_STATUS(check_update(bundle, made), FB_INVALID_CONFIG);
	made = real_update();
	made.config->channel_group = NULL;
	CHECK_STATUS(check_update(bundle, made), FB_INVALID_CONFIG);
	made = real_update();
	made.header.type = COMMON__HEADER_TYPE__CONFIG;
	CHECK_STATUS(check_update(bundle, made), FB_INVALID_CONFIG);
	made = real_update();
	made.update->channel_id = "other";
	CHECK_STATUS(check_update(bundle, made), FB_INVALID_CONFIG);
	made = real_update();
	made.update->write_set = NULL;
	CHECK_STATUS(check_update(bundle, made), FB_INVALID_CONFIG);
	config_bundle_destroy(bundle);
}

/*
 * The result differs from that of the update: an element changed, missing, or too many; the
 * present configuration.
 */
static void
test_update_result(void)
{
	Common__Config *relaxed = relaxed_config();
	ConfigBundle *bundle;
	NewConfig made;

	bundle = bundle_of(relaxed);
	made = real_update();
	made.config->channel_group->values[0]->value->version++;
	CHECK_STATUS(check_update(bundle, made), FB_INVALID_CONFIG);
	made = real_update();
	made.config->channel_group->values[0]->value->value = proto_data(FB_BYTES_LITERAL("x"));
	CHECK_STATUS(check_update(bundle, made), FB_INVALID_CONFIG);
	made = real_update();
	made.config->channel_group->policies[0]->value->policy->type++;
	CHECK_STATUS(check_update(bundle, made), FB_INVALID_CONFIG);
	made = real_update();
	made.config->channel_group->mod_policy = "Writers";
	CHECK_STATUS(check_update(bundle, made), FB_INVALID_CONFIG);
	made = real_update();
	made.config->channel_group->n_groups--;
	CHECK_STATUS(check_update(bundle, made), FB_INVALID_CONFIG);
	made = real_update();
	made.config->channel_group->n_values--;
	CHECK_STATUS(check_update(bundle, made), FB_INVALID_CONFIG);
	made = real_update();
	made.config->channel_group->values[0]->key = "New";
	CHECK_STATUS(check_update(bundle, made), FB_INVALID_CONFIG);
	made = real_update();
	made.config->channel_group->groups[0]->value->groups[0]->value->n_policies--;
	CHECK_STATUS(check_update(bundle, made), FB_INVALID_CONFIG);
	made = real_update();
	made.config->channel_group = relaxed->channel_group;
	CHECK_STATUS(check_update(bundle, made), FB_INVALID_CONFIG);
	config_bundle_destroy(bundle);
}

/* versions other than the present and the next ones */
static void
test_update_versions(void)
{
	Common__Config *relaxed = relaxed_config();
	ConfigBundle *bundle;
	NewConfig made;

	bundle = bundle_of(relaxed);
	made = real_update();
	made.update->read_set->version = 7;
	CHECK_STATUS(check_update(bundle, made), FB_INVALID_CONFIG);
	made = real_update();
	batch_timeout_of(made.update->write_set)->version++;
	batch_timeout_of(made.config->channel_group)->version++;
	CHECK_STATUS(check_update(bundle, made), FB_INVALID_CONFIG);
	made = real_update();
	batch_timeout_of(made.update->write_set)->mod_policy = "";
	batch_timeout_of(made.config->channel_group)->mod_policy = "";
	CHECK_STATUS(check_update(bundle, made), FB_INVALID_CONFIG);
	/* an allowed change does not permit another, forbidden one */
	made = real_update();
	made.update->write_set->version = 1;
	made.update->write_set->mod_policy = "Admins";
	CHECK_STATUS(check_update(bundle, made), FB_POLICY_NOT_SATISFIED);
	config_bundle_destroy(bundle);
}

/* no element with a policy changes: only the sequence would differ */
static void
test_update_without_change(void)
{
	Common__Config *relaxed = relaxed_config();
	Common__ConfigGroup *group;
	ConfigBundle *bundle;
	NewConfig made;

	bundle = bundle_of(relaxed);
	made = real_update();
	CHECK_STATUS(PROTO_UNPACK(common__config_group, FB_BYTES_EMPTY, allocator, &group, &error),
				 FB_OK);
	made.update->read_set = group;
	made.update->write_set = group;
	made.config->channel_group = relaxed->channel_group;
	CHECK_STATUS(check_update(bundle, made), FB_INVALID_CONFIG);
	made = real_update();
	batch_timeout_of(made.update->write_set)->version = 0;
	for (size_t i = 0; i < made.update->write_set->n_groups; i++)
		for (size_t v = 0; v < made.update->write_set->groups[i]->value->n_values; v++)
			made.update->write_set->groups[i]->value->values[v]->key = "Unheard";
	made.config->channel_group = relaxed->channel_group;
	CHECK_STATUS(check_update(bundle, made), FB_INVALID_CONFIG);
	CHECK_TEXT(error.message, "the update changes nothing of the configuration");
	config_bundle_destroy(bundle);
}

int
main(void)
{
	fb_arena_init(&arena);
	CHECK_TEST(test_update_signatures());
	CHECK_TEST(test_update_parts());
	CHECK_TEST(test_update_result());
	CHECK_TEST(test_update_versions());
	CHECK_TEST(test_update_without_change());
	fb_arena_reset(&arena);
	return check_finish("config/check");
}
