/* config: the bundle of a real genesis block, of changed ones and of hostile bytes */
#include "unit/config_samples.h"

static void
test_bundle(void)
{
	ConfigBundle *bundle;
	const ConfigOrganization *organization;

	CHECK_STATUS(config_bundle_from_block(allocator, read_block("blocks", 0), &bundle, &error),
				 FB_OK);
	if (bundle == NULL)
	{
		fprintf(stderr, "%s %s\n", error.message, error.detail);
		exit(2);
	}
	CHECK_TEXT(bundle->channel_id, "bench");
	CHECK(bundle->sequence == 0 && bundle->has_orderer && bundle->has_application &&
		  !bundle->maintenance);
	CHECK_TEXT(bundle->consensus_type, "etcdraft");
	CHECK(bundle->batch_messages_max == 10 && bundle->batch_bytes_absolute_max == 10485760 &&
		  bundle->batch_bytes_preferred_max == 2097152);
	CHECK(bundle->batch_timeout_ns == 500000000);
	CHECK(bundle->raft.tick_interval_ns == 500000000 && bundle->raft.election_ticks == 10 &&
		  bundle->raft.heartbeat_ticks == 1 && bundle->raft.inflight_blocks_max == 5 &&
		  bundle->raft.snapshot_interval_bytes == 16777216);
	CHECK(bundle->consenters_count == 3);
	for (size_t i = 0; i < bundle->consenters_count; i++)
	{
		CHECK_TEXT(bundle->consenters[i].host, "localhost");
		CHECK(bundle->consenters[i].port == 7150 + 100 * i);
		CHECK(bundle->consenters[i].client_tls_certificate.size > 500 &&
			  bundle->consenters[i].server_tls_certificate.size > 500);
	}
	CHECK(bundle->orderer_organizations_count == 1 && bundle->application_organizations_count == 2);
	CHECK_TEXT(bundle->orderer_organizations[0].name, "OrdererOrg");
	CHECK_TEXT(bundle->orderer_organizations[0].msp_id, "OrdererMSP");
	CHECK(bundle->orderer_organizations[0].endpoints_count == 3);
	CHECK_TEXT(bundle->orderer_organizations[0].endpoints[1], "localhost:7250");
	organization = config_application_organization(bundle, "Org2MSP");
	CHECK(organization == &bundle->application_organizations[1] &&
		  organization->anchors_count == 1);
	CHECK_TEXT(organization->anchors[0].host, "localhost");
	CHECK(organization->anchors[0].port == 9051);
	CHECK(config_application_organization(bundle, "OrdererMSP") == NULL &&
		  config_application_organization(bundle, "org2msp") == NULL);
	CHECK(config_orderer_organization(bundle, "OrdererMSP") == &bundle->orderer_organizations[0]);
	CHECK(config_orderer_organization(bundle, "OrdererOrg") == NULL);
	CHECK(msp_manager_count(bundle->msps) == 3 &&
		  msp_manager_find(bundle->msps, "Org1MSP") != NULL);
	CHECK(bundle->channel_capabilities_count == 1 &&
		  strcmp(bundle->channel_capabilities[0], "V2_0") == 0);
	CHECK(bundle->application_capabilities_count == 1 &&
		  strcmp(bundle->application_capabilities[0], "V2_5") == 0);
	CHECK(config_has_application_capability(bundle, "V2_5") &&
		  config_has_application_capability(bundle, "V2_0") &&
		  config_has_application_capability(bundle, "V1_1") &&
		  !config_has_application_capability(bundle, "V9"));

	config_bundle_destroy(bundle);
}

static void
test_bundle_access(void)
{
	static const char *const paths[] = {CONFIG_POLICY_CHANNEL_READERS,
										CONFIG_POLICY_CHANNEL_WRITERS,
										CONFIG_POLICY_APPLICATION_READERS,
										CONFIG_POLICY_APPLICATION_WRITERS,
										CONFIG_POLICY_APPLICATION_ADMINS,
										CONFIG_POLICY_ENDORSEMENT,
										CONFIG_POLICY_LIFECYCLE_ENDORSEMENT,
										CONFIG_POLICY_BLOCK_VALIDATION,
										"/Channel/Orderer/OrdererOrg/Admins"};
	ConfigBundle *bundle;

	CHECK_STATUS(config_bundle_from_block(allocator, read_block("blocks", 0), &bundle, &error),
				 FB_OK);
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
		CHECK(policy_manager_find(bundle->policies, paths[i]) != NULL);

	/* the default ACLs */
	CHECK(bundle->acls_count == 0);
	CHECK_TEXT(config_acl_policy_path(bundle, "peer/Propose"), "/Channel/Application/Writers");
	CHECK_TEXT(config_acl_policy_path(bundle, "event/Block"), "/Channel/Application/Readers");
	CHECK_TEXT(config_acl_policy_path(bundle, "_lifecycle/CommitChaincodeDefinition"),
			   "/Channel/Application/Writers");
	CHECK(config_acl_policy_path(bundle, "peer/propose") == NULL &&
		  config_acl_policy_path(bundle, "cscc/JoinChain") == NULL);
	CHECK(config_acl_local_access("cscc/JoinChain") == CONFIG_ACCESS_LOCAL_ADMINS &&
		  config_acl_local_access("cscc/GetChannels") == CONFIG_ACCESS_LOCAL_MEMBERS);
	CHECK(config_acl_local_access("peer/Propose") == CONFIG_ACCESS_NOT_LOCAL &&
		  config_acl_local_access("x") == CONFIG_ACCESS_NOT_LOCAL);
	config_bundle_destroy(bundle);
}

static void
test_blocks_without_config(void)
{
	ConfigBundle *bundle;

	CHECK_STATUS(config_bundle_from_block(allocator, read_block("blocks", 1), &bundle, &error),
				 FB_INVALID_CONFIG);
	CHECK_TEXT(error.message, "the transaction is not a configuration: it has type 3");
	CHECK_STATUS(config_bundle_from_block(allocator, read_block("blocks", 9), &bundle, &error),
				 FB_INVALID_CONFIG);
	CHECK_STATUS(config_bundle_from_block(allocator, FB_BYTES_EMPTY, &bundle, &error),
				 FB_INVALID_CONFIG);
	CHECK_STATUS(config_bundle_from_block(allocator, FB_BYTES_LITERAL("\xff"), &bundle, &error),
				 FB_MALFORMED_MESSAGE);
	CHECK(bundle == NULL);
	config_bundle_destroy(NULL);
}

/* the real configuration, to be changed and packed again */
static Common__ConfigEnvelope *
real_config(void)
{
	BlockView view;
	Common__Envelope *envelope;
	Common__Payload *payload;
	Common__ConfigEnvelope *config;

	if (block_parse(read_block("blocks", 0), allocator, &view, &error) != FB_OK ||
		PROTO_UNPACK(common__envelope, view.data[0], allocator, &envelope, &error) != FB_OK ||
		PROTO_UNPACK(common__payload, proto_bytes(envelope->payload), allocator, &payload,
					 &error) != FB_OK ||
		PROTO_UNPACK(common__config_envelope, proto_bytes(payload->data), allocator, &config,
					 &error) != FB_OK)
		exit(2);
	return config;
}

static Common__ConfigGroup *
group_at(Common__ConfigGroup *group, const char *path)
{
	while (*path != '\0')
	{
		size_t size = strcspn(path, "/");
		Common__ConfigGroup *next = NULL;

		for (size_t i = 0; i < group->n_groups; i++)
			if (strlen(group->groups[i]->key) == size &&
				memcmp(group->groups[i]->key, path, size) == 0)
				next = group->groups[i]->value;
		if (next == NULL)
			exit(2);
		group = next;
		path += size + (path[size] == '/');
	}
	return group;
}

static void
set_value_bytes(Common__ConfigGroup *group, const char *name, FbBytes bytes)
{
	Common__ConfigGroup__ValuesEntry **values;
	Common__ConfigGroup__ValuesEntry *entry;

	for (size_t i = 0; i < group->n_values; i++)
		if (strcmp(group->values[i]->key, name) == 0)
		{
			group->values[i]->value->value = proto_data(bytes);
			return;
		}
	values = fb_allocate_array(allocator, group->n_values + 1, sizeof(*values));
	if (group->n_values > 0)
		memcpy(values, group->values, group->n_values * sizeof(*values));
	entry = fb_allocate(allocator, sizeof(*entry));
	common__config_group__values_entry__init(entry);
	entry->key = (char *) name;
	entry->value = fb_allocate(allocator, sizeof(*entry->value));
	common__config_value__init(entry->value);
	entry->value->value = proto_data(bytes);
	values[group->n_values] = entry;
	group->values = values;
	group->n_values++;
}

static void
remove_value(Common__ConfigGroup *group, const char *name)
{
	for (size_t i = 0; i < group->n_values; i++)
		if (strcmp(group->values[i]->key, name) == 0)
		{
			memmove(&group->values[i], &group->values[i + 1],
					(group->n_values - i - 1) * sizeof(group->values[0]));
			group->n_values--;
			return;
		}
	exit(2);
}

static FbBytes
pack(const ProtobufCMessage *message)
{
	FbBytes bytes;

	if (proto_pack(message, allocator, &bytes, &error) != FB_OK)
		exit(2);
	return bytes;
}

/* a Capabilities value with these names, NULL at the end */
static FbBytes
capabilities(const char *first, const char *second)
{
	Common__Capabilities message = COMMON__CAPABILITIES__INIT;
	Common__Capabilities__CapabilitiesEntry entries[2] =
		{COMMON__CAPABILITIES__CAPABILITIES_ENTRY__INIT,
		 COMMON__CAPABILITIES__CAPABILITIES_ENTRY__INIT};
	Common__Capabilities__CapabilitiesEntry *pointers[2] = {&entries[0], &entries[1]};
	Common__Capability capability = COMMON__CAPABILITY__INIT;

	entries[0].key = (char *) first;
	entries[0].value = &capability;
	entries[1].key = (char *) second;
	entries[1].value = &capability;
	message.capabilities = pointers;
	message.n_capabilities = second != NULL ? 2 : 1;
	return pack(&message.base);
}

static FbStatus
try_config(const Common__ConfigEnvelope *config)
{
	ConfigBundle *bundle;
	FbStatus status =
		config_bundle_create(allocator, "bench", pack(&config->base), &bundle, &error);

	CHECK((status == FB_OK) == (bundle != NULL));
	config_bundle_destroy(bundle);
	return status;
}

static void
change_batch(Common__ConfigGroup *orderer, uint32_t messages, uint32_t absolute, uint32_t preferred)
{
	Orderer__BatchSize batch_size = ORDERER__BATCH_SIZE__INIT;

	batch_size.max_message_count = messages;
	batch_size.absolute_max_bytes = absolute;
	batch_size.preferred_max_bytes = preferred;
	set_value_bytes(orderer, "BatchSize", pack(&batch_size.base));
}

/* the orderer group's Raft metadata, and the value that holds it */
static Etcdraft__ConfigMetadata *
raft_metadata_of(const Common__ConfigGroup *orderer, Orderer__ConsensusType **consensus)
{
	Etcdraft__ConfigMetadata *metadata = NULL;

	*consensus = NULL;
	for (size_t i = 0; i < orderer->n_values; i++)
		if (strcmp(orderer->values[i]->key, "ConsensusType") == 0 &&
			PROTO_UNPACK(orderer__consensus_type, proto_bytes(orderer->values[i]->value->value),
						 allocator, consensus, &error) != FB_OK)
			exit(2);
	if (*consensus == NULL ||
		PROTO_UNPACK(etcdraft__config_metadata, proto_bytes((*consensus)->metadata), allocator,
					 &metadata, &error) != FB_OK)
		exit(2);
	return metadata;
}

static void
set_raft_metadata(Common__ConfigGroup *orderer, Orderer__ConsensusType *consensus,
				  const Etcdraft__ConfigMetadata *metadata)
{
	consensus->metadata = proto_data(pack(&metadata->base));
	set_value_bytes(orderer, "ConsensusType", pack(&consensus->base));
}

/* a unique name, which lives as long as the configuration */
static char *
numbered_name(size_t number)
{
	char *name = fb_allocate(allocator, 16);

	snprintf(name, 16, "x%zu", number);
	return name;
}

/* empty organizations, until there are this many */
static void
add_groups(Common__ConfigGroup *group, size_t count)
{
	Common__ConfigGroup__GroupsEntry **groups =
		fb_allocate_array(allocator, count, sizeof(*groups));

	memcpy(groups, group->groups, group->n_groups * sizeof(*groups));
	for (size_t i = group->n_groups; i < count; i++)
	{
		Common__ConfigGroup *empty = fb_allocate(allocator, sizeof(*empty));

		groups[i] = fb_allocate(allocator, sizeof(*groups[i]));
		common__config_group__groups_entry__init(groups[i]);
		common__config_group__init(empty);
		groups[i]->key = numbered_name(i);
		groups[i]->value = empty;
	}
	group->groups = groups;
	group->n_groups = count;
}

static void
add_policies(Common__ConfigGroup *group, size_t count)
{
	Common__ConfigGroup__PoliciesEntry **policies =
		fb_allocate_array(allocator, count, sizeof(*policies));

	memcpy(policies, group->policies, group->n_policies * sizeof(*policies));
	for (size_t i = group->n_policies; i < count; i++)
	{
		policies[i] = fb_allocate(allocator, sizeof(*policies[i]));
		common__config_group__policies_entry__init(policies[i]);
		policies[i]->key = numbered_name(i);
		policies[i]->value = group->policies[0]->value;
	}
	group->policies = policies;
	group->n_policies = count;
}

/* a configuration to be changed, and the groups in it that changes look for */
typedef struct ConfigParts
{
	Common__ConfigEnvelope *envelope;
	Common__ConfigGroup *channel;
	Common__ConfigGroup *orderer;
	Common__ConfigGroup *application;
} ConfigParts;

typedef void (*ConfigChange)(ConfigParts *parts);

static void
change_channel_capability(ConfigParts *parts)
{
	set_value_bytes(parts->channel, "Capabilities", capabilities("V2_0", "V3_0"));
}

static void
change_orderer_capability(ConfigParts *parts)
{
	set_value_bytes(parts->orderer, "Capabilities", capabilities("V9", NULL));
}

static void
change_application_capability(ConfigParts *parts)
{
	set_value_bytes(parts->application, "Capabilities", capabilities("V1_5", NULL));
}

static void
change_capabilities_too_old(ConfigParts *parts)
{
	set_value_bytes(parts->channel, "Capabilities", capabilities("V1_4_2", "V1_3"));
}

static void
change_no_application_capabilities(ConfigParts *parts)
{
	remove_value(parts->application, "Capabilities");
}

static void
change_no_orderer_capabilities(ConfigParts *parts)
{
	remove_value(parts->orderer, "Capabilities");
}

static void
change_hashing_algorithm(ConfigParts *parts)
{
	Common__HashingAlgorithm algorithm = COMMON__HASHING_ALGORITHM__INIT;

	algorithm.name = "SHA3_256";
	set_value_bytes(parts->channel, "HashingAlgorithm", pack(&algorithm.base));
}

static void
change_hashing_width(ConfigParts *parts)
{
	Common__BlockDataHashingStructure structure = COMMON__BLOCK_DATA_HASHING_STRUCTURE__INIT;

	structure.width = 3;
	set_value_bytes(parts->channel, "BlockDataHashingStructure", pack(&structure.base));
}

static void
change_extra_channel_value(ConfigParts *parts)
{
	set_value_bytes(parts->channel, "Extra", FB_BYTES_EMPTY);
}

static void
change_extra_orderer_value(ConfigParts *parts)
{
	set_value_bytes(parts->orderer, "Extra", FB_BYTES_EMPTY);
}

static void
change_orderer_organization_anchors(ConfigParts *parts)
{
	set_value_bytes(group_at(parts->orderer, "OrdererOrg"), "AnchorPeers", FB_BYTES_EMPTY);
}

static void
change_application_organization_endpoints(ConfigParts *parts)
{
	set_value_bytes(group_at(parts->application, "Org1MSP"), "Endpoints", FB_BYTES_EMPTY);
}

static void
change_batch_without_messages(ConfigParts *parts)
{
	change_batch(parts->orderer, 0, 10, 10);
}

static void
change_batch_without_bytes(ConfigParts *parts)
{
	change_batch(parts->orderer, 1, 0, 0);
}

static void
change_batch_without_preferred_bytes(ConfigParts *parts)
{
	change_batch(parts->orderer, 1, 10, 0);
}

static void
change_batch_prefers_more(ConfigParts *parts)
{
	change_batch(parts->orderer, 1, 10, 11);
}

static void
change_no_batch_timeout(ConfigParts *parts)
{
	remove_value(parts->orderer, "BatchTimeout");
}

static void
change_negative_batch_timeout(ConfigParts *parts)
{
	Orderer__BatchTimeout batch_timeout = ORDERER__BATCH_TIMEOUT__INIT;

	batch_timeout.timeout = "-1s";
	set_value_bytes(parts->orderer, "BatchTimeout", pack(&batch_timeout.base));
}

static void
change_raft_without_options(ConfigParts *parts)
{
	Orderer__ConsensusType *consensus;
	Etcdraft__ConfigMetadata *metadata = raft_metadata_of(parts->orderer, &consensus);

	metadata->options = NULL;
	set_raft_metadata(parts->orderer, consensus, metadata);
}

static void
change_raft_without_consenters(ConfigParts *parts)
{
	Orderer__ConsensusType *consensus;
	Etcdraft__ConfigMetadata *metadata = raft_metadata_of(parts->orderer, &consensus);

	metadata->n_consenters = 0;
	set_raft_metadata(parts->orderer, consensus, metadata);
}

static void
change_raft_ticks(ConfigParts *parts)
{
	Orderer__ConsensusType *consensus;
	Etcdraft__ConfigMetadata *metadata = raft_metadata_of(parts->orderer, &consensus);

	metadata->options->election_tick = 1;
	set_raft_metadata(parts->orderer, consensus, metadata);
}

static void
change_raft_interval_malformed(ConfigParts *parts)
{
	Orderer__ConsensusType *consensus;
	Etcdraft__ConfigMetadata *metadata = raft_metadata_of(parts->orderer, &consensus);

	metadata->options->tick_interval = "soon";
	set_raft_metadata(parts->orderer, consensus, metadata);
}

static void
change_raft_interval_zero(ConfigParts *parts)
{
	Orderer__ConsensusType *consensus;
	Etcdraft__ConfigMetadata *metadata = raft_metadata_of(parts->orderer, &consensus);

	metadata->options->tick_interval = "0s";
	set_raft_metadata(parts->orderer, consensus, metadata);
}

static void
change_raft_certificate_twice(ConfigParts *parts)
{
	Orderer__ConsensusType *consensus;
	Etcdraft__ConfigMetadata *metadata = raft_metadata_of(parts->orderer, &consensus);

	metadata->consenters[1]->client_tls_cert = metadata->consenters[0]->server_tls_cert;
	set_raft_metadata(parts->orderer, consensus, metadata);
}

static void
change_raft_certificate_cut(ConfigParts *parts)
{
	Orderer__ConsensusType *consensus;
	Etcdraft__ConfigMetadata *metadata = raft_metadata_of(parts->orderer, &consensus);

	metadata->consenters[2]->server_tls_cert.len = 20;
	set_raft_metadata(parts->orderer, consensus, metadata);
}

static void
change_raft_without_inflight(ConfigParts *parts)
{
	Orderer__ConsensusType *consensus;
	Etcdraft__ConfigMetadata *metadata = raft_metadata_of(parts->orderer, &consensus);

	metadata->options->max_inflight_blocks = 0;
	set_raft_metadata(parts->orderer, consensus, metadata);
}

static void
change_no_msp(ConfigParts *parts)
{
	remove_value(group_at(parts->application, "Org2MSP"), "MSP");
}

static void
change_malformed_batch_size(ConfigParts *parts)
{
	set_value_bytes(parts->orderer, "BatchSize", FB_BYTES_LITERAL("\xff"));
}

static void
change_element_name(ConfigParts *parts)
{
	parts->application->groups[0]->value->policies[0]->key = "a_b";
}

static void
change_consortiums(ConfigParts *parts)
{
	parts->channel->groups[0]->key = "Consortiums";
}

static void
change_organization_with_groups(ConfigParts *parts)
{
	group_at(parts->application, "Org1MSP")->groups = &parts->application->groups[1];
	group_at(parts->application, "Org1MSP")->n_groups = 1;
}

static void
change_no_channel_group(ConfigParts *parts)
{
	parts->envelope->config->channel_group = NULL;
}

static void
change_no_config(ConfigParts *parts)
{
	parts->envelope->config = NULL;
}

static void
change_policy_type(ConfigParts *parts)
{
	for (size_t k = 0; k < parts->application->n_policies; k++)
		if (strcmp(parts->application->policies[k]->key, "Writers") == 0)
			parts->application->policies[k]->value->policy->type = 9;
}

static void
change_only_orderers(ConfigParts *parts)
{
	parts->channel->groups[0] = parts->channel->groups[1];
	parts->channel->n_groups = 1;
}

static void
change_only_application(ConfigParts *parts)
{
	parts->channel->n_groups = 1;
}

static void
change_other_consensus(ConfigParts *parts)
{
	Orderer__ConsensusType consensus = ORDERER__CONSENSUS_TYPE__INIT;

	consensus.type = "BFT";
	set_value_bytes(parts->orderer, "ConsensusType", pack(&consensus.base));
}

static void
change_too_many_groups(ConfigParts *parts)
{
	add_groups(parts->application, FB_CONFIG_GROUPS_MAX + 1);
}

static void
change_too_many_policies(ConfigParts *parts)
{
	add_policies(parts->application, FB_CONFIG_POLICIES_MAX + 1);
}

static const struct
{
	ConfigChange change; /* NULL: none */
	FbStatus status;
	const char *message;
} changed_configurations[] = {
	{NULL, FB_OK, NULL},
	{change_channel_capability, FB_INVALID_CONFIG,
	 "Channel capability \"V3_0\" is required but not supported"},
	{change_orderer_capability, FB_INVALID_CONFIG,
	 "Orderer capability \"V9\" is required but not supported"},
	{change_application_capability, FB_INVALID_CONFIG,
	 "Application capability \"V1_5\" is required but not supported"},
	{change_capabilities_too_old, FB_INVALID_CONFIG, "channel capability V2_0 is not enabled"},
	{change_no_application_capabilities, FB_INVALID_CONFIG,
	 "application capability V2_0 is not enabled"},
	{change_no_orderer_capabilities, FB_INVALID_CONFIG,
	 "capabilities need orderer capabilities to be enabled first"},
	{change_hashing_algorithm, FB_INVALID_CONFIG,
	 "hashing algorithm \"SHA3_256\" is not supported"},
	{change_hashing_width, FB_INVALID_CONFIG,
	 "block data hashing structure width 3 is not supported"},
	{change_extra_channel_value, FB_INVALID_CONFIG, "unrecognized value \"Extra\" in /Channel"},
	{change_extra_orderer_value, FB_INVALID_CONFIG,
	 "unrecognized value \"Extra\" in /Channel/Orderer"},
	{change_orderer_organization_anchors, FB_INVALID_CONFIG,
	 "unrecognized value \"AnchorPeers\" in /Channel/Orderer/OrdererOrg"},
	{change_application_organization_endpoints, FB_INVALID_CONFIG,
	 "unrecognized value \"Endpoints\" in /Channel/Application/Org1MSP"},
	{change_batch_without_messages, FB_INVALID_CONFIG, "maximum message count of a batch is 0"},
	{change_batch_without_bytes, FB_INVALID_CONFIG, "absolute maximum size of a batch is 0"},
	{change_batch_without_preferred_bytes, FB_INVALID_CONFIG,
	 "preferred maximum size of a batch is 0"},
	{change_batch_prefers_more, FB_INVALID_CONFIG,
	 "preferred maximum size of a batch, 11 bytes, is greater than the absolute maximum, 10 bytes"},
	{change_no_batch_timeout, FB_INVALID_CONFIG, "invalid duration \"\""},
	{change_negative_batch_timeout, FB_INVALID_CONFIG, "batch timeout is not positive"},
	{change_raft_without_options, FB_INVALID_CONFIG,
	 "the etcdraft metadata of the consensus type is malformed"},
	{change_raft_without_consenters, FB_INVALID_CONFIG, "channel has no consenter"},
	{change_raft_ticks, FB_INVALID_CONFIG,
	 "Raft election ticks (1) must be more than heartbeat ticks (1)"},
	{change_raft_interval_malformed, FB_INVALID_CONFIG, "invalid duration \"soon\""},
	{change_raft_interval_zero, FB_INVALID_CONFIG, "Raft tick interval is not positive"},
	{change_raft_certificate_twice, FB_INVALID_CONFIG,
	 "consenters localhost:7150 and localhost:7250 have the same TLS certificate"},
	{change_raft_certificate_cut, FB_INVALID_CONFIG,
	 "consenter localhost:7350 has an invalid TLS server certificate"},
	{change_raft_without_inflight, FB_INVALID_CONFIG,
	 "Raft election ticks, heartbeat ticks and blocks in flight must not be 0"},
	{change_no_msp, FB_INVALID_CONFIG, "organization /Channel/Application/Org2MSP has no MSP"},
	{change_malformed_batch_size, FB_INVALID_CONFIG,
	 "value \"BatchSize\" in /Channel/Orderer is not a BatchSize"},
	{change_element_name, FB_INVALID_CONFIG, "invalid name \"a_b\" of a configuration element"},
	{change_consortiums, FB_INVALID_CONFIG, "unrecognized group \"Consortiums\" in /Channel"},
	{change_organization_with_groups, FB_INVALID_CONFIG,
	 "organization /Channel/Application/Org1MSP has sub-groups"},
	{change_no_channel_group, FB_INVALID_CONFIG, "the configuration is empty"},
	{change_no_config, FB_INVALID_CONFIG, "the configuration is empty"},
	{change_policy_type, FB_INVALID_POLICY, "invalid policy \"/Channel/Application/Writers\""},
	{change_only_orderers, FB_OK, NULL},
	{change_only_application, FB_OK, NULL},
	/* another consensus type is read, without consenters */
	{change_other_consensus, FB_OK, NULL},
	{change_too_many_groups, FB_LIMIT_EXCEEDED,
	 "/Channel/Application has 1025 sub-groups, more than 1024"},
	{change_too_many_policies, FB_LIMIT_EXCEEDED,
	 "/Channel/Application has 1025 policies, more than 1024"},
};

/* the sorted pair of the application and orderer groups, which the changes rely on */
static void
test_real_config(void)
{
	Common__ConfigEnvelope *config = real_config();
	ConfigBundle *bundle;

	CHECK_TEXT(config->config->channel_group->groups[0]->key, "Application");
	CHECK_TEXT(config->config->channel_group->groups[1]->key, "Orderer");
	CHECK_STATUS(config_bundle_create(allocator, "Bench", pack(&config->base), &bundle, &error),
				 FB_INVALID_ARGUMENT);
}

static void
test_changed_configurations(void)
{
	for (size_t i = 0; i < sizeof(changed_configurations) / sizeof(changed_configurations[0]); i++)
	{
		ConfigParts parts = {.envelope = real_config()};
		const char *message = changed_configurations[i].message;
		FbStatus status;

		parts.channel = parts.envelope->config->channel_group;
		parts.orderer = group_at(parts.channel, "Orderer");
		parts.application = group_at(parts.channel, "Application");
		if (changed_configurations[i].change != NULL)
			changed_configurations[i].change(&parts);
		status = try_config(parts.envelope);
		if (!CHECK_STATUS(status, changed_configurations[i].status))
			fprintf(stderr, "    change %zu: %s %s\n", i, error.message, error.detail);
		if (status != FB_OK && message != NULL && !CHECK_TEXT(error.message, message))
			fprintf(stderr, "    change %zu\n", i);
	}
}

/*
 * the genesis block with one byte changed, truncated, or extended: it is refused or accepted
 * without further harm
 */
static void
test_hostile(void)
{
	FbBytes block = read_block("blocks", 0);
	uint8_t *copy = fb_allocate(allocator, block.size);
	FbRand rand;
	size_t accepted = 0;
	size_t refused = 0;

	fb_rand_seed(&rand, 20);
	for (int round = 0; round < 400; round++)
	{
		FbArena own;
		ConfigBundle *bundle;
		size_t size = block.size;

		memcpy(copy, block.data, block.size);
		copy[fb_rand_below(&rand, block.size)] ^= (uint8_t) (1 + fb_rand_below(&rand, 255));
		if (round % 8 == 0)
			size = fb_rand_below(&rand, block.size);
		fb_arena_init(&own);
		if (config_bundle_from_block(&own.allocator, fb_bytes(copy, size), &bundle, &error) ==
			FB_OK)
			accepted++;
		else
			refused++;
		config_bundle_destroy(bundle);
		fb_arena_reset(&own);
	}
	CHECK(refused > 100 && accepted > 0);
}

int
main(void)
{
	fb_arena_init(&arena);
	CHECK_TEST(test_bundle());
	CHECK_TEST(test_bundle_access());
	CHECK_TEST(test_blocks_without_config());
	CHECK_TEST(test_real_config());
	CHECK_TEST(test_changed_configurations());
	CHECK_TEST(test_hostile());
	fb_arena_reset(&arena);
	return check_finish("config/bundle");
}
