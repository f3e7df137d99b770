/*
 * contacts.c: what this server's processes know about other nodes, by address: the time of the
 * last answer, and the reason of the last failure.
 *
 * The operator sees in fabric.nodes which nodes answer and what is wrong with the others; the
 * gateway orders the nodes of an organization by this table (gateway/candidates.c). Every process
 * notes here the answers it gets, and the requests without an answer. A request without an answer
 * counts only if the node has answered no process since the request began: a chaincode function
 * that takes long says nothing about a node that answers other requests. How long nodes take, and
 * which to avoid for that reason, is in answer_times.c.
 *
 * The table has a fixed size and one lock that is held for a few copies. When it is full, the
 * address with the oldest note is replaced: nothing depends on an entry.
 *
 * Rejected: a file or a table (survives the restart that made it wrong); health checks by a
 * separate process (connections without another purpose, and possibly different results: the
 * requests themselves show what matters).
 */
#include "server/pg/shmem_internal.h"

#include "storage/proc.h"
#include "utils/timestamp.h"

#define CONTACTS_MAX 256

typedef struct ContactEntry
{
	char address[EXCHANGE_ADDRESS_BYTES]; /* empty: unused */
	uint64 touched_ms;					  /* of clock_ms, as all below */
	uint64 behind_until_ms;
	Contact contact;
} ContactEntry;

typedef struct Contacts
{
	LWLock lock;
	ContactEntry entries[CONTACTS_MAX];
} Contacts;

static Contacts *contacts = NULL;

Size
contacts_bytes(void)
{
	return MAXALIGN(sizeof(Contacts));
}

void
contacts_init(char *place, int tranche)
{
	contacts = (Contacts *) place;
	memset(contacts, 0, sizeof(Contacts));
	LWLockInitialize(&contacts->lock, tranche);
}

/* false while the process exits, when it can no longer take a lock: calls are released then, too */
static bool
contacts_usable(void)
{
	return contacts != NULL && MyProc != NULL;
}

/* caller holds the lock; NULL: none */
static ContactEntry *
contact_find_entry(const char *address)
{
	for (int i = 0; i < CONTACTS_MAX; i++)
		if (contacts->entries[i].address[0] != '\0' &&
			strcmp(contacts->entries[i].address, address) == 0)
			return &contacts->entries[i];
	return NULL;
}

/* caller holds the lock exclusively */
static ContactEntry *
touch_entry(const char *address)
{
	ContactEntry *entry = contact_find_entry(address);

	if (entry == NULL)
	{
		entry = &contacts->entries[0];
		for (int i = 1; i < CONTACTS_MAX; i++)
			if (contacts->entries[i].touched_ms < entry->touched_ms)
				entry = &contacts->entries[i];
		memset(entry, 0, sizeof(*entry));
		strlcpy(entry->address, address, sizeof(entry->address));
	}
	entry->touched_ms = clock_ms();
	return entry;
}

void
contact_note_answer(const char *address)
{
	ContactEntry *entry;

	if (!contacts_usable())
		return;
	LWLockAcquire(&contacts->lock, LW_EXCLUSIVE);
	entry = touch_entry(address);
	entry->contact.unanswered = false;
	entry->contact.answered_ms = entry->touched_ms;
	entry->contact.answered_at = GetCurrentTimestamp();
	LWLockRelease(&contacts->lock);
}

void
contact_note_failure(const char *address, const char *reason, uint64 since_ms)
{
	ContactEntry *entry;

	if (!contacts_usable())
		return;
	LWLockAcquire(&contacts->lock, LW_EXCLUSIVE);
	entry = touch_entry(address);
	if (since_ms == CONTACT_ANSWERED || entry->contact.answered_ms < since_ms)
	{
		entry->contact.unanswered = since_ms != CONTACT_ANSWERED;
		entry->contact.failed_at = GetCurrentTimestamp();
		strlcpy(entry->contact.last_error, reason, sizeof(entry->contact.last_error));
	}
	LWLockRelease(&contacts->lock);
}

void
contact_note_behind(const char *address, int behind_ms)
{
	ContactEntry *entry;

	if (!contacts_usable())
		return;
	LWLockAcquire(&contacts->lock, LW_EXCLUSIVE);
	entry = touch_entry(address);
	entry->behind_until_ms = entry->touched_ms + behind_ms;
	LWLockRelease(&contacts->lock);
}

bool
contact_find(const char *address, Contact *contact)
{
	const ContactEntry *entry;
	uint64 now_ms = clock_ms();

	memset(contact, 0, sizeof(*contact));
	if (!contacts_usable())
		return false;
	LWLockAcquire(&contacts->lock, LW_SHARED);
	entry = contact_find_entry(address);
	if (entry != NULL)
	{
		*contact = entry->contact;
		contact->behind = now_ms < entry->behind_until_ms;
	}
	LWLockRelease(&contacts->lock);
	return entry != NULL;
}
