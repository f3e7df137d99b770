-- tables. The ledger tables are partitioned by channel: join_channel makes the partitions
-- <table>_<channel id> with their own indexes, which need not carry the channel, and leave_channel
-- drops them.

-- a channel that this node has joined
CREATE TABLE fabric_internal.channel (
	channel				text COLLATE "C" PRIMARY KEY,
	-- in the names of the partitions
	id					int GENERATED ALWAYS AS IDENTITY UNIQUE,
	config_block_number	bigint NOT NULL,	-- the last configuration block
	config				bytea NOT NULL,		-- its ConfigEnvelope, as received
	-- made so far: the number of the newest envelope_dictionary
	dictionaries		int NOT NULL DEFAULT 0,
	-- where blocks come from: the channel's orderers (a node that orders: its Raft log),
	-- or fabric.import_block alone
	source				text COLLATE "C" NOT NULL DEFAULT 'orderers'
						CHECK (source IN ('orderers', 'import')),
	joined_at			timestamptz NOT NULL DEFAULT now()
);
-- sessions know a channel's tables by its id: none comes again, not even after DROP EXTENSION
SELECT setval(pg_get_serial_sequence('fabric_internal.channel', 'id'),
	'fabric_internal.channel'::regclass::oid::bigint % 1000000000);

-- one block without its transactions; append-only
CREATE TABLE fabric_internal.block (
	channel				text COLLATE "C" NOT NULL,
	number				bigint NOT NULL,
	previous_hash		bytea NOT NULL,
	data_hash			bytea NOT NULL,
	block_hash			bytea NOT NULL,		-- SHA-256 of the DER header
	signatures			bytea NOT NULL,		-- metadata slot 0, as received or signed here
	last_config			bytea NOT NULL,		-- metadata slot 1
	transactions_filter	bytea NOT NULL,		-- metadata slot 2: one validation code per transaction
	orderer				bytea NOT NULL,		-- metadata slot 3
	-- the hash in metadata slot 4; empty where Fabric has none
	commit_hash			bytea NOT NULL,
	-- of the log entry that it was made from, from slot 0; 0 if none
	raft_index			bigint NOT NULL,
	committed_at		timestamptz NOT NULL,
	-- of that log entry, where this node made the block from its own log; null: the block came from
	-- another node
	raft_term			bigint
) PARTITION BY LIST (channel);

-- one transaction, valid or not; append-only
CREATE TABLE fabric_internal.transaction (
	channel				text COLLATE "C" NOT NULL,
	block_number		bigint NOT NULL,
	position			int NOT NULL,		-- in the block, from 0
	type				smallint NOT NULL,	-- common.HeaderType; -1 when it could not be read
	validation_code		smallint NOT NULL,	-- protos.TxValidationCode
	-- the 32 bytes of a well-formed id; others: see ledger/tx_index; null: none
	tx_id				bytea,
	creator_msp			text COLLATE "C",
	chaincode			text COLLATE "C",
	created_at			timestamptz,		-- the client's timestamp
	-- common.Envelope, compressed; see ledger/envelope_codec
	envelope			bytea NOT NULL
) PARTITION BY LIST (channel);

-- what the envelopes of a channel have in common, for their compression; append-only
CREATE TABLE fabric_internal.envelope_dictionary (
	channel				text COLLATE "C" NOT NULL
						REFERENCES fabric_internal.channel ON DELETE CASCADE,
	id					int NOT NULL,
	content				bytea NOT NULL,
	digest				bytea NOT NULL,		-- SHA-256 of content
	PRIMARY KEY (channel, id)
);
ALTER TABLE fabric_internal.envelope_dictionary ALTER COLUMN content SET STORAGE EXTERNAL;

-- the newest value of a key
CREATE TABLE fabric_internal.world_state (
	channel				text COLLATE "C" NOT NULL,
	-- chaincode; <chaincode>$$h<collection> for hashed private keys
	namespace			text COLLATE "C" NOT NULL,
	key					bytea NOT NULL,
	value				bytea NOT NULL,
	metadata			bytea,				-- pb(KVMetadataWrite entries), null when there is none
	-- the version: block and position of the transaction that wrote it last
	block_number		bigint NOT NULL,
	position			int NOT NULL
) PARTITION BY LIST (channel);

-- one write of a public key; append-only
CREATE TABLE fabric_internal.history (
	channel				text COLLATE "C" NOT NULL,
	namespace			text COLLATE "C" NOT NULL,
	key					bytea NOT NULL,
	block_number		bigint NOT NULL,
	position			int NOT NULL,
	value				bytea				-- null: the key was deleted
) PARTITION BY LIST (channel);

-- plaintext of private collections that this node's organization holds
CREATE TABLE fabric_internal.private_state (
	channel				text COLLATE "C" NOT NULL,
	namespace			text COLLATE "C" NOT NULL,
	collection			text COLLATE "C" NOT NULL,
	key					bytea NOT NULL,
	value				bytea NOT NULL,
	block_number		bigint NOT NULL,
	position			int NOT NULL
) PARTITION BY LIST (channel);

-- transactions that wrote a private collection of this organization, and whose plaintext this node
-- did not have when it committed them
CREATE TABLE fabric_internal.private_missing (
	channel				text COLLATE "C" NOT NULL
						REFERENCES fabric_internal.channel ON DELETE CASCADE,
	block_number		bigint NOT NULL,
	position			int NOT NULL,
	PRIMARY KEY (channel, block_number, position)
);

-- plaintext of private writes that this node endorsed or received, until their transaction is
-- committed
CREATE TABLE fabric_internal.transient (
	channel				text COLLATE "C" NOT NULL,
	tx_id				text COLLATE "C" NOT NULL,
	private_rwset		bytea NOT NULL,		-- pb(TxPvtReadWriteSet)
	received_at_height	bigint NOT NULL
) PARTITION BY LIST (channel);

-- what shows that a consenter broke a promise: one row for each kind and consenter; written by the
-- workers of the channel only
CREATE TABLE fabric_internal.raft_evidence (
	channel				text COLLATE "C" NOT NULL
						REFERENCES fabric_internal.channel ON DELETE CASCADE,
	kind				text COLLATE "C" NOT NULL,
	consenter_id		bigint NOT NULL,	-- 0: this node alone
	term				bigint NOT NULL,
	index				bigint NOT NULL,	-- of the entry; 0: of none
	sqlstate			text NOT NULL,
	message				text NOT NULL,		-- of the first since the last acknowledgment
	detail				text NOT NULL,
	first_at			timestamptz NOT NULL,
	last_at				timestamptz NOT NULL,
	occurrences			bigint NOT NULL,
	PRIMARY KEY (channel, kind, consenter_id)
) WITH (fillfactor = 50);

-- evidence that administrators have seen; of its own, so that no worker waits for an
-- administrator's transaction
CREATE TABLE fabric_internal.raft_acknowledgment (
	channel				text COLLATE "C" NOT NULL
						REFERENCES fabric_internal.channel ON DELETE CASCADE,
	up_to				timestamptz NOT NULL,	-- of evidence that was last seen until then
	acknowledged_at		timestamptz NOT NULL,
	acknowledged_by		text NOT NULL
);
CREATE INDEX raft_acknowledgment_channel ON fabric_internal.raft_acknowledgment (channel, up_to);

-- the Raft log of a channel that this node orders; written by its orderer worker only
CREATE TABLE fabric_internal.raft_log (
	channel				text COLLATE "C" NOT NULL,
	index				bigint NOT NULL,
	term				bigint NOT NULL,
	-- 0 batch, 1 a new leader's empty entry, 2 Raft configuration
	kind				smallint NOT NULL,
	-- kind 0: u64 number of the block, 32 bytes hash of the block before, common.BlockData
	payload				bytea NOT NULL
) PARTITION BY LIST (channel);
-- envelopes do not get smaller by trying again and again
ALTER TABLE fabric_internal.raft_log ALTER COLUMN payload SET STORAGE EXTERNAL;

-- what Raft must not forget; one row for each channel that this node orders, written by its orderer
-- worker only
CREATE TABLE fabric_internal.raft_state (
	channel				text COLLATE "C" PRIMARY KEY
						REFERENCES fabric_internal.channel ON DELETE CASCADE,
	raft_id				bigint NOT NULL,
	term				bigint NOT NULL,
	vote				bigint NOT NULL,	-- 0: no vote in this term
	commit_index		bigint NOT NULL,	-- at least; the truth may be ahead
	configuration		bytea NOT NULL,		-- opaque, of core/raft
	base_index			bigint NOT NULL,	-- the log begins after this entry
	base_term			bigint NOT NULL,
	-- what the others promised to this node; opaque, of core/raft
	promises			bytea NOT NULL,
	-- ever had a vote: without entries it is new, not one that lost them
	has_voted			boolean NOT NULL,
	-- 0: takes part; else why it recovers, as core/raft numbers the reasons
	recovery			bigint NOT NULL,
	recovery_witness	bigint NOT NULL,	-- the consenter that knew more, or 0
	recovering_since	timestamptz,
	recovery_detail		text,
	timeline			bigint NOT NULL,	-- of the server when this was written
	storage				text NOT NULL,		-- identity of the data directory when this was written
	-- the last block that was made from an entry up to there, and its hash
	base_block			bigint NOT NULL,
	base_hash			bytea NOT NULL
) WITH (fillfactor = 50);

-- what the orderer worker must know of this node's memory: written by leave_channel,
-- recover_consenter and trust_consenter; deleted by the worker when it has done it. It outlives the
-- channel's membership
CREATE TABLE fabric_internal.consenter_note (
	channel				text COLLATE "C" PRIMARY KEY,
	-- of block 0: for another channel of this name it says nothing
	genesis_hash		bytea NOT NULL,
	action				text COLLATE "C" NOT NULL CHECK (action IN ('recover', 'trust')),
	reason				text NOT NULL,
	noted_at			timestamptz NOT NULL DEFAULT now()
);

-- how to reach a node where its address in the channel configuration is not enough
CREATE TABLE fabric_internal.node (
	-- host:port, as in the channel configuration
	address				text COLLATE "C" PRIMARY KEY,
	-- libpq connection options such as dbname=... hostaddr=...
	options				text NOT NULL DEFAULT ''
);

-- an installed package; its functions live in the schema
CREATE TABLE fabric_internal.chaincode_package (
	package_id			text COLLATE "C" PRIMARY KEY,	-- label:SHA-256 of bytes
	label				text COLLATE "C" NOT NULL,
	type				text COLLATE "C" NOT NULL,
	schema_name			text COLLATE "C" NOT NULL UNIQUE,
	bytes				bytea NOT NULL,
	installed_at		timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE fabric_internal.identity (
	label				text COLLATE "C" PRIMARY KEY,
	msp_id				text COLLATE "C" NOT NULL,
	certificate			text COLLATE "C" NOT NULL,	-- PEM
	-- in fabric.keystore_directory; null: the key is encrypted in here
	key_file			text,
	encrypted_key		bytea,				-- PEM, encrypted by pgcrypto under a passphrase
	created_at			timestamptz NOT NULL DEFAULT now()
);

-- which roles may sign with an identity
CREATE TABLE fabric_internal.identity_grant (
	label				text COLLATE "C" NOT NULL
						REFERENCES fabric_internal.identity ON DELETE CASCADE,
	role				oid NOT NULL,
	PRIMARY KEY (label, role)
);

CREATE TABLE fabric_internal.ca (
	ca					text COLLATE "C" PRIMARY KEY,
	msp_id				text COLLATE "C" NOT NULL,
	kind				text NOT NULL CHECK (kind IN ('signing', 'tls')),
	-- null: a root, or its parent is not in this database
	parent				text COLLATE "C" REFERENCES fabric_internal.ca,
	country				text,				-- of the subject, for the subjects of what it issues
	province			text,
	locality			text,
	organization		text,
	certificate			text COLLATE "C" NOT NULL,	-- PEM
	key_file			text,				-- in fabric.keystore_directory
	crl_number			bigint NOT NULL DEFAULT 0,	-- of its last revocation list
	created_at			timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE fabric_internal.ca_identity (
	ca					text COLLATE "C" NOT NULL REFERENCES fabric_internal.ca,
	enrollment_id		text COLLATE "C" NOT NULL,
	role				text NOT NULL CHECK (role IN ('client', 'peer', 'admin', 'orderer')),
	affiliation			text NOT NULL,
	secret_hash			text NOT NULL,		-- bcrypt of the hex SHA-256 of the secret
	attributes			jsonb CHECK (jsonb_typeof(attributes) = 'object'),	-- as registered
	max_enrollments		int NOT NULL CHECK (max_enrollments >= -1),			-- -1: no limit
	enrollments			int NOT NULL DEFAULT 0 CHECK (enrollments >= 0),
	revoked_at			timestamptz,
	registered_at		timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (ca, enrollment_id)
);

-- every certificate that an authority has issued
CREATE TABLE fabric_internal.ca_certificate (
	ca					text COLLATE "C" NOT NULL REFERENCES fabric_internal.ca,
	serial				bytea NOT NULL,
	enrollment_id		text COLLATE "C",	-- null: an intermediate authority
	profile				text NOT NULL CHECK (profile IN ('signing', 'tls', 'ca')),
	certificate			text COLLATE "C" NOT NULL,
	not_before			timestamptz NOT NULL,
	not_after			timestamptz NOT NULL,
	revoked_at			timestamptz,
	reason				int,				-- RFC 5280 5.3.1
	PRIMARY KEY (ca, serial),
	FOREIGN KEY (ca, enrollment_id) REFERENCES fabric_internal.ca_identity
);
CREATE INDEX ON fabric_internal.ca_certificate (ca, enrollment_id);

-- the append-only tables: rows are neither changed nor removed, and a block follows the last one
CREATE FUNCTION fabric_internal.refuse_change() RETURNS trigger
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_refuse_change';
COMMENT ON FUNCTION fabric_internal.refuse_change IS 'trigger: refuses every change of an append-only table';

CREATE FUNCTION fabric_internal.check_block() RETURNS trigger
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_check_block';
COMMENT ON FUNCTION fabric_internal.check_block IS 'trigger: a new block has the next number, the last block''s hash, and the data hash of its transactions';

CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE ON fabric_internal.block
	FOR EACH ROW EXECUTE FUNCTION fabric_internal.refuse_change();
CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON fabric_internal.block
	EXECUTE FUNCTION fabric_internal.refuse_change();
CREATE TRIGGER check_block BEFORE INSERT ON fabric_internal.block
	FOR EACH ROW EXECUTE FUNCTION fabric_internal.check_block();
CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE ON fabric_internal.transaction
	FOR EACH ROW EXECUTE FUNCTION fabric_internal.refuse_change();
CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON fabric_internal.transaction
	EXECUTE FUNCTION fabric_internal.refuse_change();
CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE ON fabric_internal.history
	FOR EACH ROW EXECUTE FUNCTION fabric_internal.refuse_change();
CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON fabric_internal.history
	EXECUTE FUNCTION fabric_internal.refuse_change();
-- goes with its channel
CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE ON fabric_internal.envelope_dictionary
	FOR EACH ROW EXECUTE FUNCTION fabric_internal.refuse_change();
CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON fabric_internal.envelope_dictionary
	EXECUTE FUNCTION fabric_internal.refuse_change();
