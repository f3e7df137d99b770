# Messages and errors of chaincode: messages cannot fill the log or flood the client, errors of
# chaincode are told apart from the node's, chaincode cannot catch the node's, and no code of a
# package runs before the package is accepted.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use FabricTest   qw(start_network wait_until);
use Fabric::Host qw(slurp);
use Fabric::Psql qw(start_query finish_query literal);
use Test::More;

my $network = start_network(
	orgs => 1,
	orderers => 1,
	channel => 'trade',
	settings => "log_min_messages = warning\n");
my ($node) = $network->nodes;
$node->query('CREATE EXTENSION plperl; CREATE EXTENSION pltcl');
$network->deploy('trade', 'loud', <<'SQL', policy => "OR('Org1MSP.peer')", allow_warnings => 1);
CREATE FUNCTION says(level text, n integer, bytes integer) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1..n LOOP
		CASE level
			WHEN 'log' THEN RAISE LOG 'said % %', i, repeat('x', bytes)
				USING DETAIL = repeat('d', bytes), HINT = repeat('h', bytes),
				COLUMN = repeat('c', bytes);
			WHEN 'warning' THEN RAISE WARNING 'said % %', i, repeat('x', bytes) USING ERRCODE = '53200';
			WHEN 'notice' THEN RAISE NOTICE 'said % %', i, repeat('x', bytes);
			WHEN 'info' THEN RAISE INFO 'said % %', i, repeat('x', bytes);
			ELSE RAISE DEBUG 'said % %', i, repeat('x', bytes);
		END CASE;
	END LOOP;
	RETURN 'done';
END $$;
CREATE FUNCTION says_in_perl() RETURNS text LANGUAGE plperl AS $$
	elog(WARNING, "said in perl $_") for 1 .. 1000;
	delete $SIG{__WARN__};
	warn "printed by warn\n" for 1 .. 1000;
	print STDERR "printed to STDERR\n" for 1 .. 1000;
	print STDOUT "printed to STDOUT\n" for 1 .. 10000;
	return 'done';
$$;
CREATE FUNCTION says_in_tcl() RETURNS text
	LANGUAGE pltcl AS $$ for {set i 0} {$i < 1000} {incr i} { elog WARNING "said in tcl $i" }; return done $$;
CREATE FUNCTION says_names() RETURNS text LANGUAGE plpgsql AS $$ DECLARE r text; BEGIN
	FOR i IN 1..1000 LOOP EXECUTE 'SELECT 1 AS ' || repeat('n', 100) INTO r; END LOOP; RETURN 'done'; END $$;
CREATE FUNCTION raises(code text) RETURNS text
	LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'raised with %', code USING ERRCODE = code; END $$;
CREATE FUNCTION raises_again(code text) RETURNS text
	LANGUAGE plpgsql AS $$ BEGIN PERFORM raises(code); EXCEPTION WHEN OTHERS THEN RAISE; END $$;
CREATE FUNCTION catches_its_own(code text) RETURNS text
	LANGUAGE plpgsql AS $$ BEGIN PERFORM raises(code); RETURN 'never';
	EXCEPTION WHEN OTHERS THEN RETURN 'caught ' || SQLSTATE; END $$;
CREATE FUNCTION deep(n integer) RETURNS integer LANGUAGE plpgsql AS $$ BEGIN RETURN deep(n + 1) + 1;
	END $$;
CREATE FUNCTION big() RETURNS integer
	LANGUAGE sql AS $$ SELECT cardinality(array_agg(repeat('x', 1000000) || a))
	FROM generate_series(1, 2000) a $$;
CREATE FUNCTION sorts() RETURNS bigint LANGUAGE sql AS $$ SELECT count(*)
	FROM (SELECT repeat(a::text, 100) FROM generate_series(1, 3000000) a ORDER BY 1 OFFSET 0) x $$;
CREATE FUNCTION catches(what text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	CASE what WHEN 'stack' THEN PERFORM deep(1); WHEN 'memory' THEN PERFORM big();
		ELSE PERFORM sorts(); END CASE;
	RETURN 'never';
EXCEPTION WHEN OTHERS THEN
	RETURN 'caught ' || SQLSTATE;
END $$;
CREATE FUNCTION catches_in_perl(what text) RETURNS text
	LANGUAGE plperl AS $$ eval { spi_exec_query($_[0] eq 'stack' ? 'SELECT deep(1)' : 'SELECT big()') }; return 'caught'; $$;
CREATE FUNCTION catches_in_tcl(what text) RETURNS text
	LANGUAGE pltcl AS $$ if {$1 eq "stack"} { catch { spi_exec "SELECT deep(1)" } } else {
	catch { spi_exec "SELECT big()" } }; return caught $$;
CREATE FUNCTION dies() RETURNS text LANGUAGE plperl AS $$ die "died\n"; $$;
CREATE FUNCTION answer() RETURNS integer LANGUAGE sql AS $$ SELECT 42 $$;
SQL

sub call_of
{
	return "SELECT fabric.query('trade', 'loud', " . join(', ', map { literal($_) } @_) . ')';
}

# (output, errors and notices, new lines of the server's log) of a call
sub called
{
	my ($settings, @call) = @_;
	my $size = -s $node->cluster->logfile;
	my ($output, $error) =
	  $node->try_query("\\set VERBOSITY verbose\n$settings;\n" . call_of(@call));

	return ($output, $error, substr(slurp($node->cluster->logfile), $size));
}

sub count_of
{
	my ($text, $pattern) = @_;

	return scalar(() = $text =~ /$pattern/g);
}

# ---- messages ----

foreach my $level (qw(log warning notice info debug))
{
	my ($output, $error, $log) =
	  called('SET client_min_messages = debug5', 'says', $level, 1000, 100000);

	is($output, 'done', "a function calls RAISE $level");
	cmp_ok(length $log, '<', 60_000, 'the log grows by little') or diag(length $log);
	is( count_of($log, qr/: +chaincode "loud": /),
		{ log => 10, warning => 10 }->{$level} // 0,
		'the log has a few messages, which name the chaincode');
	unlike($log, qr/^said|(?<!"loud": )said \d/m, 'no message looks like one of the server');
	unlike($log, qr/STATEMENT/, 'no message has the arguments of the caller');
	is( count_of($error, qr/chaincode "loud": said/),
		$level eq 'debug' ? 0 : 99,
		'the client gets a limited number of messages');
	is( count_of($error, qr/more messages of this call are not shown/),
		$level eq 'debug' ? 0 : 1,
		'the client gets a note that messages are omitted') if $level !~ /log|warning/;
	cmp_ok(length $error, '<', 500_000, 'the client gets a limited number of bytes');
}
my ($output, $error, $log) = called('SET client_min_messages = warning', 'says', 'notice', 5, 3);
is($error, '', 'client_min_messages has its effect');
foreach my $function (qw(says_in_perl says_in_tcl says_names))
{
	($output, $error, $log) = called('SELECT', $function);
	is($output, 'done', $function);
	cmp_ok(length $log, '<', 30_000, 'the log grows by little');
	is( count_of($log, qr/: +chaincode "loud": /),
		$function eq 'says_names' ? 0 : 10,
		'the log has a few messages, which name the chaincode');
	unlike($log, qr/printed/, 'output to STDERR is not in the log');
	cmp_ok(count_of($error, qr/(?:WARNING|NOTICE): /),
		'<=', 100, 'the client gets a limited number of messages');
}
$node->query("DO \$\$ BEGIN RAISE WARNING 'of the session'; END \$\$");
like(
	slurp($node->cluster->logfile),
	qr/WARNING:  of the session/,
	'messages of other statements are logged as usual');

# ---- errors of the chaincode ----

# SQLSTATEs with a meaning for the node's clients are not passed on, others are
foreach my $code (
	qw(LF306 LF001 LF002 57014 57P01 XX000 XX001 53200 53100 58030 40001 54001 55P03 72000 LF999))
{
	like(
		$node->error_of(call_of('raises', $code)),
		qr/LF301: raised with $code.*Raised by chaincode "loud" with SQLSTATE $code/s,
		"$code raised by chaincode becomes LF301");
	like(
		$node->error_of(call_of('raises_again', $code)),
		qr/LF301: raised with $code.*Raised by chaincode "loud" with SQLSTATE $code/s,
		"$code raised again by chaincode becomes LF301");
}
foreach my $code (qw(P0001 22012))
{
	like(
		$node->error_of(call_of('raises', $code)),
		qr/$code: raised with $code.*chaincode "loud", function "raises", organization Org1MSP/s,
		"$code keeps its SQLSTATE");
	like(
		$node->error_of(call_of('raises_again', $code)),
		qr/$code: raised with $code.*chaincode "loud", function "raises_again", organization Org1MSP/s,
		"$code raised again keeps its SQLSTATE");
}
is($node->query(call_of('catches_its_own', '53200')),
	'caught 53200', 'chaincode can catch an error that it raised');
like(
	$node->error_of(call_of('dies')),
	qr/38000: died.*chaincode "loud", function "dies"/s,
	'die in PL/Perl is a refusal');

# ---- errors of the node ----

foreach my $language ('', '_in_perl', '_in_tcl')
{
	like(
		$node->error_of(call_of("catches$language", 'stack')),
		qr/LF003: chaincode "loud" nests its calls too deeply/,
		"function catches$language cannot catch a full stack");
}
SKIP:
{
	# valgrind intercepts RLIMIT_DATA and applies it to brk alone: memory that the process maps has
	# no limit there
	skip 'valgrind does not limit memory', 1 if $ENV{FABRIC_TEST_MEMCHECK};

	$node->query("ALTER SYSTEM SET fabric.chaincode_memory_limit = '200MB'");
	$node->reload;
	ok(wait_until(sub { $node->query('SHOW fabric.chaincode_memory_limit') eq '200MB' }),
		'the node has a limit of memory');
	like(
		$node->error_of(call_of('big')),
		qr/LF003: chaincode "loud" needs too much memory.*Failed on request of size 1000007 in memory context.*fabric\.chaincode_memory_limit/s,
		'the error has the requested size and the name of the limit');
	like(
		$node->error_of(call_of('sorts')),
		qr/LF003: .*temporary file size exceeds temp_file_limit \(204800kB\)/s,
		'a limit of temporary files is an error, too');
	like(
		$node->error_of(call_of("catches$_", 'memory')),
		qr/LF003: chaincode "loud" needs too much memory/,
		"function catches$_ cannot catch a lack of memory") foreach '', '_in_perl', '_in_tcl';
	like(
		$node->error_of(call_of('catches', 'disk')),
		qr/LF003: chaincode "loud" needs too much memory/,
		'chaincode cannot catch a lack of disk space');
	# in one session: the limit ends with the call, also when the call fails
	my $fails =
		'DO $do$ BEGIN '
	  . (call_of('big') =~ s/^SELECT/PERFORM/r)
	  . '; EXCEPTION WHEN OTHERS THEN RAISE NOTICE \'it failed\'; END $do$';
	my ($count, $notice) = $node->try_query(
		"$fails;\nSELECT cardinality(array_agg(repeat('x', 1000000) || a)) FROM generate_series(1, 300) a"
	);
	is($count, '300', "the limit does not hold for the session's own statements");
	like($notice, qr/it failed/, 'the limit ended after a call that failed');
}

# ---- installation ----

sub install
{
	my ($source, $warnings) = @_;

	return
		'SELECT fabric.install_chaincode(fabric.package_chaincode('
	  . literal('p_' . length $source) . ', '
	  . literal($source)
	  . '), allow_warnings => '
	  . ($warnings ? 'true' : 'false') . ')';
}

my $begin_block =
  'CREATE FUNCTION f() RETURNS text LANGUAGE plperl AS $$ BEGIN { elog(WARNING, "BEGIN block ran"); print STDERR "BEGIN block printed\n"; } return 1; $$;';
my $size = -s $node->cluster->logfile;
like(
	$node->error_of(install($begin_block)),
	qr/LF304.*is written in plperl/s,
	'another language is refused');
unlike(
	substr(slurp($node->cluster->logfile), $size),
	qr/WARNING: .*BEGIN block ran|^BEGIN block printed/m,
	'no code of a refused package runs');
(undef, $error) = $node->try_query(install($begin_block, 1));
like(
	$error,
	qr/WARNING:  chaincode package "p_\d+": BEGIN block ran/,
	'messages during an accepted installation name the package');
unlike(
	substr(slurp($node->cluster->logfile), $size),
	qr/^BEGIN block printed/m,
	'a BEGIN block of an accepted package cannot print into the log');
$node->query("ALTER SYSTEM SET fabric.chaincode_execute_timeout = '3s'");
$node->reload;
ok(wait_until(sub { $node->query('SHOW fabric.chaincode_execute_timeout') eq '3s' }),
	'the node has a limit of time');
like(
	$node->error_of(
		install(
			'CREATE FUNCTION f() RETURNS text LANGUAGE plperl AS $$ BEGIN { while (1) {} } return 1; $$;',
			1)),
	qr/LF306: terminating connection because chaincode package "p_\d+" did not finish in 3000 ms/,
	'a BEGIN block without an end is ended');
like(
	$node->error_of(
		install(
			'CREATE FUNCTION f() RETURNS text LANGUAGE plperl AS $$ BEGIN { while (1) { eval { spi_exec_query("SELECT count(*) FROM generate_series(1, 100000000)") } } } return 1; $$;',
			1)),
	qr/LF306/,
	'a BEGIN block that catches the cancellation is ended');
$node->query('ALTER SYSTEM RESET fabric.chaincode_execute_timeout');
$node->reload;
is($node->query(call_of('answer')), '42', 'chaincode works after the installations');
unlike(
	slurp($node->cluster->logfile),
	qr/terminating any other active server processes/,
	'the node was never restarted');
done_testing();
