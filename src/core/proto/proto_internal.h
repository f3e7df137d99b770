/* what the files of this room share */
#ifndef FABRIC_CORE_PROTO_INTERNAL_H
#define FABRIC_CORE_PROTO_INTERNAL_H

#include "core/proto/proto.h"

/* protoc makes a nested message NAMEEntry {key = 1; value = 2} of each map field; no other message of ours is named so */
extern bool proto_is_map_entry(const ProtobufCMessageDescriptor *descriptor);

/* bring the map fields of message, and of all messages in it, into order. Errors: FB_OUT_OF_MEMORY */
extern FbStatus proto_order_maps(ProtobufCMessage *message, FbAllocator *allocator, FbError *error);

#endif
