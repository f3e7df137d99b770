/* txn_samples.h: proposals, and transactions with one fault, for the tests of core/txn */
#ifndef FABRIC_TEST_TXN_SAMPLES_H
#define FABRIC_TEST_TXN_SAMPLES_H

#include "core/proto/proto.h"
#include "core/txn/txn.h"
#include "unit/check.h"

#define B FB_BYTES_LITERAL

static inline FbBytes
from_hex(FbAllocator *allocator, const char *hex)
{
	uint8_t *bytes = fb_allocate(allocator, strlen(hex) / 2);

	if (!fb_hex_decode(hex, strlen(hex), bytes))
		exit(2);
	return fb_bytes(bytes, strlen(hex) / 2);
}

static inline FbBytes
pack(FbAllocator *allocator, const ProtobufCMessage *message)
{
	FbBytes bytes;

	if (proto_pack(message, allocator, &bytes, NULL) != FB_OK)
		exit(2);
	return bytes;
}

static const uint8_t nonce_bytes[24] = {0,	1,	2,	3,	4,	5,	6,	7,	8,	9,	10, 11,
										12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23};

#define NONCE fb_bytes(nonce_bytes, sizeof(nonce_bytes))
#define V3_ID "151635d156b87fcdd972bf6d45d83eb75864e6b9caff423a784c5c4e58051968"
#define V4_HASH "a814770abc14aa94181a0f07f2b36b7748a1fd68d1838b1b9f63f5ab9a4a45bb"

static const FbBytes v4_args[2] = {{(const uint8_t *) "ReadAsset", 9},
								   {(const uint8_t *) "asset1", 6}};

static inline ProposalInput
v4_input(void)
{
	return (ProposalInput) {
		.channel_id = B("mychannel"),
		.chaincode_name = B("basic"),
		.creator = B("creator"),
		.nonce = NONCE,
		.chaincode_type = 1,
		.args = v4_args,
		.args_count = 2,
	};
}

typedef enum Knob
{
	AS_IT_IS,
	ENVELOPE_BROKEN,
	ENVELOPE_EMPTY,
	PAYLOAD_BROKEN,
	NO_HEADER,
	CHANNEL_HEADER_BROKEN,
	SIGNATURE_HEADER_BROKEN,
	TYPE_MESSAGE,
	TYPE_UNKNOWN,
	EPOCH,
	NO_NONCE,
	NO_CREATOR,
	TYPE_CONFIG_UPDATE,
	TYPE_CONFIG,
	TYPE_CONFIG_EMPTY,
	WRONG_TX_ID,
	WRONG_TX_ID_AND_HASH,
	NO_DATA,
	DATA_BROKEN,
	NO_ACTION,
	TWO_ACTIONS,
	ACTION_HEADER_BROKEN,
	ACTION_HEADER_EMPTY,
	ACTION_HEADER_NO_NONCE,
	ACTION_HEADER_NO_CREATOR,
	ACTION_PAYLOAD_BROKEN,
	NO_ENDORSED_ACTION,
	RESPONSE_PAYLOAD_BROKEN,
	WRONG_HASH,
	NO_PROPOSAL_PAYLOAD,
	OTHER_CHANNEL,
	OTHER_CHANNEL_AND_HASH,
	EXTENSION_BROKEN,
	NO_CHAINCODE_ACTION,
	CHAINCODE_ACTION_BROKEN,
	RESULTS_BROKEN,
	RESULTS_BROKEN_INSIDE,
	NO_CHAINCODE_IN_HEADER,
	NO_CHAINCODE_IN_ACTION,
	CHAINCODE_NAME_EMPTY,
	CHAINCODE_DIFFERS,
	NO_VERSION,
	EVENT_BROKEN,
	EVENT_OF_ANOTHER,
	NAMESPACE_TWICE,
	NAMESPACE_TWICE_AND_NO_VERSION,
	NO_TX_ID,
	ZERO_IN_TX_ID,
	ZERO_IN_CHANNEL,
	ZERO_IN_CHAINCODE,
	ZERO_IN_VERSION,
	ZERO_IN_MESSAGE,
	ZERO_IN_EVENT,
	ZERO_IN_NAMES,
	HEADER_IN_PARTS,
	CHAINCODE_IN_PARTS,
	GROUP_IN_ACTION,
	RESPONSE_OF_ANOTHER_TYPE,
	LONG_TAG,
	MANY_ENDORSEMENTS,
	TOO_MANY_ENDORSEMENTS,
	LONG_ENDORSER,
	LONG_KEY,
	LONG_NAMESPACE,
	DEEP_POLICY,
	TOO_DEEP_POLICY,
	TOO_DEEP_POLICY_OF_HASH,
	BROKEN_POLICY,
	MANY_NAMESPACES,
	LARGE_DEGREE,
	KNOBS_COUNT
} Knob;

static const struct
{
	Knob knob;
	TxCode code;
} knob_codes[] = {
	{AS_IT_IS, TX_VALID},
	{ENVELOPE_BROKEN, TX_INVALID_OTHER_REASON},
	{ENVELOPE_EMPTY, TX_BAD_COMMON_HEADER},
	{PAYLOAD_BROKEN, TX_BAD_PAYLOAD},
	{NO_HEADER, TX_BAD_COMMON_HEADER},
	{CHANNEL_HEADER_BROKEN, TX_BAD_COMMON_HEADER},
	{SIGNATURE_HEADER_BROKEN, TX_BAD_COMMON_HEADER},
	{TYPE_MESSAGE, TX_BAD_COMMON_HEADER},
	{TYPE_UNKNOWN, TX_BAD_COMMON_HEADER},
	{EPOCH, TX_BAD_COMMON_HEADER},
	{NO_NONCE, TX_BAD_COMMON_HEADER},
	{NO_CREATOR, TX_BAD_COMMON_HEADER},
	{TYPE_CONFIG_UPDATE, TX_UNSUPPORTED_TX_PAYLOAD},
	{TYPE_CONFIG, TX_VALID},
	{TYPE_CONFIG_EMPTY, TX_INVALID_CONFIG_TRANSACTION},
	{WRONG_TX_ID, TX_BAD_PROPOSAL_TXID},
	{WRONG_TX_ID_AND_HASH, TX_BAD_PROPOSAL_TXID},
	{NO_DATA, TX_INVALID_ENDORSER_TRANSACTION},
	{DATA_BROKEN, TX_INVALID_ENDORSER_TRANSACTION},
	{NO_ACTION, TX_INVALID_ENDORSER_TRANSACTION},
	{TWO_ACTIONS, TX_INVALID_ENDORSER_TRANSACTION},
	{ACTION_HEADER_BROKEN, TX_INVALID_ENDORSER_TRANSACTION},
	{ACTION_HEADER_EMPTY, TX_INVALID_ENDORSER_TRANSACTION},
	{ACTION_HEADER_NO_NONCE, TX_INVALID_ENDORSER_TRANSACTION},
	{ACTION_HEADER_NO_CREATOR, TX_INVALID_ENDORSER_TRANSACTION},
	{ACTION_PAYLOAD_BROKEN, TX_INVALID_ENDORSER_TRANSACTION},
	{NO_ENDORSED_ACTION, TX_INVALID_ENDORSER_TRANSACTION},
	{RESPONSE_PAYLOAD_BROKEN, TX_INVALID_ENDORSER_TRANSACTION},
	{WRONG_HASH, TX_INVALID_ENDORSER_TRANSACTION},
	{NO_PROPOSAL_PAYLOAD, TX_INVALID_ENDORSER_TRANSACTION},
	{OTHER_CHANNEL, TX_TARGET_CHAIN_NOT_FOUND},
	{OTHER_CHANNEL_AND_HASH, TX_INVALID_ENDORSER_TRANSACTION},
	{EXTENSION_BROKEN, TX_BAD_HEADER_EXTENSION},
	{NO_CHAINCODE_ACTION, TX_BAD_RESPONSE_PAYLOAD},
	{CHAINCODE_ACTION_BROKEN, TX_BAD_RESPONSE_PAYLOAD},
	{RESULTS_BROKEN, TX_BAD_RWSET},
	{RESULTS_BROKEN_INSIDE, TX_BAD_RWSET},
	{NO_CHAINCODE_IN_HEADER, TX_INVALID_OTHER_REASON},
	{NO_CHAINCODE_IN_ACTION, TX_INVALID_OTHER_REASON},
	{CHAINCODE_NAME_EMPTY, TX_INVALID_CHAINCODE},
	{CHAINCODE_DIFFERS, TX_INVALID_CHAINCODE},
	{NO_VERSION, TX_INVALID_CHAINCODE},
	{EVENT_BROKEN, TX_INVALID_OTHER_REASON},
	{EVENT_OF_ANOTHER, TX_INVALID_OTHER_REASON},
	{NAMESPACE_TWICE, TX_ILLEGAL_WRITESET},
	{NAMESPACE_TWICE_AND_NO_VERSION, TX_INVALID_CHAINCODE},
	/* encodings that Go's decoder accepts: U+0000 in texts, and encodings that no encoder writes */
	{NO_TX_ID, TX_BAD_PROPOSAL_TXID},
	{ZERO_IN_TX_ID, TX_BAD_PROPOSAL_TXID},
	{ZERO_IN_CHANNEL, TX_TARGET_CHAIN_NOT_FOUND},
	{ZERO_IN_CHAINCODE, TX_INVALID_CHAINCODE}, /* the header names the part before the zero */
	{ZERO_IN_VERSION, TX_VALID},
	{ZERO_IN_MESSAGE, TX_VALID},
	{ZERO_IN_EVENT, TX_VALID},
	{ZERO_IN_NAMES, TX_VALID},
	{HEADER_IN_PARTS, TX_VALID},
	{CHAINCODE_IN_PARTS, TX_VALID},
	{GROUP_IN_ACTION, TX_VALID},
	{RESPONSE_OF_ANOTHER_TYPE, TX_VALID},
	{LONG_TAG, TX_VALID},
	/* limits that Fabric does not have: see test_limits */
	{MANY_ENDORSEMENTS, TX_VALID},
	{TOO_MANY_ENDORSEMENTS, TX_VALID},
	{LONG_ENDORSER, TX_VALID},
	{LONG_KEY, TX_VALID},
	{LONG_NAMESPACE, TX_VALID},
	{DEEP_POLICY, TX_VALID},
	{TOO_DEEP_POLICY, TX_VALID},
	{TOO_DEEP_POLICY_OF_HASH, TX_VALID},
	{BROKEN_POLICY, TX_VALID},
	{MANY_NAMESPACES, TX_BAD_RWSET},
	{LARGE_DEGREE, TX_VALID},
};

/* rwset that writes namespaces z, b and basic, reads c */
#define RESULTS                            \
	B("\x12\x0d\x0a\x01"                   \
	  "z"                                  \
	  "\x12\x08\x1a\x06\x0a\x01k\x1a\x01v" \
	  "\x12\x0d\x0a\x01"                   \
	  "b"                                  \
	  "\x12\x08\x1a\x06\x0a\x01k\x1a\x01v" \
	  "\x12\x0b\x0a\x05"                   \
	  "basic"                              \
	  "\x12\x02\x1a\x00"                   \
	  "\x12\x09\x0a\x01"                   \
	  "c"                                  \
	  "\x12\x04\x0a\x02\x12\x00")

#define BROKEN B("\xff\xff")

static inline FbBytes
join(FbAllocator *allocator, FbBytes a, FbBytes b)
{
	FbBuffer buffer;
	FbBytes bytes;

	fb_buffer_init(&buffer, allocator);
	fb_buffer_append_bytes(&buffer, a);
	fb_buffer_append_bytes(&buffer, b);
	if (fb_buffer_bytes(&buffer, &bytes, NULL) != FB_OK)
		exit(2);
	return bytes;
}

/* a length-delimited field */
static inline FbBytes
field(FbAllocator *allocator, uint32_t number, FbBytes content)
{
	FbBuffer buffer;
	FbBytes bytes;
	size_t size = content.size;

	fb_buffer_init(&buffer, allocator);
	fb_buffer_append_byte(&buffer, (uint8_t) (number << 3 | 2));
	for (; size > 0x7f; size >>= 7)
		fb_buffer_append_byte(&buffer, (uint8_t) (size | 0x80));
	fb_buffer_append_byte(&buffer, (uint8_t) size);
	fb_buffer_append_bytes(&buffer, content);
	if (fb_buffer_bytes(&buffer, &bytes, NULL) != FB_OK)
		exit(2);
	return bytes;
}

static inline FbBytes
text_of_size(FbAllocator *allocator, size_t size)
{
	uint8_t *text = fb_allocate(allocator, size);

	memset(text, 'x', size);
	return fb_bytes(text, size);
}

/* A policy of this many nested operators, without principals; only its depth makes it costly. */
static inline FbBytes
nested_policy(FbAllocator *allocator, int operators)
{
	FbBytes rule = B("\x12\x00");

	for (int i = 1; i < operators; i++)
		rule = field(allocator, 2, field(allocator, 2, rule));
	return field(allocator, 2, rule);
}

/* a metadata write of a key with this policy: KVMetadataWrite or KVMetadataWriteHash */
static inline FbBytes
metadata_write(FbAllocator *allocator, FbBytes policy)
{
	FbBytes entry = join(allocator, field(allocator, 1, B(RWSET_VALIDATION_PARAMETER)),
						 field(allocator, 2, policy));

	return join(allocator, field(allocator, 1, B("k")), field(allocator, 2, entry));
}

static inline FbBytes
make_large_results(FbAllocator *allocator, Knob knob)
{
	FbBytes name =
		field(allocator, 1,
			  knob == LONG_NAMESPACE ? text_of_size(allocator, FB_CHAINCODE_NAME_BYTES_MAX + 1)
									 : B("basic"));
	FbBytes set = FB_BYTES_EMPTY;
	FbBytes results = FB_BYTES_EMPTY;

	switch (knob)
	{
		case LONG_KEY:
			set = field(allocator, 3,
						field(allocator, 1, text_of_size(allocator, FB_STATE_KEY_BYTES_MAX + 1)));
			break;
		case LONG_NAMESPACE:
			set = field(allocator, 3, field(allocator, 1, B("k")));
			break;
		case LARGE_DEGREE:
			set = field(allocator, 2, field(allocator, 5, B("\x08\xff\xff\xff\x0f")));
			break;
		case MANY_NAMESPACES:
			for (int i = 0; i <= FB_NAMESPACES_MAX; i++)
				results = join(allocator, results, B("\x12\x00"));
			return results;
		case TOO_DEEP_POLICY_OF_HASH:
			set =
				field(allocator, 3,
					  metadata_write(allocator, nested_policy(allocator, FB_POLICY_DEPTH_MAX + 2)));
			return field(allocator, 2,
						 join(allocator, name,
							  field(allocator, 3,
									join(allocator, field(allocator, 1, B("c")),
										 field(allocator, 2, set)))));
		default:
			set = field(allocator, 4,
						metadata_write(allocator,
									   knob == BROKEN_POLICY
										   ? BROKEN
										   : nested_policy(allocator,
														   FB_POLICY_DEPTH_MAX +
															   (knob == DEEP_POLICY ? 0 : 2))));
			break;
	}
	return field(allocator, 2, join(allocator, name, field(allocator, 2, set)));
}

/* the read-write set of an action */
static inline FbBytes
make_results(FbAllocator *allocator, Knob knob)
{
	if (knob == RESULTS_BROKEN)
		return BROKEN;
	if (knob == RESULTS_BROKEN_INSIDE)
		return B("\x12\x05\x0a\x01"
				 "b"
				 "\x12\x00\x12\x04\x12\x02\xff\xff");
	if (knob == NAMESPACE_TWICE || knob == NAMESPACE_TWICE_AND_NO_VERSION)
		return B("\x12\x03\x0a\x01"
				 "b"
				 "\x12\x03\x0a\x01"
				 "b");
	if (knob >= LONG_KEY && knob <= LARGE_DEGREE)
		return make_large_results(allocator, knob);
	if (knob == ZERO_IN_NAMES)
		return B("\x12\x08\x0a\x02"
				 "b\0"
				 "\x1a\x02\x0a\x00"
				 "\x12\x0d\x0a\x01"
				 "b"
				 "\x1a\x08\x0a\x02"
				 "c\0"
				 "\x12\x02\x0a\x00");
	return RESULTS;
}

static inline FbBytes
make_action(FbAllocator *allocator, Knob knob)
{
	Protos__ChaincodeAction action = PROTOS__CHAINCODE_ACTION__INIT;
	Protos__ChaincodeID chaincode = PROTOS__CHAINCODE_ID__INIT;
	Protos__Response response = PROTOS__RESPONSE__INIT;
	ChaincodeEvent event = {knob == EVENT_OF_ANOTHER ? B("other") : B("basic"), B("id"), B("name"),
							B("payload")};
	FbBytes bytes;

	if (knob == NO_CHAINCODE_ACTION)
		return FB_BYTES_EMPTY;
	if (knob == CHAINCODE_ACTION_BROKEN)
		return BROKEN;
	if (response_event_pack(allocator, &event, &bytes, NULL) != FB_OK)
		exit(2);
	if (knob == ZERO_IN_EVENT)
		bytes = B("\x0a\x05"
				  "basic"
				  "\x12\x02i\0"
				  "\x1a\x03"
				  "a\0b");
	chaincode.name = proto_data(knob == CHAINCODE_NAME_EMPTY ? B("")
								: knob == CHAINCODE_DIFFERS	 ? B("other")
								: knob == ZERO_IN_CHAINCODE	 ? B("basic\0x")
															 : B("basic"));
	chaincode.version =
		proto_data(knob == NO_VERSION || knob == NAMESPACE_TWICE_AND_NO_VERSION ? B("")
				   : knob == ZERO_IN_VERSION									? B("\0"
																													   "1")
																				: B("1.0"));
	response.status = 200;
	response.message = proto_data(knob == ZERO_IN_MESSAGE ? B("mess\0age") : B("message"));
	response.payload = proto_data(B("answer"));
	action.results = proto_data(make_results(allocator, knob));
	action.events = proto_data(knob == EVENT_BROKEN ? BROKEN : bytes);
	action.response = &response;
	action.chaincode_id = knob == NO_CHAINCODE_IN_ACTION ? NULL : &chaincode;
	if (knob == CHAINCODE_IN_PARTS)
	{
		chaincode.name = proto_data(FB_BYTES_EMPTY);
		return join(allocator, pack(allocator, &action.base),
					B("\x22\x07\x12\x05"
					  "basic"));
	}
	if (knob == GROUP_IN_ACTION)
		return join(allocator, B("\x0b\x13\x12\x01x\x14\x0c"), pack(allocator, &action.base));
	if (knob == RESPONSE_OF_ANOTHER_TYPE)
		return join(allocator, pack(allocator, &action.base),
					B("\x18\x07\x08\x01\x25"
					  "four"));
	return pack(allocator, &action.base);
}

static inline FbBytes
make_data(FbAllocator *allocator, Knob knob, FbBytes channel_header, FbBytes signature_header)
{
	Protos__ProposalResponsePayload response_payload = PROTOS__PROPOSAL_RESPONSE_PAYLOAD__INIT;
	Protos__Endorsement endorsement = PROTOS__ENDORSEMENT__INIT;
	Protos__Endorsement *endorsements[1] = {&endorsement};
	Protos__ChaincodeEndorsedAction endorsed = PROTOS__CHAINCODE_ENDORSED_ACTION__INIT;
	Protos__ChaincodeActionPayload payload = PROTOS__CHAINCODE_ACTION_PAYLOAD__INIT;
	Protos__TransactionAction action = PROTOS__TRANSACTION_ACTION__INIT;
	Protos__TransactionAction *actions[2] = {&action, &action};
	Protos__Transaction transaction = PROTOS__TRANSACTION__INIT;
	FbBytes action_header = signature_header;
	FbBytes proposal_payload = knob == NO_PROPOSAL_PAYLOAD ? FB_BYTES_EMPTY : B("\x0a\x02\x0a\x00");
	uint8_t hash[32];

	if (knob == NO_DATA || knob == TYPE_CONFIG_EMPTY)
		return FB_BYTES_EMPTY;
	if (knob == DATA_BROKEN)
		return BROKEN;
	if (knob == ACTION_HEADER_BROKEN)
		action_header = BROKEN;
	if (knob == ACTION_HEADER_EMPTY)
		action_header = FB_BYTES_EMPTY;
	if (knob == ACTION_HEADER_NO_NONCE)
		action_header = B("\x0a\x07"
						  "creator");
	if (knob == ACTION_HEADER_NO_CREATOR)
		action_header = B("\x12\x05"
						  "nonce");
	crypto_sha256_parts((FbBytes[]) {channel_header, action_header, proposal_payload}, 3, hash);
	if (knob == WRONG_HASH || knob == WRONG_TX_ID_AND_HASH || knob == OTHER_CHANNEL_AND_HASH)
		hash[31] ^= 1;
	response_payload.proposal_hash = proto_data(fb_bytes(hash, 32));
	response_payload.extension = proto_data(make_action(allocator, knob));
	endorsement.endorser = proto_data(B("endorser"));
	endorsement.signature = proto_data(B("signature"));
	endorsed.endorsements = endorsements;
	endorsed.n_endorsements = 1;
	if (knob == LONG_ENDORSER)
		endorsement.endorser = proto_data(text_of_size(allocator, FB_IDENTITY_BYTES_MAX + 1));
	if (knob == MANY_ENDORSEMENTS || knob == TOO_MANY_ENDORSEMENTS)
	{
		endorsed.n_endorsements = FB_ENDORSEMENTS_MAX + (knob == TOO_MANY_ENDORSEMENTS);
		endorsed.endorsements =
			fb_allocate_array(allocator, endorsed.n_endorsements, sizeof(endorsements[0]));
		for (size_t i = 0; i < endorsed.n_endorsements; i++)
			endorsed.endorsements[i] = &endorsement;
	}
	endorsed.proposal_response_payload = proto_data(
		knob == RESPONSE_PAYLOAD_BROKEN ? BROKEN : pack(allocator, &response_payload.base));
	payload.chaincode_proposal_payload = proto_data(proposal_payload);
	payload.action = knob == NO_ENDORSED_ACTION ? NULL : &endorsed;
	action.header = proto_data(action_header);
	action.payload =
		proto_data(knob == ACTION_PAYLOAD_BROKEN ? BROKEN : pack(allocator, &payload.base));
	transaction.actions = actions;
	transaction.n_actions = knob == NO_ACTION ? 0 : knob == TWO_ACTIONS ? 2 : 1;
	if (knob == NO_ACTION)
		return B("\x92\x03\x00"); /* an unknown field, so that there are data */
	return pack(allocator, &transaction.base);
}

static inline FbBytes
make_envelope(FbAllocator *allocator, Knob knob)
{
	Common__ChannelHeader channel_header = COMMON__CHANNEL_HEADER__INIT;
	Common__SignatureHeader signature_header = COMMON__SIGNATURE_HEADER__INIT;
	Common__Header header = COMMON__HEADER__INIT;
	Common__Payload payload = COMMON__PAYLOAD__INIT;
	Common__Envelope envelope = COMMON__ENVELOPE__INIT;
	Google__Protobuf__Timestamp timestamp = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
	char tx_id[TX_ID_LENGTH + 1];
	FbBytes channel_bytes;
	FbBytes signature_bytes;

	if (knob == ENVELOPE_BROKEN)
		return BROKEN;
	if (knob == ENVELOPE_EMPTY)
		return FB_BYTES_EMPTY;
	signature_header.creator = proto_data(knob == NO_CREATOR ? FB_BYTES_EMPTY : B("creator"));
	signature_header.nonce = proto_data(knob == NO_NONCE ? FB_BYTES_EMPTY : NONCE);
	tx_id_compute(proto_bytes(signature_header.nonce), proto_bytes(signature_header.creator),
				  tx_id);
	if (knob == WRONG_TX_ID || knob == WRONG_TX_ID_AND_HASH)
		tx_id[0] = tx_id[0] == '0' ? '1' : '0';
	channel_header.type = knob == TYPE_MESSAGE								 ? 0
						  : knob == TYPE_UNKNOWN							 ? 77
						  : knob == TYPE_CONFIG_UPDATE						 ? 2
						  : knob == TYPE_CONFIG || knob == TYPE_CONFIG_EMPTY ? 1
																			 : 3;
	timestamp.seconds = 77;
	channel_header.timestamp = &timestamp;
	channel_header.epoch = knob == EPOCH;
	channel_header.channel_id =
		proto_data(knob == OTHER_CHANNEL || knob == OTHER_CHANNEL_AND_HASH ? B("yourchannel")
				   : knob == ZERO_IN_CHANNEL							   ? B("mychannel\0")
																		   : B("mychannel"));
	channel_header.tx_id =
		proto_data(knob == NO_TX_ID ? FB_BYTES_EMPTY
									: fb_bytes(tx_id, TX_ID_LENGTH + (knob == ZERO_IN_TX_ID)));
	channel_header.extension = proto_data(knob == EXTENSION_BROKEN		   ? BROKEN
										  : knob == NO_CHAINCODE_IN_HEADER ? FB_BYTES_EMPTY
										  : knob == CHAINCODE_NAME_EMPTY   ? B("\x12\x00")
																		   : B("\x12\x07\x12\x05"
																				 "basic"));
	channel_bytes = knob == CHANNEL_HEADER_BROKEN ? BROKEN : pack(allocator, &channel_header.base);
	signature_bytes =
		knob == SIGNATURE_HEADER_BROKEN ? BROKEN : pack(allocator, &signature_header.base);
	header.channel_header = proto_data(channel_bytes);
	header.signature_header = proto_data(signature_bytes);
	payload.header = knob == NO_HEADER ? NULL : &header;
	payload.data = proto_data(make_data(allocator, knob, channel_bytes, signature_bytes));
	envelope.payload = proto_data(knob == PAYLOAD_BROKEN ? BROKEN : pack(allocator, &payload.base));
	if (knob == HEADER_IN_PARTS)
	{
		Common__Header first = COMMON__HEADER__INIT;
		Common__Payload only_header = COMMON__PAYLOAD__INIT;

		first.signature_header = header.signature_header;
		only_header.header = &first;
		header.signature_header = proto_data(FB_BYTES_EMPTY);
		envelope.payload = proto_data(
			join(allocator, pack(allocator, &only_header.base), pack(allocator, &payload.base)));
	}
	if (knob == LONG_TAG)
		envelope.payload = proto_data(
			join(allocator, B("\x9a\x80\x80\x80\x80\x80\x00\x80\x80\x80\x80\x80\x80\x00"),
				 pack(allocator, &payload.base)));
	envelope.signature = proto_data(B("signature"));
	return pack(allocator, &envelope.base);
}

/* the check of our limits before ordering, which applies only to an envelope that can be parsed */
static inline FbStatus
check_limits_of(FbAllocator *allocator, FbBytes bytes, FbError *error)
{
	Envelope envelope;
	FbStatus status = envelope_parse(allocator, bytes, &envelope, error);

	if (status == FB_OK)
		return check_limits(allocator, &envelope, error);
	return status == FB_MALFORMED_MESSAGE ? FB_OK : status;
}

static inline void
test_limits(FbAllocator *allocator)
{
	FbError error;

	for (size_t i = 0; i < KNOBS_COUNT; i++)
	{
		Knob knob = knob_codes[i].knob;
		bool over = knob == MANY_ENDORSEMENTS || knob == TOO_MANY_ENDORSEMENTS ||
					knob == LONG_ENDORSER || knob == LONG_KEY || knob == TOO_DEEP_POLICY ||
					knob == TOO_DEEP_POLICY_OF_HASH || knob == MANY_NAMESPACES ||
					knob == LARGE_DEGREE;

		if (!CHECK_STATUS(check_limits_of(allocator, make_envelope(allocator, knob), &error),
						  over ? FB_LIMIT_EXCEEDED : FB_OK))
			fprintf(stderr, "    knob %zu\n", i);
		if (over)
		{
			CHECK_TEXT(error.message, "transaction exceeds a limit of validation");
			CHECK(error.detail[0] != '\0');
		}
		CHECK_STATUS(check_limits_of(allocator, make_envelope(allocator, knob), NULL),
					 over ? FB_LIMIT_EXCEEDED : FB_OK);
	}
}

static inline FbBytes
make_payload(FbAllocator *allocator, const ProposalView *proposal, const char *results_hex,
			 const char *version, int32_t status, FbBytes event)
{
	ResponsePayload content = {
		.proposal_hash = fb_bytes(proposal->proposal_hash, 32),
		.results = from_hex(allocator, results_hex),
		.event = event,
		.response = {status, FB_BYTES_EMPTY, B("done")},
		.chaincode_name = B("basic"),
		.chaincode_version = fb_bytes_of_text(version),
	};
	FbBytes bytes;

	if (response_payload_build(allocator, &content, &bytes, NULL) != FB_OK)
		exit(2);
	return bytes;
}

/* an rwset with the given public content of namespace basic, in hex for make_payload */
static inline char *
results_hex(FbAllocator *allocator, int variant)
{
	RwSetBuilder *builder;
	RwSetRangeBuilder *range;
	RwSetResult result;
	RwSetMetadataEntry entry = {B("VALIDATION_PARAMETER"), variant == 3 ? B("other") : B("EP")};
	RwSetVersion version = {true, variant == 1 ? 6 : 5, 0};
	char *hex;

	if (rwset_builder_create(allocator, &builder, NULL) != FB_OK ||
		rwset_builder_add_read(builder, B("basic"), B("k"), version, NULL) != FB_OK ||
		rwset_builder_add_write(builder, B("basic"), B("k"),
								variant == 2 ? B("random 2") : B("random 1"), NULL) != FB_OK ||
		rwset_builder_add_metadata_write(builder, B("basic"), B("k"), &entry, variant != 7, NULL) !=
			FB_OK ||
		rwset_builder_add_private_write(builder, B("basic"), B("coll"), B("p"),
										variant == 4 ? B("2") : B("1"), NULL) != FB_OK ||
		rwset_builder_open_range(builder, B("basic"), B("a"), B("z"), &range, NULL) != FB_OK ||
		rwset_range_add_result(range, variant == 5 ? B("m") : B("n"), version, NULL) != FB_OK)
		exit(2);
	rwset_range_exhaust(range);
	if (variant == 6 &&
		rwset_builder_add_write(builder, B("basic"), B("extra"), B("v"), NULL) != FB_OK)
		exit(2);
	if (rwset_builder_finish(builder, &result, NULL) != FB_OK)
		exit(2);
	hex = fb_allocate(allocator, result.public_bytes.size * 2 + 1);
	fb_hex_encode(result.public_bytes, hex);
	return hex;
}

#endif
