# A block wakes only the sessions whose transactions it has, however many wait. Sessions that change
# the same key take turns, so that no endorsement is wasted. A session that is canceled or
# terminated while it waits leaves no trace.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use FabricTest   qw(start_network fingerprints wait_until);
use Fabric::Psql qw(start_query finish_query);
use Test::More;

my $WAITING = 20;
my $network = start_network(
	orgs => 1,
	orderers => 1,
	channel => 'trade',
	settings => "fabric.hot_key_timeout = 5min\n");
my ($node) = $network->nodes;
$network->deploy('trade', 'counters', <<'SQL', policy => "OR('Org1MSP.peer')");
CREATE FUNCTION add(id text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE value int := coalesce(fabric.get_state_text(id), '0')::int + 1;
BEGIN
	PERFORM fabric.put_state(id, value::text);
	RETURN value;
END $$;
CREATE FUNCTION put(id text) RETURNS text
	LANGUAGE sql AS $$ SELECT fabric.put_state(id, 'x')::text $$;
SQL

sub column
{
	my ($name) = @_;

	return $node->query("SELECT $name FROM fabric.stat_channel WHERE channel = 'trade'");
}

sub add
{
	my ($id) = @_;

	return "SELECT fabric.invoke('trade', 'counters', 'add', '$id')";
}

# sessions of this name that wait, at a fault point too
sub pids_of
{
	my ($name) = @_;

	return split /\n/,
	  $node->query(
		"SELECT pid FROM pg_stat_activity WHERE application_name = '$name' AND state = 'active' AND wait_event IS NOT NULL"
	  );
}

sub start_session
{
	my ($name, $sql) = @_;

	return start_query($node->connection, "SET application_name = '$name';\n$sql");
}

# ---- wakeups ----

my @sessions = map {
	start_session(
		'unknown',
		sprintf(
			"SELECT committed FROM (SELECT count(*) AS committed FROM fabric.commit_status('trade', '%064d', '10 minutes')) s",
			$_))
} 1 .. $WAITING;
ok( wait_until(sub { column('sessions_waiting') == $WAITING }),
	"$WAITING sessions wait for transactions that are never submitted"
) or diag(column('sessions_waiting'));
my ($woken, $height) = (column('sessions_woken'), column('height'));
foreach my $number (1 .. 4)
{
	$node->set_faults('ledger_before_commit=hold');
	my $put = start_session('put', "SELECT fabric.invoke('trade', 'counters', 'put', 'a$number')");
	ok(wait_until(sub { column('sessions_waiting') == $WAITING + 1 }),
		'a session waits for its block');
	$node->set_faults('');
	is((finish_query($put))[2], 0, 'the session gets its block');
}
is(column('height') - $height, 4, 'four blocks are committed');
is(column('sessions_woken') - $woken,
	4, 'each block wakes the one session whose transaction it has');
is(column('sessions_waiting'), $WAITING, 'fabric.stat_channel still counts the other sessions');
my @pids = pids_of('unknown');
is(scalar(@pids), $WAITING, 'no other session was woken');
$node->query('SELECT ' . ($_ % 2 ? 'pg_cancel_backend' : 'pg_terminate_backend') . "($pids[$_])")
  foreach 0 .. $#pids;
my @errors = map { (finish_query($_))[1] } @sessions;
is( scalar(
		grep { /canceling statement|terminating connection|server closed the connection/ } @errors),
	$WAITING,
	'each session ends when it is canceled or terminated');
is(column('sessions_waiting'), 0, 'fabric.stat_channel counts no waiting session');

# ---- turns ----

# a session that has its turn, and submits its transaction a while later
sub start_slow
{
	my ($name, $id, $milliseconds) = @_;
	my $session = start_session($name,
		"SET fabric.fault_points = 'gateway_before_submit=sleep:$milliseconds';\n" . add($id));

	ok(wait_until(sub { pids_of($name) == 1 }), "$name has its turn");
	return $session;
}

my $invalid =
  "SELECT coalesce(sum(count), 0) FROM fabric.stat_validation WHERE channel = 'trade' AND name <> 'VALID'";
is($node->query(add('k')), '1', 'a new key gets its first value');
my $first = start_slow('first', 'k', 1000);
is($node->query(add('k')),
	'3', 'the second session waits and adds to the value of the first session');
my ($output, $error, $status) = finish_query($first);
is($output, '2', 'the first session succeeds') or diag($error);
is($node->query($invalid), 0, 'no transaction is invalid');

$first = start_slow('first', 'k', 60000);
is($node->query(add('other')), '1', 'a session that changes another key does not wait');
is(scalar(pids_of('first')), 1, 'the first session still has its turn');
is($node->query("SET fabric.hot_key_timeout = '300ms'; " . add('k')),
	'4', 'a session waits for its turn no longer than fabric.hot_key_timeout');
is($node->query("SET fabric.hot_key_timeout = 0; " . add('k')),
	'5', 'a session does not wait with fabric.hot_key_timeout = 0');
$node->query('SELECT pg_cancel_backend(' . (pids_of('first'))[0] . ')');
isnt((finish_query($first))[2], 0, 'the first session is canceled');

# the waiting session is canceled, the one that has the turn ends
foreach my $how ('pg_cancel_backend', 'pg_terminate_backend')
{
	my $holder = start_slow("holder of $how", 'k', 600000);
	my $waiting = start_session('waiting', add('k'));

	ok(wait_until(sub { pids_of('waiting') == 1 }), 'another session waits for its turn');
	my ($pid) = pids_of('waiting');
	is($node->query("SELECT $how($pid)"), 't', $how);
	isnt((finish_query($waiting))[2], 0, 'the waiting call ends');
	my $next = start_session('next', add('k'));
	ok(wait_until(sub { pids_of('next') == 1 }), 'the next session waits for its turn');
	$node->query("SELECT $how(" . (pids_of("holder of $how"))[0] . ')');
	isnt((finish_query($holder))[2], 0, 'the session that has the turn ends');
	($output, $error, $status) = finish_query($next);
	is($status, 0, 'the next session gets the turn') or diag($error);
}
is($node->query($invalid), 0, 'no transaction is invalid');
is($node->query(add('k')), '8', 'each acknowledged transaction is counted once')
  or diag(
	$node->query("SELECT block_number, value FROM fabric.get_history('trade', 'counters', 'k')"));
is($node->query("SELECT count(*) FROM fabric.verify_chain('trade')"),
	0, 'verify_chain finds nothing');
done_testing();
