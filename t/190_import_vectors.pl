# Blocks of a Hyperledger Fabric network are imported into a node that is no member of it and has no
# certificate: validation codes, commit hashes and bytes are the same. A block that does not follow,
# is not signed, is damaged, or was judged differently is refused, and nothing of it is stored.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use FabricTest qw(wait_until);
use FabricWire;
use JSON::PP     ();
use MIME::Base64 qw(decode_base64);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils qw(slurp_file);
use Test::More;

my $vectors = "$FindBin::Bin/../test/vectors";
my $mirror = PostgreSQL::Test::Cluster->new('mirror');
$mirror->init;
$mirror->append_conf('postgresql.conf',
	"shared_preload_libraries = fabric\nfabric.database = postgres\nlog_statement = none\nfabric.worker_restart_delay = 200ms\nstatement_timeout = 300s\n"
);
$mirror->start;
$mirror->safe_psql('postgres', 'CREATE EXTENSION fabric CASCADE');

sub vector
{
	my ($number, $directory) = @_;

	return slurp_file("$vectors/" . ($directory // 'blocks') . "/$number.block");
}

sub bytea
{
	my ($bytes) = @_;

	return "'\\x" . unpack('H*', $bytes) . "'";
}

sub import
{
	my ($bytes, $options) = @_;

	return "SELECT * FROM fabric.import_block('bench', " . bytea($bytes) . ($options // '') . ')';
}

# the rows, or the error with its SQLSTATE, detail and hint
sub outcome
{
	my ($sql) = @_;
	my ($output, $error);

	$mirror->psql(
		'postgres', "\\set VERBOSITY verbose\n$sql",
		stdout => \$output,
		stderr => \$error);
	return $output . ($error =~ s/^psql:[^:]*:\d+: //mgr);
}

sub value
{
	my ($sql) = @_;

	return $mirror->safe_psql('postgres', $sql);
}

sub height
{
	return value("SELECT height FROM fabric.chain_info('bench')");
}

# all rows of the channel in the tables of the ledger
sub contents
{
	return value(
		join ' UNION ALL ',
		map {
			"SELECT '$_', count(*)::text || md5(string_agg(x::text, '' ORDER BY x::text)) FROM fabric_internal.$_ x WHERE channel = 'bench'"
		} qw(block transaction world_state history));
}

# the block with some parts changed; each change edits the text that it is given
sub changed
{
	my ($bytes, %change) = @_;
	my %part = map { $_->[0] => $_->[1] } FabricWire::fields($bytes);
	my @slots = map { $_->[1] } FabricWire::fields($part{3});

	$change{header}->($part{1}) if $change{header};
	$change{data}->($part{2}) if $change{data};
	$change{metadata}->(\@slots) if $change{metadata};
	return FabricWire::message(
		[ 1 => $part{1} ],
		[ 2 => $part{2} ],
		[
			3 => join "",
			map { FabricWire::varint(1 << 3 | 2) . FabricWire::varint(length $_) . $_ } @slots
		]);
}

# ---- the genesis block ----

like(
	outcome('SELECT fabric.join_channel(' . bytea(vector(0)) . ", 'gossip')"),
	qr/LF001.*"gossip".*HINT:.*'import'/s,
	'join_channel refuses a source that does not exist');
like(
	outcome(
			'BEGIN; SELECT fabric.join_channel('
		  . bytea(vector(0))
		  . ", 'import'); "
		  . import(vector(1)) . ';'),
	qr/55006.*Commit it first/s,
	'a channel that is joined in the same transaction accepts no block');
is(value('SELECT fabric.join_channel(' . bytea(vector(0)) . ", source => 'import')"),
	'bench', 'join_channel accepts the genesis block of a Fabric network');
is(value("SELECT channel, height, source FROM fabric.channels"),
	'bench|1|import', 'fabric.channels shows that the channel gets its blocks by import');
is(outcome(import(vector(0))), '0|f|{"VALID": 1}', 'importing block 0 again changes nothing');
ok( wait_until(
		sub {
			value(
				"SELECT count(*) FROM fabric.stat_workers WHERE kind = 'ledger' AND pid IS NOT NULL AND restarts = 0"
			) == 1;
		}),
	'the ledger worker runs and asks no orderer');

# ---- blocks in order ----

# the codes of Fabric's peer, as configtxlator printed them
sub codes_of
{
	my ($number) = @_;
	my $json = JSON::PP->new->decode(slurp_file("$vectors/blocks/$number.json"));
	my %names = (0 => 'VALID', 11 => 'MVCC_READ_CONFLICT');

	return join ' ', map { $names{$_} // $_ } unpack 'C*',
	  decode_base64($json->{metadata}{metadata}[2]);
}

like(
	outcome(import(vector(2))),
	qr/LF405.*block 2 does not follow.*next block is number 1\b.*HINT/s,
	'the error after a gap says which block is next');
foreach my $number (1 .. 8)
{
	is(outcome(import(vector($number))), "$number|t|{\"VALID\": 1}", "block $number is imported");
	is( value(
			"SELECT string_agg(validation_code, ' ' ORDER BY tx_number) FROM fabric.transactions WHERE block_number = $number"
		),
		codes_of($number),
		"block $number has the codes that Fabric computed");
	ok( value("SELECT encode(fabric.get_block('bench', $number), 'hex')") eq
		  unpack('H*', vector($number)),
		"block $number has Fabric's bytes, including the commit hash");
}
is(outcome(import(vector(5))), '5|f|{"VALID": 1}',
	'importing a stored block again changes nothing');
is( outcome(import(vector(5, 'orderer-blocks'))),
	'5|f|{"VALID": 1}',
	'importing a stored block without codes changes nothing');
my $other = changed(vector(5), header => sub { substr($_[0], 10, 1) ^= "\x01" });
like(
	outcome(import($other)),
	qr/LF405.*another block 5.*hash [0-9a-f]{64}, the passed block has [0-9a-f]{64}.*HINT/s,
	'the error about another block with the same number has both hashes');

# ---- the next block, altered: all is checked, nothing stored ----

my $next = vector(9);
my $before = contents();
foreach my $case (
	[
		'previous hash',
		changed($next, header => sub { substr($_[0], 10, 1) ^= "\x01" }),
		qr/LF405.*block 9 does not follow.*previous hash is [0-9a-f]{64}, the hash of block 8 here is [0-9a-f]{64}.*HINT/s
	],
	[
		'data hash',
		changed($next, header => sub { substr($_[0], -1, 1) ^= "\x01" }),
		qr/LF405.*wrong data hash.*HINT/s
	],
	[
		'a transaction',
		changed($next, data => sub { substr($_[0], -1, 1) ^= "\x01" }),
		qr/LF405.*wrong data hash.*HINT/s
	],
	[
		'no signatures',
		changed($next, metadata => sub { $_[0][0] = '' }),
		qr/LF405.*not signed by an orderer.*HINT/s
	],
	[
		'the signatures of another block',
		changed($next, metadata => sub { $_[0][0] = FabricWire::get(vector(8), 3, 1) }),
		qr/LF405.*not signed by an orderer.*HINT/s
	],
	[
		'one bit of a signature',
		changed($next, metadata => sub { substr($_[0][0], -1, 1) ^= "\x01" }),
		qr/LF405.*not signed by an orderer.*HINT/s
	],
	[
		'the number of the last configuration',
		changed(
			$next,
			metadata =>
			  sub { $_[0][1] = FabricWire::message([ 1 => FabricWire::message([ 1 => \7 ]) ]) }),
		qr/LF405.*metadata of block 9 were altered.*slot 1.*HINT/s
	],
	[
		'metadata that no orderer signed',
		changed($next, metadata => sub { $_[0][3] = 'unsigned' }),
		qr/LF405.*altered.*slot 3.*HINT/s
	],
	[
		'a second signature',
		changed(
			$next,
			metadata => sub {
				$_[0][0] .= FabricWire::message(
					[
						2 => FabricWire::get(vector(8), 3, 1, 2)
						  // FabricWire::get(FabricWire::get(vector(8), 3, 1), 2)
					]);
			}),
		qr/LF405.*altered.*Signature 2.*HINT/s
	],
	[
		'bytes between the signatures',
		changed($next, metadata => sub { $_[0][0] .= FabricWire::message([ 7 => 'nothing' ]) }),
		qr/LF405.*altered.*slot 0.*HINT|LF002/s
	],
	[
		'a code',
		changed($next, metadata => sub { substr($_[0][2], 3, 1) = "\x0b" }),
		qr/LF405.*validation codes.*Transaction 3 is MVCC_READ_CONFLICT \(11\) in the block, and VALID \(0\).*HINT:.*accept_differences/s
	],
	[
		'too few codes',
		changed($next, metadata => sub { $_[0][2] = "\0" }),
		qr/LF405.*1 codes for 10 transactions/s
	],
	[
		'the commit hash',
		changed($next, metadata => sub { substr($_[0][4], -1, 1) ^= "\x01" }),
		qr/LF405.*commit hash.*[0-9a-f]{64} in the block, and [0-9a-f]{64}.*HINT/s
	],
	[ 'a later block', vector(13), qr/LF405.*next block is number 9\b/s ],
	[ 'half of it', substr($next, 0, length($next) / 2), qr/LF002.*HINT/s ],
	[ 'no bytes', '', qr/LF002.*HINT/s ],
	[ 'text', 'not a block', qr/LF002.*HINT/s ])
{
	my ($name, $bytes, $words) = @$case;

	like(outcome(import($bytes)), $words, "$name is refused");
}
is(contents(), $before, 'no refused block is stored');

# ---- random damage: refused, or the same block ----

my $seed = 20260101;

sub random
{
	my ($below) = @_;

	$seed = ($seed * 1103515245 + 12345) & 0x7fffffff;
	return int($seed / 65536) % $below;
}

my @damaged;
for my $round (1 .. 400)
{
	my $bytes = $next;

	for (0 .. random(3))
	{
		# transactions make up most of the block: every second time damage the bytes around them
		my $at =
			$round % 2 ? random(length $bytes)
		  : random(2)  ? random(80)
		  :              length($bytes) - 1 - random(1200);
		my $kind = random(4);

		substr($bytes, $at, 1) = chr random(256) if $kind == 0;
		substr($bytes, $at, 1 + random(40)) = '' if $kind == 1;
		substr($bytes, $at, 0) = join '', map { chr random(256) } 0 .. random(20) if $kind == 2;
		substr($bytes, $at, 0) = substr($bytes, random(length $bytes), random(200)) if $kind == 3;
	}
	push @damaged, $bytes;
}
value('CREATE TABLE damaged (number int, bytes bytea); INSERT INTO damaged VALUES '
	  . join(', ', map { "($_, " . bytea($damaged[$_]) . ')' } 0 .. $#damaged));
my $tried = value(<<'SQL');
CREATE FUNCTION try(bytes bytea) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	RETURN (SELECT 'stored: ' || imported FROM fabric.import_block('bench', bytes));
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE;
END $$;
SELECT string_agg(DISTINCT state, ' '), count(*), count(*) FILTER (WHERE state LIKE 'stored%')
	FROM damaged, LATERAL (SELECT try(bytes) AS state OFFSET 0) t;
SQL
like($tried, qr/^[^|]*\bLF405\b[^|]*\|400\|\d+$/, "blocks with random damage are refused: $tried");
unlike($tried, qr/[^|]*\b(LF9|XX|57|53)/, 'no damage is reported as a failure of the node');
# damage in bytes that are not stored, such as a field that no block has, leaves the block unchanged
like($tried, qr/stored: t/, 'a copy that differs only in ignored bytes is imported as the block')
  if height() == 10;
is(contents(), $before, 'no damaged block is stored') if height() == 9;
like(outcome(import($next)), qr/^9\|[tf]\|\{"VALID": 10\}$/, 'the undamaged block is imported');
ok(value("SELECT encode(fabric.get_block('bench', 9), 'hex')") eq unpack('H*', $next),
	"block 9 has Fabric's bytes");
is(value("SELECT pid IS NOT NULL, restarts FROM fabric.stat_workers WHERE kind = 'ledger'"),
	't|0', 'the ledger worker was not restarted');

# ---- audit of the imported ledger ----

is(value("SELECT * FROM fabric.verify_chain('bench')"), '', 'verify_chain finds nothing');
my $digest = value("SELECT fabric.state_digest('bench')");
is( value(
		"SELECT blocks, blocks_corrected, state_corrected, history_corrected FROM fabric.rebuild_state('bench')"
	),
	'10|0|0|0',
	'rebuild_state corrects nothing');
is(value("SELECT fabric.state_digest('bench')"), $digest,
	'rebuild_state does not change the state');
is( value(
		"SELECT string_agg(name, ' ' ORDER BY name) FROM fabric.chaincodes WHERE channel = 'bench'"
	),
	'asset assetor',
	'fabric.chaincodes shows the chaincodes of the Fabric network');
is( value(
		"SELECT count(*) FROM fabric.world_state WHERE channel = 'bench' AND namespace = 'asset'"),
	12,
	'fabric.world_state shows the state of the Fabric network'
) or diag(outcome('SELECT namespace, count(*) FROM fabric.world_state GROUP BY 1'));
is( value(
		"SELECT sum(count) FROM fabric.stat_validation WHERE channel = 'bench' AND name = 'VALID'"),
	18,
	'fabric.stat_validation counts the codes');

# ---- restart, leaving and joining; the blocks of an orderer hold no codes ----

$mirror->stop('immediate');
$mirror->start;
is(outcome(import($next)), '9|f|{"VALID": 10}', 'the ledger is complete after a crash');
value("SELECT fabric.leave_channel('bench')");
like(outcome(import(vector(1))), qr/LF401/, 'a channel that was left accepts no block');
value('SELECT fabric.join_channel(' . bytea(vector(0, 'orderer-blocks')) . ", 'import')");
# the example of the manual
my $psql =
  "psql -qX -v ON_ERROR_STOP=1 -h '" . $mirror->host . "' -p " . $mirror->port . ' postgres';
is( system(
		'bash',
		'-c',
		"set -o pipefail; cd '$vectors/blocks' && "
		  . q{for n in $(seq 1 4); do echo "SELECT * FROM fabric.import_block('bench', decode('$(base64 -w0 $n.block)', 'base64'));"; done | }
		  . "$psql >/dev/null"),
	0,
	'a shell script can import files');
is(height(), 5, 'the shell script has imported all files');
is( outcome(import(vector(5, 'orderer-blocks'))),
	'5|t|{"VALID": 1}',
	'a block without codes is imported');
is( value("SELECT encode(commit_hash, 'hex') FROM fabric.blocks WHERE number = 5"),
	unpack(
		'H*',
		FabricWire::get((map { $_->[1] } FabricWire::fields(FabricWire::get(vector(5), 3)))[4], 1)),
	'a block without a commit hash gets the one that Fabric computed');

# ---- a difference that is accepted: this node's own codes, and a warning ----

my $doubtful =
  changed(vector(6), metadata => sub { $_[0][2] = "\x0a"; substr($_[0][4], -1, 1) ^= "\x01" });
like(
	outcome(import($doubtful)),
	qr/LF405.*ENDORSEMENT_POLICY_FAILURE \(10\)/s,
	'a difference in the codes is an error');
like(
	outcome(import($doubtful, ', accept_differences => true')),
	qr/^6\|t\|\{"VALID": 1\}.*WARNING:  LF405.*Transaction 0 is ENDORSEMENT_POLICY_FAILURE \(10\)/s,
	'a difference in the codes is a warning with accept_differences');
ok(value("SELECT encode(fabric.get_block('bench', 6), 'hex')") eq unpack('H*', vector(6)),
	"the node's own codes and commit hash are stored");
like(
	outcome(import($doubtful)),
	qr/LF405.*ENDORSEMENT_POLICY_FAILURE/s,
	'a difference in the codes of a stored block is an error');

# ---- the other source: no orderer can be reached, and this node has no certificate ----

my $error =
  "SELECT count(*) FROM fabric.stat_workers WHERE channel = 'bench' AND kind = 'ledger' AND last_error ~ 'fabric.node_msp_id'";
value("SELECT fabric.set_channel_source('bench', 'orderers')");
is(value("SELECT source FROM fabric.channels"), 'orderers',
	'set_channel_source changes the source');
ok(wait_until(sub { value($error) == 1 }),
	'the ledger worker asks orderers after the source is changed')
  or diag(value('SELECT * FROM fabric.stat_workers'));
value("SELECT fabric.set_channel_source('bench', 'import')");
ok( wait_until(
		sub {
			value(
				"SELECT count(*) FROM fabric.stat_workers WHERE channel = 'bench' AND kind = 'ledger' AND pid IS NOT NULL"
			) == 1;
		}),
	'the ledger worker runs after the source is changed back');
is( outcome(import(vector(6))),
	'6|f|{"VALID": 1}',
	'the channel accepts blocks after the source is changed back');

# ---- callers ----

is( outcome(
			"BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM fabric.blocks; "
		  . import(vector(7))
		  . '; ROLLBACK; '
		  . "SELECT height FROM fabric.chain_info('bench')"),
	"7\n7|t|{\"VALID\": 1}\n8",
	"an imported block stays if the caller's transaction is rolled back");
like(outcome("BEGIN READ ONLY; " . import(vector(8)) . ';'),
	qr/25006/, 'a read-only transaction cannot import a block');
like(
	outcome("BEGIN; SELECT blocks FROM fabric.rebuild_state('bench'); " . import(vector(8)) . ';'),
	qr/55006/,
	'a transaction that locks the ledger cannot import a block');
like(
	outcome("SELECT fabric.import_block('bench', NULL)"),
	qr/LF001.*"block" must not be null/s,
	'import_block refuses a block that is null');
like(
	outcome("SELECT fabric.import_block('bench', '\\x00', NULL)"),
	qr/LF001.*"accept_differences"/s,
	'import_block refuses accept_differences that is null');
like(outcome("SELECT fabric.import_block('nowhere', '\\x00')"),
	qr/LF401/, 'import_block fails for a channel that is not joined');
value('CREATE ROLE clerk IN ROLE fabric_client; CREATE ROLE chief IN ROLE fabric_admin');
like(outcome('SET ROLE clerk; ' . import(vector(8))), qr/42501/, 'a client cannot import a block');
is( outcome('SET ROLE chief; ' . import(vector(8))),
	'8|t|{"VALID": 1}',
	'an administrator can import a block');
done_testing();
