# Endorsers that do not agree, and an organisation that does not answer.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use FabricTest;
use Test::More;

my $network = FabricTest::start_network(orgs => 3, orderers => 1, channel => 'trade');
my ($org1, $org2, $org3) = $network->nodes;

FabricTest::deploy_registry($network, policy => "OutOf(2, 'Org1MSP.peer', 'Org2MSP.peer', 'Org3MSP.peer')");
$org1->query(FabricTest::create_vehicle('V1'));
is(scalar(FabricTest::fingerprints($network, 'trade')), 1, 'all nodes are the same');

# one organisation falsifies its own state: its simulation gives something else than the others'
$org2->query("BEGIN; SET LOCAL session_replication_role = replica; UPDATE fabric_internal.world_state SET value = convert_to(replace(convert_from(value, 'UTF8'), 'Ada Adler', 'Eve'), 'UTF8') WHERE channel = 'trade' AND namespace = 'vehicles' AND key = 'V1'; COMMIT");
my ($output, $error, $status) = $org1->try_query("SELECT * FROM fabric.submit_transaction('trade', 'vehicles', 'transfer_vehicle', ARRAY['V1', 'Boris', '1'], endorsing_orgs => ARRAY['Org1MSP', 'Org2MSP'])");
isnt($status, 0, 'payloads that differ are not submitted');
like($error, qr/Org1MSP/, 'the error names one organisation');
like($error, qr/Org2MSP/, 'and the other');
like($error, qr/V1/, 'and the key');
$org2->query("SELECT fabric.rebuild_state('trade')");

# an organisation is down: another one takes its place
$org2->kill_hard;
($output, $error, $status) = $org1->try_query(FabricTest::invoke('transfer_vehicle', 'V1', 'Carla', '500'));
is($status, 0, 'an organisation that is down is replaced') or diag($error);
$org3->kill_hard;
($output, $error, $status) = $org1->try_query('SET fabric.endorsement_timeout = 3000; ' . FabricTest::invoke('transfer_vehicle', 'V1', 'Dario', '600'));
isnt($status, 0, 'with too few organisations the call fails');
like($error, qr/Org[23]MSP/, 'and names who is missing');
$_->start foreach $org2, $org3;
is(scalar(FabricTest::fingerprints($network, 'trade')), 1, 'all nodes are the same in the end');
done_testing();
