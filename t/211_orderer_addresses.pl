# A configuration in which no organization has endpoints, but the channel a list of addresses
# (OrdererAddresses): submissions and blocks use that list, and skip addresses that do not answer.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use FabricTest
  qw(start_network deploy_registry create_vehicle fingerprints wait_for_leader vehicles_of);
use Test::More;

my $network = start_network(orgs => 1, orderer_org => 1, orderers => 3);
my ($org1) = $network->peers;
my $organizations = $network->profile->{organizations};

delete $_->{endpoints} foreach @$organizations;
# port 1 is closed
my @addresses = ('localhost:1', map { $_->address } $network->orderers);
$network->create_channel(
	'trade',
	organizations => $organizations,
	orderer_addresses => \@addresses);
wait_for_leader($network, 'trade');
is( $org1->query(
		"SELECT string_agg(address || coalesce(' ' || consenter_id, ''), ',' ORDER BY consenter_id NULLS FIRST) FROM fabric.nodes WHERE role = 'orderer'"
	),
	join(',', $addresses[0], map { "$addresses[$_] $_" } 1 .. 3),
	'fabric.nodes shows the list and the consenters');
deploy_registry($network, policy => "'Org1MSP.peer'" =~ s/^(.*)$/OR($1)/r);
# each session begins at a random address
$org1->query(create_vehicle("A$_")) foreach 1 .. 4;
my $leader = wait_for_leader($network, 'trade');
$leader->kill_hard;
$org1->query(create_vehicle("B$_")) foreach 1 .. 4;
is(vehicles_of($org1), 8, 'transactions are committed while one orderer is down');
$leader->start;
is(scalar(fingerprints($network, 'trade')), 1, 'all nodes have the same ledger');

# endpoints of an organization, where it has any, are the only ones that count
# (common/deliverclient/orderers/connection.go, Update)
my ($orderers) = grep { $_->{msp_id} eq 'OrdererMSP' } @$organizations;
$orderers->{endpoints} = [ @addresses[ 1 .. 3 ] ];
$network->create_channel(
	'other',
	organizations => $organizations,
	orderer_addresses => [ $addresses[0] ]);
is( $org1->query(
		"SELECT count(*) FROM fabric.nodes WHERE channel = 'other' AND address = '$addresses[0]'"),
	0,
	'beside endpoints the list is not used');
done_testing();
