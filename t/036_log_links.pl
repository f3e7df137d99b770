# Each batch in the Raft log names the block before it. A batch that does not follow is refused
# before it is stored, and is shown until an administrator acknowledges it, also after a restart. A
# node whose ledger differs from its log makes no blocks, reports it, and continues after a repair.
# An orderer whose log lacks entries from which its ledger was made does not start.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use FabricConsenter         qw();
use FabricTest              qw(fingerprints height_of wait_for_leader wait_until);
use FabricWire              qw();
use PostgreSQL::Test::Utils qw(slurp_file);
use Test::More;

# no election may happen between the messages of the false leader, however busy the machine is
my $network = FabricTest::start_network(
	orgs => 3,
	orderers => 3,
	channel => 'trade',
	settings => "fabric.raft_election_timeout = 3s\n");
my @nodes = $network->nodes;

$network->deploy('trade', 'book',
	<<'SQL', policy => "OR('Org1MSP.peer', 'Org2MSP.peer', 'Org3MSP.peer')");
CREATE FUNCTION put(key text, value text) RETURNS void
	LANGUAGE sql AS $$ SELECT fabric.put_state(key, value) $$;
SQL

my $puts = 0;

sub put
{
	my ($node) = @_;

	return 'SELECT ' . "fabric.invoke('trade', 'book', 'put', 'key" . ++$puts . "', 'x')";
}

sub orderer { return $_[0]->query("SELECT $_[1] FROM fabric.stat_orderer WHERE channel = 'trade'") }

sub evidence
{
	return $_[0]->query(
		"SELECT string_agg(concat_ws(' ', kind, consenter_id, sqlstate), ',' ORDER BY kind) FROM fabric.raft_evidence WHERE channel = 'trade'"
	);
}
sub lines { return scalar(() = slurp_file($_[0]->cluster->logfile) =~ /$_[1]/g) }

# ---- an append that does not follow ----

my $leader = wait_for_leader($network, 'trade');
my ($liar, $other) = grep { $_ != $leader } @nodes;

$leader->query(put($leader));
is(scalar fingerprints($network, 'trade'), 1, 'all nodes have the same ledger');
my ($next, $hash) = FabricConsenter::chain_head($other, 'trade');
my ($index, $log_term) = split /\|/,
  $other->query(
	"SELECT index, term FROM fabric_internal.raft_log WHERE channel = 'trade' ORDER BY index DESC LIMIT 1"
  );
my $term = orderer($other, 'term') + 1;
my $batch = FabricWire::message([ 1, FabricWire::envelope('p', 's') ]);

sub append
{
	my ($payload) = @_;

	return
		'SELECT fabric_internal.raft_receive('
	  . "'trade', $liar->{number}, "
	  . FabricWire::bytea(
		FabricWire::raft_message(
			type => $FabricWire::RAFT_APPEND,
			from => $liar->{number},
			to => $other->{number},
			term => $term,
			index => $index,
			log_term => $log_term,
			commit => $index + 1,
			entries => [ [ $term, 0, $payload ] ])) . ')';
}
my @wrong = (
	FabricWire::linked($next, "\0" x 32, $batch),
	FabricWire::linked($next + 1, $hash, $batch),
	FabricWire::linked($next - 1, $hash, $batch));

is( (FabricConsenter::tell_node($liar, $other, join(';', map { append($_) } @wrong, 'short', '')))
	[0],
	"t\n" x 5,
	'the node accepts messages of a consenter that makes itself the leader, with batches that do not follow'
);
ok(wait_until(sub { evidence($other) eq "entries_do_not_follow $liar->{number} LF508" }),
	'fabric.raft_evidence shows the batches that do not follow')
  or diag(evidence($other));
like(
	$other->query(
		"SELECT term || ' ' || index || ' ' || message || ' ' || detail FROM fabric.raft_evidence"),
	qr/^$term @{[ $index + 1 ]} batch does not follow block @{[ $next - 1 ]} .*hash/,
	'the evidence has term, entry, and both hashes');
is(orderer($other, 'evidence'), 1, 'fabric.stat_orderer counts the evidence');
like(
	orderer($other, 'evidence_detail'),
	qr/LF508: batch does not follow.*consenter $liar->{number}/,
	'fabric.stat_orderer describes the evidence');
is( $other->query(
		"SELECT count(*) FROM fabric_internal.raft_log WHERE channel = 'trade' AND index = $index + 1 AND term = $term"
	),
	0,
	'no batch that does not follow is in the log');
is(lines($other, 'contradict each other: batch does not follow'),
	1, 'the server log has the contradiction once');
cmp_ok(orderer($other, 'term'), '<', $term + 3, 'the term of the refused message is not adopted');
$other->query(put($other));
is(scalar fingerprints($network, 'trade'), 1, 'the channel continues');

# entries that are in the log already with another content
my ($last_term, $kind) = split /\|/,
  $other->query(
	"SELECT term, kind FROM fabric_internal.raft_log WHERE channel = 'trade' AND index = $index");
$other->cluster->stop('immediate');
$other->start;
ok( wait_until(
		sub {
			($other->try_query("SELECT running FROM fabric.stat_orderer WHERE channel = 'trade'"))
			  [0] =~ /t/;
		}),
	'the node starts again');
like(evidence($other), qr/entries_do_not_follow/, 'the evidence survives a restart');

# an administrator who has acknowledged, in a transaction still open, does not block the worker
my $session = $other->cluster->background_psql('fabric');
$session->query_safe("BEGIN; SELECT fabric.acknowledge_evidence('trade')");
$other->query(put($other));
$session->query_safe('COMMIT');
$session->quit;
is(evidence($other), '', 'fabric.raft_evidence does not show acknowledged evidence');
is(orderer($other, 'evidence'), 0, 'fabric.stat_orderer does not count acknowledged evidence');
FabricConsenter::tell_node($liar, $other, append($wrong[0]));

# ---- a ledger that differs from its log ----

is(scalar fingerprints($network, 'trade'), 1, 'all nodes have the same ledger');
my ($differs) = grep { $_ != wait_for_leader($network, 'trade') } @nodes;
my ($well) = grep { $_ != $differs } @nodes;
my $last = height_of($differs, 'trade') - 1;
my $block =
  "UPDATE fabric_internal.block SET block_hash = %s WHERE channel = 'trade' AND number = $last";
my $right = $differs->query(
	"SELECT block_hash FROM fabric_internal.block WHERE channel = 'trade' AND number = $last");

$differs->stop;
$differs->start('without workers');
$differs->query("SET session_replication_role = replica; " . sprintf($block, "sha256('another')"));
$differs->stop;
$differs->start;
$well->query(put($well));
ok(wait_until(sub { evidence($differs) =~ /ledger_differs_from_log 0 LF508/ }),
	'the node whose ledger differs from its log reports this')
  or diag(evidence($differs));
is(height_of($differs, 'trade'), $last + 1, 'the node makes no block');
like(
	$differs->error_of(put($differs)),
	qr/LF508.*differs from the chain/s,
	'a session of the node gets an error with the reason');
is(lines($differs, 'this node contradicts itself: batch does not follow'),
	1, 'the server log has the contradiction once');
$well->query(put($well));
is( scalar(
		() =
		  $differs->query("SELECT last_error FROM fabric.stat_workers WHERE kind = 'ledger'") =~
		  /does not follow/),
	1,
	'fabric.stat_workers shows the error of the ledger worker');
is($differs->query("SELECT restarts FROM fabric.stat_workers WHERE kind = 'ledger'"),
	0, 'the ledger worker has not ended');
ok(wait_until(sub { orderer($differs, 'last_index') == orderer($well, 'last_index') }),
	'the node continues to store and confirm log entries');
$differs->query("SELECT fabric.acknowledge_evidence('trade')");
ok( wait_until(sub { evidence($differs) =~ /ledger_differs_from_log/ }),
	'a difference that was only acknowledged is found again');
is(height_of($differs, 'trade'), $last + 1, 'the node still makes no block');
$differs->query("SET session_replication_role = replica; " . sprintf($block, "'$right'"));
$differs->query("SELECT fabric.acknowledge_evidence('trade')");
is(scalar fingerprints($network, 'trade'),
	1, 'the node has the blocks of the others after repair and acknowledgment');
is($differs->query("SELECT count(*) FROM fabric.verify_chain('trade')"),
	0, 'the repaired node verifies its chain without a problem');

# ---- the terms of the entries ----

is( $_->query(
		"SELECT count(*) FROM fabric_internal.block WHERE channel = 'trade' AND number > 0 AND raft_term IS NULL"
	),
	0,
	"$_->{name} has stored the Raft term of each block that it made") foreach @nodes;
$differs->stop;
$differs->start('without workers');
$differs->query(<<"SQL");
CREATE TABLE kept AS SELECT * FROM fabric_internal.raft_log WHERE channel = 'trade'
	ORDER BY index DESC LIMIT 3;
DELETE FROM fabric_internal.raft_log l USING kept k WHERE l.channel = k.channel
	AND l.index = k.index;
UPDATE fabric_internal.raft_state SET commit_index = base_index WHERE channel = 'trade';
SQL
$differs->stop;
$differs->start;
ok( wait_until(
		sub {
			$differs->query("SELECT last_error FROM fabric.stat_workers WHERE kind = 'orderer'") =~
			  /Raft log ends at \d+, but \d+ was applied/;
		}),
	'an orderer does not start if its log lacks entries from which the ledger was made');
$differs->stop;
$differs->start('without workers');
$differs->query('INSERT INTO fabric_internal.raft_log SELECT * FROM kept');
$differs->stop;
$differs->start;
$differs->query(put($differs));
is(scalar fingerprints($network, 'trade'),
	1, 'the node continues after the log entries are restored');
done_testing();
