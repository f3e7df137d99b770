# Transient data of a failing call reaches the client, in the chaincode's error, and no log and no
# file of any node: with default settings of a server, in every way to write the call, and wherever
# the chaincode uses the values.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use FabricTest;
use FabricWire   qw();
use Fabric::Host qw(spew slurp);
use Fabric::Psql qw(literal);
use File::Find;
use Test::More;

my $network = FabricTest::start_network(
	orgs => 2,
	orderers => 1,
	channel => 'trade',
	profile => { batch_timeout => '50ms' });
my ($org1, $org2) = $network->nodes;

$network->deploy('trade', 'secrets', <<'SQL', policy => "OR('Org1MSP.peer', 'Org2MSP.peer')");
CREATE FUNCTION the_value() RETURNS text
	LANGUAGE sql AS $$ SELECT convert_from(fabric.get_transient('value'), 'UTF8') $$;
CREATE FUNCTION message() RETURNS void
	LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'message %', the_value(); END $$;
CREATE FUNCTION detail() RETURNS void LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'with detail'
	USING DETAIL = the_value(); END $$;
CREATE FUNCTION hint() RETURNS void
	LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'with hint' USING HINT = the_value(); END $$;
CREATE FUNCTION number() RETURNS integer LANGUAGE plpgsql AS $$ BEGIN RETURN the_value()::integer;
	END $$;
CREATE FUNCTION as_json() RETURNS text
	LANGUAGE plpgsql AS $$ BEGIN RETURN (the_value())::jsonb ->> 'a'; END $$;
CREATE FUNCTION part() RETURNS numeric
	LANGUAGE sql AS $$ SELECT substr(the_value(), 3, 12)::numeric $$;
CREATE FUNCTION assertion() RETURNS void LANGUAGE plpgsql AS $$ BEGIN ASSERT false, the_value();
	END $$;
CREATE FUNCTION failure(state text) RETURNS void
	LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'failure %', the_value() USING ERRCODE = state; END $$;
CREATE FUNCTION endless() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	LOOP
		IF length(the_value()) = 0 THEN
			EXIT;
		END IF;
	END LOOP;
END $$;
CREATE FUNCTION says() RETURNS void LANGUAGE plpgsql AS $$ BEGIN RAISE LOG 'says %', the_value();
	RAISE WARNING 'says %', the_value(); RAISE EXCEPTION 'no'; END $$;
CREATE FUNCTION plain(key text) RETURNS void LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'plain %', key;
	END $$;
SQL

Fabric::Pki::create_key($org1->path('client.key'));
spew($org1->path('client.pem'),
	$network->enroll($org1, 'client', 'client', $org1->path('client.key')));
my $client = FabricWire::identity('Org1MSP', $org1->path('client.pem'), $org1->path('client.key'));
my $number = 0;
my %secrets;

# a unique value, kept for the search in logs and files
sub secret
{
	my ($name) = @_;
	my $value = sprintf('wx%06dyzsecret%06dvalue', $$ % 1000000, ++$number);

	$secrets{$name} = $value;
	return $value;
}

sub transient
{
	my ($value) = @_;

	return literal(qq({"value": "$value"}));
}

# the client may see its own data, so its error must have the value
sub refused
{
	my ($name, $sql, $words) = @_;
	my $error = $org1->error_of($sql);

	like($error, $words, "$name: the client's error has the value");
}

foreach my $node ($org1, $org2)
{
	foreach my $function ('message', 'detail', 'hint', 'number', 'as_json', 'assertion')
	{
		my $name = "$function at $node->{name}";
		my $value = secret($name);

		refused(
			$name,
			"SELECT fabric.submit_transaction('trade', 'secrets', '$function', transient => "
			  . transient($value)
			  . ", endorsing_orgs => ARRAY['$node->{msp_id}'])",
			$function eq 'as_json' ? qr/22P02/ : qr/\Q$value\E/);
	}
	refused(
		"a message at $node->{name}",
		"SELECT fabric.submit_transaction('trade', 'secrets', 'says', transient => "
		  . transient(secret("a message at $node->{name}"))
		  . ", endorsing_orgs => ARRAY['$node->{msp_id}'])",
		qr/P0001/);
	foreach my $state ('40001', '57014', 'XX000', 'LF409', '53200')
	{
		my $name = "a failure with $state at $node->{name}";

		refused(
			$name,
			"SELECT fabric.submit_transaction('trade', 'secrets', 'failure', ARRAY['$state'], transient => "
			  . transient(secret($name))
			  . ", endorsing_orgs => ARRAY['$node->{msp_id}'])",
			qr/ERROR/);
	}
}
my $value = secret('a part of it');
my $part = substr($value, 2, 12);
refused(
	'a part of it',
	"SELECT fabric.submit_transaction('trade', 'secrets', 'part', transient => "
	  . transient($value) . ')',
	qr/22P02.*\Q$part\E/);
$secrets{'that part'} = $part;

# other ways to write the call
$value = secret('a query');
refused(
	'a query',
	"SELECT fabric.evaluate_transaction('trade', 'secrets', 'message', transient => "
	  . transient($value) . ')',
	qr/\Q$value\E/);
$value = secret('inside of a block');
refused(
	'inside of a block',
	"DO \$do\$ BEGIN\nPERFORM fabric.submit_transaction('trade', 'secrets', 'message', transient => "
	  . transient($value)
	  . ");\nEND \$do\$",
	qr/\Q$value\E.*CONTEXT/s);
$value = secret('prepared');
refused(
	'prepared',
	"PREPARE p AS SELECT fabric.submit_transaction('trade', 'secrets', 'message', transient => \$1);\nEXECUTE p("
	  . transient($value) . ')',
	qr/\Q$value\E/);
$value = secret('caught and raised again');
refused(
	'caught and raised again',
	"DO \$do\$ BEGIN\nPERFORM fabric.submit_transaction('trade', 'secrets', 'message', transient => "
	  . transient($value)
	  . ");\nEXCEPTION WHEN OTHERS THEN RAISE;\nEND \$do\$",
	qr/\Q$value\E/);
refused(
	'a wrong channel',
	"SELECT fabric.submit_transaction('nosuch', 'secrets', 'message', transient => "
	  . transient(secret('a wrong channel')) . ')',
	qr/LF401/);
refused(
	'a wrong function',
	"SELECT fabric.submit_transaction('trade', 'secrets', 'nosuch', transient => "
	  . transient(secret('a wrong function')) . ')',
	qr/has no function/);
refused(
	'a wrong identity',
	"SELECT fabric.submit_transaction('trade', 'secrets', 'message', identity => 'nosuch', transient => "
	  . transient(secret('a wrong identity')) . ')',
	qr/LF108/);
refused(
	'not an object',
	"SELECT fabric.submit_transaction('trade', 'secrets', 'message', transient => "
	  . literal('["' . secret('not an object') . '"]') . ')',
	qr/must be a JSON object/);
refused(
	'canceled',
	"SET statement_timeout = '1s';\nSELECT fabric.submit_transaction('trade', 'secrets', 'endless', transient => "
	  . transient(secret('canceled')) . ')',
	qr/57014/);
my $held = Fabric::Psql::start_query($org1->connection,
		"SELECT fabric.submit_transaction('trade', 'secrets', 'endless', transient => "
	  . transient(secret('terminated'))
	  . ", endorsing_orgs => ARRAY['Org2MSP'])");
ok( FabricTest::wait_until(
		sub {
			$org2->query(
				"SELECT count(*) FROM pg_stat_activity WHERE query ~ 'fabric_internal.endorse' AND state = 'active'"
			) > 0;
		}),
	'a call is running');
$org1->query(
	"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query ~ 'submit_transaction' AND pid <> pg_backend_pid()"
);
Fabric::Psql::finish_query($held);

# the split call, whose arguments are the bytes of the proposal
$value = secret('the split call');
$secrets{'the split call in hex'} = unpack('H*', $value);
my ($proposal) =
  map { pack('H*', $_) }
  $org1->query(
	"SELECT encode(proposal, 'hex') FROM fabric.new_proposal('trade', 'secrets', 'message', '{}', "
	  . FabricWire::bytea($client->{bytes}) . ', '
	  . transient($value)
	  . ')');
my $signed =
  FabricWire::bytea($proposal) . ', ' . FabricWire::bytea(FabricWire::sign($client, $proposal));
refused('endorse', "SELECT fabric.endorse($signed)", qr/\Q$value\E/);
refused('endorse elsewhere', "SELECT fabric.endorse($signed, ARRAY['Org2MSP'])", qr/\Q$value\E/);
refused('evaluate', "SELECT fabric.evaluate($signed)", qr/\Q$value\E/);
refused('a proposal that is cut',
	'SELECT fabric.evaluate(' . FabricWire::bytea(substr($proposal, 0, -1)) . ", 'x')", qr/LF002/);
refused('a signature that is wrong',
	'SELECT fabric.endorse(' . FabricWire::bytea($proposal) . ", 'x')", qr/LF103/);
refused(
	'a new proposal that is refused',
	"SELECT fabric.new_proposal('nosuch', 'secrets', 'message', '{}', 'x', "
	  . transient(secret('a new proposal that is refused')) . ')',
	qr/LF401/);
# a call without transient data is logged as usual
refused(
	'plain',
	"SELECT fabric.submit_transaction('trade', 'secrets', 'plain', ARRAY['key'], endorsing_orgs => ARRAY['Org2MSP'])",
	qr/plain key/);

# ---- traces in logs and files ----

foreach my $node ($org1, $org2)
{
	my $log = slurp($node->cluster->logfile);

	like(
		$log,
		qr/LOG:\s+a call with transient data failed with SQLSTATE (?:P0001|LF301)\n.*CONTEXT:\s+PL\/pgSQL function message\(\) line 1 at RAISE\n\s*chaincode "secrets", function "message", organization $node->{msp_id}/s,
		"$node->{name} logs where the call with transient data failed");
	like(
		$log,
		qr/ERROR:\s+plain key\n/,
		"$node->{name} logs the message of a call without transient data");
	like($log, qr/STATEMENT:.*plain.*key/,
		"$node->{name} logs the statement of a call without transient data")
	  if $node == $org1;
	$node->query('CHECKPOINT');
	$node->query('SELECT pg_switch_wal()');
	$node->stop;
}
my %found;
foreach my $node ($org1, $org2)
{
	my $pattern = join '|', map { quotemeta } values %secrets;

	find(
		{
			no_chdir => 1,
			wanted => sub {
				return unless -f $_;
				open(my $handle, '<:raw', $_) or return;
				local $/;
				my $content = <$handle>;
				push @{ $found{$1} }, $File::Find::name while $content =~ /($pattern)/g;
			}
		},
		$node->cluster->data_dir,
		$node->cluster->logfile);
}
is_deeply($found{ $secrets{$_} } // [], [], "$_ is in no file of a node")
  foreach sort keys %secrets;
done_testing();
