/*
 * condition.c: current problems of background processes, each with its reason and its start.
 *
 * The problem. A background process meets problems that do not end it: another node refuses its
 * connection, no node has the blocks that it needs, no orderer leads. It meets each of them again
 * at every attempt, several times a second. One log line for each attempt buries everything else;
 * a single line for the first attempt is lost by the time an operator looks; and a text that a
 * view keeps after the problem has ended is misleading.
 *
 * The rule. A condition has a topic ("source", "consenter"), a subject (an address, a number), the
 * complete reason, and a start time. Its process reports the condition at every attempt that meets
 * it, and ends it when an attempt succeeds. A report is logged at once, then again after 1, 2, 4
 * ... minutes while reports continue, with their number; a different reason is logged at once, but
 * at most every 10 s. The end is logged with the duration. Shared memory, for the views, holds
 * only current conditions: the entries of a process disappear with it.
 *
 * Rejected: the text of the last error alone (stat_workers.last_error). It describes the past, and
 * belongs to errors that end a process; a process has several problems at once, of which that
 * shows one. Rejected too: counters without texts, which need the log of the same moment to be
 * understood.
 *
 * When the table in shared memory is full, further conditions are in the log only. The lock is
 * held for copies of a few kB.
 */
#include "server/pg/shmem_internal.h"

#include "lib/ilist.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "utils/timestamp.h"

#define CONDITIONS_MAX 256
#define REPEAT_MS_MIN UINT64CONST(60000)
#define REPEAT_MS_MAX (64 * REPEAT_MS_MIN)
#define CHANGE_MS 10000

typedef struct ConditionTable
{
	LWLock lock;
	struct
	{
		pid_t pid; /* 0: unused */
		Condition condition;
	} entries[CONDITIONS_MAX];
} ConditionTable;

/* one of this process's own conditions */
typedef struct OwnCondition
{
	dlist_node node;
	int entry;		 /* index in the table; -1: the table was full */
	uint64 began_ms; /* of clock_ms */
	uint64 met_ms;	 /* time of the last report */
	uint64 logged_ms;
	uint64 repeat_ms; /* time from logged_ms to the next log line */
	bool changed;	  /* the reason differs from the last logged one */
	Condition condition;
} OwnCondition;

static ConditionTable *table = NULL;
static dlist_head own = DLIST_STATIC_INIT(own);
static char process_name[CONDITION_PROCESS_BYTES] = "session";
static bool exit_registered = false;

Size
conditions_bytes(void)
{
	return MAXALIGN(sizeof(ConditionTable));
}

void
conditions_init(char *place, int tranche)
{
	table = (ConditionTable *) place;
	memset(table, 0, sizeof(*table));
	LWLockInitialize(&table->lock, tranche);
}

static void
leave_table(int code, Datum argument)
{
	LWLockAcquire(&table->lock, LW_EXCLUSIVE);
	for (int i = 0; i < CONDITIONS_MAX; i++)
		if (table->entries[i].pid == MyProcPid)
			table->entries[i].pid = 0;
	LWLockRelease(&table->lock);
}

void
condition_process(const char *name)
{
	strlcpy(process_name, name, sizeof(process_name));
}

/* write into the own entry, or a free one; -1 when all are in use */
static int
condition_publish(int entry, const Condition *condition)
{
	if (table == NULL)
		return -1;
	if (!exit_registered)
		before_shmem_exit(leave_table, (Datum) 0);
	exit_registered = true;
	LWLockAcquire(&table->lock, LW_EXCLUSIVE);
	for (int i = 0; entry < 0 && i < CONDITIONS_MAX; i++)
		if (table->entries[i].pid == 0)
			entry = i;
	if (entry >= 0)
	{
		table->entries[entry].pid = MyProcPid;
		table->entries[entry].condition = *condition;
	}
	LWLockRelease(&table->lock);
	return entry;
}

static OwnCondition *
condition_find_own(const char *channel, const char *topic, const char *subject)
{
	dlist_iter iter;

	dlist_foreach(iter, &own)
	{
		OwnCondition *known = dlist_container(OwnCondition, node, iter.cur);
		const Condition *condition = &known->condition;

		if (strcmp(condition->topic, topic) == 0 &&
			strncmp(condition->subject, subject, sizeof(condition->subject) - 1) == 0 &&
			strcmp(condition->channel, channel) == 0)
			return known;
	}
	return NULL;
}

static void
log_condition(OwnCondition *known, uint64 now_ms)
{
	const Condition *condition = &known->condition;
	bool first = known->logged_ms == 0;
	char again[96] = "";

	known->logged_ms = now_ms;
	known->changed = false;
	if (!first)
		snprintf(again, sizeof(again), "%sSeen " UINT64_FORMAT " times in " UINT64_FORMAT " s.",
				 condition->detail[0] != '\0' ? " " : "", condition->count,
				 (now_ms - known->began_ms) / 1000);
	ereport(LOG,
			(fb_errcode(condition->status),
			 condition->channel[0] != '\0'
				 ? errmsg("channel \"%s\": %s", condition->channel, condition->message)
				 : errmsg_internal("%s", condition->message),
			 condition->detail[0] != '\0' || !first ? errdetail("%s%s", condition->detail, again)
													: 0,
			 condition->hint[0] != '\0' ? errhint("%s", condition->hint) : 0));
}

/* copy the texts of the reason; true when they have changed */
static bool
take_reason(Condition *condition, const FbError *why)
{
	bool changed = strcmp(condition->message, why->message) != 0 ||
				   strcmp(condition->detail, why->detail) != 0;

	condition->status = why->status;
	strlcpy(condition->message, why->message, sizeof(condition->message));
	strlcpy(condition->detail, why->detail, sizeof(condition->detail));
	strlcpy(condition->hint, why->hint, sizeof(condition->hint));
	return changed;
}

static OwnCondition *
begin_condition(const char *channel, const char *topic, const char *subject, uint64 now_ms)
{
	OwnCondition *known = MemoryContextAllocZero(TopMemoryContext, sizeof(OwnCondition));
	Condition *condition = &known->condition;

	strlcpy(condition->process, process_name, sizeof(condition->process));
	strlcpy(condition->channel, channel, sizeof(condition->channel));
	strlcpy(condition->topic, topic, sizeof(condition->topic));
	strlcpy(condition->subject, subject, sizeof(condition->subject));
	condition->since = GetCurrentTimestamp();
	known->entry = -1;
	known->began_ms = now_ms;
	known->repeat_ms = REPEAT_MS_MIN;
	dlist_push_tail(&own, &known->node);
	return known;
}

void
condition_report(const char *channel, const char *topic, const char *subject, const FbError *why)
{
	uint64 now_ms = clock_ms();
	OwnCondition *known;

	channel = channel != NULL ? channel : "";
	subject = subject != NULL ? subject : "";
	known = condition_find_own(channel, topic, subject);
	if (known == NULL)
		known = begin_condition(channel, topic, subject, now_ms);
	if (take_reason(&known->condition, why))
		known->changed = true;
	known->condition.count++;
	known->met_ms = now_ms;
	known->condition.last_at = GetCurrentTimestamp();
	known->entry = condition_publish(known->entry, &known->condition);
	if (known->logged_ms == 0 || (known->changed && now_ms >= known->logged_ms + CHANGE_MS))
		log_condition(known, now_ms);
	else if (now_ms >= known->logged_ms + known->repeat_ms)
	{
		known->repeat_ms = Min(known->repeat_ms * 2, REPEAT_MS_MAX);
		log_condition(known, now_ms);
	}
}

static void
condition_forget(OwnCondition *known)
{
	if (known->entry >= 0)
	{
		LWLockAcquire(&table->lock, LW_EXCLUSIVE);
		table->entries[known->entry].pid = 0;
		LWLockRelease(&table->lock);
	}
	dlist_delete(&known->node);
	pfree(known);
}

void
condition_end(const char *channel, const char *topic, const char *subject)
{
	OwnCondition *known =
		condition_find_own(channel != NULL ? channel : "", topic, subject != NULL ? subject : "");

	if (known == NULL)
		return;
	ereport(LOG, (known->condition.channel[0] != '\0'
					  ? errmsg("channel \"%s\": over after %llu s: %s", known->condition.channel,
							   (unsigned long long) ((clock_ms() - known->began_ms) / 1000),
							   known->condition.message)
					  : errmsg("over after %llu s: %s",
							   (unsigned long long) ((clock_ms() - known->began_ms) / 1000),
							   known->condition.message)));
	condition_forget(known);
}

void
condition_end_others(const char *channel, const char *topic,
					 bool (*holds)(void *context, const char *subject), void *context)
{
	dlist_mutable_iter iter;

	dlist_foreach_modify(iter, &own)
	{
		OwnCondition *known = dlist_container(OwnCondition, node, iter.cur);

		if (strcmp(known->condition.topic, topic) == 0 &&
			strcmp(known->condition.channel, channel) == 0 &&
			!holds(context, known->condition.subject))
			condition_forget(known);
	}
}

void
condition_expire(const char *topic, uint64 unmet_ms)
{
	uint64 now_ms = clock_ms();
	dlist_mutable_iter iter;

	dlist_foreach_modify(iter, &own)
	{
		OwnCondition *known = dlist_container(OwnCondition, node, iter.cur);

		if (strcmp(known->condition.topic, topic) == 0 && now_ms >= known->met_ms + unmet_ms)
			condition_forget(known);
	}
}

Condition *
conditions_list(int *count)
{
	Condition *list = palloc(sizeof(Condition) * CONDITIONS_MAX);

	*count = 0;
	if (table == NULL)
		return list;
	LWLockAcquire(&table->lock, LW_SHARED);
	for (int i = 0; i < CONDITIONS_MAX; i++)
		if (table->entries[i].pid != 0)
			list[(*count)++] = table->entries[i].condition;
	LWLockRelease(&table->lock);
	return list;
}
