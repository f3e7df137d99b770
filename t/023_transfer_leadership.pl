# A leader hands over on request, calls that run do not notice, and the statistics show it.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use FabricTest;
use Fabric::Psql qw(start_query finish_query);
use Test::More;

my $network = FabricTest::start_network(orgs => 3, orderers => 3, channel => 'trade');
FabricTest::deploy_registry($network, policy => "OutOf(2, 'Org1MSP.peer', 'Org2MSP.peer', 'Org3MSP.peer')");

my $old = FabricTest::wait_for_leader($network, 'trade');
my $self = $old->query("SELECT consenter_id FROM fabric.stat_orderer WHERE channel = 'trade'");
my $term = $old->query("SELECT term FROM fabric.stat_orderer WHERE channel = 'trade'");
my ($next) = grep { $_ != $old } $network->nodes;
my $target = $next->query("SELECT consenter_id FROM fabric.stat_orderer WHERE channel = 'trade'");
my $verbose = "\\set VERBOSITY verbose\n";

is($old->query("SELECT string_agg(consenter_id::text, ',' ORDER BY consenter_id) FROM fabric.stat_orderer_followers WHERE connected AND lag = 0"),
	join(',', grep { $_ != $self } 1 .. 3), 'the leader knows its followers, and they are up to date');
like(($old->try_query("${verbose}SELECT fabric.transfer_leadership('trade', $self)"))[1], qr/LF001/, 'not to itself');
like(($old->try_query("${verbose}SELECT fabric.transfer_leadership('trade', 4)"))[1], qr/LF001/, 'not to somebody else');
like(($next->try_query("${verbose}SELECT fabric.transfer_leadership('trade')"))[1], qr/LF502.*HINT/s, 'only the leader can');

my @calls = map { start_query($_->connection, FabricTest::create_vehicle("V-$_->{name}")) } $network->nodes;
$old->query("SELECT fabric.transfer_leadership('trade', $target)");
ok($next->cluster->poll_query_until('fabric', "SELECT role = 'leader' FROM fabric.stat_orderer WHERE channel = 'trade'"), 'the other one leads');
foreach my $call (@calls)
{
	my ($output, $error, $status) = finish_query($call);

	is($status, 0, 'a call that ran meanwhile succeeds') or diag($error);
}
cmp_ok($next->query("SELECT term FROM fabric.stat_orderer WHERE channel = 'trade'"), '>', $term, 'in a later term');
is($old->query("SELECT leader_id FROM fabric.stat_orderer WHERE channel = 'trade'"), $target, 'the old leader follows');
$old->query(FabricTest::create_vehicle('afterwards'));
is(scalar(FabricTest::fingerprints($network, 'trade')), 1, 'all nodes are the same');
done_testing();
