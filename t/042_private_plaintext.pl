# The peers of an organization give each other the plaintext of approvals: at once while both run,
# later when one was down. No other organization gets it.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use lib "$FindBin::Bin/../tools/lib";
use Digest::SHA  qw(sha256_hex);
use Fabric::Host qw(spew);
use Fabric::Pki  qw(create_key);
use FabricWire;
use FabricTest              qw(start_network fingerprints wait_for_leader wait_until eventually_is);
use Fabric::Psql            qw(literal);
use PostgreSQL::Test::Utils qw(slurp_file);
use Test::More;

my $network =
  start_network(orgs => 2, peers_per_org => 2, orderer_org => 1, orderers => 1, channel => 'trade');
my %node = map { $_->{name} => $_ } $network->nodes;
my ($first, $second, $other) = @node{qw(org1peer1 org1peer2 org2peer1)};
my $package = $first->query(
	"SELECT encode(fabric.package_chaincode('notes_1', \$cc\$ CREATE FUNCTION put(k text) RETURNS void LANGUAGE sql AS \$f\$ SELECT fabric.put_state(k, 'x') \$f\$; \$cc\$), 'hex')"
);
my $package_id;

wait_for_leader($network, 'trade');
$package_id = $_->query("SELECT fabric.install_chaincode('\\x$package')") foreach $network->peers;

sub approve
{
	my ($node, $sequence, $package_id) = @_;

	return $node->query("SELECT fabric.approve_chaincode('trade', 'notes', '1', $sequence, "
		  . (defined $package_id ? literal($package_id) : 'NULL')
		  . ')');
}

sub plaintext_of
{
	my ($node) = @_;

	return $node->query(
		"SELECT md5(coalesce(string_agg(row(namespace, collection, key, value, block_number, position)::text, '' ORDER BY namespace, collection, key), 'none')) FROM fabric_internal.private_state WHERE channel = 'trade'"
	);
}

sub count_of
{
	my ($node, $table) = @_;

	return $node->query("SELECT count(*) FROM fabric_internal.$table WHERE channel = 'trade'");
}

sub problems
{
	my ($node) = @_;

	return $node->query(
		"SELECT string_agg(concat_ws(' ', block_number, problem, detail), E'\\n') FROM fabric.verify_chain('trade')"
	);
}

# ---- both run ----

approve($first, 1, $package_id);
is(scalar(fingerprints($network, 'trade')), 1, 'all nodes have the block with the approval');
# at once, or on a busy machine a moment later
eventually_is(sub { count_of($second, 'private_missing') },
	0, 'the second peer gets the plaintext of the approval');
cmp_ok(count_of($second, 'private_state'), '>', 0, 'the second peer stores the plaintext');
is(plaintext_of($second), plaintext_of($first), 'both peers store the same plaintext');
is(count_of($_, 'private_state'), 0, "$_->{name} of the other organization stores no plaintext")
  foreach @node{qw(org2peer1 org2peer2)};
is(problems($_), '', "$_->{name} verifies its chain without a problem") foreach $network->nodes;
approve($other, 1, $package_id);
$other->query("SELECT fabric.commit_chaincode('trade', 'notes', '1', 1)");
fingerprints($network, 'trade');
is( $second->query(
		"SELECT package_id FROM fabric.chaincodes WHERE channel = 'trade' AND name = 'notes'"),
	$package_id,
	'fabric.chaincodes of the second peer shows the package');
is($second->error_of("SELECT fabric.invoke('trade', 'notes', 'put', 'a')"),
	'', 'the second peer endorses');

# ---- one is down ----

$second->kill_hard;
# replaces the approval of both with one of another package
approve($first, 2, $package_id);
approve($first, 2, undef);
$first->kill_hard;
$second->start;
ok( wait_until(sub { count_of($second, 'private_missing') == 2 }),
	'the second peer records that plaintext is missing');
is(problems($second), '', 'verify_chain does not report plaintext that is recorded as missing');
ok( wait_until(
		sub {
			$second->query(
				"SELECT message FROM fabric.stat_conditions WHERE process = 'ledger' AND topic = 'private data'"
			) =~ /of 2 transactions is missing/;
		}),
	'fabric.stat_conditions reports the missing plaintext');
# the new approval replaces the missing one, which is no longer reported
approve($second, 2, $package_id);
ok( wait_until(sub { count_of($second, 'private_missing') == 0 }),
	'plaintext that a new approval replaces is no longer missing');
is(problems($second), '', 'verify_chain does not report plaintext that a new approval replaced');
approve($second, 2, undef);
$first->start;
ok( wait_until(
		sub {
			fingerprints($network, 'trade') == 1
			  && plaintext_of($second) eq plaintext_of($first)
			  && count_of($first, 'private_missing') == 0;
		}),
	'the first peer gets the missing plaintext after its start')
  or diag(
	$second->query('SELECT * FROM fabric.stat_conditions'),
	$first->query('SELECT * FROM fabric.stat_conditions'));
like(
	slurp_file($first->cluster->logfile),
	qr/private data of transaction 0 of block \d+ was fetched from localhost:$second->{port}/,
	'the log of the first peer names the second peer as the source');
is(problems($_), '', "$_->{name} verifies its chain without a problem") foreach $first, $second;
ok( wait_until(
		sub {
			$second->query(
				"SELECT count(*) FROM fabric.stat_conditions WHERE topic = 'private data'") == 0;
		}),
	'fabric.stat_conditions reports no missing plaintext');
like(
	slurp_file($second->cluster->logfile),
	qr/over after \d+ s: plaintext of private data/,
	'the log says that no plaintext is missing any longer');

# ---- callers ----

# the result of a function of the first peer for the login of another node
sub call_as
{
	my ($node, $function) = @_;
	my $keys = $node->path('keys');
	my ($output, $error) = ('', '');

	local %ENV = map { /^PG/ ? () : ($_ => $ENV{$_}) } keys %ENV;
	IPC::Run::run(
		[
			'psql',
			'-X',
			'-w',
			'-A',
			'-t',
			'-v',
			'VERBOSITY=verbose',
			'-d',
			"host=localhost port=$first->{port} dbname=fabric user=$node->{role} sslmode=verify-full sslrootcert=$keys/tlscas.pem sslcert=$keys/tls.pem sslkey=$keys/tls.key",
			'-c',
			"SELECT fabric_internal.$function"
		],
		'>',
		\$output,
		'2>',
		\$error);
	return $output . $error;
}

# a request, signed by an identity, for the plaintext that it names
sub request_of
{
	my ($identity, $what, %more) = @_;

	return FabricWire::bytea(
		FabricWire::signed(
			FabricWire::transaction(
				channel => 'trade',
				chaincode => 'x',
				version => '1',
				creator => $identity,
				endorsers => [],
				tx_id => '',
				type => 0,
				data => $what,
				%more)));
}

my ($block, $position) = split /\|/,
  $first->query(
	"SELECT block_number, position FROM fabric_internal.private_state WHERE channel = 'trade' ORDER BY 1 DESC LIMIT 1"
  );
my $get = "fabric: get private data\n$block\n$position";
my $colleague =
  FabricWire::identity('Org1MSP', $second->path('keys/node.pem'), $second->path('keys/node.key'));
my $stranger =
  FabricWire::identity('Org2MSP', $other->path('keys/node.pem'), $other->path('keys/node.key'));
my $liar =
  FabricWire::identity('Org1MSP', $other->path('keys/node.pem'), $other->path('keys/node.key'));
create_key($second->path('keys/user.key'));
spew($second->path('keys/user.pem'),
	$network->enroll($second, 'user', 'client', $second->path('keys/user.key')));
my $user =
  FabricWire::identity('Org1MSP', $second->path('keys/user.pem'), $second->path('keys/user.key'));
like(call_as($second, 'private_get(' . request_of($colleague, $get) . ", $block, $position)"),
	qr/^\\x[0-9a-f]{20,}$/, 'a node of the organization gets plaintext');
like(
	call_as(
		$second,
		'private_get(' . request_of($colleague, $get) . ", $block, " . ($position + 1) . ')'),
	qr/LF001/,
	'a signed request gives no plaintext of another transaction');
like(
	call_as(
		$second,
		'private_get('
		  . request_of($colleague, $get, timestamp => FabricWire::message([ 1, \(time - 3600) ]))
		  . ", $block, $position)"),
	qr/LF001/,
	'an old signed request gives no plaintext');
like(
	call_as($other, 'private_get(' . request_of($stranger, $get) . ", $block, $position)"),
	qr/LF203.*own organization only.*"Org2MSP"/s,
	'a node of another organization gets no plaintext');
like(call_as($other, 'private_get(' . request_of($liar, $get) . ", $block, $position)"),
	qr/LF105/,
	'a node of another organization gets no plaintext with an MSP id that is not its own');
like(
	call_as($second, 'private_get(' . request_of($user, $get) . ", $block, $position)"),
	qr/LF203.*role client/s,
	'a client of the organization gets no plaintext');
my $put = "fabric: put private data\n" . ('0' x 64) . "\n" . sha256_hex('');
like(
	call_as(
		$other, 'private_put(' . request_of($stranger, $put) . ", '" . ('0' x 64) . "', '\\x')"),
	qr/LF203/,
	'a node of another organization cannot store plaintext');
like($first->error_of("SELECT fabric_internal.private_get('\\x0a00', 1, 0)"),
	qr/LF00[12]|LF102/, 'private_get requires a signed request');
like($first->error_of("SELECT fabric_internal.private_put('\\x0a00', 'x', '\\x')"),
	qr/LF00[12]|LF102/, 'private_put requires a signed request');
like($first->error_of("SELECT fabric_internal.private_get(NULL, 1, 0)"),
	qr/null/, 'private_get refuses a request that is null');
done_testing();
