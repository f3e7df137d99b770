/* what the worker mains share: starting up as a worker of a channel, and sleeping */
#ifndef FABRIC_SERVER_WORKER_INTERNAL_H
#define FABRIC_SERVER_WORKER_INTERNAL_H

#include "server/worker/worker.h"

#include "server/channel/channel.h"
#include "server/wire/wire.h"

/* what the launcher tells a worker, in BackgroundWorker.bgw_extra */
typedef struct WorkerOrder
{
	int slot_index;
	uint32 generation;
} WorkerOrder;

/*
 * Signals, database connection, slot. Ends the process quietly when the slot is not the one that it
 * was started for. From now on an error that ends the process is noted in the slot for
 * fabric.stat_workers.
 */
extern ChannelSlot *worker_start(WorkerKind kind);

/*
 * sleep until the latch is set, at most timeout_ms (-1: no limit); then reset it, serve interrupts
 * and configuration reloads
 */
extern void worker_sleep(long timeout_ms);
/* the part of it that workers with an own wait need: interrupts and reloads */
extern void worker_serve_interrupts(void);

/*
 * the launcher's: tell node_roles.c which other nodes there are; a warning when they have too few
 * connections
 */
extern void connections_publish(int channels_count);
/* ---- ledger_fork.c; both need a transaction ---- */

struct Channel;
struct OrderEntry;

/* is there unacknowledged evidence that this ledger differs from its log? */
extern bool fork_is_open(const char *channel);
/* does the entry follow this ledger's last block? False: it was written down */
extern bool fork_check(const struct Channel *channel, const struct OrderEntry *entry);

/* ---- reconcile.c: the ledger worker asks for private plaintext that is missing here; see the note
 * there ---- */

typedef struct Reconciler
{
	WireCall *call;	 /* under way; NULL: none is */
	FbBytes request; /* of it */
	char address[WIRE_ADDRESS_BYTES];
	RwSetVersion at; /* the transaction that was asked for last; not present: begin at the first */
	int peer_index;	 /* who is asked in this round */
	uint64 deadline_ms; /* of the call; this and the next one of clock_ms */
	uint64 next_ms;
	uint64 pause_ms;	/* after the last round */
	FbError last_error; /* of the last request; message empty: it was answered */
} Reconciler;

/*
 * do what can be done now, outside of transactions; returns after how many milliseconds to call
 * again
 */
extern long reconcile_turn(Reconciler *reconciler, const char *channel);

/* ---- sources.c: whom the ledger worker asks for blocks; see the note there ---- */

/* those behind the first ones of a configuration are not asked */
#define BLOCK_SOURCES_MAX 64

typedef struct BlockSourceState
{
	char address[WIRE_ADDRESS_BYTES];
	BlockSourceTier tier;
	uint64 not_before_ms; /* of clock_ms: left out until then, because it failed */
	uint64 backoff_ms;	  /* how long that was last; 0: it answered */
} BlockSourceState;

typedef struct BlockSources
{
	BlockSourceState list[BLOCK_SOURCES_MAX];
	int count;
	int current;
	uint64 first;	/* where to begin */
	uint64 away_ms; /* of clock_ms: an orderer of its own organization was last asked then, if it
					   has any */
} BlockSources;

/*
 * the channel's configuration as it is now; states of addresses that stay are kept. In a
 * transaction
 */
extern void sources_refresh(BlockSources *sources, const Channel *channel);
/* the one to ask now; NULL: none before sources_next_ms */
extern BlockSourceState *sources_choose(BlockSources *sources, uint64 now_ms);
extern uint64 sources_next_ms(const BlockSources *sources, uint64 now_ms);
/*
 * how long a request may wait for new blocks there, and how long beyond that nothing may arrive
 * before it is given up
 */
extern int sources_wait_ms(const BlockSources *sources);
extern int sources_patience_ms(const BlockSources *sources);
/*
 * what became of a request. too_early: no block, and it did not wait for any. Conditions "source"
 * and "blocks" follow from these
 */
extern void sources_answered(BlockSources *sources, BlockSourceState *state, const char *channel,
							 bool with_blocks, bool too_early);
extern void sources_failed(BlockSources *sources, BlockSourceState *state, const char *channel,
						   const FbError *error);
/* blocks come from the local log again: what other nodes do is of no interest */
extern void sources_unneeded(const char *channel);

/* ---- witnesses.c: what other consenters say of a block that was sent ---- */

typedef struct Witness
{
	char address[WIRE_ADDRESS_BYTES];
	bool is_self;
	long away_ms;		  /* how long it is not asked after it did not answer; 0: it answered */
	uint64 away_until_ms; /* of clock_ms */
} Witness;

/* zero at first; lives as long as the process */
typedef struct Witnesses
{
	Witness list[FB_RAFT_NODES_MAX]; /* the consenters in the order of the configuration */
	int count;
	int preferred; /* who is asked first */
} Witnesses;

/*
 * The first blocks of an answer that may be committed: how many of its rows. When none of them may,
 * *why says what other consenters have instead: FB_BLOCK_REFUSED. source: the address that sent
 * them. idle is called again and again while others are waited for. Outside of a transaction;
 * allocates in the current memory context.
 */
extern int witnesses_confirm(Witnesses *witnesses, const char *channel, const char *source,
							 const WireCall *delivered, void (*idle)(void *argument),
							 void *argument, FbError *why);

#endif
