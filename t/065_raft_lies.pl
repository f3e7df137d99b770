# A consenter lies to the others in its own name: messages that cannot be true, terms and indexes
# far out of range, a leadership without votes, and batches from which no block can be made. Raft
# trusts its consenters, so one of them can disturb the ordering. But no process ends, nothing is
# lost, and the channel continues.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use FabricTest;
use FabricConsenter;
use FabricWire   qw();
use Fabric::Host qw();
use Fabric::Pki  qw();
use Test::More;

# no election may happen between the messages of the false leader to one node and to the other,
# however busy the machine is
my $network = FabricTest::start_network(
	orgs => 3,
	orderers => 3,
	channel => 'trade',
	settings => "fabric.raft_election_timeout = 3s\n");
my @nodes = $network->nodes;

$network->deploy('trade', 'book', <<'SQL', policy => $FabricTest::ANY_TWO);
CREATE FUNCTION put(key text, value text) RETURNS void
	LANGUAGE sql AS $$ SELECT fabric.put_state(key, value) $$;
CREATE FUNCTION get(key text) RETURNS text LANGUAGE sql AS $$ SELECT fabric.get_state_text(key) $$;
SQL
my $leader = FabricTest::wait_for_leader($network, 'trade');
my ($liar) = grep { $_ != $leader } @nodes;
my @others = grep { $_ != $liar } @nodes;
my ($PRE_VOTE, $PRE_VOTE_RESPONSE, $VOTE, $VOTE_RESPONSE, $APPEND,
	$APPEND_RESPONSE, $HEARTBEAT, $HEARTBEAT_RESPONSE, $SNAPSHOT, $TIMEOUT_NOW) = 1 .. 10;
my ($REJECTED, $FORCED) = (1, 2);

sub raft_message
{
	return FabricWire::raft_message(from => $liar->{number}, @_);
}

# send a node a message over the liar's own connection; gives the output of psql
sub lie_to
{
	my ($node, @messages) = @_;
	my $keys = $liar->path('keys');
	my $sql = join ";\n", map {
		"SELECT fabric_internal.raft_receive('trade', $liar->{number}, "
		  . FabricWire::bytea($_) . ')'
	} @messages;
	my ($output, $error) = ('', '');

	local %ENV = map { /^PG/ ? () : ($_ => $ENV{$_}) } keys %ENV;
	IPC::Run::run(
		[
			'psql',
			'-XqAtw',
			'-d',
			"host=localhost port=$node->{port} dbname=fabric user=$liar->{role} sslmode=verify-full sslrootcert=$keys/tlscas.pem sslcert=$keys/tls.pem sslkey=$keys/tls.key"
		],
		'<',
		\$sql,
		'>',
		\$output,
		'2>',
		\$error);
	return $output . $error;
}

sub orderer
{
	my ($node, $column) = @_;

	return $node->query("SELECT $column FROM fabric.stat_orderer WHERE channel = 'trade'");
}

my $workers =
  "SELECT string_agg(kind || ' ' || coalesce(pid, 0) || ' ' || restarts, ', ' ORDER BY kind) FROM fabric.stat_workers WHERE channel = 'trade'";
my %before = map { ($_->{name} => $_->query($workers)) } @nodes;
my $round = 0;

# the channel continues: a node leads, all commit a transaction, no process ended
sub goes_on
{
	my ($name) = @_;

	$round++;
	is( (   FabricTest::wait_until(
				sub {
					(   $nodes[0]->try_query(
							"SELECT fabric.invoke('trade', 'book', 'put', 'round', '$round')")
					)[2] == 0;
				}) ? 'yes' : 'no'),
		'yes',
		"$name: transactions are committed");
	is(scalar FabricTest::fingerprints($network, 'trade'),
		1, "$name: all nodes have the same ledger");
	is($nodes[2]->query("SELECT fabric.query('trade', 'book', 'get', 'round')"),
		$round, "$name: the state has the last transaction");
	is($_->query($workers), $before{ $_->{name} }, "$name: no process of $_->{name} ended")
	  foreach @nodes;
}

# ---- messages that cannot be read, or cannot be true ----

my $term = orderer($leader, 'term');
my $largest = ~0;

foreach my $node (@others)
{
	my %to = (to => $node->{number});
	my @lies = (
		'', 'R',
		"R\3\3\5",
		"\xff" x 1000,
		pack(
			'a C3 n Q>11 N N N',
			'R', 3, 3, $APPEND, 0, $liar->{number}, $node->{number}, (1) x 9, 0xffffffff,
			0xffffffff, 0xffffffff),
		# versions that this node does not have
		raft_message(%to, type => $APPEND, term => 1, version => 2, needs => 2),
		raft_message(%to, type => $APPEND, term => 1, version => 4, needs => 4),
		raft_message(%to, type => 99, term => 1, version => 255, needs => 255),
		(   map {
				my $type = $_;
				map {
					raft_message(
						%to,
						type => $type,
						term => $_,
						index => $_,
						log_term => $_,
						commit => $_,
						hint => $_)
				} 1, $term, $term + 1, $largest
			} 0 .. 11),
		(   map {
				my $type = $_;
				map { raft_message(%to, type => $type, term => $_) } $term + (1 << 40), 1 << 63,
				  $largest
			} 1 .. 10),
		(   map {
				raft_message(
					%to,
					type => $VOTE,
					flags => $FORCED,
					term => $_,
					index => 1 << 40,
					log_term => $term)
			} $term + (1 << 33),
			1 << 61),
		# confirmations of entries that were never sent, the leadership of the others' own term, a
		# commit beyond the log
		raft_message(%to, type => $APPEND_RESPONSE, term => $term, index => 1 << 50),
		raft_message(%to, type => $HEARTBEAT, term => $term),
		raft_message(%to, type => $HEARTBEAT, term => $term, commit => 1 << 50),
		raft_message(%to, type => $APPEND, term => $term, index => 1, log_term => $largest >> 2),
		raft_message(%to, type => $SNAPSHOT, term => $term, index => 1 << 50, log_term => $term));

	my $answers = lie_to($node, @lies);
	is($answers, "t\n" x @lies, "$node->{name} accepts the messages for later checks");
}
goes_on('after messages that cannot be true');
cmp_ok(orderer($_, 'term'), '<', $term + 1000, "$_->{name} did not adopt a term that is far ahead")
  foreach @others;
like(
	$others[0]
	  ->query("SELECT string_agg(last_error, ' ') FROM fabric.stat_workers WHERE kind = 'orderer'"),
	qr/Raft|term/, 'the last refused message is shown');

# ---- a leadership without votes, and the entries that it adds to the log ----

FabricTest::wait_until(
	sub { orderer($others[0], 'last_index') == orderer($others[1], 'last_index') });
$term = (sort { $b <=> $a } map { orderer($_, 'term') } @nodes)[0] + 1;
my $last = orderer($others[0], 'last_index');
my $last_term = $others[0]
  ->query("SELECT term FROM fabric_internal.raft_log WHERE channel = 'trade' AND index = $last");
my $good = FabricWire::envelope('p', 's');
my @batches = (
	"\xff",
	'',
	"\x0a\x80",
	FabricWire::message([ 1, "\xff" ]),
	FabricWire::message([ 1, $good ], [ 1, FabricWire::envelope('p', undef) ]),
	FabricWire::message([ 1, FabricWire::message([ 2, 's' ], [ 1, 'p' ]) ]),
	FabricWire::message([ 1, $good . FabricWire::message([ 3, 'x' ]) ]),
	FabricWire::message([ 1, $good ]) x 100001);
my ($next, $hash) = FabricConsenter::chain_head($others[0], 'trade');
my @entries = map { [ $term, 0, FabricWire::linked($next, $hash, $_) ] } @batches;
my $height = FabricTest::height_of($others[0], 'trade');

foreach my $node (@others)
{
	my %append = (to => $node->{number}, type => $APPEND, term => $term);

	# the last entry is too large to be sent with the others; then the commit
	is( lie_to(
			$node,
			raft_message(
				%append,
				index => $last,
				log_term => $last_term,
				entries => [ @entries[ 0 .. 6 ] ]),
			raft_message(
				%append,
				index => $last + 7,
				log_term => $term,
				entries => [ $entries[7] ]),
			raft_message(%append, index => $last + 8, log_term => $term, commit => $last + 8)),
		"t\nt\nt\n",
		"$node->{name} accepts the messages of a false leader");
}
goes_on('after batches of which no block can be made');
foreach my $node (@others)
{
	is( $node->query(
			"SELECT count(*) FROM fabric_internal.raft_log WHERE channel = 'trade' AND term = $term AND kind = 0"
		),
		'8',
		"$node->{name} has the batches of the false leader in its log");
	is( $node->query(
			"SELECT string_agg(DISTINCT channel, '') FROM fabric.verify_chain('trade') v, fabric.channels"
		),
		'',
		"$node->{name} verifies its chain without a problem");
}

# ---- only the channel's configuration decides which nodes vote ----

my $only_me = pack('C Q>', 1, $liar->{number});

# the position of the chain at the start of a log, as a snapshot message states it
my $head = pack('Q> a32', 1, 'x');

sub newest_term
{
	return (sort { $b <=> $a } map { orderer($_, 'term') } @nodes)[0];
}

sub last_entry
{
	return split / /,
	  $_[0]->query(
		"SELECT index || ' ' || term FROM fabric_internal.raft_log WHERE channel = 'trade' ORDER BY index DESC LIMIT 1"
	  );
}

sub same_log
{
	return FabricTest::wait_until(
		sub { join(' ', last_entry($others[0])) eq join(' ', last_entry($others[1])) });
}

same_log();
$term = newest_term() + 1;
($last, $last_term) = last_entry($others[0]);
foreach my $node (@others)
{
	my %as_leader = (to => $node->{number}, term => $term);

	is( lie_to(
			$node,
			raft_message(
				%as_leader,
				type => $APPEND,
				index => $last,
				log_term => $last_term,
				commit => $last + 1,
				entries => [ [ $term, 2, $only_me ] ]),
			raft_message(
				%as_leader,
				type => $SNAPSHOT,
				index => $last + 1,
				log_term => $term,
				configuration => pack('C Q>', 1, 0) . $only_me,
				head => $head)),
		"t\nt\n",
		"$node->{name} receives a configuration with the lying consenter as the only voter");
}
goes_on('after an entry that makes the liar the only voter');
foreach my $node (@others)
{
	is( $node->query(
			"SELECT count(*) FROM fabric_internal.raft_log WHERE channel = 'trade' AND kind = 2"),
		'0',
		"$node->{name} has not put the configuration into its log");
	is( $node->query("SELECT count(*) FROM fabric.stat_orderer_followers WHERE channel = 'trade'"),
		'2', "$node->{name} still knows two other voters");
}

# ---- blocks to fetch: a leader's statement counts only while the leader repeats it ----

my $configuration = pack('C Q> C Q>3', 1, 0, 3, 1, 2, 3);

same_log();
$term = newest_term() + 1;
foreach my $node (@others)
{
	is( lie_to(
			$node,
			map {
				raft_message(
					to => $node->{number},
					type => $SNAPSHOT,
					term => $term,
					index => $_,
					log_term => $term,
					configuration => $configuration,
					head => $head)
			} 1 << 50,
			1 << 49),
		"t\nt\n",
		"$node->{name} receives the statement that it lacks blocks that no node has");
}
goes_on('after a snapshot with an absurd index');
# A consenter that gets blocks from others stores their signatures. Different signatures at every
# node show that each makes blocks from its own log again
sub own_blocks
{
	my %signatures;

	$nodes[0]->try_query("SELECT fabric.invoke('trade', 'book', 'put', 'own', 'x')");
	my $number = FabricTest::height_of($nodes[0], 'trade') - 1;
	FabricTest::wait_until(sub { FabricTest::height_of($_, 'trade') > $number }) foreach @nodes;
	$signatures{
		$_->query(
			"SELECT encode(signatures, 'hex') FROM fabric_internal.block WHERE channel = 'trade' AND number = $number"
		)
	  }
	  = 1
	  foreach @nodes;
	return keys %signatures == 3;
}
ok(FabricTest::wait_until(\&own_blocks), 'each consenter makes blocks from its own log again');

# ---- jumps do not use up the terms ----

$term = newest_term();
is( lie_to(
		$others[0],
		map {
			raft_message(
				to => $others[0]->{number},
				type => $VOTE_RESPONSE,
				flags => $REJECTED,
				term => $term + $_ * (1 << 31))
		} 1 .. 2000),
	"t\n" x 2000,
	'the node accepts two thousand messages of terms that are far ahead');
goes_on('after terms that jump');
cmp_ok(
	newest_term(), '<',
	$term + 100 * (1 << 31),
	'the node did not adopt most of the terms that are far ahead');

# ---- contents that no honest orderer orders have a validation code ----

Fabric::Pki::create_key($nodes[0]->path('client.key'));
Fabric::Host::spew($nodes[0]->path('client.pem'),
	$network->enroll($nodes[0], 'client', 'client', $nodes[0]->path('client.key')));
my $client =
  FabricWire::identity('Org1MSP', $nodes[0]->path('client.pem'), $nodes[0]->path('client.key'));
my $genesis = FabricWire::get(
	pack('H*', $nodes[0]->query("SELECT encode(fabric.get_block('trade', 0), 'hex')")),
	2, 1, 1, 2);
my $config = FabricWire::get($genesis, 1);
my %next_config =
  (channel => 'trade', organization => 'Org1MSP', config => $config, admin => $client);
my $nothing = FabricWire::message(
	[ 1, 'trade' ],
	[ 2, '' ],
	[
		3,
		FabricWire::message(
			[ 3, FabricWire::config_entry('New', FabricWire::message([ 3, 'Admins' ])) ])
	]);

sub content
{
	return FabricWire::signed(
		FabricWire::transaction(
			channel => 'trade',
			chaincode => 'book',
			version => '1.0',
			creator => $client,
			endorsers => [],
			writes => { a => 1 },
			@_));
}

sub is_ordered
{
	my ($name, @cases) = @_;

	same_log();
	my $height = FabricTest::height_of($others[0], 'trade');
	FabricConsenter::order_as_leader($liar, \@others, 'trade', map { $_->[2] } @cases);
	goes_on($name);
	my @codes = split /\n/,
	  $others[0]->query(
		"SELECT validation_code FROM fabric_internal.transaction WHERE channel = 'trade' AND block_number = $height ORDER BY position"
	  );
	is($codes[$_], $cases[$_][0], "$name: $cases[$_][1]") foreach 0 .. $#cases;
}

my @config_type = (type => $FabricWire::CONFIG, tx_id => '');
my @contents = (
	[ 6, 'an empty configuration', content(@config_type, data => '') ],
	[ 6, 'a configuration that cannot be read', content(@config_type, data => "\xff") ],
	[ 6, 'the configuration of the genesis block', content(@config_type, data => $genesis) ],
	[
		6,
		'a configuration without an update',
		content(
			@config_type,
			data => FabricWire::message(
				[ 1, FabricWire::message([ 1, \1 ], [ 2, FabricWire::get($config, 2) ]) ]))
	],
	[
		6,
		'an update that a client has signed',
		content(@config_type, data => FabricWire::next_configuration(%next_config))
	],
	[
		6,
		'an update of which nothing becomes part of the configuration',
		content(
			@config_type,
			data => FabricWire::next_configuration(
				%next_config,
				update => $nothing,
				group => FabricWire::get($config, 2)))
	],
	[
		6,
		'an update of nothing',
		content(
			@config_type,
			data => FabricWire::next_configuration(
				%next_config,
				update => FabricWire::message([ 1, 'trade' ], [ 3, '' ]),
				group => FabricWire::get($config, 2)))
	],
	[
		4,
		'an unsigned configuration',
		FabricWire::envelope(
			FabricWire::transaction(
				channel => 'trade',
				chaincode => 'book',
				version => '1.0',
				creator => $client,
				endorsers => [],
				@config_type, data => $genesis)->{payload},
			'x')
	],
	[ 7, 'an update of the configuration alone', content(type => $FabricWire::CONFIG_UPDATE) ],
	(map { [ 3, "header type $_", content(type => $_) ] } 0, 4, 5, 6, 7, 8, 99, (1 << 31) - 1));
is_ordered('a batch of odd types', @contents);
# alone in its block it looks like a configuration block
is_ordered('a block with nothing but a configuration', $contents[4]);
is_ordered('one that cannot be read', $contents[1]);
is($_->query("SELECT * FROM fabric.verify_chain('trade')"),
	'', "$_->{name} verifies its chain without a problem")
  foreach @nodes;

# ---- a lie that is in the tables does not survive a restart ----

# the node must lead: no other node's log has an entry of its last term that the node has not sent
my ($healed) = @others;
ok( FabricTest::wait_until(
		sub {
			my $now = FabricTest::wait_for_leader($network, 'trade');
			return 1 if $now == $healed;
			$now->try_query("SELECT fabric.transfer_leadership('trade', $healed->{number})");
			return 0;
		}),
	"$healed->{name} leads");
my $state_of =
  "SELECT encode(configuration, 'hex') FROM fabric_internal.raft_state WHERE channel = 'trade'";
my $right = $healed->query($state_of);

$healed->stop;
$healed->start('without workers');
$healed->query(<<"SQL");
UPDATE fabric_internal.raft_log SET kind = 2, payload = '\\x01' || int8send($healed->{number})
	WHERE channel = 'trade' AND index = (SELECT max(index) FROM fabric_internal.raft_log
		WHERE channel = 'trade' AND kind = 1);
UPDATE fabric_internal.raft_state SET configuration = '\\x01'
	|| int8send((SELECT max(index) FROM fabric_internal.raft_log WHERE channel = 'trade' AND kind = 2))
	|| '\\x01' || int8send($healed->{number});
SQL
$healed->stop;
$healed->start;
$before{ $healed->{name} } = undef;
ok( FabricTest::wait_until(sub { $healed->query($state_of) eq $right }),
	'an orderer replaces a stored configuration of one voter by that of the channel');
ok( FabricTest::wait_until(
		sub {
			$healed->query(
				"SELECT count(*) FROM fabric_internal.raft_log WHERE channel = 'trade' AND kind = 2"
			) == 0;
		}),
	'a configuration entry in the log does not change the voters');
$before{ $healed->{name} } = $healed->query($workers);
goes_on('after a stored configuration of one voter');
done_testing();
