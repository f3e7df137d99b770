/*
 * candidates.c: the nodes of an organization, in the order in which they are asked.
 *
 * The problem. An organization runs several nodes so that it works while one of them is down. Which
 * node is asked first, and which are skipped?
 *
 * The rule. The candidates are the anchor peers in the channel's configuration and no others: there
 * is no gossip that could add more, and proposals go only to addresses on which the members have
 * agreed. The nodes of one organization are asked in turn from a random one on, so that load
 * spreads. Two kinds of nodes are avoided for some time, that is, asked only if no other
 * combination is left: a node that did not answer (wire_is_silent), and a node that cannot endorse
 * this chaincode because it lacks the package, the approval, the channel or a good certificate
 * (known to the session that got the error). Two kinds are asked after the others of their
 * organization: a node that lacks many blocks, and a node that takes several times as long as the
 * fastest (pg/answer_times.c).
 *
 * Rejected: sorting by height, as Fabric's gateway does with the heights that gossip reports
 * (internal/pkg/gateway/registry.go, sorter). Such heights are some blocks old. Here each answer
 * states how many blocks its simulation saw, and agree.c acts on that. Like Fabric, this file
 * passes over nodes that cannot be reached (registry.go, removeEndorser) and nodes without the
 * chaincode (endorsement.go of discovery), but only for UNFIT_MS, because nothing reports that they
 * are back.
 *
 * Orderers: those of this node's own organization first, each group from a random one on, and then
 * those that did not answer lately, except one that is due for a probe and is asked first.
 */
#include "server/gateway/gateway_internal.h"

#include "common/hashfn.h"
#include "common/pg_prng.h"
#include "utils/memutils.h"

/*
 * how long a node that cannot endorse a chaincode is avoided: as long as one that does not answer
 */
#define UNFIT_MS 10000
#define UNFIT_MAX 64
/*
 * A node is slow if it takes more than SLOWER_TIMES the time of the fastest plus SLOWER_MS. One
 * call in ANY_SPEED_TIMES ignores the speed, to find out whether a slow node is fast again.
 */
#define SLOWER_TIMES 4
#define SLOWER_MS 50
#define ANY_SPEED_TIMES 16
/*
 * Addresses of the channel's nodes are looked up again after this time, because certificates and
 * settings change.
 */
#define ADDRESSES_AGE_MS_MAX 10000
/*
 * Maximum of anchor peers of one organization that are considered: its members choose their number,
 * and every call walks the list.
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

/* If two names have one hash, a node is only asked later than necessary. */
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

/* ---- addresses, cached: finding this node's own needs its certificates ---- */

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
	/* built in a context of its own, so that an error leaves the old lists intact */
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

/* the anchor peers of an organization that are other nodes, each once */
static List *
list_peers(const Channel *channel, const char *msp_id)
{
	const ConfigOrganization *organization =
		config_application_organization(channel->bundle, msp_id);
	List *addresses = NIL;
	ListCell *cell;

	if (strcmp(msp_id, guc_node_msp_id) == 0)
	{
		/* copied: the cached list may be replaced while the caller uses it */
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

/* start the list at a random element */
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

/* usual time of an endorsement of this function on that node, in ms; -1: not known */
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
	/* from time to time a slow node is asked: it may be fast again */
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
	List *answering[2] = {NIL, NIL}; /* [0]: of this node's organization; [1]: of others */
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
