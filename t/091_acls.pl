# The ACLs of a channel decide what each role may do. The ACL of user chaincode does not apply to
# _lifecycle, whose functions have ACLs of their own.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use FabricTest qw(start_network);
use Test::More;

my $network = start_network(orgs => 1, orderers => 1, channel => 'open');
my ($org1) = $network->nodes;
my $source =
  'CREATE FUNCTION put(id text, value text) RETURNS void LANGUAGE sql AS $$ SELECT fabric.put_state(id, value) $$;';
my $admins = '/Channel/Application/Admins';

$network->create_channel('ruled',
	acls => { 'peer/Propose' => $admins, '_lifecycle/QueryChaincodeDefinition' => 'Admins' });
$network->deploy($_, 'notes', $source, policy => "OR('Org1MSP.peer')") foreach 'open', 'ruled';
$network->create_application($org1, 'app', 'secret-of-app');
my $client = "BEGIN; SET LOCAL fabric.identity = 'app.org1'; ";

sub put { return "SELECT fabric.invoke('$_[0]', 'notes', 'put', 'k', 'v')" }

sub readiness
{
	return "SELECT count(*) FROM fabric.check_commit_readiness('$_[0]', 'notes', '2.0', 2)";
}

is($org1->error_of($client . put('open')), '', 'a client may call chaincode by default');
like($org1->error_of($client . put('ruled')),
	qr/LF203.*\Q$admins\E/s,
	'a client may not call chaincode if the ACL requires an administrator');
is($org1->error_of(put('ruled')),
	'', 'an administrator may call chaincode if the ACL requires an administrator');
is($org1->query($client . readiness('ruled')),
	1, 'the ACL of chaincode does not apply to _lifecycle');

my $definition =
  "SELECT length(fabric.query('ruled', '_lifecycle', 'QueryChaincodeDefinition', E'\\n\\005notes')) > 0";
like(
	$org1->error_of("$client$definition"),
	qr/access denied to "_lifecycle\/QueryChaincodeDefinition".*\Q$admins\E/s,
	'a function of _lifecycle has an ACL of its own');
is($org1->query($definition), 't', 'an administrator may call the function of _lifecycle');
done_testing();
