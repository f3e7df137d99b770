/*
 * deliver: blocks go from node to node: the signed request and its answer, which node is asked, and
 * which blocks of an answer may be committed.
 */
#ifndef FABRIC_SERVER_DELIVER_H
#define FABRIC_SERVER_DELIVER_H

#include "server/channel/channel.h"
#include "server/wire/wire.h"

/* ---- deliver.c: blocks for other nodes ---- */

/*
 * A signed request for blocks: an envelope of type DELIVER_SEEK_INFO for all blocks from `from` on,
 * made and signed by this node; palloc'ed. Fresh for each request, since its timestamp is checked.
 */
extern FbBytes deliver_seek(const Channel *channel, uint64 from);

/*
 * the same for the headers and metadata of the blocks from `from` to `to`, without their
 * transactions (ab.SeekInfo, HEADER_WITH_SIG_BYTES)
 */
extern FbBytes deliver_seek_headers(const Channel *channel, uint64 from, uint64 to);

/*
 * Serve such a request: the blocks from its start (specified or oldest; to its stop if that is
 * specified) that are committed here, as orderers serve them, at most about bytes_max bytes but at
 * least one if there is one; waits up to wait_ms for the first. List of bytea *. Raises
 * FB_MALFORMED_MESSAGE, FB_INVALID_ARGUMENT (kind of request, time window), FB_CHANNEL_NOT_FOUND,
 * FB_ACCESS_DENIED (policy /Channel/Readers), FB_INVALID_SIGNATURE ...
 */
extern List *deliver_serve(FbBytes seek_envelope, int64 bytes_max, int wait_ms);

/* ---- sources.c: whom the ledger worker asks for blocks; see the note there ---- */

/* those behind the first ones of a configuration are not asked */
#define BLOCK_SOURCES_MAX 64

typedef struct BlockSourceState
{
	char address[WIRE_ADDRESS_BYTES];
	BlockSourceTier tier;
	uint64 not_before_ms; /* of clock_ms: left out until then, because it failed */
	uint64 backoff_ms;	  /* how long that was last; 0: it answered */
	bool refused;		  /* it failed because its blocks were not confirmed */
} BlockSourceState;

typedef struct BlockSources
{
	BlockSourceState list[BLOCK_SOURCES_MAX];
	int count;
	int current;
	uint64 first;	 /* where to begin */
	uint64 away_ms;	 /* of clock_ms: an orderer of its own organization was last asked then, if it
						has any */
	WireCall *probe; /* of one that failed, under way; NULL: none is */
	uint64 probe_until_ms;
	uint8_t probe_hash[CRYPTO_SHA256_BYTES]; /* of the block that it asks for */
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
/* another consenter has shown that it has the next block: ask it, if it is a source */
extern void sources_prefer(BlockSources *sources, const char *address);
/*
 * Probes of those that failed, while another one answers: which one is due (NULL: none), the
 * request with a signed seek of one block's header, whose hash this node knows, and a look whether
 * it is over.
 */
extern BlockSourceState *sources_to_probe(BlockSources *sources, uint64 now_ms);
extern void sources_probe_start(BlockSources *sources, const BlockSourceState *state, FbBytes seek,
								const uint8_t *block_hash);
extern void sources_probe_turn(BlockSources *sources, const char *channel);
/* blocks come from the local log again: what other nodes do is of no interest */
extern void sources_unneeded(BlockSources *sources, const char *channel);

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
	int preferred;			  /* who is asked first */
	bool compares_raft_index; /* this node has a Raft log, which goes on behind the blocks */
	int wanted_count;		  /* so many consenters that agree are enough, the source included */
	WireCall *early;		  /* asked together with a source; NULL: none */
	int early_index;
	uint64 early_from; /* the first block that it was asked for */
} Witnesses;

/* the consenters of the channel's configuration as it is now. In a transaction */
extern void witnesses_refresh(Witnesses *witnesses, const Channel *channel);
/*
 * Ask one witness for the headers of the blocks from a number on, at the same time as the source is
 * asked for the blocks; seek: a signed request for them. It is not asked where nothing is to be
 * compared. witnesses_confirm takes its answer; where there is nothing to confirm, end waits for it
 * for a moment and forgets it.
 */
extern void witnesses_ask_early(Witnesses *witnesses, const char *source, FbBytes seek, uint64 from,
								int wait_ms);
extern void witnesses_end_early(Witnesses *witnesses, void (*idle)(void *argument), void *argument);

/*
 * How many of an answer's blocks, from a row on, may be committed. Zero: *why says what other
 * consenters have instead (FB_BLOCK_REFUSED); less than all: ask again for the rest when these are
 * committed. source: the address that sent them. idle is called again and again while others are
 * waited for. Outside of a transaction; allocates in the current memory context.
 */
extern int witnesses_confirm(Witnesses *witnesses, const char *channel, const char *source,
							 const WireCall *delivered, int first_row, void (*idle)(void *argument),
							 void *argument, FbError *why);

#endif
