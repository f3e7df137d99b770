/*
 * core/raft/quorum.c: every case up to seven voters, compared with the definition.
 */
#include "unit/check.h"

#include "core/raft/raft_internal.h"

static void
check_quorum_values(uint32_t voters_count)
{
	uint64_t cases_count = 1;

	for (uint32_t i = 0; i < voters_count; i++)
		cases_count *= voters_count;
	for (uint64_t number = 0; number < cases_count; number++)
	{
		uint64_t values[8];
		uint64_t rest = number;
		uint64_t expected = 0;
		uint64_t found;

		for (uint32_t i = 0; i < voters_count; i++, rest /= voters_count)
			values[i] = rest % voters_count;
		/* the highest value that more than half have reached */
		for (uint64_t value = 1; value < voters_count; value++)
		{
			uint32_t reached = 0;

			for (uint32_t i = 0; i < voters_count; i++)
				reached += values[i] >= value ? 1 : 0;
			if (2 * reached > voters_count)
				expected = value;
		}
		found = quorum_value(values, voters_count);
		if (found != expected)
		{
			CHECK(found == expected);
			return;
		}
	}
}

static void
test_quorums(void)
{
	for (uint32_t voters_count = 1; voters_count <= 7; voters_count++)
	{
		uint32_t size = quorum_size(voters_count);

		/* two quorums overlap, also with those of one voter more; and none is larger than needed */
		CHECK(2 * size > voters_count && 2 * (size - 1) <= voters_count);
		CHECK(size + quorum_size(voters_count + 1) > voters_count + 1);
		check_quorum_values(voters_count);
		for (uint32_t granted = 0; granted <= voters_count; granted++)
		{
			for (uint32_t rejected = 0; granted + rejected <= voters_count; rejected++)
			{
				uint32_t open = voters_count - granted - rejected;
				RaftVoteResult expected = 2 * granted > voters_count ? RAFT_VOTE_WON
										  : 2 * (granted + open) <= voters_count
											  ? RAFT_VOTE_LOST
											  : RAFT_VOTE_PENDING;

				CHECK(quorum_vote(granted, rejected, voters_count) == expected);
			}
		}
	}
}

int
main(void)
{
	CHECK_TEST(test_quorums());
	return check_finish("raft/quorum");
}
