/*
 * Stories: a small cluster, one command after the other, and the trace (core/raft/trace.c) that
 * each must give. The stories are test/unit/raft_*.txt: a command, "----", the expected lines, an
 * empty line. With --rewrite the files get the present trace: commit only differences that you
 * understand.
 *
 *   start A B C             nodes A, B, C with each other as voters
 *   join A                  a node that knows no other node
 *   add A V...              a node with a number that is new to the voters V...
 *   timeout A               time passes until A's deadline, which fires
 *   advance MS              time passes
 *   deliver                 deliver all messages, in order, until there are none
 *   drop                    lose all messages
 *   greet                   deliver only hellos and their answers, until there are none
 *   cut A B                 no messages between A and B
 *   mend                    all links work
 *   submit A COUNT          submit COUNT entries
 *   crash A                 A stops
 *   restart A               A starts from its disk
 *   compact A INDEX         A drops entries up to INDEX
 *   configure A V...        A is to make V... the voters
 *   transfer A B            A hands the leadership over to B
 *   transfer A B 1          the same, but A does not wait for an answer, because it leaves
 *   fetched A               A has the blocks that it asked for
 *   lose A                  A has stopped and lost everything
 *   backup A, restore A     copy A's disk; give A the copy back
 *   recover A               tell A that it has lost promises
 *   trust A                 tell A to take part as it is
 *   state                   one line per node
 *
 * Every node's disk is written at once, and committed entries are applied at once.
 */
#include "unit/check.h"

#include "core/raft/raft.h"

#include <glob.h>
#include <inttypes.h>

#define NODES_MAX 6
#define LOG_MAX 400
#define PACKETS_MAX 4096

typedef struct StoryEntry
{
	uint64_t term;
	RaftEntryKind kind;
	uint8_t payload[64];
	uint32_t payload_bytes;
} StoryEntry;

typedef struct StoryNode
{
	bool up;
	FbArena arena;
	Raft *raft;
	RaftConfiguration first;
	bool added;
	uint64_t term;
	uint64_t vote;
	uint64_t commit;
	uint8_t configuration[RAFT_CONFIGURATION_STATE_BYTES_MAX];
	size_t configuration_bytes;
	uint64_t base_index;
	uint64_t base_term;
	StoryEntry log[LOG_MAX]; /* [index] */
	uint64_t last_index;
	uint64_t applied;
	uint64_t deadline_ms;
	uint64_t fetch_index;
	uint8_t memory[RAFT_MEMORY_BYTES_MAX];
	size_t memory_bytes;
	RaftRecoveryReason recovery;
	uint64_t recovery_witness;
	bool established;
} StoryNode;

typedef struct StoryPacket
{
	uint64_t from;
	uint64_t to;
	FbBytes bytes; /* in story_arena */
} StoryPacket;

static FbArena story_arena;
static StoryNode nodes[NODES_MAX + 1];
static StoryNode backup;
static StoryPacket packets[PACKETS_MAX];
static size_t packets_count;
static bool cut[NODES_MAX + 1][NODES_MAX + 1];
static uint64_t now_ms;
static FbBuffer said;

static void story_step(uint64_t id, RaftEvent *event);

static void
story_store(StoryNode *node, const RaftEvent *event, const RaftUpdate *update)
{
	if (update->persist_hard_state)
	{
		node->term = update->hard_state.term;
		node->vote = update->hard_state.vote;
		node->commit = update->hard_state.commit_index;
		node->configuration_bytes = update->hard_state.configuration_state.size;
		memcpy(node->configuration, update->hard_state.configuration_state.data,
			   node->configuration_bytes);
		node->memory_bytes = update->hard_state.memory.size;
		memcpy(node->memory, update->hard_state.memory.data, node->memory_bytes);
		node->recovery = update->hard_state.recovery;
		node->recovery_witness = update->hard_state.recovery_witness;
		node->established = update->hard_state.established;
	}
	if (update->log_start_changed)
	{
		node->base_index = update->log_start.index;
		node->base_term = update->log_start.term;
		if (update->log_reset)
			node->last_index = node->base_index;
	}
	if (update->truncate_from_index > 0)
		node->last_index = update->truncate_from_index - 1;
	for (uint32_t i = 0; i < update->entries.count; i++)
	{
		StoryEntry *entry = &node->log[++node->last_index];
		FbBytes payload = update->entries.payload;

		FB_ASSERT(node->last_index == update->entries.first_index + i &&
				  node->last_index < LOG_MAX - 1);
		entry->term = update->entries.last_term;
		entry->kind = update->entries.kind;
		if (update->entries.source == RAFT_FROM_MESSAGE)
		{
			const RaftEntry *from = &event->receive->entries[update->entries.first_position + i];

			entry->term = from->term;
			entry->kind = from->kind;
			payload = from->payload;
		}
		else if (update->entries.source == RAFT_FROM_SUBMIT)
		{
			entry->kind = RAFT_ENTRY_DATA;
			payload = FB_BYTES_LITERAL("data");
		}
		entry->payload_bytes = (uint32_t) payload.size;
		if (payload.size > 0)
			memcpy(entry->payload, payload.data, payload.size);
	}
}

static void
story_send(StoryNode *node, RaftMessage *message)
{
	FbBytes bytes;

	for (uint32_t i = 0; i < message->entries_count; i++)
	{
		StoryEntry *entry = &node->log[message->index + 1 + i];

		message->entries[i].kind = entry->kind;
		message->entries[i].payload = fb_bytes(entry->payload, entry->payload_bytes);
	}
	CHECK_STATUS(raft_message_encode(&story_arena.allocator, message, &bytes, NULL), FB_OK);
	if (message->to <= NODES_MAX && packets_count < PACKETS_MAX)
		packets[packets_count++] = (StoryPacket) {message->from, message->to, bytes};
}

static void
story_step(uint64_t id, RaftEvent *event)
{
	StoryNode *node = &nodes[id];
	RaftUpdate update;
	FbError error;
	RaftEvent next = {.type = RAFT_EVENT_PERSISTED};

	event->now_ms = now_ms;
	if (raft_step(node->raft, event, &update, &error) != FB_OK)
		fb_buffer_append_format(&said, "%" PRIu64 " says: %s\n", id, error.message);
	fb_buffer_append_text(&said, raft_trace(node->raft));
	story_store(node, event, &update);
	for (uint32_t i = 0; i < update.messages_count; i++)
		story_send(node, &update.messages[i]);
	node->deadline_ms = update.deadline_ms;
	node->fetch_index = update.fetch_index;
	if (update.entries.count > 0)
	{
		next.persisted.index = update.entries.first_index + update.entries.count - 1;
		next.persisted.term = update.entries.last_term;
		story_step(id, &next);
	}
	else if (update.apply_index > node->applied)
	{
		node->applied = update.apply_index;
		next.type = RAFT_EVENT_APPLIED;
		next.applied.index = node->applied;
		story_step(id, &next);
	}
}

static void
story_start(uint64_t id)
{
	StoryNode *node = &nodes[id];
	RaftTrailEntry trail[LOG_MAX];
	RaftEvent event = {.type = RAFT_EVENT_START};

	fb_arena_init(&node->arena);
	CHECK_STATUS(raft_create(&node->arena.allocator, &node->raft, NULL), FB_OK);
	raft_trace_enable(node->raft, true);
	for (uint64_t index = node->base_index + 1; index <= node->last_index; index++)
		trail[index - node->base_index - 1] =
			(RaftTrailEntry) {node->log[index].term, node->log[index].payload_bytes};
	event.start.id = id;
	event.start.seed = id;
	event.start.election_timeout_ms = 1000;
	event.start.heartbeat_ms = 100;
	event.start.in_flight_max = 2;
	event.start.message_bytes_max = 1000;
	event.start.term = node->term;
	event.start.vote = node->vote;
	event.start.commit_index = node->commit;
	event.start.configuration_state = fb_bytes(node->configuration, node->configuration_bytes);
	event.start.configuration = node->first;
	event.start.added = node->added;
	event.start.memory = fb_bytes(node->memory, node->memory_bytes);
	event.start.recovery = node->recovery;
	event.start.recovery_witness = node->recovery_witness;
	event.start.established = node->established;
	event.start.base_index = node->base_index;
	event.start.base_term = node->base_term;
	event.start.entries = trail;
	event.start.entries_count = node->last_index - node->base_index;
	event.start.applied_index = node->applied;
	node->up = true;
	story_step(id, &event);
}

static void
story_crash(uint64_t id)
{
	if (nodes[id].up)
		fb_arena_reset(&nodes[id].arena);
	nodes[id].up = false;
}

static void
story_deliver(bool greetings_only)
{
	size_t kept = 0;

	for (size_t i = 0; i < packets_count; i++)
	{
		StoryPacket packet = packets[i];
		RaftEvent event = {.type = RAFT_EVENT_RECEIVE};
		RaftMessage message;

		if (!nodes[packet.to].up || cut[packet.from][packet.to])
			continue;
		CHECK_STATUS(raft_message_decode(&story_arena.allocator, packet.bytes, &message, NULL),
					 FB_OK);
		if (greetings_only && message.type != RAFT_HELLO && message.type != RAFT_HELLO_RESPONSE)
		{
			packets[kept++] = packet;
			continue;
		}
		event.receive = &message;
		story_step(packet.to, &event);
	}
	packets_count = kept;
}

/* the node's disk becomes that of `from`, or empty */
static void
story_set_back(uint64_t id, const StoryNode *from)
{
	RaftConfiguration first = nodes[id].first;
	bool added = nodes[id].added;

	CHECK(!nodes[id].up);
	if (from != NULL)
		nodes[id] = *from;
	else
		memset(&nodes[id], 0, sizeof(nodes[id]));
	nodes[id].up = false;
	nodes[id].first = first;
	nodes[id].added = added;
}

static void
story_add(uint64_t id, const uint64_t *voters, int count)
{
	nodes[id].added = true;
	nodes[id].first = (RaftConfiguration) {0};
	for (int i = 0; i < count; i++)
		raft_configuration_add(&nodes[id].first, voters[i]);
	story_start(id);
}

static void
story_state(void)
{
	for (uint64_t id = 1; id <= NODES_MAX; id++)
	{
		RaftStatus status;

		if (!nodes[id].up)
			continue;
		raft_status(nodes[id].raft, &status);
		fb_buffer_append_format(&said,
								"%" PRIu64 " %s %" PRIu64 ", leader %" PRIu64 ", log %" PRIu64
								"..%" PRIu64 ", commit %" PRIu64 ", %" PRIu32 " voters%s%s\n",
								id, raft_role_name(status.role), status.term, status.leader,
								status.base_index, status.last_index, status.commit_index,
								status.configuration.voters_count,
								status.participation != RAFT_VOTING ? ", " : "",
								status.participation != RAFT_VOTING
									? raft_participation_name(status.participation)
									: "");
	}
}

static void
story_command(char *line)
{
	uint64_t numbers[NODES_MAX + 2] = {0};
	int count = 0;
	char *save;
	char *word = strtok_r(line, " \n", &save);
	char *number;
	RaftEvent event = {.type = RAFT_EVENT_TIMEOUT};
	uint64_t id;

	while ((number = strtok_r(NULL, " \n", &save)) != NULL && count < NODES_MAX + 2)
		numbers[count++] = strtoull(number, NULL, 10);
	id = numbers[0];
	if (strcmp(word, "start") == 0)
	{
		for (int i = 0; i < count; i++)
		{
			for (int j = 0; j < count; j++)
				raft_configuration_add(&nodes[numbers[i]].first, numbers[j]);
			story_start(numbers[i]);
		}
	}
	else if (strcmp(word, "join") == 0 || strcmp(word, "restart") == 0)
		story_start(id);
	else if (strcmp(word, "add") == 0)
		story_add(id, numbers + 1, count - 1);
	else if (strcmp(word, "crash") == 0)
		story_crash(id);
	else if (strcmp(word, "advance") == 0)
		now_ms += id;
	else if (strcmp(word, "deliver") == 0)
		story_deliver(false);
	else if (strcmp(word, "greet") == 0)
		story_deliver(true);
	else if (strcmp(word, "lose") == 0)
		story_set_back(id, NULL);
	else if (strcmp(word, "backup") == 0)
		backup = nodes[id];
	else if (strcmp(word, "restore") == 0)
		story_set_back(id, &backup);
	else if (strcmp(word, "recover") == 0 || strcmp(word, "trust") == 0)
	{
		event.type = RAFT_EVENT_RECOVER;
		event.recover.begin = strcmp(word, "recover") == 0;
		story_step(id, &event);
	}
	else if (strcmp(word, "drop") == 0)
		packets_count = 0;
	else if (strcmp(word, "cut") == 0)
		cut[id][numbers[1]] = cut[numbers[1]][id] = true;
	else if (strcmp(word, "mend") == 0)
		memset(cut, 0, sizeof(cut));
	else if (strcmp(word, "state") == 0)
		story_state();
	else if (strcmp(word, "timeout") == 0)
	{
		if (nodes[id].deadline_ms != UINT64_MAX && nodes[id].deadline_ms > now_ms)
			now_ms = nodes[id].deadline_ms;
		story_step(id, &event);
	}
	else if (strcmp(word, "submit") == 0)
	{
		uint32_t sizes[64];

		for (int i = 0; i < 64; i++)
			sizes[i] = 4;
		event.type = RAFT_EVENT_SUBMIT;
		event.submit.payload_bytes = sizes;
		event.submit.count = (uint32_t) numbers[1];
		story_step(id, &event);
	}
	else if (strcmp(word, "compact") == 0)
	{
		event.type = RAFT_EVENT_COMPACT;
		event.compact.index = numbers[1];
		story_step(id, &event);
	}
	else if (strcmp(word, "transfer") == 0)
	{
		event.type = RAFT_EVENT_TRANSFER;
		event.transfer.to = numbers[1];
		event.transfer.leaving = count > 2;
		story_step(id, &event);
	}
	else if (strcmp(word, "configure") == 0)
	{
		event.type = RAFT_EVENT_CONFIGURE;
		for (int i = 1; i < count; i++)
			raft_configuration_add(&event.configure, numbers[i]);
		story_step(id, &event);
	}
	else if (strcmp(word, "fetched") == 0)
	{
		event.type = RAFT_EVENT_SNAPSHOT_INSTALLED;
		nodes[id].applied = nodes[id].fetch_index;
		event.snapshot_installed.index = nodes[id].fetch_index;
		story_step(id, &event);
	}
	else
		fb_buffer_append_format(&said, "unrecognized command %s\n", word);
}

static void
story_run(const char *path, bool rewrite)
{
	FbBytes text = check_read_file(path);
	FbBuffer result;
	size_t at = 0;
	bool in_answer = false;

	fb_arena_init(&story_arena);
	memset(nodes, 0, sizeof(nodes));
	memset(cut, 0, sizeof(cut));
	packets_count = 0;
	now_ms = 0;
	fb_buffer_init(&result, &story_arena.allocator);

	while (at < text.size)
	{
		const uint8_t *end = memchr(text.data + at, '\n', text.size - at);
		size_t size = end == NULL ? text.size - at : (size_t) (end - (text.data + at));
		char line[256] = {0};

		FB_ASSERT(size < sizeof(line));
		memcpy(line, text.data + at, size);
		at += size + 1;
		if (in_answer)
		{
			/* skip the old answer; the new one is in the result already */
			in_answer = size > 0;
			if (!in_answer)
				fb_buffer_append_text(&result, "\n");
			continue;
		}
		fb_buffer_append_text(&result, line);
		fb_buffer_append_text(&result, "\n");
		if (strcmp(line, "----") == 0)
		{
			fb_buffer_append(&result, said.data, said.size);
			in_answer = true;
			fb_buffer_init(&said, &story_arena.allocator);
		}
		else if (size > 0 && line[0] != '#')
		{
			if (said.allocator == NULL)
				fb_buffer_init(&said, &story_arena.allocator);
			story_command(line);
		}
	}
	if (rewrite)
	{
		FILE *file = fopen(path, "wb");

		fwrite(result.data, 1, result.size, file);
		fclose(file);
	}
	else if (!CHECK(fb_bytes_equal(text, fb_bytes(result.data, result.size))))
	{
		size_t same = 0;
		size_t from;

		while (same < text.size && same < result.size && text.data[same] == result.data[same])
			same++;
		for (from = same; from > 0 && result.data[from - 1] != '\n'; from--)
			;
		fprintf(stderr, "%s: the narration differs at byte %zu; it is now:\n%.*s\n", path, same,
				(int) (result.size - from < 600 ? result.size - from : 600), result.data + from);
	}
	for (uint64_t id = 1; id <= NODES_MAX; id++)
		story_crash(id);
	fb_arena_reset(&story_arena);
	memset(&said, 0, sizeof(said));
	free((void *) text.data);
}

int
main(int argc, char **argv)
{
	bool rewrite = argc > 1 && strcmp(argv[1], "--rewrite") == 0;
	glob_t stories;

	CHECK(glob("test/unit/raft_*.txt", 0, NULL, &stories) == 0 && stories.gl_pathc > 0);
	for (size_t i = 0; i < stories.gl_pathc; i++)
		CHECK_TEST(story_run(stories.gl_pathv[i], rewrite));
	globfree(&stories);
	return check_finish("raft/stories");
}
