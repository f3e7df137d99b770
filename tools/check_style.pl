#!/usr/bin/perl
# check_style: layout, names, language and leftovers of the tree, by the rules of CONTRIBUTING.md.
#
#   tools/check_style.pl              check the tree
#   tools/check_style.pl --list RULE  every finding of one rule, allowed or not
#   tools/check_style.pl --count      how many findings each rule has for each key
#   tools/check_style.pl --tighten    lower the allowances to what the tree holds now
#   tools/check_style.pl --self-test  prove that each rule can fail
#
# tools/style_allowances lists findings from before a rule existed: a line "RULE KEY COUNT" lets
# COUNT findings of a rule pass. The key is a part of the tree for rules about lines, and a name for
# rules about functions and files. The list may only shrink: a finding beyond it fails the check.
#
# The linker finds functions without callers: it reads the objects of the last build
# (-ffunction-sections). Without objects, or without clang-format, the check says which rules it
# skips.
use strict;
use warnings;
use File::Basename qw(basename dirname);
use File::Find;
use File::Path qw(make_path);
use File::Temp qw(tempdir);
use FindBin;
use List::Util qw(min);

my $WIDTH = 100;
my $TAB = 4;
my $FUNCTION_LINES = 70;
my $FILE_LINES = 800;
my $ALLOWANCES = 'tools/style_allowances';

# the message of a finding says what to do about it
my %RULES = (
	format => 'run clang-format -i on it',
	width => "wrap it at $WIDTH columns; only a string or an address may make a line longer",
	function_length => "split it: a function has at most $FUNCTION_LINES lines",
	file_length => "split it by topic: a file has at most $FILE_LINES lines",
	base_name => 'rename one of them: error locations and stack traces show base names only',
	static_name => 'name it by an object and a verb, unlike any other function: two words at least',
	section =>
	  'a section of a header that names files names those that define its functions; a heading has one line',
	setting_name => 'call the C variable guc_ and the name of the setting without "fabric."',
	declaration =>
	  'put its comment before it: the formatter tears a declaration with a comment behind it apart',
	setting_row =>
	  'the settings of src/server/pg/guc.c and the rows of the table in docs/operations.md are the same',
	spelling => 'American spelling, as in PostgreSQL',
	wording => 'use the words of Fabric and PostgreSQL, and plain present-tense English',
	reference => 'name a file of this repository, a file and function of Fabric, a paper or an RFC',
	dead => 'delete it: nothing calls it',
	test_only => 'move it to the test or a private header, or delete it: only tests call it',
	external => 'make it static: nothing outside its file calls it',
	fixed_sleep =>
	  'wait for the condition instead of for a time, or say in a comment "sleep: why" here or above'
);

# ---- language ----

my $BRITISH_STEMS = join '|', qw(
  organ normal author recogn serial initial synchron canonical minim maxim optim summar util general
  special material emphas capital final custom parallel random standard token visual penal critic
  item modern local neutral central equal formal sanit priorit categor anonym memor stabil symbol
  digital legal union polar character);

# whole words, in lower case
my $SPELLING = qr{^(?:
	(?:un|re|de|ab|dis)?(?:$BRITISH_STEMS)is(?:e[sdr]?|ers|ing|able|ations?|ational)
  | (?:mis)?behaviours? | (?:un)?favour\w* | honour\w* | colour\w* | neighbour\w* | labour\w*
  | centre[sd]? | licence[sd]? | defence | offence | catalogues? | artefacts? | grey | whilst | amongst | learnt
  | spelt | programmes? | judgements? | acknowledgements? | fulfils? | sceptic\w* | analys(?:e[sd]?|ing) | cheques?
  | (?:cancel|label|travel|model|signal|level|total|channel)l(?:ed|ing|er)
)$}x;

my $WORDING = qr{^(?:
	houses? | streets? | rooms? | doors? | gates? | walls? | floors? | waterlines? | anew | nobody | somebody
  | he | his | him | himself
)$}x;
my $PHRASE = qr{\b(?:all\ the\ same|lies\ in|goes\ on|go\ on|any\ more)\b}i;

my $FEATURE_PREFIXES = join '|', qw(
  ACL CCA CFG CLI DLV DSC EVT GWY IDN LED LIF LIM OPS ORD POL PVT SCC SHR SMP SNP TXF VAL WST);

my $REFERENCE = qr{
	\bWIRE(?:\.md|\ \d|\ section) | \b(?:FEATURES|STRUCTURE|EXEMPLARS|DESIGN)(?:\.md)?\b(?!=)
  | (?<![\w-])(?:$FEATURE_PREFIXES)-\d+\b
}x;

# ---- files ----

sub read_text
{
	my ($path) = @_;

	open(my $handle, '<', $path) or die "check_style: could not open $path: $!\n";
	local $/;
	return <$handle> // '';
}

sub kind_of
{
	my ($file, $path) = @_;

	return 'c' if $file        =~ /\.[ch]$/;
	return 'perl' if $file     =~ /\.p[lm]$/;
	return 'sql' if $file      =~ /\.(?:sql|spec)$/;
	return 'markdown' if $file =~ /\.md$/;
	return 'other' if $file    =~ /(?:^|\/)Makefile$|\.(?:mk|proto|sh|js)$/;
	return undef if $file      =~ /\.\w+$/ || $file !~ m{^(?:tools|test/long|\.ci)/};
	open(my $handle, '<', $path) or return undef;
	my $first = <$handle> // '';
	return $first =~ /^#!.*perl/ ? 'perl' : $first =~ /^#!/ ? 'other' : undef;
}

# the hand-written files with their texts; without test/vectors, which other programs wrote, files
# generated from them, and the word lists of this file
sub source_files
{
	my ($top) = @_;
	my @files;

	find(
		{
			no_chdir => 1,
			wanted => sub {
				my $file = $File::Find::name =~ s{^\Q$top\E/?}{}r;

				if (-d && $file =~
					m{^(?:\.git|build|results|output_iso|tmp_check|expected|test/vectors|test/fuzz/corpus)$|node_modules$}
				  )
				{
					$File::Find::prune = 1;
					return;
				}
				# generated: messages by protoc-c, the extension script from src/sql
				return if -d || -l || $file =~ /\.pb-c\.[ch]$|^fabric--1\.0\.sql$/;
				my $kind = kind_of($file, $_) // return;
				push @files, { name => $file, kind => $kind, text => read_text($_) };
			}
		},
		$top);
	return sort { $a->{name} cmp $b->{name} } @files;
}

# the key of rules about lines: files move within a part of the tree, and findings with them
sub area
{
	my ($file) = @_;

	return $1 if $file =~ m{^(src/\w+|test/\w+|[\w.]+)/};
	return 'top';
}

sub columns
{
	my ($line) = @_;
	my $column = 0;

	return length $line if $line !~ /\t/;
	foreach my $part (split /(\t)/, $line)
	{
		$column = $part eq "\t" ? $column - $column % $TAB + $TAB : $column + length $part;
	}
	return $column;
}

sub without_comments
{
	my ($text) = @_;

	$text =~ s{("(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')|(/\*.*?\*/|//[^\n]*)}
		{ defined $1 ? $1 : "\n" x ($2 =~ tr/\n//) || ' ' }gse;
	return $text;
}

# ---- rules about lines ----

sub is_too_long
{
	my ($kind, $line) = @_;

	return 0 if length($line) * $TAB <= $WIDTH || columns($line) <= $WIDTH;
	return 0 if $kind eq 'markdown' && $line =~ /^\s*\|/;
	return 0 if $line =~ m{https?://};
	# a pattern of a message is as long as the message
	$line =~ s{(?:\bqr|=~\s|^\s+)\K/(?:\\.|[^/\\])*/}{//}g if $kind eq 'perl';
	$line =~ s/"(?:\\.|[^"\\])*"?|'(?:\\.|''|[^'\\])*'?/""/g if $kind ne 'markdown';
	return columns($line) > $WIDTH;
}

# A pause inside a loop that tests a condition is the way to wait; elsewhere it is a guess. Nobody
# waits for a session that sleeps for minutes: the test ends it.
my $SLEEP_HELD_S = 100;
my $SLEEP_REASON = qr{(?:\#|--) sleep: \w};

sub fixed_sleep_of
{
	my ($line) = @_;
	my ($sleep, $seconds) =
	  $line =~ /\b(pg_sleep\(([\d.]+)\)|(?<![\w=:])u?sleep[ (]([\d.]+))/ ? ($1, $2 // $3) : ();

	return () if !defined $sleep || $line =~ m{^\s*(?:\#|--)};
	return () if $sleep                   =~ /^pg_sleep/ && $seconds >= $SLEEP_HELD_S;
	return () if $line                    =~ /\b(?:until|while)\b.*; do sleep /;
	return ($sleep);
}

my %judged;    # word => the rule that it breaks, or ''

sub check_lines
{
	my ($file, $say) = @_;
	my $number = 0;
	my $before = '';

	return if $file->{name} eq 'tools/check_style.pl';
	foreach my $line (split /\n/, $file->{text})
	{
		$number++;
		my $note = sub { $say->($_[0], area($file->{name}), "$file->{name}:$number", $_[1]) };

		$note->('width', columns($line) . ' columns')
		  if $file->{kind} ne 'other' && is_too_long($file->{kind}, $line);
		while ($line =~ /(?<![-A-Za-z])([A-Za-z]+)(\()?/g)
		{
			my ($word, $call) = (lc $1, $2);
			my $rule = $judged{$word} //=
			  $word =~ $SPELLING ? 'spelling' : $word =~ $WORDING ? 'wording' : '';

			# a call is no word: floor(x)
			$note->($rule, "\"$word\"") if $rule && !defined $call;
		}
		$note->('wording', "\"$1\"")   while $line =~ /($PHRASE)/g;
		$note->('reference', "\"$1\"") while $line =~ /($REFERENCE)/g;
		next if $file->{kind} eq 'c';
		next unless $file->{name} =~ m{^(?:t|sql|specs)/};
		my ($sleep) = fixed_sleep_of($line);

		$note->('fixed_sleep', $sleep) if defined $sleep && "$before$line" !~ $SLEEP_REASON;
		$before = "$line\n";
	}
}

# ---- rules about C ----

# the functions of a formatted file: name, first line, number of lines, whether static
sub functions_of
{
	my ($text) = @_;
	my @lines = split /\n/, without_comments($text);
	my @functions;

	for (my $i = 0 ; $i < @lines ; $i++)
	{
		next unless $lines[$i] =~ /^(\w+)\((.*)/ && $lines[$i] !~ /;\s*$/;
		my $name = $1;
		my $open = $i;

		$open++ while $open < @lines && $open < $i + 20 && $lines[$open] !~ /^\{|;\s*$/;
		next unless $open < @lines && $lines[$open] =~ /^\{/;
		my $close = $open;
		$close++ while $close < $#lines && $lines[$close] !~ /^\}/;
		push @functions,
		  {
			name => $name,
			line => $i + 1,
			lines => $close - $i + 1,
			static => $i > 0 && scalar($lines[ $i - 1 ] =~ /^(?:pg_noinline )?static\b/)
		  };
		$i = $close;
	}
	return @functions;
}

sub check_functions
{
	my ($files, $say) = @_;
	my %seen;

	foreach my $file (grep { $_->{kind} eq 'c' } @$files)
	{
		foreach my $function (functions_of($file->{text}))
		{
			my $name = $function->{name};
			my $where = "$file->{name}:$function->{line}";

			$say->('function_length', $name, $where, "$name has $function->{lines} lines")
			  if $function->{lines} > $FUNCTION_LINES;
			push @{ $seen{$name} },
			  { %$function, where => $where, file => $file->{name}, area => area($file->{name}) }
			  if $file->{name} =~ m{^src/};
		}
	}
	foreach my $name (sort keys %seen)
	{
		my @same = @{ $seen{$name} };

		foreach my $function (grep { $_->{static} } @same)
		{
			# variants for versions of the server may be in one file
			my @others = map { $_->{where} } grep { $_->{file} ne $function->{file} } @same;

			if (@others)
			{
				$say->(
					'static_name', $function->{area},
					$function->{where}, "$name, also in @others");
			}
			elsif ($name !~ /^[a-zA-Z0-9]+_\w*[a-zA-Z0-9]$/)
			{
				$say->('static_name', $function->{area}, $function->{where}, $name);
			}
		}
	}
}

sub check_files
{
	my ($files, $say) = @_;
	my %places;

	foreach my $file (@$files)
	{
		my $base = basename($file->{name});
		my $lines = ($file->{text} =~ tr/\n//);

		$say->('file_length', $base, $file->{name}, "$lines lines")
		  if $lines > $FILE_LINES && $file->{kind} =~ /^(?:c|perl)$/;
		push @{ $places{ $base =~ s/\.[ch]$//r }{ dirname($file->{name}) } }, $file->{name}
		  if $file->{name} =~ /\.[ch]$/;
	}
	foreach my $stem (sort keys %places)
	{
		my @directories = sort keys %{ $places{$stem} };

		$say->('base_name', $stem, "$stem", 'in ' . join(', ', @directories)) if @directories > 1;
	}
}

# a declaration of several lines with a comment behind it
sub check_declarations
{
	my ($files, $say) = @_;

	foreach my $file (grep { $_->{name} =~ m{^(?:src|test)/.*\.h$} } @$files)
	{
		while ($file->{text} =~ m{^extern [^;/{}]*\n[^;/{}]*;[ \t]*/\*}mg)
		{
			my $line = 1 + (substr($file->{text}, 0, $-[0]) =~ tr/\n//);

			$say->('declaration', $file->{name}, "$file->{name}:$line", 'a comment behind it');
		}
	}
}

# headings of sections, and where the functions are that are declared below one that names files
sub check_sections
{
	my ($files, $say) = @_;
	my %defined;

	foreach my $file (grep { $_->{name} =~ m{^src/.*\.c$} } @$files)
	{
		$defined{ $_->{name} }{ basename($file->{name}) } = 1
		  foreach grep { !$_->{static} } functions_of($file->{text});
	}
	foreach my $file (grep { $_->{kind} eq 'c' } @$files)
	{
		my @lines = split /\n/, $file->{text};
		my %named;

		for (my $i = 0 ; $i < @lines ; $i++)
		{
			my $where = "$file->{name}:" . ($i + 1);

			if ($lines[$i] =~ m{^(?:/\*| \*) ---- })
			{
				%named = map { $_ => 1 } $lines[$i] =~ /\b(\w+\.c)\b/g;
				$say->('section', $file->{name}, $where, "heading of several lines")
				  unless $lines[$i] =~ m{^/\* ---- .* ---- \*/$};
			}
			next unless %named && $file->{name} =~ m{^src/.*\.h$} && $lines[$i] =~ /^extern /;
			my ($name) = join(" ", @lines[ $i .. min($i + 1, $#lines) ]) =~ /^[^(]*?\b(\w+)\(/;
			my @places = sort keys %{ $defined{ $name // '' } // {} };

			$say->('section', $file->{name}, $where, "$name is in @places")
			  if @places && !grep { $named{$_} } @places;
		}
	}
}

sub check_settings
{
	my ($files, $say) = @_;

	foreach my $file (grep { $_->{name} =~ m{^src/.*\.c$} } @$files)
	{
		my $text = without_comments($file->{text});

		while ($text =~ /\b\w+\(\s*"fabric\.(\w+)",[^&;]*&\s*(\w+)/g)
		{
			my ($setting, $variable) = ($1, $2);

			$say->('setting_name', $setting, $file->{name}, "fabric.$setting is $variable")
			  if $variable ne "guc_$setting";
		}
	}
}

# the settings and their table
sub check_setting_rows
{
	my ($files, $say) = @_;
	my $code = join('', map { $_->{text} } grep { $_->{name} =~ m{^src/server/.*\.c$} } @$files);
	my ($page) = grep { $_->{name} eq 'docs/operations.md' } @$files;
	return unless defined $page && $code ne '';

	my %defined = map { $_ => 1 }
	  without_comments($code) =~ /\b(?:define_|DefineCustom)\w+\(\s*"fabric\.(\w+)"/g;
	my ($table) = $page->{text} =~ /^## Settings\n(.*?)(?=^## |\z)/ms;
	my %rows = map { $_ => 1 } map { /`fabric\.(\w+)`/g } ($table // '') =~ /^\| ([^|]*)\|/mg;

	$say->('setting_row', $_, $page->{name}, "fabric.$_ has no row")
	  foreach grep { !$rows{$_} } sort keys %defined;
	$say->('setting_row', $_, $page->{name}, "fabric.$_ does not exist")
	  foreach grep { !$defined{$_} } sort keys %rows;
}

# ---- the formatter ----

sub has_clang_format
{
	return system('clang-format --version >/dev/null 2>&1') == 0;
}

sub check_format
{
	my ($top, $files, $say) = @_;
	my @names = map { $_->{name} } grep { $_->{kind} eq 'c' } @$files;
	my %bad;

	while (my @some = splice @names, 0, 60)
	{
		my $list = join ' ', map { "'$_'" } @some;

		$bad{$1} //= $2
		  while qx{cd '$top' && clang-format --dry-run -Werror $list 2>&1} =~
		  /^(\S+?):(\d+):\d+: error: code should be clang-formatted/mg;
	}
	$say->('format', $_, "$_:$bad{$_}", 'not as clang-format writes it') foreach sort keys %bad;
}

# ---- functions without callers ----

# functions that the linker drops from the library: name => object
sub dropped_functions
{
	my (@objects) = @_;
	my %dropped;
	my $directory = tempdir(CLEANUP => 1);
	my $list = join ' ', map { "'$_'" } @objects;
	my $output =
	  qx{cc -shared -o '$directory/x.so' -Wl,--gc-sections,--print-gc-sections $list 2>&1};

	die "check_style: the linker failed:\n$output" if $? != 0;
	while ($output =~ /section '\.text(?:\.unlikely|\.hot)?\.(\w+)[^']*' in file '([^']*)'/g)
	{
		$dropped{$1} = $2 unless $2 =~ /\.pb-c\.o$/;
	}
	return %dropped;
}

sub check_calls
{
	my ($files, $say, %dropped) = @_;
	my (%uses, %test_uses, %statics, %internal);

	foreach my $file (grep { $_->{kind} eq 'c' } @$files)
	{
		my $text = without_comments($file->{text});
		my $count = $file->{name} =~ m{^src/} ? \%uses : \%test_uses;

		$statics{"$_->{name}"} = 1 foreach grep { $_->{static} } functions_of($file->{text});
		# what a directory shows to its own files and to the tests, it shows to nobody else
		if ($file->{name} =~ /_internal\.h$/)
		{
			$internal{$1} = 1 while $text =~ /\b(\w+)\(/g;
		}
		# a definition begins its line; a declaration begins with its type
		foreach my $line (split /\n/, $text)
		{
			next if $line              =~ /^(?:extern )?(?:const )?\w+ [\w *]*\w+\(/;
			$line                      =~ s/^\w+\(/(/;
			$count->{$1}++ while $line =~ /\b(\w+)\b/g;
		}
	}
	foreach my $name (sort keys %dropped)
	{
		my $where = $dropped{$name} =~ s/\.o$/.c/r;

		next if $statics{$name};    # the compiler reports these
									# a function that its own file and a test call stays visible for
									# the test
		next if $uses{$name} && $test_uses{$name};
		my $rule = $uses{$name} ? 'external' : $test_uses{$name} ? 'test_only' : 'dead';
		next if $rule eq 'test_only' && $internal{$name};
		$say->($rule, $name, $where, $name);
	}
}

# ---- judging ----

# rule => key => findings
sub findings_of
{
	my ($top, %options) = @_;
	my %findings;
	my @files = source_files($top);
	my $say = sub {
		my ($rule, $key, $where, $what) = @_;

		push @{ $findings{$rule}{$key} }, { where => $where, what => $what };
	};

	check_lines($_, $say) foreach @files;
	check_functions(\@files, $say);
	check_files(\@files, $say);
	check_declarations(\@files, $say);
	check_sections(\@files, $say);
	check_settings(\@files, $say);
	check_setting_rows(\@files, $say);
	check_format($top, \@files, $say) if $options{format};
	check_calls(\@files, $say, %{ $options{dropped} // {} });
	return \%findings;
}

sub read_allowances
{
	my ($path) = @_;
	my %allowed;

	return {} unless -e $path;
	foreach my $line (split /\n/, read_text($path))
	{
		next if $line =~ /^\s*(?:#|$)/;
		my ($rule, $key, $count) = $line =~ /^(\w+) (\S+) (\d+)$/
		  or die "check_style: $path: not RULE KEY COUNT: $line\n";

		die "check_style: $path: no rule is called $rule\n" unless $RULES{$rule};
		$allowed{$rule}{$key} = $count;
	}
	return \%allowed;
}

sub write_allowances
{
	my ($path, $findings, $allowed) = @_;

	open(my $handle, '>', $path) or die "check_style: could not write $path: $!\n";
	print $handle "# What tools/check_style.pl lets pass, because it was there before the rule:\n"
	  . "# RULE KEY COUNT. May only shrink: tools/check_style.pl --tighten.\n";
	foreach my $rule (sort keys %$allowed)
	{
		foreach my $key (sort keys %{ $allowed->{$rule} })
		{
			my $now = @{ $findings->{$rule}{$key} // [] };
			my $count = $now < $allowed->{$rule}{$key} ? $now : $allowed->{$rule}{$key};

			print $handle "$rule $key $count\n" if $count > 0;
		}
	}
	close $handle or die "check_style: could not write $path: $!\n";
}

# the findings of one rule, and whether fewer are left than the list allows
sub judge_rule
{
	my ($top, $rule, $findings, $allowed) = @_;
	my @complaints;
	my $slack = 0;

	foreach my $key (sort keys %$findings)
	{
		my @found = @{ $findings->{$key} };
		my $limit = $allowed->{$key} // 0;

		next if @found <= $limit;
		# the newest files first, because they have the new finding
		my %age =
		  map { ($_ => -M "$top/$_" // 1e9) } map { $_->{where} =~ s/:.*//r } @found;
		@found =
		  sort { $age{ $a->{where} =~ s/:.*//r } <=> $age{ $b->{where} =~ s/:.*//r } } @found;
		push @complaints, "$_->{where}: $rule: $_->{what}: $RULES{$rule}"
		  foreach @found[ 0 .. ($#found < 29 ? $#found : 29) ];
		push @complaints, "$rule: $key has " . @found . ", $ALLOWANCES allows $limit" if $limit > 0;
	}
	foreach my $key (keys %$allowed)
	{
		$slack += $allowed->{$key} - @{ $findings->{$key} // [] }
		  if $allowed->{$key} > @{ $findings->{$key} // [] };
	}
	return ($slack, @complaints);
}

# ---- proving ----

# file => text, and the rule that must find something in it (undef: none)
sub planted_trees
{
	my $long = 'x' x 101;
	my $body = "\ta = 1;\n";

	return (
		[
			undef,
			'src/core/a/ok.c' => "/* a $WIDTH */\nstatic int\nok_answer(void)\n{\n\treturn 1;\n}\n"
		],
		[ 'width', 'docs/a.md' => "$long\n" ],
		[ undef, 'docs/a.md' => "| $long |\n" ],
		[ 'width', 't/1.pl' => "# $long\n" ],
		[ undef, 't/1.pl' => "my \$a = \"$long\";\n" ],
		[ undef, 't/1.pl' => "like(\$a, qr/$long/, 1);\n" ],
		[ 'width', 'sql/a.sql' => "-- $long\n" ],
		[ 'function_length', 'src/core/a/b.c' => "void\nb_do(void)\n{\n" . $body x 68 . "}\n" ],
		[ undef, 'src/core/a/b.c' => "void\nb_do(void)\n{\n" . $body x 67 . "}\n" ],
		[ 'file_length', 'src/core/a/b.c' => "int a;\n" x 801 ],
		[ undef, 'src/core/a/b.c' => "int a;\n" x 800 ],
		[ 'base_name', 'src/core/a/b.c' => "int a;\n", 'src/server/c/b.c' => "int b;\n" ],
		[ undef, 'src/core/a/b.c' => "int a;\n", 'src/core/a/b.h' => "int b;\n" ],
		[ 'static_name', 'src/core/a/b.c' => "static void\nrun(void)\n{\n}\n" ],
		[ 'static_name', 'src/core/a/b.c' => "static void\nrun_(void)\n{\n}\n" ],
		[
			'static_name',
			'src/core/a/b.c' => "static void\nrun_it(void)\n{\n}\n",
			'src/core/a/c.c' => "void\nrun_it(void)\n{\n}\n"
		],
		[
			'section',
			'src/core/a/a.h' => "/* ---- b.c: this ---- */\n\nextern int a_do(void);\n",
			'src/core/a/a.c' => "int\na_do(void)\n{\n}\n"
		],
		[
			undef,
			'src/core/a/a.h' => "/* ---- b.c, a.c ---- */\n\nextern int\na_do(void);\n",
			'src/core/a/a.c' => "int\na_do(void)\n{\n}\n"
		],
		[
			undef,
			'src/core/a/a.h' => "/* ---- this ---- */\n\nextern int a_do(void);\n",
			'src/core/a/a.c' => "int\na_do(void)\n{\n}\n"
		],
		[ 'declaration', 'src/core/a/a.h' => "extern int\na_do(int a); /* this */\n" ],
		[ undef, 'src/core/a/a.h' => "extern int a_do(int a); /* this */\n" ],
		[ 'section', 'src/core/a/b.c' => "/*\n * ---- a heading ----\n */\n" ],
		[ 'setting_name', 'src/server/pg/guc.c' => "\tdefine(\"fabric.a\", &guc_b, 1);\n" ],
		[ undef, 'src/server/pg/guc.c' => "\tdefine(\"fabric.a\", &guc_a, 1);\n" ],
		[
			'setting_row',
			'src/server/pg/guc.c' => "\tdefine_it(\"fabric.a\", &guc_a, 1);\n",
			'docs/operations.md' => "## Settings\n\n| `fabric.b` | |\n"
		],
		[
			undef,
			'src/server/pg/guc.c' => "\tdefine_it(\"fabric.a\", &guc_a, 1);\n",
			'docs/operations.md' => "## Settings\n\n| `fabric.a` | see `fabric.c` |\n"
		],
		[ 'spelling', 'docs/a.md' => "An organisation.\n" ],
		[ 'spelling', 'src/core/a/b.c' => "/* unrecognised */\n" ],
		[ 'spelling', 'sql/a.sql' => "-- its behaviour\n" ],
		[ undef, 'docs/a.md' => "An organization, precise, realistic, a catalog, canceled.\n" ],
		[ 'wording', 'src/core/a/b.c' => "/* the door of the directory */\n" ],
		[ 'wording', 'docs/a.md' => "It is made anew.\n" ],
		[ 'wording', 't/1.pl' => "is(1, 1, 'nobody asks his node');\n" ],
		[ undef, 'src/core/a/b.c' => "/* the gateway's shell is not a roommate: floor(1) */\n" ],
		[ 'reference', 'src/core/a/b.c' => "/* WIRE 3.2 */\n" ],
		[ 'reference', 'docs/a.md' => "See GWY-3.\n" ],
		[ 'reference', 'docs/a.md' => "See FEATURES.\n" ],
		[ undef, 'docs/a.md' => "SHA-256, UTF-8, RFC-5280\n" ],
		[ 'fixed_sleep', 't/1.pl' => "sleep 3;\n" ],
		[ 'fixed_sleep', 'sql/a.sql' => "SELECT pg_sleep(0.5);\n" ],
		[ undef, 'sql/a.sql' => "SELECT pg_sleep(0.5); -- sleep: the time is what is tested\n" ],
		[ undef, 't/1.pl' => "# sleep: between two looks\nsleep 1;\n" ],
		[ 'fixed_sleep', 't/1.pl' => "# sleep: the first one\nsleep 1;\nsleep 2;\n" ],
		[ undef, 't/1.pl' => "start_query('SELECT pg_sleep(600)');\n" ],
		[ undef, 't/1.pl' => "query('\\! until test -e a; do sleep 0.1; done');\n" ],
		[ undef, 't/1.pl' => "# it must sleep 3 seconds\nset_fault('a=sleep:3000');\n" ]);
}

sub plant
{
	my (%files) = @_;
	my $top = tempdir(CLEANUP => 1);

	foreach my $file (keys %files)
	{
		make_path(dirname("$top/$file"));
		open(my $handle, '>', "$top/$file") or die "could not write $top/$file: $!\n";
		print $handle $files{$file};
		close $handle;
	}
	return $top;
}

# for the linker's part: a caller, its callee, and functions that no file, a test, or only its own
# file calls
sub planted_objects
{
	my ($tally) = @_;
	my $top = plant(
		'src/a.c' => "int\nused_here(int a)\n{\n\treturn a + 1;\n}\n\n"
		  . "int\ncalled(int a)\n{\n\treturn used_here(a);\n}\n\n"
		  . "int\nnot_called(int a)\n{\n\treturn a;\n}\n\n"
		  . "int\nfor_tests(int a)\n{\n\treturn a;\n}\n\n"
		  . "int\nshown_to_tests(int a)\n{\n\treturn a;\n}\n",
		'src/a_internal.h' => "extern int shown_to_tests(int a);\n",
		'src/b.c' => "int called(int a);\n"
		  . "__attribute__((visibility(\"default\"))) int\nfabric_b(int a)\n{\n\treturn called(a);\n}\n",
		'test/unit/c.c' =>
		  "int for_tests(int a);\nint\nmain(void)\n{\n\treturn for_tests(1) + shown_to_tests(1);\n}\n"
	);

	foreach my $name (qw(a b))
	{
		system('cc', '-O2', '-fPIC', '-fvisibility=hidden', '-ffunction-sections', '-c',
			"$top/src/$name.c", '-o', "$top/$name.o") == 0
		  or die "check_style: cc failed\n";
	}
	my %dropped = dropped_functions("$top/a.o", "$top/b.o");
	my $found = findings_of($top, dropped => \%dropped);
	$tally->("rule dead", join(' ', keys %{ $found->{dead} // {} }) eq 'not_called');
	$tally->("rule test_only", join(' ', keys %{ $found->{test_only} // {} }) eq 'for_tests');
	$tally->("rule external", join(' ', keys %{ $found->{external} // {} }) eq 'used_here');
}

sub self_test
{
	my ($passed, $failed) = (0, 0);
	my $tally = sub {
		my ($what, $right) = @_;

		$right ? $passed++ : $failed++;
		print STDERR "self-test: $what: not as expected\n" unless $right;
	};

	foreach my $case (planted_trees())
	{
		my ($rule, %files) = @$case;
		my $top = plant(%files);
		my $found = findings_of($top);
		my @rules = sort keys %$found;

		$tally->(
			($rule // 'none') . " in @{[sort keys %files]}, got @rules",
			"@rules" eq ($rule // ''));
	}
	planted_objects($tally);
	if (has_clang_format())
	{
		my $top = plant('.clang-format' => "BasedOnStyle: LLVM\n", 'src/a.c' => "int   a;\n");

		$tally->('rule format', exists findings_of($top, format => 1)->{format}{'src/a.c'});
	}
	my $two = { a => [ { where => 'x:1', what => 'x' }, { where => 'y:2', what => 'y' } ] };
	foreach my $case ([ 0, 1 ], [ 1, 1 ], [ 2, 0 ], [ 3, 0 ])
	{
		my ($limit, $complains) = @$case;
		my ($slack, @complaints) = judge_rule('.', 'width', $two, { a => $limit });

		$tally->("allowance $limit", !!@complaints == !!$complains && $slack == ($limit == 3));
	}
	print "style self-test: $passed passed, $failed failed\n";
	return $failed;
}

# ---- main ----

exit(self_test() ? 1 : 0) if @ARGV && $ARGV[0] eq '--self-test';

my $top = "$FindBin::Bin/..";
chdir $top or die "check_style: could not enter $top: $!\n";
$top = '.';
my ($list) = @ARGV == 2 && $ARGV[0] eq '--list' ? $ARGV[1] : undef;
my $format = has_clang_format();
my @objects = grep { -e } glob('src/fabric.o src/core/*/*.o src/server/*/*.o');
my %sources = map { $_ => 1 } grep { -e } map { s/\.o$/.c/r } @objects;
@objects = grep { $sources{s/\.o$/.c/r} } @objects;
my %dropped = @objects ? dropped_functions(@objects) : ();
print "style: clang-format is not installed: the layout of C is not checked\n" unless $format;
print "style: nothing is built: functions that nothing calls are not looked for\n" unless @objects;

my $findings = findings_of($top, format => $format, dropped => \%dropped);
my $allowed = read_allowances("$top/$ALLOWANCES");
if ($list)
{
	foreach my $key (sort keys %{ $findings->{$list} // {} })
	{
		print "$_->{where}: $_->{what}\n" foreach @{ $findings->{$list}{$key} };
	}
	exit 0;
}
if (@ARGV && $ARGV[0] eq '--tighten')
{
	write_allowances("$top/$ALLOWANCES", $findings, $allowed);
	exit 0;
}
if (@ARGV && $ARGV[0] eq '--count')
{
	print "$_->[0] $_->[1] $_->[2]\n" foreach map {
		my $rule = $_;
		map { [ $rule, $_, scalar @{ $findings->{$rule}{$_} } ] } sort keys %{ $findings->{$rule} }
	} sort keys %$findings;
	exit 0;
}
my ($passed, $failed, $left) = (0, 0, 0);
foreach my $rule (sort keys %RULES)
{
	next if $rule eq 'format' && !$format || $rule =~ /^(?:dead|test_only|external)$/ && !@objects;
	my ($slack, @complaints) =
	  judge_rule($top, $rule, $findings->{$rule} // {}, $allowed->{$rule} // {});

	print "$_\n" foreach @complaints;
	@complaints ? $failed++ : $passed++;
	$left += $slack;
}
print "style: $left findings fewer than $ALLOWANCES allows: run tools/check_style.pl --tighten\n"
  if $left;
print "style: $passed passed, $failed failed\n";
exit($failed ? 1 : 0);
