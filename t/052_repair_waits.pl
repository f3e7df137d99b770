# A repair waits for a node that does not answer. Commits continue meanwhile, because the repair
# holds no lock while it asks other nodes. Two repairs at once do no harm.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use FabricTest   qw(start_network deploy_registry create_vehicle fingerprints wait_until height_of);
use Fabric::Psql qw(start_query finish_query);
use Test::More;

my $network = start_network(
	orgs => 3,
	orderers => 1,
	channel => 'trade',
	settings => "fabric.connect_timeout = '25s'\n");
my ($org1, $org2, $org3) = $network->nodes;
deploy_registry($network, policy => "OR('Org1MSP.peer', 'Org2MSP.peer', 'Org3MSP.peer')");
$org1->query(join(";\n", map { create_vehicle("V$_") } 1 .. 5));
is(scalar(fingerprints($network, 'trade')), 1, 'all nodes have the same ledger');

my $height = height_of($org1, 'trade');
my $damaged = $height - 2;
my $id = $org1->query("SELECT id FROM fabric_internal.channel WHERE channel = 'trade'");
$org1->query(
	"ALTER TABLE fabric_internal.transaction_$id DISABLE TRIGGER refuse_change;
UPDATE fabric_internal.transaction_$id
	SET envelope = set_byte(envelope, length(envelope) - 20,
		get_byte(envelope, length(envelope) - 20) # 1)
	WHERE block_number = $damaged;
ALTER TABLE fabric_internal.transaction_$id ENABLE TRIGGER refuse_change");

# the anchor peer that is asked first does not answer
kill 'STOP', $org2->process_id;
my $repair = "SELECT block_number FROM fabric.repair_chain('trade')";
my @repairs = map { start_query($org1->connection, $repair) } 1 .. 2;
my $repairing =
  "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%repair_chain%' AND pid <> pg_backend_pid() AND state = 'active'";
ok(wait_until(sub { $org1->query($repairing) == 2 }), 'two sessions call repair_chain');
$org1->query(create_vehicle('V6'));
is($org1->query($repairing),
	2, 'a transaction is committed while repairs wait for a node that does not answer');
my @answers = map { (finish_query($_))[0] } @repairs;
kill 'CONT', $org2->process_id;
is_deeply(
	[ sort @answers ],
	[ '', $damaged ],
	'one of the two repairs replaces the block by that of the third node');
is($org1->query("SELECT count(*) FROM fabric.verify_chain('trade')"),
	0, 'verify_chain finds no problem after the repair');
$org1->query(create_vehicle('V7'));
is(scalar(fingerprints($network, 'trade')), 1, 'all nodes have the same ledger');
done_testing();
