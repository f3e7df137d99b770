/*
 * pg: everything that the extension needs from the PostgreSQL server, each thing once: settings,
 * shared memory, the inbox of a worker, allocators bound to memory contexts, a clock, errors, SPI,
 * the transaction bracket of workers, fault points.
 */
#ifndef FABRIC_SERVER_PG_H
#define FABRIC_SERVER_PG_H

#include "postgres.h"

/* look messages up in the extension's own catalog, where one is installed */
#undef TEXTDOMAIN
#define TEXTDOMAIN PG_TEXTDOMAIN("fabric")

#include "executor/spi.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "storage/latch.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#include "core/base/base.h"

/* Declares a C function that SQL may call; the library exports no other symbols. */
#define FABRIC_FUNCTION(name)                        \
	extern PGDLLEXPORT Datum name(PG_FUNCTION_ARGS); \
	PG_FUNCTION_INFO_V1(name)

/* ---- guc.c: every setting ---- */

/*
 * The variable of fabric.NAME is guc_NAME; docs/operations.md and the descriptions in guc.c
 * describe each setting. Strings are never NULL; empty means not set.
 */

extern char *guc_database;
extern char *guc_node_msp_id;
extern char *guc_node_certificate_file; /* relative names are relative to the data directory */
extern char *guc_node_key_file;
extern char *guc_tls_certificate_file; /* client side of connections to other nodes */
extern char *guc_tls_key_file;
extern char *guc_tls_ca_file;
extern char *guc_node_role; /* login role of this node at the other nodes */
extern char *guc_snapshot_directory;
extern char *guc_keystore_directory;
extern char *guc_identity;			  /* label of the client identity that signs */
extern bool guc_allow_drop_extension; /* see surface/drop_guard.c */
extern bool guc_detect_copied_directory;
extern bool guc_session_identity; /* a chosen and an opened identity last for the session */
extern int guc_max_channels;
extern int guc_inbox_size;				   /* kB, for each channel */
extern int guc_chaincode_execute_timeout;  /* ms */
extern int guc_chaincode_memory_limit;	   /* kB; 0: no limit */
extern int guc_endorsement_timeout;		   /* ms */
extern int guc_broadcast_timeout;		   /* ms */
extern int guc_commit_timeout;			   /* ms */
extern int guc_hot_key_timeout;			   /* ms; 0: no turns */
extern int guc_log_min_call_duration;	   /* ms; -1: no log */
extern int guc_connect_timeout;			   /* ms */
extern int guc_deliver_wait;			   /* ms */
extern int guc_deliver_batch_size;		   /* kB */
extern int guc_authentication_time_window; /* s; 0: no check */
extern int guc_raft_election_timeout;	   /* ms */
extern bool guc_raft_trace;
extern int guc_raft_heartbeat_interval; /* ms */
extern int guc_raft_log_tail;			/* entries kept for slow followers */
extern int guc_raft_log_tail_size;		/* kB of them */
extern int guc_worker_restart_delay;	/* ms */
extern int guc_relay_connections;		/* to one other node; 0: sessions use their own */
extern int guc_node_connections;		/* of one other node's role; 0: see node_roles.c */
extern int guc_reserved_connections;	/* for each other node's role; -1: see node_roles.c */
extern int guc_verify_workers;

extern void guc_define(void); /* once, from _PG_init */
/* true if the current transaction's client certainly chose fabric.identity; see guc.c */
extern bool guc_identity_is_chosen(void);
/* turn fabric.identity_opened on for the session or the transaction, see guc.c */
extern void guc_note_identity_opened(void);
/* closed is called when fabric.identity_opened is turned off; it must not raise errors */
extern void guc_on_identities_closed(void (*closed)(void));

/* ---- shmem.c: all shared memory ---- */

/* Recovery needs none of it: workers rebuild it from tables. */

typedef enum WorkerKind
{
	WORKER_LEDGER,
	WORKER_ORDERER,
	WORKER_KIND_COUNT /* not a kind */
} WorkerKind;

/* a background worker of a channel, as fabric.stat_workers shows it */
typedef struct WorkerState
{
	pid_t pid;				  /* 0 when not running */
	TimestampTz started_at;	  /* 0: never started */
	TimestampTz last_exit_at; /* 0: never ended */
	uint64 restarts_count;
	/* primary text of the error that ended the last process; empty if none */
	char last_error[256];
	TimestampTz last_error_at;
} WorkerState;

/* the leader's view of one consenter */
typedef struct FollowerState
{
	uint64 raft_id;
	uint64 match_index;
	uint64 next_index;
	int progress; /* probe, replicate or snapshot, numbered as in core/raft */
	TimestampTz last_contact_at;
	bool connected;
	bool recovering; /* it has no vote yet and does not count for a majority */
} FollowerState;

/* the part of the orderer worker's state that sessions read for every envelope */
typedef struct OrdererState
{
	pid_t pid; /* 0 when the worker does not run */
	int role;  /* as core/raft numbers its roles */
	uint64 term;
	uint64 leader_id;			  /* 0 when unknown */
	TimestampTz leaderless_since; /* 0 while there is a leader */
	/* size of the envelopes in the worker that are not yet in the log */
	uint64 pending_bytes;
} OrdererState;

/* the orderer worker's Raft state; published together with the followers, read separately */
typedef struct RaftSummary
{
	uint64 raft_id; /* this node's; 0 when it is not a consenter */
	int role;		/* as core/raft numbers its roles */
	uint64 term;
	uint64 leader_id;			  /* 0 when unknown */
	TimestampTz leaderless_since; /* 0 while there is a leader */
	uint64 last_index;
	uint64 pending_count; /* envelopes in the worker that are not yet in the log */
	uint64 pending_bytes; /* size of these envelopes */
	uint64 leader_changes_count;
	uint64 batches_count;		  /* proposed by this node */
	uint64 dropped_count;		  /* envelopes that could not be passed to the leader */
	int participation;			  /* as core/raft numbers it */
	TimestampTz recovering_since; /* 0: not recovering */
	/* the entry that ends the recovery; 0: not yet known from a leader */
	uint64 recovery_index;
	uint64 others_recovering_count;
	char recovery_detail[192];
	uint32 voters_count; /* of the last committed Raft configuration; 0: not known */
	uint64 voters[FB_RAFT_NODES_MAX];
} RaftSummary;

/* state of the notifications (NOTIFY) of this channel's blocks */
typedef struct NotificationState
{
	/* notifications were sent for all blocks below; 0: no worker has run yet */
	uint64 height;
	uint64 failures_count;	   /* since the start of the server */
	TimestampTz failing_since; /* 0: the last attempt did not fail */
	char last_error[256];
} NotificationState;

/*
 * The cost of validating blocks: the parts of the work that depend on the contents of
 * transactions, not only on their size.
 */
typedef struct ValidationWork
{
	uint64 policies_parsed; /* of chaincodes, collections and keys */
	uint64 policies_evaluated;
	uint64 signatures_checked; /* includes those found in the verified set */
	uint64 range_rows;		   /* keys that range queries read when validation repeats them */
	uint64 identities_checked; /* certificates parsed and verified, not found in a cache */
} ValidationWork;

/* since the start of the server */
typedef struct ValidationState
{
	ValidationWork work;
	uint64 blocks_count;
	uint64 total_us;
	uint64 last_us; /* of the last block */
	uint64 longest_us;
	uint64 longest_block_number;
} ValidationState;

/* the part of a committed block that shared memory shows */
typedef struct BlockNews
{
	uint64 number;
	uint64 raft_index;		/* of its log entry; 0: none */
	bool lifecycle_changed; /* the block wrote a chaincode definition or an approval */
	bool config_changed;	/* the block holds the configuration of all later blocks */
	const int *counts;		/* 256 counts: transactions by validation code */
	const ValidationWork *work;
	uint64 validation_us; /* duration of the validation */
} BlockNews;

/* a queue in shared memory */
typedef struct InboxCounts
{
	uint64 records; /* waiting now */
	uint64 bytes;	/* size of these records */
	uint64 refused; /* refused so far because the queue was full */
} InboxCounts;

/*
 * The state of one channel that this node's processes publish. Only server/pg knows its layout;
 * other directories use the functions slot_* below, which copy the requested part.
 */
typedef struct ChannelSlot ChannelSlot;

/* true if the library is preloaded; otherwise no function below that takes a slot can be used */
extern bool shmem_available(void);
/*
 * Raises FB_NOT_PRELOADED when the library is not preloaded (with a hint about postgresql.conf),
 * or when the workers serve another database.
 */
extern void shmem_require(void);
/* true if this session's database is the one that the workers serve. Requires a transaction. */
extern bool shmem_serves_database(void);
extern void shmem_install_hooks(void); /* from _PG_init while preloading */

/* NULL when there is no slot for this membership (yet), or the library is not preloaded */
extern ChannelSlot *shmem_channel_find(const char *channel, int ledger_id);
/*
 * For the launcher only. create: finds or makes the slot; NULL when all slots are used. drop: no
 * worker may be attached to the slot.
 */
extern ChannelSlot *shmem_channel_create(const char *channel, int ledger_id);
extern void shmem_channel_drop(ChannelSlot *slot);
/*
 * Wait until the channel has more than height blocks on this node. False when the deadline passes
 * first, or this node leaves the channel. Interruptible.
 */
extern bool shmem_wait_height(ChannelSlot *slot, uint64 height, TimestampTz deadline);
/*
 * The slot at an index, 0 <= index < guc_max_channels; NULL when unused. name, unless NULL,
 * receives the channel's name, copied under the lock, so that name and slot belong together.
 */
extern ChannelSlot *shmem_channel_at(int index, char name[FB_CHANNEL_ID_BYTES_MAX + 1]);

/*
 * A worker announces itself; a callback installed here withdraws its latch at exit. NULL when this
 * is not the worker that the launcher expects: it started too late, or this node left the channel.
 * So there is never more than one worker of a kind for a channel.
 */
extern ChannelSlot *shmem_worker_attach(int slot_index, WorkerKind kind, uint32 generation);
/* workers that were started earlier can no longer attach */
extern uint32 shmem_worker_next_generation(ChannelSlot *slot, WorkerKind kind);
/* Send SIGTERM. True when the worker does not run and can no longer start. */
extern bool shmem_worker_stop(ChannelSlot *slot, WorkerKind kind);
extern void shmem_worker_wake(ChannelSlot *slot, WorkerKind kind); /* set its latch, if it runs */
extern void shmem_worker_note_error(ChannelSlot *slot, WorkerKind kind, const char *message);
extern void shmem_launcher_attach(void);
extern void shmem_launcher_wake(void);
extern pid_t shmem_launcher_pid(void); /* 0 when it does not run */

/* ---- channel_slot.c: a channel's slot; its note explains the order of writes and reads ---- */

/* name and ledger id (of this membership) do not change while a worker is attached */
extern const char *slot_name(const ChannelSlot *slot);
extern int slot_ledger_id(const ChannelSlot *slot);
extern int slot_index(const ChannelSlot *slot);
/* the mode in which the running workers were started; for the launcher only */
extern bool slot_import_only(const ChannelSlot *slot);
extern void slot_set_import_only(ChannelSlot *slot, bool import_only);

/*
 * For the ledger worker, after its commit. height: number of blocks here, 0: not yet known; a
 * reader that sees the height also sees everything published before it. applied index: the last
 * log entry that is in the ledger.
 */
extern void slot_publish_ledger(ChannelSlot *slot, uint64 config_block_number, uint64 applied_index,
								uint64 height);
extern void slot_publish_block(ChannelSlot *slot, const BlockNews *news);
extern void slot_set_applied_index(ChannelSlot *slot, uint64 applied_index);
extern uint64 slot_height(ChannelSlot *slot);
extern uint64 slot_config_block(ChannelSlot *slot);
/* the last block that wrote to _lifecycle */
extern uint64 slot_lifecycle_block(ChannelSlot *slot);
extern uint64 slot_applied_index(ChannelSlot *slot);
/* the ledger differs from the chain in the log: no new blocks, see worker/ledger_fork.c */
extern void slot_set_forked(ChannelSlot *slot, bool forked);
extern bool slot_is_forked(ChannelSlot *slot);
/* since the start of the server; 0 <= code < 256 */
extern uint64 slot_validation_count(ChannelSlot *slot, int code);
extern void slot_validation(ChannelSlot *slot, ValidationState *state);
/* sessions woken because their transaction was committed */
extern uint64 slot_sessions_woken(ChannelSlot *slot);

/*
 * NOTIFY. start: the height up to which earlier workers sent notifications; the given height if
 * there was no earlier worker.
 */
extern uint64 slot_notified_start(ChannelSlot *slot, uint64 height);
extern void slot_note_notified(ChannelSlot *slot, uint64 height);
extern void slot_note_unnotified(ChannelSlot *slot, const char *problem);
extern void slot_notifications(ChannelSlot *slot, NotificationState *state);

/* the node that last answered a request for blocks, and when; empty and 0: no request yet */
#define SLOT_SOURCE_BYTES 272
/* this node answered now */
extern void slot_note_source(ChannelSlot *slot, const char *address);
extern void slot_source(ChannelSlot *slot, char address[SLOT_SOURCE_BYTES], TimestampTz *at);

/*
 * For the orderer worker. commit index: readers may read entries up to here from raft_log. wanted
 * index: blocks up to this entry must come from other nodes (0: none). Both setters return true
 * when the value has changed.
 */
extern bool slot_raise_commit_index(ChannelSlot *slot, uint64 commit_index);
extern bool slot_set_wanted_index(ChannelSlot *slot, uint64 wanted_index);
extern uint64 slot_commit_index(ChannelSlot *slot);
extern uint64 slot_wanted_index(ChannelSlot *slot);
extern void slot_publish_raft(ChannelSlot *slot, const RaftSummary *summary,
							  const FollowerState *followers, int followers_count);
extern void slot_orderer(ChannelSlot *slot, OrdererState *state);
extern void slot_raft(ChannelSlot *slot, RaftSummary *summary, bool *running);
/* also copies the followers of the same moment; returns their count */
extern int slot_raft_followers(ChannelSlot *slot, RaftSummary *summary, bool *running,
							   FollowerState followers[FB_RAFT_NODES_MAX]);

extern pid_t slot_worker_pid(ChannelSlot *slot, WorkerKind kind); /* 0 when it does not run */
extern void slot_worker(ChannelSlot *slot, WorkerKind kind, WorkerState *state);
extern uint64 slot_worker_restarts(ChannelSlot *slot, WorkerKind kind);
/* Call before starting the worker; counts a restart if the worker has run before. */
extern void slot_note_start(ChannelSlot *slot, WorkerKind kind);

/* ---- shmem.c ---- */

/*
 * The verified set: digests of (message, signature, key) for signatures that this node has
 * verified or made. A bounded, lossy cache: a miss only costs a verification; a hit is always
 * right, because the digest is SHA-256 over everything that the verification depends on.
 */
extern void shmem_verified_add(const uint8_t digest[32]);
extern bool shmem_verified_contains(const uint8_t digest[32]);

/* ---- waiters.c: sessions that wait for a transaction, and that change the same keys ---- */

/*
 * enter: from now until leave, a block with this transaction wakes this session; a session enters
 * before it reads the tables. Entering again with the same id prepares the next wait. sleep: true
 * when the session was woken; false when the time was over, or this node left the channel.
 * Interruptible. One transaction at a time.
 */
extern void waiter_enter(const ChannelSlot *slot, FbBytes tx_id);
extern bool waiter_sleep(const ChannelSlot *slot, TimestampTz until);
extern void waiter_leave(void);
/*
 * For the ledger worker. names: call before the commit, which frees the ids. wake: call after the
 * commit; frees the names.
 */
extern uint64 *waiters_names(const FbBytes *tx_ids, size_t count);
extern void waiters_wake(ChannelSlot *slot, uint64 *names, size_t count);
/* wake all: the leader changed, and transactions that the old leader held may be lost */
extern void waiters_wake_all(ChannelSlot *slot);
extern int waiters_count(const ChannelSlot *slot);

/* turns that one session can hold at the same time */
#define TURNS_MAX 8

/*
 * Take the turn for a key, given by a hash; wait no longer than `until`. False: the turn was not
 * taken, and the caller continues without it. *waited is set to true when there was a wait.
 * Interruptible; after an error the session still holds the turns taken before, and the caller
 * must end them. turns_end ends all turns of this session.
 */
extern bool turn_take(const ChannelSlot *slot, uint32 hash, TimestampTz until, bool *waited);
extern void turns_end(void);

/* ---- condition.c: current problems, each with its reason and start; see the note there ---- */

#define CONDITION_PROCESS_BYTES 16
#define CONDITION_TOPIC_BYTES 24
#define CONDITION_SUBJECT_BYTES 272 /* an address */

typedef struct Condition
{
	char process[CONDITION_PROCESS_BYTES]; /* "ledger", "orderer", "launcher", "relay", "session" */
	char channel[FB_CHANNEL_ID_BYTES_MAX + 1]; /* empty: belongs to no channel */
	char topic[CONDITION_TOPIC_BYTES];
	char subject[CONDITION_SUBJECT_BYTES]; /* empty: the topic has a single subject */
	FbStatus status;
	char message[FB_ERROR_MESSAGE_BYTES];
	char detail[FB_ERROR_DETAIL_BYTES];
	char hint[FB_ERROR_HINT_BYTES];
	TimestampTz since;
	TimestampTz last_at; /* of the last report */
	uint64 count;		 /* of reports */
} Condition;

/* set the name of this process in the view; once, at its start */
extern void condition_process(const char *name);
/*
 * Report that a condition holds: the view shows it at once, the log according to the schedule in
 * condition.c. Key: channel, topic, subject (each may be NULL). Report it at every attempt that
 * meets it; cheap enough for attempts, not for every message. Works outside of transactions too.
 * Raises no errors except out of memory.
 */
extern void condition_report(const char *channel, const char *topic, const char *subject,
							 const FbError *why);
/* it is over: remove it from the view and log its duration; nothing if it was not reported */
extern void condition_end(const char *channel, const char *topic, const char *subject);
/* end the conditions of a topic whose subject no longer exists (holds returns false); not logged */
extern void condition_end_others(const char *channel, const char *topic,
								 bool (*holds)(void *context, const char *subject), void *context);
/* end the conditions of a topic that were not reported for unmet_ms; not logged */
extern void condition_expire(const char *topic, uint64 unmet_ms);
/* of all processes; palloc'ed */
extern Condition *conditions_list(int *count);

/* ---- inbox.c, shmem.c: a bounded queue into the orderer worker of a channel ---- */

/*
 * Append a record of one kind (a letter that server/order defines) made of two parts, and wake the
 * worker. False when the queue is full.
 */
extern bool inbox_put(ChannelSlot *slot, char kind, FbBytes first, FbBytes second);
/*
 * Take the oldest record into out (which is reset first); false when the queue is empty.
 * *first_size is the size of the first part; the second part follows it.
 */
extern bool inbox_take(ChannelSlot *slot, char *kind, StringInfo out, size_t *first_size);
extern size_t inbox_capacity(void); /* bytes */

/*
 * Hand private plaintext that an endorsement produced to the ledger worker, the only writer of the
 * table transient: the session's own transaction would commit too late. Returns true once the
 * plaintext is stored durably; false when the queue is full, the deadline passed or the worker
 * ended. Interruptible.
 */
extern bool private_inbox_put(ChannelSlot *slot, const char *tx_id, FbBytes private_rwset,
							  TimestampTz deadline);
/*
 * The worker's side: take the oldest record (first part: tx id), store and commit it, then call
 * private_inbox_stored.
 */
extern bool private_inbox_take(ChannelSlot *slot, StringInfo out, size_t *first_size);
extern void private_inbox_stored(ChannelSlot *slot);
extern size_t inbox_used(ChannelSlot *slot); /* bytes waiting now */
extern void inbox_counts(ChannelSlot *slot, InboxCounts *counts);
extern void private_inbox_counts(ChannelSlot *slot, InboxCounts *counts);

/* ---- import_queue.c: a block on its way from a session to the ledger worker of a channel ---- */

/* the worker's answer */
typedef struct ImportAnswer
{
	int sqlstate; /* as MAKE_SQLSTATE packs it; 0: no error */
	/* the error's texts; when sqlstate is 0, those of a warning if message is not empty */
	FbError error;
	uint64 block_number;
	bool stored;	 /* false: the ledger had the block already */
	int counts[256]; /* its transactions by validation code */
} ImportAnswer;

/*
 * Pass a block to the channel's ledger worker and wait for the answer. ledger_id: the ledger that
 * the caller means. The caller makes sure that a channel has one sender at a time. Interruptible
 * at any time; the worker may still store the block after that. False when the worker does not
 * start within start_timeout_ms, or ends before it answers.
 */
extern bool import_queue_send(ChannelSlot *slot, int ledger_id, FbBytes block,
							  bool accept_differences, int start_timeout_ms, ImportAnswer *answer);
/*
 * The worker's side. receive: never waits; true once a whole block has arrived, which stays valid
 * until import_queue_answer. The process's latch is set when another call may succeed.
 */
extern bool import_queue_receive(ChannelSlot *slot, FbBytes *block, bool *accept_differences);
extern void import_queue_answer(const ImportAnswer *answer);

/* ---- exchange.c: requests of sessions to the process `fabric relay`, and its answers ---- */

/* "host:port": a DNS name has at most 253 characters */
#define EXCHANGE_ADDRESS_BYTES 272
/* of a request or an answer; a larger one is rare, and would take the space of many others */
#define EXCHANGE_MESSAGE_BYTES_MAX ((size_t) 1024 * 1024)
/*
 * The kind of an answer that means: the relay has no answer, the session must use its own
 * connection. The caller defines all other kinds.
 */
#define EXCHANGE_ASK_YOURSELF '-'

typedef struct ExchangeCounts
{
	uint64 requests; /* since the start of the server */
	uint64 refused;	 /* requests refused for lack of a slot or of space */
	/* slots in use now: requests that wait or were sent, and answers not yet taken */
	int used;
	int connections; /* of the relay, to all nodes */
} ExchangeCounts;

/*
 * Pass a request to the relay. Returns its ticket, or -1: no relay runs, or there is no space.
 * Does not wait.
 */
extern int exchange_put(const char *address, char kind, FbBytes request);
/*
 * Take the answer, if it has arrived, as a copy in context; the ticket ends with that. MyLatch is
 * set when the answer arrives.
 */
extern bool exchange_receive(int ticket, MemoryContext context, char *kind, FbBytes *answer);
/* Give up the request; the ticket ends. Done for all tickets of a process when it exits. */
extern void exchange_abandon(int ticket);
/*
 * The same, but only if the relay has not sent the request yet. False: it was sent or answered,
 * and this session still owns the ticket.
 */
extern bool exchange_withdraw(int ticket);
/* zeros when the library is not preloaded; relay_pid 0: no relay runs */
extern void exchange_counts(ExchangeCounts *counts, pid_t *relay_pid);

/*
 * For the relay only. attach: false when another relay runs; withdrawn at exit. take: the oldest
 * request, copied into context; -1: no request waits.
 */
extern bool exchange_attach_relay(void);
extern int exchange_take(MemoryContext context, char *kind, char address[EXCHANGE_ADDRESS_BYTES],
						 FbBytes *request);
extern bool exchange_is_abandoned(int ticket);
/* call right before sending; false: its session has given the request up */
extern bool exchange_begin(int ticket);
/* also for an abandoned request; the relay must not use the ticket afterwards */
extern void exchange_answer(int ticket, char kind, FbBytes answer);
extern void exchange_publish_connections(int connections);

/* ---- answer_times.c: how long other nodes usually take, and which do not answer ---- */

typedef enum AnswerKind
{
	ANSWER_ENDORSEMENT,
	ANSWER_SUBMISSION,
	/* from submission until the block is here; the address is the channel's name */
	ANSWER_COMMIT
} AnswerKind;

/*
 * The key of a measured time: a node, a service, and a part of it (for example a chaincode and its
 * function); never 0.
 */
extern uint64 answer_label(const char *address, AnswerKind kind, FbBytes what);
/* how long to wait for the answer before asking another node too */
extern int answer_patience_ms(uint64 label);
/* an upper bound for nearly all answers (mean and four deviations); -1: not known */
extern int answer_usual_ms(uint64 label);
/* an answer arrived; started_ms: of its request, of clock_ms. label 0: do not measure the time */
extern void answer_note(const char *address, AnswerKind kind, uint64 label, uint64 started_ms);
extern void answer_note_time(uint64 label, uint64 elapsed_ms);
/* the answer took longer than answer_patience_ms, or the node could not be reached */
extern void answer_note_silent(const char *address, AnswerKind kind);
/* true: ask other nodes first, where there are any */
extern bool answer_is_silent(const char *address, AnswerKind kind);
/*
 * True for one caller per second while the node is silent: that caller sends the node its request
 * too, and does not wait for the answer.
 */
extern bool answer_take_probe(const char *address, AnswerKind kind);

/* ---- node_roles.c: connections and log messages of other nodes; needs shared memory ---- */

#define NODE_ROLES_MAX 256

typedef struct NodeRole NodeRole;

typedef struct NodeConnections
{
	int roles;	   /* of other nodes */
	int need;	   /* connections that a node needs to take part in all channels */
	int limit;	   /* connections that one of them may have */
	int share;	   /* connections kept free for one of them */
	int fair_part; /* half of the places divided by the number of roles */
	int places;	   /* max_connections without those reserved for superusers */
} NodeConnections;

typedef enum NodeRolesVerdict
{
	NODE_ROLES_ADMITTED,
	NODE_ROLES_OVER_LIMIT, /* the role has reached its limit */
	NODE_ROLES_RESERVED	   /* the free connections are kept for (other) nodes */
} NodeRolesVerdict;

/* for the launcher: publish roles of other nodes and number of channels; returns the limits */
extern NodeConnections node_roles_publish(const Oid *role_ids, int count, int channels_count);
/* the entry of a role for node_roles_may_log, valid for the life of the process */
extern NodeRole *node_roles_enter(Oid role_id);
/*
 * Decide if this backend, which already occupies a connection, may stay. role_id: of its client,
 * which is not a superuser. For a node, MyProc->roleId must be set before, so that several
 * backends that start at the same time count each other.
 */
extern NodeRolesVerdict node_roles_judge(Oid role_id, bool is_node, int *limit);
/*
 * Take one message from the role's budget; false: the budget is used up. *left_out: messages
 * suppressed since the last allowed one.
 */
extern bool node_roles_may_log(NodeRole *role, uint64 *left_out);

/* ---- contacts.c: what this server's processes know about other nodes ---- */

typedef struct Contact
{
	TimestampTz answered_at; /* of the last answer; 0: none since the start of the server */
	TimestampTz failed_at;	 /* of the last failure; 0: none */
	uint64 answered_ms;		 /* answered_at in milliseconds of clock_ms */
	bool unanswered;		 /* it did not answer, and no process has had an answer since */
	bool behind;			 /* it recently lacked many blocks */
	char last_error[256];	 /* empty: none since the start of the server */
} Contact;

/* In a server that does not preload the library, all of these do nothing and find nothing. */
extern void contact_note_answer(const char *address);
/*
 * since_ms: of clock_ms, when the request without an answer began; if the node has answered any
 * process since then, the failure does not count. CONTACT_SINCE_NOW: it always counts.
 * CONTACT_ANSWERED: the node did answer, with an error.
 */
#define CONTACT_ANSWERED 0
#define CONTACT_SINCE_NOW UINT64_MAX
extern void contact_note_failure(const char *address, const char *reason, uint64 since_ms);
/* for behind_ms from now the node counts as one that lacks blocks */
extern void contact_note_behind(const char *address, int behind_ms);
/* false, and *contact is all zeros, when nothing is known */
extern bool contact_find(const char *address, Contact *contact);

/* ---- memory.c ---- */

/* an allocator of core in a memory context; lives as long as the context */
extern FbAllocator *memory_allocator(MemoryContext context);
extern bytea *memory_bytea(FbBytes bytes); /* palloc'd copy */
extern text *memory_text(FbBytes bytes);
/* of a detoasted bytea or text; not copied */
extern FbBytes memory_bytes(const void *varlena);
#define PG_GETARG_FB_BYTES(n) memory_bytes(PG_GETARG_VARLENA_PP(n))
/*
 * All the bytes as a C string, palloc'ed. Raises FB_INVALID_ARGUMENT when they contain a zero
 * byte: the string would be shorter than the bytes, and so a different name. For messages use
 * FB_DISPLAY. Server code converts bytes to a C string only with this function: pnstrdup stops at
 * a zero byte, and then allocates less than its caller believes.
 */
extern char *memory_cstring(FbBytes bytes);
/*
 * The next row of a tuplestore; false at its end. A row that was on disk is read into the memory
 * context of the slot, which frees it. tuplestore_gettupleslot alone reads into the current
 * context: a caller that resets that context for each row leaves the slot with freed memory. So
 * all code reads tuplestores with this function.
 */
extern bool memory_next_row(Tuplestorestate *rows, TupleTableSlot *slot);
/* call free_object(pointer) when the context is reset or deleted */
extern void memory_on_reset(MemoryContext context, void (*free_object)(void *), void *pointer);

/* ---- clock.c: milliseconds that do not jump when the time of day is changed ---- */
extern uint64 clock_ms(void);

/* ---- error.c: the only conversion from FbError to ereport ---- */

/*
 * Raise an error that core reports, with the location of the macro: LOCATION is the file, line and
 * function that called core. Server code that detects an error itself uses ereport. error_check
 * does nothing when the status is FB_OK; error_throw never returns.
 */
#define error_throw(error) error_raise((error)->status, (error), __FILE__, __LINE__, __func__)
#define error_check(status, error)                                             \
	do                                                                         \
	{                                                                          \
		FbStatus error_status_ = (status);                                     \
                                                                               \
		if (unlikely(error_status_ != FB_OK))                                  \
			error_raise(error_status_, (error), __FILE__, __LINE__, __func__); \
	} while (0)
/* for the macros only; a status without a text gets its text from the list of statuses */
extern void error_raise(FbStatus status, const FbError *error, const char *file, int line,
						const char *function) pg_attribute_cold pg_attribute_noreturn();

/* errcode() of an FbStatus, for ereport */
#define fb_errcode(status) errcode(error_sqlstate(status))
extern int error_sqlstate(FbStatus status); /* as MAKE_SQLSTATE packs it */
/*
 * Text from outside, of any length, for a message: long text is cut, each control character except
 * tab and line feed becomes a question mark.
 */
extern const char *error_excerpt(const char *text);
/*
 * Bytes from outside, of any length and content, for one line of a message: long text is cut, each
 * control character becomes a question mark; bytes that are not text appear as their count.
 */
extern const char *error_printable(FbBytes bytes);
extern FbStatus error_status_of(int sqlstate); /* FB_INTERNAL when no FbStatus has it */
/* in PG_CATCH, after CopyErrorData: convert the error to an FbError */
extern void error_capture(const ErrorData *data, FbError *error);

/* ---- unlogged.c: errors whose text the client gets, but not the server's log ---- */

extern void unlogged_install(void); /* once, from _PG_init */
/*
 * In PG_CATCH: raise the error again, so that the client gets all of it, and the log gets neither
 * its text nor the statement, only its SQLSTATE and the functions that were running. context: a
 * memory context to work in, not ErrorContext.
 */
extern void unlogged_rethrow(MemoryContext context) pg_attribute_noreturn();
/*
 * The lines of an error's context that name a function and a place in it, palloc'ed. Other lines
 * may quote data. NULL when there are none.
 */
extern char *unlogged_functions(const char *context);

/* ---- spi.c: SQL as the bootstrap superuser, with pg_catalog as the only search path ---- */

typedef struct SpiScope
{
	Oid saved_user;
	int saved_security_context;
	int guc_nest_level;
	MemoryContext outer; /* copy results that must outlive the scope into this context */
} SpiScope;

/* After an error inside the scope, the abort of the (sub)transaction cleans up. */
extern void spi_begin(SpiScope *scope);
extern void spi_end(SpiScope *scope);

/* a statement prepared once per session: a static variable with its text and parameter types */
typedef struct SpiStatement
{
	const char *sql; /* parameters $1.. */
	int argument_count;
	Oid argument_types[18];
	/* runs also without transactions; counted separately (work_counters.c) */
	bool periodic;
	SPIPlanPtr plan; /* made at first use */
} SpiStatement;

/*
 * Call between spi_begin and spi_end. nulls may be NULL; row_limit 0: all rows; returns the SPI
 * result code; results are in SPI_tuptable.
 */
extern int spi_run(SpiStatement *statement, Datum *values, const char *nulls, bool read_only,
				   long row_limit);
/*
 * The same with the latest snapshot, for reads in a session whose own snapshot is older (waiting
 * for commits). In parallel mode it uses the active snapshot.
 */
extern int spi_run_latest(SpiStatement *statement, Datum *values, const char *nulls,
						  long row_limit);

/* OID of a relation of schema fabric_internal; raises FB_INTERNAL if there is none */
extern Oid spi_relation_oid(const char *relation_name);

/* ---- bracket.c: one unit of table work of a worker = one transaction ---- */
/* starts a transaction and a snapshot; pg_stat_activity shows activity */
extern void bracket_begin(const char *activity);
/* the same, but the commit is not flushed: for work that is repeated after a crash */
extern void bracket_begin_repeatable(const char *activity);
extern void bracket_commit(void);
extern void bracket_abort(void); /* for a worker that continues after an error it caught */

/* ---- work_counters.c: the work of all processes of this node, as fb_work_add counts it ---- */

typedef enum WorkProcess
{
	WORK_SESSION, /* sessions of clients and of other nodes */
	WORK_LEDGER,
	WORK_ORDERER,
	WORK_RELAY,
	WORK_LAUNCHER,
	WORK_PROCESS_COUNT /* not a process */
} WorkProcess;

extern void work_install(void); /* once, from _PG_init */
/* the kind of this process; a session by default */
extern void work_set_process(WorkProcess process);
/* add this process's new work to the node's counters; the end of each transaction does it too */
extern void work_publish(void);
/* the work of all processes of this kind since the start of the server; requires shared memory */
extern uint64 work_of_processes(WorkProcess process, FbWork work);

/* ---- fault.c: points where a test can stop or break the code; setting fabric.fault_points ---- */
/*
 * NAME=crash kills the instance like a power failure, NAME=error raises an error, NAME=hold waits
 * until the setting no longer contains it, NAME=sleep:MS waits for a time. Entries are separated
 * by commas.
 */
extern bool fault_active;
extern void fault_hit(const char *name);
#define FAULT_POINT(name)           \
	do                              \
	{                               \
		if (unlikely(fault_active)) \
			fault_hit(name);        \
	} while (0)
/*
 * Read the configuration file again, in a background process that received SIGHUP; logs the fault
 * points if they changed. In a session PostgreSQL does this between two statements.
 */
extern void fault_read_settings(void);
extern void fault_define(void);

#endif
