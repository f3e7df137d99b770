# Every validation code that a transaction of a block can have, through handmade transactions of an
# admitted client and of an orderer that checks nothing. Each is stored in its block with its code,
# the same at every node; an invalid one does not change the state; the chain continues; and its
# transaction id counts as used.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use FabricConsenter qw();
use FabricTest;
use FabricWire   qw();
use Fabric::Host qw(spew);
use Fabric::Psql qw(literal);
use Test::More;

my $network = FabricTest::start_network(
	orgs => 3,
	orderers => 3,
	channel => 'trade',
	settings => "fabric.raft_election_timeout = 3s\n",
	profile => { batch_timeout => '200ms', batch_size => { max_message_count => 200 } });
my ($org1, $org2, $org3) = $network->nodes;
my $policy = "OutOf(2, 'Org1MSP.peer', 'Org2MSP.peer', 'Org3MSP.peer')";

$network->deploy('trade', 'book', <<'SQL', policy => $policy);
CREATE FUNCTION put(key text, value text) RETURNS void
	LANGUAGE sql AS $$ SELECT fabric.put_state(key, value) $$;
CREATE FUNCTION get(key text) RETURNS text LANGUAGE sql AS $$ SELECT fabric.get_state_text(key) $$;
CREATE FUNCTION append(key text, value text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	PERFORM fabric.put_state(key, coalesce(fabric.get_state_text(key), '') || value);
	RETURN fabric.get_state_text(key);
END $$;
CREATE FUNCTION count_keys(first text, last text, into_key text) RETURNS bigint
	LANGUAGE plpgsql AS $$
DECLARE
	n bigint := (SELECT count(*) FROM fabric.get_state_by_range(first, last));
BEGIN
	PERFORM fabric.put_state(into_key, n::text);
	RETURN n;
END $$;
SQL
$org1->query("SELECT fabric.invoke('trade', 'book', 'put', 'a', '1')");

# a client of Org1, and the peers whose endorsements the test makes
Fabric::Pki::create_key($org1->path('client.key'));
spew($org1->path('client.pem'),
	$network->enroll($org1, 'client', 'client', $org1->path('client.key')));
my $client = FabricWire::identity('Org1MSP', $org1->path('client.pem'), $org1->path('client.key'));
my ($peer1, $peer2, $peer3) =
  map { FabricWire::identity($_->{msp_id}, $_->path('keys/node.pem'), $_->path('keys/node.key')) }
  $network->nodes;

sub make
{
	return FabricWire::transaction(
		channel => 'trade',
		chaincode => 'book',
		version => '1.0',
		creator => $client,
		endorsers => [ $peer1, $peer2 ],
		@_);
}

sub height
{
	return $_[0]
	  ->query("SELECT max(number) + 1 FROM fabric_internal.block WHERE channel = 'trade'");
}

# wait until a query gives true
sub wait_until
{
	my ($node, $sql) = @_;

	FabricTest::wait_until(sub { $node->query($sql) eq 't' })
	  or die "it did not come to this: $sql\n";
}

# the codes of the transactions from this block on, at a node, once it has this many
sub codes_from
{
	my ($node, $block, $count) = @_;

	wait_until($node,
		"SELECT count(*) >= $count FROM fabric_internal.transaction WHERE channel = 'trade' AND block_number >= $block"
	);
	return [
		split /\n/,
		$node->query(
			"SELECT validation_code FROM fabric_internal.transaction WHERE channel = 'trade' AND block_number >= $block ORDER BY block_number, position"
		)
	];
}

# the data that must be the same at every node: blocks with their codes, and the state
sub digest
{
	my ($node) = @_;

	return $node->query(<<'SQL');
SELECT md5(string_agg(concat_ws(',', number, block_hash, transactions_filter, commit_hash), ';'
	ORDER BY number))
	FROM fabric_internal.block WHERE channel = 'trade'
UNION ALL
SELECT md5(string_agg(concat_ws(',', namespace, key, value, metadata, block_number, position), ';'
	ORDER BY namespace, key)) FROM fabric_internal.world_state WHERE channel = 'trade'
SQL
}

sub state
{
	my ($node) = @_;

	return $node->query(
		"SELECT string_agg(convert_from(key, 'UTF8') || '=' || convert_from(value, 'UTF8'), ' ' ORDER BY key) FROM fabric_internal.world_state WHERE channel = 'trade' AND namespace = 'book'"
	);
}

# ---- transactions of a client that pass the orderers' checks ----

my $used = make(writes => { used => 'yes' });
my @by_client = (
	[ 0, 'a good transaction made by hand', $used ],
	[ 3, 'a message of another type', make(type => 0, writes => { bad => 1 }) ],
	[ 3, 'an epoch', make(epoch => 7, writes => { bad => 1 }) ],
	[ 3, 'no nonce', make(nonce => '', writes => { bad => 1 }) ],
	[ 5, 'no content', make(data => '') ],
	[ 5, 'content that cannot be decoded', make(data => "\x0a\xff") ],
	[ 5, 'no action', make(data => FabricWire::message([ 1, '' ])) ],
	[ 5, 'two actions', make(actions => 2, writes => { bad => 1 }) ],
	[
		5,
		'the endorsement of another proposal',
		make(proposal_hash => 'x' x 32, writes => { bad => 1 })
	],
	[ 9, 'the transaction once more', $used ],
	[ 10, 'one endorsement of two', make(endorsers => [$peer1], writes => { bad => 1 }) ],
	[
		10,
		'the same endorsement twice',
		make(endorsers => [ $peer1, $peer1 ], writes => { bad => 1 })
	],
	[ 10, 'no endorsement', make(endorsers => [], writes => { bad => 1 }) ],
	[
		10,
		'endorsements by a client',
		make(endorsers => [ $client, $peer1 ], writes => { bad => 1 })
	],
	[
		10,
		'endorsements with wrong signatures',
		make(endorsement => FabricWire::sign($peer1, 'something else'), writes => { bad => 1 })
	],
	[
		10,
		'reading only, with one endorsement',
		make(endorsers => [$peer3], reads => { nothing => undef })
	],
	[
		11,
		'a version that was never there',
		make(reads => { a => [ 1, 0 ] }, writes => { bad => 1 })
	],
	[ 11, 'a key that was thought absent', make(reads => { a => undef }, writes => { bad => 1 }) ],
	[
		19,
		'a header extension that cannot be decoded',
		make(header_extension => "\x12\xff", writes => { bad => 1 })
	],
	[ 21, 'no chaincode action', make(extension => '') ],
	[ 21, 'a chaincode action that cannot be decoded', make(extension => "\x0a\xff") ],
	[ 22, 'a read-write set that cannot be decoded', make(results => "\x12\xff") ],
	[
		22,
		'a namespace that cannot be decoded',
		make(results => FabricWire::results(book => "\x1a\xff"))
	],
	[
		23,
		'the same namespace twice',
		make(
			results => FabricWire::results(
				book => FabricWire::rwset(undef, { bad => 1 }),
				book => FabricWire::rwset(undef, { bad => 2 })))
	],
	[ 25, 'a chaincode that is not defined', make(chaincode => 'nosuch', writes => { bad => 1 }) ],
	[
		25,
		'a write to the namespace of a chaincode that is not defined',
		make(results => FabricWire::results(nosuch => FabricWire::rwset(undef, { bad => 1 })))
	],
	[
		25,
		'an action of another chaincode than the header',
		make(action_name => 'other', writes => { bad => 1 })
	],
	[ 25, 'no version of the chaincode', make(action_version => undef, writes => { bad => 1 }) ],
	[
		255,
		'an event of another chaincode',
		make(events => FabricWire::message([ 1, 'other' ], [ 3, 'sold' ]), writes => { bad => 1 })
	],
	[
		255,
		'a header that names no chaincode',
		make(header_extension => '', writes => { bad => 1 })
	]);

my $state_before = state($org1);
my $block = height($org1);
$org1->query(
	join(
		";\n",
		map {
				'SELECT fabric.submit('
			  . FabricWire::bytea($_->[2]{payload}) . ', '
			  . FabricWire::bytea(FabricWire::sign($client, $_->[2]{payload})) . ')'
		} @by_client));
my $codes = codes_from($org1, $block, scalar @by_client);
is($codes->[$_], $by_client[$_][0], $by_client[$_][1]) foreach 0 .. $#by_client;
is(scalar @$codes, scalar @by_client, 'only the submitted transactions were ordered');
is(state($org1), "$state_before used=yes", 'only the valid transaction changed the state');
foreach my $node ($org2, $org3)
{
	codes_from($node, $block, scalar @by_client);
	is(digest($node), digest($org1), "$node->{name} has the same codes and state");
}

# the functions and views about them
is($org1->query("SELECT validation_code FROM fabric.commit_status('trade', '$used->{tx_id}')"),
	'VALID', 'commit_status returns the code of the valid transaction');
is( $org1->query(
		"SELECT validation_code FROM fabric.commit_status('trade', '$by_client[10][2]{tx_id}')"),
	'ENDORSEMENT_POLICY_FAILURE',
	'commit_status returns the code of the transaction with too few endorsements');

# ---- transactions that only an orderer without checks can order: a consenter that makes itself the
# leader, and tells the others that they are committed ----

my ($evil, @others) = $network->orderers;

my $unsigned = make(writes => { bad => 1 });
my $twice = make(writes => { twice => 'once' });
my $first = make(reads => { used => undef }, writes => { bad => 1 });
my $foreign = FabricWire::transaction(
	channel => 'other',
	chaincode => 'book',
	version => '1.0',
	creator => $client,
	endorsers => [ $peer1, $peer2 ],
	writes => { bad => 1 });
my $stranger = {
	%$client,
	bytes => FabricWire::message([ 1, 'NobodyMSP' ], [ 2, FabricWire::get($client->{bytes}, 2) ])
};
my $configuration = make(type => $FabricWire::CONFIG, data => '');
my $update = make(type => $FabricWire::CONFIG_UPDATE, writes => { bad => 1 });
my $a = $org1->query(
	"SELECT block_number || ',' || position FROM fabric_internal.world_state WHERE channel = 'trade' AND namespace = 'book' AND key = 'a'"
);
my @version = split /,/, $a;
my $winner = make(reads => { a => \@version }, writes => { a => 'winner' });
my $loser = make(reads => { a => \@version }, writes => { a => 'loser' });
my $signature = FabricWire::sign($client, $unsigned->{payload});
my @by_orderer = (
	[ 2, 'bytes that are no payload', FabricWire::envelope("\x0a\xff", 'x') ],
	[
		3, 'a payload without header', FabricWire::envelope(FabricWire::message([ 2, 'data' ]), 'x')
	],
	[
		3,
		'a header that cannot be decoded',
		FabricWire::envelope(
			FabricWire::message([ 1, FabricWire::message([ 1, "\x0a\xff" ], [ 2, "\x0a\xff" ]) ]),
			'x')
	],
	[
		4,
		'the signature of another',
		FabricWire::envelope($unsigned->{payload}, FabricWire::sign($peer1, $unsigned->{payload}))
	],
	[
		4,
		'the signature with a high s',
		FabricWire::envelope($unsigned->{payload}, FabricWire::with_high_s($signature))
	],
	[
		4,
		'a client of an unknown organization',
		FabricWire::signed(make(creator => $stranger, writes => { bad => 1 }))
	],
	[ 7, 'a configuration update', FabricWire::signed($update) ],
	[ 14, 'a transaction of another channel', FabricWire::signed($foreign) ],
	[ 0, 'a good one', FabricWire::signed($twice) ],
	[
		9,
		'the same once more in the same block',
		FabricWire::envelope($twice->{payload}, FabricWire::sign($client, $twice->{payload}))
	],
	[ 0, 'the first of two that read and write the same key', FabricWire::signed($winner) ],
	[ 11, 'the second of them', FabricWire::signed($loser) ],
	[
		8,
		'a transaction id of its own choice',
		FabricWire::signed(make(tx_id => 'ab' x 32, writes => { bad => 1 }))
	],
	[ 8, 'no transaction id', FabricWire::signed(make(tx_id => '', writes => { bad => 1 })) ],
	[
		9,
		'the id of a transaction that was invalid before',
		FabricWire::envelope(
			$by_client[10][2]{payload},
			FabricWire::sign($client, $by_client[10][2]{payload}))
	]);

$block = height($org1);
wait_until($_, "SELECT max(number) + 1 = $block FROM fabric_internal.block WHERE channel = 'trade'")
  foreach @others;
FabricConsenter::order_as_leader($evil, \@others, 'trade', map { $_->[2] } @by_orderer);
$codes = codes_from($org1, $block, scalar @by_orderer);
is($codes->[$_], $by_orderer[$_][0], $by_orderer[$_][1]) foreach 0 .. $#by_orderer;
is( $org1->query(
		"SELECT count(DISTINCT block_number) FROM fabric_internal.transaction WHERE channel = 'trade' AND block_number >= $block"
	),
	'1',
	'one block has all transactions');
is( $org1->query("SELECT validation_code FROM fabric.commit_status('trade', '" . 'ab' x 32 . "')"),
	'BAD_PROPOSAL_TXID',
	'commit_status returns the code of the transaction with a wrong id');
is( state($org1),
	($state_before =~ s/a=1/a=winner/r) . ' twice=once used=yes',
	'only the valid transactions changed the state');
is($org1->query("SELECT fabric.query('trade', 'book', 'get', 'a')"),
	'winner', 'the changed state can be queried');

# a configuration that the channel's rules do not give is dropped, although an orderer forwards it
{
	my $sequence = "SELECT fabric.config('trade') ->> 'sequence'";
	my $sequence_before = $org1->query($sequence);
	my $log_size = -s $others[0]->cluster->logfile;
	my (undef, $error, $status) =
	  FabricConsenter::forward($evil, $others[0], 'trade', FabricWire::signed($configuration));

	is($status, 0, 'a message with a forged configuration is accepted') or diag($error);
	like(
		PostgreSQL::Test::Utils::slurp_file($others[0]->cluster->logfile, $log_size),
		qr/forwarded 1 envelopes that cannot be ordered/,
		'the configuration in it is dropped, and the log tells who forwarded it');
	is($org1->query($sequence), $sequence_before, 'the configuration stays');
}

# an envelope that no block can hold is refused even from an orderer: every node would refuse the
# whole block
foreach my $case (
	[ 'no envelope at all', '' ],
	[ 'bytes that are no envelope', "\x0a\xff" ],
	[ 'an envelope without signature', FabricWire::envelope($unsigned->{payload}, undef) ],
	[
		'an envelope with an unknown field',
		FabricWire::envelope($unsigned->{payload}, $signature) . FabricWire::message([ 3, 'x' ])
	])
{
	my ($name, $envelope) = @$case;
	my ($output, $error, $status) = FabricConsenter::forward($evil, $others[0], 'trade',
		FabricWire::signed(make(writes => { bad => 1 })), $envelope);

	isnt($status, 0, "$name is not accepted");
	like(
		$error,
		qr/LF002: envelope cannot be put into a block/,
		'the error says that the envelope cannot be put into a block');
}

# ---- honest clients ----

sub propose
{
	my ($function, @arguments) = @_;
	my ($tx_id, $proposal) = split /\|/,
	  $org1->query(
		"SELECT tx_id, encode(proposal, 'hex') FROM fabric.new_proposal('trade', 'book', '$function', ARRAY["
		  . join(', ', map { literal($_) } @arguments) . '], '
		  . FabricWire::bytea($client->{bytes})
		  . ')');

	$proposal = pack 'H*', $proposal;
	return {
		tx_id => $tx_id,
		proposal => $proposal,
		signature => FabricWire::sign($client, $proposal)
	};
}

sub endorse
{
	my ($proposed, $organizations) = @_;
	my $list = $organizations ? "ARRAY['" . join("', '", @$organizations) . "']" : 'NULL';
	my $payload =
	  $org1->query("SELECT encode(payload, 'hex') FROM fabric.endorse("
		  . FabricWire::bytea($proposed->{proposal}) . ', '
		  . FabricWire::bytea($proposed->{signature})
		  . ", $list)");

	return { %$proposed, payload => pack('H*', $payload) };
}

sub submit
{
	my ($endorsed) = @_;

	return $org1->query('SELECT fabric.submit('
		  . FabricWire::bytea($endorsed->{payload}) . ', '
		  . FabricWire::bytea(FabricWire::sign($client, $endorsed->{payload})) . ");\n"
		  . "SELECT validation_code FROM fabric.commit_status('trade', '$endorsed->{tx_id}')");
}

my $one = endorse(propose('append', 'a', '1'));
my $two = endorse(propose('append', 'a', '2'));
is(submit($one), "$one->{tx_id}\nVALID",
	'the first of two transactions that were endorsed in the same state is valid');
is( submit($two),
	"$two->{tx_id}\nMVCC_READ_CONFLICT",
	'the second of two transactions that were endorsed in the same state is not valid');

my $counted = endorse(propose('count_keys', 'p', 'q', 'count'));
$org1->query("SELECT fabric.invoke('trade', 'book', 'put', 'p1', 'x')");
is( submit($counted),
	"$counted->{tx_id}\nPHANTOM_READ_CONFLICT",
	'a range into which a key was inserted is a phantom read conflict');
$counted = endorse(propose('count_keys', 'p', 'q', 'count'));
$org1->query("SELECT fabric.invoke('trade', 'book', 'put', 'q1', 'x')");
is(submit($counted), "$counted->{tx_id}\nVALID",
	'a range next to which a key was inserted is valid');
$counted = endorse(propose('count_keys', 'p', 'q', 'count'));
$org1->query("SELECT fabric.invoke('trade', 'book', 'put', 'p1', 'y')");
like(
	submit($counted),
	qr/^$counted->{tx_id}\n(MVCC|PHANTOM)_READ_CONFLICT$/,
	'a range in which a key changed is a read conflict');

my $lonely = endorse(propose('put', 'lonely', 'x'), ['Org2MSP']);
is( submit($lonely),
	"$lonely->{tx_id}\nENDORSEMENT_POLICY_FAILURE",
	'an endorsement of one organization does not satisfy the policy');

# an id that was used stays used, whatever the code of its transaction
foreach my $case ([ $one, 'valid' ], [ $two, 'in conflict' ], [ $lonely, 'short of endorsements' ])
{
	my ($transaction, $name) = @$case;
	my ($output, $error, $status) =
	  $org1->try_query('\set VERBOSITY verbose'
		  . "\nSELECT * FROM fabric.endorse("
		  . FabricWire::bytea($transaction->{proposal}) . ', '
		  . FabricWire::bytea($transaction->{signature})
		  . ')');

	isnt($status, 0, "a proposal whose transaction was $name is not endorsed again");
	like(
		$error,
		qr/LF409: transaction "$transaction->{tx_id}" is on the ledger already/,
		'the error says that the transaction is on the ledger');
}
my $conflict = ($org1->try_query(<<'SQL'))[1];
\set VERBOSITY verbose
SELECT (fabric.submit_transaction('trade', 'book', 'append', ARRAY['a', '3'],
	endorsing_orgs => ARRAY['Org3MSP'])).validation_code;
SELECT fabric.invoke('trade', 'book', 'nosuch');
SQL
like($conflict, qr/LF301.*nosuch/s,
	'a function that does not exist is refused before anything is ordered');

# the error of invoke for a conflict names key, versions and the winner
my $log_size = -s $org1->cluster->logfile;
$org1->set_faults('gateway_before_submit=hold');
my $held = Fabric::Psql::start_query($org1->connection,
	"\\set VERBOSITY verbose\nSELECT fabric.invoke('trade', 'book', 'append', 'a', 'late')");
ok( $org1->wait_until_held('gateway_before_submit', $log_size),
	'a call is endorsed, and is held before it is submitted');
# this session does not take turns with the other one
my $early = $org1->query(
	"SET fabric.fault_points = '';\nSET fabric.hot_key_timeout = 0;\nSELECT tx_id FROM fabric.submit_transaction('trade', 'book', 'append', ARRAY['a', 'early'])"
);
$org1->set_faults('');
my ($output, $error, $status) = Fabric::Psql::finish_query($held);
isnt($status, 0, 'a call in conflict fails');
like(
	$error,
	qr/LF408: transaction [0-9a-f]{64} is invalid: MVCC_READ_CONFLICT/,
	'the message of a conflict has transaction id and code');
like(
	$error,
	qr/DETAIL:  Key "a" of chaincode "book" was read at version block \d+, transaction 0, but found at version block \d+, transaction 0, written by transaction $early when block \d+ was committed/,
	'the detail of a conflict has key, versions and the winner');
like(
	$error,
	qr/HINT:  Nothing was changed\. Call the function again/,
	'the hint of a conflict says that nothing was changed');

# all nodes, all blocks
my $height = height($org1);
wait_until($_,
	"SELECT max(number) + 1 >= $height FROM fabric_internal.block WHERE channel = 'trade'")
  foreach $org2, $org3;
is(digest($_), digest($org1), "$_->{name} has the same blocks, codes and state")
  foreach $org2, $org3;
is($org1->query("SELECT fabric.query('trade', 'book', 'get', 'bad')"),
	'', 'no invalid transaction wrote to the state');

# A new code needs a transaction here. These have none: INVALID_CONFIG_TRANSACTION is in
# t/191_import_mirrors.pl, INVALID_WRITESET in t/185; the others, this project's
# validation does not give.
is( $org1->query(<<'SQL'),
SELECT string_agg(name, ' ' ORDER BY code)
FROM generate_series(0, 255) code, fabric_internal.validation_code_name(code::int2) name
WHERE name !~ '^[0-9]' AND code NOT IN (SELECT validation_code FROM fabric_internal.transaction)
SQL
	join(' ',
		qw(NIL_ENVELOPE INVALID_CONFIG_TRANSACTION UNKNOWN_TX_TYPE MARSHAL_TX_ERROR NIL_TXACTION),
		qw(EXPIRED_CHAINCODE CHAINCODE_VERSION_CONFLICT BAD_CHANNEL_HEADER INVALID_WRITESET),
		'NOT_VALIDATED'),
	'the codes that no transaction of this test has');
done_testing();
