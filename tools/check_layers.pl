#!/usr/bin/perl
# check_layers: the layers of src/ hold, in its sources and in the objects that are made of them.
#
#   tools/check_layers.pl               check the tree; the objects must have been built (make)
#   tools/check_layers.pl --self-test   prove with planted violations that each rule can fail
#
# Sources. A directory includes the public headers of lower layers, and its own headers; the public
# header of a directory is DIRECTORY/DIRECTORY.h. A header of this tree is included by its path from
# src/ in quotes, so that no other spelling of a path avoids the rule, and a C file does not declare
# the functions of another one. Only server/wire includes libpq, core includes no server header, and
# a message does not print bytes with "%.*s".
#
# Objects. A symbol of another directory that an object needs is declared in the public header of
# that directory, which is of a lower layer: a declaration written by hand evades the check of
# headers, but not the linker. The files of one directory do not depend on each other in a cycle.
# Core needs no outside functions except the ones listed here, so it has no clock, opens no file,
# prints nothing, draws no random bytes, allocates nothing by itself and does not end the process;
# the exceptions are listed with their files. Core has no writable data except the list here. Some
# functions of PostgreSQL are called in one place only.
use strict;
use warnings;
use File::Basename qw(basename dirname);
use File::Find;
use File::Path qw(make_path);
use File::Temp qw(tempdir);
use FindBin;

# the layer of each directory; the server begins at 11
my %LAYER = (
	'core/base' => 0,
	(map { ("core/$_" => 1) } qw(crypto proto raft)),
	(map { ("core/$_" => 2) } qw(identity rwset block)),
	(map { ("core/$_" => 3) } qw(policy snapshot)),
	(map { ("core/$_" => 4) } qw(config txn)),
	'core/block_audit' => 5,
	'server/pg' => 11,
	(map { ("server/$_" => 12) } qw(ledger wire)),
	'server/channel' => 13,
	(map { ("server/$_" => 14) } qw(chaincode ca deliver snapshots)),
	(map { ("server/$_" => 15) } qw(endorse commit order)),
	'server/audit' => 16,
	(map { ("server/$_" => 17) } qw(gateway worker)),
	'server/surface' => 18);

# headers that other directories include beside the public header
my %ALSO_PUBLIC = (
	'core/base' => qr{^core/base/limits\.h$},
	'core/proto' => qr{^core/proto/\w+\.pb-c\.h$},
	'server/pg' => qr{^server/pg/compat\.h$});

# the headers of the system that core may include: the pure part of the C library, and core's
# libraries
my $CORE_SYSTEM = qr{^(?:assert|ctype|errno|inttypes|limits|math|stdalign|stdarg|stdbool|stddef
	|stdint|stdio|stdlib|string|time)\.h$
	|^(?:openssl|protobuf-c)/|^google/protobuf-c/|^zstd(?:_errors)?\.h$|^zdict\.h$
	|^archive(?:_entry)?\.h$|^zlib\.h$}x;

my $LIBPQ_HEADER = qr{(?:^|/)(?:libpq-fe|libpq-events|libpq-fs|libpq-be-fe-helpers)\.h$};

# the functions of the C library that core may call: pure functions of their arguments
my %CORE_MAY_CALL =
  map { ($_ => 1) }
  qw(memchr memcmp memcpy memmove memset memrchr qsort bsearch snprintf vsnprintf
  stpcpy strcat strchr strcmp strcpy strcspn strlen strncat strncmp strncpy strnlen strpbrk strrchr
  strspn strstr strtol strtoll strtoul strtoull timegm);

# the functions of core's libraries; those that use files, clocks, random bytes or end the process
# are excluded below
my $CORE_LIBRARY = qr{^(?:protobuf_c_\w+|ZSTD_\w+|ZDICT_\w+|archive_\w+
	|(?:ASN1|AUTHORITY_KEYID|BIO|BN|CRYPTO|EC|ECDSA|ERR|EVP|GENERAL_NAMES?|NAME_CONSTRAINTS|OBJ
	|OPENSSL|OSSL|PEM|PKCS8|SHA\d+|X509|X509V3|X509_\w+|a2i|d2i|i2d)_\w+)$}x;
my $NOT_OF_LIBRARY = qr{^RAND_|_fp$|_file(?:name|_ex)?$|^BIO_s_(?:file|fd|socket|connect|accept)$
	|^BIO_new_(?:file|fd|fp|socket)|^ERR_print|^OPENSSL_(?:init|config|atexit)|default_(?:paths|path)
	|^X509_LOOKUP|^X509_(?:cmp_current_time|time_adj|gmtime_adj)|^ASN1_\w*(?:TIME_adj|set_current)
	|^archive_(?:read_open_file|write_open_file|read_disk|write_disk|read_open_fd|write_open_fd)}x;

# functions that the compiler calls by itself
my $OF_COMPILER = qr{^(?:_GLOBAL_OFFSET_TABLE_|__stack_chk_fail|__(?:u?div|u?mod)[dt]i\d
	|__aarch64_\w+|__(?:asan|ubsan|sanitizer|tsan|msan|gcov|llvm)_\w+|__cyg_profile_\w+|_?mcount)$}x;

# the exceptions: a file, and further functions that it may call or data that it may change
my %CORE_EXCEPTION = (
	# the message of a failed assertion
	'core/base/status.c' => [qw(abort fprintf stderr fb_assert_hook)],
	# the counts of costly steps of this process (fabric.stat_work)
	'core/base/work.c' => [qw(counts)],
	# keys, nonces and the ECDSA of OpenSSL
	'core/crypto/hash.c' => [qw(RAND_bytes crypto_heap)]);

# the reasons for the usual functions
my %REASON = (
	(   map { ($_ => 'core has no clock: take the time as an argument') }
		  qw(time gettimeofday clock_gettime clock localtime gmtime localtime_r)),
	(   map { ($_ => 'core opens no file: take the bytes as an argument') }
		  qw(fopen fdopen open openat creat freopen read write close getenv)),
	(   map { ($_ => 'core prints nothing: fill the FbError of the caller') }
		  qw(printf fprintf vfprintf puts fputs putchar fputc fwrite perror stdout stderr)),
	(   map { ($_ => 'core neither ends nor leaves its caller: return an FbStatus') }
		  qw(exit _exit abort longjmp siglongjmp raise kill)),
	(   map { ($_ => 'core allocates through the FbAllocator of its caller') }
		  qw(malloc calloc realloc free strdup strndup asprintf vasprintf aligned_alloc)),
	(map { ($_ => 'core waits for nothing') } qw(sleep usleep nanosleep poll select)),
	(   map { ($_ => 'core draws random bytes with crypto_random, or from the seeded FbRand') }
		  qw(rand srand random srandom getrandom getentropy RAND_bytes RAND_priv_bytes)));

# functions that only one directory may call, because calls elsewhere were wrong
my %ONE_PLACE = (
	pnstrdup => [ 'server/pg', 'stops at a zero: use memory_cstring for names, FB_DISPLAY' ],
	tuplestore_gettupleslot =>
	  [ 'server/pg', 'reads into a context that the caller may reset: use memory_next_row' ]);

sub is_core
{
	return $LAYER{ $_[0] } < 11;
}

sub slurp
{
	my ($path) = @_;
	local $/;
	open(my $handle, '<', $path) or die "could not open $path: $!\n";
	return scalar <$handle>;
}

# comments become blanks; lines and strings stay
sub without_comments
{
	my ($text) = @_;

	$text =~ s{(/\*.*?\*/|//[^\n]*)|("(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')}
		{ defined $2 ? $2 : ' ' . "\n" x ($1 =~ tr/\n//) }gse;
	return $text;
}

# a/./b/../c is a/c
sub canonical_path
{
	my @parts;

	foreach my $part (split m{/+}, $_[0])
	{
		next if $part eq '.';
		if   ($part eq '..' && @parts && $parts[-1] ne '..') { pop @parts }
		else                                                 { push @parts, $part }
	}
	return join '/', @parts;
}

# ---- sources ----

# the path from src/ of a header of the tree, as the compiler finds it; undef if it is not in the
# tree
sub find_in_tree
{
	my ($top, $directory, $quoted, $target) = @_;
	my $near = canonical_path("$directory/$target");
	my $far = canonical_path($target);

	if ($target =~ m{^/})
	{
		return canonical_path($target) =~ m{^\Q@{[canonical_path("$top/src")]}\E/(.*)$}
		  ? $1
		  : undef;
	}
	return $near if $quoted && ($target =~ m{^\.} || -e "$top/src/$near");
	return $far =~ m{^(?:core|server)/} || -e "$top/src/$far" ? $far : undef;
}

sub is_public
{
	my ($header) = @_;
	my $directory = dirname($header);

	return 1 if $header eq "$directory/" . basename($directory) . '.h';
	return defined $ALSO_PUBLIC{$directory} && $header =~ $ALSO_PUBLIC{$directory};
}

# the reason why a directory may not use another; undef if it may
sub judge_direction
{
	my ($directory, $other) = @_;

	return "unrecognized directory $other: add it to the layers of tools/check_layers.pl"
	  unless defined $LAYER{$other};
	return
		"$directory is of layer $LAYER{$directory} and $other of layer $LAYER{$other}, above it:"
	  . ' move the code up, or pass in what it needs'
	  if $LAYER{$other} > $LAYER{$directory};
	return "$directory and $other are of the same layer:"
	  . ' let the layer above pass the value from one to the other'
	  if $LAYER{$other} == $LAYER{$directory} && $other ne $directory;
	return undef;
}

# the finding about one include, or undef
sub judge_include
{
	my ($top, $directory, $quoted, $target) = @_;
	my $header = find_in_tree($top, $directory, $quoted, $target);

	if (defined $header)
	{
		my $other = dirname($header);
		my $complaint;

		return "write \"$header\": a header is included by its path from src/, in quotes"
		  if !$quoted || $target ne $header;
		return undef if $other eq $directory;
		$complaint = judge_direction($directory, $other);
		return $complaint if defined $complaint || is_public($header);
		return
			"$header is private to $other: include \"$other/"
		  . basename($other)
		  . '.h", and move there what is missing';
	}
	return "$target: an absolute path" if $target =~ m{^/};
	return $directory eq 'server/wire'
	  ? undef
	  : "$target: libpq is for server/wire alone; ask it for the connection or the remote call"
	  if canonical_path($target) =~ $LIBPQ_HEADER;
	return "$target: core includes nothing of the server, and of the system only the pure part of"
	  . ' the C library, OpenSSL, protobuf-c, zstd and libarchive'
	  if is_core($directory) && ($quoted || $target !~ $CORE_SYSTEM);
	return undef;
}

# a message prints a part of a text that is not a C string: it may hold any bytes
sub judge_line
{
	my ($top, $file, $source) = @_;
	my $directory = directory_of($file);

	return 'extern: include the header that declares it'
	  if $source =~ /^\s*extern\b/ && $file =~ /\.c$/;
	if ($source =~ m{^\s*(?:\#|%:|\?\?=)\s*(?:include|include_next|import)\b(.*)})
	{
		my $rest = $1;

		return judge_include($top, $directory, $1 eq '"', $2)
		  if $source =~ m{^\s*\#\s*include\s*(["<])([^">]+)[">]\s*$};
		return "include$rest: write the header's name, in the usual form";
	}
	return '%.*s: bytes need not be text: use FB_DISPLAY and %s'
	  if $source =~ /%\.\*s/ && $directory !~ m{^(?:core/base|server/pg)$};
	return undef;
}

sub list_sources
{
	my ($top) = @_;
	my @files;

	find({ no_chdir => 1, wanted => sub { push @files, $_ if /\.[ch]$/ && !/\.pb-c\.[ch]$/ } },
		"$top/src");
	return map { s{^\Q$top\E/src/}{}r } sort @files;
}

# the directory of a file of src/, undef if it is in none
sub directory_of
{
	my ($file) = @_;
	my $directory = dirname($file);

	return defined $LAYER{$directory} ? $directory : undef;
}

sub check_sources
{
	my ($top) = @_;
	my @problems;
	my $count = 0;    # files without a complaint

	foreach my $file (list_sources($top))
	{
		my $before = @problems;
		my $line = 0;

		next if $file eq 'fabric.c';    # joins the directories, and is of no layer
		if (!defined directory_of($file))
		{
			push @problems,
			  "src/$file: files are in src/core/DIRECTORY or src/server/DIRECTORY,"
			  . ' and directories are listed in tools/check_layers.pl';
			next;
		}
		foreach my $source (split /\n/, without_comments(slurp("$top/src/$file")) =~ s/\\\n/ /gr)
		{
			my $complaint = judge_line($top, $file, $source);

			$line++;
			push @problems, "src/$file:$line: $complaint" if defined $complaint;
		}
		$count++ if @problems == $before;
	}
	return ($count, @problems);
}

# ---- objects ----

# the symbols of an object: defined for others, needed from others, and its writable data
sub read_object
{
	my ($path) = @_;
	my %object = (defined => {}, needed => {}, writable => {});

	open(my $pipe, '-|', 'objdump', '-t', '-w', $path) or die "could not run objdump: $!\n";
	while (my $line = <$pipe>)
	{
		my ($flags, $section, $name) =
		  $line =~ m{^[0-9a-f]+ (.{7}) (\S+)\s+[0-9a-f]+ (?:\.\w+ )?(\S+)$}
		  or next;
		my $is_global = $flags =~ /^[gu!]|^.w/;

		$name          =~ s/^__isoc\d+_//;
		$name          =~ s/^__(\w+)_chk$/$1/;
		next if $flags =~ /[df]/;                # a section, or the name of the file
		if ($section eq '*UND*') { $object{needed}{$name} = 1 }
		else
		{
			$object{defined}{$name} = 1 if $is_global || $section eq '*COM*';
			$object{writable}{ $name =~ s/\.\d+$//r } = 1
			  if $section =~ m{^(?:\*COM\*|\.t?(?:data|bss)(?:\.|$))}
			  && $section !~ /^\.data\.rel\.ro/;
		}
	}
	close $pipe or die "could not read $path with objdump\n";
	return \%object;
}

# objects by their source file, including those of generated sources
sub read_objects
{
	my ($top) = @_;
	my (%objects, @missing, @sources);

	find({ no_chdir => 1, wanted => sub { push @sources, $_ if /\.c$/ } }, "$top/src");
	foreach my $source (sort @sources)
	{
		my $file = $source =~ s{^\Q$top\E/src/}{}r;
		my $object = $source =~ s/\.c$/.o/r;

		if   (-e $object && -M $object <= -M $source) { $objects{$file} = read_object($object) }
		else                                          { push @missing, $file }
	}
	# what a part of the objects shows of the others is not true
	return ({},
			"src/$missing[0] and "
		  . $#missing
		  . " more have no object, or an older one: build first (make)")
	  if @missing;
	return (\%objects);
}

# where each symbol is defined, and the text of the headers that declare the symbols of a directory
sub index_symbols
{
	my ($top, $objects) = @_;
	my (%home, %header);

	foreach my $file (keys %$objects)
	{
		$home{$_} = $file foreach keys %{ $objects->{$file}{defined} };
	}
	foreach my $directory (keys %LAYER)
	{
		my @headers = grep { is_public(s{^\Q$top\E/src/}{}r) } glob "$top/src/$directory/*.h";

		$header{$directory} = { map { ($_ => 1) } map { slurp($_) =~ /\w+/g } @headers };
	}
	return (\%home, \%header);
}

# an object needs a symbol of another directory
sub judge_need
{
	my ($file, $symbol, $home, $header) = @_;
	my $directory = directory_of($file);
	my $other = directory_of($home);

	return undef if !defined $other || (defined $directory && $other eq $directory);
	if (defined $directory)
	{
		my $complaint = judge_direction($directory, $other);

		return "$symbol, of $home: $complaint" if defined $complaint;
	}
	return undef if $home =~ /\.pb-c\.c$/ || $header->{$other}{$symbol};
	return "$symbol, of $home, is private to $other: declare it in its public header";
}

# an object of core needs a symbol that core does not have
sub judge_core_call
{
	my ($file, $symbol) = @_;

	return undef if grep { $_ eq $symbol } @{ $CORE_EXCEPTION{$file} // [] };
	return undef if $CORE_MAY_CALL{$symbol} || $symbol =~ $OF_COMPILER;
	return undef if $symbol =~ $CORE_LIBRARY && $symbol !~ $NOT_OF_LIBRARY;
	return "$symbol: "
	  . ($REASON{$symbol}
		  // 'core calls functions of their arguments alone, listed in tools/check_layers.pl');
}

sub judge_object
{
	my ($file, $object, $home, $header) = @_;
	my $directory = directory_of($file);
	my $is_core = defined $directory && is_core($directory) && $file !~ /\.pb-c\.c$/;
	my @complaints;

	foreach my $symbol (sort keys %{ $object->{needed} })
	{
		if (defined $home->{$symbol})
		{
			push @complaints, judge_need($file, $symbol, $home->{$symbol}, $header);
			next;
		}
		push @complaints, judge_core_call($file, $symbol) if $is_core;
		next unless defined $directory;
		push @complaints, "$symbol: libpq is for server/wire alone"
		  if $symbol =~ /^(?:PQ[a-z]\w*|lo_\w+)$/ && $directory ne 'server/wire';
		push @complaints, "$symbol: $ONE_PLACE{$symbol}[1]"
		  if $ONE_PLACE{$symbol} && $directory ne $ONE_PLACE{$symbol}[0];
	}
	foreach my $symbol ($is_core ? sort keys %{ $object->{writable} } : ())
	{
		push @complaints, "$symbol: core has no writable data: keep it with the caller"
		  unless grep { $_ eq $symbol } @{ $CORE_EXCEPTION{$file} // [] };
	}
	return grep { defined } @complaints;
}

# which files of a directory need which others, with one symbol as the reason
sub file_graph
{
	my ($directory, $objects, $home) = @_;
	my %graph;

	foreach my $file (grep { dirname($_) eq $directory && !/\.pb-c\.c$/ } keys %$objects)
	{
		$graph{$file} = {};
		foreach my $symbol (sort keys %{ $objects->{$file}{needed} })
		{
			my $other = $home->{$symbol};

			next if !defined $other || $other eq $file || dirname($other) ne $directory;
			$graph{$file}{$other} //= $symbol if $other !~ /\.pb-c\.c$/;
		}
	}
	return \%graph;
}

# a shortest cycle through a file: its files in order; empty if there is none
sub find_circle
{
	my ($graph, $start) = @_;
	my %before;
	my @queue = ($start);

	while (defined(my $file = shift @queue))
	{
		foreach my $next (sort keys %{ $graph->{$file} })
		{
			if ($next eq $start)
			{
				my @path = ($file);

				unshift @path, $before{ $path[0] } while $path[0] ne $start;
				return @path;
			}
			next if exists $before{$next};
			$before{$next} = $file;
			push @queue, $next;
		}
	}
	return ();
}

# one complaint for each cycle; a file is in one cycle only
sub judge_circles
{
	my ($directory, $objects, $home) = @_;
	my $graph = file_graph($directory, $objects, $home);
	my (@complaints, %seen);

	foreach my $file (sort keys %$graph)
	{
		my @circle = $seen{$file} ? () : find_circle($graph, $file);
		my @steps;

		next if !@circle || grep { $seen{$_} } @circle;
		$seen{$_} = 1 foreach @circle;
		for my $i (0 .. $#circle)
		{
			my $next = $circle[ ($i + 1) % @circle ];

			push @steps,
			  basename($circle[$i]) . " needs $graph->{$circle[$i]}{$next} of " . basename($next);
		}
		push @complaints, "src/$directory: files in a circle: " . join(', ', @steps);
	}
	return @complaints;
}

sub check_objects
{
	my ($top) = @_;
	my ($objects, @problems) = read_objects($top);
	my ($home, $header) = index_symbols($top, $objects);
	my $count = 0;    # objects and directories without a complaint

	foreach my $file (sort keys %$objects)
	{
		my @complaints = judge_object($file, $objects->{$file}, $home, $header);

		push @problems, map { "src/$file: $_" } @complaints;
		$count++ unless @complaints;
	}
	foreach my $directory (sort keys %LAYER)
	{
		my @complaints = judge_circles($directory, $objects, $home);

		push @problems, @complaints;
		$count++ unless @complaints;
	}
	return ($count, @problems);
}

# ---- self-test: planted violations ----

# the expected complaint (undef: none), and files with their texts
my @SOURCE_CASES = (
	[
		undef, 'core/base/ok.c',
		"#include \"core/base/base.h\"\n#include <openssl/evp.h>\n/* #include <libpq-fe.h> */\n"
	],
	[
		undef,
		'core/policy/ok.c',
		"#include \"core/identity/identity.h\"\n#include \"core/proto/common.pb-c.h\"\n"
		  . "#include \"core/policy/policy_internal.h\"\n"
	],
	[
		undef, 'server/wire/ok.c',
		"#include \"postgres.h\"\n#include \"libpq-fe.h\"\n#include \"core/raft/raft.h\"\n"
	],
	[ 'above it', 'core/base/up.c', "#include \"core/crypto/crypto.h\"\n" ],
	[ 'same layer', 'core/crypto/same.c', "#include \"core/raft/raft.h\"\n" ],
	[ 'same layer', 'server/order/same.c', "#include \"server/commit/commit.h\"\n" ],
	[ 'is private', 'core/policy/in.c', "#include \"core/identity/identity_internal.h\"\n" ],
	[ 'nothing of the server', 'core/txn/server.c', "#include \"postgres.h\"\n" ],
	[ 'above it', 'core/txn/above.c', "#include \"server/pg/pg.h\"\n" ],
	[ 'libpq is for', 'core/txn/libpq.c', "#include <libpq-fe.h>\n" ],
	[ 'libpq is for', 'server/order/libpq.c', "#include \"libpq-fe.h\"\n" ],
	[ 'libpq is for', 'server/order/way.c', "#include <postgresql/../postgresql/libpq-fe.h>\n" ],
	[ 'pure part', 'core/txn/socket.c', "#include <sys/socket.h>\n" ],
	[ 'by its path', 'server/order/dots.c', "#include \"../commit/commit.h\"\n" ],
	[ 'by its path', 'server/order/angle.c', "#include <server/commit/commit.h>\n" ],
	[ 'by its path', 'server/order/dot.c', "#include \"server/./commit/commit.h\"\n" ],
	[ 'by its path', 'core/txn/back.c', "#include \"core/txn/../../server/pg/pg.h\"\n" ],
	[
		'by its path', 'server/order/near.c',
		"#include \"order.h\"\n", 'server/order/order.h', "\n"
	],
	[ 'absolute path', 'server/order/root.c', "#include \"/usr/include/stdio.h\"\n" ],
	[ 'usual form', 'server/order/macro.c', "#define X \"libpq-fe.h\"\n#include X\n" ],
	[ 'libpq is for', 'server/order/hidden.c', "/* */ #include <libpq-fe.h>\n" ],
	[ 'need not be text', 'server/gateway/format.c', "const char *f = \"%.*s\";\n" ],
	[ 'need not be text', 'core/txn/format.c', "const char *f = \"a %.*s\";\n" ],
	[ 'declares it', 'core/txn/hand.c', "extern int fb_low(void);\n" ],
	[ 'files are in', 'server/attic/x.c', "\n" ],
	[ 'files are in', 'loose.c', "\n" ]);

# a function that needs a symbol
sub caller_of
{
	my ($name, $symbol) = @_;

	return "extern int $symbol(void);\nint $name(void);\nint $name(void) { return $symbol(); }\n";
}

sub object_cases
{
	my $base = "int fb_low(void);\nint fb_low(void) { return 1; }\n";
	my @forbidden = qw(time malloc write abort RAND_bytes fdopen fopen printf getenv exit rand
	  usleep palloc X509_STORE_set_default_paths BIO_new_file);

	return (
		[
			undef, 'core/base/low.c', $base, 'core/base/base.h', "int fb_low(void);\n",
			'core/txn/ok.c', caller_of('txn_ok', 'fb_low') . caller_of('txn_more', 'strlen')
		],
		[
			'is private to', 'core/base/low.c',
			$base, 'core/base/base.h',
			"\n", 'core/txn/hand.c',
			caller_of('txn_hand', 'fb_low')
		],
		[
			'above it',
			'core/base/low.c',
			caller_of('fb_low', 'txn_high'),
			'core/txn/txn.h',
			"int txn_high(void);\n",
			'core/txn/high.c',
			"int txn_high(void);\nint txn_high(void) { return 1; }\n"
		],
		[
			'same layer',
			'server/order/a.c',
			caller_of('order_a', 'commit_b'),
			'server/commit/commit.h',
			"int commit_b(void);\n",
			'server/commit/b.c',
			"int commit_b(void);\nint commit_b(void) { return 1; }\n"
		],
		[
			'in a circle: a.c needs txn_b of b.c, b.c needs txn_a of a.c',
			'core/txn/a.c', caller_of('txn_a', 'txn_b'),
			'core/txn/b.c', caller_of('txn_b', 'txn_a')
		],
		[
			'in a circle',
			'core/txn/a.c',
			caller_of('txn_a', 'txn_b'),
			'core/txn/b.c',
			caller_of('txn_b', 'txn_c'),
			'core/txn/c.c',
			caller_of('txn_c', 'txn_a')
		],
		[ 'no writable data', 'core/txn/data.c', "int txn_count = 1;\n" ],
		[ 'no writable data', 'core/txn/zero.c', "int txn_count;\n" ],
		[
			'count: core has no writable data',
			'core/txn/local.c',
			"int txn_next(void);\nint txn_next(void) { static int count; return ++count; }\n"
		],
		[
			undef, 'core/txn/table.c',
			"extern const char *const names[];\nconst char *const names[] = {\"a\"};\n"
		],
		[ undef, 'server/pg/text.c', caller_of('pg_text', 'pnstrdup') ],
		[ 'stops at a zero', 'server/gateway/text.c', caller_of('gateway_text', 'pnstrdup') ],
		[ 'may reset', 'server/commit/rows.c', caller_of('rows', 'tuplestore_gettupleslot') ],
		[ 'libpq is for', 'server/gateway/exec.c', caller_of('gateway_exec', 'PQexec') ],
		[ undef, 'core/base/status.c', caller_of('fb_make', 'abort') ],
		map { [ "$_: ", "core/txn/call.c", caller_of('txn_call', $_) ] } @forbidden);
}

# a tree with these files; compiled if the objects are checked
sub plant
{
	my ($compile, @files) = @_;
	my $top = tempdir(CLEANUP => 1);

	while (my ($file, $text) = splice @files, 0, 2)
	{
		make_path(dirname("$top/src/$file"));
		open(my $handle, '>', "$top/src/$file") or die "could not write $top/src/$file: $!\n";
		print $handle $text;
		close $handle;
		next unless $compile && $file =~ /\.c$/;
		system('cc', '-w', '-O1', '-fPIC', '-fno-builtin', '-c', '-o',
			"$top/src/$file" =~ s/\.c$/.o/r,
			"$top/src/$file") == 0
		  or die "could not compile the planted $file\n";
	}
	return $top;
}

sub self_test
{
	my ($passed, $failed) = (0, 0);

	foreach my $case ((map { [ 0, @$_ ] } @SOURCE_CASES), (map { [ 1, @$_ ] } object_cases()))
	{
		my ($of_objects, $expected, @files) = @$case;
		my $top = plant($of_objects, @files);
		my ($count, @problems) = $of_objects ? check_objects($top) : check_sources($top);
		my $right =
		  defined $expected ? (@problems == 1 && $problems[0] =~ /\Q$expected\E/) : !@problems;

		$right ? $passed++ : $failed++;
		print STDERR "self-test $files[0]: expected ", $expected // 'no complaint',
		  ", got: @problems\n"
		  unless $right;
	}
	print "layers self-test: $passed passed, $failed failed\n";
	return $failed;
}

exit(self_test() ? 1 : 0) if @ARGV && $ARGV[0] eq '--self-test';

my $top = "$FindBin::Bin/..";
my ($sources, @problems) = check_sources($top);
my ($objects, @more) = check_objects($top);
print "$_\n" foreach @problems, @more;
printf "layers: %d passed, %d failed\n", $sources + $objects, @problems + @more;
exit(@problems + @more ? 1 : 0);
