# tools/network: up, status, stop and down, twice, interrupted, in directories of others. It never
# removes a file or ends a process that it did not make.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use FabricTest   qw(wait_until);
use Fabric::Host qw(slurp spew);
use Fcntl        qw(:flock);
use IO::Socket::INET;
use PostgreSQL::Test::Utils;
use Test::More;

my $tool = "$FindBin::Bin/../tools/network";
my $base = "$PostgreSQL::Test::Utils::tmp_check/tool";
my $port = 20000 + $$ % 20000;

mkdir $base or die "could not make $base: $!\n";

# (exit status, output)
sub network
{
	my ($directory, @arguments) = @_;
	my $output = '';

	local $ENV{FABRIC_NETWORK_DIR} = $directory;
	IPC::Run::run([ $tool, @arguments ], '<', \'', '>', \$output, '2>&1');
	return ($? >> 8, $output);
}

# the server processes whose data directory is in this directory
sub servers
{
	my ($directory) = @_;

	return grep { (readlink("/proc/$_/cwd") // '') =~ /^\Q$directory\E\// }
	  map { m{/proc/(\d+)$} } glob '/proc/[0-9]*';
}

# ---- up and down, in a directory with a space ----

my $directory = "$base/my net";
my ($status, $output) = network($directory, 'up', '--orgs', 2, '--orderers', 1, '--port', $port);
is($status, 0, 'tools/network up succeeds') or diag($output);
like(
	$output,
	qr/^  Org1MSP:  psql -h '\Q$directory\E' -p (\d+) -U postgres fabric$/m,
	'tools/network up prints how to connect');
my ($first_port) = $output =~ /-p (\d+)/;
my ($command) = $output =~ /^  Org2MSP:  (psql .*)$/m;
is(qx{$command -X -A -t -c "SELECT height FROM fabric.channels"},
	"1\n", 'the printed command works in a shell');
($status, $output) = network($directory, 'up');
is("$status $output" =~ /^0 everything runs already$/m,
	1, 'tools/network up changes nothing when all nodes run')
  or diag($output);
($status, $output) = network($directory, 'up', '--orgs', 3);
isnt($status, 0, 'tools/network up refuses another size');
like(
	$output,
	qr/there is a network in .* already; tools\/network down removes it/,
	'the error says how to remove the network');
($status, $output) = network($directory, 'status');
is($status, 0, 'tools/network status succeeds');
is(() = $output =~ /^org\d .* runs$/mg, 2, 'tools/network status shows two running nodes');
like(
	$output,
	qr/channel trade: height 1, orderer: leader in term \d+/,
	'tools/network status shows the channels');

# a second network at the same time uses other ports; this one has two peers of one organization,
# and its orderer in another one
my $second = "$base/second";
($status, $output) =
  network($second, 'up', '--orgs', 1, '--peers-per-org', 2, '--orderer-org', '--orderers', 1,
	'--port', $port);
is($status, 0, 'tools/network up starts a second network') or diag($output);
like(
	$output,
	qr/^A network of 1 organizations with 2 peers each and an orderer organization with 1 orderers in/m,
	'the second network has two peers and an orderer organization');
my ($second_port) = $output =~ /-p (\d+)/;
isnt($second_port, $first_port, 'the second network uses another port');
my ($second_peer) = $output =~ /^  Org1MSP org1peer2:  (psql .*)$/m;
is( qx{$second_peer -X -A -t -c "SELECT string_agg(concat_ws(' ', role, msp_id, consenter_id), ', ' ORDER BY address) FROM fabric.nodes"},
	"peer Org1MSP, peer Org1MSP, orderer OrdererMSP 1\n",
	'the configuration names all nodes');
($status, $output) = network($second, 'status');
like(
	$output,
	qr/^org1peer1 .*^org1peer2 +Org1MSP .*^orderer1 +OrdererMSP .* runs\n +channel trade: height 1, orderer: leader in term/ms,
	'tools/network status shows all nodes') or diag($output);

foreach my $case (
	[ [ '--peers-per-org', 0 ], qr/1 to 5 peers/ ],
	[ [ '--orderer-org', '--orderers', 10 ], qr/1 to 9 orderers/ ],
	[ [ '--orgs', 2, '--peers-per-org', 2, '--orderers', 3 ], qr/as many as it has organizations/ ])
{
	($status, $output) = network("$base/none", 'up', @{ $case->[0] });
	isnt($status, 0, "@{ $case->[0] } is refused");
	like($output, $case->[1], 'the error says what is allowed');
}

# one at a time
open(my $lock, '>>', "$directory/lock") or die "could not open the lock: $!\n";
flock($lock, LOCK_EX | LOCK_NB) or die "the lock is held\n";
($status, $output) = network($directory, 'down');
isnt($status, 0, 'tools/network down fails while another program uses the network');
like(
	$output,
	qr/another program works on the network/,
	'the error says that another program uses the network');
close $lock;

($status, $output) = network($directory, 'stop');
is($status, 0, 'tools/network stop succeeds');
($status, $output) = network($directory, 'status');
is($status, 1, 'tools/network status fails if not all nodes run');
is(scalar(servers($directory)), 0, 'no server runs');
# meanwhile another program uses its port
my $thief = IO::Socket::INET->new(
	LocalAddr => '127.0.0.1',
	LocalPort => $first_port,
	Listen => 1,
	ReuseAddr => 1);
($status, $output) = network($directory, 'up');
isnt($status, 0, 'tools/network up fails if a port is in use');
like(
	$output,
	qr/node org1 did not start:.*could not bind.*Address already in use/s,
	'the error has the words of the server');
close $thief if $thief;
($status, $output) = network($directory, 'up');
is($status, 0, 'tools/network up starts the stopped nodes when the port is free') or diag($output);
like($output, qr/^started /m, 'tools/network up says that the nodes are started');
# files that the tool did not make
spew("$directory/letter", "dear diary\n");
($status, $output) = network($directory, 'down');
is($status, 0, 'tools/network down succeeds') or diag($output);
like(
	$output,
	qr/is kept, with what others have put there/,
	'tools/network down says that it keeps the files of others');
is(join(' ', map { s{.*/}{}r } glob("\Q$directory\E/* \Q$directory\E/.s*")),
	'letter', 'tools/network down keeps only the files of others');
is(scalar(servers($directory)), 0, 'no server is left');
cmp_ok(scalar(servers($second)), '>', 0, 'the servers of the other network still run');
($status, $output) = network($second, 'down');
is("$status $output", "0 stopped and removed\n", 'tools/network down removes the other network');
ok(!-e $second, 'tools/network down removes the directory');
($status, $output) = network($second, 'down');
is( "$status $output",
	"0 there is no network in $second\n",
	'tools/network down succeeds if there is no network');

# ---- directories of others ----

foreach my $case (
	[ 'some file', 'notes.txt', 'mine' ],
	[ 'a file of the same name', 'network.json', '{"nodes": [], "name": "another program"}' ],
	[
		'a file that names other directories',
		'network.json',
		'{"nodes": [{"name": "../../other", "number": 1, "msp_id": "Org1MSP", "role": "fabric_node_org1msp", "port": 5432, "orderer": 1}]}'
	],
	[
		'a file that gives a node to another organization',
		'network.json',
		'{"nodes": [{"name": "org1peer1", "number": 1, "msp_id": "Org2MSP", "role": "fabric_node_org1peer1", "port": 5432, "orderer": 1}]}'
	],
	[ 'a file that is none', 'network.json', 'mine' ])
{
	my ($name, $file, $content) = @$case;
	my $foreign = "$base/foreign";

	mkdir $foreign;
	spew("$foreign/$file", $content);
	foreach my $command (qw(up status stop down))
	{
		($status, $output) = network($foreign, $command, $command eq 'up' ? ('--orgs', 1) : ());
		isnt($status, 0, "$name: tools/network $command is refused");
		like(
			$output,
			qr/choose another.* with FABRIC_NETWORK_DIR/,
			"$name: the error says how to choose another directory") or diag($output);
	}
	is(slurp("$foreign/$file"), $content, "$name: the file still exists");
	unlink "$foreign/$file", "$foreign/lock";
}
($status, $output) = network('/proc/nowhere', 'up', '--orgs', 1);
isnt($status, 0, 'a directory that cannot be made is refused');
like(
	$output,
	qr/could not make \/proc\/nowhere: .*: choose another directory/,
	'the error names the directory that cannot be made');
($status, $output) = network("$base/" . 'x' x 100, 'up', '--orgs', 1);
like(
	$output,
	qr/is too long a path for sockets/,
	'a directory with a path that is too long for sockets is refused');

# ---- interrupted ----

my $broken = "$base/broken";
{
	local $ENV{FABRIC_NETWORK_DIR} = $broken;
	my $log = '';
	my $up =
	  IPC::Run::start([ $tool, 'up', '--orgs', 2, '--port', $port ], '<', \'', '>', \$log, '2>&1');
	ok(wait_until(sub { $up->pump_nb; servers($broken) > 0 }),
		'tools/network up has started servers');
	$up->signal('INT');
	$up->finish;
	isnt($up->result(0), 0, 'a signal ends tools/network up');
	like(
		$log,
		qr/failed.*ended by SIGINT\nThe instances are stopped/s,
		'tools/network up reports the signal and that the instances are stopped');
	is(scalar(servers($broken)), 0, 'no server is left after the signal');
}
($status, $output) = network($broken, 'up');
isnt($status, 0, 'tools/network up refuses to continue an unfinished network');
like(
	$output,
	qr/was not finished: remove it with tools\/network down/,
	'the error says how to remove the unfinished network');
($status, $output) = network($broken, 'down');
is($status, 0, 'tools/network down removes the unfinished network') or diag($output);
is(scalar(servers($broken)), 0, 'no server is left');
ok(!-e $broken, 'no file is left');
done_testing();
