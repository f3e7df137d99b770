/*
 * system_chaincode.c: the chaincodes that are part of the node, one row each.
 *
 * A system chaincode differs from an installed one in where its code is, who endorses it, and who
 * may call it. Every place that has to know asks the table for the row and uses a column of it;
 * none of them compares a name. A new system chaincode is a row here, and its
 * function in simulate.c: the code of a system chaincode may ask this table.
 */
#include "server/chaincode/chaincode_internal.h"

#define LIFECYCLE_ENDORSEMENT_POLICY "/Channel/Application/LifecycleEndorsement"
#define LIFECYCLE_APPROVE "ApproveChaincodeDefinitionForMyOrg"

static const Policy *
lifecycle_endorsement_policy(const ConfigBundle *bundle)
{
	return bundle->lifecycle_endorsement;
}

/* an approval is written into the organization's own collection: no other one could endorse it */
static bool
lifecycle_concerns_caller(FbBytes function)
{
	return fb_bytes_equal(function, FB_BYTES_LITERAL(LIFECYCLE_APPROVE));
}

static const SystemChaincode system_chaincodes[] = {
	{.name = LIFECYCLE_NAMESPACE,
	 .runs_here = true,
	 .policy_reference = LIFECYCLE_ENDORSEMENT_POLICY,
	 .endorsement_policy = lifecycle_endorsement_policy,
	 .proposal_resource = NULL,
	 .answers_differ = true,
	 .concerns_caller = lifecycle_concerns_caller},
	/* what they do in Fabric, functions of schema fabric do here; their names stay reserved */
	{.name = "cscc"},
	{.name = "escc"},
	{.name = "lscc"},
	{.name = "qscc"},
	{.name = "vscc"},
};

static const SystemChaincode *
system_chaincode_row(FbBytes name)
{
	for (int i = 0; i < lengthof(system_chaincodes); i++)
		if (fb_bytes_equal(name, fb_bytes_of_text(system_chaincodes[i].name)))
			return &system_chaincodes[i];
	return NULL;
}

const SystemChaincode *
system_chaincode_find(FbBytes name)
{
	const SystemChaincode *row = system_chaincode_row(name);

	return row != NULL && row->runs_here ? row : NULL;
}

bool
system_chaincode_reserves(const char *name)
{
	return system_chaincode_row(fb_bytes_of_text(name)) != NULL;
}
