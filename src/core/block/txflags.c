/*
 * txflags.c: the transactions filter: one validation code per transaction of a block, in slot 2 of
 * its metadata
 */
#include "core/block/block.h"

void
txflags_start(uint8_t *filter, size_t count)
{
	if (count > 0)
		memset(filter, PROTOS__TX_VALIDATION_CODE__NOT_VALIDATED, count);
}

size_t
txflags_count(FbBytes filter, uint8_t code)
{
	size_t count = 0;

	for (size_t i = 0; i < filter.size; i++)
		count += filter.data[i] == code;
	return count;
}

FbStatus
txflags_check(FbBytes filter, size_t data_count, FbError *error)
{
	if (filter.size != data_count)
	{
		fb_fail(error, FB_BLOCK_REFUSED, "transactions filter of the block has a wrong length");
		fb_error_detail(error, "It has %zu codes for %zu transactions.", filter.size, data_count);
		return FB_BLOCK_REFUSED;
	}
	for (size_t i = 0; i < filter.size; i++)
	{
		if (filter.data[i] == PROTOS__TX_VALIDATION_CODE__NOT_VALIDATED)
			return fb_fail(error, FB_BLOCK_REFUSED,
						   "transaction %zu of the block has not been validated", i);
	}
	return FB_OK;
}
