package Fabric::Psql;

# Psql: SQL on one instance through psql. Statements go through standard input, so that no secret is on a command line.

use strict;
use warnings;
use Exporter qw(import);
use Fabric::Host qw(bindir);
use IO::Handle;
use POSIX ();

our @EXPORT_OK = qw(query try_query literal);

# a text as an SQL literal
sub literal
{
	my ($text) = @_;

	return 'NULL' unless defined $text;
	$text =~ s/'/''/g;
	return $text =~ /\\/ ? " E'" . ($text =~ s/\\/\\\\/gr) . "'" : "'$text'";
}

# Run SQL. %$connection: host, port, user, database, password, options. Returns (output, error text, exit status); the output has one line per row,
# fields separated by |.
sub try_query
{
	my ($connection, $sql) = @_;

	open(my $input, '+>', undef) or die "could not make a temporary file: $!\n";
	open(my $errors, '+>', undef) or die "could not make a temporary file: $!\n";
	binmode $input, ':utf8';
	print $input "$sql\n";
	$input->flush;
	my $pid = open(my $pipe, '-|') // die "could not fork: $!\n";
	if ($pid == 0)
	{
		delete @ENV{ grep { /^PG/ } keys %ENV };
		$ENV{PGPASSWORD} = $connection->{password} if defined $connection->{password};
		$ENV{PGOPTIONS} = $connection->{options} if defined $connection->{options};
		$ENV{PGCLIENTENCODING} = 'UTF8';
		# descriptors, not Perl's handles: under PostgreSQL::Test those are tied to its log
		POSIX::dup2(fileno $input, 0);
		POSIX::dup2(fileno $errors, 2);
		POSIX::lseek(0, 0, POSIX::SEEK_SET());
		exec(bindir() . '/psql', '-X', '-q', '-A', '-t', '-v', 'ON_ERROR_STOP=1', '-h', $connection->{host}, '-p', $connection->{port},
			'-U', $connection->{user} // 'postgres', '-d', $connection->{database} // 'fabric')
			or POSIX::_exit(127);
	}
	binmode $pipe, ':utf8';
	my $output = do { local $/; <$pipe> } // '';
	close $pipe;
	my $status = $? >> 8;
	seek $errors, 0, 0;
	my $text = do { local $/; <$errors> } // '';
	chomp $output;
	chomp $text;
	return ($output, $text, $status);
}

# the same, and die with the server's words when it fails
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
