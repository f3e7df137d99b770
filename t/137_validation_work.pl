# The cost of the most expensive transactions for a committer, in blocks of a leader that admits
# everything, because orderers refuse such transactions. A committer parses and evaluates the
# policies of a transaction once and verifies its signatures once, and its work grows with the size
# of the transaction.
#
# Counts are asserted, and orderers must refuse all of these transactions. Times are printed:
# FABRIC_WORST_SIZE=40 makes the transactions 40 times as large, each in a block of its own, and
# FABRIC_WORST_REPORT names a file for the lines (docs/performance.md).
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use FabricConsenter qw();
use FabricTest;
use FabricWire   qw();
use Fabric::Host qw(spew);
use Math::BigInt;
use Test::More;
use Time::HiRes qw(time);

my $size = $ENV{FABRIC_WORST_SIZE} || 1;
# no election may happen between the messages of the false leader to one consenter and to the other,
# however busy the machine is
my $network = FabricTest::start_network(
	orgs => 3,
	orderers => 3,
	channel => 'trade',
	# after autovacuum of a catalog the caches of a session are filled again, which would be counted
	settings =>
	  "fabric.commit_timeout = 600s\nfabric.raft_election_timeout = 4s\nautovacuum = off\n",
	profile => {
		batch_timeout => '200ms',
		batch_size => {
			max_message_count => 2000,
			absolute_max_bytes => 33554432,
			preferred_max_bytes => 8388608
		}
	});
my ($org1, $org2, $org3) = $network->nodes;
my ($evil, @others) = $network->orderers;

$network->deploy('trade', 'book',
	<<'SQL', policy => "OR('Org1MSP.peer', 'Org2MSP.peer', 'Org3MSP.peer')");
CREATE FUNCTION count_range(first text, last text) RETURNS void LANGUAGE plpgsql AS
$$ BEGIN PERFORM fabric.put_state('count',
	(SELECT count(*) FROM fabric.get_state_by_range(first, last))::text); END $$;
CREATE FUNCTION fill(prefix text, count int) RETURNS void
	LANGUAGE sql AS $$ SELECT fabric.put_state(prefix || lpad(i::text, 7, '0'), '1')
	FROM generate_series(1, count) i $$;
SQL
Fabric::Pki::create_key($org1->path('client.key'));
spew($org1->path('client.pem'),
	$network->enroll($org1, 'client', 'client', $org1->path('client.key')));
my $client = FabricWire::identity('Org1MSP', $org1->path('client.pem'), $org1->path('client.key'));
my @peers =
  map { FabricWire::identity($_->{msp_id}, $_->path('keys/node.pem'), $_->path('keys/node.key')) }
  $network->nodes;

# ---- messages ----

sub message { return FabricWire::message(@_) }

sub make
{
	return FabricWire::transaction(
		channel => 'trade',
		chaincode => 'book',
		version => '1.0',
		creator => $client,
		endorsers => [ $peers[0] ],
		@_);
}
sub ns { my ($name, @fields) = @_; return message([ 1, $name ], [ 2, message(@fields) ]) }

sub results
{
	return message([ 1, \0 ], map { [ 2, $_ ] } @_);
}
sub value    { return [ 3, message([ 1, $_[0] ], [ 3, '1' ]) ] }
sub deletion { return [ 3, message([ 1, $_[0] ], [ 2, \1 ]) ] }

sub key_policy
{
	return [ 4,
		message([ 1, $_[0] ], [ 2, message([ 1, 'VALIDATION_PARAMETER' ], [ 2, $_[1] ]) ]) ];
}

sub role
{
	my ($msp, $role) = @_;
	return message([ 2, message([ 1, $msp ], [ 2, $role ? \$role : undef ]) ]);
}

sub one_of
{
	my (@principals) = @_;
	return message(
		[
			2,
			message(
				[ 2, message([ 1, \1 ], map { [ 2, message([ 1, \$_ ]) ] } 0 .. $#principals) ])
		],
		map { [ 3, $_ ] } @principals);
}

# endorsements by valid identities with invalid signatures, before the good one
sub junk
{
	my ($payload_of, $count) = @_;
	my @junk = map {
		{ %{ $peers[ $_ % 3 ] }, junk => 1 }
	} 1 .. $count;

	return $payload_of->(endorsers => [ @junk, $peers[0] ]);
}
{
	no warnings 'redefine';
	my $sign = \&FabricWire::sign;
	*FabricWire::sign = sub {
		my ($identity, $message) = @_;
		return $sign->($identity, $message) unless $identity->{junk};
		return FabricWire::signature_of(
			map {
				Math::BigInt->from_hex(join '', map { sprintf '%02x', int rand 256 } 1 .. 31)
			} 1,
			2);
	};
}

sub keys_of
{
	my ($prefix, $count) = @_;
	return map { sprintf '%s%07d', $prefix, $_ } 1 .. $count;
}
sub height { return FabricTest::height_of($_[0], 'trade') }

my @counts =
  qw(policies_parsed policies_evaluated signatures_checked identities_checked range_rows last_ms);

sub work
{
	my ($node) = @_;
	return split /\|/,
	  $node->query('SELECT '
		  . join(', ', @counts)
		  . " FROM fabric.stat_validation_work WHERE channel = 'trade'");
}

sub report
{
	my ($line) = @_;

	note($line);
	return unless $ENV{FABRIC_WORST_REPORT};
	open(my $file, '>>', $ENV{FABRIC_WORST_REPORT})
	  or die "could not write $ENV{FABRIC_WORST_REPORT}: $!\n";
	print $file "$line\n";
	close $file;
}

sub signed
{
	return map { FabricWire::signed($_) } @_;
}

# One block of these envelopes, from a leader that admits everything: the codes, and the cost at
# Org2
sub block_of
{
	my ($name, @envelopes) = @_;
	my ($bytes, $number) = (0, height($org1));
	my %cost;

	$bytes += length foreach @envelopes;
	FabricTest::wait_until(sub { height($_) == $number }) foreach @others;
	my @before = work($org2);
	FabricConsenter::order_as_leader($evil, \@others, 'trade', @envelopes);
	ok( FabricTest::wait_until(
			sub { height($org2) > $number && height($org1) > $number && height($org3) > $number }),
		"$name: the block is committed") or BAIL_OUT('the false leader has failed');
	$cost{codes} = $org2->query(
		"SELECT string_agg(validation_code || ' x ' || n, ', ') FROM (SELECT validation_code, count(*) AS n FROM fabric_internal.transaction WHERE channel = 'trade' AND block_number = $number GROUP BY 1 ORDER BY 1) c"
	);
	my @after = work($org2);
	@cost{@counts} = map { $after[$_] - $before[$_] } 0 .. $#counts;
	$cost{last_ms} = $after[-1];
	report(
		sprintf '%-66s %6.0f kB %9.1f ms  codes %-9s %s',
		$name,
		$bytes / 1024,
		$cost{last_ms},
		$cost{codes},
		join ', ',
		map { (my $label = $_) =~ tr/_/ /; "$cost{$_} $label" } @counts[ 0 .. 4 ]);
	return %cost;
}

# order transactions that orderers refuse: all cases in one block, or each in its own when they are
# measured
sub blocks_of
{
	my (@cases) = @_;
	my %sum;

	foreach my $part ($size > 1 ? map { [$_] } @cases : [@cases])
	{
		my %cost = block_of(join('; ', map { $_->[0] } @$part), map { @{ $_->[1] } } @$part);

		$sum{$_} += $cost{$_} foreach @counts;
		$sum{codes} = $cost{codes};
	}
	return %sum;
}

# the answer of the orderers to a transaction
sub refused
{
	my ($transaction, $limit) = @_;
	my $error =
	  $org1->error_of('SELECT fabric.submit('
		  . FabricWire::bytea($transaction->{payload}) . ', '
		  . FabricWire::bytea(FabricWire::sign($transaction->{creator}, $transaction->{payload}))
		  . ')');

	like(
		$error,
		qr/LF003: transaction exceeds a limit of validation\nDETAIL:  $limit: \d+, more than \d+\./,
		"a transaction is refused before it is ordered: $limit");
}

# a transaction through the orderers, committed
sub submit
{
	my ($transaction) = @_;

	$org1->query('SELECT fabric.submit('
		  . FabricWire::bytea($transaction->{payload}) . ', '
		  . FabricWire::bytea(FabricWire::sign($transaction->{creator}, $transaction->{payload}))
		  . ')');
	is( $org1->query(
			"SELECT validation_code FROM fabric.commit_status('trade', '$transaction->{tx_id}')"),
		'VALID',
		'a transaction of the set-up is valid');
}

# ---- many keys with policies, and many endorsements ----

my ($keys, $rules, $endorsements) = (250 * $size, 30, $size > 1 ? 800 : 150);
my @names = keys_of('p', $keys);
my @guards = map {
	my $i = $_;
	one_of(role("X$i", 0), (map { role('Org1MSP', 1) } 2 .. $rules - 1), role('Org1MSP', 3))
} 1 .. $keys;

sub guarded
{
	my ($names, $guard) = @_;
	return make(
		results => results(
			ns( 'book',
				(map { value($_) } @$names),
				map { key_policy($names->[$_], $guard->($_)) } 0 .. $#$names)));
}

sub write_all
{
	my ($names) = @_;
	return junk(
		sub {
			make(results => results(ns('book', map { value($_) } @$names)), @_);
		},
		$endorsements);
}

submit(guarded(\@names, sub { $guards[ $_[0] ] }));
my $worst = write_all(\@names);
refused($worst, 'Endorsements');
my %cost =
  block_of("$keys keys with a policy each, $endorsements junk endorsements", signed($worst));
is($cost{codes}, '0 x 1', 'the transaction is valid');
is($cost{policies_parsed}, $keys + 1, 'each policy, and that of the chaincode, is parsed once');
is($cost{policies_evaluated}, $keys, 'each policy is evaluated once');
is( $cost{signatures_checked},
	$endorsements + 2,
	'the signatures of the endorsements and the creator are checked once each');

my @same = keys_of('s', $keys);
my $large = message(
	[
		2,
		message(
			[
				2,
				message(
					[ 1, \1 ],
					(map { [ 2, message([ 1, \($_ % 1023) ]) ] } 1 .. 4090),
					[ 2, message([ 1, \1023 ]) ])
			])
	],
	(map { [ 3, role('Org1MSP', 1) ] } 1 .. 1023),
	[ 3, role('Org1MSP', 3) ]);
my $guard_large = make(results => results(ns('book', value('large'), key_policy('large', $large))));
refused($guard_large, 'Rules of the endorsement policy of a key');
submit(guarded(\@same, sub { $guards[ $_[0] % 2 ] }));
block_of('the largest policy is set', signed($guard_large));

my $junk_once = FabricWire::signature_of(Math::BigInt->new(12345), Math::BigInt->new(67890));
my $failing = 10 * $size;
%cost = blocks_of(
	[
		"$keys keys with two policies in turn, $endorsements junk endorsements",
		[ signed(write_all(\@same)) ]
	],
	[
		"a key with the largest policy, $endorsements junk endorsements",
		[ signed(write_all(['large'])) ]
	],
	[
		"$failing transactions that fail the largest policy",
		[
			signed(
				map {
					make(
						results => results(ns('book', value('large'))),
						endorsers => [ { %{ $peers[1] }, junk => 1 } ])
				} 1 .. $failing)
		]
	],
	[
		"one junk endorsement $endorsements times",
		[
			signed(
				make(
					results => results(ns('book', value('again'))),
					endorsement => $junk_once,
					endorsers => [ ($peers[0]) x $endorsements ]))
		]
	]);
if ($size == 1)
{
	is($cost{codes}, '0 x 2, 10 x 11', 'transactions with one valid endorsement are valid');
	is($cost{policies_parsed}, 4,
		"two policies of keys, the largest policy, and the chaincode's are parsed");
	is( $cost{policies_evaluated},
		2 + 1 + $failing + 1,
		'each policy is evaluated once for each transaction');
	cmp_ok(
		$cost{signatures_checked},
		'<=',
		2 * ($endorsements + 2) + $failing * 2 + 2,
		'a repeated endorsement is checked once');
	is($cost{identities_checked}, 0, 'no certificate is checked again');
}

# ---- ranges ----

my ($ranges, $reads) = (500 * $size, 5000 * $size);
sub read_of  { return [ 1, message([ 1, $_[0] ]) ] }
sub range_of { my ($from, $to) = @_; return [ 2, message([ 1, $from ], [ 2, $to ], [ 3, \1 ]) ] }

# the summary of a real query, with the number of its results
my $results_count = 4000 * ($size > 10 ? 10 : $size);
$org1->query("SELECT fabric.invoke('trade', 'book', 'fill', 'm', '$results_count')");
$org1->query("SELECT fabric.invoke('trade', 'book', 'count_range', 'm', 'mz')");
my $counted = pack 'H*',
  $org1->query(
	"SELECT encode(fabric.get_transaction('trade', (SELECT tx_id FROM fabric.transactions WHERE channel = 'trade' ORDER BY block_number DESC, tx_number DESC LIMIT 1)), 'hex')"
  );
my ($book) =
  grep { FabricWire::get($_, 1) eq 'book' }
  map  { $_->[1] }
  grep { $_->[0] == 2 } FabricWire::fields(FabricWire::get($counted, 1, 1, 2, 1, 2, 2, 1, 2, 1));
my $query = FabricWire::get($book, 2, 2);
isnt($query, undef, 'the transaction has a range query made by the shim');
my $repeated = 200 * $size;

# keys that exist
my $existing = 500 * $size;
$org1->query("SELECT fabric.invoke('trade', 'book', 'fill', 'e', '$existing')");

%cost = blocks_of(
	[
		"$ranges empty ranges over $reads absent keys",
		[
			signed(
				make(
					results => results(
						ns( 'book',
							(map { read_of($_) } keys_of('r', $reads)),
							(map { range_of(sprintf('r%07d', $_), 'rz') } 1 .. $ranges),
							value('ranged')))))
		]
	],
	[
		"$ranges empty ranges over $reads deletions of absent keys",
		[
			signed(
				make(results => results(ns('book', map { deletion($_) } keys_of('d', $reads)))),
				make(
					results => results(
						ns( 'book', (map { range_of(sprintf('d%07d', $_), 'dz') } 1 .. $ranges),
							value('ranged2')))))
		]
	],
	[
		"$existing empty ranges over $existing deletions",
		[
			signed(
				make(results => results(ns('book', map { deletion($_) } keys_of('e', $existing)))),
				make(
					results => results(
						ns( 'book', (map { range_of(sprintf('e%07d', $_), 'ez') } 1 .. $existing),
							value('ranged4')))))
		]
	],
	[
		"a query with $results_count results, $repeated times",
		[
			signed(
				make(results => results(ns('book', ([ 2, $query ]) x $repeated, value('ranged3')))))
		]
	]);
is( $cost{range_rows},
	2 * $ranges + 3 * $existing - 1 + $results_count + 1,
	'range queries read each row that they find once') if $size == 1;
is($cost{codes}, '0 x 6', 'the transactions with range queries are valid') if $size == 1;
refused(
	make(results => results(ns('book', ([ 2, $query ]) x 10001, value('ranged3')))),
	$results_count * 10001 > 1e6 ? 'Results of range queries' : 'Range queries');

# ---- names, deletions, creators ----

my $deletions = 5000 * $size;
my $invalid_identity = {
	%$client,
	bytes => message(
		[ 1, 'Org1MSP' ],
		[ 2, FabricWire::get($client->{bytes}, 2) =~ s/([A-Za-z0-9]{20})\n/reverse($1) . "\n"/er ])
};
my @crowded = map {
	my $t = $_;
	make(
		results => results(
			ns('book', value("n$t")),
			map { ns("n$t-$_", value('x'), key_policy('x', 'y')) } 1 .. 1000))
} 1 .. ($size > 1 ? 20 : 3);
refused($crowded[0], 'Namespaces');
%cost = blocks_of(
	[
		scalar(@crowded) . ' transactions of 1000 namespaces that are not defined',
		[ signed(@crowded) ]
	],
	[
		"$deletions deletions",
		[
			signed(
				make(results => results(ns('book', map { deletion($_) } keys_of('x', $deletions)))))
		]
	],
	[
		'200 transactions of a certificate that is none',
		[
			(   signed(
					make(
						creator => $invalid_identity,
						results => results(ns('book', value('unidentified')))))) x 200
		]
	]);
if ($size == 1)
{
	is( $cost{codes},
		'0 x 1, 4 x 200, 25 x ' . scalar @crowded,
		'each transaction has the expected code');
	is($cost{identities_checked}, 1, 'an invalid identity is checked once');
	is( $cost{policies_evaluated},
		scalar(@crowded) + 1,
		'policies are evaluated once for each transaction');
}

my @different = FabricTest::fingerprints($network, 'trade');
is(scalar @different, 1, 'all nodes have the same ledger');
done_testing();
