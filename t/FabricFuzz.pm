package FabricFuzz;

# FabricFuzz: random chaincode. It builds expressions from the functions, operators, casts and
# aggregates of the server that runs the test, so that a new version's are tried too, and programs
# that put such expressions into PL/pgSQL. The same seed and server version give the same texts.
#
#   my $fuzz = FabricFuzz->new($node, $seed);    # $node: a Fabric::Node, for its catalogs
#   $fuzz->expression;                           # a query that gives one text
#   $fuzz->program('f1');                        # a CREATE FUNCTION that returns one text

use strict;
use warnings;
no warnings qw(qw);

# Types, with texts that they accept. Without types of catalogs (regclass, oid, name, aclitem),
# which chaincode may not use
my %literals = (
	bool => [qw(true false)],
	int2 => [qw(0 1 -1 2 7 32767 -32768)],
	int4 => [qw(0 1 -1 2 3 5 8 17 100 2147483647 -2147483648)],
	int8 => [qw(0 1 -1 2 12 1000 9223372036854775807 -9223372036854775808)],
	numeric => [
		qw(0 1 -1 0.1 2.50 3.14159265358979 123456789012345678901234567890 1e-20 NaN Infinity
		  -Infinity 0.000)
	],
	float4 => [qw(0 -0 1 0.1 -2.5 3.4e38 1e-40 NaN Infinity)],
	float8 => [qw(0 -0 1 0.1 0.2 -2.5 1e308 4.9e-324 NaN -Infinity 1234567.891)],
	text => [
		'', 'a', 'b', 'Ab C',
		'ABC', 'ß', "\x{e9}t\x{e9}", "\x{130}I\x{131}i",
		'x' x 40, '10', '-2.5', '2024-02-29',
		'{1,2}', '[1]', '{"a":1}', '%',
		'_', '\\', "it''s", '.*',
		'(a|b)+', 'YYYY-MM-DD HH24:MI:SS', 'Day DD Mon', '999D99',
		'L9G999', 'TMMonth', 'utf8', 'hex',
		'simple', 'year', 'day', 'epoch',
		'week', 'UTC', 'America/New_York', '<a>b</a>',
		"\x{1F600}"
	],
	varchar => [ 'v', 'varchar text', '' ],
	bpchar => [ 'c', 'padded  ', '' ],
	'"char"' => [ 'q', '' ],
	bytea => [ '\\x', '\\x00', '\\x616263', '\\xff00ff', 'abc' ],
	date => [qw(2024-02-29 1999-12-31 0001-01-01 4713-01-01BC infinity -infinity 5874897-12-31)],
	time => [qw(00:00:00 12:34:56.789 23:59:59.999999 24:00:00)],
	timetz => [qw(00:00:00+00 12:34:56.789+05:30 23:59:59-11)],
	timestamp => [
		'2024-02-29 12:34:56.789',
		'1999-12-31 23:59:59',
		'0001-01-01 00:00:00',
		'infinity',
		'2024-03-31 02:30:00'
	],
	timestamptz => [
		'2024-02-29 12:34:56.789+02',
		'1999-12-31 23:59:59-08',
		'2024-03-10 02:30:00 America/New_York',
		'-infinity',
		'2024-06-01 00:00:00+00'
	],
	interval => [
		'0', '1 day',
		'-1 month 3 days',
		'1 year 2 mons 3 days 04:05:06.789',
		'25:00:00', '40 days'
	],
	json => [
		'{}', '[]', 'null', '{"b":1, "a":[1,2.50,"x"], "b":2}',
		'[3,1,null,{"k":"v"}]', '"text"', '1e5'
	],
	jsonb => [
		'{}', '[]', 'null', '{"b":1, "a":[1,2.50,"x"], "cc":{"d":"e"}}',
		'[3,1,null,{"k":"v"}]', '"2024-02-29T12:00:00+05:00"', '1e5'
	],
	jsonpath => [
		'$', '$.a[*]', '$.** ? (@ > 1)', '$.b.type()',
		'lax $.cc.d', 'strict $[*].k', '$.datetime()'
	],
	uuid => [qw(00000000-0000-0000-0000-000000000000 a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11)],
	inet => [qw(192.168.1.5/24 10.0.0.1 ::1 2001:db8::1/64)],
	cidr => [qw(192.168.1.0/24 10.0.0.0/8 2001:db8::/32)],
	macaddr => [qw(08:00:2b:01:02:03 ff:ff:ff:ff:ff:ff)],
	bit => [qw(0 1 1)],
	varbit => [ '', '1011', '0000000011111111' ],
	point => [qw((0,0) (1,-2.5) (0.1,1e10))],
	box => [qw((1,1),(0,0) (3,4),(-1,-2))],
	circle => [qw(<(0,0),1> <(1,2),3.5>)],
	polygon => [qw(((0,0),(1,0),(1,1)) ((0,0),(4,0),(4,3),(0,3)))],
	money => [qw(0 1.50 -1234567.89)],
	int4range => [ 'empty', '[1,5)', '(,10]', '[3,3]' ],
	numrange => [ 'empty', '[1.5,2.5]', '(,)' ],
	tstzrange => [ 'empty', '[2024-01-01 00:00+00,2024-02-01 00:00+00)' ],
	int4multirange => [ '{}', '{[1,3),[5,9]}' ],
	tsvector => [ '', "''a'':1 ''fat'':2,4 ''rat'':3" ],
	tsquery => [ '', 'fat & rat', "!cat | ''dog'':*", 'a <-> b' ],
	xml => [ '<a/>', '<a b="1">text<c/></a>', '<x>1</x><x>2</x>' ],
	'int4[]' => [ '{}', '{1,2,3}', '{NULL,5,-1}', '{{1,2},{3,4}}' ],
	'text[]' => [ '{}', '{a,b,c}', '{NULL,"null",""}', '{{x,y},{z,w}}' ],
	'numeric[]' => [ '{}', '{1.50,NULL,0}' ],
	'jsonb[]' => [ '{}', '{"{\"a\": 1}",null}' ],
	'timestamptz[]' => [ '{}', '{"2024-01-01 00:00:00+00"}' ],);

# Functions that are not tried, with the reason: beginnings of names
my %left_out = (
	pg_ => 'of the server, refused; many scan for themselves',
	txid_ => 'of the server, refused',
	binary_upgrade_ => 'of the server, refused',
	ts_debug => 'reads the catalogs, refused',
	currtid => 'of tables, refused',
	lo_ => 'large objects, refused',
	xml_is_well_formed =>
	  'depends on the caller by its definition; xml_is_well_formed_document and _content do not',);

# the types that can replace a polymorphic type, with its array, range and multirange if it has them
my @elements = (
	[qw(int4 int4[] int4range int4multirange)], [qw(text text[])],
	[qw(numeric numeric[] numrange)], [qw(jsonb jsonb[])],
	[qw(timestamptz timestamptz[] tstzrange)]);

sub new
{
	my ($class, $node, $seed) = @_;
	my $self = bless { functions => {}, sets => [], casts => {}, immutable_only => 0 }, $class;

	srand $seed;
	$self->read_functions($node);
	$self->read_operators($node);
	$self->read_casts($node);
	return $self;
}

sub pick
{
	my ($list) = @_;

	return $list->[ int rand @$list ];
}

# ---- the catalogs ----

# the signature with every polymorphic type replaced; empty if a type is not in %TYPES
sub instances
{
	my (@types) = @_;

	return grep {
		!grep { !exists $literals{$_} }
		  @$_
	}[@types] unless grep { /^any/ } @types;
	my @instances;
	foreach my $element (@elements)
	{
		my %stand_for = (
			(   map { $_ => $element->[0] }
				  qw(anyelement anynonarray anycompatible anycompatiblenonarray any)),
			(map { $_ => $element->[1] } qw(anyarray anycompatiblearray)),
			(map { $_ => $element->[2] // 'none' } qw(anyrange anycompatiblerange)),
			(map { $_ => $element->[3] // 'none' } qw(anymultirange anycompatiblemultirange)));
		my @replaced = map { $stand_for{$_} // $_ } @types;

		push @instances, \@replaced unless grep { !exists $literals{$_} } @replaced;
	}
	return @instances;
}

sub rows
{
	my ($node, $sql) = @_;

	return map { [ split /\|/, $_, -1 ] } split /\n/, $node->query($sql);
}

my $short =
  "CASE WHEN t.typelem <> 0 AND t.typlen = -1 AND e.typname IS NOT NULL THEN e.typname || '[]' ELSE CASE t.typname WHEN 'char' THEN '\"char\"' ELSE t.typname END END";
my $type_names =
  "SELECT t.oid, $short AS name FROM pg_type t LEFT JOIN pg_type e ON e.oid = t.typelem AND e.typarray = t.oid WHERE t.typnamespace = 'pg_catalog'::regnamespace";

sub read_functions
{
	my ($self, $node) = @_;

	foreach my $row (rows($node, <<"SQL"))
WITH n AS ($type_names)
SELECT p.proname, p.prokind, p.proretset, p.provolatile, r.name,
	coalesce((SELECT string_agg(n.name, ' ' ORDER BY i)
	FROM unnest(p.proargtypes) WITH ORDINALITY a (t, i) JOIN n ON n.oid = a.t), '')
FROM pg_proc p JOIN n r ON r.oid = p.prorettype
WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.prokind IN ('f', 'a') AND p.provariadic = 0
	AND p.pronargs <= 5
  AND NOT EXISTS (SELECT FROM pg_aggregate g WHERE g.aggfnoid = p.oid AND g.aggkind <> 'n')
ORDER BY p.proname, p.oid::regprocedure::text
SQL
	{
		my ($name, $kind, $is_set, $volatile, $result, $arguments) = @$row;

		next if grep { index($name, $_) == 0 } keys %left_out;
		next if $kind eq 'a' && $arguments !~ /^\S+$/;
		foreach
		  my $instance (instances($result eq 'record' ? 'text' : $result, split / /, $arguments))
		{
			my ($gives, @takes) = @$instance;
			my $function =
			  { name => $name, kind => $kind, takes => \@takes, immutable => $volatile eq 'i' };

			if    ($is_set eq 't')      { push @{ $self->{sets} }, $function; }
			elsif ($result ne 'record') { push @{ $self->{functions}{$gives} }, $function; }
		}
	}
}

sub read_operators
{
	my ($self, $node) = @_;

	foreach my $row (rows($node, <<"SQL"))
WITH n AS ($type_names)
SELECT o.oprname, r.name, coalesce(a.name, ''), b.name, p.provolatile
FROM pg_operator o JOIN n r ON r.oid = o.oprresult LEFT JOIN n a ON a.oid = o.oprleft
	JOIN n b ON b.oid = o.oprright JOIN pg_proc p ON p.oid = o.oprcode
WHERE o.oprnamespace = 'pg_catalog'::regnamespace
ORDER BY o.oprname, 3, 4
SQL
	{
		my ($name, $result, $left, $right, $volatile) = @$row;

		foreach my $instance (instances($result, ($left eq '' ? () : $left), $right))
		{
			my ($gives, @takes) = @$instance;

			push @{ $self->{functions}{$gives} },
			  {
				name => "OPERATOR(pg_catalog.$name)",
				kind => 'o',
				takes => \@takes,
				immutable => $volatile eq 'i'
			  };
		}
	}
}

sub read_casts
{
	my ($self, $node) = @_;

	foreach my $row (
		rows(
			$node,
			"WITH n AS ($type_names) SELECT s.name, t.name FROM pg_cast c JOIN n s ON s.oid = c.castsource JOIN n t ON t.oid = c.casttarget ORDER BY 1, 2"
		))
	{
		my ($source, $target) = @$row;

		push @{ $self->{casts}{$target} }, $source
		  if exists $literals{$source} && exists $literals{$target};
	}
	foreach my $type (sort keys %literals)
	{
		push @{ $self->{casts}{$type} }, 'text' if $type ne 'text';
		push @{ $self->{casts}{text} }, $type if $type ne 'text';
	}
}

# ---- expressions ----

sub literal
{
	my ($type) = @_;

	return "NULL::$type" if rand() < 0.04;
	return
		"ARRAY["
	  . join(', ', map { literal($type =~ s/\[\]$//r) } 1 .. 1 + int rand 4)
	  . "]::$type"
	  if $type =~ /\[\]$/ && rand() < 0.5;
	my $text = pick($literals{$type});

	# numbers that become lengths and counts are mostly small: large ones only hit the limits
	$text = int rand 10 if $type =~ /^int[248]$/ && rand() < 0.6;
	return "'" . ($text =~ s/(?<!')'(?!')/''/gr) . "'::$type";
}

sub apply
{
	my ($self, $function, $depth) = @_;
	my @arguments = map { $self->value($_, $depth - 1) } @{ $function->{takes} };

	return "($function->{name} $arguments[0])" if $function->{kind} eq 'o' && @arguments == 1;
	return "($arguments[0] $function->{name} $arguments[1])" if $function->{kind} eq 'o';
	return "pg_catalog.\"$function->{name}\"(" . join(', ', @arguments) . ')'
	  if $function->{kind} ne 'a';
	return $self->aggregate($function);
}

# the rows have an order: they are numbered
sub aggregate
{
	my ($self, $function) = @_;
	my $type = $function->{takes}[0];
	my $rows = join(', ', map { "($_, " . literal($type) . ')' } 1 .. 1 + int rand 5);

	return
	  "(SELECT pg_catalog.\"$function->{name}\"(v ORDER BY n) FROM (VALUES $rows) AS t (n, v))"
	  if rand() < 0.7;
	return
	  "(SELECT pg_catalog.\"$function->{name}\"(v ORDER BY n DESC) FILTER (WHERE n > 1) FROM (VALUES $rows) AS t (n, v) WHERE v IS NOT NULL)";
}

# a text of the elements of a set, in the order of these texts
sub set_text
{
	my ($self, $depth) = @_;
	my $function = pick($self->{sets});

	return $self->value('text', $depth - 1) if $self->{immutable_only} && !$function->{immutable};
	return
		"(SELECT string_agg(x::text, ',' ORDER BY x::text COLLATE \"C\") FROM (SELECT * FROM "
	  . $self->apply($function, $depth)
	  . ' LIMIT 50) AS x)';
}

sub value
{
	my ($self, $type, $depth) = @_;
	my $choice = rand;

	return literal($type) if $depth <= 0 || $choice < 0.15;
	if ($choice < 0.75 && $self->{functions}{$type})
	{
		for (1 .. 5)
		{
			my $function = pick($self->{functions}{$type});

			return '(' . $self->apply($function, $depth) . ")::$type"
			  if $function->{immutable} || !$self->{immutable_only};
		}
	}
	return '(' . $self->value(pick($self->{casts}{$type}), $depth - 1) . ")::$type"
	  if $choice < 0.87 && $self->{casts}{$type};
	return
		'(CASE WHEN '
	  . $self->value('bool', $depth - 1)
	  . ' THEN '
	  . $self->value($type, $depth - 1)
	  . ' ELSE '
	  . $self->value($type, $depth - 1) . ' END)'
	  if $choice < 0.92;
	return 'coalesce(' . $self->value($type, $depth - 1) . ', ' . literal($type) . ')'
	  if $choice < 0.95;
	return '(' . $self->value("$type\[]", $depth - 1) . ')[' . int(rand 3) . ']'
	  if exists $literals{"$type\[]"};
	return $self->set_text($depth) if $type eq 'text';
	return literal($type);
}

sub expression
{
	my ($self) = @_;
	my $type = pick([ sort keys %literals ]);
	my $depth = 1 + int rand 4;

	return 'SELECT '
	  . (rand() < 0.1 ? $self->set_text($depth) : '(' . $self->value($type, $depth) . ')::text');
}

# ---- programs ----

sub quoted
{
	my ($text) = @_;

	return "'" . ($text =~ s/'/''/gr) . "'";
}

my @scalars = qw(text int4 numeric jsonb bool timestamptz);

sub statement
{
	my ($self, $depth) = @_;
	my $type = pick(\@scalars);
	my $choice = int rand($depth > 0 ? 15 : 8);
	my $inner = sub {
		join "\n", map { $self->statement($depth - 1) } 1 .. 1 + int rand 2;
	};

	# CREATE FUNCTION checks expressions that are written directly, at installation; expressions
	# that it would refuse are tried in dynamic SQL
	local $self->{immutable_only} = 1;
	return "v_$type := " . $self->value($type, 2) . ';' if $choice <= 1;
	return 'out := out || coalesce(left((' . $self->value($type, 2) . ")::text, 200), '-') || ';';"
	  if $choice == 2;
	if ($choice == 3)
	{
		local $self->{immutable_only} = 0;
		return
			'EXECUTE '
		  . quoted('SELECT (' . $self->value($type, 3) . ')::text')
		  . ' INTO v_text;';
	}
	return
		"PERFORM put_state('k' || ("
	  . $self->value('int4', 1)
	  . " % 5), coalesce(left(v_text, 100), 'none') || 'x');"
	  if $choice == 4;
	return "PERFORM put_state('j' || coalesce(v_int4, 0) % 3, coalesce(v_jsonb, '1'));"
	  if $choice == 5;
	return
	  "SELECT count(*), coalesce(string_agg(key || '=' || length(value), ',' ORDER BY key), '') INTO v_int4, v_text FROM get_state_by_range('a', 'z');"
	  if $choice == 6;
	return
	  "v_text := get_state_text('k' || coalesce(v_int4, 0) % 5); GET DIAGNOSTICS v_int4 = ROW_COUNT;"
	  if $choice == 7;
	return
		'IF '
	  . $self->value('bool', 2)
	  . " THEN\n"
	  . $inner->()
	  . "\nELSE\n"
	  . $inner->()
	  . "\nEND IF;"
	  if $choice == 8;
	return 'FOR i IN 1..' . (1 + int rand 4) . " LOOP\n" . $inner->() . "\nEND LOOP;"
	  if $choice == 9;
	return
		'FOREACH v_int4 IN ARRAY coalesce('
	  . $self->value('int4[]', 2)
	  . ", '{}') LOOP\n"
	  . $inner->()
	  . "\nEND LOOP;"
	  if $choice == 10;
	return
		"BEGIN\n"
	  . $inner->()
	  . "\nRAISE EXCEPTION 'own %', v_text USING ERRCODE = '2201"
	  . int(rand 9)
	  . "', DETAIL = coalesce(v_numeric::text, 'none');\n"
	  . "EXCEPTION WHEN data_exception THEN out := out || 'caught ' || SQLSTATE || SQLERRM; WHEN OTHERS THEN\n"
	  . "GET STACKED DIAGNOSTICS v_text = PG_EXCEPTION_DETAIL; out := out || SQLERRM || v_text;\nEND;"
	  if $choice == 11;
	return
		'FOR r IN SELECT n, '
	  . $self->value($type, 1)
	  . ' AS v FROM generate_series(1, '
	  . (1 + int rand 5)
	  . ") n ORDER BY n LOOP out := out || r.n || coalesce(left(r.v::text, 50), '-'); EXIT WHEN r.n > 3; END LOOP;"
	  if $choice == 12;
	return
		'OPEN c FOR SELECT n * '
	  . (1 + int rand 9)
	  . " FROM generate_series(1, 9) n ORDER BY 1; MOVE c; FETCH c INTO v_int4; out := out || coalesce(v_int4, -1); CLOSE c;"
	  if $choice == 13;
	return
		"WITH RECURSIVE w (n, t) AS (SELECT 1, "
	  . $self->value('text', 1)
	  . " UNION ALL SELECT n + 1, left(t || n, 50) FROM w WHERE n < 5) SELECT string_agg(t, '/' ORDER BY n), sum(n) OVER () INTO v_text, v_int4 FROM w GROUP BY n ORDER BY n LIMIT 1;";
}

sub program
{
	my ($self, $name) = @_;
	my $body = join "\n", map {
			"BEGIN\n"
		  . $self->statement(2)
		  . "\nEXCEPTION WHEN OTHERS THEN out := out || '!' || SQLSTATE || SQLERRM || ';';\nEND;"
	} 1 .. 2 + int rand 5;

	return
	  "CREATE FUNCTION $name() RETURNS text LANGUAGE plpgsql AS \$program\$\nDECLARE\nout text := '';\nr record;\nc refcursor;\n"
	  . join('', map { "v_$_ $_;\n" } @scalars)
	  . "BEGIN\n$body\n"
	  . "RETURN concat_ws('|', out, "
	  . join(', ', map { "left(v_$_\::text, 200)" } @scalars)
	  . ");\nEND\n\$program\$;\n";
}

1;
