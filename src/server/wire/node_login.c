/*
 * node_login.c: who gets a connection, and what a session of another node starts with.
 *
 * The problem. The node of another organization logs in with a role of this instance. To PostgreSQL
 * that is a user like any other: it may connect to every database that pg_hba.conf does not forbid,
 * as often as there is room, and choose settings for its session.
 *
 * The rule, applied right after authentication (ClientAuthentication_hook):
 *
 *   - A login that is a member of fabric_node, directly or through other roles, is a node's.
 * Superusers and members of fabric_admin are not restricted: they administer this instance,
 * whatever else they are members of. What counts is who logged in, not what SET ROLE makes of it: a
 * superuser who becomes a node's role for a test keeps a session without restrictions.
 *   - It may connect to fabric.database only, not for replication, and so often as node_roles.c
 * says. Others are refused when the free places are kept for nodes.
 *   - Options that the client sends with the connection are ignored, but for its encoding and its
 * name. What the session needs is set here, with a priority (PGC_S_OVERRIDE) that beats ALTER ROLE,
 * ALTER DATABASE and configuration files; the session cannot change it, for it cannot run SET
 * (node_session.c).
 *
 * What holds afterwards: a dead peer's session ends within 15 s (keep-alive and TCP_USER_TIMEOUT
 * for an idle one, client_connection_check_interval for one that works), where PostgreSQL's default
 * is that of the system, two hours. t/072 looks at the sockets.
 *
 * Rejected: to look at memberships when each statement starts. A role that is granted fabric_node
 * while it is logged in is restricted from its next login on; granting it is the administrator's
 * doing.
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

/* a message as it comes, its parameters, and what is made of them: the largest one three times */
#define MEMORY_FOR_MESSAGES ((rlim_t) 3 * FB_MESSAGE_BYTES_MAX)

static ClientAuthentication_hook_type previous_hook = NULL;

/*
 * What every session of a node runs with. The limits of time are those of a lost peer, not of an
 * operation: each function of the interface has its own, below an hour.
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
	/* a node chooses the text of its statements, and how many there are */
	{"log_statement", "none"},
	{"log_duration", "off"},
	{"log_min_duration_statement", "-1"},
	{"log_min_duration_sample", "-1"},
	{"log_min_error_statement", "panic"},
	{"log_parameter_max_length_on_error", "0"},
};

/*
 * not SearchSysCache through utils/acl.h: its lists are kept for the session, and those made before
 * there is a database lack pg_database_owner
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
 * What the protocol reads, and what prepared statements and portals keep, is memory of the process,
 * without a limit of PostgreSQL's. With one an allocation fails, which is an error like any other;
 * chaincode has its limit within it.
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

/* keeps what says how the client writes and what it is called, of the options that it sent */
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

	/* from here on its messages are counted */
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
	/* as PostgreSQL does a moment later; sessions that start now count this one */
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
	/* PostgreSQL 15 has no such role */
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
