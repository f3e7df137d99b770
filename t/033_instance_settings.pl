# Administrators change settings for all sessions of an instance, and default privileges. The
# workers run nevertheless, and no role sees more than it was granted.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use FabricTest
  qw(start_network deploy_registry create_vehicle fingerprints wait_for_leader wait_until);
use Fabric::Psql qw(start_query finish_query);
use Test::More;

my $network = start_network(orgs => 2, orderers => 2, channel => 'trade');
my ($org1, $org2) = my @nodes = $network->nodes;
deploy_registry($network, policy => "AND('Org1MSP.peer', 'Org2MSP.peer')");
my $genesis = $org1->query("SELECT encode(fabric.get_block('trade', 0), 'hex')");

foreach my $node (@nodes)
{
	$node->query("ALTER SYSTEM SET $_")
	  foreach "default_transaction_read_only = on",
	  "default_transaction_isolation = 'serializable'",
	  "lock_timeout = '200ms'", "statement_timeout = '120s'",
	  "idle_in_transaction_session_timeout = '2s'";
	$node->stop;
	$node->start;
}
wait_for_leader($network, 'trade');
foreach my $node (@nodes)
{
	like($node->error_of(create_vehicle("V$node->{number}")),
		qr/25006/, "$node->{name}: a read-only session submits no transaction");
	$node->query('SET default_transaction_read_only = off; ' . create_vehicle("V$node->{number}"));
	is( $node->query(
			"SELECT value_json->>'owner' FROM fabric.world_state WHERE key = 'V$node->{number}'"),
		'Ada Adler',
		"$node->{name}: transactions are committed although the default of other nodes' sessions is read-only and serializable"
	);
}

# the ledger worker waits for a lock without a limit
my $blocker = start_query($org2->connection,
	"SET lock_timeout = 0; SET application_name = 'blocker'; BEGIN READ WRITE; LOCK TABLE fabric_internal.world_state IN SHARE MODE; SELECT pg_sleep(600)"
);
ok( wait_until(
		sub {
			$org2->query(
				"SELECT count(*) FROM pg_locks WHERE mode = 'ShareLock' AND granted AND relation = 'fabric_internal.world_state'::regclass"
			) == 1;
		}),
	"a session has locked the ledger's tables");
my $pid = $org2->query("SELECT pid FROM fabric.stat_workers WHERE kind = 'ledger'");
$org1->query('SET default_transaction_read_only = off; ' . create_vehicle('W1'));
ok( wait_until(
		sub {
			$org2->query(
				"SELECT count(*) FROM pg_locks WHERE pid = $pid AND NOT granted AND waitstart < clock_timestamp() - interval '1 s'"
			) == 1;
		}),
	'the ledger worker waits for longer than lock_timeout');
$org2->query(
	"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'blocker'");
finish_query($blocker);
is(scalar(fingerprints($network, 'trade')), 1, 'all nodes have the same ledger');
is($org2->query("SELECT pid FROM fabric.stat_workers WHERE kind = 'ledger'"),
	$pid, 'the ledger worker was not restarted')
  or diag($org2->query('SELECT * FROM fabric.stat_workers'));

# default privileges must not open the tables of a channel: only the views show their contents
$org2->query(
	"SET default_transaction_read_only = off; ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC; SELECT fabric.leave_channel('trade'); SELECT fabric.join_channel('\\x$genesis')"
);
my $id = $org2->query("SELECT id FROM fabric_internal.channel WHERE channel = 'trade'");
is( $org2->query(
		"SELECT string_agg(relname, ' ') FROM pg_class c WHERE relnamespace = 'fabric_internal'::regnamespace AND relkind IN ('r', 'p') AND has_table_privilege('$org1->{role}', c.oid, 'SELECT')"
	),
	'',
	"another organization's node reads no table, not even the new partitions, whatever is granted by default"
);
done_testing();
