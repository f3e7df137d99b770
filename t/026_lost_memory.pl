# A consenter has lost entries that it had confirmed: it left and joined again, or was restored from
# a copy or to a point in time. It does not vote and its confirmations do not count until the others
# have brought it up to date. So no acknowledged transaction is lost, and there is one chain.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use FabricTest qw(
  start_network deploy_registry create_vehicle fingerprints wait_for_leader wait_until
  seconds_passed vehicles_of $ANY_TWO);
use Fabric::Host qw(slurp spew);
use IPC::Run;
use PostgreSQL::Test::Utils qw(system_or_bail);
use Test::More;

my $network = start_network(orgs => 3, orderers => 3, channel => 'trade');
my @nodes = $network->nodes;
my $vehicles = 0;
my $package_id = deploy_registry($network, policy => $ANY_TWO);

# a column of fabric.stat_orderer; empty while there is no row
sub orderer
{
	my ($node, $columns) = @_;

	return $node->query("SELECT $columns FROM fabric.stat_orderer WHERE channel = 'trade'") // '';
}

sub all_vote
{
	return wait_until(
		sub {
			!grep { orderer($_, 'participation') ne 'voting' } grep { $_->is_running } @nodes;
		});
}

# commit a transaction
sub commit_vehicle
{
	my ($node) = @_;

	$node->query(create_vehicle('V' . ++$vehicles));
}

# the nodes as (leader, a follower, the third one), all running and with the same ledger
sub roles
{
	my $leader = wait_for_leader($network, 'trade');
	my ($follower, $third) = grep { $_ != $leader } @nodes;

	fingerprints($network, 'trade');
	all_vote() or die "not all consenters vote\n";
	return ($leader, $follower, $third);
}

# The third node meets only the node that lost its entries; then the leader, the only one with all
# entries, is started.
sub nobody_is_elected
{
	my ($leader, $follower, $third, $reason) = @_;

	ok( wait_until(
			sub {
				orderer($follower, "participation || ': ' || recovering_reason") =~
				  /^recovering: $reason/;
			}),
		'it is recovering, and says why') or diag(orderer($follower, '*'));
	$third->start;
	ok( wait_until(
			sub {
				$third->query(
					"SELECT o.participation, f.connected FROM fabric.stat_orderer o JOIN fabric.stat_orderer_followers f USING (channel) WHERE f.consenter_id = $follower->{number}"
				) eq 'asking|t';
			}),
		'the third node has started, and finds no node that remembers enough'
	) or diag(orderer($third, '*'));
	my @elected;
	# for longer than two election timeouts
	my $until = time + 3;
	wait_until(
		sub {
			push @elected, grep { orderer($_, 'leader_id IS NULL') ne 't' } $follower, $third;
			@elected || seconds_passed($until);
		});
	is(scalar(@elected), 0, 'there is no leader');
	$leader->start;
	ok( wait_until(
			sub { orderer($follower, 'participation, recovering_since IS NULL') eq 'voting|t' }, 30
		),
		'with the leader back it recovers without an operator') or diag(orderer($follower, '*'));
	is(scalar(fingerprints($network, 'trade')), 1, 'there is one chain');
	is(vehicles_of($_), $vehicles, "$_->{name} has all that was acknowledged") foreach @nodes;
	commit_vehicle($third);
	is(scalar(fingerprints($network, 'trade')), 1, 'and it continues');
}

sub copy_of
{
	my ($node) = @_;

	return "$PostgreSQL::Test::Utils::tmp_check/copy_of_$node->{name}";
}

sub make_copy
{
	my ($node) = @_;

	$node->stop;
	system_or_bail('rm', '-rf', copy_of($node));
	system_or_bail('cp', '-a', $node->cluster->data_dir, copy_of($node));
	$node->start;
}

sub put_copy_back
{
	my ($node) = @_;

	system_or_bail('rm', '-rf', $node->cluster->data_dir);
	system_or_bail('cp', '-a', copy_of($node), $node->cluster->data_dir);
}

is( join(' ', map { orderer($_, 'participation') } @nodes),
	'voting voting voting',
	'a founded network votes') if all_vote();

subtest 'a consenter that left and joined again' => sub {
	my ($leader, $follower, $third) = roles();
	my $genesis = $leader->query("SELECT encode(fabric.get_block('trade', 0), 'hex')");

	$third->kill_hard;
	commit_vehicle($leader);
	$leader->kill_hard;
	$follower->query("SELECT fabric.leave_channel('trade')");
	is($follower->query('SELECT channel, action FROM fabric_internal.consenter_note'),
		'trade|recover', 'leaving leaves a note');
	$follower->query("SELECT fabric.join_channel('\\x$genesis')");
	nobody_is_elected($leader, $follower, $third, 'the channel was left on');
	is($follower->query('SELECT count(*) FROM fabric_internal.consenter_note'),
		0, 'the note is gone');
	# leaving has removed the choice of the package that runs
	$follower->query(
			"SELECT fabric.approve_chaincode('trade', 'vehicles', '1.0', 1, '$package_id', "
		  . Fabric::Psql::literal($ANY_TWO)
		  . ')');
};

subtest 'a cold backup' => sub {
	my ($leader, $copied, $third) = roles();

	make_copy($copied);
	ok(all_vote(), 'all vote');
	$third->kill_hard;
	commit_vehicle($leader);
	$copied->stop;
	$leader->kill_hard;
	put_copy_back($copied);
	$copied->start;
	nobody_is_elected($leader, $copied, $third, 'the data directory is a copy');
};

subtest 'a copy without a sign: the others remember' => sub {
	my ($leader, $follower, $third) = roles();

	$follower->set("fabric.detect_copied_directory = off\n");
	make_copy($follower);
	ok(all_vote(), 'all vote');
	$third->kill_hard;
	commit_vehicle($leader) foreach 1 .. 3;
	$follower->stop;
	put_copy_back($follower);
	$follower->start;
	ok(wait_until(sub { orderer($follower, 'recovering_reason') =~ /^consenter \d remembers/ }),
		'the others tell it which entries it had confirmed')
	  or diag(orderer($follower, '*'));
	$third->start;
	ok(all_vote(), 'it recovers');
	is(scalar(fingerprints($network, 'trade')), 1, 'there is one chain');
	is(vehicles_of($_), $vehicles, "$_->{name} has all that was acknowledged") foreach @nodes;
	$follower->set("fabric.detect_copied_directory = on\n");
};

subtest 'restored to a point in time' => sub {
	my ($leader, $follower) = roles();

	$follower->stop;
	spew($follower->cluster->data_dir . '/recovery.signal', '', 0600);
	$follower->set("restore_command = 'false'\n");
	$follower->start;
	ok( wait_until(
			sub { slurp($follower->cluster->logfile) =~ /the server's timeline was \d+ and is \d+/ }
		),
		'another timeline is a sign') or diag(orderer($follower, '*'));
	ok(all_vote(), 'it recovers without an operator');
	commit_vehicle($leader);
	is(scalar(fingerprints($network, 'trade')), 1, 'there is one chain');
};

subtest 'the word of an operator' => sub {
	my ($leader, $follower, $third) = roles();

	like($leader->error_of("SELECT fabric.trust_consenter('trade', false)"),
		qr/LF001.*accept_loss/s, 'losing something must be accepted');
	# the orderer reads the operator's decision without a lock on the tables that a session locks
	# while it joins or leaves another channel
	my ($statements, $answer) = ('', '');
	my $locked = IPC::Run::start([ 'psql', '-XqAt', '-d', $follower->cluster->connstr('fabric') ],
		'<', \$statements, '>', \$answer);
	$statements .=
	  "BEGIN; LOCK TABLE ONLY fabric_internal.block IN ACCESS EXCLUSIVE MODE; SELECT 'locked';\n";
	$locked->pump until $answer =~ /locked/;
	$follower->query("SELECT fabric.recover_consenter('trade')");
	ok( wait_until(
			sub {
				$follower->query('SELECT count(*) FROM fabric_internal.consenter_note') == 0
				  && orderer($follower, 'participation') eq 'voting';
			}),
		'it is heard while another channel is joined or left, and the node recovers'
	) or diag(orderer($follower, '*'));
	$statements .= "COMMIT;\n\\q\n";
	$locked->finish;
	like(
		slurp($follower->cluster->logfile),
		qr/called fabric.recover_consenter/,
		'the log names the function that the operator called');

	# while its processes are stopped, as after the restore of a volume
	$_->stop foreach $follower, $third;
	$follower->start("-c shared_preload_libraries=''");
	$follower->query("SELECT fabric.recover_consenter('trade')");
	$follower->stop;
	$follower->start;
	ok( wait_until(
			sub {
				(() = slurp($follower->cluster->logfile) =~ /called fabric.recover_consenter/g) ==
				  2;
			}),
		'it can be given before the first start') or diag(orderer($follower, '*'));

	# two of three nodes are not counted: no leader can be elected, and the log says so
	$third->start("-c shared_preload_libraries=''");
	$third->query("SELECT fabric.recover_consenter('trade')");
	$third->stop;
	$third->start;
	ok( wait_until(
			sub {
				slurp($third->cluster->logfile) =~
				  /no leader can be elected: 2 of 3 consenters are recovering/;
			}),
		'too many are recovering') or diag(orderer($third, '*'));
	is(orderer($third, 'others_recovering'), 1, 'it is shown');
	is(orderer($leader, 'participation'), 'voting', 'the one that lost nothing waits');
	$follower->query("SELECT fabric.trust_consenter('trade', accept_loss => true)");
	ok(wait_until(sub { $network->leader('trade') }), 'one is trusted: there is a leader');
	like(
		slurp($follower->cluster->logfile),
		qr/takes part in Raft with the state that it has.*accepts that committed transactions are lost/s,
		'the log names the function that the operator called');
	ok(all_vote(), 'and the other one recovers with it') or diag(orderer($third, '*'));
	commit_vehicle($leader);
	is(scalar(fingerprints($network, 'trade')), 1, 'there is one chain');
};

is(vehicles_of($_), $vehicles, "$_->{name} has all vehicles") foreach @nodes;
unlike(
	slurp($_->cluster->logfile),
	qr/PANIC|terminated by signal 11|assertion failed|contradicts/,
	"$_->{name}: no broken promise") foreach @nodes;
done_testing();
