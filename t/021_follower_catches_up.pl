# A node that was away for longer than the orderers keep their log catches up from blocks.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use FabricTest;
use Test::More;

my $network = FabricTest::start_network(orgs => 3, orderers => 3, channel => 'trade', settings => "fabric.raft_log_tail = 4\n");

FabricTest::deploy_registry($network, policy => "OutOf(2, 'Org1MSP.peer', 'Org2MSP.peer', 'Org3MSP.peer')");
my $leader = FabricTest::wait_for_leader($network, 'trade');
my ($away) = grep { $_ != $leader } $network->nodes;

$away->kill_hard;
$leader->query(join(";\n", map { FabricTest::create_vehicle("V$_") } 1 .. 40));
$away->start;
is(scalar(FabricTest::fingerprints($network, 'trade')), 1, 'all nodes are the same');
is($away->query("SELECT count(*) FROM fabric.world_state WHERE channel = 'trade' AND namespace = 'vehicles'"), 40, 'nothing is missing');
is($away->query("SELECT count(*) FROM fabric.verify_chain('trade')"), 0, 'its chain verifies');
$away->query(FabricTest::create_vehicle('V41'));
is(scalar(FabricTest::fingerprints($network, 'trade')), 1, 'and it takes part again');
done_testing();
