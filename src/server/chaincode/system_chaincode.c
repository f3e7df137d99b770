/*
 * system_chaincode.c: the chaincodes that are part of the node, one row each.
 *
 * A system chaincode differs from an installed one in where its code is, who endorses it, and who
 * may call it. Code that needs to know looks up the row in this table and uses one of its columns;
 * no other code compares names. A new system chaincode needs a row here and a function in
 * simulate.c (which cannot be a column, because the code of a system chaincode may itself use this
 * table).
 */
#include "server/chaincode/chaincode_internal.h"

#define LIFECYCLE_ENDORSEMENT_POLICY "/Channel/Application/LifecycleEndorsement"
#define LIFECYCLE_APPROVE "ApproveChaincodeDefinitionForMyOrg"

static const Policy *
lifecycle_endorsement_policy(const ConfigBundle *bundle)
{
	return bundle->lifecycle_endorsement;
}

/*
 * an approval is written to the organization's own collection, so no other organization could
 * endorse it
 */
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
	/*
	 * the functions that these have in Fabric are in schema fabric here; their names stay reserved
	 */
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
