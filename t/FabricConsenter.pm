package FabricConsenter;

# FabricConsenter: messages of one consenter to another over its own connection, so that tests can
# let a consenter lie.
#
#   my ($output, $error, $status) = FabricConsenter::tell_node($evil, $node, $sql);
#   my ($output, $error, $status) = FabricConsenter::forward($evil, $leader, 'trade', @envelopes);
#   FabricConsenter::order_as_leader($evil, \@others, 'trade', @envelopes);

use strict;
use warnings;
use FabricWire   qw();
use Fabric::Host qw(bindir);
use Fabric::Psql qw(literal);
use IPC::Run;
use Test::More;

# SQL in the name of the consenter $from, at $node: (output, error, status)
sub tell_node
{
	my ($from, $node, $sql) = @_;
	my $keys = $from->path('keys');
	my ($output, $error);

	IPC::Run::run(
		[
			bindir() . '/psql',
			'-XqAt',
			'-v',
			'ON_ERROR_STOP=1',
			'-v',
			'VERBOSITY=verbose',
			'-d',
			"host=localhost port=$node->{port} dbname=fabric user=$from->{role} sslmode=verify-full sslcert=$keys/tls.pem sslkey=$keys/tls.key sslrootcert=$keys/tlscas.pem"
		],
		'<',
		\$sql,
		'>',
		\$output,
		'2>',
		\$error);
	return ($output, $error, $?);
}

# envelopes that $from asks $node to order; $node checks them again
sub forward
{
	my ($from, $node, $channel, @envelopes) = @_;

	return tell_node($from, $node,
			'SELECT fabric_internal.raft_forward('
		  . literal($channel)
		  . ", $from->{number}, "
		  . FabricWire::bytea(FabricWire::message(map { [ 1, $_ ] } @envelopes))
		  . ')');
}

# number of the next block and hash of the last one, once the node has made all blocks of its log
sub chain_head
{
	my ($node, $channel) = @_;
	my $name = literal($channel);

	FabricTest::wait_until(
		sub {
			$node->query(
				"SELECT applied_index = last_index FROM fabric.stat_orderer WHERE channel = $name")
			  eq 't';
		});
	my ($number, $hash) = split /\|/,
	  $node->query(
		"SELECT number + 1, encode(block_hash, 'hex') FROM fabric_internal.block WHERE channel = $name ORDER BY number DESC LIMIT 1"
	  );
	return ($number, pack('H*', $hash));
}

# One batch, which becomes one block, without the orderers' checks: $from makes itself the leader,
# and tells the others that the batch is committed. Their logs must be the same. The next election
# gives the channel a true leader, from which $from gets the block.
sub order_as_leader
{
	my ($from, $others, $channel, @envelopes) = @_;
	my $name = literal($channel);
	my @last = map {
		$_->query(
			"SELECT index || ' ' || term FROM fabric_internal.raft_log WHERE channel = $name ORDER BY index DESC LIMIT 1"
		)
	} @$others;
	my ($index, $log_term) = split / /, $last[0];
	my ($term) = sort { $b <=> $a }
	  map { $_->query("SELECT term FROM fabric.stat_orderer WHERE channel = $name") } @$others;
	my $entry = [
		$term + 1,
		0,
		FabricWire::linked(
			chain_head($others->[0], $channel),
			FabricWire::message(map { [ 1, $_ ] } @envelopes))
	];

	is($_, $last[0], 'all other consenters have the same log') foreach @last[ 1 .. $#last ];
	foreach my $node (@$others)
	{
		my $message = FabricWire::raft_message(
			type => $FabricWire::RAFT_APPEND,
			from => $from->{number},
			to => $node->{number},
			term => $term + 1,
			index => $index,
			log_term => $log_term,
			commit => $index + 1,
			entries => [$entry]);
		my ($output, $error) = tell_node($from, $node,
				"SELECT fabric_internal.raft_receive($name, $from->{number}, "
			  . FabricWire::bytea($message)
			  . ')');

		is($output, "t\n",
			"$node->{name} accepts a message of a consenter that makes itself the leader")
		  or diag($error);
	}
}

1;
