/*
 * config: generated genesis blocks, compared with one of Fabric, and profiles that are refused.
 * Every allocation fails once.
 */
#include "unit/config_samples.h"

/* the profile of the real network, where it differs from our defaults */
static ConfigProfile
real_profile(const ConfigBundle *bundle)
{
	ConfigProfile profile;
	ProfileOrganization *organizations = fb_allocate_array(allocator, 3, sizeof(*organizations));

	config_profile_defaults(&profile);
	profile.channel_id = "bench";
	for (size_t i = 0; i < 2; i++)
	{
		organizations[i].msp_config = bundle->application_organizations[i].msp_config;
		organizations[i].application = true;
		organizations[i].anchors = bundle->application_organizations[i].anchors;
		organizations[i].anchors_count = bundle->application_organizations[i].anchors_count;
	}
	organizations[2].name = "OrdererOrg";
	organizations[2].msp_config = bundle->orderer_organizations[0].msp_config;
	organizations[2].orderer = true;
	organizations[2].endpoints = bundle->orderer_organizations[0].endpoints;
	organizations[2].endpoints_count = bundle->orderer_organizations[0].endpoints_count;
	profile.organizations = organizations;
	profile.organizations_count = 3;
	profile.consenters = bundle->consenters;
	profile.consenters_count = bundle->consenters_count;
	profile.batch_messages_max = 10;
	profile.batch_timeout_ns = 500000000;
	profile.application_capability = "V2_5";
	profile.timestamp_s = 1795176307;
	return profile;
}

/*
 * Both have the same groups, values, policies, versions and mod_policies, with the same bytes in
 * values and policies.
 */
static void
compare_groups(const Common__ConfigGroup *ours, const Common__ConfigGroup *theirs, const char *path)
{
	CHECK(ours->version == theirs->version);
	CHECK_TEXT(ours->mod_policy, theirs->mod_policy);
	if (!CHECK(ours->n_values == theirs->n_values && ours->n_policies == theirs->n_policies &&
			   ours->n_groups == theirs->n_groups))
	{
		fprintf(stderr, "    in %s\n", path);
		return;
	}
	for (size_t i = 0; i < ours->n_values; i++)
	{
		CHECK_TEXT(ours->values[i]->key, theirs->values[i]->key);
		CHECK_TEXT(ours->values[i]->value->mod_policy, theirs->values[i]->value->mod_policy);
		CHECK(ours->values[i]->value->version == theirs->values[i]->value->version);
		if (!CHECK(fb_bytes_equal(proto_bytes(ours->values[i]->value->value),
								  proto_bytes(theirs->values[i]->value->value))))
			fprintf(stderr, "    value %s in %s\n", ours->values[i]->key, path);
	}
	for (size_t i = 0; i < ours->n_policies; i++)
	{
		CHECK_TEXT(ours->policies[i]->key, theirs->policies[i]->key);
		CHECK_TEXT(ours->policies[i]->value->mod_policy, theirs->policies[i]->value->mod_policy);
		CHECK(ours->policies[i]->value->policy->type == theirs->policies[i]->value->policy->type);
		if (!CHECK(fb_bytes_equal(proto_bytes(ours->policies[i]->value->policy->value),
								  proto_bytes(theirs->policies[i]->value->policy->value))))
			fprintf(stderr, "    policy %s in %s\n", ours->policies[i]->key, path);
	}
	for (size_t i = 0; i < ours->n_groups; i++)
	{
		CHECK_TEXT(ours->groups[i]->key, theirs->groups[i]->key);
		compare_groups(ours->groups[i]->value, theirs->groups[i]->value, ours->groups[i]->key);
	}
}

/* the envelope of a configuration block, its payload and channel header */
static void
open_block(FbBytes block, BlockView *view, Common__Envelope **envelope, Common__Payload **payload,
		   Common__ChannelHeader **channel_header, Common__SignatureHeader **signature_header)
{
	CHECK_STATUS(block_parse(block, allocator, view, &error), FB_OK);
	CHECK_STATUS(PROTO_UNPACK(common__envelope, view->data[0], allocator, envelope, &error), FB_OK);
	CHECK_STATUS(PROTO_UNPACK(common__payload, proto_bytes((*envelope)->payload), allocator,
							  payload, &error),
				 FB_OK);
	CHECK_STATUS(PROTO_UNPACK(common__channel_header,
							  proto_bytes((*payload)->header->channel_header), allocator,
							  channel_header, &error),
				 FB_OK);
	CHECK_STATUS(PROTO_UNPACK(common__signature_header,
							  proto_bytes((*payload)->header->signature_header), allocator,
							  signature_header, &error),
				 FB_OK);
}

static void
test_genesis(void)
{
	ConfigBundle *real;
	ConfigBundle *made;
	ConfigProfile profile;
	FbBytes block;
	FbBytes again;
	BlockView real_view;
	BlockView view;
	Common__Envelope *envelope;
	Common__Payload *payload;
	Common__Payload *real_payload;
	Common__ChannelHeader *channel_header;
	Common__SignatureHeader *signature_header;

	CHECK_STATUS(config_bundle_from_block(allocator, read_block("blocks", 0), &real, &error),
				 FB_OK);
	open_block(read_block("orderer-blocks", 0), &real_view, &envelope, &real_payload,
			   &channel_header, &signature_header);
	profile = real_profile(real);
	CHECK(signature_header->nonce.len == FB_NONCE_BYTES);
	memcpy(profile.nonce, signature_header->nonce.data, FB_NONCE_BYTES);
	profile.timestamp_s = channel_header->timestamp->seconds;
	if (!CHECK_STATUS(config_genesis_block(allocator, &profile, &block, &error), FB_OK))
	{
		fprintf(stderr, "%s %s\n", error.message, error.detail);
		exit(2);
	}

	/* with the same nonce and time, only the order of the maps differs */
	open_block(block, &view, &envelope, &payload, &channel_header, &signature_header);
	CHECK(envelope->signature.len == 0 && signature_header->creator.len == 0);
	CHECK(fb_bytes_equal(proto_bytes(payload->header->channel_header),
						 proto_bytes(real_payload->header->channel_header)));
	CHECK(fb_bytes_equal(proto_bytes(payload->header->signature_header),
						 proto_bytes(real_payload->header->signature_header)));
	CHECK(payload->data.len == real_payload->data.len);
	CHECK(view.header.number == 0 && view.header.previous_hash.size == 0);
	CHECK_STATUS(block_check_data(&view, &error), FB_OK);
	CHECK(view.metadata_count == real_view.metadata_count);
	for (size_t i = 0; i < FB_BLOCK_METADATA_COUNT; i++)
		CHECK(fb_bytes_equal(view.metadata[i], real_view.metadata[i]));
	CHECK_STATUS(config_bundle_from_block(allocator, block, &made, &error), FB_OK);
	compare_groups(made->config->channel_group, real->config->channel_group, "/Channel");
	CHECK(block_is_config_envelope(view.data[0]));

	/* the same profile gives the same block */
	CHECK_STATUS(config_genesis_block(allocator, &profile, &again, &error), FB_OK);
	CHECK(fb_bytes_equal(block, again));
	config_bundle_destroy(made);
	config_bundle_destroy(real);
}

/* ACLs, policies of the profile, an organization in both roles */
static void
test_genesis_variants(void)
{
	ConfigBundle *real;
	ConfigBundle *made;
	ConfigProfile profile;
	ProfileOrganization both;
	FbBytes block;
	ConfigAcl acls[] = {{"peer/Propose", "Admins"}, {"event/Block", "/Channel/Readers"}};
	ProfilePolicy policies[] = {
		{"/Channel/Application", "LifecycleEndorsement", false,
		 "OutOf(1, 'OrdererMSP.peer', 'OrdererMSP.admin')"},
		{"/Channel/Application/OrdererMSP", "Auditors", false, "OR('OrdererMSP.client')"},
		{"/Channel/Application", "Audit", true, "ANY Auditors"},
		{"/Channel", "Writers", true, "ALL Writers"},
	};
	char *text;

	CHECK_STATUS(config_bundle_from_block(allocator, read_block("blocks", 0), &real, &error),
				 FB_OK);
	profile = real_profile(real);
	both = profile.organizations[2];
	both.name = NULL;
	both.application = true;
	profile.organizations = &both;
	profile.organizations_count = 1;
	profile.acls = acls;
	profile.acls_count = 2;
	profile.policies = policies;
	profile.policies_count = 4;
	if (!CHECK_STATUS(config_genesis_block(allocator, &profile, &block, &error), FB_OK))
		fprintf(stderr, "%s %s\n", error.message, error.detail);
	CHECK_STATUS(config_bundle_from_block(allocator, block, &made, &error), FB_OK);
	CHECK(made->application_organizations_count == 1 && made->orderer_organizations_count == 1 &&
		  msp_manager_count(made->msps) == 1);
	CHECK_TEXT(made->application_organizations[0].name, "OrdererMSP");
	CHECK(made->application_organizations[0].anchors_count == 0);
	CHECK(made->acls_count == 2);
	CHECK_TEXT(config_acl_policy_path(made, "peer/Propose"), "/Channel/Application/Admins");
	CHECK_TEXT(config_acl_policy_path(made, "event/Block"), "/Channel/Readers");
	CHECK_TEXT(config_acl_policy_path(made, "event/FilteredBlock"), "/Channel/Application/Readers");
	CHECK_STATUS(policy_describe(allocator,
								 policy_manager_find(made->policies,
													 CONFIG_POLICY_LIFECYCLE_ENDORSEMENT),
								 &text, NULL),
				 FB_OK);
	CHECK_TEXT(text, "OR('OrdererMSP.peer', 'OrdererMSP.admin')");
	CHECK_STATUS(policy_describe(allocator,
								 policy_manager_find(made->policies, "/Channel/Application/Audit"),
								 &text, NULL),
				 FB_OK);
	CHECK_TEXT(text, "ANY Auditors of OrdererMSP");
	CHECK_STATUS(policy_describe(allocator,
								 policy_manager_find(made->policies,
													 "/Channel/Application/OrdererMSP/Auditors"),
								 &text, NULL),
				 FB_OK);
	CHECK_TEXT(text, "OR('OrdererMSP.client')");
	CHECK_STATUS(policy_describe(allocator, policy_manager_find(made->policies, "/Channel/Writers"),
								 &text, NULL),
				 FB_OK);
	CHECK_TEXT(text, "ALL Writers of Application, Orderer");
	config_bundle_destroy(made);
	config_bundle_destroy(real);
}

/* the profile of the real network, and the parts that it points to, to be changed */
typedef struct ProfileParts
{
	ConfigProfile profile;
	ProfileOrganization organizations[3];
	ConfigConsenter consenters[3];
	ConfigAddress anchor;
	ConfigAcl acls[2];
	ProfilePolicy policies[2];
	const char *endpoint;
} ProfileParts;

static void
fill_profile_parts(const ConfigBundle *real, ProfileParts *parts)
{
	*parts = (ProfileParts) {
		.profile = real_profile(real),
		.anchor = {"", 1},
		.acls = {{"peer/Propose", "Missing"}, {"peer/Propose", "Admins"}},
		.policies = {{"/Channel", "P", false, "OR('Org1MSP.peer')"},
					 {"/Channel", "P", true, "ANY Readers"}},
		.endpoint = "localhost",
	};
	memcpy(parts->organizations, parts->profile.organizations, sizeof(parts->organizations));
	memcpy(parts->consenters, parts->profile.consenters, sizeof(parts->consenters));
	parts->profile.organizations = parts->organizations;
	parts->profile.consenters = parts->consenters;
	parts->profile.acls = parts->acls;
	parts->profile.policies = parts->policies;
}

static void
profile_no_name(ProfileParts *parts)
{
	parts->profile.channel_id = NULL;
}

static void
profile_bad_name(ProfileParts *parts)
{
	parts->profile.channel_id = "My";
}

static void
profile_no_application(ProfileParts *parts)
{
	parts->profile.organizations = &parts->organizations[2];
	parts->profile.organizations_count = 1;
}

static void
profile_no_orderer(ProfileParts *parts)
{
	parts->profile.organizations_count = 2;
}

static void
profile_msp_twice(ProfileParts *parts)
{
	parts->organizations[1] = parts->organizations[0];
}

static void
profile_organization_twice(ProfileParts *parts)
{
	parts->organizations[0].name = "Org2MSP";
}

static void
profile_element_name(ProfileParts *parts)
{
	parts->organizations[1].name = "a_b";
}

static void
profile_no_role(ProfileParts *parts)
{
	parts->organizations[1].application = false;
}

static void
profile_no_endpoint(ProfileParts *parts)
{
	parts->organizations[2].endpoints_count = 0;
}

static void
profile_endpoint(ProfileParts *parts)
{
	parts->organizations[2].endpoints = &parts->endpoint;
	parts->organizations[2].endpoints_count = 1;
}

static void
profile_anchor(ProfileParts *parts)
{
	parts->organizations[0].anchors = &parts->anchor;
}

static void
profile_no_consenter(ProfileParts *parts)
{
	parts->profile.consenters_count = 0;
}

static void
profile_consenter_twice(ProfileParts *parts)
{
	parts->consenters[2] = parts->consenters[0];
}

static void
profile_consenter_port(ProfileParts *parts)
{
	parts->consenters[0].port = 70000;
}

static void
profile_consenter_certificate(ProfileParts *parts)
{
	parts->consenters[0].client_tls_certificate = FB_BYTES_EMPTY;
}

static void
profile_consenter_issuer(ProfileParts *parts)
{
	FbBytes file = check_read_file(
		"test/vectors/crypto/peerOrganizations/org1.example.com/peers/peer0.org1.example.com/tls/server.crt");

	fb_bytes_copy(allocator, file, &parts->consenters[0].server_tls_certificate, NULL);
	free((void *) file.data);
}

static void
profile_batch_messages(ProfileParts *parts)
{
	parts->profile.batch_messages_max = 0;
}

static void
profile_batch_bytes(ProfileParts *parts)
{
	parts->profile.batch_bytes_absolute_max = parts->profile.batch_bytes_preferred_max - 1;
}

static void
profile_batch_timeout(ProfileParts *parts)
{
	parts->profile.batch_timeout_ns = 0;
}

static void
profile_raft_interval(ProfileParts *parts)
{
	parts->profile.raft.tick_interval_ns = -1;
}

static void
profile_acl_resource(ProfileParts *parts)
{
	parts->acls[0].resource = "peer/Fly";
	parts->profile.acls_count = 1;
}

static void
profile_acl_local(ProfileParts *parts)
{
	parts->acls[0].resource = "cscc/JoinChain";
	parts->profile.acls_count = 1;
}

static void
profile_acl_twice(ProfileParts *parts)
{
	parts->profile.acls_count = 2;
}

static void
profile_acl_policy(ProfileParts *parts)
{
	parts->profile.acls_count = 1;
}

static void
profile_policy_rule(ProfileParts *parts)
{
	parts->policies[0].rule = "Org1MSP.peer";
	parts->profile.policies_count = 1;
}

static void
profile_policy_group(ProfileParts *parts)
{
	parts->policies[0].group = "/Channel/Consortiums";
	parts->profile.policies_count = 1;
}

static void
profile_policy_name(ProfileParts *parts)
{
	parts->policies[0].name = "a b";
	parts->profile.policies_count = 1;
}

static void
profile_policy_twice(ProfileParts *parts)
{
	parts->profile.policies_count = 2;
}

static void
profile_channel_capability(ProfileParts *parts)
{
	parts->profile.channel_capability = "V3_0";
}

static void
profile_application_capability(ProfileParts *parts)
{
	parts->profile.application_capability = "V1_3";
}

static void
profile_orderer_address(ProfileParts *parts)
{
	/* not even beside an organization's endpoints, where it is not used */
	parts->profile.orderer_addresses = &parts->endpoint;
	parts->profile.orderer_addresses_count = 1;
}

static const struct
{
	void (*change)(ProfileParts *parts);
	FbStatus status;
	const char *message;
} profile_errors[] = {
	{profile_no_name, FB_INVALID_ARGUMENT, "channel has no name"},
	{profile_bad_name, FB_INVALID_ARGUMENT, "invalid channel name \"My\""},
	{profile_no_application, FB_INVALID_CONFIG, "channel has no application organization"},
	{profile_no_orderer, FB_INVALID_CONFIG, "channel has no orderer organization"},
	{profile_msp_twice, FB_INVALID_CONFIG, "MSP id \"Org1MSP\" is given twice"},
	{profile_organization_twice, FB_INVALID_CONFIG, "organization \"Org2MSP\" is given twice"},
	{profile_element_name, FB_INVALID_CONFIG, "invalid name \"a_b\" of a configuration element"},
	{profile_no_role, FB_INVALID_CONFIG,
	 "an organization is neither application nor orderer member"},
	{profile_no_endpoint, FB_INVALID_CONFIG, "an orderer organization has no endpoint"},
	{profile_endpoint, FB_INVALID_ARGUMENT, "invalid address \"localhost\""},
	{profile_anchor, FB_INVALID_CONFIG, "an anchor peer has no host or no valid port"},
	{profile_no_consenter, FB_INVALID_CONFIG, "channel has no consenter"},
	{profile_consenter_twice, FB_INVALID_CONFIG, "consenter localhost:7150 is given twice"},
	{profile_consenter_port, FB_INVALID_CONFIG, "consenter 1 has no host or no valid port"},
	{profile_consenter_certificate, FB_INVALID_CONFIG,
	 "consenter localhost:7150 has an invalid TLS client certificate"},
	{profile_consenter_issuer, FB_INVALID_CONFIG,
	 "TLS server certificate of consenter localhost:7150 is not issued by an orderer organization of the channel"},
	{profile_batch_messages, FB_INVALID_CONFIG, "maximum message count of a batch is 0"},
	{profile_batch_bytes, FB_INVALID_CONFIG,
	 "preferred maximum size of a batch, 2097152 bytes, is greater than the absolute maximum, 2097151 bytes"},
	{profile_batch_timeout, FB_INVALID_CONFIG, "batch timeout is not positive"},
	{profile_raft_interval, FB_INVALID_CONFIG, "Raft tick interval is not positive"},
	{profile_acl_resource, FB_INVALID_CONFIG, "unrecognized resource \"peer/Fly\" in the ACLs"},
	{profile_acl_local, FB_INVALID_CONFIG,
	 "resource \"cscc/JoinChain\" cannot be guarded by a channel"},
	{profile_acl_twice, FB_INVALID_CONFIG, "resource \"peer/Propose\" is given twice in the ACLs"},
	{profile_acl_policy, FB_INVALID_CONFIG,
	 "the ACL of \"peer/Propose\" names policy \"/Channel/Application/Missing\", which does not exist"},
	{profile_policy_rule, FB_INVALID_POLICY, "invalid policy: expected AND, OR or OutOf"},
	{profile_policy_group, FB_INVALID_CONFIG,
	 "the profile's policy \"P\" is for group \"/Channel/Consortiums\", which does not exist"},
	{profile_policy_name, FB_INVALID_CONFIG, "invalid name \"a b\" of a configuration element"},
	{profile_policy_twice, FB_INVALID_CONFIG, "policy \"P\" of /Channel is given twice"},
	{profile_channel_capability, FB_INVALID_CONFIG, "unrecognized Channel capability \"V3_0\""},
	{profile_application_capability, FB_INVALID_CONFIG,
	 "application capability V2_0 is not enabled"},
	{profile_orderer_address, FB_INVALID_ARGUMENT, "invalid address \"localhost\""},
};

static void
test_profile_errors(void)
{
	ConfigBundle *real;

	CHECK_STATUS(config_bundle_from_block(allocator, read_block("blocks", 0), &real, &error),
				 FB_OK);
	for (size_t i = 0; i < sizeof(profile_errors) / sizeof(profile_errors[0]); i++)
	{
		ProfileParts parts;
		FbBytes block;

		fill_profile_parts(real, &parts);
		profile_errors[i].change(&parts);
		if (!CHECK_STATUS(config_genesis_block(allocator, &parts.profile, &block, &error),
						  profile_errors[i].status) ||
			!CHECK_TEXT(error.message, profile_errors[i].message))
			fprintf(stderr, "    change %zu: %s %s\n", i, error.message, error.detail);
		CHECK(block.size == 0);
	}
	config_bundle_destroy(real);
}

/*
 * Addresses of the channel instead of the organizations': written as configtxgen does (encoder.go,
 * NewChannelGroup), and read again.
 */
static void
test_orderer_addresses(void)
{
	static const char *const addresses[] = {"orderer1.example.com:7050",
											"orderer2.example.com:7050"};
	ConfigBundle *real;
	ConfigBundle *bundle;
	ConfigProfile profile;
	ProfileOrganization organizations[3];
	FbBytes block;
	const Common__ConfigGroup *group;
	bool found = false;

	CHECK_STATUS(config_bundle_from_block(allocator, read_block("blocks", 0), &real, &error),
				 FB_OK);
	profile = real_profile(real);
	memcpy(organizations, profile.organizations, sizeof(organizations));
	organizations[2].endpoints_count = 0;
	profile.organizations = organizations;
	profile.orderer_addresses = addresses;
	profile.orderer_addresses_count = 2;
	CHECK_STATUS(config_genesis_block(allocator, &profile, &block, &error), FB_OK);
	CHECK_STATUS(config_bundle_from_block(allocator, block, &bundle, &error), FB_OK);
	CHECK(bundle->orderer_addresses_count == 2);
	CHECK_TEXT(bundle->orderer_addresses[1], addresses[1]);
	CHECK(bundle->orderer_organizations[0].endpoints_count == 0);
	group = bundle->config->channel_group;
	for (size_t i = 0; i < group->n_values; i++)
		if (strcmp(group->values[i]->key, "OrdererAddresses") == 0)
			found = CHECK_TEXT(group->values[i]->value->mod_policy, "/Channel/Orderer/Admins");
	CHECK(found);
	config_bundle_destroy(bundle);
	config_bundle_destroy(real);
}

static FbBytes walked_block;
static const ConfigProfile *walked_profile;

static FbStatus
walk_bundle(FbAllocator *memory)
{
	ConfigBundle *bundle;
	PolicySignatureSet *set;
	FbStatus status = config_bundle_from_block(memory, walked_block, &bundle, &error);
	PolicySignature signature = {.identity = FB_BYTES_LITERAL("x")};
	bool satisfied;

	if (status == FB_OK)
		status =
			policy_signatures_create(memory, bundle->msps, &signature, 1, NULL, NULL, &set, &error);
	if (status == FB_OK)
		status =
			policy_evaluate(policy_manager_find(bundle->policies, CONFIG_POLICY_CHANNEL_WRITERS),
							set, &satisfied, &error);
	if (status == FB_OK)
		status =
			policy_require(memory,
						   policy_manager_find(bundle->policies, CONFIG_POLICY_CHANNEL_WRITERS),
						   set, &error);
	config_bundle_destroy(bundle);
	return status == FB_POLICY_NOT_SATISFIED ? FB_OK : status;
}

static FbStatus
walk_genesis(FbAllocator *memory)
{
	FbBytes block;

	return config_genesis_block(memory, walked_profile, &block, &error);
}

/*
 * Every allocation fails once, in steps that keep the test short: each of the first ones, later
 * only some.
 */
static void
walk_failures(FbStatus (*work)(FbAllocator *memory))
{
	for (size_t fail_at = 1;; fail_at += 1 + fail_at / 60)
	{
		FbArena failing;
		FbStatus status;

		fb_arena_init(&failing);
		failing.fail_at = fail_at;
		status = work(&failing.allocator);
		fb_arena_reset(&failing);
		if (status == FB_OK)
		{
			CHECK(fail_at > 100);
			return;
		}
		if (!CHECK_STATUS(status, FB_OUT_OF_MEMORY))
		{
			fprintf(stderr, "    allocation %zu: %s\n", fail_at, error.message);
			return;
		}
	}
}

static void
test_failing_allocator(void)
{
	ConfigBundle *real;
	ConfigProfile profile;

	walked_block = read_block("blocks", 0);
	walk_failures(walk_bundle);
	CHECK_STATUS(config_bundle_from_block(allocator, walked_block, &real, &error), FB_OK);
	profile = real_profile(real);
	walked_profile = &profile;
	walk_failures(walk_genesis);
	config_bundle_destroy(real);
}

int
main(void)
{
	fb_arena_init(&arena);
	CHECK_TEST(test_genesis());
	CHECK_TEST(test_genesis_variants());
	CHECK_TEST(test_profile_errors());
	CHECK_TEST(test_orderer_addresses());
	CHECK_TEST(test_failing_allocator());
	fb_arena_reset(&arena);
	return check_finish("config/genesis");
}
