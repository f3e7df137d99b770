# Organizations with two peers each and an orderer organization whose three orderers are no peers.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use FabricTest qw(start_network deploy_registry create_vehicle fingerprints wait_for_leader wait_until vehicles_of $ANY_TWO);
use Test::More;

my $network = start_network(orgs => 3, peers_per_org => 2, orderer_org => 1, channel => 'trade');
my %node = map { $_->{name} => $_ } $network->nodes;
my @peers = $network->peers;

is(join(' ', sort keys %node), 'orderer1 orderer2 orderer3 org1peer1 org1peer2 org2peer1 org2peer2 org3peer1 org3peer2', 'nine nodes');
wait_for_leader($network, 'trade', 60);
deploy_registry($network, policy => $ANY_TWO);
$_->query(create_vehicle("V$_->{name}")) foreach @peers;
is(scalar(fingerprints($network, 'trade')), 1, 'all nodes have the same');
is(vehicles_of($_), 6, "$_->{name} has the vehicles") foreach $network->nodes;
done_testing();
