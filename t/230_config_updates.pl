# The configuration of a channel changes while it is used: every node applies the same blocks, and
# what each block allowed stays provable.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use FabricTest   qw(start_network fingerprints wait_until height_of);
use Fabric::Psql qw(literal);
use Test::More;

my $network = start_network(orgs => 2, orderers => 1, channel => 'trade');
my ($org1, $org2) = my @nodes = $network->nodes;
my $source =
  'CREATE FUNCTION put(id text, value text) RETURNS void LANGUAGE sql AS $$ SELECT fabric.put_state(id, value) $$;';
$network->deploy('trade', 'notes', $source, policy => "OR('Org1MSP.peer', 'Org2MSP.peer')");
my $put = "SELECT fabric.invoke('trade', 'notes', 'put', 'k', 'v')";
my @timeout = (
	'{channel_group,groups,Orderer,groups}',
	'{channel_group,groups,Orderer,values,BatchTimeout,value,timeout}');

# the SQL of the update that sets one member of the configuration
sub update_sql
{
	my ($path, $value) = @_;

	return
	  "fabric.compute_config_update('trade', fabric.config('trade'), jsonb_set(fabric.config('trade'), "
	  . literal($path) . ', '
	  . literal($value) . '))';
}

sub update_of
{
	my ($node, $path, $value) = @_;

	return '\\x' . $node->query("SELECT encode(" . update_sql($path, $value) . ", 'hex')");
}

sub signature_of
{
	my ($node, $update) = @_;

	return '\\x' . $node->query("SELECT encode(fabric.sign_config_update('$update'), 'hex')");
}

# encoding is the inverse of decoding, and keeps every byte of a configuration
is( $org1->query(
		"SELECT fabric.encode_message('common.Config', fabric.config('trade')) = fabric.encode_message('common.Config', fabric.decode_message('common.Config', fabric.encode_message('common.Config', fabric.config('trade'))))"
	),
	't',
	'a configuration becomes JSON and bytes again');
is( $org1->query(
		"SELECT fabric.decode_block(fabric.encode_message('common.Block', fabric.decode_block(b))) = fabric.decode_block(b) FROM fabric.get_block('trade', 1) b"
	),
	't',
	'a block, too');

# one administrator changes the batch timeout
my $before = height_of($org1, 'trade');
my $block =
  $org1->query('SELECT fabric.submit_config_update(' . update_sql($timeout[1], '"750ms"') . ')');
is($block, $before, 'the update is the next block');
foreach my $node (@nodes)
{
	ok(wait_until(sub { height_of($node, 'trade') > $block }), 'every node commits it');
	is($node->query("SELECT fabric.config('trade') #>> " . literal($timeout[1])),
		'750ms', 'and applies it');
	is( $node->query("SELECT fabric.config('trade', $block - 1) #>> " . literal($timeout[1])),
		$node->query("SELECT fabric.config('trade', 0) #>> " . literal($timeout[1])),
		'the block before had the old one');
	is($node->query("SELECT fabric.config('trade') ->> 'sequence'"), 1, 'the sequence is 1');
	is( $node->query(
			"SELECT validation_code || ' ' || count(*) FROM fabric.transactions WHERE channel = 'trade' AND block_number = $block GROUP BY validation_code"
		),
		'VALID 1',
		'it is alone in its block');
}
is($org2->error_of($put), '', 'transactions continue');
is(scalar(fingerprints($network, 'trade')), 1, 'all nodes are the same');
is($_->query("SELECT count(*) FROM fabric.verify_chain('trade')"), 0, 'verify_chain finds nothing')
  foreach @nodes;

# application organizations decide together: the majority of two is both
my $acls = '{channel_group,groups,Application,values,ACLs}';
my $value =
  '{"mod_policy": "Admins", "value": {"acls": {"peer/Propose": {"policy_ref": "/Channel/Application/Org1MSP/Admins"}}}, "version": "0"}';
my $update = update_of($org1, $acls, $value);
like(
	$org1->error_of("SELECT fabric.submit_config_update('$update')"),
	qr/LF202.*\/Channel\/Application/s,
	'one of two organizations is no majority');
my $signature = signature_of($org2, $update);
$block = $org1->query("SELECT fabric.submit_config_update('$update', ARRAY['$signature'::bytea])");
$network->create_application($org1, 'app', 'secret-of-app');
like($org1->error_of("BEGIN; SET LOCAL fabric.identity = 'app.org1'; $put"),
	qr/LF203.*Admins/s, 'an access rule holds from the next block on');
like(
	$org1->error_of("SELECT fabric.submit_config_update('$update', ARRAY['$signature'::bytea])"),
	qr/LF410.*another version/s,
	'the same update again is refused');

# a node that starts later, or from a backup of nothing, applies the same configurations
my $state = $org1->query("SELECT fabric.state_digest('trade')");
is($_->query("SELECT count(*) FROM fabric.verify_chain('trade')"), 0, 'verify_chain finds nothing')
  foreach @nodes;
$org2->query("SELECT fabric.rebuild_state('trade')");
is($org2->query("SELECT fabric.config('trade') ->> 'sequence'"), 2, 'a rebuild has the last one');
my $genesis = '\\x' . $org1->query("SELECT encode(fabric.get_block('trade', 0), 'hex')");
$org2->query("SELECT fabric.leave_channel('trade')");
$org2->query("SELECT fabric.join_channel('$genesis')");
ok(wait_until(sub { height_of($org2, 'trade') == height_of($org1, 'trade') }),
	'a node that joins again catches up');
is($org2->query("SELECT fabric.config('trade') ->> 'sequence'"), 2, 'with all configurations');
is(scalar(fingerprints($network, 'trade')), 1, 'all nodes are the same');

# maintenance mode begins alone, and stops transactions until it ends
my $state_path = '{channel_group,groups,Orderer,values,ConsensusType,value,state}';
$org1->query(
	'SELECT fabric.submit_config_update(' . update_sql($state_path, '"STATE_MAINTENANCE"') . ')');
like($org1->error_of($put), qr/LF203.*maintenance mode/s, 'transactions are refused');
$org1->query(
	'SELECT fabric.submit_config_update(' . update_sql($state_path, '"STATE_NORMAL"') . ')');
is($org1->error_of($put), '', 'and taken again afterwards');

# what cannot be is refused before it is ordered
foreach my $case (
	[ '{channel_group,groups,Orderer,values,BatchSize,value,max_message_count}', '0', 'batch' ],
	[
		'{channel_group,groups,Orderer,values,ConsensusType,value,metadata,consenters}', '[]',
		'consenter'
	],
	[ '{channel_group,groups,Orderer,values,Capabilities,value,capabilities,V9_0}', '{}', 'V9_0' ])
{
	my ($path, $new, $word) = @$case;

	like($org1->error_of('SELECT fabric.submit_config_update(' . update_sql($path, $new) . ')'),
		qr/LF410.*$word/s, "refused: $path");
}
is($org1->error_of($put), '', 'the channel takes transactions');
is($_->query("SELECT count(*) FROM fabric.verify_chain('trade')"), 0, 'verify_chain finds nothing')
  foreach @nodes;
done_testing();
