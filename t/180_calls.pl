# A transaction id belongs to its creator: no party that sees a proposal can use it up, not even a
# consenter that forwards envelopes of its choice. A refusal of a chaincode reaches the client and
# the log with SQLSTATE, detail, hint, function and line, and with the organization and node where
# it happened; it is never taken for an error of the node. The error of a call to a missing function
# lists the existing ones.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use FabricTest;
use FabricWire   qw();
use Fabric::Host qw(spew slurp);
use Fabric::Psql qw(literal);
use IPC::Run;
use Test::More;

my $network = FabricTest::start_network(
	orgs => 3,
	orderers => 3,
	channel => 'trade',
	profile => { batch_timeout => '200ms' });
my ($org1, $org2, $org3) = $network->nodes;

$network->deploy('trade', 'book', <<'SQL', policy => $FabricTest::ANY_TWO);
CREATE FUNCTION put(key text, value text) RETURNS void
	LANGUAGE sql AS $$ SELECT fabric.put_state(key, value) $$;
CREATE FUNCTION get(key text) RETURNS text LANGUAGE sql AS $$ SELECT fabric.get_state_text(key) $$;
CREATE FUNCTION inner_refuse(words text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	IF words <> '' THEN
		RAISE EXCEPTION 'no: %', words USING ERRCODE = 'U0042', DETAIL = 'a detail', HINT = 'a hint';
	END IF;
END $$;
CREATE FUNCTION refuse(words text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	PERFORM inner_refuse(words);
END $$;
CREATE FUNCTION raise(state text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	RAISE EXCEPTION 'raised' USING ERRCODE = state;
END $$;
CREATE FUNCTION assert_that(condition boolean) RETURNS void
	LANGUAGE plpgsql AS $$ BEGIN ASSERT condition, 'not so'; END $$;
CREATE FUNCTION to_number(words text, base integer DEFAULT 10) RETURNS integer
	LANGUAGE plpgsql AS $$ BEGIN RETURN words::integer; END $$;
CREATE FUNCTION from_json(words text) RETURNS text
	LANGUAGE plpgsql AS $$ BEGIN RETURN words::jsonb ->> 'a'; END $$;
CREATE FUNCTION words(size integer) RETURNS void
	LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION '%', repeat(chr(228), size); END $$;
CREATE FUNCTION _own() RETURNS void LANGUAGE sql AS $$ SELECT $$;
SQL

Fabric::Pki::create_key($org1->path('client.key'));
spew($org1->path('client.pem'),
	$network->enroll($org1, 'client', 'client', $org1->path('client.key')));
Fabric::Pki::create_key($org2->path('observer.key'));
spew($org2->path('observer.pem'),
	$network->enroll($org2, 'observer', 'client', $org2->path('observer.key')));
my $client = FabricWire::identity('Org1MSP', $org1->path('client.pem'), $org1->path('client.key'));
my $observer =
  FabricWire::identity('Org2MSP', $org2->path('observer.pem'), $org2->path('observer.key'));
my ($peer1, $peer2) =
  map { FabricWire::identity($_->{msp_id}, $_->path('keys/node.pem'), $_->path('keys/node.key')) }
  $org1, $org2;

sub make
{
	return FabricWire::transaction(
		channel => 'trade',
		chaincode => 'book',
		version => '1.0',
		creator => $client,
		endorsers => [ $peer1, $peer2 ],
		@_);
}

sub submit_sql
{
	my ($transaction, $signer) = @_;

	return
		'SELECT fabric.submit('
	  . FabricWire::bytea($transaction->{payload}) . ', '
	  . FabricWire::bytea(
		FabricWire::sign($signer // $transaction->{creator}, $transaction->{payload}))
	  . ')';
}

sub code_of
{
	my ($transaction) = @_;

	return $org1->query(
		"SELECT coalesce(validation_code, 'none') FROM fabric.commit_status('trade', '$transaction->{tx_id}', '120s')"
	);
}

# the part of a node's log that was written since
my %log_read = map { ($_->{name} => 0) } $network->nodes;

sub log_of
{
	my ($node) = @_;
	my $log = slurp($node->cluster->logfile);
	my $new = substr($log, $log_read{ $node->{name} });

	$log_read{ $node->{name} } = length $log;
	# without the prefixes of the lines
	return $new =~ s/^\d{4}-\d\d-\d\d .*?\b(?=(?:LOG|ERROR|DETAIL|HINT|CONTEXT|STATEMENT): )//mgr;
}

subtest 'transaction ids' => sub {
	my $victim = make(writes => { bought => 'yes' });

	# in the observer's own name, with the id that it has seen; as an endorser transaction and as
	# another message; without an id
	foreach my $case (
		[ 'with the id of another', tx_id => $victim->{tx_id} ],
		[ 'with id and nonce of another', tx_id => $victim->{tx_id}, nonce => $victim->{nonce} ],
		[ 'as a message of another type', tx_id => $victim->{tx_id}, type => 0 ],
		[ 'without an id', tx_id => '' ])
	{
		my ($name, @parts) = @$case;
		my $burner = FabricWire::transaction(
			channel => 'trade',
			chaincode => 'book',
			version => '1.0',
			creator => $observer,
			endorsers => [],
			writes => {},
			@parts);

		like(
			$org2->error_of(submit_sql($burner)),
			qr/LF001: transaction id is not the hash of nonce and creator.*DETAIL:.*HINT:/s,
			"an envelope $name is not admitted");
	}
	# in the victim's name it can only be signed by the victim
	like($org2->error_of(submit_sql($victim, $observer)),
		qr/LF202/, 'an envelope in the name of another client is not admitted');

	# a consenter forwards them to each of the others without being asked, together with a correct
	# one
	my @forwarded = (
		FabricWire::signed(
			FabricWire::transaction(
				channel => 'trade',
				chaincode => 'book',
				version => '1.0',
				creator => $observer,
				endorsers => [],
				writes => {},
				tx_id => $victim->{tx_id})),
		FabricWire::envelope($victim->{payload}, FabricWire::sign($observer, $victim->{payload})),
		FabricWire::envelope($victim->{payload}, 'no signature'));
	my $honest = make(writes => { honest => 'yes' });
	my $keys = $org3->path('keys');

	foreach my $node ($org1, $org2)
	{
		my $sql =
		  "SELECT fabric_internal.raft_forward('trade', $org3->{number}, "
		  . FabricWire::bytea(
			FabricWire::message(map { [ 1, $_ ] } @forwarded, FabricWire::signed($honest)))
		  . ')';
		my ($output, $error);

		IPC::Run::run(
			[
				Fabric::Host::bindir() . '/psql',
				'-XqAt',
				'-d',
				"host=localhost port=$node->{port} dbname=fabric user=$org3->{role} sslmode=verify-full sslcert=$keys/tls.pem sslkey=$keys/tls.key sslrootcert=$keys/tlscas.pem"
			],
			'<',
			\$sql,
			'>',
			\$output,
			'2>',
			\$error);
		is($output, "t\n", "$node->{name} accepts the forwarded envelopes that can be ordered")
		  or diag($error);
		like(
			log_of($node),
			qr/consenter $org3->{number} of channel "trade" forwarded 3 envelopes that cannot be ordered/,
			"$node->{name} reports the forwarded envelopes that cannot be ordered");
	}
	is(code_of($honest), 'VALID', 'the correct envelope is committed');
	is( $org1->query(
			"SELECT count(*) FROM fabric.transactions WHERE channel = 'trade' AND tx_id = '$victim->{tx_id}'"
		),
		'0',
		'no transaction has used the id of the other client');
	$org1->query(submit_sql($victim));
	is(code_of($victim), 'VALID', 'the transaction of the other client is valid');
	is($org1->query("SELECT fabric.query('trade', 'book', 'get', 'bought')"),
		'yes', 'the transaction of the other client takes effect');
};

# the error of a call that only one organization executes
sub refused_at
{
	my ($node, $function, @arguments) = @_;

	return $org1->error_of("SELECT fabric.submit_transaction('trade', 'book', '$function', ARRAY["
		  . join(', ', map { literal($_) } @arguments)
		  . "]::text[], endorsing_orgs => ARRAY['$node->{msp_id}'])");
}

subtest 'errors of chaincode' => sub {
	foreach my $node ($org1, $org2)
	{
		my $place =
		  $node == $org1
		  ? 'organization Org1MSP'
		  : "organization Org2MSP, node \"localhost:$org2->{port}\"";
		my $lines =
		  qr/DETAIL:\s+a detail\n(\S+ )?HINT:\s+a hint\n.*CONTEXT:\s+PL\/pgSQL function inner_refuse\(text\) line 4 at RAISE\n\s*(SQL statement "SELECT inner_refuse\(words\)"\n\s*)?PL\/pgSQL function refuse\(text\) line 3 at PERFORM\n\s*chaincode "book", function "refuse", /s;

		log_of($_) foreach $org1, $org2;
		my $error = refused_at($node, 'refuse', 'because');
		like(
			$error,
			qr/ERROR:\s+U0042: no: because\n$lines$place \(SQLSTATE U0042\)\n/,
			"$node->{name}: the client gets message, detail, hint, context and place");
		unlike(
			$error,
			qr/chaincode "book".*chaincode "book"/s,
			"$node->{name}: the context has the place once");
		like(
			log_of($org1),
			qr/ERROR:\s+no: because\n.*$lines$place \(SQLSTATE U0042\)\n.*STATEMENT/s,
			"$node->{name}: the log has message, detail, hint, context and place");
		like(
			log_of($org2),
			qr/ERROR:\s+no: because\n.*${lines}organization Org2MSP \(SQLSTATE U0042\)\n/s,
			"$node->{name}: the log of the endorser has the error") if $node == $org2;

		# codes that a client would take for the state of its connection, session or transaction
		like(
			refused_at($node, 'raise', $_),
			qr/ERROR:\s+LF301: raised\nDETAIL:\s+Raised by chaincode "book" with SQLSTATE $_\./,
			"$node->{name}: $_ becomes LF301"
		) foreach '08006', 'LF409', 'LF503', '25P02', '26000', '0A000', '42501', '55P03';
		like(
			refused_at($node, 'raise', $_),
			qr/ERROR:\s+$_: raised\n.*\(SQLSTATE $_\)/s,
			"$node->{name}: $_ keeps its SQLSTATE") foreach 'P0001', '23505', '22012', 'AB123';
		like(
			refused_at($node, 'assert_that', 'false'),
			qr/ERROR:\s+LF301: not so\nDETAIL:.*SQLSTATE P0004/,
			"$node->{name}: a failed assertion can be caught by WHEN OTHERS");

		# built-in functions, whose arguments readers of the log must not see
		$error = refused_at($node, 'from_json', '{"a": "private words", ]');
		like(
			$error,
			qr/ERROR:\s+22P02: invalid input syntax for type json\n.*CONTEXT:\s+PL\/pgSQL function from_json\(text\) line 1 at RETURN\n\s*chaincode/s,
			"$node->{name}: the context has only functions");
		# lengths that another node chooses
		$error = refused_at($node, 'words', 20000);
		cmp_ok(length $error, '<', 20000, "$node->{name}: a long message is cut");
		my ($message) = $error =~ /ERROR:\s+P0001: (.*)/;
		utf8::encode($message) if utf8::is_utf8($message);
		is(length $message,
			8192, "$node->{name}: a long message has the size that other nodes and logs accept");
		ok(utf8::decode($message), "$node->{name}: a long message is cut between characters");
	}
	# the same through invoke and query, in an application's own function, which is in the context
	# too
	like(
		$org1->error_of("SELECT fabric.query('trade', 'book', 'refuse', 'because')"),
		qr/U0042: no: because.*line 4 at RAISE/s,
		'query reports the error with its line');
	is( $org1->query(
			<<'SQL'), "U0042/a detail/a hint", 'an application catches the error by its own SQLSTATE');
SET client_min_messages = error;
CREATE FUNCTION pg_temp.attempt() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	state text; detail text; hint text;
BEGIN
	PERFORM fabric.invoke('trade', 'book', 'refuse', 'because');
EXCEPTION WHEN SQLSTATE 'U0042' THEN
	GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, detail = PG_EXCEPTION_DETAIL,
		hint = PG_EXCEPTION_HINT;
	RETURN state || '/' || detail || '/' || hint;
END $$;
SELECT pg_temp.attempt();
SQL
};

subtest 'missing functions, chaincodes and channels' => sub {
	my $all =
	  'assert_that\(condition boolean\), from_json\(words text\), get\(key text\), inner_refuse\(words text\), put\(key text, value text\), raise\(state text\), refuse\(words text\), to_number\(words text, base integer DEFAULT 10\), words\(size integer\)';

	foreach my $node ($org1, $org2)
	{
		like(
			refused_at($node, 'putt', 'a', 'b'),
			qr/LF301: chaincode "book" has no function "putt"\nDETAIL:\s+Its functions are: $all\.\nHINT:\s+Perhaps you meant the function "put"\./,
			"$node->{name}: the error of an unknown function lists functions and the most similar one"
		);
		unlike(refused_at($node, 'something_else'),
			qr/HINT/, "$node->{name}: no function is proposed for a name unlike any other");
		like(
			refused_at($node, '_own'),
			qr/begin with an underscore.*The others are: $all\./s,
			"$node->{name}: the error of an internal function lists the others");
		like(
			refused_at($node, 'put', 'a'),
			qr/function "put" does not take 1 arguments\nDETAIL:\s+It takes 2: put\(key text, value text\)\./,
			"$node->{name}: the error of a wrong number of arguments has the function's arguments");
		like(
			refused_at($node, 'to_number', 'a', 'x'),
			qr/argument 2 of function "to_number" \("base"\) of type integer.*HINT:\s+The function is to_number\(words text, base integer DEFAULT 10\)\./s,
			"$node->{name}: the error of an argument's type has the function's arguments");
	}
	like(
		$org1->error_of("SELECT fabric.invoke('trade', 'books', 'get', 'a')"),
		qr/LF302: chaincode "books" is not defined on channel "trade"\nDETAIL:\s+Chaincodes of the channel: "book"\./,
		'the error of invoke for an unknown chaincode lists the chaincodes');
	like(
		$org1->error_of("SELECT fabric.query('trade', 'books', 'get', 'a')"),
		qr/LF302: .*\nDETAIL:\s+Chaincodes of the channel: "book"\./,
		'the error of query for an unknown chaincode lists the chaincodes');
	like(
		$org1->error_of("SELECT fabric.query('treade', 'book', 'get', 'a')"),
		qr/LF401: channel "treade" does not exist on this node\nDETAIL:\s+Channels of this node: "trade"\./,
		'the error of an unknown channel lists the channels');
};

done_testing();
