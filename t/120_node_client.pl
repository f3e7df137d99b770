# A client that keeps its key: the split call from Node.js with the package pg.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use FabricTest;
use Fabric::Host qw(slurp);
use Fabric::Pki;
use IPC::Run;
use Test::More;

my $network = FabricTest::start_network(orgs => 2, channel => 'trade');
my ($org1) = $network->nodes;
my $top = "$FindBin::Bin/..";

$network->deploy('trade', 'vehicles', slurp("$top/examples/vehicle_registry.sql"), policy => "AND('Org1MSP.peer', 'Org2MSP.peer')");

# the client's key is made here and stays in its file; its organisation signs the request
my $key = $org1->path('client.key');
Fabric::Pki::create_key($key);
Fabric::Host::spew($org1->path('client.pem'), $network->enroll($org1, 'node-client', 'client', $key) . "\n");
$org1->query('CREATE ROLE node_client LOGIN IN ROLE fabric_client');

local %ENV = (%ENV, PGHOST => $org1->cluster->host, PGPORT => $org1->{port}, PGUSER => 'node_client', PGDATABASE => 'fabric', FABRIC_MSP_ID => 'Org1MSP',
	FABRIC_CERTIFICATE => $org1->path('client.pem'), FABRIC_KEY => $key);
my ($output, $error);
IPC::Run::run([ 'node', "$top/test/node/split_call.js" ], '>', \$output, '2>', \$error);
is($?, 0, 'the client ended well');
foreach my $line (split /\n/, $output)
{
	ok($1 eq 'ok', $2) if $line =~ /^(ok|not ok) \d+ - (.*)/;
}
like($output, qr/^1\.\.8$/m, 'all of it ran') or diag($output, $error);
done_testing();
