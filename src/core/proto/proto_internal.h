/* declarations that the files of core/proto share */
#ifndef FABRIC_CORE_PROTO_INTERNAL_H
#define FABRIC_CORE_PROTO_INTERNAL_H

#include "core/proto/proto.h"

/*
 * protoc makes a nested message NAMEEntry {key = 1; value = 2} for each map field; no other message
 * in this directory has such a name
 */
extern bool proto_is_map_entry(const ProtobufCMessageDescriptor *descriptor);

/* Order the map fields of message, and of all messages in it. Errors: FB_OUT_OF_MEMORY. */
extern FbStatus proto_order_maps(ProtobufCMessage *message, FbAllocator *allocator, FbError *error);

/* the size of an element in an array of this type (proto_json.c) */
extern size_t proto_element_bytes(ProtobufCType type);

/*
 * proto_unpack with another limit for the estimated memory. *memory_bytes: in: the limit; out: the
 * estimate. Errors: also FB_LIMIT_EXCEEDED.
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
/* maximum bytes of a tag or a length in protobuf-c */
#define SHORT_VARINT_BYTES_MAX 5

/*
 * Size in bytes of the varint at data, whose value is stored in *value; 0 when it is truncated or
 * longer than limit.
 */
extern size_t proto_read_varint(const uint8_t *data, const uint8_t *end, size_t limit,
								uint64_t *value);

/*
 * Take one field of any wire type from the front of a message that is not empty; groups are skipped
 * as a whole. Returns NULL, or an error (a constant text) and its place; then rest does not change,
 * and the field's number is 0 if it could not be read.
 */
extern const char *proto_take_field(FbBytes *rest, ProtoField *field, const uint8_t **where);

/* the wire type of a number, text, bytes or message */
extern int proto_wire_type(ProtobufCType type);

/*
 * Is a field with this number the one of the descriptor, or, because of its wire type, an unknown
 * one?
 */
extern bool proto_field_fits(const ProtobufCFieldDescriptor *known, const ProtoField *field);

/* ---- normalize.c ---- */

/*
 * Bytes that passed proto_check, rewritten so that protobuf-c reads what Go reads (normalize.c).
 * *normal is new memory of the allocator. Errors: FB_OUT_OF_MEMORY.
 */
extern FbStatus proto_normalize(const ProtobufCMessageDescriptor *descriptor, FbBytes bytes,
								FbAllocator *allocator, FbBytes *normal, FbError *error);

/* ---- unpack.c ---- */

/* Is this bytes field a string in Fabric? */
extern bool proto_bytes_hold_text(const ProtobufCMessageDescriptor *descriptor,
								  const ProtobufCFieldDescriptor *field);

/* ---- opaque.c: which bytes hold a packed message, and of which type ---- */

/* the groups of the configuration tree: they determine the type of a value with some name */
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

/* the position of a message among its ancestors, which determines the type of opaque bytes in it */
typedef struct OpaquePlace
{
	OpaqueGroup group; /* of a ConfigGroup, or of the group that contains a ConfigValue */
	const char *name;  /* of a ConfigValue */
	bool key_values;   /* in a TxReadWriteSet whose data model is KV */
} OpaquePlace;

/*
 * the type of the message in this bytes field; NULL when the bytes hold no message, or its type is
 * not known
 */
extern const ProtobufCMessageDescriptor *proto_opaque_type(const ProtobufCMessage *message,
														   const ProtobufCFieldDescriptor *field,
														   const OpaquePlace *place);

/* the place of a sub-message in this field; key: of a map field, otherwise NULL */
extern OpaquePlace proto_opaque_place(const ProtobufCMessage *message,
									  const ProtobufCFieldDescriptor *field, const char *key,
									  const OpaquePlace *place);

#endif
