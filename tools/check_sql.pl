#!/usr/bin/perl
# check_sql: every object of the extension script is complete: each function has volatility,
# strictness, parallel safety, a COMMENT, an explicit decision about PUBLIC, and a test; one of the
# chaincode interface (C name fabric_shim_...) is granted to fabric_chaincode or PUBLIC. Tables come
# before functions, and privileges after everything else.
#
#   tools/check_sql.pl               check the files of src/sql that make joins
#   tools/check_sql.pl --self-test   prove that each rule can fail
use strict;
use warnings;
use FindBin;

# the statements of a script without comments, with empty bodies ($$...$$) and strings
sub statements
{
	my ($text) = @_;
	my @statements;
	my ($current, $line, $start) = ('', 1, undef);

	while ($text =~
		m{\G(--[^\n]*|/\*.*?\*/|\$(\w*)\$.*?\$\2\$|[eE]?'(?:''|[^'])*'|"(?:""|[^"])*"|;|\\[^\n]*|[^-/\$'";\\]+|.)}gs
	  )
	{
		my $token = $1;

		if ($token eq ';')
		{
			push @statements, { text => $current, line => $start } if $current =~ /\S/;
			($current, $start) = ('', undef);
		}
		elsif ($token =~ m{^(?:--|/\*)} || ($token =~ /^\\/ && $current !~ /\S/))
		{
			$current .= ' ';
		}
		else
		{
			if (!defined $start && $token =~ /\S/)
			{
				my ($blank) = $token =~ /^(\s*)/;
				$start = $line + ($blank =~ tr/\n//);
			}
			$current .=
				$token =~ /^\$\w*\$/            ? "''"
			  : $token =~ /^'fabric_shim_\w+'$/ ? $token
			  : $token =~ /^[eE]?'/             ? "'" . ($token eq "''" ? '' : 'x') . "'"
			  :                                   $token;
		}
		$line += ($token =~ tr/\n//);
	}
	return @statements;
}

# the names in a list of functions with their arguments: "a.b(int, text), c.d()"
sub names_in_list
{
	my ($list) = @_;

	1 while $list =~ s/\([^()]*\)/ /g;
	return map { s/^\s+|\s+$//gr } split /,/, $list;
}

# the same names with the types of their arguments, which a list may leave out: "a.b(int,text)", "c.d"
sub signatures_in_list
{
	my ($list) = @_;

	return map { lc(s/\s+//gr) } $list =~ /([\w.]+\s*(?:\([^()]*\))?)/g;
}

# the types of the arguments of CREATE FUNCTION: "(key text, OUT value bytea) ..." is "text"
sub argument_types
{
	my ($rest) = @_;
	my ($list) = $rest =~ /^\(([^()]*)\)/ or return '';

	return join(
		',',
		map {
			lc(s/\s+DEFAULT.*//ir =~ s/^\s*(VARIADIC )?\s*(?:IN )?\w+ /$1 ? 'variadic' : ''/ier) =~
			  s/\s+//gr
		  }
		  grep { !/^\s*OUT / } split /,/,
		$list);
}

sub check_script
{
	my ($script, $tests) = @_;
	my (@functions, @relations, %comments, %decided, %for_chaincode, @problems);
	my ($has_function, $has_privilege);

	foreach my $statement (statements($script))
	{
		my $text = $statement->{text};

		$text =~ s/\s+/ /g;
		$text =~ s/^ //;
		$has_function = 1 if $text =~ /^CREATE (?:OR REPLACE )?FUNCTION/i;
		$has_privilege = 1 if $text =~ /^(?:GRANT|REVOKE)\b/i;
		push @problems, "fabric--1.0.sql:$statement->{line}: tables come before all functions"
		  if $has_function && $text =~ /^CREATE (?:UNLOGGED )?TABLE/i;
		push @problems,
		  "fabric--1.0.sql:$statement->{line}: privileges come last, after all CREATE"
		  if $has_privilege && $text =~ /^CREATE/i;
		if ($text =~ /^CREATE (OR REPLACE )?(FUNCTION|PROCEDURE) ([\w.]+) ?(\(.*)$/i)
		{
			push @functions,
			  {
				name => lc $3,
				rest => $4,
				line => $statement->{line},
				replace => $1
			  };
		}
		elsif (
			$text =~ /^CREATE (OR REPLACE )?(?:UNLOGGED )?(VIEW|TABLE|MATERIALIZED VIEW) ([\w.]+)/i)
		{
			push @relations,
			  { kind => lc $2, name => lc $3, line => $statement->{line}, replace => $1 }
			  unless $text =~ /PARTITION OF/i;
		}
		elsif ($text =~
			/^COMMENT ON (FUNCTION|PROCEDURE|VIEW|TABLE|MATERIALIZED VIEW) ([\w.]+).*? IS (?:'x?' ?)*'x'/i
		  )
		{
			my ($kind, $name) = (lc $1, lc $2);
			$comments{ ($kind =~ /function|procedure/ ? 'function ' : 'relation ') . $name }++;
		}
		elsif ($text =~
			/^(?:GRANT|REVOKE) (?:ALL|EXECUTE)(?: PRIVILEGES)? ON (?:FUNCTION|PROCEDURE|ROUTINE) (.*) (TO|FROM) (.*)$/i
		  )
		{
			my ($list, $to) = ($1, "$2 $3");
			$for_chaincode{$_} =
			  1
			  foreach $to =~ /^TO .*\b(?:fabric_chaincode|PUBLIC)\b/i
			  ? signatures_in_list($list)
			  : ();
			# a grant to a role keeps PUBLIC's default right, so only a statement about PUBLIC
			# decides
			next unless $to =~ /\bPUBLIC\b/i;
			$decided{ lc $_ }++ foreach names_in_list($list);
		}
		elsif ($text =~
			/^REVOKE (?:ALL|EXECUTE)(?: PRIVILEGES)? ON ALL (?:FUNCTIONS|ROUTINES) IN SCHEMA ([\w, ]+) FROM ([\w, ]*\bPUBLIC\b)/i
		  )
		{
			$decided{"schema $_"}++ foreach split / *, */, lc $1;
		}
	}

	my %count;
	$count{ $_->{name} }++ foreach @functions;
	foreach my $function (@functions)
	{
		my ($name, $rest) = @$function{qw(name rest)};
		my ($schema, $short) = $name =~ /^(\w+)\.(\w+)$/;
		my $say =
		  sub { push @problems, "fabric--1.0.sql:$function->{line}: function $name: $_[0]" };
		my $is_trigger = $rest =~ /\bRETURNS (?:event_)?trigger\b/i;

		if (!defined $schema)
		{
			$say->('write the schema in front of the name');
			next;
		}
		$say->(
			'CREATE FUNCTION, never OR REPLACE: it would adopt an object that another role made first')
		  if $function->{replace};
		$say->('say IMMUTABLE, STABLE or VOLATILE')
		  unless $rest =~ /\b(?:IMMUTABLE|STABLE|VOLATILE)\b/i;
		$say->('decide about null arguments: STRICT or CALLED ON NULL INPUT')
		  unless $rest =~ /\b(?:STRICT|(?:CALLED|RETURNS NULL) ON NULL INPUT)\b/i || $is_trigger;
		$say->('say PARALLEL SAFE, RESTRICTED or UNSAFE')
		  unless $rest =~ /\bPARALLEL (?:SAFE|RESTRICTED|UNSAFE)\b/i || $is_trigger;
		$say->('SECURITY DEFINER needs SET search_path')
		  if $rest =~ /\bSECURITY DEFINER\b/i && $rest !~ /\bSET search_path\b/i;
		$say->('add COMMENT ON FUNCTION') if ($comments{"function $name"} // 0) < $count{$name};
		$say->(
			'decide about PUBLIC: REVOKE ALL ... FROM PUBLIC after it, or GRANT EXECUTE ... TO PUBLIC'
		  )
		  unless ($decided{$name} // 0) >= $count{$name}
		  || $decided{"schema $schema"};
		$say->('grant it to fabric_chaincode')
		  if $rest =~ /'fabric_shim_\w+'/
		  && !$for_chaincode{$name}
		  && !$for_chaincode{ "$name(" . argument_types($rest) . ')' };
		$say->("no test in sql/, specs/, t/ or test/node names it: write one")
		  unless $is_trigger || $tests =~ /\b\Q$short\E\b/i;
	}
	foreach my $relation (@relations)
	{
		# comments in the script describe the tables behind the views, because readers of the script
		# look there
		my $is_inner = $relation->{kind} eq 'table' && $relation->{name} =~ /^fabric_internal\./;

		push @problems,
		  "fabric--1.0.sql:$relation->{line}: $relation->{kind} $relation->{name}: add COMMENT ON"
		  unless $is_inner || $comments{"relation $relation->{name}"};
		push @problems,
		  "fabric--1.0.sql:$relation->{line}: $relation->{kind} $relation->{name}: CREATE, never OR REPLACE"
		  if $relation->{replace};
	}
	return (scalar(@functions) + scalar(@relations), @problems);
}

sub read_files
{
	my $text = '';

	foreach my $path (@_)
	{
		open(my $handle, '<', $path) or die "could not open $path: $!\n";
		local $/;
		$text .= <$handle>;
		close $handle;
	}
	return $text;
}

# the files that make joins to the script, in order
sub script_parts
{
	my ($directory) = @_;
	my $makefile = read_files("$directory/Makefile") =~ s/\\\n//gr;

	$makefile =~ /^SQL_FILES = \$\(addprefix (\S+?),([^)]*)\)$/m
	  or die "the Makefile has no SQL_FILES\n";
	my ($prefix, $names) = ($1, $2);
	return map { "$prefix$_" } split ' ', $names;
}

# a problem with its file and line in src/sql, instead of the line of the script
sub in_its_file
{
	my ($directory, $problem, @files) = @_;
	my ($line) = $problem =~ /^fabric--1\.0\.sql:(\d+)/ or return $problem;

	foreach my $file (@files)
	{
		my $count = (read_files("$directory/$file") =~ tr/\n//);

		return $problem =~ s/^fabric--1\.0\.sql:\d+/$file:$line/r if $line <= $count;
		$line -= $count;
	}
	return $problem;
}

sub self_test
{
	my $good = <<'SQL';
-- a comment; with a semicolon
CREATE FUNCTION fabric.f(a int, b text DEFAULT 'x;y') RETURNS text AS $$ SELECT ';' $$
	LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION fabric.f(int, text) IS 'what it''s for';
CREATE VIEW fabric.v AS SELECT 1 AS one;
COMMENT ON VIEW fabric.v IS 'a view';
REVOKE ALL ON FUNCTION fabric.f(int, text) FROM PUBLIC;
SQL
	my @cases = (
		[ 'good', sub { $_[0] }, undef ],
		[ 'volatility', sub { $_[0] =~ s/IMMUTABLE //r }, 'IMMUTABLE, STABLE or VOLATILE' ],
		[ 'strictness', sub { $_[0] =~ s/STRICT //r }, 'null arguments' ],
		[ 'parallel', sub { $_[0] =~ s/PARALLEL SAFE//r }, 'PARALLEL SAFE' ],
		[ 'comment', sub { $_[0] =~ s/COMMENT ON FUNCTION.*?;//r }, 'COMMENT ON FUNCTION' ],
		[ 'empty comment', sub { $_[0] =~ s/'what it''s for'/''/r }, 'COMMENT ON FUNCTION' ],
		[ 'view comment', sub { $_[0] =~ s/COMMENT ON VIEW.*?;//r }, 'view fabric.v: add COMMENT' ],
		[ 'public', sub { $_[0] =~ s/REVOKE.*?;//r }, 'decide about PUBLIC' ],
		[
			'grant to a role',
			sub { $_[0] =~ s/REVOKE(.*?)FROM PUBLIC/GRANT$1TO fabric_client/r },
			'decide about PUBLIC'
		],
		[
			'shim',
			sub { $_[0] =~ s/AS \$.*?LANGUAGE sql/AS 'm', 'fabric_shim_f' LANGUAGE c/sr },
			'grant it to fabric_chaincode'
		],
		[
			'shim, another signature',
			sub {
				($_[0] =~ s/AS \$.*?LANGUAGE sql/AS 'm', 'fabric_shim_f' LANGUAGE c/sr)
				  . 'GRANT EXECUTE ON FUNCTION fabric.f(bytea, text) TO fabric_chaincode;';
			},
			'grant it to fabric_chaincode'
		],
		[
			'shim, granted',
			sub {
				($_[0] =~ s/AS \$.*?LANGUAGE sql/AS 'm', 'fabric_shim_f' LANGUAGE c/sr)
				  . 'GRANT EXECUTE ON FUNCTION fabric.f(int, text) TO fabric_chaincode;';
			},
			undef
		],
		[
			'all functions',
			sub {
				($_[0] =~ s/REVOKE.*?;//r)
				  . 'REVOKE ALL ON ALL FUNCTIONS IN SCHEMA fabric FROM PUBLIC;';
			},
			undef
		],
		[
			'all functions too early',
			sub {
				'REVOKE ALL ON ALL FUNCTIONS IN SCHEMA fabric FROM PUBLIC;'
				  . ($_[0] =~ s/REVOKE.*?;//r);
			},
			'privileges come last'
		],
		[
			'table after a function',
			sub { $_[0] =~ s/CREATE VIEW/CREATE TABLE fabric_internal.t ();\nCREATE VIEW/r },
			'tables come before'
		],
		[
			'table before the functions',
			sub { "CREATE TABLE fabric_internal.t ();\n" . $_[0] },
			undef
		],
		[
			'definer',
			sub { $_[0] =~ s/LANGUAGE sql/LANGUAGE sql SECURITY DEFINER/r },
			'SET search_path'
		],
		[
			'definer with path',
			sub {
				$_[0] =~
				  s/LANGUAGE sql/LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog/r;
			},
			undef
		],
		[
			'replace',
			sub { $_[0] =~ s/CREATE FUNCTION/CREATE OR REPLACE FUNCTION/r },
			'never OR REPLACE'
		],
		[
			'overload without comment',
			sub {
				my $overload =
				  "CREATE FUNCTION fabric.f() RETURNS int LANGUAGE sql STABLE STRICT PARALLEL SAFE AS 'x';";
				($_[0] =~ s/(?=REVOKE)/$overload/r)
				  . 'REVOKE ALL ON FUNCTION fabric.f() FROM PUBLIC;';
			},
			'COMMENT ON FUNCTION'
		],
		[ 'no test', sub { $_[0] =~ s/fabric\.f\(/fabric.untested(/gr }, 'write one' ]);
	my ($passed, $failed) = (0, 0);

	foreach my $case (@cases)
	{
		my ($name, $change, $expected) = @$case;
		my ($count, @problems) = check_script($change->($good), 'SELECT fabric.f(1)');
		my $right =
		  defined $expected ? (@problems && !grep { !/\Q$expected\E/ } @problems) : !@problems;

		$right ? $passed++ : $failed++;
		print STDERR "self-test $name: expected ", $expected // 'no complaint', ", got:\n",
		  map({ "    $_\n" } @problems)
		  unless $right;
	}
	print "sql surface self-test: $passed passed, $failed failed\n";
	return $failed;
}

exit(self_test() ? 1 : 0) if @ARGV && $ARGV[0] eq '--self-test';

my $top = "$FindBin::Bin/..";
my @parts = script_parts($top);
my ($count, @problems) = check_script(
	read_files(map { "$top/$_" } @parts),
	read_files(
		glob("$top/sql/*.sql"), glob("$top/specs/*.spec"),
		glob("$top/t/*.p[lm]"), glob("$top/test/node/*.js")));
my %bad = map { (/(fabric--1.0.sql:\d+)/ ? $1 : $_) => 1 } @problems;

@problems = map { in_its_file($top, $_, @parts) } @problems;
foreach my $file (glob "$top/src/sql/*.sql")
{
	my ($part) = $file =~ m{(src/sql/.*)};

	push @problems, "$part: not in SQL_FILES of the Makefile" unless grep { $_ eq $part } @parts;
}

print "$_\n" foreach @problems;
printf "sql surface: %d passed, %d failed\n", $count - keys %bad, scalar @problems;
exit(@problems ? 1 : 0);
