# Organizations with two peers each, and an orderer organization whose three orderers are no peers.
# When one node of an organization fails or cannot endorse, the other one is asked; the orderers
# replace each other; the views show which nodes answer.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use FabricTest qw(
  start_network deploy_registry create_vehicle fingerprints wait_for_leader wait_until
  vehicles_of);
use Fabric::Psql qw(literal);
use Test::More;

my $ALL = "AND('Org1MSP.peer', 'Org2MSP.peer', 'Org3MSP.peer')";
my $network = start_network(orgs => 3, peers_per_org => 2, orderer_org => 1, channel => 'trade');
my %node = map { $_->{name} => $_ } $network->nodes;
my @peers = $network->peers;
my ($org1, $other1) = @node{qw(org1peer1 org1peer2)};

wait_for_leader($network, 'trade');

# columns of fabric.nodes at a node, for another node
sub known
{
	my ($node, $other, $columns) = @_;

	return $node->query(
		"SELECT $columns FROM fabric.nodes WHERE address = '" . $other->address . "'");
}

# this many calls of one session
sub calls
{
	my ($count, $chaincode, $prefix) = @_;

	return join ";\n",
	  map { "SELECT fabric.invoke('trade', '$chaincode', 'put', '$prefix$_', '$_')" } 1 .. $count;
}

# install a chaincode at these nodes only
sub deploy_at
{
	my ($name, $policy, @nodes) = @_;
	my $package = $org1->query(
		"SELECT encode(fabric.package_chaincode('$name', " . literal(<<'SQL') . "), 'hex')");
CREATE FUNCTION put(id text, value text) RETURNS text
	LANGUAGE sql AS $$ SELECT fabric.put_state(id, value); SELECT 'stored' $$;
CREATE FUNCTION add(id text, value text) RETURNS text
	LANGUAGE sql AS $$
	SELECT fabric.put_state(id, (fabric.get_state_text(id)::int + value::int)::text);
	SELECT 'added' $$;
CREATE FUNCTION get(id text) RETURNS text LANGUAGE sql AS $$ SELECT fabric.get_state_text(id) $$;
SQL
	my $definition = "'trade', '$name', '1', 1";
	my $parameters = 'policy => ' . literal($policy);

	foreach my $node (@nodes)
	{
		my $id = $node->query("SELECT fabric.install_chaincode('\\x$package')");
		my (undef, $error, $failed) =
		  $node->try_query("SELECT fabric.approve_chaincode($definition, '$id', $parameters)");
		# the other node of its organization may have given it the approval already
		die "$error\n" if $failed && $error !~ /has approved sequence/;
	}
	$nodes[0]->query("SELECT fabric.commit_chaincode($definition, $parameters)");
	$network->wait_for_height('trade', FabricTest::height_of($nodes[0], 'trade'));
}

subtest 'every peer invokes, and all nodes have the same ledger' => sub {
	deploy_registry($network, policy => $ALL);
	$_->query(create_vehicle("V$_->{name}")) foreach @peers;
	is(scalar(fingerprints($network, 'trade')), 1, 'all nodes have the same ledger');
	is(vehicles_of($_), 6, "$_->{name} has all vehicles") foreach $network->nodes;
	is(known($_, $_, 'is_own'), 't', "$_->{name} knows its own address") foreach $network->nodes;
	is($_->query('SELECT count(*) FROM fabric.nodes WHERE is_own'),
		1, "$_->{name} knows one node as its own")
	  foreach $network->nodes;
	is( $org1->query(
			"SELECT plan->'EndorsersByGroups'->'G0'->0->>'Endpoint', jsonb_array_length(plan->'EndorsersByGroups'->'G0'), plan->'Layouts' FROM fabric.endorsement_plan('trade', 'vehicles') AS plan"
		),
		$org1->address . '|2|[{"quantities_by_group": {"G0": 1, "G2": 1, "G4": 1}}]',
		'the plan has both peers of each organization, this node first');
};

subtest 'only the second peers have the chaincode' => sub {
	deploy_at('second', $ALL, @node{qw(org1peer2 org2peer2 org3peer2)});
	# The caller's node has the chaincode; the other node of its organization does not, nor do the
	# first nodes of the other organizations. Which node of an organization is asked first depends
	# on chance and speed
	my $lacking = sub {
		join '', map { known($other1, $node{$_}, 'last_error') } qw(org2peer1 org3peer1);
	};
	my $session = 0;
	ok( wait_until(
			sub { $other1->query(calls(4, 'second', 'a' . ++$session)); $lacking->() ne '' }),
		'a node without the chaincode is asked, and another node answers');
	like($lacking->(), qr/"second[":]/,
		'fabric.nodes shows the answer of the node without the chaincode');
	# the caller's node lacks it
	$org1->query(calls(8, 'second', 'b'));
	is($org1->query("SELECT fabric.query('trade', 'second', 'get', 'b8')"),
		'8', 'a query goes to the other node of the organization');
	is( $org1->query(
			"SELECT fabric.evaluate_transaction('trade', 'second', 'get', ARRAY['b8'], transient => '{\"a\": \"b\"}')"
		) =~ s/^\\x//r,
		unpack('H*', '8'),
		'a query with transient data goes to the other node of the organization');
};

subtest 'one peer of each organization is killed' => sub {
	$_->kill_now        foreach my @killed = @node{qw(org1peer2 org2peer1 org3peer2)};
	$_->wait_until_dead foreach @killed;
	foreach my $session (1 .. 3)
	{
		$org1->query(join ";\n", map { create_vehicle("K$session$_") } 1 .. 4);
	}
	$node{org2peer2}->query(create_vehicle('L'));
	is(vehicles_of($org1), 6 + 12 + 1, 'every transaction is committed');
};

subtest 'both peers of an organization are down' => sub {
	$node{org2peer2}->kill_hard;
	my $error = $org1->error_of(create_vehicle('lost'));
	my ($first, $second) = map { $_->address } @node{qw(org2peer1 org2peer2)};
	like(
		$error,
		qr/LF310.*Org2MSP \(\Q$first\E\): [^;]+; Org2MSP \(\Q$second\E\): |LF310.*Org2MSP \(\Q$second\E\): [^;]+; Org2MSP \(\Q$first\E\): /s,
		'the error names both nodes with their reasons');
	is(known($org1, $node{org2peer1}, 'state'),
		'silent', 'fabric.nodes shows the node that does not answer');
	like(
		known($org1, $node{org2peer1}, 'last_error'),
		qr/refused|closed|lost|terminat/i,
		'fabric.nodes shows the reason');
	is( known(
			$org1,
			$node{org2peer1},
			"last_error_at > now() - interval '5 min' AND coalesce(last_answer_at < last_error_at, true)"
		),
		't',
		'fabric.nodes shows the times');
	is(known($org1, $node{org3peer1}, 'state'),
		'answers', 'fabric.nodes shows the nodes that answer');
	$_->start foreach @node{qw(org1peer2 org2peer1 org2peer2 org3peer2)};
	my $calls = 0;
	ok( wait_until(
			sub {
				$org1->try_query(create_vehicle('again' . ++$calls));
				known($org1, $node{org2peer1}, 'state') eq 'answers'
				  && known($org1, $node{org2peer2}, 'state') eq 'answers';
			}),
		'both nodes are asked again after their start');
};

subtest 'the leader of the orderers is killed' => sub {
	my $leader = wait_for_leader($network, 'trade');
	$leader->kill_hard;
	foreach my $session (1 .. 3)
	{
		$org1->query(join ";\n", map { create_vehicle("O$session$_") } 1 .. 3);
	}
	is( $org1->query(
			"SELECT count(*) FROM fabric.world_state WHERE channel = 'trade' AND key LIKE 'O__'"),
		9,
		'transactions are committed without the leader');
	$leader->start;
	is(scalar(fingerprints($network, 'trade')), 1, 'all nodes have the same ledger');
};

subtest 'an organization has only orderers' => sub {
	my $orderer = $node{orderer1};
	like(
		$orderer->error_of("SELECT fabric.approve_chaincode('trade', 'none', '1', 1, NULL)"),
		qr/LF001.*"OrdererMSP" cannot approve chaincode.*not an application organization/s,
		'an organization that has only orderers cannot approve chaincode');
	like($orderer->error_of(create_vehicle('by an orderer')),
		qr/LF\d\d\d/, 'a client of an organization that has only orderers cannot invoke');
	like(
		$org1->error_of(
			"SELECT fabric.submit_transaction('trade', 'vehicles', 'create_vehicle', '{x,a,b,1,c,1}', endorsing_orgs => '{OrdererMSP}')"
		),
		qr/LF001.*"OrdererMSP" cannot be asked/s,
		'an organization that has only orderers cannot be asked for an endorsement');
};

subtest 'a peer has a falsified state' => sub {
	deploy_at('count', $ALL, @node{qw(org1peer1 org2peer1 org2peer2 org3peer1)});
	$org1->query(calls(8, 'count', 'k'));
	$network->wait_for_height('trade', FabricTest::height_of($org1, 'trade'));
	$node{org2peer1}->query(
		"UPDATE fabric_internal.world_state SET value = '100' WHERE channel = 'trade' AND namespace = 'count'"
	);
	# damage each key once: a committed write of the key repairs it
	$org1->query(join ";\n",
		map { "SELECT fabric.invoke('trade', 'count', 'add', 'k$_', '1')" } 1 .. 8);
	is( $org1->query(
			"SELECT string_agg(value_text, ' ' ORDER BY key) FROM fabric.world_state WHERE channel = 'trade' AND namespace = 'count'"
		),
		'2 3 4 5 6 7 8 9',
		'the other node of the organization replaces a node with a falsified state');
};

subtest 'a policy requires two identities of one organization' => sub {
	deploy_at(
		'pair',
		"AND('Org2MSP.peer', 'Org2MSP.peer')",
		@node{qw(org1peer1 org2peer1 org2peer2 org3peer1)});
	$org1->query("SELECT fabric.invoke('trade', 'pair', 'put', 'a', 'b')");
	is($org1->query(<<'SQL'), '2', 'both nodes have signed');
SELECT count(DISTINCT e)
	FROM fabric.transactions t,
	jsonb_path_query(fabric.decode_block(fabric.get_block('trade', t.block_number)), '$.**.endorsements[*].endorser') e
WHERE t.channel = 'trade' AND t.chaincode = 'pair'
SQL
	is( $org1->query(
			"SELECT jsonb_path_query_array(plan->'Layouts', '\$[*].quantities_by_group.*') FROM fabric.endorsement_plan('trade', 'pair') AS plan"
		),
		'[2]',
		'the plan has two endorsements of one organization');
};
done_testing();
