/*
 * addresses.c: where the other nodes of a channel are.
 *
 * The channel's configuration lists addresses of organizations, not of nodes: Endpoints of their
 * orderers (OrdererAddresses, for all, in older configurations), anchor peers, and the consenters.
 * An organization may have several nodes. So the other nodes are all addresses but this node's own,
 * not only those of other organizations: else two orderers of one organization would never fetch
 * from each other.
 *
 * This node recognizes its own address by its keys. The address of a consenter is its own if the
 * consenter's TLS client key is. Any other address is its own if it has this server's port and a
 * host that this server's certificate (ssl_cert_file) names. Nodes check each other's host names,
 * so a node's own address is always named there; and where a certificate names several hosts of the
 * channel with this port, as one that is shared between hosts does, none of them is taken for its
 * own. Taking its own address for another's costs a request that this node answers with nothing
 * (deliver_serve); the opposite mistake would lose a source.
 */
#include "server/channel/channel.h"

#include "postmaster/postmaster.h"
#include "utils/guc.h"

#include <unistd.h>

/* all addresses that the configuration names: borrowed host, port */
typedef bool (*AddressVisitor)(void *context, const char *host, uint32_t port);

static bool
visit_text(const char *address, AddressVisitor visit, void *context)
{
	FbError error;
	char *host;
	uint16_t port;

	/* a configuration written by hand may contain anything here */
	if (config_parse_address(memory_allocator(CurrentMemoryContext), fb_bytes_of_text(address),
							 &host, &port, &error) != FB_OK)
		return true;
	return visit(context, host, port);
}

static void
visit_addresses(const ConfigBundle *bundle, AddressVisitor visit, void *context)
{
	for (size_t i = 0; i < bundle->orderer_organizations_count; i++)
		for (size_t e = 0; e < bundle->orderer_organizations[i].endpoints_count; e++)
			if (!visit_text(bundle->orderer_organizations[i].endpoints[e], visit, context))
				return;
	for (size_t i = 0; i < bundle->orderer_addresses_count; i++)
		if (!visit_text(bundle->orderer_addresses[i], visit, context))
			return;
	for (size_t i = 0; i < bundle->consenters_count; i++)
		if (!visit(context, bundle->consenters[i].host, bundle->consenters[i].port))
			return;
	for (size_t i = 0; i < bundle->application_organizations_count; i++)
		for (size_t a = 0; a < bundle->application_organizations[i].anchors_count; a++)
			if (!visit(context, bundle->application_organizations[i].anchors[a].host,
					   bundle->application_organizations[i].anchors[a].port))
				return;
}

/* ---- this node's own ---- */

typedef struct OwnHost
{
	const CryptoCertificate *certificate;
	const char *host; /* the one host that the certificate names; NULL: none */
	bool several;
} OwnHost;

static bool
look_for_own_host(void *context, const char *host, uint32_t port)
{
	OwnHost *own = context;

	if (port != (uint32_t) PostPortNumber ||
		(own->host != NULL && pg_strcasecmp(own->host, host) == 0) ||
		!crypto_certificate_names_host(own->certificate, host))
		return true;
	own->several = own->host != NULL;
	own->host = host;
	return !own->several;
}

/* the host of this node's own addresses in this channel; NULL when it cannot be told */
static const char *
own_host(const Channel *channel)
{
	const char *ssl_cert_file = GetConfigOption("ssl_cert_file", true, false);
	OwnHost own = {0};
	CryptoCertificate *certificate;
	FbError error;

	if (!EnableSSL || ssl_cert_file == NULL || access(ssl_cert_file, R_OK) != 0 ||
		crypto_certificate_parse_pem(node_read_file("ssl_cert_file", ssl_cert_file, false),
									 &certificate, &error) != FB_OK)
		return NULL;
	own.certificate = certificate;
	visit_addresses(channel->bundle, look_for_own_host, &own);
	crypto_certificate_free(certificate);
	return own.several ? NULL : own.host;
}

/* the Raft id of the consenter with this address; 0: none */
static uint64
consenter_at(const Channel *channel, const char *host, uint32_t port)
{
	const ConfigBundle *bundle = channel->bundle;

	for (size_t i = 0; i < bundle->consenters_count; i++)
		if (bundle->consenters[i].port == port &&
			pg_strcasecmp(bundle->consenters[i].host, host) == 0)
			return consenter_ids_id(&channel->consenter_ids, i);
	return 0;
}

typedef struct OwnAddresses
{
	const Channel *channel;
	uint64 consenter; /* whose key is this node's; 0: none's is */
	const char *host;
} OwnAddresses;

static OwnAddresses
own_addresses(const Channel *channel)
{
	return (OwnAddresses) {channel, channel_own_consenter(channel), own_host(channel)};
}

static bool
is_own(const OwnAddresses *own, const char *address)
{
	FbError error;
	char *host;
	uint16_t port;

	if (config_parse_address(memory_allocator(CurrentMemoryContext), fb_bytes_of_text(address),
							 &host, &port, &error) != FB_OK)
		return false;
	if (own->consenter != 0 && consenter_at(own->channel, host, port) == own->consenter)
		return true;
	return own->host != NULL && port == PostPortNumber && pg_strcasecmp(own->host, host) == 0;
}

bool
channel_lost_consenter(const Channel *channel, FbError *why)
{
	const char *host;
	uint64 number;

	if (channel->ledger->import_only || channel_own_consenter(channel) != 0 ||
		guc_tls_certificate_file[0] == '\0')
		return false;
	host = own_host(channel);
	number = host == NULL ? 0 : consenter_at(channel, host, (uint32_t) PostPortNumber);
	if (number == 0)
		return false;
	fb_fail(why, FB_NOT_CONSENTER,
			"this node does not order although consenter %llu has its address",
			(unsigned long long) number);
	fb_error_detail(
		why,
		"The consenter at %s:%d has another TLS public key in the channel configuration than the certificate in fabric.tls_certificate_file.",
		host, PostPortNumber);
	fb_error_hint(
		why,
		"A renewed certificate must have the key of the old one. Put the old key back, or change the channel's configuration.");
	return true;
}

/* ---- the others ---- */

static bool
has_source(List *sources, const char *address)
{
	ListCell *cell;

	foreach(cell, sources)
		if (pg_strcasecmp(((const BlockSource *) lfirst(cell))->address, address) == 0)
			return true;
	return false;
}

static List *
add_source(List *sources, const OwnAddresses *own, const char *address, BlockSourceTier tier)
{
	BlockSource *source;

	if (has_source(sources, address) || is_own(own, address))
		return sources;
	source = palloc(sizeof(BlockSource));
	*source = (BlockSource) {pstrdup(address), tier};
	return lappend(sources, source);
}

char *
channel_address(const char *host, uint32_t port)
{
	return psprintf(strchr(host, ':') != NULL ? "[%s]:%u" : "%s:%u", host, port);
}

/* those of the organizations, first this node's or else the others'; how many there are */
static List *
add_endpoints(List *sources, const OwnAddresses *own, BlockSourceTier tier, size_t *endpoints_count)
{
	for (size_t i = 0; i < own->channel->bundle->orderer_organizations_count; i++)
	{
		const ConfigOrganization *organization = &own->channel->bundle->orderer_organizations[i];

		if ((strcmp(organization->msp_id, guc_node_msp_id) == 0) != (tier == SOURCE_OWN_ORDERER))
			continue;
		*endpoints_count += organization->endpoints_count;
		for (size_t e = 0; e < organization->endpoints_count; e++)
			sources = add_source(sources, own, organization->endpoints[e], tier);
	}
	return sources;
}

static List *
add_own_peers(List *sources, const OwnAddresses *own)
{
	const ConfigOrganization *organization =
		config_application_organization(own->channel->bundle, guc_node_msp_id);

	for (size_t a = 0; organization != NULL && a < organization->anchors_count; a++)
		sources = add_source(sources, own,
							 channel_address(organization->anchors[a].host,
											 organization->anchors[a].port),
							 SOURCE_OWN_PEER);
	return sources;
}

List *
channel_block_sources(const Channel *channel)
{
	const ConfigBundle *bundle = channel->bundle;
	OwnAddresses own = own_addresses(channel);
	size_t endpoints_count = 0;
	List *sources = NIL;

	sources = add_endpoints(sources, &own, SOURCE_OWN_ORDERER, &endpoints_count);
	sources = add_endpoints(sources, &own, SOURCE_OTHER_ORDERER, &endpoints_count);
	for (size_t i = 0; endpoints_count == 0 && i < bundle->orderer_addresses_count; i++)
		sources = add_source(sources, &own, bundle->orderer_addresses[i], SOURCE_OTHER_ORDERER);
	for (size_t i = 0; endpoints_count == 0 && bundle->orderer_addresses_count == 0 &&
					   i < bundle->consenters_count;
		 i++)
		sources =
			add_source(sources, &own,
					   channel_address(bundle->consenters[i].host, bundle->consenters[i].port),
					   SOURCE_OTHER_ORDERER);
	return add_own_peers(sources, &own);
}

static List *
addresses_of_value(List *sources)
{
	List *addresses = NIL;
	ListCell *cell;

	foreach(cell, sources)
		addresses = lappend(addresses, (char *) ((const BlockSource *) lfirst(cell))->address);
	return addresses;
}

List *
channel_other_nodes(const Channel *channel)
{
	OwnAddresses own = own_addresses(channel);
	List *sources = channel_block_sources(channel);

	for (size_t i = 0; i < channel->bundle->application_organizations_count; i++)
	{
		const ConfigOrganization *organization = &channel->bundle->application_organizations[i];

		for (size_t a = 0; a < organization->anchors_count; a++)
			sources = add_source(sources, &own,
								 channel_address(organization->anchors[a].host,
												 organization->anchors[a].port),
								 SOURCE_OWN_PEER);
	}
	return addresses_of_value(sources);
}

List *
channel_own_peers(const Channel *channel)
{
	OwnAddresses own = own_addresses(channel);

	return addresses_of_value(add_own_peers(NIL, &own));
}
