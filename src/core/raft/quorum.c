/*
 * quorum.c: the arithmetic of majorities, and nothing else.
 */
#include "core/raft/raft_internal.h"

uint32_t
quorum_size(uint32_t voters_count)
{
	return voters_count / 2 + 1;
}

/*
 * sorted from high to low, the value at place "quorum" has been reached by exactly the quorum in
 * front of it, or by more
 */
uint64_t
quorum_value(uint64_t *values, uint32_t voters_count)
{
	if (voters_count == 0)
		return 0;
	/* insertion sort: there are at most FB_RAFT_NODES_MAX */
	for (uint32_t i = 1; i < voters_count; i++)
	{
		uint64_t value = values[i];
		uint32_t at = i;

		while (at > 0 && values[at - 1] < value)
		{
			values[at] = values[at - 1];
			at--;
		}
		values[at] = value;
	}
	return values[quorum_size(voters_count) - 1];
}

RaftVoteResult
quorum_vote(uint32_t granted, uint32_t rejected, uint32_t voters_count)
{
	uint32_t needed = quorum_size(voters_count);

	if (voters_count == 0)
		return RAFT_VOTE_LOST;
	if (granted >= needed)
		return RAFT_VOTE_WON;
	if (voters_count - rejected < needed)
		return RAFT_VOTE_LOST;
	return RAFT_VOTE_PENDING;
}
