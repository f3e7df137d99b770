/*
 * node_login.c: admission of logins, and the settings of a session of another node.
 *
 * The problem. The node of another organization logs in with a role of this instance. For
 * PostgreSQL that is a user like any other: it may connect to every database that pg_hba.conf does
 * not forbid, up to the limit of all connections, and choose settings for its session.
 *
 * The rule, applied right after authentication (ClientAuthentication_hook):
 *
 *   - A login that is a member of fabric_node, directly or through other roles, is a node's.
 *     Superusers and members of fabric_admin are not restricted: they administer this instance,
 *     whatever their other memberships. The login role counts, not SET ROLE: a superuser who sets
 *     a node's role for a test keeps an unrestricted session.
 *   - A node may connect to fabric.database only, not for replication, and only within the limit
 *     of node_roles.c. Other logins are refused when the free places are reserved for nodes.
 *   - Options that the client sends with the connection are ignored, except client_encoding and
 *     application_name. The settings of the session are set here, with a priority (PGC_S_OVERRIDE)
 *     above ALTER ROLE, ALTER DATABASE and configuration files; the session cannot change them,
 *     because it cannot run SET (node_session.c).
 *
 * What holds afterwards: the session of a dead peer ends within 15 s (keep-alive and
 * TCP_USER_TIMEOUT for an idle session, client_connection_check_interval for a busy one).
 * PostgreSQL's default is the system's, two hours. t/072 checks the sockets.
 *
 * Rejected: checking memberships at the start of each statement. A role that is granted
 * fabric_node while it is logged in is restricted from its next login; the grant is the
 * administrator's decision.
 */
#include "server/wire/wire_internal.h"

#include <sys/resource.h>

#include "catalog/pg_auth_members.h"
#include "catalog/pg_authid.h"
/* libpq-be.h wants the headers of Kerberos where the server was built with GSSAPI; see sender.c */
#undef ENABLE_GSS
#include "libpq/auth.h"
#include "libpq/libpq-be.h"
#include "miscadmin.h"
#include "replication/walsender.h"
#include "storage/proc.h"
#include "utils/acl.h"
#include "utils/catcache.h"
#include "utils/guc.h"
#include "utils/syscache.h"

#include "server/pg/compat.h"

/* the received message, its parameters, and the decoded form: three times the largest message */
#define MEMORY_FOR_MESSAGES ((rlim_t) 3 * FB_MESSAGE_BYTES_MAX)

static ClientAuthentication_hook_type previous_hook = NULL;

/*
 * Settings of every session of a node. The time limits are for a lost peer, not for an operation:
 * each function of the interface has its own limit, below an hour.
 */
static const struct
{
	const char *name;
	const char *value;
} node_settings[] = {
	{"search_path", "pg_catalog"},
	{"default_transaction_isolation", "read committed"},
	{"default_transaction_read_only", "off"},
	{"default_transaction_deferrable", "off"},
	{"statement_timeout", "3700s"},
	{"lock_timeout", "0"},
	{"idle_in_transaction_session_timeout", "30s"},
	{"client_connection_check_interval", "5s"},
	{"tcp_keepalives_idle", "5"},
	{"tcp_keepalives_interval", "2"},
	{"tcp_keepalives_count", "3"},
	{"tcp_user_timeout", "10000"},
	{"jit", "off"},
	/* a node chooses the text and the number of its statements, so do not log them */
	{"log_statement", "none"},
	{"log_duration", "off"},
	{"log_min_duration_statement", "-1"},
	{"log_min_duration_sample", "-1"},
	{"log_min_error_statement", "panic"},
	{"log_parameter_max_length_on_error", "0"},
};

/*
 * Does not use utils/acl.h, which caches its lists for the session: lists made before the session
 * has a database lack pg_database_owner.
 */
static bool
is_member(Oid role, const char *group_name)
{
	Oid group = get_role_oid(group_name, true);
	List *roles = list_make1_oid(role);

	if (!OidIsValid(group))
		return false;
	for (int i = 0; i < list_length(roles); i++)
	{
		CatCList *memberships =
			SearchSysCacheList1(AUTHMEMMEMROLE, ObjectIdGetDatum(list_nth_oid(roles, i)));

		for (int j = 0; j < memberships->n_members; j++)
		{
			Form_pg_auth_members membership =
				(Form_pg_auth_members) GETSTRUCT(&memberships->members[j]->tuple);

			if (!compat_membership_counts(membership))
				continue;
			roles = list_append_unique_oid(roles, membership->roleid);
		}
		ReleaseSysCacheList(memberships);
	}
	return list_member_oid(roles, group);
}

/*
 * Received messages, prepared statements and portals use memory of the process, for which
 * PostgreSQL has no limit. With this limit an allocation fails, which is an ordinary error; the
 * limit for chaincode is lower.
 */
static void
login_limit_memory(void)
{
	struct rlimit limit;

	if (guc_chaincode_memory_limit == 0 || getrlimit(RLIMIT_DATA, &limit) != 0)
		return;
	limit.rlim_cur =
		Min(limit.rlim_cur, (rlim_t) guc_chaincode_memory_limit * 1024 + MEMORY_FOR_MESSAGES);
	if (setrlimit(RLIMIT_DATA, &limit) != 0)
		ereport(FATAL, (errmsg("could not limit the memory of a session of another node: %m")));
}

static void
refuse_place(NodeRolesVerdict verdict, const char *role_name, int limit)
{
	if (verdict == NODE_ROLES_OVER_LIMIT)
		ereport(FATAL,
				(errcode(ERRCODE_TOO_MANY_CONNECTIONS),
				 errmsg("too many connections for node role \"%s\"", role_name),
				 errdetail("The role of another node may have %d connections.", limit),
				 errhint(
					 "The limit is fabric.node_connections, or follows from max_connections.")));
	if (verdict == NODE_ROLES_RESERVED)
		ereport(
			FATAL,
			(errcode(ERRCODE_TOO_MANY_CONNECTIONS),
			 errmsg(
				 "remaining connection slots are reserved for the nodes of other organizations and for superusers"),
			 errhint("Raise max_connections, or lower fabric.reserved_connections.")));
}

/* of the options that the client sent, keep its encoding and its name */
static void
drop_options(Port *port)
{
	List *kept = NIL;

	for (int i = 0; i + 1 < list_length(port->guc_options); i += 2)
	{
		char *name = list_nth(port->guc_options, i);

		if (pg_strcasecmp(name, "client_encoding") == 0 ||
			pg_strcasecmp(name, "application_name") == 0)
		{
			MemoryContext old_context = MemoryContextSwitchTo(TopMemoryContext);

			kept = lappend(lappend(kept, name), list_nth(port->guc_options, i + 1));
			MemoryContextSwitchTo(old_context);
		}
	}
	port->guc_options = kept;
	port->cmdline_options = NULL;
}

static void
admit_node(Port *port, Oid role)
{
	NodeRolesVerdict verdict;
	int limit;

	/* from here on the session's messages are counted */
	node_session_start(role, port->user_name);
	if (am_walsender)
		ereport(FATAL,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("node role \"%s\" cannot connect for replication", port->user_name)));
	if (strcmp(port->database_name, guc_database) != 0)
		ereport(FATAL,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("node role \"%s\" cannot connect to database \"%s\"", port->user_name,
						port->database_name),
				 errdetail(
					 "A member of fabric_node connects to the database of the extension only."),
				 errhint("Name the database in fabric_internal.node, or use another role.")));
	/*
	 * PostgreSQL sets it a moment later; set it now, so that sessions that start at the same time
	 * count this one
	 */
	MyProc->roleId = role;
	verdict = node_roles_judge(role, true, &limit);
	refuse_place(verdict, port->user_name, limit);
	drop_options(port);
	login_limit_memory();
	for (int i = 0; i < lengthof(node_settings); i++)
		SetConfigOption(node_settings[i].name, node_settings[i].value, PGC_SUSET, PGC_S_OVERRIDE);
}

static void
admit_other(Port *port, Oid role)
{
	int limit;
	NodeRolesVerdict verdict = node_roles_judge(role, false, &limit);

	if (verdict == NODE_ROLES_ADMITTED)
		return;
	/* PostgreSQL 15 has no such role; then is_member returns false */
	if (is_member(role, "pg_use_reserved_connections"))
		return;
	refuse_place(verdict, port->user_name, limit);
}

static void
login_admit(Port *port, int status)
{
	Oid role;

	if (previous_hook != NULL)
		previous_hook(port, status);
	if (status != STATUS_OK)
		return;
	role = get_role_oid(port->user_name, true);
	if (!OidIsValid(role) || superuser_arg(role))
		return;
	if (is_member(role, "fabric_node") && !is_member(role, "fabric_admin"))
		admit_node(port, role);
	else if (!am_walsender)
		admit_other(port, role);
}

void
wire_install_hooks(void)
{
	node_session_install();
	previous_hook = ClientAuthentication_hook;
	ClientAuthentication_hook = login_admit;
}
