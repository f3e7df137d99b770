/* declarations that the files of core/txn share */
#ifndef FABRIC_CORE_TXN_INTERNAL_H
#define FABRIC_CORE_TXN_INTERNAL_H

#include "core/proto/proto.h"
#include "core/txn/txn.h"

/*
 * A text that is packed as it is: valid UTF-8 without U+0000, otherwise FB_INVALID_ARGUMENT with
 * its name, what. *field points to the bytes.
 */
extern FbStatus txn_check_text(FbBytes bytes, const char *what, ProtobufCBinaryData *field,
							   FbError *error);

/*
 * Received text that becomes a C string or a value of the database: refuse U+0000, which Go's
 * decoder accepts. Validation does not check this. Errors: FB_MALFORMED_MESSAGE with its name,
 * what.
 */
extern FbStatus txn_refuse_zero(FbBytes bytes, const char *what, FbError *error);

/*
 * a protobuf string: valid UTF-8 without U+0000, otherwise FB_INVALID_ARGUMENT with its name, what
 */
extern FbStatus txn_text(FbAllocator *allocator, FbBytes bytes, const char *what, char **text,
						 FbError *error);

/* common.Header from its two parts; timestamp may be left out */
extern FbStatus txn_pack_channel_header(FbAllocator *allocator, const EnvelopeInput *input,
										FbBytes *bytes, FbError *error);
extern FbStatus txn_pack_signature_header(FbAllocator *allocator, FbBytes creator, FbBytes nonce,
										  FbBytes *bytes, FbError *error);
extern FbStatus txn_pack_payload(FbAllocator *allocator, FbBytes channel_header,
								 FbBytes signature_header, FbBytes data, EnvelopePayload *payload,
								 FbError *error);

extern TxTime txn_time(const Google__Protobuf__Timestamp *timestamp);

/*
 * H(channel_header || signature_header || payload without transient map) (docs/wire-format.md,
 * "Transactions")
 */
extern void txn_proposal_hash(FbBytes channel_header, FbBytes signature_header, FbBytes payload,
							  uint8_t hash[32]);

/* the checks of check_envelope on the decoded headers (transaction_check.c) */
extern FbStatus txn_check_headers(TxView *view, TxCode *code, FbError *why);

#endif
