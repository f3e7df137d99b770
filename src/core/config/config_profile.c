/* config_profile.c: check the choices of the creator of a channel; the errors say what to change */
#include "core/config/config_internal.h"

#include <stdio.h>

void
config_profile_defaults(ConfigProfile *profile)
{
	memset(profile, 0, sizeof(*profile));
	profile->raft = (ConfigRaftOptions) {
		.tick_interval_ns = INT64_C(500) * 1000000,
		.election_ticks = 10,
		.heartbeat_ticks = 1,
		.inflight_blocks_max = 5,
		.snapshot_interval_bytes = 16 * 1024 * 1024,
	};
	profile->batch_messages_max = 500;
	profile->batch_bytes_absolute_max = 10 * 1024 * 1024;
	profile->batch_bytes_preferred_max = 2 * 1024 * 1024;
	profile->batch_timeout_ns = INT64_C(2) * 1000000000;
	profile->channel_capability = "V2_0";
	profile->orderer_capability = "V2_0";
	profile->application_capability = "V2_0";
}

/* append the place in the profile as the detail of an error that has no detail */
static FbStatus
at_organization(FbError *error, FbStatus status, size_t index, const char *name)
{
	if (status != FB_OK && error != NULL && error->detail[0] == '\0')
	{
		if (name != NULL)
			fb_error_detail(error, "It is organization %zu of the profile, \"%s\".", index + 1,
							name);
		else
			fb_error_detail(error, "It is organization %zu of the profile.", index + 1);
	}
	return status;
}

/*
 * The policy language must be able to name the MSP id: otherwise neither the default policies nor
 * any endorsement policy could name it.
 */
static FbStatus
check_msp_id(const char *msp_id, FbError *error)
{
	for (const char *c = msp_id; *c != '\0'; c++)
		if (!((*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9') ||
			  *c == '.' || *c == '-'))
		{
			fb_fail(error, FB_INVALID_CONFIG, "MSP id \"%s\" cannot be named in policies", msp_id);
			fb_error_hint(error, "MSP ids of a channel have letters, digits, \".\" and \"-\".");
			return FB_INVALID_CONFIG;
		}
	return FB_OK;
}

static FbStatus
check_addresses(FbAllocator *allocator, const ConfigProfile *profile,
				const ProfileOrganization *organization, FbError *error)
{
	char *host;
	uint16_t port;

	for (size_t i = 0; i < organization->endpoints_count; i++)
		FB_TRY(config_parse_address(allocator, fb_bytes_of_text(organization->endpoints[i]), &host,
									&port, error));
	if (organization->orderer && organization->endpoints_count == 0 &&
		profile->orderer_addresses_count == 0)
		return fb_fail(error, FB_INVALID_CONFIG, "an orderer organization has no endpoint");
	for (size_t i = 0; i < organization->anchors_count; i++)
		if (organization->anchors[i].host == NULL || organization->anchors[i].host[0] == '\0' ||
			organization->anchors[i].port == 0 || organization->anchors[i].port > UINT16_MAX)
			return fb_fail(error, FB_INVALID_CONFIG, "an anchor peer has no host or no valid port");
	return FB_OK;
}

/*
 * Check the organization's MSP by creating it. Two organizations must not share a name or an MSP
 * id: an organization in both roles is one entry.
 */
static FbStatus
check_organization(FbAllocator *allocator, const ConfigProfile *profile, size_t index,
				   MspManager *msps, FbError *error)
{
	const ProfileOrganization *organization = &profile->organizations[index];
	const Msp *msp;
	size_t before = msp_manager_count(msps);
	const char *name;

	if (!organization->application && !organization->orderer)
		return at_organization(error,
							   fb_fail(error, FB_INVALID_CONFIG,
									   "an organization is neither application nor orderer member"),
							   index, organization->name);
	FB_TRY(at_organization(error, msp_manager_add(msps, organization->msp_config, &msp, error),
						   index, organization->name));
	if (msp_manager_count(msps) == before)
		return fb_fail(error, FB_INVALID_CONFIG, "MSP id \"%s\" is given twice", msp_id(msp));
	FB_TRY(at_organization(error, check_msp_id(msp_id(msp), error), index, organization->name));
	name = organization->name != NULL ? organization->name : msp_id(msp);
	FB_TRY(at_organization(error, config_check_element_id(fb_bytes_of_text(name), error), index,
						   NULL));
	for (size_t i = 0; i < index; i++)
	{
		const char *other = profile->organizations[i].name;

		if (strcmp(other != NULL ? other : msp_id(msp_manager_msp(msps, i)), name) == 0)
			return fb_fail(error, FB_INVALID_CONFIG, "organization \"%s\" is given twice", name);
	}
	return at_organization(error, check_addresses(allocator, profile, organization, error), index,
						   name);
}

/*
 * A consenter's certificates must be issued by the TLS CA of an orderer organization, because the
 * other consenters would not let it connect otherwise. Their expiry is not checked.
 */
static FbStatus
check_consenter_issuer(const ConfigProfile *profile, const ConfigConsenter *consenter, FbBytes pem,
					   const char *kind, MspManager *msps, FbError *error)
{
	CryptoCertificate *certificate;
	FbStatus status;

	FB_TRY(crypto_certificate_parse(pem, &certificate, error));
	status = FB_INVALID_CERTIFICATE;
	for (size_t i = 0; i < profile->organizations_count && status != FB_OK; i++)
		if (profile->organizations[i].orderer)
			status =
				msp_check_tls_certificate(msp_manager_msp(msps, i), certificate,
										  crypto_certificate_not_before(certificate) + 1, error);
	crypto_certificate_free(certificate);
	if (status == FB_OK || status == FB_OUT_OF_MEMORY || status == FB_CRYPTO_FAILURE)
		return status;
	fb_fail(
		error, FB_INVALID_CONFIG,
		"TLS %s certificate of consenter %s:%u is not issued by an orderer organization of the channel",
		kind, consenter->host, consenter->port);
	fb_error_hint(
		error,
		"Its issuer must be among the TLS root certificates of an orderer organization's MSP.");
	return FB_INVALID_CONFIG;
}

static FbStatus
check_consenters(const ConfigProfile *profile, MspManager *msps, FbError *error)
{
	for (size_t i = 0; i < profile->consenters_count; i++)
	{
		const ConfigConsenter *consenter = &profile->consenters[i];

		if (consenter->host == NULL || consenter->host[0] == '\0' || consenter->port == 0 ||
			consenter->port > UINT16_MAX)
			return fb_fail(error, FB_INVALID_CONFIG, "consenter %zu has no host or no valid port",
						   i + 1);
		for (size_t k = 0; k < i; k++)
			if (strcmp(profile->consenters[k].host, consenter->host) == 0 &&
				profile->consenters[k].port == consenter->port)
				return fb_fail(error, FB_INVALID_CONFIG, "consenter %s:%u is given twice",
							   consenter->host, consenter->port);
	}
	FB_TRY(
		config_check_raft(&profile->raft, profile->consenters, profile->consenters_count, error));
	for (size_t i = 0; i < profile->consenters_count; i++)
	{
		const ConfigConsenter *consenter = &profile->consenters[i];

		FB_TRY(check_consenter_issuer(profile, consenter, consenter->client_tls_certificate,
									  "client", msps, error));
		FB_TRY(check_consenter_issuer(profile, consenter, consenter->server_tls_certificate,
									  "server", msps, error));
	}
	return FB_OK;
}

static FbStatus
check_acls(const ConfigProfile *profile, FbError *error)
{
	for (size_t i = 0; i < profile->acls_count; i++)
	{
		const ConfigAcl *acl = &profile->acls[i];

		if (acl->resource == NULL || acl->policy == NULL || acl->policy[0] == '\0')
			return fb_fail(error, FB_INVALID_CONFIG, "ACL %zu has no resource or no policy", i + 1);
		if (config_acl_local_access(acl->resource) != CONFIG_ACCESS_NOT_LOCAL)
			return fb_fail(error, FB_INVALID_CONFIG,
						   "resource \"%s\" cannot be guarded by a channel", acl->resource);
		if (!config_acl_is_known(acl->resource))
			return fb_fail(error, FB_INVALID_CONFIG, "unrecognized resource \"%s\" in the ACLs",
						   acl->resource);
		for (size_t k = 0; k < i; k++)
			if (strcmp(profile->acls[k].resource, acl->resource) == 0)
				return fb_fail(error, FB_INVALID_CONFIG,
							   "resource \"%s\" is given twice in the ACLs", acl->resource);
	}
	return FB_OK;
}

static FbStatus
profile_check_policies(FbAllocator *allocator, const ConfigProfile *profile, FbError *error)
{
	for (size_t i = 0; i < profile->policies_count; i++)
	{
		const ProfilePolicy *policy = &profile->policies[i];
		FbBytes value;
		FbStatus status;

		if (policy->group == NULL || policy->name == NULL || policy->rule == NULL)
			return fb_fail(error, FB_INVALID_CONFIG,
						   "policy %zu of the profile has no group, name or rule", i + 1);
		FB_TRY(config_check_element_id(fb_bytes_of_text(policy->name), error));
		status =
			policy->implicit_meta
				? policy_compile_implicit_meta(allocator, fb_bytes_of_text(policy->rule), &value,
											   error)
				: policy_compile(allocator, fb_bytes_of_text(policy->rule), &value, NULL, error);
		if (status != FB_OK && error != NULL && error->hint[0] == '\0')
			fb_error_hint(error, "It is the rule of policy \"%s\" of %s.", policy->name,
						  policy->group);
		FB_TRY(status);
		for (size_t k = 0; k < i; k++)
			if (strcmp(profile->policies[k].group, policy->group) == 0 &&
				strcmp(profile->policies[k].name, policy->name) == 0)
				return fb_fail(error, FB_INVALID_CONFIG, "policy \"%s\" of %s is given twice",
							   policy->name, policy->group);
	}
	return FB_OK;
}

static FbStatus
check_capability(const char *kind, const char *capability, FbError *error)
{
	if (capability == NULL || !config_capability_known(kind, capability))
		return fb_fail(error, FB_INVALID_CONFIG, "unrecognized %s capability \"%s\"", kind,
					   capability != NULL ? capability : "");
	return FB_OK;
}

static FbStatus
check_with_msps(FbAllocator *allocator, const ConfigProfile *profile, MspManager *msps,
				FbError *error)
{
	size_t orderers_count = 0;
	size_t members_count = 0;

	for (size_t i = 0; i < profile->orderer_addresses_count; i++)
	{
		char *host;
		uint16_t port;

		FB_TRY(config_parse_address(allocator, fb_bytes_of_text(profile->orderer_addresses[i]),
									&host, &port, error));
	}
	for (size_t i = 0; i < profile->organizations_count; i++)
	{
		FB_TRY(check_organization(allocator, profile, i, msps, error));
		orderers_count += profile->organizations[i].orderer;
		members_count += profile->organizations[i].application;
	}
	if (members_count == 0)
		return fb_fail(error, FB_INVALID_CONFIG, "channel has no application organization");
	if (orderers_count == 0)
		return fb_fail(error, FB_INVALID_CONFIG, "channel has no orderer organization");
	return check_consenters(profile, msps, error);
}

FbStatus
config_profile_check(FbAllocator *allocator, const ConfigProfile *profile, FbError *error)
{
	MspManager *msps;
	FbStatus status;

	if (profile->channel_id == NULL)
		return fb_fail(error, FB_INVALID_ARGUMENT, "channel has no name");
	FB_TRY(config_check_channel_id(fb_bytes_of_text(profile->channel_id), error));
	FB_TRY(check_capability("Channel", profile->channel_capability, error));
	FB_TRY(check_capability("Orderer", profile->orderer_capability, error));
	FB_TRY(check_capability("Application", profile->application_capability, error));
	FB_TRY(config_check_batch(profile->batch_messages_max, profile->batch_bytes_absolute_max,
							  profile->batch_bytes_preferred_max, profile->batch_timeout_ns,
							  error));
	FB_TRY(check_acls(profile, error));
	FB_TRY(profile_check_policies(allocator, profile, error));
	FB_TRY(msp_manager_create(1, allocator, &msps, error));
	status = check_with_msps(allocator, profile, msps, error);
	msp_manager_destroy(msps);
	return status;
}
