# The whole path of a transaction, with certificates issued by authorities in the databases: a
# chaincode is deployed through the lifecycle, application roles of every organization call it, and
# every node has the same ledger.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use FabricTest qw(
  start_network deploy_registry invoke create_vehicle fingerprints vehicles_of height_of
  $ANY_TWO);
use Test::More;

my $network = start_network(orgs => 3, orderers => 3, channel => 'trade', own_authorities => 1);
my ($org1, $org2, $org3) = my @nodes = $network->nodes;

like($org1->error_of(invoke('read_vehicle', 'V1')),
	qr/LF302/, 'a chaincode cannot be called before its definition is committed');
like(
	deploy_registry($network, policy => $ANY_TWO),
	qr/^vehicles_1\.0:[0-9a-f]{64}$/,
	'deployment returns the package id');
is( $_->query(
		"SELECT name, version, sequence, installed FROM fabric.chaincodes WHERE channel = 'trade'"),
	'vehicles|1.0|1|t',
	"$_->{name} knows the definition and runs the package") foreach @nodes;

# an application role of each organization, each with its own identity
$network->create_application($_, 'dealer', 'secret') foreach @nodes;
foreach my $node (@nodes)
{
	$node->query(create_vehicle("V-$node->{name}"), user => 'dealer');
	is( $node->query(
			invoke('transfer_vehicle', "V-$node->{name}", 'Boris Berg', '15000'),
			user => 'dealer'),
		'Ada Adler',
		"$node->{name}: a call returns the function's result");
	like(
		$node->query(
			"SELECT fabric.query('trade', 'vehicles', 'read_vehicle', 'V-$node->{name}')",
			user => 'dealer'),
		qr/Boris Berg/,
		"$node->{name}: a query sees the writes of an earlier call");
}
my @fingerprints = fingerprints($network, 'trade');
is(@fingerprints, 1,
	'height, block hash, commit hash, state and validation codes are the same at all nodes')
  or diag(@fingerprints);
is(vehicles_of($_), 3, "$_->{name} has all vehicles") foreach @nodes;
is( $org2->query(
		"SELECT fabric.query('trade', 'vehicles', 'read_vehicle', 'V-org3')::jsonb ->> 'price'",
		user => 'dealer'),
	'15000',
	'one organization reads a value that another one wrote');

# an error that the chaincode raises reaches the client, and nothing is ordered
my $height = height_of($org1, 'trade');
my $error = $org3->error_of(create_vehicle('V-org1'), user => 'dealer');
like(
	$error,
	qr/P0001.*vehicle "V-org1" is registered already/,
	'the caller gets the error that the function raised');
like(
	$org3->error_of(invoke('read_vehicle', 'V-none'), user => 'dealer'),
	qr/P0001.*is not registered.*HINT:\s+Register it/s,
	'the caller gets the hint of the error that the function raised');
is(height_of($org1, 'trade'), $height, 'a call that fails makes no block');

# the columns of submit_transaction
my $transaction = $org2->query(
	"SELECT length(tx_id), payload, block_number, validation_code FROM fabric.submit_transaction('trade', 'vehicles', 'transfer_vehicle', ARRAY['V-org1', 'Carla', '9'])",
	user => 'dealer');
like(
	$transaction,
	qr/^64\|\\x426f72697320\w+\|\d+\|/,
	'submit_transaction returns transaction id, payload, block and code');

# privileges and grants of identities
$_->query('CREATE ROLE unprivileged LOGIN') foreach @nodes;
like($org1->error_of(create_vehicle('V9'), user => 'unprivileged'),
	qr/42501/, 'a role without fabric_client may not invoke');
like($org1->error_of("SELECT count(*) FROM fabric_internal.world_state", user => 'dealer'),
	qr/42501/, 'an application role cannot read the internal tables');
like($org1->error_of("SELECT fabric.install_chaincode('\\x00')", user => 'dealer'),
	qr/42501/, 'an application role cannot install chaincode');
$org1->query('CREATE ROLE stranger LOGIN IN ROLE fabric_client');
like($org1->error_of(create_vehicle('V9'), user => 'stranger'),
	qr/LF108/, 'a role to which no identity is granted cannot sign');
like(
	$org1->error_of(
		'BEGIN; SET LOCAL fabric.identity = \'admin.org1\'; ' . create_vehicle('V9'),
		user => 'dealer'),
	qr/LF108|LF203/,
	'a role cannot sign with an identity that is not granted to it');
is(scalar(fingerprints($network, 'trade')), 1, 'refused calls leave the ledgers equal');
done_testing();
