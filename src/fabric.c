/* fabric.c: the library's entry: settings, shared memory, workers; nothing else */
#include "server/pg/pg.h"

#include "miscadmin.h"

#include "server/chaincode/chaincode.h"
#include "server/surface/surface.h"
#include "server/wire/wire.h"
#include "server/worker/worker.h"

PG_MODULE_MAGIC;

extern PGDLLEXPORT void _PG_init(void);

/* an assertion of core ends this process, not the instance */
static void
assertion_failed(const char *condition, const char *file, int line)
{
	ereport(FATAL, (errcode(ERRCODE_INTERNAL_ERROR),
					errmsg("fabric: assertion failed: %s (%s:%d)", condition, file, line)));
}

void
_PG_init(void)
{
	fb_assert_hook = assertion_failed;
	pg_bindtextdomain(TEXTDOMAIN);
	guc_define();
	unlogged_install();
	work_install();
	sandbox_install_hooks();
	drop_guard_install();
	if (process_shared_preload_libraries_in_progress)
	{
		shmem_install_hooks();
		wire_install_hooks();
		/*
		 * pg_upgrade starts the old and the new cluster to copy catalogs: nothing else may write,
		 * or take part in a channel, meanwhile
		 */
		if (!IsBinaryUpgrade)
		{
			worker_register_launcher();
			worker_register_relay();
		}
	}
}
