# Two organizations, one of which orders. The orderer's node is killed at each durable boundary, and
# so is the other node, which gets its blocks from the orderer. Waiting sessions get their result,
# once, when the node is back.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use FabricTest   qw(start_network deploy_registry create_vehicle fingerprints vehicles_of);
use Fabric::Psql qw(start_query finish_query);
use Test::More;

my $network = start_network(orgs => 2, orderers => 1, channel => 'trade');
my ($orderer, $peer) = my @nodes = $network->nodes;
deploy_registry($network, policy => "OR('Org1MSP.peer', 'Org2MSP.peer')");

sub crash
{
	my ($victim, $caller, $point) = @_;
	my $name = "$point at $victim->{name}";
	my $vehicles = vehicles_of($caller);

	$victim->set_faults("$point=crash");
	my $session = start_query($caller->connection, create_vehicle("$point-$victim->{name}"));
	$victim->wait_for_crash;
	$victim->cluster->append_conf('postgresql.auto.conf', "fabric.fault_points = ''");
	$victim->start;
	my (undef, $error, $status) = finish_query($session);
	is($status, 0, "$name: the waiting call succeeds") or diag($error);
	is(scalar(fingerprints($network, 'trade')), 1, "$name: both nodes have the same ledger");
	is(vehicles_of($_), $vehicles + 1, "$name: the call takes effect once at $_->{name}")
	  foreach @nodes;
}

crash($orderer, $peer, $_)
  foreach qw(raft_before_commit raft_after_commit commit_before_state ledger_before_commit
  ledger_after_commit);
crash($peer, $orderer, $_) foreach qw(ledger_before_commit ledger_after_commit);
is($_->query("SELECT count(*) FROM fabric.verify_chain('trade')"),
	0, "$_->{name} verifies its chain without a problem")
  foreach @nodes;
done_testing();
