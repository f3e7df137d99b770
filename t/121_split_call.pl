# The split call from psql, with the openssl command as signer: an application that keeps its key
# and has no cryptography of its own.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Digest::SHA qw(sha256 sha256_hex);
use FabricTest;
use FabricWire;
use Fabric::Host qw(slurp spew);
use Fabric::Psql qw(literal);
use Test::More;

my $network = FabricTest::start_network(
	orgs => 2,
	orderers => 1,
	channel => 'trade',
	profile => { batch_timeout => '200ms' });
my ($org1, $org2) = $network->nodes;

FabricTest::deploy_registry($network, policy => "AND('Org1MSP.peer', 'Org2MSP.peer')");
foreach my $node ($org1, $org2)
{
	Fabric::Pki::create_key($node->path('client.key'));
	spew($node->path('client.pem'),
		$network->enroll($node, "client.$node->{name}", 'client', $node->path('client.key'))
		  . "\n");
}
my $client = FabricWire::identity('Org1MSP', $org1->path('client.pem'), $org1->path('client.key'));
my $guest = FabricWire::identity('Org2MSP', $org2->path('client.pem'), $org2->path('client.key'));
$org1->query('CREATE ROLE app LOGIN IN ROLE fabric_client');

# SQL as the application; its output, or the error with SQLSTATE
sub app
{
	my ($sql) = @_;
	my ($output, $error, $status) =
	  $org1->try_query("\\set VERBOSITY verbose\n$sql", user => 'app');

	return $status == 0 ? $output : $error;
}

sub bytes
{
	return FabricWire::bytea($_[0]);
}

sub propose
{
	my ($creator, $function, @arguments) = @_;
	my $list = 'ARRAY[' . join(', ', map { literal($_) } @arguments) . ']::text[]';
	my ($tx_id, $proposal, $digest) = split /\|/,
	  app(
		"SELECT tx_id, encode(proposal, 'hex'), encode(digest, 'hex') FROM fabric.new_proposal('trade', 'vehicles', "
		  . literal($function)
		  . ", $list, "
		  . bytes($creator->{bytes})
		  . ')');

	return ($tx_id, pack('H*', $proposal), $digest);
}

# the identity that a client passes can be made in SQL too
is( $org1->query(
			"SELECT encode(fabric.identity_bytes('Org1MSP', "
		  . literal(slurp($org1->path('client.pem')))
		  . "), 'hex')"),
	unpack('H*', $client->{bytes}),
	'identity_bytes returns the identity of a Fabric client');

# create: the bytes to sign are those that a Fabric client signs
my ($tx_id, $proposal, $digest) =
  propose($client, 'create_vehicle', 'V1', 'Volvo', 'V60', '2020', 'Ada', '20000');
my $nonce = FabricWire::get($proposal, 1, 2, 2);
is($tx_id, sha256_hex($nonce . $client->{bytes}), 'new_proposal returns the transaction id');
is($digest, sha256_hex($proposal), 'new_proposal returns the digest of the proposal');
is(FabricWire::get($proposal, 1, 1, 5), $tx_id, 'the channel header has the transaction id');
my $signature = FabricWire::sign($client, $proposal);

my ($payload, $payload_digest, $result) = split /\|/,
  app(
	"SELECT encode(payload, 'hex'), encode(digest, 'hex'), encode(result, 'escape') FROM fabric.endorse("
	  . bytes($proposal) . ', '
	  . bytes($signature)
	  . ')');
$payload = pack 'H*', $payload;
is($payload_digest, sha256_hex($payload), 'endorse returns the digest of the transaction');
is( FabricWire::get($payload, 1),
	FabricWire::get($proposal, 1),
	'the transaction has the header of the proposal');
is($result, '', 'create_vehicle returns an empty result');

# two more ways to sign the same bytes: only a valid signature with the lower s is required
is( app(    'SELECT fabric.submit('
		  . bytes($payload) . ', '
		  . bytes(FabricWire::sign($client, $payload)) . ')'),
	$tx_id,
	'submit returns the transaction id');
like(app("SELECT * FROM fabric.commit_status('trade', '$tx_id')"),
	qr/^\d+\|VALID\|0$/, 'commit_status waits for the block');
my $height = app("SELECT block_number FROM fabric.commit_status('trade', '$tx_id')");
is($org2->query("SELECT validation_code FROM fabric.commit_status('trade', '$tx_id')"),
	'VALID', 'commit_status at the other node returns the same code');

# query
my (undef, $question) = propose($client, 'read_vehicle', 'V1');
is( app(    'SELECT encode(fabric.evaluate('
		  . bytes($question) . ', '
		  . bytes(FabricWire::sign($client, $question))
		  . "), 'escape')::jsonb->>'owner'"),
	'Ada',
	'evaluate returns the result of a query');
my (undef, $foreign) = propose($guest, 'read_vehicle', 'V1');
is( app(    'SELECT encode(fabric.evaluate('
		  . bytes($foreign) . ', '
		  . bytes(FabricWire::sign($guest, $foreign))
		  . "), 'escape')::jsonb->>'owner'"),
	'Ada',
	'evaluate accepts a client of another organization');

# bad signatures and proposals
my $other = FabricWire::sign($guest, $question);
like(
	app('SELECT fabric.evaluate(' . bytes($question) . ', ' . bytes($other) . ')'),
	qr/ERROR:  LF103: the signature of "CN=client\.org1.*" of Org1MSP is not valid/,
	'evaluate refuses a signature of another client');
like(
	app(    'SELECT fabric.evaluate('
		  . bytes($question) . ', '
		  . bytes(FabricWire::with_high_s(FabricWire::sign($client, $question))) . ')'),
	qr/ERROR:  LF103: .* is not valid\nDETAIL:  .*low S/,
	'evaluate refuses a signature with the higher s');
like(
	app('SELECT fabric.endorse(' . bytes($proposal) . ', ' . bytes($signature) . ')'),
	qr/ERROR:  LF409: transaction "$tx_id" is on the ledger already\nHINT:  Make a new proposal/,
	'endorse refuses a proposal whose transaction is on the ledger');

# an envelope again: with other bytes it is ordered again, and is a duplicate
app(    'SELECT fabric.submit('
	  . bytes($payload) . ', '
	  . bytes(FabricWire::sign($client, $payload))
	  . ')');
$org1->query(FabricTest::create_vehicle('V2'));
is( $org1->query(
		"SELECT string_agg(validation_code::text, ',' ORDER BY block_number, position) FROM fabric_internal.transaction WHERE channel = 'trade' AND tx_id = '\\x$tx_id'"
	),
	'0,9',
	'a replay is stored as a duplicate');
is(app("SELECT block_number FROM fabric.commit_status('trade', '$tx_id')"),
	$height, 'commit_status of a replayed transaction returns the block of the first copy');

# the steps of a transaction need no common session, nor the same node
my ($late_id, $late) = propose($guest, 'create_vehicle', 'V3', 'Saab', '900', '1990', 'Bo', '900');
my $late_signature = bytes(FabricWire::sign($guest, $late));
my $late_payload = pack 'H*',
  $org2->query(
	'SELECT encode(payload, \'hex\') FROM fabric.endorse(' . bytes($late) . ", $late_signature)");
is( $org2->query(
			'SELECT fabric.submit('
		  . bytes($late_payload) . ', '
		  . bytes(FabricWire::sign($guest, $late_payload)) . ')'),
	$late_id,
	'a proposal made at one node can be endorsed and submitted at another node');
is(app("SELECT validation_code FROM fabric.commit_status('trade', '$late_id')"),
	'VALID', 'the transaction is committed at both nodes');

# inside a database transaction: an ordered transaction is not rolled back
my ($kept_id, $kept) = propose($client, 'create_vehicle', 'V4', 'Audi', '80', '1985', 'Cy', '800');
my $kept_payload = pack 'H*',
  app(  'SELECT encode(payload, \'hex\') FROM fabric.endorse('
	  . bytes($kept) . ', '
	  . bytes(FabricWire::sign($client, $kept))
	  . ')');
is( app(    'BEGIN; SELECT fabric.submit('
		  . bytes($kept_payload) . ', '
		  . bytes(FabricWire::sign($client, $kept_payload))
		  . "); SELECT validation_code FROM fabric.commit_status('trade', '$kept_id'); ROLLBACK"),
	"$kept_id\nVALID",
	'a transaction submitted in a database transaction is committed before a rollback');
is(app("SELECT validation_code FROM fabric.commit_status('trade', '$kept_id')"),
	'VALID', 'a submitted transaction stays committed after a rollback');
is(scalar(FabricTest::fingerprints($network, 'trade')), 1, 'both nodes have the same ledger');

# A chaincode that this organization approved without a package: queries go to another organization,
# but not with transient data for this one only
my $package_id = $org2->query(
	"SELECT fabric.install_chaincode(fabric.package_chaincode('other_1', 'CREATE FUNCTION who() RETURNS text LANGUAGE sql AS \$\$ SELECT fabric.get_client_msp_id() \$\$;'))"
);
my $definition = "'trade', 'other', '1', 1";
$org1->query("SELECT fabric.approve_chaincode($definition, NULL)");
$org2->query("SELECT fabric.approve_chaincode($definition, '$package_id')");
$org2->query("SELECT fabric.commit_chaincode($definition)");
FabricTest::fingerprints($network, 'trade');
foreach my $transient ('NULL', '\'{"secret": "s"}\'')
{
	my $asked = pack 'H*',
	  app("SELECT encode(proposal, 'hex') FROM fabric.new_proposal('trade', 'other', 'who', '{}', "
		  . bytes($client->{bytes})
		  . ", $transient)");
	my $answer =
	  app(  "SELECT encode(fabric.evaluate("
		  . bytes($asked) . ', '
		  . bytes(FabricWire::sign($client, $asked))
		  . "), 'escape')");

	like(
		$answer,
		$transient eq 'NULL'
		? qr/^Org1MSP$/
		: qr/ERROR:  LF302: chaincode "other" is not installed on this node\nDETAIL:  .*transient data, which is not sent to other organizations/,
		"evaluated elsewhere, transient data $transient");
}
done_testing();
