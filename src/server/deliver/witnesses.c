/*
 * witnesses.c: check that a received block is the one that was ordered.
 *
 * The problem. Orderers of a Raft channel sign their blocks individually, so a block with one
 * orderer's valid signature, which is all that the policy BlockValidation requires, may be an
 * invention of this orderer; and only that signer vouches for the index of its Raft entry. A
 * consenter that lost the beginning of its log would continue from a chain that Raft never
 * ordered, or wait for ever for an entry that does not exist. Fabric relies on the signature
 * alone, for peers and for orderers that catch up (orderer/consensus/etcdraft/chain.go, catchUp).
 *
 * The rule. A block is committed when two consenters have it: the source that sent it, and a
 * witness that was asked for the header and the metadata. Both must give the same header hash,
 * which covers the data and all earlier blocks, and, if this node is a consenter, the same Raft
 * index. If other consenters cannot be asked, the block is committed when those that do not
 * answer, together with those that agree, are a majority of the consenters: a block is ordered
 * when a majority has stored its entry, so if none of the reachable others has it, a majority must
 * be among the rest. A block that a reachable consenter contradicts is not accepted in that way.
 * So a consenter that lies cannot introduce its own block while the others are reachable, and with
 * a minority of consenters down a node still catches up from the remaining ones.
 *
 * A consenter applies the entries of its own log directly, without this check. With a single other
 * consenter there is nothing to compare.
 *
 * A refused block is requested again, from other nodes in turn: a witness that is slightly behind
 * has the block the next time. While a source and its witness differ, the node does not advance,
 * and reports it; it continues when the one that lies stops answering or tells the truth.
 *
 * Rejected: counting signatures of several orderers in one block, which Fabric's CFT orderers do
 * not make. Comparing only while a consenter catches up: a peer that accepted an invented block
 * would have left the channel for good. Comparing headers only: the hash does not cover the Raft
 * index, and a consenter with a wrong index never applies its log again.
 *
 * The price is one small request to one consenter for each answer with blocks. It is sent together
 * with the request for the blocks and waits at the witness for the same block, so it costs no
 * time; and a header that arrives before its block shows the worker that the source is late
 * (sources.c). If a witness does not answer within 0.25 s of the block, the others are asked too,
 * and for some seconds it is not the first to be asked. If its answer is needed, it is asked
 * together with the others.
 */
#include "server/deliver/deliver.h"

#include "access/xact.h"

#include "core/block/block.h"

/* how long a request may wait at a witness, which commits the block at about the same time */
#define WITNESS_WAIT_MS 1000
/* how long to wait for one witness before asking the others */
#define FIRST_WITNESS_MS 250
/* pause before a witness that lacks the block is asked again */
#define ASK_AGAIN_MS_MIN 100
/* how long to wait for a witness that recently did not answer, when all are asked */
#define AWAY_WITNESS_MS 1000
/* how long a witness that did not answer is not asked first */
#define AWAY_MS_MIN 2000
#define AWAY_MS_MAX 30000

/* the source's version of one block */
typedef struct Claim
{
	uint64 number;
	uint64 raft_index;
	uint8_t hash[CRYPTO_SHA256_BYTES];
	int matches_count; /* consenters that agree, including the source */
	bool contradicted; /* a consenter has something else */
} Claim;

typedef struct Question
{
	Witnesses *witnesses;
	const char *channel;
	const char *source;
	Claim *claims;
	int claims_count;
	FbBytes seek;
	/* by consenter; NULL: not asked, or the answer was processed */
	WireCall *calls[FB_RAFT_NODES_MAX];
	bool asked[FB_RAFT_NODES_MAX];
	uint64 asked_ms[FB_RAFT_NODES_MAX]; /* of clock_ms: time of the last request */
	bool answered[FB_RAFT_NODES_MAX];	/* at least once */
	/* according to its last answer it has none of the blocks */
	bool lacks[FB_RAFT_NODES_MAX];
	bool away[FB_RAFT_NODES_MAX]; /* it recently did not answer */
	int away_count;				  /* witnesses that did not answer this question */
	int open_count;				  /* witnesses whose answer is still unknown */
	const char *different;		  /* a witness that has something else; NULL: none */
	uint64 different_number;
} Question;

static bool
read_claim(FbBytes bytes, Claim *claim)
{
	BlockView block;
	FbError error;

	if (block_parse(bytes, memory_allocator(CurrentMemoryContext), &block, &error) != FB_OK)
		return false;
	claim->number = block.header.number;
	claim->matches_count = 0;
	claim->contradicted = false;
	block_header_hash(&block.header, claim->hash);
	claim->raft_index = block_raft_index(block.metadata[0], memory_allocator(CurrentMemoryContext));
	return true;
}

void
witnesses_refresh(Witnesses *witnesses, const Channel *channel)
{
	uint64 self_id = channel_raft_id(channel);

	witnesses->count = 0;
	for (size_t i = 0; i < channel->bundle->consenters_count && i < FB_RAFT_NODES_MAX; i++)
	{
		const ConfigConsenter *consenter = &channel->bundle->consenters[i];
		Witness *witness = &witnesses->list[i];
		char *address = channel_address(consenter->host, consenter->port);

		if (strcmp(witness->address, address) != 0)
		{
			memset(witness, 0, sizeof(*witness));
			strlcpy(witness->address, address, sizeof(witness->address));
		}
		witness->is_self = self_id != 0 && consenter_ids_id(&channel->consenter_ids, i) == self_id;
		witnesses->count++;
	}
	witnesses->compares_raft_index = self_id != 0;
	witnesses->wanted_count = Min(2, witnesses->count - (self_id != 0 ? 1 : 0));
}

/* read the current consenters, and sign a request for the headers of the claims */
static void
prepare_question(Question *question)
{
	MemoryContext context = CurrentMemoryContext;
	const Channel *channel;
	FbBytes seek;
	MemoryContext old;

	bracket_begin("comparing blocks with other orderers");
	channel = channel_open(question->channel);
	witnesses_refresh(question->witnesses, channel);
	seek = deliver_seek_headers(channel, question->claims[0].number,
								question->claims[question->claims_count - 1].number);
	old = MemoryContextSwitchTo(context);
	question->seek = memory_bytes(memory_bytea(seek));
	MemoryContextSwitchTo(old);
	bracket_commit();
}

static bool
is_source(const Question *question, int index)
{
	return strcmp(question->witnesses->list[index].address, question->source) == 0;
}

static bool
is_accepted(const Question *question, const Claim *claim)
{
	return claim->matches_count >= question->witnesses->wanted_count ||
		   (!claim->contradicted && question->open_count == 0 &&
			claim->matches_count + question->away_count >= question->witnesses->count / 2 + 1);
}

static int
count_accepted(const Question *question)
{
	int count = 0;

	while (count < question->claims_count && is_accepted(question, &question->claims[count]))
		count++;
	return count;
}

static void
witness_ask(Question *question, int index)
{
	question->asked[index] = true;
	question->asked_ms[index] = clock_ms();
	question->lacks[index] = false;
	question->calls[index] =
		wire_deliver_start(question->witnesses->list[index].address, question->seek,
						   guc_deliver_batch_size * 1024, WITNESS_WAIT_MS);
}

static void
note_away(Witness *witness)
{
	witness->away_ms = Min(Max(witness->away_ms * 2, AWAY_MS_MIN), AWAY_MS_MAX);
	witness->away_until_ms = clock_ms() + witness->away_ms;
}

/*
 * Process the answer of a witness: count matches up to the first block that it lacks, or has
 * otherwise.
 */
static void
compare_answer(Question *question, int index)
{
	WireCall *call = question->calls[index];

	question->calls[index] = NULL;
	question->open_count--;
	if (wire_call_error(call) != NULL)
	{
		question->away_count++;
		note_away(&question->witnesses->list[index]);
		wire_call_release(call);
		return;
	}
	question->witnesses->list[index].away_ms = 0;
	question->witnesses->list[index].away_until_ms = 0;
	question->witnesses->preferred = index;
	question->answered[index] = true;
	question->lacks[index] = wire_call_rows_count(call) == 0;
	for (int i = 0; i < question->claims_count && i < wire_call_rows_count(call); i++)
	{
		Claim *claim = &question->claims[i];
		Claim found;

		if (!read_claim(wire_call_row(call, i), &found) || found.number != claim->number ||
			(question->witnesses->compares_raft_index && found.raft_index != claim->raft_index) ||
			memcmp(found.hash, claim->hash, sizeof(found.hash)) != 0)
		{
			claim->contradicted = true;
			question->different = question->witnesses->list[index].address;
			question->different_number = claim->number;
			break;
		}
		claim->matches_count++;
	}
	wire_call_release(call);
}

/*
 * true if the question still waits for the call; for a witness that was away only when away_too is
 * set
 */
static bool
is_awaited(const Question *question, int index, bool away_too)
{
	return question->calls[index] != NULL && (away_too || !question->away[index]);
}

/*
 * While others have not answered, ask a witness that lacks the block again, at most once in
 * ASK_AGAIN_MS_MIN: it may commit the block at any moment, and the others may be frozen. The pause
 * limits the requests to a node that answers without waiting because it gets no blocks itself.
 * When all have answered, do not ask again.
 */
static void
ask_again(Question *question)
{
	bool unanswered = false;

	for (int i = 0; i < question->witnesses->count; i++)
		unanswered |= question->calls[i] != NULL && !question->answered[i];
	for (int i = 0; i < question->witnesses->count && unanswered; i++)
	{
		if (!question->lacks[i] || clock_ms() < question->asked_ms[i] + ASK_AGAIN_MS_MIN)
			continue;
		question->open_count++;
		witness_ask(question, i);
	}
}

/*
 * Process answers until the first block is accepted, all witnesses have answered, or the time is
 * over.
 */
static void
wait_for_answers(Question *question, long timeout_ms, long away_ms, void (*idle)(void *argument),
				 void *argument)
{
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz deadline = TimestampTzPlusMilliseconds(now, timeout_ms);
	TimestampTz away_until = TimestampTzPlusMilliseconds(now, away_ms);

	for (;;)
	{
		bool waiting = false;

		for (int i = 0; i < question->witnesses->count; i++)
		{
			if (question->calls[i] != NULL && wire_call_finished(question->calls[i]))
				compare_answer(question, i);
			waiting |= is_awaited(question, i, now < away_until);
		}
		if (!waiting || count_accepted(question) > 0 || now >= deadline)
			return;
		ask_again(question);
		(void) wire_wait(question->calls, question->witnesses->count, WIRE_WAIT_ANY,
						 now < away_until ? Min(away_until, deadline) : deadline, true);
		idle(argument);
		now = GetCurrentTimestamp();
	}
}

static void
witness_explain(const Question *question, FbError *why)
{
	if (question->different != NULL)
	{
		fb_fail(why, FB_BLOCK_REFUSED, "orderer %s has another block " UINT64_FORMAT,
				question->different, question->different_number);
		fb_error_detail(why, "Header hash or Raft index differ. The block is not committed here.");
		fb_error_hint(
			why,
			"One of the two nodes has diverged from the channel: compare the block with that of a third node. This node continues when the other node is stopped.");
		return;
	}
	fb_fail(why, FB_BLOCK_REFUSED, "no other orderer has block " UINT64_FORMAT,
			question->claims[0].number);
	fb_error_detail(why, "Those that can be reached do not have it. It is not committed here yet.");
	fb_error_hint(
		why,
		"It is asked for again. fabric.stat_channel of an orderer shows whether it gets the blocks of the channel.");
}

/* ---- the witness that is asked together with the source ---- */

void
witnesses_ask_early(Witnesses *witnesses, const char *source, FbBytes seek, uint64 from,
					int wait_ms)
{
	FB_ASSERT(witnesses->early == NULL);
	if (witnesses->wanted_count < 2)
		return;
	for (int i = 0; i < witnesses->count; i++)
	{
		int index = (witnesses->preferred + i) % witnesses->count;
		const Witness *witness = &witnesses->list[index];

		if (witness->is_self || strcmp(witness->address, source) == 0 ||
			clock_ms() < witness->away_until_ms)
			continue;
		witnesses->early =
			wire_deliver_start(witness->address, seek, guc_deliver_batch_size * 1024, wait_ms);
		witnesses->early_index = index;
		witnesses->early_from = from;
		return;
	}
}

static void
release_early(Witnesses *witnesses)
{
	wire_call_release(witnesses->early);
	witnesses->early = NULL;
}

void
witnesses_end_early(Witnesses *witnesses, void (*idle)(void *argument), void *argument)
{
	TimestampTz deadline = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), FIRST_WITNESS_MS);

	if (witnesses->early == NULL)
		return;
	while (!wire_call_finished(witnesses->early) && GetCurrentTimestamp() < deadline)
	{
		(void) wire_wait(&witnesses->early, 1, WIRE_WAIT_ANY, deadline, true);
		idle(argument);
	}
	if (wire_call_error(witnesses->early) != NULL)
		note_away(&witnesses->list[witnesses->early_index]);
	release_early(witnesses);
}

/* use the early answer like any other; false: it says nothing about these blocks */
static bool
take_early(Question *question)
{
	Witnesses *witnesses = question->witnesses;
	int index = witnesses->early_index;

	if (witnesses->early == NULL)
		return false;
	if (witnesses->early_from != question->claims[0].number || index >= witnesses->count ||
		witnesses->list[index].is_self || is_source(question, index) ||
		strcmp(witnesses->list[index].address, wire_call_address(witnesses->early)) != 0 ||
		(wire_call_finished(witnesses->early) && wire_call_error(witnesses->early) == NULL &&
		 wire_call_rows_count(witnesses->early) == 0))
	{
		release_early(witnesses);
		return false;
	}
	question->asked[index] = true;
	question->calls[index] = witnesses->early;
	witnesses->early = NULL;
	return true;
}

/* ---- the question ---- */

/* a witness that answered last time; -1: all are away */
static int
choose_first(const Question *question)
{
	const Witnesses *witnesses = question->witnesses;

	for (int i = 0; i < witnesses->count; i++)
	{
		int index = (witnesses->preferred + i) % witnesses->count;

		if (!witnesses->list[index].is_self && !is_source(question, index) &&
			!question->away[index])
			return index;
	}
	return -1;
}

/* count the source as the first match of each claim; all other consenters are open */
static void
count_source(Question *question)
{
	for (int i = 0; i < question->witnesses->count; i++)
	{
		const Witness *witness = &question->witnesses->list[i];

		if (witness->is_self)
			continue;
		if (!is_source(question, i))
		{
			question->open_count++;
			question->away[i] = clock_ms() < witness->away_until_ms;
			continue;
		}
		for (int c = 0; c < question->claims_count; c++)
			question->claims[c].matches_count++;
	}
}

static void
ask_witnesses(Question *question, void (*idle)(void *argument), void *argument)
{
	Witnesses *witnesses = question->witnesses;
	int first = -1;

	if (take_early(question))
		first = witnesses->early_index;
	else if (count_accepted(question) == 0 && (first = choose_first(question)) >= 0)
		witness_ask(question, first);
	if (first >= 0)
		wait_for_answers(question, FIRST_WITNESS_MS, FIRST_WITNESS_MS, idle, argument);
	if (count_accepted(question) == 0)
	{
		for (int i = 0; i < witnesses->count; i++)
			if (!witnesses->list[i].is_self && !is_source(question, i) && !question->asked[i])
				witness_ask(question, i);
		/* ask the first one again too, unless it is the only one */
		ask_again(question);
		wait_for_answers(question, WITNESS_WAIT_MS + guc_connect_timeout, AWAY_WITNESS_MS, idle,
						 argument);
	}
	for (int i = 0; i < witnesses->count; i++)
	{
		if (question->calls[i] == NULL)
			continue;
		/* a witness that was needed, or had the time of the first one, counts as away */
		if (!question->answered[i] && (count_accepted(question) == 0 || i == first))
		{
			compare_answer(question, i);
			continue;
		}
		/* its answer stays unknown, unless it said before that it lacks the block */
		if (question->answered[i])
			question->open_count--;
		wire_call_release(question->calls[i]);
		question->calls[i] = NULL;
	}
}

int
witnesses_confirm(Witnesses *witnesses, const char *channel, const char *source,
				  const WireCall *delivered, int first_row, void (*idle)(void *argument),
				  void *argument, FbError *why)
{
	int rows_count = wire_call_rows_count(delivered) - first_row;
	Question question = {.witnesses = witnesses, .channel = channel, .source = source};
	int accepted_count;

	question.claims = palloc(rows_count * sizeof(Claim) + 1);
	while (question.claims_count < rows_count &&
		   read_claim(wire_call_row(delivered, first_row + question.claims_count),
					  &question.claims[question.claims_count]))
		question.claims_count++;
	/* Bytes that cannot be parsed are not compared: the commit reports the error. */
	if (question.claims_count == 0)
		return Min(rows_count, 1);
	prepare_question(&question);
	count_source(&question);
	ask_witnesses(&question, idle, argument);
	accepted_count = count_accepted(&question);
	if (accepted_count == 0)
		witness_explain(&question, why);
	return accepted_count;
}
