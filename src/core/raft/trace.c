/*
 * trace.c: one readable line per decision: "node role term: what and why".
 */
#include "core/raft/raft_internal.h"

#include <inttypes.h>
#include <stdio.h>

void
trace_line(Raft *raft, const char *format, ...)
{
	size_t space = RAFT_TRACE_BYTES - raft->trace_bytes;
	int head;
	int body;
	va_list arguments;

	/* a line goes in whole or not at all */
	head = snprintf(raft->trace + raft->trace_bytes, space, "%" PRIu64 " %s %" PRIu64 ": ",
					raft->id, raft_role_name(raft->role), raft->term);
	if (head < 0 || (size_t) head >= space)
	{
		raft->trace[raft->trace_bytes] = '\0';
		return;
	}
	va_start(arguments, format);
	body = vsnprintf(raft->trace + raft->trace_bytes + head, space - head, format, arguments);
	va_end(arguments);
	if (body < 0 || (size_t) (head + body) + 1 >= space)
	{
		raft->trace[raft->trace_bytes] = '\0';
		return;
	}
	raft->trace_bytes += head + body;
	raft->trace[raft->trace_bytes++] = '\n';
	raft->trace[raft->trace_bytes] = '\0';
}

void
raft_trace_enable(Raft *raft, bool enabled)
{
	raft->trace_enabled = enabled;
	raft->trace_bytes = 0;
	raft->trace[0] = '\0';
}

const char *
raft_trace(const Raft *raft)
{
	return raft->trace;
}

const char *
raft_role_name(RaftRole role)
{
	switch (role)
	{
		case RAFT_FOLLOWER:
			return "follower";
		case RAFT_PRE_CANDIDATE:
			return "pre_candidate";
		case RAFT_CANDIDATE:
			return "candidate";
		case RAFT_LEADER:
			return "leader";
	}
	return "unknown";
}

const char *
raft_evidence_name(RaftEvidenceKind kind)
{
	switch (kind)
	{
		case RAFT_EVIDENCE_NONE:
			return "none";
		case RAFT_EVIDENCE_TWO_LEADERS:
			return "two_leaders";
		case RAFT_EVIDENCE_COMMITTED:
			return "committed_entry_contradicted";
		case RAFT_EVIDENCE_LOST_ENTRIES:
			return "confirmed_entries_lost";
		case RAFT_EVIDENCE_CONFIRMATION:
			return "impossible_confirmation";
		case RAFT_EVIDENCE_VOTERS:
			return "other_voters";
		case RAFT_EVIDENCE_VOTE:
			return "impossible_vote";
		case RAFT_EVIDENCE_REFUSED_BY_FOLLOWER:
			return "entries_refused_by_follower";
	}
	return "unknown";
}

const char *
raft_message_type_name(RaftMessageType type)
{
	switch (type)
	{
		case RAFT_PRE_VOTE:
			return "pre_vote";
		case RAFT_PRE_VOTE_RESPONSE:
			return "pre_vote_response";
		case RAFT_VOTE:
			return "vote";
		case RAFT_VOTE_RESPONSE:
			return "vote_response";
		case RAFT_APPEND:
			return "append";
		case RAFT_APPEND_RESPONSE:
			return "append_response";
		case RAFT_HEARTBEAT:
			return "heartbeat";
		case RAFT_HEARTBEAT_RESPONSE:
			return "heartbeat_response";
		case RAFT_SNAPSHOT:
			return "snapshot";
		case RAFT_TIMEOUT_NOW:
			return "timeout_now";
		case RAFT_HELLO:
			return "hello";
		case RAFT_HELLO_RESPONSE:
			return "hello_response";
	}
	return "unknown";
}
