package Fabric::Pki;

# Pki: keys, signing requests and certificates made with the openssl command.
#
# Networks use it for TLS, where every organization has its own TLS authority, and for the keys and
# requests that the authorities in the database sign. Tests use it to make whole organizations with
# certificates of a foreign authority.

use strict;
use warnings;
use Exporter     qw(import);
use Fabric::Host qw(run slurp spew);
use File::Path   qw(make_path);
use File::Temp   qw(tempdir);
use POSIX        qw(strftime);

our @EXPORT_OK =
  qw(create_key create_request create_authority certify certify_between issue issue_tls
  create_test_organization);

# a P-256 key in PKCS #8 PEM, readable by its owner only
sub create_key
{
	my ($path) = @_;

	spew($path, '', 0600);
	run('openssl', 'genpkey', '-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256', '-out',
		$path);
	chmod 0600, $path;
}

# a signing request (PEM text) for the key in $key_path; $subject such as "/C=DE/O=Org1/CN=node"
sub create_request
{
	my ($key_path, $subject) = @_;

	return run('openssl', 'req', '-new', '-utf8', '-sha256', '-key', $key_path, '-subj', $subject);
}

# make a self-signed authority: $path.pem and $path.key
sub create_authority
{
	my ($path, $subject) = @_;

	create_key("$path.key");
	run('openssl', 'req',
		'-new', '-x509',
		'-utf8', '-sha256',
		'-days', '3650',
		'-key', "$path.key",
		'-subj', $subject,
		'-out', "$path.pem",
		'-config', empty_config(),
		'-addext', 'basicConstraints=critical,CA:TRUE',
		'-addext', 'keyUsage=critical,digitalSignature,keyEncipherment,keyCertSign,cRLSign',
		'-addext', 'subjectKeyIdentifier=hash');
}

# a certificate for $subject with a new key: $path.pem and $path.key; %options as for certify
sub issue
{
	my ($authority, $path, $subject, %options) = @_;

	create_key("$path.key");
	spew("$path.pem", certify($authority, create_request("$path.key", $subject), %options));
}

# The certificate (PEM text) that an authority makes of a signing request. %options: extensions =>
# [lines of openssl's syntax], days
sub certify
{
	my ($authority, $request, %options) = @_;
	my $directory = tempdir(CLEANUP => 1);
	my $extensions = join("\n",
		'basicConstraints=critical,CA:FALSE',
		'subjectKeyIdentifier=hash',
		'authorityKeyIdentifier=keyid',
		@{ $options{extensions} // ['keyUsage=critical,digitalSignature'] });

	spew("$directory/request.pem", $request);
	spew("$directory/extensions", "$extensions\n");
	run('openssl', 'x509', '-req', '-sha256',
		'-in', "$directory/request.pem", '-CA', "$authority.pem",
		'-CAkey', "$authority.key", '-set_serial', '0x' . serial(),
		'-days', $options{days} // 3650, '-extfile', "$directory/extensions",
		'-out', "$directory/certificate.pem");
	return slurp("$directory/certificate.pem");
}

# The same for a chosen time: seconds since 1970. "openssl x509" accepts only a number of days from
# now, "openssl ca" needs files of its own
sub certify_between
{
	my ($authority, $request, $from, $until) = @_;
	my $directory = tempdir(CLEANUP => 1);

	spew("$directory/request.pem", $request);
	spew("$directory/index", '');
	spew("$directory/serial", serial() . "\n");
	spew("$directory/ca.conf", <<"CONF");
[ca]
default_ca = authority
[authority]
database = $directory/index
new_certs_dir = $directory
serial = $directory/serial
default_md = sha256
policy = names
x509_extensions = extensions
[names]
organizationName = optional
organizationalUnitName = optional
commonName = supplied
[extensions]
basicConstraints = critical,CA:FALSE
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
keyUsage = critical,digitalSignature
CONF
	run('openssl', 'ca', '-batch', '-notext',
		'-config', "$directory/ca.conf", '-cert', "$authority.pem",
		'-keyfile', "$authority.key", '-in', "$directory/request.pem",
		'-startdate', certificate_time($from), '-enddate', certificate_time($until),
		'-out', "$directory/certificate.pem");
	return slurp("$directory/certificate.pem");
}

sub certificate_time
{
	return strftime('%Y%m%d%H%M%SZ', gmtime $_[0]);
}

# a TLS certificate for both directions of connections between nodes; the common name is the node's
# role at other nodes
sub issue_tls
{
	my ($authority, $path, $organization, $role, @hosts) = @_;
	my @names = map { /^[\d.]+$/ ? "IP:$_" : "DNS:$_" } @hosts;

	issue(
		$authority,
		$path,
		"/O=$organization/CN=$role",
		extensions => [
			'keyUsage=critical,digitalSignature,keyEncipherment',
			'extendedKeyUsage=serverAuth,clientAuth',
			'subjectAltName=' . join(',', @names)
		]);
}

# 16 random bytes in hex, positive as a DER integer
sub serial
{
	open(my $handle, '<:raw', '/dev/urandom') or die "could not open /dev/urandom: $!\n";
	read($handle, my $bytes, 16) == 16 or die "could not read /dev/urandom\n";
	close $handle;
	return sprintf('%02x', 0x40 | (ord($bytes) & 0x3f)) . unpack('H*', substr($bytes, 1));
}

# without a configuration file openssl adds no extensions of its own
sub empty_config
{
	our $config_directory //= tempdir(CLEANUP => 1);

	spew("$config_directory/openssl.cnf", "[req]\ndistinguished_name = dn\n[dn]\n");
	return "$config_directory/openssl.cnf";
}

# A whole organization in $directory, as a foreign tool makes it: authority ca, identities node (OU
# peer), admin and user1 with Fabric's NodeOUs, TLS authority tlsca and the node's TLS certificate
# tls; each NAME.pem and NAME.key.
sub create_test_organization
{
	my ($directory, $msp_id, $node_role) = @_;

	make_path($directory);
	create_authority("$directory/ca", "/O=$msp_id/CN=ca.$msp_id");
	issue("$directory/ca", "$directory/node", "/O=$msp_id/OU=peer/CN=node.$msp_id");
	issue("$directory/ca", "$directory/admin", "/O=$msp_id/OU=admin/CN=admin.$msp_id");
	issue("$directory/ca", "$directory/user1", "/O=$msp_id/OU=client/CN=user1.$msp_id");
	create_authority("$directory/tlsca", "/O=$msp_id/CN=tlsca.$msp_id");
	issue_tls("$directory/tlsca", "$directory/tls", $msp_id, $node_role, 'localhost', '127.0.0.1');
}

1;
