/* chaincode_functions.c: SQL functions of packages and committed definitions */
#include "server/surface/surface_internal.h"

#include "funcapi.h"
#include "utils/builtins.h"

#include "core/policy/policy.h"
#include "core/proto/proto.h"
#include "server/chaincode/chaincode.h"

FABRIC_FUNCTION(fabric_package_chaincode);
FABRIC_FUNCTION(fabric_package_info);
FABRIC_FUNCTION(fabric_install_chaincode);
FABRIC_FUNCTION(fabric_uninstall_chaincode);
FABRIC_FUNCTION(fabric_get_installed_package);
FABRIC_FUNCTION(fabric_list_chaincodes);
FABRIC_FUNCTION(fabric_chaincode_settings);

Datum
fabric_package_chaincode(PG_FUNCTION_ARGS)
{
	argument_require(fcinfo, 0, "label");
	argument_require(fcinfo, 1, "source");
	argument_require(fcinfo, 2, "language");
	PG_RETURN_BYTEA_P(package_build(text_to_cstring(PG_GETARG_TEXT_PP(0)),
									text_to_cstring(PG_GETARG_TEXT_PP(2)), PG_GETARG_FB_BYTES(1)));
}

Datum
fabric_package_info(PG_FUNCTION_ARGS)
{
	ChaincodePackage package;
	TupleDesc description;
	Datum values[5];
	bool nulls[5] = {false};

	argument_require(fcinfo, 0, "package");
	if (get_call_result_type(fcinfo, NULL, &description) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	package_read(PG_GETARG_FB_BYTES(0), &package);
	values[0] = CStringGetTextDatum(package.package_id);
	values[1] = CStringGetTextDatum(package.label);
	values[2] = CStringGetTextDatum(package.type);
	values[3] = CStringGetTextDatum(package.path);
	nulls[4] = package.source == NULL;
	values[4] = nulls[4] ? (Datum) 0 : CStringGetTextDatum(package.source);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(description), values, nulls)));
}

Datum
fabric_install_chaincode(PG_FUNCTION_ARGS)
{
	argument_require(fcinfo, 0, "package");
	argument_require(fcinfo, 1, "allow_warnings");
	PG_RETURN_TEXT_P(cstring_to_text(package_install(PG_GETARG_FB_BYTES(0), PG_GETARG_BOOL(1))));
}

Datum
fabric_uninstall_chaincode(PG_FUNCTION_ARGS)
{
	argument_require(fcinfo, 0, "package_id");
	package_uninstall(text_to_cstring(PG_GETARG_TEXT_PP(0)));
	PG_RETURN_VOID();
}

Datum
fabric_get_installed_package(PG_FUNCTION_ARGS)
{
	argument_require(fcinfo, 0, "package_id");
	PG_RETURN_BYTEA_P(package_get(text_to_cstring(PG_GETARG_TEXT_PP(0))));
}

/*
 * the endorsement policy as text: a signature policy, or the path of a channel policy; NULL when it
 * cannot be read
 */
static char *
policy_of(FbBytes application_policy)
{
	FbAllocator *allocator = memory_allocator(CurrentMemoryContext);
	Protos__ApplicationPolicy *policy;
	FbError error;
	FbBytes envelope;
	char *text;

	if (PROTO_UNPACK(protos__application_policy, application_policy, allocator, &policy, &error) !=
		FB_OK)
		return NULL;
	if (policy->type_case == PROTOS__APPLICATION_POLICY__TYPE_CHANNEL_CONFIG_POLICY_REFERENCE)
		return policy->channel_config_policy_reference;
	if (policy->type_case != PROTOS__APPLICATION_POLICY__TYPE_SIGNATURE_POLICY ||
		PROTO_PACK(policy->signature_policy, allocator, &envelope, &error) != FB_OK ||
		policy_print(allocator, envelope, &text, &error) != FB_OK)
		return NULL;
	return text;
}

Datum
fabric_list_chaincodes(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *set = (ReturnSetInfo *) fcinfo->resultinfo;
	const char *channel;
	ListCell *cell;

	argument_require(fcinfo, 0, "channel");
	channel = text_to_cstring(PG_GETARG_TEXT_PP(0));
	InitMaterializedSRF(fcinfo, 0);
	foreach(cell, definition_list(channel))
	{
		ChaincodeDefinition *definition = lfirst(cell);
		char *policy = policy_of(definition->validation_parameter);
		char *package_id = definition_package_id(channel, definition);
		Datum values[8] = {0};
		bool nulls[8] = {false};

		values[0] = CStringGetTextDatum(definition->name);
		if (definition->version == NULL)
		{
			/* it cannot be parsed: only the name is known */
			memset(nulls + 1, true, sizeof(nulls) - 1);
			RESULT_ADD(set, values, nulls);
			continue;
		}
		values[1] = CStringGetTextDatum(definition->version);
		values[2] = Int64GetDatum(definition->sequence);
		nulls[3] = policy == NULL;
		values[3] = nulls[3] ? (Datum) 0 : CStringGetTextDatum(policy);
		values[4] = BoolGetDatum(definition->init_required);
		nulls[5] = definition->collections.size == 0;
		values[5] = nulls[5] ? (Datum) 0 : PointerGetDatum(memory_bytea(definition->collections));
		nulls[6] = package_id == NULL;
		values[6] = nulls[6] ? (Datum) 0 : CStringGetTextDatum(package_id);
		values[7] = BoolGetDatum(package_id != NULL && package_is_installed(package_id));
		RESULT_ADD(set, values, nulls);
	}
	return (Datum) 0;
}

Datum
fabric_chaincode_settings(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *set = (ReturnSetInfo *) fcinfo->resultinfo;

	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; i < settings_table_count; i++)
	{
		const SettingRule *rule = &settings_table[i];
		Datum values[3] = {0};
		bool nulls[3] = {false};

		values[0] = CStringGetTextDatum(rule->name);
		nulls[1] = rule->value == NULL;
		values[1] = nulls[1] ? (Datum) 0 : CStringGetTextDatum(rule->value);
		values[2] = CStringGetTextDatum(rule->reason);
		RESULT_ADD(set, values, nulls);
	}
	return (Datum) 0;
}
