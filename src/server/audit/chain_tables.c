/*
 * chain_tables.c: what the chain is stored in, checked first in an audit: the pages of the tables,
 * their indexes, the catalogs, the dictionaries of envelopes, the packages of chaincode. An audit
 * that reads through a damaged page may end the process, and one that reads through an index does
 * not see what the index lacks, so the audit ends there when these are damaged.
 */
#include "server/audit/audit_internal.h"

#include "access/xlog.h"

#include "server/chaincode/chaincode.h"

typedef struct Tables
{
	ChainWalk *walk;
	bool unreadable; /* a row has a value that cannot be read */
} Tables;

static void
page_problem(void *context, const char *relation, BlockNumber page, const char *detail)
{
	Tables *tables = context;

	chain_problem(tables->walk, -1, -1, "page_damaged",
				  "Page %u of \"%s\" is damaged. %s fabric.repair_tables repairs it.", page,
				  relation, detail);
}

static void
row_problem(void *context, const char *table, const char *index, const char *row, bool readable,
			const char *detail)
{
	Tables *tables = context;
	const char *hint = "fabric.repair_tables rebuilds the indexes.";

	tables->unreadable = tables->unreadable || !readable;
	if (row == NULL)
		chain_problem(tables->walk, -1, -1, "index", "%s \"%s\" %s. %s",
					  index != NULL ? "Index" : "Table", index != NULL ? index : table, detail,
					  hint);
	else if (index != NULL)
		chain_problem(tables->walk, -1, -1, "index", "The row %s of table \"%s\" %s (\"%s\"). %s",
					  row, table, detail, index, hint);
	else
		chain_problem(tables->walk, -1, -1, "row_unreadable",
					  "The row %s of table \"%s\" %s. fabric.repair_tables removes it.", row, table,
					  detail);
}

static void
catalog_problem(void *context, const char *detail)
{
	Tables *tables = context;

	chain_problem(tables->walk, -1, -1, "catalog",
				  "%s fabric.repair_tables restores triggers and indexes.", detail);
}

static void
dictionary_problem(void *context, const char *detail)
{
	Tables *tables = context;

	chain_problem(
		tables->walk, -1, -1, "dictionary",
		"%s fabric.repair_tables removes it, then fabric.repair_chain fetches the transactions stored with it.",
		detail);
}

static void
package_problem(void *context, const char *package_id, const char *detail)
{
	Tables *tables = context;

	chain_problem(tables->walk, -1, -1, "package", "Package \"%s\": %s", package_id, detail);
}

bool
chain_tables(ChainWalk *walk)
{
	Tables tables = {.walk = walk};
	uint64 pages;

	if (!DataChecksumsEnabled())
		ereport(
			WARNING,
			(errmsg("data checksums are off"),
			 errdetail(
				 "Damage to a page is found when the chain is verified, not when the page is read."),
			 errhint("Stop the server and run pg_checksums --enable.")));
	pages = ledger_check_pages(walk->ledger, page_problem, &tables);
	if (pages == 0)
	{
		(void) ledger_check_catalog(walk->ledger, catalog_problem, &tables);
		(void) ledger_check_indexes(walk->ledger, walk->snapshot, row_problem, &tables);
		(void) ledger_check_dictionaries(walk->ledger, dictionary_problem, &tables);
		package_compare_all(package_problem, &tables);
	}
	if (pages == 0 && !tables.unreadable)
		return true;
	chain_problem(
		walk, -1, -1, "not_verified",
		"The chain was not verified, because its tables cannot be read: first fabric.repair_tables, then "
		"fabric.repair_chain.");
	return false;
}

void
chain_require_pages(const Ledger *ledger)
{
	const LedgerTable *tables[] = {&ledger->block, &ledger->transaction, &ledger->world_state,
								   &ledger->history, &ledger->private_state};

	for (int i = 0; i < lengthof(tables); i++)
		ledger_require_pages(ledger, tables[i]);
}
