# The fields of an error: LOCATION names the file, the function and the line where the error was
# found, in the server's code and in core, so that a log can be read beside the source; a long
# detail arrives whole; a name from the caller is cut.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use FabricTest qw(start_network deploy_registry);
use Test::More;

my $network = start_network(orgs => 1, orderers => 1, channel => 'trade');
my ($node) = $network->nodes;
deploy_registry($network);

# the function of the server's code that contains a line
sub function_at
{
	my ($path, $number) = @_;
	my @lines = split /\n/, PostgreSQL::Test::Utils::slurp_file($path);

	foreach my $line (reverse @lines[ 0 .. $number - 1 ])
	{
		return $1 if $line =~ /^(\w+)\(/;
	}
	return '';
}

foreach my $case (
	[ 'of the server', "SELECT fabric.invoke('trade', 'nothing', 'f')", 'LF302', 'gateway/plan.c' ],
	[
		'of core, called by an SQL function', "SELECT fabric.policy_compile('OR(')",
		'LF201', 'surface/policy_functions.c'
	],
	[
		'of core, called further down', "SELECT fabric.join_channel('\\x00')",
		'LF002', 'channel/join.c'
	])
{
	my ($name, $sql, $sqlstate, $file) = @$case;
	my $error = $node->error_of($sql);
	my ($function, $base_name, $line) = $error =~ /^LOCATION:  (\w+), ([\w.]+):(\d+)$/m;

	like($error, qr/\b$sqlstate: /, "an error $name has its SQLSTATE");
	is($base_name, $file =~ s{.*/}{}r, "an error $name names the source file") or diag $error;
	is(function_at("$FindBin::Bin/../src/server/$file", $line // 1),
		$function, "an error $name names the function that contains the line");
}

# a detail longer than an error of core can hold
my @children = map { "authority_${_}_" . 'x' x 45 } 10 .. 59;
$node->query("SELECT fabric.ca_create('root', 'AppMSP')");
$node->query(join ';',
	map { "SELECT fabric.ca_create('$_', 'AppMSP', parent => 'root')" } @children);
my $error = $node->error_of("SELECT fabric.ca_drop('root')");
my ($detail) = $error =~ /^DETAIL:  (.*)$/m;
cmp_ok(length $detail, '>', 2048, 'a long detail is longer than an error of core can be');
is($detail, 'Drop them first: ' . join(', ', @children) . '.', 'a long detail is not cut');

# a value of the caller is cut in messages, and its characters that change a terminal are replaced
$error = $node->error_of("SELECT fabric.ca_drop(E'c\\x1b' || repeat('c', 100000))");
like(
	$error,
	qr/ "c\?c{198}\.\.\." does not exist$/m,
	'a long name in a message is cut, and its control characters are replaced');
done_testing();
