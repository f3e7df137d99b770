# The work of each node for one transaction: messages decoded, hashes, signatures, verifications,
# SQL statements (fabric.stat_work), compared with the table in docs/architecture.md. A change that
# makes a transaction cheaper or more expensive must change the table.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use FabricTest   qw(start_network wait_until wait_for_leader $ANY_TWO);
use Fabric::Psql qw();
use IPC::Open2   qw(open2);
use Test::More;

# the number of transactions that are counted; the most frequent count is taken, because the
# processes sometimes do other work meanwhile
my $ROUNDS = 9;

my $network = start_network(orgs => 3, orderers => 3, channel => 'trade');
my ($gateway, @others) = $network->nodes;
$network->deploy('trade', 'counters', <<'SQL', policy => $ANY_TWO);
CREATE FUNCTION put(id text) RETURNS text LANGUAGE sql AS $$
SELECT fabric.put_state(id, 'x')::text
$$;
SQL

# the gateway's node leads
ok( wait_until(
		sub {
			my $leader = wait_for_leader($network, 'trade');
			return 1 if $leader == $gateway;
			$leader->try_query("SELECT fabric.transfer_leadership('trade', 1)");
			return 0;
		},
		60),
	'the node of the gateway leads');

# one session for all transactions, so that its caches of the channel and the chaincode are used
my ($answers, $statements);
{
	local %ENV = %ENV;
	delete @ENV{ grep { /^PG/ } keys %ENV };
	open2($answers, $statements, Fabric::Psql::psql_command($gateway->connection));
}

sub invoke
{
	my ($id) = @_;
	my $line;

	print {$statements}
	  "SELECT fabric.invoke('trade', 'counters', 'put', '$id');\n\\echo answered\n";
	$statements->flush;
	while (defined($line = <$answers>))
	{
		return if $line eq "answered\n";
	}
	die "the session has ended\n";
}

# ({ 'node process action object' => count }, whether all nodes have the same blocks)
sub look
{
	my %counts;
	my %heights;

	foreach my $node ($gateway, @others)
	{
		my ($height, @rows) = split /\n/, $node->query(<<'SQL');
SELECT height FROM fabric.stat_channel;
SELECT process, action, object, count FROM fabric.stat_work WHERE object <> 'periodic SQL statement';
SQL
		$heights{$height} = 1;
		foreach my $row (@rows)
		{
			my ($process, $action, $object, $count) = split /\|/, $row;
			$counts{"$node->{name} $process $action $object"} = $count;
		}
	}
	return (\%counts, keys %heights == 1);
}

# the counts when all nodes have all blocks and the counts do not change
sub quiet_counts
{
	my $before = {};
	my $now;

	wait_until(
		sub {
			($now, my $same) = look();
			$same &&= !grep { $now->{$_} != ($before->{$_} // 0) } keys %$now;
			$before = $now;
			return $same;
		},
		180) or die "the nodes do not come to rest\n";
	return $now;
}

# the most frequent of these numbers
sub most_frequent
{
	my (@numbers) = @_;
	my %frequency;

	$frequency{$_}++ foreach @numbers;
	return (sort { $frequency{$b} <=> $frequency{$a} || $a <=> $b } keys %frequency)[0];
}

invoke("warm $_") foreach 1 .. 5;
my %rounds;
my $before = quiet_counts();
foreach my $round (1 .. $ROUNDS)
{
	invoke("round $round");
	my $after = quiet_counts();
	$rounds{$_}{$round} = $after->{$_} - ($before->{$_} // 0) foreach keys %$after;
	$before = $after;
}
close $statements;

my %measured;
foreach my $name (keys %rounds)
{
	my $count = most_frequent(map { $rounds{$name}{$_} // 0 } 1 .. $ROUNDS);
	$measured{$name} = $count;
}

# ---- the table ----

my @NODES = map { $_->{name} } $gateway, @others;
my @PROCESSES = qw(session orderer ledger);
my @table;
{
	my $documentation =
	  PostgreSQL::Test::Utils::slurp_file("$FindBin::Bin/../docs/architecture.md");
	my ($section) = $documentation =~ /^## Work of one transaction\n(.*?)(?=^## |\z)/ms;
	@table = grep { /^\| (?:decode|hash|sign|verify|compress|decompress|execute) / }
	  split /\n/, $section // '';
}
my %documented;
foreach my $row (@table)
{
	my (undef, $name, @cells) = map { s/^\s+|\s+$//gr } split /\|/, $row, -1;
	my $column = 0;
	foreach my $node (@NODES)
	{
		foreach my $process (@PROCESSES)
		{
			$documented{"$node $process $name"} = $cells[$column] || 0;
			$column++;
		}
	}
}
my %names = map { s/^\S+ \S+ //r => 1 } keys %measured, keys %documented;
foreach my $name (sort keys %names)
{
	my @measured;
	my @documented;
	foreach my $node (@NODES)
	{
		push @measured, map   { $measured{"$node $_ $name"}   // 0 } @PROCESSES;
		push @documented, map { $documented{"$node $_ $name"} // 0 } @PROCESSES;
	}
	note("| $name | " . join(' | ', map { $_ || '' } @measured) . ' |');
	is("@measured", "@documented", $name);
}
done_testing();
