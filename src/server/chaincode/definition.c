/*
 * definition: the chaincode definitions that a channel has agreed on, as stored in the state of
 * _lifecycle (docs/wire-format.md, "Chaincode definitions"), and the names that Fabric allows.
 */
#include "postgres.h"

#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/memutils.h"

#include "core/policy/policy.h"
#include "core/proto/proto.h"
#include "server/chaincode/chaincode_internal.h"

/* entries of the session's cache, which is emptied when it is full */
#define DEFINITION_CACHE_ENTRIES_MAX 1024

typedef struct DefinitionKey
{
	int ledger_id;
	char name[FB_CHAINCODE_NAME_BYTES_MAX + 1];
} DefinitionKey;

/*
 * The parsed definition, and the version of the Sequence key at which it was parsed: every commit
 * of a definition writes that key.
 */
typedef struct DefinitionEntry
{
	DefinitionKey key;	   /* must be first */
	MemoryContext context; /* NULL while the entry is empty */
	RwSetVersion version;  /* not present: the entry must not be used */
	Oid table;			   /* the world state from which it was read */
	char channel[FB_CHANNEL_ID_BYTES_MAX + 1];
	ChaincodeDefinition definition;
	bool approved_here; /* this organization's approval was found equal to the definition, and stays
						   equal */
	char approved_msp_id[FB_MSP_ID_BYTES_MAX + 1];
} DefinitionEntry;

static HTAB *definition_cache;

/* ---- names (core/chaincode/lifecycle/scc.go) ---- */

/* ^[a-zA-Z0-9]+([-_][a-zA-Z0-9]+)*$ and not the name of a system chaincode */
const char *
definition_check_name(const char *name)
{
	bool separator = true;

	for (const char *c = name; *c != '\0'; c++)
	{
		bool alphanumeric = name_is_alphanumeric(*c);

		if (!alphanumeric && (separator || strchr("-_", *c) == NULL))
			return "a name consists of letters and digits, with single \"_\" or \"-\" between them";
		separator = !alphanumeric;
	}
	if (separator)
		return "a name consists of letters and digits, with single \"_\" or \"-\" between them";
	if (strlen(name) > FB_CHAINCODE_NAME_BYTES_MAX)
		return "the name is too long";
	return system_chaincode_reserves(name) ? "it is the name of a system chaincode" : NULL;
}

/* ---- fields (core/chaincode/lifecycle/serializer.go) ---- */

FbBytes
definition_metadata_key(const char *space, const char *name)
{
	return fb_bytes_of_text(psprintf("%s/metadata/%s", space, name));
}

FbBytes
definition_field_key(const char *space, const char *name, const char *field)
{
	return fb_bytes_of_text(psprintf("%s/fields/%s/%s", space, name, field));
}

FbBytes
definition_pack(const ProtobufCMessage *message)
{
	FbBytes bytes;
	FbError error;

	error_check(proto_pack(message, memory_allocator(CurrentMemoryContext), &bytes, &error),
				&error);
	return bytes;
}

static FbBytes
definition_pack_bytes(FbBytes bytes)
{
	Lifecycle__StateData data = LIFECYCLE__STATE_DATA__INIT;

	data.type_case = LIFECYCLE__STATE_DATA__TYPE_BYTES;
	data.bytes = proto_data(bytes);
	return definition_pack(&data.base);
}

FbBytes
definition_pack_text(const char *value)
{
	Lifecycle__StateData data = LIFECYCLE__STATE_DATA__INIT;

	data.type_case = LIFECYCLE__STATE_DATA__TYPE_STRING;
	data.string = (char *) value;
	return definition_pack(&data.base);
}

FbBytes
definition_pack_number(int64 value)
{
	Lifecycle__StateData data = LIFECYCLE__STATE_DATA__INIT;

	data.type_case = LIFECYCLE__STATE_DATA__TYPE_INT64;
	data.int64 = value;
	return definition_pack(&data.base);
}

FbBytes
definition_pack_metadata(const char *datatype, const char *const *fields, int count)
{
	Lifecycle__StateMetadata metadata = LIFECYCLE__STATE_METADATA__INIT;

	metadata.datatype = (char *) datatype;
	metadata.n_fields = count;
	metadata.fields = (char **) fields;
	return definition_pack(&metadata.base);
}

/* the values of EndorsementInfo, ValidationInfo and Collections */
void
definition_pack_parameters(const ChaincodeDefinition *definition,
						   FbBytes values[DEFINITION_PARAMETERS_COUNT])
{
	Lifecycle__ChaincodeEndorsementInfo endorsement = LIFECYCLE__CHAINCODE_ENDORSEMENT_INFO__INIT;
	Lifecycle__ChaincodeValidationInfo validation = LIFECYCLE__CHAINCODE_VALIDATION_INFO__INIT;

	endorsement.version = definition->version;
	endorsement.init_required = definition->init_required;
	endorsement.endorsement_plugin = definition->endorsement_plugin;
	validation.validation_plugin = definition->validation_plugin;
	validation.validation_parameter = proto_data(definition->validation_parameter);
	values[0] = definition_pack_bytes(definition_pack(&endorsement.base));
	values[1] = definition_pack_bytes(definition_pack(&validation.base));
	values[2] = definition_pack_bytes(definition->collections);
}

/*
 * The state here was written by endorsed transactions, so it can be anything. The caller decides
 * whether bad state is an error.
 */
static FbStatus
definition_corrupted(FbError *error, const char *name, const char *field)
{
	fb_fail(error, FB_CORRUPTED, "definition of chaincode \"%s\" cannot be read", name);
	fb_error_detail(error, "The field \"%s\" under %s is missing or malformed.", field,
					LIFECYCLE_NAMESPACE);
	fb_error_hint(
		error,
		"Committing a definition with the next sequence replaces it. If fabric.verify_chain finds problems, "
		"fabric.rebuild_state rebuilds the world state from the blocks.");
	return FB_CORRUPTED;
}

static FbStatus
unpack_field(const char *name, const char *field, FbBytes value, int type_case,
			 Lifecycle__StateData **data, FbError *error)
{
	if (PROTO_UNPACK(lifecycle__state_data, value, memory_allocator(CurrentMemoryContext), data,
					 error) != FB_OK ||
		(int) (*data)->type_case != type_case)
		return definition_corrupted(error, name, field);
	return FB_OK;
}

static FbStatus
unpack_sequence(const char *name, FbBytes value, int64 *sequence, FbError *error)
{
	Lifecycle__StateData *data;

	FB_TRY(unpack_field(name, "Sequence", value, LIFECYCLE__STATE_DATA__TYPE_INT64, &data, error));
	*sequence = data->int64;
	return FB_OK;
}

/*
 * the bytes of a field as the reader returns them; an absent key gives none, as in Fabric's
 * Deserialize
 */
static FbStatus
read_bytes(const DefinitionReader *reader, const char *name, const char *field, FbBytes *bytes,
		   FbError *error)
{
	Lifecycle__StateData *data;
	FbBytes value;

	*bytes = FB_BYTES_EMPTY;
	if (!reader->get(reader, definition_field_key("namespaces", name, field), &value))
		return FB_OK;
	FB_TRY(unpack_field(name, field, value, LIFECYCLE__STATE_DATA__TYPE_BYTES, &data, error));
	*bytes = proto_bytes(data->bytes);
	return FB_OK;
}

/*
 * Read the parameters under a name: that of a chaincode or, in an organization's collection,
 * "chaincode#sequence".
 */
static FbStatus
read_parameters(const DefinitionReader *reader, const char *name, ChaincodeDefinition *definition,
				FbError *error)
{
	FbAllocator *allocator = memory_allocator(CurrentMemoryContext);
	Lifecycle__ChaincodeEndorsementInfo *endorsement;
	Lifecycle__ChaincodeValidationInfo *validation;
	FbBytes bytes;

	FB_TRY(read_bytes(reader, name, "EndorsementInfo", &bytes, error));
	if (PROTO_UNPACK(lifecycle__chaincode_endorsement_info, bytes, allocator, &endorsement,
					 error) != FB_OK)
		return definition_corrupted(error, name, "EndorsementInfo");
	FB_TRY(read_bytes(reader, name, "ValidationInfo", &bytes, error));
	if (PROTO_UNPACK(lifecycle__chaincode_validation_info, bytes, allocator, &validation, error) !=
		FB_OK)
		return definition_corrupted(error, name, "ValidationInfo");
	definition->version = endorsement->version;
	definition->init_required = endorsement->init_required;
	definition->endorsement_plugin = endorsement->endorsement_plugin;
	definition->validation_plugin = validation->validation_plugin;
	definition->validation_parameter = proto_bytes(validation->validation_parameter);
	FB_TRY(read_bytes(reader, name, "Collections", &definition->collections, error));
	if (PROTO_CHECK(protos__collection_config_package, definition->collections, error) != FB_OK)
		return definition_corrupted(error, name, "Collections");
	return FB_OK;
}

static FbStatus
definition_read_metadata(const DefinitionReader *reader, const char *space, const char *name,
						 const char *datatype, bool *exists, FbError *error)
{
	Lifecycle__StateMetadata *metadata;
	FbBytes value;

	*exists = reader->get(reader, definition_metadata_key(space, name), &value);
	if (*exists &&
		(PROTO_UNPACK(lifecycle__state_metadata, value, memory_allocator(CurrentMemoryContext),
					  &metadata, error) != FB_OK ||
		 strcmp(metadata->datatype, datatype) != 0))
		return definition_corrupted(error, name, "metadata");
	return FB_OK;
}

/* Read the definition whose Sequence key has this value. */
static FbStatus
definition_read(const DefinitionReader *reader, const char *name, FbBytes sequence,
				ChaincodeDefinition *definition, FbError *error)
{
	bool exists;

	memset(definition, 0, sizeof(*definition));
	definition->name = pstrdup(name);
	FB_TRY(unpack_sequence(name, sequence, &definition->sequence, error));
	FB_TRY(definition_read_metadata(reader, "namespaces", name, "ChaincodeDefinition", &exists,
									error));
	if (!exists)
		return definition_corrupted(error, name, "metadata");
	return read_parameters(reader, name, definition, error);
}

/* ---- the same for callers to which bad state is an error ---- */

int64
definition_read_sequence(const DefinitionReader *reader, const char *name)
{
	int64 sequence;
	FbBytes value;
	FbError error;

	if (!reader->get(reader, definition_field_key("namespaces", name, "Sequence"), &value))
		return 0;
	error_check(unpack_sequence(name, value, &sequence, &error), &error);
	return sequence;
}

char *
definition_read_text(const DefinitionReader *reader, const char *space, const char *name,
					 const char *field)
{
	Lifecycle__StateData *data;
	FbBytes value;
	FbError error;

	if (!reader->get(reader, definition_field_key(space, name, field), &value))
		return pstrdup("");
	error_check(unpack_field(name, field, value, LIFECYCLE__STATE_DATA__TYPE_STRING, &data, &error),
				&error);
	return data->string;
}

void
definition_read_parameters(const DefinitionReader *reader, const char *name,
						   ChaincodeDefinition *definition)
{
	FbError error;

	error_check(read_parameters(reader, name, definition, &error), &error);
}

bool
definition_has_metadata(const DefinitionReader *reader, const char *space, const char *name,
						const char *datatype)
{
	bool exists;
	FbError error;

	error_check(definition_read_metadata(reader, space, name, datatype, &exists, &error), &error);
	return exists;
}

/* ---- committed definitions ---- */

static bool
get_committed(const DefinitionReader *reader, FbBytes key, FbBytes *value)
{
	StateRow row;

	if (!state_store_get(reader->ledger, fb_bytes_of_text(LIFECYCLE_NAMESPACE), key,
						 reader->snapshot, &row))
		return false;
	*value = row.value;
	return true;
}

static bool
get_committed_private(const DefinitionReader *reader, FbBytes key, FbBytes *value)
{
	StateRow row;

	if (!private_store_get(reader->ledger, fb_bytes_of_text(LIFECYCLE_NAMESPACE),
						   fb_bytes_of_text(reader->collection), key, reader->snapshot, &row))
		return false;
	*value = row.value;
	return true;
}

static FbBytes
definition_copy_bytes(FbBytes from)
{
	FbBytes to;
	FbError error;

	error_check(fb_bytes_copy(memory_allocator(CurrentMemoryContext), from, &to, &error), &error);
	return to;
}

static void
copy_definition(const ChaincodeDefinition *from, ChaincodeDefinition *to)
{
	to->name = pstrdup(from->name);
	to->sequence = from->sequence;
	to->version = pstrdup(from->version);
	to->init_required = from->init_required;
	to->endorsement_plugin = pstrdup(from->endorsement_plugin);
	to->validation_plugin = pstrdup(from->validation_plugin);
	to->validation_parameter = definition_copy_bytes(from->validation_parameter);
	to->collections = definition_copy_bytes(from->collections);
	to->committed_at = from->committed_at;
}

/*
 * A rebuild of the state announces itself to all sessions by an invalidation of its table: the
 * versions of keys are the same afterwards, but values may differ.
 */
static void
definition_invalidate(Datum argument, Oid relation)
{
	HASH_SEQ_STATUS status;
	DefinitionEntry *entry;

	hash_seq_init(&status, definition_cache);
	while ((entry = hash_seq_search(&status)) != NULL)
		if (relation == InvalidOid || relation == entry->table)
			entry->version.present = false;
}

static void
definition_make_cache(void)
{
	HASHCTL control = {.keysize = sizeof(DefinitionKey),
					   .entrysize = sizeof(DefinitionEntry),
					   .hcxt = TopMemoryContext};

	definition_cache = hash_create("fabric chaincode definitions", 64, &control,
								   HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	CacheRegisterRelcacheCallback(definition_invalidate, (Datum) 0);
}

static void
empty_cache(void)
{
	HASH_SEQ_STATUS status;
	DefinitionEntry *entry;

	hash_seq_init(&status, definition_cache);
	while ((entry = hash_seq_search(&status)) != NULL)
	{
		if (entry->context != NULL)
			MemoryContextDelete(entry->context);
		hash_search(definition_cache, &entry->key, HASH_REMOVE, NULL);
	}
}

static DefinitionEntry *
definition_find_entry(const Ledger *ledger, const char *name, bool create)
{
	DefinitionKey key;
	DefinitionEntry *entry;
	bool found;

	memset(&key, 0, sizeof(key));
	key.ledger_id = ledger->id;
	strlcpy(key.name, name, sizeof(key.name));
	if (definition_cache == NULL)
		definition_make_cache();
	if (!create)
		return hash_search(definition_cache, &key, HASH_FIND, NULL);
	if (hash_get_num_entries(definition_cache) >= DEFINITION_CACHE_ENTRIES_MAX)
		empty_cache();
	entry = hash_search(definition_cache, &key, HASH_ENTER, &found);
	if (!found)
		entry->context = NULL;
	return entry;
}

static void
definition_remember(const Ledger *ledger, const ChaincodeDefinition *definition,
					RwSetVersion version)
{
	MemoryContext context = AllocSetContextCreate(TopMemoryContext, "fabric chaincode definition",
												  ALLOCSET_SMALL_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(context);
	DefinitionEntry *entry;
	ChaincodeDefinition copy;

	copy_definition(definition, &copy);
	MemoryContextSwitchTo(caller);
	entry = definition_find_entry(ledger, definition->name, true);
	if (entry->context != NULL)
		MemoryContextDelete(entry->context);
	entry->context = context;
	entry->version = version;
	entry->table = ledger->world_state.table;
	entry->definition = copy;
	entry->approved_here = false;
	strlcpy(entry->channel, ledger->channel, sizeof(entry->channel));
}

static DefinitionEntry *
find_valid_entry(const Ledger *ledger, const char *name, RwSetVersion version)
{
	DefinitionEntry *entry = definition_find_entry(ledger, name, false);

	if (entry == NULL || entry->context == NULL || !rwset_version_equal(entry->version, version) ||
		strcmp(entry->channel, ledger->channel) != 0)
		return NULL;
	return entry;
}

static void
system_definition(const SystemChaincode *chaincode, ChaincodeDefinition *definition)
{
	FbError error;

	memset(definition, 0, sizeof(*definition));
	definition->name = pstrdup(chaincode->name);
	definition->version = pstrdup(SYSTEM_CHAINCODE_VERSION);
	definition->endorsement_plugin = pstrdup(DEFINITION_ENDORSEMENT_PLUGIN);
	definition->validation_plugin = pstrdup(DEFINITION_VALIDATION_PLUGIN);
	error_check(application_policy_of_reference(memory_allocator(CurrentMemoryContext),
												chaincode->policy_reference,
												&definition->validation_parameter, &error),
				&error);
}

static FbStatus
definition_not_found(const char *name, FbError *error)
{
	return fb_fail(error, FB_CHAINCODE_NOT_FOUND, "chaincode \"%s\" is not defined on the channel",
				   FB_DISPLAY(fb_bytes_of_text(name)));
}

/* version: of the Sequence key */
static FbStatus
definition_look_up(const Ledger *ledger, const char *name, Snapshot snapshot,
				   ChaincodeDefinition *definition, RwSetVersion *version, FbError *error)
{
	DefinitionReader reader = {.get = get_committed, .ledger = ledger, .snapshot = snapshot};
	const SystemChaincode *system = system_chaincode_find(fb_bytes_of_text(name));
	DefinitionEntry *entry;
	StateRow row;

	version->present = false;
	if (system != NULL)
	{
		system_definition(system, definition);
		return FB_OK;
	}
	/*
	 * A definition never writes keys of other names, and some such keys would be fields of other
	 * chaincodes.
	 */
	if (definition_check_name(name) != NULL ||
		!state_store_get(ledger, fb_bytes_of_text(LIFECYCLE_NAMESPACE),
						 definition_field_key("namespaces", name, "Sequence"), snapshot, &row))
		return definition_not_found(name, error);
	*version = row.version;
	entry = find_valid_entry(ledger, name, row.version);
	if (entry != NULL)
	{
		copy_definition(&entry->definition, definition);
		return FB_OK;
	}
	FB_TRY(definition_read(&reader, name, row.value, definition, error));
	definition->committed_at = row.version;
	definition_remember(ledger, definition, row.version);
	return FB_OK;
}

FbStatus
definition_find(const char *channel, const char *name, ChaincodeDefinition *definition,
				FbError *error)
{
	RwSetVersion version;

	return definition_look_up(ledger_open(channel), name, NULL, definition, &version, error);
}

bool
definition_load(const Ledger *ledger, const char *name, Snapshot snapshot,
				ChaincodeDefinition *definition, RwSetVersion *version)
{
	FbError error;
	FbStatus status = definition_look_up(ledger, name, snapshot, definition, version, &error);

	if (status == FB_CHAINCODE_NOT_FOUND)
		return false;
	error_check(status, &error);
	return true;
}

bool
definition_get(const char *channel, const char *name, ChaincodeDefinition *definition)
{
	RwSetVersion version;

	return definition_load(ledger_open(channel), name, NULL, definition, &version);
}

typedef struct ForeignReader
{
	DefinitionReader reader; /* must be first */
	DefinitionGet get;
	void *context;
} ForeignReader;

static bool
get_foreign(const DefinitionReader *reader, FbBytes key, FbBytes *value)
{
	const ForeignReader *foreign = (const ForeignReader *) reader;

	return foreign->get(foreign->context, key, value);
}

FbStatus
definition_find_in(DefinitionGet get, void *context, const char *name,
				   ChaincodeDefinition *definition, FbError *error)
{
	ForeignReader foreign = {.reader = {.get = get_foreign}, .get = get, .context = context};
	const SystemChaincode *system = system_chaincode_find(fb_bytes_of_text(name));
	FbBytes sequence;

	if (system != NULL)
	{
		system_definition(system, definition);
		return FB_OK;
	}
	if (definition_check_name(name) != NULL ||
		!get(context, definition_field_key("namespaces", name, "Sequence"), &sequence))
		return definition_not_found(name, error);
	return definition_read(&foreign.reader, name, sequence, definition, error);
}

List *
definition_list(const char *channel)
{
	static const char prefix[] = "namespaces/metadata/";
	const Ledger *ledger = ledger_open(channel);
	StateScan *scan;
	StateRow row;
	List *names = NIL;
	List *definitions = NIL;
	ListCell *cell;

	/* '0' is the character after '/' */
	scan = state_store_scan(ledger, fb_bytes_of_text(LIFECYCLE_NAMESPACE), fb_bytes_of_text(prefix),
							fb_bytes_of_text("namespaces/metadata0"), NULL);
	while (state_scan_next(scan, &row))
	{
		FbBytes name = fb_bytes(row.key.data + strlen(prefix), row.key.size - strlen(prefix));

		if (memchr(name.data, 0, name.size) == NULL)
			names = lappend(names, memory_cstring(name));
	}
	state_scan_end(scan);
	foreach(cell, names)
	{
		ChaincodeDefinition *definition = palloc0(sizeof(ChaincodeDefinition));
		FbError error;
		FbStatus status = definition_find(channel, lfirst(cell), definition, &error);

		if (status == FB_CHAINCODE_NOT_FOUND)
			continue;
		if (status == FB_CORRUPTED)
			*definition = (ChaincodeDefinition) {.name = lfirst(cell)};
		else
			error_check(status, &error);
		definitions = lappend(definitions, definition);
	}
	return definitions;
}

/* the list in a message is cut at this size */
#define LIST_TEXT_BYTES_MAX 500

char *
definition_list_text(const char *channel)
{
	List *definitions = definition_list(channel);
	StringInfoData text;
	ListCell *cell;

	if (definitions == NIL)
		return pstrdup(_("No chaincode is defined on the channel."));
	initStringInfo(&text);
	appendStringInfoString(&text, _("Chaincodes of the channel: "));
	foreach(cell, definitions)
	{
		const char *name = ((ChaincodeDefinition *) lfirst(cell))->name;

		if (text.len + strlen(name) > LIST_TEXT_BYTES_MAX)
		{
			appendStringInfo(&text, _(" and %d more"),
							 list_length(definitions) - foreach_current_index(cell));
			break;
		}
		appendStringInfo(&text, "%s\"%s\"", foreach_current_index(cell) > 0 ? ", " : "", name);
	}
	appendStringInfoChar(&text, '.');
	return text.data;
}

/* ---- this organization's approval ---- */

char *
definition_implicit_collection(const char *msp_id)
{
	return psprintf("_implicit_org_%s", msp_id);
}

/* Are the parameters that the reader's organization approved equal to those of the definition? */
static bool
is_approved(const DefinitionReader *reader, const char *private_name,
			const ChaincodeDefinition *definition)
{
	FbBytes expected[DEFINITION_PARAMETERS_COUNT];

	if (!definition_has_metadata(reader, "namespaces", private_name, "ChaincodeParameters"))
		return false;
	definition_pack_parameters(definition, expected);
	for (int i = 0; i < DEFINITION_PARAMETERS_COUNT; i++)
	{
		FbBytes approved;

		if (!reader->get(reader,
						 definition_field_key("namespaces", private_name,
											  definition_parameter_names[i]),
						 &approved) ||
			!fb_bytes_equal(approved, expected[i]))
			return false;
	}
	return true;
}

char *
definition_find_package(const Ledger *ledger, Snapshot snapshot,
						const ChaincodeDefinition *definition, RwSetVersion version, bool *approved)
{
	DefinitionReader reader = {.get = get_committed_private,
							   .ledger = ledger,
							   .snapshot = snapshot,
							   .collection = definition_implicit_collection(guc_node_msp_id)};
	char *private_name = psprintf("%s#" INT64_FORMAT, definition->name, definition->sequence);
	DefinitionEntry *entry = find_valid_entry(ledger, definition->name, version);
	char *package_id;

	*approved = entry != NULL && entry->approved_here &&
				strcmp(entry->approved_msp_id, guc_node_msp_id) == 0;
	if (!*approved)
	{
		*approved = is_approved(&reader, private_name, definition);
		if (!*approved)
			return NULL;
		if (entry != NULL)
		{
			entry->approved_here = true;
			strlcpy(entry->approved_msp_id, guc_node_msp_id, sizeof(entry->approved_msp_id));
		}
	}
	package_id = definition_read_text(&reader, "chaincode-sources", private_name, "PackageID");
	return package_id[0] != '\0' ? package_id : NULL;
}

char *
definition_package_id(const char *channel, const ChaincodeDefinition *definition)
{
	bool approved;

	if (!definition->committed_at.present)
		return NULL;
	return definition_find_package(ledger_open(channel), NULL, definition, definition->committed_at,
								   &approved);
}

const char *const definition_parameter_names[DEFINITION_PARAMETERS_COUNT] = {"EndorsementInfo",
																			 "ValidationInfo",
																			 "Collections"};
