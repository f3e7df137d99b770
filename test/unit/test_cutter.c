/* the cutter: Fabric's rules, one table row per message */
#include "unit/check.h"

#include "core/block/block.h"

#define KEEP CUTTER_TIMER_KEEP
#define START CUTTER_TIMER_START
#define STOP CUTTER_TIMER_STOP

typedef enum What
{
	NORMAL,
	CONFIG,
	CUT /* the timer fires, or the pipeline is free */
} What;

typedef struct Step
{
	What what;
	uint64_t bytes;
	uint32_t batches[2]; /* 0: none */
	CutterTimer timer;
	uint32_t pending; /* afterwards */
} Step;

static void
run(const char *name, CutterLimits limits, const Step *steps, size_t steps_count)
{
	Cutter cutter;

	cutter_reset(&cutter);
	for (size_t i = 0; i < steps_count; i++)
	{
		CutterDecision decision;
		unsigned expected = (steps[i].batches[0] > 0) + (steps[i].batches[1] > 0);
		bool same;

		if (steps[i].what == CUT)
			cutter_cut_now(&cutter, &decision);
		else
			cutter_add(&cutter, &limits, steps[i].bytes, steps[i].what == CONFIG, &decision);
		same = decision.batches_count == expected &&
			   decision.batch_messages[0] == steps[i].batches[0] &&
			   decision.batch_messages[1] == steps[i].batches[1] &&
			   decision.timer == steps[i].timer && cutter.pending_count == steps[i].pending &&
			   cutter.timer_running == (steps[i].pending > 0);
		if (!CHECK(same))
			fprintf(stderr, "    %s, step %zu: batches %u (%u, %u), timer %d, pending %u\n", name,
					i, decision.batches_count, decision.batch_messages[0],
					decision.batch_messages[1], decision.timer, cutter.pending_count);
	}
}

#define RUN(name, count_max, bytes_max, ...)                     \
	do                                                           \
	{                                                            \
		static const Step steps_[] = {__VA_ARGS__};              \
		run(name, (CutterLimits) {count_max, bytes_max}, steps_, \
			sizeof(steps_) / sizeof(steps_[0]));                 \
	} while (0)

static void
test_rules(void)
{
	RUN("count", 3, 100, {NORMAL, 10, {0}, START, 1}, {NORMAL, 10, {0}, KEEP, 2},
		{NORMAL, 10, {3}, STOP, 0}, {NORMAL, 10, {0}, START, 1});
	RUN("one message per block", 1, 100, {NORMAL, 10, {1}, KEEP, 0}, {NORMAL, 200, {1}, KEEP, 0},
		{CONFIG, 10, {1}, KEEP, 0});
	RUN("no count at all cuts each message", 0, 100, {NORMAL, 10, {1}, KEEP, 0});
	RUN("exactly full is not an overflow", 10, 100, {NORMAL, 60, {0}, START, 1},
		{NORMAL, 40, {0}, KEEP, 2}, {NORMAL, 0, {0}, KEEP, 3},
		{NORMAL, 1, {3}, KEEP, 1}); /* the timer keeps running, as in Fabric */
	RUN("a message of just the preferred size is not isolated", 10, 100,
		{NORMAL, 100, {0}, START, 1}, {NORMAL, 100, {1}, KEEP, 1}, {NORMAL, 101, {1, 1}, STOP, 0},
		{NORMAL, 101, {1}, KEEP, 0});
	RUN("isolated after pending", 10, 100, {NORMAL, 10, {0}, START, 1}, {NORMAL, 10, {0}, KEEP, 2},
		{NORMAL, 1000, {2, 1}, STOP, 0});
	RUN("overflow, then full: two batches", 2, 100, {NORMAL, 90, {0}, START, 1},
		{NORMAL, 20, {1}, KEEP, 1}, {NORMAL, 20, {2}, STOP, 0});
	RUN("config", 10, 100, {CONFIG, 10, {1}, KEEP, 0}, {NORMAL, 10, {0}, START, 1},
		{CONFIG, 10, {1, 1}, STOP, 0}, {NORMAL, 10, {0}, START, 1},
		{CONFIG, 1000, {1, 1}, STOP, 0});
	RUN("timer and adaptive cutting", 10, 100, {CUT, 0, {0}, KEEP, 0}, {NORMAL, 10, {0}, START, 1},
		{NORMAL, 10, {0}, KEEP, 2}, {CUT, 0, {2}, STOP, 0}, {CUT, 0, {0}, KEEP, 0},
		{NORMAL, 95, {0}, START, 1}); /* the bytes of the old batch do not count */
	RUN("sizes beyond 32 bits", 10, UINT32_MAX, {NORMAL, UINT32_MAX, {0}, START, 1},
		{NORMAL, UINT32_MAX, {1}, KEEP, 1}, {NORMAL, UINT64_C(1) << 32, {1, 1}, STOP, 0});
}

static void
test_changed_limits(void)
{
	Cutter cutter;
	CutterDecision decision;

	/* a smaller limit takes effect with the next message */
	cutter_reset(&cutter);
	for (int i = 0; i < 5; i++)
		cutter_add(&cutter, &(CutterLimits) {10, 1000}, 1, false, &decision);
	CHECK(cutter.pending_count == 5);
	cutter_add(&cutter, &(CutterLimits) {3, 1000}, 1, false, &decision);
	CHECK(decision.batches_count == 1 && decision.batch_messages[0] == 6);
	cutter_add(&cutter, &(CutterLimits) {3, 1000}, 1, false, &decision);
	cutter_reset(&cutter);
	CHECK(cutter.pending_count == 0 && cutter.pending_bytes == 0 && !cutter.timer_running);
}

/* random messages: every message is in one batch or pending, and batches keep the limits */
static void
test_random(void)
{
	FbRand rand;
	Cutter cutter;
	CutterLimits limits = {7, 500};
	uint64_t queue[64];
	size_t queued = 0;

	fb_rand_seed(&rand, 42);
	cutter_reset(&cutter);
	for (int i = 0; i < 20000; i++)
	{
		uint64_t choice = fb_rand_below(&rand, 20);
		CutterDecision decision;
		bool kept = true;

		if (choice == 0)
			cutter_cut_now(&cutter, &decision);
		else
		{
			queue[queued++] = fb_rand_below(&rand, 700);
			cutter_add(&cutter, &limits, queue[queued - 1], choice == 1, &decision);
		}
		for (unsigned j = 0; j < decision.batches_count; j++)
		{
			uint32_t count = decision.batch_messages[j];
			uint64_t bytes = 0;

			if (count == 0 || count > queued || count > limits.message_count_max)
			{
				kept = false;
				break;
			}
			for (uint32_t k = 0; k < count; k++)
				bytes += queue[k];
			kept = kept && (count == 1 || bytes <= limits.preferred_bytes_max);
			queued -= count;
			memmove(queue, queue + count, queued * sizeof(queue[0]));
		}
		CHECK(kept && cutter.pending_count == queued);
	}
}

static void
test_size(void)
{
	uint64_t size = 0;
	FbError error;

	CHECK_STATUS(cutter_message_bytes(FB_BYTES_LITERAL("\x0a\x03"
													   "abc"
													   "\x12\x02"
													   "de"),
									  &size, &error),
				 FB_OK);
	CHECK(size == 5);
	CHECK_STATUS(cutter_message_bytes(FB_BYTES_LITERAL("\x0a\x03"
													   "ab"),
									  &size, &error),
				 FB_MALFORMED_MESSAGE);
	CHECK_STATUS(cutter_message_bytes(FB_BYTES_EMPTY, &size, &error), FB_OK);
	CHECK(size == 0);
}

int
main(void)
{
	CHECK_TEST(test_rules());
	CHECK_TEST(test_changed_limits());
	CHECK_TEST(test_random());
	CHECK_TEST(test_size());
	return check_finish("block/cutter");
}
