/* what the files of gateway share */
#ifndef FABRIC_SERVER_GATEWAY_INTERNAL_H
#define FABRIC_SERVER_GATEWAY_INTERNAL_H

#include "server/chaincode/chaincode.h"
#include "server/gateway/gateway.h"
#include "server/wire/wire.h"

#include "server/wire/wire.h"

/*
 * the longest that an answer is waited for before somebody else is asked too, whatever it usually
 * takes (wire_call_patience_ms)
 */
#define GATEWAY_PATIENCE_MS_MAX (guc_endorsement_timeout / 3)

/*
 * a node that answers with so many blocks less than the caller has seen is asked after the others
 * of its organization for so long
 */
#define GATEWAY_BLOCKS_BEHIND 10
#define GATEWAY_BEHIND_MS 10000

/* ---- candidates.c: the nodes of an organization, in the order in which they are asked ---- */

typedef struct Candidate
{
	const char *address; /* of another node: "host:port" */
	bool avoid; /* it did not answer lately, or cannot endorse the chaincode: asked only where
				   nobody else will do */
} Candidate;

/*
 * The other nodes of an organization, this node's own organization included: List of Candidate *;
 * NIL: none is known. call_name: see plan_call_name; empty: the function is not known.
 */
extern List *candidates_of_organization(const Channel *channel, const char *msp_id,
										FbBytes chaincode, FbBytes call_name);
/*
 * the node has just shown that it cannot endorse the chaincode; note_error: if that is what this
 * error of it means
 */
extern void candidate_note_unfit(const Channel *channel, FbBytes chaincode, const char *address);
extern void candidate_note_error(const Channel *channel, FbBytes chaincode, const char *address,
								 FbStatus status);
/*
 * for messages: the organization, and where it has several nodes also which one; address NULL: this
 * node
 */
extern const char *candidate_name(const Channel *channel, const char *msp_id, const char *address);
/*
 * this node's address among the anchor peers of its organization; NULL: it has none, or it is not
 * known which
 */
extern const char *candidate_own_address(const Channel *channel);
/*
 * The other nodes that order the channel: List of char *. *probe becomes true when the first one
 * did not answer lately and is to be asked besides, without waiting for its answer
 * (answer_take_probe).
 */
extern List *candidates_for_submission(const Channel *channel, bool *probe);

/* ---- plan.c: whom to ask ---- */

/*
 * a node that can be asked for an endorsement. Those of one organization stand together, the ones
 * to be asked first at the front
 */
typedef struct PlanMember
{
	const char *msp_id;
	const char *address; /* NULL: this node */
	bool failed;		 /* it answered with an error, or not at all */
	bool slow; /* no session of this node got an answer lately: asked only where nobody else will do
				*/
	bool late; /* it was asked in this call and has not answered for longer than usual: likewise,
				  after all others */
	bool differs; /* it answered otherwise than those whose answers are being combined */
} PlanMember;

typedef struct EndorsementPlan
{
	PlanMember *members; /* this node first, then those of its organization */
	size_t members_count;
	ChaincodeDefinition definition;
	const Policy *const
		*policies; /* all of them have to be satisfied; an entry NULL is satisfied by nobody */
	size_t policies_count;
	bool plain; /* the policies are those of the chaincode itself, and nothing else */
	bool fixed; /* the client named the organisations: all of them, no replacement */
	FbAllocator *allocator;
} EndorsementPlan;

/*
 * The plan for a proposal: committed definition and policy from local tables, no other node is
 * asked. Raises FB_CHAINCODE_NOT_FOUND, FB_INVALID_ARGUMENT (an organisation that is not in the
 * channel or has no address).
 */
extern EndorsementPlan *plan_create(const Channel *channel, const ProposalView *proposal,
									List *organisations);
/* the same for any call of a chaincode, as far as it is known without a proposal */
extern EndorsementPlan *plan_create_for_chaincode(const Channel *channel, const char *chaincode);
/*
 * from now on the members have to satisfy what a transaction needs that touches this; false: that
 * is what they had to satisfy before
 */
extern bool plan_set_interest(EndorsementPlan *plan, const Channel *channel,
							  const InterestCall *calls, size_t calls_count);
/*
 * The members to ask, indexes in ascending order: none that failed or differs, no slow one if
 * possible, and of each organization the first of them, unless the policy wants several. False when
 * the rest cannot satisfy the policy.
 */
extern bool plan_choose(EndorsementPlan *plan, const uint32_t **members, size_t *members_count);

/*
 * all minimal combinations of members that have not failed, up to a number; of the nodes of one
 * organization the first ones stand for all
 */
extern void plan_list_layouts(EndorsementPlan *plan, size_t layouts_max, PolicyLayout **layouts,
							  size_t *layouts_count);

/* ---- needs.c: which policies a transaction needs ---- */

/*
 * The policies that committers ask for, by the present definitions and configuration; at least one,
 * each application policy once. definition: of the chaincode that is called
 */
extern void needs_of_interest(const Channel *channel, const ChaincodeDefinition *definition,
							  const InterestCall *calls, size_t calls_count, FbAllocator *allocator,
							  const Policy *const **policies, size_t *policies_count);
extern bool needs_collection_exists(const Channel *channel, const ChaincodeDefinition *definition,
									FbBytes collection, FbAllocator *allocator);
/*
 * may an organization have the plaintext of a collection? As Fabric's discovery asks where private
 * data is read; false for no such collection
 */
extern bool needs_is_member(const Channel *channel, const ChaincodeDefinition *definition,
							FbBytes collection, const char *msp_id, FbAllocator *allocator);

/* ---- heights.c: how many blocks of a channel the caller may have seen ---- */

/* those that this node has now: everything that a view or a query can show */
extern uint64 height_of_node(const Channel *channel);

/* ---- fan_out.c, agree.c: one proposal, asked at several organizations ---- */

/* one member's part in the fan-out */
typedef struct Branch
{
	WireCall *call; /* NULL: this node, or not asked */
	TimestampTz
		patience_until; /* of the call; 0: it was not waited for yet, because this node simulates */
	uint64 asked_height;  /* the last request asked for an answer with so many blocks */
	uint64 asked_seen;	  /* ... and said that the caller has seen so many */
	uint64 wanted_height; /* what the next one has to ask for at least */
	bool answered;
	ProposalResponse response;
	uint64 height;				  /* of the answer: how many blocks its simulation has seen */
	const InterestCall *interest; /* what the answer touches, by this node's state */
	size_t interest_count;
	bool interest_known;
	char *failure;				/* of a member that failed */
	const WireRefusal *refusal; /* of one whose chaincode refused */
} Branch;

typedef struct FanOut
{
	const Channel *channel;
	FbAllocator *allocator;
	EndorsementPlan *plan;
	Branch *branches; /* by member */
	const ProposalView *proposal;
	FbBytes signed_proposal;
	FbBytes call_name;	/* see plan_call_name */
	uint64 seen_height; /* a refusal counts only from a node that has so many blocks */
	TimestampTz deadline;
	int catch_ups_count;
	FbBytes
		grown_payload; /* the answer from which the plan's policies were taken; empty: none yet */
	/*
	 * answers that differ although the nodes have the same blocks: the first ones found; members
	 * NULL: none
	 */
	const uint32_t *differing_members;
	ResponseDifference *differences;
	size_t differences_count;
} FanOut;

/* what is called, as the usual time of its answer is kept by: the chaincode and its function */
extern FbBytes plan_call_name(const ProposalView *proposal);
/* gateway_endorse on a channel that is open */
extern void fan_out_endorse(const Channel *channel, const ProposalView *proposal,
							List *organisations, GatewayTransaction *transaction);
/* its address, or "this node": for notes */
extern const char *answers_member_label(const FanOut *fan_out, uint32_t member);
extern void answers_note_failure(FanOut *fan_out, uint32_t member, const char *why);

/*
 * plan_choose among members whose answers agree, with the policies that this answer needs; false
 * when no such combination is left. A client that named the organizations takes care of the
 * policies itself, as in Fabric; definitions have only the policy of _lifecycle.
 */
extern bool answers_choose(FanOut *fan_out, const uint32_t **chosen, size_t *chosen_count);
extern bool answers_agree(const FanOut *fan_out, const uint32_t *chosen, size_t chosen_count);
/*
 * Differing answers of nodes that have seen different blocks: those that are behind are to be asked
 * again. False when that cannot explain, or has not ended, the difference.
 */
extern bool answers_catch_up(FanOut *fan_out);
/* remember for the error message in what the chosen members' answers differ */
extern void answers_note_difference(FanOut *fan_out, const uint32_t *chosen, size_t chosen_count);
/* no combination is left: raise why */
extern void answers_raise(FanOut *fan_out) pg_attribute_noreturn();

/* ---- writable.c ---- */

/*
 * The channel, if a transaction may be handed in here and now. Raises 25006 on a standby and in a
 * read-only SQL transaction, 55006 in one that locks the committer out, FB_CHANNEL_NOT_FOUND.
 */
extern const Channel *gateway_open_writable(const char *channel_name);

/* ---- submit.c ---- */

/*
 * From its first attempt at an orderer on until its end is known, a transaction may be committed
 * although the call ends with an error (a cancellation included). Between begin and end such an
 * error says so.
 */
typedef struct Doubt
{
	ErrorContextCallback callback;
	char tx_id[TX_ID_LENGTH + 1];
	bool exists;
} Doubt;

extern void doubt_begin(Doubt *doubt, FbBytes tx_id);
extern void doubt_end(Doubt *doubt);

/*
 * gateway_submit within a Doubt: it exists afterwards, also when this raises an error and an
 * orderer may have taken the transaction
 */
extern void submit_in_doubt(const Channel *channel, const Envelope *envelope, Doubt *doubt);
/*
 * every orderer once, for at most a second, of a transaction that has been handed in before.
 * FB_OK: one has taken it. What orderers say is not raised
 */
extern FbStatus submit_again(const Channel *channel, const Envelope *envelope, TimestampTz deadline,
							 FbError *error);

/* ---- hot_keys.c ---- */

/*
 * Take turns with the other sessions of this node for the keys that the transaction reads and
 * writes; the caller ends them with turns_end, also after an error. True when one of the keys was
 * written since it was read: then the transaction has to be endorsed again, or would be invalid.
 */
extern bool hot_keys_take_turns(const Channel *channel, FbBytes response_payload);

/* ---- refusal.c: what a chaincode refused, told to the client ---- */

/*
 * Raise it. organization, address: of the node where that was; address NULL: this one. detail:
 * instead of the chaincode's own, or NULL.
 */
extern void refusal_raise(const ProposalView *proposal, const char *organization,
						  const char *address, const WireRefusal *refusal, const char *detail)
	pg_attribute_noreturn();
/* palloc'ed: the call that a refusal came with is released before it is known whether it counts */
extern const WireRefusal *refusal_copy(const WireRefusal *refusal);

/* ---- slow_calls.c: where a call that took long has waited ---- */

typedef enum CallStep
{
	CALL_ENDORSING,
	CALL_TAKING_TURNS,
	CALL_SUBMITTING,
	CALL_COMMITTING,
	CALL_STEPS
} CallStep;

/*
 * Between begin and end the steps of a call are timed and notes of it kept; end writes them to the
 * log when the call took fabric.log_min_call_duration or longer. It is to be called after an error
 * too. tx_id: empty when there is none yet.
 */
extern void slow_call_begin(void);
extern void slow_call_enter(CallStep step);
/* a note, with the time since the call began; nothing outside of a call */
extern void slow_call_note(const char *format, ...) pg_attribute_printf(1, 2);
extern void slow_call_end(const GatewayRequest *request, const char *tx_id);

/* ---- commit_status.c ---- */

/* a key for messages: the zeros of a composite key are shown as slashes */

#endif
