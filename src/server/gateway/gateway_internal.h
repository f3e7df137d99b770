/* what the files of gateway share */
#ifndef FABRIC_SERVER_GATEWAY_INTERNAL_H
#define FABRIC_SERVER_GATEWAY_INTERNAL_H

#include "server/gateway/gateway.h"

/* this part of the time for all is waited for an answer before somebody else is asked too */
#define GATEWAY_PATIENCE_MS (guc_endorse_timeout_ms / 3)

/* ---- plan.c: whom to ask ---- */

/* an organisation that can be asked for an endorsement */
typedef struct PlanMember
{
	const char *msp_id;
	const char *address;		/* NULL: this node */
	bool		failed;			/* it answered with an error, or not at all */
	bool		slow;			/* it has not answered yet, or did not lately: asked only where nobody else will do */
} PlanMember;

typedef struct EndorsementPlan
{
	PlanMember *members;		/* this node first */
	size_t		members_count;
	const Policy *policy;		/* NULL: `fixed` decides */
	bool		fixed;			/* the client named the organisations: all of them, no replacement */
	FbAllocator *allocator;
} EndorsementPlan;

/*
 * The plan for a proposal: committed definition and policy from local tables, no other node is asked. Raises FB_CHAINCODE_NOT_FOUND,
 * FB_INVALID_ARGUMENT (an organisation that is not in the channel or has no address).
 */
extern EndorsementPlan *plan_create(const Channel *channel, const ProposalView *proposal, List *organisations);
/* the members to ask, those that failed left out, slow ones if possible: indexes in ascending order; false when the rest cannot satisfy the policy */
extern bool plan_choose(EndorsementPlan *plan, const uint32_t **members, size_t *members_count);

/* ---- submit.c ---- */

/*
 * From its first attempt at an orderer on until its end is known, a transaction may be committed although the call ends with an error (a cancellation
 * included). Between begin and end such an error says so.
 */
typedef struct Doubt
{
	ErrorContextCallback callback;
	char		tx_id[TX_ID_LENGTH + 1];
	bool		exists;
} Doubt;

extern void doubt_begin(Doubt *doubt, FbBytes tx_id);
extern void doubt_end(Doubt *doubt);

/* gateway_submit within a Doubt: it exists afterwards, also when this raises an error and an orderer may have taken the transaction */
extern void submit_in_doubt(FbBytes envelope, Doubt *doubt);
/* every orderer once, of a transaction that has been handed in before: whether one has taken it. Nothing is raised for what orderers say */
extern bool submit_again(const Channel *channel, FbBytes envelope, TimestampTz deadline);

/* ---- status.c ---- */

/* a key for messages: the zeros of a composite key are shown as slashes */
extern char *key_text(FbBytes key);

#endif
