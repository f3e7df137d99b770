# A node leaves a channel and joins it again with block 0: it gets all blocks, approves again the
# chaincode that it had approved, and takes part.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use FabricTest
  qw(start_network deploy_registry create_vehicle fingerprints wait_until vehicles_of height_of);
use Fabric::Host qw(slurp);
use Fabric::Psql qw(start_query finish_query);
use Test::More;

my $network = start_network(orgs => 2, orderers => 1, channel => 'trade');
my ($org1, $org2) = $network->nodes;
my $policy = "AND('Org1MSP.peer', 'Org2MSP.peer')";
my $package_id = deploy_registry($network, policy => $policy);
my $approval = "SELECT fabric.approve_chaincode('trade', 'vehicles', '1.0', 1, '$package_id', "
  . Fabric::Psql::literal($policy) . ')';

$org1->query(join(";\n", map { create_vehicle("V$_") } 1 .. 3));
is($org2->error_of($approval), '', 'the committed sequence can be approved again');
like(
	$org2->error_of($approval =~ s/AND/OR/r),
	qr/another endorsement policy.*LF308/s,
	'the committed sequence cannot be approved with another policy');

my $genesis = $org1->query("SELECT encode(fabric.get_block('trade', 0), 'hex')");
my $join = "SELECT fabric.join_channel('\\x$genesis')";
like($org2->error_of($join), qr/LF402/, 'a channel cannot be joined twice');
$org2->query("SELECT fabric.leave_channel('trade')");
is($org2->query('SELECT count(*) FROM fabric.channels'),
	0, 'fabric.channels does not list a channel that was left');
like($org2->error_of("SELECT fabric.chain_info('trade')"),
	qr/LF401/, 'the blocks of a channel that was left cannot be read');
is( $org2->query(
		"SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'fabric_internal' AND c.relname ~ '_[0-9]+\$' AND c.relkind = 'r'"
	),
	0,
	'the tables of a channel that was left are dropped');

is($org2->query($join), 'trade', 'a channel can be joined again');
is(scalar(fingerprints($network, 'trade')),
	1, 'the node gets all blocks again, and all nodes have the same ledger');
is(vehicles_of($org2), 3, 'the node has all vehicles again');

# only this node had the plaintext of its approval; the others have hashes
is( $org2->query(
		"SELECT coalesce(package_id, 'none') FROM fabric.chaincodes WHERE channel = 'trade'"),
	'none',
	'the package that the node runs is not on the ledger');
like($org1->error_of(create_vehicle('V4')),
	qr/LF310/, 'the organization cannot endorse without an approved package');
$org2->query($approval);
is($org2->query("SELECT package_id, installed FROM fabric.chaincodes WHERE channel = 'trade'"),
	"$package_id|t", 'approving again restores the package id');
is($org2->error_of($approval), '', 'approving the same definition again changes nothing');
$org1->query(create_vehicle('V4'));
is(scalar(fingerprints($network, 'trade')), 1, 'both organizations endorse again');

# leave_channel waits for the block that is being written, without a deadlock
my $log_size = -s $org2->cluster->logfile;
$org2->set_faults('commit_before_block=hold');
my $invocation = start_query($org1->connection, create_vehicle('V5'));
ok($org2->wait_until_held('commit_before_block', $log_size),
	'the ledger process is writing a block');
my $leaving = start_query($org2->connection,
	"SET application_name = 'leaving';\nSELECT fabric.leave_channel('trade')");
ok( wait_until(
		sub {
			$org2->query(
				"SELECT count(*) FROM pg_stat_activity WHERE application_name = 'leaving' AND wait_event_type IN ('Lock', 'Extension', 'IPC')"
			);
		}),
	'leave_channel waits for the block that is being written');
$org2->set_faults('');
is((finish_query($leaving))[1], '', 'leave_channel succeeds after the block is written');
(undef, my $error, my $status) = finish_query($invocation);
is($status, 0, 'the transaction is committed at the node where it was submitted') or diag($error);
unlike(slurp($org2->cluster->logfile), qr/deadlock/, 'leave_channel causes no deadlock');
done_testing();
