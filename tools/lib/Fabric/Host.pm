package Fabric::Host;

# Host: PostgreSQL's programs on this machine, the user of its servers, and running commands.
#
# PostgreSQL refuses to run as root. Started by root, the tools run servers as the user postgres (or
# FABRIC_SERVER_USER), who cannot read root's home: files for servers and tests are copied into a
# directory of their own.

use strict;
use warnings;
use Cwd            qw(realpath);
use Exporter       qw(import);
use File::Basename qw(dirname);
use IO::Socket::INET;
use POSIX ();

our @EXPORT_OK =
  qw(top bindir pgxs_directory server_user become_server_user give_to_server_user free_port
  run capture start finish hold_signals check_signals slurp spew);

my $TOP = realpath(dirname(__FILE__) . '/../../..');
my %config;

# the project's directory
sub top
{
	return $TOP;
}

sub config_value
{
	my ($option) = @_;

	if (!exists $config{$option})
	{
		my $program = $ENV{PG_CONFIG} || 'pg_config';
		my $value = qx{'$program' --$option};
		die
		  "could not run $program: is PostgreSQL's server package installed? (tools/setup installs it)\n"
		  if $? != 0;
		chomp $value;
		$config{$option} = $value;
	}
	return $config{$option};
}

# PostgreSQL's programs; FABRIC_BINDIR: a directory with others of the same names
# (tools/check_valgrind)
sub bindir
{
	return $ENV{FABRIC_BINDIR} || config_value('bindir');
}

# the directory with pg_regress and the Perl modules for tests
sub pgxs_directory
{
	return dirname(config_value('pgxs')) =~ s{/src/makefiles$}{}r;
}

# the user that servers run as, or undef when it is the current user
sub server_user
{
	return undef if $> != 0;
	return $ENV{FABRIC_SERVER_USER} || 'postgres';
}

# give up root's rights permanently, in this process
sub become_server_user
{
	my $user = server_user();

	return unless defined $user;
	my ($name, undef, $uid, $gid, undef, undef, undef, $home) = getpwnam($user);
	die "there is no user $user to run PostgreSQL as\n" unless defined $uid;
	$) = "$gid $gid";
	$( = $gid;
	POSIX::setuid($uid) or die "could not become user $user: $!\n";
	die "could not become user $user\n" if $> != $uid || $< != $uid;
	@ENV{qw(USER LOGNAME HOME)} = ($name, $name, $home);
}

sub give_to_server_user
{
	my (@paths) = @_;
	my $user = server_user();

	return unless defined $user && @paths;
	system('chown', '-R', "$user:", @paths) == 0 or die "could not give @paths to user $user\n";
}

# the first free TCP port of this machine at or above $port; $taken: ports to leave out
sub free_port
{
	my ($port, $taken) = @_;

	for (my $try = $port ; $try < $port + 1000 ; $try++)
	{
		next if $taken && $taken->{$try};
		my $socket = IO::Socket::INET->new(
			LocalAddr => '127.0.0.1',
			LocalPort => $try,
			Listen => 1,
			ReuseAddr => 1);
		next unless $socket;
		close $socket;
		return $try;
	}
	die "no free port between $port and " . ($port + 1000) . "\n";
}

# run a command; on failure print its output and die
sub run
{
	my (@command) = @_;
	my ($output, $status) = capture(@command);

	if ($status != 0)
	{
		die "command failed: @command\n$output";
	}
	return $output;
}

# run a command; gives (its standard output and error, its wait status)
sub capture
{
	my (@command) = @_;

	return finish(start(@command));
}

# the same in two steps
sub start
{
	my (@command) = @_;
	my $pid = open(my $pipe, '-|') // die "could not fork: $!\n";

	if ($pid == 0)
	{
		# descriptors, not Perl's handles, which PostgreSQL::Test ties to its log
		POSIX::dup2(1, 2);
		POSIX::dup2(POSIX::open('/dev/null', POSIX::O_RDONLY()), 0);
		{ no warnings 'exec'; exec(@command); }
		my $words = "could not run $command[0]: $!\n";
		POSIX::write(2, $words, length $words);
		POSIX::_exit(127);
	}
	return $pipe;
}

sub finish
{
	my ($pipe) = @_;
	my $output;

	{ local $/; $output = <$pipe>; }
	close $pipe;
	my $status = $?;
	check_signals();
	return ($output // '', $status);
}

my $signal;

# Run code that starts servers. A signal that would end this process while a command runs would
# leave started servers behind: it is recorded, and this process dies of it after the command has
# ended.
sub hold_signals
{
	my ($code) = @_;

	local @SIG{qw(HUP INT TERM)} = (sub { $signal = $_[0] }) x 3;
	my $result = eval { $code->() };
	my $error = $@;
	$signal = undef;
	die $error if $error ne '';
	return $result;
}

sub check_signals
{
	return unless defined $signal;
	my $name = $signal;
	$signal = undef;
	die "ended by SIG$name\n";
}

sub slurp
{
	my ($path) = @_;

	open(my $handle, '<', $path) or die "could not open $path: $!\n";
	local $/;
	my $text = <$handle>;
	close $handle;
	return $text // '';
}

# write a file; $mode such as 0600 for keys
sub spew
{
	my ($path, $text, $mode) = @_;
	my $flags = POSIX::O_WRONLY() | POSIX::O_CREAT() | POSIX::O_TRUNC();

	sysopen(my $handle, $path, $flags, $mode // 0644) or die "could not write $path: $!\n";
	print $handle $text;
	close $handle or die "could not write $path: $!\n";
}

1;
