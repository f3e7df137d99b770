package FaultSessions;

# FaultSessions: application sessions of test/long/faults: psql processes that make calls and record
# the result of each.
#
# One process drives all sessions. A session stays at its node: when the node ends, the session
# connects again as soon as the node accepts connections. Every call is a line in the journal,
# written when its answer has arrived:
#
#   begin  end  node  session  kind  key  outcome  transaction id  value  steps  error
#
# Fields are separated by tabs, times are in seconds since 1970. outcome: ok, lost (the connection
# ended), or the SQLSTATE. value: the result of a query or a change. steps: when each of the call's
# statements was answered, in seconds since its begin. Keys: "own-..." belongs to one session,
# "shared-..." to all.

use strict;
use warnings;
use Fabric::Host qw(bindir);
use Fabric::Psql qw(literal);
use FabricWire;
use Fcntl qw(F_SETFL O_NONBLOCK);
use IO::Handle;
use IO::Select;
use POSIX       ();
use Time::HiRes qw(time sleep);

our $SHARED_KEYS = 24;
our $CONNECT_PAUSE = 0.3;

# %options: nodes, sessions, seconds, seed, pause (seconds between two calls of a session, on
# average), journal (file), clients (by node name: {role-free identity for split calls} of
# FabricWire)
sub run
{
	my (%options) = @_;
	my @nodes = @{ $options{nodes} };
	my @sessions;

	srand $options{seed};
	local $SIG{PIPE} = 'IGNORE';
	open(my $journal, '>', $options{journal}) or die "could not write $options{journal}: $!\n";
	$journal->autoflush(1);
	foreach my $number (1 .. $options{sessions})
	{
		my $node = $nodes[ ($number - 1) % @nodes ];

		push @sessions,
		  {
			number => $number,
			node => $node,
			client => $options{clients}{ $node->{name} },
			made => 0,
			connect_at => time + $number * 0.05,
			call_at => 0,
			pause => $options{pause},
			journal => $journal
		  };
	}
	my $end = time + $options{seconds};
	my $select = IO::Select->new;

	while (time < $end || grep { $_->{call} && time < $end + 90 } @sessions)
	{
		foreach my $session (@sessions)
		{
			connect_session($session, $select)
			  if !$session->{pid} && time >= $session->{connect_at} && time < $end;
			next_call($session)
			  if $session->{pid}
			  && !$session->{call}
			  && time >= $session->{call_at}
			  && time < $end;
		}
		foreach my $handle ($select->can_read(0.01))
		{
			my ($session) = grep { $_->{pid} && $_->{out} == $handle } @sessions;

			read_answer($session, $select) if $session;
		}
	}
	foreach my $session (grep { $_->{pid} } @sessions)
	{
		end_call($session, 'unanswered') if $session->{call};
		close_session($session, $select);
	}
	close $journal;
}

sub connect_session
{
	my ($session, $select) = @_;
	my $connection = $session->{node}->connection;

	pipe(my $in_read, my $in_write) or die "could not make a pipe: $!\n";
	pipe(my $out_read, my $out_write) or die "could not make a pipe: $!\n";
	$session->{pid} = fork // die "could not fork: $!\n";
	if ($session->{pid} == 0)
	{
		delete @ENV{ grep { /^PG/ } keys %ENV };
		POSIX::dup2(fileno $in_read, 0);
		POSIX::dup2(fileno $out_write, 1);
		POSIX::dup2(fileno $out_write, 2);
		# an inherited descriptor of another session's pipe would keep that pipe open
		POSIX::close($_) foreach 3 .. 1023;
		{
			no warnings 'exec';
			exec(
				bindir() . '/psql', '-X', '-q', '-A',
				'-t', '-h', $connection->{host}, '-p',
				$connection->{port}, '-U', $connection->{user}, '-d',
				$connection->{database});
		}
		POSIX::_exit(127);
	}
	close $in_read;
	close $out_write;
	fcntl($out_read, F_SETFL, O_NONBLOCK) or die "could not set O_NONBLOCK: $!\n";
	$in_write->autoflush(1);
	$session->{in} = $in_write;
	$session->{out} = $out_read;
	$session->{buffer} = '';
	$select->add($out_read);
	# the connection, before the first call is measured
	start_call($session, 'connect', '', [ sub { "SELECT 'connected'" } ]);
}

sub close_session
{
	my ($session, $select) = @_;

	$select->remove($session->{out});
	close $session->{in};
	close $session->{out};
	# a psql that waits for a frozen server does not end by itself
	kill 'KILL', $session->{pid};
	waitpid $session->{pid}, 0;
	delete $session->{pid};
	$session->{connect_at} = time + $CONNECT_PAUSE;
}

# ---- calls ----

sub chaincode_call
{
	my ($function, $key) = @_;

	return
	  "SELECT 'tx', tx_id, validation_code, convert_from(payload, 'UTF8') FROM fabric.submit_transaction('trade', 'items', '$function', ARRAY["
	  . literal($key) . '])';
}

sub start_call
{
	my ($session, $kind, $key, $steps) = @_;

	$session->{call} =
	  { begin => time, kind => $kind, key => $key, steps => $steps, answers => [] };
	send_step($session);
}

sub send_step
{
	my ($session) = @_;
	my $call = $session->{call};
	my $sql = shift(@{ $call->{steps} })->(@{ $call->{answers} });

	# psql prints its results before it reads the next line; \warn is not buffered
	print { $session->{in} } "$sql;\n\\warn #END :SQLSTATE\n";
}

sub next_call
{
	my ($session) = @_;
	my $dice = rand 100;
	my $own = $session->{last_key};

	if (!defined $own || $dice < 25)
	{
		my $key = "own-$session->{number}-" . ++$session->{made};

		$session->{last_key} = $key;
		start_call($session, 'create', $key, [ sub { chaincode_call('create_item', $key) } ]);
	}
	elsif ($dice < 55)
	{
		start_call($session, 'change', $own, [ sub { chaincode_call('change_item', $own) } ]);
	}
	elsif ($dice < 70)
	{
		my $key = 'shared-' . (1 + int rand $SHARED_KEYS);

		start_call($session, 'shared', $key, [ sub { chaincode_call('change_item', $key) } ]);
	}
	elsif ($dice < 95 || !$session->{client})
	{
		start_call(
			$session, 'query', $own,
			[
				sub {
					"SELECT 'value', coalesce(fabric.query('trade', 'items', 'read_item', "
					  . literal($own)
					  . "), '')";
				}
			]);
	}
	else
	{
		start_split_call($session, $own);
	}
}

# proposal and transaction are signed here, with a key that the node does not have
sub start_split_call
{
	my ($session, $key) = @_;
	my $client = $session->{client};
	my $creator = unpack 'H*', $client->{bytes};
	my $hex_signed = sub {
		my $bytes = pack 'H*', $_[0];
		return "'\\x$_[0]', '\\x" . unpack('H*', FabricWire::sign($client, $bytes)) . "'";
	};

	start_call(
		$session, 'split', $key,
		[
			sub {
				"SELECT 'proposal', tx_id, encode(proposal, 'hex') FROM fabric.new_proposal('trade', 'items', 'change_item', ARRAY["
				  . literal($key)
				  . "], '\\x$creator')";
			},
			sub {
				"SELECT 'endorsed', encode(payload, 'hex') FROM fabric.endorse("
				  . $hex_signed->($_[0][2]) . ')';
			},
			sub { "SELECT 'submitted', fabric.submit(" . $hex_signed->($_[1][1]) . ')' },
			sub {
				"SELECT 'tx', '$_[2][1]', coalesce(validation_code, 'LF504'), '' FROM fabric.commit_status('trade', '$_[2][1]')";
			},
		]);
}

sub read_answer
{
	my ($session, $select) = @_;
	my $count = sysread $session->{out}, $session->{buffer}, 65536, length $session->{buffer};

	return if !defined $count && $!{EAGAIN};
	if (!$count)
	{
		end_call($session, 'lost') if $session->{call};
		close_session($session, $select);
		return;
	}
	while ($session->{call} && $session->{buffer} =~ s/\A(.*?)^#END (\w+)\n//ms)
	{
		take_step($session, $1, $2);
	}
}

sub take_step
{
	my ($session, $text, $state) = @_;
	my $call = $session->{call};
	my ($line) = grep { /^(tx|value|proposal|endorsed|submitted)\|/ } split /\n/, $text;

	# psql reports no SQLSTATE when the connection is lost; then it ends too
	if ($state ne '00000')
	{
		$call->{text} = $text;
		end_call($session, $state);
		return;
	}
	push @{ $call->{answers} }, [ split /\|/, $line // '' ];
	push @{ $call->{took} }, sprintf '%.2f', time - $call->{begin};
	if (@{ $call->{steps} })
	{
		send_step($session);
		return;
	}
	my $code = ($line // '') =~ /^tx\|/ ? $call->{answers}[-1][2] : 'VALID';

	end_call($session, $code eq 'VALID' ? 'ok' : $code);
}

sub end_call
{
	my ($session, $outcome) = @_;
	my $call = delete $session->{call};
	my $last = $call->{answers}[-1] // [];
	my ($tx_id) =
	  map { $_->[1] } grep { ($_->[0] // '') =~ /^(tx|submitted)$/ } @{ $call->{answers} };
	my $value =
	  ($last->[0] // '') eq 'tx' ? $last->[3] : ($last->[0] // '') eq 'value' ? $last->[1] : '';
	my $text = ($call->{text} // '') =~ s/\s+/ /gr;

	$session->{call_at} = time + $session->{pause} * rand 2;
	return if $call->{kind} eq 'connect';
	# a key whose creation is in doubt is not used again
	delete $session->{last_key} if $call->{kind} eq 'create' && $outcome ne 'ok';
	print { $session->{journal} } join("\t",
		sprintf('%.6f', $call->{begin}), sprintf('%.6f', time),
		$session->{node}{name}, $session->{number},
		$call->{kind}, $call->{key},
		$outcome, $tx_id // '',
		$value // '', "@{ $call->{took} // [] }",
		$text),
	  "\n";
}

1;
