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
is($status, 0, 'up') or diag($output);
like(
	$output,
	qr/^  Org1MSP:  psql -h '\Q$directory\E' -p (\d+) -U postgres fabric$/m,
	'it says how to connect');
my ($first_port) = $output =~ /-p (\d+)/;
my ($command) = $output =~ /^  Org2MSP:  (psql .*)$/m;
is(qx{$command -X -A -t -c "SELECT height FROM fabric.channels"},
	"1\n", 'and this command works in a shell');
($status, $output) = network($directory, 'up');
is("$status $output" =~ /^0 everything runs already$/m, 1, 'up again changes nothing')
  or diag($output);
($status, $output) = network($directory, 'up', '--orgs', 3);
isnt($status, 0, 'with another size it is refused');
like(
	$output,
	qr/there is a network in .* already; tools\/network down removes it/,
	'and says what to do');
($status, $output) = network($directory, 'status');
is($status, 0, 'status');
is(() = $output =~ /^org\d .* runs$/mg, 2, 'all run');
like($output, qr/channel trade: height 1, orderer: leader in term \d+/, 'with their channels');

# a second network at the same time uses other ports; this one has two peers of one organization,
# and its orderer in another one
my $second = "$base/second";
($status, $output) =
  network($second, 'up', '--orgs', 1, '--peers-per-org', 2, '--orderer-org', '--orderers', 1,
	'--port', $port);
is($status, 0, 'a second network beside it') or diag($output);
like(
	$output,
	qr/^A network of 1 organizations with 2 peers each and an orderer organization with 1 orderers in/m,
	'of another kind');
my ($second_port) = $output =~ /-p (\d+)/;
isnt($second_port, $first_port, 'with another port');
my ($second_peer) = $output =~ /^  Org1MSP org1peer2:  (psql .*)$/m;
is( qx{$second_peer -X -A -t -c "SELECT string_agg(concat_ws(' ', role, msp_id, consenter_id), ', ' ORDER BY address) FROM fabric.nodes"},
	"peer Org1MSP, peer Org1MSP, orderer OrdererMSP 1\n",
	'all nodes are in the configuration');
($status, $output) = network($second, 'status');
like(
	$output,
	qr/^org1peer1 .*^org1peer2 +Org1MSP .*^orderer1 +OrdererMSP .* runs\n +channel trade: height 1, orderer: leader in term/ms,
	'and in the status') or diag($output);

foreach my $case (
	[ [ '--peers-per-org', 0 ], qr/1 to 5 peers/ ],
	[ [ '--orderer-org', '--orderers', 10 ], qr/1 to 9 orderers/ ],
	[ [ '--orgs', 2, '--peers-per-org', 2, '--orderers', 3 ], qr/as many as it has organizations/ ])
{
	($status, $output) = network("$base/none", 'up', @{ $case->[0] });
	isnt($status, 0, "@{ $case->[0] } is refused");
	like($output, $case->[1], 'with a clear error');
}

# one at a time
open(my $lock, '>>', "$directory/lock") or die "could not open the lock: $!\n";
flock($lock, LOCK_EX | LOCK_NB) or die "the lock is held\n";
($status, $output) = network($directory, 'down');
isnt($status, 0, 'while another program works on it, nothing is changed');
like($output, qr/another program works on the network/, 'and it says so');
close $lock;

($status, $output) = network($directory, 'stop');
is($status, 0, 'stop');
($status, $output) = network($directory, 'status');
is($status, 1, 'status tells by its exit status that not all run');
is(scalar(servers($directory)), 0, 'really');
# meanwhile another program uses its port
my $thief = IO::Socket::INET->new(
	LocalAddr => '127.0.0.1',
	LocalPort => $first_port,
	Listen => 1,
	ReuseAddr => 1);
($status, $output) = network($directory, 'up');
isnt($status, 0, 'a port that is in use');
like(
	$output,
	qr/node org1 did not start:.*could not bind.*Address already in use/s,
	'is named in the server\'s words');
close $thief if $thief;
($status, $output) = network($directory, 'up');
is($status, 0, 'when it is free again, up starts the stopped nodes') or diag($output);
like($output, qr/^started /m, 'and says so');
# files that the tool did not make
spew("$directory/letter", "dear diary\n");
($status, $output) = network($directory, 'down');
is($status, 0, 'down') or diag($output);
like($output, qr/is kept, with what others have put there/, 'leaves files of others');
is(join(' ', map { s{.*/}{}r } glob("\Q$directory\E/* \Q$directory\E/.s*")),
	'letter', 'and nothing else');
is(scalar(servers($directory)), 0, 'no server is left');
cmp_ok(scalar(servers($second)), '>', 0, 'but that of the other network');
($status, $output) = network($second, 'down');
is("$status $output", "0 stopped and removed\n", 'which is removed by its own command');
ok(!-e $second, 'directory and all');
($status, $output) = network($second, 'down');
is("$status $output", "0 there is no network in $second\n", 'down again finds nothing');

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
		isnt($status, 0, "$name: $command is refused");
		like($output, qr/choose another.* with FABRIC_NETWORK_DIR/, 'with a clear error')
		  or diag($output);
	}
	is(slurp("$foreign/$file"), $content, "$name: it is still there");
	unlink "$foreign/$file", "$foreign/lock";
}
($status, $output) = network('/proc/nowhere', 'up', '--orgs', 1);
isnt($status, 0, 'a directory that cannot be made');
like($output, qr/could not make \/proc\/nowhere: .*: choose another directory/, 'is named');
($status, $output) = network("$base/" . 'x' x 100, 'up', '--orgs', 1);
like($output, qr/is too long a path for sockets/, 'so is one whose path is too long');

# ---- interrupted ----

my $broken = "$base/broken";
{
	local $ENV{FABRIC_NETWORK_DIR} = $broken;
	my $log = '';
	my $up =
	  IPC::Run::start([ $tool, 'up', '--orgs', 2, '--port', $port ], '<', \'', '>', \$log, '2>&1');
	ok(wait_until(sub { $up->pump_nb; servers($broken) > 0 }), 'up is at work');
	$up->signal('INT');
	$up->finish;
	isnt($up->result(0), 0, 'a signal ends it');
	like($log, qr/failed.*ended by SIGINT\nThe instances are stopped/s, 'and it says so');
	is(scalar(servers($broken)), 0, 'when everything that it started has ended');
}
($status, $output) = network($broken, 'up');
isnt($status, 0, 'after an interruption up does not continue with half a network');
like($output, qr/was not finished: remove it with tools\/network down/, 'but says what to do');
($status, $output) = network($broken, 'down');
is($status, 0, 'down') or diag($output);
is(scalar(servers($broken)), 0, 'no server is left');
ok(!-e $broken, 'nor a file');
done_testing();
