/*
 * proved_block.c: the block that this process is inserting, and whose form and data hash it has
 * proved. The trigger of the block's table (guard.c) asks for it.
 */
#include "server/ledger/ledger_internal.h"

/* NULL: none */
static const StoredBlock *proved_block = NULL;

void
proved_block_insert(const StoredBlock *block, void (*insert)(void *argument), void *argument)
{
	proved_block = block;
	PG_TRY();
	{
		insert(argument);
	}
	PG_FINALLY();
	{
		proved_block = NULL;
	}
	PG_END_TRY();
}

const StoredBlock *
proved_block_now(void)
{
	return proved_block;
}
