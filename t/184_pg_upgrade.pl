# pg_upgrade starts the old and the new cluster to copy catalogs. The workers do not run in either,
# and the ledger continues in the new one.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use FabricTest   qw(start_network deploy_registry create_vehicle wait_until height_of vehicles_of);
use Fabric::Host qw(bindir capture slurp spew);
use PostgreSQL::Test::Utils qw();
use Test::More;

plan skip_all => 'pg_upgrade is not installed' unless -x bindir() . '/pg_upgrade';

my $network = start_network(orgs => 2, orderers => 1, channel => 'trade');
my ($orderer, $peer) = $network->nodes;
deploy_registry($network, policy => "OR('Org1MSP.peer', 'Org2MSP.peer')");
$orderer->query(create_vehicle('V1'));

# a new cluster with the same settings replaces the old one, as the tools of a distribution do it
sub upgrade
{
	my ($node) = @_;
	my $data = $node->cluster->data_dir;
	my $new = "$data.new";
	my ($encoding, $collate, $checksums) = split /\|/,
	  $node->query(
		"SELECT pg_encoding_to_char(encoding), datcollate, current_setting('data_checksums') FROM pg_database WHERE datname = 'template0'"
	  );

	$node->stop;
	my ($output, $status) = capture(
		bindir() . '/initdb', '--pgdata',
		$new, '--auth',
		'trust', '--encoding',
		$encoding, '--locale',
		$collate, '--username',
		scalar getpwuid($>), '--no-instructions',
		$checksums eq 'on' ? '--data-checksums' : ());
	is($status, 0, 'initdb makes a new cluster') or diag($output);
	PostgreSQL::Test::Utils::append_to_file("$new/postgresql.conf",
		"shared_preload_libraries = 'fabric'\nfabric.database = 'fabric'\nmax_worker_processes = 16\n"
	);
	my $work = PostgreSQL::Test::Utils::tempdir();
	chdir $work;
	($output, $status) = capture(
		bindir() . '/pg_upgrade', '--old-datadir', $data, '--new-datadir',
		$new, '--old-bindir', bindir(), '--new-bindir',
		bindir(), '--username', scalar getpwuid($>), '--socketdir',
		$node->cluster->host, '--retain');
	is($status, 0, 'pg_upgrade fills the new cluster') or diag($output);
	my @logs = glob("$new/pg_upgrade_output.d/*/log/pg_upgrade_server.log");
	is(scalar(@logs), 1, 'pg_upgrade writes one server log');
	unlike(
		slurp($logs[0]),
		qr/fabric (?:launcher|relay|ledger|orderer)|background worker "fabric/,
		'no worker runs during pg_upgrade');
	spew("$new/$_", slurp("$data/$_"), 0600) foreach qw(postgresql.conf pg_hba.conf);
	rename "$data/fabric_keystore", "$new/fabric_keystore" if -d "$data/fabric_keystore";
	rename $data, "$data.old" or die $!;
	rename $new, $data or die $!;
	$node->start;
}

foreach my $node ($orderer, $peer)
{
	my $height = height_of($node, 'trade');

	upgrade($node);
	is(height_of($node, 'trade'), $height,
		"$node->{name}: the ledger is complete after pg_upgrade");
}
FabricTest::wait_for_leader($network, 'trade');
$_->query(create_vehicle("V of $_->{name}")) foreach $orderer, $peer;
is(vehicles_of($orderer), 3, 'both nodes commit transactions after pg_upgrade');
is(scalar(FabricTest::fingerprints($network, 'trade')), 1, 'both nodes have the same ledger');
is($_->query("SELECT count(*) FROM fabric.verify_chain('trade')"),
	0, "$_->{name} verifies its chain without a problem")
  foreach $orderer, $peer;
is($orderer->query("SELECT count(*) FROM pg_event_trigger WHERE evtname = 'fabric_drop_guard'"),
	1, 'the event trigger of the extension exists after pg_upgrade');
done_testing();
