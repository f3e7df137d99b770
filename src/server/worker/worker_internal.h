/* common parts of the workers' main functions: start and sleep */
#ifndef FABRIC_SERVER_WORKER_INTERNAL_H
#define FABRIC_SERVER_WORKER_INTERNAL_H

#include "server/worker/worker.h"

#include "server/channel/channel.h"
#include "server/wire/wire.h"

/* arguments from the launcher to a worker, in BackgroundWorker.bgw_extra */
typedef struct WorkerOrder
{
	int slot_index;
	uint32 generation;
} WorkerOrder;

/*
 * Set up signals, slot and database connection. Ends the process without an error when it is not
 * the one that the slot expects. From then on an error that ends the process is noted in the slot
 * for fabric.stat_workers.
 */
extern ChannelSlot *worker_start(WorkerKind kind);

/*
 * Sleep until the latch is set, at most timeout_ms (-1: no limit); then reset the latch and serve
 * interrupts and configuration reloads.
 */
extern void worker_sleep(long timeout_ms);
/* the part of worker_sleep for workers that wait in another way: interrupts and reloads */
extern void worker_serve_interrupts(void);

/*
 * For the launcher: publish the roles of other nodes in node_roles.c; warns when they have too few
 * connections.
 */
extern void connections_publish(int channels_count);
/* ---- ledger_fork.c; both need a transaction ---- */

struct Channel;
struct OrderEntry;

/* true if there is evidence, not yet acknowledged, that this ledger differs from its log */
extern bool fork_is_open(const char *channel);
/* true if the entry follows this ledger's last block; false: the evidence was recorded */
extern bool fork_check(const struct Channel *channel, const struct OrderEntry *entry);

/* ---- reconcile.c: the ledger worker fetches missing private plaintext; see the note there ---- */

typedef struct Reconciler
{
	WireCall *call;	 /* current request; NULL: none */
	FbBytes request; /* bytes of the current request */
	char address[WIRE_ADDRESS_BYTES];
	RwSetVersion at;	/* the last requested transaction; not present: start with the first */
	int peer_index;		/* index of the peer to ask in this round */
	uint64 deadline_ms; /* of the call; this and next_ms are times of clock_ms */
	uint64 next_ms;
	uint64 pause_ms;	/* after the last round */
	FbError last_error; /* of the last request; empty message: it was answered */
} Reconciler;

/*
 * Do everything possible without waiting, outside of transactions. Returns the milliseconds until
 * the next call.
 */
extern long reconcile_turn(Reconciler *reconciler, const char *channel);

#endif
