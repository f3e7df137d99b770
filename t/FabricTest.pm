package FabricTest;

# FabricTest: networks for TAP tests. The same building as tools/network, on instances of PostgreSQL::Test::Cluster, which ends
# them with the test.
#
#   use FindBin; use lib $FindBin::Bin; use FabricTest;
#   my $network = FabricTest::start_network(orgs => 3, orderers => 3, channel => 'trade', settings => "fabric.raft_log_tail = 10\n");
#   my ($org1, $org2) = $network->nodes;
#   is($org1->query('SELECT ...'), 'expected');           # as superuser; dies with the server's words
#   my ($out, $error, $status) = $org1->try_query('...'); # the same without dying
#   $org1->cluster->poll_query_until('fabric', '...');    # everything that PostgreSQL::Test::Cluster can do
#   $org1->kill_hard; $org1->start;

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../tools/lib";
use Fabric::Network;
use Fabric::Psql;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;

# short times, so that tests of elections and retries are short too
my $settings = <<'CONF';
fabric.raft_election_timeout = 500ms
fabric.raft_heartbeat_interval = 50ms
fabric.worker_restart_delay = 200ms
fabric.connect_timeout = 2s
max_connections = 60
max_worker_processes = 24
log_line_prefix = '%m [%p] %b %q%a '
CONF

# %options: orgs, orderers, channel (undef: none is made), settings (added to every node's postgresql.conf), profile (hash: changes to the
# channel's profile), own_authorities (true: the certificates come from the databases' authorities, not from openssl)
sub start_network
{
	my (%options) = @_;
	my $directory = "$PostgreSQL::Test::Utils::tmp_check/network";
	my $network;

	mkdir $directory or die "could not make $directory: $!\n";
	$network = Fabric::Network->new($directory, orgs => $options{orgs} // 3, orderers => $options{orderers}, node_class => 'FabricTest::Node',
		foreign_authorities => !$options{own_authorities});
	$_->{settings} = $settings . ($options{settings} // '') foreach $network->nodes;
	$network->create_keys;
	$network->create_instances;
	$network->create_identities;
	$network->create_channel($options{channel}, %{ $options{profile} // {} }) if defined $options{channel};
	return $network;
}

# the vehicle registry as chaincode "vehicles" on channel "trade"; %options as for deploy
sub deploy_registry
{
	my ($network, %options) = @_;

	return $network->deploy('trade', 'vehicles', PostgreSQL::Test::Utils::slurp_file("$FindBin::Bin/../examples/vehicle_registry.sql"), %options);
}

# SQL that calls a function of the registry
sub invoke
{
	my ($function, @arguments) = @_;

	return "SELECT fabric.invoke('trade', 'vehicles', " . join(', ', map { Fabric::Psql::literal($_) } $function, @arguments) . ')';
}

sub create_vehicle
{
	my ($id) = @_;

	return invoke('create_vehicle', $id, 'Volvo', 'V60', '2020', 'Ada Adler', '20000');
}

# Wait until all running nodes have all blocks that one of them has; gives what must be the same at each: a list of one text if it is
sub fingerprints
{
	my ($network, $channel) = @_;
	my @running = grep { $_->is_running } $network->nodes;
	my ($height) = sort { $b <=> $a } map { $_->query("SELECT height FROM fabric.chain_info('$channel')") } @running;
	my %seen;

	$network->wait_for_height($channel, $height, 60);
	$seen{ $network->fingerprint($_, $channel) } = 1 foreach @running;
	return keys %seen;
}

# wait until an orderer leads the channel; gives its node
sub wait_for_leader
{
	my ($network, $channel, $seconds) = @_;

	for (my $end = time + ($seconds // 30); time < $end; select(undef, undef, undef, 0.1))
	{
		my $leader = $network->leader($channel);
		return $leader if $leader;
	}
	die "no orderer leads channel $channel\n";
}

package FabricTest::Node;

use strict;
use warnings;
use Fabric::Node;
use Fabric::Host qw(spew);

our @ISA = ('Fabric::Node');

sub new
{
	my ($class, %fields) = @_;
	my $self = Fabric::Node::new($class, %fields);

	# the port must be known before certificates and the channel's addresses are made
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

	return { host => $self->{cluster}->host, port => $self->{port}, user => scalar getpwuid($>), database => 'fabric', %change };
}

sub create_instance
{
	my ($self) = @_;
	my $data = $self->{cluster}->data_dir;

	$self->{cluster}->init;
	$self->{cluster}->append_conf('postgresql.conf',
		Fabric::Node::server_settings($self->{msp_id}, $self->{role}, 'fabric', $self->path('keys')) . "listen_addresses = 'localhost'\n" . $self->{settings});
	# through the socket, whose directory is ours, every role may come in
	spew("$data/pg_hba.conf", Fabric::Node::authentication_rules('fabric') =~ s/^local .*$/local all all trust/mr, 0600);
}


sub start
{
	my ($self, $server_options) = @_;

	# an option of one start only: the file's last line counts, and is taken away again
	my $file = $self->{cluster}->data_dir . '/postgresql.conf';
	my $settings = Fabric::Host::slurp($file);

	$self->{cluster}->append_conf('postgresql.conf', "shared_preload_libraries = ''") if defined $server_options;
	$self->{cluster}->start;
	spew($file, $settings) if defined $server_options;
}

sub stop { $_[0]->{cluster}->stop('fast') if $_[0]->is_running }
sub let_owner_be { }
sub reload { $_[0]->{cluster}->reload }

sub process_id
{
	my ($self) = @_;

	return $self->{cluster}->{_pid};
}

# the postmaster and all its children, as when the machine loses power
sub kill_hard
{
	my ($self) = @_;

	Fabric::Node::kill_processes($self->process_id // die "node $self->{name} does not run\n");
	$self->{cluster}->{_pid} = undef;
}

1;
