// The client's side of Fabric's messages, with Node's own crypto and a few lines of protobuf: identities, signatures, reading messages.
// Nothing here comes from the database, so that tests can compare its results with the database's.
'use strict';

const crypto = require('crypto');

// ---- protobuf: a message is a list of [number, Buffer or non-negative integer], in the order of the bytes ----

function varint(value)
{
	const bytes = [];
	let rest = BigInt(value);

	for (; rest > 127n; rest >>= 7n)
		bytes.push(Number(rest & 127n) | 128);
	return Buffer.from([...bytes, Number(rest)]);
}

function encode(fields)
{
	return Buffer.concat(fields.flatMap(([number, value]) =>
		Buffer.isBuffer(value) ? [varint(number << 3 | 2), varint(value.length), value] : [varint(number << 3), varint(value)]));
}

function decode(bytes)
{
	const fields = [];
	let position = 0;

	function take()
	{
		let value = 0n;

		for (let shift = 0n; ; shift += 7n)
		{
			if (position >= bytes.length)
				throw new Error('the message ends inside of a number');
			const byte = bytes[position++];
			value |= BigInt(byte & 127) << shift;
			if (byte < 128)
				return Number(value);
		}
	}

	while (position < bytes.length)
	{
		const tag = take();

		if ((tag & 7) === 0)
			fields.push([tag >> 3, take()]);
		else if ((tag & 7) === 2)
		{
			const length = take();
			if (position + length > bytes.length)
				throw new Error('the message ends inside of a field');
			fields.push([tag >> 3, bytes.subarray(position, position + length)]);
			position += length;
		}
		else
			throw new Error('a field of a kind that Fabric does not use');
	}
	return fields;
}

// all values of a field, and the first value on a path of field numbers (undefined when it is missing)
function all(bytes, number)
{
	return decode(bytes).filter(([n]) => n === number).map(([, value]) => value);
}

function get(bytes, ...path)
{
	return path.reduce((value, number) => value === undefined ? undefined : all(value, number)[0], bytes);
}

// ---- identities and signatures ----

function sha256(...parts)
{
	return crypto.createHash('sha256').update(Buffer.concat(parts)).digest();
}

// msp.SerializedIdentity
function identity(mspId, certificate)
{
	return encode([[1, Buffer.from(mspId)], [2, certificate]]);
}

// the order of the group of P-256: of the two possible values of s, Fabric accepts only the lower one
const order = BigInt('0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551');

function derInteger(value)
{
	let hex = value.toString(16);

	if (hex.length % 2)
		hex = '0' + hex;
	if (parseInt(hex.slice(0, 2), 16) > 127)
		hex = '00' + hex;
	const bytes = Buffer.from(hex, 'hex');
	return Buffer.concat([Buffer.from([2, bytes.length]), bytes]);
}

function der(r, s)
{
	const body = Buffer.concat([derInteger(r), derInteger(s)]);

	return Buffer.concat([Buffer.from([0x30, body.length]), body]);
}

function fromDer(signature)
{
	const rSize = signature[3];

	return [signature.subarray(4, 4 + rSize), signature.subarray(6 + rSize)].map((bytes) => BigInt('0x' + bytes.toString('hex')));
}

function isLowS(signature)
{
	return fromDer(signature)[1] <= order / 2n;
}

// ECDSA over SHA-256, DER, with the lower s
function sign(key, message)
{
	const [r, s] = fromDer(crypto.sign('sha256', message, key));

	return der(r, s > order / 2n ? order - s : s);
}

// the other signature of the same message, which is valid ECDSA too
function highS(signature)
{
	const [r, s] = fromDer(signature);

	return der(r, s > order / 2n ? s : order - s);
}

// whether the holder of this identity's certificate has signed the message
function verify(identityBytes, message, signature)
{
	return crypto.verify('sha256', message, new crypto.X509Certificate(get(identityBytes, 2)).publicKey, signature);
}

module.exports = { all, decode, encode, get, highS, identity, isLowS, sha256, sign, verify };
