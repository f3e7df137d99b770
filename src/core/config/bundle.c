/*
 * bundle.c: a channel's configuration, parsed and checked once (common/channelconfig NewBundle).
 * Received bytes are kept in addition to the parsed values.
 */
#include "core/config/config_internal.h"

#include <stdio.h>

/* state that the parts of the parser share */
typedef struct Reader
{
	FbAllocator *allocator;
	ConfigBundle *bundle;
	const Common__ConfigGroup *channel;
	const Common__ConfigGroup *orderer;
	const Common__ConfigGroup *application;
	FbError *error;
} Reader;

/*
 * decode a value of a group: READ_VALUE(reader, group, path, "BatchSize", orderer__batch_size,
 * &batch_size)
 */
#define READ_VALUE(reader, group, path, name, type, message)                              \
	config_tree_unpack((reader)->allocator, (group), (path), (name), &type##__descriptor, \
					   (ProtobufCMessage **) (void *) (message), (reader)->error)

/* ---- capabilities (common/capabilities) ---- */

static const char *const application_levels[] = {"V1_1", "V1_2", "V1_3", "V1_4_2", "V2_0", "V2_5"};

/* index of a capability level, oldest first; -1 for other names */
static int
config_application_level(const char *capability)
{
	for (int i = 0; i < (int) (sizeof(application_levels) / sizeof(application_levels[0])); i++)
		if (strcmp(application_levels[i], capability) == 0)
			return i;
	return -1;
}

bool
config_capability_known(const char *kind, const char *capability)
{
	static const char *const channel[] = {"V1_1", "V1_3", "V1_4_2", "V1_4_3", "V2_0", NULL};
	static const char *const orderer[] = {"V1_1", "V1_4_2", "V2_0", NULL};
	const char *const *known = strcmp(kind, "Channel") == 0 ? channel : orderer;

	if (strcmp(kind, "Application") == 0)
		return config_application_level(capability) >= 0;
	while (*known != NULL && strcmp(*known, capability) != 0)
		known++;
	return *known != NULL;
}

static FbStatus
read_capabilities(Reader *reader, const Common__ConfigGroup *group, const char *path,
				  const char *kind, const char *const **names, size_t *names_count)
{
	Common__Capabilities *message;
	const char **list;

	FB_TRY(READ_VALUE(reader, group, path, "Capabilities", common__capabilities, &message));
	list = fb_allocate_array(reader->allocator, message->n_capabilities, sizeof(*list));
	if (list == NULL)
		return fb_out_of_memory(reader->error);
	for (size_t i = 0; i < message->n_capabilities; i++)
	{
		list[i] = message->capabilities[i]->key;
		if (!config_capability_known(kind, list[i]))
			return fb_fail(reader->error, FB_INVALID_CONFIG,
						   "%s capability \"%s\" is required but not supported", kind, list[i]);
	}
	*names = list;
	*names_count = message->n_capabilities;
	return FB_OK;
}

static bool
has_name(const char *const *names, size_t names_count, const char *name)
{
	for (size_t i = 0; i < names_count; i++)
		if (strcmp(names[i], name) == 0)
			return true;
	return false;
}

bool
config_has_application_capability(const ConfigBundle *bundle, const char *capability)
{
	int wanted = config_application_level(capability);

	for (size_t i = 0; i < bundle->application_capabilities_count; i++)
		if (wanted >= 0 && config_application_level(bundle->application_capabilities[i]) >= wanted)
			return true;
	return false;
}

/*
 * This project has the rules for MSPs and validation of capability V2_0 (MSP version 1.4.3,
 * validator v20). Fabric's nodes would judge a channel of an older level differently, so it is
 * refused.
 */
static FbStatus
check_levels(Reader *reader)
{
	const ConfigBundle *bundle = reader->bundle;

	if (!has_name(bundle->channel_capabilities, bundle->channel_capabilities_count, "V2_0") &&
		!has_name(bundle->channel_capabilities, bundle->channel_capabilities_count, "V1_4_3"))
		return fb_fail(reader->error, FB_INVALID_CONFIG, "channel capability V2_0 is not enabled");
	if (bundle->has_application && !config_has_application_capability(bundle, "V2_0"))
		return fb_fail(reader->error, FB_INVALID_CONFIG,
					   "application capability V2_0 is not enabled");
	return FB_OK;
}

/* ---- organizations ---- */

static FbStatus
copy_texts(Reader *reader, char **from, size_t count, const char *const **to)
{
	const char **list = fb_allocate_array(reader->allocator, count, sizeof(*list));

	if (list == NULL)
		return fb_out_of_memory(reader->error);
	for (size_t i = 0; i < count; i++)
		list[i] = from[i];
	*to = list;
	return FB_OK;
}

static FbStatus
read_anchors(Reader *reader, const Common__ConfigGroup *group, const char *path,
			 ConfigOrganization *organization)
{
	Protos__AnchorPeers *message;
	ConfigAddress *anchors;

	FB_TRY(READ_VALUE(reader, group, path, "AnchorPeers", protos__anchor_peers, &message));
	anchors = fb_allocate_array(reader->allocator, message->n_anchor_peers, sizeof(*anchors));
	if (anchors == NULL)
		return fb_out_of_memory(reader->error);
	for (size_t i = 0; i < message->n_anchor_peers; i++)
		anchors[i] = (ConfigAddress) {message->anchor_peers[i]->host,
									  (uint32_t) message->anchor_peers[i]->port};
	organization->anchors = anchors;
	organization->anchors_count = message->n_anchor_peers;
	return FB_OK;
}

static FbStatus
read_endpoints(Reader *reader, const Common__ConfigGroup *group, const char *path,
			   ConfigOrganization *organization)
{
	Common__OrdererAddresses *message;

	FB_TRY(READ_VALUE(reader, group, path, "Endpoints", common__orderer_addresses, &message));
	organization->endpoints_count = message->n_addresses;
	return copy_texts(reader, message->addresses, message->n_addresses, &organization->endpoints);
}

static FbStatus
read_organization(Reader *reader, const Common__ConfigGroup *group, const char *parent_path,
				  bool orderer, ConfigOrganization *organization)
{
	static const char *const orderer_values[] = {"MSP", "Endpoints", NULL};
	static const char *const application_values[] = {"MSP", "AnchorPeers", NULL};
	char path[FB_ERROR_DETAIL_BYTES];
	const Common__ConfigValue *msp_value = config_tree_value(group, "MSP");
	const Msp *msp;
	FbStatus status;

	snprintf(path, sizeof(path), "%s/%s", parent_path, organization->name);
	if (group->n_groups > 0)
		return fb_fail(reader->error, FB_INVALID_CONFIG, "organization %s has sub-groups", path);
	FB_TRY(config_tree_check_values(group, path, orderer ? orderer_values : application_values,
									reader->error));
	if (msp_value == NULL)
		return fb_fail(reader->error, FB_INVALID_CONFIG, "organization %s has no MSP", path);
	organization->msp_config = proto_bytes(msp_value->value);
	status = msp_manager_add(reader->bundle->msps, organization->msp_config, &msp, reader->error);
	if (status != FB_OK)
	{
		if (reader->error != NULL && reader->error->detail[0] == '\0')
			fb_error_detail(reader->error, "It is the MSP of %s.", path);
		return status;
	}
	organization->msp_id = msp_id(msp);
	return orderer ? read_endpoints(reader, group, path, organization)
				   : read_anchors(reader, group, path, organization);
}

static FbStatus
read_organizations(Reader *reader, const Common__ConfigGroup *group, const char *path, bool orderer,
				   const ConfigOrganization **organizations, size_t *organizations_count)
{
	ConfigOrganization *list = fb_allocate_array(reader->allocator, group->n_groups, sizeof(*list));

	if (list == NULL)
		return fb_out_of_memory(reader->error);
	for (size_t i = 0; i < group->n_groups; i++)
	{
		list[i].name = group->groups[i]->key;
		FB_TRY(read_organization(reader, group->groups[i]->value, path, orderer, &list[i]));
	}
	*organizations = list;
	*organizations_count = group->n_groups;
	return FB_OK;
}

/* ---- the three sections ---- */

static FbStatus
read_channel(Reader *reader)
{
	static const char *const values[] = {"HashingAlgorithm",
										 "BlockDataHashingStructure",
										 "OrdererAddresses",
										 "Orderers",
										 "Consortium",
										 "Capabilities",
										 NULL};
	ConfigBundle *bundle = reader->bundle;
	Common__HashingAlgorithm *algorithm;
	Common__BlockDataHashingStructure *structure;
	Common__OrdererAddresses *addresses;
	Common__Consortium *consortium;

	FB_TRY(config_tree_check_values(reader->channel, "/Channel", values, reader->error));
	for (size_t i = 0; i < reader->channel->n_groups; i++)
	{
		const char *name = reader->channel->groups[i]->key;

		if (strcmp(name, "Orderer") != 0 && strcmp(name, "Application") != 0)
			return fb_fail(reader->error, FB_INVALID_CONFIG,
						   "unrecognized group \"%s\" in /Channel", name);
	}
	/*
	 * common/channelconfig/bundle.go, preValidate: orderers that do not know capabilities could not
	 * follow those of the other sections
	 */
	if (reader->orderer != NULL && config_tree_value(reader->orderer, "Capabilities") == NULL &&
		(config_tree_value(reader->channel, "Capabilities") != NULL ||
		 config_tree_value(reader->application, "Capabilities") != NULL))
		return fb_fail(reader->error, FB_INVALID_CONFIG,
					   "capabilities need orderer capabilities to be enabled first");
	FB_TRY(read_capabilities(reader, reader->channel, "/Channel", "Channel",
							 &bundle->channel_capabilities, &bundle->channel_capabilities_count));
	FB_TRY(READ_VALUE(reader, reader->channel, "/Channel", "HashingAlgorithm",
					  common__hashing_algorithm, &algorithm));
	if (strcmp(algorithm->name, "SHA256") != 0)
		return fb_fail(reader->error, FB_INVALID_CONFIG,
					   "hashing algorithm \"%s\" is not supported", algorithm->name);
	FB_TRY(READ_VALUE(reader, reader->channel, "/Channel", "BlockDataHashingStructure",
					  common__block_data_hashing_structure, &structure));
	if (structure->width != UINT32_MAX)
		return fb_fail(reader->error, FB_INVALID_CONFIG,
					   "block data hashing structure width %u is not supported", structure->width);
	FB_TRY(READ_VALUE(reader, reader->channel, "/Channel", "OrdererAddresses",
					  common__orderer_addresses, &addresses));
	FB_TRY(READ_VALUE(reader, reader->channel, "/Channel", "Consortium", common__consortium,
					  &consortium));
	bundle->orderer_addresses_count = addresses->n_addresses;
	return copy_texts(reader, addresses->addresses, addresses->n_addresses,
					  &bundle->orderer_addresses);
}

FbStatus
config_check_batch(uint32_t messages_max, uint32_t bytes_absolute_max, uint32_t bytes_preferred_max,
				   int64_t timeout_ns, FbError *error)
{
	if (messages_max == 0)
		return fb_fail(error, FB_INVALID_CONFIG, "maximum message count of a batch is 0");
	if (bytes_absolute_max == 0)
		return fb_fail(error, FB_INVALID_CONFIG, "absolute maximum size of a batch is 0");
	if (bytes_preferred_max == 0)
		return fb_fail(error, FB_INVALID_CONFIG, "preferred maximum size of a batch is 0");
	if (bytes_preferred_max > bytes_absolute_max)
		return fb_fail(
			error, FB_INVALID_CONFIG,
			"preferred maximum size of a batch, %u bytes, is greater than the absolute maximum, %u bytes",
			bytes_preferred_max, bytes_absolute_max);
	if (timeout_ns <= 0)
		return fb_fail(error, FB_INVALID_CONFIG, "batch timeout is not positive");
	return FB_OK;
}

static FbStatus
check_consenter_certificate(const ConfigConsenter *consenter, FbBytes pem, const char *kind,
							FbError *error)
{
	CryptoCertificate *certificate;
	FbStatus status = crypto_certificate_parse(pem, &certificate, error);
	char reason[FB_ERROR_MESSAGE_BYTES];

	if (status == FB_OK)
	{
		crypto_certificate_free(certificate);
		return FB_OK;
	}
	if (error == NULL || status == FB_OUT_OF_MEMORY || status == FB_CRYPTO_FAILURE)
		return status;
	memcpy(reason, error->message, sizeof(reason));
	fb_fail(error, FB_INVALID_CONFIG, "consenter %s:%u has an invalid TLS %s certificate",
			consenter->host, consenter->port, kind);
	fb_error_detail(error, "%s.", reason);
	return FB_INVALID_CONFIG;
}

FbStatus
config_check_raft(const ConfigRaftOptions *options, const ConfigConsenter *consenters,
				  size_t consenters_count, FbError *error)
{
	if (options->election_ticks == 0 || options->heartbeat_ticks == 0 ||
		options->inflight_blocks_max == 0)
		return fb_fail(error, FB_INVALID_CONFIG,
					   "Raft election ticks, heartbeat ticks and blocks in flight must not be 0");
	if (options->election_ticks <= options->heartbeat_ticks)
		return fb_fail(error, FB_INVALID_CONFIG,
					   "Raft election ticks (%u) must be more than heartbeat ticks (%u)",
					   options->election_ticks, options->heartbeat_ticks);
	if (options->tick_interval_ns <= 0)
		return fb_fail(error, FB_INVALID_CONFIG, "Raft tick interval is not positive");
	if (consenters_count == 0)
		return fb_fail(error, FB_INVALID_CONFIG, "channel has no consenter");
	if (consenters_count > FB_RAFT_NODES_MAX)
		return fb_fail(error, FB_LIMIT_EXCEEDED, "channel has %zu consenters, more than %d",
					   consenters_count, FB_RAFT_NODES_MAX);
	for (size_t i = 0; i < consenters_count; i++)
	{
		const ConfigConsenter *consenter = &consenters[i];

		FB_TRY(check_consenter_certificate(consenter, consenter->client_tls_certificate, "client",
										   error));
		/* mostly the same certificate, which is slow to decode with OpenSSL */
		if (!fb_bytes_equal(consenter->server_tls_certificate, consenter->client_tls_certificate))
			FB_TRY(check_consenter_certificate(consenter, consenter->server_tls_certificate,
											   "server", error));
		/*
		 * orderer/consensus/etcdraft/util.go, MetadataHasDuplication: a certificate identifies a
		 * consenter
		 */
		for (size_t k = 0; k < i; k++)
			if (fb_bytes_equal(consenters[k].client_tls_certificate,
							   consenter->client_tls_certificate) ||
				fb_bytes_equal(consenters[k].client_tls_certificate,
							   consenter->server_tls_certificate) ||
				fb_bytes_equal(consenters[k].server_tls_certificate,
							   consenter->client_tls_certificate) ||
				fb_bytes_equal(consenters[k].server_tls_certificate,
							   consenter->server_tls_certificate))
				return fb_fail(error, FB_INVALID_CONFIG,
							   "consenters %s:%u and %s:%u have the same TLS certificate",
							   consenters[k].host, consenters[k].port, consenter->host,
							   consenter->port);
	}
	return FB_OK;
}

static FbStatus
read_raft(Reader *reader)
{
	ConfigBundle *bundle = reader->bundle;
	Etcdraft__ConfigMetadata *metadata;
	ConfigConsenter *consenters;
	FbStatus status = PROTO_UNPACK(etcdraft__config_metadata, bundle->consensus_metadata,
								   reader->allocator, &metadata, reader->error);

	if (status == FB_MALFORMED_MESSAGE || (status == FB_OK && metadata->options == NULL))
		return fb_fail(reader->error, FB_INVALID_CONFIG,
					   "the etcdraft metadata of the consensus type is malformed");
	FB_TRY(status);
	bundle->raft.election_ticks = metadata->options->election_tick;
	bundle->raft.heartbeat_ticks = metadata->options->heartbeat_tick;
	bundle->raft.inflight_blocks_max = metadata->options->max_inflight_blocks;
	bundle->raft.snapshot_interval_bytes = metadata->options->snapshot_interval_size;
	FB_TRY(config_parse_duration(fb_bytes_of_text(metadata->options->tick_interval),
								 &bundle->raft.tick_interval_ns, reader->error));
	consenters = fb_allocate_array(reader->allocator, metadata->n_consenters, sizeof(*consenters));
	if (consenters == NULL)
		return fb_out_of_memory(reader->error);
	for (size_t i = 0; i < metadata->n_consenters; i++)
	{
		const Etcdraft__Consenter *consenter = metadata->consenters[i];

		consenters[i] = (ConfigConsenter) {consenter->host, consenter->port,
										   proto_bytes(consenter->client_tls_cert),
										   proto_bytes(consenter->server_tls_cert)};
	}
	bundle->consenters = consenters;
	bundle->consenters_count = metadata->n_consenters;
	return config_check_raft(&bundle->raft, consenters, metadata->n_consenters, reader->error);
}

/*
 * Values that this project does not use but that Fabric checks (common/channelconfig/orderer.go):
 * each must decode, and a Kafka broker must be "host:port".
 */
static FbStatus
check_unused_values(Reader *reader, const char *path)
{
	Orderer__ChannelRestrictions *restrictions;
	Orderer__KafkaBrokers *brokers;

	FB_TRY(READ_VALUE(reader, reader->orderer, path, "ChannelRestrictions",
					  orderer__channel_restrictions, &restrictions));
	FB_TRY(READ_VALUE(reader, reader->orderer, path, "KafkaBrokers", orderer__kafka_brokers,
					  &brokers));
	for (size_t i = 0; i < brokers->n_brokers; i++)
		if (!config_is_kafka_broker(brokers->brokers[i]))
			return fb_fail(reader->error, FB_INVALID_CONFIG,
						   "Kafka broker %zu in %s is not \"host:port\"", i + 1, path);
	return FB_OK;
}

static FbStatus
read_orderer(Reader *reader)
{
	static const char *const values[] = {"ConsensusType",		"BatchSize",
										 "BatchTimeout",		"KafkaBrokers",
										 "ChannelRestrictions", "Orderers",
										 "Capabilities",		NULL};
	static const char path[] = "/Channel/Orderer";
	ConfigBundle *bundle = reader->bundle;
	Orderer__ConsensusType *consensus;
	Orderer__BatchSize *batch_size;
	Orderer__BatchTimeout *batch_timeout;

	bundle->has_orderer = true;
	FB_TRY(config_tree_check_values(reader->orderer, path, values, reader->error));
	FB_TRY(read_capabilities(reader, reader->orderer, path, "Orderer",
							 &bundle->orderer_capabilities, &bundle->orderer_capabilities_count));
	FB_TRY(READ_VALUE(reader, reader->orderer, path, "ConsensusType", orderer__consensus_type,
					  &consensus));
	FB_TRY(
		READ_VALUE(reader, reader->orderer, path, "BatchSize", orderer__batch_size, &batch_size));
	FB_TRY(READ_VALUE(reader, reader->orderer, path, "BatchTimeout", orderer__batch_timeout,
					  &batch_timeout));
	bundle->consensus_type = consensus->type;
	bundle->maintenance = consensus->state == ORDERER__CONSENSUS_TYPE__STATE__STATE_MAINTENANCE;
	bundle->consensus_metadata = proto_bytes(consensus->metadata);
	bundle->batch_messages_max = batch_size->max_message_count;
	bundle->batch_bytes_absolute_max = batch_size->absolute_max_bytes;
	bundle->batch_bytes_preferred_max = batch_size->preferred_max_bytes;
	FB_TRY(config_parse_duration(fb_bytes_of_text(batch_timeout->timeout),
								 &bundle->batch_timeout_ns, reader->error));
	FB_TRY(config_check_batch(bundle->batch_messages_max, bundle->batch_bytes_absolute_max,
							  bundle->batch_bytes_preferred_max, bundle->batch_timeout_ns,
							  reader->error));
	FB_TRY(check_unused_values(reader, path));
	if (strcmp(bundle->consensus_type, "etcdraft") == 0)
		FB_TRY(read_raft(reader));
	return read_organizations(reader, reader->orderer, path, true, &bundle->orderer_organizations,
							  &bundle->orderer_organizations_count);
}

static FbStatus
read_application(Reader *reader)
{
	static const char *const values[] = {"ACLs", "Capabilities", NULL};
	static const char path[] = "/Channel/Application";
	ConfigBundle *bundle = reader->bundle;
	Protos__ACLs *message;
	ConfigAcl *acls;

	bundle->has_application = true;
	FB_TRY(config_tree_check_values(reader->application, path, values, reader->error));
	FB_TRY(read_capabilities(reader, reader->application, path, "Application",
							 &bundle->application_capabilities,
							 &bundle->application_capabilities_count));
	FB_TRY(READ_VALUE(reader, reader->application, path, "ACLs", protos__acls, &message));
	acls = fb_allocate_array(reader->allocator, message->n_acls, sizeof(*acls));
	if (acls == NULL)
		return fb_out_of_memory(reader->error);
	for (size_t i = 0; i < message->n_acls; i++)
	{
		const char *policy = message->acls[i]->value->policy_ref;

		if (policy[0] == '\0')
			continue; /* means the default */
		acls[bundle->acls_count].resource = message->acls[i]->key;
		acls[bundle->acls_count].policy = config_acl_absolute_path(reader->allocator, policy);
		if (acls[bundle->acls_count].policy == NULL)
			return fb_out_of_memory(reader->error);
		bundle->acls_count++;
	}
	bundle->acls = acls;
	return read_organizations(reader, reader->application, path, false,
							  &bundle->application_organizations,
							  &bundle->application_organizations_count);
}

/*
 * Policies that a configuration need not have. By default, _lifecycle is endorsed by a majority of
 * the organizations, each by a member (core/chaincode/lifecycle/deployedcc_infoprovider.go,
 * lifecycle.go, LifecycleEndorsementPolicyAsBytes), and an organization's implicit collections by
 * any of its members (ImplicitCollectionEndorsementPolicyAsBytes).
 */
static FbStatus
read_default_policies(Reader *reader)
{
	ConfigBundle *bundle = reader->bundle;
	ConfigOrganization *organizations = (ConfigOrganization *) bundle->application_organizations;
	size_t count = bundle->application_organizations_count;
	const char **msp_ids = fb_allocate_array(reader->allocator, count, sizeof(*msp_ids));

	if (msp_ids == NULL)
		return fb_out_of_memory(reader->error);
	for (size_t i = 0; i < count; i++)
	{
		char path[FB_ERROR_DETAIL_BYTES];

		msp_ids[i] = organizations[i].msp_id;
		snprintf(path, sizeof(path), "/Channel/Application/%s/Endorsement", organizations[i].name);
		organizations[i].endorsement = policy_manager_find(bundle->policies, path);
		if (organizations[i].endorsement == NULL)
			FB_TRY(policy_from_members(reader->allocator, 1, &msp_ids[i], 1,
									   &organizations[i].endorsement, reader->error));
	}
	bundle->lifecycle_endorsement =
		policy_manager_find(bundle->policies, CONFIG_POLICY_LIFECYCLE_ENDORSEMENT);
	if (bundle->lifecycle_endorsement != NULL)
		return FB_OK;
	return policy_from_members(reader->allocator, count / 2 + 1, msp_ids, count,
							   &bundle->lifecycle_endorsement, reader->error);
}

static FbStatus
read_bundle(Reader *reader, const char *channel_id, FbBytes config_envelope)
{
	ConfigBundle *bundle = reader->bundle;
	Common__ConfigEnvelope *envelope;
	PolicyManager *policies;

	FB_TRY(config_check_channel_id(fb_bytes_of_text(channel_id), reader->error));
	bundle->channel_id = fb_text_copy(reader->allocator, fb_bytes_of_text(channel_id));
	if (bundle->channel_id == NULL)
		return fb_out_of_memory(reader->error);
	FB_TRY(PROTO_UNPACK(common__config_envelope, config_envelope, reader->allocator, &envelope,
						reader->error));
	if (envelope->config == NULL || envelope->config->channel_group == NULL)
		return fb_fail(reader->error, FB_INVALID_CONFIG, "the configuration is empty");
	bundle->config_envelope = config_envelope;
	bundle->config = envelope->config;
	bundle->sequence = envelope->config->sequence;
	reader->channel = envelope->config->channel_group;
	reader->orderer = config_tree_group(reader->channel, "Orderer");
	reader->application = config_tree_group(reader->channel, "Application");
	FB_TRY(config_tree_check_names(reader->channel, "/Channel", reader->error));
	FB_TRY(msp_manager_create(FB_IDENTITIES_CACHED_MAX, reader->allocator, &bundle->msps,
							  reader->error));
	FB_TRY(read_channel(reader));
	if (reader->orderer != NULL)
		FB_TRY(read_orderer(reader));
	if (reader->application != NULL)
		FB_TRY(read_application(reader));
	FB_TRY(check_levels(reader));
	FB_TRY(policy_manager_create(reader->allocator, reader->channel, &policies, reader->error));
	bundle->policies = policies;
	return bundle->has_application ? read_default_policies(reader) : FB_OK;
}

FbStatus
config_bundle_create(FbAllocator *allocator, const char *channel_id, FbBytes config_envelope,
					 ConfigBundle **bundle, FbError *error)
{
	Reader reader = {.allocator = allocator,
					 .bundle = fb_allocate_zero(allocator, sizeof(ConfigBundle)),
					 .error = error};
	FbStatus status;

	*bundle = NULL;
	if (reader.bundle == NULL)
		return fb_out_of_memory(error);
	status = read_bundle(&reader, channel_id, config_envelope);
	if (status != FB_OK)
	{
		config_bundle_destroy(reader.bundle);
		return status;
	}
	*bundle = reader.bundle;
	return FB_OK;
}

void
config_bundle_destroy(ConfigBundle *bundle)
{
	if (bundle == NULL)
		return;
	msp_manager_destroy(bundle->msps);
	bundle->msps = NULL;
}

/* ---- from transactions and blocks ---- */

static FbStatus
unpack_config_envelope(FbAllocator *allocator, FbBytes envelope, Common__ChannelHeader **header,
					   FbBytes *data, FbError *error)
{
	Common__Envelope *message;
	Common__Payload *payload;

	FB_TRY(PROTO_UNPACK(common__envelope, envelope, allocator, &message, error));
	FB_TRY(
		PROTO_UNPACK(common__payload, proto_bytes(message->payload), allocator, &payload, error));
	if (payload->header == NULL)
		return fb_fail(error, FB_INVALID_CONFIG, "the transaction has no header");
	FB_TRY(PROTO_UNPACK(common__channel_header, proto_bytes(payload->header->channel_header),
						allocator, header, error));
	if ((*header)->type != COMMON__HEADER_TYPE__CONFIG)
		return fb_fail(error, FB_INVALID_CONFIG,
					   "the transaction is not a configuration: it has type %d",
					   (int) (*header)->type);
	*data = proto_bytes(payload->data);
	return FB_OK;
}

FbStatus
config_bundle_from_envelope(FbAllocator *allocator, FbBytes envelope, ConfigBundle **bundle,
							FbError *error)
{
	Common__ChannelHeader *header = NULL;
	FbBytes data = FB_BYTES_EMPTY;
	char *channel_id;

	*bundle = NULL;
	FB_TRY(unpack_config_envelope(allocator, envelope, &header, &data, error));
	FB_TRY(config_check_channel_id(proto_bytes(header->channel_id), error));
	channel_id = fb_text_copy(allocator, proto_bytes(header->channel_id));
	if (channel_id == NULL)
		return fb_out_of_memory(error);
	return config_bundle_create(allocator, channel_id, data, bundle, error);
}

FbStatus
config_bundle_from_block(FbAllocator *allocator, FbBytes block, ConfigBundle **bundle,
						 FbError *error)
{
	Common__Block *message;

	*bundle = NULL;
	FB_TRY(PROTO_UNPACK(common__block, block, allocator, &message, error));
	if (message->data == NULL || message->data->n_data != 1)
		return fb_fail(error, FB_INVALID_CONFIG,
					   "the block is not a configuration block: it has %zu transactions",
					   message->data != NULL ? message->data->n_data : 0);
	return config_bundle_from_envelope(allocator, proto_bytes(message->data->data[0]), bundle,
									   error);
}

/* ---- accessors ---- */

static const ConfigOrganization *
find_organization(const ConfigOrganization *organizations, size_t count, const char *msp_id)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(organizations[i].msp_id, msp_id) == 0)
			return &organizations[i];
	return NULL;
}

const ConfigOrganization *
config_application_organization(const ConfigBundle *bundle, const char *msp_id)
{
	return find_organization(bundle->application_organizations,
							 bundle->application_organizations_count, msp_id);
}

const ConfigOrganization *
config_orderer_organization(const ConfigBundle *bundle, const char *msp_id)
{
	return find_organization(bundle->orderer_organizations, bundle->orderer_organizations_count,
							 msp_id);
}
