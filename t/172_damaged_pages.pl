# Flipped bits in pages on disk, with data checksums off: no process ends, verify_chain names the
# damage, and the repair makes the node equal to the others again. FABRIC_DAMAGE_ROUNDS and
# FABRIC_DAMAGE_SEED: more rounds, other places.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use FabricTest
  qw(start_network deploy_registry create_vehicle invoke fingerprints height_of wait_until);
use Fabric::Host qw(bindir slurp);
use Test::More;

my $rounds = $ENV{FABRIC_DAMAGE_ROUNDS} || 8;
my $seed = $ENV{FABRIC_DAMAGE_SEED} || 20;
my $page_bytes = 8192;

my $network = start_network(
	orgs => 2,
	orderers => 1,
	channel => 'trade',
	settings => "autovacuum = off\nrestart_after_crash = on\n");
my ($org1, $org2) = $network->nodes;
deploy_registry($network, policy => "OR('Org1MSP.peer', 'Org2MSP.peer')");
$network->deploy('trade', 'blobs', <<'SQL', policy => "OR('Org1MSP.peer', 'Org2MSP.peer')");
CREATE FUNCTION put(id text, size int) RETURNS void LANGUAGE plpgsql AS $$
DECLARE content text := id;
BEGIN
	WHILE length(content) < size LOOP content := content || md5(content); END LOOP;
	PERFORM fabric.put_state(id, content);
END $$;
SQL
# rows of all sizes: in the page, compressed, in the TOAST table
$org1->query(join(";\n", map { create_vehicle("V$_") } 1 .. 30));
$org1->query("SELECT fabric.invoke('trade', 'blobs', 'put', 'blob $_', '" . $_ * 3000 . "')")
  foreach 1 .. 8;
$org1->query(join(";\n", map { invoke('transfer_vehicle', "V$_", 'Boris', '5') } 1 .. 10));
is(scalar(fingerprints($network, 'trade')), 1, 'all nodes have the same ledger');
my $id = $org2->query("SELECT id FROM fabric_internal.channel WHERE channel = 'trade'");
my $data = $org2->cluster->data_dir;
$org2->query('CHECKPOINT');

# tables, their indexes and TOAST tables; not the private plaintext, which no other node has
my @files = split /\n/, $org2->query(<<"SQL");
WITH t AS (SELECT c.oid, c.reltoastrelid FROM pg_class c
	WHERE c.relname ~ '^(block|transaction|world_state|history)_$id\$' AND c.relnamespace = 'fabric_internal'::regnamespace),
	all_t AS (SELECT oid FROM t UNION SELECT reltoastrelid FROM t WHERE reltoastrelid <> 0)
SELECT oid::regclass FROM all_t UNION ALL SELECT indexrelid::regclass FROM pg_index
	WHERE indrelid IN (SELECT oid FROM all_t) ORDER BY 1
SQL
$org2->stop;
system(bindir() . '/pg_checksums', '--disable', '--pgdata', $data) == 0
  or die "could not turn checksums off\n";
$org2->start;
like(
	($org2->try_query("SELECT * FROM fabric.verify_chain('trade')"))[1],
	qr/WARNING:  data checksums are off.*pg_checksums/s,
	'verify_chain warns that data checksums are off');

# bits in random places of a used page: more often in its header and in pointers to rows
sub damage
{
	my @damage;

	foreach (1 .. 1 + int rand 3)
	{
		my $relation = $files[ rand @files ];
		my $path = "$data/" . $org2->query("SELECT pg_relation_filepath('$relation')");
		my $pages = (-s $path) / $page_bytes;

		next if $pages < 1;
		my $offset = rand() < 0.4 ? int rand 100 : int rand $page_bytes;
		push @damage, [ $relation, $path, int(rand $pages) * $page_bytes + $offset, int rand 8 ];
	}
	$org2->stop;
	foreach my $bit (@damage)
	{
		my ($relation, $path, $position, $number) = @$bit;

		open(my $file, '+<', $path) or die "could not open $path: $!\n";
		binmode $file;
		seek($file, $position, 0);
		read($file, my $byte, 1);
		seek($file, $position, 0);
		print $file chr(ord($byte) ^ 1 << $number);
		close $file;
	}
	$org2->start;
	return join ', ', map { "$_->[0] byte $_->[2] bit $_->[3]" } @damage;
}

sub crashes
{
	my $log = slurp($org2->cluster->logfile);

	return scalar(() = $log =~ /terminated by signal|PANIC:|TRAP:/g);
}

# the contents, except private plaintext
sub problems
{
	return $org2->query(
		"SELECT concat_ws(' ', block_number, tx_number, problem, detail) FROM fabric.verify_chain('trade')"
	);
}

my @reads = (
	"SELECT fabric.state_digest('trade')",
	"SELECT count(fabric.get_block('trade', n)) FROM generate_series(0, 20) n",
	"SELECT count(*), sum(length(envelope)) FROM fabric.transactions",
	"SELECT count(*), sum(length(value)) FROM fabric.world_state",
	"SELECT count(*) FROM fabric.history",
	"SELECT fabric.query('trade', 'vehicles', 'read_vehicle', 'V3')",
	"SELECT fabric.rebuild_state('trade')",
	"SELECT * FROM fabric.repair_chain('trade')");

srand($seed);
my $crashes_before = 0;
for my $round (1 .. $rounds)
{
	my $damage = damage();
	my ($found) = $org2->try_query("SELECT problem, detail FROM fabric.verify_chain('trade')");
	my $found_or_refused = $found ne '' ? $found : join ' ',
	  ($org2->try_query("SELECT problem, detail FROM fabric.verify_chain('trade')"))[1];

	$org2->try_query($_) foreach @reads;
	my ($removed, $failure, $status) =
	  $org2->try_query("SELECT * FROM fabric.repair_tables('trade')");
	my ($replaced, $failure_of_blocks) =
	  $org2->try_query("SELECT * FROM fabric.repair_chain('trade')");
	my $left = problems();

	is($left, '', "round $round: the node is repaired ($damage)")
	  or diag(
		"found: $found_or_refused\nremoved: $removed\n$failure\nreplaced: $replaced\n$failure_of_blocks\nleft: $left"
	  );
	is(crashes(), $crashes_before, "round $round: no process ended ($damage)")
	  or $crashes_before = crashes();
}
$org2->query(create_vehicle('last'));
is(scalar(fingerprints($network, 'trade')), 1, 'all nodes have the same ledger in the end');
done_testing();
