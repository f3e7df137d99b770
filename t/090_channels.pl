# Several channels at one node: each has its own chain, chaincode and members. A node leaves a
# channel while it runs, and joins it again.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use FabricTest   qw(start_network fingerprints wait_until height_of);
use Fabric::Psql qw(start_query finish_query literal);
use JSON::PP     ();
use Test::More;

my $network = start_network(
	orgs => 3,
	orderers => 1,
	channel => 'alpha',
	settings => "fabric.max_channels = 3\n");
my ($org1, $org2, $org3) = my @nodes = $network->nodes;
$network->create_channel('beta');

# the channel "pair" has only two organizations as members
my $profile = $network->profile;
$profile->{organizations} = [ grep { $_->{msp_id} ne 'Org3MSP' } @{ $profile->{organizations} } ];
my $genesis =
  $org1->query("SELECT encode(fabric.create_channel('pair', "
	  . literal(JSON::PP->new->canonical->encode($profile))
	  . "), 'hex')");
$_->query("SELECT fabric.join_channel('\\x$genesis')") foreach $org1, $org2;

my $source = <<'SQL';
CREATE FUNCTION put(id text, value text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN PERFORM fabric.put_state(id, value); RETURN fabric.get_channel_id(); END $$;
CREATE FUNCTION look(id text) RETURNS text LANGUAGE sql AS $$ SELECT fabric.get_state_text(id) $$;
SQL
$network->deploy($_, 'notes', $source,
	policy => "OR('Org1MSP.peer', 'Org2MSP.peer', 'Org3MSP.peer')")
  foreach 'alpha', 'beta';
my $package_id = $org1->query(
	"SELECT package_id FROM fabric.chaincodes WHERE channel = 'alpha' AND name = 'notes'");
$_->query("SELECT fabric.approve_chaincode('pair', 'notes', '1.0', 1, "
	  . literal($package_id)
	  . ", policy => 'OR(''Org1MSP.peer'', ''Org2MSP.peer'')')")
  foreach $org1, $org2;
$org1->query(
	"SELECT fabric.commit_chaincode('pair', 'notes', '1.0', 1, policy => 'OR(''Org1MSP.peer'', ''Org2MSP.peer'')')"
);

sub put
{
	my ($channel, $id, $value) = @_;

	return "SELECT fabric.invoke('$channel', 'notes', 'put', '$id', '$value')";
}

# the same key has a value and a history of its own on each channel
is($org2->query(put($_, 'k', "value on $_")), $_, "$_: the chaincode knows its channel")
  foreach 'alpha', 'beta', 'pair';
is($org1->query("SELECT fabric.query('$_', 'notes', 'look', 'k')"),
	"value on $_", "$_: the chaincode reads the state of its channel")
  foreach 'alpha', 'beta', 'pair';
my @sessions = map {
	my $channel = $_;
	map {
		start_query($_->connection, join(";\n", map { put($channel, "m$_", $_) } 1 .. 10))
	} $org1, $org2
} 'alpha', 'beta', 'pair';
foreach my $session (@sessions)
{
	my (undef, $error, $status) = finish_query($session);
	ok($status == 0 || $error =~ /MVCC/,
		'transactions are committed on all channels at the same time')
	  or diag($error);
}
is(scalar(fingerprints($network, $_)), 1, "$_: all nodes have the same ledger")
  foreach 'alpha', 'beta';
is($org1->query("SELECT count(DISTINCT block_hash) FROM fabric_internal.block WHERE number = 1"),
	3, 'the chains have different blocks');
is( $org1->query(
		"SELECT count(*) FROM pg_stat_activity WHERE backend_type IN ('fabric ledger', 'fabric orderer')"
	),
	6,
	'a node that orders has two processes for each channel');
is( $org2->query(
		"SELECT count(*) FROM pg_stat_activity WHERE backend_type IN ('fabric ledger', 'fabric orderer')"
	),
	3,
	'a node that does not order has one process for each channel');

# a node that is not a member
like($org3->error_of(put('pair', 'k', 'x')),
	qr/LF401/, 'a node that has not joined the channel refuses a call');
$org3->query("SELECT fabric.join_channel('\\x$genesis')");
my $error =
  $org3->error_of("SET fabric.broadcast_timeout = '5s'; SET fabric.endorsement_timeout = '5s'; "
	  . put('pair', 'k', 'x'));
isnt($error, '', 'a node of an organization that is not a member cannot invoke');
like($error, qr/LF(104|202|203|302|310)/, 'the error of a node that is not a member has the reason')
  or diag($error);
ok( wait_until(
		sub {
			$org3->query(
				"SELECT last_error FROM fabric.stat_workers WHERE channel = 'pair' AND kind = 'ledger'"
			) ne '';
		}),
	'the ledger process of a node that is not a member reports an error');
is(height_of($org3, 'pair'), 1, 'a node that is not a member gets no further block');
$org3->query("SELECT fabric.leave_channel('pair')");

# limits and repetitions
like($org1->error_of("SELECT fabric.join_channel('\\x$genesis')"),
	qr/LF402/, 'a channel cannot be joined twice');
like($org1->error_of("SELECT fabric.leave_channel('nothing')"),
	qr/LF401/, 'a channel that is not joined cannot be left');
like($org3->error_of("SELECT fabric.join_channel('\\x00ff')"),
	qr/LF002/, 'bytes that are not a block are refused');
my $block1 = $org1->query("SELECT encode(fabric.get_block('alpha', 1), 'hex')");
like(
	$org3->error_of("SELECT fabric.join_channel('\\x$block1')"),
	qr/LF405.*block 0/s,
	'a block that is not block 0 is refused');

# leave while transactions are committed, and join again
my @before = fingerprints($network, 'alpha');
my $busy = start_query($org1->connection, join(";\n", map { put('beta', "b$_", $_) } 1 .. 40));
$org2->query("SELECT fabric.leave_channel('beta')");
like($org2->error_of("SELECT fabric.query('beta', 'notes', 'look', 'k')"),
	qr/LF401/, 'a call on a channel that was left is refused');
is($org2->query("SELECT count(*) FROM fabric_internal.block WHERE channel = 'beta'"),
	0, 'the blocks of a channel that was left are removed');
is( $org2->query("SELECT count(*) FROM pg_class WHERE relkind = 'r' AND relname LIKE 'block\\_%'"),
	2, 'the tables of a channel that was left are dropped');
ok( wait_until(
		sub {
			$org2->query(
				"SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'fabric ledger'") == 2;
		}),
	'the process of a channel that was left ends');
is((finish_query($busy))[2], 0, 'the other members commit transactions');
my $beta = $org1->query("SELECT encode(fabric.get_block('beta', 0), 'hex')");
is($org2->query("SELECT fabric.join_channel('\\x$beta')"),
	'beta', 'the node joins again with a genesis block from another node');
is(scalar(fingerprints($network, 'beta')), 1, 'the node gets all blocks after it joins again');
is($org2->query(put('beta', 'again', 'here')),
	'beta', 'the node commits a transaction after it joins again');
is($org2->query("SELECT fabric.query('beta', 'notes', 'look', 'b40')"),
	40, 'the node has the whole state after it joins again');
is(join('', fingerprints($network, 'alpha')), join('', @before), 'another channel did not change');

# a rolled back join leaves nothing behind
$org2->query("SELECT fabric.leave_channel('pair')");
$org2->query("BEGIN; SELECT fabric.join_channel('\\x$genesis'); ROLLBACK");
is($org2->query("SELECT count(*) FROM fabric_internal.channel WHERE channel = 'pair'"),
	0, 'a join that is rolled back has no effect');
$org2->query("SELECT fabric.join_channel('\\x$genesis')");
ok(wait_until(sub { height_of($org2, 'pair') == height_of($org1, 'pair') }),
	'a join that is committed takes effect');

# no slot for a fourth channel
my $fourth =
  $org1->query("SELECT encode(fabric.create_channel('fourth', "
	  . literal(JSON::PP->new->canonical->encode($network->profile))
	  . "), 'hex')");
like(
	$org1->error_of("SELECT fabric.join_channel('\\x$fourth')"),
	qr/LF003.*fabric\.max_channels/s,
	'no more than fabric.max_channels channels can be joined');
done_testing();
