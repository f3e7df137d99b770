# An instance with too few background processes, or too few channels in shared memory: the log says
# once which setting to raise, and the channels that have a place work.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use FabricTest   qw(start_network fingerprints wait_until height_of);
use Fabric::Host qw(slurp);
use Test::More;

my $network = start_network(
	orgs => 1,
	orderers => 1,
	channel => 'alpha',
	settings => "max_logical_replication_workers = 0\n");
my ($node) = $network->nodes;
$network->create_channel('beta');
$network->deploy(
	$_,
	'notes',
	'CREATE FUNCTION put(id text) RETURNS void LANGUAGE sql AS $$ SELECT fabric.put_state(id, id) $$;',
	policy => "OR('Org1MSP.peer')") foreach 'alpha', 'beta';

sub restart
{
	my ($setting) = @_;

	my $size = -s $node->cluster->logfile;

	$node->query("ALTER SYSTEM SET $setting");
	$node->stop;
	$node->start;
	return $size;
}

sub log_from
{
	my ($start) = @_;

	return substr slurp($node->cluster->logfile), $start;
}

sub workers
{
	return $node->query(
		"SELECT string_agg(concat(channel, ' ', kind), ', ' ORDER BY channel, kind) FROM fabric.stat_workers WHERE channel IS NOT NULL AND pid IS NOT NULL"
	);
}

sub invoke_on
{
	my ($channel, $key) = @_;

	# a call on a channel without processes waits until its time limit
	my $limit = $channel eq 'beta' && $key ne 'b3' ? '2s' : '120s';

	return $node->error_of(
		"SET fabric.broadcast_timeout = '$limit'; SELECT fabric.invoke('$channel', 'notes', 'put', '$key')"
	);
}

# background processes for the launcher, the relay and one channel
my $start = restart('max_worker_processes = 4');
ok(wait_until(sub { workers() =~ /^\w+ \w+, \w+ \w+$/ }), 'two processes of a channel are started')
  or diag(workers());
ok( wait_until(
		sub {
			log_from($start) =~
			  /LOG:  channel "beta": could not start background process "fabric orderer beta"/;
		}),
	'the log names the processes that were not started');
like(
	log_from($start),
	qr/DETAIL:  The node tries again.*HINT:  Raise max_worker_processes in postgresql\.conf/s,
	'the log has a hint which setting to raise');
is( $node->query(
		"SELECT string_agg(DISTINCT last_error, '; ') FROM fabric.stat_workers WHERE channel = 'beta'"
	),
	'too many background workers: raise max_worker_processes',
	'fabric.stat_workers shows the reason');
is(invoke_on('alpha', 'a1'), '', 'the channel with processes commits transactions');
like(
	invoke_on('beta', 'b1'),
	qr/LF502.*The orderer process of this node is not running/s,
	'a call on the channel without processes fails with the reason');
# by now the launcher has tried several times
select(undef, undef, undef, 3);
my $warnings = () = log_from($start) =~ /could not start background process/g;
is($warnings, 2, 'the log names each missing process once');

# no slot in shared memory for the second channel
$start = restart('max_worker_processes = 24');
ok(wait_until(sub { workers() =~ /^alpha ledger, alpha orderer, beta ledger, beta orderer$/ }),
	'all processes run after the limit is raised');
$start = restart('fabric.max_channels = 1');
ok(wait_until(sub { workers() eq 'alpha ledger, alpha orderer' }),
	'the first channel has a slot in shared memory')
  or diag(workers());
ok( wait_until(
		sub {
			log_from($start) =~
			  /LOG:  channel "beta": too many channels: no process is started for channel "beta"/;
		}),
	'the log names the channel without a slot');
like(
	log_from($start),
	qr/HINT:  Raise fabric\.max_channels in postgresql\.conf/,
	'the log has a hint to raise fabric.max_channels');
is(invoke_on('alpha', 'a2'), '', 'the first channel commits transactions');
like(invoke_on('beta', 'b2'), qr/LF502/, 'the second channel does not commit transactions');
is( $node->query(
		"SELECT fabric.query('alpha', '_lifecycle', 'QueryInstalledChaincodes') IS NULL OR true"),
	't',
	'queries work although a channel has no slot');
like($node->error_of("SELECT fabric.join_channel(fabric.get_block('beta', 0))"),
	qr/LF402|LF003/, 'no further channel can be joined');
$node->query("SELECT fabric.leave_channel('alpha')");
ok( wait_until(sub { workers() eq 'beta ledger, beta orderer' }),
	'the second channel gets the slot when the first channel is left') or diag(workers());
is(invoke_on('beta', 'b3'), '', 'the second channel commits transactions');
unlike(log_from($start), qr/fabric launcher ERROR/, 'the launcher did not fail');
done_testing();
