# An endorsement depends on the chaincode only, whichever node asks for it: settings that another
# organization's node chooses for its sessions, differences between the configurations of nodes, and
# cursors of a session do not influence it; nor do they in PL/Perl and PL/Tcl.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use FabricTest   qw(start_network fingerprints);
use Fabric::Psql qw(literal);
use Test::More;

my $network = start_network(
	orgs => 2,
	orderers => 1,
	channel => 'trade',
	profile => { batch_timeout => '200ms' });
my ($org1, $org2) = my @nodes = $network->nodes;
$_->query('CREATE EXTENSION plperl; CREATE EXTENSION pltcl') foreach @nodes;
$network->deploy(
	'trade', 'bank',
	<<'SQL', policy => "AND('Org1MSP.peer', 'Org2MSP.peer')", allow_warnings => 1);
CREATE FUNCTION pay(amount integer) RETURNS text
	LANGUAGE plpgsql AS $$ BEGIN ASSERT amount > 0, 'amount must be positive';
	PERFORM put_state('paid', amount::text); RETURN 'paid'; END $$;
CREATE FUNCTION texts() RETURNS text LANGUAGE plpgsql AS $$
DECLARE detail text; number integer; result text;
BEGIN
	result := xmlelement(name x, '\x00ff'::bytea)::text || (SELECT string_agg(x::text, ' ')
		FROM (SELECT DISTINCT (i * 7919) % 101 AS x FROM generate_series(1, 60) i) s)
		|| (SELECT string_agg(a || ':' || b, ' ') FROM generate_series(1, 30) a
			JOIN generate_series(30, 1, -1) b ON a = b) || to_char(timestamptz '2024-02-29 12:00Z', 'DD TMDay HH24')
		|| timestamptz '2024-02-29 12:00Z' || interval '1 day 2 hours' || 1.5::float8 || to_char(1234.5, '9G999D9');
	BEGIN
		SELECT i INTO STRICT number FROM generate_series(1, 2) i;
	EXCEPTION WHEN too_many_rows THEN
		GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
		result := result || SQLERRM || detail;
	END;
	BEGIN number := 1 / coalesce(number - number, 0); EXCEPTION WHEN OTHERS THEN
		result := result || SQLERRM; END;
	PERFORM put_state('texts', result);
	RETURN result;
END $$;
CREATE FUNCTION perl_fetch(n text) RETURNS text
	LANGUAGE plperl AS $$ my $row = spi_fetchrow($_[0]); return $row ? join(',', %$row) : 'none'; $$;
CREATE FUNCTION perl_close(n text) RETURNS text
	LANGUAGE plperl AS $$ spi_cursor_close($_[0]); return 'none'; $$;
CREATE FUNCTION perl_own(n integer) RETURNS text LANGUAGE plperl AS $$
	my $cursor = spi_query("SELECT i FROM generate_series(1, $_[0]) i"); my $all = '';
		while (defined(my $row = spi_fetchrow($cursor))) { $all .= $row->{i}; } return $all; $$;
CREATE FUNCTION perl_strict() RETURNS text
	LANGUAGE plperl AS $$ $undeclared = 5; return $undeclared; $$;
CREATE FUNCTION perl_run(q text) RETURNS text
	LANGUAGE plperl AS $$ my $row = spi_exec_query($_[0])->{rows}[0];
	return join(',', map { $_ // '' } values %$row); $$;
CREATE FUNCTION tcl_run(q text) RETURNS text LANGUAGE pltcl AS $$ spi_exec "SELECT ($1)::text AS a"; return $a $$;
SQL

sub invoke
{
	return "SELECT fabric.invoke('trade', 'bank', " . join(', ', map { literal($_) } @_) . ')';
}

# ---- the other organization's node wants an endorsement that the chaincode forbids ----

my $hostile = 'plpgsql.check_asserts = off';
$org1->query("ALTER ROLE fabric_node_org2msp SET $hostile");
my $error = $org2->error_of("SET $hostile; " . invoke('pay', '-5'));
like(
	$error,
	qr/amount must be positive/,
	'an assertion holds although both sessions switch assertions off');
is($org2->query("SET $hostile; " . invoke('pay', '5')),
	'paid', 'a call that the assertion allows succeeds');

# ---- nodes that are configured differently give the same bytes ----

my %settings = (
	TimeZone => 'Asia/Tokyo',
	DateStyle => 'German',
	IntervalStyle => 'iso_8601',
	extra_float_digits => -3,
	xmlbinary => 'hex',
	enable_hashagg => 'off',
	enable_hashjoin => 'off',
	enable_mergejoin => 'off',
	work_mem => '64kB',
	'plpgsql.print_strict_params' => 'on',
	'plpgsql.extra_errors' => 'all',
	'plpgsql.variable_conflict' => 'use_variable',
	'plperl.use_strict' => 'on');
$org2->query(
	join('; ', map { "ALTER ROLE ALL SET $_ = " . literal($settings{$_}) } sort keys %settings));
is($org2->query('SHOW TimeZone'), 'Asia/Tokyo', 'one node has other settings');
my $texts = $org1->query(invoke('texts'));
like($texts, qr/division by zero/, 'both nodes return the same result');
is($org2->query(invoke('texts')),
	$texts, 'both nodes return the same result when the other one calls');
is($org2->query("SHOW xmlbinary"), 'hex', 'a call leaves the settings of the session unchanged');

# ---- cursors, settings and dynamic SQL of other languages ----

sub in_transaction
{
	my ($call) = @_;

	return $org2->query(
		"BEGIN; DECLARE dba CURSOR FOR SELECT rolname FROM pg_authid ORDER BY 1; DECLARE held CURSOR WITH HOLD FOR SELECT rolname FROM pg_authid ORDER BY 1; "
		  . "$call; MOVE 0 FROM dba; CLOSE held; COMMIT");
}

foreach my $name ('dba', 'held', '')
{
	is( in_transaction(
			"SELECT fabric.query('trade', 'bank', 'perl_fetch', " . literal($name) . ')'),
		'none',
		"PL/Perl finds no row of the session's cursor \"$name\"");
	is( in_transaction(
			"SELECT fabric.query('trade', 'bank', 'perl_close', " . literal($name) . ')'),
		'none',
		"PL/Perl cannot close the session's cursor \"$name\"");
}
is(in_transaction("SELECT fabric.query('trade', 'bank', 'perl_own', '5')"),
	'12345', 'cursors of the chaincode itself work');
is( $org2->query("SET plperl.use_strict = on; SELECT fabric.query('trade', 'bank', 'perl_strict')"),
	'5', 'a setting of a library that was not loaded does not matter');
foreach
  my $expression ('current_user', "'pg_authid'::regclass", "'today'::date", "'now'::time", 'now()')
{
	like(
		$org2->error_of(
			"SELECT fabric.query('trade', 'bank', 'perl_run', "
			  . literal("SELECT $expression") . ')'),
		qr/cannot be (used|called) in chaincode|out of range/,
		"PL/Perl cannot use $expression");
	like(
		$org2->error_of(
			"SELECT fabric.query('trade', 'bank', 'tcl_run', " . literal($expression) . ')'),
		qr/cannot be (used|called) in chaincode|out of range/,
		"PL/Tcl cannot use $expression");
}

is(scalar(fingerprints($network, 'trade')), 1, 'all nodes have the same ledger');
done_testing();
