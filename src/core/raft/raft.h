/*
 * raft: consensus on a log, as one pure function: an event goes in, a list of duties comes out.
 *
 * The rules are those of "In Search of an Understandable Consensus Algorithm" (Ongaro, Ousterhout;
 * "the paper") and of Ongaro's dissertation ("the thesis"): elections, replication, single-server
 * membership changes (thesis 4.1-4.3), leadership transfer (3.10), pre-vote (9.6), check-quorum
 * (6.2). As in Fabric's etcdraft pre-vote and check-quorum are always on. A node that may
 * have lost what it promised takes no part until it is brought up to date: see recovery.c.
 *
 * The core has no clock (every event carries the time), no disk, no network, no callbacks, and no
 * random source except the seed of START: the same events give the same updates. It never sees
 * payloads: it keeps a *trail*, the (index, term, size) of each entry of the log. A Raft object is
 * one channel on one node and belongs to one thread.
 *
 * The host's duties after each step, in this order:
 *   1. store update.hard_state (if persist_hard_state), the log's new start (if log_start_changed),
 *      the truncation (if truncate_from_index > 0), then the entries (if entries.count > 0), in ONE
 *      durable transaction;
 *   2. send the messages, and report PERSISTED (if entries were stored), in either order;
 *   3. apply the entries up to update.apply_index, report APPLIED;
 *   4. wait for messages or until update.deadline_ms, and then report TIMEOUT.
 * Many steps may go into one transaction: keep their duties in order, and release their messages
 * only after it. A message whose `early` is true (a leader's appends, heartbeats) may leave before
 * the transaction is durable. An append's payloads are attached by the host: see RaftMessage. A
 * crash at any point is allowed: START from the tables.
 *
 * Lifetime of what an update points to: everything in an update lives until the next raft_step of
 * the same Raft, so encode or copy messages at once. Everything in an event is only read during the
 * step.
 */
#ifndef FABRIC_CORE_RAFT_H
#define FABRIC_CORE_RAFT_H

#include "core/base/base.h"

/*
 * The number of a node is never reused; 0 means "no node". The first entry's
 * index is 1; index 0 with term 0 stands for "before the log". Times are milliseconds since any
 * fixed point and never decrease (the host clamps a clock that does).
 */

/* ---- configuration: who votes ---- */

typedef struct RaftConfiguration
{
	uint32_t voters_count;
	uint64_t voters[FB_RAFT_NODES_MAX]; /* ascending, without repetition */
} RaftConfiguration;

extern bool raft_configuration_has(const RaftConfiguration *configuration, uint64_t node);
/* false when full, node is 0 or already there */
extern bool raft_configuration_add(RaftConfiguration *configuration, uint64_t node);
/* false when not there */
extern bool raft_configuration_remove(RaftConfiguration *configuration, uint64_t node);
extern bool raft_configuration_equal(const RaftConfiguration *a, const RaftConfiguration *b);
/* the payload of a CONFIGURATION entry, untrusted. FB_MALFORMED_MESSAGE, FB_LIMIT_EXCEEDED */
extern FbStatus raft_configuration_decode(FbBytes payload, RaftConfiguration *configuration,
										  FbError *error);

/* ---- entries ---- */

typedef enum RaftEntryKind
{
	RAFT_ENTRY_DATA = 0, /* the host's payload */
	RAFT_ENTRY_NOOP =
		1, /* empty; a new leader's first entry (paper, section 8). Applying it does nothing */
	RAFT_ENTRY_CONFIGURATION =
		2 /* payload made and read by the core. Applying it does nothing in the host */
} RaftEntryKind;

#define RAFT_ENTRY_KIND_MAX 2

/* an entry inside a message; the host's log table has exactly these columns beside the index */
typedef struct RaftEntry
{
	uint64_t term;
	RaftEntryKind kind;
	FbBytes payload; /* in a received message: inside the received bytes */
} RaftEntry;

/* what the trail keeps of an entry */
typedef struct RaftTrailEntry
{
	uint64_t term;
	uint32_t payload_bytes;
} RaftTrailEntry;

/* ---- messages between nodes ---- */

typedef enum RaftMessageType
{
	RAFT_PRE_VOTE = 1, /* asks for a vote in `term` without changing any node's term; index,
						  log_term: the sender's last entry */
	RAFT_PRE_VOTE_RESPONSE = 2, /* rejected or not */
	RAFT_VOTE =
		3, /* index, log_term: the sender's last entry; forced: part of a leadership transfer */
	RAFT_VOTE_RESPONSE = 4, /* rejected or not */
	RAFT_APPEND = 5,		/* index, log_term: the entry before the first; commit_index; entries */
	RAFT_APPEND_RESPONSE =
		6, /* index: the sender's log equals the leader's up to here; or rejected: index is the
			  refused one, hint_index and log_term the entry after which to try next */
	RAFT_HEARTBEAT = 7, /* commit_index, never beyond what the receiver is known to have */
	RAFT_HEARTBEAT_RESPONSE = 8,
	RAFT_SNAPSHOT = 9,	   /* index, log_term: the sender's log starts after this entry; fetch the
							  blocks up to it. configuration */
	RAFT_TIMEOUT_NOW = 10, /* leadership transfer: the receiver campaigns at once (thesis 3.10) */
	RAFT_HELLO = 11, /* the sender has started, or is recovering, and asks for the promises that the
						receiver remembers of it. nonce; index, log_term: its last entry. Changes no
						node's term; term may be 0 */
	RAFT_HELLO_RESPONSE = 12 /* index, log_term: the sender's last entry; promised_term,
								promised_index, voted: the receiver's last promise to it; leader: as
								known to the sender; configuration: of the sender */
} RaftMessageType;

#define RAFT_MESSAGE_TYPE_MAX 12

typedef struct RaftMessage
{
	RaftMessageType type;
	uint64_t from;
	uint64_t to;
	/* the sender's; in PRE_VOTE and in its granted answer: the term campaigned for */
	uint64_t term;
	uint64_t index;
	uint64_t log_term;
	uint64_t commit_index;
	uint64_t hint_index;
	bool rejected;
	bool forced;

	/*
	 * Recovery (recovery.c). nonce: in HELLO and in what a node without a vote answers, drawn for
	 * this start; in HELLO_RESPONSE, and in what a leader sends to a node that it knows to be
	 * recovering, that of the other; in what a voter answers, that of the leader's message.
	 * recovering: the sender has no vote. recovered: tells the receiver with this nonce that it has
	 * all committed entries; index: up to here. A HEARTBEAT with a nonce has index: how far the
	 * receiver must come.
	 */
	uint64_t nonce;
	bool recovering;
	bool recovered;
	uint64_t promised_term;
	uint64_t promised_index;
	bool voted;
	uint64_t leader;

	/*
	 * APPEND_RESPONSE, with rejected: the append contradicts what this node has promised or stored,
	 * so no shorter prefix will help. The host sends this message, in the term of the append; the
	 * core never makes one, because such an append changes nothing in it.
	 */
	bool contradicted;

	/*
	 * APPEND: entries index + 1 .. index + entries_count. In an update the core has filled in only
	 * each entry's term: before encoding, the host looks up (index, term) in its store, or in what
	 * it is about to store, and fills in kind and payload. If it no longer has such an entry, it
	 * drops the message; Raft repairs the loss.
	 */
	uint32_t entries_count;
	RaftEntry *entries;

	FbBytes configuration; /* SNAPSHOT: opaque; in an update it lives as long as the update */
	FbBytes head; /* SNAPSHOT: where the host's chain stands at the entry; made and read by hosts,
					 at most RAFT_HEAD_BYTES_MAX */

	/* not encoded, but of each decoded message: the sender's, which may be newer than this node's
	 */
	uint8_t version;

	/* not encoded. In an update: may be sent before this update's transaction is durable */
	bool early;
} RaftMessage;

/*
 * Encoding. Integers are big-endian, fixed width; every byte is covered, so decode(encode(m)) = m,
 * and no other bytes of this version decode to m:
 *
 *   u8 'R', u8 version of the sender, u8 needs: the oldest version that can act on it, u8 type
 *   u16 flags: 1 rejected, 2 forced, 4 recovering, 8 recovered, 16 voted, 32 contradicted
 *   u64 from, to, term, index, log_term, commit_index, hint_index
 *   u64 nonce, promised_term, promised_index, leader
 *   u32 size of the configuration, and its bytes
 *   u32 size of the head, and its bytes
 *   u32 number of entries; for each: u64 term, u8 kind, u32 payload size, payload
 *   what newer versions append
 *
 * A message does not name its channel; the host carries it in an envelope that does. Fields that a
 * type does not use are 0. What nodes of different versions do is at the head of raft_message.c.
 */
#define RAFT_MESSAGE_VERSION 3

/*
 * *bytes: the encoded message, in allocator. FB_LIMIT_EXCEEDED: more than
 * FB_RAFT_ENTRIES_PER_MESSAGE_MAX entries or more than FB_MESSAGE_BYTES_MAX bytes;
 * FB_OUT_OF_MEMORY.
 */
extern FbStatus raft_message_encode(FbAllocator *allocator, const RaftMessage *message,
									FbBytes *bytes, FbError *error);

/*
 * The inverse, for bytes that anybody may have sent. *message points into bytes, its entries array
 * is in allocator. FB_OTHER_VERSION: this node is too old for it, or the sender for this node; the
 * message counts as lost. Checks everything that can be checked without state: type, limits,
 * unused fields, size to the last byte, entry terms that do not fall and are not above the
 * message's. FB_MALFORMED_MESSAGE, FB_LIMIT_EXCEEDED, FB_OUT_OF_MEMORY. That message.from is the
 * node at the other end of the connection is the host's check.
 */
extern FbStatus raft_message_decode(FbAllocator *allocator, FbBytes bytes, RaftMessage *message,
									FbError *error);

extern const char *raft_message_type_name(RaftMessageType type); /* "append_response" */

/* ---- events ---- */

typedef enum RaftEventType
{
	RAFT_EVENT_START = 1,
	RAFT_EVENT_RECEIVE,
	RAFT_EVENT_PERSISTED,
	RAFT_EVENT_TIMEOUT,
	RAFT_EVENT_SUBMIT,
	RAFT_EVENT_APPLIED,
	RAFT_EVENT_CONFIGURE,
	RAFT_EVENT_TRANSFER,
	RAFT_EVENT_COMPACT,
	RAFT_EVENT_SNAPSHOT_INSTALLED,
	RAFT_EVENT_RECOVER,
	RAFT_EVENT_ABSTAIN
} RaftEventType;

/* does this node take part? (recovery.c) */
typedef enum RaftParticipation
{
	RAFT_VOTING = 0,
	RAFT_ASKING,	/* it waits for what the others remember of it since its start: no vote, no
					   confirmation */
	RAFT_RECOVERING /* it has or may have lost promises: no vote until a leader has brought it up to
					   date */
} RaftParticipation;

/* why a node is recovering; stored as this number */
typedef enum RaftRecoveryReason
{
	RAFT_RECOVERY_NONE = 0,
	RAFT_RECOVERY_TOLD,		 /* by START or RAFT_EVENT_RECOVER: the host knows the reason */
	RAFT_RECOVERY_STATELESS, /* it has no state, and another node has entries */
	RAFT_RECOVERY_REMEMBERED /* another node remembers a promise that this node does not know */
} RaftRecoveryReason;

#define RAFT_RECOVERY_REASON_MAX 3

extern const char *raft_participation_name(RaftParticipation participation); /* "voting" */

typedef struct RaftEvent
{
	RaftEventType type;
	uint64_t now_ms;

	union
	{
		/*
		 * START: the first event, once. A new node has term 0, vote 0, no
		 * entries, base 0/0, and an empty configuration_state; then `configuration` is the
		 * channel's first one, the same on all nodes that start with it (a node added later may
		 * give any that does not contain itself, or none: it learns the current one from the
		 * leader). With a stored configuration_state `configuration` is ignored.
		 * FB_INVALID_ARGUMENT (id 0, timeouts 0, heartbeat not below the election timeout, limits),
		 * FB_CORRUPTED (terms fall, the state does not decode, ...), FB_OUT_OF_MEMORY: the Raft is
		 * then unusable.
		 *
		 * added: the channel existed before this node's number. `configuration` has the voters
		 * beside it, also at a later START. A node that never had a vote may be new then, or may
		 * have lost everything: see recovery.c.
		 */
		struct
		{
			uint64_t id;
			uint64_t seed;				  /* must differ between nodes */
			uint64_t election_timeout_ms; /* the shortest; each wait is random in [1, 2) of it.
											 Fabric: 10 ticks of 500 ms */
			uint64_t heartbeat_ms;		  /* Fabric: 1 tick */
			uint32_t in_flight_max; /* appends on the way to one follower, 1..RAFT_IN_FLIGHT_MAX;
									   Fabric: 5 */
			uint32_t message_bytes_max; /* payloads in one append, 1..FB_RAFT_BYTES_PER_MESSAGE_MAX;
										   one entry always fits */

			/* hard_state as stored */
			uint64_t term;
			uint64_t vote;
			uint64_t commit_index; /* may be outdated, but never too high; 0 if never stored */
			FbBytes configuration_state;
			RaftConfiguration configuration;
			bool added;
			FbBytes memory;				 /* empty if never stored */
			RaftRecoveryReason recovery; /* as stored, or TOLD if the host has a sign that this node
											has lost promises */
			uint64_t recovery_witness;
			bool established;

			/*
			 * The voters are defined outside of the log: they are `configuration` until the next
			 * START, whatever the stored state says. CONFIGURE is refused, and so is every message
			 * (FB_CORRUPTED) with an entry or a snapshot that brings another configuration.
			 */
			bool configuration_fixed;

			/* the log as stored: entries base_index + 1 ... */
			uint64_t base_index;
			uint64_t base_term;
			const RaftTrailEntry *entries;
			size_t entries_count;

			/*
			 * The index of the entry from which the last applied block was made. It may be ahead of
			 * the log (blocks fetched from another node), and is at first ahead of
			 * update.apply_index: the host skips what it has already applied.
			 *
			 * applied_term: the term of that entry, if the block was made from this node's own log;
			 * 0: unknown. An entry of a known term was committed, so the log must still have it,
			 * and it counts as committed from the start: FB_CORRUPTED otherwise.
			 */
			uint64_t applied_index;
			uint64_t applied_term;
		} start;

		/*
		 * RECEIVE: a decoded message. Old, repeated, misaddressed: ignored. FB_CORRUPTED: a node
		 * has broken a promise; update.evidence says which
		 */
		const RaftMessage *receive;

		/*
		 * PERSISTED: the transaction with this entry (and all before it) is durable. An unknown
		 * (index, term) is ignored
		 */
		struct
		{
			uint64_t index;
			uint64_t term;
		} persisted;

		/* TIMEOUT has no data. Harmless when too early */

		/*
		 * SUBMIT: a leader appends one DATA entry per size; update.entries says where. All or
		 * nothing: FB_NO_LEADER (not the leader; update.leader says who is), FB_BUSY (leadership is
		 * being transferred, or the log is full: compact it), FB_LIMIT_EXCEEDED (an entry or their
		 * number is too big), FB_INVALID_ARGUMENT (nothing).
		 */
		struct
		{
			const uint32_t *payload_bytes;
			uint32_t count; /* 1..RAFT_SUBMIT_MAX */
		} submit;

		/* APPLIED: entries up to here are applied (and durable, if the host's blocks are) */
		struct
		{
			uint64_t index;
		} applied;

		/*
		 * CONFIGURE: a leader appends a CONFIGURATION entry; it counts from the moment it is in a
		 * log (thesis 4.1). Differs from the current one by at most one node added or removed;
		 * equal: nothing happens. A leader that removes itself continues until the entry is
		 * committed, then hands over. FB_NO_LEADER; FB_BUSY (the last change, or this leader's
		 * first entry, is not committed yet, or a transfer is under way: try again);
		 * FB_INVALID_ARGUMENT (more than one difference, no voter left).
		 */
		RaftConfiguration configure;

		/*
		 * TRANSFER: a leader stops accepting SUBMIT, brings `to` (0: the most advanced follower) up
		 * to date and tells it to campaign; gives up after one election timeout. FB_NO_LEADER,
		 * FB_BUSY (one under way, or `to` is recovering), FB_INVALID_ARGUMENT (not another voter).
		 *
		 * leaving: this node is about to end and may get no answer. Then timeout_now
		 * does not wait for the answer to what was sent: it follows the last append on its way to a
		 * follower in RAFT_PIPELINE. That is safe whatever is lost, since a follower without all
		 * committed entries wins no election (paper 5.4.1). May be repeated, with another `to`,
		 * while a transfer is under way.
		 */
		struct
		{
			uint64_t to;
			bool leaving;
		} transfer;

		/*
		 * COMPACT: the host wants to remove the entries up to index, chosen so that a tail for slow
		 * followers remains. The core limits index to what is applied, committed and durable;
		 * update.log_start has the result. A follower that needs older entries is told to fetch the
		 * blocks up to this index. So it must be the index of an entry that became a block;
		 * otherwise the follower's host could not tell when it has all of them.
		 */
		struct
		{
			uint64_t index;
		} compact;

		/*
		 * SNAPSHOT_INSTALLED: the ledger has the blocks that update.fetch_index requested, or more.
		 * index: the entry of the last of these blocks, or any entry known to follow it; at least
		 * fetch_index. Ignored if lower than requested, or if nothing is requested.
		 *
		 * configuration: the voters that follow from the blocks up to fetch_index, if the host can
		 * tell: the offer of one node is not believed then. Without voters: those of the offer.
		 */
		struct
		{
			uint64_t index;
			RaftConfiguration configuration;
		} snapshot_installed;

		/*
		 * RECOVER: an operator's decision. begin: this node has lost promises and recovers.
		 * Otherwise it takes part at once, whatever it has lost, at the risk of losing committed
		 * entries. Never refused.
		 */
		struct
		{
			bool begin;
		} recover;

		/*
		 * ABSTAIN: the host's ledger does not follow this log (or follows it again). While it does
		 * not, this node does not campaign, because a leader whose ledger is stuck delays all
		 * others. It still votes and confirms, because that concerns only its log, which is intact.
		 * A leader stays leader; its host transfers the leadership.
		 */
		bool abstain;
	};
} RaftEvent;

/* ---- updates ---- */

typedef enum RaftRole
{
	RAFT_FOLLOWER = 0,
	RAFT_PRE_CANDIDATE,
	RAFT_CANDIDATE,
	RAFT_LEADER
} RaftRole;

extern const char *raft_role_name(RaftRole role); /* "follower" */

/* one row per channel in the host's store */
typedef struct RaftHardState
{
	uint64_t term;
	uint64_t vote;
	uint64_t commit_index;		 /* storing it is never urgent: an old value is harmless */
	FbBytes configuration_state; /* opaque; lives as long as the update; at most
									RAFT_CONFIGURATION_STATE_BYTES_MAX */
	FbBytes memory;				 /* what the others promised to this node; opaque, likewise, at most
									RAFT_MEMORY_BYTES_MAX */
	RaftRecoveryReason recovery; /* NONE: not recovering */
	uint64_t recovery_witness;	 /* STATELESS, REMEMBERED: the node that knows */
	bool established; /* it has had a vote: without entries it is a node that has nothing yet, not
						 one that lost them */
} RaftHardState;

typedef enum RaftEntriesSource
{
	RAFT_FROM_SUBMIT = 1, /* all of the event's, in order, kind DATA */
	RAFT_FROM_MESSAGE,	  /* the received message's entries, from position first_position */
	RAFT_FROM_CORE		  /* one entry: entries.kind and entries.payload */
} RaftEntriesSource;

/*
 * A promise that some node has broken. A message shows that one was, not whose: its sender may lie,
 * may have lost what it knew, or be right while this node has lost something.
 */
typedef enum RaftEvidenceKind
{
	RAFT_EVIDENCE_NONE = 0,
	RAFT_EVIDENCE_TWO_LEADERS, /* another node leads in the term of a known leader */
	RAFT_EVIDENCE_COMMITTED,   /* an append has another entry where this node has a committed one */
	RAFT_EVIDENCE_LOST_ENTRIES, /* the leader counts on entries, confirmed by this node, that it
								   does not have */
	RAFT_EVIDENCE_CONFIRMATION, /* a follower confirms entries that this leader never had */
	RAFT_EVIDENCE_VOTERS,		/* a message names other voters than the channel's configuration */
	RAFT_EVIDENCE_VOTE,			/* a vote for a campaign that this node never made */
	RAFT_EVIDENCE_REFUSED_BY_FOLLOWER /* a follower says that this leader's entries contradict its
										 own */
} RaftEvidenceKind;

#define RAFT_EVIDENCE_KIND_MAX RAFT_EVIDENCE_REFUSED_BY_FOLLOWER

extern const char *raft_evidence_name(RaftEvidenceKind kind); /* "two_leaders" */

typedef struct RaftEvidence
{
	RaftEvidenceKind kind;
	uint64_t node; /* the other one */
	uint64_t term;
	uint64_t index; /* 0: of no entry */
} RaftEvidence;

typedef struct RaftUpdate
{
	/* duty 1: store. hard_state is always filled in */
	bool persist_hard_state; /* term, vote or configuration changed */
	RaftHardState hard_state;
	uint64_t truncate_from_index; /* > 0: delete the entries with this index and above */
	bool log_start_changed;		  /* delete the entries up to log_start.index, store log_start as
									 base_index, base_term ... */
	bool log_reset; /* ... and, if this too, delete all others as well: a snapshot took the log's
					   place */
	struct
	{
		uint64_t index;
		uint64_t term;
	} log_start; /* always filled in */
	struct
	{
		uint64_t first_index;
		uint32_t count; /* 0: nothing to store */
		RaftEntriesSource source;
		uint32_t first_position; /* RAFT_FROM_MESSAGE */
		/* of the last entry, for PERSISTED(first_index + count - 1, last_term) */
		uint64_t last_term; /* not from a message: of all */
		RaftEntryKind kind; /* RAFT_FROM_CORE */
		FbBytes payload;	/* RAFT_FROM_CORE; lives as long as the update */
	} entries;

	/* duty 2: send, in this order */
	uint32_t messages_count;
	RaftMessage *messages; /* the host may write to entries[].kind and payload */

	/* duty 3: committed and durable here: apply everything up to this index */
	uint64_t apply_index;

	/*
	 * Catching up by blocks: fetch_index > 0: get the blocks up to the one made from this
	 * entry from another node (fetch_from is the leader), check and store them, then report
	 * SNAPSHOT_INSTALLED. Repeated in every update until then, or until it no longer applies:
	 * another node leads, the term ends, or the leader has not repeated it for some election
	 * timeouts. It is the claim of one node: the state of the ledger must follow from checked
	 * blocks. Until then this node takes part in elections with the log that it has.
	 */
	uint64_t fetch_index;
	uint64_t fetch_from;

	/* duty 4: report TIMEOUT at this time; UINT64_MAX: never (not a voter, nothing to do) */
	uint64_t deadline_ms;

	/* of a received message; the host records it */
	RaftEvidence evidence;

	/* the state after the step; always filled in */
	RaftRole role;
	uint64_t term;
	uint64_t leader; /* 0: unknown */
	/* may be above apply_index while this node's own write is not finished */
	uint64_t commit_index;
	uint64_t last_index;
	bool role_changed; /* role, term or leader differ from the update before */
	/* leader, and an entry of its own term is applied: its state is up to date */
	bool leader_ready;
	bool configuration_changed; /* the configuration in force differs from the update before; see
								   raft_status */
	RaftParticipation participation;
} RaftUpdate;

typedef struct Raft Raft;

/* appends on the way to one follower, at most (for START) */
#define RAFT_IN_FLIGHT_MAX 64
/* entries in one SUBMIT */
#define RAFT_SUBMIT_MAX 1024
/* head of a SNAPSHOT message */
#define RAFT_HEAD_BYTES_MAX 64
/* two configurations with their indexes */
#define RAFT_CONFIGURATION_STATE_BYTES_MAX (1 + 2 * (8 + 1 + 8 * FB_RAFT_NODES_MAX))
/* count, and for each node: id, term, index, voted */
#define RAFT_MEMORY_BYTES_MAX (1 + 25 * FB_RAFT_NODES_MAX)

/*
 * A Raft that waits for START. All its memory is in allocator; only the trail grows, by
 * doubling, up to FB_RAFT_TRAIL_ENTRIES_MAX entries of 16 bytes. FB_OUT_OF_MEMORY.
 */
extern FbStatus raft_create(FbAllocator *allocator, Raft **raft, FbError *error);

/*
 * Process one event. Any status but FB_OK means that the event had no effect: *update has no duties
 * but the current state (apply_index, deadline, role, ...). Statuses: see each event; besides
 * FB_OUT_OF_MEMORY (the trail cannot grow; the event may be repeated). Before START, or START
 * twice: FB_INVALID_ARGUMENT.
 */
extern FbStatus raft_step(Raft *raft, const RaftEvent *event, RaftUpdate *update, FbError *error);

/* ---- state for views and for raft_status_keeps_quorum; not needed to run Raft ---- */

typedef enum RaftProgressState
{
	RAFT_PROBE = 0, /* position unknown: one append at a time until one is accepted */
	RAFT_PIPELINE,	/* position known: appends are sent without waiting, up to in_flight_max */
	RAFT_CATCH_UP	/* needs entries that the leader no longer has: told to fetch blocks; gets only
					   heartbeats until it reports */
} RaftProgressState;

extern const char *raft_progress_state_name(RaftProgressState state); /* "probe" */

typedef struct RaftFollowerStatus
{
	uint64_t id;
	RaftProgressState state;
	uint64_t match_index; /* known to be in its log */
	uint64_t next_index;  /* the next to send */
	uint32_t in_flight_count;
	uint64_t heard_ms; /* the last message from it; 0: none in this term */
	bool active;	   /* answered within one election timeout, and not recovering */
	bool recovering;   /* not counted: it is asking, or recovering */
} RaftFollowerStatus;

typedef struct RaftStatus
{
	uint64_t id;
	RaftRole role;
	uint64_t term;
	uint64_t vote;
	uint64_t leader;
	uint64_t transfer_to; /* 0: none */
	uint64_t base_index;
	uint64_t last_index;
	uint64_t persisted_index;
	uint64_t commit_index;
	uint64_t applied_index;
	RaftConfiguration configuration; /* in force: the last in the log */
	uint64_t configuration_index;	 /* its entry; 0: the first one */
	bool configuration_committed;
	/* the last committed one: the same, or the one before */
	RaftConfiguration committed_configuration;
	uint32_t followers_count; /* a leader's view; otherwise 0 */
	RaftFollowerStatus followers[FB_RAFT_NODES_MAX];
	RaftParticipation participation;
	RaftRecoveryReason recovery;
	uint64_t recovery_witness;
	uint64_t recovery_index;		 /* the last entry of the recovery; 0: not known yet */
	uint32_t answered_count;		 /* other voters that answered since the start of this node */
	uint32_t other_recovering_count; /* of these, the ones that are recovering themselves */
} RaftStatus;

extern void raft_status(const Raft *raft, RaftStatus *status);

/*
 * Would a leader with this status still have a quorum of active voters after changing to
 * `next`? A node that is being added counts as inactive. Fabric refuses such a configuration update
 * before ordering it.
 */
extern bool raft_status_keeps_quorum(const RaftStatus *status, const RaftConfiguration *next);

/* the term of an entry in the trail (or of its base); 0 when it is not there */
extern uint64_t raft_entry_term(const Raft *raft, uint64_t index);

/*
 * The start of a tail of the log: the first entry after which at most bytes_max bytes of payload
 * follow, up to last_index or the last entry; the base if all fit.
 */
extern uint64_t raft_tail_start(const Raft *raft, uint64_t last_index, uint64_t bytes_max);

/*
 * The trace: one readable line per decision of the last raft_step, such as
 *     "2 follower 4: vote for 3: its log 9/3 is not behind mine 9/3"
 * each followed by '\n', zero-terminated, in the Raft's own fixed memory (what does not fit is
 * cut). Off by default, since formatting costs time.
 */
extern void raft_trace_enable(Raft *raft, bool enabled);
extern const char *raft_trace(const Raft *raft);

#endif
