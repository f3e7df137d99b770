# A range with deleted keys, at a node that only validates: its scan is the first to meet the dead
# index entries, remembers them, and marks them at its end. The remembered entries must live as long
# as the scan: the ledger process continues, and the remaining keys are found.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use FabricTest;
use Test::More;

my $network = FabricTest::start_network(orgs => 2, orderers => 1, channel => 'trade');
my ($org1, $org2) = $network->nodes;

$network->deploy('trade', 'list', <<'SQL', policy => "OR('Org1MSP.peer', 'Org2MSP.peer')");
CREATE FUNCTION fill(first int, last int) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN first .. last LOOP
		PERFORM fabric.put_state('k' || to_char(i, 'FM0000'), i::text);
	END LOOP;
END $$;
CREATE FUNCTION thin_out(first int, last int) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN first .. last LOOP
		IF i % 3 <> 0 THEN
			PERFORM fabric.del_state('k' || to_char(i, 'FM0000'));
		END IF;
	END LOOP;
END $$;
CREATE FUNCTION count_keys(into_key text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	n bigint := (SELECT count(*) FROM fabric.get_state_by_range('k', 'l'));
BEGIN
	PERFORM fabric.put_state(into_key, n::text);
	RETURN n;
END $$;
SQL

sub invoke
{
	my ($function, @arguments) = @_;

	return $org1->query("SELECT fabric.invoke('trade', 'list', "
		  . join(', ', map { "'$_'" } $function, @arguments)
		  . ')');
}

my $workers =
  "SELECT string_agg(kind || ' ' || pid || ' ' || restarts || ' ' || coalesce(last_error, ''), ', ' ORDER BY kind) FROM fabric.stat_workers";
my $before = $org2->query($workers);
my $left = 0;

foreach my $round (1 .. 4)
{
	my ($first, $last) = ($round * 600 - 599, $round * 600);

	invoke('fill', $first, $last);
	invoke('thin_out', $first, $last);
	$left += 200;
	$network->wait_for_height('trade', FabricTest::height_of($org1, 'trade'));
	is(invoke('count_keys', "count$_"),
		$left, "round $round, count $_: a range scan finds the keys that were not deleted")
	  foreach 1 .. 3;
}
my @fingerprints = FabricTest::fingerprints($network, 'trade');
is(scalar @fingerprints, 1, 'both nodes have the same blocks, codes and state');
is($org2->query("SELECT count(*) FROM fabric.get_history('trade', 'list', 'count1')"),
	4, 'the node that only validates has every count');
is($org2->query("SELECT fabric.query('trade', 'list', 'count_keys', 'any')"),
	$left, 'the node that only validates finds the remaining keys through its index');
is($org2->query($workers), $before, 'no worker of the node that only validates ended');
done_testing();
