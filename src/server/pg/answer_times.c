/*
 * answer_times.c: how long other nodes usually take to answer, and which of them do not answer
 * now; shared by all processes of this node.
 *
 * The problem. A node that is frozen or cut off accepts a request and sends nothing. How long does
 * a caller wait before it asks another node? A fixed time is too long for a call that usually
 * takes 20 ms, and too short for a chaincode function that computes for two seconds. And when
 * every session has to find out by itself, 500 sessions wait 500 times.
 *
 * The rule. For each label (a node and a request: a function of a chaincode, or taking a
 * transaction) keep the mean and the mean deviation of the answer times, as TCP does for its
 * retransmissions (Jacobson, "Congestion Avoidance and Control", 1988; RFC 6298). The patience is
 * the mean, plus four deviations, plus PATIENCE_MS_MIN, so that the pauses of a busy machine do
 * not exceed it; for a label without measurements it is PATIENCE_MS_UNKNOWN. After that time the
 * caller asks another node too and takes the first answer: this costs only work.
 *
 * A node that exceeds a caller's patience is marked silent: from then on, callers ask it only
 * where no other node will do. Once in PROBE_MS one of them sends it its request anyway, without
 * waiting for the answer; any answer removes the mark. So one session stalls when a node freezes,
 * none while it stays frozen, and a node that is back is used again within a second. Each service
 * of a node has its own mark: the orderer of a node may answer while its peer hangs. A mark that
 * is not renewed expires (SILENT_MS), for nodes that no caller probes.
 *
 * An answer that took longer than the patience counts as the patience: one pause of five seconds
 * says little about the next answer, and must not make other callers wait as long. Where answers
 * really take longer than before, the patience grows by three quarters with each of them.
 *
 * The time that a node was frozen says little about its usual times, but a function that takes
 * longer than expected must not be taken for frozen for ever. So of the answers that arrive after
 * a mark, only the one that removes it is measured.
 *
 * The tables have a fixed size; entries are atomics, found by hash. Two processes that write at
 * the same moment lose a measurement, and an entry that is overwritten by another is learned
 * again. Without shared memory (library not preloaded) each process learns for itself.
 *
 * Rejected: percentiles (more memory, for the same decision); always asking two nodes (twice the
 * work for all); a process that pings (a node may answer pings while its ledger tables are
 * locked).
 */
#include "server/pg/shmem_internal.h"

#include "common/hashfn.h"

#define PATIENCE_MS_MIN 500
#define PATIENCE_MS_UNKNOWN 1500
#define SILENT_MS 10000
#define PROBE_MS 1000

#define TIMES_COUNT 4096
#define SERVICES_COUNT 512
/* number of entries where a hash may be stored */
#define PLACES 4

/* a label's times; 0: unused */
typedef struct AnswerTime
{
	pg_atomic_uint64 label;
	/* mean in the upper, deviation in the lower 32 bits, in microseconds */
	pg_atomic_uint64 value;
} AnswerTime;

/* a service of a node; times of clock_ms */
typedef struct AnswerService
{
	pg_atomic_uint64 name;
	pg_atomic_uint64 silent_until_ms; /* 0: it answers */
	pg_atomic_uint64 probe_ms;		  /* time of the next probe */
	pg_atomic_uint64 heard_ms;		  /* time when the last mark was removed */
} AnswerService;

typedef struct AnswerTimes
{
	AnswerTime times[TIMES_COUNT];
	AnswerService services[SERVICES_COUNT];
} AnswerTimes;

static AnswerTimes *shared = NULL;

Size
answer_times_bytes(void)
{
	return MAXALIGN(sizeof(AnswerTimes));
}

void
answer_times_init(char *place)
{
	shared = (AnswerTimes *) place;
	for (int i = 0; i < TIMES_COUNT; i++)
	{
		pg_atomic_init_u64(&shared->times[i].label, 0);
		pg_atomic_init_u64(&shared->times[i].value, 0);
	}
	for (int i = 0; i < SERVICES_COUNT; i++)
	{
		pg_atomic_init_u64(&shared->services[i].name, 0);
		pg_atomic_init_u64(&shared->services[i].silent_until_ms, 0);
		pg_atomic_init_u64(&shared->services[i].probe_ms, 0);
		pg_atomic_init_u64(&shared->services[i].heard_ms, 0);
	}
}

static AnswerTimes *
answer_table(void)
{
	if (shared == NULL)
		answer_times_init(MemoryContextAlloc(TopMemoryContext, answer_times_bytes()));
	return shared;
}

uint64
answer_label(const char *address, AnswerKind kind, FbBytes what)
{
	uint64 label = hash_bytes_extended((const unsigned char *) address, (int) strlen(address),
									   (uint64) kind + 1);

	if (what.size > 0)
		label = hash_bytes_extended(what.data, (int) what.size, label);
	return Max(label, 1);
}

/* ---- services ---- */

static AnswerService *
service_find(const char *address, AnswerKind kind, bool make)
{
	AnswerTimes *table = answer_table();
	uint64 name = answer_label(address, kind, FB_BYTES_EMPTY);
	AnswerService *unused = NULL;

	for (int i = 0; i < PLACES; i++)
	{
		AnswerService *service = &table->services[(name + i) % SERVICES_COUNT];
		uint64 found = pg_atomic_read_u64(&service->name);

		if (found == name)
			return service;
		if (found == 0 && unused == NULL)
			unused = service;
	}
	if (!make)
		return NULL;
	if (unused == NULL)
		unused = &table->services[name % SERVICES_COUNT];
	pg_atomic_write_u64(&unused->silent_until_ms, 0);
	pg_atomic_write_u64(&unused->heard_ms, 0);
	pg_atomic_write_u64(&unused->name, name);
	return unused;
}

static bool
service_is_silent(AnswerService *service)
{
	return service != NULL && clock_ms() < pg_atomic_read_u64(&service->silent_until_ms);
}

bool
answer_is_silent(const char *address, AnswerKind kind)
{
	return service_is_silent(service_find(address, kind, false));
}

void
answer_note_silent(const char *address, AnswerKind kind)
{
	AnswerService *service = service_find(address, kind, true);
	uint64 now_ms = clock_ms();

	if (!service_is_silent(service))
		pg_atomic_write_u64(&service->probe_ms, now_ms + PROBE_MS);
	pg_atomic_write_u64(&service->silent_until_ms, now_ms + SILENT_MS);
}

static void
answer_note_heard(const char *address, AnswerKind kind)
{
	AnswerService *service = service_find(address, kind, false);

	if (service == NULL || pg_atomic_read_u64(&service->silent_until_ms) == 0)
		return;
	pg_atomic_write_u64(&service->heard_ms, clock_ms());
	pg_atomic_write_u64(&service->silent_until_ms, 0);
}

bool
answer_take_probe(const char *address, AnswerKind kind)
{
	AnswerService *service = service_find(address, kind, false);
	uint64 now_ms = clock_ms();
	uint64 due_ms;

	if (!service_is_silent(service))
		return false;
	due_ms = pg_atomic_read_u64(&service->probe_ms);
	/* only one of several concurrent callers succeeds */
	return now_ms >= due_ms &&
		   pg_atomic_compare_exchange_u64(&service->probe_ms, &due_ms, now_ms + PROBE_MS);
}

/* ---- times ---- */

static AnswerTime *
time_find(uint64 label, bool make)
{
	AnswerTimes *table = answer_table();
	AnswerTime *unused = NULL;

	for (int i = 0; i < PLACES; i++)
	{
		AnswerTime *time = &table->times[(label + i) % TIMES_COUNT];
		uint64 found = pg_atomic_read_u64(&time->label);

		if (found == label)
			return time;
		if (found == 0 && unused == NULL)
			unused = time;
	}
	if (!make)
		return NULL;
	if (unused == NULL)
		unused = &table->times[label % TIMES_COUNT];
	pg_atomic_write_u64(&unused->value, 0);
	pg_atomic_write_u64(&unused->label, label);
	return unused;
}

void
answer_note_time(uint64 label, uint64 elapsed_ms)
{
	AnswerTime *time = time_find(label, true);
	uint64 value = pg_atomic_read_u64(&time->value);
	int64 mean = (int64) (value >> 32);
	int64 deviation = (int64) (value & PG_UINT32_MAX);
	int64 measured;
	int64 difference;

	if (value != 0)
		elapsed_ms = Min(elapsed_ms, (uint64) answer_patience_ms(label));
	measured = (int64) Min(elapsed_ms, 3600 * 1000) * 1000;

	if (value == 0)
	{
		mean = measured;
		deviation = measured / 2;
	}
	else
	{
		difference = measured - mean;
		mean += difference / 8;
		deviation += ((difference < 0 ? -difference : difference) - deviation) / 4;
	}
	mean = Min(Max(mean, 1), PG_UINT32_MAX);
	deviation = Min(Max(deviation, 0), PG_UINT32_MAX);
	pg_atomic_write_u64(&time->value, (uint64) mean << 32 | (uint64) deviation);
}

void
answer_note(const char *address, AnswerKind kind, uint64 label, uint64 started_ms)
{
	AnswerService *service = service_find(address, kind, false);
	uint64 elapsed_ms = clock_ms() - started_ms;

	if (service != NULL && pg_atomic_read_u64(&service->silent_until_ms) != 0)
		answer_note_heard(address, kind);
	else if (service != NULL && pg_atomic_read_u64(&service->heard_ms) > started_ms)
		return;
	if (label != 0)
		answer_note_time(label, elapsed_ms);
}

int
answer_usual_ms(uint64 label)
{
	AnswerTime *time = time_find(label, false);
	uint64 value = time != NULL ? pg_atomic_read_u64(&time->value) : 0;

	if (value == 0)
		return -1;
	return (int) Min(((value >> 32) + 4 * (value & PG_UINT32_MAX)) / 1000,
					 INT_MAX - PATIENCE_MS_MIN);
}

int
answer_patience_ms(uint64 label)
{
	int usual_ms = answer_usual_ms(label);

	return usual_ms < 0 ? PATIENCE_MS_UNKNOWN : usual_ms + PATIENCE_MS_MIN;
}
