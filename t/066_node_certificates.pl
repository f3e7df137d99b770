# The certificates with which nodes sign and connect: renewed while the nodes run, of the wrong
# role, of another organization, expired. A block that other nodes would refuse is not stored, the
# organization is replaced, and the error gives the reason.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use FabricTest qw(
  start_network deploy_registry create_vehicle fingerprints wait_until eventually_is
  eventually_like seconds_passed height_of $ANY_TWO);
use Fabric::Host qw(slurp spew);
use Fabric::Pki  qw(certify certify_between create_key create_request issue);
use Fabric::Psql qw(start_query finish_query literal);
use Test::More;

my $network = start_network(orgs => 3, orderers => 1, channel => 'trade');
my ($org1, $org2, $org3) = my @nodes = $network->nodes;
deploy_registry($network, policy => $ANY_TWO);
my $vehicle = 0;

sub attempt
{
	my ($node) = @_;

	return $node->error_of(
		"SET fabric.endorsement_timeout = '20s'; " . create_vehicle('V' . ++$vehicle));
}

# the result of a transaction that exactly these two organizations endorse
sub insist
{
	my ($node, @organizations) = @_;
	my $names = join(', ', map { "'$_'" } @organizations);
	my ($code, $error, $status) = $node->try_query(
		"\\set VERBOSITY verbose\nSELECT validation_code FROM fabric.submit_transaction('trade', 'vehicles', 'create_vehicle', "
		  . "ARRAY['V"
		  . ++$vehicle
		  . "', 'Volvo', 'V60', '2020', 'Ada', '1'], endorsing_orgs => ARRAY[$names])");

	return $status == 0 ? $code : $error;
}

# replace the node's key and certificate; its processes look once a second
sub set_certificate
{
	my ($node, $key, $certificate) = @_;
	my $keys = $node->path('keys');

	spew("$keys/new.key", $key, 0600);
	spew("$keys/new.pem", $certificate);
	rename("$keys/new.key", "$keys/node.key") && rename("$keys/new.pem", "$keys/node.pem")
	  or die "could not replace the node's certificate: $!\n";
	my $until = time + 2;
	wait_until(sub { seconds_passed($until) });
}

my $keys = $org2->path('keys');
my @own = (slurp("$keys/node.key"), slurp("$keys/node.pem"));
create_key("$keys/second.key");
my $second = slurp("$keys/second.key");
my $now = time;

# ---- one organization has several certificates of each role ----

set_certificate($org2, $second,
	certify($org2->path('ca'), create_request("$keys/second.key", '/OU=peer/CN=second')));
is(insist($org1, 'Org1MSP', 'Org2MSP'),
	'VALID', 'a node with a renewed certificate and another key endorses');
is(attempt($org2), '', 'a node with a renewed certificate endorses for its own sessions');
is(scalar(fingerprints($network, 'trade')), 1, 'all nodes have the same ledger');
$network->create_identity($org2, 'second.admin', 'admin');
$org2->query("SELECT fabric.grant_identity('second.admin', current_user)");
is( $org2->error_of(
		"BEGIN; SET LOCAL fabric.identity = 'second.admin'; SELECT fabric.approve_chaincode('trade', 'other', '1', 1, NULL)"
	),
	'',
	'a second administrator of the organization can approve chaincode');
issue($org3->path('ca'), "$keys/foreign", '/OU=admin/CN=foreign');
$org2->query(
	'SELECT fabric.add_identity('
	  . join(', ',
		map { literal($_) } 'foreign.admin', 'Org3MSP',
		slurp("$keys/foreign.pem"), slurp("$keys/foreign.key"))
	  . "), fabric.grant_identity('foreign.admin', current_user)");
like(
	$org2->error_of(
		"BEGIN; SET LOCAL fabric.identity = 'foreign.admin'; SELECT fabric.approve_chaincode('trade', 'third', '1', 1, NULL)"
	),
	qr/access denied.*administrators of organization "Org2MSP"/s,
	"another organization's administrator cannot approve chaincode");

# ---- another role, which no policy accepts ----

set_certificate($org2, $second,
	certify($org2->path('ca'), create_request("$keys/second.key", '/OU=client/CN=second')));
is(attempt($org1), '', 'another organization replaces a node that signs as a client');
is(attempt($org2), '',
	"another organization replaces the caller's own node that signs as a client");
eventually_is(sub { insist($org1, 'Org1MSP', 'Org2MSP') },
	'ENDORSEMENT_POLICY_FAILURE',
	'a call that requires the node that signs as a client is invalid');
$org3->stop;
like(
	attempt($org1),
	qr/LF310.*Org2MSP: the certificate that it signed with does not have the role peer.*Org3MSP|LF310.*Org3MSP.*Org2MSP: the certificate/s,
	"the error names the wrong role when the node's endorsement is required");
$org3->start;

# ---- a certificate of another organization ----

set_certificate($org2, $second,
	certify($org3->path('ca'), create_request("$keys/second.key", '/OU=peer/CN=second')));
is(attempt($org1), '',
	"another organization replaces a node with another organization's certificate");
like(
	insist($org1, 'Org1MSP', 'Org2MSP'),
	qr/LF310.*Org2MSP: this node cannot sign anything on channel "trade"/s,
	'a call that requires the node fails with this reason, and does not say that the node lacks blocks'
);
like(
	attempt($org2),
	qr/LF105: this node cannot sign anything on channel "trade".*DETAIL:.*HINT:\s+Check fabric\.node_certificate_file/s,
	"an error in the node's own session has a hint");
set_certificate($org2, @own);
is(insist($org2, 'Org1MSP', 'Org2MSP'), 'VALID',
	'the node endorses again with its own certificate');
$org2->set("fabric.node_msp_id = 'Org9MSP'\n");
eventually_like(
	sub { insist($org1, 'Org1MSP', 'Org2MSP') },
	qr/LF310.*Org2MSP: .*Org9MSP/s,
	'a node whose fabric.node_msp_id is not a member of the channel cannot endorse');
$org2->set("fabric.node_msp_id = 'Org2MSP'\n");

# an orderer stores no block that the others would refuse: a stored block cannot be signed again
my @orderers_own = map { slurp($org1->path("keys/$_")) } 'node.key', 'node.pem';
is(scalar(fingerprints($network, 'trade')), 1, 'all nodes have the same ledger');
my $height = height_of($org1, 'trade');
set_certificate($org1, $second,
	certify($org2->path('ca'), create_request("$keys/second.key", '/OU=peer/CN=second')));
my $session = start_query($org2->connection,
	"SELECT validation_code FROM fabric.submit_transaction('trade', 'vehicles', 'create_vehicle', ARRAY['late', 'a', 'b', '1', 'c', '1'], endorsing_orgs => ARRAY['Org2MSP', 'Org3MSP'])"
);
ok( wait_until(
		sub {
			$org1->query("SELECT last_error FROM fabric.stat_workers WHERE kind = 'ledger'") =~
			  /cannot sign anything on channel "trade"/;
		}),
	'fabric.stat_workers shows why the ledger process does not continue');
is( join(' ', map { height_of($_, 'trade') } @nodes),
	"$height $height $height",
	'no node has another block');
set_certificate($org1, @orderers_own);
like((finish_query($session))[0],
	qr/^VALID$/m,
	'the orderer continues with its own certificate, and waiting sessions get their results');
is(scalar(fingerprints($network, 'trade')), 1, 'all nodes have the same ledger');

# ---- expired ----

# as in Fabric, signatures of nodes stay valid when their certificate expires, because old blocks
# must verify; only clients need a certificate that is valid now
set_certificate(
	$org2, $second,
	certify_between(
		$org2->path('ca'), create_request("$keys/second.key", '/O=Org2MSP/OU=peer/CN=second'),
		$now, time + 2));
my $expired_at = time + 3;
wait_until(sub { seconds_passed($expired_at) });
is(insist($org1, 'Org1MSP', 'Org2MSP'),
	'VALID', "an endorsement counts after the node's certificate has expired");
set_certificate($org2, @own);

# TLS accepts no expired certificate on either side of a connection
my $from = slurp("$keys/tls.pem");
create_key("$keys/old.key");
chmod 0600, "$keys/old.key";
spew(
	"$keys/old.pem",
	certify_between(
		$org2->path('tlsca'),
		create_request("$keys/old.key", "/O=Org2MSP/CN=$org2->{role}"),
		$now, time + 1));
$expired_at = time + 2;
wait_until(sub { seconds_passed($expired_at) });
$org2->set(
	"fabric.tls_certificate_file = '$keys/old.pem'\nfabric.tls_key_file = '$keys/old.key'\n");
eventually_like(
	sub { attempt($org2) },
	qr/LF310.*(certificate.*expired|expired.*certificate)/s,
	'other nodes refuse the login with an expired TLS certificate, and the error has the reason');
$org2->set(
	"fabric.tls_certificate_file = '$keys/tls.pem'\nfabric.tls_key_file = '$keys/tls.key'\nssl_cert_file = '$keys/old.pem'\nssl_key_file = '$keys/old.key'\n"
);
# the relay makes its connections again
$org1->reload;
eventually_like(
	sub { insist($org1, 'Org1MSP', 'Org2MSP') },
	qr/LF310.*Org2MSP: .*certificate (verify failed|has expired)/s,
	'other nodes refuse a server with an expired certificate');
is(attempt($org1), '', 'another organization replaces the node with an expired certificate');
$org2->set("ssl_cert_file = '$keys/tls.pem'\nssl_key_file = '$keys/tls.key'\n");
ok(wait_until(sub { insist($org1, 'Org1MSP', 'Org2MSP') eq 'VALID' }),
	'the node endorses again with its own certificate');

is(scalar(fingerprints($network, 'trade')), 1, 'all nodes have the same ledger in the end');
is($_->query("SELECT count(*) FROM fabric.verify_chain('trade')"),
	0, "$_->{name} verifies its chain without a problem")
  foreach @nodes;
done_testing();
