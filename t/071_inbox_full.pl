# An orderer that is too slow says so: transactions that it has accepted are ordered, the others are
# refused with a clear error, nothing is lost.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use FabricTest;
use Test::More;

my $network = FabricTest::start_network(
	orgs => 1,
	orderers => 1,
	channel => 'trade',
	settings => "fabric.inbox_size = 256kB\n");
my ($node) = $network->nodes;
FabricTest::deploy_registry($network, policy => "OR('Org1MSP.peer')");

# hold the orderer process, as a slow disk would
my $orderer =
  $node->query("SELECT pid FROM pg_stat_activity WHERE backend_type = 'fabric orderer'");
my $accepted = 0;
my $refusal = '';

kill 'STOP', $orderer;
while ($accepted < 100)
{
	my ($output, $error, $status) =
	  $node->try_query("\\set VERBOSITY verbose\nSET fabric.broadcast_timeout = '3s';\n"
		  . "SELECT tx_id FROM fabric.submit_transaction('trade', 'vehicles', 'create_vehicle', ARRAY['V$accepted', repeat('x', 20000), 'm', '2020', 'o', '1'], wait => false)"
	  );

	if ($status != 0)
	{
		$refusal = $error;
		last;
	}
	$accepted++;
}
like(
	$refusal,
	qr/LF501: .*too many transactions are waiting/,
	'a full inbox refuses a transaction with LF501');
like($refusal, qr/HINT: .*fabric\.inbox_size/, 'the error of a full inbox has a hint');
cmp_ok($accepted, '>=', 1, "$accepted transactions were accepted before the first refusal");
# each is more than 40 kB, because the arguments are in the proposal and in the write set; a quarter
# of the inbox is reserved for Raft
cmp_ok($accepted, '<=', 4, 'the inbox accepted no more than fits');
cmp_ok(
	$node->query("SELECT inbox_bytes FROM fabric.stat_orderer WHERE channel = 'trade'"),
	'<=',
	256 * 1024 * 3 / 4,
	'the inbox keeps space for Raft');

kill 'CONT', $orderer;
ok( $node->cluster->poll_query_until(
		'fabric',
		"SELECT count(*) = $accepted FROM fabric.world_state WHERE channel = 'trade' AND namespace = 'vehicles'"
	),
	'the accepted transactions are committed');
$node->query(FabricTest::create_vehicle('afterwards'));
is( $node->query(
		"SELECT count(*) FROM fabric.world_state WHERE channel = 'trade' AND namespace = 'vehicles'"
	),
	$accepted + 1,
	'the orderer continues');
done_testing();
