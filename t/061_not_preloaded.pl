# Without shared_preload_libraries everything that needs no worker works, and the rest says what to do.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('plain');
$node->init;
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION fabric CASCADE');

my $package = $node->safe_psql('postgres',
	q{SELECT (fabric.package_info(fabric.package_chaincode('label_1', 'CREATE FUNCTION f() RETURNS int LANGUAGE sql AS $$ SELECT 1 $$'))).package_id});
like($package, qr/^label_1:[0-9a-f]{64}$/, 'a chaincode package is made');

my ($status, $output, $error) = $node->psql('postgres', q{\set VERBOSITY verbose
SELECT fabric.transfer_leadership('trade')});
isnt($status, 0, 'what needs the workers fails');
like($error, qr/LF004/, 'with an error code of its own');
like($error, qr/HINT: .*shared_preload_libraries/, 'and with a hint');

$node->append_conf('postgresql.conf', "shared_preload_libraries = 'fabric'");
$node->restart;
is($node->safe_psql('postgres', q{SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'fabric launcher'}), 1, 'preloaded, the launcher runs');
done_testing();
