/*
 * view_functions.c: functions for the views: columns that are decoded only when a query uses them
 */
#include "server/surface/surface_internal.h"

#include "catalog/pg_type.h"
#include "utils/array.h"

#include "server/channel/channel.h"
#include "server/ledger/ledger.h"

#include "core/block/block.h"
#include "core/policy/policy.h"
#include "core/proto/proto.h"

FABRIC_FUNCTION(fabric_internal_tx_id_text);
FABRIC_FUNCTION(fabric_internal_validation_code_name);
FABRIC_FUNCTION(fabric_internal_block_signers);
FABRIC_FUNCTION(fabric_internal_key_policy);
FABRIC_FUNCTION(fabric_internal_envelope_arguments);
FABRIC_FUNCTION(fabric_internal_envelope_creator);
FABRIC_FUNCTION(fabric_internal_envelope_bytes);
FABRIC_FUNCTION(fabric_internal_envelope_event);
FABRIC_FUNCTION(fabric_internal_organizations);
FABRIC_FUNCTION(fabric_internal_nodes);

/* tx_id_text(tx_id): the stored form as text */
Datum
fabric_internal_tx_id_text(PG_FUNCTION_ARGS)
{
	return result_payload_text(tx_index_decode(PG_GETARG_FB_BYTES(0)));
}

Datum
fabric_internal_validation_code_name(PG_FUNCTION_ARGS)
{
	const char *name = tx_code_name(PG_GETARG_INT16(0));

	PG_RETURN_TEXT_P(cstring_to_text(name != NULL ? name : psprintf("%d", PG_GETARG_INT16(0))));
}

static Datum
text_array(List *texts)
{
	Datum *elements = palloc(list_length(texts) * sizeof(Datum) + 1);
	int count = 0;
	ListCell *cell;

	foreach(cell, texts)
		elements[count++] = CStringGetTextDatum(lfirst(cell));
	return PointerGetDatum(construct_array(elements, count, TEXTOID, -1, false, TYPALIGN_INT));
}

/* block_signers(signatures): the MSP ids of the orderers that signed a block, by its metadata */
Datum
fabric_internal_block_signers(PG_FUNCTION_ARGS)
{
	FbAllocator *allocator = memory_allocator(CurrentMemoryContext);
	BlockSignatures slot;
	List *signers = NIL;
	FbError error;

	if (block_signatures_parse(PG_GETARG_FB_BYTES(0), allocator, &slot, &error) != FB_OK)
		PG_RETURN_NULL();
	for (size_t i = 0; i < slot.signatures_count; i++)
	{
		Common__SignatureHeader *header;
		const char *msp_id;
		FbBytes certificate;

		if (PROTO_UNPACK(common__signature_header, slot.signatures[i].signature_header, allocator,
						 &header, &error) == FB_OK &&
			identity_unpack(proto_bytes(header->creator), allocator, &msp_id, &certificate,
							&error) == FB_OK)
			signers = lappend(signers, (char *) msp_id);
	}
	return text_array(signers);
}

/* key_policy(metadata): the key's own endorsement policy, null when it has none */
Datum
fabric_internal_key_policy(PG_FUNCTION_ARGS)
{
	FbAllocator *allocator = memory_allocator(CurrentMemoryContext);
	FbBytes parameter;
	char *text;
	FbError error;

	if (rwset_metadata_validation_parameter(allocator, PG_GETARG_FB_BYTES(0), &parameter, &error) !=
			FB_OK ||
		parameter.size == 0 || policy_print(allocator, parameter, &text, &error) != FB_OK)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(text));
}

/* ---- envelopes, as stored in the channel's partition; parts that cannot be read are null ---- */

static FbBytes
argument_envelope(FunctionCallInfo fcinfo)
{
	return envelope_codec_decode(ledger_open(text_to_cstring(PG_GETARG_TEXT_PP(0))),
								 PG_GETARG_FB_BYTES(1));
}

Datum
fabric_internal_envelope_bytes(PG_FUNCTION_ARGS)
{
	PG_RETURN_BYTEA_P(memory_bytea(argument_envelope(fcinfo)));
}

/* Parse a transaction; false when the envelope does not hold one that can be read. */
static bool
read_transaction(FunctionCallInfo fcinfo, TxView *view)
{
	FbAllocator *allocator = memory_allocator(CurrentMemoryContext);
	TxCode code;
	FbError error;

	error_check(check_structure(allocator, argument_envelope(fcinfo),
								fb_bytes_of_text(text_to_cstring(PG_GETARG_TEXT_PP(0))), view,
								&code, &error),
				&error);
	return view->payload.size > 0;
}

/* envelope_creator(channel, envelope): SerializedIdentity */
Datum
fabric_internal_envelope_creator(PG_FUNCTION_ARGS)
{
	TxView view = {0};

	if (!read_transaction(fcinfo, &view) || view.creator.size == 0)
		PG_RETURN_NULL();
	PG_RETURN_BYTEA_P(memory_bytea(view.creator));
}

/*
 * envelope_arguments(channel, envelope): the chaincode's arguments, the function's name first;
 * bytes that are not text as \x...
 */
Datum
fabric_internal_envelope_arguments(PG_FUNCTION_ARGS)
{
	FbAllocator *allocator = memory_allocator(CurrentMemoryContext);
	TxView view = {0};
	Protos__ChaincodeProposalPayload *payload;
	Protos__ChaincodeInvocationSpec *invocation;
	Protos__ChaincodeInput *input;
	Datum *elements;
	FbError error;

	if (!read_transaction(fcinfo, &view) || view.proposal_payload.size == 0 ||
		PROTO_UNPACK(protos__chaincode_proposal_payload, view.proposal_payload, allocator, &payload,
					 &error) != FB_OK ||
		PROTO_UNPACK(protos__chaincode_invocation_spec, proto_bytes(payload->input), allocator,
					 &invocation, &error) != FB_OK ||
		invocation->chaincode_spec == NULL || invocation->chaincode_spec->input == NULL)
		PG_RETURN_NULL();
	input = invocation->chaincode_spec->input;
	elements = palloc(input->n_args * sizeof(Datum) + 1);
	for (size_t i = 0; i < input->n_args; i++)
		elements[i] = result_payload_text(proto_bytes(input->args[i]));
	PG_RETURN_ARRAYTYPE_P(
		construct_array(elements, (int) input->n_args, TEXTOID, -1, false, TYPALIGN_INT));
}

/* envelope_event(channel, envelope): its chaincode event, if it has one */
Datum
fabric_internal_envelope_event(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	TxView view = {0};
	Datum values[3];
	bool nulls[3] = {false};

	InitMaterializedSRF(fcinfo, 0);
	if (!read_transaction(fcinfo, &view) || view.event.size == 0)
		return (Datum) 0;
	values[0] = result_payload_text(view.event_view.chaincode_name);
	values[1] = result_payload_text(view.event_view.event_name);
	values[2] = PointerGetDatum(memory_bytea(view.event_view.payload));
	RESULT_ADD(result, values, nulls);
	return (Datum) 0;
}

/* ---- the channel's configuration ---- */

static List *
endpoint_list(const ConfigOrganization *organization)
{
	List *list = NIL;

	for (size_t i = 0; organization != NULL && i < organization->endpoints_count; i++)
		list = lappend(list, (char *) organization->endpoints[i]);
	return list;
}

static List *
anchor_list(const ConfigOrganization *organization)
{
	List *list = NIL;

	for (size_t i = 0; organization != NULL && i < organization->anchors_count; i++)
		list = lappend(list, psprintf("%s:%u", organization->anchors[i].host,
									  organization->anchors[i].port));
	return list;
}

/* organizations(channel): one row for each MSP */
Datum
fabric_internal_organizations(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	const Channel *channel = channel_open(argument_text(fcinfo, 0, "channel"));
	MspManager *msps = channel->bundle->msps;

	InitMaterializedSRF(fcinfo, 0);
	for (size_t i = 0; i < msp_manager_count(msps); i++)
	{
		const char *id = msp_id(msp_manager_msp(msps, i));
		const ConfigOrganization *application =
			config_application_organization(channel->bundle, id);
		const ConfigOrganization *orderer = config_orderer_organization(channel->bundle, id);
		const ConfigOrganization *any = application != NULL ? application : orderer;
		Datum values[7];
		bool nulls[7] = {false};

		if (any == NULL)
			continue;
		values[0] = CStringGetTextDatum(id);
		values[1] = CStringGetTextDatum(any->name);
		values[2] = BoolGetDatum(application != NULL);
		values[3] = BoolGetDatum(orderer != NULL);
		values[4] = text_array(anchor_list(application));
		values[5] = text_array(endpoint_list(orderer));
		values[6] = BoolGetDatum(strcmp(id, guc_node_msp_id) == 0);
		RESULT_ADD(result, values, nulls);
	}
	return (Datum) 0;
}

/* the organization whose TLS CA issued a consenter's certificate; NULL if none did */
static const char *
consenter_msp_id(const ConfigBundle *bundle, const ConfigConsenter *consenter)
{
	CryptoCertificate *certificate;
	const char *found = NULL;
	FbError error;

	if (crypto_certificate_parse(consenter->client_tls_certificate, &certificate, &error) != FB_OK)
		return NULL;
	for (size_t i = 0; found == NULL && i < msp_manager_count(bundle->msps); i++)
	{
		const Msp *msp = msp_manager_msp(bundle->msps, i);

		if (msp_check_tls_certificate(msp, certificate,
									  crypto_certificate_not_before(certificate) + 1,
									  &error) == FB_OK)
			found = msp_id(msp);
	}
	crypto_certificate_free(certificate);
	return found;
}

/* columns of fabric_internal.nodes */
#define NODES_COLUMNS 9

/*
 * columns with the observations of this server's processes about the node: state, answered_at,
 * last_error, failed_at
 */
static void
set_contact(const char *address, Datum *values, bool *nulls)
{
	Contact contact;

	(void) contact_find(address, &contact);
	nulls[0] = contact.answered_at == 0 && contact.failed_at == 0;
	values[0] = CStringGetTextDatum(contact.unanswered ? "silent"
									: contact.behind   ? "behind"
													   : "answers");
	nulls[1] = contact.answered_at == 0;
	values[1] = TimestampTzGetDatum(contact.answered_at);
	nulls[2] = contact.failed_at == 0;
	values[2] = CStringGetTextDatum(contact.last_error);
	nulls[3] = contact.failed_at == 0;
	values[3] = TimestampTzGetDatum(contact.failed_at);
}

/* own: is it this node? */
static void
put_node(ReturnSetInfo *result, const char *address, const char *role, const char *id,
		 uint64 consenter_id, bool own)
{
	Datum values[NODES_COLUMNS] = {0};
	bool nulls[NODES_COLUMNS] = {false};

	values[0] = CStringGetTextDatum(address);
	values[1] = CStringGetTextDatum(role);
	nulls[2] = id == NULL;
	values[2] = nulls[2] ? (Datum) 0 : CStringGetTextDatum(id);
	nulls[3] = consenter_id == 0;
	values[3] = Int64GetDatum((int64) consenter_id);
	values[4] = BoolGetDatum(own);
	set_contact(address, &values[5], &nulls[5]);
	/* there are no observations of this node itself */
	for (int i = 5; own && i < NODES_COLUMNS; i++)
		nulls[i] = true;
	RESULT_ADD(result, values, nulls);
}

static bool
has_text(const List *texts, const char *text)
{
	const ListCell *cell;

	foreach(cell, texts)
		if (pg_strcasecmp(lfirst(cell), text) == 0)
			return true;
	return false;
}

static void
put_peers(ReturnSetInfo *result, const Channel *channel)
{
	const ConfigBundle *bundle = channel->bundle;
	List *own_others = channel_own_peers(channel);
	ListCell *cell;

	for (size_t i = 0; i < bundle->application_organizations_count; i++)
	{
		const ConfigOrganization *organization = &bundle->application_organizations[i];
		bool own = strcmp(organization->msp_id, guc_node_msp_id) == 0;

		foreach(cell, anchor_list(organization))
			put_node(result, lfirst(cell), "peer", organization->msp_id, 0,
					 own && !has_text(own_others, lfirst(cell)));
	}
}

/* the consenters, and addresses of orderers that belong to no consenter */
static void
put_orderers(ReturnSetInfo *result, const Channel *channel)
{
	const ConfigBundle *bundle = channel->bundle;
	List *addresses = NIL;
	ListCell *cell;

	for (size_t i = 0; i < bundle->consenters_count; i++)
	{
		const ConfigConsenter *consenter = &bundle->consenters[i];
		char *address = psprintf("%s:%u", consenter->host, consenter->port);
		uint64 id = consenter_ids_id(&channel->consenter_ids, i);

		put_node(result, address, "orderer", consenter_msp_id(bundle, consenter), id,
				 id != 0 && channel_own_consenter(channel) == id);
		addresses = lappend(addresses, address);
	}
	foreach(cell, channel_block_sources(channel))
	{
		const BlockSource *source = lfirst(cell);

		if (source->tier == SOURCE_OWN_PEER || has_text(addresses, source->address))
			continue;
		put_node(result, source->address, "orderer",
				 source->tier == SOURCE_OWN_ORDERER ? guc_node_msp_id : NULL, 0, false);
	}
}

/* nodes(channel): the peers and orderers that the configuration names */
Datum
fabric_internal_nodes(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	const Channel *channel = channel_open(argument_text(fcinfo, 0, "channel"));

	InitMaterializedSRF(fcinfo, 0);
	put_peers(result, channel);
	put_orderers(result, channel);
	return (Datum) 0;
}
