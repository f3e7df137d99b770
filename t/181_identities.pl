# The identity that signs. A connection that a pooler shares between clients never signs as one that
# another client chose or opened: ambiguous cases are refused, and the documented way works through
# a real PgBouncer in transaction mode. Opened identities are closed at the end of the transaction;
# in sessions declared as not shared, by RESET ALL, DISCARD ALL and a change of the session user.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use FabricTest;
use Fabric::Host qw(bindir free_port spew slurp);
use Fabric::Psql qw(literal);
use IPC::Run;
use Test::More;

my $network = FabricTest::start_network(
	orgs => 1,
	orderers => 1,
	channel => 'trade',
	profile => { batch_timeout => '50ms' });
my ($org1) = $network->nodes;

$network->deploy('trade', 'book', <<'SQL', policy => "'Org1MSP.peer'" =~ s/^(.*)$/OR($1)/r);
CREATE FUNCTION who() RETURNS text
	LANGUAGE sql AS $$ SELECT substring(convert_from(decode(fabric.get_client_id(), 'base64'), 'UTF8')
	FROM 'CN=([a-z]+)') $$;
CREATE FUNCTION sign(key text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	PERFORM fabric.put_state(key, who());
	RETURN who();
END $$;
SQL

$org1->query("SELECT fabric.ca_create('ca.app', 'AppMSP')");
$org1->query("CREATE ROLE $_ LOGIN IN ROLE fabric_client")
  foreach 'app', 'single', 'settled', 'other';
foreach my $label ('alice', 'bob', 'carol', 'dave')
{
	my $key = $org1->path("$label.key");

	Fabric::Pki::create_key($key);
	my $certificate = $network->enroll($org1, $label, 'client', $key);
	my $passphrase = $label eq 'carol' ? ", 'the words of carol'" : '';
	$org1->query("SELECT fabric.add_identity('$label', 'Org1MSP', "
		  . literal($certificate) . ', '
		  . literal(slurp($key))
		  . "$passphrase)");
}
$org1->query("SELECT fabric.grant_identity('$_->[0]', '$_->[1]')")
  foreach [ alice => 'app' ], [ bob => 'app' ], [ carol => 'app' ], [ carol => 'other' ],
  [ dave => 'single' ], [ alice => 'settled' ], [ bob => 'settled' ];
$org1->query("ALTER ROLE settled SET fabric.identity = 'bob'");

my $WHO = "SELECT fabric.query('trade', 'book', 'who')";
is( $org1->query(
		"SELECT convert_from(fabric.evaluate_transaction('trade', 'book', 'who', identity => '$_'), 'UTF8')"
	),
	$_,
	"the chaincode sees that $_ signed") foreach 'alice', 'bob', 'dave';

# ---- a client that stays connected ----

package Client
{

	sub new
	{
		my ($class, $host, $port, $user, $options) = @_;
		my $self = bless { input => '', output => '', number => 0 }, $class;

		local %ENV = map { /^PG/ ? () : ($_ => $ENV{$_}) } keys %ENV;
		$ENV{PGOPTIONS} = $options if defined $options;
		$self->{psql} = IPC::Run::start(
			[
				Fabric::Host::bindir() . '/psql',
				'-XqAt', '-v', 'VERBOSITY=verbose', '-h', $host, '-p', $port, '-U', $user, '-d',
				'fabric'
			],
			'<',
			\$self->{input},
			'>',
			\$self->{output},
			'2>&1',
			IPC::Run::timeout(120));
		return $self;
	}

	# the output of psql, with errors
	sub run
	{
		my ($self, $sql) = @_;
		my $end = 'end of ' . ++$self->{number};

		$self->{output} = '';
		$self->{input} .= "$sql;\n\\echo $end\n";
		$self->{psql}->pump until $self->{output} =~ /^$end$/m;
		return $self->{output} =~ s/^$end\n//mr =~ s/\n\z//r;
	}

	sub end
	{
		my ($self) = @_;

		$self->{psql}->finish;
	}
}

package main;

sub direct
{
	my ($user, $options) = @_;

	return Client->new($org1->cluster->host, $org1->{port}, $user, $options);
}

my $NOT_CHOSEN =
  qr/LF108: identity "\w+" was not chosen in this transaction.*DETAIL:.*HINT:.*SET LOCAL.*fabric\.session_identity/s;

# ---- PgBouncer, whose one connection all clients share ----

my $pool = $org1->path('pool');
my $pool_port = free_port(53000 + $$ % 1000);
mkdir $pool or die "could not make $pool: $!\n";
spew("$pool/users", join '', map { qq("$_" ""\n) } 'app', 'single', 'settled');
spew("$pool/pgbouncer.ini", <<"INI");
[databases]
fabric = host=${\$org1->cluster->host} port=$org1->{port} dbname=fabric
[pgbouncer]
listen_addr =
listen_port = $pool_port
unix_socket_dir = $pool
auth_type = trust
auth_file = $pool/users
pool_mode = transaction
default_pool_size = 1
max_client_conn = 20
logfile = $pool/log
pidfile = $pool/pid
INI
my ($bouncer) = grep { -x $_ } map { "$_/pgbouncer" } '/usr/sbin', split /:/, $ENV{PATH};
die "pgbouncer is missing; tools/setup installs it\n" unless $bouncer;
my $pooler = IPC::Run::start([ $bouncer, "$pool/pgbouncer.ini" ],
	'<', \undef, '>', '/dev/null', '2>', '/dev/null');
FabricTest::wait_until(sub { -S "$pool/.s.PGSQL.$pool_port" })
  or die "PgBouncer did not start:\n" . slurp("$pool/log");

sub pooled
{
	my ($user) = @_;

	return Client->new($pool, $pool_port, $user);
}

subtest 'two clients of a pooler' => sub {
	my %client = map { ($_ => pooled('app')) } 'alice', 'bob';
	my %pids = map { ($_->run('SELECT pg_backend_pid()') => 1) } values %client;
	my %ways = (
		'SET LOCAL' => sub { "BEGIN;\nSET LOCAL fabric.identity = '$_[0]';\n$WHO;\nCOMMIT" },
		'SET in a transaction block' =>
		  sub { "BEGIN;\nSET fabric.identity = '$_[0]';\n$WHO;\nCOMMIT" },
		'one string of statements' => sub { "SET fabric.identity = '$_[0]'\\; $WHO" },
		'the argument' => sub {
			"SELECT convert_from(fabric.evaluate_transaction('trade', 'book', 'who', identity => '$_[0]'), 'UTF8')";
		});

	is(scalar keys %pids, 1, 'all clients share one connection');
	foreach my $way (sort keys %ways)
	{
		my %answers;

		foreach my $round (1 .. 50)
		{
			$answers{$_}{ $client{$_}->run($ways{$way}->($_)) }++ foreach 'alice', 'bob';
		}
		is_deeply($answers{$_}, { $_ => 50 }, "$way: every call of ${_}'s is signed by $_")
		  foreach 'alice', 'bob';
	}
	# the same for calls that are ordered
	foreach my $round (1 .. 3)
	{
		foreach my $label ('alice', 'bob')
		{
			is( $client{$label}->run(
					"SELECT convert_from(payload, 'UTF8'), validation_code FROM fabric.submit_transaction('trade', 'book', 'sign', ARRAY['a-$label-$round'], identity => '$label')"
				),
				"$label|VALID",
				"submit_transaction as $label");
			is( $client{$label}->run(
					"BEGIN;\nSET LOCAL fabric.identity = '$label';\nSELECT fabric.invoke('trade', 'book', 'sign', 'b-$label-$round');\nCOMMIT"
				),
				$label,
				"invoke as $label");
		}
	}

	# a SET that a client leaves behind chooses for no client, not even for the one that made it
	my (%refused, @wrong);
	foreach my $round (1 .. 50)
	{
		$client{$_}->run("SET fabric.identity = '$_'") foreach 'alice', 'bob';
		foreach my $label ('alice', 'bob')
		{
			my $answer = $client{$label}->run($WHO);

			$answer =~ $NOT_CHOSEN ? $refused{$label}++ : push @wrong, $answer;
		}
	}
	is_deeply(
		\%refused,
		{ alice => 50, bob => 50 },
		'a SET outside of a transaction is refused when the identity is used'
	) or diag("@wrong[0 .. 3]");
	# it does not disturb a client that chooses
	is($client{alice}->run("BEGIN;\nSET LOCAL fabric.identity = 'alice';\n$WHO;\nCOMMIT"),
		'alice', 'SET LOCAL overrides a setting of another transaction');
	like($client{bob}->run($WHO),
		$NOT_CHOSEN, 'a setting of another transaction is refused again afterwards');
	like(
		$client{bob}->run('SET fabric.session_identity = on'),
		qr/22023: parameter "fabric.session_identity" cannot be changed in a session/,
		'a client cannot declare the connection as not shared');

	# an opened identity is not left behind for the next client
	is( $client{alice}->run(
			"BEGIN;\nSET LOCAL fabric.identity = 'carol';\nSELECT fabric.open_identity('carol', 'the words of carol') IS NULL;\n$WHO;\nCOMMIT"
		) =~ s/^\w\n//r,
		'carol',
		'an identity can be opened and used in one transaction');
	like(
		$client{bob}->run("BEGIN;\nSET LOCAL fabric.identity = 'carol';\n$WHO"),
		qr/LF108: the key of identity "carol" is encrypted and not opened in this transaction.*HINT:.*fabric\.open_identity/s,
		'an opened identity is closed for the next client');
	$client{bob}->run('ROLLBACK');
	$_->end foreach values %client;

	# the role has only one identity, or its owner has chosen
	my ($single, $settled) = (pooled('single'), pooled('settled'));
	is($single->run($WHO), 'dave', 'the only identity of a role needs no choice');
	$single->run("SET fabric.identity = 'dave'");
	is($single->run($WHO), 'dave',
		'the only identity of a role can be named outside of a transaction');
	is($settled->run($WHO), 'bob', 'ALTER ROLE chooses for all sessions of the role');
	$_->end foreach $single, $settled;
};

$pooler->signal('INT');
$pooler->finish;

subtest 'direct connections' => sub {
	my $client = direct('app');

	like(
		$client->run($WHO),
		qr/LF108: several identities are granted to this role/,
		'a role with several identities has to choose one');
	$client->run("SET fabric.identity = 'alice'");
	like($client->run($WHO), $NOT_CHOSEN,
		'a SET outside of a transaction is refused on a direct connection');
	$client->end;

	$client = direct('app', "-c fabric.identity=alice");
	is($client->run($WHO), 'alice', 'the options of the connection choose for the session');
	is($client->run("BEGIN;\nSET LOCAL fabric.identity = 'bob';\n$WHO;\nROLLBACK;\n$WHO"),
		"bob\nalice", 'SET LOCAL chooses for one transaction');
	$client->end;

	$client = direct('app', '-c fabric.session_identity=on');
	$client->run("SET fabric.identity = 'alice'");
	is($client->run($WHO), 'alice', 'SET chooses for a session that is declared as not shared');
	$client->run("SET fabric.identity = 'bob'");
	is($client->run($WHO), 'bob', 'SET can choose another identity in such a session');
	$client->end;
};

subtest 'opened identities' => sub {
	my $open = "SELECT fabric.open_identity('carol', 'the words of carol') IS NULL";
	my $as_carol =
	  "SELECT convert_from(fabric.evaluate_transaction('trade', 'book', 'who', identity => 'carol'), 'UTF8')";
	my $closed = qr/LF108: the key of identity "carol" is encrypted and not opened in this session/;
	my $client = direct('app', '-c fabric.session_identity=on');

	$client->run($open);
	is($client->run($as_carol), 'carol', 'an opened identity can be used in the session');
	is($client->run('SHOW fabric.identity_opened'),
		'on', 'fabric.identity_opened shows that an identity is opened');
	foreach my $end (
		'DISCARD ALL',
		'RESET ALL',
		'RESET fabric.identity_opened',
		"SELECT fabric.close_identity('carol')",
		'SET fabric.identity_opened = off')
	{
		$client->run($open);
		is($client->run($as_carol), 'carol', 'an identity can be opened again');
		$client->run($end);
		like($client->run($as_carol), $closed, "$end closes the identity");
	}
	$client->run("BEGIN;\n$open;\nROLLBACK");
	like($client->run($as_carol),
		$closed, 'a rollback closes an identity that the transaction opened');
	$client->end;

	# the session user changes, and changes back
	$client = direct($org1->connection->{user}, '-c fabric.session_identity=on');
	foreach my $change ('SET SESSION AUTHORIZATION other',
		"SELECT set_config('session_authorization', 'other', false) IS NULL")
	{
		$client->run("SET SESSION AUTHORIZATION app;\n$open");
		is($client->run($as_carol),
			'carol', 'an identity can be opened after SET SESSION AUTHORIZATION');
		$client->run($change);
		like($client->run($as_carol),
			$closed, "another session user cannot use the identity, set by $change");
		$client->run('SET SESSION AUTHORIZATION app');
		like($client->run($as_carol),
			$closed, 'the first session user cannot use the identity when it is set again');
		$client->run("$open;\nRESET SESSION AUTHORIZATION;\nSET SESSION AUTHORIZATION app");
		like($client->run($as_carol), $closed,
			'the identity is closed when no statement ran between two changes of the session user');
		$client->run("$open;\nBEGIN;\nSET LOCAL SESSION AUTHORIZATION other");
		like($client->run($as_carol),
			$closed, 'another session user cannot use the identity within a transaction');
		$client->run("ROLLBACK;\nRESET SESSION AUTHORIZATION");
	}
	$client->end;

	# another current role has the grant, but not the passphrase
	$org1->query(<<'SQL');
GRANT other TO app;
CREATE FUNCTION public.as_other() RETURNS text
	LANGUAGE sql SECURITY DEFINER AS $$
	SELECT convert_from(fabric.evaluate_transaction('trade', 'book', 'who', identity => 'carol'), 'UTF8') $$;
ALTER FUNCTION public.as_other() OWNER TO other;
SQL
	$client = direct('app', '-c fabric.session_identity=on');
	$client->run($open);
	like(
		$client->run("SET ROLE other;\n$as_carol"),
		qr/$closed.*DETAIL:\s+Another role has opened it/s,
		'another current role cannot use the identity');
	$client->run('RESET ROLE');
	like(
		$client->run('SELECT public.as_other()'),
		qr/$closed.*DETAIL:\s+Another role has opened it/s,
		"a function with its owner's rights cannot use the identity");
	is($client->run($as_carol), 'carol', 'the role that has opened the identity can use it');
	$client->end;
};

done_testing();
