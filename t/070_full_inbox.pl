# When the orderer's inbox is full, clients get an error, and no accepted transaction is lost.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use FabricTest   qw(start_network fingerprints wait_until);
use Fabric::Psql qw(start_query finish_query literal);
use Test::More;

my $network = start_network(
	orgs => 2,
	orderers => 1,
	channel => 'trade',
	settings => "fabric.inbox_size = 256kB\n");
my ($org1, $org2) = my @nodes = $network->nodes;
my $source =
  "CREATE FUNCTION keep(id text, data text) RETURNS void LANGUAGE sql AS \$\$ SELECT fabric.put_state(id, data) \$\$;";
$network->deploy('trade', 'store', $source, policy => "OR('Org1MSP.peer', 'Org2MSP.peer')");
fingerprints($network, 'trade');

# start a session that submits one transaction of about 40 kB
my $sessions_count = 0;

sub start_call
{
	my ($node, $settings, $wait) = @_;
	my $id = 'K' . ++$sessions_count;

	return {
		id => $id,
		node => $node,
		session => start_query(
			$node->connection,
			"SET application_name = 'caller';\n\\set VERBOSITY verbose\n$settings;\n"
			  . "SELECT tx_id, validation_code FROM fabric.submit_transaction('trade', 'store', 'keep', ARRAY['$id', repeat('x', 20000)], wait => $wait)"
		)
	};
}

# the orderer is held while it stores its log, so requests queue
my $log_size = -s $org1->cluster->logfile;
$org1->set_faults('raft_before_commit=hold');
# the orderer has the first one, the others queue
my @calls = start_call($org1, "SET fabric.broadcast_timeout = '5s'", 'false');
ok($org1->wait_until_held('raft_before_commit', $log_size),
	'the orderer holds the first transaction');
push @calls, start_call($_ % 2 ? $org1 : $org2, "SET fabric.broadcast_timeout = '5s'", 'false')
  foreach 1 .. 14;
my (@taken, @refused, @unknown);
foreach my $call (@calls)
{
	my ($output, $error, $status) = finish_query($call->{session});

	if ($status == 0)
	{
		push @taken, { %$call, tx_id => (split /\|/, $output)[0] };
	}
	elsif ($error =~ /may be committed: check with/)
	{
		# the session's time limit passed before the orderer's answer arrived
		push @unknown, $call;
	}
	else
	{
		push @refused, { %$call, error => $error };
	}
}
cmp_ok(scalar @taken, '>=', 3, 'some transactions are taken: ' . @taken);
cmp_ok(scalar @refused, '>=', 3, 'the others are refused: ' . @refused);
foreach my $node (@nodes)
{
	my @here = grep { $_->{node} == $node } @refused;

	cmp_ok(@here + grep({ $_->{node} == $node } @unknown),
		'>', 0, "$node->{name}: some transactions are refused");
	is( scalar(
			grep {
				$_->{error} !~
				  /LF501: too many transactions are waiting.*HINT:.*(Try again|fabric\.inbox_size)/s
			} @here),
		0,
		"$node->{name}: each refused call gets the error that the orderer is busy"
	) or diag($here[0]{error});
}

# with a long time limit a call succeeds without a retry by the client
my @patient = map { start_call($_, "SET fabric.broadcast_timeout = '120s'", 'true') } $org1, $org2,
  $org1, $org2;
foreach my $node (@nodes)
{
	ok( wait_until(
			sub {
				$node->query(
					"SELECT count(*) FROM pg_stat_activity WHERE application_name = 'caller' AND state = 'active' AND wait_event IS NOT NULL"
				) == 2;
			}),
		"$node->{name}: two calls wait");
}
$org1->set_faults('');
foreach my $call (@patient)
{
	my ($output, $error, $status) = finish_query($call->{session});

	like($output, qr/\|VALID$/,
		'a call with a long time limit succeeds without a retry by the client')
	  or diag($error);
}

# no accepted transaction is lost, and no refused one took effect
ok( wait_until(
		sub {
			$org1->query(
				"SELECT count(*) FROM fabric_internal.world_state WHERE channel = 'trade' AND namespace = 'store'"
			) >= @taken + @patient;
		}),
	'every accepted transaction is committed');
is(scalar(fingerprints($network, 'trade')), 1, 'all nodes have the same ledger');
foreach my $node (@nodes)
{
	my %keys = map { $_ => 1 } split /\n/,
	  $node->query(
		"SELECT convert_from(key, 'UTF8') FROM fabric_internal.world_state WHERE channel = 'trade' AND namespace = 'store'"
	  );

	is(join(' ', grep { !$keys{$_} } map { $_->{id} } @taken, @patient),
		'', "$node->{name}: the state has every accepted transaction");
	is(join(' ', grep { $keys{$_} } map { $_->{id} } @refused),
		'', "$node->{name}: no refused transaction took effect");
}
is( $org1->query(
		"SELECT count(*) FROM (SELECT tx_id FROM fabric_internal.transaction WHERE channel = 'trade' AND validation_code = 0 AND tx_id IS NOT NULL GROUP BY tx_id HAVING count(*) > 1) d"
	),
	0,
	'no transaction took effect twice');
my ($records, $bytes, $pending, $size) = split /\|/,
  $org1->query(
	"SELECT inbox_records, inbox_bytes, pending_envelopes, inbox_size FROM fabric.stat_orderer WHERE channel = 'trade'"
  );
is("$records $bytes $pending", '0 0 0', 'the queues are empty again');
is($size, 256 * 1024, 'fabric.stat_orderer shows the size of the inbox');

# a transaction larger than the channel allows is refused at once, by its size
like(
	$org1->error_of("SELECT fabric.invoke('trade', 'store', 'keep', 'big', repeat('x', 6000000))"),
	qr/LF003.*DETAIL:.*bytes/s,
	'a transaction that is too large is refused, and the detail has its size');
done_testing();
