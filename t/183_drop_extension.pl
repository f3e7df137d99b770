# No single careless statement drops a joined channel, or an authority that has issued certificates.
# A deliberate drop also removes keys and chaincode.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use FabricTest qw(start_network deploy_registry create_vehicle wait_until);
use Test::More;

my $network = start_network(orgs => 1, orderers => 1, channel => 'trade', own_authorities => 1);
my ($node) = $network->nodes;
my $keystore = $node->query(
	"SELECT CASE WHEN s LIKE '/%' THEN s ELSE current_setting('data_directory') || '/' || s END FROM current_setting('fabric.keystore_directory') s"
);
my @dropping = (
	'DROP EXTENSION fabric',
	'DROP EXTENSION fabric CASCADE',
	'DROP EXTENSION pgcrypto CASCADE',
	'DROP SCHEMA public CASCADE',
	'BEGIN; ALTER EXTENSION fabric DROP TABLE fabric_internal.channel; DROP TABLE fabric_internal.channel CASCADE',
	'BEGIN; ALTER EXTENSION fabric DROP TABLE fabric_internal.ca_certificate; DROP TABLE fabric_internal.ca_certificate CASCADE',
);

# counts of everything that could be lost
sub belongings
{
	return join ' ', map { $node->query($_) } 'SELECT count(*) FROM fabric.channels',
	  'SELECT count(*) FROM fabric.cas', 'SELECT count(*) FROM fabric.identities',
	  "SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'fabric_cc_%'",
	  "SELECT count(*) FROM pg_ls_dir('$keystore')";
}

deploy_registry($network);
$node->query(create_vehicle('V1'));
my $before = belongings();
like(
	$before,
	qr/^1 [1-9]\d* [1-9]\d* 1 [1-9]\d*$/,
	'the node has a channel, authorities, identities, chaincode and keys');

# ---- refused in every way ----

foreach my $preload (1, 0)
{
	my $where = $preload ? 'preloaded' : 'not preloaded';

	if (!$preload)
	{
		$node->stop;
		$node->start('-c shared_preload_libraries=');
	}
	foreach my $statement (@dropping)
	{
		# a table that is removed from the extension is a plain table: dropping it is refused only
		# if the library is loaded already
		next if !$preload && $statement =~ /ALTER/;
		like(
			$node->error_of($statement),
			qr/2BP01: cannot drop extension fabric because (?:channel "trade" is joined|certificate authority ".*" has issued certificates)\nDETAIL:.*lost.*\nHINT:.*allow_drop_extension/s,
			"$where: $statement is refused");
	}
	is(belongings(), $before, "$where: a refused statement removes nothing");
}
$node->stop;
$node->start;
like(
	$node->error_of('DROP DATABASE fabric WITH (FORCE)', database => 'postgres'),
	qr/2BP01: cannot drop database "fabric" because channel "trade" is joined in it/,
	'the database cannot be dropped by force');
like(
	$node->error_of('DROP ROLE missing; DROP EXTENSION fabric'),
	qr/"missing" does not exist/,
	'other statements fail with their own errors');
$node->query(
	'CREATE ROLE someone; CREATE SCHEMA other AUTHORIZATION someone; DROP OWNED BY someone CASCADE; DROP ROLE someone; CREATE SCHEMA other; DROP SCHEMA other'
);
like($node->error_of('SET ROLE fabric_admin; SET fabric.allow_drop_extension = on'),
	qr/42501/, 'only a superuser may change fabric.allow_drop_extension');
$node->query(create_vehicle('V2'));
is(FabricTest::vehicles_of($node), 2, 'transactions are committed after refused statements');

# ---- the channel is left: the authorities still prevent the drop ----

$node->query("SELECT fabric.leave_channel('trade')");
like(
	$node->error_of('DROP EXTENSION fabric'),
	qr/2BP01: cannot drop extension fabric because certificate authority "[^"]+" has issued certificates\nDETAIL:.*\nHINT:.*ca_export/s,
	'the extension cannot be dropped while an authority has issued certificates');

# ---- a deliberate drop ----

$node->query("CREATE FUNCTION public.helper() RETURNS int LANGUAGE sql AS 'SELECT 1'");
like(
	$node->error_of('BEGIN; SET fabric.allow_drop_extension = on; DROP EXTENSION fabric; ROLLBACK'),
	qr/^$/, 'the extension can be dropped in a transaction that is rolled back');
is( belongings(),
	$before =~ s/^1/0/r,
	'a drop that is rolled back removes nothing, including key files');
$node->query('SET fabric.allow_drop_extension = on; DROP EXTENSION fabric');
is($node->query("SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'fabric%'"),
	0, 'dropping the extension removes the schemas of chaincode');
is($node->query("SELECT count(*) FROM pg_ls_dir('$keystore')"),
	0, 'dropping the extension removes the keys');
is($node->query('SELECT public.helper()'), 1, 'dropping the extension keeps other objects');
is( $node->query(
		"SELECT count(*) FROM pg_depend WHERE refclassid = 'pg_extension'::regclass AND NOT EXISTS (SELECT FROM pg_extension e WHERE e.oid = refobjid)"
	),
	0,
	'no entry of pg_depend refers to the dropped extension');
$node->query('CREATE EXTENSION fabric');
is(belongings(), '0 0 0 0 0', 'the extension is empty after it is created again');
is($node->error_of('DROP EXTENSION fabric'), '', 'an empty extension can be dropped');
done_testing();
