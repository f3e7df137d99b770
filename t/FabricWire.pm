package FabricWire;

# FabricWire: handmade Fabric messages and signatures, so that tests can send messages that no
# honest client sends.
#
# Uses nothing of the extension: protobuf is written here, signatures are made by the openssl
# command. A message is a list of fields, [number => bytes] or [number => \unsigned], in the order
# of writing.
#
#   my $client = FabricWire::identity('Org1MSP', 'client.pem', 'client.key');
#   my $parts = FabricWire::transaction(channel => 'trade', chaincode => 'cc', version => '1.0',
#       creator => $client, endorsers => [$peer1, $peer2], writes => { key => 'value' });
#   my $signature = FabricWire::sign($client, $parts->{payload});

use strict;
use warnings;
use Digest::SHA  qw(sha256 sha256_hex);
use Fabric::Host qw(run slurp spew);
use File::Temp   qw(tempdir);
use Math::BigInt;

our $CONFIG = 1;
our $CONFIG_UPDATE = 2;
our $ENDORSER_TRANSACTION = 3;

# the order of the group of P-256 (FIPS 186-4, D.1.2.3)
our $ORDER =
  Math::BigInt->from_hex('ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551');

# ---- protobuf ----

sub varint
{
	my ($value) = @_;
	my $bytes = '';

	for (; $value > 127 ; $value >>= 7)
	{
		$bytes .= chr(($value & 127) | 128);
	}
	return $bytes . chr($value);
}

# a field with the value undef is left out, as Fabric leaves out empty fields
sub message
{
	my (@fields) = @_;
	my $bytes = '';

	foreach my $field (@fields)
	{
		my ($number, $value) = @$field;

		next unless defined $value;
		$bytes .=
		  ref $value
		  ? varint($number << 3) . varint($$value)
		  : varint($number << 3 | 2) . varint(length $value) . $value;
	}
	return $bytes;
}

sub take_varint
{
	my ($bytes, $position) = @_;
	my ($value, $shift) = (0, 0);

	for (; ;)
	{
		die "message ends inside of a number\n" if $$position >= length $$bytes;
		my $byte = ord substr($$bytes, $$position++, 1);
		$value |= ($byte & 127) << $shift;
		$shift += 7;
		return $value if $byte < 128;
	}
}

# the fields of a message, as message() takes them
sub fields
{
	my ($bytes) = @_;
	my $position = 0;
	my @fields;

	while ($position < length $bytes)
	{
		my $tag = take_varint(\$bytes, \$position);
		my $value;

		if (($tag & 7) == 0)
		{
			my $number = take_varint(\$bytes, \$position);
			$value = \$number;
		}
		else
		{
			die "field of a kind that Fabric's messages do not have\n" unless ($tag & 7) == 2;
			my $length = take_varint(\$bytes, \$position);
			die "message ends inside of a field\n" if $position + $length > length $bytes;
			$value = substr($bytes, $position, $length);
			$position += $length;
		}
		push @fields, [ $tag >> 3, $value ];
	}
	return @fields;
}

# the bytes of the first field on a path of numbers: get($payload, 1, 2) is the signature header of
# a common.Payload
sub get
{
	my ($bytes, @path) = @_;

	foreach my $number (@path)
	{
		my ($field) = grep { $_->[0] == $number } fields($bytes);
		return undef unless $field;
		$bytes = $field->[1];
	}
	return ref $bytes ? $$bytes : $bytes;
}

# ---- Raft ----

our $RAFT_APPEND = 5;

# a message as core/raft/raft_message.c writes it; entries: [term, kind, payload], head: of a
# snapshot
sub raft_message
{
	my (%m) = @_;
	my @entries = @{ $m{entries} // [] };

	return pack(
		'a C3 n Q>11 N/a* N/a* N',
		'R',
		$m{version} // 3,
		$m{needs}   // 3,
		$m{type},
		$m{flags} // 0,
		$m{from},
		$m{to},
		$m{term},
		$m{index}          // 0,
		$m{log_term}       // 0,
		$m{commit}         // 0,
		$m{hint}           // 0,
		$m{nonce}          // 0,
		$m{promised_term}  // 0,
		$m{promised_index} // 0,
		$m{leader}         // 0,
		$m{configuration}  // '',
		$m{head}           // '',
		scalar @entries) . join '', map { pack('Q> C N/a*', @$_) } @entries;
}

# the payload of a batch that makes block $number after a block with this hash (core/block/link.c)
sub linked
{
	my ($number, $previous_hash, $batch) = @_;

	return pack('Q> a32 a*', $number, $previous_hash, $batch);
}

# the hash of a block's header (core/block/header.c); numbers below 128
sub block_hash
{
	my ($number, $previous_hash, @envelopes) = @_;
	my $body = pack('C3 C2 a32 C2 a32',
		2, 1, $number, 4, 32, $previous_hash, 4, 32, sha256(join '', @envelopes));

	die "block number $number is too large\n" if $number > 127;
	return sha256(pack('C2 a*', 0x30, length $body, $body));
}

# ---- signatures ----

sub der_integer
{
	my ($value) = @_;
	my $bytes = pack('H*', (length($value->as_hex) % 2 ? '0' : '') . substr($value->as_hex, 2));

	$bytes = "\0$bytes" if ord $bytes > 127;
	return "\x02" . chr(length $bytes) . $bytes;
}

# r and s of a signature
sub numbers
{
	my ($signature) = @_;
	my $r_size = ord substr($signature, 3, 1);

	return map { Math::BigInt->from_hex(unpack 'H*', $_) } substr($signature, 4, $r_size),
	  substr($signature, 6 + $r_size);
}

sub signature_of
{
	my $body = join '', map { der_integer($_) } @_;

	return "\x30" . chr(length $body) . $body;
}

# ECDSA over SHA-256 with the lower s, as Fabric asks for
sub sign
{
	my ($identity, $message) = @_;
	our $directory //= tempdir(CLEANUP => 1);

	spew("$directory/message", '');
	open(my $file, '>:raw', "$directory/message") or die "could not write $directory/message: $!\n";
	print $file $message;
	close $file;
	run('openssl', 'dgst', '-sha256', '-sign', $identity->{key}, '-out', "$directory/signature",
		"$directory/message");
	my ($r, $s) = numbers(slurp("$directory/signature"));
	return signature_of($r, $s > $ORDER - $s ? $ORDER - $s : $s);
}

# the same signature with the other s: valid ECDSA, but refused by Fabric
sub with_high_s
{
	my ($r, $s) = numbers($_[0]);

	return signature_of($r, $ORDER - $s);
}

# ---- identities and transactions ----

sub identity
{
	my ($msp_id, $certificate, $key) = @_;

	return { key => $key, bytes => message([ 1, $msp_id ], [ 2, slurp($certificate) ]) };
}

sub nonce
{
	open(my $handle, '<:raw', '/dev/urandom') or die "could not open /dev/urandom: $!\n";
	read($handle, my $bytes, 24) == 24 or die "could not read /dev/urandom\n";
	return $bytes;
}

sub chaincode_id
{
	my ($name, $version) = @_;

	return message([ 2, $name ], [ 3, $version ]);
}

# kvrwset.KVRWSet; reads => { key => [block, transaction] or undef when it was absent }, writes => {
# key => value or undef to delete }
sub rwset
{
	my ($reads, $writes) = @_;

	return message(
		(   map {
				[
					1,
					message(
						[ 1, $_ ],
						[
							2,
							$reads->{$_}
							? message([ 1, \$reads->{$_}[0] ], [ 2, \$reads->{$_}[1] ])
							: undef
						])
				]
			} sort keys %{ $reads // {} }),
		(   map {
				[
					3,
					defined $writes->{$_}
					? message([ 1, $_ ], [ 3, $writes->{$_} ])
					: message([ 1, $_ ], [ 2, \1 ])
				]
			} sort keys %{ $writes // {} }));
}

# rwset.TxReadWriteSet of namespace => bytes of a KVRWSet, ...
sub results
{
	my (@namespaces) = @_;
	my @fields = ([ 1, \0 ]);

	push @fields, [ 2, message([ 1, shift @namespaces ], [ 2, shift @namespaces ]) ]
	  while @namespaces;
	return message(@fields);
}

# A whole transaction. Required: channel, chaincode, version, creator, endorsers. Its writes: reads
# and writes, or results (bytes). Every part can be replaced, also by a wrong one: type, timestamp,
# tx_id, nonce, epoch, header_extension, arguments, response, action_name, action_version, events,
# proposal_hash, extension (of the response payload), actions (how many), data, payload. Gives
# payload (for the creator to sign), tx_id and the parts.
sub transaction
{
	my (%given) = @_;
	my $nonce = $given{nonce} // nonce();
	my $tx_id = $given{tx_id} // sha256_hex($nonce . $given{creator}{bytes});
	my $signature_header =
	  message([ 1, $given{creator}{bytes} ], [ 2, length $nonce ? $nonce : undef ]);
	my $channel_header = message(
		[ 1, \($given{type} // $ENDORSER_TRANSACTION) ],
		[ 3, $given{timestamp} // message([ 1, \time ]) ],
		[ 4, $given{channel} ],
		[ 5, $tx_id ],
		[ 6, $given{epoch} ? \$given{epoch} : undef ],
		[ 7, $given{header_extension} // message([ 2, chaincode_id($given{chaincode}) ]) ]);
	my $invocation = message(
		[
			1,
			message(
				[ 1, \1 ],
				[ 2, chaincode_id($given{chaincode}) ],
				[ 3, message(map { [ 1, $_ ] } @{ $given{arguments} // ['by hand'] }) ])
		]);
	my $proposal_payload = message([ 1, $invocation ]);
	my $proposal_hash = $given{proposal_hash}
	  // sha256($channel_header . $signature_header . $proposal_payload);
	my $results = $given{results}
	  // results($given{chaincode} => rwset($given{reads}, $given{writes}));
	my $extension = $given{extension} // message(
		[ 1, $results ],
		[ 2, $given{events} ],
		[ 3, $given{response} // message([ 1, \200 ]) ],
		[
			4,
			chaincode_id(
				$given{action_name} // $given{chaincode},
				exists $given{action_version} ? $given{action_version} : $given{version})
		]);
	my $response_payload = message([ 1, $proposal_hash ], [ 2, $extension ]);
	my @endorsements = map {
		[
			2,
			message(
				[ 1, $_->{bytes} ],
				[ 2, $given{endorsement} // sign($_, $response_payload . $_->{bytes}) ])
		]
	} @{ $given{endorsers} };
	my $action = message(
		[ 1, $signature_header ],
		[
			2,
			message(
				[ 1, $proposal_payload ],
				[ 2, message([ 1, $response_payload ], @endorsements) ])
		]);
	my $data = $given{data} // message(map { [ 1, $action ] } 1 .. $given{actions} // 1);
	my $payload = $given{payload}
	  // message([ 1, message([ 1, $channel_header ], [ 2, $signature_header ]) ],
		[ 2, length $data ? $data : undef ]);

	return { payload => $payload, tx_id => $tx_id, nonce => $nonce, creator => $given{creator} };
}

sub envelope
{
	my ($payload, $signature) = @_;

	return message([ 1, $payload ], [ 2, $signature ]);
}

# a transaction's envelope with its creator's signature
sub signed
{
	my ($transaction) = @_;

	return envelope($transaction->{payload},
		sign($transaction->{creator}, $transaction->{payload}));
}

# ---- configurations ----

# an entry of a map in a group of the configuration
sub config_entry
{
	my ($name, $value) = @_;

	return message([ 1, $name ], [ 2, $value ]);
}

# a group with the entry $name of the map $number replaced by the result of $change
sub change_entry
{
	my ($group, $number, $name, $change) = @_;

	return message(
		map {
			$_->[0] == $number && get($_->[1], 1) eq $name
			  ? [ $number, config_entry($name, $change->(get($_->[1], 2) // '')) ]
			  : $_
		} fields($group));
}

# The data of a CONFIG transaction that follows the configuration $given{config} (bytes of
# common.Config), made as orderers make it: the organization's anchor peers are set again, signed by
# $given{admin} of that organization. Other parts can be replaced: sequence, update, group (the
# result).
sub next_configuration
{
	my (%given) = @_;
	my ($channel, $organization) = @given{qw(channel organization)};
	my $value;
	my $group = change_entry(
		get($given{config}, 2),
		2,
		'Application',
		sub {
			change_entry(
				$_[0],
				2,
				$organization,
				sub {
					change_entry($_[0], 3, 'AnchorPeers',
						sub { $value = message([ 1, \1 ], [ 2, get($_[0], 2) ], [ 3, 'Admins' ]) });
				});
		});
	my $in_group = sub {
		message(
			[ 2, config_entry('Application', message([ 2, config_entry($organization, $_[0]) ])) ]);
	};
	my $update = $given{update} // message(
		[ 1, $channel ],
		[ 2, $in_group->('') ],
		[ 3, $in_group->(message([ 3, config_entry('AnchorPeers', $value) ])) ]);
	my $header = message([ 1, $given{admin}{bytes} ], [ 2, nonce() ]);
	my $signed = message([ 1, $update ],
		[ 2, message([ 1, $header ], [ 2, sign($given{admin}, $header . $update) ]) ]);
	my $payload = message(
		[ 1, message([ 1, message([ 1, \$CONFIG_UPDATE ], [ 4, $channel ]) ], [ 2, $header ]) ],
		[ 2, $signed ]);
	my $sequence = $given{sequence} // 1;

	return message(
		[ 1, message([ 1, \$sequence ], [ 2, $given{group} // $group ]) ],
		[ 2, envelope($payload, sign($given{admin}, $payload)) ]);
}

# bytes as an SQL literal
sub bytea
{
	return "'\\x" . unpack('H*', $_[0]) . "'::bytea";
}

1;
