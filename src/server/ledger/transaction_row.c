/* transaction_row.c: fill the columns of a transaction's row from its envelope */
#include "server/ledger/ledger.h"

#include "core/identity/identity.h"

/* texts of hostile transactions are stored only if a text column can hold them */
static FbBytes
text_or_none(FbBytes text)
{
	if (text.size == 0 || text.size > FB_MSP_ID_BYTES_MAX ||
		memchr(text.data, 0, text.size) != NULL || !fb_utf8_valid(text))
		return FB_BYTES_EMPTY;
	return text;
}

static FbBytes
creator_msp(FbAllocator *allocator, FbBytes creator)
{
	const char *msp_id;
	FbBytes certificate;
	FbError error;

	if (creator.size == 0 ||
		identity_unpack(creator, allocator, &msp_id, &certificate, &error) != FB_OK)
		return FB_BYTES_EMPTY;
	return fb_bytes_of_text(msp_id);
}

static TimestampTz
client_time(TxTime time)
{
	/* what a timestamptz can hold: 4713 BC to 294276 AD */
	if (!time.present || time.seconds < INT64CONST(-210866803200) ||
		time.seconds >= INT64CONST(9224318016000))
		return DT_NOBEGIN;
	return (time.seconds - (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * (int64) SECS_PER_DAY) *
			   USECS_PER_SEC +
		   Min(Max(time.nanoseconds, 0), 999999999) / 1000;
}

void
transaction_row_fill(TransactionRow *row, FbAllocator *allocator, uint64 number, size_t position,
					 FbBytes envelope, const TxView *view, uint8 code)
{
	memset(row, 0, sizeof(*row));
	row->block_number = number;
	row->position = (uint32) position;
	row->type = view->channel_header.size > 0 && view->type >= 0 && view->type < PG_INT16_MAX
					? (int16) view->type
					: -1;
	row->validation_code = code;
	row->tx_id = view->ledger_tx_id.size <= 1024 ? view->ledger_tx_id : FB_BYTES_EMPTY;
	row->creator_msp = text_or_none(creator_msp(allocator, view->creator));
	row->chaincode = text_or_none(view->chaincode_name);
	row->created_at = client_time(view->timestamp);
	row->envelope = envelope;
}
