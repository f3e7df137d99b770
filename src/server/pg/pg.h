/*
 * pg: what we need from the PostgreSQL server, each thing once: settings, shared memory, the inbox
 * of a worker, allocators bound to memory contexts, a clock, errors, SPI, the transaction bracket
 * of workers, fault points.
 */
#ifndef FABRIC_SERVER_PG_H
#define FABRIC_SERVER_PG_H

#include "postgres.h"

/* messages are looked up in a catalog of the extension's own, where one is installed */
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

/*
 * every C function that SQL may call is declared with this, so that no other symbol leaves the
 * library
 */
#define FABRIC_FUNCTION(name)                        \
	extern PGDLLEXPORT Datum name(PG_FUNCTION_ARGS); \
	PG_FUNCTION_INFO_V1(name)

/*
 * ---- guc.c: every setting. The variable of fabric.NAME is guc_NAME; docs/operations.md and the
 * descriptions in guc.c say what each is for. Strings are never NULL; empty means not set ----
 */

extern char *guc_database;
extern char *guc_node_msp_id;
extern char *guc_node_certificate_file; /* relative names are relative to the data directory */
extern char *guc_node_key_file;
extern char *guc_tls_certificate_file; /* client side of connections to other nodes */
extern char *guc_tls_key_file;
extern char *guc_tls_ca_file;
extern char *guc_node_role; /* login role of this node at the other nodes */
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

extern void guc_define(void); /* once, from _PG_init */
/*
 * was the present value of fabric.identity chosen by whoever runs this transaction? See the note in
 * guc.c
 */
extern bool guc_identity_is_chosen(void);
/* turn fabric.identity_opened on, for as long as an opened identity may last */
extern void guc_note_identity_opened(void);
/*
 * closed is called when fabric.identity_opened is turned off, by whatever does that; it must not
 * raise errors
 */
extern void guc_on_identities_closed(void (*closed)(void));

/* ---- shmem.c: all shared memory. Nothing here is needed for recovery: it is rebuilt from the
 * tables ---- */

typedef enum WorkerKind
{
	WORKER_LEDGER,
	WORKER_ORDERER
} WorkerKind;
#define WORKER_KIND_COUNT 2

/* a background worker of a channel, as fabric.stat_workers shows it */
typedef struct WorkerState
{
	pid_t pid;				  /* 0 when not running */
	TimestampTz started_at;	  /* 0 when it was never started */
	TimestampTz last_exit_at; /* 0 when it never ended */
	uint64 restarts_count;
	char last_error[256]; /* primary text of the error that ended the last one; empty if none */
	TimestampTz last_error_at;
} WorkerState;

/* what the leader knows of a consenter */
typedef struct FollowerState
{
	uint64 raft_id;
	uint64 match_index;
	uint64 next_index;
	int progress; /* probe, replicate, snapshot as the core numbers them */
	TimestampTz last_contact_at;
	bool connected;
	bool recovering; /* it has no vote yet and is not counted */
} FollowerState;

/* what sessions ask of the channel's orderer worker with every envelope */
typedef struct OrdererState
{
	pid_t pid; /* 0 when the worker does not run */
	int role;  /* as core/raft numbers its roles */
	uint64 term;
	uint64 leader_id;			  /* 0 when unknown */
	TimestampTz leaderless_since; /* 0 while there is one */
	uint64 pending_bytes;		  /* of envelopes in the worker, not yet in the log */
} OrdererState;

/* the orderer worker's state of Raft; the followers are published with it and asked for apart */
typedef struct RaftSummary
{
	uint64 raft_id; /* this node's, 0 when it is no consenter */
	int role;		/* as core/raft numbers its roles */
	uint64 term;
	uint64 leader_id;			  /* 0 when unknown */
	TimestampTz leaderless_since; /* 0 while there is one */
	uint64 last_index;
	uint64 pending_count; /* envelopes in the worker, not yet in the log */
	uint64 pending_bytes; /* of them */
	uint64 leader_changes_count;
	uint64 batches_count;		  /* proposed by this node */
	uint64 dropped_count;		  /* envelopes that could not be handed on */
	int participation;			  /* as core/raft numbers it */
	TimestampTz recovering_since; /* 0: not recovering */
	uint64 recovery_index; /* the entry with which the recovery ends; 0: no leader has said */
	uint64 others_recovering_count;
	char recovery_detail[192];
} RaftSummary;

/* how NOTIFY of this channel's blocks goes */
typedef struct NotificationState
{
	uint64 height;			   /* blocks below have a notification; 0: no worker has run yet */
	uint64 failures_count;	   /* since the start */
	TimestampTz failing_since; /* 0: the last attempt did not fail */
	char last_error[256];
} NotificationState;

/*
 * what validating blocks costs: the parts of the work that grow with what transactions ask for, and
 * not only with their bytes
 */
typedef struct ValidationWork
{
	uint64 policies_parsed; /* of chaincodes, collections and keys */
	uint64 policies_evaluated;
	uint64 signatures_checked; /* also those that this node had verified before */
	uint64 range_rows;		   /* keys that range queries looked at when they were run again */
	uint64 identities_checked; /* certificates parsed and verified that were not met before */
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

/* a committed block, as far as shared memory shows it */
typedef struct BlockNews
{
	uint64 number;
	uint64 raft_index;		/* of its log entry; 0: it has none */
	bool lifecycle_changed; /* a definition or an approval was written */
	const int *counts;		/* 256: transactions by validation code */
	const ValidationWork *work;
	uint64 validation_us; /* how long the validation took */
} BlockNews;

/* a queue in shared memory */
typedef struct InboxCounts
{
	uint64 records; /* waiting now */
	uint64 bytes;	/* of them */
	uint64 refused; /* ever refused because it was full */
} InboxCounts;

/*
 * What this node's processes publish of one channel. Only server/pg knows its layout; the others
 * use the functions slot_* below, which copy what is asked for.
 */
typedef struct ChannelSlot ChannelSlot;

/*
 * true in a server that preloads the library; otherwise nothing below that takes a slot can be used
 */
extern bool shmem_available(void);
extern void shmem_require(void); /* FB_NOT_PRELOADED with the hint for postgresql.conf, or when the
									workers serve another database */
extern bool shmem_serves_database(
	void); /* is the session in the database in which the workers are? In a transaction */
extern void shmem_install_hooks(void); /* from _PG_init while preloading */

/* NULL when there is none for this membership (yet), or not preloaded */
extern ChannelSlot *shmem_channel_find(const char *channel, int ledger_id);
/*
 * for the launcher alone. create: finds or makes; NULL when all slots are used. drop: nobody may be
 * attached to it any more
 */
extern ChannelSlot *shmem_channel_create(const char *channel, int ledger_id);
extern void shmem_channel_drop(ChannelSlot *slot);
/*
 * Wait until the channel has more than height blocks on this node; false when the deadline passed
 * first, or the channel was left. Interruptible.
 */
extern bool shmem_wait_height(ChannelSlot *slot, uint64 height, TimestampTz deadline);
/*
 * NULL when unused; 0 <= index < guc_max_channels. name may be NULL: the channel's name, copied
 * while the slot cannot become another channel's
 */
extern ChannelSlot *shmem_channel_at(int index, char name[FB_CHANNEL_ID_BYTES_MAX + 1]);

/*
 * A worker announces itself; its latch is withdrawn at exit by a callback that this installs. NULL
 * when it is not the one that the launcher waits for: it came too late, or the channel was left. So
 * there is never more than one worker of a kind for a channel.
 */
extern ChannelSlot *shmem_worker_attach(int slot_index, WorkerKind kind, uint32 generation);
extern uint32 shmem_worker_next_generation(
	ChannelSlot *slot, WorkerKind kind); /* whoever was started earlier may not attach any more */
extern bool
shmem_worker_stop(ChannelSlot *slot,
				  WorkerKind kind); /* SIGTERM; true when it does not run any more, nor will */
extern void shmem_worker_wake(ChannelSlot *slot, WorkerKind kind); /* set its latch, if it runs */
extern void shmem_worker_note_error(ChannelSlot *slot, WorkerKind kind, const char *message);
extern void shmem_launcher_attach(void);
extern void shmem_launcher_wake(void);
extern pid_t shmem_launcher_pid(void); /* 0 when it does not run */

/* ---- channel_slot.c: a channel's slot; the order of writes and reads is in the note there ---- */

/* name and ledger id (of this membership) stay as they are while a worker is attached */
extern const char *slot_name(const ChannelSlot *slot);
extern int slot_ledger_id(const ChannelSlot *slot);
extern int slot_index(const ChannelSlot *slot);
/* the mode that the running workers were started in; for the launcher alone */
extern bool slot_import_only(const ChannelSlot *slot);
extern void slot_set_import_only(ChannelSlot *slot, bool import_only);

/*
 * Of the ledger worker, after its commit. height: count of blocks here, 0 = not known yet; a reader
 * of it finds what was published with it. applied index: the last log entry in the ledger.
 */
extern void slot_publish_ledger(ChannelSlot *slot, uint64 config_block_number, uint64 applied_index,
								uint64 height);
extern void slot_publish_block(ChannelSlot *slot, const BlockNews *news);
extern void slot_set_applied_index(ChannelSlot *slot, uint64 applied_index);
extern uint64 slot_height(ChannelSlot *slot);
extern uint64 slot_config_block(ChannelSlot *slot);
extern uint64 slot_lifecycle_block(ChannelSlot *slot); /* the last that wrote _lifecycle */
extern uint64 slot_applied_index(ChannelSlot *slot);
/* the ledger differs from the chain in the log, and makes no blocks; see worker/ledger_fork.c */
extern void slot_set_forked(ChannelSlot *slot, bool forked);
extern bool slot_is_forked(ChannelSlot *slot);
extern uint64 slot_validation_count(ChannelSlot *slot, int code); /* since start; 0 <= code < 256 */
extern void slot_validation(ChannelSlot *slot, ValidationState *state);
extern uint64 slot_sessions_woken(ChannelSlot *slot); /* their transactions were committed */

/* NOTIFY. start: what earlier workers have told; height where there was none */
extern uint64 slot_notified_start(ChannelSlot *slot, uint64 height);
extern void slot_note_notified(ChannelSlot *slot, uint64 height);
extern void slot_note_unnotified(ChannelSlot *slot, const char *problem);
extern void slot_notifications(ChannelSlot *slot, NotificationState *state);

/* the node that last answered a request for blocks, and when; empty and 0: none was asked */
#define SLOT_SOURCE_BYTES 272
extern void slot_note_source(ChannelSlot *slot, const char *address); /* it answered, now */
extern void slot_source(ChannelSlot *slot, char address[SLOT_SOURCE_BYTES], TimestampTz *at);

/*
 * Of the orderer worker. commit index: entries up to here may be read from raft_log. wanted index:
 * blocks up to this entry must come from other nodes (0: none). True: it was another one before.
 */
extern bool slot_raise_commit_index(ChannelSlot *slot, uint64 commit_index);
extern bool slot_set_wanted_index(ChannelSlot *slot, uint64 wanted_index);
extern uint64 slot_commit_index(ChannelSlot *slot);
extern uint64 slot_wanted_index(ChannelSlot *slot);
extern void slot_publish_raft(ChannelSlot *slot, const RaftSummary *summary,
							  const FollowerState *followers, int followers_count);
extern void slot_orderer(ChannelSlot *slot, OrdererState *state);
extern void slot_raft(ChannelSlot *slot, RaftSummary *summary, bool *running);
/* with the followers of the same moment; their count */
extern int slot_raft_followers(ChannelSlot *slot, RaftSummary *summary, bool *running,
							   FollowerState followers[FB_RAFT_NODES_MAX]);

extern pid_t slot_worker_pid(ChannelSlot *slot, WorkerKind kind); /* 0 when it does not run */
extern void slot_worker(ChannelSlot *slot, WorkerKind kind, WorkerState *state);
extern uint64 slot_worker_restarts(ChannelSlot *slot, WorkerKind kind);
/* before it is started: counted when it has run before */
extern void slot_note_start(ChannelSlot *slot, WorkerKind kind);

/*
 * The verified set: digests of (message, signature, key) that this node has verified, or made
 * itself. A bounded lossy cache: a miss only costs the time of a verification; an entry never lies,
 * because the digest is SHA-256 over everything that the verification depends on.
 */
extern void shmem_verified_add(const uint8_t digest[32]);
extern bool shmem_verified_contains(const uint8_t digest[32]);

/* ---- waiters.c: sessions that wait for a transaction, and that change the same keys ---- */

/*
 * enter: from now on a block with this transaction wakes this session, until leave; done before it
 * looks into the tables. Entering again with the same id makes ready for the next wait. sleep: true
 * when it was woken; false when the time was over, or the channel was left. Interruptible. One
 * transaction at a time.
 */
extern void waiter_enter(const ChannelSlot *slot, FbBytes tx_id);
extern bool waiter_sleep(const ChannelSlot *slot, TimestampTz until);
extern void waiter_leave(void);
/*
 * for the ledger worker. names: before its commit, because the ids do not outlive that. wake: after
 * it; frees the names
 */
extern uint64 *waiters_names(const FbBytes *tx_ids, size_t count);
extern void waiters_wake(ChannelSlot *slot, uint64 *names, size_t count);
/*
 * all that wait for a transaction of the channel: there is another leader, and what the old one had
 * may be lost
 */
extern void waiters_wake_all(ChannelSlot *slot);
extern int waiters_count(const ChannelSlot *slot);

/* places that one session can hold */
#define TURNS_MAX 8

/*
 * Take the turn for a key, given by a hash; wait for it until then at most. False: not taken, go on
 * without. *waited becomes true when there was a wait. Interruptible; an error leaves the turns
 * taken before, which the caller ends. end: of all turns of this session.
 */
extern bool turn_take(const ChannelSlot *slot, uint32 hash, TimestampTz until, bool *waited);
extern void turns_end(void);

/* ---- condition.c: what is wrong now, with the reason and the time; see the note there ---- */

#define CONDITION_PROCESS_BYTES 16
#define CONDITION_TOPIC_BYTES 24
#define CONDITION_SUBJECT_BYTES 272 /* an address */

typedef struct Condition
{
	char process[CONDITION_PROCESS_BYTES]; /* "ledger", "orderer", "launcher", "relay", "session" */
	char channel[FB_CHANNEL_ID_BYTES_MAX + 1]; /* empty: of no channel */
	char topic[CONDITION_TOPIC_BYTES];
	char subject[CONDITION_SUBJECT_BYTES]; /* empty: the topic has one only */
	FbStatus status;
	char message[FB_ERROR_MESSAGE_BYTES];
	char detail[FB_ERROR_DETAIL_BYTES];
	char hint[FB_ERROR_HINT_BYTES];
	TimestampTz since;
	TimestampTz last_at; /* when it was met last */
	uint64 count;		 /* how often */
} Condition;

/* what this process is called in the view; once, at its start */
extern void condition_process(const char *name);
/*
 * The process meets a condition: now in the view, and in the log when it is time for that. Key:
 * channel, topic, subject (each may be NULL). Call it each time; it is cheap enough for attempts,
 * not for every message. Outside of transactions too. Raises nothing but what memory does.
 */
extern void condition_report(const char *channel, const char *topic, const char *subject,
							 const FbError *why);
/* it is over: out of the view, and a line in the log. Nothing when it was not reported */
extern void condition_end(const char *channel, const char *topic, const char *subject);
/* those of a topic whose subject has gone (holds says false): out of the view without a line */
extern void condition_end_others(const char *channel, const char *topic,
								 bool (*holds)(void *context, const char *subject), void *context);
/*
 * those of a topic that were not met again for so long, because nothing is tried any more: out of
 * the view without a line
 */
extern void condition_expire(const char *topic, uint64 unmet_ms);
/* of all processes; palloc'ed */
extern Condition *conditions_list(int *count);

/* ---- inbox.c: a bounded queue into the orderer worker of a channel ---- */

/*
 * append a record of one kind (a letter of the order room) made of two parts; false when there is
 * no room. Wakes the worker.
 */
extern bool inbox_put(ChannelSlot *slot, char kind, FbBytes first, FbBytes second);
/*
 * take the oldest record into out (reset first); false when empty. *first_size tells where the
 * second part starts
 */
extern bool inbox_take(ChannelSlot *slot, char *kind, StringInfo out, size_t *first_size);
extern size_t inbox_capacity(void); /* bytes */

/*
 * Private plaintext that an endorsement produced, on its way into the table transient, which only
 * the ledger worker writes: the session's own transaction ends too late. Returns true once it is
 * stored durably; false when there is no room or the deadline passed. Interruptible.
 */
extern bool private_inbox_put(ChannelSlot *slot, const char *tx_id, FbBytes private_rwset,
							  TimestampTz deadline);
/* the worker's side: take the oldest (first part: tx id), store and commit it, then say so */
extern bool private_inbox_take(ChannelSlot *slot, StringInfo out, size_t *first_size);
extern void private_inbox_stored(ChannelSlot *slot);
extern size_t inbox_used(ChannelSlot *slot); /* bytes waiting now */
extern void inbox_counts(ChannelSlot *slot, InboxCounts *counts);
extern void private_inbox_counts(ChannelSlot *slot, InboxCounts *counts);

/* ---- import_queue.c: a block on its way from a session to the ledger worker of a channel ---- */

/* what the worker says about it */
typedef struct ImportAnswer
{
	int sqlstate;  /* as MAKE_SQLSTATE packs it; 0: no error */
	FbError error; /* its texts; without an error: of a warning, if message is not empty */
	uint64 block_number;
	bool stored;	 /* false: the ledger had the block already */
	int counts[256]; /* its transactions by validation code */
} ImportAnswer;

/*
 * Pass a block to the channel's ledger worker and wait for the answer. ledger_id: of the ledger
 * that the caller means. The caller sees to it that there is one sender for a channel at a time.
 * Interruptible at any time; the block may be stored all the same then. False when the worker does
 * not run within start_timeout_ms, or ends before it has answered.
 */
extern bool import_queue_send(ChannelSlot *slot, int ledger_id, FbBytes block,
							  bool accept_differences, int start_timeout_ms, ImportAnswer *answer);
/*
 * The worker's side. receive: never waits; true once a whole block has arrived, which stays valid
 * until it is answered. The process's latch is set when it is worth trying again.
 */
extern bool import_queue_receive(ChannelSlot *slot, FbBytes *block, bool *accept_differences);
extern void import_queue_answer(const ImportAnswer *answer);

/* ---- exchange.c: requests of sessions to the process `fabric relay`, and its answers ---- */

/* "host:port": a DNS name has at most 253 characters */
#define EXCHANGE_ADDRESS_BYTES 272
/* of a request or an answer; larger ones are rare, and would take the place of many */
#define EXCHANGE_MESSAGE_BYTES_MAX ((size_t) 1024 * 1024)
/*
 * the kind of an answer: the relay has none, and the session uses a connection of its own. Other
 * kinds are the caller's
 */
#define EXCHANGE_ASK_YOURSELF '-'

typedef struct ExchangeCounts
{
	uint64 requests; /* since the start of the server */
	uint64 refused;	 /* of these no slot or no room */
	int used; /* slots in use now: requests that wait, are under way, or whose answer was not taken
				 yet */
	int connections; /* of the relay, to all nodes */
} ExchangeCounts;

/*
 * hand over a request; returns its ticket, or -1: no relay runs, or there is no room. Does not wait
 */
extern int exchange_put(const char *address, char kind, FbBytes request);
/*
 * take the answer, if it is there, as a copy in context: then the ticket is used up. MyLatch is set
 * when it comes
 */
extern bool exchange_receive(int ticket, MemoryContext context, char *kind, FbBytes *answer);
/*
 * nobody waits for it any more: the ticket is used up. Done for all tickets of a process when it
 * exits
 */
extern void exchange_abandon(int ticket);
/*
 * the same, if it has not been sent; false: it has, or was answered, and the ticket is still this
 * session's
 */
extern bool exchange_withdraw(int ticket);
extern void
exchange_counts(ExchangeCounts *counts,
				pid_t *relay_pid); /* zeros when not preloaded; relay_pid 0: it does not run */

/*
 * for the relay alone. attach: false when there is one; withdrawn at exit. take: the oldest
 * request, copied into context; -1: there is none
 */
extern bool exchange_attach_relay(void);
extern int exchange_take(MemoryContext context, char *kind, char address[EXCHANGE_ADDRESS_BYTES],
						 FbBytes *request);
extern bool exchange_is_abandoned(int ticket);
/* right before it is sent; false: its session does not want that any more */
extern bool exchange_begin(int ticket);
/* also of an abandoned one: afterwards the ticket is not the relay's any more */
extern void exchange_answer(int ticket, char kind, FbBytes answer);
extern void exchange_publish_connections(int connections);

/* ---- answer_times.c: how long other nodes usually take, and which do not answer: shared by all
 * processes of this node ---- */

typedef enum AnswerKind
{
	ANSWER_ENDORSEMENT,
	ANSWER_SUBMISSION,
	ANSWER_COMMIT /* from a submission until the block is here; the address is the channel's name */
} AnswerKind;

/*
 * the name of what is measured: a node, what it does, and which of these (a chaincode and its
 * function); never 0
 */
extern uint64 answer_label(const char *address, AnswerKind kind, FbBytes what);
/* how long the answer is waited for before somebody else is asked too */
extern int answer_patience_ms(uint64 label);
/* how long the answer takes, but for few; -1: it is not known */
extern int answer_usual_ms(uint64 label);
/*
 * an answer that came, to a request sent at started_ms of clock_ms; label 0: how long it took says
 * nothing
 */
extern void answer_note(const char *address, AnswerKind kind, uint64 label, uint64 started_ms);
extern void answer_note_time(uint64 label, uint64 elapsed_ms);
/* somebody's patience has passed, or the node could not be reached */
extern void answer_note_silent(const char *address, AnswerKind kind);
/* ask others first, where there are others */
extern bool answer_is_silent(const char *address, AnswerKind kind);
/*
 * true for one caller once in a second while the node is silent: that one sends it a request too,
 * and does not wait for the answer
 */
extern bool answer_take_probe(const char *address, AnswerKind kind);

/* ---- node_roles.c: connections of other nodes' roles, and what they put into the log; only where
 * the library is preloaded ---- */

#define NODE_ROLES_MAX 256

typedef struct NodeRole NodeRole;

typedef struct NodeConnections
{
	int roles;	   /* of other nodes */
	int need;	   /* connections that a node needs to take part in all channels */
	int limit;	   /* connections that one of them may have */
	int share;	   /* of them, kept free for it */
	int fair_part; /* half of the places, divided by the roles */
	int places;	   /* max_connections, without those of superusers */
} NodeConnections;

typedef enum NodeRolesVerdict
{
	NODE_ROLES_ADMITTED,
	NODE_ROLES_OVER_LIMIT, /* the role has as many as it may have */
	NODE_ROLES_RESERVED	   /* what is free is kept for (other) nodes */
} NodeRolesVerdict;

/*
 * the launcher's: which roles of other nodes there are, and how many joined channels; what follows
 * from that
 */
extern NodeConnections node_roles_publish(const Oid *role_ids, int count, int channels_count);
/* the entry of a role for node_roles_may_log, for the life of the process */
extern NodeRole *node_roles_enter(Oid role_id);
/*
 * May this backend, which already has its place, stay? role_id: of its client, superusers excepted.
 * For a node, MyProc->roleId must be set already, so that of several backends that come at the same
 * time each counts the others.
 */
extern NodeRolesVerdict node_roles_judge(Oid role_id, bool is_node, int *limit);
/*
 * takes one message from the role's budget; false: none is left. *left_out: messages since the last
 * allowed one that were not
 */
extern bool node_roles_may_log(NodeRole *role, uint64 *left_out);

/* ---- contacts.c: what this server's processes have learned about other nodes ---- */

typedef struct Contact
{
	TimestampTz answered_at; /* of the last answer; 0: none since the start of the server */
	TimestampTz failed_at;	 /* of the last failure; 0: none */
	uint64 answered_ms;		 /* of clock_ms: the same as answered_at */
	bool unanswered;		 /* it did not answer, and nobody has heard of it since */
	bool behind;			 /* it lacked many blocks lately */
	char last_error[256];	 /* empty: none since the start of the server */
} Contact;

/* All do nothing, and find nothing, in a server that does not preload the library */
extern void contact_note_answer(const char *address);
/*
 * since_ms: of clock_ms, when the request began that got no answer; if the node has answered
 * somebody since, the failure does not count. CONTACT_SINCE_NOW: it counts; CONTACT_ANSWERED: the
 * node did answer, only not well.
 */
#define CONTACT_ANSWERED 0
#define CONTACT_SINCE_NOW UINT64_MAX
extern void contact_note_failure(const char *address, const char *reason, uint64 since_ms);
/* for so long the node counts as one that lacks blocks */
extern void contact_note_behind(const char *address, int behind_ms);
extern bool contact_find(const char *address,
						 Contact *contact); /* false, and zeros: nothing is known */

/* ---- memory.c ---- */

/* an allocator of core in a memory context; lives as long as the context */
extern FbAllocator *memory_allocator(MemoryContext context);
extern bytea *memory_bytea(FbBytes bytes); /* palloc'd copy */
extern text *memory_text(FbBytes bytes);
extern FbBytes memory_bytes(const void *varlena); /* of a detoasted bytea or text, no copy */
#define PG_GETARG_FB_BYTES(n) memory_bytes(PG_GETARG_VARLENA_PP(n))
/*
 * All the bytes as a C string, palloc'ed. Raises FB_INVALID_ARGUMENT when they contain a zero: the
 * string would be shorter than the bytes, and so another name. For messages there is FB_DISPLAY.
 * The only way from bytes to a C string in the server's code: pnstrdup stops at a zero and then has
 * allocated less than its caller believes.
 */
extern char *memory_cstring(FbBytes bytes);
/*
 * The next row of a tuplestore, false at its end. A row that was on disk is read into the context
 * of the slot, which frees it: tuplestore_gettupleslot itself reads into the current context, and a
 * caller that resets that one for each row leaves the slot with memory that is gone. The only way
 * to read a tuplestore.
 */
extern bool memory_next_row(Tuplestorestate *rows, TupleTableSlot *slot);
/* cleanup of foreign objects: free_object(pointer) runs when the context is reset or deleted */
extern void memory_on_reset(MemoryContext context, void (*free_object)(void *), void *pointer);

/* ---- clock.c: milliseconds that never jump, whatever happens to the time of day ---- */
extern uint64 clock_ms(void);

/* ---- error.c: the only translator from FbError to ereport ---- */

/*
 * Raise what core reports, at the place of the macro: LOCATION is the file, line and function that
 * called core. Server code that finds out by itself that something is wrong uses ereport.
 * error_check does nothing when the status is FB_OK; error_throw never returns.
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
/* of the macros; a status that came without text gets that of the list of statuses */
extern void error_raise(FbStatus status, const FbError *error, const char *file, int line,
						const char *function) pg_attribute_cold pg_attribute_noreturn();

/* errcode() of one of our statuses, for ereport */
#define fb_errcode(status) errcode(error_sqlstate(status))
extern int error_sqlstate(FbStatus status); /* as MAKE_SQLSTATE packs it */
/*
 * text from outside, of any length, for a message: cut when long, a question mark for each control
 * character
 */
extern const char *error_excerpt(const char *text);
/*
 * bytes from outside, of any length and content, for one line of a message: cut, without control
 * characters; what is no text is counted
 */
extern const char *error_printable(FbBytes bytes);
extern FbStatus error_status_of(int sqlstate); /* FB_INTERNAL when it is none of ours */
/* in PG_CATCH, after CopyErrorData: what core would have reported */
extern void error_capture(const ErrorData *data, FbError *error);

/* ---- unlogged.c: errors whose text is for the client, and not for the server's log ---- */

extern void unlogged_install(void); /* once, from _PG_init */
/*
 * In PG_CATCH: raise the error again, so that the client gets all of it, and the log neither its
 * text nor the statement, but its SQLSTATE and the functions that were running. context: where to
 * work, not ErrorContext.
 */
extern void unlogged_rethrow(MemoryContext context) pg_attribute_noreturn();
/*
 * the lines of an error's context that name a function and a place in it, palloc'ed; the others may
 * quote data. NULL when there are none
 */
extern char *unlogged_functions(const char *context);

/* ---- spi.c: SQL as the extension's owner, with a search path of pg_catalog only ---- */

typedef struct SpiScope
{
	Oid saved_user;
	int saved_security_context;
	int guc_nest_level;
	MemoryContext outer; /* results that must outlive the scope are copied here */
} SpiScope;

extern void spi_begin(
	SpiScope *scope); /* an error anywhere inside is cleaned up by the (sub)transaction's abort */
extern void spi_end(SpiScope *scope);

/* a statement prepared once per session: a static variable with its text and parameter types */
typedef struct SpiStatement
{
	const char *sql; /* parameters $1.. */
	int argument_count;
	Oid argument_types[18];
	/* a look that is repeated whether there are transactions or not: counted by itself
	 * (work_counters.c) */
	bool periodic;
	SPIPlanPtr plan; /* made at first use */
} SpiStatement;

/*
 * between spi_begin and spi_end. nulls may be NULL; row_limit 0 = all; returns the SPI result code;
 * results in SPI_tuptable
 */
extern int spi_run(SpiStatement *statement, Datum *values, const char *nulls, bool read_only,
				   long row_limit);
/*
 * The same with the latest snapshot, for reads in a session whose own snapshot is older (waiting
 * for commits); above a parallel plan, with the active one.
 */
extern int spi_run_latest(SpiStatement *statement, Datum *values, const char *nulls,
						  long row_limit);

/*
 * a relation of schema fabric_internal; FB_INTERNAL with a hint when the extension is not in this
 * database
 */
extern Oid spi_relation_oid(const char *relation_name);

/* ---- bracket.c: one unit of table work of a worker = one transaction ---- */
extern void bracket_begin(const char *activity); /* starts transaction and snapshot; activity is
													what pg_stat_activity shows */
/* the same for what a crash may undo, since it would be done again: the commit is not flushed */
extern void bracket_begin_repeatable(const char *activity);
extern void bracket_commit(void);
extern void bracket_abort(void); /* for a worker that goes on after an error it caught */

/* ---- work_counters.c: the work of all processes of this node, as fb_work_add counts it ---- */

typedef enum WorkProcess
{
	WORK_SESSION, /* of clients and of other nodes */
	WORK_LEDGER,
	WORK_ORDERER,
	WORK_RELAY,
	WORK_LAUNCHER
} WorkProcess;
#define WORK_PROCESS_COUNT 5

extern void work_install(void); /* once, from _PG_init */
/* what this process is; without it, a session */
extern void work_set_process(WorkProcess process);
/* add this process's new work to the node's; done at the end of each transaction, too */
extern void work_publish(void);
/* of all processes of this kind since the start of the server; shared memory must be available */
extern uint64 work_of_processes(WorkProcess process, FbWork work);

/* ---- fault.c: named points where a test can stop or break the code; setting fabric.fault_points,
 * superusers only ---- */
/*
 * NAME=crash kills the instance as a power cut would, NAME=error raises an error, NAME=hold waits
 * until the setting no longer says so, NAME=sleep:MS waits for a time; comma separated
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
 * Read the configuration file again, for a background process that was asked to (SIGHUP); logs
 * fault points that have changed. In a session PostgreSQL does this between two statements.
 */
extern void fault_read_settings(void);
extern void fault_define(void);

#endif
