/*
 * genesis.c: the genesis block of a profile (internal/configtxgen/encoder/encoder.go,
 * genesis/genesis.go). The tree is built of messages; names are added in sorted order, so that a
 * profile always gives the same bytes.
 */
#include "core/config/config_internal.h"

#include "core/block/block.h"
#include "core/crypto/crypto.h"

#include <stdio.h>
#include <stdlib.h>

#define MOD_POLICY "Admins"

/* of one group, without the policies of the profile */
#define VALUES_MAX 8
#define POLICIES_MAX 8

typedef struct Builder
{
	FbAllocator *allocator;
	const ConfigProfile *profile;
	FbError *error;
} Builder;

/* ---- the tree ---- */

/* the most groups in one group: all organizations, or Application and Orderer */
static size_t
groups_max(const Builder *builder)
{
	return builder->profile->organizations_count + 2;
}

static FbStatus
new_group(Builder *builder, Common__ConfigGroup **group)
{
	Common__ConfigGroup *made = fb_allocate(builder->allocator, sizeof(*made));

	if (made == NULL)
		return fb_out_of_memory(builder->error);
	common__config_group__init(made);
	made->mod_policy = MOD_POLICY;
	made->groups =
		fb_allocate_array(builder->allocator, groups_max(builder), sizeof(made->groups[0]));
	made->values = fb_allocate_array(builder->allocator, VALUES_MAX, sizeof(made->values[0]));
	/* the profile may add its own policies */
	made->policies =
		fb_allocate_array(builder->allocator, POLICIES_MAX + builder->profile->policies_count,
						  sizeof(made->policies[0]));
	if (made->groups == NULL || made->values == NULL || made->policies == NULL)
		return fb_out_of_memory(builder->error);
	*group = made;
	return FB_OK;
}

static FbStatus
genesis_add_group(Builder *builder, Common__ConfigGroup *parent, const char *name,
				  Common__ConfigGroup *group)
{
	Common__ConfigGroup__GroupsEntry *entry = fb_allocate(builder->allocator, sizeof(*entry));

	if (entry == NULL)
		return fb_out_of_memory(builder->error);
	common__config_group__groups_entry__init(entry);
	entry->key = (char *) name;
	entry->value = group;
	FB_ASSERT(parent->n_groups < groups_max(builder));
	parent->groups[parent->n_groups++] = entry;
	return FB_OK;
}

static FbStatus
add_value_bytes(Builder *builder, Common__ConfigGroup *group, const char *name, FbBytes bytes)
{
	Common__ConfigGroup__ValuesEntry *entry = fb_allocate(builder->allocator, sizeof(*entry));
	Common__ConfigValue *value = fb_allocate(builder->allocator, sizeof(*value));

	if (entry == NULL || value == NULL)
		return fb_out_of_memory(builder->error);
	common__config_group__values_entry__init(entry);
	common__config_value__init(value);
	value->value = proto_data(bytes);
	value->mod_policy = MOD_POLICY;
	entry->key = (char *) name;
	entry->value = value;
	FB_ASSERT(group->n_values < VALUES_MAX);
	group->values[group->n_values++] = entry;
	return FB_OK;
}

static FbStatus
add_value(Builder *builder, Common__ConfigGroup *group, const char *name,
		  const ProtobufCMessage *message)
{
	FbBytes bytes;

	FB_TRY(proto_pack(message, builder->allocator, &bytes, builder->error));
	return add_value_bytes(builder, group, name, bytes);
}

#define ADD_VALUE(builder, group, name, message) \
	add_value((builder), (group), (name), &(message)->base)

/* add a policy, or replace the policy of that name */
static FbStatus
set_policy(Builder *builder, Common__ConfigGroup *group, const char *name, bool implicit_meta,
		   const char *rule)
{
	Common__ConfigGroup__PoliciesEntry *entry = NULL;
	Common__Policy *policy = fb_allocate(builder->allocator, sizeof(*policy));
	FbBytes value;

	if (policy == NULL)
		return fb_out_of_memory(builder->error);
	common__policy__init(policy);
	if (implicit_meta)
	{
		FB_TRY(policy_compile_implicit_meta(builder->allocator, fb_bytes_of_text(rule), &value,
											builder->error));
		policy->type = COMMON__POLICY__POLICY_TYPE__IMPLICIT_META;
	}
	else
	{
		FB_TRY(policy_compile(builder->allocator, fb_bytes_of_text(rule), &value, NULL,
							  builder->error));
		policy->type = COMMON__POLICY__POLICY_TYPE__SIGNATURE;
	}
	policy->value = proto_data(value);
	for (size_t i = 0; i < group->n_policies; i++)
		if (strcmp(group->policies[i]->key, name) == 0)
			entry = group->policies[i];
	if (entry == NULL)
	{
		Common__ConfigPolicy *config_policy =
			fb_allocate(builder->allocator, sizeof(*config_policy));

		entry = fb_allocate(builder->allocator, sizeof(*entry));
		if (entry == NULL || config_policy == NULL)
			return fb_out_of_memory(builder->error);
		common__config_group__policies_entry__init(entry);
		common__config_policy__init(config_policy);
		config_policy->mod_policy = MOD_POLICY;
		entry->key = (char *) name;
		entry->value = config_policy;
		FB_ASSERT(group->n_policies < POLICIES_MAX + builder->profile->policies_count);
		group->policies[group->n_policies++] = entry;
	}
	entry->value->policy = policy;
	return FB_OK;
}

static FbStatus
set_role_policy(Builder *builder, Common__ConfigGroup *group, const char *name, const char *msp_id,
				const char *const *roles)
{
	FbBuffer rule;
	FbBytes text;

	fb_buffer_init(&rule, builder->allocator);
	for (size_t i = 0; roles[i] != NULL; i++)
		fb_buffer_append_format(&rule, "%s'%s.%s'", i == 0 ? "OR(" : ", ", msp_id, roles[i]);
	fb_buffer_append(&rule, ")", 2);
	FB_TRY(fb_buffer_bytes(&rule, &text, builder->error));
	return set_policy(builder, group, name, false, (const char *) text.data);
}

static FbStatus
set_meta_policies(Builder *builder, Common__ConfigGroup *group)
{
	FB_TRY(set_policy(builder, group, "Admins", true, "MAJORITY Admins"));
	FB_TRY(set_policy(builder, group, "Readers", true, "ANY Readers"));
	return set_policy(builder, group, "Writers", true, "ANY Writers");
}

static FbStatus
add_capability(Builder *builder, Common__ConfigGroup *group, const char *name)
{
	Common__Capabilities message = COMMON__CAPABILITIES__INIT;
	Common__Capabilities__CapabilitiesEntry entry = COMMON__CAPABILITIES__CAPABILITIES_ENTRY__INIT;
	Common__Capabilities__CapabilitiesEntry *entries[] = {&entry};
	Common__Capability capability = COMMON__CAPABILITY__INIT;

	entry.key = (char *) name;
	entry.value = &capability;
	message.capabilities = entries;
	message.n_capabilities = 1;
	return ADD_VALUE(builder, group, "Capabilities", &message);
}

/* ---- organizations ---- */

/* an organization of the profile with the name and MSP id that it has in the tree */
typedef struct Member
{
	const ProfileOrganization *organization;
	const char *name;
	const char *msp_id;
} Member;

static int
compare_members(const void *a, const void *b)
{
	return strcmp(((const Member *) a)->name, ((const Member *) b)->name);
}

static FbStatus
sort_members(Builder *builder, Member **members)
{
	const ConfigProfile *profile = builder->profile;
	Member *list =
		fb_allocate_array(builder->allocator, profile->organizations_count, sizeof(*list));

	if (list == NULL)
		return fb_out_of_memory(builder->error);
	for (size_t i = 0; i < profile->organizations_count; i++)
	{
		Msp__FabricMSPConfig *msp;
		FbBytes msp_config;

		FB_TRY(msp_config_unwrap(profile->organizations[i].msp_config, builder->allocator,
								 &msp_config, builder->error));
		FB_TRY(PROTO_UNPACK(msp__fabric_mspconfig, msp_config, builder->allocator, &msp,
							builder->error));
		list[i].organization = &profile->organizations[i];
		list[i].msp_id = msp->name;
		list[i].name =
			profile->organizations[i].name != NULL ? profile->organizations[i].name : msp->name;
	}
	qsort(list, profile->organizations_count, sizeof(*list), compare_members);
	*members = list;
	return FB_OK;
}

static FbStatus
build_orderer_member(Builder *builder, const Member *member, Common__ConfigGroup *group)
{
	static const char *const members[] = {"member", NULL};
	static const char *const admins[] = {"admin", NULL};
	Common__OrdererAddresses endpoints = COMMON__ORDERER_ADDRESSES__INIT;

	endpoints.addresses = (char **) member->organization->endpoints;
	endpoints.n_addresses = member->organization->endpoints_count;
	if (endpoints.n_addresses > 0)
		FB_TRY(ADD_VALUE(builder, group, "Endpoints", &endpoints));
	FB_TRY(add_value_bytes(builder, group, "MSP", member->organization->msp_config));
	FB_TRY(set_role_policy(builder, group, "Admins", member->msp_id, admins));
	FB_TRY(set_role_policy(builder, group, "Readers", member->msp_id, members));
	return set_role_policy(builder, group, "Writers", member->msp_id, members);
}

static FbStatus
build_application_member(Builder *builder, const Member *member, Common__ConfigGroup *group)
{
	static const char *const readers[] = {"admin", "peer", "client", NULL};
	static const char *const writers[] = {"admin", "client", NULL};
	static const char *const admins[] = {"admin", NULL};
	static const char *const endorsers[] = {"peer", NULL};
	const ProfileOrganization *organization = member->organization;

	if (organization->anchors_count > 0)
	{
		Protos__AnchorPeers message = PROTOS__ANCHOR_PEERS__INIT;
		Protos__AnchorPeer *anchors =
			fb_allocate_array(builder->allocator, organization->anchors_count, sizeof(*anchors));

		message.anchor_peers = fb_allocate_array(builder->allocator, organization->anchors_count,
												 sizeof(message.anchor_peers[0]));
		if (anchors == NULL || message.anchor_peers == NULL)
			return fb_out_of_memory(builder->error);
		for (size_t i = 0; i < organization->anchors_count; i++)
		{
			protos__anchor_peer__init(&anchors[i]);
			anchors[i].host = (char *) organization->anchors[i].host;
			anchors[i].port = (int32_t) organization->anchors[i].port;
			message.anchor_peers[message.n_anchor_peers++] = &anchors[i];
		}
		FB_TRY(ADD_VALUE(builder, group, "AnchorPeers", &message));
	}
	FB_TRY(add_value_bytes(builder, group, "MSP", organization->msp_config));
	FB_TRY(set_role_policy(builder, group, "Admins", member->msp_id, admins));
	FB_TRY(set_role_policy(builder, group, "Endorsement", member->msp_id, endorsers));
	FB_TRY(set_role_policy(builder, group, "Readers", member->msp_id, readers));
	return set_role_policy(builder, group, "Writers", member->msp_id, writers);
}

static FbStatus
build_members(Builder *builder, const Member *members, bool orderer, Common__ConfigGroup *parent)
{
	for (size_t i = 0; i < builder->profile->organizations_count; i++)
	{
		Common__ConfigGroup *group;

		if (orderer ? !members[i].organization->orderer : !members[i].organization->application)
			continue;
		FB_TRY(new_group(builder, &group));
		if (orderer)
			FB_TRY(build_orderer_member(builder, &members[i], group));
		else
			FB_TRY(build_application_member(builder, &members[i], group));
		FB_TRY(genesis_add_group(builder, parent, members[i].name, group));
	}
	return FB_OK;
}

/* ---- the sections ---- */

static int
compare_acls(const void *a, const void *b)
{
	return strcmp((*(Protos__ACLs__AclsEntry *const *) a)->key,
				  (*(Protos__ACLs__AclsEntry *const *) b)->key);
}

static FbStatus
add_acls(Builder *builder, Common__ConfigGroup *group)
{
	const ConfigProfile *profile = builder->profile;
	Protos__ACLs message = PROTOS__ACLS__INIT;
	Protos__ACLs__AclsEntry *entries =
		fb_allocate_array(builder->allocator, profile->acls_count, sizeof(*entries));
	Protos__APIResource *resources =
		fb_allocate_array(builder->allocator, profile->acls_count, sizeof(*resources));

	message.acls =
		fb_allocate_array(builder->allocator, profile->acls_count, sizeof(message.acls[0]));
	if (entries == NULL || resources == NULL || message.acls == NULL)
		return fb_out_of_memory(builder->error);
	for (size_t i = 0; i < profile->acls_count; i++)
	{
		protos__acls__acls_entry__init(&entries[i]);
		protos__apiresource__init(&resources[i]);
		resources[i].policy_ref = (char *) profile->acls[i].policy;
		entries[i].key = (char *) profile->acls[i].resource;
		entries[i].value = &resources[i];
		message.acls[message.n_acls++] = &entries[i];
	}
	qsort(message.acls, message.n_acls, sizeof(message.acls[0]), compare_acls);
	return ADD_VALUE(builder, group, "ACLs", &message);
}

static FbStatus
build_application(Builder *builder, const Member *members, Common__ConfigGroup **group)
{
	FB_TRY(new_group(builder, group));
	if (builder->profile->acls_count > 0)
		FB_TRY(add_acls(builder, *group));
	FB_TRY(add_capability(builder, *group, builder->profile->application_capability));
	FB_TRY(set_meta_policies(builder, *group));
	FB_TRY(set_policy(builder, *group, "Endorsement", true, "MAJORITY Endorsement"));
	FB_TRY(set_policy(builder, *group, "LifecycleEndorsement", true, "MAJORITY Endorsement"));
	return build_members(builder, members, false, *group);
}

static FbStatus
add_consensus_type(Builder *builder, Common__ConfigGroup *group)
{
	const ConfigProfile *profile = builder->profile;
	Orderer__ConsensusType message = ORDERER__CONSENSUS_TYPE__INIT;
	Etcdraft__ConfigMetadata metadata = ETCDRAFT__CONFIG_METADATA__INIT;
	Etcdraft__Options options = ETCDRAFT__OPTIONS__INIT;
	Etcdraft__Consenter *consenters =
		fb_allocate_array(builder->allocator, profile->consenters_count, sizeof(*consenters));
	char tick_interval[CONFIG_DURATION_TEXT_BYTES];
	FbBytes bytes;

	metadata.consenters = fb_allocate_array(builder->allocator, profile->consenters_count,
											sizeof(metadata.consenters[0]));
	if (consenters == NULL || metadata.consenters == NULL)
		return fb_out_of_memory(builder->error);
	for (size_t i = 0; i < profile->consenters_count; i++)
	{
		const ConfigConsenter *consenter = &profile->consenters[i];

		etcdraft__consenter__init(&consenters[i]);
		consenters[i].host = (char *) consenter->host;
		consenters[i].port = consenter->port;
		consenters[i].client_tls_cert = proto_data(consenter->client_tls_certificate);
		consenters[i].server_tls_cert = proto_data(consenter->server_tls_certificate);
		metadata.consenters[metadata.n_consenters++] = &consenters[i];
	}
	config_print_duration(profile->raft.tick_interval_ns, tick_interval);
	options.tick_interval = tick_interval;
	options.election_tick = profile->raft.election_ticks;
	options.heartbeat_tick = profile->raft.heartbeat_ticks;
	options.max_inflight_blocks = profile->raft.inflight_blocks_max;
	options.snapshot_interval_size = profile->raft.snapshot_interval_bytes;
	metadata.options = &options;
	FB_TRY(PROTO_PACK(&metadata, builder->allocator, &bytes, builder->error));
	message.type = "etcdraft";
	message.metadata = proto_data(bytes);
	return ADD_VALUE(builder, group, "ConsensusType", &message);
}

static FbStatus
build_orderer(Builder *builder, const Member *members, Common__ConfigGroup **group)
{
	const ConfigProfile *profile = builder->profile;
	Orderer__BatchSize batch_size = ORDERER__BATCH_SIZE__INIT;
	Orderer__BatchTimeout batch_timeout = ORDERER__BATCH_TIMEOUT__INIT;
	Orderer__ChannelRestrictions restrictions = ORDERER__CHANNEL_RESTRICTIONS__INIT;
	char timeout[CONFIG_DURATION_TEXT_BYTES];

	FB_TRY(new_group(builder, group));
	batch_size.max_message_count = profile->batch_messages_max;
	batch_size.absolute_max_bytes = profile->batch_bytes_absolute_max;
	batch_size.preferred_max_bytes = profile->batch_bytes_preferred_max;
	config_print_duration(profile->batch_timeout_ns, timeout);
	batch_timeout.timeout = timeout;
	FB_TRY(ADD_VALUE(builder, *group, "BatchSize", &batch_size));
	FB_TRY(ADD_VALUE(builder, *group, "BatchTimeout", &batch_timeout));
	FB_TRY(add_capability(builder, *group, profile->orderer_capability));
	FB_TRY(ADD_VALUE(builder, *group, "ChannelRestrictions", &restrictions));
	FB_TRY(add_consensus_type(builder, *group));
	FB_TRY(set_meta_policies(builder, *group));
	FB_TRY(set_policy(builder, *group, "BlockValidation", true, "ANY Writers"));
	return build_members(builder, members, true, *group);
}

static FbStatus
build_channel(Builder *builder, Common__ConfigGroup **channel)
{
	Common__HashingAlgorithm algorithm = COMMON__HASHING_ALGORITHM__INIT;
	Common__BlockDataHashingStructure structure = COMMON__BLOCK_DATA_HASHING_STRUCTURE__INIT;
	Common__OrdererAddresses addresses = COMMON__ORDERER_ADDRESSES__INIT;
	Common__ConfigGroup *application = NULL;
	Common__ConfigGroup *orderer = NULL;
	Member *members = NULL;

	algorithm.name = "SHA256";
	structure.width = UINT32_MAX;
	FB_TRY(sort_members(builder, &members));
	FB_TRY(new_group(builder, channel));
	FB_TRY(ADD_VALUE(builder, *channel, "BlockDataHashingStructure", &structure));
	FB_TRY(add_capability(builder, *channel, builder->profile->channel_capability));
	FB_TRY(ADD_VALUE(builder, *channel, "HashingAlgorithm", &algorithm));
	addresses.addresses = (char **) builder->profile->orderer_addresses;
	addresses.n_addresses = builder->profile->orderer_addresses_count;
	if (addresses.n_addresses > 0)
	{
		FB_TRY(ADD_VALUE(builder, *channel, "OrdererAddresses", &addresses));
		/* only administrators of the orderers may change it (encoder.go, NewChannelGroup) */
		(*channel)->values[(*channel)->n_values - 1]->value->mod_policy = "/Channel/Orderer/Admins";
	}
	FB_TRY(set_meta_policies(builder, *channel));
	FB_TRY(build_application(builder, members, &application));
	FB_TRY(genesis_add_group(builder, *channel, "Application", application));
	FB_TRY(build_orderer(builder, members, &orderer));
	return genesis_add_group(builder, *channel, "Orderer", orderer);
}

/* ---- the profile's own policies ---- */

/* the group at an absolute path ("/Channel/Application"); NULL: there is none */
static Common__ConfigGroup *
find_group(Common__ConfigGroup *channel, const char *path)
{
	Common__ConfigGroup *group = channel;

	if (strncmp(path, "/Channel", 8) != 0)
		return NULL;
	path += 8;
	while (group != NULL && path[0] == '/')
	{
		size_t size = strcspn(path + 1, "/");
		Common__ConfigGroup *found = NULL;

		for (size_t i = 0; i < group->n_groups; i++)
			if (strlen(group->groups[i]->key) == size &&
				memcmp(group->groups[i]->key, path + 1, size) == 0)
				found = group->groups[i]->value;
		group = found;
		path += 1 + size;
	}
	return path[0] == '\0' ? group : NULL;
}

static FbStatus
set_profile_policies(Builder *builder, Common__ConfigGroup *channel)
{
	for (size_t i = 0; i < builder->profile->policies_count; i++)
	{
		const ProfilePolicy *policy = &builder->profile->policies[i];
		Common__ConfigGroup *group = find_group(channel, policy->group);

		if (group == NULL)
			return fb_fail(builder->error, FB_INVALID_CONFIG,
						   "the profile's policy \"%s\" is for group \"%s\", which does not exist",
						   policy->name, policy->group);
		FB_TRY(set_policy(builder, group, policy->name, policy->implicit_meta, policy->rule));
	}
	return FB_OK;
}

/* ---- the transaction ---- */

static FbStatus
build_envelope(Builder *builder, Common__ConfigGroup *channel, FbBytes *envelope_bytes)
{
	const ConfigProfile *profile = builder->profile;
	Common__Config config = COMMON__CONFIG__INIT;
	Common__ConfigEnvelope config_envelope = COMMON__CONFIG_ENVELOPE__INIT;
	Google__Protobuf__Timestamp timestamp = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
	Common__ChannelHeader channel_header = COMMON__CHANNEL_HEADER__INIT;
	Common__SignatureHeader signature_header = COMMON__SIGNATURE_HEADER__INIT;
	Common__Header header = COMMON__HEADER__INIT;
	Common__Payload payload = COMMON__PAYLOAD__INIT;
	Common__Envelope envelope = COMMON__ENVELOPE__INIT;
	uint8_t digest[CRYPTO_SHA256_BYTES];
	char tx_id[2 * CRYPTO_SHA256_BYTES + 1];
	FbBytes bytes;

	/* there is no creator: the tx id is the hash of the nonce alone (protoutil ComputeTxID) */
	crypto_sha256(fb_bytes(profile->nonce, FB_NONCE_BYTES), digest);
	fb_hex_encode(fb_bytes(digest, sizeof(digest)), tx_id);
	timestamp.seconds = profile->timestamp_s;
	channel_header.type = COMMON__HEADER_TYPE__CONFIG;
	channel_header.version = 1;
	channel_header.timestamp = &timestamp;
	channel_header.channel_id = proto_data(fb_bytes_of_text(profile->channel_id));
	channel_header.tx_id = proto_data(fb_bytes_of_text(tx_id));
	FB_TRY(PROTO_PACK(&channel_header, builder->allocator, &bytes, builder->error));
	header.channel_header = proto_data(bytes);
	signature_header.nonce = proto_data(fb_bytes(profile->nonce, FB_NONCE_BYTES));
	FB_TRY(PROTO_PACK(&signature_header, builder->allocator, &bytes, builder->error));
	header.signature_header = proto_data(bytes);
	config.channel_group = channel;
	config_envelope.config = &config;
	FB_TRY(PROTO_PACK(&config_envelope, builder->allocator, &bytes, builder->error));
	payload.header = &header;
	payload.data = proto_data(bytes);
	FB_TRY(PROTO_PACK(&payload, builder->allocator, &bytes, builder->error));
	envelope.payload = proto_data(bytes);
	return PROTO_PACK(&envelope, builder->allocator, envelope_bytes, builder->error);
}

/*
 * Checks that need the complete tree: do the ACLs' policies exist, and does every part parse as on
 * every node?
 */
static FbStatus
check_genesis_block(Builder *builder, FbBytes block)
{
	ConfigBundle *bundle;
	FbStatus status = FB_OK;

	FB_TRY(config_bundle_from_block(builder->allocator, block, &bundle, builder->error));
	for (size_t i = 0; i < bundle->acls_count && status == FB_OK; i++)
		if (policy_manager_find(bundle->policies, bundle->acls[i].policy) == NULL)
			status = fb_fail(builder->error, FB_INVALID_CONFIG,
							 "the ACL of \"%s\" names policy \"%s\", which does not exist",
							 bundle->acls[i].resource, bundle->acls[i].policy);
	config_bundle_destroy(bundle);
	return status;
}

FbStatus
config_genesis_block(FbAllocator *allocator, const ConfigProfile *profile, FbBytes *block,
					 FbError *error)
{
	Builder builder = {.allocator = allocator, .profile = profile, .error = error};
	Common__ConfigGroup *channel = NULL;
	FbBytes envelope = FB_BYTES_EMPTY;
	FbBytes bytes;

	*block = FB_BYTES_EMPTY;
	FB_TRY(config_profile_check(allocator, profile, error));
	FB_TRY(build_channel(&builder, &channel));
	FB_TRY(set_profile_policies(&builder, channel));
	FB_TRY(build_envelope(&builder, channel, &envelope));
	FB_TRY(block_pack_genesis(envelope, allocator, &bytes, error));
	FB_TRY(check_genesis_block(&builder, bytes));
	*block = bytes;
	return FB_OK;
}
