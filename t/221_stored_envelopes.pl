# A block is stored only with transactions that can be read back from their table: a trigger that
# changes the rows while they are inserted is noticed, unless the envelopes stay the same
# (src/server/ledger/guard.c).
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use FabricTest qw(start_network wait_until);
use Test::More;

my $network = start_network(orgs => 1, orderers => 1, channel => 'trade');
my ($node) = $network->nodes;
$network->deploy('trade', 'counters', <<'SQL', policy => "OR('Org1MSP.peer')");
CREATE FUNCTION put(id text) RETURNS text LANGUAGE sql AS $$
SELECT fabric.put_state(id, 'x')::text
$$;
SQL
my $table = 'fabric_internal.transaction_'
  . $node->query("SELECT id FROM fabric_internal.channel WHERE channel = 'trade'");

# a trigger on the way into the table of transactions
sub install
{
	my ($body) = @_;

	$node->query(<<"SQL");
CREATE FUNCTION public.change() RETURNS trigger LANGUAGE plpgsql AS \$\$ BEGIN $body END \$\$;
CREATE TRIGGER change BEFORE INSERT ON $table FOR EACH ROW EXECUTE FUNCTION public.change();
SQL
}

sub uninstall
{
	$node->query("DROP TRIGGER change ON $table; DROP FUNCTION public.change();");
}

sub last_error
{
	return $node->query("SELECT last_error FROM fabric.stat_workers WHERE kind = 'ledger'");
}

$node->query("SELECT fabric.invoke('trade', 'counters', 'put', 'first')");

my %changes = (
	'an envelope is another one' => [
		"NEW.envelope := (SELECT envelope FROM $table ORDER BY block_number DESC LIMIT 1);\n"
		  . 'RETURN NEW;',
		'Its data hash is not that of its transactions.'
	],
	'a place is another one' => [
		'NEW.position := NEW.position + 1; RETURN NEW;',
		'Its transactions are not numbered from 0 without gaps.'
	],
	'a row is missing' => [ 'RETURN NULL;', 'Its data hash is not that of its transactions.' ]);
foreach my $name (sort keys %changes)
{
	my ($body, $detail) = @{ $changes{$name} };
	my $height = FabricTest::height_of($node, 'trade');
	my $log_start = -s $node->cluster->logfile;

	install($body);
	$node->query(
		"SELECT fabric.submit_transaction('trade', 'counters', 'put', ARRAY['$name'], wait => false)"
	);
	ok( wait_until(
			sub {
				my $log = PostgreSQL::Test::Utils::slurp_file($node->cluster->logfile, $log_start);
				return index($log, $detail) >= 0;
			},
			60),
		"$name: the block is refused");
	like(
		last_error(),
		qr/does not belong to the chain/,
		"$name: fabric.stat_workers shows the reason");
	is(FabricTest::height_of($node, 'trade'), $height, "$name: no block is stored");
	uninstall();
	ok(wait_until(sub { FabricTest::height_of($node, 'trade') > $height }, 60),
		"$name: the block is committed without the trigger");
}

# another encoding of the same envelope: uncompressed. It is read back correctly
install("NEW.envelope := '\\x00'::bytea ||\n"
	  . "fabric_internal.envelope_bytes('trade', NEW.envelope); RETURN NEW;");
$node->query("SELECT fabric.invoke('trade', 'counters', 'put', 'plain')");
is($node->query("SELECT get_byte(envelope, 0) FROM $table ORDER BY block_number DESC LIMIT 1"),
	'0', 'an envelope that is stored in another form is accepted');
uninstall();
is($node->query("SELECT count(*) FROM fabric.verify_chain('trade')"), '0', 'the chain is whole');
done_testing();
