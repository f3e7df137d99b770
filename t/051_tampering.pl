# A superuser changes rows behind the triggers: verify_chain finds each change and names it, other nodes are clean, rebuild_state repairs.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use FabricTest;
use Test::More;

my $network = FabricTest::start_network(orgs => 2, orderers => 1, channel => 'trade');
my ($org1, $org2) = $network->nodes;

FabricTest::deploy_registry($network, policy => "AND('Org1MSP.peer', 'Org2MSP.peer')");
$org1->query(join(";\n", map { FabricTest::create_vehicle("V$_") } 1 .. 5));
is(scalar(FabricTest::fingerprints($network, 'trade')), 1, 'all nodes are the same');

sub problems
{
	my ($node) = @_;

	return $node->query("SELECT concat_ws(' ', 'block', block_number, 'transaction', tx_number, problem, detail) FROM fabric.verify_chain('trade')");
}

is(problems($_), '', "$_->{name} is clean") foreach $org1, $org2;

like(($org1->try_query("UPDATE fabric_internal.block SET committed_at = now() WHERE channel = 'trade'"))[1], qr/LF406|append-only/, 'blocks cannot be changed');
like(($org1->try_query("DELETE FROM fabric_internal.transaction WHERE channel = 'trade'"))[1], qr/LF406|append-only/, 'transactions cannot be deleted');
like(($org1->try_query("TRUNCATE fabric_internal.history"))[1], qr/LF406|append-only/, 'history cannot be truncated');

foreach my $case (
	[ 'a value of the world state', "UPDATE fabric_internal.world_state SET value = convert_to(replace(convert_from(value, 'UTF8'), '20000', '2000'), 'UTF8') WHERE channel = 'trade' AND namespace = 'vehicles' AND key = 'V3'", qr/V3/ ],
	[ 'a row of the history', "DELETE FROM fabric_internal.history WHERE channel = 'trade' AND namespace = 'vehicles' AND key = 'V4'", qr/V4/ ],
	[ 'a missing key', "DELETE FROM fabric_internal.world_state WHERE channel = 'trade' AND namespace = 'vehicles' AND key = 'V5'", qr/V5/ ],
	[ 'a key that nobody wrote', "INSERT INTO fabric_internal.world_state (channel, namespace, key, value, block_number, position) SELECT channel, namespace, 'V9', value, block_number, position FROM fabric_internal.world_state WHERE channel = 'trade' AND namespace = 'vehicles' AND key = 'V1'", qr/V9/ ])
{
	my ($name, $sql, $pattern) = @$case;

	$org1->query("BEGIN; SET LOCAL session_replication_role = replica; $sql; COMMIT");
	like(problems($org1), $pattern, "$name: found");
	is(problems($org2), '', "$name: the other node is clean");
	$org1->query("SELECT fabric.rebuild_state('trade')");
	is(problems($org1), '', "$name: repaired from the chain");
}
is(scalar(FabricTest::fingerprints($network, 'trade')), 1, 'all nodes are the same again');

$org1->query("BEGIN; SET LOCAL session_replication_role = replica; UPDATE fabric_internal.transaction SET validation_code = 11 WHERE channel = 'trade' AND block_number = (SELECT max(block_number) FROM fabric_internal.transaction WHERE channel = 'trade'); COMMIT");
isnt(problems($org1), '', 'a changed validation code is found');
done_testing();
