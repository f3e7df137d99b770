# A node logs in at another node with its TLS certificate only, and only as itself.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use FabricTest;
use Fabric::Pki;
use Test::More;

my $network = FabricTest::start_network(orgs => 3, orderers => 1, channel => 'trade');
my ($org1, $org2, $org3) = $network->nodes;
my $keys = $org1->path('keys');
my $good = "host=localhost port=$org2->{port} dbname=fabric user=$org1->{role} sslmode=verify-full sslrootcert=$keys/tlscas.pem sslcert=$keys/tls.pem sslkey=$keys/tls.key";

sub login
{
	my ($connection) = @_;
	my ($output, $error);

	local %ENV = map { /^PG/ ? () : ($_ => $ENV{$_}) } keys %ENV;
	IPC::Run::run([ 'psql', '-X', '-w', '-A', '-t', '-d', $connection, '-c', 'SELECT current_user' ], '>', \$output, '2>', \$error);
	return $output . $error;
}

is(login($good), "$org1->{role}\n", 'a node logs in at another');
like(login($good =~ s/user=\S+/user=$org3->{role}/r), qr/certificate authentication failed/, 'not as another node');
like(login($good =~ s/user=\S+/user=postgres/r), qr/no password supplied/, 'not as a role that is no node');
like(login($good =~ s/sslcert=\S+ sslkey=\S+//r), qr/valid client certificate/, 'not without a certificate');
like(login($good =~ s/sslmode=\S+/sslmode=disable/r), qr/rejects connection/, 'not without TLS');

# a certificate with the right name from an authority that is not the network's
Fabric::Pki::create_authority("$keys/foreign", '/O=Foreign/CN=foreign');
Fabric::Pki::issue_tls("$keys/foreign", "$keys/forged", $org1->{msp_id}, $org1->{role}, 'localhost');
like(login($good =~ s/tls\.pem/forged.pem/r =~ s/tls\.key/forged.key/r), qr/unknown ca|certificate verify failed/i, 'not with a certificate of a foreign authority');
unlike(login($good =~ s/dbname=fabric/dbname=postgres/r), qr/^\Q$org1->{role}\E$/m, 'not in another database');

# what node roles may not call: nothing but the functions for nodes
like(login($good) . ($org2->try_query("SET ROLE $org1->{role}; SELECT count(*) FROM fabric_internal.raft_log"))[1], qr/permission denied/, 'tables are closed to node roles');

# a Raft message is taken from a consenter's own connection only: here there is no TLS certificate at all
like(($org2->try_query("SELECT fabric_internal.raft_receive('trade', 1, '\\x52')"))[1], qr/ERROR/, 'a Raft message without a TLS certificate is refused');
done_testing();
