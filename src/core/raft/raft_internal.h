/*
 * Shared by the files of core/raft. A Raft is the state of one node; its trail is its log without
 * payloads; a progress is what a leader knows about one follower; the outbox is the memory of an
 * update.
 *
 * Every handler has two parts: first everything that can fail (checks, memory), then the changes,
 * which cannot fail. So a failed event has no effect.
 */
#ifndef FABRIC_CORE_RAFT_INTERNAL_H
#define FABRIC_CORE_RAFT_INTERNAL_H

#include "core/raft/raft.h"

/* ---- trail.c: entries base_index + 1 .. base_index + count ---- */

typedef struct RaftTrail
{
	FbAllocator *allocator;
	RaftTrailEntry *entries; /* of the array; the live ones start at first */
	size_t capacity;
	size_t first;
	size_t count;
	uint64_t base_index;
	uint64_t base_term;
} RaftTrail;

extern void trail_init(RaftTrail *trail, FbAllocator *allocator);
extern uint64_t trail_last_index(const RaftTrail *trail);
extern uint64_t trail_last_term(const RaftTrail *trail);
/* 0 when the index is below the base or above the end (or is the base 0) */
extern uint64_t trail_term(const RaftTrail *trail, uint64_t index);
extern bool trail_matches(const RaftTrail *trail, uint64_t index, uint64_t term);
/* index must be there */
extern uint32_t trail_payload_bytes(const RaftTrail *trail, uint64_t index);
/* payloads of the entries after_index + 1 .. up_to_index, which must be there */
extern uint64_t trail_bytes_between(const RaftTrail *trail, uint64_t after_index,
									uint64_t up_to_index);
extern size_t trail_space(const RaftTrail *trail);
/* after FB_OK, count more entries can be appended; they must be within trail_space */
extern FbStatus trail_reserve(RaftTrail *trail, size_t count, FbError *error);
extern void trail_append(RaftTrail *trail, uint64_t term, uint32_t payload_bytes);
extern void trail_truncate(RaftTrail *trail, uint64_t from_index);
extern void trail_compact(RaftTrail *trail, uint64_t index);
extern void trail_reset(RaftTrail *trail, uint64_t base_index, uint64_t base_term);
/* the highest index up to `index` whose term is at most `term`; the base if none */
extern uint64_t trail_last_with_term_up_to(const RaftTrail *trail, uint64_t index, uint64_t term);

/* ---- quorum.c: pure arithmetic ---- */

typedef enum RaftVoteResult
{
	RAFT_VOTE_PENDING = 0,
	RAFT_VOTE_WON,
	RAFT_VOTE_LOST
} RaftVoteResult;

extern uint32_t quorum_size(uint32_t voters_count);
/* the highest value that a quorum has reached; sorts values; 0 without voters */
extern uint64_t quorum_value(uint64_t *values, uint32_t voters_count);
extern RaftVoteResult quorum_vote(uint32_t granted, uint32_t rejected, uint32_t voters_count);

/* ---- progress.c ---- */

typedef struct RaftProgress
{
	uint64_t id;
	RaftProgressState state;
	uint64_t match_index;
	uint64_t next_index;
	uint64_t commit_sent; /* the commit index of the last append to it */
	bool contradicted;	  /* according to its last answer, its log contradicts this leader's */
	bool probe_sent;  /* PROBE: an append is out; the next waits for an answer, or for a heartbeat's
					   */
	uint64_t sent_ms; /* the last append or snapshot message */
	uint64_t heard_ms;	 /* 0: never in this term */
	uint64_t counted_ms; /* the last message that counts: not of a node without a vote */
	uint64_t since_ms; /* when the leader began to track this follower: silence counts from here */
	uint32_t in_flight_first; /* ring of the last index of each append under way */
	uint32_t in_flight_count;
	uint64_t in_flight[RAFT_IN_FLIGHT_MAX];
	uint64_t recovery_nonce; /* not 0: it has no vote, and is not counted (recovery.c) */
	/* the first entry appended after it said so: where its recovery ends */
	uint64_t recovery_index;
} RaftProgress;

extern void progress_init(RaftProgress *progress, uint64_t id, uint64_t next_index,
						  uint64_t now_ms);
extern void progress_to_probe(RaftProgress *progress, uint64_t next_index);
extern void progress_to_pipeline(RaftProgress *progress);
extern void progress_to_catch_up(RaftProgress *progress);
extern void progress_sent(RaftProgress *progress, uint64_t last_index);
extern void progress_free_up_to(RaftProgress *progress, uint64_t index);
extern void progress_free_first(RaftProgress *progress);
extern uint64_t progress_alive_ms(const RaftProgress *progress);

/* ---- membership.c ---- */

typedef struct RaftLogConfiguration
{
	uint64_t index; /* of its entry; 0: the first configuration */
	RaftConfiguration configuration;
} RaftLogConfiguration;

#define RAFT_CONFIGURATION_BYTES_MAX (1 + 8 * FB_RAFT_NODES_MAX)

/* ---- recovery.c ---- */

/* the last that another node promised to this one */
typedef struct RaftPromise
{
	uint64_t id;
	uint64_t term;
	uint64_t index; /* confirmed in that term; 0: nothing */
	bool voted;		/* for this node, in that term */
} RaftPromise;

/* what another voter has answered since this node's start */
typedef struct RaftWitness
{
	uint64_t id;
	bool answered;
	bool recovering; /* it said so in its last answer */
	uint64_t leader; /* whom it heard then */
	uint64_t answered_ms;
} RaftWitness;

/* ---- the node ---- */

/* appends in one update; when there is more to send, the update's deadline is "now" */
#define RAFT_UPDATE_APPENDS_MAX 64
#define RAFT_UPDATE_ENTRIES_MAX 2048
#define RAFT_UPDATE_MESSAGES_MAX (RAFT_UPDATE_APPENDS_MAX + 6 * FB_RAFT_NODES_MAX)
#define RAFT_TRACE_BYTES 8192
/*
 * space that SUBMIT leaves in the trail, so that a full log does not keep new leaders from their
 * first entries
 */
#define RAFT_TRAIL_HEADROOM 4096
/* upper limit of the bytes of an encoded message without its entries' payloads */
#define RAFT_MESSAGE_OVERHEAD_BYTES 4096

struct Raft
{
	bool started;
	FbRand rand;
	uint64_t now_ms;

	/* settings, from START */
	uint64_t id;
	uint64_t election_timeout_ms;
	uint64_t heartbeat_ms;
	uint32_t in_flight_max;
	uint32_t message_bytes_max;
	bool configuration_fixed;

	/* durable in the host's store */
	uint64_t term;
	uint64_t vote;
	RaftTrail trail;
	/* [0] in force; [1] the one before, to go back to if [0] is truncated */
	RaftLogConfiguration configurations[2];
	uint32_t configurations_count;

	/* volatile */
	RaftRole role;
	uint64_t leader;
	uint64_t leader_heard_ms;
	uint64_t persisted_index;
	uint64_t commit_index;
	uint64_t applied_index;	   /* never above commit_index */
	uint64_t applied_reported; /* what the host said; may be ahead */
	/* this node's log equals that of the leader of equal_term up to here */
	uint64_t equal_index;
	uint64_t equal_term;
	/* false: the log starts after an entry whose term may be higher than trail.base_term */
	bool base_term_known;
	uint64_t term_jump_ms; /* when a message last brought a term far ahead; 0: never */
	bool abstains;		   /* the host's wish: it does not campaign */
	bool refuted; /* a quorum reported that its log contradicts this node's: no campaign until it
					 follows a leader */
	uint64_t election_deadline_ms;

	/* candidates */
	uint64_t granted_by[FB_RAFT_NODES_MAX];
	uint32_t granted_count;
	uint64_t rejected_by[FB_RAFT_NODES_MAX];
	uint32_t rejected_count;

	/* the leader */
	RaftProgress progress[FB_RAFT_NODES_MAX];
	uint32_t progress_count;
	uint64_t term_start_index; /* its no-op */
	uint64_t heartbeat_deadline_ms;
	uint64_t quorum_grace_ms; /* the host was late: silence before this does not count */
	uint64_t transfer_to;
	uint64_t transfer_deadline_ms;
	bool more_to_send; /* the outbox was full */

	/* a follower that waits for blocks; index 0: none */
	struct
	{
		uint64_t index;
		uint64_t log_term;
		uint64_t leader; /* the leader that says so, its term, and when it last said so */
		uint64_t leader_term;
		uint64_t confirmed_ms;
		RaftLogConfiguration configuration;
	} fetch;

	/* recovery */
	RaftParticipation participation;
	RaftRecoveryReason recovery;
	uint64_t recovery_witness;
	uint64_t recovery_index;	  /* where it ends, according to the leader; 0: not known yet */
	uint64_t nonce;				  /* of this start, or of the recovery begun later; never 0 */
	bool established;			  /* durable: it has had a vote */
	bool stateless;				  /* no state and no entries: new, or everything is lost */
	bool added;					  /* it never had a vote, and its channel existed before */
	RaftConfiguration added_asks; /* the voters that it asks */
	uint64_t asking_since_ms;
	uint64_t hello_ms; /* when to ask again; UINT64_MAX: all have answered */
	RaftWitness witnesses[FB_RAFT_NODES_MAX];
	uint32_t witnesses_count;
	RaftPromise promises[FB_RAFT_NODES_MAX]; /* durable, but late: see recovery.c */
	uint32_t promises_count;
	bool promises_changed; /* since they were last given to the host */

	/* the outbox */
	RaftUpdate *update; /* the caller's, during a step */
	uint32_t messages_count;
	RaftMessage *messages;
	RaftEntry *entries;
	uint32_t entries_used;
	uint32_t appends_count;
	uint8_t configuration_state[RAFT_CONFIGURATION_STATE_BYTES_MAX];
	size_t configuration_state_bytes;
	uint8_t snapshot_configuration[RAFT_CONFIGURATION_STATE_BYTES_MAX];
	uint8_t entry_payload[RAFT_CONFIGURATION_BYTES_MAX];
	uint8_t hello_configuration[RAFT_CONFIGURATION_BYTES_MAX];
	uint8_t memory[RAFT_MEMORY_BYTES_MAX];

	bool trace_enabled;
	size_t trace_bytes;
	char trace[RAFT_TRACE_BYTES];
};

/* ---- raft_state.c ---- */

/* a message of the node's own term in the outbox, zeroed otherwise */
extern RaftMessage *raft_send(Raft *raft, RaftMessageType type, uint64_t to);
extern const RaftConfiguration *raft_configuration_in_force(const Raft *raft);
extern bool raft_is_voter(const Raft *raft);
extern void raft_set_commit(Raft *raft, uint64_t index);
/* after the commit index or what the host has applied changed */
extern void raft_clamp_applied(Raft *raft);
/* evidence in the update; gives FB_CORRUPTED with the message */
extern FbStatus raft_evidence(Raft *raft, RaftEvidenceKind kind, uint64_t node, uint64_t term,
							  uint64_t index, FbError *error, const char *format, ...)
	__attribute__((format(printf, 7, 8)));
/* a leader's entries: the trail has space */
extern void raft_append_own(Raft *raft, const uint32_t *payload_bytes, uint32_t count,
							RaftEntriesSource source, RaftEntryKind kind, FbBytes payload);

/* a leader's progress of this follower; NULL: it is not one */
extern RaftProgress *raft_progress(Raft *raft, uint64_t id);
extern bool raft_is_recovering(Raft *raft, uint64_t id); /* as the leader knows */
extern void raft_reset_election_timer(Raft *raft);
extern bool raft_in_lease(const Raft *raft);
extern void raft_forget_votes(Raft *raft);
extern void raft_become_follower(Raft *raft, uint64_t term, uint64_t leader, const char *why);

/* ---- election.c ---- */

extern void election_timeout(Raft *raft);
extern void election_follow(Raft *raft, uint64_t leader); /* a message from this term's leader */
extern void election_receive_vote(Raft *raft, const RaftMessage *message);
/* is it for a campaign that this node has made? FB_CORRUPTED with evidence */
extern FbStatus election_check_vote_response(Raft *raft, const RaftMessage *message,
											 FbError *error);
extern void election_receive_vote_response(Raft *raft, const RaftMessage *message);
extern void election_receive_timeout_now(Raft *raft, const RaftMessage *message);

/* ---- replication.c ---- */

extern void replication_lead(Raft *raft); /* the first moment of leadership */
extern void replication_send(Raft *raft, RaftProgress *progress, bool even_empty);
extern void replication_broadcast(Raft *raft);
extern bool replication_advance_commit(Raft *raft);
extern void replication_timeout(Raft *raft);
/* the default target of a leadership transfer; 0: none */
extern uint64_t replication_successor(const Raft *raft);
extern void replication_transfer_if_ready(Raft *raft);
/* timeout_now for transfer_to, behind everything that was sent to it */
extern void replication_hand_over(Raft *raft);
extern FbStatus replication_check_append(Raft *raft, const RaftMessage *message, FbError *error);
extern void replication_receive_append(Raft *raft, const RaftMessage *message);
extern void replication_receive_heartbeat(Raft *raft, const RaftMessage *message);
extern void replication_receive_append_response(Raft *raft, const RaftMessage *message);
extern void replication_receive_heartbeat_response(Raft *raft, const RaftMessage *message);

/* ---- membership.c ---- */

extern FbStatus membership_configure(Raft *raft, const RaftConfiguration *next, FbError *error);
/* configuration_fixed is set */
extern FbStatus membership_start(Raft *raft, FbBytes state, const RaftConfiguration *first,
								 FbError *error);
/* where configurations are fixed, a message must not bring another one: FB_CORRUPTED */
extern FbStatus membership_check_fixed(Raft *raft, const RaftMessage *message,
									   const RaftConfiguration *configuration, FbError *error);
extern void membership_push(Raft *raft, uint64_t index, const RaftConfiguration *configuration);
extern bool membership_can_truncate(const Raft *raft, uint64_t from_index);
extern void membership_truncate(Raft *raft, uint64_t from_index);
extern void membership_replace(Raft *raft, const RaftLogConfiguration *configuration);
/* the newest that is committed; a leader's configuration before the one in force always is */
extern const RaftLogConfiguration *membership_committed(const Raft *raft);
/* a leader's progress list becomes that of the configuration in force */
extern void membership_follow_progress(Raft *raft);
extern size_t membership_encode_one(const RaftConfiguration *configuration, uint8_t *out);
extern size_t membership_encode_state(const RaftLogConfiguration *configurations, uint32_t count,
									  uint8_t *out);
extern FbStatus membership_decode_state(FbBytes state, RaftLogConfiguration *configurations,
										uint32_t *count, FbError *error);

/* ---- catch_up.c ---- */

extern void catch_up_send(Raft *raft, RaftProgress *progress);
extern FbStatus catch_up_check_snapshot(Raft *raft, const RaftMessage *message, FbError *error);
extern void catch_up_receive_snapshot(Raft *raft, const RaftMessage *message);
extern void catch_up_installed(Raft *raft, uint64_t index, const RaftConfiguration *configuration);
extern void catch_up_forget_if_over(Raft *raft);

/* ---- recovery.c ---- */

extern FbStatus recovery_check_start(const RaftEvent *event, FbError *error);
extern void recovery_start(Raft *raft, const RaftEvent *event);
extern size_t recovery_encode_memory(const Raft *raft, uint8_t *out);
/* the outcome of an election: these nodes voted for this one */
extern void recovery_note_votes(Raft *raft);
/* a follower that is counted has confirmed this */
extern void recovery_note_match(Raft *raft, uint64_t id, uint64_t index);
extern void recovery_begin(Raft *raft, RaftRecoveryReason reason, uint64_t witness);
extern void recovery_end_as_told(Raft *raft);
/* asks again when it is time; ends the asking when it is over */
extern void recovery_timeout(Raft *raft);
extern uint64_t recovery_deadline(const Raft *raft);
extern void recovery_receive_hello(Raft *raft, const RaftMessage *message);
extern void recovery_receive_hello_response(Raft *raft, const RaftMessage *message);
/* fill in what an answer to a leader says about this node; received: the leader's message, or NULL
 */
extern void recovery_mark_answer(const Raft *raft, RaftMessage *answer,
								 const RaftMessage *received);
/*
 * does the sending leader know this node's current state? If not, entries that it considers matched
 * may be lost
 */
extern bool recovery_leader_knows(const Raft *raft, const RaftMessage *message);
/* what a heartbeat says about this node's recovery */
extern void recovery_receive_heartbeat(Raft *raft, const RaftMessage *message);
/* the leader must append an entry for the recovery of a follower */
extern bool recovery_wants_entry(const Raft *raft);
extern bool recovery_is_complete(const Raft *raft, const RaftProgress *progress);

/* ---- trace.c ---- */

extern void trace_line(Raft *raft, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define TRACE(raft, ...)                     \
	do                                       \
	{                                        \
		if ((raft)->trace_enabled)           \
			trace_line((raft), __VA_ARGS__); \
	} while (0)

#endif
