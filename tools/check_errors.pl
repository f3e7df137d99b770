#!/usr/bin/perl
# check_errors: how the server's code reports errors.
#
#   tools/check_errors.pl               check the tree
#   tools/check_errors.pl --self-test   prove that each rule can fail
#
# Rules, for every file under src:
#   - What the server finds out by itself is raised with ereport: no function fills an FbError with
#     fb_fail and throws it. (LOCATION, translation and length are PostgreSQL's own then.)
#   - errmsg, errdetail and errhint have a constant format, for xgettext; a text that is made
#     elsewhere goes through errmsg_internal and errdetail_internal with "%s".
#   - A constant format has no INT64_FORMAT or UINT64_FORMAT, which differ between platforms: %lld
#     and %llu with a cast.
#   - The status of an error is given with fb_errcode.
#   - Message style, also of FbError: a primary message begins in lower case and has no period;
#     detail and hint are sentences; a word outside the allowed ones is "unrecognized", not "unknown".
use strict;
use warnings;
use File::Find;
use FindBin;

# functions that may fill an FbError, keep it, and throw it, with the reason
my %KEEPS =
  (refuse_setting => 'the failure of a simulation outlives the error, which chaincode may catch');

# comments become blanks, so that line numbers and strings stay as they are
sub without_comments
{
	my ($text) = @_;

	$text =~ s{("(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')|(/\*.*?\*/|//[^\n]*)}
		{ defined $1 ? $1 : $2 =~ s/[^\n]/ /gr }gse;
	return $text;
}

# the text between the parenthesis at $start and its counterpart
sub in_parentheses
{
	my ($text, $start) = @_;
	my $depth = 0;

	pos($text) = $start;
	while ($text =~ /\G("(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|[()]|[^()"']+)/g)
	{
		$depth++ if $1 eq '(';
		$depth-- if $1 eq ')';
		return substr($text, $start + 1, pos($text) - $start - 2) if $depth == 0;
	}
	return '';
}

# an argument of a list, by its number from 1
sub argument
{
	my ($list, $number) = @_;
	my ($argument, $depth) = ('', 0);

	while ($list =~ /\G("(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|[^"'])/g)
	{
		my $token = $1;

		$depth++ if $token eq '(';
		$depth-- if $token eq ')';
		if ($token eq ',' && $depth == 0)
		{
			last if --$number == 0;
			$argument = '';
			next;
		}
		$argument .= $token;
	}
	return $argument =~ s/^\s+|\s+$//gr;
}

# the complaints about the format of a message
sub judge_format
{
	my ($call, $format) = @_;
	my @problems;
	my $text = join '', $format =~ /"((?:\\.|[^"\\])*)"/g;

	return () if $format =~ /^[A-Z_]+$/;    # a constant, or __VA_ARGS__
	return ("$call: the format is not constant: xgettext cannot find it")
	  if $format !~ /^(?:"|[A-Z_]+ ")/ && $format !~ /^\w[^?]*\?\s*"[^?]*:\s*"[^?]*"$/s;
	return ()
	  if $text eq '%s' && $call eq 'errhint';
	push @problems, "$call(\"%s\"): a text that is made elsewhere goes through ${call}_internal"
	  if $text eq '%s';
	push @problems, "$call: write %lld or %llu and cast: INT64_FORMAT differs between platforms"
	  if $format =~ /INT64_FORMAT/;
	return (@problems, judge_words($call, $call eq 'errmsg', $format, $text));
}

# the complaints about the words of a primary message, or of a detail or hint
sub judge_words
{
	my ($call, $primary, $format, $text) = @_;
	my @problems;

	push @problems, "$call: \"unrecognized\", not \"unknown\": $text" if $text =~ /\bunknown\b/;
	if ($primary)
	{
		push @problems, "$call: no period at the end: $text" if $text =~ /[^.]\.$/;
		push @problems, "$call: begin in lower case: $text"
		  if $text =~ /^(?!(?:Raft|Kafka) )[A-Z][a-z]+ /;
	}
	elsif ($text ne '%s')
	{
		push @problems, "$call: sentences end with a period: $text"
		  unless $format =~ /\?/ || $text =~ /(?:[.?!:]|%s|\)|\\n)$/;
		push @problems, "$call: sentences begin with a capital letter: $text"
		  if $text =~ /^[a-z]+ / && $text !~ /^fabric/;
	}
	return @problems;
}

# the findings in one file: [line, text]
sub judge_source
{
	my ($source) = @_;
	my $text = without_comments($source =~ s/\\\n/ \n/gr);
	my @problems;
	my $complain =
	  sub { push @problems, [ 1 + (substr($text, 0, $_[0]) =~ tr/\n//), $_[1] ] };

	while ($text =~ /\b(errmsg|errdetail|errhint)\s*(?=\()/g)
	{
		my ($call, $at, $start) = ($1, $-[0], pos $text);

		$complain->($at, $_)
		  foreach judge_format($call, argument(in_parentheses($text, $start), 1));
	}
	while ($text =~ /\b(fb_fail|fb_error_detail|fb_error_hint)\s*(?=\()/g)
	{
		my ($call, $at, $start) = ($1, $-[0], pos $text);
		my $format = argument(in_parentheses($text, $start), $call eq 'fb_fail' ? 3 : 2);
		my $words = join '', $format =~ /"((?:\\.|[^"\\])*)"/g;

		next if $format !~ /^"/ || $words !~ /[a-z]{3}/;
		$complain->($at, $_) foreach judge_words($call, $call eq 'fb_fail', $format, $words);
	}
	$complain->($-[0], 'errcode(error_sqlstate()): use fb_errcode')
	  while $text =~ /\berrcode\s*\(\s*error_sqlstate\b(?=[^?]*?\)\s*\)\s*,)/g;
	# functions begin with a brace in the first column
	while ($text =~ /^(\w+)\([^;{}]*\)\n(\{\n.*?^\})/gms)
	{
		my ($function, $body, $at) = ($1, $2, $-[2]);
		my %filled;

		next if $KEEPS{$function};
		while ($body =~ /\b(fb_fail|error_throw)\s*\(\s*([^,()]+?)\s*[,)]/g)
		{
			$filled{$2} = 1 if $1 eq 'fb_fail';
			$complain->(
				$at + $-[0],
				"$function fills an FbError and throws it: use ereport where it happens"
			) if $1 eq 'error_throw' && $filled{$2};
		}
	}
	return @problems;
}

sub check_tree
{
	my ($top) = @_;
	my ($files, $bad, @found) = (0, 0);

	find({ no_chdir => 1, wanted => sub { push @found, $_ if /\.[ch]$/ } }, "$top/src");
	foreach my $path (sort @found)
	{
		open(my $handle, '<', $path) or die "could not open $path: $!\n";
		local $/;
		my @problems = judge_source(readline $handle);

		$files++;
		$bad++ if @problems;
		print substr($path, length("$top/")), ":$_->[0]: $_->[1]\n" foreach @problems;
	}
	printf "errors: %d passed, %d failed\n", $files - $bad, $bad;
	return $bad;
}

sub self_test
{
	my $good = <<'C';
static void
refuse_it(const char *name)
{
	FbError error;

	error_check(core_function(name, &error), &error);
	ereport(ERROR, (fb_errcode(FB_BUSY), errmsg("channel \"%s\" is busy", name),
					errdetail("It has %llu entries.", (unsigned long long) count),
					problem != NULL ? errdetail_internal("%s", problem) : 0,
					errhint(HINT_OF_ALL)));
}
C
	my @cases = (
		[ 'good', sub { $_[0] }, undef ],
		[
			'own error',
			sub {
				$_[0] =~
				  s/error_check.*/fb_fail(&error, FB_BUSY, "busy");\n\terror_throw(&error);/r;
			},
			'use ereport where it happens'
		],
		[
			'own error that is returned',
			sub { $_[0] =~ s/error_check.*/return fb_fail(error, FB_BUSY, "busy");/r },
			undef
		],
		[
			'text of an FbError',
			sub { $_[0] =~ s/error_check.*/return fb_fail(error, FB_BUSY, "Unknown a", b);/r },
			'lower case'
		],
		[
			'word of an FbError',
			sub { $_[0] =~ s/error_check.*/return fb_fail(error, FB_BUSY, "unknown a", b);/r },
			'unrecognized'
		],
		[
			'detail of an FbError',
			sub { $_[0] =~ s/error_check.*/fb_error_detail(error, "It is busy");/r },
			'end with a period'
		],
		[
			'error of core that is thrown',
			sub { $_[0] =~ s/error_check.*/if (status == FB_BUSY)\n\t\terror_throw(&error);/r },
			undef
		],
		[ 'format', sub { $_[0] =~ s/errmsg\("[^)]*/errmsg(name/r }, 'not constant' ],
		[ 'foreign text', sub { $_[0] =~ s/errdetail_internal/errdetail/r }, 'errdetail_internal' ],
		[ 'platform', sub { $_[0] =~ s/"It has %llu/"It has " UINT64_FORMAT "/r }, 'cast' ],
		[ 'unknown', sub { $_[0] =~ s/is busy/is unknown/r }, 'unrecognized' ],
		[ 'period', sub { $_[0] =~ s/is busy/is busy./r }, 'no period' ],
		[ 'capital', sub { $_[0] =~ s/"channel/"Channel/r }, 'lower case' ],
		[ 'no sentence', sub { $_[0] =~ s/entries\./entries/r }, 'end with a period' ],
		[ 'small letter', sub { $_[0] =~ s/"It has/"it has/r }, 'capital letter' ],
		[
			'errcode',
			sub { $_[0] =~ s/fb_errcode\(FB_BUSY\)/errcode(error_sqlstate(FB_BUSY))/r },
			'use fb_errcode'
		],
		[ 'comment', sub { "/* errmsg(name) */\n$_[0]" }, undef ]);
	my ($passed, $failed) = (0, 0);

	foreach my $case (@cases)
	{
		my ($name, $change, $expected) = @$case;
		my @problems = map { $_->[1] } judge_source($change->($good));
		my $right =
		  defined $expected ? (@problems && !grep { !/\Q$expected\E/ } @problems) : !@problems;

		$right ? $passed++ : $failed++;
		print STDERR "self-test $name: expected ", $expected // 'no complaint', ", got:\n",
		  map({ "    $_\n" } @problems)
		  unless $right;
	}
	print "errors self-test: $passed passed, $failed failed\n";
	return $failed;
}

exit(self_test()                    ? 1 : 0) if @ARGV && $ARGV[0] eq '--self-test';
exit(check_tree("$FindBin::Bin/..") ? 1 : 0);
