# A snapshot has the bytes of Fabric's format, computed here from the tables by other code; two
# nodes write the same files; nothing is replaced, and nothing stays behind after a failure. A
# snapshot that is read is checked to the last byte, and two are compared key by key.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Digest::SHA qw(sha256_hex);
use File::Path  qw(make_path);
use FabricTest
  qw(start_network deploy_registry create_vehicle invoke fingerprints height_of wait_until);
use Fabric::Host            qw(spew);
use Fabric::Psql            qw(literal);
use PostgreSQL::Test::Utils qw(slurp_file);
use Test::More;

my $network = start_network(orgs => 2, orderers => 1, channel => 'trade');
my ($org1, $org2) = $network->nodes;
my %root = map { $_->{name} => "$PostgreSQL::Test::Utils::tmp_check/snapshots_$_->{name}" } $org1,
  $org2;

deploy_registry($network);
$org1->query(
	join(";\n", map { create_vehicle("V$_") } 1 .. 20) . ";\n" . invoke('delete_vehicle', 'V2'));

# a chaincode with a collection, twice defined; the approvals are private keys
my $collections = '[{"name": "offers", "policy": "OR(\'Org1MSP.member\', \'Org2MSP.member\')"}]';
my $package = $org1->query(
	"SELECT encode(fabric.package_chaincode('deals_1', \$cc\$ CREATE FUNCTION offer(k text) RETURNS void LANGUAGE sql AS \$f\$ SELECT fabric.put_state(k, 'offer') \$f\$; \$cc\$), 'hex')"
);
foreach my $sequence (1, 2)
{
	foreach my $node ($org1, $org2)
	{
		my $id = $node->query("SELECT fabric.install_chaincode('\\x$package')");

		$node->query(
			"SELECT fabric.approve_chaincode('trade', 'deals', '1', $sequence, '$id', collections => "
			  . literal($collections)
			  . ')');
	}
	fingerprints($network, 'trade');
	$org1->query(
			"SELECT fabric.commit_chaincode('trade', 'deals', '1', $sequence, collections => "
		  . literal($collections)
		  . ')');
}
$org1->query("SELECT fabric.invoke('trade', 'deals', 'offer', 'k1')");
fingerprints($network, 'trade');

like(
	$org1->error_of("SELECT fabric.snapshot('trade')"),
	qr/LF005.*fabric\.snapshot_directory/s,
	'without a directory');
foreach my $node ($org1, $org2)
{
	make_path($root{ $node->{name} });
	$node->query("ALTER SYSTEM SET fabric.snapshot_directory = '$root{$node->{name}}'");
	$node->query('SELECT pg_reload_conf()');
	ok(wait_until(sub { $node->query('SHOW fabric.snapshot_directory') ne '' }),
		"$node->{name} has a directory");
}
like($org1->error_of("SELECT fabric.snapshot('nowhere')"),
	qr/LF401/, 'a channel that is not joined');

# ---- the files ----

my $last = height_of($org1, 'trade') - 1;
my ($directory, $block, $hash) =
  split /\|/, $org1->query("SELECT * FROM fabric.snapshot('trade')");
is($directory, "trade/$last", 'the directory is named by channel and block');
is($block, $last, 'the last block');

sub varint
{
	my ($number) = @_;
	my $bytes = '';

	while ($number >= 128)
	{
		$bytes .= chr($number % 128 + 128);
		$number = int($number / 128);
	}
	return $bytes . chr($number);
}

sub item { return varint(length $_[0]) . $_[0] }

# order-preserving: the number of bytes, then the bytes
sub ordered
{
	my ($number) = @_;
	my $bytes = pack('Q>', $number);

	$bytes =~ s/^\0+//;
	return chr(length $bytes) . $bytes;
}

sub record
{
	my ($number, $bytes) = @_;

	return $bytes eq '' ? '' : chr($number * 8 + 2) . item($bytes);
}

sub rows
{
	my ($sql) = @_;

	return map { [ split /\|/, $_, -1 ] } split /\n/, $org1->query($sql);
}

# data and metadata of a state
sub state_files
{
	my ($condition) = @_;
	my ($data, @namespaces) = ("\1");
	my %count;

	foreach my $row (
		rows(
			"SELECT namespace, encode(key, 'hex'), encode(value, 'hex'), encode(coalesce(metadata, ''), 'hex'), block_number, position FROM fabric_internal.world_state WHERE channel = 'trade' AND $condition ORDER BY namespace, key"
		))
	{
		my ($namespace, $key, $value, $metadata, $number, $position) = @$row;

		push @namespaces, $namespace unless $count{$namespace}++;
		$data .=
		  item( record(1, pack('H*', $key))
			  . record(2, pack('H*', $value))
			  . record(3, pack('H*', $metadata))
			  . record(4, ordered($number) . ordered($position)));
	}
	return ($data,
			"\1"
		  . varint(scalar @namespaces)
		  . join('', map { item($_) . varint($count{$_}) } @namespaces));
}

my %expected;
@expected{qw(public_state.data public_state.metadata)} =
  state_files("namespace NOT LIKE '%\$\$h%'");
@expected{qw(private_state_hashes.data private_state_hashes.metadata)} =
  state_files("namespace LIKE '%\$\$h%'");
my @ids =
  map { $_->[0] }
  rows(
	"SELECT tx_id FROM (SELECT DISTINCT tx_id FROM fabric.transactions WHERE channel = 'trade' AND tx_id <> '') t ORDER BY tx_id COLLATE \"C\""
  );
$expected{'txids.data'} = "\1" . join('', map { item($_) } @ids);
$expected{'txids.metadata'} = "\1" . varint(scalar @ids);

# two definitions, the later one first; the collections as the state has them, but unwrapped
my @definitions = rows(
	"SELECT block_number FROM fabric.history WHERE channel = 'trade' AND namespace = '_lifecycle' AND key = 'namespaces/fields/deals/Sequence' ORDER BY block_number DESC"
);
my $value = pack(
	'H*',
	$org1->query(
		"SELECT encode(value, 'hex') FROM fabric_internal.world_state WHERE channel = 'trade' AND namespace = '_lifecycle' AND key = 'namespaces/fields/deals/Collections'"
	));
is(scalar @definitions, 2, 'the collections were defined twice');
is(ord($value), 0x12, 'the collections are bytes of field 2');
$value =~ s/^\x12//;
$expected{'confighistory.data'} = "\1"
  . join('',
	map { item("slscc\0deals~collection" . pack('Q>', ~0 - $_->[0])) . $value } @definitions);
$expected{'confighistory.metadata'} = "\1" . varint(2);

my $path = "$root{org1}/$directory";
foreach my $name (sort keys %expected)
{
	ok(slurp_file("$path/$name") eq $expected{$name}, "$name has the bytes of the tables")
	  or diag(unpack('H*', slurp_file("$path/$name")) . "\n" . unpack('H*', $expected{$name}));
}
my ($last_hash, $previous_hash, $commit_hash) = split /\|/,
  $org1->query(
	"SELECT encode(block_hash, 'hex'), encode(previous_hash, 'hex'), encode(commit_hash, 'hex') FROM fabric_internal.block WHERE channel = 'trade' AND number = $last"
  );
my $files = join(
	",\n", map { "        \"$_\": \"" . sha256_hex($expected{$_}) . '"' }
	  sort keys %expected);
my $signable = <<"JSON";
{
    "channel_name": "trade",
    "last_block_number": $last,
    "last_block_hash": "$last_hash",
    "previous_block_hash": "$previous_hash",
    "snapshot_files_raw_hashes": {
$files
    },
    "state_db_type": "SimpleKeyValueDB"
}
JSON
chomp $signable;
is(slurp_file("$path/_snapshot_signable_metadata.json"), $signable, 'metadata as Go writes them');
is($hash, sha256_hex($signable), 'their hash is the hash of the snapshot');
is( slurp_file("$path/_snapshot_additional_metadata.json"),
	"{\n    \"snapshot_hash\": \"$hash\",\n    \"last_block_commit_hash\": \"$commit_hash\"\n}",
	'additional metadata');
my @names = sort map { s{.*/}{}r } glob "$path/*";
is_deeply(
	\@names,
	[
		sort keys %expected, '_snapshot_additional_metadata.json',
		'_snapshot_signable_metadata.json'
	],
	'there are no other files');

# ---- other nodes, and again ----

is($org2->query("SELECT snapshot_hash FROM fabric.snapshot('trade')"),
	$hash, 'another organization writes the same snapshot');
like(
	$org1->error_of("SELECT fabric.snapshot('trade')"),
	qr/58P02.*never replaced/s,
	'never replaced');
is(slurp_file("$path/_snapshot_signable_metadata.json"), $signable, 'it is as it was');

# ---- reading ----

sub verify
{
	my ($name) = @_;

	return "SELECT * FROM fabric.verify_snapshot('$name')";
}

my ($public, $private) = split /\|/,
  $org1->query(
	"SELECT count(*) FILTER (WHERE namespace NOT LIKE '%\$\$h%'), count(*) FILTER (WHERE namespace LIKE '%\$\$h%') FROM fabric_internal.world_state WHERE channel = 'trade'"
  );
is( $org1->query(verify($directory)),
	"trade|$last|$hash|$public|$private|" . scalar(@ids) . '|2',
	'a snapshot verifies');
like($org1->error_of(verify($_)), qr/LF001.*below fabric\.snapshot_directory/s, "not \"$_\"")
  foreach '', '/etc', '../x', 'trade/../..', 'trade/.', 'trade//1', 'trade/', '..';
like($org1->error_of(verify('trade/999')), qr/58P01/, 'a directory that is not there');

# a copy of the snapshot with other files, whose hashes are right again
my $copies = 0;

sub changed_copy
{
	my (%files) = @_;
	my $copy = 'copy' . ++$copies;
	my %contents = (%expected, %files);
	my $json = $signable;

	make_path("$root{org1}/$copy");
	foreach my $name (sort keys %contents)
	{
		my $old = sha256_hex($expected{$name});
		my $new = sha256_hex($contents{$name});

		spew("$root{org1}/$copy/$name", $contents{$name});
		$json =~ s/$old/$new/;
	}
	spew("$root{org1}/$copy/_snapshot_signable_metadata.json", $json);
	spew("$root{org1}/$copy/_snapshot_additional_metadata.json",
		'{"snapshot_hash": "' . sha256_hex($json) . '", "last_block_commit_hash": ""}');
	return $copy;
}

is((split /\|/, $org1->query(verify(changed_copy())))[2], $hash, 'a copy is the same snapshot');
foreach my $case (
	[ 'another format', 'txids.data', "\2" . substr($expected{'txids.data'}, 1), qr/format is 2/ ],
	[ 'an empty file', 'txids.data', '', qr/It is empty/ ],
	[
		'a file that is cut off',
		'public_state.data',
		substr($expected{'public_state.data'}, 0, -1),
		qr/middle of an item/
	],
	[
		'a record too many',
		'public_state.data',
		$expected{'public_state.data'} . item(record(1, 'k') . record(4, "\0\0")),
		qr/more records/
	],
	[
		'a record without a version',
		'private_state_hashes.data',
		"\1" . item(record(1, 'k')),
		qr/no version/
	],
	[ 'an endless item', 'public_state.data', "\1\xff\xff\xff\xff\x7f", qr/larger than any/ ],
	[
		'transaction ids in another order',
		'txids.data',
		"\1" . join('', map { item($_) } reverse @ids),
		qr/not in order/
	],
	[ 'more ids than there are', 'txids.metadata', "\1" . varint(@ids + 1), qr/middle of an item/ ],
	[ 'fewer ids than there are', 'txids.metadata', "\1" . varint(@ids - 1), qr/more entries/ ],
	[
		'private keys as public ones', 'public_state.metadata',
		$expected{'private_state_hashes.metadata'}, qr/not the name of one of its namespaces/
	])
{
	my ($name, $file, $bytes, $pattern) = @$case;

	like($org1->error_of(verify(changed_copy($file => $bytes))), qr/LF002.*$pattern/s, $name);
}
my $damaged = changed_copy();
my $bytes = $expected{'public_state.data'};
substr($bytes, length($bytes) / 2, 1) ^= "\1";
spew("$root{org1}/$damaged/public_state.data", $bytes);
like($org1->error_of(verify($damaged)), qr/LF002.*Its hash is not/s, 'one bit of a file');
spew("$root{org1}/$damaged/_snapshot_signable_metadata.json", $signable =~ s/trade/other/r);
like($org1->error_of(verify($damaged)), qr/LF002.*snapshot_hash/s, 'changed metadata');

# two nodes whose states differ in three keys
$org2->query(
	"BEGIN; SET LOCAL session_replication_role = replica; UPDATE fabric_internal.world_state SET value = 'changed' WHERE channel = 'trade' AND namespace = 'vehicles' AND key = 'V3'; "
	  . "DELETE FROM fabric_internal.world_state WHERE channel = 'trade' AND namespace = 'vehicles' AND key = 'V4'; "
	  . "INSERT INTO fabric_internal.world_state (channel, namespace, key, value, block_number, position) VALUES ('trade', 'vehicles', 'V41', 'new', 3, 0); COMMIT"
);
rename "$root{org2}/trade/$last", "$root{org2}/before" or die $!;
isnt($org2->query("SELECT snapshot_hash FROM fabric.snapshot('trade')"),
	$hash, 'a changed state has another hash');
system('cp', '-r', "$root{org2}/trade/$last", "$root{org1}/org2") == 0 or die;
my $compare =
  "SELECT convert_from(key, 'UTF8'), value IS NULL, convert_from(other_value, 'UTF8') FROM fabric.compare_snapshots('trade/$last', 'org2'";
is($org1->query("$compare)"), "V3|f|changed\nV4|f|\nV41|t|new", 'the keys that differ');
is($org1->query("$compare, 1)"), 'V3|f|changed', 'the first ones');
is($org1->query("$compare) WHERE false"), '', 'none of a false condition');
is($org1->query("SELECT count(*) FROM fabric.compare_snapshots('trade/$last', 'copy1')"),
	0, 'equal snapshots have no difference');
$org2->query("SELECT fabric.rebuild_state('trade')");

# ---- later blocks, failures ----

# the next block makes another one; commits continue while a long transaction still sees this one
my ($old_block) = split /\n/,
  $org1->query(
	"BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT max(number) FROM fabric_internal.block; COMMIT");
$org1->query(create_vehicle('V99'));
like(
	$org1->error_of(
		"SELECT fabric.compare_snapshots('trade/$last', '"
		  . ($org1->query("SELECT directory FROM fabric.snapshot('trade')")) . "')"),
	qr/LF001.*not of the same block/s,
	'snapshots of different blocks');
$org1->query(create_vehicle('V98'));
my $later = $org1->query("SELECT snapshot_hash FROM fabric.snapshot('trade')");
isnt($later, $hash, 'a later state has another hash');

# a failure leaves nothing: here no file can be made
$org1->query(create_vehicle('V100'));
chmod 0500, "$root{org1}/trade";
like(
	$org1->error_of("SELECT fabric.snapshot('trade')"),
	qr/could not create directory/,
	'refused by the file system');
chmod 0700, "$root{org1}/trade";
is(scalar(() = glob "$root{org1}/trade/*incomplete*"), 0, 'no incomplete directory is left');
done_testing();
