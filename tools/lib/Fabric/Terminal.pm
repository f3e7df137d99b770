package Fabric::Terminal;

# Terminal: text and numbers for the terminal: colors on a terminal only, and the time of long
# steps.

use strict;
use warnings;
use Exporter    qw(import);
use Time::HiRes qw(time);

our @EXPORT_OK = qw(heading say_line step detail good bad emphasis thousands shell_word);

my $colors = -t STDOUT && !defined $ENV{NO_COLOR} && ($ENV{TERM} // 'dumb') ne 'dumb';

$| = 1;

sub paint
{
	my ($code, $text) = @_;

	return $colors ? "\e[${code}m$text\e[0m" : $text;
}

sub good     { return paint('32', $_[0]) }
sub bad      { return paint('31', $_[0]) }
sub emphasis { return paint('1', $_[0]) }

sub heading
{
	my ($text) = @_;

	print "\n", paint('1;36', $text), "\n", paint('36', '-' x length $text), "\n";
}

sub say_line
{
	my ($text) = @_;

	print "$text\n";
}

sub detail
{
	my ($text) = @_;

	print paint('2', "    $text"), "\n";
}

# run a step that takes a while: print its name at once, its time at the end
sub step
{
	my ($text, $code) = @_;
	my $start = time;
	my @result;

	print "  $text ... ";
	@result = wantarray ? $code->() : scalar $code->();
	printf "%s (%.1f s)\n", good('done'), time - $start;
	return wantarray ? @result : $result[0];
}

# a word of a command that the user can copy into a shell
sub shell_word
{
	my ($word) = @_;

	return $word if $word =~ m{^[\w./:=+,-]+\z};
	$word =~ s/'/'\\''/g;
	return "'$word'";
}

# 12345 -> 12,345
sub thousands
{
	my ($number) = @_;

	$number = sprintf '%.0f', $number;
	1 while $number =~ s/^(-?\d+)(\d{3})/$1,$2/;
	return $number;
}

1;
