# A repair larger than work_mem: the blocks of another node, and the rebuilt history, wait on disk
# until they are inserted into the tables.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use FabricTest qw(start_network fingerprints height_of);
use Test::More;

my $network =
  start_network(orgs => 2, orderers => 1, channel => 'trade', settings => "work_mem = '64kB'\n");
my ($org1, $org2) = $network->nodes;

$network->deploy('trade', 'blobs', <<'SQL', policy => "OR('Org1MSP.peer', 'Org2MSP.peer')");
CREATE FUNCTION put(id text, size int) RETURNS void
	LANGUAGE sql AS $$ SELECT fabric.put_state(id, repeat(id, size)) $$;
SQL
$org1->query("SELECT fabric.invoke('trade', 'blobs', 'put', 'blob $_', '4000')") foreach 1 .. 12;
is(scalar(fingerprints($network, 'trade')), 1, 'all nodes have the same ledger');

# damage the last byte of each transaction, so that every block must come from the other node;
# together they exceed work_mem
my $height = height_of($org2, 'trade');
$org2->query(<<"SQL");
BEGIN;
SET LOCAL session_replication_role = replica;
UPDATE fabric_internal.transaction
	SET envelope = set_byte(envelope, length(envelope) - 5,
		get_byte(envelope, length(envelope) - 5) # 1)
	WHERE channel = 'trade' AND block_number > 0;
COMMIT
SQL
is( $org2->query(
		"SELECT count(DISTINCT block_number) FROM fabric.verify_chain('trade') WHERE problem = 'data_hash' AND tx_number IS NULL"
	),
	$height - 1,
	'all blocks except block 0 are damaged');
cmp_ok(
	$org1->query(
		"SELECT sum(length(fabric.get_block('trade', number))) FROM generate_series(1, $height - 1) number"
	),
	'>',
	5 * 64 * 1024,
	'the damaged blocks are larger than work_mem');

my $process = $org2->query('SELECT pg_postmaster_start_time()');
is( $org2->query("SELECT count(*) FROM fabric.repair_chain('trade')"),
	$height - 1,
	'repair_chain replaces every damaged block');
is($org2->query("SELECT count(*) FROM fabric.verify_chain('trade')"),
	0, 'verify_chain finds nothing after the repair');
is(scalar(fingerprints($network, 'trade')), 1, 'all nodes have the same ledger again');

# the history alone, which the rebuild also writes to disk
$org2->query(
	"BEGIN; SET LOCAL session_replication_role = replica; DELETE FROM fabric_internal.history WHERE channel = 'trade'; COMMIT"
);
cmp_ok($org2->query("SELECT history_corrected FROM fabric.rebuild_state('trade')"),
	'>=', 12, 'rebuild_state writes the history again');
is($org2->query("SELECT count(*) FROM fabric.verify_chain('trade')"),
	0, 'verify_chain finds nothing after rebuild_state');
is($org2->query('SELECT pg_postmaster_start_time()'), $process, 'the server was not restarted');
$org2->query("SELECT fabric.invoke('trade', 'blobs', 'put', 'last', '1')");
is(scalar(fingerprints($network, 'trade')), 1,
	'all nodes have the same ledger after another block');
done_testing();
