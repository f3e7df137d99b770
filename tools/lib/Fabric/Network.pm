package Fabric::Network;

# Network: the instances of several organizations on this machine that form one Fabric network.
#
# Every organization has one node or several, a certificate authority in the database of its first
# node, and a TLS authority of its own. Its nodes are peers; the first nodes of the first
# organizations are orderers too, unless a separate organization (OrdererMSP) has the orderers,
# which then are no peers. A node is a login role of its own at all other nodes, including those of
# its organization: PostgreSQL shows and limits connections by role, and one node can be locked out
# without the other. The file DIRECTORY/network.json records the network.
#
# A node's fields: name (org1, or org1peer1 and so on where organizations have several nodes, or
# orderer1), org (org1, orderer), msp_id, role, port, number (unique in the network; an orderer's is
# its consenter number), orderer and application (whether the node is an orderer, and a peer of an
# application organization), home (the name of the organization's first node, whose directory and
# database have the authorities).

use strict;
use warnings;
use Fabric::Host qw(top free_port give_to_server_user server_user hold_signals slurp spew);
use Fabric::Node;
use Fabric::Pki      qw(certify create_key create_request create_authority issue_tls);
use Fabric::Psql     qw(literal);
use Fabric::Terminal qw(bad say_line step);
use Cwd              qw(realpath);
use Fcntl            qw(:flock);
use File::Path       qw(make_path remove_tree);
use JSON::PP         ();

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
		die
		  "could not make $directory: $message: choose another directory with FABRIC_NETWORK_DIR\n"
		  if defined $message;
		give_to_server_user($directory);
	}
}

# refuse a directory that another user owns, or that is neither empty nor a network
sub check_directory
{
	my ($directory) = @_;
	my $owner = (stat $directory)[4];

	# the path of a unix socket has at most 107 bytes
	die "$directory is too long a path for sockets: choose another with FABRIC_NETWORK_DIR\n"
	  if length $directory > 85;

	die "the user "
	  . (getpwuid($>) // $>)
	  . " cannot reach the directory $directory: choose another with FABRIC_NETWORK_DIR\n"
	  unless defined $owner && -x $directory;
	die "$directory belongs to another user ("
	  . (getpwuid($owner) // $owner)
	  . "): choose another with FABRIC_NETWORK_DIR\n"
	  if $owner != $>;
	opendir(my $handle, $directory) or die "could not open $directory: $!\n";
	my @entries = grep { !/^\.\.?$|^lock$/ } readdir $handle;
	closedir $handle;
	die "$directory is neither empty nor a network: choose another with FABRIC_NETWORK_DIR\n"
	  if @entries && !-e "$directory/network.json";
}

# one program at a time makes, changes or removes the network: a lock for the life of this process
sub lock_directory
{
	my ($directory) = @_;
	our $lock;

	open($lock, '>>', "$directory/lock") or die "could not open $directory/lock: $!\n";
	flock($lock, LOCK_EX | LOCK_NB)
	  or die "another program works on the network in $directory: wait until it is done\n";
}

sub exists_in
{
	my ($directory) = @_;

	return -e "$directory/network.json";
}

# The fields that follow from a node's name; undef for an invalid name
sub facts_of_name
{
	my ($name) = @_;

	return {
		org => 'orderer',
		msp_id => 'OrdererMSP',
		role => "fabric_node_$name",
		application => 0
	  }
	  if $name =~ /^orderer\d+\z/;
	return undef unless $name =~ /^org(\d+)(peer\d+)?\z/;
	return {
		org => "org$1",
		msp_id => "Org$1MSP",
		role => defined $2 ? "fabric_node_$name" : "fabric_node_org$1msp",
		application => 1
	};
}

# the names of a network's orderers and of its other nodes, in the order of their numbers
sub names_of_nodes
{
	my ($orgs, $peers_per_org, $orderers, $orderer_org) = @_;
	my @peers = map {
		my $org = "org$_";
		$peers_per_org == 1 ? [$org] : [ map { "${org}peer$_" } 1 .. $peers_per_org ]
	} 1 .. $orgs;
	my @orderers =
	  $orderer_org
	  ? (map { "orderer$_" } 1 .. $orderers)
	  : (map { $_->[0] } @peers[ 0 .. $orderers - 1 ]);
	my %is_orderer = map { $_ => 1 } @orderers;

	return (\@orderers, [ grep { !$is_orderer{$_} } map { @$_ } @peers ]);
}

# %options: orgs, peers_per_org (1), orderer_org (true: a separate organization has the orderers),
# orderers (how many), port (the first one to try), foreign_authorities (true: openssl makes the
# identities' certificates, not the databases), facts (for network.json); for tests also node_class,
# a subclass of Fabric::Node
sub new
{
	my ($class, $directory, %options) = @_;
	my $orgs = $options{orgs} // 3;
	my $peers_per_org = $options{peers_per_org} // 1;
	my $orderer_org = $options{orderer_org} ? 1 : 0;
	# an odd number of orderers: one more to an even number tolerates no further failure
	my $orderers = $options{orderers} // ($orderer_org ? 3 : $orgs >= 5 ? 5 : $orgs >= 3 ? 3 : 1);
	my $port = $options{port} // 5441;
	my $number = 0;
	my @nodes;

	die "a network has 1 to 20 organizations\n"
	  unless $orgs =~ /^\d+$/ && $orgs >= 1 && $orgs <= 20;
	die "an organization has 1 to 5 peers\n"
	  unless $peers_per_org =~ /^\d+$/ && $peers_per_org >= 1 && $peers_per_org <= 5;
	die "an orderer organization has 1 to 9 orderers\n"
	  if $orderer_org && !($orderers =~ /^\d+$/ && $orderers >= 1 && $orderers <= 9);
	die "a network has 1 orderer to as many as it has organizations ($orgs)\n"
	  if !$orderer_org && !($orderers =~ /^\d+$/ && $orderers >= 1 && $orderers <= $orgs);
	my ($orderer_names, $other_names) =
	  names_of_nodes($orgs, $peers_per_org, $orderers, $orderer_org);

	foreach my $name (@$orderer_names, @$other_names)
	{
		my $facts = facts_of_name($name);

		push @nodes,
		  {
			name => $name,
			number => ++$number,
			msp_id => $facts->{msp_id},
			role => $facts->{role},
			orderer => $number <= @$orderer_names ? 1 : 0
		  };
	}
	# in the order for output: organization by organization, an orderer organization last
	my ($peers, $pure_orderers) = map {
		my $application = $_;
		[ grep { facts_of_name($_->{name})->{application} == $application } @nodes ]
	} 1, 0;
	@nodes = (
		(sort { order_of_name($a->{name}) <=> order_of_name($b->{name}) } @$peers),
		@$pure_orderers);
	foreach my $node (@nodes)
	{
		$port = free_port($port);
		$node->{port} = $port++;
	}
	return $class->build(
		{
			directory => $directory,
			nodes => \@nodes,
			%{ $options{facts} // {} },
			foreign_authorities => $options{foreign_authorities} ? 1 : 0
		},
		$options{node_class});
}

sub order_of_name
{
	my ($org, $peer) = $_[0] =~ /(\d+)/g;

	return $org * 100 + ($peer // 0);
}

# Check that save has written this file: a foreign file of this name could name processes and
# directories, and the tool would start, stop and remove them
sub check_facts
{
	my ($facts) = @_;

	return
		 ref $facts eq 'HASH'
	  && ref $facts->{nodes} eq 'ARRAY'
	  && @{ $facts->{nodes} } > 0
	  && !grep { !check_node_facts($_) } @{ $facts->{nodes} };
}

sub check_node_facts
{
	my ($node) = @_;

	return 0
	  unless ref $node eq 'HASH' && !grep { !defined $node->{$_} || ref $node->{$_} }
	  qw(name number msp_id role port orderer);
	my $facts = facts_of_name($node->{name}) // return 0;
	return
		 $node->{number} =~ /^\d+\z/
	  && $node->{msp_id} eq $facts->{msp_id}
	  && $node->{role} eq $facts->{role}
	  && $node->{port} =~ /^\d+\z/;
}

sub load
{
	my ($class, $directory) = @_;

	die "there is no network in $directory: start one with tools/network up\n"
	  unless exists_in($directory);
	my $facts = eval { $json->decode(slurp("$directory/network.json")) };
	die
	  "$directory/network.json was not written by tools/network: choose another directory with FABRIC_NETWORK_DIR\n"
	  unless check_facts($facts);
	$facts->{directory} = realpath($directory);
	return $class->build($facts);
}

sub build
{
	my ($class, $facts, $node_class) = @_;
	my $nodes_count = @{ $facts->{nodes} };
	my %homes;
	my @nodes;

	foreach my $node (@{ $facts->{nodes} })
	{
		my $more = facts_of_name($node->{name});

		push @nodes,
		  ($node_class // 'Fabric::Node')->new(
			%$node,
			org => $more->{org},
			application => $more->{application},
			home => $homes{ $more->{org} } //= $node->{name},
			nodes_count => $nodes_count,
			directory => $facts->{directory});
	}

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

# in the order of their consenter numbers
sub orderers
{
	my ($self) = @_;

	return sort { $a->{number} <=> $b->{number} } grep { $_->{orderer} } $self->nodes;
}

# the nodes that have chaincode and endorse: all but those of an orderer organization
sub peers
{
	my ($self) = @_;

	return grep { $_->{application} } $self->nodes;
}

# the first node of each organization, which has its authorities
sub homes
{
	my ($self) = @_;

	return grep { $_->{home} eq $_->{name} } $self->nodes;
}

sub home_of
{
	my ($self, $node) = @_;
	my ($home) = grep { $_->{name} eq $node->{home} } $self->nodes;

	return $home;
}

# ---- building, in the order of the calls ----

# TLS authorities, TLS certificates and node keys of all organizations
sub create_keys
{
	my ($self) = @_;
	my $roots = '';

	$self->save;
	foreach my $node ($self->nodes)
	{
		make_path($node->path('keys/keystore'));
		chmod 0700, $node->path, $node->path('keys'), $node->path('keys/keystore');
		create_authority($node->org_path('tlsca'), "/O=$node->{msp_id}/CN=tlsca.$node->{org}")
		  if $node->is_home;
		issue_tls(
			$node->org_path('tlsca'),
			$node->path('keys/tls'),
			$node->{msp_id}, $node->{role}, 'localhost', '127.0.0.1', '::1');
		create_key($node->path('keys/node.key'));
		$roots .= slurp($node->path('tlsca.pem')) if $node->is_home;
	}
	spew($_->path('keys/tlscas.pem'), $roots) foreach $self->nodes;
}

# the instances, with a role for every other node
sub create_instances
{
	my ($self) = @_;

	foreach my $node ($self->nodes)
	{
		$node->create_instance;
		# the workers look for their database when the server starts, so create it first
		$node->start('-c shared_preload_libraries=');
		$node->query('CREATE DATABASE fabric', database => 'postgres');
		$node->query('CREATE EXTENSION fabric CASCADE');
		$node->stop;
		$node->start;
	}
	foreach my $node ($self->nodes)
	{
		$node->query("CREATE ROLE $_->{role} LOGIN IN ROLE fabric_node")
		  foreach grep { $_->{name} ne $node->{name} } $self->nodes;
	}
}

# Create each organization's authority in the database of its first node, the certificates of its
# nodes, and one of an administrator at each node. The nodes' keys are made here and never enter a
# database; the administrators' keys are in the keystore.
sub create_identities
{
	my ($self) = @_;

	foreach my $node ($self->nodes)
	{
		my $name = $node->{name};

		$self->create_organization_authority($node) if $node->is_home;
		spew(
			$node->path('keys/node.pem'),
			$self->enroll(
				$node, "node.$name",
				$node->{application} ? 'peer' : 'orderer', $node->path('keys/node.key'))
			  . "\n");
		$node->reload;
		$self->create_identity($node, "admin.$name", 'admin');
		# sessions of the superuser sign as the administrator, until they choose another identity
		$node->query("SELECT fabric.grant_identity('admin.$name', current_user);\n"
			  . "ALTER ROLE CURRENT_USER IN DATABASE fabric SET fabric.identity = 'admin.$name'");
	}
}

sub create_organization_authority
{
	my ($self, $home) = @_;
	my $label = "ca.$home->{org}";

	if ($self->{facts}{foreign_authorities})
	{
		create_authority($home->path('ca'), "/O=$home->{msp_id}/CN=$label");
		return;
	}
	spew($home->path('ca.pem'),
		$home->query("SELECT fabric.ca_create('$label', " . literal($home->{msp_id}) . ')') . "\n");
}

# register and enroll one identity at its organization's authority; gives the certificate for the
# key in $key_path
sub enroll
{
	my ($self, $node, $label, $kind, $key_path) = @_;

	return certify($node->org_path('ca'), create_request($key_path, "/OU=$kind/CN=$label"))
	  if $self->{facts}{foreign_authorities};
	my $request = create_request($key_path, "/CN=$label");
	return $self->home_of($node)->query(<<"SQL");
WITH registered AS MATERIALIZED (SELECT fabric.ca_register('ca.$node->{org}',
	${\ literal($label)}, ${\ literal($kind)}) AS secret)
SELECT fabric.ca_enroll('ca.$node->{org}',
	${\ literal($label)}, secret, ${\ literal($request)}, valid_for => '10 years') FROM registered;
SQL
}

# an identity in the node's keystore, ready to be granted to database roles
sub create_identity
{
	my ($self, $node, $label, $kind) = @_;
	my $key = $node->path("keys/$label.key");

	create_key($key);
	my $certificate = $self->enroll($node, $label, $kind, $key);
	$node->query('SELECT fabric.add_identity('
		  . join(', ', map { literal($_) } $label, $node->{msp_id}, $certificate, slurp($key))
		  . ')');
	# now it is in the keystore
	unlink $key;
	return $label;
}

sub profile
{
	my ($self, %changes) = @_;
	my @organizations;
	my @consenters;

	foreach my $home ($self->homes)
	{
		my @members = grep { $_->{org} eq $home->{org} } $self->nodes;
		my @orderers = grep { $_->{orderer} } @members;

		push @organizations,
		  {
			msp_id => $home->{msp_id},
			root_certificates => [ slurp($home->path('ca.pem')) ],
			tls_root_certificates => [ slurp($home->path('tlsca.pem')) ],
			application => $home->{application} ? JSON::PP::true : JSON::PP::false,
			orderer => @orderers ? JSON::PP::true : JSON::PP::false,
			$home->{application} ? (anchor_peers => [ map { $_->address } @members ]) : (),
			@orderers            ? (endpoints => [ map { $_->address } @orderers ])   : ()
		  };
	}
	foreach my $node ($self->orderers)
	{
		push @consenters,
		  {
			address => $node->address,
			client_tls_certificate => slurp($node->path('keys/tls.pem')),
			server_tls_certificate => slurp($node->path('keys/tls.pem'))
		  };
	}
	return { organizations => \@organizations, consenters => \@consenters, %changes };
}

# the first node makes the channel, all join it
sub create_channel
{
	my ($self, $channel, %changes) = @_;
	my ($first) = $self->nodes;
	my $profile = JSON::PP->new->canonical->encode($self->profile(%changes));
	my $genesis =
	  $first->query('SELECT encode(fabric.create_channel('
		  . literal($channel) . ', '
		  . literal($profile)
		  . "), 'hex')");

	$_->query("SELECT fabric.join_channel('\\x$genesis')") foreach $self->nodes;
	push @{ $self->{facts}{channels} }, $channel;
	$self->save;
}

# An application's role at one node: password login, the rights of fabric_client, and a client
# identity that signs for it
sub create_application
{
	my ($self, $node, $role, $password) = @_;
	my $label = $self->create_identity($node, "$role.$node->{name}", 'client');

	$node->let_owner_be($role);
	$node->query("CREATE ROLE $role LOGIN PASSWORD "
		  . literal($password)
		  . " IN ROLE fabric_client;\n"
		  . 'SELECT fabric.grant_identity('
		  . literal($label) . ', '
		  . literal($role) . ");\n"
		  . "ALTER ROLE $role IN DATABASE fabric SET fabric.identity = "
		  . literal($label));
}

# The lifecycle of a chaincode: every peer installs it and approves it for its organization, one
# commits it. Gives the package's id
sub deploy
{
	my ($self, $channel, $name, $source, %options) = @_;
	my ($first) = $self->peers;
	my $version = $options{version} // '1.0';
	my $sequence = $options{sequence} // 1;
	my $policy = defined $options{policy} ? ', policy => ' . literal($options{policy}) : '';
	my $warnings = $options{allow_warnings} ? 'true' : 'false';
	my $package =
	  $first->query("SELECT encode(fabric.package_chaincode('${name}_$version', "
		  . literal($source)
		  . "), 'hex')");
	my $definition = join(', ', map { literal($_) } $channel, $name, $version) . ", $sequence";
	my $package_id;

	foreach my $node ($self->peers)
	{
		$package_id = $node->query(
			"SELECT fabric.install_chaincode('\\x$package', allow_warnings => $warnings)");
		my (undef, $error, $failed) = $node->try_query(
			"SELECT fabric.approve_chaincode($definition, " . literal($package_id) . "$policy)");
		# another node of the organization has approved, and has given this node the approval
		die "$error\n" if $failed && ($node->is_home || $error !~ /has approved sequence/);
	}
	$first->query("SELECT fabric.commit_chaincode($definition$policy)");
	return $package_id;
}

# The part of the ledger that must be the same at every node: height, hash of the last block, its
# commit hash, digest of the world state
sub fingerprint
{
	my ($self, $node, $channel) = @_;
	my $name = literal($channel);

	return $node->query(<<"SQL");
SELECT c.height, encode(c.current_block_hash, 'hex'),
	   (SELECT encode(b.commit_hash, 'hex') FROM fabric.blocks b WHERE b.channel = $name
	   	AND b.number = c.height - 1),
	   encode(fabric.state_digest($name), 'hex')
FROM fabric.chain_info($name) c
SQL
}

# the leader of the channel's orderers, according to the nodes; undef while there is none
sub leader
{
	my ($self, $channel) = @_;

	foreach my $node (grep { $_->is_running } $self->orderers)
	{
		my ($output) = $node->try_query(
			'SELECT 1 FROM fabric.stat_orderer WHERE role = \'leader\' AND running AND channel = '
			  . literal($channel));
		return $node if $output eq '1';
	}
	return undef;
}

sub wait_for_leader
{
	my ($self, $channel, $seconds) = @_;

	for (my $end = time + ($seconds // 60) ; time < $end ; select(undef, undef, undef, 0.1))
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
		until (
			(   $node->try_query(
					'SELECT height FROM fabric.channels WHERE channel = ' . literal($channel))
			)[0] =~ /^(\d+)$/
			  && $1 >= $height)
		{
			die "node $node->{name} did not reach block "
			  . ($height - 1)
			  . " of channel $channel\n"
			  if time > $end;
			select(undef, undef, undef, 0.1);
		}
	}
}

# the size of the network as text
sub description
{
	my ($self) = @_;
	my @peers = $self->peers;
	my @orderers = $self->orderers;
	my $orgs = grep { $_->{application} } $self->homes;
	my $words =
	  @peers == $orgs ? "$orgs organizations" : sprintf '%d organizations with %d peers each',
	  $orgs, @peers / $orgs;

	return sprintf '%s, %d of them orderers too,', $words, scalar @orderers
	  if $orderers[0]{application};
	return sprintf '%s and an orderer organization with %d orderers', $words, scalar @orderers;
}

# Do all of the above, with progress on the terminal. %options: those of new, and channel
sub up
{
	my ($class, $directory, %options) = @_;
	my $channel = delete $options{channel} // 'trade';
	my $network = $class->new($directory, %options);

	say_line('A network of ' . $network->description . " in $directory");
	eval {
		hold_signals(
			sub {
				step('TLS authorities, certificates and keys', sub { $network->create_keys });
				step('instances with the extension', sub { $network->create_instances });
				step('certificate authorities, node certificates, administrators',
					sub { $network->create_identities });
				step("channel $channel, joined by all", sub { $network->create_channel($channel) });
				step('orderers elect a leader', sub { $network->wait_for_leader($channel) });
				$network->{facts}{complete} = 1;
				$network->save;
				1;
			});
	} or do
	{
		my $error = $@;

		print bad('failed'), "\n";
		local @SIG{qw(HUP INT TERM)} = ('IGNORE') x 3;
		$network->stop;
		die
		  "${error}The instances are stopped; their logs are in $network->{directory}/*/log, and tools/network down removes it all.\n";
	};
	return $network;
}

# ---- life cycle ----

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

# Stop everything and remove the files that this tool has made; the directory too, if the user may,
# and if it has no other files
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
