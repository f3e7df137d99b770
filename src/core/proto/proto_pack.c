/* proto_pack.c: pack messages, and check whether bytes are in canonical form */
#include "core/proto/proto.h"

FbStatus
proto_data_array(const FbBytes *from, size_t count, FbAllocator *allocator,
				 ProtobufCBinaryData **to, FbError *error)
{
	*to = fb_allocate_array(allocator, count, sizeof(ProtobufCBinaryData));
	if (*to == NULL)
		return fb_out_of_memory(error);
	for (size_t i = 0; i < count; i++)
		(*to)[i] = proto_data(from[i]);
	return FB_OK;
}

FbStatus
proto_pack(const ProtobufCMessage *message, FbAllocator *allocator, FbBytes *bytes, FbError *error)
{
	size_t size = protobuf_c_message_get_packed_size(message);
	uint8_t *data;

	*bytes = FB_BYTES_EMPTY;
	if (size > FB_MESSAGE_BYTES_MAX)
	{
		fb_fail(error, FB_LIMIT_EXCEEDED, "message of type %s is too large",
				message->descriptor->name);
		fb_error_detail(error, "It has %zu bytes; the limit is %d.", size, FB_MESSAGE_BYTES_MAX);
		return FB_LIMIT_EXCEEDED;
	}
	if (size == 0)
		return FB_OK;
	data = fb_allocate(allocator, size);
	if (data == NULL)
		return fb_out_of_memory(error);
	protobuf_c_message_pack(message, data);
	*bytes = fb_bytes(data, size);
	return FB_OK;
}

FbStatus
proto_is_canonical(const ProtobufCMessage *message, FbBytes bytes, FbAllocator *allocator,
				   bool *canonical, FbError *error)
{
	FbBytes packed;

	*canonical = false;
	if (message->n_unknown_fields > 0 || protobuf_c_message_get_packed_size(message) != bytes.size)
		return FB_OK;
	FB_TRY(proto_pack(message, allocator, &packed, error));
	*canonical = fb_bytes_equal(packed, bytes);
	fb_release(allocator, (void *) packed.data);
	return FB_OK;
}
