#!/usr/bin/perl
# check_symbols: fabric.so exports only fabric_*, the magic function, _PG_init and the function
# records. PostgreSQL loads libraries with global symbols, so any other name may collide with
# another extension's.
#
#   tools/check_symbols.pl [LIBRARY]    check LIBRARY, by default fabric.so
#   tools/check_symbols.pl --self-test  prove that it can fail
use strict;
use warnings;
use File::Temp qw(tempdir);
use FindBin;

sub foreign_symbols
{
	my ($library) = @_;
	my @symbols = split /\n/, qx{nm -D --defined-only --format=posix '$library'};

	die "check_symbols: nm could not read $library\n" if $? != 0;
	return (
		scalar @symbols,
		grep  { !/^(?:fabric_\w+|pg_finfo_\w+|Pg_magic_func|_PG_init|_PG_fini)$/ }
		  map { (split)[0] } @symbols);
}

sub missing_symbols
{
	my ($library) = @_;
	my $all = qx{nm -D --defined-only --format=posix '$library'};

	return grep { $all !~ /^\Q$_\E /m } qw(Pg_magic_func _PG_init);
}

sub self_test
{
	my $dir = tempdir(CLEANUP => 1);
	my ($passed, $failed) = (0, 0);

	foreach my $case (
		[ 'int fabric_good(void) { return 1; }', 0 ],
		[ 'int fabric_good(void) { return 1; } int raft_step(void) { return 2; }', 1 ],
		[
			'__attribute__((visibility("hidden"))) int raft_step(void) { return 2; } int pg_finfo_x;',
			0
		])
	{
		my ($source, $expected) = @$case;

		open(my $handle, '>', "$dir/x.c") or die "could not write $dir/x.c: $!\n";
		print $handle "$source\n";
		close $handle;
		system('cc', '-shared', '-fPIC', '-o', "$dir/x.so", "$dir/x.c") == 0
		  or die "check_symbols: cc failed\n";
		my ($count, @foreign) = foreign_symbols("$dir/x.so");
		@foreign == $expected ? $passed++ : $failed++;
		print STDERR "self-test: $source: found @foreign\n" if @foreign != $expected;
	}
	# PostgreSQL could load none of these libraries
	missing_symbols("$dir/x.so") == 2 ? $passed++ : $failed++;
	print "symbols self-test: $passed passed, $failed failed\n";
	return $failed;
}

exit(self_test() ? 1 : 0) if @ARGV && $ARGV[0] eq '--self-test';

my $library = shift @ARGV // "$FindBin::Bin/../fabric.so";
die "check_symbols: there is no $library; build it with make\n" unless -e $library;
my ($count, @foreign) = foreign_symbols($library);
my @missing = missing_symbols($library);
print "not exported: $_: without it PostgreSQL cannot load the library; declare it PGDLLEXPORT\n"
  foreach @missing;
print
  "exported: $_: make it static, or let -fvisibility=hidden hide it (only FABRIC_FUNCTION and PGDLLEXPORT fabric_... names are exported)\n"
  foreach @foreign;
printf "symbols: %d passed, %d failed\n", $count - @foreign, @foreign + @missing;
exit(@foreign || @missing ? 1 : 0);
