/*
 * opaque.c: which bytes fields hold another packed message, and of which type: always the same
 * type, or one that depends on another field of the message, or on the place in the configuration
 * tree. In Fabric this is in fabric-config/protolator/protoext.
 */
#include "core/proto/proto_internal.h"

/* bytes fields that always hold the same type */
static const struct
{
	const ProtobufCMessageDescriptor *outer;
	uint32_t field;
	const ProtobufCMessageDescriptor *inner;
} fixed_types[] = {
	{&common__block_data__descriptor, 1, &common__envelope__descriptor},
	{&common__envelope__descriptor, 1, &common__payload__descriptor},
	{&common__header__descriptor, 1, &common__channel_header__descriptor},
	{&common__header__descriptor, 2, &common__signature_header__descriptor},
	{&common__signature_header__descriptor, 1, &msp__serialized_identity__descriptor},
	{&common__config_update_envelope__descriptor, 1, &common__config_update__descriptor},
	{&common__config_signature__descriptor, 1, &common__signature_header__descriptor},
	{&protos__transaction_action__descriptor, 1, &common__signature_header__descriptor},
	{&protos__transaction_action__descriptor, 2, &protos__chaincode_action_payload__descriptor},
	{&protos__chaincode_action_payload__descriptor, 1,
	 &protos__chaincode_proposal_payload__descriptor},
	{&protos__chaincode_endorsed_action__descriptor, 1,
	 &protos__proposal_response_payload__descriptor},
	{&protos__chaincode_proposal_payload__descriptor, 1,
	 &protos__chaincode_invocation_spec__descriptor},
	{&protos__proposal_response_payload__descriptor, 2, &protos__chaincode_action__descriptor},
	{&protos__chaincode_action__descriptor, 1, &rwset__tx_read_write_set__descriptor},
	{&protos__chaincode_action__descriptor, 2, &protos__chaincode_event__descriptor},
};

/* types of the values of the configuration tree, by the group that contains them */
static const struct
{
	OpaqueGroup group;
	const char *name;
	const ProtobufCMessageDescriptor *inner;
} config_values[] = {
	{OPAQUE_CHANNEL, "HashingAlgorithm", &common__hashing_algorithm__descriptor},
	{OPAQUE_CHANNEL, "BlockDataHashingStructure",
	 &common__block_data_hashing_structure__descriptor},
	{OPAQUE_CHANNEL, "OrdererAddresses", &common__orderer_addresses__descriptor},
	{OPAQUE_CHANNEL, "Consortium", &common__consortium__descriptor},
	{OPAQUE_CHANNEL, "Capabilities", &common__capabilities__descriptor},
	{OPAQUE_ORDERER, "ConsensusType", &orderer__consensus_type__descriptor},
	{OPAQUE_ORDERER, "BatchSize", &orderer__batch_size__descriptor},
	{OPAQUE_ORDERER, "BatchTimeout", &orderer__batch_timeout__descriptor},
	{OPAQUE_ORDERER, "KafkaBrokers", &orderer__kafka_brokers__descriptor},
	{OPAQUE_ORDERER, "ChannelRestrictions", &orderer__channel_restrictions__descriptor},
	{OPAQUE_ORDERER, "Capabilities", &common__capabilities__descriptor},
	{OPAQUE_ORDERER, "Orderers", &common__orderers__descriptor},
	{OPAQUE_ORDERER_ORG, "MSP", &msp__mspconfig__descriptor},
	{OPAQUE_ORDERER_ORG, "Endpoints", &common__orderer_addresses__descriptor},
	{OPAQUE_APPLICATION, "Capabilities", &common__capabilities__descriptor},
	{OPAQUE_APPLICATION, "ACLs", &protos__acls__descriptor},
	{OPAQUE_APPLICATION_ORG, "MSP", &msp__mspconfig__descriptor},
	{OPAQUE_APPLICATION_ORG, "AnchorPeers", &protos__anchor_peers__descriptor},
	{OPAQUE_CONSORTIUM, "ChannelCreationPolicy", &common__policy__descriptor},
	{OPAQUE_CONSORTIUM_ORG, "MSP", &msp__mspconfig__descriptor},
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* the header type of a packed channel header; -1 when it is malformed */
static int64_t
header_type(FbBytes channel_header)
{
	ProtoField field;
	int32_t type = 0;

	if (PROTO_CHECK(common__channel_header, channel_header, NULL) != FB_OK)
		return -1;
	while (proto_next_field(&channel_header, &field))
	{
		if (field.number == 1 && field.wire_type == 0)
			type = (int32_t) field.value;
	}
	return type;
}

static const ProtobufCMessageDescriptor *
payload_data_type(const Common__Payload *payload)
{
	if (payload->header == NULL)
		return NULL;
	switch (header_type(proto_bytes(payload->header->channel_header)))
	{
		case COMMON__HEADER_TYPE__MESSAGE:
			return &common__config_value__descriptor;
		case COMMON__HEADER_TYPE__CONFIG:
			return &common__config_envelope__descriptor;
		case COMMON__HEADER_TYPE__CONFIG_UPDATE:
			return &common__config_update_envelope__descriptor;
		case COMMON__HEADER_TYPE__ENDORSER_TRANSACTION:
			return &protos__transaction__descriptor;
		case COMMON__HEADER_TYPE__ORDERER_TRANSACTION:
			return &common__envelope__descriptor;
		case COMMON__HEADER_TYPE__DELIVER_SEEK_INFO:
			return &orderer__seek_info__descriptor;
		default:
			return NULL;
	}
}

static const ProtobufCMessageDescriptor *
policy_type(const Common__Policy *policy)
{
	switch (policy->type)
	{
		case COMMON__POLICY__POLICY_TYPE__SIGNATURE:
			return &common__signature_policy_envelope__descriptor;
		case COMMON__POLICY__POLICY_TYPE__IMPLICIT_META:
			return &common__implicit_meta_policy__descriptor;
		default:
			return NULL;
	}
}

static const ProtobufCMessageDescriptor *
principal_type(const Common__MSPPrincipal *principal)
{
	switch (principal->principal_classification)
	{
		case COMMON__MSPPRINCIPAL__CLASSIFICATION__ROLE:
			return &common__msprole__descriptor;
		case COMMON__MSPPRINCIPAL__CLASSIFICATION__ORGANIZATION_UNIT:
			return &common__organization_unit__descriptor;
		case COMMON__MSPPRINCIPAL__CLASSIFICATION__IDENTITY:
			return &msp__serialized_identity__descriptor;
		default:
			return NULL;
	}
}

const ProtobufCMessageDescriptor *
proto_opaque_type(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field,
				  const OpaquePlace *place)
{
	const ProtobufCMessageDescriptor *outer = message->descriptor;

	for (size_t i = 0; i < COUNT(fixed_types); i++)
	{
		if (fixed_types[i].outer == outer && fixed_types[i].field == field->id)
			return fixed_types[i].inner;
	}
	if (outer == &common__payload__descriptor && field->id == 2)
		return payload_data_type((const Common__Payload *) message);
	if (outer == &common__channel_header__descriptor && field->id == 7)
		return ((const Common__ChannelHeader *) message)->type ==
					   COMMON__HEADER_TYPE__ENDORSER_TRANSACTION
				   ? &protos__chaincode_header_extension__descriptor
				   : NULL;
	if (outer == &common__policy__descriptor && field->id == 2)
		return policy_type((const Common__Policy *) message);
	if (outer == &common__mspprincipal__descriptor && field->id == 2)
		return principal_type((const Common__MSPPrincipal *) message);
	if (outer == &msp__mspconfig__descriptor && field->id == 2)
		return ((const Msp__MSPConfig *) message)->type == 0 ? &msp__fabric_mspconfig__descriptor
															 : NULL;
	if (outer == &orderer__consensus_type__descriptor && field->id == 2)
		return strcmp(((const Orderer__ConsensusType *) message)->type, "etcdraft") == 0
				   ? &etcdraft__config_metadata__descriptor
				   : NULL;
	if (outer == &rwset__ns_read_write_set__descriptor && field->id == 2)
		return place->key_values ? &kvrwset__kvrwset__descriptor : NULL;
	if (outer == &common__config_value__descriptor && field->id == 2 && place->name != NULL)
	{
		for (size_t i = 0; i < COUNT(config_values); i++)
		{
			if (config_values[i].group == place->group &&
				strcmp(config_values[i].name, place->name) == 0)
				return config_values[i].inner;
		}
	}
	return NULL;
}

/* the kind of a group inside another group */
static OpaqueGroup
sub_group(OpaqueGroup group, const char *key)
{
	switch (group)
	{
		case OPAQUE_CHANNEL:
			if (strcmp(key, "Orderer") == 0)
				return OPAQUE_ORDERER;
			if (strcmp(key, "Application") == 0)
				return OPAQUE_APPLICATION;
			return strcmp(key, "Consortiums") == 0 ? OPAQUE_CONSORTIUMS : OPAQUE_NO_GROUP;
		case OPAQUE_ORDERER:
			return OPAQUE_ORDERER_ORG;
		case OPAQUE_APPLICATION:
			return OPAQUE_APPLICATION_ORG;
		case OPAQUE_CONSORTIUMS:
			return OPAQUE_CONSORTIUM;
		case OPAQUE_CONSORTIUM:
			return OPAQUE_CONSORTIUM_ORG;
		default:
			return OPAQUE_NO_GROUP;
	}
}

OpaquePlace
proto_opaque_place(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field,
				   const char *key, const OpaquePlace *place)
{
	const ProtobufCMessageDescriptor *outer = message->descriptor;
	OpaquePlace inner = {OPAQUE_NO_GROUP, NULL, false};

	if (outer == &common__config__descriptor || outer == &common__config_update__descriptor)
		inner.group = OPAQUE_CHANNEL;
	else if (outer == &common__config_group__descriptor && key != NULL)
	{
		if (strcmp(field->name, "groups") == 0)
			inner.group = sub_group(place->group, key);
		else
		{
			inner.group = place->group;
			inner.name = key;
		}
	}
	else if (outer == &rwset__tx_read_write_set__descriptor)
		inner.key_values = ((const Rwset__TxReadWriteSet *) message)->data_model ==
						   RWSET__TX_READ_WRITE_SET__DATA_MODEL__KV;
	return inner;
}

/* ---- types by name ---- */

static const ProtobufCMessageDescriptor *const named_types[] = {
	&common__block__descriptor,
	&common__block_data__descriptor,
	&common__block_header__descriptor,
	&common__block_metadata__descriptor,
	&common__channel_header__descriptor,
	&common__config__descriptor,
	&common__config_envelope__descriptor,
	&common__config_update__descriptor,
	&common__config_update_envelope__descriptor,
	&common__envelope__descriptor,
	&common__header__descriptor,
	&common__implicit_meta_policy__descriptor,
	&common__metadata__descriptor,
	&common__mspprincipal__descriptor,
	&common__orderer_block_metadata__descriptor,
	&common__payload__descriptor,
	&common__policy__descriptor,
	&common__signature_header__descriptor,
	&common__signature_policy_envelope__descriptor,
	&etcdraft__block_metadata__descriptor,
	&etcdraft__config_metadata__descriptor,
	&kvrwset__hashed_rwset__descriptor,
	&kvrwset__kvrwset__descriptor,
	&lifecycle__approve_chaincode_definition_for_my_org_args__descriptor,
	&lifecycle__commit_chaincode_definition_args__descriptor,
	&msp__fabric_mspconfig__descriptor,
	&msp__mspconfig__descriptor,
	&msp__serialized_identity__descriptor,
	&orderer__seek_info__descriptor,
	&protos__application_policy__descriptor,
	&protos__chaincode_action__descriptor,
	&protos__chaincode_event__descriptor,
	&protos__chaincode_proposal_payload__descriptor,
	&protos__collection_config_package__descriptor,
	&protos__processed_transaction__descriptor,
	&protos__proposal__descriptor,
	&protos__proposal_response__descriptor,
	&protos__proposal_response_payload__descriptor,
	&protos__signed_proposal__descriptor,
	&protos__transaction__descriptor,
	&rwset__tx_pvt_read_write_set__descriptor,
	&rwset__tx_read_write_set__descriptor,
};

const ProtobufCMessageDescriptor *
proto_descriptor_by_name(FbBytes name)
{
	for (size_t i = 0; i < COUNT(named_types); i++)
	{
		if (fb_bytes_equal(name, fb_bytes_of_text(named_types[i]->name)))
			return named_types[i];
	}
	return NULL;
}
