# The next call sees every commit of its node, also when another organization's node does not have
# the block yet: own writes of a session, those of other sessions of the same node, definitions, and
# queries that another node answers.
#
# A node is delayed by stopping the process that commits its blocks. Each call must wait for it: the
# process continues once the call is seen waiting there.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use FabricTest   qw(start_network fingerprints wait_until height_of $ANY_TWO);
use Fabric::Psql qw(literal start_query finish_query);
use Test::More;

# org2 and org3 are pure peers: they get their blocks from org1's orderer
my $network = start_network(orgs => 3, orderers => 1, channel => 'trade');
my ($org1, $org2, $org3) = my @nodes = $network->nodes;
my $both = "AND('Org1MSP.peer', 'Org2MSP.peer')";

my $source = <<'SQL';
CREATE FUNCTION create_item(id text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	IF fabric.get_state_text(id) IS NOT NULL THEN RAISE EXCEPTION 'item % exists', id; END IF;
	PERFORM fabric.put_state(id, '1');
	RETURN 'created';
END $$;
CREATE FUNCTION change_item(id text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	item text := fabric.get_state_text(id);
BEGIN
	IF item IS NULL THEN RAISE EXCEPTION 'item % does not exist', id; END IF;
	PERFORM fabric.put_state(id, (item::int + 1)::text);
	RETURN 'changed';
END $$;
CREATE FUNCTION read_item(id text) RETURNS text
	LANGUAGE sql AS $$ SELECT coalesce(fabric.get_state_text(id), 'nothing') $$;
SQL

sub install_at
{
	my ($node) = @_;

	return literal(
		$node->query(
			"SELECT fabric.install_chaincode(fabric.package_chaincode('items_1', "
			  . literal($source) . '))'));
}

sub approve
{
	my ($node, $name, $policy, $package) = @_;

	$node->query("SELECT fabric.approve_chaincode('trade', '$name', '1', 1, $package, "
		  . literal($policy)
		  . ')');
}

sub commit_sql
{
	my ($name, $policy) = @_;

	return "SELECT fabric.commit_chaincode('trade', '$name', '1', 1, " . literal($policy) . ')';
}

sub call
{
	my ($name, @arguments) = @_;

	return
	  "SELECT fabric.invoke('trade', '$name', " . join(', ', map { literal($_) } @arguments) . ')';
}

sub ledger_pid
{
	my ($node) = @_;

	return $node->query(
		"SELECT pid FROM fabric.stat_workers WHERE channel = 'trade' AND kind = 'ledger'");
}

# sessions of other nodes that wait for blocks in an endorsement at this node
sub waits_for_blocks
{
	my ($node) = @_;

	return $node->query(
		"SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%fabric_internal.endorse%' AND state = 'active' AND wait_event_type = 'Extension' AND pid <> pg_backend_pid()"
	);
}

# Run $sql at $node while $behind commits no blocks, until a call waits for them there. Gives
# output, errors and status
sub run_behind
{
	my ($node, $behind, $sql) = @_;
	my $pid = ledger_pid($behind);
	my $session;
	my $waited;

	kill 'STOP', $pid or die "could not stop process $pid: $!\n";
	$session = start_query($node->connection, $sql);
	$waited = wait_until(sub { waits_for_blocks($behind) });
	kill 'CONT', $pid;
	return (finish_query($session), $waited);
}

my %package = map { $_->{name} => install_at($_) } @nodes;
approve($_, 'items', $both, $package{ $_->{name} }) foreach @nodes;
$org1->query(commit_sql('items', $both));
is(scalar(fingerprints($network, 'trade')), 1, 'all nodes have the same ledger');

# ---- the writes of the session itself, and those of another session of the node ----

{
	my ($out, $error, $status, $waited) = run_behind($org1, $org2,
		call('items', 'create_item', 'a') . ";\n" . call('items', 'change_item', 'a'));

	is($error, '',
		'a session can change an item that it has created although the other endorser lacks the block'
	);
	is($out, "created\nchanged", 'both calls return their results');
	ok($waited, 'the call waited at the other endorser');

	my $pid = ledger_pid($org2);
	kill 'STOP', $pid;
	is($org1->query(call('items', 'create_item', 'b')), 'created', 'a session creates an item');
	my $session = start_query($org1->connection, call('items', 'change_item', 'b'));
	$waited = wait_until(sub { waits_for_blocks($org2) });
	kill 'CONT', $pid;
	($out, $error) = finish_query($session);
	is($error, '', 'another session of the node can change the item');
	is($out, "changed", 'the call of the other session returns its result');
	ok($waited, 'the call of the other session waited at the other endorser');
}

# ---- a node without the blocks in time says so, and is replaced if the policy allows ----

{
	my $pid;

	approve($_, 'any', $ANY_TWO, $package{ $_->{name} }) foreach @nodes;
	$org1->query(commit_sql('any', $ANY_TWO));
	fingerprints($network, 'trade');
	# an endorser waits for blocks for half of this time
	$org2->set("fabric.endorsement_timeout = '6s'\n");
	$pid = ledger_pid($org2);
	kill 'STOP', $pid;
	is($org1->query(call('any', 'create_item', 'a') . ";\n" . call('any', 'change_item', 'a')),
		"created\nchanged", 'another organization replaces one that lacks the blocks in time');
	$org1->query(call('items', 'create_item', 'c'));
	my $error = $org1->error_of(call('items', 'change_item', 'c'));
	kill 'CONT', $pid;
	like(
		$error,
		qr/LF310.*Org2MSP: this node lacks blocks of channel "trade".*It has \d+ blocks, the caller has seen \d+/s,
		'the error says that the required organization lacks blocks');
	unlike(
		$error,
		qr/does not exist/,
		'the error does not report a refusal that results from the old state');
	is($org1->query(call('items', 'change_item', 'c')), 'changed', 'later the call succeeds');
	$org2->set("fabric.endorsement_timeout = '120s'\n");
}

# ---- definitions ----

{
	my $package = $package{ $org1->{name} };
	my ($out, $error, $status, $waited);

	approve($_, 'late', $both, $package) foreach @nodes;
	fingerprints($network, 'trade');
	($out, $error, $status, $waited) = run_behind($org1, $org2,
		commit_sql('late', $both) . ";\n" . call('late', 'create_item', 'a'));
	is($error, '', 'a chaincode can be called at once after its definition is committed');
	like($out, qr/created/, 'the call returns its result');
	ok($waited, 'the call waited at the other endorser');

	approve($_, 'same', $both, $package) foreach @nodes;
	fingerprints($network, 'trade');
	($out, $error) = finish_query(
		start_query(
			$org1->connection,
			"BEGIN ISOLATION LEVEL REPEATABLE READ;\nSELECT count(*) FROM fabric.channels;\n"
			  . commit_sql('same', $both) . ";\n"
			  . call('same', 'create_item', 'a')
			  . ";\nCOMMIT"));
	is($error, '', 'a chaincode can be called at once in a transaction with an older snapshot');
	like($out, qr/created/, 'the call in a transaction uses the newest state');
}

# ---- a query that another organization's node answers ----

{
	my $policy = "OR('Org2MSP.peer')";

	approve($org1, 'away', $policy, 'NULL');
	approve($_, 'away', $policy, $package{ $_->{name} }) foreach $org2;
	approve($org3, 'away', $policy, 'NULL');
	$org1->query(commit_sql('away', $policy));
	fingerprints($network, 'trade');
	my ($out, $error, $status, $waited) = run_behind($org1, $org2,
		call('away', 'create_item', 'a') . ";\n"
		  . "SELECT fabric.query('trade', 'away', 'read_item', 'a')");
	is($error, '', 'another node executes a chaincode that is not installed on this node');
	is($out, "created\n1", 'a query at another node sees the commits of this node');
	ok($waited, 'the query waited at the other node');
	like(
		$org3->error_of("SELECT fabric.query('trade', 'away', 'change_item', 'b')"),
		qr/P0001.*item b does not exist/s,
		'a query at another node fails with the error of the chaincode');
}
is(scalar(fingerprints($network, 'trade')), 1, 'all nodes have the same ledger in the end');
done_testing();
