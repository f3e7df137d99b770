/* shared by the files of this directory */
#ifndef FABRIC_CORE_PROTO_INTERNAL_H
#define FABRIC_CORE_PROTO_INTERNAL_H

#include "core/proto/proto.h"

/*
 * protoc makes a nested message NAMEEntry {key = 1; value = 2} of each map field; no other message
 * of ours is named so
 */
extern bool proto_is_map_entry(const ProtobufCMessageDescriptor *descriptor);

/*
 * bring the map fields of message, and of all messages in it, into order. Errors: FB_OUT_OF_MEMORY
 */
extern FbStatus proto_order_maps(ProtobufCMessage *message, FbAllocator *allocator, FbError *error);

/*
 * proto_unpack with another limit for the estimated memory. *memory_bytes: the limit, then the
 * estimate. Errors: also FB_LIMIT_EXCEEDED
 */
extern FbStatus proto_unpack_within(const ProtobufCMessageDescriptor *descriptor, FbBytes bytes,
									FbAllocator *allocator, uint64_t *memory_bytes,
									ProtobufCMessage **message, FbError *error);

/* ---- field.c ---- */

/* wire types */
#define WIRE_VARINT 0
#define WIRE_FIXED64 1
#define WIRE_BYTES 2
#define WIRE_GROUP_START 3
#define WIRE_GROUP_END 4
#define WIRE_FIXED32 5

#define VARINT_BYTES_MAX 10
/* of a tag or a length, in protobuf-c */
#define SHORT_VARINT_BYTES_MAX 5

/*
 * how many bytes the varint at data takes, its value in *value; 0 when it is cut off or longer than
 * limit
 */
extern size_t proto_read_varint(const uint8_t *data, const uint8_t *end, size_t limit,
								uint64_t *value);

/*
 * Take one field off the front of a message that is not empty, of whatever wire type; groups are
 * skipped as a whole. NULL, or what is wrong with it (a constant text) and where; then rest is as
 * before, and the field's number is 0 if it could not be read.
 */
extern const char *proto_take_field(FbBytes *rest, ProtoField *field, const uint8_t **where);

/* the wire type of a number, text, bytes or message */
extern int proto_wire_type(ProtobufCType type);

/*
 * is a field with this number the one that the descriptor knows, or, by its wire type, another,
 * unknown one?
 */
extern bool proto_field_fits(const ProtobufCFieldDescriptor *known, const ProtoField *field);

/* ---- normalize.c ---- */

/*
 * Bytes that passed proto_check, rewritten so that protobuf-c reads what Go reads (normalize.c).
 * *normal is new memory of the allocator. Errors: FB_OUT_OF_MEMORY.
 */
extern FbStatus proto_normalize(const ProtobufCMessageDescriptor *descriptor, FbBytes bytes,
								FbAllocator *allocator, FbBytes *normal, FbError *error);

/* is this bytes field a string for Fabric? (unpack.c) */
extern bool proto_bytes_hold_text(const ProtobufCMessageDescriptor *descriptor,
								  const ProtobufCFieldDescriptor *field);

/* ---- opaque.c: which bytes hold a packed message, and of which type ---- */

/* the groups of the configuration tree: they decide what a value of some name is */
typedef enum OpaqueGroup
{
	OPAQUE_NO_GROUP,
	OPAQUE_CHANNEL,
	OPAQUE_ORDERER,
	OPAQUE_ORDERER_ORG,
	OPAQUE_APPLICATION,
	OPAQUE_APPLICATION_ORG,
	OPAQUE_CONSORTIUMS,
	OPAQUE_CONSORTIUM,
	OPAQUE_CONSORTIUM_ORG
} OpaqueGroup;

/* what a message's ancestors say about its content */
typedef struct OpaquePlace
{
	OpaqueGroup group; /* of a ConfigGroup, or that a ConfigValue is in */
	const char *name;  /* of a ConfigValue */
	bool key_values;   /* in a TxReadWriteSet whose data model is KV */
} OpaquePlace;

/*
 * the type of the message in this bytes field; NULL when the bytes are just bytes, or nothing is
 * known of them
 */
extern const ProtobufCMessageDescriptor *proto_opaque_type(const ProtobufCMessage *message,
														   const ProtobufCFieldDescriptor *field,
														   const OpaquePlace *place);

/* the place of a sub-message in this field; key: of a map field, else NULL */
extern OpaquePlace proto_opaque_place(const ProtobufCMessage *message,
									  const ProtobufCFieldDescriptor *field, const char *key,
									  const OpaquePlace *place);

#endif
