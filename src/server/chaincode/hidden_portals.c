/*
 * hidden_portals: hide the cursors of the session from chaincode.
 *
 * A cursor variable holds a name. FETCH, MOVE, CLOSE, OPEN and the interfaces of other languages
 * look that name up among all portals of the session: those of the client, of its protocol and of
 * functions that called the simulation. There is no hook for this search, and the table of portals
 * is private to portalmem.c. But a portal's name is the key of its entry in that table
 * (PortalHashTableInsert), so overwriting the key hides the portal from every search: the entry
 * stays in the bucket of the old name, where the new name is never looked up. The names are
 * restored after the subtransaction of the call has ended. By then the cursors of the chaincode,
 * which may have had the same names, are gone.
 */
#include "postgres.h"

#include "access/xact.h"
#include "nodes/memnodes.h"
#include "storage/ipc.h"
#include "utils/memutils.h"
#include "utils/portal.h"

#include "server/chaincode/chaincode_internal.h"

typedef struct HiddenPortal
{
	char *key; /* in the table of portals; has NAMEDATALEN bytes */
	char name[NAMEDATALEN];
} HiddenPortal;

static HiddenPortal *hidden;
static int hidden_count;
static int hidden_capacity;
static char hidden_name[NAMEDATALEN]; /* random: no search can use it */

void
hidden_portals_leave(void)
{
	for (int i = 0; i < hidden_count; i++)
		memcpy(hidden[i].key, hidden[i].name, NAMEDATALEN);
	hidden_count = 0;
}

/*
 * For a process that ends in the middle of a call, and for a transaction whose end this file did
 * not see: portals are dropped by name.
 */
static void
show_at_exit(int code, Datum argument)
{
	hidden_portals_leave();
}

static void
show_at_end(XactEvent event, void *argument)
{
	hidden_portals_leave();
}

static void
choose_hidden_name(void)
{
	unsigned char bytes[(NAMEDATALEN - 1) / 2];

	if (!pg_strong_random(bytes, sizeof(bytes)))
		elog(ERROR, "could not generate random bytes");
	for (int i = 0; i < lengthof(bytes); i++)
		snprintf(hidden_name + 2 * i, 3, "%02x", bytes[i]);
	before_shmem_exit(show_at_exit, (Datum) 0);
	RegisterXactCallback(show_at_end, NULL);
}

/* the parent of the contexts of all portals; NULL before there is any */
static MemoryContext
find_portals_context(void)
{
	static MemoryContext context = NULL;

	if (context == NULL)
		for (MemoryContext child = TopMemoryContext->firstchild; child != NULL;
			 child = child->nextchild)
			if (strcmp(child->name, "TopPortalContext") == 0)
				context = child;
	return context;
}

static void
hide_portal(Portal portal)
{
	HiddenPortal *entry;

	if (hidden_count == hidden_capacity)
	{
		int capacity = hidden_capacity > 0 ? hidden_capacity * 2 : 16;

		hidden = hidden == NULL
					 ? MemoryContextAlloc(TopMemoryContext, capacity * sizeof(HiddenPortal))
					 : repalloc(hidden, capacity * sizeof(HiddenPortal));
		hidden_capacity = capacity;
	}
	entry = &hidden[hidden_count];
	entry->key = unconstify(char *, portal->name);
	memcpy(entry->name, entry->key, NAMEDATALEN);
	hidden_count++;
	memcpy(entry->key, hidden_name, NAMEDATALEN);
	if (GetPortalByName(entry->name) != NULL)
		elog(ERROR, "could not hide cursor \"%s\" from chaincode", entry->name);
}

void
hidden_portals_enter(void)
{
	MemoryContext context = find_portals_context();
	Portal unnamed;

	if (hidden_name[0] == '\0')
		choose_hidden_name();
	hidden_portals_leave();
	if (context == NULL)
		return;
	/* the identifier of a portal's context is the portal's name, except for the unnamed portal */
	for (MemoryContext child = context->firstchild; child != NULL; child = child->nextchild)
	{
		Portal portal = child->ident != NULL ? GetPortalByName(child->ident) : NULL;

		if (portal != NULL && portal->portalContext == child)
			hide_portal(portal);
	}
	unnamed = GetPortalByName("");
	if (unnamed != NULL)
		hide_portal(unnamed);
}
