/*
 * transition.c: may one configuration follow another, as a whole?
 *
 * Two sets of rules. config_check_successor has those of every node
 * (common/channelconfig/bundle.go, ValidateNew): they decide whether a configuration block is
 * valid, so they must not depend on anything but the two configurations. config_check_orderer_rules
 * has those of orderers only (orderer/common/msgprocessor/maintenancefilter.go): they decide what
 * an orderer accepts, and a chain that another orderer made by other rules is still valid.
 */
#include "core/config/config_internal.h"

/* ---- every node ---- */

static FbStatus
check_msp_ids(const ConfigOrganization *old, size_t old_count, const ConfigOrganization *new,
			  size_t new_count, const char *kind, FbError *error)
{
	size_t at = 0;

	/* both lists are sorted by name */
	for (size_t i = 0; i < old_count; i++)
	{
		while (at < new_count && strcmp(new[at].name, old[i].name) < 0)
			at++;
		if (at < new_count && strcmp(new[at].name, old[i].name) == 0 &&
			strcmp(new[at].msp_id, old[i].msp_id) != 0)
		{
			fb_fail(error, FB_INVALID_CONFIG, "%s organization %s cannot change its MSP id", kind,
					old[i].name);
			fb_error_detail(error, "It is %s, the new configuration says %s.", old[i].msp_id,
							new[at].msp_id);
			fb_error_hint(error, "Add an organization of another name, and remove this one.");
			return FB_INVALID_CONFIG;
		}
	}
	return FB_OK;
}

/* More than one difference at once would leave the consenters without ids: consenters.c. */
static FbStatus
check_one_consenter(const ConfigBundle *current, const ConfigBundle *next, FbError *error)
{
	ConsenterIds ids;
	ConsenterIds after;
	ConsenterChange change;

	consenter_ids_first(current->consenters_count, &ids);
	return consenter_ids_follow(&ids, current, next, &after, &change, error);
}

FbStatus
config_check_successor(const ConfigBundle *current, const ConfigBundle *next, FbError *error)
{
	if (current->has_orderer)
	{
		if (!next->has_orderer)
			return fb_fail(error, FB_INVALID_CONFIG,
						   "the new configuration has no group /Channel/Orderer");
		FB_TRY(check_msp_ids(current->orderer_organizations, current->orderer_organizations_count,
							 next->orderer_organizations, next->orderer_organizations_count,
							 "orderer", error));
	}
	if (current->has_application)
	{
		if (!next->has_application)
			return fb_fail(error, FB_INVALID_CONFIG,
						   "the new configuration has no group /Channel/Application");
		FB_TRY(check_msp_ids(current->application_organizations,
							 current->application_organizations_count,
							 next->application_organizations, next->application_organizations_count,
							 "application", error));
	}
	return check_one_consenter(current, next, error);
}

static FbStatus
check_group_capabilities(FbAllocator *allocator, const Common__ConfigGroup *group, const char *kind,
						 FbError *error)
{
	Common__Capabilities *message;
	FbStatus status = config_tree_unpack(allocator, group, kind, "Capabilities",
										 &common__capabilities__descriptor,
										 (ProtobufCMessage **) (void *) &message, error);

	if (status == FB_OUT_OF_MEMORY)
		return status;
	/* bytes that are no capabilities are another problem, which making the bundle finds */
	if (status != FB_OK)
		return FB_OK;
	for (size_t i = 0; i < message->n_capabilities; i++)
		if (!config_capability_known(kind, message->capabilities[i]->key))
			return fb_fail(error, FB_OTHER_VERSION,
						   "%s capability \"%s\" is required but not supported", kind,
						   FB_DISPLAY(fb_bytes_of_text(message->capabilities[i]->key)));
	return FB_OK;
}

FbStatus
config_check_capabilities(FbAllocator *allocator, FbBytes config_envelope, FbError *error)
{
	Common__ConfigEnvelope *envelope;
	const Common__ConfigGroup *channel;

	FB_TRY(PROTO_UNPACK(common__config_envelope, config_envelope, allocator, &envelope, error));
	channel = envelope->config != NULL ? envelope->config->channel_group : NULL;
	FB_TRY(check_group_capabilities(allocator, channel, "Channel", error));
	FB_TRY(check_group_capabilities(allocator, config_tree_group(channel, "Orderer"), "Orderer",
									error));
	return check_group_capabilities(allocator, config_tree_group(channel, "Application"),
									"Application", error);
}

/* ---- orderers ---- */

/* common/capabilities/orderer.go, ConsensusTypeMigration */
static bool
may_migrate(const ConfigBundle *bundle)
{
	for (size_t i = 0; i < bundle->orderer_capabilities_count; i++)
		if (strcmp(bundle->orderer_capabilities[i], "V1_4_2") == 0 ||
			strcmp(bundle->orderer_capabilities[i], "V2_0") == 0)
			return true;
	return false;
}

/* ensureConsensusTypeChangeOnly */
static FbStatus
check_only_consensus_type(FbAllocator *allocator, const ConfigBundle *next, FbError *error)
{
	Common__ConfigEnvelope *envelope;
	Common__ConfigUpdate *update;
	const Common__ConfigGroup *orderer;

	FB_TRY(
		PROTO_UNPACK(common__config_envelope, next->config_envelope, allocator, &envelope, error));
	FB_TRY(config_unpack_update(allocator, envelope->last_update, NULL, &update, error));
	orderer = config_tree_group(update->write_set, "Orderer");
	if (orderer != NULL && update->write_set->n_groups == 1 && update->write_set->n_values == 0 &&
		orderer->n_groups == 0 && orderer->n_values == 1 &&
		config_tree_value(orderer, "ConsensusType") != NULL)
		return FB_OK;
	fb_fail(error, FB_INVALID_CONFIG,
			"an update that begins or ends maintenance mode must change nothing else");
	fb_error_hint(error, "Change only the state in the value ConsensusType of /Channel/Orderer.");
	return FB_INVALID_CONFIG;
}

static FbStatus
check_consensus_type(const ConfigBundle *current, const ConfigBundle *next, FbError *error)
{
	if (strcmp(current->consensus_type, next->consensus_type) == 0)
		return FB_OK;
	if (!current->maintenance || !next->maintenance)
	{
		fb_fail(error, FB_INVALID_CONFIG, "the consensus type can change only in maintenance mode");
		fb_error_detail(error, "It is %s, the new configuration says %s.", current->consensus_type,
						next->consensus_type);
		return FB_INVALID_CONFIG;
	}
	fb_fail(error, FB_INVALID_CONFIG, "the consensus type cannot change from %s to %s",
			current->consensus_type, next->consensus_type);
	fb_error_detail(error, "This version orders with etcdraft only.");
	return FB_INVALID_CONFIG;
}

FbStatus
config_check_orderer_rules(FbAllocator *allocator, const ConfigBundle *current,
						   const ConfigBundle *next, FbError *error)
{
	if (!current->has_orderer || !next->has_orderer)
		return fb_fail(error, FB_INVALID_CONFIG, "the configuration has no group /Channel/Orderer");
	if (!may_migrate(current))
	{
		if (next->maintenance)
			return fb_fail(error, FB_INVALID_CONFIG,
						   "maintenance mode needs orderer capability V1_4_2 or V2_0");
		if (strcmp(current->consensus_type, next->consensus_type) != 0)
			return fb_fail(error, FB_INVALID_CONFIG,
						   "changing the consensus type needs orderer capability V1_4_2 or V2_0");
	}
	else
	{
		if (current->maintenance != next->maintenance)
		{
			FB_TRY(check_only_consensus_type(allocator, next, error));
			if (strcmp(current->consensus_type, next->consensus_type) != 0 ||
				!fb_bytes_equal(current->consensus_metadata, next->consensus_metadata))
				return fb_fail(
					error, FB_INVALID_CONFIG,
					"an update that begins or ends maintenance mode must change only the state of the consensus type");
		}
		FB_TRY(check_consensus_type(current, next, error));
	}
	return FB_OK;
}
