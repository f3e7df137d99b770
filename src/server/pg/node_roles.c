/*
 * node_roles.c: the roles of other nodes: their limit of connections, the connections reserved for
 * them, and their share of the log.
 *
 * The problem. All sessions of an instance share max_connections. Applications that use them all
 * keep out the other organizations' nodes: Raft messages, blocks and requests for endorsements are
 * no longer accepted, and a channel can lose its majority because of a connection pool. A member's
 * node that uses them all keeps out the applications. Both must be impossible.
 *
 * The rule. Let `places` be max_connections without the connections reserved for superusers, and
 * `nodes` the number of roles of other nodes.
 *
 *     need   for a node to take part: 2 for each channel (Raft, blocks) and 4 for requests
 *     limit  for one role: fabric.node_connections; default places / 2 / nodes, at least the need
 *     share  kept free for a role: fabric.reserved_connections; default the need, at most
 *            places / 2 / nodes; at most the limit
 *
 * A role within its share is refused only where only a superuser could connect. All other logins,
 * including those of nodes beyond their share, are refused when the number of free places is not
 * larger than the unused shares of the other nodes. So with the defaults all nodes together have
 * at most half of the places, applications at least half, and a node that uses its whole limit
 * takes nothing from the share of another node. Where max_connections is too small for that, nodes
 * have priority, and the launcher warns.
 *
 * Only the launcher knows the roles of nodes and the number of channels (a backend that
 * authenticates its client has no database yet); it publishes both here. Until then nothing is
 * reserved, and the limit of a role is half of the places.
 *
 * Log messages: each role has a budget that all its sessions share, because a node can open many
 * sessions: LOG_BURST messages at once, and one more every LOG_INTERVAL_MS. Suppressed messages
 * are counted, and the count is logged with the next message.
 *
 * Rejected: PostgreSQL's CONNECTION LIMIT of a role (it belongs to the operator, and reserves
 * nothing); reserved_connections of PostgreSQL 16 (does not exist in 15, and one member could use
 * all reserved connections).
 */
#include "server/pg/shmem_internal.h"

#include "miscadmin.h"
#include "storage/procarray.h"

#include "server/pg/compat.h"

#define LOG_BURST 300
#define LOG_INTERVAL_MS 3000

#define NEED_FOR_CHANNEL 2
#define NEED_FOR_REQUESTS 4

struct NodeRole
{
	Oid role_id;   /* InvalidOid: unused */
	bool known;	   /* the launcher has published it: it has a share */
	slock_t mutex; /* guards the fields below */
	int log_budget;
	uint64 log_refilled_ms; /* of clock_ms */
	uint64 log_left_out;
};

typedef struct NodeRoles
{
	LWLock lock; /* guards everything except the fields that a mutex guards */
	int known_count;
	int channels_count;
	NodeRole roles[NODE_ROLES_MAX];
} NodeRoles;

static NodeRoles *shared = NULL;

Size
node_roles_bytes(void)
{
	return MAXALIGN(sizeof(NodeRoles));
}

void
node_roles_init(char *place, int tranche)
{
	shared = (NodeRoles *) place;
	memset(shared, 0, sizeof(*shared));
	LWLockInitialize(&shared->lock, tranche);
	for (int i = 0; i < NODE_ROLES_MAX; i++)
		SpinLockInit(&shared->roles[i].mutex);
}

static int
count_places(void)
{
	return Max(MaxConnections - compat_reserved_connections(), 1);
}

/* half of the places, divided by the roles. The lock is held */
static int
fair_part(void)
{
	return Max(count_places() / 2 / Max(shared->known_count, 1), 1);
}

/* the lock is held */
static int
need_of_role(void)
{
	return NEED_FOR_CHANNEL * Max(shared->channels_count, 1) + NEED_FOR_REQUESTS;
}

/* the lock is held */
static int
limit_of_role(void)
{
	return guc_node_connections > 0 ? guc_node_connections : Max(fair_part(), need_of_role());
}

/* the lock is held */
static int
share_of_role(void)
{
	return Min(guc_reserved_connections < 0 ? Min(need_of_role(), fair_part())
											: guc_reserved_connections,
			   limit_of_role());
}

/*
 * The role's entry, or an unused one; when all are in use, roles without an entry share the last
 * one. The lock is held exclusively.
 */
static NodeRole *
find_role(Oid role_id)
{
	NodeRole *unused = NULL;

	for (int i = NODE_ROLES_MAX - 1; i >= 0; i--)
	{
		if (shared->roles[i].role_id == role_id)
			return &shared->roles[i];
		if (!OidIsValid(shared->roles[i].role_id))
			unused = &shared->roles[i];
	}
	if (unused == NULL)
		return &shared->roles[NODE_ROLES_MAX - 1];
	unused->role_id = role_id;
	unused->known = false;
	SpinLockAcquire(&unused->mutex);
	unused->log_budget = LOG_BURST;
	unused->log_refilled_ms = clock_ms();
	unused->log_left_out = 0;
	SpinLockRelease(&unused->mutex);
	return unused;
}

NodeConnections
node_roles_publish(const Oid *role_ids, int count, int channels_count)
{
	NodeConnections connections;

	count = Min(count, NODE_ROLES_MAX);
	LWLockAcquire(&shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < NODE_ROLES_MAX; i++)
	{
		NodeRole *role = &shared->roles[i];
		bool is_known = false;

		for (int j = 0; j < count && !is_known; j++)
			is_known = role->role_id == role_ids[j];
		/*
		 * The role no longer exists. A session of it that still runs may share the entry with
		 * another role.
		 */
		if (role->known && !is_known)
			role->role_id = InvalidOid;
		role->known = is_known;
	}
	for (int j = 0; j < count; j++)
		find_role(role_ids[j])->known = true;
	shared->known_count = count;
	shared->channels_count = channels_count;
	connections = (NodeConnections) {.roles = count,
									 .need = need_of_role(),
									 .limit = limit_of_role(),
									 .share = share_of_role(),
									 .fair_part = fair_part(),
									 .places = count_places()};
	LWLockRelease(&shared->lock);
	return connections;
}

NodeRole *
node_roles_enter(Oid role_id)
{
	NodeRole *role;

	LWLockAcquire(&shared->lock, LW_EXCLUSIVE);
	role = find_role(role_id);
	LWLockRelease(&shared->lock);
	return role;
}

/* The unused parts of the shares of all known roles except this one. The lock is held. */
static int
count_kept(Oid except_role_id)
{
	int share = share_of_role();
	int kept = 0;

	for (int i = 0; i < NODE_ROLES_MAX; i++)
	{
		const NodeRole *role = &shared->roles[i];

		if (role->known && OidIsValid(role->role_id) && role->role_id != except_role_id)
			kept += Max(share - CountUserBackends(role->role_id), 0);
	}
	return kept;
}

NodeRolesVerdict
node_roles_judge(Oid role_id, bool is_node, int *limit)
{
	NodeRolesVerdict verdict = NODE_ROLES_ADMITTED;
	int used = is_node ? CountUserBackends(role_id) : 0;
	int kept = 0;
	int share;

	LWLockAcquire(&shared->lock, LW_SHARED);
	*limit = limit_of_role();
	share = share_of_role();
	if (shared->known_count > 0 && (!is_node || used > share))
		kept = count_kept(is_node ? role_id : InvalidOid);
	LWLockRelease(&shared->lock);
	if (is_node && used > *limit)
		verdict = NODE_ROLES_OVER_LIMIT;
	else if (kept > 0 && !compat_has_free_connections(compat_reserved_connections() + kept))
		verdict = NODE_ROLES_RESERVED;
	return verdict;
}

bool
node_roles_may_log(NodeRole *role, uint64 *left_out)
{
	uint64 now_ms = clock_ms();
	bool allowed;

	SpinLockAcquire(&role->mutex);
	if (now_ms >= role->log_refilled_ms + LOG_INTERVAL_MS)
	{
		uint64 refill = (now_ms - role->log_refilled_ms) / LOG_INTERVAL_MS;

		role->log_budget = (int) Min((uint64) role->log_budget + refill, LOG_BURST);
		role->log_refilled_ms += refill * LOG_INTERVAL_MS;
	}
	allowed = role->log_budget > 0;
	*left_out = allowed ? role->log_left_out : 0;
	if (allowed)
	{
		role->log_budget--;
		role->log_left_out = 0;
	}
	else
		role->log_left_out++;
	SpinLockRelease(&role->mutex);
	return allowed;
}
