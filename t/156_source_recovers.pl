# A failed source of blocks is shown as recovered even while another one delivers blocks without a
# pause, so that the peer has no reason to ask the first one for blocks.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use FabricTest   qw(start_network fingerprints height_of wait_for_leader wait_until $ANY_TWO);
use Fabric::Psql qw(literal start_query finish_query);
use Test::More;

my $network = start_network(orgs => 4, orderers => 3, channel => 'trade');
my @orderers = ($network->nodes)[ 0 .. 2 ];
my $peer = ($network->nodes)[3];

$network->deploy('trade', 'book',
	<<'SQL', policy => "OR('Org1MSP.peer', 'Org2MSP.peer', 'Org3MSP.peer')");
CREATE FUNCTION put(key text, value text) RETURNS void LANGUAGE sql
	AS $$ SELECT fabric.put_state(key, value) $$;
SQL
is(scalar(fingerprints($network, 'trade')), 1, 'all nodes have the same ledger');

sub condition_of
{
	my ($orderer) = @_;

	return $peer->query(
		"SELECT count(*) FROM fabric.stat_conditions WHERE topic = 'source' AND subject = "
		  . literal($orderer->address));
}

sub blocks_come
{
	my $height = height_of($peer, 'trade');

	return wait_until(sub { height_of($peer, 'trade') > $height });
}

# transactions one after the other, until a table exists
sub start_calls
{
	my ($node) = @_;

	return start_query($node->connection, <<'SQL');
DO $$ BEGIN
	FOR number IN 1 .. 100000 LOOP
		EXIT WHEN to_regclass('public.enough') IS NOT NULL;
		PERFORM fabric.invoke('trade', 'book', 'put', 'key', number::text);
	END LOOP;
END $$
SQL
}

# while no blocks arrive, the peer asks one source after the other
my $leader = wait_for_leader($network, 'trade');
my ($failing, $calling) = grep { $_ != $leader } @orderers;
$failing->kill_hard;
ok( wait_until(sub { condition_of($failing) == 1 }),
	'fabric.stat_conditions shows the source that failed');
my $calls = start_calls($calling);
ok(blocks_come(), 'another source delivers blocks');
$failing->start;
ok(wait_until(sub { condition_of($failing) == 0 }),
	'fabric.stat_conditions no longer shows the source after it is started');
ok(blocks_come(), 'the other source still delivers blocks');
$calling->query('CREATE TABLE public.enough ()');
my (undef, $error, $status) = finish_query($calls);
is($status, 0, 'no call fails') or diag($error);
is(scalar(fingerprints($network, 'trade')), 1, 'all nodes have the same ledger');
done_testing();
