/* package_store.c: read the table of installed packages */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/builtins.h"

#include "server/chaincode/chaincode_internal.h"

/*
 * Run a statement with one text parameter; true when it returned a row, whose first column is
 * copied (column NULL: not wanted).
 */
bool
package_select(SpiStatement *statement, const char *package_id, bytea **column)
{
	SpiScope scope;
	Datum values[1] = {CStringGetTextDatum(package_id)};
	bool found;

	spi_begin(&scope);
	spi_run(statement, values, NULL, XactReadOnly, 1);
	found = SPI_processed > 0;
	if (found && column != NULL)
	{
		bool isnull;
		Datum value = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull);
		MemoryContext inner = MemoryContextSwitchTo(scope.outer);

		*column = DatumGetByteaPCopy(value);
		MemoryContextSwitchTo(inner);
	}
	spi_end(&scope);
	return found;
}

char *
package_schema_name(const char *package_id)
{
	static SpiStatement statement = {
		"SELECT convert_to(schema_name, 'UTF8') FROM fabric_internal.chaincode_package WHERE package_id = $1",
		1,
		{TEXTOID}};
	bytea *name;

	if (!package_select(&statement, package_id, &name))
		return NULL;
	return memory_cstring(memory_bytes(name));
}
