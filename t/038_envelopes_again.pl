# A node takes an envelope for ordered already if it is on the ledger, in the log or in the queue,
# and in no other case: an envelope of a replaced log, or of a batch from which no block is made,
# can be ordered at the same node afterwards. And a thousand entries in a row without a batch do not
# stop the compaction of the log.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use FabricConsenter qw();
use FabricTest      qw(fingerprints wait_for_leader wait_until);
use FabricWire      qw();
use Fabric::Host    qw(spew);
use Test::More;

my $network = FabricTest::start_network(
	orgs => 3,
	orderers => 3,
	channel => 'trade',
	settings => "fabric.raft_log_tail = 4\nfabric.raft_election_timeout = 3s\n");
my @nodes = $network->nodes;

$network->deploy('trade', 'book',
	<<'SQL', policy => "OR('Org1MSP.peer', 'Org2MSP.peer', 'Org3MSP.peer')");
CREATE FUNCTION put(key text, value text) RETURNS void
	LANGUAGE sql AS $$ SELECT fabric.put_state(key, value) $$;
SQL
my $org1 = $nodes[0];
my $puts = 0;

Fabric::Pki::create_key($org1->path('client.key'));
spew($org1->path('client.pem'),
	$network->enroll($org1, 'client', 'client', $org1->path('client.key')));
my $client = FabricWire::identity('Org1MSP', $org1->path('client.pem'), $org1->path('client.key'));
my $peer =
  FabricWire::identity('Org1MSP', $org1->path('keys/node.pem'), $org1->path('keys/node.key'));

sub make
{
	return FabricWire::transaction(
		channel => 'trade',
		chaincode => 'book',
		version => '1.0',
		creator => $client,
		endorsers => [$peer],
		writes => { @_ => 'x' });
}
sub put { $_[0]->query("SELECT fabric.invoke('trade', 'book', 'put', 'key" . ++$puts . "', 'x')") }

sub last_entry
{
	return split /\|/,
	  $_[0]->query(
		"SELECT index, term FROM fabric_internal.raft_log WHERE channel = 'trade' ORDER BY index DESC LIMIT 1"
	  );
}

sub first_entry
{
	return $_[0]->query("SELECT min(index) FROM fabric_internal.raft_log WHERE channel = 'trade'");
}

sub wait_for_equal_logs
{
	wait_until(
		sub {
			my %seen = map { join(' ', last_entry($_)) => 1 } @nodes;
			keys %seen == 1;
		});
}

# a batch at one node only, sent by a false leader
sub append_alone
{
	my ($from, $node, @envelopes) = @_;
	my ($index, $log_term) = last_entry($node);
	my $term = $node->query("SELECT term FROM fabric.stat_orderer WHERE channel = 'trade'") + 1;
	my $payload = FabricWire::linked(
		FabricConsenter::chain_head($node, 'trade'),
		FabricWire::message(map { [ 1, $_ ] } @envelopes));

	FabricConsenter::tell_node(
		$from, $node,
		"SELECT fabric_internal.raft_receive('trade', $from->{number}, "
		  . FabricWire::bytea(
			FabricWire::raft_message(
				type => $FabricWire::RAFT_APPEND,
				from => $from->{number},
				to => $node->{number},
				term => $term,
				index => $index,
				log_term => $log_term,
				entries => [ [ $term, 0, $payload ] ]))
		  . ')');
	ok( wait_until(sub { (last_entry($node))[0] == $index + 1 }),
		"$node->{name} has a batch that no other node has");
}

# submits at a node; gives the code with which the transaction is committed
sub submit_at
{
	my ($node, $transaction) = @_;
	my ($output, $error) =
	  $node->try_query("SELECT fabric.submit("
		  . FabricWire::bytea($transaction->{payload}) . ', '
		  . FabricWire::bytea(FabricWire::sign($client, $transaction->{payload}))
		  . "); SELECT validation_code FROM fabric.commit_status('trade', '$transaction->{tx_id}', '120s')"
	  );

	return $output =~ /(\w+)\s*$/ ? $1 : $error;
}

# ---- the log is replaced: this node gets blocks instead of entries ----

put($org1);
my $leader = wait_for_leader($network, 'trade');
my ($behind, $liar) = grep { $_ != $leader } @nodes;
my $transaction = make('lost');
my $envelope = FabricWire::signed($transaction);

wait_for_equal_logs();
my $orderer = $behind->query(
	"SELECT pid FROM fabric.stat_workers WHERE kind = 'orderer' AND channel = 'trade'");
# keep messages of the others away, which would replace the batch at once
my @speakers =
  map {
	$_->query("SELECT pid FROM fabric.stat_workers WHERE kind = 'orderer' AND channel = 'trade'")
  } grep { $_ != $behind } @nodes;
kill 'STOP', @speakers;
append_alone($liar, $behind, $envelope);
kill 'STOP', $orderer;
kill 'CONT', @speakers;
my ($reached) = last_entry($behind);
put($leader) foreach 1 .. 12;
ok( wait_until(
		sub {
			put($leader);
			!grep { $_ != $behind && first_entry($_) <= $reached + 1 } @nodes;
		}),
	'the other nodes have compacted the entries that the node lacks');
kill 'CONT', $orderer;
is(scalar fingerprints($network, 'trade'), 1, 'the node fetches blocks instead of the entries');
ok( wait_until(
		sub {
			$behind->query(
				"SELECT base_index FROM fabric_internal.raft_state WHERE channel = 'trade'") >
			  $reached;
		}),
	'the log of the node begins after the fetched blocks');
is( $behind->query(
		"SELECT pid FROM fabric.stat_workers WHERE kind = 'orderer' AND channel = 'trade'"),
	$orderer,
	'the orderer process was not restarted');
is(submit_at($behind, $transaction), 'VALID', 'an envelope of the replaced log can be ordered');

# ---- a batch from which no block is made ----

wait_for_equal_logs();
$transaction = make('spoiled');
$leader = wait_for_leader($network, 'trade');
($behind, $liar) = grep { $_ != $leader } @nodes;
FabricConsenter::order_as_leader(
	$liar, [ grep { $_ != $liar } @nodes ],
	'trade',
	FabricWire::signed($transaction),
	FabricWire::envelope('p', undef));
wait_for_leader($network, 'trade');
is(submit_at($_, $transaction),
	'VALID', "an envelope of a batch that makes no block can be ordered at $_->{name}")
  foreach $behind;
is(scalar fingerprints($network, 'trade'), 1, 'all nodes have the same ledger');

# ---- entries without a batch ----

wait_for_equal_logs();
# at once: in a normal shutdown the server hands the leadership over, which adds an entry
$_->kill_now                 foreach @nodes;
$_->wait_until_dead          foreach @nodes;
$_->start('without workers') foreach @nodes;
my %ends = map { join(' ', last_entry($_)) => 1 } @nodes;
SKIP:
{
	ok(keys %ends == 1, 'all logs end with the same entry') or skip 'the logs differ', 2;
	my ($end) = last_entry($org1);
	$_->query(
		"INSERT INTO fabric_internal.raft_log SELECT channel, $end + n, term, 1, '' FROM fabric_internal.raft_log, generate_series(1, 1100) n WHERE channel = 'trade' AND index = $end"
	) foreach @nodes;
	$_->stop  foreach @nodes;
	$_->start foreach @nodes;
	wait_for_leader($network, 'trade');
	ok( wait_until(sub { put($org1); first_entry($org1) > $end + 1100 }),
		'the log is compacted beyond more than a thousand entries without a batch');
	is(scalar fingerprints($network, 'trade'), 1, 'all nodes have the same ledger');
}
done_testing();
