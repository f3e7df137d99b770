/*
 * cut_proxy: carries the TCP connections between the nodes of a local network, and can stop the
 * bytes to or from one of them.
 *
 *   cc -O2 -o cut_proxy cut_proxy.c
 *
 * Commands on standard input, one a line; the answer to each is "ready":
 *
 *   link LISTEN TARGET FROM TO
 *       connections to port LISTEN of 127.0.0.1 are those of node FROM, and are forwarded to port
 *       TARGET, which is node TO's (numbers below 64)
 *   cut NODE in|out|both
 *       hold back the bytes sent to the node, by the node, or both
 *   mend NODE
 *       let them pass again, those held back first, as TCP retransmits lost packets
 *
 * No side is told of a cut, as with dropped packets: an existing connection stays and is silent, a
 * new one gets no answer. Needs no privileges, unlike packet filters and network namespaces. Ends
 * at the end of its standard input.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define NODES_MAX 64
#define LINKS_MAX 1024
#define BUFFER_BYTES 65536

/* the data of an epoll event: the command input, a listener, or one side of a connection */
typedef struct Side
{
	enum
	{
		COMMANDS,
		LISTENER,
		CONNECTION
	} kind;
	int fd;
	uint32_t events;
	struct Side *other;	  /* CONNECTION */
	int node;			  /* CONNECTION: the node on this side */
	int from, to, target; /* LISTENER */
	size_t begin, end;	  /* CONNECTION: bytes read from fd, not yet written to the other side */
	bool ended;			  /* nothing more to read from fd */
	bool told;			  /* ... and the other side has been told */
	bool dead;
	struct Side *next; /* in the list of all, or in the list to free */
	struct Side *previous;
	char *buffer;
} Side;

static int poller;
static bool cut_in[NODES_MAX];
static bool cut_out[NODES_MAX];
static Side *listeners[LINKS_MAX];
static int listeners_count;
static Side *all;
static Side *garbage;

static void
fail(const char *what)
{
	perror(what);
	exit(1);
}

static void
side_poll(Side *side, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.ptr = side};

	if (side->events == events)
		return;
	/* Without any event the side is removed: epoll would report a reset connection for ever. */
	if (events == 0)
		epoll_ctl(poller, EPOLL_CTL_DEL, side->fd, NULL);
	else if (epoll_ctl(poller, side->events == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, side->fd,
					   &event) != 0)
		fail("epoll_ctl");
	side->events = events;
}

/* whether bytes that the side's node sends are held back */
static bool
is_cut(const Side *side)
{
	return cut_out[side->node] || cut_in[side->other->node];
}

static void
pair_close(Side *side)
{
	Side *sides[2] = {side, side->other};

	for (int i = 0; i < 2; i++)
	{
		if (sides[i]->dead)
			continue;
		sides[i]->dead = true;
		side_poll(sides[i], 0);
		close(sides[i]->fd);
		if (sides[i]->next != NULL)
			sides[i]->next->previous = sides[i]->previous;
		if (sides[i]->previous != NULL)
			sides[i]->previous->next = sides[i]->next;
		else
			all = sides[i]->next;
		sides[i]->next = garbage;
		garbage = sides[i];
	}
}

static void
side_wish(Side *side)
{
	uint32_t events = 0;

	if (side->dead)
		return;
	if (!is_cut(side) && !side->ended && side->begin == side->end)
		events |= EPOLLIN;
	if (!is_cut(side->other) && side->other->begin < side->other->end)
		events |= EPOLLOUT;
	side_poll(side, events);
}

/* move as many bytes as possible from this side to the other */
static void
side_pump(Side *side)
{
	if (side->dead || is_cut(side))
		return;
	for (;;)
	{
		ssize_t count;

		if (side->begin < side->end)
		{
			count = send(side->other->fd, side->buffer + side->begin, side->end - side->begin,
						 MSG_NOSIGNAL | MSG_DONTWAIT);
			if (count < 0 && (errno == EAGAIN || errno == EINTR))
				return;
			if (count < 0)
			{
				pair_close(side);
				return;
			}
			side->begin += (size_t) count;
			continue;
		}
		if (side->ended)
			break;
		count = recv(side->fd, side->buffer, BUFFER_BYTES, MSG_DONTWAIT);
		if (count < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (count < 0)
		{
			pair_close(side);
			return;
		}
		side->begin = 0;
		side->end = (size_t) count;
		if (count == 0)
			side->ended = true;
	}
	if (!side->told)
		shutdown(side->other->fd, SHUT_WR);
	side->told = true;
	if (side->other->told)
		pair_close(side);
}

static void
pair_advance(Side *side)
{
	Side *other = side->other;

	side_pump(side);
	side_pump(other);
	side_wish(side);
	side_wish(other);
}

static Side *
side_create(int fd, int node)
{
	Side *side = calloc(1, sizeof(Side));
	int one = 1;

	if (side == NULL || (side->buffer = malloc(BUFFER_BYTES)) == NULL)
		fail("malloc");
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	side->kind = CONNECTION;
	side->fd = fd;
	side->node = node;
	side->next = all;
	if (all != NULL)
		all->previous = side;
	all = side;
	return side;
}

static void
listener_accept(Side *listener)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
								  .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
								  .sin_port = htons((uint16_t) listener->target)};
	int client = accept(listener->fd, NULL, NULL);
	int server;

	if (client < 0)
		return;
	server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (server < 0 || connect(server, (struct sockaddr *) &address, sizeof(address)) != 0)
	{
		/* the node is down: its machine refuses the connection */
		struct linger reset = {1, 0};

		setsockopt(client, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
		close(client);
		if (server >= 0)
			close(server);
		return;
	}
	Side *from = side_create(client, listener->from);
	Side *to = side_create(server, listener->to);

	from->other = to;
	to->other = from;
	pair_advance(from);
}

/* a new connection needs both directions */
static void
listener_wish(Side *listener)
{
	bool cut = cut_in[listener->from] || cut_out[listener->from] || cut_in[listener->to] ||
			   cut_out[listener->to];

	side_poll(listener, cut ? 0 : EPOLLIN);
}

static void
link_create(int port, int target, int from, int to)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
								  .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
								  .sin_port = htons((uint16_t) port)};
	Side *listener = calloc(1, sizeof(Side));
	int one = 1;

	if (listener == NULL || listeners_count == LINKS_MAX || from < 0 || from >= NODES_MAX ||
		to < 0 || to >= NODES_MAX)
		exit(1);
	listener->kind = LISTENER;
	listener->from = from;
	listener->to = to;
	listener->target = target;
	listener->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	setsockopt(listener->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (listener->fd < 0 ||
		bind(listener->fd, (struct sockaddr *) &address, sizeof(address)) != 0 ||
		listen(listener->fd, 256) != 0)
		fail("listen");
	listeners[listeners_count++] = listener;
	listener_wish(listener);
}

/*
 * After a cut or its end. A side that is closed meanwhile stays in memory until the end of the
 * turn, but leaves the list: begin again.
 */
static void
look_at_all(void)
{
	Side *side = all;

	for (int i = 0; i < listeners_count; i++)
		listener_wish(listeners[i]);
	while (side != NULL)
	{
		Side *next = side->next;

		pair_advance(side);
		side = side->dead ? all : next;
	}
}

static void
command_run(const char *line)
{
	int numbers[4];
	char way[8];

	if (sscanf(line, "link %d %d %d %d", &numbers[0], &numbers[1], &numbers[2], &numbers[3]) == 4)
		link_create(numbers[0], numbers[1], numbers[2], numbers[3]);
	else if (sscanf(line, "cut %d %7s", &numbers[0], way) == 2 && numbers[0] >= 0 &&
			 numbers[0] < NODES_MAX)
	{
		cut_in[numbers[0]] = strcmp(way, "out") != 0;
		cut_out[numbers[0]] = strcmp(way, "in") != 0;
		look_at_all();
	}
	else if (sscanf(line, "mend %d", &numbers[0]) == 1 && numbers[0] >= 0 && numbers[0] < NODES_MAX)
	{
		cut_in[numbers[0]] = cut_out[numbers[0]] = false;
		look_at_all();
	}
	else
	{
		fprintf(stderr, "cut_proxy: unknown command: %s\n", line);
		exit(1);
	}
	puts("ready");
	fflush(stdout);
}

static void
commands_read(void)
{
	static char line[256];
	static size_t length;
	ssize_t count = read(0, line + length, sizeof(line) - 1 - length);
	char *end;

	if (count <= 0)
		exit(0);
	length += (size_t) count;
	line[length] = '\0';
	while ((end = strchr(line, '\n')) != NULL)
	{
		*end = '\0';
		command_run(line);
		length -= (size_t) (end + 1 - line);
		memmove(line, end + 1, length + 1);
	}
	if (length == sizeof(line) - 1)
		exit(1);
}

int
main(void)
{
	Side commands = {.kind = COMMANDS, .fd = 0};

	signal(SIGPIPE, SIG_IGN);
	poller = epoll_create1(EPOLL_CLOEXEC);
	side_poll(&commands, EPOLLIN);
	for (;;)
	{
		struct epoll_event events[256];
		int count = epoll_wait(poller, events, 256, -1);

		for (int i = 0; i < count; i++)
		{
			Side *side = events[i].data.ptr;

			if (side->kind == COMMANDS)
				commands_read();
			else if (side->kind == LISTENER)
				listener_accept(side);
			else if (!side->dead)
				pair_advance(side);
		}
		while (garbage != NULL)
		{
			Side *side = garbage;

			garbage = side->next;
			free(side->buffer);
			free(side);
		}
	}
}
