/*
 * network.c: packets in a heap ordered by delivery time. Random delays reorder them.
 */
#include "sim/sim.h"

static bool
packet_before(const SimPacket *a, const SimPacket *b)
{
	return a->at_ms < b->at_ms || (a->at_ms == b->at_ms && a->sequence < b->sequence);
}

static void
network_push(SimNetwork *network, SimPacket packet)
{
	size_t at = network->count;

	if (network->count == network->capacity)
	{
		network->capacity = network->capacity * 2 + 256;
		network->heap = realloc(network->heap, network->capacity * sizeof(SimPacket));
	}
	network->count++;
	while (at > 0 && packet_before(&packet, &network->heap[(at - 1) / 2]))
	{
		network->heap[at] = network->heap[(at - 1) / 2];
		at = (at - 1) / 2;
	}
	network->heap[at] = packet;
}

static void
network_send_once(Sim *sim, uint64_t from, uint64_t to, FbBytes bytes)
{
	SimNetwork *network = &sim->network;
	SimPacket packet;

	packet.at_ms = sim->now_ms + network->delay_min_ms +
				   sim_below(sim, network->delay_max_ms - network->delay_min_ms + 1);
	packet.sequence = network->sequence++;
	packet.from = from;
	packet.to = to;
	packet.bytes = malloc(bytes.size);
	packet.size = bytes.size;
	memcpy(packet.bytes, bytes.data, bytes.size);
	network_push(network, packet);
}

void
network_send(Sim *sim, uint64_t from, uint64_t to, FbBytes bytes)
{
	if (to > SIM_NODES_MAX || sim->network.cut[from][to] ||
		sim_chance(sim, sim->network.drop_per_mille))
		return;
	network_send_once(sim, from, to, bytes);
	if (sim_chance(sim, sim->network.double_per_mille))
		network_send_once(sim, from, to, bytes);
}

uint64_t
network_next_ms(const SimNetwork *network)
{
	return network->count > 0 ? network->heap[0].at_ms : UINT64_MAX;
}

SimPacket
network_take(SimNetwork *network)
{
	SimPacket taken = network->heap[0];
	SimPacket last = network->heap[--network->count];
	size_t at = 0;

	for (;;)
	{
		size_t child = 2 * at + 1;

		if (child >= network->count)
			break;
		if (child + 1 < network->count &&
			packet_before(&network->heap[child + 1], &network->heap[child]))
			child++;
		if (!packet_before(&network->heap[child], &last))
			break;
		network->heap[at] = network->heap[child];
		at = child;
	}
	network->heap[at] = last;
	return taken;
}

void
network_put_back(SimNetwork *network, SimPacket packet, uint64_t at_ms)
{
	packet.at_ms = at_ms;
	network_push(network, packet);
}

void
network_heal(SimNetwork *network)
{
	memset(network->cut, 0, sizeof(network->cut));
	network->drop_per_mille = 0;
	network->double_per_mille = 0;
	/* one delay for all packets keeps their order, as on a TCP connection */
	network->delay_min_ms = 2;
	network->delay_max_ms = 2;
}

void
network_free(SimNetwork *network)
{
	while (network->count > 0)
		free(network->heap[--network->count].bytes);
	free(network->heap);
	memset(network, 0, sizeof(*network));
}
