/*
 * deliver: transfer of blocks between nodes: the signed request and its answer, the choice of the
 * node to ask, and the check which blocks of an answer may be committed.
 */
#ifndef FABRIC_SERVER_DELIVER_H
#define FABRIC_SERVER_DELIVER_H

#include "server/channel/channel.h"
#include "server/wire/wire.h"

/* ---- deliver.c: blocks for other nodes ---- */

/*
 * A signed request for blocks: an envelope of type DELIVER_SEEK_INFO for all blocks from `from`
 * on, made and signed by this node; palloc'ed. Make a new one for each request, because the other
 * node checks its timestamp.
 */
extern FbBytes deliver_seek(const Channel *channel, uint64 from);

/*
 * The same for the headers and metadata of the blocks from `from` to `to`, without their
 * transactions (content type HEADER_WITH_SIG of ab.SeekInfo).
 */
extern FbBytes deliver_seek_headers(const Channel *channel, uint64 from, uint64 to);

/*
 * Serve such a request: the committed blocks from its start (specified or oldest) to its stop if
 * specified, as Fabric's orderers serve them. At most about bytes_max bytes, but at least one
 * block if there is one; waits up to wait_ms for the first. Returns a List of bytea *. Raises
 * FB_MALFORMED_MESSAGE, FB_INVALID_ARGUMENT (kind of request, time window), FB_CHANNEL_NOT_FOUND,
 * FB_ACCESS_DENIED (policy /Channel/Readers), FB_INVALID_SIGNATURE and others.
 */
extern List *deliver_serve(FbBytes seek_envelope, int64 bytes_max, int wait_ms);

/* ---- sources.c: the nodes that the ledger worker asks for blocks; see the note there ---- */

/* sources beyond this number in a configuration are ignored */
#define BLOCK_SOURCES_MAX 64

typedef struct BlockSourceState
{
	char address[WIRE_ADDRESS_BYTES];
	BlockSourceTier tier;
	uint64 not_before_ms; /* of clock_ms: not asked before, because it failed */
	uint64 backoff_ms;	  /* length of the last such pause; 0: it answered */
	bool refused;		  /* it failed because other consenters did not confirm its blocks */
} BlockSourceState;

typedef struct BlockSources
{
	BlockSourceState list[BLOCK_SOURCES_MAX];
	int count;
	int current;
	uint64 first; /* the source to begin with */
	/*
	 * of clock_ms: time of the last request to an orderer of this node's organization, if there is
	 * one
	 */
	uint64 away_ms;
	WireCall *probe; /* current probe of a source that failed; NULL: none */
	uint64 probe_until_ms;
	uint8_t probe_hash[CRYPTO_SHA256_BYTES]; /* of the block that the probe asks for */
} BlockSources;

/*
 * Read the sources from the channel's current configuration; the states of addresses that remain
 * are kept. In a transaction.
 */
extern void sources_refresh(BlockSources *sources, const Channel *channel);
/* the source to ask now; NULL: none before sources_next_ms */
extern BlockSourceState *sources_choose(BlockSources *sources, uint64 now_ms);
extern uint64 sources_next_ms(const BlockSources *sources, uint64 now_ms);
/*
 * wait: how long a request may wait for new blocks at the other node. patience: how long, beyond
 * that wait, no byte may arrive before this node gives up.
 */
extern int sources_wait_ms(const BlockSources *sources);
extern int sources_patience_ms(const BlockSources *sources);
/*
 * The result of a request. too_early: no block, and the node answered before the wait was over.
 * These functions maintain the conditions "source" and "blocks".
 */
extern void sources_answered(BlockSources *sources, BlockSourceState *state, const char *channel,
							 bool with_blocks, bool too_early);
extern void sources_failed(BlockSources *sources, BlockSourceState *state, const char *channel,
						   const FbError *error);
/* another consenter has the next block: ask it next, if it is a source */
extern void sources_prefer(BlockSources *sources, const char *address);
/*
 * Probes of sources that failed, while another one answers. to_probe: the source to probe now
 * (NULL: none). start: send it a signed seek for one block's header, whose hash this node knows.
 * turn: handle the answer, or its absence.
 */
extern BlockSourceState *sources_to_probe(BlockSources *sources, uint64 now_ms);
extern void sources_probe_start(BlockSources *sources, const BlockSourceState *state, FbBytes seek,
								const uint8_t *block_hash);
extern void sources_probe_turn(BlockSources *sources, const char *channel);
/* blocks come from the local log again: end all conditions about other nodes */
extern void sources_unneeded(BlockSources *sources, const char *channel);

/* ---- witnesses.c: comparison of a received block with other consenters' copies ---- */

typedef struct Witness
{
	char address[WIRE_ADDRESS_BYTES];
	bool is_self;
	/* how long it is not asked first after it did not answer; 0: it answered */
	long away_ms;
	uint64 away_until_ms; /* of clock_ms */
} Witness;

/* zero at first; lives as long as the process */
typedef struct Witnesses
{
	Witness list[FB_RAFT_NODES_MAX]; /* the consenters in the order of the configuration */
	int count;
	int preferred;			  /* index of the consenter to ask first */
	bool compares_raft_index; /* this node has a Raft log, which continues after the blocks */
	/* number of consenters, including the source, that must agree */
	int wanted_count;
	/* request to a witness, sent together with the one to the source; NULL: none */
	WireCall *early;
	int early_index;
	uint64 early_from; /* the first block that it was asked for */
} Witnesses;

/* read the consenters from the channel's current configuration. In a transaction. */
extern void witnesses_refresh(Witnesses *witnesses, const Channel *channel);
/*
 * Ask one witness for the headers of the blocks from number `from` on, at the same time as the
 * source is asked for the blocks. seek: a signed request for them. Does nothing when there is
 * nothing to compare. witnesses_confirm takes the answer; when there is nothing to confirm,
 * witnesses_end_early waits briefly for the answer and discards it.
 */
extern void witnesses_ask_early(Witnesses *witnesses, const char *source, FbBytes seek, uint64 from,
								int wait_ms);
extern void witnesses_end_early(Witnesses *witnesses, void (*idle)(void *argument), void *argument);

/*
 * The number of blocks of an answer, from first_row on, that may be committed. Zero: *why tells
 * what other consenters have instead (FB_BLOCK_REFUSED). Less than all: commit these, then call
 * again for the rest. source: the address that sent them. idle is called repeatedly during waits.
 * Outside of a transaction; allocates in the current memory context.
 */
extern int witnesses_confirm(Witnesses *witnesses, const char *channel, const char *source,
							 const WireCall *delivered, int first_row, void (*idle)(void *argument),
							 void *argument, FbError *why);

#endif
