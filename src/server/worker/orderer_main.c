/* orderer_main.c: `fabric orderer CHANNEL`, the process around server/order */
#include "server/worker/worker_internal.h"

#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/proc.h"
#include "tcop/tcopprot.h"

#include "server/order/order.h"

/* of this process; the signal handler looks at the first and sets the second */
static volatile sig_atomic_t leads = false;
static volatile sig_atomic_t ends = false;

/*
 * SIGTERM. A leader finishes its turn and hands over first. Everything else ends as any worker
 * does: who leads nothing, who is asked twice, and who waits for a lock, which may take as long as
 * its holder likes.
 */
static void
orderer_ask_to_end(SIGNAL_ARGS)
{
	int saved_errno = errno;

	if (leads && !ends && MyProc != NULL && MyProc->waitLock == NULL)
	{
		ends = true;
		SetLatch(MyLatch);
		errno = saved_errno;
	}
	else
		die(postgres_signal_arg);
}

/* as die() would, had it been called at once */
static void
orderer_end_process(void)
{
	InterruptPending = true;
	ProcDiePending = true;
	CHECK_FOR_INTERRUPTS();
	proc_exit(1);
}

void
fabric_orderer_main(Datum argument)
{
	ChannelSlot *slot = worker_start(WORKER_ORDERER);
	OrderNode *node = order_node_start(slot);

	if (node == NULL)
		proc_exit(0);
	pqsignal(SIGTERM, orderer_ask_to_end);
	for (;;)
	{
		worker_serve_interrupts();
		order_node_turn(node);
		leads = order_node_leads(node);
		if (ends)
		{
			order_node_hand_over(node);
			orderer_end_process();
		}
		order_node_sleep(node);
	}
}
