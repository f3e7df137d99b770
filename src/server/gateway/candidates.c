/*
 * candidates.c: the nodes of an organization, in the order in which they are asked.
 *
 * Problem: an organization has several nodes, so that it goes on while one of them is down. Which
 * of them is asked first, and who is passed over?
 *
 * Rule: all anchor peers in the channel's configuration are known, and no others: there is no
 * gossip that could tell of more, and an address that the members have not agreed on is no address
 * to send a proposal to. Of one organization the nodes take turns, from a random one on, so that
 * load spreads. Passed over for a time, which means asked only where nobody else will do, are a
 * node that did not answer (wire_is_silent), and one that cannot endorse this chaincode: it lacks
 * the package, the approval, the channel or a good certificate (known to the session that was told
 * so). Asked after the others of its organization are a node that lacks many blocks, and one that
 * takes several times as long (pg/answer_times.c).
 *
 * Fabric's gateway sorts the peers of an organization by the height that gossip told it, own peer
 * first, and removes from its registry those that cannot be reached
 * (internal/pkg/gateway/registry.go, sorter, removeEndorser); discovery leaves out peers without
 * the chaincode (endorsement.go). Heights that are some blocks old say nothing here, where an
 * answer tells how many blocks its simulation has seen, and agree.c acts on that.
 *
 * Orderers: those of this node's own organization first, each group from a random one on, and last
 * those that did not answer lately, but for one that is to be probed.
 */
#include "server/gateway/gateway_internal.h"

#include "common/hashfn.h"
#include "common/pg_prng.h"
#include "utils/memutils.h"

/*
 * for how long a node that cannot endorse a chaincode is passed over, as long as one that does not
 * answer
 */
#define UNFIT_MS 10000
#define UNFIT_MAX 64
/*
 * slower than this many times the fastest, and by this much, is asked after the others, but for one
 * call in so many
 */
#define SLOWER_TIMES 4
#define SLOWER_MS 50
#define ANY_SPEED_TIMES 16
/*
 * where the other nodes of the channel are is looked up again after this time: certificates and
 * settings change
 */
#define ADDRESSES_AGE_MS_MAX 10000
/*
 * anchor peers of one organization that are looked at: its members choose their number, and every
 * call goes through them
 */
#define PEERS_MAX 32

/* ---- nodes that cannot endorse a chaincode ---- */

static struct
{
	uint32 hash;	 /* of channel, chaincode and address */
	uint64 until_ms; /* of clock_ms; 0: unused */
} unfit[UNFIT_MAX];

static uint32
hash_unfit(const Channel *channel, FbBytes chaincode, const char *address)
{
	uint32 hash = hash_bytes((const unsigned char *) channel->name, (int) strlen(channel->name));

	hash = hash_combine(hash, hash_bytes(chaincode.data, (int) chaincode.size));
	return hash_combine(hash, hash_bytes((const unsigned char *) address, (int) strlen(address)));
}

void
candidate_note_unfit(const Channel *channel, FbBytes chaincode, const char *address)
{
	uint32 hash = hash_unfit(channel, chaincode, address);
	int place = 0;

	for (int i = 0; i < UNFIT_MAX; i++)
	{
		if (unfit[i].until_ms != 0 && unfit[i].hash == hash)
		{
			place = i;
			break;
		}
		if (unfit[i].until_ms < unfit[place].until_ms)
			place = i;
	}
	unfit[place].hash = hash;
	unfit[place].until_ms = clock_ms() + UNFIT_MS;
}

/* two names with one hash: a node is asked later than it might be */
static bool
is_unfit(const Channel *channel, FbBytes chaincode, const char *address)
{
	uint32 hash = hash_unfit(channel, chaincode, address);

	for (int i = 0; i < UNFIT_MAX; i++)
		if (unfit[i].hash == hash && clock_ms() < unfit[i].until_ms)
			return true;
	return false;
}

void
candidate_note_error(const Channel *channel, FbBytes chaincode, const char *address,
					 FbStatus status)
{
	switch (status)
	{
		case FB_CHAINCODE_NOT_FOUND:
		case FB_CHANNEL_NOT_FOUND:
		case FB_NOT_CONFIGURED:
		case FB_NOT_PRELOADED:
		case FB_INVALID_CERTIFICATE:
		case FB_INVALID_IDENTITY:
		case FB_CERTIFICATE_EXPIRED:
			candidate_note_unfit(channel, chaincode, address);
			break;
		case FB_NODE_BEHIND:
			contact_note_behind(address, UNFIT_MS);
			break;
		default:
			break;
	}
}

/* ---- addresses, kept for a moment: this node's own is found in its certificates ---- */

typedef struct KnownAddresses
{
	char *channel;
	int ledger_id;
	uint64 config_block_number;
	uint64 made_ms;		   /* of clock_ms */
	MemoryContext context; /* of the lists */
	List *own_peers;	   /* of char * */
	List *sources;		   /* of BlockSource * */
} KnownAddresses;

static List *known_addresses = NIL; /* of KnownAddresses *, one for each channel of this session */

static KnownAddresses *
find_known(const char *channel)
{
	KnownAddresses *known;
	MemoryContext old_context;
	ListCell *cell;

	foreach(cell, known_addresses)
	{
		known = lfirst(cell);
		if (strcmp(known->channel, channel) == 0)
			return known;
	}
	old_context = MemoryContextSwitchTo(TopMemoryContext);
	known = palloc0(sizeof(KnownAddresses));
	known->channel = pstrdup(channel);
	known_addresses = lappend(known_addresses, known);
	MemoryContextSwitchTo(old_context);
	return known;
}

static const KnownAddresses *
candidate_addresses(const Channel *channel)
{
	KnownAddresses *known = find_known(channel->name);
	MemoryContext context;
	MemoryContext old_context;
	List *own_peers;
	List *sources;

	if (known->context != NULL && known->ledger_id == channel->ledger->id &&
		known->config_block_number == channel->config_block_number &&
		clock_ms() - known->made_ms < ADDRESSES_AGE_MS_MAX)
		return known;
	/* an error leaves what was known, and nothing else */
	context = AllocSetContextCreate(CurrentMemoryContext, "fabric addresses of nodes",
									ALLOCSET_SMALL_SIZES);
	old_context = MemoryContextSwitchTo(context);
	own_peers = channel_own_peers(channel);
	sources = channel_block_sources(channel);
	MemoryContextSwitchTo(old_context);
	MemoryContextSetParent(context, TopMemoryContext);
	if (known->context != NULL)
		MemoryContextDelete(known->context);
	known->context = context;
	known->own_peers = own_peers;
	known->sources = sources;
	known->ledger_id = channel->ledger->id;
	known->config_block_number = channel->config_block_number;
	known->made_ms = clock_ms();
	return known;
}

static bool
list_has_address(const List *addresses, const char *address)
{
	const ListCell *cell;

	foreach(cell, addresses)
		if (pg_strcasecmp(lfirst(cell), address) == 0)
			return true;
	return false;
}

/* those of an organization's anchor peers that are other nodes; each once */
static List *
list_peers(const Channel *channel, const char *msp_id)
{
	const ConfigOrganization *organization =
		config_application_organization(channel->bundle, msp_id);
	List *addresses = NIL;
	ListCell *cell;

	if (strcmp(msp_id, guc_node_msp_id) == 0)
	{
		/* copied: the list may be made again before the caller is done */
		foreach(cell, candidate_addresses(channel)->own_peers)
			if (list_length(addresses) < PEERS_MAX)
				addresses = lappend(addresses, pstrdup(lfirst(cell)));
		return addresses;
	}
	for (size_t i = 0; organization != NULL && i < Min(organization->anchors_count, PEERS_MAX); i++)
	{
		const ConfigAddress *anchor = &organization->anchors[i];
		char *address = channel_address(anchor->host, anchor->port);

		if (!list_has_address(addresses, address))
			addresses = lappend(addresses, address);
	}
	return addresses;
}

/* from a random place on */
static List *
rotate_candidates(List *list)
{
	int turns = list_length(list) < 2
					? 0
					: (int) (pg_prng_uint32(&pg_global_prng_state) % (uint32) list_length(list));

	for (; turns > 0; turns--)
	{
		void *first = linitial(list);

		list = lappend(list_delete_first(list), first);
	}
	return list;
}

/* ---- peers ---- */

const char *
candidate_own_address(const Channel *channel)
{
	const ConfigOrganization *organization =
		config_application_organization(channel->bundle, guc_node_msp_id);

	for (size_t i = 0; organization != NULL && i < organization->anchors_count; i++)
	{
		const char *address =
			channel_address(organization->anchors[i].host, organization->anchors[i].port);

		if (!list_has_address(candidate_addresses(channel)->own_peers, address))
			return address;
	}
	return NULL;
}

const char *
candidate_name(const Channel *channel, const char *msp_id, const char *address)
{
	const ConfigOrganization *organization =
		config_application_organization(channel->bundle, msp_id);

	if (organization == NULL || organization->anchors_count < 2)
		return msp_id;
	return address != NULL ? psprintf("%s (%s)", msp_id, address)
						   : psprintf(_("%s (this node)"), msp_id);
}

/* how long an endorsement of this function takes there; -1: not known */
static int
usual_ms(const char *address, FbBytes call_name)
{
	return call_name.size == 0
			   ? -1
			   : answer_usual_ms(answer_label(address, ANSWER_ENDORSEMENT, call_name));
}

static int
find_fastest(const List *addresses, FbBytes call_name)
{
	int fastest_ms = -1;
	const ListCell *cell;

	foreach(cell, addresses)
	{
		int ms = usual_ms(lfirst(cell), call_name);

		if (ms >= 0 && (fastest_ms < 0 || ms < fastest_ms))
			fastest_ms = ms;
	}
	return fastest_ms;
}

List *
candidates_of_organization(const Channel *channel, const char *msp_id, FbBytes chaincode,
						   FbBytes call_name)
{
	List *addresses = rotate_candidates(list_peers(channel, msp_id));
	/* once in a while the slower one is asked: it may be as fast again */
	bool any_speed =
		list_length(addresses) < 2 || pg_prng_uint32(&pg_global_prng_state) % ANY_SPEED_TIMES == 0;
	int fastest_ms = any_speed ? -1 : find_fastest(addresses, call_name);
	List *classes[4] = {NIL, NIL, NIL, NIL};
	ListCell *cell;

	foreach(cell, addresses)
	{
		Candidate *candidate = palloc(sizeof(Candidate));
		Contact contact;
		int class;

		candidate->address = lfirst(cell);
		candidate->avoid =
			wire_is_silent(candidate->address) || is_unfit(channel, chaincode, candidate->address);
		(void) contact_find(candidate->address, &contact);
		class = candidate->avoid ? 3
				: contact.behind ? 2
				: fastest_ms >= 0 && usual_ms(candidate->address, call_name) >
										 SLOWER_TIMES * fastest_ms + SLOWER_MS
					? 1
					: 0;
		classes[class] = lappend(classes[class], candidate);
	}
	return list_concat(list_concat(list_concat(classes[0], classes[1]), classes[2]), classes[3]);
}

/* ---- orderers ---- */

List *
candidates_for_submission(const Channel *channel, bool *probe)
{
	List *answering[2] = {NIL, NIL}; /* of this node's organization; of others */
	List *silent[2] = {NIL, NIL};
	char *probed = NULL;
	List *all;
	ListCell *cell;

	foreach(cell, candidate_addresses(channel)->sources)
	{
		const BlockSource *source = lfirst(cell);
		int group = source->tier == SOURCE_OWN_ORDERER ? 0 : 1;
		char *address;

		if (source->tier == SOURCE_OWN_PEER)
			continue;
		address = pstrdup(source->address);
		if (!answer_is_silent(address, ANSWER_SUBMISSION))
			answering[group] = lappend(answering[group], address);
		else if (probed == NULL && answer_take_probe(address, ANSWER_SUBMISSION))
			probed = address;
		else
			silent[group] = lappend(silent[group], address);
	}
	all = list_concat(list_concat(rotate_candidates(answering[0]), rotate_candidates(answering[1])),
					  list_concat(rotate_candidates(silent[0]), rotate_candidates(silent[1])));
	*probe = probed != NULL;
	return probed != NULL ? lcons(probed, all) : all;
}
