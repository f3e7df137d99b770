# A superuser changes rows past the triggers. verify_chain finds and names each change while the
# network runs, the other nodes have no problem, and rebuild_state and repair_chain restore the
# rows. With background workers and little memory it finds exactly what it finds alone in memory.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use FabricTest
  qw(start_network deploy_registry create_vehicle invoke fingerprints height_of wait_until);
use Fabric::Psql qw(start_query finish_query);
use Test::More;

my $network = start_network(orgs => 2, orderers => 1, channel => 'trade');
my ($org1, $org2) = $network->nodes;

deploy_registry($network, policy => "AND('Org1MSP.peer', 'Org2MSP.peer')");
$org2->query(
		join(";\n", map { create_vehicle("V$_") } 1 .. 8) . ";\n"
	  . invoke('transfer_vehicle', 'V1', 'Boris', '5') . ";\n"
	  . invoke('delete_vehicle', 'V2'));
# more blocks than a verification without workers has, and a state larger than its memory
$org2->query(
	join(";\n",
		map { invoke('create_vehicle', "W$_", 'Volvo', 'V60', '2020', 'Ada' x 8000, '20000') }
		  1 .. 60));
is(scalar(fingerprints($network, 'trade')), 1, 'all nodes have the same ledger');
my $height = height_of($org2, 'trade');
my $middle = $height - 4;
my $newest = $height - 1;

my $verification =
  "SELECT concat_ws(' ', 'block', block_number, 'transaction', tx_number, problem, detail) FROM fabric.verify_chain('trade')";

# what is found in three ways; they must not differ
sub problems
{
	my ($node) = @_;
	my ($alone, @others) = map {
		$node->query(
			"SET fabric.verify_workers = $_->[0]; SET maintenance_work_mem = '$_->[1]'; $verification"
		)
	}[ 0, '256MB' ], [ 0, '1MB' ], [ 3, '1MB' ];

	foreach my $other (@others)
	{
		is($other, $alone, 'with workers and with little memory the same is found')
		  if $other ne $alone;
	}
	return $alone;
}

sub falsify
{
	my ($sql) = @_;

	$org2->query("BEGIN; SET LOCAL session_replication_role = replica; $sql; COMMIT");
}

is(problems($_), '', "$_->{name} verifies its chain without a problem") foreach $org1, $org2;

# temporary files are used with little memory only
foreach my $case ([ '256MB', qr/^0$/ ], [ '1MB', qr/^[1-9]/ ])
{
	my ($memory, $pattern) = @$case;
	my $files = "SELECT temp_files FROM pg_stat_database WHERE datname = current_database()";
	my $before = $org2->query($files);

	$org2->query("SET maintenance_work_mem = '$memory'; $verification");
	like($org2->query($files) - $before, $pattern, "temporary files with $memory");
}

# workers run, the verification does without one that ends, and they end with it
my $log_bytes = -s $org2->{cluster}->logfile;
$org2->set_faults('verifier=hold');
my $verify = start_query($org2->connection, "SET fabric.verify_workers = 3; $verification");
my $verifiers = "FROM pg_stat_activity WHERE backend_type = 'fabric verifier'";
ok(wait_until(sub { $org2->query("SELECT count(*) $verifiers") == 3 }), 'three workers run');
ok($org2->wait_until_held('verifier', $log_bytes), 'one is held');
$org2->query("SELECT pg_terminate_backend(min(pid)) $verifiers");
$org2->set_faults('');
my ($found_without) = finish_query($verify);
is($found_without, '', 'a worker that ends changes no result');
ok(wait_until(sub { $org2->query("SELECT count(*) $verifiers") == 0 }), 'all have ended');
$org2->set_faults('verifier=hold');
$verify = start_query($org2->connection, "SET fabric.verify_workers = 3; $verification");
ok(wait_until(sub { $org2->query("SELECT count(*) $verifiers") == 3 }), 'three workers run again');
$org2->query(
	"SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE query LIKE 'SELECT concat_ws%verify_chain%' AND backend_type = 'client backend' AND pid <> pg_backend_pid()"
);
like((finish_query($verify))[1], qr/canceling statement/, 'waiting for a worker is cancellable');
$org2->set_faults('');
ok(wait_until(sub { $org2->query("SELECT count(*) $verifiers") == 0 }),
	'the workers of a canceled verification end');

# plain SQL is refused
like(
	$org2->error_of(
		"UPDATE fabric_internal.block SET committed_at = now() WHERE channel = 'trade'"),
	qr/LF406/,
	'blocks cannot be changed');
like($org2->error_of("DELETE FROM fabric_internal.transaction WHERE channel = 'trade'"),
	qr/LF406/, 'transactions cannot be deleted');
like($org2->error_of("UPDATE fabric_internal.history SET value = '' WHERE channel = 'trade'"),
	qr/LF406/, 'history cannot be changed');
like($org2->error_of("TRUNCATE fabric_internal.$_"), qr/LF406/, "table $_ cannot be truncated")
  foreach qw(block transaction history);
like(
	$org2->error_of(
		"INSERT INTO fabric_internal.block SELECT channel, number + 1, previous_hash, data_hash, block_hash, signatures, last_config, transactions_filter, orderer, commit_hash, raft_index, "
		  . "committed_at FROM fabric_internal.block WHERE channel = 'trade' AND number = $newest"),
	qr/LF405/,
	'a block that does not follow is not stored');

# tables that follow from the blocks: state and history
my $vehicles = "channel = 'trade' AND namespace = 'vehicles'";
foreach my $case (
	[
		'a value of the world state',
		"UPDATE fabric_internal.world_state SET value = convert_to(replace(convert_from(value, 'UTF8'), '20000', '2000'), 'UTF8') WHERE $vehicles AND key = 'V3'",
		qr/V3/
	],
	[
		'a version in the world state',
		"UPDATE fabric_internal.world_state SET block_number = block_number - 1 WHERE $vehicles AND key = 'V4'",
		qr/V4/
	],
	[
		'a missing key',
		"DELETE FROM fabric_internal.world_state WHERE $vehicles AND key = 'V5'", qr/V5/
	],
	[
		'a key that no transaction wrote',
		"INSERT INTO fabric_internal.world_state (channel, namespace, key, value, block_number, position) SELECT channel, namespace, 'V9', value, block_number, position FROM fabric_internal.world_state WHERE $vehicles AND key = 'V1'",
		qr/V9/
	],
	[
		'a deleted key come back',
		"INSERT INTO fabric_internal.world_state (channel, namespace, key, value, block_number, position) SELECT channel, namespace, 'V2', value, block_number, position FROM fabric_internal.world_state WHERE $vehicles AND key = 'V1'",
		qr/V2/
	],
	[
		'a row of the history',
		"DELETE FROM fabric_internal.history WHERE $vehicles AND key = 'V4'", qr/V4/
	],
	[
		'a value in the history',
		"UPDATE fabric_internal.history SET value = '{}' WHERE $vehicles AND key = 'V1' AND block_number < $newest",
		qr/V1/
	])
{
	my ($name, $sql, $pattern) = @$case;

	falsify($sql);
	like(problems($org2), $pattern, "$name: verify_chain finds the change");
	$org2->query("SELECT fabric.rebuild_state('trade')");
	is(problems($org2), '', "$name: rebuild_state repairs the change");
}
is(problems($org1), '', 'the other node never has a problem');
is(scalar(fingerprints($network, 'trade')), 1, 'all nodes have the same ledger again');

# the blocks themselves: one bit of each column
sub flipped
{
	my ($column, $bit) = @_;

	return "$column = set_bit($column, $bit, 1 - get_bit($column, $bit))";
}

foreach my $block ($newest, $middle)
{
	my $of_block = "channel = 'trade' AND number = $block";
	my $of_transaction = "channel = 'trade' AND block_number = $block";

	foreach my $case (
		(   map {
				[
					"one bit of $_",
					'UPDATE fabric_internal.block SET ' . flipped($_, 13) . " WHERE $of_block"
				]
			} qw(previous_hash data_hash block_hash commit_hash)),
		[
			'two bytes more of the last configuration',
			"UPDATE fabric_internal.block SET last_config = last_config || '\\x0a00' WHERE $of_block"
		],
		[
			'one bit of the validation codes',
			'UPDATE fabric_internal.block SET '
			  . flipped('transactions_filter', 0)
			  . " WHERE $of_block"
		],
		[
			'one bit of the signature',
			"UPDATE fabric_internal.block SET "
			  . flipped('signatures', 'length(signatures) * 8 - 50')
			  . " WHERE $of_block"
		],
		[ 'no signature', "UPDATE fabric_internal.block SET signatures = '' WHERE $of_block" ],
		[
			'one bit of a transaction',
			"UPDATE fabric_internal.transaction SET "
			  . flipped('envelope', 'length(envelope) * 8 - 50')
			  . " WHERE $of_transaction"
		],
		[
			'another transaction',
			"UPDATE fabric_internal.transaction SET envelope = (SELECT envelope FROM fabric_internal.transaction WHERE channel = 'trade' AND block_number = $block - 1) WHERE $of_transaction"
		],
		[
			'a validation code',
			"UPDATE fabric_internal.transaction SET validation_code = 11 WHERE $of_transaction"
		],
		[
			'a transaction id',
			"UPDATE fabric_internal.transaction SET "
			  . flipped('tx_id', 5)
			  . " WHERE $of_transaction"
		],
		[
			'a creator',
			"UPDATE fabric_internal.transaction SET creator_msp = 'Org1MSP' WHERE $of_transaction"
		],
		[
			'a missing transaction',
			"DELETE FROM fabric_internal.transaction WHERE $of_transaction"
		],
		[
			'a transaction too many',
			"INSERT INTO fabric_internal.transaction SELECT channel, block_number, 1, type, validation_code, tx_id, creator_msp, chaincode, created_at, envelope FROM fabric_internal.transaction WHERE $of_transaction"
		])
	{
		my ($name, $sql) = @$case;
		# meanwhile the chain grows
		my $load =
		  $block == $middle && $name =~ /missing|another/
		  ? start_query($org1->connection,
			"SET fabric.endorsement_timeout = '60s';\n" . invoke('read_vehicle', 'V3'))
		  : undef;

		falsify($sql);
		like(problems($org2), qr/^block $block\b/m, "block $block, $name: found and named");
		finish_query($load) if $load;
		my $repaired =
		  $org2->query("SELECT block_number, address FROM fabric.repair_chain('trade')");
		is(problems($org2), '',
			"block $block, $name: repaired"
			  . ($repaired ne '' ? " with another node's block" : ' from the chain'));
		$org2->query("SELECT fabric.rebuild_state('trade')") if problems($org2) ne '';
	}
}

# a consistent forgery: in the state, its history, and the transaction itself, which keeps its form
# and length
my $lied = height_of($org2, 'trade');
$org2->query(invoke('transfer_vehicle', 'V6', 'Boris', '18000'));
falsify(
	"UPDATE fabric_internal.world_state SET value = convert_to(replace(convert_from(value, 'UTF8'), '18000', '8000'), 'UTF8') WHERE $vehicles AND key = 'V6';\n"
	  . "UPDATE fabric_internal.history SET value = convert_to(replace(convert_from(value, 'UTF8'), '18000', '8000'), 'UTF8') WHERE $vehicles AND key = 'V6' AND block_number = $lied;\n"
	  . "UPDATE fabric_internal.transaction t SET envelope = '\\x00' || decode(replace(encode(v.envelope, 'hex'), encode('18000', 'hex'), encode(' 8000', 'hex')), 'hex') FROM fabric.transactions v "
	  . "WHERE v.channel = 'trade' AND v.block_number = $lied AND t.channel = 'trade' AND t.block_number = $lied AND t.position = v.tx_number"
);
is( $org2->query(
		"SELECT arguments[3] FROM fabric.transactions WHERE channel = 'trade' AND block_number = $lied"
	),
	' 8000',
	'the forged transaction decodes');
my $found = problems($org2);
like($found, qr/^block $lied transaction data_hash\b/m, 'verify_chain names the forged block');
like(
	$found,
	qr/^block $lied transaction 0 envelope .*BAD_CREATOR_SIGNATURE/m,
	'verify_chain names the forged transaction');
like($found, qr/state_value Key "V6" of "vehicles"/, 'verify_chain names the forged key');
unlike(
	$found,
	qr/^block $lied transaction 0 (chaincode|tx_id|type|creator_msp|created_at)\b/m,
	'verify_chain does not compare columns with forged bytes');
like(
	$org2->error_of("SELECT fabric.rebuild_state('trade')"),
	qr/LF902.*block $lied.*repair_chain/s,
	'rebuild_state refuses to use a damaged block');
is( $org2->query("SELECT block_number, address FROM fabric.repair_chain('trade')"),
	"$lied|localhost:$org1->{port}",
	'repair_chain replaces the block by that of another node');
is(problems($org2), '', 'verify_chain finds no problem after the repair');
is( $org2->query(
		"SELECT value_json->>'price' FROM fabric.world_state WHERE channel = 'trade' AND key = 'V6'"
	),
	18000,
	'the state has the correct price after the repair');

# a node whose last block is false stores no further block until it is repaired
$newest = height_of($org2, 'trade') - 1;
falsify('UPDATE fabric_internal.block SET '
	  . flipped('block_hash', 13)
	  . " WHERE channel = 'trade' AND number = $newest");
$org1->query(
	"SELECT tx_id FROM fabric.submit_transaction('trade', 'vehicles', 'read_vehicle', ARRAY['V3'], wait => false)"
);
ok( wait_until(
		sub {
			$org2->query(
				"SELECT last_error FROM fabric.stat_workers WHERE channel = 'trade' AND kind = 'ledger'"
			) =~ /does not follow/;
		}),
	'a block after a forged block is refused'
) or diag($org2->query('SELECT * FROM fabric.stat_workers'));
is(height_of($org2, 'trade'), $newest + 1, 'a refused block is not stored');
$org2->query("SELECT * FROM fabric.repair_chain('trade')");
ok(wait_until(sub { height_of($org2, 'trade') == $newest + 2 }),
	'the chain continues after the repair');

falsify("DELETE FROM fabric_internal.block WHERE channel = 'trade' AND number = $middle");
like(problems($org2), qr/^block $middle\b/m, 'verify_chain finds a missing block');
like(
	$org2->query("SELECT * FROM fabric.repair_chain('trade')"),
	qr/^$middle\|localhost:$org1->{port}$/m,
	'repair_chain fetches a missing block from another node');
is(problems($org2), '', 'verify_chain finds no problem after the missing block is fetched');

# the node was always in the network, and continues
is(problems($org1), '', 'the other node never has a problem');
$org2->query(create_vehicle('V20'));
is(scalar(fingerprints($network, 'trade')), 1, 'all nodes have the same ledger in the end');
done_testing();
