package CutProxy;

# CutProxy: the links between the nodes of a network, which can be cut: one process of
# test/long/cut_proxy.c carries all of them. No privilege to filter packets is needed.

use strict;
use warnings;
use Fabric::Host qw(free_port run spew);
use Fabric::Node;
use IO::Handle;
use POSIX ();

# $source: the text of cut_proxy.c; $directory: of the servers' user; @nodes: each finds the others
# at the proxy's ports afterwards. Existing connections are direct: restart the nodes.
sub new {
    my ( $class, $source, $directory, @nodes ) = @_;
    my $program = "$directory/cut_proxy";

    spew( "$program.c", $source );
    run( $ENV{CC} // 'cc', '-O2', '-o', $program, "$program.c" );
    pipe( my $in_read,  my $in_write )  or die "could not make a pipe: $!\n";
    pipe( my $out_read, my $out_write ) or die "could not make a pipe: $!\n";
    my $pid = fork // die "could not fork: $!\n";
    if ( $pid == 0 ) {
        POSIX::dup2( fileno $in_read,   0 );
        POSIX::dup2( fileno $out_write, 1 );
        close $in_write;
        { no warnings 'exec'; exec($program); }
        POSIX::_exit(127);
    }
    $in_write->autoflush(1);
    my $self = bless { pid => $pid, in => $in_write, out => $out_read }, $class;
    my $port = 7000;
    foreach my $from ( 0 .. $#nodes ) {
        foreach my $to ( grep { $_ != $from } 0 .. $#nodes ) {
            $port = free_port( $port + 1 );
            $self->command("link $port $nodes[$to]{port} $from $to");
            $nodes[$from]->query(
"INSERT INTO fabric_internal.node VALUES ('localhost:$nodes[$to]{port}', 'port=$port')"
            );
        }
    }
    return $self;
}

sub command {
    my ( $self, $command ) = @_;

    print { $self->{in} } "$command\n";
    my $answer = readline( $self->{out} ) // '';
    die "cut_proxy has ended\n" if $answer ne "ready\n";
}

# Stop all processes of a node; gives them, for kill 'CONT'. The postmaster first, so that it starts
# no process that is not stopped.
sub freeze {
    my ($node) = @_;
    my $postmaster = $node->process_id;

    kill 'STOP', $postmaster;
    my @children = Fabric::Node::children_of($postmaster);
    kill 'STOP', @children;
    return ( $postmaster, @children );
}

1;
