/*
 * acl.c: which policy guards each resource of a channel (core/aclmgmt/defaultaclprovider.go,
 * resourceprovider.go)
 */
#include "core/config/config_internal.h"

#define READERS CONFIG_POLICY_APPLICATION_READERS
#define WRITERS CONFIG_POLICY_APPLICATION_WRITERS

typedef struct DefaultAcl
{
	const char *resource;
	const char *policy; /* NULL: guarded by the local MSP, not by a channel */
	ConfigLocalAccess local;
} DefaultAcl;

static const DefaultAcl defaults[] = {
	{"_lifecycle/InstallChaincode", NULL, CONFIG_ACCESS_LOCAL_ADMINS},
	{"_lifecycle/QueryInstalledChaincode", NULL, CONFIG_ACCESS_LOCAL_ADMINS},
	{"_lifecycle/GetInstalledChaincodePackage", NULL, CONFIG_ACCESS_LOCAL_ADMINS},
	{"_lifecycle/QueryInstalledChaincodes", NULL, CONFIG_ACCESS_LOCAL_ADMINS},
	{"_lifecycle/ApproveChaincodeDefinitionForMyOrg", NULL, CONFIG_ACCESS_LOCAL_ADMINS},
	{"_lifecycle/QueryApprovedChaincodeDefinition", NULL, CONFIG_ACCESS_LOCAL_ADMINS},
	{"_lifecycle/QueryApprovedChaincodeDefinitions", NULL, CONFIG_ACCESS_LOCAL_ADMINS},
	{"_lifecycle/CommitChaincodeDefinition", WRITERS, CONFIG_ACCESS_NOT_LOCAL},
	{"_lifecycle/QueryChaincodeDefinition", WRITERS, CONFIG_ACCESS_NOT_LOCAL},
	{"_lifecycle/QueryChaincodeDefinitions", WRITERS, CONFIG_ACCESS_NOT_LOCAL},
	{"_lifecycle/CheckCommitReadiness", WRITERS, CONFIG_ACCESS_NOT_LOCAL},
	{"snapshot/submitrequest", NULL, CONFIG_ACCESS_LOCAL_ADMINS},
	{"snapshot/cancelrequest", NULL, CONFIG_ACCESS_LOCAL_ADMINS},
	{"snapshot/listpending", NULL, CONFIG_ACCESS_LOCAL_ADMINS},
	{"lscc/Install", NULL, CONFIG_ACCESS_LOCAL_ADMINS},
	{"lscc/GetInstalledChaincodes", NULL, CONFIG_ACCESS_LOCAL_ADMINS},
	{"lscc/ChaincodeExists", READERS, CONFIG_ACCESS_NOT_LOCAL},
	{"lscc/GetDeploymentSpec", READERS, CONFIG_ACCESS_NOT_LOCAL},
	{"lscc/GetChaincodeData", READERS, CONFIG_ACCESS_NOT_LOCAL},
	{"lscc/GetInstantiatedChaincodes", READERS, CONFIG_ACCESS_NOT_LOCAL},
	{"lscc/GetCollectionsConfig", READERS, CONFIG_ACCESS_NOT_LOCAL},
	{"qscc/GetChainInfo", READERS, CONFIG_ACCESS_NOT_LOCAL},
	{"qscc/GetBlockByNumber", READERS, CONFIG_ACCESS_NOT_LOCAL},
	{"qscc/GetBlockByHash", READERS, CONFIG_ACCESS_NOT_LOCAL},
	{"qscc/GetTransactionByID", READERS, CONFIG_ACCESS_NOT_LOCAL},
	{"qscc/GetBlockByTxID", READERS, CONFIG_ACCESS_NOT_LOCAL},
	{"cscc/JoinChain", NULL, CONFIG_ACCESS_LOCAL_ADMINS},
	{"cscc/JoinChainBySnapshot", NULL, CONFIG_ACCESS_LOCAL_ADMINS},
	{"cscc/JoinBySnapshotStatus", NULL, CONFIG_ACCESS_LOCAL_ADMINS},
	{"cscc/GetChannels", NULL, CONFIG_ACCESS_LOCAL_MEMBERS},
	{"cscc/GetConfigBlock", READERS, CONFIG_ACCESS_NOT_LOCAL},
	{"cscc/GetChannelConfig", READERS, CONFIG_ACCESS_NOT_LOCAL},
	{"peer/Propose", WRITERS, CONFIG_ACCESS_NOT_LOCAL},
	{"peer/ChaincodeToChaincode", WRITERS, CONFIG_ACCESS_NOT_LOCAL},
	{"event/Block", READERS, CONFIG_ACCESS_NOT_LOCAL},
	{"event/FilteredBlock", READERS, CONFIG_ACCESS_NOT_LOCAL},
	{"gateway/CommitStatus", READERS, CONFIG_ACCESS_NOT_LOCAL},
	{"gateway/ChaincodeEvents", READERS, CONFIG_ACCESS_NOT_LOCAL},
};

static const DefaultAcl *
find_default(const char *resource)
{
	for (size_t i = 0; i < sizeof(defaults) / sizeof(defaults[0]); i++)
		if (strcmp(defaults[i].resource, resource) == 0)
			return &defaults[i];
	return NULL;
}

bool
config_acl_is_known(const char *resource)
{
	const DefaultAcl *entry = find_default(resource);

	return entry != NULL && entry->policy != NULL;
}

ConfigLocalAccess
config_acl_local_access(const char *resource)
{
	const DefaultAcl *entry = find_default(resource);

	return entry != NULL ? entry->local : CONFIG_ACCESS_NOT_LOCAL;
}

const char *
config_acl_policy_path(const ConfigBundle *bundle, const char *resource)
{
	const DefaultAcl *entry = find_default(resource);

	if (entry != NULL && entry->policy == NULL)
		return NULL;
	for (size_t i = 0; i < bundle->acls_count; i++)
		if (strcmp(bundle->acls[i].resource, resource) == 0)
			return bundle->acls[i].policy;
	return entry != NULL ? entry->policy : NULL;
}

const char *
config_acl_absolute_path(FbAllocator *allocator, const char *policy)
{
	FbBuffer buffer;
	FbBytes bytes;

	if (policy[0] == '/')
		return policy;
	fb_buffer_init(&buffer, allocator);
	fb_buffer_append_text(&buffer, "/Channel/Application/");
	fb_buffer_append_text(&buffer, policy);
	fb_buffer_append_byte(&buffer, '\0');
	return fb_buffer_bytes(&buffer, &bytes, NULL) == FB_OK ? (const char *) bytes.data : NULL;
}
