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

#endif
