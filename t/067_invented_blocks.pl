# The chain of an orderer has a block that Raft never ordered, with a correct signature. Neither a
# peer nor a consenter that catches up accepts it, and both continue with the blocks of the other
# orderers.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use FabricConsenter;
use FabricTest   qw(start_network fingerprints wait_for_leader wait_until height_of $ANY_TWO);
use FabricWire   qw();
use Fabric::Host qw();
use Fabric::Pki  qw();
use PostgreSQL::Test::Utils qw(slurp_file);
use Test::More;

my $network = start_network(
	orgs => 4,
	orderers => 3,
	channel => 'trade',
	settings => "fabric.raft_log_tail = 4\nfsync = on\nfabric.raft_election_timeout = 3s\n");
my ($liar, $honest, $away, $peer) = my @nodes = $network->nodes;

$network->deploy('trade', 'book', <<'SQL', policy => $ANY_TWO);
CREATE FUNCTION put(key text, value text) RETURNS void
	LANGUAGE sql AS $$ SELECT fabric.put_state(key, value) $$;
SQL
Fabric::Pki::create_key($liar->path('client.key'));
Fabric::Host::spew($liar->path('client.pem'),
	$network->enroll($liar, 'client', 'client', $liar->path('client.key')));
my $client = FabricWire::identity('Org1MSP', $liar->path('client.pem'), $liar->path('client.key'));
my $round = 0;

# make this many blocks of one transaction each
sub make_blocks
{
	my ($node, $count) = @_;

	foreach (1 .. $count)
	{
		$round++;
		ok( wait_until(
				sub {
					(   $node->try_query(
							"SELECT fabric.invoke('trade', 'book', 'put', 'round', '$round')")
					)[2] == 0;
				}),
			"transaction $round is committed") or last;
	}
}

sub conditions_of
{
	my ($node) = @_;

	return $node->query("SELECT string_agg(c::text, ' ') FROM fabric.stat_conditions c") // '';
}

sub hash_of
{
	my ($node, $number) = @_;

	return $node->query(
		"SELECT encode(block_hash, 'hex') FROM fabric.blocks WHERE channel = 'trade' AND number = $number"
	);
}

# ---- the consenter is down for long, then the liar's chain gets a block of its own ----

wait_for_leader($network, 'trade');
fingerprints($network, 'trade');
my $away_height = height_of($away, 'trade');
$away->kill_hard;
make_blocks($honest, 12);
my $height = height_of($honest, 'trade');
ok(wait_until(sub { height_of($_, 'trade') == $height }), "$_->{name} has all blocks")
  foreach $liar, $peer;
$peer->stop;
ok( wait_until(
		sub {
			$liar->query("SELECT max(index) FROM fabric_internal.raft_log WHERE channel = 'trade'")
			  == $honest->query(
				"SELECT max(index) FROM fabric_internal.raft_log WHERE channel = 'trade'");
		}),
	'the two logs are the same');

# Each node alone gets messages of a false leader, the honest one in a later term: so the channel
# continues with the honest node's log.
sub one_transaction
{
	return FabricWire::signed(
		FabricWire::transaction(
			channel => 'trade',
			chaincode => 'book',
			version => '1.0',
			creator => $client,
			endorsers => [],
			writes => { a => 1 }));
}

$honest->stop;
FabricConsenter::order_as_leader($honest, [$liar], 'trade', one_transaction());
ok( wait_until(sub { height_of($liar, 'trade') == $height + 1 }),
	'the lying orderer has a block that Raft never ordered');
my $term = $liar->query("SELECT term FROM fabric.stat_orderer WHERE channel = 'trade'");
$liar->stop;
$honest->start;
ok( wait_until(
		sub {
			(   $honest->try_query(
					"SELECT 1 FROM fabric.stat_workers WHERE channel = 'trade' AND kind = 'orderer' AND pid IS NOT NULL"
				))[0] =~ /1/;
		}),
	'the honest consenter is back');
FabricConsenter::tell_node(
	$liar, $honest,
	"SELECT fabric_internal.raft_receive('trade', $liar->{number}, "
	  . FabricWire::bytea(
		FabricWire::raft_message(
			type => 4,
			flags => 1,
			from => $liar->{number},
			to => $honest->{number},
			term => $term + 100))
	  . ')');
ok( wait_until(
		sub {
			$honest->query("SELECT term FROM fabric.stat_orderer WHERE channel = 'trade'") >
			  $term + 99;
		}),
	'the honest orderer is in a later term');
FabricConsenter::order_as_leader($liar, [$honest], 'trade', one_transaction());
ok(wait_until(sub { height_of($honest, 'trade') == $height + 1 }),
	'the honest orderer has another block');
$liar->start;
my $invented = hash_of($liar, $height);
my $invented_index =
  $liar->query("SELECT max(raft_index) FROM fabric_internal.block WHERE channel = 'trade'");

# ---- a peer that asks the liar first ----

$peer->start;
my $log = sub { slurp_file($peer->cluster->logfile) };
ok(wait_until(sub { $log->() =~ /orderer \S+ has another block $height/ }),
	'the peer accepts neither of two different blocks');
like(conditions_of($peer), qr/has another block/, 'fabric.stat_conditions shows the reason');
is(height_of($peer, 'trade'), $height, 'the peer stores neither of the blocks');

# ---- a consenter that catches up, to a height that the liar states ----

$away->start;
ok( wait_until(
		sub {
			(   $away->try_query(
					"SELECT 1 FROM fabric.stat_workers WHERE channel = 'trade' AND kind = 'orderer' AND pid IS NOT NULL"
				))[0] =~ /1/;
		}),
	'the consenter is back');
my $configuration = pack('C Q> C Q>3', 1, 0, 3, 1, 2, 3);
my $told = 0;
# repeated, as a leader repeats it
my $tell = sub {
	my ($term) =
	  sort { $b <=> $a }
	  map  { $_->query("SELECT term FROM fabric.stat_orderer WHERE channel = 'trade'") } $honest,
	  $away;
	my $message = FabricWire::raft_message(
		type => 9,
		from => $liar->{number},
		to => $away->{number},
		term => $term + 1,
		index => $invented_index,
		log_term => $term,
		configuration => $configuration);

	FabricConsenter::tell_node($liar, $away,
			"SELECT fabric_internal.raft_receive('trade', $liar->{number}, "
		  . FabricWire::bytea($message)
		  . ')');
};
ok(wait_until(sub { $tell->() if $told++ % 10 == 0; height_of($away, 'trade') >= $height }),
	'the consenter gets the blocks that two orderers have');
$tell->() foreach 1 .. 3;
cmp_ok(height_of($away, 'trade'), '>', $away_height, 'the consenter has more blocks than before');

# ---- the others continue without the liar ----

make_blocks($honest, 3);
my $new_height = height_of($honest, 'trade');
isnt(hash_of($honest, $height), $invented, 'the chain does not have the invented block');
foreach my $node ($away, $peer)
{
	ok(wait_until(sub { height_of($node, 'trade') == $new_height }),
		"$node->{name} has all blocks");
	is(hash_of($node, $_), hash_of($honest, $_), "$node->{name} has the correct block $_")
	  foreach $height, $new_height - 1;
	is($node->query("SELECT * FROM fabric.verify_chain('trade')"),
		'', "$node->{name} verifies its chain without a problem");
}
is(hash_of($liar, $height), $invented, 'the lying orderer still has its invented block');

# with a consenter down the other two are enough for peers too
$peer->stop;
make_blocks($honest, 1);
$liar->stop;
$peer->start;
make_blocks($away, 1);
$new_height = height_of($honest, 'trade');
ok( wait_until(sub { height_of($peer, 'trade') == $new_height }),
	'the peer gets blocks when the lying orderer is stopped');
is( hash_of($peer, $new_height - 1),
	hash_of($honest, $new_height - 1),
	'the peer has the correct blocks');
done_testing();
