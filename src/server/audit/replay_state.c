/*
 * replay_state.c: a world state with its history in memory: a skip list over (namespace, key) in
 * byte order
 */
#include "server/audit/audit_internal.h"

#define LEVELS_MAX 24

struct ReplayState
{
	MemoryContext context;
	FbRand rand;
	int levels;
	ReplayKey *head; /* before all keys; LEVELS_MAX pointers */
};

ReplayState *
replay_state_create(MemoryContext context)
{
	ReplayState *state = MemoryContextAllocZero(context, sizeof(ReplayState));

	state->context = context;
	state->levels = 1;
	fb_rand_seed(&state->rand, 1);
	state->head = MemoryContextAllocZero(context, offsetof(ReplayKey, next) +
													  LEVELS_MAX * sizeof(ReplayKey *));
	return state;
}

int
replay_compare(FbBytes namespace_name, FbBytes key, FbBytes other_namespace, FbBytes other_key)
{
	int order =
		namespace_name.data == other_namespace.data && namespace_name.size == other_namespace.size
			? 0
			: fb_bytes_compare(namespace_name, other_namespace);

	return order != 0 ? order : fb_bytes_compare(key, other_key);
}

ReplayKey *
replay_state_first(ReplayState *state)
{
	return state->head->next[0];
}

/* before[level]: the last key before this one on each level */
static ReplayKey *
replay_seek(ReplayState *state, FbBytes namespace_name, FbBytes key, ReplayKey **before)
{
	ReplayKey *at = state->head;

	for (int level = state->levels - 1; level >= 0; level--)
	{
		while (at->next[level] != NULL &&
			   replay_compare(at->next[level]->namespace_name, at->next[level]->key, namespace_name,
							  key) < 0)
			at = at->next[level];
		if (before != NULL)
			before[level] = at;
	}
	return at->next[0];
}

ReplayKey *
replay_state_seek(ReplayState *state, FbBytes namespace_name, FbBytes key)
{
	return replay_seek(state, namespace_name, key, NULL);
}

ReplayKey *
replay_state_find(ReplayState *state, FbBytes namespace_name, FbBytes key)
{
	ReplayKey *found = replay_seek(state, namespace_name, key, NULL);

	return found != NULL &&
				   replay_compare(found->namespace_name, found->key, namespace_name, key) == 0
			   ? found
			   : NULL;
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

ReplayKey *
replay_state_enter(ReplayState *state, FbBytes namespace_name, FbBytes key)
{
	ReplayKey *before[LEVELS_MAX];
	ReplayKey *found = replay_seek(state, namespace_name, key, before);
	ReplayKey *entry;
	int levels = 1;

	if (found != NULL &&
		replay_compare(found->namespace_name, found->key, namespace_name, key) == 0)
		return found;
	while (levels < LEVELS_MAX && fb_rand_below(&state->rand, 4) == 0)
		levels++;
	while (state->levels < levels)
		before[state->levels++] = state->head;
	entry = MemoryContextAllocZero(state->context,
								   offsetof(ReplayKey, next) + levels * sizeof(ReplayKey *));
	/* adjacent keys share one copy of the name of their namespace */
	if (found != NULL && fb_bytes_equal(found->namespace_name, namespace_name))
		entry->namespace_name = found->namespace_name;
	else if (before[0] != state->head && fb_bytes_equal(before[0]->namespace_name, namespace_name))
		entry->namespace_name = before[0]->namespace_name;
	else
		entry->namespace_name = replay_copy_bytes(state->context, namespace_name);
	entry->key = replay_copy_bytes(state->context, key);
	for (int level = 0; level < levels; level++)
	{
		entry->next[level] = before[level]->next[level];
		before[level]->next[level] = entry;
	}
	return entry;
}

void
replay_state_set(ReplayState *state, ReplayKey *key, FbBytes value, FbBytes metadata,
				 RwSetVersion version)
{
	FbBytes new_value = replay_copy_bytes(state->context, value);
	FbBytes new_metadata = replay_copy_bytes(state->context, metadata);

	replay_release_entry(&key->value);
	replay_release_entry(&key->metadata);
	key->present = true;
	key->value = new_value;
	key->metadata = new_metadata;
	key->version = version;
}

void
replay_state_delete(ReplayState *state, ReplayKey *key)
{
	replay_release_entry(&key->value);
	replay_release_entry(&key->metadata);
	key->present = false;
	key->version = (RwSetVersion) {false, 0, 0};
}

void
replay_state_add_write(ReplayState *state, ReplayKey *key, const ReplayWrite *write)
{
	if (key->writes_count == key->writes_capacity)
	{
		int capacity = Max(1, key->writes_capacity * 2);

		key->writes = key->writes == NULL
						  ? MemoryContextAlloc(state->context, capacity * sizeof(ReplayWrite))
						  : repalloc_huge(key->writes, capacity * sizeof(ReplayWrite));
		key->writes_capacity = capacity;
	}
	key->writes[key->writes_count++] = *write;
}
