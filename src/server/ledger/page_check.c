/*
 * page_check.c: the pages of a channel's tables and indexes as the disk holds them.
 *
 * Reading a damaged page may crash the server process and so end all sessions. So an audit first
 * checks all pages, with every length in them, and reads rows only when that is safe. A page of a
 * table is one whose rows fit into it (row_check.c), whose line pointers point at rows, and whose
 * transaction ids exist; a page of an index is one whose entries fit into it. Later comparisons
 * check the contents: index_check.c, and audit/chain_walk.c by the hash chain.
 *
 * The repair removes from a page of a table what cannot be read, as contrib/pg_surgery does
 * (heap_surgery.c, heap_force_common), and empties a page whose header is damaged; then it rebuilds
 * all indexes, because their entries may point at removed rows. The chain shows what is missing
 * then, and other nodes have it.
 */
#include "server/ledger/ledger_internal.h"

#include "access/htup_details.h"
#include "access/itup.h"
#include "access/multixact.h"
#include "access/nbtree.h"
#include "access/relation.h"
#include "access/transam.h"
#include "access/visibilitymap.h"
#include "access/xloginsert.h"
#include "catalog/pg_am.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"

typedef struct PageCheck
{
	Relation relation;
	BlockNumber block;
	bool repair; /* take out what is damaged */
	uint64 damaged_count;
	LedgerDamage report;
	void *context;
} PageCheck;

static void report_damage(PageCheck *check, const char *format, ...) pg_attribute_printf(2, 3);

static void
report_damage(PageCheck *check, const char *format, ...)
{
	char detail[FB_ERROR_DETAIL_BYTES];
	va_list arguments;

	va_start(arguments, format);
	fb_print_cut(detail, sizeof(detail), format, arguments);
	va_end(arguments);
	check->damaged_count++;
	check->report(check->context, RelationGetRelationName(check->relation), check->block, detail);
}

/* ---- rows ---- */

/* NULL: a transaction that can have been */
static const char *
check_xid(const PageCheck *check, TransactionId xid)
{
	if (!TransactionIdIsNormal(xid))
		return NULL;
	if (!TransactionIdPrecedes(xid, ReadNextTransactionId()))
		return "its transaction id is in the future";
	if (TransactionIdIsNormal(check->relation->rd_rel->relfrozenxid) &&
		TransactionIdPrecedes(xid, check->relation->rd_rel->relfrozenxid))
		return "its transaction id is older than the table's relfrozenxid";
	return NULL;
}

static const char *
page_check_transactions(const PageCheck *check, HeapTupleHeader row)
{
	const char *problem =
		HeapTupleHeaderXminFrozen(row) ? NULL : check_xid(check, HeapTupleHeaderGetRawXmin(row));

	if (problem != NULL || (row->t_infomask & HEAP_XMAX_INVALID))
		return problem;
	if (row->t_infomask & HEAP_XMAX_IS_MULTI)
	{
		MultiXactId multi = HeapTupleHeaderGetRawXmax(row);

		if (!MultiXactIdIsValid(multi) || !MultiXactIdPrecedes(multi, ReadNextMultiXactId()) ||
			MultiXactIdPrecedes(multi, check->relation->rd_rel->relminmxid))
			return "it is locked by transactions that do not exist";
		return NULL;
	}
	return check_xid(check, HeapTupleHeaderGetRawXmax(row));
}

/* what a line pointer of a page of a table points at */
static const char *
check_line(const PageCheck *check, Page page, OffsetNumber last, ItemId line)
{
	HeapTupleHeader row;
	const char *problem;

	if (!ItemIdIsUsed(line) || ItemIdIsDead(line))
		return NULL;
	if (ItemIdIsRedirected(line))
	{
		OffsetNumber target = ItemIdGetRedirect(line);

		return target < FirstOffsetNumber || target > last ||
					   !ItemIdIsNormal(PageGetItemId(page, target))
				   ? "it leads to no row"
				   : NULL;
	}
	if (ItemIdGetOffset(line) != MAXALIGN(ItemIdGetOffset(line)) ||
		ItemIdGetOffset(line) < ((PageHeader) page)->pd_upper ||
		ItemIdGetOffset(line) + ItemIdGetLength(line) > BLCKSZ)
		return "it is not within its page";
	row = (HeapTupleHeader) PageGetItem(page, line);
	problem = row_check(RelationGetDescr(check->relation), check->relation->rd_rel->reltoastrelid,
						row, ItemIdGetLength(line));
	return problem != NULL ? problem : page_check_transactions(check, row);
}

/* NULL: a header that the lines can be found by */
static const char *
check_table_header(Page page)
{
	PageHeader header = (PageHeader) page;

	if (header->pd_special != BLCKSZ || header->pd_lower < SizeOfPageHeaderData ||
		header->pd_lower > header->pd_upper || header->pd_upper > header->pd_special ||
		(header->pd_lower - SizeOfPageHeaderData) % sizeof(ItemIdData) != 0 ||
		PageGetMaxOffsetNumber(page) > MaxHeapTuplesPerPage ||
		PageGetPageLayoutVersion(page) != PG_PAGE_LAYOUT_VERSION || PageGetPageSize(page) != BLCKSZ)
		return "its header is damaged";
	return NULL;
}

/*
 * Empty the page (lines NULL), or make these line pointers dead, and log the whole page. Clear its
 * all-visible bit: an index-only scan would return the removed rows.
 */
static void
remove_rows(Relation relation, Buffer buffer, const OffsetNumber *lines, int count)
{
	Page page = BufferGetPage(buffer);
	BlockNumber block = BufferGetBlockNumber(buffer);
	Buffer map = InvalidBuffer;

	visibilitymap_pin(relation, block, &map);
	START_CRIT_SECTION();
	if (lines == NULL)
		PageInit(page, BLCKSZ, 0);
	for (int i = 0; i < count; i++)
		ItemIdSetDead(PageGetItemId(page, lines[i]));
	PageClearAllVisible(page);
	(void) visibilitymap_clear(relation, block, map, VISIBILITYMAP_VALID_BITS);
	MarkBufferDirty(buffer);
	if (RelationNeedsWAL(relation))
		(void) log_newpage_buffer(buffer, true);
	END_CRIT_SECTION();
	ReleaseBuffer(map);
}

static bool
contains_line(const OffsetNumber *lines, int count, OffsetNumber line)
{
	for (int i = 0; i < count; i++)
		if (lines[i] == line)
			return true;
	return false;
}

/*
 * a page of a table; line pointers of damaged rows become dead, so that no index entry leads to
 * them
 */
static void
check_table_page(PageCheck *check, Buffer buffer)
{
	Page page = BufferGetPage(buffer);
	const char *problem;
	OffsetNumber last;
	OffsetNumber damaged[MaxHeapTuplesPerPage];
	int damaged_count = 0;

	if (PageIsNew(page))
		return;
	problem = check_table_header(page);
	if (problem != NULL)
	{
		report_damage(check, "The page cannot be read: %s.", problem);
		if (check->repair)
			remove_rows(check->relation, buffer, NULL, 0);
		return;
	}
	last = PageGetMaxOffsetNumber(page);
	for (OffsetNumber offset = FirstOffsetNumber; offset <= last; offset++)
	{
		problem = check_line(check, page, last, PageGetItemId(page, offset));
		if (problem == NULL)
			continue;
		report_damage(check, "Row %u: %s.", offset, problem);
		damaged[damaged_count++] = offset;
	}
	/* what leads to a row that goes has to go with it */
	for (OffsetNumber offset = FirstOffsetNumber; check->repair && offset <= last; offset++)
		if (ItemIdIsRedirected(PageGetItemId(page, offset)) &&
			contains_line(damaged, damaged_count, ItemIdGetRedirect(PageGetItemId(page, offset))) &&
			!contains_line(damaged, damaged_count, offset))
			damaged[damaged_count++] = offset;
	if (check->repair && damaged_count > 0)
		remove_rows(check->relation, buffer, damaged, damaged_count);
}

/* ---- indexes ---- */

static const char *
check_entry(const PageCheck *check, Page page, ItemId line)
{
	IndexTuple entry;

	if (!ItemIdHasStorage(line) || ItemIdIsRedirected(line) ||
		ItemIdGetOffset(line) != MAXALIGN(ItemIdGetOffset(line)) ||
		ItemIdGetOffset(line) < ((PageHeader) page)->pd_upper ||
		ItemIdGetOffset(line) + ItemIdGetLength(line) > ((PageHeader) page)->pd_special ||
		ItemIdGetLength(line) < sizeof(IndexTupleData))
		return "it is not within its page";
	entry = (IndexTuple) PageGetItem(page, line);
	if (IndexTupleSize(entry) > ItemIdGetLength(line) ||
		IndexInfoFindDataOffset(entry->t_info) > IndexTupleSize(entry))
		return "its size is wrong";
	return index_entry_check(RelationGetDescr(check->relation), entry);
}

static void
check_index_page(PageCheck *check, Buffer buffer)
{
	Page page = BufferGetPage(buffer);
	PageHeader header = (PageHeader) page;
	BTPageOpaque opaque;
	BlockNumber blocks = RelationGetNumberOfBlocks(check->relation);

	if (PageIsNew(page))
		return;
	if (header->pd_special != BLCKSZ - MAXALIGN(sizeof(BTPageOpaqueData)) ||
		header->pd_lower < SizeOfPageHeaderData || header->pd_lower > header->pd_upper ||
		header->pd_upper > header->pd_special ||
		(header->pd_lower - SizeOfPageHeaderData) % sizeof(ItemIdData) != 0)
	{
		report_damage(check, "The page cannot be read: its header is damaged.");
		return;
	}
	opaque = (BTPageOpaque) PageGetSpecialPointer(page);
	if (check->block == BTREE_METAPAGE)
	{
		BTMetaPageData *meta = BTPageGetMeta(page);

		if (!P_ISMETA(opaque) || meta->btm_magic != BTREE_MAGIC ||
			meta->btm_version < BTREE_MIN_VERSION || meta->btm_version > BTREE_VERSION ||
			meta->btm_root >= blocks || meta->btm_fastroot >= blocks)
			report_damage(check, "The page cannot be read: it does not describe the index.");
		return;
	}
	if (P_ISMETA(opaque) || opaque->btpo_prev >= blocks || opaque->btpo_next >= blocks)
	{
		report_damage(check, "The page cannot be read: its neighbors do not exist.");
		return;
	}
	if (P_ISDELETED(opaque))
		return;
	for (OffsetNumber offset = FirstOffsetNumber; offset <= PageGetMaxOffsetNumber(page); offset++)
	{
		const char *problem = check_entry(check, page, PageGetItemId(page, offset));

		if (problem != NULL)
			report_damage(check, "Entry %u: %s.", offset, problem);
	}
}

/* ---- pages ---- */

static void
try_page(void *context)
{
	PageCheck *check = context;

	/* the pin goes with the subtransaction */
	ReleaseBuffer(
		ReadBufferExtended(check->relation, MAIN_FORKNUM, check->block, RBM_NORMAL, NULL));
}

/* the page, or why it could not be read from disk: its header or its checksum is wrong */
static Buffer
read_page(PageCheck *check, char **why)
{
	if (!ledger_try(try_page, check, why))
		return InvalidBuffer;
	return ReadBufferExtended(check->relation, MAIN_FORKNUM, check->block, RBM_NORMAL, NULL);
}

static void
check_pages(PageCheck *check)
{
	bool is_index = check->relation->rd_rel->relkind == RELKIND_INDEX;
	BlockNumber blocks = RelationGetNumberOfBlocks(check->relation);

	for (check->block = 0; check->block < blocks; check->block++)
	{
		char *why;
		Buffer buffer;

		CHECK_FOR_INTERRUPTS();
		buffer = read_page(check, &why);
		if (!BufferIsValid(buffer))
		{
			report_damage(check, "The page cannot be read: %s.", why);
			if (!check->repair || is_index)
				continue;
			buffer = ReadBufferExtended(check->relation, MAIN_FORKNUM, check->block,
										RBM_ZERO_AND_LOCK, NULL);
			remove_rows(check->relation, buffer, NULL, 0);
			UnlockReleaseBuffer(buffer);
			continue;
		}
		/* a backend that reads a row of the page has a pin on it, and the row must not vanish under
		 * it */
		if (check->repair)
			LockBufferForCleanup(buffer);
		else
			LockBuffer(buffer, BUFFER_LOCK_SHARE);
		if (is_index)
			check_index_page(check, buffer);
		else
			check_table_page(check, buffer);
		UnlockReleaseBuffer(buffer);
	}
}

static void
check_relation(PageCheck *check, Oid relation)
{
	check->relation = relation_open(relation, AccessShareLock);
	if (check->relation->rd_rel->relkind == RELKIND_INDEX
			? check->relation->rd_rel->relam == BTREE_AM_OID
			: check->relation->rd_rel->relam == HEAP_TABLE_AM_OID)
		check_pages(check);
	relation_close(check->relation, NoLock);
}

/* a table, its TOAST table, and the indexes of both */
static void
check_family(PageCheck *check, Oid table)
{
	Relation relation = relation_open(table, AccessShareLock);
	Oid toast_table = relation->rd_rel->reltoastrelid;
	List *indexes = RelationGetIndexList(relation);
	ListCell *cell;

	relation_close(relation, NoLock);
	check_relation(check, table);
	foreach(cell, indexes)
		if (!check->repair)
			check_relation(check, lfirst_oid(cell));
	if (OidIsValid(toast_table))
		check_family(check, toast_table);
}

static void
note_first(void *context, const char *relation, BlockNumber page, const char *detail)
{
	char *first = context;

	if (first[0] == '\0')
		snprintf(first, FB_ERROR_DETAIL_BYTES, "Page %u of \"%s\" is damaged. %s", page, relation,
				 detail);
}

void
ledger_require_pages(const Ledger *ledger, const LedgerTable *table)
{
	char first[FB_ERROR_DETAIL_BYTES] = "";
	PageCheck check = {.report = note_first, .context = first};

	check_family(&check, table->table);
	if (check.damaged_count == 0)
		return;
	ereport(ERROR, (fb_errcode(FB_CORRUPTED),
					errmsg("tables of channel \"%s\" are damaged", ledger->channel),
					errdetail_internal("%s", first), errhint(LEDGER_DAMAGE_HINT)));
}

uint64
ledger_check_pages(const Ledger *ledger, LedgerDamage report, void *context)
{
	PageCheck check = {.report = report, .context = context};
	Oid tables[] = LEDGER_TABLES(ledger);

	for (int i = 0; i < lengthof(tables); i++)
		check_family(&check, tables[i]);
	return check.damaged_count;
}

void
page_check_repair(const Ledger *ledger, LedgerDamage report, void *context)
{
	PageCheck check = {.report = report, .context = context, .repair = true};
	Oid tables[] = LEDGER_TABLES(ledger);

	for (int i = 0; i < lengthof(tables); i++)
		check_family(&check, tables[i]);
}
