# Other sessions maintain the tables of the ledger (VACUUM, ANALYZE, REINDEX, ALTER TABLE) while a
# block is written. Their invalidations reach the ledger process between its statements, whose plans
# it must keep while they run.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use FabricTest;
use Fabric::Psql;
use Test::More;

my $network = FabricTest::start_network(
	orgs => 1,
	orderers => 1,
	channel => 'trade',
	settings => "autovacuum = off\n");
my ($org1) = $network->nodes;

$network->deploy('trade', 'book', <<'SQL', policy => "OR('Org1MSP.peer')");
CREATE FUNCTION put(key text, value text) RETURNS void
	LANGUAGE sql AS $$ SELECT fabric.put_state(key, value) $$;
CREATE FUNCTION get(key text) RETURNS text LANGUAGE sql AS $$ SELECT fabric.get_state_text(key) $$;
CREATE FUNCTION get_for_a_while(key text) RETURNS text LANGUAGE plpgsql AS
	$$ BEGIN FOR i IN 1 .. 200000 LOOP PERFORM fabric.get_state(key); END LOOP;
		RETURN fabric.get_state_text(key); END $$;
CREATE FUNCTION fill(first int, last int) RETURNS void LANGUAGE plpgsql AS
	$$ BEGIN FOR i IN first .. last LOOP PERFORM fabric.put_state('n' || i, i::text); END LOOP;
		END $$;
CREATE FUNCTION remove(first int, last int) RETURNS void LANGUAGE plpgsql AS
	$$ BEGIN FOR i IN first .. last LOOP PERFORM fabric.del_state('n' || i); END LOOP; END $$;
SQL

my $id = $org1->query("SELECT id FROM fabric_internal.channel WHERE channel = 'trade'");
my $workers =
  "SELECT string_agg(kind || ' ' || pid || ' ' || restarts || ' ' || coalesce(last_error, ''), ', ' ORDER BY kind) FROM fabric.stat_workers";
my $before = $org1->query($workers);

# the tables have no statistics: rows are found through the index nevertheless
sub call
{
	my ($function, @arguments) = @_;
	return
	  "SELECT fabric.invoke('trade', 'book', '$function', "
	  . join(', ', map { "'$_'" } @arguments) . ')';
}
my $read = "SELECT seq_tup_read FROM pg_stat_user_tables WHERE relname = 'world_state_$id'";
my $removed = "SELECT n_tup_del FROM pg_stat_user_tables WHERE relname = 'world_state_$id'";
$org1->query(join(";\n", call('fill', 1, 10), call('remove', 1, 5), call('fill', 11, 5000)));
my $rows_read = $org1->query($read);
$org1->query(join(";\n", map { call('remove', $_, $_ + 9) } 11, 21, 31));
# the ledger process reports its statistics a second later, with another block
ok( FabricTest::wait_until(
		sub { $org1->query(call('put', 'key', 'value')); $org1->query($removed) == 35 }),
	'keys are removed');
is($org1->query($read), $rows_read, 'removing keys does not read the whole state');

foreach my $maintenance (
	"VACUUM ANALYZE fabric_internal.block_$id",
	"VACUUM ANALYZE fabric_internal.transaction_$id",
	"REINDEX TABLE CONCURRENTLY fabric_internal.world_state_$id",
	"CREATE INDEX CONCURRENTLY ON fabric_internal.block_$id (committed_at)",
	"CREATE STATISTICS fabric_internal.a_trial ON number, raft_index FROM fabric_internal.block_$id"
  )
{
	my $log_size = -s $org1->cluster->logfile;
	$org1->set_faults('commit_before_block=hold');
	my $invocation = Fabric::Psql::start_query($org1->connection,
		"SELECT fabric.invoke('trade', 'book', 'put', 'key', \$\$$maintenance\$\$)");
	ok( $org1->wait_until_held('commit_before_block', $log_size),
		'the ledger process is about to write the block');
	# done, or waiting for the lock of the block
	my $maintaining = Fabric::Psql::start_query($org1->connection,
		"SET application_name = 'maintenance';\n$maintenance");
	FabricTest::wait_until(
		sub {
			!Fabric::Node::is_alive($maintaining->{pid})
			  || $org1->query(
				"SELECT count(*) FROM pg_stat_activity WHERE application_name = 'maintenance' AND wait_event_type = 'Lock'"
			  ) == 1;
		});
	$org1->set_faults('');
	my ($output, $error, $status) = Fabric::Psql::finish_query($invocation);
	is($status, 0, "a block is committed in spite of $maintenance") or diag($error);
	is((Fabric::Psql::finish_query($maintaining))[1], '', 'the maintenance succeeds');
	is($org1->query("SELECT fabric.query('trade', 'book', 'get', 'key')"),
		$maintenance, 'the state has the committed value');
}
is($org1->query($workers), $before, 'no worker ended');

# in the middle of a simulation the tables are looked up again, although chaincode itself may not
# read tables
my $running =
  "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%get_for_a_while%' AND state = 'active' AND pid <> pg_backend_pid()";
my $reading = Fabric::Psql::start_query($org1->connection,
	"SELECT fabric.query('trade', 'book', 'get_for_a_while', 'key') IS NOT NULL");
ok(FabricTest::wait_until(sub { $org1->query($running) }), 'a chaincode function is reading');
$org1->query("ALTER TABLE fabric_internal.world_state_$id SET (autovacuum_vacuum_threshold = $_)")
  foreach 51 .. 55;
is($org1->query($running), 1, 'the chaincode function is still reading after ALTER TABLE');
my ($read_output, $read_error, $read_status) = Fabric::Psql::finish_query($reading);
is($read_status, 0, 'ALTER TABLE does not disturb a running chaincode function')
  or diag($read_error);

# the index is built again between two statements of a transaction that holds no lock in between
my ($host, $port) = @{ $org1->connection }{qw(host port)};
foreach my $table ('block', 'transaction', 'world_state')
{
	my $look =
	  "SELECT fabric.query('trade', 'book', 'get', 'key') IS NOT NULL, length(fabric.get_block('trade', 1)) > 0;";
	my ($output, $error, $status) =
	  $org1->try_query("BEGIN;\n$look\n\\! "
		  . Fabric::Host::bindir()
		  . "/psql -h $host -p $port -qc 'REINDEX TABLE CONCURRENTLY fabric_internal.${table}_$id' fabric\n$look\nCOMMIT"
	  );
	is($output, "t|t\nt|t", "$table: reads work after REINDEX CONCURRENTLY") or diag($error);
}
done_testing();
