# Contents that no honest client sends, but that the orderers admit, or that organizations could
# agree upon: keys and names of every kind and length, values that only look like JSON, times
# outside every calendar, invalid metadata, collections, ranges and chaincode definitions. A
# transaction is valid or has its code, the same at every node; no process ends; every view and
# every audit works.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use FabricTest;
use FabricWire   qw();
use Fabric::Host qw(spew);
use Test::More;

my $network = FabricTest::start_network(
	orgs => 3,
	orderers => 3,
	channel => 'trade',
	profile => { batch_timeout => '200ms', batch_size => { max_message_count => 200 } });
my ($org1, $org2, $org3) = $network->nodes;

$network->deploy('trade', 'book', <<'SQL', policy => $FabricTest::ANY_TWO);
CREATE FUNCTION get(key text) RETURNS bytea LANGUAGE sql AS $$ SELECT fabric.get_state(key) $$;
CREATE FUNCTION put_large(number int) RETURNS void
	LANGUAGE sql AS $$ SELECT fabric.put_state('large ' || number,
		repeat(lpad(number::text, 8), 900000)) $$;
CREATE FUNCTION guard_large(count int) RETURNS void LANGUAGE sql AS
$$ SELECT fabric.set_state_validation_parameter('large ' || number, fabric.policy_compile('OR(''Org1MSP.peer'')'))
	FROM generate_series(1, count) number $$;
SQL
Fabric::Pki::create_key($org1->path('client.key'));
spew($org1->path('client.pem'),
	$network->enroll($org1, 'client', 'client', $org1->path('client.key')));
my $client = FabricWire::identity('Org1MSP', $org1->path('client.pem'), $org1->path('client.key'));
my @peers =
  map { FabricWire::identity($_->{msp_id}, $_->path('keys/node.pem'), $_->path('keys/node.key')) }
  $network->nodes;
my $minus_one = ~0;

sub make
{
	return FabricWire::transaction(
		channel => 'trade',
		chaincode => 'book',
		version => '1.0',
		creator => $client,
		endorsers => [ @peers[ 0, 1 ] ],
		@_);
}

sub message { return FabricWire::message(@_) }

# rwset.NsReadWriteSet of a name, the bytes of its KVRWSet, and collections; the results of several
sub ns
{
	my ($name, $set, @collections) = @_;

	return message([ 1, $name ], [ 2, $set ], map { [ 3, $_ ] } @collections);
}

sub results
{
	return message([ 1, \0 ], map { [ 2, $_ ] } @_);
}
sub collection { return message([ 1, $_[0] ], [ 2, $_[1] ], [ 3, 'x' x 32 ]) }
sub value      { return [ 3, message([ 1, $_[0] ], [ 3, $_[1] ]) ] }

sub metadata
{
	return [ 4, message([ 1, shift ], map { [ 2, message([ 1, $_->[0] ], [ 2, $_->[1] ]) ] } @_) ];
}
sub range   { return [ 2, message(@_) ] }
sub writes  { my %writes = @_; return make(writes => \%writes) }
sub in_book { return make(results => results(ns('book', message(@_)))) }
sub at      { return make(timestamp => $_[0], writes => { time => 1 }) }

my $hashed_write = message([ 2, message([ 1, 'h' x 32 ], [ 3, 'v' x 32 ]) ]);
my $hashed_read = message([ 1, message([ 1, 'h' x 32 ]) ]);

my @cases = (
	# keys
	[ 0, 'a key with zeros', writes("a\0b" => 1) ],
	[ 0, 'a key of a zero', writes("\0" => 1) ],
	[ 0, 'an empty key', in_book([ 3, message([ 3, 'v' ]) ]) ],
	[ 0, 'the last character as key', writes("\xf4\x8f\xbf\xbf" => 1) ],
	[ 22, 'a key that is no text', writes("\xff\xfe" => 1) ],
	[ 22, 'a key with half a surrogate', writes("\xed\xa0\x80" => 1) ],
	[ 0, 'the longest key', writes('k' x 1536 => 1) ],
	[ 0, 'a long key read as absent', make(reads => { 'k' x 3000 => undef }) ],
	[ 11, 'a long key read with a version', make(reads => { 'k' x 3000 => [ 1, 1 ] }) ],
	[
		0,
		'a key written three times',
		in_book(
			value('dup', 1),
			value('dup', 2),
			[ 3, message([ 1, 'dup' ], [ 2, \1 ]) ],
			value('dup', 3))
	],
	[
		0,
		'a deletion with a value',
		in_book([ 3, message([ 1, 'dv' ], [ 2, \2 ], [ 3, 'value' ]) ])
	],
	[ 0, 'a write without a value', in_book([ 3, message([ 1, 'ev' ]) ]) ],
	[ 0, 'ten thousand keys', in_book(map { value("many$_", 'x' x 50) } 1 .. 10000) ],
	# names
	[ 25, 'a long namespace', make(results => results(ns('n' x 3000, message(value('a', 1))))) ],
	[
		0,
		'a very long namespace read, with many collections',
		make(
			results =>
			  results(ns('n' x 1000000, undef, map { collection("c$_", $hashed_read) } 1 .. 256)))
	],
	[
		25,
		'a namespace with a zero',
		make(results => results(ns("bo\0ok", message(value('a', 1)))))
	],
	[
		22,
		'a namespace that is no text',
		make(results => results(ns("b\xff", message(value('a', 1)))))
	],
	[ 25, 'no namespace', make(results => results(ns('', message(value('a', 1))))) ],
	[
		25,
		'the namespace of hashes',
		make(results => results(ns('book$$hc', message(value('a', 1)))))
	],
	[ 25, 'a chaincode with a slash', make(chaincode => 'a/b') ],
	[ 25, 'a chaincode of another language', make(chaincode => "\xf0\x9f\x98\x80%s%n'") ],
	[ 25, 'a long chaincode', make(chaincode => 'c' x 5000) ],
	[ 0, 'a long version', make(version => 'v' x 50000, writes => { version => 1 }) ],
	# values that look like JSON
	(   map { [ 0, "value $_->[0]", writes("json $_->[0]" => $_->[1]) ] }
		  [ 'zero', '{"a":"\u0000"}' ],
		[ 'zero byte', "\"a\0b\"" ],
		[ 'deep', '[' x 100000 . ']' x 100000 ],
		[ 'large exponent', '1e999999' ],
		[ 'small exponent', '[1e-999999]' ],
		[ 'long number', '9' x 200000 ],
		[ 'half a surrogate', '"\ud800"' ],
		[ 'no text', "\"\xff\"" ],
		[ 'mark', "\xef\xbb\xbf{}" ],
		[ 'twice', '{"a":1,"a":2}' ],
		[ 'long name', '{"' . 'k' x 300000 . '":1}' ],
		[ 'rest', '{} x' ]),
	# times
	(   map { [ 0, "time $_->[0]", at($_->[1]) ] }[ 'none', '' ],
		[ 'before Christ', message([ 1, \($minus_one - 210866803200) ]) ],
		[ 'first of all', message([ 1, \(1 << 63) ]) ],
		[ 'last of all', message([ 1, \((1 << 63) - 1) ]) ],
		[ 'after the last year', message([ 1, \9224318016000 ]) ],
		[ 'last microsecond', message([ 1, \9224318015999 ], [ 2, \999999999 ]) ],
		[ 'negative nanoseconds', message([ 1, \1 ], [ 2, \$minus_one ]) ],
		[ 'many nanoseconds', message([ 1, \1 ], [ 2, \2147483647 ]) ]),
	# headers
	(map { [ 3, "type $_", make(type => $_) ] } 5, 20, 32768, 2147483647, $minus_one),
	[ 3, 'an epoch', make(epoch => $minus_one) ],
	[ 0, 'a nonce of a megabyte', make(nonce => 'n' x 1000000, writes => { nonce => 1 }) ],
	[ 255, 'no header extension', make(header_extension => '') ],
	# metadata
	[ 0, 'metadata of no key', in_book(metadata('absent', [ 'VALIDATION_PARAMETER', 'rubbish' ])) ],
	[
		0,
		'metadata that are no policy',
		in_book(value('guarded', 1), metadata('guarded', [ 'VALIDATION_PARAMETER', "\xff\xff" ]))
	],
	[
		0,
		'metadata of other names',
		in_book(value('md', 1), metadata('md', [ 'other', "\xff" ], [ '', '' ], [ "n\0", 'x' ]))
	],
	[ 0, 'no metadata', in_book(value('md2', 1), metadata('md2')) ],
	[
		0,
		'metadata twice',
		in_book(
			value('md3', 1),
			metadata('md3', [ 'VALIDATION_PARAMETER', 'a' ]),
			metadata('md3', [ 'VALIDATION_PARAMETER', 'b' ]))
	],
	[ 22, 'metadata whose name is no text', in_book(metadata('md4', [ "\xff", 'b' ])) ],
	# collections
	[
		10,
		'an unknown collection',
		make(results => results(ns('book', undef, collection('nope', $hashed_write))))
	],
	[
		10,
		'a long collection',
		make(results => results(ns('book', undef, collection('c' x 5000, $hashed_write))))
	],
	[
		0,
		'a long collection read',
		make(results => results(ns('book', undef, collection('c' x 5000, $hashed_read))))
	],
	[
		0,
		'a collection with a zero',
		make(results => results(ns('book', undef, collection("c\0", $hashed_read))))
	],
	[
		22,
		'a collection of rubbish',
		make(results => results(ns('book', undef, collection('c', "\xff"))))
	],
	[
		0,
		'an own collection twice',
		make(
			results =>
			  results(ns('book', undef, (collection('_implicit_org_Org1MSP', $hashed_write)) x 2)))
	],
	[
		0,
		'a purge',
		make(
			results => results(
				ns( 'book', undef,
					collection(
						'_implicit_org_Org1MSP',
						message([ 2, message([ 1, 'p' x 32 ], [ 2, \1 ], [ 4, \1 ]) ])))))
	],
	# ranges
	[ 12, 'a range without results', in_book(range([ 1, 'a' ], [ 2, 'z' ])) ],
	[
		0,
		'a range that is empty',
		in_book(range([ 1, 'zzz1' ], [ 2, 'zzz2' ], [ 3, \1 ], [ 4, '' ]))
	],
	[ 0, 'a range backwards', in_book(range([ 1, 'z' ], [ 2, 'a' ], [ 3, \1 ], [ 4, '' ])) ],
	[
		12,
		'a range of long keys',
		in_book(
			range(
				[ 1, 'z' x 5000 ],
				[ 2, 'zz' x 5000 ],
				[ 4, message([ 1, message([ 1, 'k' x 9000 ]) ]) ]))
	],
	(   map {
			[
				12,
				"a summary of degree $_->[0], level $_->[1]",
				in_book(
					range([ 3, \1 ], [ 5, message([ 1, \$_->[0] ], [ 2, \$_->[1] ], [ 3, 'h' ]) ]))
			]
		}[ 0, 0 ],
		[ 1, 4294967295 ],
		[ 2, 12 ]),
	[
		11,
		'a version of the far future',
		in_book([ 1, message([ 1, 'a' ], [ 2, message([ 1, \$minus_one ], [ 2, \$minus_one ]) ]) ])
	],
	# responses of the chaincode
	[
		0,
		'an odd event',
		make(
			events => message(
				[ 1, 'book' ],
				[ 2, 'another id' ],
				[ 3, "na\x01me" . 'z' x 5000 ],
				[ 4, "\xff\0\xfe" ]),
			writes => { event => 1 })
	],
	[
		255, 'an event whose name is no text', make(events => message([ 1, 'book' ], [ 3, "\xff" ]))
	],
	[
		0,
		'arguments that are no text',
		make(arguments => [ "\xff\xfe", "\0", '', "a\0b" ], writes => { arguments => 1 })
	],
	[
		0, 'very many arguments', make(arguments => [ ('') x 100000 ], writes => { arguments => 2 })
	],
	[ 0, 'no argument', make(arguments => [], writes => { arguments => 3 }) ],
	[
		0,
		'a result that is no text',
		make(
			response => message([ 1, \200 ], [ 2, 'm' ], [ 3, "\xff\0" ]),
			writes => { response => 1 })
	],
	[
		0,
		'a negative status',
		make(response => message([ 1, \$minus_one ]), writes => { response => 2 })
	],
	[ 21, 'a message that is no text', make(response => message([ 1, \200 ], [ 2, "\xff" ])) ]);

# ---- definitions that two of three organizations could store under _lifecycle ----

sub lifecycle
{
	my %fields = @_;

	return make(chaincode => '_lifecycle', version => 'syscc', writes => \%fields);
}

sub definition
{
	my ($name, %fields) = @_;

	return lifecycle(
		"namespaces/metadata/$name" => message([ 1, 'ChaincodeDefinition' ]),
		"namespaces/fields/$name/Sequence" => message([ 1, \1 ]),
		map { ("namespaces/fields/$name/$_" => $fields{$_}) } keys %fields);
}

my $anybody =
  message([ 2, message([ 1, 'vscc' ], [ 2, message([ 2, '/Channel/Application/Endorsement' ]) ]) ]);
# the last two have an endorsement policy: an empty one, which counts as none, and one of an unknown
# kind
my $collections = message(
	[
		2,
		message(
			(map { [ 1, message([ 1, message([ 1, $_ ]) ]) ] } 'c' x 4000, '', 'ok'),
			[ 1, message([ 1, message([ 1, 'empty' ], [ 8, '' ]) ]) ],
			[ 1, message([ 1, message([ 1, 'unknown' ], [ 8, message([ 9, 'x' ]) ]) ]) ])
	]);
my $other_plugin = message(
	[ 2, message([ 1, 'other' ], [ 2, message([ 2, '/Channel/Application/Endorsement' ]) ]) ]);
my $no_plugin = message([ 2, message([ 2, message([ 2, '/Channel/Application/Endorsement' ]) ]) ]);
my $no_policy = message([ 2, message([ 1, 'vscc' ]) ]);
my @definitions = (
	[ 25, 'sequence', lifecycle('namespaces/fields/sequence/Sequence' => message([ 1, \1 ])) ],
	[
		25,
		'metadata',
		lifecycle(
			'namespaces/metadata/metadata' => "\xff",
			'namespaces/fields/metadata/Sequence' => message([ 1, \1 ]))
	],
	[
		25,
		'datatype',
		lifecycle(
			'namespaces/metadata/datatype' => message([ 1, 'Other' ]),
			'namespaces/fields/datatype/Sequence' => message([ 1, \1 ]))
	],
	[ 25, 'kind', definition('kind', Sequence => message([ 3, 'one' ])) ],
	[ 25, 'info', definition('info', EndorsementInfo => message([ 2, "\xff" ])) ],
	[ 25, 'package', definition('package', Collections => message([ 2, "\x0a\xff" ])) ],
	[ 25, 'nothing', definition('nothing') ],
	[
		10, 'policy',
		definition(
			'policy', ValidationInfo => message([ 2, message([ 1, 'vscc' ], [ 2, "\xff\xff" ]) ]))
	],
	[
		10, 'path',
		definition(
			'path',
			ValidationInfo =>
			  message([ 2, message([ 1, 'vscc' ], [ 2, message([ 2, '/Channel/No/Such' ]) ]) ]))
	],
	[ 25, 'plugin', definition('plugin', ValidationInfo => $other_plugin) ],
	[ 25, 'noplugin', definition('noplugin', ValidationInfo => $no_plugin) ],
	[ 25, 'nopolicy', definition('nopolicy', ValidationInfo => $no_policy) ],
	[ 25, 'sl/ash', definition('sl/ash', ValidationInfo => $anybody) ],
	[ 25, 'l' x 300, definition('l' x 300, ValidationInfo => $anybody) ],
	[
		0, 'collections',
		definition('collections', ValidationInfo => $anybody, Collections => $collections)
	]);
push @cases, map { [ 0, "definition \"$_->[1]\"", $_->[2] ] } @definitions;
push @cases, [ 0, 'definition with a zero in its name', definition("ze\0ro") ],
  [ 0, 'definition without a name', definition('') ];
my @uses = map {
	[
		$_->[0],
		"a transaction of chaincode \"$_->[1]\"",
		make(chaincode => $_->[1], writes => { used => 1 })
	]
} @definitions;
push @uses,
  [
	24,
	'a collection with a name that is too long',
	make(
		chaincode => 'collections',
		results => results(ns('collections', undef, collection('c' x 4000, $hashed_write))))
  ],
  [
	0,
	'a collection with an empty policy',
	make(
		chaincode => 'collections',
		results => results(ns('collections', undef, collection('empty', $hashed_write))))
  ],
  [
	10,
	'a collection with a policy of an unknown kind',
	make(
		chaincode => 'collections',
		results => results(ns('collections', undef, collection('unknown', $hashed_write))))
  ],
  [
	0,
	'a collection with a good name',
	make(
		chaincode => 'collections',
		results => results(ns('collections', undef, collection('ok', $hashed_write))))
  ];

# ---- not ordered: transactions that only a limit of this project would invalidate ----

my $long_hash =
  collection('_implicit_org_Org1MSP', message([ 2, message([ 1, 'h' x 3000 ], [ 3, 'v' ]) ]));
my $large_degree =
  in_book(range([ 3, \1 ], [ 5, message([ 1, \4294967295 ], [ 2, \4294967295 ], [ 3, 'h' ]) ]));

foreach my $case (
	[ 'a longer key', writes('k' x 1537 => 1) ],
	[ 'a key longer than a page', writes('k' x 100000 => 1) ],
	[ 'a long key deleted', writes('k' x 3000 => undef) ],
	[ 'a hash of 3,000 bytes', make(results => results(ns('book', undef, $long_hash))) ],
	[ 'a summary of the largest degree', $large_degree ],
	[
		'a summary of very many results',
		in_book(range([ 3, \1 ], [ 5, message([ 1, \2 ], [ 2, \1000000 ], [ 3, 'h' ]) ]))
	],
	[
		'one of very many collections',
		make(
			results => results(ns('book', undef, map { collection("c$_", $hashed_read) } 1 .. 257)))
	])
{
	my ($name, $transaction) = @$case;

	like(
		$org1->error_of(
				'SELECT fabric.submit('
			  . FabricWire::bytea($transaction->{payload}) . ', '
			  . FabricWire::bytea(FabricWire::sign($client, $transaction->{payload})) . ')'),
		qr/LF003: transaction exceeds a limit of validation\nDETAIL:  (Bytes of a key that is written: \d+, more than 1536|Degree of the hashes of a range: 4294967295, more than 100000|Collections: 257, more than 256|Results of range queries: \d+, more than 1000000)\./,
		"$name is not ordered");
}

# ---- committed by all ----

my $workers =
  "SELECT string_agg(kind || ' ' || pid || ' ' || restarts || ' ' || coalesce(last_error, ''), ', ' ORDER BY kind) FROM fabric.stat_workers";
my %before = map { ($_->{name} => $_->query($workers)) } $network->nodes;

# a definition counts from the block after its own
my $height;
foreach my $batch (\@cases, \@uses)
{
	$height = FabricTest::height_of($org1, 'trade');
	my $committed =
	  "FROM fabric_internal.transaction WHERE channel = 'trade' AND block_number >= $height";

	$org1->query(
		join(
			";\n",
			map {
					'SELECT fabric.submit('
				  . FabricWire::bytea($_->[2]{payload}) . ', '
				  . FabricWire::bytea(FabricWire::sign($client, $_->[2]{payload})) . ')'
			} @$batch));
	ok(FabricTest::wait_until(sub { $org1->query("SELECT count(*) $committed") >= @$batch }),
		'all transactions of the batch are on the ledger');
	my @codes = split /\n/,
	  $org1->query("SELECT validation_code $committed ORDER BY block_number, position");
	is($codes[$_], $batch->[$_][0], $batch->[$_][1]) foreach 0 .. $#$batch;
}
is(scalar FabricTest::fingerprints($network, 'trade'), 1, 'all nodes have the same ledger');
is($_->query($workers), $before{ $_->{name} }, "no process of $_->{name} ended")
  foreach $network->nodes;

# ---- and read by all ----

foreach my $view (split /\n/,
	$org1->query("SELECT viewname FROM pg_views WHERE schemaname = 'fabric' ORDER BY 1"))
{
	is($org1->error_of("\\o /dev/null\nSELECT * FROM fabric.$view"),
		'', "view $view shows all contents");
}
is( $org1->error_of(
		"\\o /dev/null\nSELECT fabric.decode_block(fabric.get_block('trade', number)) FROM fabric.blocks WHERE channel = 'trade'"
	),
	'',
	'every block can be decoded');
is( $org1->query(
		"SELECT string_agg(name, ' ' ORDER BY name) FROM fabric.chaincodes WHERE version IS NULL"),
	'datatype info kind metadata package',
	'fabric.chaincodes shows only the names of definitions that cannot be read');
is( $org1->query(
		"SELECT string_agg(name, ' ' ORDER BY name) FROM fabric.chaincodes WHERE version IS NOT NULL"
	),
	'book collections noplugin nopolicy nothing path plugin policy',
	'fabric.chaincodes shows the definitions that can be read');
like(
	$org1->error_of("SELECT fabric.invoke('trade', 'info', 'put')"),
	qr/LF902: definition of chaincode "info" cannot be read\nDETAIL:  The field "EndorsementInfo"/,
	'a call of a chaincode whose definition cannot be read fails with the reason');
is($org1->query("SELECT fabric.query('trade', 'book', 'get', 'time')"),
	'1', 'another chaincode can still be called');
is($_->query("SELECT * FROM fabric.verify_chain('trade')"),
	'', "$_->{name} verifies its chain without a problem")
  foreach $network->nodes;

# a history larger than the memory for rebuilding the state
my ($fingerprint) = FabricTest::fingerprints($network, 'trade');
is( $org1->query(
		"SET work_mem = '64kB';\nSELECT blocks_corrected, state_corrected, history_corrected FROM fabric.rebuild_state('trade')"
	),
	'0|0|0',
	'rebuild_state with little memory finds no difference');
is($network->fingerprint($org1, 'trade'),
	$fingerprint, "rebuild_state does not change the state's digest");
is($org1->query("SELECT * FROM fabric.verify_chain('trade')"),
	'', 'verify_chain finds nothing after rebuild_state');

# a change of metadata alone repeats the values: more than fit into one message, or into one
# statement's share
$org1->query(join(';', map { "SELECT fabric.invoke('trade', 'book', 'put_large', '$_')" } 1 .. 15));
is($org1->error_of("SELECT fabric.invoke('trade', 'book', 'guard_large', '15')"),
	'', 'a small transaction can change the metadata of large values');
is( $org1->query(
		"SELECT count(*), sum(length(value)) FROM fabric_internal.world_state WHERE channel = 'trade' AND metadata IS NOT NULL AND convert_from(key, 'UTF8') LIKE 'large%'"
	),
	'15|108000000',
	'the large values keep their content');
$height = FabricTest::height_of($org1, 'trade');
$network->wait_for_height('trade', $height);
my %found = map {
	(   $_->query(
			"SELECT b.commit_hash, fabric.state_digest('trade') FROM fabric.blocks b WHERE channel = 'trade' AND number = $height - 1"
		) => 1)
} $network->nodes;
is(scalar keys %found, 1, 'all nodes compute the same commit hash and state digest');
done_testing();
