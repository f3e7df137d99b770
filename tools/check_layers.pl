#!/usr/bin/perl
# check_layers: every #include under src/ obeys the floors of the house.
#
#   tools/check_layers.pl               check the tree
#   tools/check_layers.pl --self-test   prove that each rule can fail
#
# Rules: a room includes doors of lower floors only; the door of a room is ROOM/ROOM.h; nothing of
# the server below the
# waterline; libpq only in server/wire; core reads no clock, opens no file, prints nothing, keeps no
# random state.
# What only a helper may use is used nowhere else: pnstrdup and tuplestore_gettupleslot (server/pg),
# "%.*s" (FB_DISPLAY of core/base).
use strict;
use warnings;
use File::Basename qw(dirname);
use File::Find;
use File::Path qw(make_path);
use File::Temp qw(tempdir);
use FindBin;

# the floor of each room, counted from the ground; server starts above the waterline
my %FLOOR = (
	'core/base' => 0,
	(map { ("core/$_" => 1) } qw(crypto proto raft)),
	(map { ("core/$_" => 2) } qw(identity rwset block)),
	'core/policy' => 3,
	(map { ("core/$_" => 4) } qw(config txn)),
	'core/block_audit' => 5,
	'server/pg' => 11,
	(map { ("server/$_" => 12) } qw(ledger wire)),
	'server/channel' => 13,
	(map { ("server/$_" => 14) } qw(chaincode ca deliver)),
	(map { ("server/$_" => 15) } qw(endorse commit order)),
	'server/audit' => 16,
	(map { ("server/$_" => 17) } qw(gateway worker)),
	'server/surface' => 18);
my $WATERLINE = 10;

# what core may take from the system: the C library's pure part, and its three libraries
my $CORE_SYSTEM =
  qr{^(?:assert|ctype|errno|inttypes|limits|math|stdalign|stdarg|stdbool|stddef|stdint|stdio|stdlib|string|time)\.h$
	|^(?:openssl|protobuf-c)/|^google/protobuf-c/|^zstd(?:_errors)?\.h$|^zdict\.h$|^archive(?:_entry)?\.h$|^zlib\.h$}x;

# what core must not call: the caller passes time, bytes and randomness in
my %FORBIDDEN_CALL = (
	(   map { ($_ => 'core has no clock: take the time as an argument') }
		  qw(time gettimeofday clock_gettime clock localtime)),
	(   map { ($_ => 'core opens no file: take the bytes as an argument') }
		  qw(fopen open creat freopen getenv)),
	(   map { ($_ => 'core prints nothing: fill the FbError of the caller') }
		  qw(printf fprintf puts fputs putchar perror)),
	(   map { ($_ => 'core neither ends nor leaves its caller: return an FbStatus') }
		  qw(exit _exit longjmp siglongjmp)),
	(map { ($_ => 'core waits for nothing') } qw(sleep usleep nanosleep)),
	(map { ($_ => 'use the seeded generator of core/base') } qw(rand srand random srandom)));

# what only one place in the server may call, because its callers got it wrong
my %ONE_PLACE = (
	pnstrdup => 'stops at a zero: use memory_cstring for names, FB_DISPLAY for messages',
	tuplestore_gettupleslot => 'reads into a context that the caller may reset: use memory_next_row'
);

# a message prints a part of a text that is no C string: bytes of any kind
sub complain_of_format
{
	my ($room, $source) = @_;

	return undef if $room =~ m{^(?:core/base|server/pg)$};
	return $source =~ /%\.\*s/ ? '%.*s: bytes need not be text: use FB_DISPLAY and %s' : undef;
}

sub without_comments_and_strings
{
	my ($text) = @_;

	$text =~ s{(/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')}
		{ my $x = $1; my $lines = ($x =~ tr/\n//); $x =~ m{^["']} ? '""' : "\n" x $lines || ' ' }gse;
	return $text;
}

# the complaint about one include, or undef
sub judge_include
{
	my ($room, $quoted, $target) = @_;
	my $floor = $FLOOR{$room};
	my $below = $floor < $WATERLINE;

	if ($target =~ m{^((?:core|server)/[a-z_]+)/([^/]+)\.h$} && $quoted)
	{
		my ($other, $header) = ($1, $2);
		my ($noun) = $other =~ m{/(.*)};

		return "unknown room $other: add it to the floors of tools/check_layers.pl"
		  unless defined $FLOOR{$other};
		return undef if $other eq $room;
		return
		  "$room is on floor $floor and may not look up to $other (floor $FLOOR{$other}): move the code up, or pass in what it needs"
		  if $FLOOR{$other} > $floor;
		return
		  "$room and $other are neighbours on floor $floor: let the floor above pass the value from one to the other"
		  if $FLOOR{$other} == $floor;
		return undef if $header eq $noun;
		return undef if $other eq 'core/base' && $header eq 'limits';
		return undef if $other eq 'server/pg' && $header eq 'compat';
		return undef if $other eq 'core/proto' && $header =~ /\.pb-c$/;
		return
		  "$target is private to its room: include its door \"$other/$noun.h\", and move there what is missing";
	}
	if ($quoted && $below)
	{
		return
		  "$target: below the waterline only \"core/...\" is included in quotes (no server header, room's path in front)";
	}
	if ($target =~
		m{^(?:libpq-fe\.h|libpq-events\.h|libpq/libpq-fs\.h|libpq/libpq-be-fe-helpers\.h|postgresql/libpq-.*)$}
	  )
	{
		return undef if $room eq 'server/wire';
		return
		  "$target: libpq belongs to server/wire alone; ask its door for the connection or the remote call";
	}
	if ($below && $target !~ $CORE_SYSTEM)
	{
		return
		  "<$target>: core takes from the system only the pure part of the C library, OpenSSL, protobuf-c, zstd and libarchive";
	}
	return undef;
}

sub check_tree
{
	my ($top) = @_;
	my @problems;
	my @files;
	my $count = 0;    # files without a complaint

	find({ no_chdir => 1, wanted => sub { push @files, $_ if /\.[ch]$/ && !/\.pb-c\.[ch]$/ } },
		"$top/src");
	foreach my $path (sort @files)
	{
		my ($file) = $path =~ m{^\Q$top\E/(src/.*)$};
		my ($room) = $file =~ m{^src/((?:core|server)/[^/]+)/[^/]+$};
		my ($text, $clean);

		next if $file eq 'src/fabric.c';    # joins the rooms; on no floor
		if (!defined $room || !defined $FLOOR{$room})
		{
			push @problems,
			  "$file: not in a room: files live in src/core/ROOM or src/server/ROOM, rooms are listed in tools/check_layers.pl";
			next;
		}
		my $before = @problems;
		open(my $handle, '<', $path) or die "could not open $path: $!\n";
		{ local $/; $text = <$handle>; }
		close $handle;

		my $line = 0;
		foreach my $source (split /\n/, $text)
		{
			$line++;
			next unless $source =~ m{^\s*#\s*include\s*([<"])([^>"]+)[>"]};
			my $complaint = judge_include($room, $1 eq '"', $2);
			push @problems, "$file:$line: $complaint" if $complaint;
		}
		$line = 0;
		foreach my $source (split /\n/, $text)
		{
			$line++;
			my $complaint = complain_of_format($room, $source);
			push @problems, "$file:$line: $complaint" if $complaint;
		}
		$clean = without_comments_and_strings($text);
		$line = 0;
		foreach my $source (split /\n/, $clean)
		{
			$line++;
			while ($source =~ m{(?<![\w.>])([a-z_]+)\s*\(}g)
			{
				next
				  if $room eq 'core/base' && $1 eq 'fprintf'; # the last words of a failed assertion
				push @problems, "$file:$line: $1(): $FORBIDDEN_CALL{$1}"
				  if $FORBIDDEN_CALL{$1} && $FLOOR{$room} < $WATERLINE;
				push @problems, "$file:$line: $1(): $ONE_PLACE{$1}"
				  if $ONE_PLACE{$1} && $room ne 'server/pg';
			}
		}
		$count++ if @problems == $before;
	}
	return ($count, @problems);
}

sub self_test
{
	my @cases = (
		# file, its text, what must be said (undef: nothing)
		[
			'core/base/ok.c',
			"#include \"core/base/base.h\"\n#include <openssl/evp.h>\n/* time( */ const char *t = \"printf(\";\n",
			undef
		],
		[
			'core/policy/ok.c',
			"#include \"core/identity/identity.h\"\n#include \"core/proto/common.pb-c.h\"\n#include \"core/policy/policy_internal.h\"\n",
			undef
		],
		[
			'server/wire/ok.c',
			"#include \"postgres.h\"\n#include \"libpq-fe.h\"\n#include \"core/raft/raft.h\"\n",
			undef
		],
		[ 'core/base/up.c', "#include \"core/crypto/crypto.h\"\n", 'may not look up' ],
		[ 'core/crypto/sideways.c', "#include \"core/raft/raft.h\"\n", 'neighbours' ],
		[
			'core/policy/window.c',
			"#include \"core/identity/identity_internal.h\"\n",
			'private to its room'
		],
		[ 'core/txn/server.c', "#include \"postgres.h\"\n", 'below the waterline' ],
		[ 'core/txn/above.c', "#include \"server/pg/pg.h\"\n", 'may not look up' ],
		[ 'core/txn/libpq.c', "#include <libpq-fe.h>\n", 'libpq belongs' ],
		[ 'core/txn/socket.c', "#include <sys/socket.h>\n", 'pure part' ],
		[ 'core/txn/clock.c', "long now(void)\n{\n\treturn time (0);\n}\n", 'has no clock' ],
		[ 'core/txn/file.c', "void f(void)\n{\n\tfopen(\"x\", \"r\");\n}\n", 'opens no file' ],
		[ 'server/order/libpq.c', "#include \"libpq-fe.h\"\n", 'libpq belongs' ],
		[ 'server/order/sideways.c', "#include \"server/commit/commit.h\"\n", 'neighbours' ],
		[ 'server/pg/ok.c', "char *f(void)\n{\n\treturn pnstrdup(\"a\", 1);\n}\n", undef ],
		[
			'server/gateway/text.c',
			"char *f(void)\n{\n\treturn pnstrdup(\"a\", 1);\n}\n",
			'stops at a zero'
		],
		[ 'server/gateway/format.c', "const char *f = \"%.*s\";\n", 'need not be text' ],
		[ 'core/txn/format.c', "const char *f = \"a %.*s\";\n", 'need not be text' ],
		[
			'server/commit/rows.c',
			"void f(void)\n{\n\ttuplestore_gettupleslot(0, 1, 0, 0);\n}\n",
			'reads into a context'
		],
		[ 'server/attic/x.c', "\n", 'not in a room' ],
		[ 'loose.c', "\n", 'not in a room' ]);
	my ($passed, $failed) = (0, 0);

	foreach my $case (@cases)
	{
		my ($file, $text, $expected) = @$case;
		my $top = tempdir(CLEANUP => 1);

		make_path(dirname("$top/src/$file"));
		open(my $handle, '>', "$top/src/$file") or die "could not write $top/src/$file: $!\n";
		print $handle $text;
		close $handle;
		my ($count, @problems) = check_tree($top);
		my $right =
		  defined $expected ? (@problems == 1 && $problems[0] =~ /\Q$expected\E/) : !@problems;
		$right ? $passed++ : $failed++;
		print STDERR "self-test $file: expected ", $expected // 'no complaint', ", got: @problems\n"
		  unless $right;
	}
	print "layers self-test: $passed passed, $failed failed\n";
	return $failed;
}

exit(self_test() ? 1 : 0) if @ARGV && $ARGV[0] eq '--self-test';

my ($count, @problems) = check_tree("$FindBin::Bin/..");
print "$_\n" foreach @problems;
printf "layers: %d passed, %d failed\n", $count, scalar @problems;
exit(@problems ? 1 : 0);
