/*
 * submit.c: hand a signed transaction to an orderer.
 *
 * If this node has an orderer, that one takes the transaction: it costs only a copy. If there is
 * none, or it cannot take the transaction now, the channel's other orderers are asked one after the
 * other. An orderer that takes longer than usual (pg/answer_times.c) is late, but its call stays
 * open: the next one is asked too, and the first acceptance counts. An envelope that several
 * orderers take is ordered once, so asking twice costs only work. When all orderers have been asked
 * and only late ones are open, the round ends and a new one begins.
 *
 * Busy, no leader and unreachable are tried again, in rounds, until fabric.broadcast_timeout. The
 * last answer of each orderer is kept. When the time is over, the error is the answer that says
 * most (an orderer that knows of no leader says more than one that cannot be reached), and its
 * detail lists the answers of all.
 */
#include "server/gateway/gateway_internal.h"

#include "miscadmin.h"
#include "utils/wait_event.h"

#include "server/order/order.h"
#include "server/wire/wire.h"

/* the longest that one round takes before the next one begins */
#define ATTEMPT_MS 5000
/* a round of submit_again is shorter, because the block may arrive meanwhile */
#define ATTEMPT_AGAIN_MS 1000
#define RETRY_MS_MIN 20
#define RETRY_MS_MAX 500
/*
 * No round begins with less time than this: a request that is cut off without an answer would leave
 * the transaction in doubt without need.
 */
#define ROUND_MS_MIN 100

/* ---- doubt ---- */

static void
tell_doubt(void *argument)
{
	const Doubt *doubt = argument;

	if (doubt->exists)
		errcontext(
			"transaction %s was sent to an orderer and may be committed: check with fabric.commit_status",
			doubt->tx_id);
}

void
doubt_begin(Doubt *doubt, FbBytes tx_id)
{
	strlcpy(doubt->tx_id, FB_DISPLAY(tx_id), sizeof(doubt->tx_id));
	doubt->exists = false;
	doubt->callback.callback = tell_doubt;
	doubt->callback.arg = doubt;
	doubt->callback.previous = error_context_stack;
	error_context_stack = &doubt->callback;
}

void
doubt_end(Doubt *doubt)
{
	error_context_stack = doubt->callback.previous;
}

/* ---- answers of the orderers ---- */

/* one orderer's last answer */
typedef struct Said
{
	const char *address; /* NULL: this node's own */
	FbStatus status;
	FbError error;
	bool unanswered; /* a later request got no answer in time */
} Said;

typedef struct Submission
{
	const Channel *channel;
	const Envelope *envelope;
	List *said;				 /* of Said * */
	const struct Said *last; /* the newest of them */
	bool doubtful;			 /* an orderer may have taken it */
} Submission;

static Said *
find_said(const Submission *submission, const char *address)
{
	ListCell *cell;

	foreach(cell, submission->said)
	{
		Said *said = lfirst(cell);

		if (address == NULL ? said->address == NULL
							: said->address != NULL && strcmp(said->address, address) == 0)
			return said;
	}
	return NULL;
}

static void
note_said(Submission *submission, const char *address, const FbError *error)
{
	Said *said = find_said(submission, address);

	if (said == NULL)
	{
		said = palloc0(sizeof(Said));
		said->address = address != NULL ? pstrdup(address) : NULL;
		submission->said = lappend(submission->said, said);
	}
	slow_call_note("%s: %s", address != NULL ? address : "this node's orderer", error->message);
	said->status = error->status;
	said->error = *error;
	said->unanswered = false;
	submission->last = said;
}

/*
 * May another orderer take it, or this one a moment later? FB_CHAINS_DIFFER of another orderer
 * concerns that one alone. If this node's own orderer says so, callers stop, because this node
 * would not commit what others order.
 */
static bool
is_temporary(FbStatus status)
{
	return status == FB_CHAINS_DIFFER || status == FB_BUSY || status == FB_NO_LEADER ||
		   status == FB_NODE_UNREACHABLE || status == FB_NOT_CONSENTER;
}

/* rank by how much the status says about why the transaction was not taken */
static int
rank_status(FbStatus status)
{
	switch (status)
	{
		case FB_BUSY:
			return 3;
		case FB_NO_LEADER:
			return 2;
		case FB_NOT_CONSENTER:
			return 1;
		default:
			return 0;
	}
}

/*
 * Make one error of all orderers' last answers, with a detail such as "localhost:5441: channel ...
 * has no leader now (...); localhost:5442: could not connect ...".
 */
static void
compose_error(const Submission *submission, FbError *error)
{
	const Said *most = NULL;
	StringInfoData detail;
	ListCell *cell;

	foreach(cell, submission->said)
	{
		const Said *said = lfirst(cell);

		if (most == NULL || rank_status(said->status) > rank_status(most->status))
			most = said;
	}
	if (most == NULL)
	{
		fb_fail(error, FB_NO_LEADER, "channel \"%s\" has no orderer that can be asked",
				submission->channel->name);
		return;
	}
	*error = most->error;
	if (list_length(submission->said) == 1)
		return;
	initStringInfo(&detail);
	foreach(cell, submission->said)
	{
		const Said *said = lfirst(cell);

		appendStringInfo(&detail, "%s%s: %s", detail.len > 0 ? "; " : "",
						 said->address != NULL ? said->address : "this node", said->error.message);
		if (said->error.detail[0] != '\0')
		{
			appendStringInfo(&detail, " (%s", said->error.detail);
			while (detail.len > 0 && detail.data[detail.len - 1] == '.')
				detail.data[--detail.len] = '\0';
			appendStringInfoChar(&detail, ')');
		}
		if (said->unanswered)
			appendStringInfoString(&detail, ", and has not answered the last request");
	}
	fb_error_detail(error, "%s.", detail.data);
	if (most->status == FB_NO_LEADER)
		fb_error_hint(
			error,
			"More than half of the channel's orderers must run and reach one another: see fabric.stat_orderer at each.");
}

/* ---- one round ---- */

/* one orderer in a round */
typedef struct Attempt
{
	const char *address;
	WireCall *call; /* NULL: not asked, or finished */
	TimestampTz patience_until;
	bool late; /* patience_until has passed */
} Attempt;

typedef struct Round
{
	Submission *submission;
	Attempt *attempts;
	int count;
	int asked_count;
	/* At least one orderer, this node's own included, has answered without taking it. */
	bool any_answered;
	TimestampTz until; /* the end of the round */
	/*
	 * The session's Doubt.exists: set before a request is sent, so that a cancellation finds it
	 * true.
	 */
	bool *in_doubt;
} Round;

/* list the other orderers in the order in which they are asked */
static void
list_orderers(const Channel *channel, Round *round)
{
	bool probe;
	List *addresses = candidates_for_submission(channel, &probe);
	ListCell *cell;

	round->attempts = palloc0(list_length(addresses) * sizeof(Attempt) + 1);
	foreach(cell, addresses)
		round->attempts[round->count++].address = lfirst(cell);
	if (probe)
	{
		/* its answer is not waited for: its patience ends at once */
		*round->in_doubt = true;
		round->attempts[0].call = wire_submit_start(round->attempts[0].address, channel->name,
													round->submission->envelope->bytes);
		round->attempts[0].patience_until = GetCurrentTimestamp();
		round->asked_count = 1;
	}
}

static int
count_unanswered(const Round *round)
{
	int count = 0;

	for (int i = 0; i < round->asked_count; i++)
		count += round->attempts[i].call != NULL;
	return count;
}

/* Take the answer of an orderer, or note that there was none; the call is released. */
static FbStatus
submit_take_answer(Round *round, Attempt *attempt)
{
	bool finished = wire_call_finished(attempt->call);
	const WireError *failure = wire_call_error(attempt->call);
	FbStatus status = failure != NULL ? failure->error.status : FB_OK;
	FbError error;
	Said *said;

	if (failure != NULL)
	{
		error = failure->error;
		if (!failure->not_executed)
		{
			round->submission->doubtful = true;
			fb_error_detail(
				&error,
				"%s%sIt is not known whether the orderer at %s has accepted the transaction.",
				failure->error.detail, failure->error.detail[0] != '\0' ? ". " : "",
				attempt->address);
		}
		else if (error.detail[0] == '\0' && status == FB_NODE_UNREACHABLE)
			fb_error_detail(&error, "The connection to the orderer at %s was not made in time.",
							attempt->address);
		else if (error.detail[0] == '\0')
			fb_error_detail(&error, "Answer of the orderer at %s.", attempt->address);
		/* a missing answer says less than the orderer's last answer, so keep that */
		said = find_said(round->submission, attempt->address);
		if (finished || said == NULL)
			note_said(round->submission, attempt->address, &error);
		else
			said->unanswered = !failure->not_executed;
	}
	wire_call_release(attempt->call);
	attempt->call = NULL;
	return status;
}

/*
 * Have all orderers answered except late ones? Then the round ends, because an orderer that knew of
 * no leader may know one now, while waiting for a frozen leader would take the rest of the round.
 * If none has answered at all, there is nothing better to do than to wait.
 */
static bool
all_others_late(const Round *round, TimestampTz now)
{
	if (!round->any_answered || round->asked_count < round->count)
		return false;
	for (int i = 0; i < round->asked_count; i++)
		if (round->attempts[i].call != NULL && now < round->attempts[i].patience_until)
			return false;
	return true;
}

/* ask the next orderer, unless the one before it is still within its usual time */
static void
ask_next(Round *round)
{
	const Attempt *last = round->asked_count > 0 ? &round->attempts[round->asked_count - 1] : NULL;
	Attempt *next = &round->attempts[round->asked_count];

	if (round->asked_count == round->count ||
		(last != NULL && last->call != NULL && GetCurrentTimestamp() < last->patience_until))
		return;
	*round->in_doubt = true;
	next->call = wire_submit_start(next->address, round->submission->channel->name,
								   round->submission->envelope->bytes);
	next->patience_until = GetCurrentTimestamp();
	/* if others answer, do not wait for one that gave no answer lately */
	if (!round->any_answered || !answer_is_silent(next->address, ANSWER_SUBMISSION))
		next->patience_until =
			TimestampTzPlusMilliseconds(next->patience_until, wire_call_patience_ms(next->call));
	round->asked_count++;
}

/*
 * Wait for the orderers that were asked, until one answers or it is time to ask the next one.
 * Returns a final status, or a temporary one if there is none yet.
 */
static FbStatus
collect_answers(Round *round)
{
	WireCall **calls = palloc(round->asked_count * sizeof(WireCall *) + 1);
	TimestampTz until = round->until;
	FbStatus status = FB_NO_LEADER;
	int count = 0;

	for (int i = 0; i < round->asked_count; i++)
	{
		const Attempt *attempt = &round->attempts[i];

		if (attempt->call == NULL)
			continue;
		calls[count++] = attempt->call;
		if (!attempt->late)
			until = Min(until, attempt->patience_until);
	}
	(void) wire_wait(calls, count, WIRE_WAIT_ANY, until, false);
	for (int i = 0; i < round->asked_count && is_temporary(status); i++)
	{
		Attempt *attempt = &round->attempts[i];

		if (attempt->call == NULL)
			continue;
		if (wire_call_finished(attempt->call))
		{
			status = submit_take_answer(round, attempt);
			round->any_answered = true;
		}
		else if (!attempt->late && GetCurrentTimestamp() >= attempt->patience_until)
		{
			attempt->late = true;
			wire_call_note_late(attempt->call);
			slow_call_note("orderer %s was late", attempt->address);
		}
	}
	pfree(calls);
	return status;
}

/*
 * Ask every orderer once, until the time is over; FB_OK when one has taken it. *in_doubt: see
 * Round.
 */
static FbStatus
try_all(Submission *submission, TimestampTz until, bool *in_doubt, FbError *error)
{
	Round round = {.submission = submission, .until = until, .in_doubt = in_doubt};
	FbStatus status = FB_NO_LEADER;

	if (channel_raft_id(submission->channel) != 0)
	{
		status = order_broadcast(submission->channel, submission->envelope, error);
		if (!is_temporary(status))
			return status;
		if (status == FB_CHAINS_DIFFER)
			return FB_CHAINS_DIFFER;
		note_said(submission, NULL, error);
		round.any_answered = true;
	}
	list_orderers(submission->channel, &round);
	status = FB_NO_LEADER;
	do
	{
		ask_next(&round);
		if (count_unanswered(&round) > 0)
			status = collect_answers(&round);
	} while (is_temporary(status) && GetCurrentTimestamp() < until &&
			 !all_others_late(&round, GetCurrentTimestamp()) &&
			 (count_unanswered(&round) > 0 || round.asked_count < round.count));
	for (int i = 0; i < round.asked_count; i++)
	{
		if (round.attempts[i].call != NULL && is_temporary(status))
			(void) submit_take_answer(&round, &round.attempts[i]);
		else
			wire_call_release(round.attempts[i].call);
	}
	*in_doubt = submission->doubtful;
	if (is_temporary(status))
		compose_error(submission, error);
	else if (status != FB_OK)
		*error = submission->last->error;
	return is_temporary(status) ? error->status : status;
}

/* ---- rounds until an orderer has taken it ---- */

static void
pause_ms(long milliseconds)
{
	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, milliseconds,
					 PG_WAIT_EXTENSION);
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
}

void
submit_in_doubt(const Channel *channel, const Envelope *envelope, Doubt *doubt)
{
	TimestampTz deadline =
		TimestampTzPlusMilliseconds(GetCurrentTimestamp(), guc_broadcast_timeout);
	Submission submission = {.channel = channel, .envelope = envelope, .doubtful = doubt->exists};
	long retry_ms = RETRY_MS_MIN;
	FbStatus status;
	FbError error;

	while ((status = try_all(&submission,
							 Min(deadline,
								 TimestampTzPlusMilliseconds(GetCurrentTimestamp(), ATTEMPT_MS)),
							 &doubt->exists, &error)) != FB_OK)
	{
		/* this node's own answer: its ledger would not commit what others order */
		bool forked = status == FB_CHAINS_DIFFER && channel_raft_id(submission.channel) != 0;
		long left_ms = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), deadline);

		if (forked || !is_temporary(status) || left_ms <= ROUND_MS_MIN)
		{
			if (doubt->exists)
				fb_error_hint(
					&error,
					"Check with fabric.commit_status whether the transaction was committed before you repeat the call.");
			error_throw(&error);
		}
		pause_ms(Min(retry_ms, left_ms - ROUND_MS_MIN));
		retry_ms = Min(retry_ms * 2, RETRY_MS_MAX);
		/* open it again: its configuration may have changed, or the node may have left it */
		submission.channel = channel_open(channel->name);
	}
	doubt->exists = true;
}

FbStatus
submit_again(const Channel *channel, const Envelope *envelope, TimestampTz deadline, FbError *error)
{
	Submission submission = {.channel = channel, .envelope = envelope, .doubtful = true};
	bool in_doubt = true;

	return try_all(&submission,
				   Min(deadline,
					   TimestampTzPlusMilliseconds(GetCurrentTimestamp(), ATTEMPT_AGAIN_MS)),
				   &in_doubt, error);
}

void
gateway_submit(const Envelope *envelope)
{
	const Channel *channel = gateway_open_writable(memory_cstring(envelope->channel_id));
	Doubt doubt;

	doubt_begin(&doubt, envelope->tx_id);
	submit_in_doubt(channel, envelope, &doubt);
	doubt_end(&doubt);
}
