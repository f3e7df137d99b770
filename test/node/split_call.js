// The split call from Node.js: the client's key never leaves this process; the database sees proposals and signatures.
//
//   PGHOST=.. PGPORT=.. PGUSER=.. PGDATABASE=fabric FABRIC_MSP_ID=Org1MSP FABRIC_CERTIFICATE=cert.pem FABRIC_KEY=key.pem node split_call.js
//
// Needs the npm package pg and Node's own crypto, nothing else. Prints TAP.
'use strict';

const crypto = require('crypto');
const fs = require('fs');
const { Client } = require('pg');

const channel = process.env.FABRIC_CHANNEL || 'trade';
const chaincode = process.env.FABRIC_CHAINCODE || 'vehicles';
const key = crypto.createPrivateKey(fs.readFileSync(process.env.FABRIC_KEY));
const certificate = fs.readFileSync(process.env.FABRIC_CERTIFICATE);

// a protobuf field of type bytes or string
function field(number, bytes)
{
	const length = [];
	let rest = bytes.length;

	for (; rest > 127; rest >>>= 7)
		length.push((rest & 127) | 128);
	return Buffer.concat([Buffer.from([(number << 3) | 2, ...length, rest]), bytes]);
}

// msp.SerializedIdentity
const creator = Buffer.concat([field(1, Buffer.from(process.env.FABRIC_MSP_ID)), field(2, certificate)]);

// Fabric accepts only the lower of the two values that s can have
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

function sign(message)
{
	const raw = crypto.sign('sha256', message, { key, dsaEncoding: 'ieee-p1363' });
	const r = BigInt('0x' + raw.subarray(0, 32).toString('hex'));
	const s = BigInt('0x' + raw.subarray(32).toString('hex'));
	const body = Buffer.concat([derInteger(r), derInteger(s > order / 2n ? order - s : s)]);

	return Buffer.concat([Buffer.from([0x30, body.length]), body]);
}

let number = 0;
let failed = 0;

function ok(holds, name)
{
	number++;
	if (!holds)
		failed++;
	console.log(`${holds ? 'ok' : 'not ok'} ${number} - ${name}`);
}

function sha256(bytes)
{
	return crypto.createHash('sha256').update(bytes).digest();
}

async function propose(client, name, args)
{
	const { rows: [proposal] } = await client.query('SELECT tx_id, proposal, digest FROM fabric.new_proposal($1, $2, $3, $4, $5)',
		[channel, chaincode, name, args, creator]);

	return proposal;
}

async function refused(promise)
{
	try
	{
		await promise;
	}
	catch (error)
	{
		return error;
	}
	return null;
}

async function main()
{
	const client = new Client();

	await client.connect();

	const id = 'N' + Date.now();
	const proposal = await propose(client, 'create_vehicle', [id, 'Volvo', 'V60', '2021', 'Node Client', '15000']);
	ok(/^[0-9a-f]{64}$/.test(proposal.tx_id), 'a proposal has a transaction id');
	ok(sha256(proposal.proposal).equals(proposal.digest), 'what is to be signed is the SHA-256 of the proposal');

	const forged = sign(Buffer.concat([proposal.proposal, Buffer.from([0])]));
	let error = await refused(client.query('SELECT * FROM fabric.endorse($1, $2)', [proposal.proposal, forged]));
	ok(error !== null && error.code === 'LF103', 'a signature over other bytes is refused: ' + (error && error.code));

	const { rows: [endorsed] } = await client.query('SELECT payload, digest, result FROM fabric.endorse($1, $2)', [proposal.proposal, sign(proposal.proposal)]);
	ok(sha256(endorsed.payload).equals(endorsed.digest), 'endorsed: what is to be signed is the SHA-256 of the payload');

	error = await refused(client.query('SELECT fabric.submit($1, $2)', [endorsed.payload, forged]));
	// as in Fabric, the orderer sees nobody who satisfies the channel's policy Writers
	ok(error !== null && error.code === 'LF202', 'a payload is not ordered without its signature: ' + (error && error.code));

	await client.query('SELECT fabric.submit($1, $2)', [endorsed.payload, sign(endorsed.payload)]);
	const { rows: [status] } = await client.query('SELECT * FROM fabric.commit_status($1, $2)', [channel, proposal.tx_id]);
	ok(status.validation_code === 'VALID', 'the transaction is committed: ' + JSON.stringify(status));

	const question = await propose(client, 'read_vehicle', [id]);
	const { rows: [answer] } = await client.query('SELECT fabric.evaluate($1, $2) AS result', [question.proposal, sign(question.proposal)]);
	ok(JSON.parse(answer.result).owner === 'Node Client', 'and can be read: ' + answer.result);

	error = await refused(client.query('SELECT * FROM fabric.endorse($1, $2)', [proposal.proposal, sign(proposal.proposal)]));
	ok(error !== null && error.code === 'LF409', 'the same proposal is not endorsed twice: ' + (error && error.code));

	await client.end();
	console.log(`1..${number}`);
	process.exit(failed ? 1 : 0);
}

main().catch((error) =>
{
	console.log(`Bail out! ${error.message}${error.detail ? ' / ' + error.detail : ''}${error.hint ? ' / ' + error.hint : ''}`);
	process.exit(2);
});
