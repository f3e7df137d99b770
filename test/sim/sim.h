/*
 * sim.h: a whole Raft cluster in one process, in virtual time, from one seed.
 *
 *   - host.c: the duties of a node, in the order of raft.h: store, report, send, apply
 *   - disk.c: the data that a node has written, and the part that survives a crash
 *   - network.c: messages as bytes: dropped, duplicated, delayed, reordered, cut off
 *   - checks.c: invariants, checked after every step
 *   - faults.c: one fault after the other
 *   - main.c: the story: faults until a given time, then repair, then the cluster must make
 *     progress; many seeds
 */
#ifndef FABRIC_TEST_SIM_H
#define FABRIC_TEST_SIM_H

#include "arena.h"
#include "core/block/block.h"
#include "core/raft/raft.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define SIM_NODES_MAX 10
#define SIM_VOTERS_MAX 7
/* changes of members in each story that has any */
#define SIM_CHANGES_MIN 5
#define SIM_INDEX_MAX 16384
#define SIM_TERM_MAX 16384
#define SIM_PAYLOAD_BYTES_MAX 160 /* of this the link to the block before */
#define SIM_VALUE_BYTES_MAX (SIM_PAYLOAD_BYTES_MAX - BLOCK_HEAD_BYTES - 7)

/* ---- disk ---- */

typedef struct SimEntry
{
	uint64_t term;
	RaftEntryKind kind;
	uint32_t payload_bytes;
	uint8_t payload[SIM_PAYLOAD_BYTES_MAX];
} SimEntry;

typedef struct SimImage
{
	uint64_t term;
	uint64_t vote;
	uint64_t commit_index;
	uint8_t configuration_state[RAFT_CONFIGURATION_STATE_BYTES_MAX];
	size_t configuration_state_bytes;
	uint8_t memory[RAFT_MEMORY_BYTES_MAX];
	size_t memory_bytes;
	RaftRecoveryReason recovery;
	uint64_t recovery_witness;
	bool established;
	uint64_t base_index;
	uint64_t base_term;
	BlockHead base_head; /* the chain at base_index */
	SimEntry *entries;
	size_t count;
	size_t capacity;
} SimImage;

typedef struct SimDisk
{
	SimImage written;	   /* the node's view: everything up to the open transaction */
	SimImage durable;	   /* what a crash leaves */
	bool open;			   /* a transaction with changes is open */
	uint64_t changed_from; /* entries from here on may differ between the two; 0: all */
} SimDisk;

/* base_head: the chain at the start of the log, if that changed */
extern void disk_write_update(SimDisk *disk, const RaftUpdate *update, const SimEntry *entries,
							  const BlockHead *base_head);
extern void disk_commit(SimDisk *disk);
extern void disk_crash(SimDisk *disk);
extern void disk_free(SimDisk *disk);
extern void disk_backup(const SimDisk *disk, SimImage *backup);
extern void disk_restore(SimDisk *disk, const SimImage *backup);		   /* NULL: an empty disk */
extern const SimEntry *image_entry(const SimImage *image, uint64_t index); /* NULL if not there */
extern uint64_t image_last_index(const SimImage *image);
/* the chain after this entry, or at the start of the log */
extern void image_head(const SimImage *image, uint64_t index, BlockHead *head);
/* advance by one entry; false: its link does not fit */
extern bool entry_follow(const SimEntry *entry, BlockHead *head);

/* ---- network ---- */

typedef struct SimPacket
{
	uint64_t at_ms;
	uint64_t sequence; /* order of packets with the same time */
	uint64_t from;
	uint64_t to;
	uint8_t *bytes;
	size_t size;
} SimPacket;

typedef struct SimNetwork
{
	SimPacket *heap;
	size_t count;
	size_t capacity;
	uint64_t sequence;
	bool cut[SIM_NODES_MAX + 1][SIM_NODES_MAX + 1]; /* [from][to] */
	uint32_t drop_per_mille;
	uint32_t double_per_mille;
	uint32_t delay_min_ms;
	uint32_t delay_max_ms;
} SimNetwork;

struct Sim;
extern void network_send(struct Sim *sim, uint64_t from, uint64_t to, FbBytes bytes);
extern uint64_t network_next_ms(const SimNetwork *network);
extern SimPacket network_take(SimNetwork *network); /* the caller frees bytes */
extern void network_put_back(SimNetwork *network, SimPacket packet, uint64_t at_ms);
extern void network_heal(SimNetwork *network);
extern void network_free(SimNetwork *network);

/* ---- a node ---- */

typedef struct SimMessage
{
	uint64_t to;
	RaftMessageType type;
	uint64_t term;
	bool rejected;
	uint64_t index;
	FbBytes bytes; /* malloc */
} SimMessage;

typedef struct SimNode
{
	uint64_t id;
	bool exists;
	bool up;
	RaftConfiguration first_configuration;
	bool added; /* later; the first configuration has the others */
	FbArena arena;
	Raft *raft;
	SimDisk disk;
	RaftUpdate seen;	 /* the last update; only its plain fields are valid */
	SimMessage *waiting; /* until the open transaction commits */
	size_t waiting_count;
	size_t waiting_capacity;
	uint64_t commit_at_ms; /* when the open transaction commits */
	uint64_t stalled_until_ms;
	/* the node's clock: offset + time * rate / 1000 */
	uint64_t clock_offset_ms;
	uint64_t clock_rate;
	uint64_t restart_at_ms;	 /* of a node that is down: starts by itself then; 0: does not */
	uint64_t slow_until_ms;	 /* its disk needs long for each transaction until then */
	uint64_t ledger_index;	 /* applied */
	uint64_t ledger_durable; /* the part that survives a crash */
	uint64_t ledger_term;	 /* of the entry at ledger_index; 0: fetched */
	uint64_t ledger_durable_term;
	BlockHead fetch_head; /* of the last snapshot message */
	uint64_t ledger_commit_at_ms;
	uint64_t fetch_at_ms;
	uint64_t checked_commit; /* checks.c has compared entries up to here */
	SimImage backup;		 /* an older copy of the durable image, if has_backup */
	uint64_t backup_ledger;
	uint64_t backup_ledger_term;
	bool has_backup;
	bool lost; /* lost its memory, and has not stored yet that it recovers */
	uint32_t starts;
} SimNode;

/* ---- checks ---- */

typedef struct SimTruth
{
	uint64_t term; /* 0: not committed yet */
	uint64_t hash;
	uint64_t committed_in_term;
	BlockHead head; /* the chain after it */
} SimTruth;

typedef struct SimKnown
{
	uint64_t index;
	uint64_t term;
	uint64_t hash;
	uint64_t prev_term;
} SimKnown;

typedef struct SimChecks
{
	SimTruth truth[SIM_INDEX_MAX];
	uint64_t committed_index;
	uint64_t leader_of_term[SIM_TERM_MAX];
	uint8_t vote_sent[SIM_NODES_MAX + 1][SIM_TERM_MAX];
	SimKnown *known; /* open addressing, every (index, term) ever stored */
	size_t known_capacity;
	size_t known_count;
} SimChecks;

typedef struct SimCounters
{
	uint64_t stories, second_elections, steps, crashes, elections, truncations, compactions,
		snapshots_installed, transfers, configurations, added_again, queued_changes, partitions,
		failed_transactions, slow_disks, submitted, committed, lost_transactions, refused_appends,
		lies, refused_lies, memories_lost, restored, recovered, old_leaders;
} SimCounters;

typedef struct Sim
{
	uint64_t seed;
	FbRand rand;
	bool trace;
	uint64_t now_ms;
	uint64_t heal_at_ms;
	bool healed;
	/* leaders elected after healing, and those that changes of members and transfers allow */
	uint32_t elections_after;
	uint32_t elections_expected;

	/* parameters, drawn from the seed */
	uint64_t election_timeout_ms;
	uint64_t heartbeat_ms;
	uint32_t in_flight_max;
	uint32_t message_bytes_max;
	uint32_t disk_delay_max_ms; /* 0: every step is its own durable transaction */
	bool send_early;
	uint32_t compact_tail;
	uint32_t crash_per_mille; /* at each crash point inside the duties */
	uint32_t submit_every_ms;
	uint32_t fault_every_ms;
	bool change_membership;
	uint32_t changes_wanted; /* changes of members that wait for the one before */
	uint32_t changes_made;
	uint64_t next_change_ms;
	uint32_t fail_per_mille; /* transactions that fail, which ends the worker */
	bool lose_memory;
	uint64_t liar; /* a node that also sends lies; 0: none */

	/* a leader that was replaced without knowing it yet: see fault_freeze_leader; 0: none */
	uint64_t frozen;
	uint64_t thaw_at_ms;

	uint64_t next_submit_ms;
	uint64_t next_fault_ms;
	uint64_t next_value;
	SimNode nodes[SIM_NODES_MAX + 1];
	SimNetwork network;
	SimChecks *checks;
	SimCounters *counters;
} Sim;

extern uint64_t sim_below(Sim *sim, uint64_t limit);
extern bool sim_chance(Sim *sim, uint32_t per_mille);
/* a node that is up, or one that is not; NULL: there is none */
extern SimNode *sim_random_node(Sim *sim, bool up);
/* the leader with the highest term; older leaders may not know of it yet; NULL: there is none */
extern SimNode *sim_leader(Sim *sim);
/* a violation: prints the message, the seed and the command to replay it, and ends the program */
extern void sim_fail(const Sim *sim, const char *format, ...)
	__attribute__((format(printf, 2, 3), noreturn));
extern void sim_say(const Sim *sim, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define SAY(sim, ...)                    \
	do                                   \
	{                                    \
		if ((sim)->trace)                \
			sim_say((sim), __VA_ARGS__); \
	} while (0)

/* one random fault, and some messages of the liar, if there is one */
/* when it is time, add or remove a node */
extern void fault_change_members(Sim *sim);
extern void fault_any(Sim *sim);
/* the end of what fault_freeze_leader (faults.c) began */
extern void fault_thaw_leader(Sim *sim);

extern void host_start(Sim *sim, SimNode *node);
extern void host_crash(Sim *sim, SimNode *node);
/* an error ends the worker: the open transaction is rolled back, and it starts again by itself */
extern void host_fail(Sim *sim, SimNode *node);
/* the node's clock, and the first time at which it shows this or more */
extern uint64_t host_clock_ms(const Sim *sim, const SimNode *node);
extern uint64_t host_due_ms(const SimNode *node, uint64_t clock_ms);
/* a stopped node: its tables are gone, or replaced by those of its last backup */
extern void host_lose_memory(Sim *sim, SimNode *node);
extern bool host_is_recovering(const SimNode *node);
/* one event and its duties; false if the node crashed meanwhile */
extern FbStatus host_step(Sim *sim, SimNode *node, RaftEvent *event);
extern void host_receive(Sim *sim, SimNode *node, SimPacket packet);
extern void host_commit(Sim *sim, SimNode *node);
extern void host_ledger_commit(Sim *sim, SimNode *node);
extern void host_fetch(Sim *sim, SimNode *node);
extern FbStatus host_submit(Sim *sim, SimNode *node, uint32_t count, uint64_t *last_index);

extern void checks_begin(Sim *sim);
extern bool checks_same_head(const BlockHead *a, const BlockHead *b);
extern uint64_t checks_entry_hash(const SimEntry *entry);
extern void checks_stored(Sim *sim, const SimNode *node, const SimImage *image, uint64_t index);
extern void checks_step(Sim *sim, SimNode *node, const RaftUpdate *update);
extern void checks_sent(Sim *sim, const SimNode *node, const SimMessage *message);
extern void checks_applied(Sim *sim, const SimNode *node, uint64_t index);

#endif
