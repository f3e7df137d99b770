/*
 * Updates of a configuration: the update between two configurations, compared with one that
 * configtxlator made and with cases worked by hand from internal/configtxlator/update/update.go;
 * its application to a real genesis block; which configurations may follow another.
 */
#include "core/config/config.h"
#include "core/proto/proto.h"
#include "unit/check.h"

static FbArena arena;
static FbAllocator *allocator = &arena.allocator;
static FbError error;

static FbBytes
read_vector(const char *path)
{
	FbBytes file = check_read_file(path);
	FbBytes copy;

	if (fb_bytes_copy(allocator, file, &copy, NULL) != FB_OK)
		exit(2);
	free((void *) file.data);
	return copy;
}

/* the configuration of the real network's genesis block, decoded for each caller */
static Common__Config *
real_config(void)
{
	Common__Block *block;
	Common__Envelope *envelope;
	Common__Payload *payload;
	Common__ConfigEnvelope *result;

	CHECK_STATUS(PROTO_UNPACK(common__block, read_vector("test/vectors/blocks/0.block"), allocator,
							  &block, &error),
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

static FbBytes
pack(const ProtobufCMessage *message)
{
	FbBytes bytes;

	CHECK_STATUS(proto_pack(message, allocator, &bytes, &error), FB_OK);
	return bytes;
}

static Common__ConfigGroup *
group_of(Common__ConfigGroup *group, const char *name)
{
	for (size_t i = 0; i < group->n_groups; i++)
		if (strcmp(group->groups[i]->key, name) == 0)
			return group->groups[i]->value;
	CHECK(!"the group exists");
	exit(1);
}

static Common__ConfigValue *
value_of(Common__ConfigGroup *group, const char *name)
{
	for (size_t i = 0; i < group->n_values; i++)
		if (strcmp(group->values[i]->key, name) == 0)
			return group->values[i]->value;
	CHECK(!"the value exists");
	exit(1);
}

static void
set_batch_timeout(Common__Config *config, char *text)
{
	Orderer__BatchTimeout timeout = ORDERER__BATCH_TIMEOUT__INIT;

	timeout.timeout = text;
	value_of(group_of(config->channel_group, "Orderer"), "BatchTimeout")->value =
		proto_data(pack(&timeout.base));
}

/* the group's members without this one */
static void
remove_group(Common__ConfigGroup *group, const char *name)
{
	size_t kept = 0;

	for (size_t i = 0; i < group->n_groups; i++)
		if (strcmp(group->groups[i]->key, name) != 0)
			group->groups[kept++] = group->groups[i];
	CHECK(kept + 1 == group->n_groups);
	group->n_groups = kept;
}

/* the group with one more member */
static void
add_group(Common__ConfigGroup *group, char *name, Common__ConfigGroup *member)
{
	Common__ConfigGroup__GroupsEntry **list =
		fb_allocate_array(allocator, group->n_groups + 1, sizeof(*list));
	Common__ConfigGroup__GroupsEntry *entry = fb_allocate(allocator, sizeof(*entry));
	Common__ConfigGroup__GroupsEntry empty = COMMON__CONFIG_GROUP__GROUPS_ENTRY__INIT;

	*entry = empty;
	entry->key = name;
	entry->value = member;
	for (size_t i = 0; i < group->n_groups; i++)
		list[i] = group->groups[i];
	list[group->n_groups] = entry;
	group->groups = list;
	group->n_groups++;
}

/* ---- compute ---- */

static FbStatus
compute(Common__Config *original, Common__Config *updated, FbBytes *update)
{
	return config_compute_update(allocator, "bench", pack(&original->base), pack(&updated->base),
								 update, &error);
}

/* the two sets as JSON, without the values, which the cases do not change */
static const char *
sets_text(FbBytes update)
{
	FbBytes text;
	FbBuffer buffer;

	CHECK_STATUS(proto_json(&common__config_update__descriptor, update, PROTO_JSON_COMPACT,
							allocator, &text, &error),
				 FB_OK);
	fb_buffer_init(&buffer, allocator);
	fb_buffer_append_bytes(&buffer, text);
	fb_buffer_append_byte(&buffer, 0);
	return (const char *) buffer.data;
}

static Common__Config *
config_from(Common__ConfigGroup *channel)
{
	Common__Config *config = fb_allocate(allocator, sizeof(*config));
	Common__Config empty = COMMON__CONFIG__INIT;

	*config = empty;
	config->channel_group = channel;
	return config;
}

static Common__ConfigGroup *
new_group(uint64_t version, char *mod_policy)
{
	Common__ConfigGroup *group = fb_allocate(allocator, sizeof(*group));
	Common__ConfigGroup empty = COMMON__CONFIG_GROUP__INIT;

	*group = empty;
	group->version = version;
	group->mod_policy = mod_policy;
	return group;
}

static void
add_value(Common__ConfigGroup *group, char *name, uint64_t version, const char *bytes)
{
	Common__ConfigGroup__ValuesEntry **list =
		fb_allocate_array(allocator, group->n_values + 1, sizeof(*list));
	Common__ConfigGroup__ValuesEntry *entry = fb_allocate(allocator, sizeof(*entry));
	Common__ConfigValue *value = fb_allocate(allocator, sizeof(*value));
	Common__ConfigGroup__ValuesEntry empty = COMMON__CONFIG_GROUP__VALUES_ENTRY__INIT;
	Common__ConfigValue empty_value = COMMON__CONFIG_VALUE__INIT;

	*entry = empty;
	*value = empty_value;
	value->version = version;
	value->mod_policy = "Admins";
	value->value = proto_data(fb_bytes_of_text(bytes));
	entry->key = name;
	entry->value = value;
	if (group->n_values > 0)
		memcpy(list, group->values, group->n_values * sizeof(*list));
	list[group->n_values] = entry;
	group->values = list;
	group->n_values++;
}

static void
test_real_compute(void)
{
	Common__Config *updated = real_config();
	FbBytes update;

	set_batch_timeout(updated, "750ms");
	CHECK_STATUS(compute(real_config(), updated, &update), FB_OK);
	CHECK(fb_bytes_equal(update, read_vector("test/vectors/tx/config_update.pb")));
	CHECK_STATUS(compute(updated, updated, &update), FB_INVALID_CONFIG);
	CHECK_TEXT(error.message, "the configurations do not differ");
	/* versions and the sequence are not compared */
	updated = real_config();
	updated->sequence = 9;
	updated->channel_group->version = 4;
	CHECK_STATUS(compute(real_config(), updated, &update), FB_INVALID_CONFIG);
	updated->channel_group = NULL;
	CHECK_STATUS(compute(real_config(), updated, &update), FB_INVALID_CONFIG);
	CHECK_STATUS(compute(updated, real_config(), &update), FB_INVALID_CONFIG);
	CHECK_STATUS(config_compute_update(allocator, "Bad Name", FB_BYTES_EMPTY, FB_BYTES_EMPTY,
									   &update, &error),
				 FB_INVALID_ARGUMENT);
}

/* a group whose members change names all of them, in both sets; the groups above it do not */
static void
test_members(void)
{
	Common__ConfigGroup *old = new_group(3, "Admins");
	Common__ConfigGroup *new = new_group(3, "Admins");
	Common__ConfigGroup *old_inner = new_group(5, "Admins");
	Common__ConfigGroup *new_inner = new_group(5, "Admins");
	FbBytes update;

	add_value(old_inner, "Changed", 1, "x");
	add_value(old_inner, "Gone", 2, "x");
	add_value(old_inner, "Same", 7, "x");
	add_value(new_inner, "Added", 9, "y");
	add_value(new_inner, "Changed", 1, "y");
	add_value(new_inner, "Same", 7, "x");
	add_group(old, "Inner", old_inner);
	add_group(new, "Inner", new_inner);
	CHECK_STATUS(compute(config_from(old), config_from(new), &update), FB_OK);
	CHECK_TEXT(
		sets_text(update),
		"{\"channel_id\":\"bench\",\"isolated_data\":{},"
		"\"read_set\":{\"groups\":{\"Inner\":{\"groups\":{},\"mod_policy\":\"\",\"policies\":{},"
		"\"values\":{\"Same\":{\"mod_policy\":\"\",\"value\":null,\"version\":\"7\"}},"
		"\"version\":\"5\"}},\"mod_policy\":\"\",\"policies\":{},\"values\":{},\"version\":\"3\"},"
		"\"write_set\":{\"groups\":{\"Inner\":{\"groups\":{},\"mod_policy\":\"Admins\","
		"\"policies\":{},\"values\":{"
		"\"Added\":{\"mod_policy\":\"Admins\",\"value\":\"eQ==\",\"version\":\"0\"},"
		"\"Changed\":{\"mod_policy\":\"Admins\",\"value\":\"eQ==\",\"version\":\"2\"},"
		"\"Same\":{\"mod_policy\":\"\",\"value\":null,\"version\":\"7\"}},\"version\":\"6\"}},"
		"\"mod_policy\":\"\",\"policies\":{},\"values\":{},\"version\":\"3\"}}");
}

/* a new group and everything in it have version 0; its unchanged neighbors only their versions */
static void
test_new_group(void)
{
	Common__ConfigGroup *old = new_group(0, "Admins");
	Common__ConfigGroup *new = new_group(0, "Admins");
	Common__ConfigGroup *neighbor = new_group(4, "Admins");
	Common__ConfigGroup *added = new_group(8, "Writers");
	FbBytes update;

	add_value(neighbor, "V", 1, "x");
	add_value(added, "V", 6, "z");
	add_group(old, "A", neighbor);
	add_group(new, "A", neighbor);
	add_group(new, "B", added);
	CHECK_STATUS(compute(config_from(old), config_from(new), &update), FB_OK);
	CHECK_TEXT(
		sets_text(update),
		"{\"channel_id\":\"bench\",\"isolated_data\":{},"
		"\"read_set\":{\"groups\":{\"A\":{\"groups\":{},\"mod_policy\":\"\",\"policies\":{},"
		"\"values\":{},\"version\":\"4\"}},\"mod_policy\":\"\",\"policies\":{},\"values\":{},"
		"\"version\":\"0\"},"
		"\"write_set\":{\"groups\":{\"A\":{\"groups\":{},\"mod_policy\":\"\",\"policies\":{},"
		"\"values\":{},\"version\":\"4\"},"
		"\"B\":{\"groups\":{},\"mod_policy\":\"Writers\",\"policies\":{},\"values\":{"
		"\"V\":{\"mod_policy\":\"Admins\",\"value\":\"eg==\",\"version\":\"0\"}},"
		"\"version\":\"0\"}},\"mod_policy\":\"Admins\",\"policies\":{},\"values\":{},"
		"\"version\":\"1\"}}");
}

/* ---- apply ---- */

static ConfigBundle *
bundle_of(Common__Config *config)
{
	Common__ConfigEnvelope envelope = COMMON__CONFIG_ENVELOPE__INIT;
	ConfigBundle *bundle;

	envelope.config = config;
	if (!CHECK_STATUS(config_bundle_create(allocator, "bench", pack(&envelope.base), &bundle,
										   &error),
					  FB_OK))
		exit(1);
	return bundle;
}

/* only certificates of the administrators are available: their signatures count as valid */
static FbStatus
accept_signature(void *context, const Identity *identity, const PolicySignature *signature,
				 size_t index, bool *valid, FbError *verify_error)
{
	*valid = true;
	return FB_OK;
}

typedef struct Signer
{
	char *msp_id;
	const char *certificate;
} Signer;

#define ADMIN(folder, domain)                                                                      \
	"test/vectors/crypto/" folder "/" domain "/users/Admin@" domain "/msp/signcerts/Admin@" domain \
	"-cert.pem"
static const Signer signers[] = {
	{"OrdererMSP", ADMIN("ordererOrganizations", "example.com")},
	{"Org1MSP", ADMIN("peerOrganizations", "org1.example.com")},
	{"Org2MSP", ADMIN("peerOrganizations", "org2.example.com")},
};

/* an envelope of type CONFIG_UPDATE with the signatures of the first `count` administrators */
static FbBytes
signed_update(FbBytes update, size_t count)
{
	Common__ConfigUpdateEnvelope message = COMMON__CONFIG_UPDATE_ENVELOPE__INIT;
	Common__ConfigSignature list[3];
	Common__ConfigSignature *pointers[3];
	Common__ChannelHeader channel_header = COMMON__CHANNEL_HEADER__INIT;
	Common__Header header = COMMON__HEADER__INIT;
	Common__Payload payload = COMMON__PAYLOAD__INIT;
	Common__Envelope envelope = COMMON__ENVELOPE__INIT;

	for (size_t i = 0; i < count; i++)
	{
		Common__ConfigSignature empty = COMMON__CONFIG_SIGNATURE__INIT;
		Msp__SerializedIdentity identity = MSP__SERIALIZED_IDENTITY__INIT;
		Common__SignatureHeader signature_header = COMMON__SIGNATURE_HEADER__INIT;

		identity.mspid = signers[i].msp_id;
		identity.id_bytes = proto_data(read_vector(signers[i].certificate));
		signature_header.creator = proto_data(pack(&identity.base));
		list[i] = empty;
		list[i].signature_header = proto_data(pack(&signature_header.base));
		list[i].signature = proto_data(FB_BYTES_LITERAL("s"));
		pointers[i] = &list[i];
	}
	message.config_update = proto_data(update);
	message.n_signatures = count;
	message.signatures = pointers;
	channel_header.type = COMMON__HEADER_TYPE__CONFIG_UPDATE;
	channel_header.channel_id = proto_data(FB_BYTES_LITERAL("bench"));
	header.channel_header = proto_data(pack(&channel_header.base));
	payload.header = &header;
	payload.data = proto_data(pack(&message.base));
	envelope.payload = proto_data(pack(&payload.base));
	envelope.signature = proto_data(FB_BYTES_LITERAL("s"));
	return pack(&envelope.base);
}

static FbStatus
apply(const ConfigBundle *bundle, FbBytes envelope, FbBytes *result)
{
	return config_apply_update(allocator, bundle, envelope, accept_signature, NULL, result, &error);
}

/* the bundle after the change from the real configuration to `updated` */
static ConfigBundle *
bundle_after(const ConfigBundle *current, Common__Config *updated, size_t signers_count)
{
	ConfigBundle *next;
	FbBytes update;
	FbBytes result;

	CHECK_STATUS(compute(real_config(), updated, &update), FB_OK);
	if (!CHECK_STATUS(apply(current, signed_update(update, signers_count), &result), FB_OK))
	{
		fprintf(stderr, "    %s\n", error.message);
		exit(1);
	}
	CHECK_STATUS(config_check_update(allocator, current, result, accept_signature, NULL, &error),
				 FB_OK);
	CHECK_STATUS(config_check_capabilities(allocator, result, &error), FB_OK);
	if (!CHECK_STATUS(config_bundle_create(allocator, "bench", result, &next, &error), FB_OK))
	{
		fprintf(stderr, "    %s\n", error.message);
		exit(1);
	}
	return next;
}

static void
test_apply(void)
{
	ConfigBundle *current = bundle_of(real_config());
	Common__Config *updated = real_config();
	ConfigBundle *next;
	FbBytes update;
	FbBytes result;

	set_batch_timeout(updated, "750ms");
	next = bundle_after(current, updated, 1);
	CHECK(next->sequence == current->sequence + 1);
	CHECK(next->batch_timeout_ns == 750000000);
	CHECK(value_of(group_of(next->config->channel_group, "Orderer"), "BatchTimeout")->version == 1);
	CHECK(group_of(next->config->channel_group, "Orderer")->version == 0);
	CHECK(next->application_organizations_count == current->application_organizations_count);
	CHECK_STATUS(config_check_successor(current, next, &error), FB_OK);
	CHECK_STATUS(config_check_orderer_rules(allocator, current, next, &error), FB_OK);

	/* the same update once more: the version has moved on */
	CHECK_STATUS(compute(real_config(), updated, &update), FB_OK);
	CHECK_STATUS(apply(next, signed_update(update, 1), &result), FB_INVALID_CONFIG);
	CHECK(result.size == 0);
	/* a result of another configuration is stale */
	CHECK_STATUS(apply(current, signed_update(update, 1), &result), FB_OK);
	CHECK_STATUS(config_check_update(allocator, next, result, accept_signature, NULL, &error),
				 FB_STALE_CONFIG);
	/* without signature; not an update; no bytes of a message */
	CHECK_STATUS(apply(current, signed_update(update, 0), &result), FB_POLICY_NOT_SATISFIED);
	CHECK_STATUS(apply(current, FB_BYTES_EMPTY, &result), FB_INVALID_CONFIG);
	CHECK_STATUS(apply(current, FB_BYTES_LITERAL("\xff"), &result), FB_MALFORMED_MESSAGE);
	config_bundle_destroy(next);
	config_bundle_destroy(current);
}

/* an organization is added and removed by a majority of the application's administrators */
static void
test_organizations(void)
{
	ConfigBundle *current = bundle_of(real_config());
	Common__Config *updated = real_config();
	Common__ConfigGroup *application = group_of(updated->channel_group, "Application");
	Common__ConfigGroup *added;
	FbBytes update;
	FbBytes result;
	ConfigBundle *next;

	remove_group(application, "Org2MSP");
	CHECK_STATUS(compute(real_config(), updated, &update), FB_OK);
	CHECK_STATUS(apply(current, signed_update(update, 2), &result), FB_POLICY_NOT_SATISFIED);
	CHECK_TEXT(error.message,
			   "the update of /Channel/Application is not signed as its policy Admins wants");
	next = bundle_after(current, updated, 3);
	CHECK(next->application_organizations_count == 1);
	CHECK(config_application_organization(next, "Org2MSP") == NULL);
	CHECK_STATUS(config_check_successor(current, next, &error), FB_OK);
	config_bundle_destroy(next);

	updated = real_config();
	added = group_of(group_of(updated->channel_group, "Orderer"), "OrdererOrg");
	added->n_values = 0;
	for (size_t i = 0; added->n_values == 0; i++)
		if (strcmp(added->values[i]->key, "MSP") == 0)
			added->values[added->n_values++] = added->values[i];
	updated = real_config();
	add_group(group_of(updated->channel_group, "Application"), "Orderers", added);
	next = bundle_after(current, updated, 3);
	CHECK(next->application_organizations_count == 3);
	CHECK(config_application_organization(next, "OrdererMSP") != NULL);
	config_bundle_destroy(next);
	config_bundle_destroy(current);
}

/* elements without mod_policy get one; an update cannot make any (configmap.go) */
static void
test_mod_policies(void)
{
	Common__Config *old = real_config();
	Common__Config *updated;
	ConfigBundle *current;
	ConfigBundle *next;
	FbBytes update;
	FbBytes result;

	value_of(old->channel_group, "HashingAlgorithm")->mod_policy = "";
	current = bundle_of(old);
	updated = real_config();
	set_batch_timeout(updated, "750ms");
	next = bundle_after(current, updated, 1);
	CHECK_TEXT(value_of(next->config->channel_group, "HashingAlgorithm")->mod_policy, "Admins");
	config_bundle_destroy(next);
	config_bundle_destroy(current);

	current = bundle_of(real_config());
	for (int i = 0; i < 3; i++)
	{
		static char *const policies[] = {"", "/Channel//Admins", "Admins/"};

		value_of(group_of(updated->channel_group, "Orderer"), "BatchTimeout")->mod_policy =
			policies[i];
		CHECK_STATUS(compute(real_config(), updated, &update), FB_OK);
		CHECK_STATUS(apply(current, signed_update(update, 1), &result), FB_INVALID_CONFIG);
	}
	config_bundle_destroy(current);
}

/* ---- which configurations may follow ---- */

static void
set_consensus(Common__Config *config,
			  void (*change)(Orderer__ConsensusType *consensus, Etcdraft__ConfigMetadata *metadata))
{
	Common__ConfigValue *value =
		value_of(group_of(config->channel_group, "Orderer"), "ConsensusType");
	Orderer__ConsensusType *consensus;
	Etcdraft__ConfigMetadata *metadata;
	FbBytes before;

	CHECK_STATUS(PROTO_UNPACK(orderer__consensus_type, proto_bytes(value->value), allocator,
							  &consensus, &error),
				 FB_OK);
	CHECK_STATUS(PROTO_UNPACK(etcdraft__config_metadata, proto_bytes(consensus->metadata),
							  allocator, &metadata, &error),
				 FB_OK);
	before = pack(&metadata->base);
	change(consensus, metadata);
	if (!fb_bytes_equal(before, pack(&metadata->base)))
		consensus->metadata = proto_data(pack(&metadata->base));
	value->value = proto_data(pack(&consensus->base));
}

static void
begin_maintenance(Orderer__ConsensusType *consensus, Etcdraft__ConfigMetadata *metadata)
{
	consensus->state = ORDERER__CONSENSUS_TYPE__STATE__STATE_MAINTENANCE;
}

static void
begin_maintenance_and_tick(Orderer__ConsensusType *consensus, Etcdraft__ConfigMetadata *metadata)
{
	consensus->state = ORDERER__CONSENSUS_TYPE__STATE__STATE_MAINTENANCE;
	metadata->options->election_tick++;
}

static void
other_type(Orderer__ConsensusType *consensus, Etcdraft__ConfigMetadata *metadata)
{
	consensus->type = "BFT";
}

static void
drop_consenter(Orderer__ConsensusType *consensus, Etcdraft__ConfigMetadata *metadata)
{
	metadata->n_consenters--;
}

static void
swap_consenters(Orderer__ConsensusType *consensus, Etcdraft__ConfigMetadata *metadata)
{
	Etcdraft__Consenter *first = metadata->consenters[0];

	metadata->consenters[0] = metadata->consenters[1];
	metadata->consenters[1] = first;
}

static void
move_consenter(Orderer__ConsensusType *consensus, Etcdraft__ConfigMetadata *metadata)
{
	metadata->consenters[0]->host = "elsewhere";
	metadata->consenters[0]->port++;
}

/* what an orderer says about a change of the consensus type */
static FbStatus
orderer_judges(void (*change)(Orderer__ConsensusType *consensus,
							  Etcdraft__ConfigMetadata *metadata))
{
	ConfigBundle *current = bundle_of(real_config());
	Common__Config *updated = real_config();
	ConfigBundle *next;
	FbStatus status;

	set_consensus(updated, change);
	next = bundle_after(current, updated, 3);
	CHECK_STATUS(config_check_successor(current, next, &error), FB_OK);
	status = config_check_orderer_rules(allocator, current, next, &error);
	config_bundle_destroy(next);
	config_bundle_destroy(current);
	return status;
}

static void
test_orderer_rules(void)
{
	ConfigBundle *current = bundle_of(real_config());
	Common__Config *updated = real_config();
	ConfigBundle *next;

	CHECK_STATUS(orderer_judges(begin_maintenance), FB_OK);
	CHECK_STATUS(orderer_judges(move_consenter), FB_OK);
	CHECK_STATUS(orderer_judges(begin_maintenance_and_tick), FB_INVALID_CONFIG);
	CHECK_STATUS(orderer_judges(other_type), FB_INVALID_CONFIG);
	CHECK_TEXT(error.message, "the consensus type can change only in maintenance mode");
	/* what may change about consenters: test_consenters.c */
	CHECK_STATUS(orderer_judges(drop_consenter), FB_OK);
	CHECK_STATUS(orderer_judges(swap_consenters), FB_OK);

	/* maintenance mode begins alone */
	set_consensus(updated, begin_maintenance);
	set_batch_timeout(updated, "750ms");
	next = bundle_after(current, updated, 3);
	CHECK_STATUS(config_check_orderer_rules(allocator, current, next, &error), FB_INVALID_CONFIG);
	CHECK_TEXT(error.message,
			   "an update that begins or ends maintenance mode must change nothing else");
	config_bundle_destroy(next);

	/* sections stay, and organizations keep their MSP id */
	updated = real_config();
	remove_group(updated->channel_group, "Application");
	next = bundle_after(current, updated, 3);
	CHECK_STATUS(config_check_successor(current, next, &error), FB_INVALID_CONFIG);
	CHECK_STATUS(config_check_successor(next, current, &error), FB_OK);
	config_bundle_destroy(next);
	updated = real_config();
	*value_of(group_of(group_of(updated->channel_group, "Application"), "Org1MSP"), "MSP") =
		*value_of(group_of(group_of(updated->channel_group, "Orderer"), "OrdererOrg"), "MSP");
	next = bundle_after(current, updated, 3);
	CHECK_STATUS(config_check_successor(current, next, &error), FB_INVALID_CONFIG);
	CHECK_TEXT(error.message, "application organization Org1MSP cannot change its MSP id");
	CHECK_TEXT(error.detail, "It is Org1MSP, the new configuration says OrdererMSP.");
	config_bundle_destroy(next);
	config_bundle_destroy(current);
}

/* a capability of the future is another answer than a bad configuration */
static void
test_capabilities(void)
{
	Common__ConfigEnvelope envelope = COMMON__CONFIG_ENVELOPE__INIT;
	Common__Capabilities *capabilities;
	Common__ConfigValue *value;

	envelope.config = real_config();
	value = value_of(group_of(envelope.config->channel_group, "Application"), "Capabilities");
	CHECK_STATUS(PROTO_UNPACK(common__capabilities, proto_bytes(value->value), allocator,
							  &capabilities, &error),
				 FB_OK);
	capabilities->capabilities[0]->key = "V9_0";
	value->value = proto_data(pack(&capabilities->base));
	CHECK_STATUS(config_check_capabilities(allocator, pack(&envelope.base), &error),
				 FB_OTHER_VERSION);
	CHECK_TEXT(error.message, "Application capability \"V9_0\" is required but not supported");
	value->value = proto_data(FB_BYTES_LITERAL("\xff"));
	CHECK_STATUS(config_check_capabilities(allocator, pack(&envelope.base), &error), FB_OK);
	CHECK_STATUS(config_check_capabilities(allocator, FB_BYTES_EMPTY, &error), FB_OK);
}

/* every allocation fails once */
static void
test_failing_allocator(void)
{
	ConfigBundle *current = bundle_of(real_config());
	Common__Config *updated = real_config();
	FbBytes original = pack(&real_config()->base);
	FbBytes changed;
	FbBytes update;
	FbBytes envelope;
	int failures = 0;

	set_batch_timeout(updated, "750ms");
	changed = pack(&updated->base);
	CHECK_STATUS(compute(real_config(), updated, &update), FB_OK);
	envelope = signed_update(update, 1);
	for (size_t fail_at = 1;; fail_at++)
	{
		FbArena failing;
		FbBytes result;
		FbStatus status;

		fb_arena_init(&failing);
		failing.fail_at = fail_at;
		status =
			config_compute_update(&failing.allocator, "bench", original, changed, &result, &error);
		if (status == FB_OK)
			status = config_apply_update(&failing.allocator, current, envelope, accept_signature,
										 NULL, &result, &error);
		if (status == FB_OK)
			status = config_check_update(&failing.allocator, current, result, accept_signature,
										 NULL, &error);
		fb_arena_reset(&failing);
		if (status == FB_OK)
			break;
		failures++;
		if (!CHECK_STATUS(status, FB_OUT_OF_MEMORY))
			break;
	}
	CHECK(failures > 100);
	config_bundle_destroy(current);
}

int
main(void)
{
	fb_arena_init(&arena);
	CHECK_TEST(test_real_compute());
	CHECK_TEST(test_members());
	CHECK_TEST(test_new_group());
	CHECK_TEST(test_apply());
	CHECK_TEST(test_organizations());
	CHECK_TEST(test_mod_policies());
	CHECK_TEST(test_orderer_rules());
	CHECK_TEST(test_capabilities());
	CHECK_TEST(test_failing_allocator());
	fb_arena_reset(&arena);
	return check_finish("config updates");
}
