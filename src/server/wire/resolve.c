/*
 * resolve.c: resolve a host name to addresses without waiting. libpq would query the name service
 * inside PQconnectStart and PQconnectPoll, and block until it answers; a name server that does not
 * answer would delay Raft's heartbeats, and a session would block without a way to cancel it.
 *
 * glibc sends the query in a thread of its own, which runs with all signals blocked and touches no
 * memory of the server except the request. A running query often cannot be canceled: its request
 * is then put aside until the thread has finished. Therefore it is allocated with malloc.
 */
#include "server/wire/wire_internal.h"

#include <arpa/inet.h>
#include <netdb.h>

/* libpq tries them one after the other, so more than a few would take too long anyway */
#define ADDRESSES_MAX 8

struct Resolution
{
	struct Resolution *next; /* next in the list of requests put aside */
	struct gaicb request;
	struct addrinfo hints;
	char host[WIRE_ADDRESS_BYTES];
};

static Resolution *put_aside = NULL;

bool
resolve_needed(const char *host)
{
	struct in_addr v4;
	struct in6_addr v6;

	return host[0] != '/' && host[0] != '@' && inet_pton(AF_INET, host, &v4) != 1 &&
		   inet_pton(AF_INET6, host, &v6) != 1;
}

static void
resolve_destroy(Resolution *resolution)
{
	if (resolution->request.ar_result != NULL)
		freeaddrinfo(resolution->request.ar_result);
	free(resolution);
}

static void
destroy_done(void)
{
	Resolution **link = &put_aside;

	while (*link != NULL)
	{
		Resolution *resolution = *link;

		if (gai_error(&resolution->request) == EAI_INPROGRESS)
			link = &resolution->next;
		else
		{
			*link = resolution->next;
			resolve_destroy(resolution);
		}
	}
}

Resolution *
resolve_start(const char *host)
{
	Resolution *resolution;
	struct gaicb *requests[1];

	destroy_done();
	if (strlen(host) >= sizeof(resolution->host))
		return NULL;
	resolution = calloc(1, sizeof(*resolution));
	if (resolution == NULL)
		return NULL;
	strlcpy(resolution->host, host, sizeof(resolution->host));
	resolution->hints.ai_family = AF_UNSPEC;
	resolution->hints.ai_socktype = SOCK_STREAM;
	resolution->request.ar_name = resolution->host;
	resolution->request.ar_request = &resolution->hints;
	requests[0] = &resolution->request;
	if (getaddrinfo_a(GAI_NOWAIT, requests, 1, NULL) != 0)
	{
		free(resolution);
		return NULL;
	}
	return resolution;
}

/* the host name, repeated once for each address, and the addresses */
static void
list_addresses(const struct addrinfo *found, const char *host, char **hosts, char **addresses)
{
	StringInfoData host_list;
	StringInfoData address_list;
	int count = 0;

	initStringInfo(&host_list);
	initStringInfo(&address_list);
	for (; found != NULL && count < ADDRESSES_MAX; found = found->ai_next)
	{
		char text[NI_MAXHOST];

		if (getnameinfo(found->ai_addr, found->ai_addrlen, text, sizeof(text), NULL, 0,
						NI_NUMERICHOST) != 0)
			continue;
		appendStringInfo(&host_list, "%s%s", count > 0 ? "," : "", host);
		appendStringInfo(&address_list, "%s%s", count > 0 ? "," : "", text);
		count++;
	}
	*hosts = host_list.data;
	*addresses = address_list.data;
}

ResolveState
resolve_poll(Resolution *resolution, char **hosts, char **addresses, const char **error)
{
	int code = gai_error(&resolution->request);

	if (code == EAI_INPROGRESS)
		return RESOLVE_RUNNING;
	if (code != 0)
	{
		*error = gai_strerror(code);
		return RESOLVE_FAILED;
	}
	pg_read_barrier(); /* written by the other thread before the code */
	list_addresses(resolution->request.ar_result, resolution->host, hosts, addresses);
	if ((*addresses)[0] != '\0')
		return RESOLVE_DONE;
	*error = gai_strerror(EAI_NONAME);
	return RESOLVE_FAILED;
}

void
resolve_release(Resolution *resolution)
{
	(void) gai_cancel(&resolution->request);
	if (gai_error(&resolution->request) != EAI_INPROGRESS)
	{
		resolve_destroy(resolution);
		return;
	}
	resolution->next = put_aside;
	put_aside = resolution;
}
