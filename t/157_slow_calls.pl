# fabric.log_min_call_duration: the log has each call that took longer, with its steps and waits,
# and no other call.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use FabricTest              qw(start_network deploy_registry create_vehicle wait_until);
use PostgreSQL::Test::Utils qw(slurp_file);
use Test::More;

my $network = start_network(orgs => 3, channel => 'trade');
my ($first, $second, $third) = $network->nodes;

sub logged
{
	my ($tx_id) = @_;
	my ($line) = slurp_file($first->cluster->logfile) =~
	  /^.*LOG:  (call of chaincode .*)\n.*DETAIL:  Transaction $tx_id\.(.*)$/m;
	return defined $line ? "$1$2" : '';
}

# the transaction id of a call with these settings
sub call
{
	my ($settings, $id) = @_;

	return $first->query(
		"$settings; SELECT tx_id FROM fabric.submit_transaction('trade', 'vehicles', 'create_vehicle', ARRAY['$id', 'Volvo', 'V60', '2020', 'Ada Adler', '20000'])"
	);
}

deploy_registry($network, policy => "AND('Org1MSP.peer', OR('Org2MSP.peer', 'Org3MSP.peer'))");
is(logged(call('SELECT', 'V1') =~ s/^\s+//r), '', 'no call is logged by default');
is(logged(call("SET fabric.log_min_call_duration = '1h'", 'V2')),
	'', 'a call shorter than the setting is not logged');
like(
	logged(call('SET fabric.log_min_call_duration = 0', 'V3')),
	qr/^call[ ]of[ ]chaincode[ ]"vehicles"[ ]on[ ]channel[ ]"trade"[ ]took[ ]\d+[ ]ms:
		[ ]endorsing[ ]\d+,[ ]waiting[ ]for[ ]keys[ ]\d+,[ ]submitting[ ]\d+,
		[ ]waiting[ ]for[ ]the[ ]block[ ]\d+/x,
	'a longer call is logged with its steps');
$second->kill_hard;
my $note = '';
my $number = 3;
ok( wait_until(
		sub {
			$number++;
			$note = logged(call('SET fabric.log_min_call_duration = 0', "V$number"));
			return $note =~ /failed|late/;
		}),
	'the log says what the call waited for') or diag($note);
like($note, qr/localhost:$second->{port}.* after \d+ ms/, 'the log has the node and the time');
like($first->error_of('CREATE ROLE clerk; SET ROLE clerk; SET fabric.log_min_call_duration = 0'),
	qr/42501/, 'only superusers may change fabric.log_min_call_duration');
done_testing();
