// The split call from Node.js: the client's key never leaves this process; the database sees proposals and signatures.
//
//   PGHOST=.. PGPORT=.. PGUSER=.. PGDATABASE=fabric FABRIC_CERTIFICATE=cert.pem FABRIC_KEY=key.pem FABRIC_EXPIRED_CERTIFICATE=expired.pem
//   FABRIC_OTHER_CERTIFICATE=cert2.pem FABRIC_OTHER_KEY=key2.pem node split_call.js
//
// Certificate and key are those of a client of Org1MSP; the expired certificate is for the same key; the other ones are of Org2MSP. Channel "trade"
// has the chaincodes "vehicles" (examples/vehicle_registry.sql) and "vault", whose policies require both organizations.
// Needs only the npm package pg and Node's own crypto. Prints TAP.
'use strict';

const crypto = require('crypto');
const fs = require('fs');
const { Client, Pool } = require('pg');
const wire = require('./wire.js');

const channel = 'trade';
const key = crypto.createPrivateKey(fs.readFileSync(process.env.FABRIC_KEY));
const certificate = fs.readFileSync(process.env.FABRIC_CERTIFICATE);
const creator = wire.identity('Org1MSP', certificate);

let number = 0;
let failed = 0;

function ok(holds, name, found)
{
	number++;
	if (!holds)
		failed++;
	console.log(`${holds ? 'ok' : 'not ok'} ${number} - ${name}`);
	if (!holds && found !== undefined)
		console.log(`# found: ${found}`);
}

function is(found, expected, name)
{
	ok(found === expected, name, found);
}

// the promise must fail with this SQLSTATE, and the pattern must match message, detail or hint
async function refused(promise, code, words, name)
{
	let error = { code: 'none', message: 'no error' };

	try
	{
		await promise;
	}
	catch (caught)
	{
		error = caught;
	}
	ok(error.code === code && words.test([error.message, error.detail, error.hint].join('\n')), name,
		[error.code, error.message, error.detail, error.hint].join(' / '));
}

// ---- the calls ----

async function propose(client, chaincode, name, args, { as = creator, transient = null } = {})
{
	const { rows: [proposal] } = await client.query('SELECT tx_id, proposal, digest FROM fabric.new_proposal($1, $2, $3, $4, $5, $6)',
		[channel, chaincode, name, args, as, transient]);

	return proposal;
}

async function endorse(client, proposal, signature = wire.sign(key, proposal.proposal), organizations = null)
{
	const { rows: [endorsed] } = await client.query('SELECT payload, digest, result FROM fabric.endorse($1, $2, $3)',
		[proposal.proposal, signature, organizations]);

	return endorsed;
}

async function submit(client, payload, signature = wire.sign(key, payload))
{
	const { rows: [{ submit: txId }] } = await client.query('SELECT fabric.submit($1, $2)', [payload, signature]);

	return txId;
}

async function status(client, txId, timeout = null)
{
	const { rows: [found] } = await client.query('SELECT * FROM fabric.commit_status($1, $2, $3)', [channel, txId, timeout]);

	return found;
}

async function evaluate(client, chaincode, name, args)
{
	const { proposal } = await propose(client, chaincode, name, args);
	const { rows: [{ result }] } = await client.query('SELECT fabric.evaluate($1, $2) AS result', [proposal, wire.sign(key, proposal)]);

	return result.toString();
}

// all steps of a call; returns the validation code
async function run(client, chaincode, name, args, options)
{
	const proposal = await propose(client, chaincode, name, args, options);
	const { payload } = await endorse(client, proposal);

	await submit(client, payload);
	return (await status(client, proposal.tx_id)).validation_code;
}

// ---- the bytes to sign, compared with those of a Fabric client ----

// the proposal that a Fabric client would pack for the same call, nonce and time
function packProposal(nonce, timestamp, chaincode, args, transient)
{
	const chaincodeId = wire.encode([[2, Buffer.from(chaincode)]]);
	const txId = wire.sha256(nonce, creator).toString('hex');
	const channelHeader = wire.encode([[1, 3], [3, timestamp], [4, Buffer.from(channel)], [5, Buffer.from(txId)], [7, wire.encode([[2, chaincodeId]])]]);
	const signatureHeader = wire.encode([[1, creator], [2, nonce]]);
	const spec = wire.encode([[2, chaincodeId], [3, wire.encode(args.map((arg) => [1, Buffer.from(arg)]))]]);
	const input = wire.encode([[1, spec]]);
	const payload = wire.encode([[1, input], ...transient.map(([name, value]) => [2, wire.encode([[1, Buffer.from(name)], [2, Buffer.from(value)]])])]);

	return { txId, channelHeader, signatureHeader, visiblePayload: wire.encode([[1, input]]),
		bytes: wire.encode([[1, wire.encode([[1, channelHeader], [2, signatureHeader]])], [2, payload]]) };
}

async function checkBytes(client)
{
	const proposal = await propose(client, 'vault', 'keep', ['first'], { transient: { secret: 'the combination', also: 'this' } });
	const header = wire.get(proposal.proposal, 1);
	const nonce = wire.get(header, 2, 2);
	const timestamp = wire.get(header, 1, 3);
	const own = packProposal(nonce, timestamp, 'vault', ['keep', 'first'], [['also', 'this'], ['secret', 'the combination']]);

	is(nonce.length, 24, 'a nonce has 24 bytes');
	ok(Math.abs(wire.get(timestamp, 1) - Date.now() / 1000) < 60, 'the timestamp is the present time');
	is(proposal.tx_id, own.txId, 'the transaction id is SHA-256 of nonce and creator');
	ok(proposal.proposal.equals(own.bytes), 'the proposal has the bytes that a Fabric client packs', proposal.proposal.toString('hex'));
	ok(proposal.digest.equals(wire.sha256(proposal.proposal)), 'its digest is its SHA-256');

	const endorsed = await endorse(client, proposal);
	const payload = endorsed.payload;
	ok(endorsed.digest.equals(wire.sha256(payload)), 'the digest of the transaction is its SHA-256');
	ok(wire.get(payload, 1).equals(header), 'the transaction has the header of the proposal');
	const action = wire.get(payload, 2, 1);
	ok(wire.get(action, 1).equals(own.signatureHeader), 'its action has the signature header');
	ok(wire.get(action, 2, 1).equals(own.visiblePayload), 'and the call without the transient data');
	ok(!payload.includes('the combination'), 'nowhere is the transient data');
	const response = wire.get(action, 2, 2, 1);
	ok(wire.get(response, 1).equals(wire.sha256(own.channelHeader, own.signatureHeader, own.visiblePayload)), 'what was endorsed is this proposal');
	ok(wire.get(response, 2, 3, 3).equals(endorsed.result), 'the result is that of the endorsed response');
	is(endorsed.result.toString(), wire.sha256(Buffer.from('the combination')).toString('hex'), 'for which the chaincode had the transient data');

	const endorsements = wire.all(wire.get(action, 2, 2), 2);
	is(endorsements.map((each) => wire.get(each, 1, 1).toString()).sort().join(), 'Org1MSP,Org2MSP', 'both organizations have endorsed');
	for (const each of endorsements)
	{
		const endorser = wire.get(each, 1);
		const signature = wire.get(each, 2);

		ok(wire.verify(endorser, Buffer.concat([response, endorser]), signature), `the signature of ${wire.get(endorser, 1)} is over response and endorser`);
		ok(wire.isLowS(signature), 'and has the lower s');
	}
	await submit(client, payload);
	is((await status(client, proposal.tx_id)).validation_code, 'VALID', 'such a transaction is valid');
}

// ---- refused calls ----

async function checkRefusals(client)
{
	const proposal = await propose(client, 'vehicles', 'create_vehicle', ['R1', 'Saab', '900', '1990', 'Ann', '900']);
	const signature = wire.sign(key, proposal.proposal);
	const other = await propose(client, 'vehicles', 'create_vehicle', ['R2', 'Saab', '900', '1990', 'Ann', '900']);

	await refused(endorse(client, proposal, wire.sign(key, other.proposal)), 'LF103', /signature of .* of Org1MSP is not valid/, 'the signature of another proposal');
	await refused(endorse(client, proposal, wire.highS(signature)), 'LF103', /low S/, 'a signature with the higher s');
	await refused(endorse(client, proposal, Buffer.from('no signature')), 'LF103', /DER encoded/, 'bytes that are no signature');
	await refused(endorse(client, proposal, Buffer.alloc(0)), 'LF001', /signature/, 'no signature');
	await refused(endorse(client, proposal, null), 'LF001', /argument "signature" must not be null/, 'null for the signature');
	await refused(endorse(client, proposal, wire.sign(crypto.generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey, proposal.proposal)), 'LF103',
		/is not valid/, 'the signature of another key');

	// the price is changed after signing
	const position = proposal.proposal.lastIndexOf('900');
	const cheaper = Buffer.from(proposal.proposal);
	cheaper.write('100', position);
	await refused(endorse(client, { proposal: cheaper }, signature), 'LF103', /is not valid/, 'a proposal that was changed');
	await refused(endorse(client, { proposal: proposal.proposal.subarray(0, 50) }, signature), 'LF002', /./, 'half a proposal');

	// a nonce chosen by the client, without the matching transaction id
	const nonce = wire.get(proposal.proposal, 1, 2, 2);
	const moved = Buffer.from(proposal.proposal);
	moved[moved.indexOf(nonce)] ^= 1;
	await refused(endorse(client, { proposal: moved }, wire.sign(key, moved)), 'LF001', /transaction id/, 'a transaction id that is not the hash of nonce and creator');

	// identities
	let strange = await propose(client, 'vehicles', 'vehicle_exists', ['R1'], { as: wire.identity('NobodyMSP', certificate) });
	await refused(endorse(client, strange), 'LF104', /NobodyMSP/, 'a client of an unknown organization');
	strange = await propose(client, 'vehicles', 'vehicle_exists', ['R1'], { as: wire.identity('Org2MSP', certificate) });
	await refused(endorse(client, strange), 'LF105', /unrecognized authority "CN=ca.org1/, 'a client of another organization than its certificate');
	strange = await propose(client, 'vehicles', 'vehicle_exists', ['R1'], { as: Buffer.from('stranger') });
	await refused(endorse(client, strange), 'LF002', /msp.SerializedIdentity/, 'a creator that is no identity');
	strange = await propose(client, 'vehicles', 'vehicle_exists', ['R1'], { as: wire.identity('Org1MSP', fs.readFileSync(process.env.FABRIC_EXPIRED_CERTIFICATE)) });
	await refused(endorse(client, strange), 'LF106', /has expired/, 'a certificate that has expired');
	await refused(client.query('SELECT fabric.evaluate($1, $2)', [strange.proposal, wire.sign(key, strange.proposal)]), 'LF106', /has expired/, 'also for queries');

	// an error that the chaincode raises reaches the client with its text
	const missing = await propose(client, 'vehicles', 'read_vehicle', ['nosuch']);
	await refused(endorse(client, missing), 'P0001', /vehicle "nosuch" is not registered[^]*create_vehicle/, 'a call that the chaincode refuses');
	await refused(evaluate(client, 'vehicles', 'read_vehicle', ['nosuch']), 'P0001', /is not registered/, 'also in a query');
	await refused(evaluate(client, 'nosuch', 'f', []), 'LF302', /"nosuch" is not defined on channel "trade"/, 'an unknown chaincode');
	await refused(endorse(client, proposal, signature, ['Org9MSP']), 'LF001', /Org9MSP/, 'an organization that is not in the channel');

	// the transaction
	const { payload } = await endorse(client, proposal);
	const good = wire.sign(key, payload);
	await refused(submit(client, payload, wire.sign(key, proposal.proposal)), 'LF202', /./, 'a transaction with another signature is not ordered');
	await refused(submit(client, payload, wire.highS(good)), 'LF202', /./, 'nor with the higher s');
	await refused(submit(client, payload, Buffer.alloc(0)), 'LF002', /./, 'nor without a signature');
	const changed = Buffer.from(payload);
	changed[changed.length - 1] ^= 1;
	await refused(submit(client, changed, good), 'LF202', /./, 'nor changed after it was signed');
	await refused(submit(client, Buffer.from('payload'), good), 'LF002', /./, 'nor bytes that are no transaction');
	is((await status(client, proposal.tx_id, '0')).validation_code, null, 'none of these was ordered');

	// signed by the client, but not the endorsed bytes
	await submit(client, changed);
	is((await status(client, proposal.tx_id)).validation_code, 'ENDORSEMENT_POLICY_FAILURE', 'a change of the endorsements is found at validation');
	await submit(client, payload);
	is((await status(client, proposal.tx_id)).validation_code, 'ENDORSEMENT_POLICY_FAILURE', 'a transaction id is used up, even by an invalid transaction');
	is(await evaluate(client, 'vehicles', 'vehicle_exists', ['R1']), 'f', 'nothing was written');
}

async function main()
{
	const client = new Client();
	await client.connect();

	await checkBytes(client);

	// create, read, replay
	const id = 'N' + Date.now();
	const proposal = await propose(client, 'vehicles', 'create_vehicle', [id, 'Volvo', 'V60', '2021', 'Node Client', '15000']);
	const { payload } = await endorse(client, proposal);
	is(await submit(client, payload), proposal.tx_id, 'submit gives the transaction id');
	const first = await status(client, proposal.tx_id);
	is(first.validation_code, 'VALID', 'the transaction is committed');
	is(JSON.parse(await evaluate(client, 'vehicles', 'read_vehicle', [id])).owner, 'Node Client', 'and can be read');
	await submit(client, payload);
	is(await run(client, 'vehicles', 'create_vehicle', [id + 'b', 'Volvo', 'V60', '2021', 'Node Client', '15000']), 'VALID', 'after a replay the chain continues');
	const second = await status(client, proposal.tx_id);
	ok(second.validation_code === 'VALID' && second.block_number === first.block_number, 'and the first transaction is unchanged', JSON.stringify(second));
	await refused(endorse(client, proposal), 'LF409', new RegExp(proposal.tx_id), 'the same proposal is not endorsed twice');
	is((await status(client, 'f'.repeat(64), '100 ms')).validation_code, null, 'an unknown transaction has no status');

	await checkRefusals(client);

	// one organization of two
	const lonely = await propose(client, 'vehicles', 'create_vehicle', ['L1', 'Saab', '900', '1990', 'Ann', '900']);
	await submit(client, (await endorse(client, lonely, undefined, ['Org2MSP'])).payload);
	is((await status(client, lonely.tx_id)).validation_code, 'ENDORSEMENT_POLICY_FAILURE', 'one endorsement of two is not enough');

	// a client of the other organization through this organization's node
	const otherKey = crypto.createPrivateKey(fs.readFileSync(process.env.FABRIC_OTHER_KEY));
	const guest = await propose(client, 'vehicles', 'create_vehicle', ['G1', 'Fiat', '500', '1970', 'Guest', '500'],
		{ as: wire.identity('Org2MSP', fs.readFileSync(process.env.FABRIC_OTHER_CERTIFICATE)) });
	const endorsedGuest = await endorse(client, guest, wire.sign(otherKey, guest.proposal));
	await submit(client, endorsedGuest.payload, wire.sign(otherKey, endorsedGuest.payload));
	is((await status(client, guest.tx_id)).validation_code, 'VALID', 'a client of another organization is served as well');

	// many at a time
	const pool = new Pool({ max: 8 });
	const codes = await Promise.all([...Array(24).keys()].map((i) => run(pool, 'vehicles', 'create_vehicle', [`P${i}`, 'Opel', 'Kadett', '1980', 'Pool', `${i}`])));
	is(codes.filter((code) => code === 'VALID').length, 24, 'transactions of eight sessions at a time');
	await pool.end();

	await client.end();
	console.log(`1..${number}`);
	process.exit(failed ? 1 : 0);
}

main().catch((error) =>
{
	console.log(`Bail out! ${error.stack}${error.detail ? ' / ' + error.detail : ''}${error.hint ? ' / ' + error.hint : ''}`);
	process.exit(2);
});
