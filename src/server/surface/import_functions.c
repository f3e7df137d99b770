/* import_functions.c: SQL functions that import blocks */
#include "server/surface/surface_internal.h"

#include "server/channel/channel.h"
#include "server/commit/commit.h"
#include "server/worker/worker.h"

FABRIC_FUNCTION(fabric_set_channel_source);
FABRIC_FUNCTION(fabric_import_block);

/* set_channel_source(channel, source) */
Datum
fabric_set_channel_source(PG_FUNCTION_ARGS)
{
	char *name = argument_text(fcinfo, 0, "channel");
	bool import_only = argument_is_import(fcinfo, 1, "source");

	shmem_require();
	channel_set_source(name, import_only);
	worker_launcher_wake_at_commit();
	PG_RETURN_VOID();
}

/* {"VALID": 2, "MVCC_READ_CONFLICT": 1}; codes without a name by their number */
static Datum
codes_jsonb(const int counts[256])
{
	StringInfoData json;

	initStringInfo(&json);
	for (int code = 0; code < 256; code++)
	{
		const char *name = tx_code_name(code);

		if (counts[code] > 0)
			appendStringInfo(&json, "%s\"%s\": %d", json.len > 0 ? ", " : "",
							 name != NULL ? name : psprintf("%d", code), counts[code]);
	}
	return result_jsonb(psprintf("{%s}", json.data));
}

/* import_block(channel, block, accept_differences): (block_number, imported, validation_codes) */
Datum
fabric_import_block(PG_FUNCTION_ARGS)
{
	char *name = argument_text(fcinfo, 0, "channel");
	FbBytes block = argument_bytes(fcinfo, 1, "block");
	ImportAnswer answer;
	Datum values[3];
	bool nulls[3] = {false};

	argument_require(fcinfo, 2, "accept_differences");
	shmem_require();
	import_block(name, block, PG_GETARG_BOOL(2), &answer);
	values[0] = Int64GetDatum((int64) answer.block_number);
	values[1] = BoolGetDatum(answer.stored);
	values[2] = codes_jsonb(answer.counts);
	return RESULT_ROW(fcinfo, values, nulls);
}
