/*
 * replay_state.c: a world state that is replayed, in bounded memory.
 *
 * The problem. An audit replays the state of a whole channel beside the tables that it checks. The
 * state of a channel may be larger than memory, and an audit must work on a standby, where no
 * temporary table can be made. It needs point look-ups for every key of every block, ranges in byte
 * order, and at the end all keys in order.
 *
 * The rule. A log-structured merge tree (O'Neil et al., "The Log-Structured Merge-Tree", 1996). New
 * values are in a skip list in memory. When that exceeds its share of memory at the end of a block,
 * it is written to a temporary file as a sorted run (replay_run.c), and begins again. A look-up
 * asks the skip list, then the runs from the newest to the oldest; the first one that has the key
 * decides, and a deleted key is a mark that hides older values. When RUNS_OF_LEVEL runs of the same
 * level exist, they are merged to one run of the next level, so that each row is written a few
 * times only (the logarithm of the size) and the number of runs stays small.
 *
 * Memory. The skip list has a limit. A run keeps the first key of each of its blocks, and a Bloom
 * filter of two bytes for each key: together about two percent of its size in the file.
 *
 * Rejected: the tables of the channel as the state at a block: they are what is checked, and hashed
 * keys and metadata have no history. A single run that is written again for each full skip list:
 * the cost is the square of the size.
 *
 * What holds afterwards. Results are those of one ordered map in memory, whatever the limit is.
 * Bytes that replay_state_get returns may point into the skip list: they are valid until the key is
 * changed, or until the next replay_state_settle.
 */
#include "server/audit/audit_internal.h"

#include "miscadmin.h"

#define LEVELS_MAX 24
/* runs of a level before they are merged */
#define RUNS_OF_LEVEL 4
/* 4 ^ 16 skip lists */
#define RUN_LEVELS_MAX 16
#define RUNS_MAX (RUNS_OF_LEVEL * RUN_LEVELS_MAX)

typedef struct ReplayKey
{
	ReplayRow row;
	struct ReplayKey *next[FLEXIBLE_ARRAY_MEMBER]; /* by level; [0] is the next key in order */
} ReplayKey;

struct ReplayState
{
	MemoryContext context;
	MemoryContext list_context; /* of the skip list */
	size_t list_bytes_max;
	FbRand rand;
	int levels;
	ReplayKey *head; /* before all keys; LEVELS_MAX pointers */
	uint64 list_count;
	ReplayRun *runs[RUNS_MAX]; /* oldest first; levels never increase */
	int run_levels[RUNS_MAX];
	int runs_count;
};

/* ---- the skip list ---- */

static void
replay_list_create(ReplayState *state)
{
	state->list_context =
		AllocSetContextCreate(state->context, "fabric replayed keys", ALLOCSET_DEFAULT_SIZES);
	state->levels = 1;
	state->list_count = 0;
	state->head = MemoryContextAllocZero(state->list_context, offsetof(ReplayKey, next) +
																  LEVELS_MAX * sizeof(ReplayKey *));
}

ReplayState *
replay_state_create(MemoryContext context, size_t memory_bytes_max)
{
	ReplayState *state = MemoryContextAllocZero(context, sizeof(ReplayState));

	state->context = context;
	state->list_bytes_max = memory_bytes_max;
	fb_rand_seed(&state->rand, 1);
	replay_list_create(state);
	return state;
}

void
replay_state_close(ReplayState *state)
{
	for (int i = 0; i < state->runs_count; i++)
		replay_run_close(state->runs[i]);
	state->runs_count = 0;
}

/* the first key not before this one; before[level]: the last key before it on each level */
static ReplayKey *
replay_list_seek(ReplayState *state, FbBytes namespace_name, FbBytes key, ReplayKey **before)
{
	ReplayKey *at = state->head;

	for (int level = state->levels - 1; level >= 0; level--)
	{
		while (at->next[level] != NULL &&
			   replay_compare(at->next[level]->row.namespace_name, at->next[level]->row.key,
							  namespace_name, key) < 0)
			at = at->next[level];
		if (before != NULL)
			before[level] = at;
	}
	return at->next[0];
}

static bool
is_replayed_key(const ReplayKey *found, FbBytes namespace_name, FbBytes key)
{
	return found != NULL &&
		   replay_compare(found->row.namespace_name, found->row.key, namespace_name, key) == 0;
}

static FbBytes
replay_copy_bytes(MemoryContext context, FbBytes bytes)
{
	uint8_t *data;

	if (bytes.size == 0)
		return FB_BYTES_EMPTY;
	data = MemoryContextAllocHuge(context, bytes.size);
	memcpy(data, bytes.data, bytes.size);
	return fb_bytes(data, bytes.size);
}

static void
replay_release_entry(FbBytes *bytes)
{
	if (bytes->size > 0)
		pfree((void *) bytes->data);
	*bytes = FB_BYTES_EMPTY;
}

static ReplayKey *
replay_list_enter(ReplayState *state, FbBytes namespace_name, FbBytes key)
{
	ReplayKey *before[LEVELS_MAX];
	ReplayKey *found = replay_list_seek(state, namespace_name, key, before);
	ReplayKey *entry;
	int levels = 1;

	if (is_replayed_key(found, namespace_name, key))
		return found;
	while (levels < LEVELS_MAX && fb_rand_below(&state->rand, 4) == 0)
		levels++;
	while (state->levels < levels)
		before[state->levels++] = state->head;
	entry = MemoryContextAllocZero(state->list_context,
								   offsetof(ReplayKey, next) + levels * sizeof(ReplayKey *));
	/* adjacent keys share one copy of the name of their namespace */
	if (found != NULL && fb_bytes_equal(found->row.namespace_name, namespace_name))
		entry->row.namespace_name = found->row.namespace_name;
	else if (before[0] != state->head &&
			 fb_bytes_equal(before[0]->row.namespace_name, namespace_name))
		entry->row.namespace_name = before[0]->row.namespace_name;
	else
		entry->row.namespace_name = replay_copy_bytes(state->list_context, namespace_name);
	entry->row.key = replay_copy_bytes(state->list_context, key);
	for (int level = 0; level < levels; level++)
	{
		entry->next[level] = before[level]->next[level];
		before[level]->next[level] = entry;
	}
	state->list_count++;
	return entry;
}

void
replay_state_put(ReplayState *state, FbBytes namespace_name, FbBytes key, FbBytes value,
				 FbBytes metadata, RwSetVersion version)
{
	ReplayRow *row = &replay_list_enter(state, namespace_name, key)->row;
	FbBytes new_value = replay_copy_bytes(state->list_context, value);
	FbBytes new_metadata = replay_copy_bytes(state->list_context, metadata);

	replay_release_entry(&row->value);
	replay_release_entry(&row->metadata);
	row->present = true;
	row->value = new_value;
	row->metadata = new_metadata;
	row->version = version;
}

void
replay_state_remove(ReplayState *state, FbBytes namespace_name, FbBytes key)
{
	ReplayRow *row = &replay_list_enter(state, namespace_name, key)->row;

	replay_release_entry(&row->value);
	replay_release_entry(&row->metadata);
	row->present = false;
	row->version = (RwSetVersion) {false, 0, 0};
}

bool
replay_state_get(ReplayState *state, FbBytes namespace_name, FbBytes key, ReplayRow *row)
{
	ReplayKey *found = replay_list_seek(state, namespace_name, key, NULL);

	if (is_replayed_key(found, namespace_name, key))
	{
		*row = found->row;
		return row->present;
	}
	for (int i = state->runs_count - 1; i >= 0; i--)
		if (replay_run_find(state->runs[i], namespace_name, key, row))
			return row->present;
	return false;
}

/* ---- rows in order, of some runs and perhaps the skip list ---- */

struct ReplayCursor
{
	ReplayKey *at; /* NULL: at its end, or left out */
	ReplayRunCursor *runs[RUNS_MAX];
	const ReplayRow *rows[RUNS_MAX]; /* the current row of each; NULL: at its end */
	int runs_count;
};

static ReplayCursor *
open_runs(ReplayState *state, int first_run, FbBytes namespace_name, FbBytes key)
{
	ReplayCursor *cursor = palloc0(sizeof(ReplayCursor));

	for (int i = first_run; i < state->runs_count; i++)
	{
		int place = cursor->runs_count++;

		cursor->runs[place] = replay_run_open(state->runs[i], namespace_name, key);
		cursor->rows[place] = replay_run_next(cursor->runs[place]);
	}
	return cursor;
}

/* the next row, also of a deleted key; of several with the same key the newest */
static bool
next_newest(ReplayCursor *cursor, ReplayRow *row)
{
	const ReplayRow *least = cursor->at != NULL ? &cursor->at->row : NULL;
	int found = -1; /* the skip list */

	for (int i = cursor->runs_count - 1; i >= 0; i--)
		if (cursor->rows[i] != NULL &&
			(least == NULL || replay_compare(cursor->rows[i]->namespace_name, cursor->rows[i]->key,
											 least->namespace_name, least->key) < 0))
		{
			least = cursor->rows[i];
			found = i;
		}
	if (least == NULL)
		return false;
	*row = *least;
	if (found >= 0)
	{
		row->namespace_name = replay_copy_bytes(CurrentMemoryContext, least->namespace_name);
		row->key = replay_copy_bytes(CurrentMemoryContext, least->key);
		row->value = replay_copy_bytes(CurrentMemoryContext, least->value);
		row->metadata = replay_copy_bytes(CurrentMemoryContext, least->metadata);
	}
	else
		cursor->at = cursor->at->next[0];
	for (int i = 0; i < cursor->runs_count; i++)
		if (cursor->rows[i] != NULL &&
			replay_compare(cursor->rows[i]->namespace_name, cursor->rows[i]->key,
						   row->namespace_name, row->key) == 0)
			cursor->rows[i] = replay_run_next(cursor->runs[i]);
	return true;
}

ReplayCursor *
replay_cursor_open(ReplayState *state, FbBytes namespace_name, FbBytes key)
{
	ReplayCursor *cursor = open_runs(state, 0, namespace_name, key);

	cursor->at = replay_list_seek(state, namespace_name, key, NULL);
	return cursor;
}

bool
replay_cursor_next(ReplayCursor *cursor, ReplayRow *row)
{
	while (next_newest(cursor, row))
	{
		CHECK_FOR_INTERRUPTS();
		if (row->present)
			return true;
	}
	return false;
}

void
replay_cursor_close(ReplayCursor *cursor)
{
	for (int i = 0; i < cursor->runs_count; i++)
		replay_run_end(cursor->runs[i]);
	pfree(cursor);
}

/* ---- from memory to files ---- */

/* the runs from first_run on become one, of the given level */
static void
merge_runs(ReplayState *state, int first_run, int level)
{
	MemoryContext row_context =
		AllocSetContextCreate(CurrentMemoryContext, "fabric merge row", ALLOCSET_DEFAULT_SIZES);
	ReplayCursor *cursor = open_runs(state, first_run, FB_BYTES_EMPTY, FB_BYTES_EMPTY);
	MemoryContext caller;
	ReplayRun *merged;
	ReplayRow row;
	uint64 count = 0;

	for (int i = first_run; i < state->runs_count; i++)
		count += replay_run_count(state->runs[i]);
	merged = replay_run_create(state->context, count);
	caller = MemoryContextSwitchTo(row_context);
	while (MemoryContextReset(row_context), next_newest(cursor, &row))
	{
		CHECK_FOR_INTERRUPTS();
		/* below the oldest run there is nothing that a deleted key would hide */
		if (row.present || first_run > 0)
			replay_run_add(merged, &row);
	}
	MemoryContextSwitchTo(caller);
	replay_cursor_close(cursor);
	MemoryContextDelete(row_context);
	replay_run_finish(merged);
	for (int i = first_run; i < state->runs_count; i++)
		replay_run_close(state->runs[i]);
	state->runs[first_run] = merged;
	state->run_levels[first_run] = level;
	state->runs_count = first_run + 1;
}

static void
merge_full_levels(ReplayState *state)
{
	while (state->runs_count >= RUNS_OF_LEVEL)
	{
		int level = state->run_levels[state->runs_count - 1];
		int first_run = state->runs_count - RUNS_OF_LEVEL;

		if (state->run_levels[first_run] != level || level + 1 >= RUN_LEVELS_MAX)
			break;
		merge_runs(state, first_run, level + 1);
	}
	if (state->runs_count == RUNS_MAX)
		merge_runs(state, 0, RUN_LEVELS_MAX - 1);
}

void
replay_state_settle(ReplayState *state)
{
	ReplayRun *run;

	if (state->list_count == 0 ||
		MemoryContextMemAllocated(state->list_context, false) <= state->list_bytes_max)
		return;
	run = replay_run_create(state->context, state->list_count);
	for (const ReplayKey *key = state->head->next[0]; key != NULL; key = key->next[0])
	{
		CHECK_FOR_INTERRUPTS();
		if (key->row.present || state->runs_count > 0)
			replay_run_add(run, &key->row);
	}
	replay_run_finish(run);
	state->runs[state->runs_count] = run;
	state->run_levels[state->runs_count++] = 0;
	MemoryContextDelete(state->list_context);
	replay_list_create(state);
	merge_full_levels(state);
}
