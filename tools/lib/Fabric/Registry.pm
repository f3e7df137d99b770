package Fabric::Registry;

# Registry: the vehicle registry of demo and bench: its chaincode, its vehicles, its application.

use strict;
use warnings;
use Fabric::Host     qw(top slurp spew);
use Fabric::Load     qw(run_load);
use Fabric::Psql     qw(literal);
use Fabric::Terminal qw(step);
use File::Temp       qw(tempdir);
use POSIX            ();

our $ROLE = 'registry_app';
our $CHANNEL = 'trade';
our $CHAINCODE = 'vehicles';
our $SESSIONS = 16;

# the files of examples/, read before root's rights are given up
sub read
{
	my ($class) = @_;
	my $csv = slurp(top() . '/examples/vehicles.csv');

	return bless {
		source => slurp(top() . '/examples/vehicle_registry.sql'),
		csv => $csv,
		vehicles => ($csv =~ tr/\n//) - 1
	}, $class;
}

# any two organizations of three; of fewer, all
sub policy
{
	my ($self, $network) = @_;
	my @homes = grep { $_->{application} } $network->homes;

	return sprintf 'OutOf(%d, %s)', @homes < 2 ? 1 : 2,
	  join(', ', map { "'$_->{msp_id}.peer'" } @homes);
}

# the chaincode on all nodes, and an application with a role and an identity of its own at each
sub deploy
{
	my ($self, $network) = @_;
	my $package_id;

	step(
		'chaincode installed and approved by every organization, committed',
		sub {
			$package_id = $network->deploy($CHANNEL, $CHAINCODE, $self->{source},
				policy => $self->policy($network));
		});
	step(
		"application role $ROLE with a client identity at every organization",
		sub {
			$network->{facts}{registry_password} = password();
			$network->create_application($_, $ROLE, $network->{facts}{registry_password})
			  foreach $network->peers;
		});
	$network->{facts}{registry} = 1;
	$network->save;
	return $package_id;
}

# register the vehicles of the CSV file, by concurrent sessions of the application at the first
# node; gives pgbench's measurements
sub register_all
{
	my ($self, $network) = @_;
	my ($first) = $network->nodes;
	my $work = tempdir(CLEANUP => 1);

	$first->query(
		"CREATE TABLE vehicle_import (number int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, id text, make text, model text, year text, owner text, price text);\n"
		  . "GRANT SELECT ON vehicle_import TO $ROLE;\n"
		  . "COPY vehicle_import (id, make, model, year, owner, price) FROM STDIN WITH (FORMAT csv, HEADER);\n$self->{csv}\\.\n"
		  . 'ANALYZE vehicle_import');
	spew("$work/register.sql", <<"SQL");
\\set n :client_id + 1 + $SESSIONS * :i
\\set i :i + 1
\\if :n <= $self->{vehicles}
SELECT fabric.invoke('$CHANNEL', '$CHAINCODE', 'create_vehicle', id, make, model, year, owner, price)
	FROM vehicle_import WHERE number = :n;
\\endif
SQL
	my $result = run_load(
		$first, "$work/register.sql",
		sessions => $SESSIONS,
		transactions => POSIX::ceil($self->{vehicles} / $SESSIONS),
		user => $ROLE,
		variables => { i => 0 });
	die "registering the vehicles failed:\n$result->{errors}\n" unless $result->{ok};
	return $result;
}

# the password for connections over TCP; a new one for each network
sub password
{
	open(my $handle, '<:raw', '/dev/urandom') or die "could not open /dev/urandom: $!\n";
	CORE::read($handle, my $bytes, 18);
	close $handle;
	return unpack('H*', $bytes);
}

1;
