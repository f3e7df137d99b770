# TLS certificates of an authority in the database serve both sides of PostgreSQL's connections: the
# server with host names, the client with the role as name.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../tools/lib";
use Fabric::Pki  qw(create_key create_request);
use Fabric::Host qw(spew);
use Fabric::Psql qw(literal);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $files = PostgreSQL::Test::Utils::tempdir();
my $node = PostgreSQL::Test::Cluster->new('tls');
my $port = $node->port;

$node->init;
$node->append_conf('postgresql.conf', "listen_addresses = 'localhost'\n");
$node->start;
$node->safe_psql('postgres', <<'SQL');
CREATE EXTENSION fabric CASCADE;
CREATE ROLE fabric_node_org2msp LOGIN IN ROLE fabric_node;
SQL
spew("$files/tlsca.pem",
	$node->safe_psql('postgres', "SELECT fabric.ca_create('tlsca', 'Org1MSP', kind => 'tls')")
	  . "\n");

# make a key, and the certificate for it
sub enroll
{
	my ($name, $role, $more) = @_;

	create_key("$files/$name.key");
	my $request = literal(create_request("$files/$name.key", '/CN=whatever'));
	spew(
		"$files/$name.pem",
		$node->safe_psql('postgres',
			"SELECT fabric.ca_enroll('tlsca', '$name', fabric.ca_register('tlsca', '$name', '$role'), $request$more)"
		  )
		  . "\n");
}

enroll('fabric_node_org1msp', 'peer', ", hosts => '{localhost,127.0.0.1}'");
enroll('fabric_node_org2msp', 'peer', '');
enroll('application', 'client', '');

$node->append_conf('postgresql.conf', <<"CONF");
ssl = on
ssl_cert_file = '$files/fabric_node_org1msp.pem'
ssl_key_file = '$files/fabric_node_org1msp.key'
ssl_ca_file = '$files/tlsca.pem'
CONF
spew($node->data_dir . '/pg_hba.conf', "local all all trust\nhostssl all all all cert\n", 0600);
$node->restart;

# the role of a login, or the error
sub login
{
	my ($host, $role, $name) = @_;
	my ($output, $error);

	local %ENV = map { /^PG/ ? () : ($_ => $ENV{$_}) } keys %ENV;
	IPC::Run::run(
		[
			'psql',
			'-X',
			'-A',
			'-t',
			'-d',
			"host=$host port=$port dbname=postgres user=$role sslmode=verify-full sslrootcert=$files/tlsca.pem "
			  . "sslcert=$files/$name.pem sslkey=$files/$name.key",
			'-c',
			'SELECT current_user'
		],
		'>',
		\$output,
		'2>',
		\$error);
	return $output . $error;
}

is(login('localhost', 'fabric_node_org2msp', 'fabric_node_org2msp'),
	"fabric_node_org2msp\n", 'another node logs in as its role');
is(login('127.0.0.1', 'fabric_node_org2msp', 'fabric_node_org2msp'),
	"fabric_node_org2msp\n", 'another node logs in by IP address');
like(
	login('localhost', 'fabric_node_org2msp', 'application'),
	qr/certificate authentication failed/,
	'a node cannot log in with the certificate of another node');
$node->append_conf('postgresql.conf',
	"ssl_cert_file = '$files/fabric_node_org2msp.pem'\nssl_key_file = '$files/fabric_node_org2msp.key'\n"
);
$node->restart;
like(
	login('localhost', 'fabric_node_org2msp', 'fabric_node_org2msp'),
	qr/does not match host name/,
	'a client refuses a server whose certificate lacks the host name');

# a revoked certificate is not let in
$node->append_conf('postgresql.conf',
	"ssl_cert_file = '$files/fabric_node_org1msp.pem'\nssl_key_file = '$files/fabric_node_org1msp.key'\nssl_crl_file = '$files/tlsca.crl'\n"
);
$node->safe_psql('postgres', "SELECT fabric.ca_revoke('tlsca', 'application')");
spew("$files/tlsca.crl", $node->safe_psql('postgres', "SELECT fabric.ca_crl('tlsca')") . "\n");
$node->restart;
is(login('localhost', 'fabric_node_org2msp', 'fabric_node_org2msp'),
	"fabric_node_org2msp\n", 'nodes whose certificates are not revoked still log in');
$node->safe_psql('postgres',
	"SELECT fabric.ca_revoke('tlsca', 'fabric_node_org2msp', reason => 'superseded')");
spew("$files/tlsca.crl", $node->safe_psql('postgres', "SELECT fabric.ca_crl('tlsca')") . "\n");
$node->restart;
like(login('localhost', 'fabric_node_org2msp', 'fabric_node_org2msp'),
	qr/revoked/, 'a node cannot log in with a revoked certificate');
done_testing();
