# A client that keeps its key: the split call from Node.js with the package pg.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use FabricTest;
use Fabric::Host qw(slurp spew);
use Fabric::Pki;
use IPC::Run;
use Test::More;

my $network = FabricTest::start_network(
	orgs => 2,
	channel => 'trade',
	settings => "log_statement = all\n",
	profile => { batch_timeout => '200ms' });
my ($org1, $org2) = $network->nodes;
my $top = "$FindBin::Bin/..";
my %options = (policy => "AND('Org1MSP.peer', 'Org2MSP.peer')");

$network->deploy('trade', 'vehicles', slurp("$top/examples/vehicle_registry.sql"), %options);
$network->deploy('trade', 'vault', <<'SQL', %options);
CREATE FUNCTION keep(key text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	digest text := encode(sha256(fabric.get_transient('secret')), 'hex');
BEGIN
	PERFORM fabric.put_state(key, digest);
	RETURN digest;
END $$;
SQL

# the clients' keys are made here and stay in their files; the organizations sign the requests
my ($key, $other_key) = map { $_->path('client.key') } $org1, $org2;
Fabric::Pki::create_key($_) foreach $key, $other_key;
spew($org1->path('client.pem'), $network->enroll($org1, 'node-client', 'client', $key) . "\n");
spew($org2->path('client.pem'),
	$network->enroll($org2, 'other-client', 'client', $other_key) . "\n");
# the certificate has expired, and has no other fault: its chain verifies at the time of its
# beginning
my $now = time;
spew(
	$org1->path('expired.pem'),
	Fabric::Pki::certify_between(
		$org1->path('ca'), Fabric::Pki::create_request($key, '/OU=client/CN=expired-client'),
		$now, $now + 1));
$org1->query('CREATE ROLE node_client LOGIN IN ROLE fabric_client');
FabricTest::wait_until(sub { FabricTest::seconds_passed($now + 2) });

local %ENV = (
	%ENV,
	PGHOST => $org1->cluster->host,
	PGPORT => $org1->{port},
	PGUSER => 'node_client',
	PGDATABASE => 'fabric',
	FABRIC_CERTIFICATE => $org1->path('client.pem'),
	FABRIC_KEY => $key,
	FABRIC_EXPIRED_CERTIFICATE => $org1->path('expired.pem'),
	FABRIC_OTHER_CERTIFICATE => $org2->path('client.pem'),
	FABRIC_OTHER_KEY => $other_key);
my ($output, $error);
my $count = 0;
IPC::Run::run([ 'node', "$top/test/node/split_call.js" ], '>', \$output, '2>', \$error);
is($?, 0, 'the client program succeeds');

foreach my $line (split /\n/, $output)
{
	$count++ if $line           =~ /^(?:not )?ok \d/;
	ok($1 eq 'ok', $2) if $line =~ /^(ok|not ok) \d+ - (.*)/;
	diag($line) if $line        =~ /^#/;
}
like($output, qr/^1\.\.$count$/m, 'the client program ran all of its tests')
  or diag($output, $error);

# the codes of the replays: the first transaction with an id keeps it, later ones are stored as
# duplicates
is( $org1->query(
		"SELECT count(*) FROM fabric_internal.transaction WHERE channel = 'trade' AND validation_code = 9"
	),
	'2',
	'both replays are on the ledger as DUPLICATE_TXID');
# the log has every statement with its parameters
my $log = slurp($org1->cluster->logfile);
like($log, qr/fabric\.submit\(\$1, \$2\)/, 'the server log has the statements of the client');
my ($line) = (split /\n/, slurp($key))[1];
unlike($log, qr/\Q$line\E/, "the server log does not have the client's key");
done_testing();
