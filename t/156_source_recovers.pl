# A source of blocks that failed is shown as recovered although another one gives blocks without a
# pause, so that the peer has no reason to ask it for blocks.
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
is(scalar(fingerprints($network, 'trade')), 1, 'all nodes are the same');

sub source_of
{
	return $peer->query("SELECT source FROM fabric.stat_channel WHERE channel = 'trade'");
}

sub condition_of
{
	my ($orderer) = @_;

	return $peer->query(
		"SELECT count(*) FROM fabric.stat_conditions WHERE topic = 'source' AND subject = "
		  . literal($orderer->address));
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

# the source of the moment, once another node leads
$orderers[0]->query("SELECT fabric.invoke('trade', 'book', 'put', 'key', '0')");
my $failing;
ok( wait_until(
		sub {
			my $address = source_of();
			($failing) = grep { $_->address eq $address } @orderers;
			return 0 unless $failing;
			my $leader = wait_for_leader($network, 'trade');
			return 1 if $failing != $leader;
			$leader->try_query("SELECT fabric.transfer_leadership('trade')");
			return 0;
		},
		60),
	'the peer gets its blocks from an orderer that does not lead');
my ($calling) = grep { $_ != $failing } @orderers;
my $calls = start_calls($calling);
$failing->kill_hard;
ok(wait_until(sub { condition_of($failing) == 1 }, 60), 'the source that failed is a condition');
$failing->start;
ok(wait_until(sub { condition_of($failing) == 0 }, 60), 'its recovery is seen');
my $height = height_of($peer, 'trade');
ok(wait_until(sub { height_of($peer, 'trade') > $height }), 'blocks come meanwhile');
$calling->query('CREATE TABLE public.enough ()');
my (undef, $error, $status) = finish_query($calls);
is($status, 0, 'no call has failed') or diag($error);
is(scalar(fingerprints($network, 'trade')), 1, 'all nodes are the same');
done_testing();
