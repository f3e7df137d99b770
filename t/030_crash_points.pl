# kill -9 at each durable boundary: the height is N or N + 1 afterwards, never between, and the node goes on.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use FabricTest;
use File::Find;
use PostgreSQL::Test::Utils;
use Test::More;

# every point that the code names, so that none can be forgotten here
my %points;
find({ no_chdir => 1, wanted => sub {
	return unless /\.c$/;
	my $text = slurp_file($_);
	$points{$1} = 1 while $text =~ /\bFAULT_POINT\("([^"]+)"\)/g;
} }, "$FindBin::Bin/../src");
cmp_ok(scalar keys %points, '>', 0, 'the code has fault points');

my $network = FabricTest::start_network(orgs => 1, orderers => 1, channel => 'trade');
my ($node) = $network->nodes;
FabricTest::deploy_registry($network, policy => "'Org1MSP.peer'" =~ s/^(.*)$/OR($1)/r);

sub height
{
	return $node->query("SELECT height FROM fabric.chain_info('trade')");
}

my $number = 0;
foreach my $point (sort keys %points)
{
	my $id = 'V' . ++$number;
	my $before = height();

	$node->query("ALTER SYSTEM SET fabric.fault_points = '$point=crash'; SELECT pg_reload_conf(); SELECT pg_sleep(0.3)");
	my ($output, $error, $status) = $node->try_query(FabricTest::create_vehicle($id));
	isnt($status, 0, "$point: the server died under the call");
	# the postmaster is dead; its children leave when they notice
	$node->{cluster}->{_pid} = undef;
	PostgreSQL::Test::Utils::slurp_file($node->cluster->data_dir . '/postmaster.pid') =~ /^(\d+)/;
	Fabric::Node::kill_processes($1);
	$node->cluster->append_conf('postgresql.auto.conf', "fabric.fault_points = ''");
	$node->start;
	FabricTest::wait_for_leader($network, 'trade');
	my $exists = "SELECT count(*) FROM fabric.world_state WHERE channel = 'trade' AND namespace = 'vehicles' AND key = '$id'";
	$node->query(FabricTest::create_vehicle("after-$id"));
	my $after = height();
	my $there = $node->query($exists);
	is($after, $before + 1 + $there, "$point: height $before became $after, and the interrupted block is " . ($there ? 'there' : 'not there'));
	is($node->query("SELECT count(*) FROM fabric.verify_chain('trade')"), 0, "$point: the chain verifies");
}
done_testing();
