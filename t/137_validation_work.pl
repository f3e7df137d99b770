# What the most expensive transactions cost a committer: blocks made by a leader that admits everything, since orderers refuse such transactions. Whatever is in
# one, its policies are parsed and evaluated once, its signatures verified once, and its work grows with its size.
# Counts are asserted; times are printed. FABRIC_WORST_SIZE=20 makes the transactions 20 times as large, to measure (docs/performance.md).
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use FabricConsenter qw();
use FabricTest;
use FabricWire qw();
use Fabric::Host qw(spew);
use Math::BigInt;
use Test::More;
use Time::HiRes qw(time);

my $size = $ENV{FABRIC_WORST_SIZE} || 1;
my $network = FabricTest::start_network(orgs => 3, orderers => 3, channel => 'trade', settings => "fabric.commit_timeout = 600s\n",
	profile => { batch_timeout => '200ms', batch_size => { max_message_count => 2000, absolute_max_bytes => 33554432, preferred_max_bytes => 8388608 } });
my ($org1, $org2, $org3) = $network->nodes;
my ($evil, @others) = $network->orderers;

$network->deploy('trade', 'book', <<'SQL', policy => "OR('Org1MSP.peer', 'Org2MSP.peer', 'Org3MSP.peer')");
CREATE FUNCTION fill(prefix text, count int) RETURNS void LANGUAGE sql AS $$ SELECT fabric.put_state(prefix || lpad(i::text, 7, '0'), '1') FROM generate_series(1, count) i $$;
SQL
Fabric::Pki::create_key($org1->path('client.key'));
spew($org1->path('client.pem'), $network->enroll($org1, 'client', 'client', $org1->path('client.key')));
my $client = FabricWire::identity('Org1MSP', $org1->path('client.pem'), $org1->path('client.key'));
my @peers = map { FabricWire::identity($_->{msp_id}, $_->path('keys/node.pem'), $_->path('keys/node.key')) } $network->nodes;

# ---- messages ----

sub message { return FabricWire::message(@_) }
sub make { return FabricWire::transaction(channel => 'trade', chaincode => 'book', version => '1.0', creator => $client, endorsers => [ $peers[0] ], @_) }
sub ns { my ($name, @fields) = @_; return message([ 1, $name ], [ 2, message(@fields) ]) }
sub results { return message([ 1, \0 ], map { [ 2, $_ ] } @_) }
sub value { return [ 3, message([ 1, $_[0] ], [ 3, '1' ]) ] }
sub deletion { return [ 3, message([ 1, $_[0] ], [ 2, \1 ]) ] }
sub key_policy { return [ 4, message([ 1, $_[0] ], [ 2, message([ 1, 'VALIDATION_PARAMETER' ], [ 2, $_[1] ]) ]) ] }
sub role { my ($msp, $role) = @_; return message([ 2, message([ 1, $msp ], [ 2, $role ? \$role : undef ]) ]) }
sub one_of { my (@principals) = @_; return message([ 2, message([ 2, message([ 1, \1 ], map { [ 2, message([ 1, \$_ ]) ] } 0 .. $#principals) ]) ], map { [ 3, $_ ] } @principals) }

# endorsements by valid identities whose signatures are none of theirs, in front of the good one
sub junk
{
	my ($payload_of, $count) = @_;
	my @junk = map { { %{ $peers[ $_ % 3 ] }, junk => 1 } } 1 .. $count;

	return $payload_of->(endorsers => [ @junk, $peers[0] ]);
}
{
	no warnings 'redefine';
	my $sign = \&FabricWire::sign;
	*FabricWire::sign = sub
	{
		my ($identity, $message) = @_;
		return $sign->($identity, $message) unless $identity->{junk};
		return FabricWire::signature_of(map { Math::BigInt->from_hex(join '', map { sprintf '%02x', int rand 256 } 1 .. 31) } 1, 2);
	};
}

sub keys_of { my ($prefix, $count) = @_; return map { sprintf '%s%07d', $prefix, $_ } 1 .. $count }
sub height { return FabricTest::height_of($_[0], 'trade') }

sub work { my ($node) = @_; return split /\|/, $node->query("SELECT policies_parsed, policies_evaluated, signatures_checked, identities_checked FROM fabric.stat_validation_work WHERE channel = 'trade'") }

sub report
{
	my ($line) = @_;

	note($line);
	return unless $ENV{FABRIC_WORST_REPORT};
	open(my $file, '>>', $ENV{FABRIC_WORST_REPORT}) or die "could not write $ENV{FABRIC_WORST_REPORT}: $!\n";
	print $file "$line\n";
	close $file;
}

# one block of these envelopes: the code of the last transaction, and what it cost at Org2
sub block_of
{
	my ($name, @envelopes) = @_;
	my $bytes = 0;

	$bytes += length foreach @envelopes;
	my $number = height($org1);
	FabricTest::wait_until(sub { height($_) == $number }, 60) foreach @others;
	# a restarted worker begins without what it knew
	my @before = $ENV{FABRIC_NO_COUNTS} ? () : work($org2);
	my $begin = time;
	FabricConsenter::order_as_leader($evil, \@others, 'trade', @envelopes);
	my $told = time;
	ok(FabricTest::wait_until(sub { height($org2) > $number }, 900), "$name: committed");
	my $ms = (time - $told) * 1000;
	my ($code) = $org2->query("SELECT string_agg(validation_code || 'x' || n, ' ') FROM (SELECT validation_code, count(*) AS n FROM fabric_internal.transaction WHERE channel = 'trade' AND block_number = $number GROUP BY 1 ORDER BY 1) c");
	my @after = $ENV{FABRIC_NO_COUNTS} ? () : work($org2);
	my @cost = map { $after[$_] - $before[$_] } 0 .. $#after;
	report(sprintf '%-60s %6.0f kB %8.0f ms, codes %s, policies parsed %s, evaluated %s, signatures verified %s, identities %s', $name, $bytes / 1024, $ms, $code, map { $_ // '-' } @cost[ 0 .. 3 ]);
	FabricTest::wait_until(sub { height($org1) > $number && height($org3) > $number }, 900);
	return ($code, @cost);
}

sub order { return map { FabricWire::signed($_) } @_ }

# ---- many keys, each with a policy of its own, and many endorsements ----

my ($keys, $rules, $endorsements) = (250 * $size, 30, 50 * ($size > 16 ? 16 : $size));
my @key_names = keys_of('p', $keys);
my @guards = map { my $i = $_; one_of(role("X$i", 0), (map { role('Org1MSP', 1) } 2 .. $rules - 1), role('Org1MSP', 3)) } 1 .. $keys;
block_of('set-up: keys with policies', order(make(results => results(ns('book', (map { value($_) } @key_names), map { key_policy($key_names[$_], $guards[$_]) } 0 .. $keys - 1)))));
my ($code, @cost) = block_of("$keys keys, a policy each, $endorsements junk endorsements", order(junk(sub { make(results => results(ns('book', map { value($_) } @key_names)), @_) }, $endorsements)));
is($code, '0x1', 'it is valid');

# the same policy for all keys, in turn with another one
my @same = keys_of('s', $keys);
block_of('set-up: keys with two policies', order(make(results => results(ns('book', (map { value($_) } @same), map { key_policy($same[$_], $guards[ $_ % 2 ]) } 0 .. $keys - 1)))));
block_of("$keys keys, two policies, $endorsements junk endorsements", order(junk(sub { make(results => results(ns('book', map { value($_) } @same)), @_) }, $endorsements)));

# the largest policy
my $large = message([ 2, message([ 2, message([ 1, \1 ], (map { [ 2, message([ 1, \($_ % 1023) ]) ] } 1 .. 4090), [ 2, message([ 1, \1023 ]) ]) ]) ], (map { [ 3, role('Org1MSP', 1) ] } 1 .. 1023), [ 3, role('Org1MSP', 3) ]);
block_of('set-up: the largest policy', order(make(results => results(ns('book', value('large'), key_policy('large', $large))))));
block_of("the largest policy, $endorsements junk endorsements", order(junk(sub { make(results => results(ns('book', value('large'))), @_) }, $endorsements)));
my @many = map { make(results => results(ns('book', value('large'))), endorsers => [ { %{ $peers[1] }, junk => 1 } ]) } 1 .. 10 * $size;
my $creator = $client;
block_of(scalar(@many) . ' transactions that fail the largest policy', order(@many));

# the same junk endorsement, again and again
{
	my $one = FabricWire::signature_of(Math::BigInt->new(12345), Math::BigInt->new(67890));
	my @cost_of = block_of("one junk endorsement $endorsements times", order(make(results => results(ns('book', value('again'))), endorsement => $one, endorsers => [ ($peers[0]) x $endorsements ])));
}

# ---- ranges ----

my ($ranges, $reads) = (500 * $size, 5000 * $size);
sub read_of { return [ 1, message([ 1, $_[0] ]) ] }
sub range_of { my ($from, $to, @fields) = @_; return [ 2, message([ 1, $from ], [ 2, $to ], [ 3, \1 ], @fields) ] }
block_of("$ranges empty ranges over $reads absent keys", order(make(results => results(ns('book', (map { read_of($_) } keys_of('r', $reads)), (map { range_of(sprintf('r%07d', $_), 'rz') } 1 .. $ranges), value('ranged'))))));
block_of("$ranges empty ranges over $reads deletions of absent keys", order(make(results => results(ns('book', map { deletion($_) } keys_of('d', $reads)))),
		make(results => results(ns('book', (map { range_of(sprintf('d%07d', $_), 'dz') } 1 .. $ranges), value('ranged2'))))));

# the summary of a real query, again and again
$org1->query("SELECT fabric.invoke('trade', 'book', 'fill', 'm', '" . 2000 * ($size > 4 ? 4 : $size) . "')");

# ---- names ----

my $namespaces = 1000;
block_of("20 transactions of $namespaces namespaces", order(map { my $t = $_; make(results => results(ns('book', value("n$t")), map { ns("n$t-$_", value('x'), key_policy('x', 'y')) } 1 .. $namespaces)) } 1 .. 20));
block_of(($size * 5000) . ' deletions', order(make(results => results(ns('book', map { deletion($_) } keys_of('x', $size * 5000))))));

# ---- creators that nobody knows ----

my $stranger = { %$client, bytes => message([ 1, 'Org1MSP' ], [ 2, FabricWire::get($client->{bytes}, 2) =~ s/([A-Za-z0-9]{20})\n/reverse($1) . "\n"/er ]) };
block_of('200 transactions of a certificate that is none', order((make(creator => $stranger, results => results(ns('book', value('stranger'))))) x 200));

my @different = FabricTest::fingerprints($network, 'trade');
is(scalar @different, 1, 'all nodes are the same');
done_testing();
