/* simulation.c: the simulation that runs in this process, for the functions that chaincode calls */
#include "postgres.h"

#include "server/chaincode/chaincode_internal.h"

static Simulation *current_simulation;

Simulation *
simulation_current(void)
{
	if (current_simulation == NULL)
		ereport(ERROR,
				(fb_errcode(FB_NOT_IN_SIMULATION),
				 errmsg("this function works only inside a chaincode function"),
				 errhint("Chaincode functions are called with fabric.invoke and fabric.query.")));
	return current_simulation;
}

bool
simulation_is_running(void)
{
	return current_simulation != NULL;
}

void
simulation_set_current(Simulation *simulation)
{
	current_simulation = simulation;
}
