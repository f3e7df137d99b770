# Reading and guarding the tables of the ledger: parallel plans, long histories, rows that are no
# blocks, envelope dictionaries, private plaintext.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use FabricTest   qw(start_network);
use Fabric::Host qw(slurp);
use Fabric::Psql ();
use JSON::PP     ();
use Test::More;

my $network = FabricTest::start_network(orgs => 2, orderers => 1, channel => 'trade');
my ($org1, $org2) = $network->nodes;

$network->deploy('trade', 'book', <<'SQL', policy => "OR('Org1MSP.peer')");
CREATE FUNCTION put(key text, value text) RETURNS void
	LANGUAGE sql AS $$ SELECT fabric.put_state(key, value) $$;
CREATE FUNCTION history(key text) RETURNS text LANGUAGE sql AS
	$$ SELECT count(*) || ' ' || max(block_number) || ' ' || bool_and(length(tx_id) = 64)
		FROM fabric.get_history_for_key(key) $$;
SQL
sub put { return "SELECT fabric.invoke('trade', 'book', 'put', '$_[0]', '$_[1]')" }
$org1->query(join(";\n", map { put('k', $_) } 1 .. 80));
my $height = $org1->query("SELECT height FROM fabric.chain_info('trade')");
my $id = $org1->query("SELECT id FROM fabric_internal.channel WHERE channel = 'trade'");

# views with decoded columns, and functions that read, above a parallel plan
my $always_parallel = $org1->query(
	"SELECT name FROM pg_settings WHERE name IN ('force_parallel_mode', 'debug_parallel_query')");
my $parallel =
  "SET $always_parallel = on; SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0; ";
like($org1->query("$parallel EXPLAIN SELECT max(length(envelope)) FROM fabric.transactions"),
	qr/Gather/, 'the view is read in parallel');
is( $org1->query(
		"$parallel SELECT count(envelope), count(creator) FROM fabric.transactions WHERE channel = 'trade'"
	),
	$org1->query(
		"SELECT count(*), count(*) - 1 FROM fabric_internal.transaction WHERE channel = 'trade'"),
	'columns of a view are decoded above a parallel plan');
is( $org1->query(
		"$parallel SELECT count(*), max(d.name) FROM fabric_internal.block b, fabric.list_chaincodes('trade') d WHERE b.number = 1"
	),
	'1|book',
	'functions that read the state work above a parallel plan');
is( $org1->query(
		"$parallel SELECT count(v.problem) FROM fabric_internal.block b, fabric.verify_chain('trade') v"
	),
	0,
	'verify_chain works above a parallel plan');

# history
is( $org1->query("SELECT fabric.query('trade', 'book', 'history', 'k')"),
	'80 ' . ($height - 1) . ' true',
	'chaincode sees every write of a key');
is( $org1->query(
		"SELECT count(*), max(block_number), bool_and(length(tx_id) = 64) FROM fabric.get_history('trade', 'book', 'k')"
	),
	'80|' . ($height - 1) . '|t',
	'get_history shows every write of a key');

# a transaction id that is not a hash is stored unchanged, in a form of its own
is( $org1->query(
		"SELECT fabric_internal.tx_id_text('\\x0101' || convert_to(repeat('a', 31), 'UTF8'))"),
	'a' x 31,
	'tx_id_text shows an id of 31 bytes');
is( $org1->query(
		"SELECT fabric_internal.tx_id_text('\\x0000' || convert_to(repeat('a', 31), 'UTF8'))"),
	'\\x00' . '61' x 31,
	'tx_id_text shows an id of 32 bytes that begins with a zero');

# rows that are no blocks
like(
	$org1->error_of("INSERT INTO fabric_internal.block_$id DEFAULT VALUES"),
	qr/null value in column/,
	'constraints refuse a row of nulls');
like(
	$org1->error_of("INSERT INTO fabric_internal.block_$id (channel) VALUES ('trade')"),
	qr/null value in column/,
	'constraints refuse a row without a number');

# envelope dictionaries
is($org1->query("SELECT dictionaries FROM fabric_internal.channel"),
	1, 'the node has made a dictionary');
is( $org1->query(
		"SELECT count(*) > 0 FROM fabric_internal.transaction_$id WHERE get_byte(envelope, 0) = 2"),
	't',
	'envelopes are stored with the dictionary');
like($org1->error_of($_), qr/LF406.*append-only/s, "a change of a dictionary is refused: $_")
  foreach 'DELETE FROM fabric_internal.envelope_dictionary',
  "UPDATE fabric_internal.envelope_dictionary SET content = ''",
  'TRUNCATE fabric_internal.envelope_dictionary';

my $last =
  "SELECT length(envelope) > 0 FROM fabric.transactions WHERE channel = 'trade' AND block_number = "
  . ($height - 1);
my $disable = 'ALTER TABLE fabric_internal.envelope_dictionary DISABLE TRIGGER refuse_change';
$org1->query(
	"$disable; UPDATE fabric_internal.envelope_dictionary SET content = content || '\\x00'");
like(
	$org1->error_of($last),
	qr/LF902.*dictionary 1 of channel "trade" was changed/s,
	'reading an envelope fails if its dictionary was changed');
$org1->query('DELETE FROM fabric_internal.envelope_dictionary');
like(
	$org1->error_of($last),
	qr/LF902.*dictionary 1 of channel "trade" is missing/s,
	'reading an envelope fails if its dictionary is missing');
is( $org1->query(
		"SELECT count(*) FROM fabric.verify_chain('trade') WHERE detail LIKE '%dictionary 1%is missing%'"
	) > 0,
	1,
	'verify_chain names the blocks that need a missing dictionary');

# making a dictionary changes the row of the channel, and must not block a session that joins
# another channel
my ($host, $port) = @{ $org1->connection }{qw(host port)};
my $genesis =
  $org1->query("SELECT encode(fabric.create_channel('other', '"
	  . JSON::PP->new->canonical->encode($network->profile)
	  . "'), 'hex')");
my ($joined, $hindered) =
  $org1->try_query("BEGIN;\nSELECT fabric.join_channel('\\x$genesis');\n\\! "
	  . Fabric::Host::bindir()
	  . "/psql -h $host -p $port -qAtc \"SET lock_timeout = '60s'\" -c \"UPDATE fabric_internal.channel SET dictionaries = dictionaries WHERE channel = 'trade' RETURNING channel\" fabric\nROLLBACK"
  );
is($joined, "other\ntrade", 'a session joins another channel while a dictionary is made')
  or diag($hindered);

# the process that knew the dictionary ends; the next one continues without it, and its number is
# not used again
$org1->stop;
$org1->start;
$org1->query(join(";\n", map { put('k', $_) } 81 .. 160));
is($org1->query("SELECT id FROM fabric_internal.envelope_dictionary"),
	2, 'the next dictionary has the next number');
like(
	$org1->error_of($last),
	qr/dictionary 1 of channel "trade" is missing/,
	'envelopes stored with a missing dictionary are not read with another dictionary');
is( $org1->query(
		"SELECT count(*) FROM fabric.transactions t WHERE channel = 'trade' AND block_number > $height + 1 AND length(envelope) > 0"
	),
	$org1->query(
		"SELECT count(*) FROM fabric_internal.transaction WHERE block_number > $height + 1"),
	'envelopes stored after the loss can be read');
like(
	slurp($org1->cluster->logfile),
	qr/WARNING:  envelope dictionary 1 of channel "trade" is missing/,
	'the server log reports the missing dictionary');

# the other node has the blocks
$org1->query('ALTER TABLE fabric_internal.envelope_dictionary ENABLE TRIGGER refuse_change');
ok( FabricTest::wait_until(
		sub { FabricTest::height_of($org2, 'trade') == FabricTest::height_of($org1, 'trade') }),
	'the other node has all blocks');
cmp_ok($org1->query("SELECT count(*) FROM fabric.repair_chain('trade')"),
	'>', 0, 'repair_chain fetches the transactions stored with the missing dictionary');
is($org1->query("SELECT count(*) FROM fabric.verify_chain('trade')"),
	0, 'verify_chain finds nothing after the repair');
is($org1->query($last), 't', 'the last envelope can be read after the repair');

# private plaintext that was damaged before its transaction arrived counts as missing, and does not
# stop the commit
my $package_id = $org1->query("SELECT package_id FROM fabric.chaincodes WHERE channel = 'trade'");
$org1->set_faults('commit_before_block=hold');
my $approval = Fabric::Psql::start_query($org1->connection,
	"SELECT fabric.approve_chaincode('trade', 'book', '2.0', 2, '$package_id')");
ok( FabricTest::wait_until(
		sub {
			(   $org1->try_query(
					"UPDATE fabric_internal.transient_$id SET private_rwset = '\\x0aff' RETURNING tx_id"
				))[0] =~ /^[0-9a-f]{64}/;
		}),
	'the plaintext of an approval is damaged before its commit');
$org1->set_faults('');
my (undef, $why, $failed) = Fabric::Psql::finish_query($approval);
is($failed, 0, 'the approval is committed') or diag($why);
like(
	slurp($org1->cluster->logfile),
	qr/WARNING:  private data of transaction [0-9a-f]{64} of channel "trade" cannot be read/,
	'the server log reports the damaged plaintext');
is( $org1->query(
		"SELECT approved FROM fabric.check_commit_readiness('trade', 'book', '2.0', 2) WHERE msp_id = 'Org1MSP'"
	),
	't',
	'the hashes of the approval count');

# leaving a channel removes its dictionaries
$org1->query("SELECT fabric.leave_channel('trade')");
is($org1->query('SELECT count(*) FROM fabric_internal.envelope_dictionary'),
	0, 'leaving a channel removes its dictionaries');
done_testing();
