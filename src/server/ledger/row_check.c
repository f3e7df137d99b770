/*
 * row_check.c: rows as they are on their page, before anything reads them.
 *
 * PostgreSQL trusts its own pages: a value whose length has one flipped bit makes it read up to a
 * gigabyte behind the page, out of shared memory, and crash; so does a damaged pointer to a TOAST
 * value. Data checksums find such pages when they are read from disk, but they can be off, and
 * memory can fail too. So the scans of the ledger check each row first, as amcheck's verify_heapam
 * does (contrib/amcheck/verify_heapam.c, check_tuple): header, number of columns, and the place and
 * length of every value must fit into the bytes that the page gives to the row. A row that passes
 * can be read; if its contents are wrong, the hash chain shows it.
 */
#include "server/ledger/ledger_internal.h"

#include "access/detoast.h"
#include "access/htup_details.h"
#include "access/nbtree.h"
#include "access/toast_compression.h"
#include "access/tupmacs.h"
#include "storage/bufmgr.h"

#include "server/pg/compat.h"

/*
 * a value that is stored in the row; the bytes of the row from this value on. NULL: it fits; *size:
 * its bytes
 */
static const char *
check_inline(const char *value, size_t rest, size_t *size)
{
	if (VARATT_IS_1B(value))
		*size = VARSIZE_1B(value);
	else
	{
		if (rest < VARHDRSZ)
			return "a value begins behind the end of the row";
		*size = VARSIZE_4B(value);
	}
	if (*size < (VARATT_IS_1B(value) ? VARHDRSZ_SHORT : VARHDRSZ) || *size > rest)
		return "a value has more bytes than its row";
	if (VARATT_IS_4B_C(value) && *size < VARHDRSZ_COMPRESSED)
		return "a compressed value has no header";
	if (VARATT_IS_4B_C(value) &&
		(VARDATA_COMPRESSED_GET_EXTSIZE(value) > MaxAllocSize - VARHDRSZ ||
		 (VARDATA_COMPRESSED_GET_COMPRESS_METHOD(value) != TOAST_PGLZ_COMPRESSION_ID &&
		  VARDATA_COMPRESSED_GET_COMPRESS_METHOD(value) != TOAST_LZ4_COMPRESSION_ID)))
		return "a compressed value has a size or a method that does not exist";
	return NULL;
}

/* a pointer to a value in the TOAST table */
static const char *
check_pointer(const char *value, size_t rest, Oid toast_table, size_t *size)
{
	struct varatt_external pointer;

	if (rest < VARHDRSZ_EXTERNAL || VARTAG_1B_E(value) != VARTAG_ONDISK ||
		rest < TOAST_POINTER_SIZE)
		return "a value's place is of a kind that no table holds";
	*size = TOAST_POINTER_SIZE;
	VARATT_EXTERNAL_GET_POINTER(pointer, value);
	if (pointer.va_toastrelid != toast_table || !OidIsValid(toast_table))
		return "a value's place is in another table";
	if (pointer.va_rawsize < VARHDRSZ || (Size) pointer.va_rawsize > MaxAllocSize ||
		VARATT_EXTERNAL_GET_EXTSIZE(pointer) > pointer.va_rawsize - VARHDRSZ)
		return "a value's size does not exist";
	if (VARATT_EXTERNAL_IS_COMPRESSED(pointer) &&
		VARATT_EXTERNAL_GET_COMPRESS_METHOD(pointer) != TOAST_PGLZ_COMPRESSION_ID &&
		VARATT_EXTERNAL_GET_COMPRESS_METHOD(pointer) != TOAST_LZ4_COMPRESSION_ID)
		return "a compressed value has a method that does not exist";
	return NULL;
}

static const char *
row_check_value(const char *row, size_t row_bytes, Form_pg_attribute attribute, Oid toast_table,
				size_t *offset)
{
	const char *problem;
	size_t size;

	if (attribute->attlen > 0)
	{
		*offset = att_align_nominal(*offset, attribute->attalign);
		*offset += attribute->attlen;
		return *offset > row_bytes ? "a value begins behind the end of the row" : NULL;
	}
	/* a short value is not aligned, and what pads a long one is zero */
	if (*offset < row_bytes && !VARATT_NOT_PAD_BYTE(row + *offset))
		*offset = att_align_nominal(*offset, attribute->attalign);
	if (*offset >= row_bytes)
		return "a value begins behind the end of the row";
	problem = VARATT_IS_1B_E(row + *offset)
				  ? check_pointer(row + *offset, row_bytes - *offset, toast_table, &size)
				  : check_inline(row + *offset, row_bytes - *offset, &size);
	*offset += problem == NULL ? size : 0;
	return problem;
}

const char *
row_check(TupleDesc columns, Oid toast_table, HeapTupleHeader header, size_t bytes)
{
	size_t offset;
	int count;

	if (bytes < SizeofHeapTupleHeader)
		return "it has fewer bytes than its header";
	count = HeapTupleHeaderGetNatts(header);
	if (count > columns->natts)
		return "it has more columns than its table";
	offset = header->t_hoff;
	if (offset != MAXALIGN(SizeofHeapTupleHeader +
						   ((header->t_infomask & HEAP_HASNULL) ? BITMAPLEN(count) : 0)) ||
		offset > bytes)
		return "its header has the wrong size";
	if (header->t_infomask & HEAP_HASOID_OLD)
		return "its header has a flag that no row has";
	for (int i = 0; i < count; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(columns, i);
		const char *problem;
		size_t in_row = offset - header->t_hoff;

		if ((header->t_infomask & HEAP_HASNULL) && att_isnull(i, header->t_bits))
		{
			if (attribute->attnotnull)
				return "a column is null that must not be";
			continue;
		}
		/* offsets count from the first value */
		problem = row_check_value((char *) header + header->t_hoff, bytes - header->t_hoff,
								  attribute, toast_table, &in_row);
		if (problem != NULL)
			return problem;
		offset = header->t_hoff + in_row;
	}
	return NULL;
}

const char *
index_entry_check(TupleDesc columns, IndexTuple entry)
{
	size_t header = IndexInfoFindDataOffset(entry->t_info);
	size_t bytes = IndexTupleSize(entry);
	size_t offset = 0;
	int count = columns->natts;

	/*
	 * an entry of an inner page may have fewer columns, and one for many equal rows has their
	 * places behind its values (nbtree.h)
	 */
	if (entry->t_info & INDEX_ALT_TID_MASK)
	{
		if (BTreeTupleIsPosting(entry))
		{
			if (BTreeTupleGetPostingOffset(entry) > bytes ||
				BTreeTupleGetPostingOffset(entry) +
						BTreeTupleGetNPosting(entry) * sizeof(ItemPointerData) >
					bytes)
				return "its list of rows is not within it";
			bytes = BTreeTupleGetPostingOffset(entry);
		}
		else
			count = Min(count, ItemPointerGetOffsetNumberNoCheck(&entry->t_tid) & BT_OFFSET_MASK);
	}
	if (bytes < header)
		return "its size is wrong";
	for (int i = 0; i < count; i++)
	{
		const char *problem;

		if (IndexTupleHasNulls(entry) &&
			att_isnull(i, (bits8 *) ((char *) entry + sizeof(IndexTupleData))))
			continue;
		problem = row_check_value((char *) entry + header, bytes - header,
								  TupleDescAttr(columns, i), InvalidOid, &offset);
		if (problem != NULL)
			return problem;
	}
	return NULL;
}

const char *
row_check_place(const char *page, const char *row, size_t bytes)
{
	if (row < page + SizeOfPageHeaderData || bytes > BLCKSZ || row + bytes > page + BLCKSZ)
		return "it is not within its page";
	return NULL;
}
