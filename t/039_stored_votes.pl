# What a consenter promises is in its tables before another node hears of it: when there is a
# leader, a majority has stored its term and the vote for it, also after all of them were killed.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use FabricTest qw(start_network wait_for_leader wait_until);
use Test::More;

my $network = start_network(
    orgs     => 3,
    orderers => 3,
    channel  => 'trade',
    settings => 'fsync = on'
);
my @nodes = $network->nodes;

# the term of the leader, and how many nodes have stored it and a vote for this leader
sub stored_votes {
    my ($leader) = @_;
    my $term = $leader->query(
"SELECT term FROM fabric.stat_orderer WHERE channel = 'trade' AND role = 'leader'"
    );
    my @votes = map {
        $_->query(
"SELECT term, vote FROM fabric_internal.raft_state WHERE channel = 'trade'"
        )
    } @nodes;

    return ( $term, scalar grep { $_ eq "$term|$leader->{number}" } @votes );
}

sub is_stored {
    my ($when) = @_;
    my ( $leader, $term, $count );

    # on a busy machine the term may end while the tables are read
    ok(
        wait_until(
            sub {
                $leader = wait_for_leader( $network, 'trade' );
                ( $term, $count ) = stored_votes($leader);
                my ($term_after) = stored_votes($leader);
                return $term ne '' && $term eq $term_after;
            }
        ),
        "$when: a term that lasts"
    );
    cmp_ok( $count, '>=', 2,
        "$when: a majority has stored the vote for $leader->{name}" );
    is(
        $leader->query(
"SELECT vote FROM fabric_internal.raft_state WHERE channel = 'trade'"
        ),
        $leader->{number},
        "$when: the leader has stored its own"
    );
    return $term;
}

my $first_term = is_stored('at first');

$_->kill_now        foreach @nodes;
$_->wait_until_dead foreach @nodes;
$_->start           foreach @nodes;
cmp_ok( is_stored('after all were killed'),
    '>', $first_term, 'no node has forgotten in which term it was' );

done_testing();
