#!/usr/bin/perl
# check_shared: only src/server/pg touches shared memory. Other directories call its functions,
# which return copies, and use no spinlock, LWLock, atomic, condition variable or memory barrier.
# And only src/server/pg/compat.h depends on versions of PostgreSQL.
#
#   tools/check_shared.pl               check the tree
#   tools/check_shared.pl --self-test   prove that each rule can fail
use strict;
use warnings;
use File::Find;
use FindBin;

my $FORBIDDEN = qr{\b(
	SpinLock(?:Init|Acquire|Release|Free) | slock_t
	| LWLock\w* | pg_atomic_\w+ | ConditionVariable\w* | ShmemInitStruct
	| pg_(?:read|write|memory)_barrier
	)\b}x;
my $HEADER =
  qr{^\s*\#\s*include\s+["<](?:server/pg/shmem_internal|port/atomics|storage/(?:spin|lwlock|condition_variable|shmem))\.h[">]}m;

# files that use these for memory of one process
my %ALLOWED = ('src/server/wire/resolve.c' => { pg_read_barrier => 'a thread of this process' });

# comments and strings become blanks; lines stay
sub code_of
{
	my ($text) = @_;

	$text =~ s{(/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')}
		{ my $x = $1; $x =~ s/[^\n]/ /g; $x }gse;
	return $text;
}

sub problems_of
{
	my ($file, $text) = @_;
	my @problems;

	my $all_code = code_of($text);
	while ($file ne 'src/server/pg/compat.h' && $all_code =~ /\bPG_VERSION_NUM\b/g)
	{
		my $line = 1 + (substr($all_code, 0, $-[0]) =~ tr/\n//);

		push @problems,
		  "$file:$line: PG_VERSION_NUM: a difference between versions has a name in compat.h";
	}
	return @problems if $file =~ m{^src/server/pg/};
	while ($text =~ /($HEADER)/g)
	{
		my $line = 1 + (substr($text, 0, $+[1]) =~ tr/\n//);

		push @problems, "$file:$line: only src/server/pg includes this: use a function of pg.h";
	}
	while ($all_code =~ /$FORBIDDEN/g)
	{
		my ($name, $line) = ($1, 1 + (substr($all_code, 0, $-[1]) =~ tr/\n//));

		next if $ALLOWED{$file} && $ALLOWED{$file}{$name};
		push @problems,
		  "$file:$line: $name: only src/server/pg touches shared memory: add a function to pg.h";
	}
	return @problems;
}

sub self_test
{
	my @cases = (
		[ 'src/server/order/x.c', "SpinLockAcquire(&slot->mutex);\n", 1 ],
		[ 'src/server/order/x.c', "x = pg_atomic_read_u64(&slot->height);\n", 1 ],
		[ 'src/server/order/x.c', "LWLockAcquire(lock, LW_SHARED);\n", 1 ],
		[ 'src/server/order/x.h', "LWLock lock;\n", 1 ],
		[ 'src/server/order/x.c', "ConditionVariableBroadcast(&v);\n", 1 ],
		[ 'src/server/order/x.c', "pg_write_barrier();\n", 1 ],
		[ 'src/server/order/x.c', "#include \"server/pg/shmem_internal.h\"\n", 1 ],
		[ 'src/server/order/x.c', "# include <storage/spin.h>\n", 1 ],
		[ 'src/server/order/x.c', "#if PG_VERSION_NUM >= 160000\n#endif\n", 1 ],
		[ 'src/server/pg/x.c', "#if PG_VERSION_NUM >= 160000\n#endif\n", 1 ],
		[ 'src/server/pg/compat.h', "#if PG_VERSION_NUM >= 160000\n#endif\n", 0 ],
		[ 'src/server/pg/x.c', "SpinLockAcquire(&slot->mutex);\n", 0 ],
		[ 'src/server/wire/resolve.c', "pg_read_barrier();\n", 0 ],
		[ 'src/server/wire/resolve.c', "pg_write_barrier();\n", 1 ],
		[ 'src/server/order/x.c', "/* SpinLockAcquire */ s = \"LWLockAcquire\";\n", 0 ],
		[ 'src/server/order/x.c', "h = slot_height(slot);\n", 0 ]);
	my ($passed, $failed) = (0, 0);

	foreach my $case (@cases)
	{
		my ($file, $text, $expected) = @$case;
		my @problems = problems_of($file, $text);

		if (@problems == $expected)
		{
			$passed++;
			next;
		}
		$failed++;
		print "self-test: $file: $text", map { "    $_\n" } @problems;
	}
	print "shared memory self-test: $passed passed, $failed failed\n";
	return $failed;
}

exit(self_test() ? 1 : 0) if @ARGV && $ARGV[0] eq '--self-test';

my $top = "$FindBin::Bin/..";
my (@files, @problems);

find({ no_chdir => 1, wanted => sub { push @files, $_ if /\.[ch]$/ } }, "$top/src/server");
foreach my $path (sort @files)
{
	my ($file) = $path =~ m{^\Q$top\E/(.*)$};

	open(my $handle, '<', $path) or die "could not open $path: $!\n";
	local $/;
	push @problems, problems_of($file, scalar <$handle>);
	close $handle;
}
print "$_\n" foreach @problems;
my %bad = map { (/^([^:]+)/ ? $1 : $_) => 1 } @problems;
printf "shared memory: %d passed, %d failed\n", @files - keys %bad, scalar @problems;
exit(@problems ? 1 : 0);
