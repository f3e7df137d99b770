# No private key, passphrase or enrollment secret reaches a table, the WAL or the log. Only the
# keystore directory has keys, readable by its owner only.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../tools/lib";
use Fabric::Pki  qw(create_key create_request create_test_organization);
use Fabric::Psql qw(literal);
use File::Find;
use MIME::Base64;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $files = PostgreSQL::Test::Utils::tempdir();
my $node = PostgreSQL::Test::Cluster->new('secrets');

$node->init;
# every setting that logs more, except those that log whole statements
$node->append_conf('postgresql.conf', <<'CONF');
shared_preload_libraries = 'fabric'
log_min_messages = debug2
log_min_error_statement = debug1
log_error_verbosity = verbose
log_statement = none
log_connections = on
wal_level = logical
wal_compression = off
CONF
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION fabric CASCADE');
my $keystore = $node->data_dir . '/fabric_keystore';

create_test_organization("$files/org", 'Org1MSP', 'fabric_node_org1msp');
create_key("$files/own.key");
my ($certificate, $key, $other_key) = map { slurp_file($_) } "$files/org/user1.pem",
  "$files/org/user1.key", "$files/own.key";
my $admin_certificate = slurp_file("$files/org/admin.pem");
my $admin_key = slurp_file("$files/org/admin.key");
my $request = create_request("$files/own.key", '/CN=own');

# name => bytes that must not be found
my %secrets = (
	'a passphrase' => 'correct horse battery',
	'a wrong passphrase' => 'incorrect horse battery',
	'a passphrase in a refused statement' => 'refused horse battery',
	'a secret' => 'staple of the registrar',
	'a wrong secret' => 'staple of another user',
	'a secret in a refused statement' => 'staple that was refused');

# the lines of a key's PEM body, its bytes, and the private number among them in raw and in hex
sub remember_key
{
	my ($name, $pem) = @_;
	my @lines = grep { !/^-/ } split /\n/, $pem;
	my $der = decode_base64(join '', @lines);
	# SEC 1, inside of PKCS #8: version 1, then the number as 32 bytes
	my ($number) = $der =~ /\x02\x01\x01\x04\x20(.{32})/s or die "no P-256 key in $name";

	$secrets{"line $_ of $name"} = $lines[$_] foreach 0 .. $#lines;
	$secrets{"the bytes of $name"} = $number;
	$secrets{"the digits of $name"} = unpack('H*', $number);
}

remember_key('the plain key', $key);
remember_key('the encrypted key', $admin_key);
remember_key('the refused key', $other_key);

# the statement that a client sends, literally; $status tells whether it must succeed
sub statement
{
	my ($expected, $sql) = @_;
	my ($status, $output, $error) = $node->psql('postgres', $sql);

	is($status == 0 ? 'done' : 'refused', $expected, substr($sql, 0, 50) =~ s/\s+/ /gr)
	  or diag($error);
	return $output;
}

sub call
{
	my ($function, @arguments) = @_;

	return "SELECT fabric.$function(" . join(', ', map { literal($_) } @arguments) . ');';
}

statement(done => call('ca_create', 'ca', 'Org1MSP'));
statement(done => call('ca_register', 'ca', 'user', 'client', $secrets{'a secret'}));
$secrets{'a secret that was made'} = statement(done => call('ca_register', 'ca', 'other'));
my $enrolled = statement(done => call('ca_enroll', 'ca', 'user', $secrets{'a secret'}, $request));
statement(refused => call('ca_enroll', 'ca', 'user', $secrets{'a wrong secret'}, $request));
statement(refused => call('ca_enroll', 'ca', 'nosuch', $secrets{'a wrong secret'}, $request));
statement(refused => call('ca_enroll', 'ca', 'user', $secrets{'a secret'}, 'no request'));
statement(refused => call('ca_enroll', 'ca', 'user', $secrets{'a secret'}, $request, 'no profile'));
statement(refused => call('ca_enroll', 'nosuch', 'user', $secrets{'a secret'}, $request));
statement(refused =>
	  call('ca_register', 'ca', 'user', 'client', $secrets{'a secret in a refused statement'}));
statement(refused =>
	  call('ca_register', 'ca', 'x', 'no role', $secrets{'a secret in a refused statement'}));
statement(
	refused => call(
		'ca_register', 'ca', 'x', 'client', $secrets{'a secret in a refused statement'},
		'{"a": 1}'));

statement(done => call('add_identity', 'plain', 'Org1MSP', $certificate, $key));
statement(
	done => call(
		'add_identity', 'encrypted', 'Org1MSP', $admin_certificate,
		$admin_key, $secrets{'a passphrase'}));
statement(done => call('grant_identity', 'encrypted', 'fabric_client')
	  . call('open_identity', 'encrypted', $secrets{'a passphrase'}));
statement(refused => call('open_identity', 'encrypted', $secrets{'a wrong passphrase'}));
statement(refused => call('open_identity', 'nosuch', $secrets{'a wrong passphrase'}));
statement(refused => call('add_identity', 'plain', 'Org1MSP', $certificate, $key));
statement(refused => call('add_identity', 'x', 'Org1MSP', $certificate, $other_key));
statement(
	refused => call(
		'add_identity', 'x', 'Org1MSP', $certificate, $other_key,
		$secrets{'a passphrase in a refused statement'}));
statement(
	refused => call(
		'add_identity', 'encrypted',
		'Org1MSP', $admin_certificate,
		$admin_key, $secrets{'a passphrase in a refused statement'}));
statement(refused => call('add_identity', 'x', 'Org1MSP', "nonsense", $other_key));
statement(refused => call('add_identity', '', 'Org1MSP', $certificate, $key));
# inside a function, whose context names the statement; prepared; in a transaction that is rolled
# back
statement(refused => 'DO $do$ BEGIN PERFORM '
	  . (call('add_identity', 'x', 'Org1MSP', $certificate, $other_key) =~ s/^SELECT //r)
	  . ' END $do$');
statement(refused => 'PREPARE p AS SELECT fabric.open_identity($1, $2); EXECUTE p('
	  . join(', ', map { literal($_) } 'encrypted', $secrets{'a wrong passphrase'})
	  . ');');
statement(
	done => 'BEGIN;' . call('add_identity', 'gone', 'Org1MSP', $certificate, $key) . 'ROLLBACK;');
# a label dropped and added again leaves one key
statement(done => 'BEGIN;'
	  . call('drop_identity', 'plain')
	  . call('add_identity', 'plain', 'Org1MSP', $certificate, $key)
	  . 'COMMIT;');

# the keystore: only its owner can enter and read it, and it has no other files
is((stat $keystore)[2] & 07777, 0700, 'only the owner can enter the keystore');
my @keys = glob "$keystore/*";
is(scalar @keys, 2, 'the keystore has the key of the authority and that of the identity')
  or diag("@keys");
is((stat $_)[2] & 07777, 0600, 'a key is readable by its owner only') foreach @keys;
my ($authority_file) = grep { /ca_/ } @keys;
remember_key("the authority's key", slurp_file($authority_file));
ok((grep { slurp_file($_) eq $key } @keys), 'the key of the identity is in the keystore');

# a keystore directory that others can enter is not used
chmod 0750, $keystore;
like(
	(   $node->psql(
			'postgres',
			"\\set VERBOSITY verbose\n" . call('add_identity', 'x', 'Org1MSP', $certificate, $key))
	)[2],
	qr/LF005: .*fabric_keystore.*HINT: .*0700/s,
	'a keystore that other users can enter is refused');
chmod 0700, $keystore;

# the places in the data directory (without the keystore) and in the log that have these bytes
sub places
{
	my ($node, @wanted) = @_;
	my $pattern = join '|', map { quotemeta } @wanted;
	my @found;

	find(
		{
			no_chdir => 1,
			wanted => sub {
				return $File::Find::prune = 1 if $_ eq $keystore;
				return unless -f $_;
				open(my $handle, '<:raw', $_) or return;
				local $/;
				push @found, $_ if <$handle> =~ /$pattern/;
			}
		},
		$node->data_dir,
		$node->logfile);
	return @found;
}

$node->safe_psql('postgres', 'CHECKPOINT; SELECT pg_switch_wal();');
$node->stop;
# the search works: it finds a certificate in a table and in the WAL, and the text of an error in
# the log
my ($body) = $enrolled =~ /CERTIFICATE-----\n.*\n(.*)\n/;
ok((grep { m{/base/} } places($node, $body)), 'the search finds a certificate in a table');
ok((grep { m{/pg_wal/} } places($node, $body)), 'the search finds a certificate in the WAL');
is_deeply(
	[ places($node, 'enrollment refused') ],
	[ $node->logfile ],
	'the search finds an error in the log');
foreach my $name (sort keys %secrets)
{
	is_deeply([ places($node, $secrets{$name}) ],
		[], "$name is neither in the data directory nor in the log");
}

# An operator who turns on logging of whole statements gets them with their secrets, except for
# secrets that are parameters.
$node->append_conf('postgresql.conf', "log_statement = all\n");
$node->start;
statement(done => call('ca_register', 'ca', 'logged', 'client', 'a secret that is logged'));
is_deeply(
	[ places($node, 'a secret that is logged') ],
	[ $node->logfile ],
	'log_statement = all writes a secret in a statement to the log');
$node->stop;
done_testing();
