# A node that does not order gets its blocks from the orderers, checks them, and refuses a block
# that an orderer has not signed.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use FabricTest qw(
  start_network deploy_registry create_vehicle invoke fingerprints wait_for_leader wait_until
  vehicles_of height_of $ANY_TWO);
use PostgreSQL::Test::Utils qw(slurp_file);
use Test::More;

my $network = start_network(orgs => 3, orderers => 2, channel => 'trade');
my ($org1, $org2, $peer) = my @nodes = $network->nodes;
deploy_registry($network, policy => $ANY_TWO);

# it takes part as the other nodes do
is($peer->query("SELECT count(*) FROM fabric.stat_orderer WHERE channel = 'trade'"),
	0, 'a node that is not a consenter does not order');
$peer->query(create_vehicle('V1'));
is($peer->query(invoke('transfer_vehicle', 'V1', 'Boris', '1')),
	'Ada Adler', 'applications of the node commit transactions');
is(scalar(fingerprints($network, 'trade')), 1, 'all nodes have the same ledger');
like(
	$peer->error_of("SELECT fabric_internal.submit('trade', '\\x00')"),
	qr/LF505.*HINT:.*localhost:$org1->{port}/s,
	'the node accepts no envelope for ordering, and the hint names the orderers');
like($peer->error_of("SELECT fabric.transfer_leadership('trade', 1)"),
	qr/LF505/, 'the node cannot transfer the leadership');

# stopped and started again
$peer->kill_hard;
$org1->query(join(";\n", map { create_vehicle("W$_") } 1 .. 20));
$peer->start;
is(scalar(fingerprints($network, 'trade')), 1, 'the node has all blocks after an absence');

# change the newest block in the tables of an orderer, past the triggers
sub falsify
{
	my ($node, $sql) = @_;

	$node->query("BEGIN; SET LOCAL session_replication_role = replica; $sql; COMMIT");
}

my $newest =
  "channel = 'trade' AND number = (SELECT max(number) FROM fabric_internal.block WHERE channel = 'trade')";
my $before_it =
  "channel = 'trade' AND number = (SELECT max(number) - 1 FROM fabric_internal.block WHERE channel = 'trade')";
my $number = 0;
foreach my $case (
	[
		'no signature',
		"UPDATE fabric_internal.block SET signatures = '' WHERE $newest",
		qr/is not signed by an orderer/
	],
	[
		'the signature of another block',
		"UPDATE fabric_internal.block SET signatures = (SELECT signatures FROM fabric_internal.block WHERE $before_it) WHERE $newest",
		qr/is not signed by an orderer/
	],
	[
		'one bit of the signature',
		"UPDATE fabric_internal.block SET signatures = set_bit(signatures, length(signatures) * 8 - 60, 1 - get_bit(signatures, length(signatures) * 8 - 60)) WHERE $newest",
		qr/is not signed by an orderer|malformed/
	],
	[
		'another transaction',
		"UPDATE fabric_internal.transaction SET envelope = (SELECT envelope FROM fabric_internal.transaction WHERE channel = 'trade' AND block_number = (SELECT max(number) - 1 FROM fabric_internal.block WHERE channel = 'trade') AND position = 0) "
		  . "WHERE channel = 'trade' AND block_number = (SELECT max(number) FROM fabric_internal.block WHERE channel = 'trade')",
		qr/wrong data hash/
	])
{
	my ($name, $sql, $words) = @$case;

	$peer->stop;
	$org1->query(create_vehicle('X' . ++$number));
	fingerprints($network, 'trade');
	my $height = height_of($org1, 'trade');
	foreach my $orderer ($org1, $org2)
	{
		$orderer->query(
				"CREATE TABLE kept_block AS SELECT * FROM fabric_internal.block WHERE $newest;"
			  . "CREATE TABLE kept_transaction AS SELECT * FROM fabric_internal.transaction WHERE channel = 'trade' AND block_number = (SELECT number FROM kept_block)"
		);
		falsify($orderer, $sql);
	}
	my $offset = -s $peer->cluster->logfile;
	$peer->start;
	ok(wait_until(sub { slurp_file($peer->cluster->logfile, $offset) =~ $words }),
		"$name: the block is refused")
	  or diag(slurp_file($peer->cluster->logfile, $offset));
	like(
		slurp_file($peer->cluster->logfile, $offset),
		qr/block received from localhost:$org1->{port}/,
		"$name: the log names the source");
	is(height_of($peer, 'trade'), $height - 1, "$name: no part of the block is stored");
	like(
		$peer->query(
			"SELECT last_error FROM fabric.stat_workers WHERE channel = 'trade' AND kind = 'ledger'"
		),
		$words,
		"$name: fabric.stat_workers shows the reason");

	# one honest orderer is enough
	falsify($org2,
		'UPDATE fabric_internal.block b SET signatures = k.signatures FROM kept_block k WHERE b.channel = k.channel AND b.number = k.number;'
		  . 'UPDATE fabric_internal.transaction t SET envelope = k.envelope FROM kept_transaction k WHERE t.channel = k.channel AND t.block_number = k.block_number AND t.position = k.position'
	);
	ok( wait_until(sub { height_of($peer, 'trade') == $height }),
		"$name: the node gets the correct block from the other orderer");
	falsify($org1,
		'UPDATE fabric_internal.block b SET signatures = k.signatures FROM kept_block k WHERE b.channel = k.channel AND b.number = k.number;'
		  . 'UPDATE fabric_internal.transaction t SET envelope = k.envelope FROM kept_transaction k WHERE t.channel = k.channel AND t.block_number = k.block_number AND t.position = k.position'
	);
	$_->query('DROP TABLE kept_block, kept_transaction') foreach $org1, $org2;
}
is(scalar(fingerprints($network, 'trade')), 1, 'all nodes have the same ledger in the end');

# only a member of the channel with a signed request may ask for blocks
like($org1->error_of("SELECT * FROM fabric_internal.deliver('\\x0a00', 1000, 0)"),
	qr/LF002|LF001/, 'an invalid request for blocks is refused');
done_testing();
