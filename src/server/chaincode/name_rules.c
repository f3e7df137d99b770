/*
 * name_rules.c: allowed characters in versions of chaincode and names of collections, as in Fabric
 * (core/chaincode/lifecycle/scc.go). definition.c has the rule for names of chaincodes.
 */
#include "server/chaincode/chaincode_internal.h"

bool
name_is_alphanumeric(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool
name_consists_of(const char *text, const char *others)
{
	for (const char *c = text; *c != '\0'; c++)
		if (!name_is_alphanumeric(*c) && strchr(others, *c) == NULL)
			return false;
	return *text != '\0';
}

/* ^[A-Za-z0-9_.+-]+$ */
const char *
definition_check_version(const char *version)
{
	if (strlen(version) > FB_CHAINCODE_VERSION_BYTES_MAX)
		return "the version is too long";
	return name_consists_of(version, "_.+-")
			   ? NULL
			   : "a version consists of letters, digits, \"_\", \"-\", \"+\" and \".\"";
}

/* ^[A-Za-z0-9-]+([A-Za-z0-9_-]+)*$ */
const char *
definition_check_collection_name(const char *name)
{
	if (strlen(name) > FB_COLLECTION_NAME_BYTES_MAX)
		return "the name is too long";
	return name_consists_of(name, "_-") && name[0] != '_'
			   ? NULL
			   : "a collection's name consists of letters, digits, \"_\" and \"-\" and does not begin with \"_\"";
}
