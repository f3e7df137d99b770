/*
 * fault.c: fault points. When the code passes a point that a superuser named in
 * fabric.fault_points, the named fault happens.
 *
 * A process that reads a changed setting while it runs logs it, and so does a process that is held
 * at a point: a tester sees when a fault is active, and an operator who finds a fault set by
 * mistake sees why the node stands still.
 */
#include "server/pg/pg.h"

#include "miscadmin.h"
#include "postmaster/interrupt.h"
#include "utils/guc.h"
#include "utils/wait_event.h"

#include <signal.h>
#include <unistd.h>

bool fault_active = false;
static char *guc_fault_points = NULL;

static void
assign_fault_points(const char *new_value, void *extra)
{
	fault_active = new_value != NULL && new_value[0] != '\0';
}

void
fault_define(void)
{
	DefineCustomStringVariable(
		"fabric.fault_points", "Names points in the code where a test wants a fault to happen.",
		"A comma-separated list of NAME=crash, NAME=error, NAME=hold or NAME=sleep:MILLISECONDS.",
		&guc_fault_points, "", PGC_SUSET, GUC_NOT_IN_SAMPLE, NULL, assign_fault_points, NULL);
}

void
fault_read_settings(void)
{
	char *before = pstrdup(guc_fault_points);

	ConfigReloadPending = false;
	ProcessConfigFile(PGC_SIGHUP);
	if (strcmp(before, guc_fault_points) != 0)
		ereport(LOG, (errmsg("fault points in this process: \"%s\"", guc_fault_points)));
	pfree(before);
}

/* the action of the named point in the list, or NULL */
static const char *
find_action(const char *name, size_t *action_size)
{
	const char *entry = guc_fault_points;
	size_t name_size = strlen(name);

	while (entry != NULL && *entry)
	{
		const char *end = strchrnul(entry, ',');

		while (*entry == ' ')
			entry++;
		if ((size_t) (end - entry) > name_size && strncmp(entry, name, name_size) == 0 &&
			entry[name_size] == '=')
		{
			*action_size = end - entry - name_size - 1;
			return entry + name_size + 1;
		}
		entry = *end ? end + 1 : end;
	}
	return NULL;
}

static void
sleep_ms(int milliseconds)
{
	TimestampTz until = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), milliseconds);
	long left;

	while ((left = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), until)) > 0)
	{
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, left,
						 PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
}

static bool
fault_is_held(const char *name)
{
	size_t size;
	const char *action = find_action(name, &size);

	return action != NULL && size == 4 && strncmp(action, "hold", 4) == 0;
}

/* wait until a reload of the settings takes the point off the list */
static void
fault_hold(const char *name)
{
	ereport(LOG, (errmsg("fault point \"%s\" holds this process", name)));
	while (fault_is_held(name))
	{
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_EXIT_ON_PM_DEATH, -1, PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
		if (ConfigReloadPending)
			fault_read_settings();
	}
	/* another event may have set the latch: set it again */
	SetLatch(MyLatch);
}

void
fault_hit(const char *name)
{
	size_t size;
	const char *action = find_action(name, &size);

	if (action == NULL)
		return;
	if (size == 5 && strncmp(action, "crash", 5) == 0)
	{
		/* the postmaster first: its children notice and exit at once, as in a power failure */
		kill(PostmasterPid, SIGKILL);
		kill(getpid(), SIGKILL);
	}
	else if (size == 5 && strncmp(action, "error", 5) == 0)
		ereport(ERROR, (fb_errcode(FB_INTERNAL), errmsg("fault point \"%s\" reached", name)));
	else if (fault_is_held(name))
		fault_hold(name);
	else if (size > 6 && strncmp(action, "sleep:", 6) == 0)
		sleep_ms(atoi(action + 6));
}
