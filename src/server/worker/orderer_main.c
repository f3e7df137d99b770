/* orderer_main.c: `fabric orderer CHANNEL`, the process around server/order */
#include "server/worker/worker_internal.h"

#include "storage/ipc.h"

#include "server/order/order.h"

void
fabric_orderer_main(Datum argument)
{
	ChannelSlot *slot = worker_start(WORKER_ORDERER);
	OrderNode  *node = order_node_start(slot);

	if (node == NULL)
		proc_exit(0);
	for (;;)
	{
		worker_serve_interrupts();
		order_node_turn(node);
		order_node_sleep(node);
	}
}
