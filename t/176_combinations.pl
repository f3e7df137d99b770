# The endorsers that the gateway asks: one organization that refuses, has not approved, answers
# differently or lies about its height does not stop the others; keys with policies of their own
# need no organizations named by the client.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use FabricTest   qw(start_network fingerprints wait_until height_of);
use Fabric::Psql qw(literal);
use Test::More;

# all but the first are pure peers
my $network = start_network(
	orgs => 4,
	orderers => 1,
	channel => 'trade',
	settings => "fabric.endorsement_timeout = '60s'\n");
my ($org1, $org2, $org3, $org4) = my @nodes = $network->nodes;
my $two = "OutOf(2, 'Org1MSP.peer', 'Org2MSP.peer', 'Org3MSP.peer', 'Org4MSP.peer')";

# the chaincode of an organization may refuse, or write more
sub package_of
{
	my ($label, $refuses, $difference, $more) = @_;

	$more //= '';
	my $source = <<"SQL";
CREATE FUNCTION put(id text, value int) RETURNS text LANGUAGE plpgsql AS \$\$
BEGIN
	IF $refuses THEN RAISE EXCEPTION 'we do not want %', id USING DETAIL = 'Ask another organization.'; END IF;
	PERFORM fabric.put_state(id, (value + $difference)::text);
	$more
	RETURN 'stored';
END \$\$;
CREATE FUNCTION add(id text, value int) RETURNS text LANGUAGE plpgsql AS \$\$
BEGIN
	PERFORM fabric.put_state(id, (fabric.get_state_text(id)::int + value)::text);
	RETURN 'added';
END \$\$;
CREATE FUNCTION guard(id text, organizations text) RETURNS text LANGUAGE plpgsql AS \$\$
BEGIN
	PERFORM fabric.set_state_validation_parameter(id,
		fabric.state_policy('peer', VARIADIC string_to_array(organizations, ',')));
	RETURN 'guarded';
END \$\$;
SQL
	return "fabric.package_chaincode('$label', " . literal($source) . ')';
}

sub approve
{
	my ($node, $name, $package, %options) = @_;
	my $id =
	  defined $package
	  ? literal($node->query("SELECT fabric.install_chaincode($package)"))
	  : 'NULL';

	$node->query("SELECT fabric.approve_chaincode('trade', '$name', '1', 1, $id, "
		  . literal($options{policy} // $two)
		  . ($options{collections} ? ', ' . literal($options{collections}) : '')
		  . ')');
}

sub commit_sql
{
	my ($name, $more) = @_;

	return
		"SELECT fabric.commit_chaincode('trade', '$name', '1', 1, "
	  . literal($two)
	  . ($more // '') . ')';
}

sub call
{
	my ($name, @arguments) = @_;

	return
	  "SELECT fabric.invoke('trade', '$name', " . join(', ', map { literal($_) } @arguments) . ')';
}

# the organizations that endorsed the last transaction of the channel
sub endorsers
{
	my ($node) = @_;

	return $node->query(<<'SQL');
SELECT string_agg(fabric.identity_info(decode(e->>'endorser', 'base64'))->>'msp_id', ' ' ORDER BY n)
FROM fabric.transactions t,
	LATERAL jsonb_path_query(fabric.decode_message('common.Envelope', t.envelope), '$.payload.data.actions[*].payload.action.endorsements[*]') WITH ORDINALITY AS x (e, n)
WHERE t.channel = 'trade' AND t.block_number = (SELECT max(number) FROM fabric.blocks WHERE channel = 'trade')
SQL
}

my $good = package_of('good', 'false', 0);

# ---- the lifecycle ----

approve($_, 'assets', $good) foreach $org1, $org3;
like(
	$org1->error_of(commit_sql('assets')),
	qr/(?:LF301|P0001).*Org2MSP: [^;]*not agreed[^;]*; Org4MSP: /s,
	'a commit without a majority names every organization that has not approved');
approve($org4, 'assets', $good);
fingerprints($network, 'trade');
like(
	$org1->error_of(
		commit_sql('assets', ", endorsing_orgs => ARRAY['Org1MSP', 'Org2MSP', 'Org3MSP']")),
	qr/LF301/,
	'a commit that requires an organization that has not approved fails');
is($org1->query(commit_sql('assets')), '',
	'a definition that a majority has approved is committed, although the first plan contains another organization'
);
approve($_, 'second', $good) foreach $org2, $org3, $org4;
fingerprints($network, 'trade');
is($org1->query(commit_sql('second')),
	'', 'an organization that has not approved a definition can commit it');
approve($_, 'third', $good) foreach $org1, $org2, $org3;
fingerprints($network, 'trade');
is( $org1->query(commit_sql('third', ", endorsing_orgs => ARRAY['Org1MSP', 'Org2MSP', 'Org3MSP']")),
	'',
	'a client can name the organizations that endorse a commit');

# ---- a chaincode that refuses ----

approve($org2, 'assets', package_of('refusing', 'true', 0));
fingerprints($network, 'trade');
is($org1->query(call('assets', 'put', 'a', 1)),
	'stored', 'another organization replaces one whose chaincode refuses');
like(
	$org1->error_of(
		"SELECT tx_id FROM fabric.submit_transaction('trade', 'assets', 'put', ARRAY['a', '1'], endorsing_orgs => ARRAY['Org1MSP', 'Org2MSP'])"
	),
	qr/(?:LF301|P0001).*we do not want a/s,
	'a client that requires an organization gets its refusal');
like(
	$org2->error_of(call('assets', 'put', 'b', 1)),
	qr/(?:LF301|P0001).*we do not want b.*Ask another organization/s,
	'a refusal by the chaincode of the own organization is final');
approve($_, 'assets', package_of('refusing', 'true', 0)) foreach $org3, $org4;
fingerprints($network, 'trade');
like(
	$org1->error_of(call('assets', 'put', 'c', 1)),
	qr/(?:LF301|P0001): we do not want c.*Org2MSP: we do not want c[^;]*; Org3MSP: [^;]*; Org4MSP: /s,
	'the error has all refusals when no organization is left');

# ---- an organization whose answer differs; this node has no package, so it cannot tell which is
# right ----

approve($org2, 'third', package_of('lying', 'false', 1));
approve($org4, 'third', $good);
approve($org1, 'third', undef);
fingerprints($network, 'trade');
is($org1->query(call('third', 'put', 'a', 5)),
	'stored', 'the gateway finds organizations that agree');
is(endorsers($org1), 'Org3MSP Org4MSP', 'the transaction has only the endorsements that agree');
is( $org1->query(
		"SELECT fabric.bytes_to_text(value) FROM fabric.world_state WHERE channel = 'trade' AND namespace = 'third' AND key = 'a'"
	),
	5,
	'the state has the value of the organizations that agree');
# The keys of a wrong answer must not count for the right ones: here a key that no organization may
# change
approve($org2, 'third',
	package_of('touching', 'false', 0, "PERFORM fabric.put_state('locked', '1');"));
$org3->query(
	call('third', 'put', 'locked', 1) . ";\n" . call('third', 'guard', 'locked', 'Org9MSP'));
fingerprints($network, 'trade');
is($org1->query(call('third', 'put', 'a', 5)),
	'stored', 'keys of a different answer do not count for the other organizations');
approve($org2, 'third', package_of('lying', 'false', 1));
fingerprints($network, 'trade');
$org4->kill_hard;
like(
	$org1->error_of(call('third', 'put', 'a', 6)),
	qr/LF309.*"a".*Org2MSP has "7".*Org3MSP has "6".*Org4MSP: /s,
	'the error without a majority has the difference and the node that did not answer');
$org4->start;

# ---- an organization that claims blocks that do not exist ----

approve($_, 'assets', $good) foreach $org2, $org3, $org4;
fingerprints($network, 'trade');
$org1->query(call('assets', 'put', 'hot', 1));
fingerprints($network, 'trade');
$org2->query(<<'SQL');
ALTER EXTENSION fabric DROP FUNCTION fabric_internal.endorse(bytea, bigint, bigint);
ALTER FUNCTION fabric_internal.endorse(bytea, bigint, bigint) RENAME TO endorse_truly;
CREATE FUNCTION fabric_internal.endorse(signed_proposal bytea, min_height bigint,
	seen_height bigint, OUT response bytea, OUT height bigint) LANGUAGE sql SECURITY DEFINER
	AS $$ SELECT t.response, t.height + 1000000
		FROM fabric_internal.endorse_truly(signed_proposal, min_height, seen_height) t $$;
BEGIN;
SET LOCAL session_replication_role = replica;
UPDATE fabric_internal.world_state SET value = '100' WHERE channel = 'trade' AND namespace = 'assets'
	AND key = 'hot';
COMMIT;
SQL
is($org1->query(call('assets', 'add', 'hot', 1)),
	'added', 'an organization with a false state and height does not stop the others');
$org2->query(<<'SQL');
DROP FUNCTION fabric_internal.endorse(bytea, bigint, bigint);
ALTER FUNCTION fabric_internal.endorse_truly(bytea, bigint, bigint) RENAME TO endorse;
ALTER EXTENSION fabric ADD FUNCTION fabric_internal.endorse(bytea, bigint, bigint);
SQL
is($org2->query("SELECT fabric.rebuild_state('trade') IS NOT NULL"),
	't', 'rebuild_state restores the state');

# ---- keys with policies of their own ----

is($org1->query(call('assets', 'put', 'key', 1)), 'stored', 'a key is written');
is($org1->query(call('assets', 'guard', 'key', 'Org3MSP,Org4MSP')),
	'guarded', 'the key gets an endorsement policy');
fingerprints($network, 'trade');
is($org1->query(call('assets', 'add', 'key', 1)),
	'added', 'a key with a policy can be changed without naming organizations');
is( join(' ', sort split / /, endorsers($org1)),
	'Org3MSP Org4MSP',
	"the organizations of the key's policy endorse");
like(
	$org1->query(
		"SELECT validation_code FROM fabric.submit_transaction('trade', 'assets', 'add', ARRAY['key', '1'], endorsing_orgs => ARRAY['Org1MSP', 'Org2MSP'])"
	),
	qr/ENDORSEMENT_POLICY_FAILURE/,
	"a client can name organizations that do not satisfy the key's policy");
is($org1->query(call('assets', 'guard', 'key', 'Org1MSP')),
	'guarded', 'the policy of a key can be changed');
$_->kill_hard foreach $org2, $org3, $org4;
is($org1->query(call('assets', 'add', 'key', 1)),
	'added', 'a key whose policy needs one organization can be changed without the others');
like($org1->error_of(call('assets', 'add', 'a', 1)),
	qr/LF310/, 'a key without a policy needs the others');
$_->start foreach $org2, $org3, $org4;
is($org1->query(call('assets', 'guard', 'key', 'Org9MSP')),
	'guarded', 'a key gets a policy that cannot be satisfied');
my $height = height_of($org1, 'trade');
like(
	$org1->error_of(call('assets', 'add', 'key', 1)),
	qr/LF310.*it needs .*Org9MSP\.peer/s,
	'the error says that the policy of a key cannot be satisfied');
is(height_of($org1, 'trade'),
	$height, 'nothing is ordered when the policy of a key cannot be satisfied');

# ---- the plan as discovery shows it ----

{
	my $collections = '[{"name": "open", "policy": "OR(\'Org1MSP.member\', \'Org2MSP.member\')"},
		{"name": "closed", "policy": "OR(\'Org3MSP.member\', \'Org4MSP.member\')", "endorsementPolicy": {"signaturePolicy": "OR(\'Org1MSP.peer\', \'Org4MSP.peer\')"}}]';

	approve($_, 'plan', $good, collections => $collections) foreach @nodes;
	fingerprints($network, 'trade');
	$org1->query(commit_sql('plan', ', ' . literal($collections)));
}

sub plan_of
{
	my ($more) = @_;

	return $org1->query(<<"SQL");
WITH p AS (SELECT fabric.endorsement_plan('trade', $more) AS plan),
	layout AS (SELECT (SELECT string_agg(plan #>> ARRAY['EndorsersByGroups', g, '0', 'MSPID']
		|| CASE v WHEN '1' THEN '' ELSE '*' || v END, '+' ORDER BY g)
			FROM jsonb_each_text(l->'quantities_by_group') AS q (g, v)) AS text, n
		FROM p, LATERAL jsonb_array_elements(plan->'Layouts') WITH ORDINALITY AS x (l, n))
SELECT string_agg(text, ' ' ORDER BY n) FROM layout
SQL
}
is( plan_of("'plan'"),
	'Org1MSP+Org2MSP Org1MSP+Org3MSP Org1MSP+Org4MSP Org2MSP+Org3MSP Org2MSP+Org4MSP Org3MSP+Org4MSP',
	'endorsement_plan lists the layouts of the chaincode, the own organization first');
is( plan_of("'plan', collections => '{closed}', no_private_reads => true"),
	'Org1MSP Org4MSP',
	'endorsement_plan uses the policy of a collection');
is(plan_of("'plan', collections => '{closed}'"),
	'Org4MSP', 'endorsement_plan lists only members of the collection where private data is read');
is(plan_of("'plan', collections => '{open}'"),
	'Org1MSP+Org2MSP',
	"endorsement_plan uses the chaincode's policy for a collection without a policy");
$org1->query(call('assets', 'put', 'plain', 1));
$org1->query(call('assets', 'put', 'kept', 1) . ";\n" . call('assets', 'guard', 'kept', 'Org3MSP'));
is(plan_of("'assets', keys => '{kept}'"), 'Org3MSP', 'endorsement_plan uses the policy of a key');
is( plan_of("'assets', keys => '{kept,plain}'"),
	'Org1MSP+Org3MSP Org2MSP+Org3MSP Org3MSP+Org4MSP',
	'endorsement_plan uses both policies for a key with a policy and one without');
is(plan_of("'assets', keys => '{key}'"),
	'', 'endorsement_plan is empty for a key that no organization can change');
is( $org1->query(
		"SELECT plan->'EndorsersByGroups'->'G0'->0->>'LedgerHeight' = (SELECT max(number) + 1 FROM fabric.blocks)::text, plan->'EndorsersByGroups'->'G1'->0->>'Endpoint', plan->>'Chaincode' FROM fabric.endorsement_plan('trade', 'assets') AS plan"
	),
	"t|localhost:$org2->{port}|assets",
	'endorsement_plan has height, endpoint and chaincode');
like(
	$org1->error_of("SELECT fabric.endorsement_plan('trade', 'assets', collections => '{none}')"),
	qr/LF001.*no collection "none"/s,
	'endorsement_plan fails for a collection that does not exist');
like($org1->error_of("SELECT fabric.endorsement_plan('trade', 'none')"),
	qr/LF302/, 'endorsement_plan fails for a chaincode that does not exist');
is(scalar(fingerprints($network, 'trade')), 1, 'all nodes have the same ledger in the end');
done_testing();
