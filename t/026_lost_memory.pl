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
sub no_leader_is_elected
{
	my ($leader, $follower, $third, $reason) = @_;

	ok( wait_until(
			sub {
				orderer($follower, "participation || ': ' || recovering_reason") =~
				  /^recovering: $reason/;
			}),
		'the consenter recovers and reports the reason') or diag(orderer($follower, '*'));
	$third->start;
	ok( wait_until(
			sub {
				$third->query(
					"SELECT o.participation, f.connected FROM fabric.stat_orderer o JOIN fabric.stat_orderer_followers f USING (channel) WHERE f.consenter_id = $follower->{number}"
				) eq 'asking|t';
			}),
		'the third node runs, and finds no node that remembers enough'
	) or diag(orderer($third, '*'));
	my @elected;
	# for longer than two election timeouts
	my $until = time + 3;
	wait_until(
		sub {
			push @elected, grep { orderer($_, 'leader_id IS NULL') ne 't' } $follower, $third;
			@elected || seconds_passed($until);
		});
	is(scalar(@elected), 0, 'no leader is elected');
	$leader->start;
	ok( wait_until(
			sub { orderer($follower, 'participation, recovering_since IS NULL') eq 'voting|t' }, 30
		),
		'the consenter recovers without an operator when the leader is back'
	) or diag(orderer($follower, '*'));
	is(scalar(fingerprints($network, 'trade')), 1, 'all nodes have the same chain');
	is(vehicles_of($_), $vehicles, "$_->{name} has every acknowledged transaction") foreach @nodes;
	commit_vehicle($third);
	is(scalar(fingerprints($network, 'trade')), 1, 'transactions are committed afterwards');
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
	'all consenters of a new network vote') if all_vote();

subtest 'a consenter leaves and joins again' => sub {
	my ($leader, $follower, $third) = roles();
	my $genesis = $leader->query("SELECT encode(fabric.get_block('trade', 0), 'hex')");

	$third->kill_hard;
	commit_vehicle($leader);
	$leader->kill_hard;
	$follower->query("SELECT fabric.leave_channel('trade')");
	is($follower->query('SELECT channel, action FROM fabric_internal.consenter_note'),
		'trade|recover', 'leave_channel leaves a note for the orderer');
	$follower->query("SELECT fabric.join_channel('\\x$genesis')");
	no_leader_is_elected($leader, $follower, $third, 'the channel was left on');
	is($follower->query('SELECT count(*) FROM fabric_internal.consenter_note'),
		0, 'the orderer has removed the note');
	# leaving has removed the choice of the package that runs
	$follower->query(
			"SELECT fabric.approve_chaincode('trade', 'vehicles', '1.0', 1, '$package_id', "
		  . Fabric::Psql::literal($ANY_TWO)
		  . ')');
};

subtest 'a cold backup is restored' => sub {
	my ($leader, $copied, $third) = roles();

	make_copy($copied);
	ok(all_vote(), 'all consenters vote');
	$third->kill_hard;
	commit_vehicle($leader);
	$copied->stop;
	$leader->kill_hard;
	put_copy_back($copied);
	$copied->start;
	no_leader_is_elected($leader, $copied, $third, 'the data directory is a copy');
};

subtest 'a copied data directory that is not detected: other consenters remember' => sub {
	my ($leader, $follower, $third) = roles();

	$follower->set("fabric.detect_copied_directory = off\n");
	make_copy($follower);
	ok(all_vote(), 'all consenters vote');
	$third->kill_hard;
	commit_vehicle($leader) foreach 1 .. 3;
	# A leader that runs may send the follower all that it has confirmed before it is asked; then
	# nothing is missing. After its own restart it cannot lead without the follower.
	$follower->stop;
	$leader->stop;
	put_copy_back($follower);
	$follower->start;
	$leader->start;
	ok(wait_until(sub { orderer($follower, 'recovering_reason') =~ /^consenter \d remembers/ }),
		'other consenters report which entries the consenter had confirmed')
	  or diag(orderer($follower, '*'));
	$third->start;
	ok(all_vote(), 'the consenter recovers');
	is(scalar(fingerprints($network, 'trade')), 1, 'all nodes have the same chain');
	is(vehicles_of($_), $vehicles, "$_->{name} has every acknowledged transaction") foreach @nodes;
	$follower->set("fabric.detect_copied_directory = on\n");
};

subtest 'a consenter is restored to a point in time' => sub {
	my ($leader, $follower) = roles();

	$follower->stop;
	spew($follower->cluster->data_dir . '/recovery.signal', '', 0600);
	$follower->set("restore_command = 'false'\n");
	$follower->start;
	ok( wait_until(
			sub { slurp($follower->cluster->logfile) =~ /the server's timeline was \d+ and is \d+/ }
		),
		'another timeline is a sign') or diag(orderer($follower, '*'));
	ok(all_vote(), 'the consenter recovers without an operator');
	commit_vehicle($leader);
	is(scalar(fingerprints($network, 'trade')), 1, 'all nodes have the same chain');
};

subtest 'an operator decides about a consenter' => sub {
	my ($leader, $follower, $third) = roles();

	like($leader->error_of("SELECT fabric.trust_consenter('trade', false)"),
		qr/LF001.*accept_loss/s, 'trust_consenter fails unless a loss is accepted');
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
		"the orderer reads the operator's decision while another channel is joined or left, and recovers"
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
		'an operator can call recover_consenter before the first start'
	) or diag(orderer($follower, '*'));

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
		'the log says that too many consenters are recovering') or diag(orderer($third, '*'));
	is(orderer($third, 'others_recovering'),
		1, 'fabric.stat_orderer shows that another consenter is recovering');
	is(orderer($leader, 'participation'), 'voting', 'the consenter that lost nothing waits');
	$follower->query("SELECT fabric.trust_consenter('trade', accept_loss => true)");
	ok( wait_until(sub { $network->leader('trade') }),
		'a leader is elected after one consenter is trusted');
	like(
		slurp($follower->cluster->logfile),
		qr/takes part in Raft with the state that it has.*accepts that committed transactions are lost/s,
		'the log names trust_consenter and the accepted loss');
	ok(all_vote(), 'the other recovering consenter recovers, too') or diag(orderer($third, '*'));
	commit_vehicle($leader);
	is(scalar(fingerprints($network, 'trade')), 1, 'all nodes have the same chain');
};

is(vehicles_of($_), $vehicles, "$_->{name} has all vehicles") foreach @nodes;
unlike(
	slurp($_->cluster->logfile),
	qr/PANIC|terminated by signal 11|assertion failed|contradicts/,
	"$_->{name} reports no broken promise") foreach @nodes;
done_testing();
