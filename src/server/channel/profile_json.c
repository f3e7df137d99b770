/*
 * profile_json.c: the profile of a new channel, a jsonb document, becomes the core's ConfigProfile.
 *
 * The document has the content of a profile of configtx.yaml. An unknown member, or one of the
 * wrong type, is an error that names it, so that a typing mistake cannot silently change a channel.
 */
#include "server/channel/channel.h"

#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/numeric.h"

#include <time.h>

/* detail: errdetail() with the place in the profile first */
#define REFUSE_PROFILE(detail)                                                                  \
	ereport(ERROR, (fb_errcode(FB_INVALID_ARGUMENT), errmsg("invalid channel profile"), detail, \
					errhint("docs/operations.md describes the profile.")))

/* ---- reading jsonb ---- */

static bool
is_known(const char *const *names, const JsonbValue *key)
{
	for (; *names != NULL; names++)
		if (strlen(*names) == (size_t) key->val.string.len &&
			memcmp(*names, key->val.string.val, key->val.string.len) == 0)
			return true;
	return false;
}

static void
profile_check_members(JsonbContainer *object, const char *where, const char *const *names)
{
	JsonbIterator *iterator = JsonbIteratorInit(object);
	JsonbValue value;
	JsonbIteratorToken token;

	while ((token = JsonbIteratorNext(&iterator, &value, true)) != WJB_DONE)
		if (token == WJB_KEY && !is_known(names, &value))
			REFUSE_PROFILE(
				errdetail("%s: unrecognized member \"%s\".", where,
						  FB_DISPLAY(fb_bytes(value.val.string.val, value.val.string.len))));
}

static JsonbValue *
profile_member(JsonbContainer *object, const char *name)
{
	return getKeyJsonValueFromContainer(object, name, (int) strlen(name), NULL);
}

static char *
profile_text(const JsonbValue *value, const char *where, const char *name)
{
	if (value == NULL)
		return NULL;
	if (value->type != jbvString)
		REFUSE_PROFILE(errdetail("%s: \"%s\" must be a text.", where, name));
	return memory_cstring(fb_bytes(value->val.string.val, value->val.string.len));
}

static char *
text_member(JsonbContainer *object, const char *where, const char *name)
{
	return profile_text(profile_member(object, name), where, name);
}

static char *
required_text(JsonbContainer *object, const char *where, const char *name)
{
	char *text = text_member(object, where, name);

	if (text == NULL)
		REFUSE_PROFILE(errdetail("%s: \"%s\" is missing.", where, name));
	return text;
}

static bool
boolean_member(JsonbContainer *object, const char *where, const char *name, bool value)
{
	JsonbValue *found = profile_member(object, name);

	if (found == NULL)
		return value;
	if (found->type != jbvBool)
		REFUSE_PROFILE(errdetail("%s: \"%s\" must be true or false.", where, name));
	return found->val.boolean;
}

static uint32
number_member(JsonbContainer *object, const char *where, const char *name, uint32 value)
{
	JsonbValue *found = profile_member(object, name);
	int64 number;

	if (found == NULL)
		return value;
	if (found->type != jbvNumeric)
		REFUSE_PROFILE(errdetail("%s: \"%s\" must be a number.", where, name));
	number = DatumGetInt64(DirectFunctionCall1(numeric_int8, NumericGetDatum(found->val.numeric)));
	if (number < 0 || number > PG_UINT32_MAX)
		REFUSE_PROFILE(errdetail("%s: \"%s\" is out of range.", where, name));
	return (uint32) number;
}

static JsonbContainer *
container_member(JsonbContainer *object, const char *where, const char *name, bool array)
{
	JsonbValue *found = profile_member(object, name);

	if (found == NULL)
		return NULL;
	if (found->type != jbvBinary || (array ? !JsonContainerIsArray(found->val.binary.data)
										   : !JsonContainerIsObject(found->val.binary.data)))
		REFUSE_PROFILE(
			errdetail("%s: \"%s\" must be %s.", where, name, array ? "a list" : "an object"));
	return found->val.binary.data;
}

static JsonbContainer *
object_element(JsonbContainer *array, uint32 index, const char *where)
{
	JsonbValue *value = getIthJsonbValueFromContainer(array, index);

	if (value->type != jbvBinary || !JsonContainerIsObject(value->val.binary.data))
		REFUSE_PROFILE(errdetail("%s: must be an object.", where));
	return value->val.binary.data;
}

static char **
text_list(JsonbContainer *object, const char *where, const char *name, size_t *count)
{
	JsonbContainer *array = container_member(object, where, name, true);
	char **texts;

	*count = array == NULL ? 0 : JsonContainerSize(array);
	texts = palloc0(*count * sizeof(char *) + 1);
	for (size_t i = 0; i < *count; i++)
		texts[i] = profile_text(getIthJsonbValueFromContainer(array, (uint32) i), where, name);
	return texts;
}

static FbBytes *
pem_list(JsonbContainer *object, const char *where, const char *name, size_t *count)
{
	char **texts = text_list(object, where, name, count);
	FbBytes *list = palloc0(*count * sizeof(FbBytes) + 1);

	for (size_t i = 0; i < *count; i++)
		list[i] = fb_bytes_of_text(texts[i]);
	return list;
}

/* ---- the parts of a profile ---- */

static void
parse_address(const char *where, const char *text, ConfigAddress *address)
{
	FbError error;
	char *host;
	uint16_t port;

	if (config_parse_address(memory_allocator(CurrentMemoryContext), fb_bytes_of_text(text), &host,
							 &port, &error) != FB_OK)
		REFUSE_PROFILE(errdetail("%s: %s.", where, error.message));
	address->host = host;
	address->port = port;
}

static void
take_organization(JsonbContainer *object, int index, ProfileOrganization *organization)
{
	static const char *const names[] = {"msp_id",
										"name",
										"root_certificates",
										"intermediate_certificates",
										"admins",
										"revocation_lists",
										"tls_root_certificates",
										"tls_intermediate_certificates",
										"application",
										"orderer",
										"endpoints",
										"anchor_peers",
										NULL};
	FbAllocator *allocator = memory_allocator(CurrentMemoryContext);
	const char *where = psprintf("organizations[%d]", index);
	MspParts parts = {0};
	char **anchors;
	ConfigAddress *addresses;
	FbBytes config;
	FbError error;

	profile_check_members(object, where, names);
	parts.msp_id = required_text(object, where, "msp_id");
	parts.root_certificates =
		pem_list(object, where, "root_certificates", &parts.root_certificates_count);
	parts.intermediate_certificates = pem_list(object, where, "intermediate_certificates",
											   &parts.intermediate_certificates_count);
	parts.admins = pem_list(object, where, "admins", &parts.admins_count);
	parts.revocation_lists =
		pem_list(object, where, "revocation_lists", &parts.revocation_lists_count);
	parts.tls_root_certificates =
		pem_list(object, where, "tls_root_certificates", &parts.tls_root_certificates_count);
	parts.tls_intermediate_certificates = pem_list(object, where, "tls_intermediate_certificates",
												   &parts.tls_intermediate_certificates_count);
	parts.node_ous = true;
	error_check(msp_config_make(&parts, allocator, &config, &error), &error);
	error_check(msp_config_wrap(config, allocator, &organization->msp_config, &error), &error);

	organization->name = text_member(object, where, "name");
	organization->application = boolean_member(object, where, "application", true);
	organization->endpoints =
		(const char *const *) text_list(object, where, "endpoints", &organization->endpoints_count);
	organization->orderer =
		boolean_member(object, where, "orderer", organization->endpoints_count > 0);
	anchors = text_list(object, where, "anchor_peers", &organization->anchors_count);
	addresses = palloc0(organization->anchors_count * sizeof(ConfigAddress) + 1);
	for (size_t i = 0; i < organization->anchors_count; i++)
		parse_address(where, anchors[i], &addresses[i]);
	organization->anchors = addresses;
}

static void
take_consenter(JsonbContainer *object, int index, ConfigConsenter *consenter)
{
	static const char *const names[] = {"address", "client_tls_certificate",
										"server_tls_certificate", NULL};
	const char *where = psprintf("consenters[%d]", index);
	ConfigAddress address;

	profile_check_members(object, where, names);
	parse_address(where, required_text(object, where, "address"), &address);
	consenter->host = address.host;
	consenter->port = address.port;
	consenter->client_tls_certificate =
		fb_bytes_of_text(required_text(object, where, "client_tls_certificate"));
	consenter->server_tls_certificate =
		fb_bytes_of_text(required_text(object, where, "server_tls_certificate"));
}

static void
take_lists(JsonbContainer *root, ConfigProfile *profile)
{
	JsonbContainer *organizations = container_member(root, "profile", "organizations", true);
	JsonbContainer *consenters = container_member(root, "profile", "consenters", true);
	uint32 organizations_count = organizations == NULL ? 0 : JsonContainerSize(organizations);
	uint32 consenters_count = consenters == NULL ? 0 : JsonContainerSize(consenters);
	ProfileOrganization *organization_list =
		palloc0(organizations_count * sizeof(ProfileOrganization) + 1);
	ConfigConsenter *consenter_list = palloc0(consenters_count * sizeof(ConfigConsenter) + 1);

	for (uint32 i = 0; i < organizations_count; i++)
		take_organization(object_element(organizations, i, psprintf("organizations[%u]", i)),
						  (int) i, &organization_list[i]);
	for (uint32 i = 0; i < consenters_count; i++)
		take_consenter(object_element(consenters, i, psprintf("consenters[%u]", i)), (int) i,
					   &consenter_list[i]);
	profile->organizations = organization_list;
	profile->organizations_count = organizations_count;
	profile->consenters = consenter_list;
	profile->consenters_count = consenters_count;
}

static void
profile_take_batch(JsonbContainer *root, ConfigProfile *profile)
{
	static const char *const names[] = {"max_message_count", "absolute_max_bytes",
										"preferred_max_bytes", NULL};
	JsonbContainer *size = container_member(root, "profile", "batch_size", false);
	char *timeout = text_member(root, "profile", "batch_timeout");
	FbError error;

	if (size != NULL)
	{
		profile_check_members(size, "batch_size", names);
		profile->batch_messages_max =
			number_member(size, "batch_size", "max_message_count", profile->batch_messages_max);
		profile->batch_bytes_absolute_max = number_member(size, "batch_size", "absolute_max_bytes",
														  profile->batch_bytes_absolute_max);
		profile->batch_bytes_preferred_max =
			number_member(size, "batch_size", "preferred_max_bytes",
						  profile->batch_bytes_preferred_max);
	}
	if (timeout != NULL && config_parse_duration(fb_bytes_of_text(timeout),
												 &profile->batch_timeout_ns, &error) != FB_OK)
		REFUSE_PROFILE(errdetail("%s: %s.", "batch_timeout", error.message));
}

static void
take_acls(JsonbContainer *root, ConfigProfile *profile)
{
	JsonbContainer *acls = container_member(root, "profile", "acls", false);
	JsonbIterator *iterator;
	JsonbValue value;
	JsonbIteratorToken token;
	ConfigAcl *list;
	size_t count = 0;

	if (acls == NULL)
		return;
	list = palloc0(JsonContainerSize(acls) * sizeof(ConfigAcl) + 1);
	iterator = JsonbIteratorInit(acls);
	while ((token = JsonbIteratorNext(&iterator, &value, true)) != WJB_DONE)
	{
		if (token == WJB_KEY)
			list[count].resource =
				memory_cstring(fb_bytes(value.val.string.val, value.val.string.len));
		else if (token == WJB_VALUE)
			list[count++].policy = profile_text(&value, "acls", "policy");
	}
	profile->acls = list;
	profile->acls_count = count;
}

/*
 * "MAJORITY Admins" and the like are rules over the organizations' policies, everything else is
 * policy language
 */
static bool
is_implicit_meta(const char *rule)
{
	return strncmp(rule, "ANY ", 4) == 0 || strncmp(rule, "ALL ", 4) == 0 ||
		   strncmp(rule, "MAJORITY ", 9) == 0;
}

static void
take_policies(JsonbContainer *root, ConfigProfile *profile)
{
	static const char *const names[] = {"group", "name", "rule", NULL};
	JsonbContainer *policies = container_member(root, "profile", "policies", true);
	uint32 count = policies == NULL ? 0 : JsonContainerSize(policies);
	ProfilePolicy *list = palloc0(count * sizeof(ProfilePolicy) + 1);

	for (uint32 i = 0; i < count; i++)
	{
		const char *where = psprintf("policies[%u]", i);
		JsonbContainer *object = object_element(policies, i, where);

		profile_check_members(object, where, names);
		list[i].group = required_text(object, where, "group");
		list[i].name = required_text(object, where, "name");
		list[i].rule = required_text(object, where, "rule");
		list[i].implicit_meta = is_implicit_meta(list[i].rule);
	}
	profile->policies = list;
	profile->policies_count = count;
}

FbBytes
channel_genesis_block(const char *name, Jsonb *document)
{
	static const char *const names[] = {"organizations",	 "consenters",
										"orderer_addresses", "batch_size",
										"batch_timeout",	 "acls",
										"policies",			 NULL};
	FbAllocator *allocator = memory_allocator(CurrentMemoryContext);
	ConfigProfile profile;
	FbBytes block;
	FbError error;

	if (!JB_ROOT_IS_OBJECT(document))
		REFUSE_PROFILE(errdetail("%s: must be an object.", "profile"));
	profile_check_members(&document->root, "profile", names);
	config_profile_defaults(&profile);
	profile.channel_id = name;
	take_lists(&document->root, &profile);
	profile.orderer_addresses =
		(const char *const *) text_list(&document->root, "profile", "orderer_addresses",
										&profile.orderer_addresses_count);
	profile_take_batch(&document->root, &profile);
	take_acls(&document->root, &profile);
	take_policies(&document->root, &profile);
	profile.timestamp_s = (int64) time(NULL);
	error_check(crypto_random(profile.nonce, sizeof(profile.nonce), &error), &error);
	error_check(config_genesis_block(allocator, &profile, &block, &error), &error);
	return block;
}
