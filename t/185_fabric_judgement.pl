# Transactions that no client writes but that Fabric's validator judges: forms of certificates,
# signatures and messages that Go's decoders accept, writes that add up, key policies that a failed
# transaction changes. A consenter forwards them, so that they are in one block; those that are not
# admitted it orders as a false leader. Every node finds the same codes and state, in the committer
# and in a replay of the chain. A transaction that only a limit of this project would invalidate is
# not ordered.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use FabricConsenter qw();
use FabricTest;
use FabricWire   qw();
use Fabric::Host qw(spew);
use Digest::SHA  qw(sha256_hex);
use MIME::Base64 qw(decode_base64 encode_base64);
use Test::More;

my $network = FabricTest::start_network(
	orgs => 2,
	orderers => 2,
	channel => 'trade',
	settings => "fabric.raft_election_timeout = 3s\n",
	profile => { batch_timeout => '200ms', batch_size => { max_message_count => 200 } });
my ($org1, $org2) = $network->nodes;
my $source =
  'CREATE FUNCTION put(key text, value text) RETURNS void LANGUAGE sql AS $$ SELECT fabric.put_state(key, value) $$;';

$network->deploy('trade', 'book', $source, policy => "OR('Org1MSP.peer', 'Org2MSP.peer')");
$network->deploy('trade', 'audit', $source, policy => "AND('Org1MSP.peer', 'Org2MSP.peer')");
$org1->query("SELECT fabric.invoke('trade', 'book', 'put', '$_', 'old')") foreach qw(a guarded);

Fabric::Pki::create_key($org1->path('client.key'));
spew($org1->path('client.pem'),
	$network->enroll($org1, 'client', 'client', $org1->path('client.key')));
my $client = FabricWire::identity('Org1MSP', $org1->path('client.pem'), $org1->path('client.key'));
my ($peer1, $peer2) =
  map { FabricWire::identity($_->{msp_id}, $_->path('keys/node.pem'), $_->path('keys/node.key')) }
  $network->nodes;

sub make
{
	return FabricWire::transaction(
		channel => 'trade',
		chaincode => 'book',
		version => '1.0',
		creator => $client,
		endorsers => [$peer1],
		@_);
}

# the same identity with its certificate in another form
sub in_form
{
	my ($identity, $change) = @_;
	my $pem = FabricWire::get($identity->{bytes}, 2);

	return {
		%$identity,
		bytes => FabricWire::message(
			[ 1, FabricWire::get($identity->{bytes}, 1) ], [ 2, $change->($pem) ])
	};
}

sub write_of { return [ 3, FabricWire::message([ 1, $_[0] ], [ 3, $_[1] ]) ] }

sub codes_from
{
	my ($node, $block, $count) = @_;

	FabricTest::wait_until(
		sub {
			$node->query(
				"SELECT count(*) >= $count FROM fabric_internal.transaction WHERE channel = 'trade' AND block_number >= $block"
			) eq 't';
		});
	return [
		split /\n/,
		$node->query(
			"SELECT validation_code FROM fabric_internal.transaction WHERE channel = 'trade' AND block_number >= $block ORDER BY block_number, position"
		)
	];
}

sub state_of
{
	return $_[0]->query(
		"SELECT string_agg(convert_from(key, 'UTF8') || '=' || convert_from(value, 'UTF8'), ' ' ORDER BY key) FROM fabric_internal.world_state WHERE channel = 'trade' AND namespace = 'book'"
	);
}

# compare codes at both nodes, of the blocks from this one on
sub compare
{
	my ($block, @cases) = @_;

	foreach my $node ($org1, $org2)
	{
		my $codes = codes_from($node, $block, scalar @cases);

		is($codes->[$_], $cases[$_][0], "$node->{name}: $cases[$_][1]") foreach 0 .. $#cases;
		is(scalar @$codes, scalar @cases, "$node->{name}: no other transaction is in the blocks");
	}
}

# the leader of the channel and the other orderer
sub leader_and_other
{
	my $leader = FabricTest::wait_for_leader($network, 'trade');

	return ($leader, grep { $_ != $leader } $network->orderers);
}

# order the cases in one block
sub judge
{
	my (@cases) = @_;
	my ($leader, $other) = leader_and_other();
	my $block = FabricTest::height_of($org1, 'trade');
	my ($output, $error) =
	  FabricConsenter::forward($other, $leader, 'trade', map { $_->[2] } @cases);

	is($output, "t\n", 'the leader accepted the forwarded envelopes') or diag($error);
	compare($block, @cases);
}

# the same with cases that are not admitted
sub judge_unadmitted
{
	my (@cases) = @_;
	my ($leader, $evil) = leader_and_other();
	my $block = FabricTest::height_of($org1, 'trade');

	FabricConsenter::order_as_leader($evil, [$leader], 'trade', map { $_->[2] } @cases);
	compare($block, @cases);
}

# ---- identities, signatures, encodings ----

my $good = make(writes => { parts => 'yes' });
my ($header, $data) = (FabricWire::get($good->{payload}, 1), FabricWire::get($good->{payload}, 2));
my $in_parts = FabricWire::message(
	[ 1, FabricWire::message([ 2, FabricWire::get($header, 2) ]) ],
	[ 2, $data ],
	[ 1, FabricWire::message([ 1, FabricWire::get($header, 1) ]) ]);
my $signed = make(writes => { junk => 'yes' });
my $beside =
  make(endorsers => [ { %$peer2, key => $peer1->{key} }, $peer1 ], writes => { beside => 'yes' });
my $typed = in_form($client, sub { return "a note\n" . ($_[0] =~ s/CERTIFICATE/ANY TYPE/gr) });
my $endorser = in_form($peer1, sub { return $_[0] =~ s/\n(?!-|$)/ \n\t/gr });
my $twice = FabricWire::message(
	write_of('a', 'new'),
	write_of('a', 'newer'),
	write_of('never', '1'),
	write_of('never', '2'),
	write_of('thrice', '1'),
	write_of('thrice', '2'),
	write_of('thrice', '3'));
my $unnamed = FabricWire::message([ 2, FabricWire::message([ 1, 'hashed' ], [ 3, 'hash' ]) ]);

judge(
	[
		0,
		'a header in two parts',
		FabricWire::envelope($in_parts, FabricWire::sign($client, $in_parts))
	],
	[
		0,
		'a signature with bytes behind it',
		FabricWire::envelope(
			$signed->{payload}, FabricWire::sign($client, $signed->{payload}) . 'junk')
	],
	[ 0, 'an endorsement that does not count', FabricWire::signed($beside) ],
	[
		0,
		'a certificate of another PEM type, behind text',
		FabricWire::signed(make(creator => $typed, writes => { typed => 'yes' }))
	],
	[
		0,
		'an endorser whose PEM has blanks and tabs',
		FabricWire::signed(make(endorsers => [$endorser], writes => { blanks => 'yes' }))
	],
	[
		10,
		'the same endorser in two forms',
		FabricWire::signed(
			make(chaincode => 'audit', endorsers => [ $peer1, $endorser ], writes => { bad => 1 }))
	],
	[
		0,
		'U+0000 in the name of an event and in the version',
		FabricWire::signed(
			make(
				action_version => "1\0",
				events => FabricWire::message([ 1, 'book' ], [ 3, "sold\0out" ]),
				writes => { event => 'yes' }))
	],
	[
		25,
		'U+0000 in the name of the chaincode',
		FabricWire::signed(make(chaincode => "book\0", writes => { bad => 1 }))
	],
	[
		0,
		'keys written more than once',
		FabricWire::signed(make(results => FabricWire::results(book => $twice)))
	],
	[
		0,
		'a collection without a name',
		FabricWire::signed(
			make(
				results => FabricWire::message(
					[ 1, \0 ],
					[
						2,
						FabricWire::message(
							[ 1, 'book' ],
							[ 3, FabricWire::message([ 2, $unnamed ]) ])
					])))
	]);
is( state_of($_),
	'a=old beside=yes blanks=yes event=yes guarded=old hashed=hash junk=yes parts=yes thrice=3 typed=yes',
	"the state at $_->{name}") foreach $org1, $org2;

# ---- not admitted: creators and transaction ids ----

sub block_of { return "-----BEGIN $_[0]-----\n$_[1]\n-----END $_[0]-----\n" }

# Go's pem.Decode returns the first block that it can decode, wherever a line begins with one, and
# Fabric uses only that one
my @creators = (
	[ 4, 'a blank before the PEM block', sub { ' ' . $_[0] } ],
	[ 4, 'another PEM block before it', sub { block_of('X', 'AAAA') . $_[0] } ],
	[ 0, 'a block before it that is not in base64', sub { block_of('X', 'A*A') . $_[0] } ],
	[ 0, 'a header in the PEM block', sub { $_[0] =~ s/(CERTIFICATE-----\n)/$1Note: one\n\n/r } ],
	[ 0, 'no line break at the end', sub { $_[0] =~ s/\n$//r } ],
	[ 0, 'bytes behind the PEM block', sub { $_[0] . "\0junk" } ],
	[ 4, 'no end of the PEM block', sub { $_[0] =~ s/-----END.*//sr } ],
	[ 4, 'the end of a block of another type', sub { $_[0] =~ s/END CERTIFICATE/END X/r } ],
	[ 4, 'DER instead of PEM', sub { decode_base64($_[0] =~ s/-----[^\n]*\n//gr) } ],
	[
		4,
		'a certificate with a byte behind it',
		sub {
			my $der = decode_base64($_[0] =~ s/-----[^\n]*\n//gr) . "\0";
			block_of('CERTIFICATE', encode_base64($der, ''));
		}
	],
	[ 4, 'no certificate', sub { '' } ]);
my @of_creators = map {
	[
		@$_[ 0, 1 ],
		FabricWire::signed(
			make(
				creator => in_form($client, $_->[2]),
				writes => $_->[0] ? { bad => 1 } : { "creator: $_->[1]" => 'yes' }))
	]
} @creators;
my $invalid_identity = { %$client, bytes => "\x0a\xff" };
my ($nameless, $named, $shouted) = map { FabricWire::nonce() } 1 .. 3;
my $victim = make(writes => { bad => 1 });
my $long_id = join '', map { unpack 'H*', FabricWire::nonce() } 1 .. 200;
my $long = make(writes => { 'x' x 2000 => 'bad' });

judge_unadmitted(
	@of_creators,
	[
		4,
		'a creator that cannot be decoded',
		FabricWire::signed(make(creator => $invalid_identity, writes => { bad => 1 }))
	],
	[
		3, 'no creator',
		FabricWire::signed(make(creator => { %$client, bytes => '' }, writes => { bad => 1 }))
	],
	[
		8,
		'no transaction id',
		FabricWire::signed(make(nonce => $nameless, tx_id => '', writes => { bad => 1 }))
	],
	[
		8,
		'no transaction id either',
		FabricWire::signed(make(nonce => $named, tx_id => '', writes => { bad => 1 }))
	],
	[
		0,
		'its id in the same block',
		FabricWire::signed(make(nonce => $named, writes => { named => 'yes' }))
	],
	[
		8,
		'the id in capitals',
		FabricWire::signed(
			make(
				nonce => $shouted,
				tx_id => uc sha256_hex($shouted . $client->{bytes}),
				writes => { bad => 1 }))
	],
	[
		8,
		'the id of another',
		FabricWire::signed(make(tx_id => $victim->{tx_id}, writes => { bad => 1 }))
	],
	[
		8,
		'the same once more',
		FabricWire::signed(make(tx_id => $victim->{tx_id}, writes => { bad => 1 }))
	],
	[
		8,
		'an id that is no hexadecimal number',
		FabricWire::signed(make(tx_id => "it's\n\0 \\x", writes => { bad => 1 }))
	],
	[
		8,
		'an id of 9600 bytes',
		FabricWire::signed(make(tx_id => $long_id, writes => { bad => 1 }))
	],
	[
		3,
		'an id that is not in UTF-8',
		FabricWire::signed(make(tx_id => "\xff", writes => { bad => 1 }))
	],
	[ 24, 'a key that is too long for the state', FabricWire::signed($long) ]);

# every transaction in a block uses its id, whatever the code; where the transaction has no id, the
# computed one
judge(
	[
		9,
		'the id of the one without id',
		FabricWire::signed(make(nonce => $nameless, writes => { bad => 1 }))
	],
	[ 9, 'the id that another took', FabricWire::signed($victim) ],
	[
		0,
		'the id that was in capitals',
		FabricWire::signed(make(nonce => $shouted, writes => { shouted => 'yes' }))
	]);

# ---- policies of keys ----

my $principal = FabricWire::message([ 2, FabricWire::message([ 1, 'Org1MSP' ], [ 2, \3 ]) ]);
my $policy = FabricWire::message(
	[
		2,
		FabricWire::message(
			[ 2, FabricWire::message([ 1, \1 ], [ 2, FabricWire::message([ 1, \0 ]) ]) ])
	],
	[ 3, $principal ]);
my $guarding = FabricWire::message(
	[
		4,
		FabricWire::message(
			[ 1, 'guarded' ],
			[ 2, FabricWire::message([ 1, 'VALIDATION_PARAMETER' ], [ 2, $policy ]) ])
	]);

judge(
	[
		10,
		'audit fails; book, which changes the policy of a key, does not',
		FabricWire::signed(
			make(
				results => FabricWire::results(
					audit => FabricWire::rwset(undef, { bad => 1 }),
					book => $guarding)))
	],
	[
		10,
		'a write of that key later in the block',
		FabricWire::signed(make(writes => { guarded => 'bad' }))
	],
	[ 0, 'a write of another key', FabricWire::signed(make(writes => { other => 'yes' })) ]);
judge([ 0, 'the key in the next block', FabricWire::signed(make(writes => { guarded => 'new' })) ]);

# ---- limits: not ordered ----

my (undef, $error) =
  $org1->try_query("\\set VERBOSITY verbose\nSELECT fabric.submit("
	  . FabricWire::bytea($long->{payload}) . ', '
	  . FabricWire::bytea(FabricWire::sign($client, $long->{payload}))
	  . ')');
like(
	$error,
	qr/transaction exceeds a limit of validation/,
	'a transaction with a key that is too long is not ordered');
like(
	$error,
	qr/Bytes of a key that is written: 2000, more than 1536/,
	'the error says that the key is too long');

# ---- afterwards ----

foreach my $node ($org1, $org2)
{
	is($node->query("SELECT * FROM fabric.verify_chain('trade')"),
		'', "$node->{name}: verify_chain computes the same codes, state and columns");
	is( $node->query(
			"SELECT count(fabric.decode_block(fabric.get_block('trade', number))) = count(*) FROM fabric.blocks WHERE channel = 'trade'"
		),
		't',
		"$node->{name}: all blocks can be decoded");
	is( $node->query(
			"SELECT event_name FROM fabric.events WHERE channel = 'trade' AND chaincode = 'book'"),
		'\x736f6c64006f7574',
		"$node->{name}: the event can be read");
	is( $node->query(
			"SELECT count(*) FROM fabric.blocks b, fabric.verify_block(fabric.get_block('trade', number), fabric.get_block('trade', 0)) WHERE channel = 'trade' AND number > 0"
		),
		'0',
		"$node->{name}: verify_block finds nothing in any block");
}
is( $org1->query("SELECT fabric.state_digest('trade')"),
	$org2->query("SELECT fabric.state_digest('trade')"),
	'both nodes have the same state');
is(scalar FabricTest::fingerprints($network, 'trade'),
	1, 'both nodes have the same blocks and codes');
done_testing();
