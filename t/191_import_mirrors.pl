# Channels fed by hand: a mirror that is no member, a peer that cannot reach the orderers, crashes
# and cancellations in the middle, a standby; orderers refuse.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Digest::SHA  qw(sha256);
use FabricTest   qw(start_network fingerprints wait_until height_of);
use FabricWire   qw();
use Fabric::Psql qw(start_query finish_query literal);
use JSON::PP     ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils qw(slurp_file);
use Test::More;

my $network = start_network(orgs => 2, orderers => 1, channel => 'trade');
my ($orderer, $peer) = $network->nodes;
$network->deploy('trade', 'cc', <<'SQL', policy => "OR('Org1MSP.peer', 'Org2MSP.peer')");
CREATE FUNCTION put(key text, value text) RETURNS void
	LANGUAGE sql AS $$ SELECT put_state(key, value) $$;
CREATE FUNCTION fill(key text, size int) RETURNS void
	LANGUAGE sql AS $$ SELECT put_state(key, repeat(key, size)) $$;
CREATE FUNCTION get(key text) RETURNS text LANGUAGE sql AS $$ SELECT get_state_text(key) $$;
SQL

sub put
{
	return "SELECT fabric.invoke('trade', 'cc', 'put', '$_[0]', 'x')";
}

sub add_blocks
{
	my ($count) = @_;
	our $number;

	$orderer->query(join ";\n", map { put('key' . ++$number) } 1 .. $count);
	return height_of($orderer, 'trade');
}

# the block as an SQL literal
sub block
{
	my ($number) = @_;

	return
	  "'\\x" . $orderer->query("SELECT encode(fabric.get_block('trade', $number), 'hex')") . "'";
}

sub import
{
	my ($number) = @_;

	return "SELECT * FROM fabric.import_block('trade', " . block($number) . ')';
}

# the data that must be the same in every copy
sub fingerprint
{
	my ($query) = @_;

	return $query->(<<'SQL');
SELECT c.height, encode(c.current_block_hash, 'hex'), (SELECT encode(commit_hash, 'hex')
	FROM fabric.blocks WHERE channel = 'trade' AND number = c.height - 1),
	encode(fabric.state_digest('trade'), 'hex')
FROM fabric.chain_info('trade') c
SQL
}

my $mirror = PostgreSQL::Test::Cluster->new('mirror');
$mirror->init(allows_streaming => 1);
$mirror->append_conf('postgresql.conf',
	"shared_preload_libraries = fabric\nfabric.database = postgres\nlog_statement = none\nfabric.worker_restart_delay = 200ms\nstatement_timeout = 300s\n"
);
$mirror->start;
$mirror->safe_psql('postgres', 'CREATE EXTENSION fabric CASCADE');

sub on_mirror
{
	my ($sql) = @_;

	return $mirror->safe_psql('postgres', $sql);
}

# the rows, or the error with its SQLSTATE, detail and hint
sub outcome
{
	my ($sql, $node) = @_;
	my ($output, $error);

	($node // $mirror)
	  ->psql('postgres', "\\set VERBOSITY verbose\n$sql", stdout => \$output, stderr => \$error);
	return $output . ($error =~ s/^psql:[^:]*:\d+: //mgr);
}

sub connection
{
	return {
		host => $mirror->host,
		port => $mirror->port,
		user => scalar getpwuid($>),
		database => 'postgres'
	};
}

sub worker_pid
{
	return on_mirror(
		"SELECT pid FROM fabric.stat_workers WHERE channel = 'trade' AND kind = 'ledger' AND pid IS NOT NULL"
	);
}

sub worker_runs
{
	return wait_until(
		sub {
			on_mirror(
				"SELECT count(*) FROM fabric.stat_workers WHERE channel = 'trade' AND kind = 'ledger' AND pid IS NOT NULL"
			) == 1;
		});
}

# ---- a mirror from a file, as in the example of the manual ----

my $height = add_blocks(5);
my $file = "$PostgreSQL::Test::Utils::tmp_check/trade.blocks";
$orderer->query(
	"\\copy (SELECT number, fabric.get_block('trade', number) FROM fabric.blocks WHERE channel = 'trade' ORDER BY number) TO '$file'"
);
is(outcome(<<"SQL"), "trade\n$height", 'a mirror is made from a file');
CREATE TEMP TABLE block (number bigint, block bytea);
\\copy block FROM '$file'
SELECT fabric.join_channel(block, 'import') FROM block WHERE number = 0;
SELECT count(*) FROM (SELECT block FROM block ORDER BY number) b,
	LATERAL fabric.import_block('trade', b.block) i;
SQL
is( fingerprint(\&on_mirror),
	fingerprint(sub { $orderer->query(@_) }),
	'the mirror has the same blocks, codes and state');
is(on_mirror("SELECT count(*) FROM fabric.verify_chain('trade')"), 0, 'verify_chain finds nothing');
is( on_mirror(
		"SELECT count(*) FROM fabric.world_state WHERE channel = 'trade' AND namespace = 'cc'"),
	5,
	'the views of the mirror show the state');
like(outcome("SELECT fabric.invoke('trade', 'cc', 'put', 'a', 'b')"),
	qr/LF108|LF005/, 'a mirror without an identity cannot invoke');

# ---- two sessions import the same blocks ----

my $from = $height;
$height = add_blocks(20);
my @blocks = map { import($_) } $from .. $height - 1;
my @sessions = map { start_query(connection(), join(";\n", @blocks)) } 1 .. 3;
my %imported;
my $clean = 1;
foreach my $session (@sessions)
{
	my ($output, $error, $status) = finish_query($session);

	$clean &&= $status == 0 || diag($error);
	$imported{$1}++ while $output =~ /^(\d+)\|t\|/mg;
}
ok($clean, 'three sessions import the same blocks without an error');
is( join(' ', map { $imported{$_} // 0 } $from .. $height - 1),
	join(' ', (1) x ($height - $from)),
	'each block is imported once');

# ---- errors and crashes of the worker ----

sub fault
{
	my ($points) = @_;

	my $size = -s $mirror->logfile;
	on_mirror("ALTER SYSTEM SET fabric.fault_points = '$points'");
	$mirror->reload;
	# a worker that has ended reads the setting when it starts
	wait_until(
		sub {
			!worker_pid()
			  || slurp_file($mirror->logfile, $size) =~ /LOG: .*fault points in this process: /;
		}) or die "the worker did not read fabric.fault_points\n";
}

$from = $height;
$height = add_blocks(6);
my $next = $from;
fault('commit_after_state=error');
like(
	outcome(import($next)),
	qr/ERROR: .*(commit_after_state|fault)/s,
	'the caller gets the error of the ledger worker');
fault('');
ok(worker_runs(), 'the ledger worker is started again');
is(outcome(import($next)), "$next|t|{\"VALID\": 1}", 'the failed import has stored nothing');
$next++;

foreach my $case ([ 'ledger_before_commit', 't' ], [ 'ledger_after_commit', 'f' ])
{
	my ($point, $imported) = @$case;
	my $sql = import($next);

	fault("$point=crash");
	like(
		outcome($sql),
		qr/server closed the connection|terminating connection|57P0/,
		"$point: the caller loses its connection");
	ok( wait_until(
			sub {
				!-e $mirror->data_dir . '/postmaster.pid'
				  || !kill(0, (split /\n/, slurp_file($mirror->data_dir . '/postmaster.pid'))[0]);
			}),
		"$point: the whole server ends");
	$mirror->append_conf('postgresql.auto.conf', "fabric.fault_points = ''");
	$mirror->{_pid} = undef;
	$mirror->start;
	is( outcome($sql),
		"$next|$imported|{\"VALID\": 1}",
		"$point: afterwards the block is " . ($imported eq 't' ? 'imported' : 'there'));
	$next++;
}

# ---- cancellation ----

sub interrupt
{
	my ($session) = @_;

	ok( wait_until(
			sub {
				on_mirror(
					"SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT * FROM fabric.import_block%' AND state = 'active' AND wait_event = 'Extension'"
				) == 1;
			}),
		'an import waits for the ledger worker');
	on_mirror(
		"SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE query LIKE 'SELECT * FROM fabric.import_block%'"
	);
	my (undef, $error) = finish_query($session);
	like($error, qr/canceling statement due to user request/, 'the waiting import is canceled');
}

fault('commit_before_block=hold');
my $waiting = start_query(connection(), import($next));
interrupt($waiting);
fault('');
ok(wait_until(sub { on_mirror("SELECT height FROM fabric.chain_info('trade')") == $next + 1 }),
	'the ledger worker commits the block of the canceled import');
is( outcome(import($next)),
	"$next|f|{\"VALID\": 1}",
	'importing the block again tells that it is stored');
$next++;

# a block that does not fit into the queue, and a worker that does not read
$orderer->query("SELECT fabric.invoke('trade', 'cc', 'fill', 'large', '300000')");
is(outcome(import($_)), "$_|t|{\"VALID\": 1}", "block $_ is imported") foreach $next .. $height - 1;
$next = $height;
my $large = import($next);
my $pid =
  on_mirror("SELECT pid FROM fabric.stat_workers WHERE channel = 'trade' AND kind = 'ledger'");
cmp_ok(length $large, '>', 3000000, 'the block is larger than the queue');
kill 'STOP', $pid;
interrupt(start_query(connection(), $large));
kill 'CONT', $pid;
is( outcome($large),
	"$next|t|{\"VALID\": 1}",
	'another session imports the block after a canceled import');
is(on_mirror("SELECT count(*) FROM fabric.verify_chain('trade')"), 0, 'verify_chain finds nothing');
is(on_mirror("SELECT pid FROM fabric.stat_workers WHERE channel = 'trade' AND kind = 'ledger'"),
	$pid, 'the ledger worker was not restarted');

# a repair locks the worker out; the session can wait for it, or be canceled
my $repair = start_query(connection(),
	"BEGIN; SELECT blocks FROM fabric.rebuild_state('trade'); SELECT pg_sleep(280) /* repair */");
ok( wait_until(
		sub {
			on_mirror(
				"SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND query LIKE '%/* repair */%' AND pid <> pg_backend_pid()"
			) == 1;
		}),
	'a transaction has rebuilt the state');
$orderer->query(put('behind the repair'));
$next++;
$waiting = start_query(connection(), import($next));
ok( wait_until(
		sub {
			on_mirror(
				"SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'fabric ledger' AND wait_event_type = 'Lock'"
			) == 1;
		}),
	'the ledger worker waits for the transaction');
on_mirror(
	"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%/* repair */%' AND pid <> pg_backend_pid()"
);
finish_query($repair);
my ($behind) = finish_query($waiting);
is($behind, "$next|t|{\"VALID\": 1}", 'the block is imported after the transaction ends');
$large = import($next);

# the worker ends while a session waits for it
kill 'STOP', $pid;
$waiting = start_query(connection(), $large);
ok( wait_until(
		sub {
			on_mirror(
				"SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'Extension' AND query LIKE 'SELECT * FROM fabric.import_block%'"
			) == 1;
		}),
	'a session waits for the ledger worker');
on_mirror("SELECT pg_terminate_backend($pid)");
kill 'CONT', $pid;
my (undef, $ended) = finish_query($waiting);
like(
	$ended,
	qr/does not answer.*HINT:.*import the same block again|^$/s,
	'a session does not wait for a ledger worker that has ended');
ok(worker_runs(), 'the next ledger worker is started');

# ---- the next blocks, made by an orderer that lies ----

my $signer =
  FabricWire::identity('Org1MSP', $orderer->path('keys/node.pem'), $orderer->path('keys/node.key'));

sub der
{
	my ($tag, $bytes) = @_;

	return chr($tag) . chr(length $bytes) . $bytes;
}

# a block with these envelopes, which follows the last one and is signed; its metadata name this
# configuration block
our $last_config = 0;
# the codes of its transactions, as the node that made it has them
our $codes = '';

sub forged_block
{
	my ($number, @envelopes) = @_;
	my $previous = pack 'H*',
	  on_mirror("SELECT encode(current_block_hash, 'hex') FROM fabric.chain_info('trade')");
	my $data_hash = sha256(join '', @envelopes);
	my $header = FabricWire::message([ 1 => \$number ], [ 2 => $previous ], [ 3 => $data_hash ]);
	my $der_number = pack('N', $number) =~ s/^\0+(?=[^\0])//r;
	$der_number = "\0$der_number" if ord $der_number > 127;
	my $der = der(0x30, der(2, $der_number) . der(4, $previous) . der(4, $data_hash));
	my $value = FabricWire::get(
		pack('H*', $orderer->query("SELECT encode(fabric.get_block('trade', 1), 'hex')")), 3);
	my $slot = (FabricWire::fields($value))[0][1];
	my $signed = FabricWire::get($slot, 1);
	$signed = FabricWire::message([ 1 => FabricWire::message([ 1 => \$last_config ]) ],
		[ 2 => FabricWire::get($signed, 2) ])
	  if $last_config;
	my $signature_header =
	  FabricWire::message([ 1 => $signer->{bytes} ], [ 2 => FabricWire::nonce() ]);
	my $signature = FabricWire::sign($signer, $signed . $signature_header . $der);
	$slot = FabricWire::message([ 1 => $signed ],
		[ 2 => FabricWire::message([ 1 => $signature_header ], [ 2 => $signature ]) ]);
	my $metadata = join '',
	  map { FabricWire::varint(1 << 3 | 2) . FabricWire::varint(length $_) . $_ } $slot, '',
	  $codes, '', '';

	return FabricWire::message(
		[ 1 => $header ],
		[ 2 => FabricWire::message(map { [ 1 => $_ ] } @envelopes) ],
		[ 3 => $metadata ]);
}

sub import_forged
{
	return outcome(
		"SELECT * FROM fabric.import_block('trade', " . FabricWire::bytea(forged_block(@_)) . ')');
}

my $client =
  FabricWire::identity('Org1MSP', $orderer->path('keys/node.pem'), $orderer->path('keys/node.key'));
my $genesis =
  FabricWire::get(pack('H*', $orderer->query("SELECT encode(fabric.get_block('trade', 0), 'hex')")),
	2, 1);
my $config_payload = FabricWire::get($genesis, 1);
my $last = $next++;
my $running = "SELECT pid FROM fabric.stat_workers WHERE channel = 'trade' AND kind = 'ledger'";
$pid = on_mirror($running);
my $configuration = FabricWire::signed({ payload => $config_payload, creator => $client });
Fabric::Pki::create_key($orderer->path('boss.key'));
Fabric::Host::spew($orderer->path('boss.pem'),
	$network->enroll($orderer, 'boss', 'admin', $orderer->path('boss.key')));
my $boss = FabricWire::identity('Org1MSP', $orderer->path('boss.pem'), $orderer->path('boss.key'));
my @next_config = (
	channel => 'trade',
	organization => 'Org1MSP',
	config => FabricWire::get($config_payload, 2, 1));

sub config_transaction
{
	return FabricWire::signed(
		FabricWire::transaction(
			channel => 'trade',
			chaincode => 'cc',
			version => '1.0',
			creator => $client,
			endorsers => [],
			type => $FabricWire::CONFIG,
			tx_id => '',
			data => $_[0]));
}
like(
	import_forged($next + 1, $configuration),
	qr/LF405.*next block is number $next\b/s,
	'a signed block after a gap is refused');
like(
	import_forged($last, $configuration),
	qr/LF405.*another block $last/s,
	'a signed block with the number of another block is refused');
# a configuration without the required signatures is an invalid transaction
$codes = chr(6);
my $no_config = forged_block($next,
	config_transaction(FabricWire::next_configuration(@next_config, admin => $client)));
like(
	outcome("SELECT * FROM fabric.import_block('trade', " . FabricWire::bytea($no_config) . ')'),
	qr/^$next\|t\|\{"INVALID_CONFIG_TRANSACTION": 1\}/,
	'a configuration that the organization has not signed is an invalid transaction');
is(on_mirror("SELECT count(*) FROM fabric.verify_chain('trade')"),
	0, 'verify_chain finds nothing in the block');
$next++;
# one with them is the configuration of the blocks after it
$codes = chr(0);
$last_config = $next;
like(
	import_forged(
		$next, config_transaction(FabricWire::next_configuration(@next_config, admin => $boss))),
	qr/^$next\|t\|\{"VALID": 1\}/,
	'a configuration that the organization has signed is applied');
is(on_mirror("SELECT fabric.config('trade') ->> 'sequence'"), 1, 'it is the last one');
is(on_mirror($running), $pid, 'the ledger worker still runs');
$codes = '';
$next++;
my $foreign = forged_block(
	$next,
	FabricWire::signed(
		FabricWire::transaction(
			channel => 'other',
			chaincode => 'cc',
			version => '1.0',
			creator => $client,
			endorsers => [$client],
			writes => { a => 'b' })));
like(
	outcome("SELECT * FROM fabric.import_block('trade', " . FabricWire::bytea($foreign) . ')'),
	qr/^$next\|t\|\{"TARGET_CHAIN_NOT_FOUND": 1\}/,
	'a transaction of another channel in a block of this channel is invalid');
like(
	import_forged(
		$next + 1,
		FabricWire::signed(
			FabricWire::transaction(
				channel => 'trade',
				chaincode => 'cc',
				version => '1.0',
				creator => $client,
				endorsers => [],
				writes => { a => 'b' }))),
	qr/"ENDORSEMENT_POLICY_FAILURE": 1/,
	'transactions of later blocks are validated as before');
is(on_mirror("SELECT count(*) FROM fabric.verify_chain('trade')"), 0, 'verify_chain finds nothing');
# the mirror is on another chain now
$height = add_blocks(3);
like(
	outcome(import($next)),
	qr/LF405.*another block $next.*[0-9a-f]{64}.*[0-9a-f]{64}/s,
	'the error about a forked chain has both hashes');

# ---- a standby of the mirror ----

$mirror->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($mirror, 'base', has_streaming => 1);
$standby->start;
like(outcome(import(1), $standby), qr/25006/, 'a standby cannot import a block');
is(outcome("SELECT height FROM fabric.chain_info('trade')", $standby),
	$next + 2, 'a standby has all imported blocks');
$standby->stop;

# ---- members ----

like(
	$orderer->error_of(import(1)),
	qr/55000.*one of its orderers.*HINT/s,
	'an orderer cannot import a block');
like($orderer->error_of("SELECT fabric.set_channel_source('trade', 'import')"),
	qr/55000/, 'an orderer cannot set its source to import');
my $profile = literal(JSON::PP->new->canonical->encode($network->profile));
my $other =
  "'\\x" . $orderer->query("SELECT encode(fabric.create_channel('other', $profile), 'hex')") . "'";
like($orderer->error_of("SELECT fabric.join_channel($other, 'import')"),
	qr/55000/, 'an orderer cannot join a channel with source import');
is($peer->query("SELECT fabric.join_channel($other, 'import')"),
	'other', 'a peer can join a channel with source import');
like(
	$peer->error_of("SELECT * FROM fabric.import_block('other', " . block(1) . ')'),
	qr/LF405.*not of channel "other".*of channel "trade".*HINT/s,
	'a block of another channel is refused');
like(
	$peer->error_of("SELECT fabric.invoke('other', 'cc', 'put', 'a', 'b')"),
	qr/55000.*takes no transactions.*HINT/s,
	'a channel with source import accepts no transaction');
like(
	$peer->error_of(
		"BEGIN; SELECT fabric.set_channel_source('other', 'orderers'); SELECT * FROM fabric.import_block('other', "
		  . block(1) . ')'),
	qr/55006.*Commit it first/s,
	'a transaction that changes the source cannot import a block');

# a peer that cannot reach its orderer gets the blocks by hand, and continues by itself afterwards
fingerprints($network, 'trade');
$from = height_of($peer, 'trade');
$peer->stop;
$height = add_blocks(8);
my @missing = map { import($_) } $from .. $height - 1;
$orderer->stop;
$peer->start;
is( $peer->query(join ";\n", @missing),
	join("\n", map { "$_|t|{\"VALID\": 1}" } $from .. $height - 1),
	'a peer that cannot reach the orderers imports blocks');
is(height_of($peer, 'trade'), $height, 'the peer has the imported blocks');
$orderer->start;
$height = add_blocks(3);
is(scalar(fingerprints($network, 'trade')), 1, 'the peer gets the next blocks from the orderer');

# the source is changed while the network continues
$peer->query("SELECT fabric.set_channel_source('trade', 'import')");
ok( wait_until(
		sub {
			$peer->query(
				"SELECT count(*) FROM fabric.stat_workers WHERE channel = 'trade' AND kind = 'ledger' AND pid IS NOT NULL"
			) == 1;
		}),
	'the ledger worker runs with source import');
$from = $height;
$height = add_blocks(2);
is($peer->query(import($from)), "$from|t|{\"VALID\": 1}", 'the peer imports a block');
is(height_of($peer, 'trade'), $from + 1, 'the peer gets no further block');
$peer->query("SELECT fabric.set_channel_source('trade', 'orderers')");
is(scalar(fingerprints($network, 'trade')),
	1, 'the peer gets the blocks after its source is set to orderers');

# a block is imported while the orderer sends it: when it arrives, the node has it already
$running = "SELECT pid FROM fabric.stat_workers WHERE channel = 'trade' AND kind = 'ledger'";
$pid = $peer->query($running);
kill 'STOP', $pid;
$height = add_blocks(2);
$waiting = start_query($peer->connection, import($height - 2));
ok( wait_until(
		sub {
			$peer->query(
				"SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT * FROM fabric.import_block%' AND wait_event = 'Extension'"
			) == 1;
		}),
	'a session waits for the ledger worker');
kill 'CONT', $pid;
my ($late) = finish_query($waiting);
like($late, qr/^${\ ($height - 2) }\|[tf]\|/, 'the waiting import returns');
is(scalar(fingerprints($network, 'trade')), 1, 'the peer gets the next block from the orderer');

# both ways at the same time
my $stream = start_query($orderer->connection, join ";\n", map { put("stream$_") } 1 .. 30);
my $both = '';
foreach my $number ($height .. $height + 29)
{
	wait_until(sub { height_of($orderer, 'trade') > $number });
	my ($output, $error) = $peer->try_query(import($number));
	$both .= $error if $error ne '';
}
my (undef, $stream_error) = finish_query($stream);
is($both . $stream_error,
	'', 'blocks arrive from an orderer and by import at the same time without an error');
is(scalar(fingerprints($network, 'trade')), 1, 'all nodes have the same ledger');
is($peer->query($running), $pid, 'the ledger worker was not restarted');
is($_->query("SELECT count(*) FROM fabric.verify_chain('trade')"),
	0, "$_->{name} verifies its chain without a problem")
  foreach $orderer, $peer;
done_testing();
