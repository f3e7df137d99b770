/*
 * witnesses.c: is a block that another node sends the one that was ordered?
 *
 * The problem. Orderers of a Raft channel sign their blocks one by one, so a block with one
 * orderer's good signature, which is all that the policy BlockValidation asks for, may be one that
 * this orderer has made up; and the index of its Raft entry is said by that signer alone. A
 * consenter that had lost the beginning of its log would go on from a chain that Raft never
 * ordered, or wait for ever for an entry that does not exist. Fabric leaves it at the signature,
 * for peers and for orderers that catch up (orderer/consensus/etcdraft/chain.go, catchUp).
 *
 * The rule. A block is committed when two consenters have it: the one that sent it, and another one
 * that was asked for the header and the metadata. Both must give the same header hash, which covers
 * data and all blocks before, and to a consenter the same Raft index. If the others cannot be
 * asked, it is committed when those that cannot, together with those that agree, are a majority of
 * the consenters: a block is ordered when a majority has stored its entry, so a block that none of
 * the reachable others has needs a majority among the rest. One that a reachable one has otherwise
 * is not taken that way. So one consenter that lies cannot bring in a block of its own as long as
 * the others are there, and with a minority of consenters down a node still catches up from whoever
 * is left.
 *
 * A consenter of its own log does not come here at all: what the log has is applied from the log.
 * With a single other consenter there is nothing to compare.
 *
 * What is refused is asked for again, at other nodes in turn: a witness that is a little behind has
 * the block the next time. While a consenter and its witness differ, the node stays where it is,
 * and says so; it goes on when the one that lies stops answering or tells the truth.
 *
 * Rejected: to count signatures of several orderers in one block, which Fabric's CFT orderers do
 * not make; to compare only where a consenter catches up: a peer that took an invented block would
 * have left the channel for good. To compare headers only: the Raft index is outside of the hash,
 * and a consenter that believes a false one never applies its log again.
 *
 * The price is one small request to one consenter for each answer with blocks. It leaves together
 * with the request for the blocks and waits at the witness for the same block, so it costs no time;
 * and a header that comes before its block tells the worker that the source is late (sources.c).
 * A witness that does not answer within 0.25 s of the block is not waited for alone any longer, and
 * for some seconds it is not the first to be asked. Where its word is needed, it is asked with the
 * others.
 */
#include "server/deliver/deliver.h"

#include "access/xact.h"

#include "core/block/block.h"

/* how long a witness may wait for the first block: it commits it at about the same time */
#define WITNESS_WAIT_MS 1000
/* how long one witness is asked alone */
#define FIRST_WITNESS_MS 250
/* one that lacks the block is asked again after */
#define ASK_AGAIN_MS_MIN 100
/* how long one that did not answer lately is waited for when all are asked */
#define AWAY_WITNESS_MS 1000
/* one that did not answer is the first to be asked again after */
#define AWAY_MS_MIN 2000
#define AWAY_MS_MAX 30000

/* what the source says of one block */
typedef struct Claim
{
	uint64 number;
	uint64 raft_index;
	uint8_t hash[CRYPTO_SHA256_BYTES];
	int matches_count; /* consenters that say the same */
	bool contradicted; /* one says something else */
} Claim;

typedef struct Question
{
	Witnesses *witnesses;
	const char *channel;
	const char *source;
	Claim *claims;
	int claims_count;
	FbBytes seek;
	WireCall *calls[FB_RAFT_NODES_MAX]; /* by consenter; NULL: not asked, or looked at */
	bool asked[FB_RAFT_NODES_MAX];
	uint64 asked_ms[FB_RAFT_NODES_MAX]; /* of clock_ms: the last time */
	bool answered[FB_RAFT_NODES_MAX];	/* at least once */
	bool lacks[FB_RAFT_NODES_MAX];		/* its last answer was that it has none of the blocks */
	bool away[FB_RAFT_NODES_MAX];		/* it did not answer lately */
	int away_count;						/* those that did not answer now */
	int open_count;						/* witnesses that have neither answered nor are away */
	const char *different;				/* a witness that says something else; NULL: none */
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
		witness->is_self = i + 1 == self_id;
		witnesses->count++;
	}
	witnesses->compares_raft_index = self_id != 0;
	witnesses->wanted_count = Min(2, witnesses->count - (self_id != 0 ? 1 : 0));
}

/* who orders the channel now, and a request for the headers of the claims */
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

/* what a witness answered: counted up to the first block that it does not have, or has otherwise */
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
 * is a call that is under way waited for? One of a witness that was away not as long as the others'
 */
static bool
is_awaited(const Question *question, int index, bool away_too)
{
	return question->calls[index] != NULL && (away_too || !question->away[index]);
}

/*
 * While others have not answered, a witness that lacks the block is asked again: it may commit the
 * block at any moment, and the others may be frozen. Not where it answers at once, as a node does
 * that gets no blocks itself.
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
 * Take the answers that come until the first blocks are accepted, all have answered, or the time is
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
			"One of the two has left the channel's order: compare the block with a third node's. This node goes on when that one is stopped.");
		return;
	}
	fb_fail(why, FB_BLOCK_REFUSED, "no other orderer has block " UINT64_FORMAT,
			question->claims[0].number);
	fb_error_detail(why, "Those that can be reached do not have it. It is not committed here yet.");
	fb_error_hint(
		why,
		"It is asked for again. fabric.stat_channel of an orderer shows whether it gets the blocks of the channel.");
}

/* ---- the one that is asked together with the source ---- */

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

/* its answer counts like any other; false: it says nothing of these blocks */
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

/* one that answered last time; -1: none of those that are not away */
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

/* the source is the first that says so; the others are open */
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
		/* the first one too, unless it is the only one */
		ask_again(question);
		wait_for_answers(question, WITNESS_WAIT_MS + guc_connect_timeout, AWAY_WITNESS_MS, idle,
						 argument);
	}
	for (int i = 0; i < witnesses->count; i++)
	{
		if (question->calls[i] == NULL)
			continue;
		/* one that was needed, or had the time of the first one, is away */
		if (!question->answered[i] && (count_accepted(question) == 0 || i == first))
		{
			compare_answer(question, i);
			continue;
		}
		/* what it has not said stays open, unless it said before that it lacks the block */
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
	/* what is no block is not compared: the one who commits it says what is wrong */
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
