# A login of the database that is not part of the ledger cannot use up or hold a resource that a
# block needs: notifications, and locks.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use FabricTest   qw(start_network fingerprints wait_until eventually_is height_of);
use Fabric::Psql qw(start_query finish_query);
use Test::More;

# only sessions that ask for it wait for the synchronous standby, which does not exist
my $network = start_network(
	orgs => 1,
	orderers => 1,
	channel => 'trade',
	settings => "synchronous_commit = local\nsynchronous_standby_names = 'gone'\n");
my ($node) = $network->nodes;

$network->deploy('trade', 'notes', <<'SQL');
CREATE FUNCTION put(id text, value text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN PERFORM fabric.put_state(id, value); RETURN id; END $$;
SQL
$node->query('CREATE ROLE stranger LOGIN; CREATE SCHEMA stranger AUTHORIZATION stranger');
my $stranger = { %{ $node->connection }, user => 'stranger' };

sub put
{
	return "SELECT fabric.invoke('trade', 'notes', 'put', '$_[0]', 'v')";
}
sub last_block { return height_of($node, 'trade') - 1 }

# a session whose commit waits for the standby, and holds the lock that orders all commits with
# NOTIFY
sub hold_queue
{
	my $session = start_query($stranger,
		"SET application_name = 'holder'; SET synchronous_commit = on;\nBEGIN; CREATE TABLE stranger.t$_[0](i int); NOTIFY other; COMMIT"
	);

	ok( wait_until(
			sub {
				$node->query(
					"SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE a.application_name = 'holder' AND l.locktype = 'object' AND l.database = 0 AND l.mode = 'AccessExclusiveLock' AND l.granted"
				) > 0;
			}),
		'a commit of another session holds the queue of notifications');
	return $session;
}

sub release_queue
{
	my ($session) = @_;

	$node->query(
		"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'holder'");
	finish_query($session);
}

# ---- a listener as the manual recommends: when it is woken it looks for blocks by number ----

my $listener = start_query(
	$stranger,
	# sleep: notifications come between statements
	"SET application_name = 'listener'; LISTEN fabric_block;\n" . "SELECT pg_sleep(0.1);\n" x 9000);
ok( wait_until(
		sub {
			$node->query(
				"SELECT count(*) FROM pg_stat_activity WHERE application_name = 'listener' AND query LIKE '%pg_sleep%'"
			) == 1;
		}),
	'a session listens');

sub heard
{
	seek $listener->{output}, 0, 0;
	local $/;
	return [ readline($listener->{output}) =~ /"block": (\d+), "transactions"/g ];
}

sub hears
{
	my ($block) = @_;
	return wait_until(
		sub {
			grep { $_ == $block } @{ heard() };
		});
}

$node->query(put('first'));
ok(hears(last_block()), 'the listener gets a notification of the block');
ok( wait_until(
		sub {
			$node->query(
				"SELECT block_number - (SELECT max(number) FROM fabric.blocks), blocks_behind, failures, failing_since IS NULL, last_error IS NULL, queue_usage < 0.1 FROM fabric.stat_notifications"
			) eq '0|0|0|t|t|t';
		}),
	'fabric.stat_notifications shows no problem');

# ---- the queue is locked ----

my $holder = hold_queue(1);
my $before = last_block();
is($node->query(put("held $_")), "held $_", 'a block is committed while the queue is held')
  foreach 1 .. 3;
eventually_is(
	sub {
		$node->query(
			"SELECT blocks_behind, failures > 0, failing_since IS NOT NULL, last_error FROM fabric.stat_notifications"
		);
	},
	"3|t|t|another session's commit holds the NOTIFY queue",
	'fabric.stat_notifications shows the problem');
release_queue($holder);
ok(hears($before + 3), 'the last block is announced as soon as possible, without a further block');
is(scalar(grep { $_ == $before + 1 || $_ == $before + 2 } @{ heard() }),
	0, 'one notification announces the blocks before it');
ok( wait_until(
		sub {
			$node->query(
				"SELECT blocks_behind, failing_since IS NULL FROM fabric.stat_notifications") eq
			  '0|t';
		}),
	'fabric.stat_notifications shows that the problem is over');
my $log = Fabric::Host::slurp($node->cluster->logfile);
# the attempts 1, 2, 4, 8 ... are logged
my $failures = $node->query('SELECT failures FROM fabric.stat_notifications');
is( scalar(() = $log =~ /could not notify sessions that listen/g),
	length(sprintf('%b', $failures)),
	"the log has the problem at growing intervals ($failures failures)");
like(
	$log,
	qr/are notified again.*\n.*Up to 3 blocks had no notification/,
	'the log says that notifications work again');

# ---- sending fails, and the worker that could not send ends ----

$node->set_faults('notify_before_send=error');
ok( wait_until(
		sub {
			$node->query(put('failing'));
			$node->query(
				"SELECT last_error LIKE '%notify_before_send%' FROM fabric.stat_notifications") eq
			  't';
		}),
	'a block is committed although its notification fails');
my $worker = $node->query("SELECT pid FROM fabric.stat_workers WHERE kind = 'ledger'");
is($node->query("SELECT restarts FROM fabric.stat_workers WHERE kind = 'ledger'"),
	0, 'the ledger worker did not end');
$node->set_faults('');
$node->query("SELECT pg_terminate_backend($worker)");
ok(hears(last_block()), 'the next ledger worker announces the blocks without a notification');

$node->query(
	"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'listener'");
finish_query($listener);

# ---- a client that reads everything and stays in its transaction ----

$node->query('CREATE ROLE reader LOGIN; GRANT fabric_client TO reader');
my $reader_connection = { %{ $node->connection }, user => 'reader' };
foreach my $relation (qw(fabric.blocks fabric.transactions fabric.world_state fabric.history))
{
	my (undef, $error) =
	  Fabric::Psql::try_query($reader_connection, "BEGIN; LOCK TABLE $relation IN SHARE MODE");

	like($error, qr/permission denied/, "a client cannot lock $relation against writers");
}
my $reader = start_query($reader_connection,
		"SET application_name = 'reader'; BEGIN ISOLATION LEVEL SERIALIZABLE;\n"
	  . 'SELECT (SELECT count(*) FROM fabric.blocks), (SELECT count(*) FROM fabric.transactions), (SELECT count(*) FROM fabric.world_state), (SELECT count(*) FROM fabric.history), (SELECT count(*) FROM fabric.events);'
	  . "\nSELECT pg_sleep(600)");
ok( wait_until(
		sub {
			$node->query(
				"SELECT count(*) FROM pg_stat_activity WHERE application_name = 'reader' AND query LIKE '%pg_sleep%'"
			) == 1;
		}),
	'a client has read all views and stays in its transaction');
is($node->query(put('read')),
	'read', 'a block is committed while the client stays in its transaction');
$node->query(
	"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'reader'");
finish_query($reader);

# ---- the lock table is full: no login is possible; blocks are committed when it is over ----

my $greedy = start_query($stranger, <<'SQL');
\set ON_ERROR_STOP off
SELECT 'pid ' || pg_backend_pid();
SELECT count(pg_advisory_lock(i)) FROM generate_series(1, 1000000) i;
SELECT pg_sleep(600);
SQL
ok( wait_until(
		sub {
			(Fabric::Psql::try_query($node->connection, 'SELECT 1'))[1] =~ /out of shared memory/;
		}),
	'another role has used up the lock table');
# with a signal, since no other session can start
seek $greedy->{output}, 0, 0;
my ($greedy_pid) = join('', readline($greedy->{output})) =~ /^pid (\d+)/m;
kill 'TERM', $greedy_pid;
finish_query($greedy);
is($node->query(put('afterwards')),
	'afterwards', 'blocks are committed again when the lock table has space');
is_deeply([ $node->query("SELECT * FROM fabric.verify_chain('trade')") ],
	[''], 'verify_chain finds nothing');
done_testing();
