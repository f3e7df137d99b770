/*
 * block_view.c: a received block as views into its bytes, without copies: a block can have
 * megabytes, and its transactions are read one by one. The decoder has checked the bytes before
 * they are read here.
 */
#include "core/block/block.h"

/* the content of the last field of a message that has this number; empty when there is none */
static FbBytes
last_field(FbBytes message, uint32_t number)
{
	FbBytes found = FB_BYTES_EMPTY;
	ProtoField field;

	while (proto_next_field(&message, &field))
	{
		if (field.number == number && field.is_bytes)
			found = field.bytes;
	}
	return found;
}

static FbStatus
collect_data(FbBytes block_data, FbAllocator *allocator, const FbBytes **data, size_t *data_count,
			 FbError *error)
{
	FbBytes rest = block_data;
	ProtoField field;
	FbBytes *array;
	size_t count = 0;

	while (proto_next_field(&rest, &field))
		count += field.number == 1;
	if (count > FB_BLOCK_TRANSACTIONS_MAX)
	{
		fb_fail(error, FB_LIMIT_EXCEEDED, "block has too many transactions");
		fb_error_detail(error, "It has %zu; the limit is %d.", count, FB_BLOCK_TRANSACTIONS_MAX);
		return FB_LIMIT_EXCEEDED;
	}
	array = fb_allocate_array(allocator, count, sizeof(FbBytes));
	if (array == NULL)
		return fb_out_of_memory(error);
	count = 0;
	while (proto_next_field(&block_data, &field))
	{
		if (field.number == 1)
			array[count++] = field.bytes;
	}
	*data = array;
	*data_count = count;
	return FB_OK;
}

FbStatus
block_parse_data(FbBytes bytes, FbAllocator *allocator, const FbBytes **data, size_t *data_count,
				 FbError *error)
{
	*data = NULL;
	*data_count = 0;
	FB_TRY(PROTO_CHECK_PLAIN(common__block_data, bytes, error));
	return collect_data(bytes, allocator, data, data_count, error);
}

static FbStatus
collect_metadata_fields(FbBytes block_metadata, BlockView *view, FbError *error)
{
	ProtoField field;

	while (proto_next_field(&block_metadata, &field))
	{
		if (field.number != 1)
			continue;
		if (view->metadata_count == FB_BLOCK_METADATA_COUNT)
		{
			fb_fail(error, FB_MALFORMED_MESSAGE, "malformed message of type common.Block");
			fb_error_detail(error, "It has more than %d metadata slots.", FB_BLOCK_METADATA_COUNT);
			return FB_MALFORMED_MESSAGE;
		}
		view->metadata[view->metadata_count++] = field.bytes;
	}
	return FB_OK;
}

static void
read_header(FbBytes bytes, BlockHeader *header)
{
	ProtoField field;

	while (proto_next_field(&bytes, &field))
	{
		switch (field.number)
		{
			case 1:
				header->number = field.value;
				break;
			case 2:
				header->previous_hash = field.bytes;
				break;
			case 3:
				header->data_hash = field.bytes;
				break;
			default:
				break;
		}
	}
}

FbStatus
block_parse(FbBytes bytes, FbAllocator *allocator, BlockView *view, FbError *error)
{
	FbBytes rest = bytes;
	ProtoField field;
	bool has_header = false;
	FbBytes block_data = FB_BYTES_EMPTY;

	memset(view, 0, sizeof(*view));
	FB_TRY(PROTO_CHECK_PLAIN(common__block, bytes, error));
	while (proto_next_field(&rest, &field))
	{
		switch (field.number)
		{
			case 1:
				has_header = true;
				read_header(field.bytes, &view->header);
				break;
			case 2:
				block_data = field.bytes;
				break;
			case 3:
				FB_TRY(collect_metadata_fields(field.bytes, view, error));
				break;
			default:
				break;
		}
	}
	if (!has_header)
	{
		fb_fail(error, FB_MALFORMED_MESSAGE, "malformed message of type common.Block");
		fb_error_detail(error, "It has no header.");
		return FB_MALFORMED_MESSAGE;
	}
	return collect_data(block_data, allocator, &view->data, &view->data_count, error);
}

FbStatus
block_parse_envelope(FbBytes envelope, FbBytes *payload, FbBytes *signature, FbError *error)
{
	*payload = FB_BYTES_EMPTY;
	*signature = FB_BYTES_EMPTY;
	FB_TRY(PROTO_CHECK_PLAIN(common__envelope, envelope, error));
	*payload = last_field(envelope, 1);
	*signature = last_field(envelope, 2);
	return FB_OK;
}

/*
 * Is there a header of type CONFIG below field 1 of these bytes, so many levels down? They are not
 * checked, so a yes proves nothing, but a no is certain. It costs less than decoding, and nearly
 * every envelope is a transaction.
 */
static bool
may_be_config(FbBytes bytes, int levels)
{
	ProtoField field;

	while (proto_next_field(&bytes, &field))
	{
		if (field.number != 1)
			continue;
		if (levels == 0
				? (field.wire_type == 0 && (int32_t) field.value == COMMON__HEADER_TYPE__CONFIG)
				: (field.is_bytes && may_be_config(field.bytes, levels - 1)))
			return true;
	}
	return false;
}

/*
 * The payload is read as check_envelope reads that of a transaction, whatever its encoding. If the
 * header is sent in parts, the last channel header counts.
 */
bool
block_is_config_envelope(FbBytes envelope)
{
	FbBytes payload;
	FbBytes signature;
	FbBytes channel_header = FB_BYTES_EMPTY;
	ProtoField field;
	int32_t type = 0;

	/* envelope, payload, header, channel header */
	if (!may_be_config(envelope, 3))
		return false;
	if (block_parse_envelope(envelope, &payload, &signature, NULL) != FB_OK ||
		PROTO_CHECK(common__payload, payload, NULL) != FB_OK)
		return false;
	while (proto_next_field(&payload, &field))
	{
		ProtoField part;

		while (field.number == 1 && field.is_bytes && proto_next_field(&field.bytes, &part))
			if (part.number == 1 && part.is_bytes)
				channel_header = part.bytes;
	}
	if (PROTO_CHECK(common__channel_header, channel_header, NULL) != FB_OK)
		return false;
	while (proto_next_field(&channel_header, &field))
		if (field.number == 1 && field.wire_type == 0)
			type = (int32_t) field.value;
	return type == COMMON__HEADER_TYPE__CONFIG;
}

bool
block_has_config(const FbBytes *data, size_t data_count)
{
	return data_count == 1 && block_is_config_envelope(data[0]);
}

bool
block_is_configuration(const BlockView *view)
{
	FbBytes codes = view->metadata[COMMON__BLOCK_METADATA_INDEX__TRANSACTIONS_FILTER];

	return block_has_config(view->data, view->data_count) &&
		   (codes.size != 1 || codes.data[0] == PROTOS__TX_VALIDATION_CODE__VALID);
}
