# The role of another organization's node, used by an attacker: with psql, and with messages of
# PostgreSQL's protocol that no client library sends. The role can call the functions of the
# interface between nodes, and nothing else; its connections, transactions and messages to the log
# are limited.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use FabricTest   qw(start_network fingerprints wait_until);
use Fabric::Host qw(slurp);
use Fabric::Psql qw(literal start_query finish_query);
use IO::Socket::UNIX;
use Test::More;

my $network = start_network(orgs => 2, orderers => 2, channel => 'trade');
my ($org1, $org2) = $network->nodes;
my $role = $org2->{role};
my $refused = qr/42501: .* not allowed in a session of another node/;

$network->deploy(
	'trade',
	'book',
	'CREATE FUNCTION put(key text, value text) RETURNS void LANGUAGE sql AS $$ SELECT put_state(key, value) $$;',
	policy => "AND('Org1MSP.peer', 'Org2MSP.peer')");

# ---- messages of the protocol, without a library ----

# a connection as this role over the unix socket, after authentication; a message instead of
# ReadyForQuery is in {error}
sub connect_raw
{
	my (%parameters) = @_;
	my $connection = $org1->connection;
	my $socket = IO::Socket::UNIX->new(Peer => "$connection->{host}/.s.PGSQL.$connection->{port}")
	  or die "could not connect: $!\n";
	my %all = (user => $role, database => 'fabric', %parameters);
	my $startup = pack('N', 196608) . join('', map { "$_\0$all{$_}\0" } sort keys %all) . "\0";

	print $socket pack('N', 4 + length $startup) . $startup;
	$socket->flush;
	return { socket => $socket, answer => read_answer($socket) };
}

# the texts of the messages up to ReadyForQuery, or up to the end of the connection
sub read_answer
{
	my ($socket) = @_;
	my $all = '';

	while (read($socket, my $head, 5) // 0)
	{
		my ($type, $size) = unpack('a N', $head);
		my $body = '';

		read($socket, $body, $size - 4) if $size > 4;
		$all .= "$type:" . ($body =~ s/\0/ /gr) . "\n";
		return $all if $type eq 'Z';
	}
	return "${all}closed\n";
}

sub message
{
	my ($type, $body) = @_;

	return $type . pack('N', 4 + length $body) . $body;
}

sub send_raw
{
	my ($connection, @messages) = @_;

	local $SIG{PIPE} = 'IGNORE';
	$connection->{socket}->print(@messages);
	$connection->{socket}->flush;
}

sub ask_raw
{
	my ($connection, @messages) = @_;

	send_raw($connection, @messages);
	return read_answer($connection->{socket});
}

sub parse   { return message('P', "$_[1]\0$_[0]\0" . pack('n', 0)) }
sub bind_to { return message('B', "$_[1]\0$_[0]\0" . pack('n n n', 0, 0, 0)) }
my $sync = message('S', '');
my $flush = message('H', '');

# ---- an open transaction is terminated; the other tests of this file run meanwhile ----

my $call = "SELECT fabric_internal.raft_receive('trade', 2, '\\x')";
my @open = map {
	connect_raw(
		options => '-c idle_in_transaction_session_timeout=0 -c statement_timeout=0',
		application_name => "open $_")
} 1 .. 3;
send_raw($open[0], parse($call, 's'), bind_to('s', 'p'), $flush);
send_raw($open[1], parse($call, 's'), $flush);
# bind again, with the plan of the first time
ask_raw($open[2], parse($call, 's'), bind_to('s', 'p'), $sync);
send_raw($open[2], bind_to('s', 'p'), $flush);
my $open_since = time;
my $open_sessions =
  "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'open %' AND xact_start IS NOT NULL";
ok( wait_until(sub { $org1->query($open_sessions) == 3 }),
	'messages of the protocol can leave transactions open');

subtest 'statements of the role' => sub {
	my @statements = (
		# catalogs, sources, settings
		'SELECT 1', 'SELECT current_user', 'VALUES (1)', 'TABLE pg_class',
		"SELECT prosrc FROM pg_proc WHERE proname = 'put'", 'SHOW work_mem',
		"SELECT fabric.version()", 'SELECT * FROM fabric.channels',
		'SELECT * FROM fabric.stat_workers', "SELECT source FROM fabric.package_info('\\x')",
		# locks, waits, transactions
		'SELECT pg_advisory_lock(1)',
		'SELECT pg_advisory_xact_lock(g) FROM generate_series(1, 100000) g',
		'SELECT pg_sleep(1000)',
		'BEGIN', 'START TRANSACTION ISOLATION LEVEL SERIALIZABLE', 'COMMIT', 'ROLLBACK',
		'SAVEPOINT a', "PREPARE TRANSACTION 'a'",
		'LOCK TABLE fabric_internal.block IN ACCESS SHARE MODE',
		'SELECT * FROM pg_class FOR UPDATE', "SELECT pg_export_snapshot()",
		# its own role and session
		"ALTER ROLE $role SET search_path = public", "ALTER ROLE $role PASSWORD 'x'",
		"ALTER ROLE CURRENT_USER SET work_mem = '1GB'", 'SET work_mem = 64',
		'SET LOCAL search_path = public', "SELECT set_config('work_mem', '64', false)",
		'RESET ALL', 'DISCARD ALL',
		'SET ROLE fabric_node', 'SET SESSION AUTHORIZATION DEFAULT',
		# lasting objects, notifications, functions that run code
		'CREATE TEMP TABLE t (a int)', 'CREATE TABLE public.t (a int)',
		'SELECT 1 AS a INTO TEMP t', 'CREATE TEMP SEQUENCE s', 'SELECT lo_create(0)',
		'DO $$ BEGIN END $$', 'COPY (SELECT 1) TO STDOUT', 'COPY pg_class FROM STDIN', 'LISTEN a',
		'NOTIFY a', 'UNLISTEN *', "SELECT pg_notify('a', 'b')",
		'PREPARE a AS SELECT 1', "PREPARE a AS $call", 'EXECUTE a', 'DEALLOCATE ALL',
		"DECLARE c CURSOR WITH HOLD FOR $call", 'FETCH c', "EXPLAIN ANALYZE $call", 'VACUUM',
		'ANALYZE', 'CHECKPOINT', 'CLUSTER', "LOAD 'plpgsql'",
		'REASSIGN OWNED BY CURRENT_USER TO postgres', 'COMMENT ON DATABASE fabric IS NULL',
		# a function of the interface, with something else in the statement
		"SELECT fabric_internal.raft_receive('trade', 2, '\\x'), pg_sleep(1000)",
		"SELECT fabric_internal.raft_receive('trade', 2, '\\x') FROM pg_class",
		"SELECT fabric_internal.raft_receive('trade', 2, '\\x') WHERE pg_sleep(1000) IS NULL",
		"SELECT fabric_internal.raft_receive(current_user, 2, '\\x')",
		"SELECT fabric_internal.raft_receive((SELECT 'trade'), 2, '\\x')",
		"SELECT fabric_internal.raft_receive('trade', pg_advisory_lock(1)::text::int, '\\x')",
		"SELECT fabric_internal.raft_receive('trade', 2, '\\x') LIMIT pg_backend_pid()",
		"SELECT fabric_internal.raft_receive('trade', 2, '\\x') ORDER BY 1",
		"SELECT DISTINCT fabric_internal.raft_receive('trade', 2, '\\x')",
		"SELECT NOT fabric_internal.raft_receive('trade', 2, '\\x')",
		"SELECT fabric_internal.raft_receive('trade', 2, '\\x') UNION ALL SELECT true",
		"WITH a AS (SELECT pg_sleep(1000)) SELECT fabric_internal.raft_receive('trade', 2, '\\x')",
		"SELECT r, r FROM fabric_internal.raft_receive('trade', 2, '\\x') r",
		"SELECT * FROM fabric_internal.raft_receive('trade', 2, '\\x') WITH ORDINALITY",
		"SELECT r FROM fabric_internal.raft_receive('trade', 2, '\\x') r, pg_sleep(1000)",
		"SELECT * FROM ROWS FROM (fabric_internal.raft_receive('trade', 2, '\\x'), pg_sleep(1000)) r",
		"SELECT r FROM fabric_internal.raft_receive('trade', 2, '\\x') r WHERE pg_sleep(1000) IS NULL",
		"SELECT count(*) FROM fabric_internal.raft_receive('trade', 2, '\\x')",
		'SELECT * FROM fabric_internal.stat_orderer()',
		"SELECT fabric_internal.raft_receive('trade', (2.5)::numeric::int8, '\\x')");

	like($org1->error_of($_, user => $role), $refused, $_) foreach @statements;
	like(
		$org1->error_of($call, user => $role),
		qr/LF203: .*no TLS client certificate/,
		'the role can call the function of the interface, which checks its arguments');
	like(
		$org1->error_of(
			"SELECT response, height FROM fabric_internal.endorse('\\x', 0, 0)",
			user => $role),
		qr/LF\d\d\d/,
		'the role can call a function of the interface in FROM');
	like(
		$org1->error_of('SELECT 1', user => $role),
		qr/Role "$role" is a member of fabric_node.*HINT:  Connect as another role/s,
		'the error says which role is restricted, and has a hint');
	is( $org1->query(
			"SELECT rolpassword IS NULL AND NOT EXISTS (SELECT FROM pg_db_role_setting WHERE setrole = pg_authid.oid) FROM pg_authid WHERE rolname = '$role'"
		),
		't',
		"the role's password and settings did not change");
	is( $org1->query(
			"SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE a.usename = '$role' AND (l.locktype = 'advisory' OR a.application_name LIKE 'open %' AND l.locktype = 'relation')"
		),
		'0',
		'no statement left a lock behind');
	is($org1->query('SELECT count(*) FROM pg_largeobject_metadata'),
		'0', 'no statement left a large object behind');
};

subtest 'protocol messages of the role' => sub {
	my $session = connect_raw();
	my %oid =
	  map { ($_ => $org1->query("SELECT '$_'::regprocedure::oid")) } 'pg_advisory_lock(bigint)',
	  'lo_create(oid)', 'fabric_internal.raft_receive(text, bigint, bytea)', 'pg_backend_pid()';

	like($session->{answer}, qr/^Z:I$/m, 'the role logs in');
	like(
		ask_raw($session, message('Q', "$_\0")),
		qr/C42501 .*not allowed in a session of another node/,
		"a simple query is refused: $_") foreach 'SELECT 1', 'BEGIN', "SELECT 1; $call";
	like(ask_raw($session, message('Q', "\0")), qr/^I:/m, 'an empty query is allowed');
	foreach my $statement (
		'SELECT pg_advisory_lock(1)',
		'BEGIN',
		'SELECT $1::text',
		"COPY (SELECT 1) TO STDOUT",
		"SET work_mem = '1GB'",
		'DECLARE c CURSOR FOR SELECT 1')
	{
		like(
			ask_raw(
				$session,
				parse($statement, 'a'),
				bind_to('a', ''),
				message('E', "\0" . pack('N', 0)), $sync),
			qr/E:.*C42501 .*not allowed in a session of another node.*\nZ:I/,
			"an extended query is refused: $statement");
		like(ask_raw($session, bind_to('a', ''), $sync),
			qr/C26000 /, 'the refused statement is not kept');
	}
	my $call_function = sub {
		my ($oid, @arguments) = @_;
		return message('F',
				pack('N n n n', $oid, 1, 1, scalar @arguments)
			  . join('', map { pack('N', length $_) . $_ } @arguments)
			  . pack('n', 1));
	};
	like(
		ask_raw($session, $call_function->($oid{'pg_advisory_lock(bigint)'}, pack('q>', 7))),
		qr/C42501 .*a function call without a statement is not allowed/,
		'a function call of pg_advisory_lock is refused');
	like(ask_raw($session, $call_function->($oid{'lo_create(oid)'}, pack('N', 0))),
		qr/C42501 /, 'a function call of lo_create is refused');
	like(ask_raw($session, $call_function->($oid{'pg_backend_pid()'})),
		qr/C42501 /, 'a function call of any other function is refused');
	like(
		ask_raw(
			$session,
			$call_function->(
				$oid{'fabric_internal.raft_receive(text, bigint, bytea)'}, 'trade',
				pack('q>', 2), 'R')),
		qr/C42501 /,
		"a function call of the interface's function is refused");
	# spelled as in the source
	my @interface = slurp("$FindBin::Bin/../src/server/wire/remote.c") =~ /\.sql = "([^"]+)"/g;
	cmp_ok(scalar(@interface), '>=', 5, 'the statements of the interface are found in the source');
	like(ask_raw($session, parse($_, ''), $sync), qr/^1:\nZ:I/, $_) foreach @interface;
	like(
		ask_raw(
			$session,
			parse($call, 'good'),
			bind_to('good', ''),
			message('E', "\0" . pack('N', 0)), $sync),
		qr/CLF203 /,
		'the role can execute a statement of the interface');
	is($org1->query("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"),
		'0', 'no refused message left a lock behind');
	is($org1->query('SELECT count(*) FROM pg_largeobject_metadata'),
		'0', 'no refused message left a large object behind');
	unlike(connect_raw(database => $_)->{answer},
		qr/^Z:/m, "the role cannot connect to database $_")
	  foreach 'postgres', 'template1';
	like(
		connect_raw(database => 'postgres')->{answer},
		qr/FATAL .*C42501 .*node role "$role" cannot connect to database "postgres"/,
		'the error names the role and the database');
	$org1->query("ALTER ROLE $role REPLICATION");
	like(
		connect_raw(replication => $_)->{answer},
		qr/FATAL .*C42501 .*node role "$role" cannot connect for replication/,
		"the role cannot connect with replication = $_") foreach 'true', 'database';
	$org1->query("ALTER ROLE $role NOREPLICATION");
	my $size = -s $org1->cluster->logfile;
	my $settled = connect_raw(
		options => '-c debug_print_parse=on -c debug_print_plan=on',
		debug_print_rewritten => 'on',
		application_name => 'settled');
	like(ask_raw($settled, message('Q', "$call\0")),
		qr/CLF203 /, 'a connection with options is accepted');
	unlike(
		substr(slurp($org1->cluster->logfile), $size),
		qr/parse tree|:querySource/,
		'options of the connection have no effect');
	is($org1->query("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'settled'"),
		'1', 'application_name of the connection has an effect');
};

subtest 'restricted roles' => sub {
	$org1->query(
		'CREATE ROLE nodes_of_a_group IN ROLE fabric_node; CREATE ROLE indirect LOGIN IN ROLE nodes_of_a_group; CREATE ROLE also_client LOGIN IN ROLE fabric_node, fabric_client;'
		  . 'CREATE ROLE administrator LOGIN IN ROLE fabric_node, fabric_admin; CREATE ROLE owner LOGIN SUPERUSER IN ROLE fabric_node; CREATE ROLE plain LOGIN'
	);
	like($org1->error_of('SELECT 1', user => $_), $refused, "role $_ is restricted")
	  foreach 'indirect', 'also_client';
	is($org1->error_of('SELECT 1', user => $_), '', "role $_ is not restricted")
	  foreach 'administrator', 'owner', 'plain';
	is( $org1->error_of(
			"SET ROLE $role; SELECT 1; RESET ROLE; SET SESSION AUTHORIZATION $role; SELECT 1"),
		'',
		'a superuser that sets the role is not restricted');
	$org1->query('DROP ROLE nodes_of_a_group, indirect, also_client, administrator, owner, plain');
};

sub log_from
{
	return substr slurp($org1->cluster->logfile), $_[0];
}

subtest 'messages in the log' => sub {
	my $size = -s $org1->cluster->logfile;
	my $statements = join '', map { "SELECT $_;\n" } 1 .. 1500;
	my (undef, $errors) = $org1->try_query("\\unset ON_ERROR_STOP\n$statements", user => $role);
	my $count = () = $errors =~ /not allowed in a session/g;

	is($count, 1500, 'the client gets an error for each of 1500 statements');
	# the limit of a session is that of its role
	$org1->error_of('SELECT 1', user => $role) foreach 1 .. 20;
	my $logged = () = log_from($size) =~ /not allowed in a session/g;
	cmp_ok($logged, '<', 400, 'the log has only some of the errors') or diag($logged);
	unlike(log_from($size), qr/STATEMENT:/, 'the log does not have the statements');
	ok( wait_until(
			sub {
				$org1->error_of('SELECT 1', user => $role);
				log_from($size) =~
				  /LOG:  \d+ messages of sessions of node role "$role" were not logged/;
			}),
		'the log says how many messages it omits');
	$size = -s $org1->cluster->logfile;
	my $long = 'x' x 1_000_000;
	my $answer;
	ok( wait_until(
			sub {
				$answer = ask_raw(connect_raw(),
					message('Q', "SELECT fabric_internal.raft_receive('trade', '$long', '')\0"));
				log_from($size) =~ /x{100}/;
			}),
		'the log gets a long error');
	cmp_ok(length log_from($size), '<', 10_000, 'the log gets only the beginning of a long error');
	like($answer, qr/"$long"/, 'the client gets the whole text of a long error');
};

subtest 'limits of the connections of nodes' => sub {
	my @sessions;

	# half of 60 - 3, for the only other node
	while (@sessions < 60)
	{
		my $session = connect_raw();
		push @sessions, $session;
		last if $session->{answer} !~ /^Z:/m;
	}
	like(
		$sessions[-1]{answer},
		qr/FATAL .*C53300 .*too many connections for node role "$role"/,
		'connections of the role are refused beyond a limit');
	cmp_ok($org1->query("SELECT count(*) FROM pg_stat_activity WHERE usename = '$role'"),
		'<=', 28, 'the role has at most half of all connections');
	$org1->query('CREATE ROLE plain LOGIN');
	is($org1->error_of('SELECT 1', user => 'plain'), '', 'another role can connect');
	$org1->query('ALTER SYSTEM SET fabric.node_connections = 9');
	$org1->reload;
	@sessions = ();
	ok( wait_until(
			sub {
				$org1->query("SELECT count(*) FROM pg_stat_activity WHERE usename = '$role'") < 9;
			}),
		'the sessions have ended');
	ok( wait_until(
			sub {
				log_from(0) =~
				  /LOG:  1 other nodes: each may have 9 connections, and 6 are reserved/;
			}),
		'the log has the limits after fabric.node_connections is set');
	push @sessions, connect_raw()
	  until @sessions > 9 || @sessions && $sessions[-1]{answer} !~ /^Z:/m;
	like(
		$sessions[-1]{answer},
		qr/53300 .*The role of another node may have 9 connections\. .*fabric\.node_connections/,
		'connections beyond fabric.node_connections are refused');
	$org1->query('ALTER SYSTEM SET fabric.node_connections = 3');
	$org1->reload;
	ok( wait_until(
			sub {
				log_from(0) =~
				  /WARNING:  fabric\.node_connections is too low for 1 channels.*DETAIL:  Each other node needs 6 connections to take part, and may have 3\..*HINT:  Raise fabric\.node_connections/s;
			}),
		'the log warns of a limit that is too low');
	$org1->query('ALTER SYSTEM RESET fabric.node_connections');
	$org1->reload;
	@sessions = ();
	ok( wait_until(
			sub {
				$org1->query("SELECT count(*) FROM pg_stat_activity WHERE usename = '$role'") < 9;
			}),
		'the sessions have ended');
};

subtest 'reserved connections of several nodes' => sub {
	my @roles = map { "fabric_node_other$_" } 1 .. 4;

	# 57 / 2 / 5
	$org1->query(join '; ', map { "CREATE ROLE $_ LOGIN IN ROLE fabric_node" } @roles);
	ok( wait_until(
			sub {
				log_from(0) =~
				  /LOG:  5 other nodes: each may have 6 connections, and 5 are reserved.*WARNING:  max_connections is too low for 5 other nodes and 1 channels.*HINT:  Raise max_connections to 63 at least/s;
			}),
		'the log warns if max_connections is too low for the nodes');
	$org1->query("DROP ROLE @{[ join ', ', @roles[1 .. 3] ]}");
	ok( wait_until(
			sub {
				log_from(0) =~
				  /LOG:  2 other nodes: each may have 14 connections, and 6 are reserved/;
			}),
		'each node may have more connections when there are fewer nodes');
	# the first node takes as many as it can, then the applications
	my @sessions = connect_raw();
	push @sessions, connect_raw() while $sessions[-1]{answer} =~ /^Z:/m;
	like(
		$sessions[-1]{answer},
		qr/too many connections for node role "$role"/,
		'one node cannot take more connections than its limit');
	push @sessions, connect_raw(user => 'plain');
	push @sessions, connect_raw(user => 'plain') while $sessions[-1]{answer} =~ /^Z:/m;
	like(
		$sessions[-1]{answer},
		qr/remaining connection slots are reserved/,
		'applications cannot take the reserved connections');
	my @other = map { connect_raw(user => $roles[0]) } 1 .. 6;
	is(scalar(grep { $_->{answer} =~ /^Z:/m } @other),
		6, 'another node gets its reserved connections');
	is($org1->query('SELECT 1'), '1', 'a superuser can connect');
	$_->{socket}->close foreach @sessions, @other;
	ok( wait_until(
			sub {
				$org1->query(
					"SELECT count(*) FROM pg_stat_activity WHERE usename IN ('$role', 'plain', '$roles[0]')"
				) < 9;
			}),
		'the sessions have ended');
	$org1->query("DROP ROLE $roles[0]");
};

subtest 'limits of memory' => sub {
	my $session = connect_raw(application_name => 'memory');
	my $pid = $org1->query("SELECT pid FROM pg_stat_activity WHERE application_name = 'memory'");
	my ($limit) = slurp("/proc/$pid/limits") =~ /^Max data size\s+(\d+)/m;

	is( $limit,
		(1024 + 300) * 1024 * 1024,
		'a session may use the memory of chaincode and of three messages');
	# a statement keeps its text
	my $comment = 'x' x 4_000_000;
	my $answer = '';
	my $count = 0;
	for (; $count < 200 && $answer !~ /closed/ ; $count++)
	{
		$answer = ask_raw($session, parse("/* $comment */ $call", "s$count"), $sync);
	}
	like(
		$answer,
		qr/FATAL .*C54000 .*too many prepared statements/,
		'a session is ended if it has too many prepared statements');
	cmp_ok($count, '>', 10, 'the limit of prepared statements is higher than a node needs');
};

subtest 'timers of sockets' => sub {
	my $port = sprintf '%04X', $org1->{port};
	my $sessions =
	  "SELECT count(*) FROM pg_stat_activity WHERE usename = '$role' AND client_addr IS NOT NULL";

	ok(wait_until(sub { $org1->query($sessions) > 0 }), 'the other node is connected');
	# local address, remote address, state (01: established), queues, which timer runs (02:
	# keep-alive), and in how many hundredths of a second it ends
	my @timers =
	  map { /^\s*\d+: \S+:$port \S+ 01 \S+ ([0-9A-F]{2}):([0-9A-F]{8})/ ? [ hex $1, hex $2 ] : () }
	  map { split /\n/, slurp($_) } '/proc/net/tcp', '/proc/net/tcp6';
	cmp_ok(scalar(@timers), '>', 0, 'the sessions of the other node have sockets');
	is(scalar(grep { $_->[0] == 0 } @timers), 0, 'each socket has a timer');
	is(scalar(grep { $_->[0] == 2 && $_->[1] > 600 } @timers),
		0, 'each keep-alive timer ends within seconds');
};

subtest 'applications that take all connections' => sub {
	my @sessions;

	ok( wait_until(
			sub {
				log_from(0) =~
				  /LOG:  1 other nodes: each may have 28 connections, and 6 are reserved.*LOG:  2 other nodes.*LOG:  1 other nodes: each may have 28 connections/s;
			}),
		'the limits are those of one other node again');
	while (@sessions < 60)
	{
		my $session = connect_raw(user => 'plain');
		push @sessions, $session;
		last if $session->{answer} !~ /^Z:/m;
	}
	like(
		$sessions[-1]{answer},
		qr/FATAL .*C53300 .*remaining connection slots are reserved for the nodes of other organizations/,
		'applications are refused beyond the reserved connections');
	cmp_ok(scalar(@sessions), '>', 40, 'applications get all connections that are not reserved');
	is($org1->query('SELECT 1'), '1', 'a superuser can connect');
	# the other node must connect again, with its orderer, its ledger and its relay
	$org1->query(
		"SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = '$role' AND application_name NOT LIKE 'open %'"
	);
	like(connect_raw(user => 'plain')->{answer},
		qr/53300/, 'no application takes the reserved connections');
	is(($org2->try_query("SELECT fabric.invoke('trade', 'book', 'put', 'full', 'yes')"))[2],
		0, 'a transaction of the other node, which this node endorses and orders, is committed');
	is(scalar(fingerprints($network, 'trade')), 1, 'both nodes have the same ledger');
	like($org1->error_of('SELECT 1', user => 'plain'),
		qr/53300|reserved/, 'applications are still refused');
	$_->{socket}->close foreach @sessions;
	ok(wait_until(sub { $org1->error_of('SELECT 1', user => 'plain') eq '' }),
		'applications can connect after the sessions end');
};

ok(wait_until(sub { $org1->query($open_sessions) == 0 }), 'the open transactions are ended');
like(
	read_answer($open[0]{socket}),
	qr/FATAL .*C25P03 .*idle-in-transaction timeout/,
	'the error says that the transaction was idle');
cmp_ok(time - $open_since, '>=', 25, 'the open transactions are not ended too early');
is($org2->error_of("SELECT fabric.invoke('trade', 'book', 'put', 'end', 'yes')"),
	'', 'the network commits transactions');
done_testing();
