package Fabric::Load;

# Load: many sessions at once with pgbench, and what they measured.

use strict;
use warnings;
use Exporter qw(import);
use Fabric::Host qw(bindir capture slurp);
use File::Temp qw(tempdir);
use POSIX ();

our @EXPORT_OK = qw(run_load percentile);

# the value below which $percent of the sorted values lie
sub percentile
{
	my ($sorted, $percent) = @_;

	return 0 unless @$sorted;
	my $index = POSIX::ceil(@$sorted * $percent / 100) - 1;
	return $sorted->[ $index < 0 ? 0 : $index ];
}

# Run a pgbench script on a node. %options: sessions, seconds or transactions (per session), user, variables => {name => value}.
# Returns {count, seconds, tps, p50, p95, p99, max (ms), cpu_ms (of pgbench itself, per transaction), errors (text), ok}.
sub run_load
{
	my ($node, $script, %options) = @_;
	my $directory = tempdir(CLEANUP => 1);
	my $sessions = $options{sessions};
	my @length = $options{seconds} ? ('--time', $options{seconds}) : ('--transactions', $options{transactions});
	my @variables = map { ('--define', "$_=$options{variables}{$_}") } sort keys %{ $options{variables} // {} };
	my $before = (times)[2] + (times)[3];
	my ($output, $status) = capture(bindir() . '/pgbench', '--no-vacuum', '--host', $node->connection->{host}, '--port', $node->{port},
		'--username', $options{user} // 'postgres', '--client', $sessions, '--jobs', $sessions < 2 ? 1 : 2, @length, @variables,
		'--file', $script, '--log', '--log-prefix', "$directory/log", 'fabric');
	my $client_cpu = (times)[2] + (times)[3] - $before;
	my @latencies;

	foreach my $file (glob "$directory/log*")
	{
		foreach my $line (split /\n/, slurp($file))
		{
			my @fields = split ' ', $line;
			push @latencies, $fields[2] / 1000 if @fields >= 6 && $fields[2] =~ /^\d+$/;
		}
	}
	@latencies = sort { $a <=> $b } @latencies;
	my ($tps) = $output =~ /^tps = ([\d.]+)/m;
	my $count = @latencies;
	return { count => $count, tps => $tps // 0, seconds => $tps ? $count / $tps : 0, p50 => percentile(\@latencies, 50), p95 => percentile(\@latencies, 95),
		p99 => percentile(\@latencies, 99), max => @latencies ? $latencies[-1] : 0, cpu_ms => $count ? $client_cpu * 1000 / $count : 0,
		errors => join("\n", grep { /error|abort|fatal/i } split /\n/, $output), ok => $status == 0 };
}

1;
