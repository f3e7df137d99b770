# Chaincode ends at its time limit, at a cancellation, a termination and a fast shutdown, even if it
# runs code without interrupts or loops of other languages, catches the cancellation, or handles
# signals. Only its own session is affected.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use FabricTest   qw(start_network fingerprints wait_until eventually_is cpu_ticks $ANY_TWO);
use Fabric::Host qw(slurp);
use Fabric::Psql qw(start_query finish_query literal);
use Test::More;
use Time::HiRes qw(time);

# generous for a busy machine; the functions would run for minutes or hours
my $SOON = 60;

my $network = start_network(orgs => 3, orderers => 3, channel => 'trade');
my ($org1, $org2, $org3) = my @nodes = $network->nodes;
$_->query('CREATE EXTENSION plperl; CREATE EXTENSION pltcl') foreach @nodes;
$network->deploy('trade', 'endless', <<'SQL', policy => $ANY_TWO, allow_warnings => 1);
CREATE FUNCTION answer() RETURNS integer LANGUAGE sql AS $$ SELECT 42 $$;
CREATE FUNCTION put(k text) RETURNS void LANGUAGE sql AS $$ SELECT put_state(k, 'x') $$;
CREATE FUNCTION trims(n integer) RETURNS integer LANGUAGE sql AS $$ SELECT put_state('trimmed', 'x');
	SELECT length(btrim(repeat('a', n), repeat('b', n) || 'a')) $$;
CREATE FUNCTION translates() RETURNS integer
	LANGUAGE plpgsql AS $$ BEGIN RETURN
	length(translate(repeat('a', 3000000), repeat('b', 3000000), 'c')); END $$;
CREATE FUNCTION overlaps_arrays() RETURNS boolean LANGUAGE sql AS $$
	SELECT array_agg(i) && array_agg(-i) FROM generate_series(1, 1000000) i $$;
CREATE FUNCTION divides() RETURNS integer
	LANGUAGE plpgsql AS $$ DECLARE a numeric := (repeat('3', 60000))::numeric;
BEGIN FOR i IN 1..1000000 LOOP
	a := (a * (repeat('7', 60000))::numeric) % (repeat('9', 59999) || '7')::numeric; END LOOP; RETURN length(a::text); END $$;
CREATE FUNCTION trims_bytes(a bytea
	DEFAULT btrim(repeat('a', 3000000)::bytea, repeat('b', 3000000)::bytea || 'a'))
	RETURNS integer LANGUAGE sql AS $$ SELECT length(a) $$;
CREATE FUNCTION renders() RETURNS SETOF text
	LANGUAGE plpgsql AS $$ BEGIN FOR i IN 1..1000000000 LOOP RETURN NEXT 'x'; END LOOP; END $$;
CREATE FUNCTION perl_loops() RETURNS integer LANGUAGE plperl AS $$ while (1) {} $$;
CREATE FUNCTION perl_allocates() RETURNS integer
	LANGUAGE plperl AS $$ while (1) { my @a = map { "x$_" } 1 .. 1000; } $$;
CREATE FUNCTION perl_catches() RETURNS integer
	LANGUAGE plperl AS $$ while (1) { eval { spi_exec_query('SELECT count(*) FROM generate_series(1, 100000000)'); }; } $$;
CREATE FUNCTION perl_ignores() RETURNS integer LANGUAGE plperl AS $$
	foreach my $name (keys %SIG) { eval { $SIG{$name} = 'IGNORE' unless $name =~ /^__/; };
		} while (1) {} $$;
CREATE FUNCTION tcl_loops() RETURNS integer LANGUAGE pltcl AS $$ while {1} {} $$;
CREATE FUNCTION tcl_catches() RETURNS integer
	LANGUAGE pltcl AS $$ while {1} { catch { spi_exec "SELECT count(*) FROM generate_series(1, 100000000)" } } $$;
SQL

sub call_of
{
	my ($function, @arguments) = @_;

	return
	  "SELECT fabric.query('trade', 'endless', "
	  . join(', ', map { literal($_) } $function, @arguments) . ')';
}

sub set_limit
{
	my ($node, $limit) = @_;

	$node->query("ALTER SYSTEM SET fabric.chaincode_execute_timeout = '$limit'");
	$node->reload;
	ok(wait_until(sub { $node->query('SHOW fabric.chaincode_execute_timeout') eq $limit }),
		"the limit is $limit");
}

# the error of the call, which ended soon after $limit seconds
sub ends
{
	my ($function, $limit, @arguments) = @_;
	my $begin = time;
	my (undef, $error) = finish_query(
		start_query(
			$org1->connection, "\\set VERBOSITY verbose\n" . call_of($function, @arguments)));
	my $seconds = time - $begin;

	cmp_ok($seconds, '<', $limit + $SOON, "$function ends soon after its limit");
	note(sprintf '%s: %.2f s', $function, $seconds);
	return $error;
}

# nothing was restarted, and a session from before is still connected
my $started = $org1->query('SELECT pg_postmaster_start_time()');
my $workers = $org1->query(
	"SELECT string_agg(pid::text, ' ' ORDER BY pid) FROM fabric.stat_workers WHERE pid IS NOT NULL"
);
my $witness =
  start_query($org1->connection, "SET application_name = 'witness';\nSELECT pg_sleep(1000)");
ok( wait_until(
		sub {
			$org1->query(
				"SELECT count(*) FROM pg_stat_activity WHERE application_name = 'witness' AND wait_event = 'PgSleep'"
			);
		}),
	'another session runs');

set_limit($org1, '2s');
my $limited =
  qr/LF306: .*chaincode "endless" did not finish in 2000 ms.*HINT: .*fabric\.chaincode_execute_timeout/s;
my $ended =
  qr/FATAL:  LF306: terminating connection because chaincode "endless" did not finish in 2000 ms/;
like(ends('trims', 2, 3000000), $ended, 'btrim of text is ended');
like(ends('translates', 2), $ended, 'translate is ended');
like(ends('overlaps_arrays', 2), $limited, 'an operator on arrays is interrupted');
like(ends('divides', 2), $limited, 'numeric arithmetic is interrupted');
like(ends('trims_bytes', 2), $limited, 'a default value is interrupted');
like(ends('renders', 2), qr/LF306|LF003/, 'a result without an end is interrupted');
like(ends('perl_loops', 2), $ended, 'a loop in PL/Perl is ended');
like(ends('perl_allocates', 2), $ended, 'PL/Perl that allocates memory in a loop is ended');
like(ends('perl_catches', 2), $limited, 'PL/Perl that catches the cancellation is interrupted');
like(ends('perl_ignores', 2), $ended, 'PL/Perl that ignores signals is ended');
like(ends('tcl_loops', 2), $ended, 'a loop in PL/Tcl is ended');
like(ends('tcl_catches', 2), $limited, 'PL/Tcl that catches the cancellation is interrupted');

# code that reacts to the limit does not end the session
my ($output, $error) =
  $org1->try_query("\\set ON_ERROR_STOP off\n"
	  . call_of('renders')
	  . ";\nSELECT 'still ' || fabric.query('trade', 'endless', 'answer')");
is($output, 'still 42', 'a session continues after its chaincode was interrupted');

# interrupted from outside, long before the limit
set_limit($org1, '30min');
foreach my $function (qw(trims perl_loops perl_catches perl_ignores tcl_catches))
{
	foreach my $how (qw(pg_cancel_backend pg_terminate_backend))
	{
		my $session = start_query($org1->connection,
			"SET application_name = 'victim';\n\\set VERBOSITY verbose\n"
			  . call_of($function, $function eq 'trims' ? 3000000 : ()));
		my $pid;

		ok( wait_until(
				sub {
					$pid = $org1->query(
						"SELECT pid FROM pg_stat_activity WHERE application_name = 'victim' AND state = 'active' AND query LIKE '%endless%'"
					);
				}),
			"$function runs");
		ok(wait_until(sub { cpu_ticks($pid) > 30 }), "$function uses CPU time");
		my $begin = time;
		is($org1->query("SELECT $how($pid)"), 't', $how);
		(undef, $error) = finish_query($session);
		cmp_ok(time - $begin, '<', $SOON, "$function ends soon");
		like(
			$error,
			$how eq 'pg_cancel_backend' ? qr/57014/ : qr/57P01/,
			'the error has the SQLSTATE of the interruption');
	}
}

# a node of another organization: it is free again, the connection was closed, and a third
# organization was asked
set_limit($org1, '10min');
set_limit($org3, '10min');
set_limit($org2, '2s');
my $submit = "SELECT validation_code FROM fabric.submit_transaction('trade', 'endless', %s)";
# longer than Org2's limit on any machine, but not too long for a test
my $long = 40000;
my $both = "endorsing_orgs => ARRAY['Org1MSP', 'Org2MSP']";
($output, $error) = $org1->try_query(
	join ";\n",
	"\\set ON_ERROR_STOP off\n\\set VERBOSITY verbose\nSET fabric.endorsement_timeout = '5min'",
	sprintf($submit, "'put', '{a}', $both"),
	sprintf($submit, "'trims', '{$long}', $both"),
	sprintf($submit, "'trims', '{$long}'"));
is($output, "VALID\nVALID", 'an endorser that reaches its time limit is replaced');
like(
	$error,
	qr/\AERROR:  LF310.*Org2MSP: [^;]*did not finish in 2000 ms[^;]*\z/s,
	'the error names the endorser and its reason when it is required');
# on a fast machine the function returns before its process is ended
like(
	slurp($org2->cluster->logfile),
	qr/(?:FATAL:  terminating connection because |ERROR:  )chaincode "endless" did not finish in 2000 ms/,
	'the log of the endorser has the reason');
eventually_is(
	sub {
		$org2->query(
			"SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND backend_type = 'client backend' AND pid <> pg_backend_pid()"
		);
	},
	0,
	'the endorser has no running call');

# no other process was affected
is($org1->query('SELECT pg_postmaster_start_time()'), $started, 'the server was not restarted');
is( $org1->query(
		"SELECT string_agg(pid::text, ' ' ORDER BY pid) FROM fabric.stat_workers WHERE pid IS NOT NULL"
	),
	$workers,
	'no worker was restarted');
is( $org1->query(
		"SELECT count(*) FROM pg_stat_activity WHERE application_name = 'witness' AND state = 'active'"
	),
	1,
	'the other session still runs');
unlike(
	slurp($_->cluster->logfile),
	qr/terminating any other active server processes|was terminated by signal/,
	'no node had a crash') foreach @nodes;
is( $org1->query(
		"SELECT count(*) FROM pg_locks l LEFT JOIN pg_stat_activity a USING (pid) WHERE l.pid IS NOT NULL AND a.pid IS NULL"
	),
	0,
	'no ended session has left a lock');

# a fast shutdown
my @sessions =
  map { start_query($org1->connection, "SET application_name = 'running';\n" . call_of(@$_)) }
  [ 'trims', 3000000 ], ['perl_loops'], ['perl_ignores'], ['tcl_loops'];
ok( wait_until(
		sub {
			$org1->query(
				"SELECT count(*) FROM pg_stat_activity WHERE application_name = 'running' AND state = 'active' AND query LIKE '%endless%'"
			) == 4;
		}),
	'four functions run');
foreach my $pid (split /\n/,
	$org1->query("SELECT pid FROM pg_stat_activity WHERE application_name = 'running'"))
{
	ok(wait_until(sub { cpu_ticks($pid) > 30 }), 'each function uses CPU time');
}
my $begin = time;
$org1->stop;
cmp_ok(time - $begin, '<', 100, 'a fast shutdown ends all running functions');
finish_query($_) foreach @sessions, $witness;
$org1->start;
unlike(slurp($org1->cluster->logfile), qr/not properly shut down/, 'the shutdown was a clean one');
is($org1->query(call_of('answer')), '42', 'chaincode works after the restart');
is(scalar(fingerprints($network, 'trade')), 1, 'all nodes have the same ledger');
done_testing();
