package Fabric::Network;

# Network: several organisations' instances on this machine that form one Fabric network.
#
# Every organisation has one node (peer; the first ones are orderers too), a certificate authority in its database, and a TLS
# authority of its own. What was decided is in DIRECTORY/network.json.

use strict;
use warnings;
use Fabric::Host qw(top free_port give_to_server_user server_user hold_signals slurp spew);
use Fabric::Node;
use Fabric::Pki qw(certify create_key create_request create_authority issue_tls);
use Fabric::Psql qw(literal);
use Fabric::Terminal qw(bad say_line step);
use Cwd qw(realpath);
use Fcntl qw(:flock);
use File::Path qw(make_path remove_tree);
use JSON::PP ();

my $json = JSON::PP->new->canonical->pretty;

sub default_directory
{
	return $ENV{FABRIC_NETWORK_DIR} || '/var/tmp/fabric-network';
}

# As root, before rights are given up: make the directory, so that the servers' user can fill it
sub prepare_directory
{
	my ($directory) = @_;

	if (!-e $directory)
	{
		make_path($directory, { mode => 0700, error => \my $errors });
		my ($message) = map { values %$_ } @$errors;
		die "could not make $directory: $message: choose another directory with FABRIC_NETWORK_DIR\n" if defined $message;
		give_to_server_user($directory);
	}
}

# may we use this directory? It must be ours, and either empty or a network
sub check_directory
{
	my ($directory) = @_;
	my $owner = (stat $directory)[4];

	# the path of a unix socket has at most 107 bytes
	die "$directory is too long a path for sockets: choose another with FABRIC_NETWORK_DIR\n" if length $directory > 85;

	die "the user " . (getpwuid($>) // $>) . " cannot reach the directory $directory: choose another with FABRIC_NETWORK_DIR\n" unless defined $owner && -x $directory;
	die "$directory belongs to another user (" . (getpwuid($owner) // $owner) . "): choose another with FABRIC_NETWORK_DIR\n" if $owner != $>;
	opendir(my $handle, $directory) or die "could not open $directory: $!\n";
	my @entries = grep { !/^\.\.?$|^lock$/ } readdir $handle;
	closedir $handle;
	die "$directory is neither empty nor a network: choose another with FABRIC_NETWORK_DIR\n" if @entries && !-e "$directory/network.json";
}

# one program at a time makes, changes or removes the network: for the life of this process
sub lock_directory
{
	my ($directory) = @_;
	our $lock;

	open($lock, '>>', "$directory/lock") or die "could not open $directory/lock: $!\n";
	flock($lock, LOCK_EX | LOCK_NB) or die "another program works on the network in $directory: wait until it is done\n";
}

sub exists_in
{
	my ($directory) = @_;

	return -e "$directory/network.json";
}

# %options: orgs, orderers, port (first one to try), foreign_authorities (true: openssl makes the identities' certificates, not the
# databases), facts (to be kept in network.json); for tests also node_class, a subclass of Fabric::Node
sub new
{
	my ($class, $directory, %options) = @_;
	my $orgs = $options{orgs} // 3;
	# an odd number of orderers: an even one tolerates no more failures than one less
	my $orderers = $options{orderers} // ($orgs >= 5 ? 5 : $orgs >= 3 ? 3 : 1);
	my $port = $options{port} // 5441;
	my @nodes;

	die "a network has 1 to 20 organisations\n" unless $orgs =~ /^\d+$/ && $orgs >= 1 && $orgs <= 20;
	die "a network has 1 orderer to as many as it has organisations ($orgs)\n" unless $orderers =~ /^\d+$/ && $orderers >= 1 && $orderers <= $orgs;
	foreach my $number (1 .. $orgs)
	{
		$port = free_port($port);
		push @nodes, { name => "org$number", number => $number, msp_id => "Org${number}MSP", role => "fabric_node_org${number}msp",
			port => $port++, orderer => $number <= $orderers ? 1 : 0 };
	}
	return $class->build({ directory => $directory, nodes => \@nodes, %{ $options{facts} // {} },
			foreign_authorities => $options{foreign_authorities} ? 1 : 0 }, $options{node_class});
}

# Is this what save has written? Somebody else may have a file of this name, and what it names is started, stopped and removed
sub check_facts
{
	my ($facts) = @_;

	return ref $facts eq 'HASH' && ref $facts->{nodes} eq 'ARRAY' && @{ $facts->{nodes} } > 0 && !grep { !check_node_facts($_) } @{ $facts->{nodes} };
}

sub check_node_facts
{
	my ($node) = @_;

	return 0 unless ref $node eq 'HASH' && !grep { !defined $node->{$_} || ref $node->{$_} } qw(name number msp_id role port orderer);
	return $node->{number} =~ /^\d+\z/ && $node->{name} eq "org$node->{number}" && $node->{msp_id} eq "Org$node->{number}MSP"
		&& $node->{role} eq "fabric_node_org$node->{number}msp" && $node->{port} =~ /^\d+\z/;
}

sub load
{
	my ($class, $directory) = @_;

	die "there is no network in $directory: start one with tools/network up\n" unless exists_in($directory);
	my $facts = eval { $json->decode(slurp("$directory/network.json")) };
	die "$directory/network.json was not written by tools/network: choose another directory with FABRIC_NETWORK_DIR\n" unless check_facts($facts);
	$facts->{directory} = realpath($directory);
	return $class->build($facts);
}

sub build
{
	my ($class, $facts, $node_class) = @_;
	my @nodes = map { ($node_class // 'Fabric::Node')->new(%$_, directory => $facts->{directory}) } @{ $facts->{nodes} };

	return bless { facts => $facts, directory => $facts->{directory}, nodes => \@nodes }, $class;
}

sub save
{
	my ($self) = @_;

	spew("$self->{directory}/network.json", $json->encode($self->{facts}), 0600);
}

sub nodes
{
	my ($self) = @_;

	return @{ $self->{nodes} };
}

sub orderers
{
	my ($self) = @_;

	return grep { $_->{orderer} } $self->nodes;
}

# ---- building, in the order in which it is called ----

# TLS authorities, TLS certificates and node keys of all organisations
sub create_keys
{
	my ($self) = @_;
	my $roots = '';

	$self->save;
	foreach my $node ($self->nodes)
	{
		make_path($node->path('keys/keystore'));
		chmod 0700, $node->path, $node->path('keys'), $node->path('keys/keystore');
		create_authority($node->path('tlsca'), "/O=$node->{msp_id}/CN=tlsca.$node->{name}");
		issue_tls($node->path('tlsca'), $node->path('keys/tls'), $node->{msp_id}, $node->{role}, 'localhost', '127.0.0.1', '::1');
		create_key($node->path('keys/node.key'));
		$roots .= slurp($node->path('tlsca.pem'));
	}
	spew($_->path('keys/tlscas.pem'), $roots) foreach $self->nodes;
}

# the instances, with a role for every other organisation's node
sub create_instances
{
	my ($self) = @_;

	foreach my $node ($self->nodes)
	{
		$node->create_instance;
		# the workers look for their database when the server starts, so it is made before they are
		$node->start('-c shared_preload_libraries=');
		$node->query('CREATE DATABASE fabric', database => 'postgres');
		$node->query('CREATE EXTENSION fabric CASCADE');
		$node->stop;
		$node->start;
	}
	foreach my $node ($self->nodes)
	{
		$node->query("CREATE ROLE $_->{role} LOGIN IN ROLE fabric_node") foreach grep { $_->{name} ne $node->{name} } $self->nodes;
	}
}

# Each organisation's authority in its own database, and with it the certificates of its node and of its administrator. The keys of nodes
# are made here and never enter a database; the administrator's goes into the keystore.
sub create_identities
{
	my ($self) = @_;

	foreach my $node ($self->nodes)
	{
		my $name = $node->{name};

		if ($self->{facts}{foreign_authorities})
		{
			create_authority($node->path('ca'), "/O=$node->{msp_id}/CN=ca.$name");
		}
		else
		{
			spew($node->path('ca.pem'), $node->query("SELECT fabric.ca_create('ca.$name', " . literal($node->{msp_id}) . ')') . "\n");
		}
		spew($node->path('keys/node.pem'), $self->enroll($node, "node.$name", 'peer', $node->path('keys/node.key')) . "\n");
		$node->reload;
		$self->create_identity($node, "admin.$name", 'admin');
		# the administrator signs what the superuser does, until he chooses another identity
		$node->query("SELECT fabric.grant_identity('admin.$name', current_user);\n"
			. "ALTER ROLE CURRENT_USER IN DATABASE fabric SET fabric.identity = 'admin.$name'");
	}
}

# register and enrol one identity at its organisation's authority; gives the certificate for the key in $key_path
sub enroll
{
	my ($self, $node, $label, $kind, $key_path) = @_;

	return certify($node->path('ca'), create_request($key_path, "/OU=$kind/CN=$label")) if $self->{facts}{foreign_authorities};
	my $request = create_request($key_path, "/CN=$label");
	return $node->query(<<"SQL");
WITH registered AS MATERIALIZED (SELECT fabric.ca_register('ca.$node->{name}', ${\ literal($label)}, ${\ literal($kind)}) AS secret)
SELECT fabric.ca_enroll('ca.$node->{name}', ${\ literal($label)}, secret, ${\ literal($request)}) FROM registered;
SQL
}

# an identity in the node's keystore, ready to be granted to database roles
sub create_identity
{
	my ($self, $node, $label, $kind) = @_;
	my $key = $node->path("keys/$label.key");

	create_key($key);
	my $certificate = $self->enroll($node, $label, $kind, $key);
	$node->query('SELECT fabric.add_identity(' . join(', ', map { literal($_) } $label, $node->{msp_id}, $certificate, slurp($key)) . ')');
	# the keystore has it now
	unlink $key;
	return $label;
}

sub profile
{
	my ($self, %changes) = @_;
	my @organisations;
	my @consenters;

	foreach my $node ($self->nodes)
	{
		push @organisations, { msp_id => $node->{msp_id}, root_certificates => [ slurp($node->path('ca.pem')) ],
			tls_root_certificates => [ slurp($node->path('tlsca.pem')) ], application => JSON::PP::true,
			orderer => $node->{orderer} ? JSON::PP::true : JSON::PP::false, anchor_peers => [ $node->address ],
			$node->{orderer} ? (endpoints => [ $node->address ]) : () };
		push @consenters, { address => $node->address, client_tls_certificate => slurp($node->path('keys/tls.pem')),
			server_tls_certificate => slurp($node->path('keys/tls.pem')) } if $node->{orderer};
	}
	return { organisations => \@organisations, consenters => \@consenters, %changes };
}

# made by the first node, joined by all
sub create_channel
{
	my ($self, $channel, %changes) = @_;
	my ($first) = $self->nodes;
	my $profile = JSON::PP->new->canonical->encode($self->profile(%changes));
	my $genesis = $first->query('SELECT encode(fabric.create_channel(' . literal($channel) . ', ' . literal($profile) . "), 'hex')");

	$_->query("SELECT fabric.join_channel('\\x$genesis')") foreach $self->nodes;
	push @{ $self->{facts}{channels} }, $channel;
	$self->save;
}

# An application's role at one node: password login, the rights of fabric_client, and a client identity that signs for it
sub create_application
{
	my ($self, $node, $role, $password) = @_;
	my $label = $self->create_identity($node, "$role.$node->{name}", 'client');

	$node->let_owner_be($role);
	$node->query("CREATE ROLE $role LOGIN PASSWORD " . literal($password) . " IN ROLE fabric_client;\n"
		. 'SELECT fabric.grant_identity(' . literal($label) . ', ' . literal($role) . ");\n"
		. "ALTER ROLE $role IN DATABASE fabric SET fabric.identity = " . literal($label));
}

# The lifecycle of a chaincode: every organisation installs and approves it, one commits it. Gives the package's id
sub deploy
{
	my ($self, $channel, $name, $source, %options) = @_;
	my ($first) = $self->nodes;
	my $version = $options{version} // '1.0';
	my $sequence = $options{sequence} // 1;
	my $policy = defined $options{policy} ? ', policy => ' . literal($options{policy}) : '';
	my $warnings = $options{allow_warnings} ? 'true' : 'false';
	my $package = $first->query("SELECT encode(fabric.package_chaincode('${name}_$version', " . literal($source) . "), 'hex')");
	my $definition = join(', ', map { literal($_) } $channel, $name, $version) . ", $sequence";
	my $package_id;

	foreach my $node ($self->nodes)
	{
		$package_id = $node->query("SELECT fabric.install_chaincode('\\x$package', allow_warnings => $warnings)");
		$node->query("SELECT fabric.approve_chaincode($definition, " . literal($package_id) . "$policy)");
	}
	$first->query("SELECT fabric.commit_chaincode($definition$policy)");
	return $package_id;
}

# What must be the same at every node: height, hash of the last block, its commit hash, digest of the world state
sub fingerprint
{
	my ($self, $node, $channel) = @_;
	my $name = literal($channel);

	return $node->query(<<"SQL");
SELECT c.height, encode(c.current_block_hash, 'hex'),
	   (SELECT encode(b.commit_hash, 'hex') FROM fabric.blocks b WHERE b.channel = $name AND b.number = c.height - 1),
	   encode(fabric.state_digest($name), 'hex')
FROM fabric.chain_info($name) c
SQL
}

# the node that leads the channel's orderers, as the nodes themselves say; undef while there is none
sub leader
{
	my ($self, $channel) = @_;

	foreach my $node (grep { $_->is_running } $self->orderers)
	{
		my ($output) = $node->try_query('SELECT 1 FROM fabric.stat_orderer WHERE role = \'leader\' AND running AND channel = ' . literal($channel));
		return $node if $output eq '1';
	}
	return undef;
}

sub wait_for_leader
{
	my ($self, $channel, $seconds) = @_;

	for (my $end = time + ($seconds // 60); time < $end; select(undef, undef, undef, 0.1))
	{
		my $leader = $self->leader($channel);
		return $leader if defined $leader;
	}
	die "no orderer leads channel $channel\n";
}

# wait until every running node has this many blocks of the channel; dies after $seconds
sub wait_for_height
{
	my ($self, $channel, $height, $seconds) = @_;
	my $end = time + ($seconds // 60);

	foreach my $node (grep { $_->is_running } $self->nodes)
	{
		until (($node->try_query('SELECT height FROM fabric.channels WHERE channel = ' . literal($channel)))[0] =~ /^(\d+)$/ && $1 >= $height)
		{
			die "node $node->{name} did not reach block " . ($height - 1) . " of channel $channel\n" if time > $end;
			select(undef, undef, undef, 0.1);
		}
	}
}

# All of the above, with its progress on the terminal. %options: those of new, and channel
sub up
{
	my ($class, $directory, %options) = @_;
	my $channel = delete $options{channel} // 'trade';
	my $network = $class->new($directory, %options);
	my @nodes = $network->nodes;

	say_line(sprintf 'A network of %d organisations, %d of them orderers too, in %s', scalar @nodes, scalar($network->orderers), $directory);
	eval { hold_signals(sub {
		step('TLS authorities, certificates and keys', sub { $network->create_keys });
		step('instances with the extension', sub { $network->create_instances });
		step('certificate authorities, node certificates, administrators', sub { $network->create_identities });
		step("channel $channel, joined by all", sub { $network->create_channel($channel) });
		step('orderers elect a leader', sub { $network->wait_for_leader($channel) });
		$network->{facts}{complete} = 1;
		$network->save;
		1;
	}) } or do {
		my $error = $@;

		print bad('failed'), "\n";
		local @SIG{qw(HUP INT TERM)} = ('IGNORE') x 3;
		$network->stop;
		die "${error}The instances are stopped; their logs are in $network->{directory}/*/log, and tools/network down removes it all.\n";
	};
	return $network;
}

# ---- life ----

sub start
{
	my ($self) = @_;
	my @started;

	foreach my $node ($self->nodes)
	{
		next if $node->is_running;
		$node->start;
		push @started, $node;
	}
	return @started;
}

sub stop
{
	my ($self) = @_;

	$_->stop foreach $self->nodes;
}

# stop everything and remove what we have made. The directory too, where we may, and if nothing else is in it
sub remove
{
	my ($self) = @_;

	$self->stop;
	foreach my $node ($self->nodes)
	{
		remove_tree($node->path);
		unlink map { "$self->{directory}/.s.PGSQL.$node->{port}$_" } '', '.lock';
	}
	unlink "$self->{directory}/network.json", "$self->{directory}/lock";
	rmdir $self->{directory};
}

1;
