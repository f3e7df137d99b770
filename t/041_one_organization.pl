# The orderers of one organization get missed blocks from each other, and both peers of another
# organization get them. The node reports each obstacle, and its end.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../tools/lib";
use lib $FindBin::Bin;
use Fabric::Host qw(slurp spew);
use Fabric::Pki  qw(certify create_key create_request);
use FabricTest   qw(
  start_network deploy_registry create_vehicle fingerprints wait_for_leader vehicles_of
  height_of wait_until eventually_is);
use PostgreSQL::Test::Utils;
use Test::More;

my $network = start_network(
	orgs => 1,
	peers_per_org => 2,
	orderer_org => 1,
	channel => 'trade',
	settings => "fabric.raft_log_tail = 4\n");
my %node = map { $_->{name} => $_ } $network->nodes;
my ($peer, $second) = @node{qw(org1peer1 org1peer2)};
my $vehicles = 0;

# make this many blocks of one transaction each
sub make_blocks
{
	my ($count) = @_;

	$peer->query(join(";\n", map { create_vehicle('V' . ++$vehicles) } 1 .. $count));
}

# the conditions that the node reports now, of a topic
sub conditions
{
	my ($node, $topic) = @_;

	return $node->query(
		"SELECT string_agg(concat_ws('|', subject, sqlstate, message, detail), E'\\n' ORDER BY subject) FROM fabric.stat_conditions WHERE topic = '$topic'"
	);
}

# wait until a condition matches a pattern, or is over (without a pattern)
sub wait_for_condition
{
	my ($node, $topic, $pattern) = @_;
	my $found;

	wait_until(
		sub {
			$found = conditions($node, $topic);
			defined $pattern ? $found =~ $pattern : $found eq '';
		});
	return
	  defined $pattern
	  ? like($found, $pattern, "$node->{name} reports a condition of topic $topic")
	  : is($found, '', "$node->{name} ends its conditions of topic $topic");
}

sub log_of
{
	my ($node) = @_;

	return slurp($node->cluster->logfile);
}

wait_for_leader($network, 'trade');
deploy_registry($network, policy => "OR('Org1MSP.peer')");
make_blocks(3);

subtest 'sources of blocks' => sub {
	is(scalar(fingerprints($network, 'trade')),
		1, 'all nodes, including the second peer, have the same ledger');
	my %addresses = map { $_->address => 1 } $network->orderers;
	ok( $addresses{
			$_->query(
				"SELECT source FROM fabric.stat_channel WHERE channel = 'trade' AND source_at > now() - interval '10 minutes'"
			)
		},
		"$_->{name} got its blocks from an orderer") foreach $peer, $second;
};

subtest 'an orderer is down until the log lacks its next entry' => sub {
	my $leader = wait_for_leader($network, 'trade');
	my ($away, $other) = grep { $_ != $leader } $network->orderers;
	my $subject = $away->{number};
	my $last =
	  $away->query("SELECT max(index) FROM fabric_internal.raft_log WHERE channel = 'trade'");

	$away->kill_hard;
	make_blocks(20);
	cmp_ok(
		$leader->query("SELECT min(index) FROM fabric_internal.raft_log WHERE channel = 'trade'"),
		'>',
		$last + 1,
		'the log of the leader begins after the entries that the absent node lacks');
	wait_for_condition($leader, 'consenter',
		qr/^$subject\|LF503\|(could not connect|lost connection) to consenter $subject at localhost:$away->{port}\|.*refused/
	);
	like(
		$leader->query(
			"SELECT error FROM fabric.stat_orderer_followers WHERE consenter_id = $subject AND error_since > now() - interval '5 minutes'"
		),
		qr/refused/,
		'fabric.stat_orderer_followers shows why the consenter cannot be reached');
	like(
		log_of($leader),
		qr/channel "trade": (could not connect|lost connection) to consenter $subject at/,
		'the log says that the consenter cannot be reached');
	$away->start;
	is(scalar(fingerprints($network, 'trade')),
		1, 'the absent node gets the blocks from its own organization');
	wait_for_condition($leader, 'consenter');
	eventually_is(
		sub {
			$leader->query(
				"SELECT count(*) FROM fabric.stat_orderer_followers WHERE error IS NOT NULL");
		},
		0,
		'no follower has an error');
	ok( wait_until(
			sub {
				log_of($leader) =~
				  /channel "trade": over after \d+ s: (could not connect|lost connection) to consenter $subject/;
			}),
		'the log says that the consenter can be reached again');
	# the vote of the node counts
	$other->kill_hard;
	make_blocks(2);
	$other->start;
	is(scalar(fingerprints($network, 'trade')), 1, 'all nodes have the same ledger');
};

subtest 'the orderers lose their quorum' => sub {
	my $leader = wait_for_leader($network, 'trade');
	my @others = grep { $_ != $leader } $network->orderers;

	$_->kill_now        foreach @others;
	$_->wait_until_dead foreach @others;
	wait_for_condition($leader, 'leader',
		qr/LF502\|the channel has no leader: nothing is ordered\|Of 2 other consenters this node is connected to 0.*refused/
	);
	wait_for_condition($peer, 'source',
		qr/^localhost:$others[0]{port}\|LF503\|no blocks from localhost:$others[0]{port}/m);
	is(conditions($peer, 'blocks'), '', 'the peer still has one source of blocks');
	$leader->kill_hard;
	wait_for_condition($_, 'blocks', qr/no other orderer delivers blocks/) foreach $peer, $second;
	like(
		log_of($peer),
		qr/channel "trade": no other orderer delivers blocks/,
		'the log says that no orderer delivers blocks');
	$_->start foreach $leader, @others;
	wait_for_leader($network, 'trade');
	make_blocks(1);
	wait_for_condition($_, 'blocks') foreach $peer, $second;
	wait_for_condition($_, 'source') foreach $peer, $second;
	wait_for_condition($_, 'leader') foreach $network->orderers;
	ok(wait_until(sub { log_of($peer) =~ /over after \d+ s: no other orderer/ }),
		'the log says that an orderer delivers blocks again');
	is(scalar(fingerprints($network, 'trade')), 1, 'all nodes have the same ledger');
};

# ---- consenters are known by their keys ----

# Replace the certificate of the node's TLS side by another one for the key of this file, from the
# authority of its organization, and restart the server.
sub renew
{
	my ($node, $key) = @_;
	my $keys = $node->path('keys');
	my $certificate = certify(
		$node->org_path('tlsca'),
		create_request($key, "/O=$node->{msp_id}/CN=$node->{role}"),
		extensions => [
			'keyUsage=critical,digitalSignature,keyEncipherment',
			'extendedKeyUsage=serverAuth,clientAuth',
			'subjectAltName=DNS:localhost'
		]);

	$node->kill_hard;
	spew("$keys/tls.pem", $certificate);
	spew("$keys/tls.key", slurp($key), 0600);
	$node->start;
}

subtest 'the TLS certificate of a consenter is renewed' => sub {
	my $leader = wait_for_leader($network, 'trade');
	my ($renewed, $other) = grep { $_ != $leader } $network->orderers;
	my $keys = $renewed->path('keys');
	my $before = slurp("$keys/tls.pem");
	my $old_key = slurp("$keys/tls.key");

	renew($renewed, "$keys/tls.key");
	isnt(slurp("$keys/tls.pem"), $before, 'the renewed certificate differs from the old one');
	# both votes are needed now
	$other->kill_hard;
	make_blocks(2);
	$other->start;
	is(scalar(fingerprints($network, 'trade')),
		1, 'a node with a renewed certificate for its old key is the same consenter');
	is(conditions($renewed, 'certificate'),
		'', 'a node with a renewed certificate for its old key reports no condition');

	create_key("$keys/new.key");
	renew($renewed, "$keys/new.key");
	wait_for_condition($renewed, 'certificate',
		qr/this node does not order although consenter $renewed->{number} has its address\|.*another TLS public key/
	);
	make_blocks(1);
	is(scalar(fingerprints($network, 'trade')),
		1, 'a node with another key gets its blocks like a peer');
	spew("$keys/tls.key", $old_key, 0600);
	spew("$keys/tls.pem", $before, 0600);
	$renewed->reload;
	wait_for_condition($renewed, 'certificate');
	$other->kill_hard;
	make_blocks(1);
	$other->start;
	is(scalar(fingerprints($network, 'trade')), 1, 'a node with its old key orders again');
};

done_testing();
