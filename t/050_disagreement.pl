# Organizations whose results differ, and organizations that do not answer.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use FabricTest   qw(start_network fingerprints wait_until height_of $ANY_TWO);
use Fabric::Psql qw(literal);
use Test::More;

my $network = start_network(orgs => 3, orderers => 1, channel => 'trade');
my ($org1, $org2, $org3) = my @nodes = $network->nodes;

# two packages for one definition: their writes and their results differ
sub package_of
{
	my ($difference) = @_;
	my $source = <<"SQL";
CREATE FUNCTION put(id text, value int) RETURNS text LANGUAGE plpgsql AS \$\$
BEGIN PERFORM fabric.put_state(id, (value + $difference)::text); RETURN 'stored'; END \$\$;
CREATE FUNCTION put_owned(owner text, id text) RETURNS text LANGUAGE plpgsql AS \$\$
BEGIN PERFORM fabric.put_state(fabric.create_composite_key('owner~id', VARIADIC ARRAY[owner, id]), '$difference');
	RETURN 'stored'; END \$\$;
CREATE FUNCTION add(id text, value int) RETURNS text LANGUAGE plpgsql AS \$\$
BEGIN PERFORM fabric.put_state(id, (fabric.get_state_text(id)::int + value)::text); RETURN 'added';
	END \$\$;
CREATE FUNCTION look(id text) RETURNS text
	LANGUAGE sql AS \$\$ SELECT fabric.get_state_text(id) \$\$;
CREATE FUNCTION tell() RETURNS text LANGUAGE sql AS \$\$ SELECT 'difference $difference' \$\$;
SQL
	return "fabric.package_chaincode('assets_$difference', " . literal($source) . ')';
}

sub approve
{
	my ($node, $package) = @_;
	my $id =
	  defined $package
	  ? literal($node->query("SELECT fabric.install_chaincode($package)"))
	  : 'NULL';

	$node->query("SELECT fabric.approve_chaincode('trade', 'assets', '1', 1, $id, "
		  . literal($ANY_TWO)
		  . ')');
}

sub call
{
	my (@arguments) = @_;

	return
	  "SELECT fabric.invoke('trade', 'assets', " . join(', ', map { literal($_) } @arguments) . ')';
}

approve($org1, package_of(0));
approve($org2, package_of(1));
approve($org3, undef);
$org1->query(
	"SELECT fabric.commit_chaincode('trade', 'assets', '1', 1, " . literal($ANY_TWO) . ')');
fingerprints($network, 'trade');
my $height = height_of($org1, 'trade');

# the error shows the difference
my $error = $org1->error_of(call('put', 'k1', 5));
like($error, qr/LF309/, 'endorsements that differ are an error');
like($error, qr/"k1"/, 'the error about different endorsements names the key');
like(
	$error,
	qr/Org1MSP has "5".*Org2MSP has "6"/,
	'the error about different endorsements has the value of each organization');

# a composite key, with U+0000 before, between and after its parts, is shown whole, with nothing
# after it
$error = $org1->error_of(call('put_owned', 'Ada', "k\x{1b}[2J1"));
my $zero = "\xe2\x90\x80";
utf8::encode($error) if utf8::is_utf8($error);
like(
	$error,
	qr/LF309.* of key "${zero}owner~id${zero}Ada${zero}k\\u001b\[2J1${zero}" in "assets": Org1MSP has "0", Org2MSP has "1"\./s,
	'the error shows a composite key as text');
$error = $org1->error_of(call('tell'));
like($error, qr/LF309.*Org1MSP.*Org2MSP/s, 'different results are an error');
is(height_of($org1, 'trade'), $height, 'nothing is ordered when endorsements differ');

# a node without a package asks other nodes
is($org3->query("SELECT fabric.query('trade', 'assets', 'tell')"),
	'difference 0', 'a query at a node without the package is answered by another node');
like(
	$org3->error_of(
		"SELECT tx_id FROM fabric.submit_transaction('trade', 'assets', 'put', ARRAY['k1', '1'], endorsing_orgs => ARRAY['Org1MSP', 'Org3MSP'])"
	),
	qr/LF001.*has not installed/s,
	'a node without the package cannot endorse');
like(
	$org1->error_of(
		"SELECT tx_id FROM fabric.submit_transaction('trade', 'assets', 'put', ARRAY['k1', '1'], endorsing_orgs => ARRAY['Org1MSP', 'Org3MSP'])"
	),
	qr/LF310.*Org3MSP/s,
	'a node without the package cannot endorse for another node');
like(
	$org1->error_of(
		"SELECT tx_id FROM fabric.submit_transaction('trade', 'assets', 'put', ARRAY['k1', '1'], endorsing_orgs => ARRAY['Org1MSP', 'Org9MSP'])"
	),
	qr/LF001.*"Org9MSP"/s,
	'the error names an organization that is not in the channel');

# one organization is enough for an endorsement but not for the policy: the transaction is ordered
# and stored as invalid
is( $org1->query(
		"SELECT validation_code FROM fabric.submit_transaction('trade', 'assets', 'put', ARRAY['k1', '1'], endorsing_orgs => ARRAY['Org1MSP'])"
	),
	'ENDORSEMENT_POLICY_FAILURE',
	'a transaction with too few endorsements is invalid');
is($org1->query("SELECT count(*) FROM fabric_internal.world_state WHERE namespace = 'assets'"),
	0, 'an invalid transaction changes nothing');

# all packages are the same
approve($_, package_of(0)) foreach $org2, $org3;
is($org1->query(call('put', 'k1', 5)),
	'stored', 'the call succeeds when all organizations have the same package');
is(scalar(fingerprints($network, 'trade')), 1, 'all nodes have the same ledger');

# one organization falsifies its own state
sub set_state
{
	my ($node, $value) = @_;

	$node->query(
		"BEGIN; SET LOCAL session_replication_role = replica; UPDATE fabric_internal.world_state SET value = '$value' WHERE channel = 'trade' AND namespace = 'assets' AND key = 'k1'; COMMIT"
	);
}
set_state($org2, '500');
like(
	$org1->error_of(
		"SELECT tx_id FROM fabric.submit_transaction('trade', 'assets', 'add', ARRAY['k1', '1'], endorsing_orgs => ARRAY['Org1MSP', 'Org2MSP'])"
	),
	qr/LF309.*"k1".*Org1MSP has "6".*Org2MSP has "501"/s,
	'a falsified state causes an error when the endorsement of its organization is required');
is($org1->query(call('add', 'k1', 0)),
	'added', 'a falsified state of one organization does not stop the others');
set_state($org2, '5');
is($org1->query(call('add', 'k1', 1)),
	'added', 'the organization endorses again after its state is corrected');

# an organization is down, or does not answer: another one replaces it
$org2->kill_hard;
is($org1->query(call('add', 'k1', 1)), 'added', 'another organization replaces one that is down');
$org2->start;
fingerprints($network, 'trade');
kill 'STOP', $org2->process_id;
is($org1->query("SET fabric.endorsement_timeout = '1h'; " . call('add', 'k1', 1)),
	'added',
	'another organization replaces one that does not answer, long before the endorsement timeout');
kill 'CONT', $org2->process_id;
$_->kill_hard foreach $org2, $org3;
$error = $org1->error_of(call('add', 'k1', 1));
like($error, qr/LF310/, 'the call fails when too few organizations answer');
like(
	$error,
	qr/Org2MSP: .*Org3MSP: .*HINT/s,
	'the error names the organizations that failed, with reasons');
is($org1->query("SELECT fabric.query('trade', 'assets', 'look', 'k1')"),
	'8', 'a query needs no other node');
$_->start foreach $org2, $org3;
is(scalar(fingerprints($network, 'trade')), 1, 'all nodes have the same ledger in the end');
is($org3->query("SELECT fabric.query('trade', 'assets', 'look', 'k1')"),
	'8', 'each call takes effect once');
done_testing();
