package FabricTest;

# FabricTest: networks for TAP tests. It builds them as tools/network does, but on instances of
# PostgreSQL::Test::Cluster, which stops them at the end of the test. The instances are copies of a
# template that the first test of a run makes, with the extension in its database.
#
#   use FindBin; use lib $FindBin::Bin; use FabricTest;
#   my $network = FabricTest::start_network(orgs => 3, orderers => 3, channel => 'trade',
#       settings => "fabric.raft_log_tail = 10\n");
#   my ($org1, $org2) = $network->nodes;
#   # org1peer1 ... orderer3
#   my $other = FabricTest::start_network(peers_per_org => 2, orderer_org => 1);
#   my %node = map { $_->{name} => $_ } $other->nodes;
#   is($org1->query('SELECT ...'), 'expected');           # as superuser; dies with the server's error
#   my ($out, $error, $status) = $org1->try_query('...'); # the same without dying
#   $org1->cluster->poll_query_until('fabric', '...');    # everything that PostgreSQL::Test::Cluster can do
#   $org1->kill_hard; $org1->start;
#   like($org1->error_of('SELECT ...'), qr/LF408/);       # the error with its SQLSTATE, detail and hint

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../tools/lib";
use Fabric::Network;
use Fabric::Psql;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More ();

our @EXPORT_OK = qw(
  start_network deploy_registry invoke create_vehicle fingerprints wait_for_leader wait_until
  eventually_is eventually_like seconds_passed cpu_ticks vehicles_of height_of processes_for
  $ANY_TWO);
use Exporter qw(import);

# an endorsement policy for networks of three
our $ANY_TWO = "OutOf(2, 'Org1MSP.peer', 'Org2MSP.peer', 'Org3MSP.peer')";

# Short times where a test would wait for them, and long ones where they only end a hang: a machine
# that is five times slower must not change the result of a test. A test of a time limit sets it
# itself.
my $settings = <<'CONF';
fabric.raft_election_timeout = 1s
fabric.raft_heartbeat_interval = 50ms
fabric.worker_restart_delay = 200ms
fabric.connect_timeout = 10s
fabric.deliver_wait = 2s
fabric.endorsement_timeout = 120s
fabric.broadcast_timeout = 120s
fabric.commit_timeout = 180s
fabric.chaincode_execute_timeout = 120s
max_connections = 60
max_worker_processes = 24
log_line_prefix = '%m [%p] %b %q%a '
log_statement = none
shared_buffers = 16MB
CONF

# the factor by which everything is slower than usual (tools/check_valgrind); a time that a test
# sets itself overrides it
my $slowdown = $ENV{FABRIC_TEST_SLOWDOWN} || 1;
$settings =~ s{^(fabric\.(?:raft_\w+|\w+_timeout) = )(\d+)(?=(?:ms|s)$)}{$1 . $2 * $slowdown}gme;

# the longest time that a test waits for a condition, as in PostgreSQL::Test::Utils
my $patience = 180 * $slowdown;

# %options: orgs, peers_per_org, orderer_org (as for tools/network), orderers, channel (undef: no
# channel), settings (added to every node's postgresql.conf), profile (hash: changes to the
# channel's profile), own_authorities (true: the certificates come from authorities in the
# databases, not from openssl)
sub start_network
{
	my (%options) = @_;
	my $directory = "$PostgreSQL::Test::Utils::tmp_check/network";
	my $network;

	mkdir $directory or die "could not make $directory: $!\n";
	$network = FabricTest::Network->new(
		$directory,
		orgs => $options{orgs} // 3,
		orderers => $options{orderers},
		peers_per_org => $options{peers_per_org},
		orderer_org => $options{orderer_org},
		node_class => 'FabricTest::Node',
		foreign_authorities => !$options{own_authorities});
	$_->{settings} = $settings . ($options{settings} // '') foreach $network->nodes;
	$network->create_keys;
	$network->create_instances;
	$network->create_identities;
	$network->create_channel($options{channel}, %{ $options{profile} // {} })
	  if defined $options{channel};
	return $network;
}

# the vehicle registry as chaincode "vehicles" on channel "trade"; %options as for deploy
sub deploy_registry
{
	my ($network, %options) = @_;

	return $network->deploy('trade', 'vehicles',
		PostgreSQL::Test::Utils::slurp_file("$FindBin::Bin/../examples/vehicle_registry.sql"),
		%options);
}

# SQL that calls a function of the registry
sub invoke
{
	my ($function, @arguments) = @_;

	return
	  "SELECT fabric.invoke('trade', 'vehicles', "
	  . join(', ', map { Fabric::Psql::literal($_) } $function, @arguments) . ')';
}

sub create_vehicle
{
	my ($id) = @_;

	return invoke('create_vehicle', $id, 'Volvo', 'V60', '2020', 'Ada Adler', '20000');
}

# Wait until all running nodes have all blocks that one of them has. Gives the part of the ledger
# that must be equal, as a list of the different texts: one text if all nodes agree.
sub fingerprints
{
	my ($network, $channel) = @_;
	my @running = grep { $_->is_running } $network->nodes;
	my ($height) = sort { $b <=> $a } map { height_of($_, $channel) } @running;
	my %seen;

	$network->wait_for_height($channel, $height);
	# a block that is committed while the nodes are asked is not a difference
	my $settled = wait_until(
		sub {
			my %heights;

			%seen = map { $network->fingerprint($_, $channel) => 1 } @running;
			$heights{ (split /\|/)[0] } = 1 foreach keys %seen;
			return keys %heights == 1;
		});
	my @different = sort keys %seen;
	return @different;
}

sub height_of
{
	my ($node, $channel) = @_;

	return $node->query(
		"SELECT coalesce(max(number) + 1, 0) FROM fabric_internal.block WHERE channel = '$channel'"
	);
}

# the number of vehicles in the node's world state
sub vehicles_of
{
	my ($node) = @_;

	return $node->query(
		"SELECT count(*) FROM fabric_internal.world_state WHERE channel = 'trade' AND namespace = 'vehicles'"
	);
}

# The processes of $node that answer requests of the sessions at $other: the postmaster, and the
# backends of $other's relay
sub processes_for
{
	my ($node, $other) = @_;

	return (
		$node->process_id,
		split /\n/,
		$node->query(
			"SELECT pid FROM pg_stat_activity WHERE usename = '$other->{role}' AND query NOT LIKE '%raft%'"
		));
}

# Call $condition until it is true; gives its last value. The time limit is the same for all
# callers: it only ends a test that hangs. A caller that does not look at the value relies on the
# condition, so the test dies if the limit is reached.
sub wait_until
{
	my ($condition) = @_;
	my $value;

	for (my $end = time + $patience ; !($value = $condition->()) && time < $end ;)
	{
		select(undef, undef, undef, 0.1);
	}
	die sprintf("the condition of %s line %d did not hold within $patience s\n", (caller)[ 1, 2 ])
	  unless $value || defined wantarray;
	return $value;
}

# assert that the result of $code is, or matches, a value sooner or later
sub eventually_is
{
	my ($code, $expected, $name) = @_;
	my $found;

	my $reached = wait_until(sub { ($found = $code->() // '') eq $expected });
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return Test::More::is($found, $expected, $name);
}

sub eventually_like
{
	my ($code, $pattern, $name) = @_;
	my $found;

	my $reached = wait_until(sub { ($found = $code->() // '') =~ $pattern });
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return Test::More::like($found, $pattern, $name);
}

# for wait_until: a time of the clock (seconds since 1970) has passed, on every node
sub seconds_passed
{
	my ($until) = @_;

	return time > $until;
}

# the processor time that a process has used, in clock ticks; 0 when it has ended
sub cpu_ticks
{
	my ($pid) = @_;

	open(my $handle, '<', "/proc/$pid/stat") or return 0;
	my @fields = split ' ', ((<$handle> // '') =~ s/^.*\) //r);
	return ($fields[11] // 0) + ($fields[12] // 0);
}

# wait until an orderer leads the channel; gives its node
sub wait_for_leader
{
	my ($network, $channel) = @_;

	return wait_until(sub { $network->leader($channel) })
	  || die "no orderer leads channel $channel\n";
}

package FabricTest::Network;

use strict;
use warnings;
use Fabric::Network;
use Fabric::Psql qw(literal);

our @ISA = ('Fabric::Network');

# copies of the template, with the database created before the workers look for it
sub create_instances
{
	my ($self) = @_;

	foreach my $node ($self->nodes)
	{
		$node->create_instance;
		$node->start;
		$node->query("CREATE ROLE $_->{role} LOGIN IN ROLE fabric_node")
		  foreach grep { $_->{name} ne $node->{name} } $self->nodes;
	}
}

# Reads the tables, so that a wrong view cannot hide a difference: height, block hash, commit hash,
# every key with value and version, the validation codes of all blocks
sub fingerprint
{
	my ($self, $node, $channel) = @_;
	my $name = literal($channel);

	return $node->query(<<"SQL");
SELECT b.number + 1, encode(b.block_hash, 'hex'), encode(b.commit_hash, 'hex'),
	   (SELECT md5(string_agg(row(namespace, key, value, metadata, block_number, position)::text, ''
	   	ORDER BY namespace, key))
		FROM fabric_internal.world_state
			WHERE channel = $name AND (b.number > 0 OR block_number = 0)),
	   (SELECT md5(string_agg(row(block_number, position, validation_code, tx_id)::text, ''
	   	ORDER BY block_number, position))
		FROM fabric_internal.transaction WHERE channel = $name)
FROM fabric_internal.block b WHERE b.channel = $name ORDER BY b.number DESC LIMIT 1
SQL
}

# wait until every running node has this many blocks of the channel
sub wait_for_height
{
	my ($self, $channel, $height) = @_;

	foreach my $node (grep { $_->is_running } $self->nodes)
	{
		FabricTest::wait_until(sub { FabricTest::height_of($node, $channel) >= $height })
		  or die "node $node->{name} did not reach block "
		  . ($height - 1)
		  . " of channel $channel\n";
	}
}

package FabricTest::Node;

use strict;
use warnings;
use Cwd ();
use Fabric::Node;
use Fcntl          qw(:flock);
use File::Basename qw(dirname);
use PostgreSQL::Test::RecursiveCopy;
use Fabric::Host qw(spew);

our @ISA = ('Fabric::Node');

sub new
{
	my ($class, %fields) = @_;
	my $self = Fabric::Node::new($class, %fields);

	# certificates and the channel's addresses need the port
	$self->{cluster} = PostgreSQL::Test::Cluster->new($self->{name});
	$self->{port} = $self->{cluster}->port;
	return $self;
}

sub cluster
{
	my ($self) = @_;

	return $self->{cluster};
}

sub connection
{
	my ($self, %change) = @_;

	return {
		host => $self->{cluster}->host,
		port => $self->{port},
		user => scalar getpwuid($>),
		database => 'fabric',
		%change
	};
}

# One template for all tests of a run: initdb and CREATE EXTENSION run once. Gives the directory of
# its copy
sub template
{
	# another installation of the extension has another template
	my $version = (stat(Fabric::Host::config_value('sharedir') . '/extension/fabric--1.0.sql'))[9];
	my $shared = dirname($PostgreSQL::Test::Utils::tmp_check) . "/../template-$version";
	my $lock = "$shared.lock";

	open(my $handle, '>>', $lock) or die "could not open $lock: $!\n";
	flock($handle, LOCK_EX) or die "could not lock $lock: $!\n";
	return $shared if -d "$shared/instance";
	mkdir $shared;
	my $cluster = PostgreSQL::Test::Cluster->new('template');
	$cluster->init(allows_streaming => 1, extra => ['--data-checksums']);
	$cluster->append_conf('postgresql.conf', "log_statement = none\n");
	$cluster->start;
	$cluster->safe_psql('postgres', 'CREATE DATABASE fabric');
	$cluster->safe_psql('fabric', 'CREATE EXTENSION fabric CASCADE');
	$cluster->stop;
	PostgreSQL::Test::RecursiveCopy::copypath($cluster->data_dir, "$shared/copy");
	rename("$shared/copy", "$shared/instance") or die "could not rename $shared/copy: $!\n";
	return $shared;
}

# the methods that PostgreSQL::Test::Cluster calls on the node of a backup
sub backup_dir { return template() }
sub name       { return 'template' }

sub create_instance
{
	my ($self) = @_;
	my $data = $self->{cluster}->data_dir;

	$self->{cluster}->init_from_backup($self, 'instance', standby => 0);
	$self->{cluster}->append_conf(
		'postgresql.conf',
		Fabric::Node::server_settings(
			$self->{msp_id}, $self->{role}, 'fabric', $self->path('keys'))
		  . "listen_addresses = 'localhost'\n"
		  . $self->{settings});
	# every role may log in over the socket, whose directory only this user can enter
	spew(
		"$data/pg_hba.conf",
		Fabric::Node::authentication_rules('fabric') =~
		  s/^local .*$/local all all trust\nlocal replication all trust/mr,
		0600);
}

# add settings permanently and reload the server
sub set
{
	my ($self, $settings) = @_;

	$self->{cluster}->append_conf('postgresql.conf', "\n$settings");
	$self->reload if $self->is_running;
}

# the error of psql for a failing statement, with SQLSTATE, detail and hint; empty when it succeeds
sub error_of
{
	my ($self, $sql, %change) = @_;
	my (undef, $error, $status) = $self->try_query("\\set VERBOSITY verbose\n$sql", %change);

	return $status == 0 ? '' : $error;
}

sub start
{
	my ($self, $server_options) = @_;

	# an option for one start only: the last line of the file wins, and is removed again
	my $file = $self->{cluster}->data_dir . '/postgresql.conf';
	my $settings = Fabric::Host::slurp($file);

	$self->{cluster}->append_conf('postgresql.conf', "shared_preload_libraries = ''")
	  if defined $server_options;
	$self->{cluster}->start;
	spew($file, $settings) if defined $server_options;
}

sub stop         { $_[0]->{cluster}->stop('fast') if $_[0]->is_running }
sub let_owner_be { }

# Reload the server. When this returns, new sessions have the settings; existing sessions have them
# for their next statement
sub reload
{
	my ($self) = @_;
	my $loaded_at = sub { ($self->try_query('SELECT pg_conf_load_time()'))[0] };
	my $before = $loaded_at->();

	$self->{cluster}->reload;
	# the state of a server that refuses connections is unknown
	return if $before eq '';
	FabricTest::wait_until(sub { $loaded_at->() ne $before })
	  or die "node $self->{name} did not read its settings\n";
}

# Set fabric.fault_points, and wait until the node's processes have read it: each says so in the
# log.
sub set_faults
{
	my ($self, $points) = @_;
	my $log = $self->{cluster}->logfile;
	my $size = -s $log;
	my $in_force = $self->query(
		"SELECT setting FROM pg_file_settings WHERE name = 'fabric.fault_points' ORDER BY seqno DESC LIMIT 1"
	);
	my @pids = split /\n/,
	  $self->query(
		"SELECT pid FROM pg_stat_activity WHERE backend_type IN ('fabric ledger', 'fabric orderer')"
	  );

	return if $in_force eq $points;
	$self->query("ALTER SYSTEM SET fabric.fault_points = '$points'");
	$self->reload if $self->is_running;
	foreach my $pid (@pids)
	{
		# a process that has met its fault has ended already
		FabricTest::wait_until(
			sub {
				!kill(0, $pid)
				  || PostgreSQL::Test::Utils::slurp_file($log, $size) =~
				  /\[$pid\] .*LOG: .*fault points in this process: /;
			}) or die "process $pid of node $self->{name} did not read fabric.fault_points\n";
	}
}

# wait until a process of the node is held at a fault point ("$point=hold" of set_faults); $size:
# the size of the log before
sub wait_until_held
{
	my ($self, $point, $size) = @_;

	return FabricTest::wait_until(
		sub {
			PostgreSQL::Test::Utils::slurp_file($self->{cluster}->logfile, $size) =~
			  /fault point "$point" holds this process/;
		});
}

sub process_id
{
	my ($self) = @_;

	return $self->{cluster}->{_pid};
}

# wait until the postmaster and all its children, killed by a fault point, have ended
sub wait_for_crash
{
	my ($self) = @_;
	my $data = Cwd::realpath($self->{cluster}->data_dir);
	my $pid = $self->process_id;

	FabricTest::wait_until(
		sub {
			!kill(0, $pid) && !grep { (readlink($_) // '') eq $data } glob('/proc/[0-9]*/cwd');
		}) or die "node $self->{name} did not crash\n";
	$self->{cluster}->{_pid} = undef;
}

# kill the postmaster and all its children, as when the machine loses power
sub kill_hard
{
	my ($self) = @_;

	$self->kill_now;
	$self->wait_until_dead;
}

# of several nodes: first kill all, then wait for each
sub kill_now
{
	my ($self) = @_;

	$self->{killed} = [ Fabric::Node::kill_now($self) ];
}

sub wait_until_dead
{
	my ($self) = @_;

	Fabric::Node::wait_until_gone(@{ $self->{killed} });
	$self->{cluster}->{_pid} = undef;
}

1;
