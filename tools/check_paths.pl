#!/usr/bin/perl
# check_paths: every file and directory of this repository that a document names exists.
#
#   tools/check_paths.pl              check README.md, CONTRIBUTING.md, CHANGELOG.md, META.json and
#                                     docs
#   tools/check_paths.pl --self-test  prove that it can fail
#
# A path is the target of a link, or a word that ends with a suffix of a source file or begins with
# a directory of the top level. It is relative to the top, to the document's own directory, or to
# src, src/core, src/server or tools/lib; a source file may be named without a directory, because
# base names are unique. Placeholders (NAME, NNN, <id>) and files of other projects (.go, .proto)
# are left out.
use strict;
use warnings;
use File::Basename qw(basename dirname);
use File::Find;
use File::Path qw(make_path);
use File::Temp qw(tempdir);
use FindBin;

my $SUFFIX = qr/(?:c|h|pl|pm|sql|md|spec|mk|js|txt|supp|json)/;
my $TOP = qr/(?:src|t|test|tools|docs|sql|specs|expected|examples)/;

# files of other projects, or made by a command
my %FOREIGN = map { $_ => 1 }
  qw(postgres.h raft.h gram.h gramparse.h connection.json metadata.json network.json msgprocessor.c
  greeting.sql chaincode.sql items.sql xlogfuncs.c Node.js);

# all files and directories below the current directory, and the base names of the files
sub tree
{
	my (%paths, %names);

	find(
		{
			no_chdir => 1,
			preprocess => sub {
				grep { $_ ne '.git' && !($File::Find::dir eq '.' && $_ eq 'build') } @_;
			},
			wanted => sub {
				my $path = $File::Find::name =~ s{^\./}{}r;

				$paths{$path} = 1;
				$names{ basename($path) } = 1 if -f $_;
			}
		},
		'.');
	return (\%paths, \%names);
}

# the words of a document that look like paths: [line, word]
sub words_of
{
	my ($file) = @_;
	my @words;

	open(my $handle, '<', $file) or die "could not open $file: $!\n";
	while (my $line = <$handle>)
	{
		push @words, [ $., $1 ] while $line =~ /\]\(([^)#:\s]+)(?:#[^)]*)?\)/g;
		$line =~ s{\w+://\S+}{}g;
		while ($line =~ m{(?<![\w./*<>\$~-])((?:[\w.*-]+/)*[\w.*-]*[\w*])(/?)(?![\w/<])}g)
		{
			my $word = $1;

			push @words, [ $., $word ]
			  if $word =~ m{^[\w./*-]+\.$SUFFIX$} || $word =~ m{^$TOP/[\w./*-]+$};
		}
	}
	close $handle;
	return @words;
}

# whether a file matches the pattern; a glob in scalar context continues where the last one stopped
sub is_there
{
	my @found = glob $_[0];

	return scalar @found;
}

sub exists_in_tree
{
	my ($word, $document, $paths, $names) = @_;
	my $name = basename($word);

	return 1 if $FOREIGN{$name} || $word =~ /NAME|NNN|fabric--/;
	if ($word !~ m{/})
	{
		my $pattern = quotemeta($name) =~ s/\\\*/.*/gr;

		return 1 if grep { /^$pattern$/ } keys %$names;
	}
	foreach my $directory ('', dirname($document) . '/',
		map { "$_/" } qw(src src/core src/server tools/lib))
	{
		my $path = "$directory$word" =~ s{^(?:\./)+}{}r;

		$path =~ s{[^/]+/\.\./}{} while $path =~ m{[^/]+/\.\./};
		return 1 if $paths->{$path} || ($path =~ /\*/ && is_there($path));
		# the name of a test may be used for its file
		return 1 if $path =~ m{^t/\d+$} && is_there("${path}_*.pl");
	}
	return 0;
}

# ((words checked), (findings))
sub check_tree
{
	my ($paths, $names) = tree();
	my ($checked, @findings) = (0);

	foreach my $document (
		grep { -e } 'README.md', 'CONTRIBUTING.md', 'CHANGELOG.md', 'META.json',
		sort(glob 'docs/*.md'))
	{
		foreach my $word (words_of($document))
		{
			$checked++;
			push @findings, "$document:$word->[0]: there is no $word->[1]"
			  unless exists_in_tree($word->[1], $document, $paths, $names);
		}
	}
	return ($checked, @findings);
}

sub self_test
{
	my ($good, $bad) = (0, 0);

	foreach my $case (
		[ 'all is there', 'See [a](docs/a.md), `src/core/b/b.c`, b.c, b/b.c, t/010, t/*.pl.', 0 ],
		[ 'a file of another project', 'as in msgvalidation.go and peer/transaction.proto', 0 ],
		[ 'an address', 'https://example.com/t/nothing.pl', 0 ],
		[ 'a missing link', 'See [a](docs/nothing.md).', 1 ],
		[ 'a missing source file', 'in `server/b/nothing.c`', 1 ],
		[ 'a missing base name', 'in nothing.c', 1 ],
		[ 'a missing directory', 'under `src/core/nothing`', 1 ],
		[ 'a missing test', 'tools/run_tests t/999', 1 ])
	{
		my ($name, $text, $expected) = @$case;
		my $directory = tempdir(CLEANUP => 1);

		chdir $directory or die "could not enter $directory: $!\n";
		make_path('docs', 'src/core/b', 't', 'tools');
		foreach
		  my $file ('docs/a.md', 'src/core/b/b.c', 't/010_a.pl', 'tools/run_tests', 'README.md')
		{
			open(my $handle, '>', $file) or die "could not write $file: $!\n";
			print $handle "$text\n" if $file eq 'README.md';
			close $handle;
		}
		my (undef, @findings) = check_tree();

		(@findings > 0) == $expected ? $good++ : $bad++;
		print "paths self-test: $name: found @findings\n" if (@findings > 0) != $expected;
	}
	chdir '/';
	print "paths self-test: $good passed, $bad failed\n";
	return $bad;
}

exit(self_test() ? 1 : 0) if @ARGV && $ARGV[0] eq '--self-test';

chdir "$FindBin::Bin/.." or die "could not enter the project's directory: $!\n";
my ($checked, @findings) = check_tree();
print "$_\n" foreach @findings;
printf "paths: %d passed, %d failed\n", $checked - @findings, scalar @findings;
exit(@findings ? 1 : 0);
