# Wrong certificates and keys: each is refused with an error that says what to do.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use FabricTest qw(
  start_network deploy_registry invoke create_vehicle fingerprints wait_until eventually_like
  $ANY_TWO);
use Fabric::Host qw(slurp spew);
use Fabric::Pki  qw(certify_between create_authority create_key create_request issue issue_tls);
use Fabric::Psql qw(literal);
use File::Copy   qw(copy);
use Test::More;

my $network = start_network(orgs => 3, orderers => 3, channel => 'trade');
my ($org1, $org2, $org3) = my @nodes = $network->nodes;
my $keys = $org1->path('keys');
deploy_registry($network, policy => $ANY_TWO);

# ---- logins of nodes ----

my $good =
  "host=localhost port=$org2->{port} dbname=fabric user=$org1->{role} sslmode=verify-full sslrootcert=$keys/tlscas.pem sslcert=$keys/tls.pem sslkey=$keys/tls.key";

sub login
{
	my ($connection, $sql) = @_;
	my ($output, $error);

	local %ENV = map { /^PG/ ? () : ($_ => $ENV{$_}) } keys %ENV;
	IPC::Run::run(
		[
			'psql', '-X', '-w', '-A', '-t', '-v', 'VERBOSITY=verbose', '-d', $connection, '-c',
			$sql // 'SELECT current_user'
		],
		'>',
		\$output,
		'2>',
		\$error);
	return $output . $error;
}

# the login succeeded if the statement is refused: the refusal names the role of the session
my $logged_in =
  qr/42501: this statement is not allowed in a session of another node.*Role "\Q$org1->{role}\E"/s;
like(login($good), $logged_in, 'a node logs in at another node');
like(
	login($good =~ s/user=\S+/user=$org3->{role}/r),
	qr/certificate authentication failed/,
	'a node cannot log in as another node');
like(
	login($good =~ s/user=\S+/user=postgres/r),
	qr/no password supplied/,
	'a node cannot log in as a role that does not belong to a node');
like(
	login($good =~ s/sslcert=\S+ sslkey=\S+//r),
	qr/valid client certificate/,
	'a node cannot log in without a certificate');
like(
	login($good =~ s/sslmode=\S+/sslmode=disable/r),
	qr/rejects connection/,
	'a node cannot log in without TLS');
unlike(
	login($good =~ s/dbname=fabric/dbname=postgres/r),
	qr/\Q$org1->{role}\E"? is a member/,
	'a node cannot log in to another database');
# a certificate with the right name from an authority that is not the network's
create_authority("$keys/foreign", '/O=Foreign/CN=foreign');
issue_tls("$keys/foreign", "$keys/forged", $org1->{msp_id}, $org1->{role}, 'localhost');
like(
	login($good =~ s/tls\.pem/forged.pem/r =~ s/tls\.key/forged.key/r),
	qr/unknown ca|certificate verify failed/i,
	'a node cannot log in with a certificate of a foreign authority');
# a server whose authority this node does not trust
like(
	login($good =~ s/tlscas\.pem/foreign.pem/r),
	qr/certificate verify failed/,
	'a node does not connect to a server whose authority it does not trust');

# ---- Raft messages: only from the consenter's own certificate ----

sub raft_receive
{
	my ($sender) = @_;

	return "SELECT fabric_internal.raft_receive('trade', $sender, '\\x52')";
}

like(login($good, raft_receive(1)), qr/^[tf]$/m, "a consenter's message is accepted");
like(
	login($good, raft_receive(3)),
	qr/LF203.*not consenter 3.*DETAIL/s,
	'a node cannot send messages in the name of another consenter');
like(login($good, raft_receive(7)),
	qr/LF203/, 'a node cannot send messages in the name of a consenter that does not exist');
issue_tls($org1->path('tlsca'), "$keys/second", $org1->{msp_id}, $org1->{role}, 'localhost');
my $second = $good =~ s/tls\.pem/second.pem/r =~ s/tls\.key/second.key/r;
like(login($second), $logged_in,
	'a node logs in with another certificate of the same organization');
like(login($second, raft_receive(1)),
	qr/LF203/, 'a certificate with another key is not that of the consenter');
like($org2->error_of(raft_receive(1)),
	qr/LF203|LF1/, 'a session without a certificate cannot send Raft messages');
like(login($good, 'SELECT count(*) FROM fabric_internal.raft_log'),
	qr/42501/, 'a node role cannot read tables');
like(login($good, create_vehicle('V0')), qr/42501/, 'a node role cannot invoke chaincode');
$org2->query('CREATE ROLE plain LOGIN; CREATE ROLE client LOGIN IN ROLE fabric_client');

foreach my $role ('plain', 'client')
{
	like($org2->error_of($_, user => $role),
		qr/42501/, "role $role may not call the functions for nodes")
	  foreach raft_receive(1), "SELECT fabric_internal.submit('trade', '\\x')",
	  "SELECT fabric_internal.endorse('\\x', 0, 0)", "SELECT fabric_internal.deliver('\\x', 1, 1)";
}

# ---- identities of clients ----

sub add_identity
{
	my ($label, $msp_id, $certificate, $key) = @_;

	$org1->query('SELECT fabric.add_identity('
		  . join(', ', map { literal($_) } $label, $msp_id, slurp($certificate), slurp($key))
		  . '), '
		  . "fabric.grant_identity('$label', 'app')");
}

my $vehicle = 0;

sub attempt
{
	my ($label) = @_;

	return $org1->error_of(
		"BEGIN; SET LOCAL fabric.identity = '$label'; " . create_vehicle('V' . ++$vehicle),
		user => 'app');
}

$org1->query('CREATE ROLE app LOGIN IN ROLE fabric_client');
create_key("$keys/short.key");
my $now = time;
spew(
	"$keys/short.pem",
	certify_between(
		$org1->path('ca'), create_request("$keys/short.key", '/O=Org1MSP/OU=client/CN=short'),
		$now, $now + 20));
add_identity('short', 'Org1MSP', "$keys/short.pem", "$keys/short.key");
is(attempt('short'), '', 'an identity with a valid certificate invokes');
issue("$keys/foreign", "$keys/stranger", '/O=Org9MSP/OU=client/CN=stranger');
add_identity('unknown-msp', 'Org9MSP', "$keys/stranger.pem", "$keys/stranger.key");
like(attempt('unknown-msp'), qr/LF104.*"?Org9MSP/s,
	'an identity of an organization that is not a member is refused');
add_identity('false-msp', 'Org1MSP', "$keys/stranger.pem", "$keys/stranger.key");
like(attempt('false-msp'), qr/LF105|LF101/,
	"an identity whose certificate is not from its organization's authority is refused");
like(
	$org1->error_of(
		'SELECT fabric.add_identity('
		  . join(', ',
			map { literal($_) } 'mixed', 'Org1MSP',
			slurp("$keys/stranger.pem"), slurp("$keys/forged.key"))
		  . ')'),
	qr/LF102/,
	'a key that does not belong to the certificate is not stored');
# a client's certificate is no administrator's
issue($org1->path('ca'), "$keys/client", '/O=Org1MSP/OU=client/CN=client');
$org1->query('GRANT fabric_admin TO app');
add_identity('only-client', 'Org1MSP', "$keys/client.pem", "$keys/client.key");
is(attempt('only-client'), '', "a client's identity invokes");
like(
	$org1->error_of(
		"BEGIN; SET LOCAL fabric.identity = 'only-client'; SELECT fabric.approve_chaincode('trade', 'vehicles', '2', 2, NULL)",
		user => 'app'),
	qr/access denied.*administrators of organization "Org1MSP"/s,
	"a client's identity cannot approve chaincode");
ok(wait_until(sub { attempt('short') =~ /LF106.*HINT:\s+Enroll again/s }),
	'an identity with an expired certificate is refused');

# ---- the node's own key ----

copy("$keys/node.key", "$keys/kept.key");

sub with_node_key
{
	my ($change) = @_;

	$change->();
	my $error = $org1->error_of(create_vehicle('V' . ++$vehicle));
	my (undef, $elsewhere, $status) = $org2->try_query(create_vehicle('V' . ++$vehicle));
	is($status, 0, 'other organizations commit transactions without this node') or diag($elsewhere);
	unlink "$keys/node.key";
	spew("$keys/node.key", slurp("$keys/kept.key"), 0600);
	return $error;
}

like(
	with_node_key(sub { chmod 0644, "$keys/node.key" }),
	qr/LF102.*could not use file.*access to the private key.*HINT:.*0600/s,
	'a key file that others can read is refused');
like(
	with_node_key(sub { unlink "$keys/node.key" }),
	qr/LF005.*could not use file.*No such file.*HINT/s,
	'the error names a missing key file');
like(
	with_node_key(sub { spew("$keys/node.key", slurp("$keys/forged.key"), 0600) }),
	qr/LF102.*HINT:.*fabric\.node_key_file/s,
	'a key that does not belong to the certificate is refused');
like(with_node_key(sub { spew("$keys/node.key", "nonsense\n", 0600) }),
	qr/LF102/, 'a file without a key is refused');
# this session has used the good key before
my $refusals = with_node_key(sub { 1 }) . join(
	'',
	(   $org1->try_query(
			join(
				"\n",
				'\set VERBOSITY verbose',
				'\set ON_ERROR_STOP 0',
				create_vehicle('V' . ++$vehicle) . ';',
				"\\! echo nonsense > $keys/node.key",
				# sleep: a session looks at the file once a second at most
				'SELECT pg_sleep(1.1);',
				map { create_vehicle('V' . ++$vehicle) . ';' } 1 .. 2)))[1]);
is(() = $refusals =~ /LF102/g, 2, 'a session does not use a key whose file has become invalid')
  or diag($refusals);
spew("$keys/node.key", slurp("$keys/kept.key"), 0600);
ok(wait_until(sub { $org1->error_of(create_vehicle('V' . ++$vehicle)) eq '' }),
	'the node endorses again with its own key');

# ---- TLS as a client of other nodes ----

copy("$keys/tls.key", "$keys/open.key");
chmod 0644, "$keys/open.key";
foreach my $case (
	[
		'a TLS key that others can read',
		"fabric.tls_key_file = '$keys/open.key'",
		qr/LF310.*group or world access/s
	],
	[
		'a TLS certificate of another organization',
		"fabric.tls_certificate_file = '$keys/forged.pem'\nfabric.tls_key_file = '$keys/forged.key'",
		qr/LF310.*(unknown ca|certificate)/s
	],
	[
		'authorities that the others are not from',
		"fabric.tls_ca_file = '$keys/foreign.pem'",
		qr/LF310.*certificate verify failed/s
	])
{
	my ($name, $settings, $words) = @$case;

	$org1->set("$settings\n");
	eventually_like(sub { $org1->error_of(create_vehicle('V' . ++$vehicle)) },
		$words, "$name: no node endorses, and the error has the reason");
	$org1->set(
		"fabric.tls_certificate_file = '$keys/tls.pem'\nfabric.tls_key_file = '$keys/tls.key'\nfabric.tls_ca_file = '$keys/tlscas.pem'\n"
	);
}
ok( wait_until(sub { $org1->error_of(create_vehicle('V' . ++$vehicle)) eq '' }),
	'the node commits transactions again with the correct files');
is(scalar(fingerprints($network, 'trade')), 1, 'all nodes have the same ledger in the end');
done_testing();
