/*
 * channel: which channels this node has joined, with which configuration, and access control on
 * them, and the identity of this node.
 */
#ifndef FABRIC_SERVER_CHANNEL_H
#define FABRIC_SERVER_CHANNEL_H

#include "server/ledger/ledger.h"
#include "server/pg/pg.h"

#include "utils/jsonb.h"

#include "core/config/config.h"
#include "core/identity/identity.h"

/* ---- channel.c, profile_json.c, join.c ---- */

typedef struct Channel
{
	const char *name;
	uint64 config_block_number;
	const ConfigBundle *bundle;
	/* Raft ids of bundle->consenters; none if the configuration block does not name them */
	ConsenterIds consenter_ids;
	const Ledger *ledger;
} Channel;

/*
 * The channel with its configuration as of the last configuration block that is committed here.
 * Parsed once per session and configuration; valid until the end of the transaction. Raises
 * FB_CHANNEL_NOT_FOUND, FB_INVALID_ARGUMENT (a name that no channel can have).
 */
extern const Channel *channel_open(const char *name);
extern bool channel_exists(const char *name);

typedef struct ChannelMembership
{
	char *name;
	int ledger_id;	  /* leaving and joining again makes another one */
	bool import_only; /* see Ledger */
} ChannelMembership;

/* of ChannelMembership *, sorted by name, palloc'ed in the current memory context */
extern List *channel_memberships(void);

/*
 * The genesis block of a new channel from its profile, a document with the content of
 * configtx.yaml: organizations, consenters, orderer_addresses, batch_size, batch_timeout, acls,
 * policies (see docs/operations.md). Raises FB_INVALID_ARGUMENT, and what config_genesis_block
 * raises.
 */
extern FbBytes channel_genesis_block(const char *name, Jsonb *profile);

/*
 * join: check the genesis block, make the storage, commit block 0. Returns the channel's name,
 * palloc'ed. import_only: a channel that is fed by fabric.import_block alone; 55000
 * (object_not_in_prerequisite_state) when this node is one of its consenters. Raises
 * FB_BLOCK_REFUSED, FB_CHANNEL_EXISTS ...
 */
extern char *channel_join(FbBytes genesis_block, bool import_only);
extern void channel_leave(const char *name);
/*
 * The Raft ids of the consenters of the configuration that follows the channel's; none, if they do
 * not follow from it (see ConsenterIds): then only the configuration block names them
 */
extern void channel_follow_consenters(const Channel *channel, const ConfigBundle *next,
									  ConsenterIds *ids);
/*
 * In the transaction that commits configuration block block_number: store its configuration
 * (ConfigEnvelope) as that of all later blocks. Sessions use it as soon as the number is published
 * in shared memory.
 */
extern void channel_store_config(const Ledger *ledger, uint64 block_number,
								 FbBytes config_envelope);
/*
 * where the blocks come from after this transaction. 55000 when this node is one of the channel's
 * consenters, FB_CHANNEL_NOT_FOUND
 */
extern void channel_set_source(const char *name, bool import_only);
/*
 * Raises 55006 when the caller's transaction has locked the channel's tables: no commit could
 * happen while it waits
 */
extern void channel_refuse_locked(const Channel *channel);
/*
 * 55000 when this node's TLS certificate is a consenter's of this configuration, whatever the
 * channel's source is
 */
extern void channel_refuse_consenter(const ConfigBundle *bundle);

/*
 * what the channel's processes publish in shared memory; NULL while they are not running, as just
 * after joining
 */
extern ChannelSlot *channel_slot(const Channel *channel);
/*
 * the same, waiting while the processes are being started. NULL when the
 * deadline passed, or the channel was left
 */
extern ChannelSlot *channel_wait_slot(const Channel *channel, TimestampTz deadline);

/*
 * The Raft id of this node on the channel: of the consenter with the public
 * key of its TLS certificate (fabric.tls_certificate_file, read again when it has changed); 0:
 * not a consenter, or the channel's blocks come from fabric.import_block alone, so that this node
 * takes no part in ordering it.
 */
extern uint64 channel_raft_id(const Channel *channel);
/* the same whatever the channel's blocks come from */
extern uint64 channel_own_consenter(const Channel *channel);
/*
 * The Raft id of the consenter whose TLS client certificate has the public key of this one
 * (DER); 0: none. As Fabric compares them (orderer/consensus/etcdraft/consenter.go, detectSelfID):
 * a certificate that is renewed with its key is the same consenter's.
 */
extern uint64 channel_consenter_of_certificate(const Channel *channel, FbBytes certificate_der);
/*
 * The consenter with this Raft id in the configuration before the current one; valid as long as
 * channel. NULL: there is none, or that configuration cannot be read.
 */
extern const ConfigConsenter *channel_former_consenter(const Channel *channel, uint64 id);
/* has it the public key of this certificate (DER) in its TLS client certificate? */
extern bool channel_former_consenter_has(const Channel *channel, uint64 id,
										 FbBytes certificate_der);
/*
 * The ids after the last configuration block that was made from an entry of the Raft log before
 * this index; none if they cannot be read. Raises FB_CORRUPTED.
 */
extern void channel_consenter_ids_before(const Channel *channel, uint64 raft_index,
										 ConsenterIds *ids);

/* ---- addresses.c: where the other nodes are; see the note there ---- */

/* in the order in which they are asked */
typedef enum BlockSourceTier
{
	SOURCE_OWN_ORDERER, /* of this node's organization */
	SOURCE_OTHER_ORDERER,
	SOURCE_OWN_PEER /* anchor peers of this node's organization: when no orderer answers */
} BlockSourceTier;

typedef struct BlockSource
{
	const char *address; /* "host:port" */
	BlockSourceTier tier;
} BlockSource;

/* "host:port", an IPv6 address in brackets, as other nodes are named everywhere; palloc'ed */
extern char *channel_address(const char *host, uint32_t port);
/*
 * The nodes that may have blocks of the channel: BlockSource *, each address once, this node's own
 * left out, palloc'ed in the current memory context. Orderers are the Endpoints of all orderer
 * organizations; without any, OrdererAddresses (internal/pkg/peer/orderers/connection.go, Update,
 * has it); without these too, the consenters.
 */
extern List *channel_block_sources(const Channel *channel);
/* all orderers and anchor peers but this node: char * */
extern List *channel_other_nodes(const Channel *channel);
/* the anchor peers of this node's organization but this node: char * */
extern List *channel_own_peers(const Channel *channel);
/* does a consenter have this node's address, and another key? *why says so */
extern bool channel_lost_consenter(const Channel *channel, FbError *why);

/* ---- private_exchange.c: private plaintext among the nodes of one organization ---- */

/*
 * Send to the other peers of this organization that can be reached, within 2 s; reaching none is
 * not an error. private_rwset: bytes of a TxPvtReadWriteSet
 */
extern void private_give(const Channel *channel, const char *tx_id, FbBytes private_rwset);
/*
 * Store plaintext that another node of this organization sends, until its transaction is committed.
 * request: an Envelope signed by it about just this. Raises FB_MALFORMED_MESSAGE,
 * FB_INVALID_ARGUMENT (a request about something else; its timestamp), FB_ACCESS_DENIED (not a node
 * of this organization), FB_INVALID_SIGNATURE, FB_BUSY ...
 */
extern void private_take(FbBytes request, const char *tx_id, FbBytes private_rwset);
/* a signed request for the plaintext of a committed transaction, allocated in context */
extern FbBytes private_request(const Channel *channel, RwSetVersion transaction,
							   MemoryContext context);
/*
 * The part of it that this node has and that was not overwritten since; false: none. Raises what
 * private_take raises.
 */
extern bool private_answer(FbBytes request, RwSetVersion transaction, FbBytes *private_rwset);

/* ---- node_identity.c: this node's own identity, from the files that the settings name ---- */

/*
 * Reads and checks the files at first use and again when they change. Raises FB_NOT_CONFIGURED
 * (setting empty, file missing), FB_INVALID_KEY (permissions too open, does not belong to the
 * certificate), FB_INVALID_CERTIFICATE.
 */
extern const Signer *node_signer(void);
/*
 * The same for messages that other members of the channel must accept: raises also what they would
 * find wrong with the certificate (FB_UNKNOWN_MSP, FB_INVALID_IDENTITY ...).
 */
extern const Signer *node_channel_signer(const Channel *channel);
/* would the members accept it? false also if this node has no certificate; errors as node_signer */
extern bool node_is_accepted(const Channel *channel);
extern bool node_is_configured(void); /* the settings are not empty */
/* palloc'ed; secret: must be 0600 and ours */
extern FbBytes node_read_file(const char *setting, const char *path, bool secret);
/* of fabric.tls_certificate_file; empty when not set */
extern FbBytes node_tls_certificate_der(void);
extern uint64 node_tls_generation(void); /* a number that changes when that file changes or is
											replaced; the file is checked once a second at most */

/* ---- access.c ---- */

/* a signed message: its creator, the signature, and the signed bytes */
typedef struct SignedMessage
{
	FbBytes creator; /* SerializedIdentity */
	FbBytes signature;
	FbBytes message;
} SignedMessage;

/*
 * The identity of a creator (SerializedIdentity), which may act on the channel now. Raises
 * FB_UNKNOWN_MSP, FB_INVALID_IDENTITY, FB_CERTIFICATE_EXPIRED
 */
extern const Identity *access_identify(const Channel *channel, FbBytes creator);
/*
 * The same for the creator of a message, after its signature was verified (or found in the verified
 * set). Raises also FB_INVALID_SIGNATURE
 */
extern const Identity *access_authenticate(const Channel *channel, const SignedMessage *message);
/*
 * Check that the creator of a message has access to a resource, after access_authenticate, or
 * access_identify for a message that is not signed because its creator's key is held here.
 * resource: Fabric's name, such as "peer/Propose". Raises FB_ACCESS_DENIED
 */
extern void access_authorize(const Channel *channel, const char *resource,
							 const SignedMessage *message);
/* both, for a policy by its path */
extern void access_check_policy(const Channel *channel, const char *policy_path,
								const SignedMessage *message);
/*
 * The client's time must be within fabric.authentication_time_window of this node's. Raises
 * FB_INVALID_ARGUMENT
 */
extern void access_check_time(int64 seconds, int32 nanos);

/*
 * Verify one signature with the help of the verified set, and add it there: the PolicyVerify of
 * core/policy for this server. Digest = SHA-256 over identity, signature and message, each with its
 * length.
 */
extern FbStatus access_verify(void *context, const Identity *identity,
							  const PolicySignature *signature, size_t index, bool *valid,
							  FbError *error);
/*
 * Sign the message with this SHA-256 with a key that this node holds, and add the signature to the
 * verified set: this node does not verify it again. Raises FB_CRYPTO_FAILURE
 */
extern FbBytes access_sign(const Signer *signer, const uint8_t message_digest[CRYPTO_SHA256_BYTES]);

#endif
