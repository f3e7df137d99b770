/* orderer_main.c: `fabric orderer CHANNEL`, the main function around server/order */
#include "server/worker/worker_internal.h"

#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/proc.h"
#include "tcop/tcopprot.h"

#include "server/order/order.h"

/* of this process; the signal handler reads `leads` and sets `ends` */
static volatile sig_atomic_t leads = false;
static volatile sig_atomic_t ends = false;

/*
 * Handler of SIGTERM. A leader finishes its turn and hands over its leadership first. In all other
 * cases the process ends as any worker does: when it does not lead, at the second signal, and
 * while it waits for a lock, which may last as long as its holder likes.
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

/* end the process as die() does */
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
		if (order_node_is_removed(node))
			proc_exit(0);
		leads = order_node_leads(node);
		if (ends)
		{
			order_node_hand_over(node);
			orderer_end_process();
		}
		order_node_sleep(node);
	}
}
