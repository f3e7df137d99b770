# synchronous_commit = off, set by reload and in every other way, does not make commits less
# durable: all nodes are killed at the moment at which a client is told that its transaction is
# committed, and all of them have it afterwards.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use FabricTest              qw(fingerprints wait_for_leader);
use PostgreSQL::Test::Utils qw(slurp_file);
use Test::More;

# otherwise the WAL writer would flush within a fifth of a second
my $network = FabricTest::start_network(
	orgs => 3,
	orderers => 3,
	channel => 'trade',
	settings =>
	  "fsync = on\nwal_writer_delay = 10s\nwal_writer_flush_after = 1GB\nautovacuum = off\ncheckpoint_timeout = 1h\n"
);
my @nodes = $network->nodes;

$network->deploy('trade', 'book',
	<<'SQL', policy => "OR('Org1MSP.peer', 'Org2MSP.peer', 'Org3MSP.peer')");
CREATE FUNCTION put(key text, value text) RETURNS void
	LANGUAGE sql AS $$ SELECT fabric.put_state(key, value) $$;
CREATE FUNCTION get(key text) RETURNS text LANGUAGE sql AS $$ SELECT fabric.get_state_text(key) $$;
SQL
wait_for_leader($network, 'trade');
foreach my $node (@nodes)
{
	$node->query("ALTER DATABASE fabric SET synchronous_commit = off");
	$node->query("ALTER ROLE ALL SET synchronous_commit = off");
	$node->set("synchronous_commit = off\n");
}
is($nodes[0]->query('SHOW synchronous_commit'), 'off', 'synchronous_commit is off in sessions');
foreach my $round (1 .. 3)
{
	# workers that have made blocks since the reload have read the settings again
	$nodes[0]->query("SELECT fabric.invoke('trade', 'book', 'put', 'warm$round-$_', 'x')")
	  foreach 1 .. 3;
	$nodes[ $round % 3 ]
	  ->query("SELECT fabric.invoke('trade', 'book', 'put', 'key$round', 'value$round')");
	$_->kill_now        foreach @nodes;
	$_->wait_until_dead foreach @nodes;
	$_->start           foreach @nodes;
	wait_for_leader($network, 'trade');
	is( $nodes[ $round % 3 ]->query(
			"SELECT convert_from(value, 'UTF8') FROM fabric_internal.world_state WHERE channel = 'trade' AND namespace = 'book' AND key = 'key$round'"
		),
		"value$round",
		"round $round: the node that reported the commit has the value after the crash");
	is(scalar fingerprints($network, 'trade'), 1, "round $round: all nodes have the same ledger");
	is($_->query("SELECT fabric.query('trade', 'book', 'get', 'key$round')"),
		"value$round", "round $round: a query at $_->{name} returns the value")
	  foreach @nodes;
}

# the node warns of settings that make commits less durable
$nodes[0]->set("fsync = off\nfull_page_writes = off\n");
ok( FabricTest::wait_until(
		sub {
			slurp_file($nodes[0]->cluster->logfile) =~
			  /WARNING:  fsync is off.*WARNING:  full_page_writes is off/s;
		}),
	'the log warns of a server without fsync and full_page_writes');
done_testing();
