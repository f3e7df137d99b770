/*
 * config: Fabric's defaults where a configuration has no value, and values that it checks although
 * it does not use them. The genesis block and the signatures are those of a real network of two
 * organizations; the configuration is changed and packed again.
 */
#include "core/block/block.h"
#include "core/config/config.h"
#include "core/proto/proto.h"
#include "core/txn/txn.h"
#include "unit/check.h"

static FbArena arena;
static FbAllocator *allocator = &arena.allocator;
static FbError error;

static FbBytes
read_block(int number)
{
	char path[100];
	FbBytes file;
	FbBytes copy;

	snprintf(path, sizeof(path), "test/vectors/blocks/%d.block", number);
	file = check_read_file(path);
	if (fb_bytes_copy(allocator, file, &copy, NULL) != FB_OK)
		exit(2);
	free((void *) file.data);
	return copy;
}

/*
 * the data of the payload of a block's first transaction, for a configuration a ConfigEnvelope;
 * transaction: NULL, or receives the parts of an endorser transaction
 */
static FbBytes
first_data(int number, TxView *transaction)
{
	BlockView view;
	Envelope envelope;
	TxCode code;

	CHECK_STATUS(block_parse(read_block(number), allocator, &view, &error), FB_OK);
	CHECK_STATUS(envelope_parse(allocator, view.data[0], &envelope, &error), FB_OK);
	if (transaction != NULL)
	{
		CHECK_STATUS(check_structure(allocator, view.data[0], envelope.channel_id, transaction,
									 &code, &error),
					 FB_OK);
		CHECK(code == TX_VALID);
	}
	return envelope.data;
}

static Common__ConfigEnvelope *
real_config(void)
{
	Common__ConfigEnvelope *config;

	if (PROTO_UNPACK(common__config_envelope, first_data(0, NULL), allocator, &config, &error) !=
		FB_OK)
		exit(2);
	return config;
}

static Common__ConfigGroup *
child(Common__ConfigGroup *group, const char *name)
{
	for (size_t i = 0; i < group->n_groups; i++)
		if (strcmp(group->groups[i]->key, name) == 0)
			return group->groups[i]->value;
	exit(2);
}

static void
remove_policy(Common__ConfigGroup *group, const char *name)
{
	for (size_t i = 0; i < group->n_policies; i++)
		if (strcmp(group->policies[i]->key, name) == 0)
		{
			group->policies[i] = group->policies[--group->n_policies];
			return;
		}
	exit(2);
}

/* the value with this name, added if it is missing */
static Common__ConfigValue *
value_of(Common__ConfigGroup *group, const char *name)
{
	Common__ConfigGroup__ValuesEntry **values =
		fb_allocate_array(allocator, group->n_values + 1, sizeof(*values));
	Common__ConfigGroup__ValuesEntry *entry = fb_allocate(allocator, sizeof(*entry));

	for (size_t i = 0; i < group->n_values; i++)
	{
		if (strcmp(group->values[i]->key, name) == 0)
			return group->values[i]->value;
		values[i] = group->values[i];
	}
	common__config_group__values_entry__init(entry);
	entry->key = (char *) name;
	entry->value = fb_allocate(allocator, sizeof(*entry->value));
	common__config_value__init(entry->value);
	values[group->n_values++] = entry;
	group->values = values;
	return entry->value;
}

static FbStatus
make_bundle(const Common__ConfigEnvelope *config, ConfigBundle **bundle)
{
	FbBytes bytes;

	if (PROTO_PACK(config, allocator, &bytes, &error) != FB_OK)
		exit(2);
	return config_bundle_create(allocator, "bench", bytes, bundle, &error);
}

static bool
satisfies(const ConfigBundle *bundle, const Policy *policy, const PolicySignature *signatures,
		  size_t count)
{
	PolicySignatureSet *set;
	bool satisfied = false;

	CHECK_STATUS(policy_signatures_create(allocator, bundle->msps, signatures, count, NULL, NULL,
										  &set, &error),
				 FB_OK);
	CHECK_STATUS(policy_evaluate(policy, set, &satisfied, &error), FB_OK);
	return satisfied;
}

static size_t
signatures_of(const TxView *transaction, PolicySignature *signatures)
{
	for (size_t i = 0; i < transaction->endorsements_count; i++)
		signatures[i] = (PolicySignature) {transaction->endorsements[i].endorser,
										   transaction->endorsements[i].signature,
										   {transaction->proposal_response_payload,
											transaction->endorsements[i].endorser}};
	return transaction->endorsements_count;
}

/*
 * Block 1 is an approval by Org1's peer, block 5 a commit that peers of both organizations
 * endorsed; the creators are administrators of Org1.
 */
static void
test_policies(void)
{
	Common__ConfigEnvelope *config = real_config();
	Common__ConfigGroup *application = child(config->config->channel_group, "Application");
	PolicySignature by_two[4];
	PolicySignature by_one[4];
	PolicySignature by_creator;
	TxView commit;
	TxView approval;
	ConfigBundle *bundle;
	const ConfigOrganization *org1;
	const ConfigOrganization *org2;
	char *text;

	first_data(5, &commit);
	first_data(1, &approval);
	CHECK(signatures_of(&commit, by_two) == 2 && signatures_of(&approval, by_one) == 1);
	by_creator = (PolicySignature) {approval.creator, approval.signature, {approval.payload}};

	/* as configured: peers endorse */
	CHECK_STATUS(make_bundle(config, &bundle), FB_OK);
	CHECK_TEXT(policy_path(bundle->lifecycle_endorsement),
			   "/Channel/Application/LifecycleEndorsement");
	org1 = config_application_organization(bundle, "Org1MSP");
	CHECK_TEXT(policy_path(org1->endorsement), "/Channel/Application/Org1MSP/Endorsement");
	CHECK(satisfies(bundle, org1->endorsement, by_one, 1) &&
		  !satisfies(bundle, org1->endorsement, &by_creator, 1));
	CHECK(satisfies(bundle, bundle->lifecycle_endorsement, by_two, 2) &&
		  !satisfies(bundle, bundle->lifecycle_endorsement, by_two, 1));
	config_bundle_destroy(bundle);

	/* no LifecycleEndorsement: a majority, by members */
	remove_policy(application, "LifecycleEndorsement");
	CHECK_STATUS(make_bundle(config, &bundle), FB_OK);
	CHECK(policy_manager_find(bundle->policies, CONFIG_POLICY_LIFECYCLE_ENDORSEMENT) == NULL);
	CHECK_STATUS(policy_describe(allocator, bundle->lifecycle_endorsement, &text, &error), FB_OK);
	CHECK_TEXT(text, "AND('Org1MSP.member', 'Org2MSP.member')");
	CHECK(satisfies(bundle, bundle->lifecycle_endorsement, by_two, 2));
	CHECK(!satisfies(bundle, bundle->lifecycle_endorsement, by_two, 1) &&
		  !satisfies(bundle, bundle->lifecycle_endorsement, by_two + 1, 1));
	config_bundle_destroy(bundle);

	/* no Endorsement of an organization: any of its members */
	remove_policy(child(application, "Org1MSP"), "Endorsement");
	CHECK_STATUS(make_bundle(config, &bundle), FB_OK);
	org1 = config_application_organization(bundle, "Org1MSP");
	org2 = config_application_organization(bundle, "Org2MSP");
	CHECK_STATUS(policy_describe(allocator, org1->endorsement, &text, &error), FB_OK);
	CHECK_TEXT(text, "OR('Org1MSP.member')");
	CHECK(satisfies(bundle, org1->endorsement, by_one, 1) &&
		  satisfies(bundle, org1->endorsement, &by_creator, 1));
	CHECK(!satisfies(bundle, org2->endorsement, by_one, 1) &&
		  !satisfies(bundle, org2->endorsement, &by_creator, 1));
	CHECK_TEXT(policy_path(org2->endorsement), "/Channel/Application/Org2MSP/Endorsement");
	config_bundle_destroy(bundle);

	/* the ids are sorted, as in Fabric; no organizations have no majority */
	{
		const char *ids[3] = {"b", "c", "a"};
		const Policy *policy;

		CHECK_STATUS(policy_from_members(allocator, 2, ids, 3, &policy, &error), FB_OK);
		CHECK_STATUS(policy_describe(allocator, policy, &text, &error), FB_OK);
		CHECK_TEXT(text, "OutOf(2, 'a.member', 'b.member', 'c.member')");
		CHECK_STATUS(policy_from_members(allocator, 1, NULL, 0, &policy, &error), FB_OK);
		CHECK(!policy_evaluate_match(policy, 0, NULL, NULL));
	}
}

/* values that this project does not read */
static void
test_unused_values(void)
{
	static const struct
	{
		const char *broker;
		bool valid;
	} brokers[] = {
		{"kafka0.example.com:9092", true},
		{"10.0.0.1:9092", true},
		{"a:0", true},
		{"a:65535", true},
		{":9092", true},
		{"kafka0", false},
		{"a:", false},
		{"a:65536", false},
		{"a:+1", false},
		{"a:9092:1", false},
		{"-a:1", false},
		{"a-:1", false},
		{"a_b:1", false},
		{"a b:1", false},
		{".a:1", false},
		{"a:99999999999999999999", false},
	};
	Common__ConfigEnvelope *config = real_config();
	Common__ConfigGroup *orderer = child(config->config->channel_group, "Orderer");
	Common__ConfigValue *value = value_of(orderer, "ChannelRestrictions");
	ConfigBundle *bundle;

	value->value = proto_data(FB_BYTES_LITERAL("\x08"));
	CHECK_STATUS(make_bundle(config, &bundle), FB_INVALID_CONFIG);
	CHECK_TEXT(error.message,
			   "value \"ChannelRestrictions\" in /Channel/Orderer is not a ChannelRestrictions");
	value->value = proto_data(FB_BYTES_LITERAL("\x08\x05"));
	CHECK_STATUS(make_bundle(config, &bundle), FB_OK);
	config_bundle_destroy(bundle);

	value = value_of(orderer, "KafkaBrokers");
	for (size_t i = 0; i < sizeof(brokers) / sizeof(brokers[0]); i++)
	{
		Orderer__KafkaBrokers message = ORDERER__KAFKA_BROKERS__INIT;
		char *list[2] = {"good:1", (char *) brokers[i].broker};
		FbBytes bytes;

		message.brokers = list;
		message.n_brokers = 2;
		CHECK_STATUS(PROTO_PACK(&message, allocator, &bytes, &error), FB_OK);
		value->value = proto_data(bytes);
		if (CHECK_STATUS(make_bundle(config, &bundle),
						 brokers[i].valid ? FB_OK : FB_INVALID_CONFIG) &&
			brokers[i].valid)
			config_bundle_destroy(bundle);
		else if (!brokers[i].valid)
			CHECK_TEXT(error.message, "Kafka broker 2 in /Channel/Orderer is not \"host:port\"");
	}
	value = value_of(config->config->channel_group, "Consortium");
	value->value = proto_data(FB_BYTES_LITERAL("\x0a\x01\xff"));
	CHECK_STATUS(make_bundle(config, &bundle), FB_INVALID_CONFIG);
}

/* an MSP definition with an identity to sign with, even an empty one, is refused */
static void
test_signing_identity(void)
{
	Common__ConfigEnvelope *config = real_config();
	Common__ConfigGroup *org1 =
		child(child(config->config->channel_group, "Application"), "Org1MSP");
	Msp__SigningIdentityInfo identity = MSP__SIGNING_IDENTITY_INFO__INIT;
	Msp__FabricMSPConfig *definition;
	FbBytes bytes;
	Msp *msp;

	CHECK_STATUS(msp_config_unwrap(proto_bytes(value_of(org1, "MSP")->value), allocator, &bytes,
								   &error),
				 FB_OK);
	CHECK_STATUS(PROTO_UNPACK(msp__fabric_mspconfig, bytes, allocator, &definition, &error), FB_OK);
	definition->signing_identity = &identity;
	CHECK_STATUS(PROTO_PACK(definition, allocator, &bytes, &error), FB_OK);
	CHECK_STATUS(msp_create(bytes, allocator, &msp, &error), FB_INVALID_CONFIG);
	CHECK_TEXT(error.message, "MSP \"Org1MSP\" has a signing identity");
	definition->signing_identity = NULL;
	CHECK_STATUS(PROTO_PACK(definition, allocator, &bytes, &error), FB_OK);
	CHECK_STATUS(msp_create(bytes, allocator, &msp, &error), FB_OK);
	msp_destroy(msp);
}

int
main(void)
{
	fb_arena_init(&arena);
	CHECK_TEST(test_policies());
	CHECK_TEST(test_unused_values());
	CHECK_TEST(test_signing_identity());
	fb_arena_reset(&arena);
	return check_finish("config/default policies");
}
