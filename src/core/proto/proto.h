/*
 * proto: Fabric's messages, and the only decoder that converts untrusted bytes to messages.
 *
 * The messages are the .proto files of this directory, with the package names, message names and
 * field numbers of Fabric; protobuf-c generates a C structure per message (common.Envelope is
 * Common__Envelope). Rules of protobuf-c:
 *   - a sub-message that was not sent is a NULL pointer; a string that was not sent is "", never
 *     NULL; bytes that were not sent have len 0 and may have data NULL;
 *   - `repeated` is a count n_NAME and an array NAME; `oneof` is a NAME_case and a union;
 *   - enums are open (proto3): any 32-bit value is possible, so a switch needs a default;
 *   - strings are zero-terminated. The decoder refuses strings that contain U+0000. Fields that
 *     have such strings in Fabric (state keys) are declared as bytes here, which is the same on the
 *     wire, and the decoder checks their UTF-8.
 *
 * Hash and verify the received bytes, never bytes that were packed again. Map fields have no
 * canonical encoding: never compare two packed messages that contain maps.
 */
#ifndef FABRIC_CORE_PROTO_H
#define FABRIC_CORE_PROTO_H

#include "core/base/base.h"

#include "core/proto/google_timestamp.pb-c.h"
#include "core/proto/common.pb-c.h"
#include "core/proto/common_configtx.pb-c.h"
#include "core/proto/common_configuration.pb-c.h"
#include "core/proto/common_ledger.pb-c.h"
#include "core/proto/common_policies.pb-c.h"
#include "core/proto/common_principal.pb-c.h"
#include "core/proto/etcdraft.pb-c.h"
#include "core/proto/gateway.pb-c.h"
#include "core/proto/ledger_kvrwset.pb-c.h"
#include "core/proto/ledger_queryresult.pb-c.h"
#include "core/proto/ledger_rwset.pb-c.h"
#include "core/proto/ledger_updates.pb-c.h"
#include "core/proto/lifecycle.pb-c.h"
#include "core/proto/lifecycle_db.pb-c.h"
#include "core/proto/msp_config.pb-c.h"
#include "core/proto/msp_identities.pb-c.h"
#include "core/proto/orderer_ab.pb-c.h"
#include "core/proto/orderer_configuration.pb-c.h"
#include "core/proto/peer_chaincode.pb-c.h"
#include "core/proto/peer_collection.pb-c.h"
#include "core/proto/peer_configuration.pb-c.h"
#include "core/proto/peer_policy.pb-c.h"
#include "core/proto/peer_proposal.pb-c.h"
#include "core/proto/peer_query.pb-c.h"
#include "core/proto/peer_transaction.pb-c.h"

/* ---- decoding ---- */

/*
 * Check that bytes are a well-formed message of this type, without allocating: wire format, size,
 * nesting, number of fields, memory that unpacking would take, UTF-8 of every string. bytes may be
 * untrusted.
 *
 * Errors: FB_MALFORMED_MESSAGE (the detail names field and offset), FB_LIMIT_EXCEEDED. Accepts all
 * bytes that Go's proto.Unmarshal accepts, up to the limits, except U+0000 in fields declared as
 * string. Fields of transactions in which Go accepts U+0000 are declared as bytes
 * (proto_bytes_hold_text).
 */
extern FbStatus proto_check(const ProtobufCMessageDescriptor *descriptor, FbBytes bytes,
							FbError *error);

/*
 * The same for bytes to be read with proto_next_field: also refuses everything that proto_unpack
 * rewrites: messages sent in parts, known fields of another wire type, groups, tags and lengths of
 * more than 5 bytes. No encoder writes any of these.
 */
extern FbStatus proto_check_plain(const ProtobufCMessageDescriptor *descriptor, FbBytes bytes,
								  FbError *error);

/*
 * Run proto_check, then unpack into memory of the allocator. The message does not point into bytes.
 * On failure *message is NULL. Map fields are sorted by key (strcmp order), have each key once (the
 * last one sent, as in Go), and values that are never NULL.
 *
 * Errors: those of proto_check, FB_LIMIT_EXCEEDED (sub-messages sent in parts of parts, more than
 * FB_MESSAGE_BYTES_MAX to join), FB_OUT_OF_MEMORY.
 */
extern FbStatus proto_unpack(const ProtobufCMessageDescriptor *descriptor, FbBytes bytes,
							 FbAllocator *allocator, ProtobufCMessage **message, FbError *error);

/*
 * The same with types checked: Common__Envelope *envelope;
 * FB_TRY(PROTO_UNPACK(common__envelope, bytes, allocator, &envelope, error));
 */
#define PROTO_UNPACK(name, bytes, allocator, message, error)                                \
	({                                                                                      \
		__typeof__(name##__unpack(NULL, 0, NULL)) *proto_typed_ = (message);                \
		ProtobufCMessage *proto_base_ = NULL;                                               \
		FbStatus proto_status_ =                                                            \
			proto_unpack(&name##__descriptor, (bytes), (allocator), &proto_base_, (error)); \
		*proto_typed_ = (void *) proto_base_;                                               \
		proto_status_;                                                                      \
	})

/*
 * Release the memory of an unpacked message early, in loops over large inputs; message may be NULL.
 * Never needed for correctness: the allocator's owner resets it.
 */
extern void proto_release(ProtobufCMessage *message, FbAllocator *allocator);

#define PROTO_CHECK(name, bytes, error) proto_check(&name##__descriptor, (bytes), (error))
#define PROTO_CHECK_PLAIN(name, bytes, error) \
	proto_check_plain(&name##__descriptor, (bytes), (error))

/*
 * Read without unpacking, for messages too large to copy: the fields of a message one after the
 * other, in the order sent. rest: the message, which each call shortens. It must have passed
 * proto_check_plain; otherwise the caller checks wire types and joins parts itself. The caller
 * handles fields that are sent twice (the last one counts). Returns false at the end. bytes point
 * into rest.
 */
typedef struct ProtoField
{
	uint32_t number;
	int wire_type; /* 0 varint, 1 eight bytes, 2 bytes, 3 a group, whose content is not returned, 5
					  four bytes */
	bool is_bytes; /* string, bytes, message or packed numbers: the content is in bytes; otherwise
					  in value */
	bool is_long;  /* tag or length have more bytes than any value needs */
	uint64_t value;
	FbBytes bytes;
} ProtoField;

extern bool proto_next_field(FbBytes *rest, ProtoField *field);

/* ---- packing ---- */

/*
 * Fields are in ascending order, proto3 defaults are omitted: for messages without maps these are
 * the bytes that Go writes.
 */

/*
 * message: any message whose pointers are valid. *bytes is new memory of the allocator (empty for a
 * message without content). Errors: FB_OUT_OF_MEMORY, FB_LIMIT_EXCEEDED (larger than
 * FB_MESSAGE_BYTES_MAX).
 */
extern FbStatus proto_pack(const ProtobufCMessage *message, FbAllocator *allocator, FbBytes *bytes,
						   FbError *error);

#define PROTO_PACK(message, allocator, bytes, error) \
	proto_pack(&(message)->base, (allocator), (bytes), (error))

/*
 * Does packing this message give exactly the bytes from which it was unpacked? False also when
 * there are unknown fields. Needed for protoutil/blockutils.go, VerifyTransactionsAreWellFormed.
 * Not for messages with maps. Errors: FB_OUT_OF_MEMORY.
 */
extern FbStatus proto_is_canonical(const ProtobufCMessage *message, FbBytes bytes,
								   FbAllocator *allocator, bool *canonical, FbError *error);

/* ---- bytes ---- */

/* convert between the two types for bytes; nothing is copied */
static inline FbBytes
proto_bytes(ProtobufCBinaryData data)
{
	return fb_bytes(data.data, data.len);
}

static inline ProtobufCBinaryData
proto_data(FbBytes bytes)
{
	ProtobufCBinaryData data = {bytes.size, (uint8_t *) bytes.data};

	return data;
}

/* the same for an array, which is allocated; its elements point to the same bytes as from's */
extern FbStatus proto_data_array(const FbBytes *from, size_t count, FbAllocator *allocator,
								 ProtobufCBinaryData **to, FbError *error);

/* ---- JSON ---- */

typedef enum ProtoJsonStyle
{
	PROTO_JSON_PRETTY,	/* tab indent and a final newline: exactly the text that `configtxlator
						   proto_decode` prints */
	PROTO_JSON_COMPACT, /* the same without white space */
	PROTO_JSON_DATABASE /* compact, with U+2400 in place of U+0000 (composite keys), which jsonb
						   cannot hold */
} ProtoJsonStyle;

/*
 * The JSON form of a message: original field names, every object sorted by member name, 64-bit
 * integers as strings, bytes as base64, enums as names, and bytes that hold another message decoded
 * in place (payload data by header type, configuration values by name, policies by type, principals
 * by classification, ...), as Fabric's protolator does.
 *
 * bytes: a packed message of the descriptor's type, untrusted. Errors: FB_MALFORMED_MESSAGE only
 * for the outer message; FB_LIMIT_EXCEEDED for the outer message, and for more than
 * FB_JSON_TEXT_BYTES_MAX bytes of text. Inner bytes that do not hold the expected message, or are
 * nested too deeply, are printed as base64 (protolator fails instead), because auditors need to see
 * the rest.
 */
extern FbStatus proto_json(const ProtobufCMessageDescriptor *descriptor, FbBytes bytes,
						   ProtoJsonStyle style, FbAllocator *allocator, FbBytes *text,
						   FbError *error);

/*
 * The inverse of proto_json: the bytes of a message from its JSON form, in any order and with or
 * without white space. Members may be missing; null stands for an empty value. 64-bit integers may
 * be numbers or strings, enums names or numbers; a bytes field that can hold a message takes an
 * object or base64. Maps are packed in the order of their keys. U+2400 in keys and other texts that
 * are bytes here stands for U+0000.
 *
 * text: UTF-8, untrusted. Errors: FB_MALFORMED_MESSAGE (not JSON, an unrecognized field, a value
 * that the field cannot have), FB_LIMIT_EXCEEDED, FB_OUT_OF_MEMORY.
 */
extern FbStatus proto_encode(const ProtobufCMessageDescriptor *descriptor, FbBytes text,
							 FbAllocator *allocator, FbBytes *bytes, FbError *error);

/*
 * The descriptor of a message by its full name ("common.Block"), among the types that users may
 * decode; NULL when there is none.
 */
extern const ProtobufCMessageDescriptor *proto_descriptor_by_name(FbBytes name);

#endif
