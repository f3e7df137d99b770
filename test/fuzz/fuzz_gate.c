/*
 * The decoder for untrusted bytes: any bytes as any of the messages that arrive from outside; the
 * first byte selects the type. An accepted message must unpack; packed again it must be accepted
 * again, and further rounds must give the same bytes.
 */
#include "arena.h"
#include "core/base/base.h"
#include "core/proto/proto.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const ProtobufCMessageDescriptor *const types[] = {
	&common__block__descriptor,
	&common__envelope__descriptor,
	&common__payload__descriptor,
	&common__config_envelope__descriptor,
	&common__config_update_envelope__descriptor,
	&common__signature_policy_envelope__descriptor,
	&protos__signed_proposal__descriptor,
	&protos__proposal__descriptor,
	&protos__proposal_response__descriptor,
	&protos__proposal_response_payload__descriptor,
	&protos__transaction__descriptor,
	&protos__chaincode_invocation_spec__descriptor,
	&rwset__tx_read_write_set__descriptor,
	&kvrwset__kvrwset__descriptor,
	&kvrwset__hashed_rwset__descriptor,
	&msp__serialized_identity__descriptor,
	&msp__mspconfig__descriptor,
	&orderer__seek_info__descriptor,
	&etcdraft__block_metadata__descriptor,
	&etcdraft__config_metadata__descriptor,
	&lifecycle__approve_chaincode_definition_for_my_org_args__descriptor,
	&lifecycle__state_data__descriptor,
	&protos__acls__descriptor,
	&protos__application_policy__descriptor,
	&protos__collection_config_package__descriptor,
	&gateway__chaincode_events_request__descriptor,
};

static void
require(bool holds)
{
	if (!holds)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const ProtobufCMessageDescriptor *type;
	ProtobufCMessage *message;
	FbBytes bytes, packed, again;
	FbArena arena;
	FbError error;
	FbStatus status;

	if (size == 0)
		return 0;
	type = types[data[0] % (sizeof(types) / sizeof(types[0]))];
	bytes = fb_bytes(data + 1, size - 1);
	fb_arena_init(&arena);
	status = proto_check(type, bytes, &error);
	require(proto_unpack(type, bytes, &arena.allocator, &message, &error) == status);
	if (status == FB_OK)
	{
		require(proto_pack(message, &arena.allocator, &packed, &error) == FB_OK);
		require(proto_unpack(type, packed, &arena.allocator, &message, &error) == FB_OK);
		require(proto_pack(message, &arena.allocator, &again, &error) == FB_OK);
		require(fb_bytes_equal(packed, again));
	}
	else
		require(message == NULL);
	fb_arena_reset(&arena);
	return 0;
}
