/*
 * lifecycle_state: what _lifecycle reads and writes: fields of definitions, in the public state and
 * in organizations' implicit collections, through the read-write set of the call
 * (core/chaincode/lifecycle/serializer.go).
 */
#include "postgres.h"

#include "server/chaincode/chaincode_internal.h"

static bool
get_recorded(const DefinitionReader *reader, FbBytes key, FbBytes *value)
{
	return state_access_get(reader->simulation, fb_bytes_of_text(LIFECYCLE_NAMESPACE), key, value);
}

static bool
get_recorded_private(const DefinitionReader *reader, FbBytes key, FbBytes *value)
{
	return state_access_get_private(reader->simulation, fb_bytes_of_text(LIFECYCLE_NAMESPACE),
									fb_bytes_of_text(reader->collection), key, value);
}

static bool
get_held_private(const DefinitionReader *reader, FbBytes key, FbBytes *value)
{
	return state_access_held_private(reader->simulation, fb_bytes_of_text(LIFECYCLE_NAMESPACE),
									 fb_bytes_of_text(reader->collection), key, value);
}

void
lifecycle_state_put(const DefinitionReader *state, FbBytes key, FbBytes value)
{
	FbBytes space = fb_bytes_of_text(LIFECYCLE_NAMESPACE);

	if (state->collection != NULL)
		state_access_put_private(state->simulation, space, fb_bytes_of_text(state->collection), key,
								 value);
	else
		state_access_put(state->simulation, space, key, value);
}

DefinitionReader
lifecycle_state_open(Simulation *simulation)
{
	return (DefinitionReader) {.get = get_recorded,
							   .ledger = simulation->ledger,
							   .snapshot = simulation->snapshot,
							   .simulation = simulation};
}

DefinitionReader
lifecycle_state_open_private(Simulation *simulation, const char *msp_id, bool held)
{
	return (DefinitionReader) {.get = held ? get_held_private : get_recorded_private,
							   .ledger = simulation->ledger,
							   .snapshot = simulation->snapshot,
							   .simulation = simulation,
							   .collection = definition_implicit_collection(msp_id)};
}

bool
lifecycle_state_serialize(const DefinitionReader *state, const char *space, const char *name,
						  const char *datatype, const char *const *fields, const FbBytes *values,
						  int count)
{
	bool exists = definition_has_metadata(state, space, name, datatype);
	bool written = !exists;

	for (int i = 0; i < count; i++)
	{
		FbBytes key = definition_field_key(space, name, fields[i]);
		FbBytes old;

		if (exists && state->get(state, key, &old) && fb_bytes_equal(old, values[i]))
			continue;
		lifecycle_state_put(state, key, values[i]);
		written = true;
	}
	if (!exists)
		lifecycle_state_put(state, definition_metadata_key(space, name),
							definition_pack_metadata(datatype, fields, count));
	return written;
}

bool
lifecycle_state_is_serialized(Simulation *simulation, const char *msp_id, const char *private_name,
							  const ChaincodeDefinition *definition, List **mismatches)
{
	FbBytes space = fb_bytes_of_text(LIFECYCLE_NAMESPACE);
	FbBytes collection = fb_bytes_of_text(definition_implicit_collection(msp_id));
	FbBytes keys[DEFINITION_PARAMETERS_COUNT + 1];
	FbBytes values[DEFINITION_PARAMETERS_COUNT + 1];
	bool fits[DEFINITION_PARAMETERS_COUNT + 1];

	keys[0] = definition_metadata_key("namespaces", private_name);
	values[0] = definition_pack_metadata("ChaincodeParameters", definition_parameter_names,
										 DEFINITION_PARAMETERS_COUNT);
	definition_pack_parameters(definition, values + 1);
	for (int i = 0; i < DEFINITION_PARAMETERS_COUNT; i++)
		keys[i + 1] =
			definition_field_key("namespaces", private_name, definition_parameter_names[i]);
	/* read all of them before comparing any, so that the read set does not depend on the result */
	for (int i = 0; i < lengthof(keys); i++)
	{
		uint8_t hash[CRYPTO_SHA256_BYTES];
		FbBytes committed;

		crypto_sha256(values[i], hash);
		fits[i] =
			state_access_get_private_hash(simulation, space, collection, keys[i], &committed) &&
			fb_bytes_equal(committed, fb_bytes(hash, sizeof(hash)));
	}
	*mismatches = NIL;
	if (!fits[0])
		*mismatches = list_make1("ChaincodeParameters");
	else
		for (int i = 0; i < DEFINITION_PARAMETERS_COUNT; i++)
			if (!fits[i + 1])
				*mismatches = lappend(*mismatches, (char *) definition_parameter_names[i]);
	return *mismatches == NIL;
}
