package CounterHistory;

# CounterHistory: is the recorded history of one counter linearizable?
#
# A history is a list of {kind, value, begin, end}: an operation of one client. kind `add` adds 1
# and answers with the new value, kind `read` answers with the value; value undef: the outcome is
# not known, so the operation may have taken effect at any time after its begin, or never. The
# counter begins at 0.
#
# Linearizable (Herlihy, Wing 1990): each operation takes effect at one moment between its begin and
# its end, and the answers are those of a counter. For a counter no search is necessary, because an
# answer says which place the operation has: the n-th `add` answers n, and a `read` that answers n
# is after the n-th and before the next one. So there is an order of all known operations if and
# only if
#
#   - no two `add` answer the same;
#   - an operation that begins after another one has ended is not placed before it;
#   - each place that no known `add` has, below the highest answer, can be given to an `add` of
#     unknown outcome that began before all operations ended that come after that place. Two of them
#     never share one.

use strict;
use warnings;

# problems, as lines of text; none: the history is linearizable
sub problems {
    my (@history) = @_;
    my @known = grep { defined $_->{value} } @history;
    my @problems;
    my %added;

    foreach my $operation (@known) {
        push @problems,
          "two operations have added the same: $operation->{value}"
          if $operation->{kind} eq 'add' && $added{ $operation->{value} }++;
        push @problems, "$operation->{kind} answered $operation->{value}"
          if $operation->{value} < ( $operation->{kind} eq 'add' ? 1 : 0 );
    }
    return ( @problems, order_problems(@known),
        place_problems( \%added, @history ) );
}

# the n-th `add` is at 2n, a `read` of n right after it
sub place_of {
    my ($operation) = @_;

    return 2 * $operation->{value} + ( $operation->{kind} eq 'read' ? 1 : 0 );
}

sub words_of {
    my ($operation) = @_;

    return "$operation->{kind} that answered $operation->{value}"
      . " ($operation->{begin} to $operation->{end})";
}

# in the order of their begins: none may be placed before one that had ended by then
sub order_problems {
    my (@known) = @_;
    my @by_end = sort { $a->{end} <=> $b->{end} } @known;
    my ( $last, @problems );

    foreach my $operation ( sort { $a->{begin} <=> $b->{begin} } @known ) {
        while ( @by_end && $by_end[0]{end} < $operation->{begin} ) {
            my $ended = shift @by_end;

            $last = $ended if !$last || place_of($ended) > place_of($last);
        }
        push @problems,
          words_of($operation) . ' began after the end of ' . words_of($last)
          if $last && place_of($operation) < place_of($last);
    }
    return @problems;
}

# places that only operations of unknown outcome can have
sub place_problems {
    my ( $added, @history ) = @_;
    my @after = sort { place_of($b) <=> place_of($a) }
      grep { defined $_->{value} } @history;
    my @unknown = sort { $a->{begin} <=> $b->{begin} }
      grep { !defined $_->{value} && $_->{kind} eq 'add' } @history;
    my ( $first_end, %latest_begin ) = (9e99);

    return () unless @after;

# from the highest place down: an operation at $place must have begun before $first_end
    for ( my $value = $after[0]{value} ; $value >= 1 ; $value-- ) {
        while ( @after && place_of( $after[0] ) > 2 * $value ) {
            my $operation = shift @after;

            $first_end = $operation->{end} if $operation->{end} < $first_end;
        }
        $latest_begin{$value} = $first_end unless $added->{$value};
    }

   # lower places have earlier limits: give them the operations that began first
    foreach my $value ( sort { $a <=> $b } keys %latest_begin ) {
        my $operation = shift @unknown;

        return (
            "no operation can have added $value, which later answers contain")
          if !$operation || $operation->{begin} > $latest_begin{$value};
    }
    return ();
}

1;
