/* what the files of gateway share */
#ifndef FABRIC_SERVER_GATEWAY_INTERNAL_H
#define FABRIC_SERVER_GATEWAY_INTERNAL_H

#include "server/gateway/gateway.h"

/* ---- plan.c: whom to ask ---- */

/* an organisation that can be asked for an endorsement */
typedef struct PlanMember
{
	const char *msp_id;
	const char *address;		/* NULL: this node */
	bool		failed;			/* it answered with an error, or not at all */
	bool		asked;
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
/* the members to ask, those that failed left out: indexes in ascending order; false when the rest cannot satisfy the policy */
extern bool plan_choose(EndorsementPlan *plan, const uint32_t **members, size_t *members_count);

/* ---- status.c ---- */

/* a key for messages: the zeros of a composite key are shown as slashes */
extern char *key_text(FbBytes key);

#endif
