package Fabric::Psql;

# Psql: SQL on one instance through psql. Statements are sent through standard input, so that no
# secret is on a command line.

use strict;
use warnings;
use Exporter     qw(import);
use Fabric::Host qw(bindir check_signals);
use IO::Handle;
use POSIX ();

our @EXPORT_OK = qw(query try_query start_query finish_query literal);

sub psql_command
{
	my ($connection) = @_;

	return (
		bindir() . '/psql', '-X', '-q', '-A',
		'-t', '-v', 'ON_ERROR_STOP=1', '-h',
		$connection->{host}, '-p', $connection->{port}, '-U',
		$connection->{user} // 'postgres', '-d', $connection->{database} // 'fabric');
}

# a text as an SQL literal
sub literal
{
	my ($text) = @_;

	return 'NULL' unless defined $text;
	$text =~ s/'/''/g;
	return $text =~ /\\/ ? " E'" . ($text =~ s/\\/\\\\/gr) . "'" : "'$text'";
}

# Start a session that runs SQL, and do not wait for it. %$connection: host, port, user, database,
# password, options
sub start_query
{
	my ($connection, $sql) = @_;
	my %session;

	foreach my $name (qw(input output errors))
	{
		open($session{$name}, '+>', undef) or die "could not make a temporary file: $!\n";
		binmode $session{$name}, ':utf8';
	}
	print { $session{input} } "$sql\n";
	$session{input}->flush;
	$session{pid} = fork // die "could not fork: $!\n";
	if ($session{pid} == 0)
	{
		delete @ENV{ grep { /^PG/ } keys %ENV };
		$ENV{PGPASSWORD} = $connection->{password} if defined $connection->{password};
		$ENV{PGOPTIONS} = $connection->{options} if defined $connection->{options};
		$ENV{PGCLIENTENCODING} = 'UTF8';
		# descriptors, not Perl's handles, which PostgreSQL::Test ties to its log
		POSIX::dup2(fileno $session{input}, 0);
		POSIX::dup2(fileno $session{output}, 1);
		POSIX::dup2(fileno $session{errors}, 2);
		POSIX::lseek(0, 0, POSIX::SEEK_SET());
		{ no warnings 'exec'; exec(psql_command($connection)); }
		POSIX::_exit(127);
	}
	return \%session;
}

# Wait for a session's end. Gives (output, error text, exit status); the output has one line per
# row, with fields separated by a vertical bar
sub finish_query
{
	my ($session) = @_;
	my @texts;

	waitpid($session->{pid}, 0);
	my $status = $?;
	foreach my $name (qw(output errors))
	{
		seek $session->{$name}, 0, 0;
		local $/;
		my $text = readline($session->{$name}) // '';
		$text =~ s/\n\z//;
		push @texts, $text;
	}
	check_signals();
	return (@texts, $status & 127 ? 128 + ($status & 127) : $status >> 8);
}

sub try_query
{
	my ($connection, $sql) = @_;

	return finish_query(start_query($connection, $sql));
}

# the same, but die with the server's error when it fails
sub query
{
	my ($connection, $sql) = @_;
	my ($output, $error, $status) = try_query($connection, $sql);

	if ($status != 0)
	{
		my $start = length $sql > 300 ? substr($sql, 0, 300) . ' ...' : $sql;
		die "$error\nin: $start\n";
	}
	return $output;
}

1;
