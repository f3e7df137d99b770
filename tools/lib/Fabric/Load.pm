package Fabric::Load;

# Load: many concurrent sessions with pgbench, and their measurements.

use strict;
use warnings;
use Exporter     qw(import);
use Fabric::Host qw(bindir start finish slurp);
use File::Temp   qw(tempdir);
use POSIX        ();
use Time::HiRes  qw(sleep time);

our @EXPORT_OK = qw(run_load percentile);

# the percentile $percent of sorted values
sub percentile
{
	my ($sorted, $percent) = @_;

	return 0 unless @$sorted;
	my $index = POSIX::ceil(@$sorted * $percent / 100) - 1;
	return $sorted->[ $index < 0 ? 0 : $index ];
}

# Run a pgbench script on a node. %options: sessions, seconds or transactions (per session), user,
# variables => {name => value}; with seconds also warm_up (measuring begins after this many seconds,
# and not before every session has had an answer) and sample (called at the beginning and at the end
# of the measurement). Returns {count, seconds, tps, p50, p95, p99, max (ms), cpu_ms (of pgbench
# itself, per transaction), first (ms: the longest first call of a session), samples (results of
# sample), errors (text), ok}.
sub run_load
{
	my ($node, $script, %options) = @_;
	my $directory = tempdir(CLEANUP => 1);
	my $sessions = $options{sessions};
	my $warm_up = $options{warm_up} // 0;
	# samples take time too, more on a busy machine
	my $spare = $options{sample} ? 4 : 0;
	my @length =
	  $options{seconds}
	  ? ('--time', $options{seconds} + $warm_up + $spare)
	  : ('--transactions', $options{transactions});
	my @variables =
	  map { ('--define', "$_=$options{variables}{$_}") } sort keys %{ $options{variables} // {} };
	my $before = (times)[2] + (times)[3];
	my $load = start(
		bindir() . '/pgbench', '--no-vacuum',
		'--host', $node->connection->{host},
		'--port', $node->{port},
		'--username', $options{user} // 'postgres',
		'--client', $sessions,
		'--jobs', $sessions < 2 ? 1 : 2,
		@length, @variables,
		'--file', $script,
		'--log', '--log-prefix',
		"$directory/log", 'fabric');
	my ($begin, $end) = (0, 0);
	my @samples;

	if ($options{sample})
	{
		sleep $warm_up;
		push @samples, $options{sample}->();
		$begin = time;
		sleep $options{seconds};
		$end = time;
		push @samples, $options{sample}->();
	}
	my ($output, $status) = finish($load);
	my ($tps) = $output =~ /^tps = ([\d.]+)/m;
	my $calls = read_log("$directory/log", $begin, $end);
	my $count = @{ $calls->{latencies} };
	my $client_cpu = (times)[2] + (times)[3] - $before;
	my ($p50, $p95, $p99, $max) = map { percentile($calls->{latencies}, $_) } 50, 95, 99, 100;
	return {
		count => $count,
		tps => $tps // 0,
		seconds => $end ? $end - $begin : $tps ? $count / $tps : 0,
		p50 => $p50,
		p95 => $p95,
		p99 => $p99,
		max => $max,
		cpu_ms => $calls->{all} ? $client_cpu * 1000 / $calls->{all} : 0,
		first => $calls->{first},
		samples => \@samples,
		errors => join("\n", grep { /error|abort|fatal/i } split /\n/, $output),
		ok => $status == 0
	};
}

# from pgbench's log: the sorted latencies (ms) of the calls that ended between begin and end (0:
# all), the number of all calls, the longest first call
sub read_log
{
	my ($prefix, $begin, $end) = @_;
	my ($all, $first) = (0, 0);
	my @latencies;

	foreach my $file (glob "$prefix*")
	{
		foreach my $line (split /\n/, slurp($file))
		{
			my ($client, $number, $latency, undef, $seconds, $microseconds) = split ' ', $line;

			next unless defined $microseconds && $latency =~ /^\d+$/;
			my $at = $seconds + $microseconds / 1e6;
			$all++;
			$first = $latency / 1000 if $number == 1 && $latency / 1000 > $first;
			push @latencies, $latency / 1000 if !$end || $at >= $begin && $at < $end;
		}
	}
	return { latencies => [ sort { $a <=> $b } @latencies ], all => $all, first => $first };
}

1;
