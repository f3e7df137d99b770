# Random chaincode gives the same bytes on two nodes whose servers and sessions are set up as
# differently as can be: results, error texts, write sets. Nothing crashes, nothing hangs.
#
#   FABRIC_FUZZ_SECONDS=600 FABRIC_FUZZ_SEED=random tools/run_tests t/167    (as make check-long)
#
# A difference prints the query and both answers. The seed is printed; the same one gives the same
# chaincode again.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use FabricFuzz;
use FabricTest   qw(start_network wait_until);
use Fabric::Host qw(slurp);
use Fabric::Psql qw(start_query finish_query literal);
use Test::More;

my $seconds = $ENV{FABRIC_FUZZ_SECONDS} // 25;
my $seed = $ENV{FABRIC_FUZZ_SEED} // 20;
my $batch_size = 100;
my $programs_size = 8;
$seed = time if $seed eq 'random';
note("seed $seed, $seconds s");

my $network = start_network(orgs => 2, orderers => 1, channel => 'trade', settings => <<'CONF');
fabric.chaincode_execute_timeout = 3s
fabric.chaincode_memory_limit = 300MB
log_min_messages = fatal
log_min_error_statement = panic
CONF
my ($plain, $strange) = $network->nodes;

# ---- the second server differs from the first in as many settings as possible ----

my ($foreign) = grep { /^(?:de|fr|ru|tr|es)_\w+\.utf-?8$/i } split /\n/, qx{locale -a};
my %settings = (
	(map { $_ => $foreign } $foreign ? qw(lc_messages lc_monetary lc_numeric lc_time) : ()),
	TimeZone => 'Asia/Kathmandu',
	DateStyle => 'German, DMY',
	IntervalStyle => 'iso_8601',
	timezone_abbreviations => 'Australia',
	extra_float_digits => -8,
	bytea_output => 'escape',
	xmlbinary => 'hex',
	xmloption => 'document',
	array_nulls => 'off',
	quote_all_identifiers => 'on',
	transform_null_equals => 'on',
	backslash_quote => 'on',
	escape_string_warning => 'off',
	default_text_search_config => 'pg_catalog.german',
	work_mem => '64kB',
	hash_mem_multiplier => 1,
	enable_hashagg => 'off',
	enable_hashjoin => 'off',
	enable_sort => 'off',
	enable_material => 'off',
	enable_memoize => 'off',
	enable_incremental_sort => 'off',
	enable_seqscan => 'off',
	enable_nestloop => 'off',
	from_collapse_limit => 1,
	join_collapse_limit => 1,
	geqo_threshold => 2,
	plan_cache_mode => 'force_generic_plan',
	random_page_cost => 0.1,
	cursor_tuple_fraction => 1,
	constraint_exclusion => 'on',
	jit => 'on',
	max_parallel_workers_per_gather => 4,
	parallel_setup_cost => 0,
	parallel_tuple_cost => 0,
	statement_timeout => '10min',
	lock_timeout => '5min',
	gin_fuzzy_search_limit => 3,
	client_min_messages => 'error',
	max_stack_depth => '3MB',
	default_transaction_isolation => "'repeatable read'",
	row_security => 'off',
	'plpgsql.extra_errors' => 'all',
	'plpgsql.extra_warnings' => 'all',
	'plpgsql.check_asserts' => 'off',
	'plpgsql.print_strict_params' => 'on',
	'plpgsql.variable_conflict' => 'use_column',
	default_toast_compression => 'pglz',
	check_function_bodies => 'off',
	search_path => 'pg_temp',
	application_name => 'strange',
	standard_conforming_strings => 'off');
my %server_settings = (
	max_connections => 37,
	shared_buffers => '9MB',
	wal_level => 'logical',
	max_locks_per_transaction => 80,
	huge_pages => 'off');

$strange->query("LOAD 'plpgsql'; ALTER SYSTEM SET $_ = '$server_settings{$_}'")
  foreach sort keys %server_settings;
$strange->stop;
$strange->start;
my $session = join "\n", "LOAD 'plpgsql';",
  map { "SET $_ = " . ($settings{$_} =~ /^'|,/ ? $settings{$_} : "'$settings{$_}'") . ';' }
  sort keys %settings;
$session =~ s/SET DateStyle = (.*?);/SET DateStyle = '$1';/;

# ---- the harness ----

foreach my $node ($plain, $strange)
{
	$node->query(<<'SQL');
CREATE FUNCTION public.attempt(number integer, chaincode text, function text,
	VARIADIC arguments text[]) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	result text;
	detail text;
	hint text;
BEGIN
	result := fabric.query('trade', chaincode, function, VARIADIC arguments);
	RETURN number || '|' || replace(quote_nullable(result), chr(10), chr(92) || 'n');
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
	RETURN number || '|' || SQLSTATE || ' '
		|| replace(concat_ws(' / ', SQLERRM, detail, hint), chr(10), chr(92) || 'n');
END $$;
SQL
}
$network->deploy(
	'trade', 'fuzz',
	<<'SQL', policy => "AND('Org1MSP.peer', 'Org2MSP.peer')", allow_warnings => 1);
CREATE FUNCTION run(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	result text;
	detail text;
	hint text;
BEGIN
	BEGIN
		EXECUTE query INTO result;
	EXCEPTION WHEN OTHERS THEN
		GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
		result := SQLSTATE || ' ' || concat_ws(' / ', SQLERRM, detail, hint);
	END;
	RETURN result;
END $$;
SQL

my $started = join ' ', map { $_->query('SELECT pg_postmaster_start_time()') } $plain, $strange;
my ($compared, $differing, $unfinished, $lost, $answered) = (0, 0, 0, 0, 0);

# the answers of each node to calls of attempt; a session that ended starts again after the call
# that ended it
sub answers
{
	my (@calls) = @_;
	my @found = ({}, {});
	my @next = (0, 0);

	while ($next[0] < @calls || $next[1] < @calls)
	{
		my @running;

		foreach my $side (grep { $next[$_] < @calls } 0, 1)
		{
			my $sql = join ";\n",
			  map { $calls[$_] =~ s/attempt\(/attempt($_, /r } $next[$side] .. $#calls;

			$running[$side] = start_query(($plain, $strange)[$side]->connection,
				"\\set ON_ERROR_STOP off\n" . ($side ? "$session\n" : '') . $sql);
		}
		foreach my $side (grep { $running[$_] } 0, 1)
		{
			my ($output, $error, $status) = finish_query($running[$side]);

			utf8::decode($output);
			$found[$side]{$1} = $2 while $output =~ /^(\d+)\|(.*)$/mg;
			my ($last) = sort { $b <=> $a } keys %{ $found[$side] }, $next[$side] - 1;
			$next[$side] = $last + 1;
			next if $next[$side] >= @calls;
			$found[$side]{ $next[$side]++ } =
			  $status == 0
			  ? 'no answer: ' . substr($error, 0, 300)
			  : 'connection lost: ' . substr($error, -300);
		}
	}
	return @found;
}

# one node reaches limits of time and memory sooner than the other
sub compare
{
	my ($what, $one, $other) = @_;

	if ("$one$other" =~ /LF306|LF003|conn?ection lost: .*LF306/)
	{
		$unfinished++;
		return;
	}
	$lost++ if "$one$other" =~ /connection lost|no answer/;
	$compared++;
	$answered++ if $one =~ /^'/;
	return if $one eq $other;
	$differing++;
	diag("seed $seed: $what\n   one: $one\n other: $other") if $differing <= 20;
}

# ---- the fuzzer ----

my $fuzz = FabricFuzz->new($plain, $seed);
my ($packages, $refused, $written) = (0, 0, 0);

sub try_expressions
{
	my @queries = map { $fuzz->expression } 1 .. $batch_size;
	my @found =
	  answers(map { "SELECT public.attempt('fuzz', 'run', " . literal($_) . ')' } @queries);

	compare($queries[$_], map { $_ // 'nothing' } $found[0]{$_}, $found[1]{$_})
	  foreach 0 .. $#queries;
}

# programs as packages of their own, which both nodes accept or refuse; the gateway compares their
# writes, because both endorsements are needed
sub try_programs
{
	my $name = 'fuzz' . ++$packages;
	my @programs = map { $fuzz->program("f$_") } 1 .. $programs_size;
	my $package =
	  $plain->query("SELECT encode(fabric.package_chaincode('$name', "
		  . literal(join '', @programs)
		  . "), 'hex')");
	my @ids = map {
		my ($id, $error, $status) =
		  $_->try_query("SELECT fabric.install_chaincode('\\x$package', allow_warnings => true)");
		$status == 0 ? $id : "refused: $error"
	} $plain, $strange;

	compare("package of\n" . join('', @programs), @ids);
	if ($ids[0] =~ /^refused/ || $ids[0] ne $ids[1])
	{
		$refused++;
		note($ids[0]);
		return;
	}
	$_->query("SELECT fabric.approve_chaincode('trade', '$name', '1', 1, '$ids[0]')")
	  foreach $plain, $strange;
	$plain->query("SELECT fabric.commit_chaincode('trade', '$name', '1', 1)");
	$network->wait_for_height('trade', FabricTest::height_of($plain, 'trade'));
	my @found = answers(map { "SELECT public.attempt('$name', 'f$_')" } 1 .. $programs_size);
	foreach my $number (1 .. $programs_size)
	{
		my $error = $plain->error_of("SELECT fabric.invoke('trade', '$name', 'f$number')");

		compare("writes of\n$programs[$number - 1]",
			'same', $error =~ /LF31[0-9].*differ/s ? $error : 'same');
		$written++ if $error eq '';
	}
}

for (my $end = time + $seconds, my $round = 0 ; time < $end || $round < 8 ; $round++)
{
	$round % 4 == 3 ? try_programs() : try_expressions();
	last if $differing > 50;
}
is($differing, 0, 'all answers of both nodes are equal');
is($lost, 0, 'no session was lost');
is(join(' ', map { $_->query('SELECT pg_postmaster_start_time()') } $plain, $strange),
	$started, 'no server was restarted');
cmp_ok($compared, '>', $unfinished, 'most calls end in time');
cmp_ok($answered, '>', $compared / 10, 'many calls return a result');
cmp_ok($refused, '<', $packages, 'some packages are accepted');
cmp_ok($written, '>', 0, 'some programs write');
note(
	"$compared compared, $answered results, $unfinished unfinished, $packages packages, $refused of them refused, $written transactions"
);
done_testing();
