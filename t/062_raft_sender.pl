# A Raft message counts only over the connection of its consenter: the TLS client certificate is the
# one in the channel configuration.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use FabricTest;
use Test::More;

my $network = FabricTest::start_network(orgs => 3, orderers => 2, channel => 'trade');
my ($org1, $org2, $org3) = $network->nodes;

# the result of a function of org2's node for another node that logs in with its own certificate
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
			"host=localhost port=$org2->{port} dbname=fabric user=$node->{role} sslmode=verify-full sslrootcert=$keys/tlscas.pem sslcert=$keys/tls.pem sslkey=$keys/tls.key",
			'-c',
			"SELECT fabric_internal.$function"
		],
		'>',
		\$output,
		'2>',
		\$error);
	return $output . $error;
}

is(call_as($org1, "raft_receive('trade', 1, '\\x52')"),
	"t\n", 'a message of a consenter in its own name is accepted and checked later');
# an envelope that no block can hold would stop the channel, so envelopes are checked before they
# are accepted
like(call_as($org1, "raft_forward('trade', 1, '\\x52')"),
	qr/LF002/, 'raft_forward decodes envelopes before it accepts them');
like(call_as($org1, "raft_forward('trade', 1, '\\x0a060a0178120179')"),
	qr/t\n/, 'raft_forward accepts envelopes in canonical form');
like(call_as($org1, "raft_forward('trade', 1, '\\x0a061201790a0178')"),
	qr/LF002/, 'raft_forward refuses envelopes that are not in canonical form');
foreach my $name ('raft_receive', 'raft_forward')
{
	like(call_as($org1, "$name('trade', 2, '\\x52')"),
		qr/LF203/, "$name: a node cannot speak for the receiver");
	like(call_as($org1, "$name('trade', 3, '\\x52')"),
		qr/LF203/, "$name: a node cannot speak for a consenter that does not exist");
	like(call_as($org1, "$name('trade', 0, '\\x52')"),
		qr/LF203/, "$name: a node cannot speak for consenter 0");
	like(call_as($org3, "$name('trade', 1, '\\x52')"),
		qr/LF203/, "$name: a member that does not order cannot speak for a consenter");
	like(call_as($org3, "$name('trade', 3, '\\x52')"),
		qr/LF203/, "$name: a member that does not order cannot speak for itself");
	like(
		(   $org2->try_query(
				"\\set VERBOSITY verbose\nSELECT fabric_internal.$name('trade', 1, '\\x52')"))[1],
		qr/LF203.*HINT/s,
		"$name: a caller without a TLS client certificate is refused");
}
# the invalid messages did no harm
FabricTest::wait_for_leader($network, 'trade');
is($org2->query("SELECT running FROM fabric.stat_orderer WHERE channel = 'trade'"),
	't', 'the orderer still runs');
is( $org2->query(
		"SELECT count(*) FROM fabric.stat_workers WHERE kind = 'orderer' AND restarts > 0"),
	0,
	'the orderer was not restarted');
done_testing();
