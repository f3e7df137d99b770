package Fabric::Node;

# Node: one instance of a local network: its directory, its settings, starting and stopping it.
#
#   DIRECTORY/NODE/data       the instance           DIRECTORY/NODE/log        its log
#   DIRECTORY/NODE/keys       node.pem, node.key, tls.pem, tls.key, tlscas.pem, keystore/
#   DIRECTORY/NODE/tlsca.*    the organization's TLS authority (.pem, .key), at its first node
#   DIRECTORY/.s.PGSQL.PORT   its unix socket

use strict;
use warnings;
use Exporter     qw(import);
use Fabric::Host qw(bindir run capture slurp spew);
use Fabric::Psql ();
use List::Util   qw(max);
use POSIX        ();

our @EXPORT_OK = qw(server_settings authentication_rules @CPU_KINDS);

# the kinds of processes of cpu_by_kind
our @CPU_KINDS = qw(sessions serving ledger orderer relay other);

# fields: those that Fabric::Network lists, and directory (of the network), nodes_count (nodes of
# the network)
sub new
{
	my ($class, %fields) = @_;

	return bless {%fields}, $class;
}

sub path
{
	my ($self, $file) = @_;

	return "$self->{directory}/$self->{name}" . (defined $file ? "/$file" : '');
}

# whether it has its organization's authorities
sub is_home
{
	my ($self) = @_;

	return $self->{home} eq $self->{name};
}

# a file of its organization, kept at the organization's first node
sub org_path
{
	my ($self, $file) = @_;

	return "$self->{directory}/$self->{home}/$file";
}

sub address
{
	my ($self) = @_;

	return "localhost:$self->{port}";
}

# the connection of its administrator; %change overrides (user => ..., password => ...)
sub connection
{
	my ($self, %change) = @_;

	return {
		host => $self->{directory},
		port => $self->{port},
		user => 'postgres',
		database => 'fabric',
		%change
	};
}

sub query
{
	my ($self, $sql, %change) = @_;

	return Fabric::Psql::query($self->connection(%change), $sql);
}

sub try_query
{
	my ($self, $sql, %change) = @_;

	return Fabric::Psql::try_query($self->connection(%change), $sql);
}

# The settings of a node whose keys are in $keys. Also used by tests that make their instances
# themselves.
sub server_settings
{
	my ($msp_id, $role, $database, $keys) = @_;

	return <<"CONF";
shared_preload_libraries = 'fabric'
fabric.database = '$database'
fabric.node_msp_id = '$msp_id'
fabric.node_role = '$role'
fabric.node_certificate_file = '$keys/node.pem'
fabric.node_key_file = '$keys/node.key'
fabric.tls_certificate_file = '$keys/tls.pem'
fabric.tls_key_file = '$keys/tls.key'
fabric.tls_ca_file = '$keys/tlscas.pem'
fabric.keystore_directory = '$keys/keystore'

ssl = on
ssl_cert_file = '$keys/tls.pem'
ssl_key_file = '$keys/tls.key'
ssl_ca_file = '$keys/tlscas.pem'
CONF
}

# pg_hba.conf: other nodes log in by a TLS certificate whose common name is their role; applications
# by password over TLS; the owner of the files (and root) as postgres or an application's role
# through the unix socket
sub authentication_rules
{
	my ($database) = @_;

	return <<"HBA";
# TYPE  DATABASE    USER            ADDRESS         METHOD
local   all         all                             peer map=owner
hostssl $database   +fabric_node    all             cert
host    all         +fabric_node    all             reject
hostssl all         all             all             scram-sha-256
HBA
}

sub create_instance
{
	my ($self) = @_;
	my $data = $self->path('data');
	my $keys = $self->path('keys');
	# 500 sessions, and 64 of each other node's relay
	my $connections = max(700, 500 + 72 * ($self->{nodes_count} - 1));

	run(bindir() . '/initdb', '--pgdata', $data, '--data-checksums', '--username', 'postgres',
		'--auth-local', 'peer', '--auth-host', 'scram-sha-256',
		# the collation C sorts equally on every node, whatever its system's locale data
		'--encoding', 'UTF8', '--locale', 'C', '--no-instructions');
	spew("$data/fabric.conf",
		<<"CONF" . server_settings($self->{msp_id}, $self->{role}, 'fabric', $keys));
# written by tools/network; changes stay until tools/network down
cluster_name = '$self->{name}'
listen_addresses = 'localhost'
port = $self->{port}
unix_socket_directories = '$self->{directory}'
unix_socket_permissions = 0700
max_connections = $connections
max_worker_processes = 32
shared_buffers = 256MB
work_mem = 8MB
max_wal_size = 2GB
checkpoint_timeout = 15min
jit = off
log_line_prefix = '%m [%p] %b %q%u '
log_timezone = 'UTC'
timezone = 'UTC'

CONF
	open(my $conf, '>>', "$data/postgresql.conf")
	  or die "could not write $data/postgresql.conf: $!\n";
	print $conf "\ninclude 'fabric.conf'\n";
	close $conf;
	spew("$data/pg_hba.conf", authentication_rules('fabric'), 0600);
	$self->let_owner_be('postgres');
}

# the owner of the instance's files, and root, may log in as this role through the unix socket
sub let_owner_be
{
	my ($self, $role) = @_;
	my $file = $self->path('data/pg_ident.conf');

	open(my $handle, '>>', $file) or die "could not write $file: $!\n";
	print $handle sprintf("owner   /^(%s|root)\$   %s\n", quotemeta(scalar getpwuid($>)), $role);
	close $handle;
	$self->reload if $self->is_running;
}

# $server_options: for this start only
sub start
{
	my ($self, $server_options) = @_;
	my @options = defined $server_options ? ('--options', $server_options) : ();
	my ($output, $status) = capture(
		bindir() . '/pg_ctl', '--pgdata', $self->path('data'), '--log',
		$self->path('log'), '--wait', '--timeout', '120',
		'--silent', @options, 'start');

	return if $status == 0;
	my @log = -e $self->path('log') ? split /\n/, slurp($self->path('log')) : ();
	splice @log, 0, @log - 15 if @log > 15;
	die "node $self->{name} did not start:\n" . join("\n", $output, @log) . "\n";
}

sub stop
{
	my ($self) = @_;

	return unless $self->is_running;
	run(bindir() . '/pg_ctl', '--pgdata', $self->path('data'), '--wait',
		'--timeout', '120', '--silent', '--mode',
		'fast', 'stop');
}

sub reload
{
	my ($self) = @_;

	run(bindir() . '/pg_ctl', '--pgdata', $self->path('data'), '--silent', 'reload');
}

# the process id of the running instance, or undef: only if that process uses this data directory
sub process_id
{
	my ($self) = @_;
	my $data = $self->path('data');

	return undef unless -e "$data/postmaster.pid";
	my ($pid) = slurp("$data/postmaster.pid") =~ /^(\d+)/ or return undef;
	return (readlink("/proc/$pid/cwd") // '') eq $data ? $pid : undef;
}

sub is_running
{
	my ($self) = @_;

	return defined $self->process_id;
}

# kill every process of the instance at once, as when the machine loses power
sub kill_hard
{
	my ($self) = @_;

	wait_until_gone($self->kill_now);
}

# the same without waiting; gives the processes for wait_until_gone, after which the instance can be
# started again
sub kill_now
{
	my ($self) = @_;

	return kill_processes($self->process_id // die "node $self->{name} does not run\n");
}

# kill a postmaster and its children
sub kill_processes
{
	my ($pid) = @_;
	my @all;

	# the postmaster is stopped first, so that it can start no child between listing and killing
	kill 'STOP', $pid;
	@all = ($pid, children_of($pid));
	kill 'KILL', @all;
	return @all;
}

# wait until a killed postmaster and its children have ended, and their shared memory is free for
# the next start
sub wait_until_gone
{
	my ($pid, @children) = @_;

	for (my $i = 0 ; $i < 200 ; $i++)
	{
		# The postmaster must be reaped, not only dead: until its parent (on some machines a slow
		# init) has waited for it, its lock files count
		last unless kill(0, $pid) || grep { is_alive($_) } @children;
		select(undef, undef, undef, 0.05);
	}
}

# whether a process runs; a zombie does not
sub is_alive
{
	my ($pid) = @_;

	open(my $handle, '<', "/proc/$pid/stat") or return 0;
	my $line = <$handle> // '';
	return $line =~ /^\d+ \(.*\) [^ZX] /;
}

sub children_of
{
	my ($parent) = @_;
	my @children;

	foreach my $path (glob '/proc/[0-9]*/stat')
	{
		open(my $handle, '<', $path) or next;
		my $line = <$handle> // '';
		close $handle;
		push @children, $1 if $line =~ /^(\d+) \(.*\) \S (\d+) / && $2 == $parent;
	}
	return @children;
}

# CPU seconds (user and system) of the instance's processes by kind: sessions (of the role $user),
# serving (sessions of other nodes and everybody else), ledger, orderer, relay, and other (the
# server's own processes, and all that have ended)
sub cpu_by_kind
{
	my ($self, $user) = @_;
	my $tick = 1 / POSIX::sysconf(POSIX::_SC_CLK_TCK());
	my %seconds = map { $_ => 0 } @CPU_KINDS;
	my $processes = $self->query(
		"SELECT pid, backend_type, coalesce(usename, '') FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
	);

	foreach my $line (split /\n/, $processes)
	{
		my ($pid, $type, $role) = split /\|/, $line, -1;
		my $kind =
			$type eq 'client backend'                   ? ($role eq $user ? 'sessions' : 'serving')
		  : $type =~ /^fabric (ledger|orderer|relay)\b/ ? $1
		  :                                               'other';
		my $fields = stat_fields($pid) // next;

		$seconds{$kind} += ($fields->[11] + $fields->[12]) * $tick;
	}
	# the postmaster's own time, and that of the processes that it has waited for
	my $fields = stat_fields($self->process_id // return \%seconds);
	$seconds{other} += ($fields->[11] + $fields->[12] + $fields->[13] + $fields->[14]) * $tick
	  if defined $fields;
	return \%seconds;
}

# the fields of a process's stat file after its name; undef: it has ended
sub stat_fields
{
	my ($pid) = @_;

	open(my $handle, '<', "/proc/$pid/stat") or return undef;
	my $line = <$handle> // return undef;
	return [ split ' ', ($line =~ s/^.*\) //r) ];
}

# context switches of the instance's living processes so far
sub context_switches
{
	my ($self) = @_;
	my $pid = $self->process_id // return 0;
	my $switches = 0;

	foreach my $each ($pid, children_of($pid))
	{
		open(my $handle, '<', "/proc/$each/status") or next;
		while (my $line = <$handle>)
		{
			$switches += $1 if $line =~ /^(?:non)?voluntary_ctxt_switches:\s*(\d+)/;
		}
		close $handle;
	}
	return $switches;
}

1;
