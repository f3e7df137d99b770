# A hostile member's node answers without end: other nodes stop reading at the limit of an answer,
# and ask another node.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use FabricTest qw(
  start_network deploy_registry create_vehicle fingerprints wait_until height_of vehicles_of
  $ANY_TWO);
use Fabric::Psql qw(start_query finish_query);
use Test::More;

my $network = start_network(
	orgs => 3,
	orderers => 2,
	channel => 'trade',
	settings => "log_min_error_statement = panic\n");
my ($org1, $org2, $org3) = my @nodes = $network->nodes;
deploy_registry($network, policy => $ANY_TWO);
$org1->query(create_vehicle('V1'));
is(scalar(fingerprints($network, 'trade')), 1, 'all nodes have the same ledger');

# the superuser of an organization replaces the answers of its node to others
sub falsify_answer
{
	my ($node, $function, $arguments, $result) = @_;

	$node->query(<<"SQL");
ALTER EXTENSION fabric DROP FUNCTION fabric_internal.$function;
DROP FUNCTION fabric_internal.$function;
CREATE FUNCTION fabric_internal.$function($arguments) RETURNS SETOF $result LANGUAGE sql STABLE
	AS \$\$ SELECT convert_to(repeat('x', 1000000), 'UTF8')@{[ $result eq 'record' ? ', 1::bigint' : '' ]}
	FROM generate_series(1, 1000000) \$\$;
SQL
}

# memory of a process in MB
sub memory_of
{
	my ($pid) = @_;

	open(my $handle, '<', "/proc/$pid/status") or return 0;
	my ($peak) = grep { /^VmHWM/ } <$handle>;
	return ($peak // '') =~ /(\d+) kB/ ? $1 / 1024 : 0;
}

# ---- endorsements ----

falsify_answer(
	$org1,
	'endorse',
	'signed_proposal bytea, min_height bigint, seen_height bigint, OUT response bytea, OUT height bigint',
	'record');
my $insist =
  "SELECT tx_id FROM fabric.submit_transaction('trade', 'vehicles', 'create_vehicle', ARRAY['E1', 'a', 'b', '1', 'c', '1'], endorsing_orgs => ARRAY['Org1MSP'])";
like(
	$org3->error_of($insist),
	qr/LF310.*Org1MSP: lost connection.*it sends more than the \d+ bytes that an answer may have/s,
	'the error of a call that requires the hostile node has the reason');
my $session = start_query($org3->connection,
		"SET application_name = 'caller';\n"
	  . create_vehicle('E2')
	  . ";\n\\set ON_ERROR_STOP off\nSELECT pg_sleep(600);\nSELECT 'works on'");
ok(wait_until(sub { vehicles_of($org3) == 2 }), 'another organization replaces the hostile node');
my $pid;
ok( wait_until(
		sub {
			$pid = $org3->query(
				"SELECT pid FROM pg_stat_activity WHERE application_name = 'caller' AND wait_event = 'PgSleep'"
			);
		}),
	'the call returns');
cmp_ok(memory_of($pid), '<', 900, 'the memory of the session is limited');
$org3->query("SELECT pg_cancel_backend($pid)");
like((finish_query($session))[0], qr/^works on$/m, 'the session can be used afterwards');
ok( wait_until(
		sub {
			$org1->query(
				"SELECT count(*) FROM pg_stat_activity WHERE usename = '$org3->{role}' AND state = 'active' AND query LIKE '%endorse%'"
			) == 0;
		}),
	'the hostile node has no active request');

# ---- blocks ----

my $genesis = $org1->query("SELECT encode(fabric.get_block('trade', 0), 'hex')");
falsify_answer($org1, 'deliver', 'seek bytea, bytes_max int, wait_ms int', 'bytea');
$org3->query("SELECT fabric.leave_channel('trade')");
$org3->query("SELECT fabric.join_channel('\\x$genesis')");
# endorsed by too few, so invalid, but still a block
my $block =
  "SELECT tx_id FROM fabric.submit_transaction('trade', 'vehicles', 'read_vehicle', ARRAY['V1'], endorsing_orgs => ARRAY['Org2MSP'])";
$org2->query($block);
is(scalar(fingerprints($network, 'trade')), 1, 'a peer gets its blocks from another orderer');
# the peer asks the sources in turn, so it reaches this one
ok( wait_until(
		sub {
			$org3->query(
				"SELECT last_error FROM fabric.stat_workers WHERE channel = 'trade' AND kind = 'ledger'"
			) =~ /localhost:$org1->{port}: lost connection/;
		}),
	'fabric.stat_workers shows the error of the hostile orderer'
) or diag($org3->query('SELECT * FROM fabric.stat_workers'));
cmp_ok(
	memory_of(
		$org3->query(
			"SELECT pid FROM fabric.stat_workers WHERE channel = 'trade' AND kind = 'ledger'")),
	'<', 900,
	'the memory of the ledger process is limited');
$org2->query($block);
is(scalar(fingerprints($network, 'trade')), 1, 'all nodes have the same ledger in the end');
done_testing();
