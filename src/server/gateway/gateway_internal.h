/* gateway_internal.h: declarations shared by the files of gateway */
#ifndef FABRIC_SERVER_GATEWAY_INTERNAL_H
#define FABRIC_SERVER_GATEWAY_INTERNAL_H

#include "server/chaincode/chaincode.h"
#include "server/gateway/gateway.h"
#include "server/wire/wire.h"

/*
 * Upper limit of the time before another node is asked in addition to one that has not answered,
 * however long that node usually takes (wire_call_patience_ms).
 */
#define GATEWAY_PATIENCE_MS_MAX (guc_endorsement_timeout / 3)

/*
 * A node whose answer lacks this many of the blocks that the caller has seen is asked after the
 * others of its organization, for GATEWAY_BEHIND_MS.
 */
#define GATEWAY_BLOCKS_BEHIND 10
#define GATEWAY_BEHIND_MS 10000

/* ---- candidates.c: the nodes of an organization, in the order in which they are asked ---- */

typedef struct Candidate
{
	/* another node, as "host:port" */
	const char *address;
	/*
	 * It did not answer lately, or it cannot endorse the chaincode: asked only if no other
	 * combination is left.
	 */
	bool avoid;
} Candidate;

/*
 * The other nodes of an organization, which may be this node's own: List of Candidate *; NIL if
 * none is known. call_name: see plan_call_name; empty if the function is not known.
 */
extern List *candidates_of_organization(const Channel *channel, const char *msp_id,
										FbBytes chaincode, FbBytes call_name);
/*
 * candidate_note_unfit remembers that the node cannot endorse the chaincode. candidate_note_error
 * does the same if the error that the node returned means that.
 */
extern void candidate_note_unfit(const Channel *channel, FbBytes chaincode, const char *address);
extern void candidate_note_error(const Channel *channel, FbBytes chaincode, const char *address,
								 FbStatus status);
/*
 * The name of a node in messages: its organization, and its address if the organization has several
 * nodes. address NULL: this node.
 */
extern const char *candidate_name(const Channel *channel, const char *msp_id, const char *address);
/*
 * This node's address among the anchor peers of its organization; NULL if this node is not one of
 * them or cannot tell which one it is.
 */
extern const char *candidate_own_address(const Channel *channel);
/*
 * The other nodes that order the channel: List of char *. *probe becomes true when the first one
 * did not answer lately and is due for a probe (answer_take_probe): it gets the request too, but
 * the caller does not wait for it.
 */
extern List *candidates_for_submission(const Channel *channel, bool *probe);

/* ---- plan.c: which nodes to ask ---- */

/*
 * A node that can be asked for an endorsement. The members of one organization are adjacent, in the
 * order in which they are asked.
 */
typedef struct PlanMember
{
	const char *msp_id;
	const char *address; /* NULL: this node */
	bool failed;		 /* it answered with an error or not at all */
	/* No session of this node got an answer lately: asked only if no other combination is left. */
	bool slow;
	/* It was asked in this call and takes longer than usual: chosen again only after all others. */
	bool late;
	/* Its answer differs from the answers that are being combined. */
	bool differs;
} PlanMember;

typedef struct EndorsementPlan
{
	PlanMember *members; /* this node first, then those of its organization */
	size_t members_count;
	ChaincodeDefinition definition;
	/* All must be satisfied. No set of endorsements satisfies an entry that is NULL. */
	const Policy *const *policies;
	size_t policies_count;
	bool plain; /* only the chaincode's own policy counts */
	/*
	 * Each organization among the members must endorse, and no other replaces it: the client named
	 * them, or the call concerns this node's organization alone.
	 */
	bool fixed;
	FbAllocator *allocator;
} EndorsementPlan;

/*
 * The plan for a proposal, made from the committed definition and policy in local tables without
 * asking another node. Raises FB_CHAINCODE_NOT_FOUND, FB_INVALID_ARGUMENT (an organization that is
 * not in the channel or has no address).
 */
extern EndorsementPlan *plan_create(const Channel *channel, const ProposalView *proposal,
									List *organizations);
/* the same without a proposal: for any call of the chaincode */
extern EndorsementPlan *plan_create_for_chaincode(const Channel *channel, const char *chaincode);
/*
 * From now on the chosen members must satisfy the policies of everything that these calls touch.
 * False if the plan's policies did not change.
 */
extern bool plan_set_interest(EndorsementPlan *plan, const Channel *channel,
							  const InterestCall *calls, size_t calls_count);
/*
 * Choose the members to ask: indexes in ascending order. Members that failed or differ are
 * excluded, slow ones avoided, and each organization contributes its first usable member, or
 * several if the policy needs several. False when the remaining members cannot satisfy the policy.
 */
extern bool plan_choose(EndorsementPlan *plan, const uint32_t **members, size_t *members_count);

/*
 * All minimal combinations of members that have not failed, at most layouts_max. The first usable
 * member of an organization stands for all of its members, unless a policy needs several.
 */
extern void plan_list_layouts(EndorsementPlan *plan, size_t layouts_max, PolicyLayout **layouts,
							  size_t *layouts_count);

/* ---- needs.c: the policies that a transaction must satisfy ---- */

/*
 * The policies that committers will require, by the current definitions and configuration; at least
 * one, each application policy once. definition: of the called chaincode.
 */
extern void needs_of_interest(const Channel *channel, const ChaincodeDefinition *definition,
							  const InterestCall *calls, size_t calls_count, FbAllocator *allocator,
							  const Policy *const **policies, size_t *policies_count);
extern bool needs_collection_exists(const Channel *channel, const ChaincodeDefinition *definition,
									FbBytes collection, FbAllocator *allocator);
/*
 * May the organization have the plaintext of a collection? Fabric's discovery filters endorsers by
 * the same rule where private data is read. False if there is no such collection.
 */
extern bool needs_is_member(const Channel *channel, const ChaincodeDefinition *definition,
							FbBytes collection, const char *msp_id, FbAllocator *allocator);

/* ---- heights.c: the height that the caller may rely on ---- */

/* The number of blocks that this node has now: views and queries can show nothing newer. */
extern uint64 height_of_node(const Channel *channel);

/* ---- fan_out.c, agree.c, plan.c: one proposal, sent to several organizations ---- */

/* the state of one member in the fan-out */
typedef struct Branch
{
	WireCall *call; /* NULL: this node, or no call is open */
	/*
	 * When the call counts as late; 0: the wait for it has not begun, because this node simulates.
	 */
	TimestampTz patience_until;
	uint64 asked_height;  /* the height that the last request required */
	uint64 asked_seen;	  /* the height that it named as seen by the caller */
	uint64 wanted_height; /* the minimum that the next request requires */
	bool answered;
	ProposalResponse response;
	uint64 height;				  /* number of blocks that its simulation saw */
	const InterestCall *interest; /* what the answer touches, by this node's state */
	size_t interest_count;
	bool interest_known;
	char *failure;				/* why it failed, if it did */
	const WireRefusal *refusal; /* if its chaincode refused */
} Branch;

typedef struct FanOut
{
	const Channel *channel;
	FbAllocator *allocator;
	EndorsementPlan *plan;
	Branch *branches; /* one for each member */
	const ProposalView *proposal;
	FbBytes signed_proposal;
	FbBytes call_name;	/* see plan_call_name */
	uint64 seen_height; /* refusals count only from nodes of this height */
	TimestampTz deadline;
	int catch_ups_count;
	/* The response payload from which the plan's current policies were derived; empty: none yet. */
	FbBytes grown_payload;
	/*
	 * The first difference found between answers of nodes with the same blocks; differing_members
	 * is NULL if there is none.
	 */
	const uint32_t *differing_members;
	ResponseDifference *differences;
	size_t differences_count;
} FanOut;

/* The chaincode and its function: the name under which the usual time of its answers is kept. */
extern FbBytes plan_call_name(const ProposalView *proposal);
/* gateway_endorse for an open channel */
extern void fan_out_endorse(const Channel *channel, const ProposalView *proposal,
							List *organizations, GatewayTransaction *transaction);
/* the address of a member, or "this node", for notes */
extern const char *answers_member_label(const FanOut *fan_out, uint32_t member);
extern void answers_note_failure(FanOut *fan_out, uint32_t member, const char *why);

/*
 * plan_choose among members whose answers agree, with the policies that this answer needs; false
 * when no such combination is left. If the client named the organizations, they alone are asked and
 * no policy is checked, as in Fabric's gateway. For _lifecycle only its own policy counts.
 */
extern bool answers_choose(FanOut *fan_out, const uint32_t **chosen, size_t *chosen_count);
extern bool answers_agree(const FanOut *fan_out, const uint32_t *chosen, size_t chosen_count);
/*
 * If answers differ and the nodes have seen different blocks, have the lower ones asked again.
 * False when different heights cannot explain the difference, or no attempts or no time is left.
 */
extern bool answers_catch_up(FanOut *fan_out);
/* remember the first difference for the error message */
extern void answers_note_difference(FanOut *fan_out, const uint32_t *chosen, size_t chosen_count);
/* no combination is left: raise the reason */
extern void answers_raise(FanOut *fan_out) pg_attribute_noreturn();

/* ---- writable.c ---- */

/*
 * The channel, if a transaction may be submitted here and now. Raises 25006 on a standby and in a
 * read-only SQL transaction, 55006 in one that locks the committer out and on a channel whose
 * blocks are imported only, FB_CHANNEL_NOT_FOUND.
 */
extern const Channel *gateway_open_writable(const char *channel_name);

/* ---- submit.c ---- */

/*
 * From the first request to an orderer until the outcome is known, a transaction may be committed
 * although the call ends with an error (a cancellation included). Between doubt_begin and doubt_end
 * the context of such an error says so.
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
 * gateway_submit within a Doubt. doubt->exists is true afterwards, also when this raises an error
 * and an orderer may have taken the transaction.
 */
extern void submit_in_doubt(const Channel *channel, const Envelope *envelope, Doubt *doubt);
/*
 * Ask every orderer once, for at most a second, to take a transaction that was submitted before.
 * FB_OK: one has taken it. Refusals of orderers are returned, not raised.
 */
extern FbStatus submit_again(const Channel *channel, const Envelope *envelope, TimestampTz deadline,
							 FbError *error);

/* ---- commit_status.c ---- */

/*
 * The commit of a transaction that this session submits. expect: before it is submitted, so that no
 * look-up is needed before a block has it. wait: as gateway_commit_status, but the envelope is
 * submitted again when the orderer may have lost it. The caller ends both with waiter_leave, also
 * after an error.
 */
extern void commit_expect(const Channel *channel, const char *tx_id);
extern void commit_wait(const Channel *channel, const char *tx_id, int timeout_ms,
						const Envelope *envelope, GatewayStatus *status);

/* ---- hot_keys.c ---- */

/*
 * Take turns with the other sessions of this node for the keys that the transaction reads and
 * writes. The caller gives the turns back with turns_end, also after an error. True when one of the
 * keys was written since it was read: the transaction would be invalid and must be endorsed again.
 */
extern bool hot_keys_take_turns(const Channel *channel, const GatewayTransaction *transaction);

/* ---- refusal.c: pass a chaincode's error to the client ---- */

/*
 * Raise the refusal. organization, address: of the node on which the chaincode ran; address NULL:
 * this node. detail: replaces the chaincode's own; NULL: keep that.
 */
extern void refusal_raise(const ProposalView *proposal, const char *organization,
						  const char *address, const WireRefusal *refusal, const char *detail)
	pg_attribute_noreturn();
/*
 * A palloc'ed copy: the call that delivered the refusal is released before it is known whether the
 * refusal counts.
 */
extern const WireRefusal *refusal_copy(const WireRefusal *refusal);

/* ---- slow_calls.c: log where a slow call waited ---- */

typedef enum CallStep
{
	CALL_ENDORSING,
	CALL_TAKING_TURNS,
	CALL_SUBMITTING,
	CALL_COMMITTING,
	CALL_STEPS
} CallStep;

/*
 * Between slow_call_begin and slow_call_end the steps of a call are timed and notes collected.
 * slow_call_end logs them if the call took fabric.log_min_call_duration or longer; it must be
 * called after an error too. tx_id: empty if there is none yet.
 */
extern void slow_call_begin(void);
extern void slow_call_enter(CallStep step);
/* Add a note with the time since the call began; does nothing outside of a call. */
extern void slow_call_note(const char *format, ...) pg_attribute_printf(1, 2);
extern void slow_call_end(const GatewayRequest *request, const char *tx_id);

#endif
