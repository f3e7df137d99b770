/*
 * connections.c: publish the roles of other nodes for pg/node_roles.c, and warn if max_connections
 * is too low for them
 */
#include "server/worker/worker_internal.h"

#include "commands/extension.h"
#include "miscadmin.h"

static int
read_node_roles(Oid role_ids[NODE_ROLES_MAX])
{
	/* the same rule as for a login in node_login.c */
	static SpiStatement statement = {
		.sql =
			"SELECT r.oid FROM pg_catalog.pg_roles r, pg_catalog.pg_roles n, pg_catalog.pg_roles a "
			"WHERE n.rolname = 'fabric_node' AND a.rolname = 'fabric_admin' AND r.rolcanlogin AND NOT r.rolsuper "
			"AND pg_catalog.pg_has_role(r.oid, n.oid, 'MEMBER') AND NOT pg_catalog.pg_has_role(r.oid, a.oid, 'MEMBER') ORDER BY r.oid",
	};
	SpiScope scope;
	int count;

	spi_begin(&scope);
	(void) spi_run(&statement, NULL, NULL, true, NODE_ROLES_MAX);
	count = (int) SPI_processed;
	for (int i = 0; i < count; i++)
	{
		bool isnull;

		role_ids[i] = DatumGetObjectId(
			SPI_getbinval(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1, &isnull));
	}
	spi_end(&scope);
	return count;
}

static void
warn_of_few(const NodeConnections *now, int channels_count)
{
	if (now->limit < now->need)
		ereport(WARNING,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("fabric.node_connections is too low for %d channels", channels_count),
				 errdetail("Each other node needs %d connections to take part, and may have %d.",
						   now->need, now->limit),
				 errhint("Raise fabric.node_connections.")));
	else if (now->fair_part < now->need)
		ereport(
			WARNING,
			(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
			 errmsg("max_connections is too low for %d other nodes and %d channels", now->roles,
					channels_count),
			 errdetail(
				 "Each of them needs %d connections to take part; half of all are enough for %d each.",
				 now->need, now->fair_part),
			 errhint("Raise max_connections to %d at least, and restart the server.",
					 MaxConnections - now->places + 2 * now->roles * now->need)));
	else if (now->share > now->fair_part)
		ereport(WARNING, (errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
						  errmsg("more than half of all connections are reserved for other nodes"),
						  errdetail("Of %d connections %d are reserved for each of %d nodes.",
									now->places, now->share, now->roles),
						  errhint("Raise max_connections, or lower fabric.reserved_connections.")));
}

void
connections_publish(int channels_count)
{
	static NodeConnections before;
	NodeConnections now;
	Oid role_ids[NODE_ROLES_MAX];
	int count = 0;

	bracket_begin("looking for the roles of other nodes");
	if (OidIsValid(get_extension_oid("fabric", true)))
		count = read_node_roles(role_ids);
	bracket_commit();
	now = node_roles_publish(role_ids, count, channels_count);
	if (now.roles > 0 && memcmp(&now, &before, sizeof(now)) != 0)
	{
		ereport(
			LOG,
			(errmsg("%d other nodes: each may have %d connections, and %d are reserved for each",
					now.roles, now.limit, now.share)));
		warn_of_few(&now, channels_count);
	}
	before = now;
}
