/*
 * Every limit of the project, with its reason. Sizes are in bytes unless the name says otherwise.
 */
#ifndef FABRIC_CORE_LIMITS_H
#define FABRIC_CORE_LIMITS_H

/*
 * Texts of an error have a fixed size, so that reporting an error cannot fail for lack of memory. A
 * message names at most three objects of FB_DISPLAY_BYTES each; a detail may list several. An
 * FbError is on the stack of the function that calls core, and is not written before a failure.
 */
#define FB_ERROR_MESSAGE_BYTES 1024
#define FB_ERROR_DETAIL_BYTES 2048
#define FB_ERROR_HINT_BYTES 512

/* one message from outside: Fabric's gRPC limit is 100 MB, a PostgreSQL datum is at most 1 GB */
#define FB_MESSAGE_BYTES_MAX (100 * 1024 * 1024)
/*
 * nesting of protobuf messages: a config tree uses about 12 levels, a policy two for each of its
 * FB_POLICY_DEPTH_MAX
 */
#define FB_MESSAGE_DEPTH_MAX 100
/* fields in one message, at all levels: bounds the memory that a small hostile message can claim */
#define FB_MESSAGE_FIELDS_MAX 4000000
/*
 * messages within messages within opaque bytes, when decoded to JSON: a configuration block uses
 * about 30 levels
 */
#define FB_JSON_DEPTH_MAX 200
/*
 * Memory of an unpacked message, estimated before anything is allocated: enough for the largest
 * message and its structures. When a message is decoded to JSON, it bounds the memory of all
 * messages that are unpacked at the same time.
 */
#define FB_MESSAGE_MEMORY_BYTES_MAX (512 * 1024 * 1024)
/* JSON of a message: below the limit of a text or jsonb value, and far above what a person reads */
#define FB_JSON_TEXT_BYTES_MAX (512 * 1024 * 1024)

/* channel and configuration names: common/configtx/validator.go */
#define FB_CHANNEL_ID_BYTES_MAX 249
#define FB_CONFIG_ID_BYTES_MAX 249
/* limits of this project: Fabric has none, and real names are far shorter */
#define FB_CHAINCODE_NAME_BYTES_MAX 255
#define FB_CHAINCODE_VERSION_BYTES_MAX 255
#define FB_MSP_ID_BYTES_MAX 255
/* of a private data collection; an organization's own has a prefix of 14 bytes before its MSP id */
#define FB_COLLECTION_NAME_BYTES_MAX (14 + FB_MSP_ID_BYTES_MAX)

/*
 * a serialized identity: a PEM certificate is about 1 kB; this allows for RSA issuers and many
 * attributes
 */
#define FB_IDENTITY_BYTES_MAX (64 * 1024)
#define FB_CERTIFICATE_BYTES_MAX (64 * 1024)
#define FB_CERTIFICATE_CHAIN_LENGTH_MAX 10
/* a revocation list is part of every channel configuration; an entry has about 40 bytes */
#define FB_CRL_BYTES_MAX (4 * 1024 * 1024)
/*
 * signature checks in the search for certificate chains: maxChainSignatureChecks of
 * crypto/x509/verify.go
 */
#define FB_CHAIN_SIGNATURE_CHECKS_MAX 100
/*
 * certificates and lists of one MSP definition, each kind; organizational units of one certificate
 */
#define FB_MSP_CERTIFICATES_MAX 256
#define FB_CERTIFICATE_OUS_MAX 256
/* identities that a process keeps parsed per channel, about 10 kB each */
#define FB_IDENTITIES_CACHED_MAX 1024
#define FB_SIGNATURE_BYTES_MAX 512
#define FB_NONCE_BYTES 24

/*
 * certificate authorities: attributes are part of every transaction of their owner; a secret is
 * short enough to be read by a person; hosts of one server
 */
#define FB_CA_ATTRIBUTES_BYTES_MAX (16 * 1024)
#define FB_CA_SECRET_BYTES_MAX 1024
#define FB_CA_HOSTS_MAX 64

/*
 * policies: a rule tree is evaluated recursively. An operator takes two levels of message, and a
 * policy is up to five messages deep.
 */
#define FB_POLICY_TEXT_BYTES_MAX (64 * 1024)
#define FB_POLICY_DEPTH_MAX 24
#define FB_POLICY_RULES_MAX 4096
#define FB_POLICY_PRINCIPALS_MAX 1024
#define FB_POLICY_SIGNATURES_MAX 1024

/*
 * parts of one combined principal, at all levels: an identity that is compared with the principal
 * is compared with all its parts, for every signature
 */
#define FB_PRINCIPAL_PARTS_MAX 16

/*
 * sub-groups and policies of one group of a channel's configuration: each ImplicitMeta policy
 * refers to every sub-group
 */
#define FB_CONFIG_GROUPS_MAX 1024
#define FB_CONFIG_POLICIES_MAX 1024

/* transactions */
#define FB_ENDORSEMENTS_MAX 1024
#define FB_ARGUMENTS_MAX 1024
#define FB_NAMESPACES_MAX 1024

/*
 * Limits on the work that one transaction may cause at every committer, where its size does not
 * bound that work. Transactions above these limits are not ordered (core/txn/transaction_limits.c).
 * The limits are orders of magnitude above the use of applications; docs/performance.md has the
 * time that the worst admitted transaction takes.
 *
 * Endorsements: one per organization, of at most FB_POLICY_ENDORSERS_MAX that a gateway asks. Each
 * is a signature and possibly a certificate chain to verify, and a signer to compare with every
 * principal.
 */
#define FB_ADMITTED_ENDORSEMENTS_MAX 128
/* chaincodes that call each other, each of which needs a definition; collections of all of them */
#define FB_ADMITTED_NAMESPACES_MAX 64
#define FB_ADMITTED_COLLECTIONS_MAX 256
/*
 * range queries, each of which is run again; their results are bounded by FB_RWSET_ENTRIES_MAX, as
 * for a simulation
 */
#define FB_ADMITTED_RANGES_MAX 10000
/*
 * the endorsement policy of a key: it is evaluated at every later write of the key, by any client.
 * One member of each organization takes one principal and one rule.
 */
#define FB_ADMITTED_KEY_POLICY_RULES_MAX 256
#define FB_ADMITTED_KEY_POLICY_PRINCIPALS_MAX 128
/* each written key may have its own policy, and each endorsement is compared with it */
#define FB_ADMITTED_KEYS_TIMES_ENDORSEMENTS_MAX 2000000

/*
 * reads, writes and range results of one simulation: far above what fits into a transaction of 10
 * MB
 */
#define FB_RWSET_ENTRIES_MAX 1000000
/*
 * a key of the world state: chaincode, collection and key must fit into one entry of a B-tree
 * index, which holds 2704 bytes
 */
#define FB_STATE_KEY_BYTES_MAX 1536
/* differences between endorsements that are listed: the message is for a person */
#define FB_RESPONSE_DIFFERENCES_MAX 100

/*
 * chaincode packages: a source is short enough to be read by a person; an archive may hold other
 * files, which are skipped but decompressed
 */
#define FB_PACKAGE_SOURCE_BYTES_MAX (16 * 1024 * 1024)
#define FB_PACKAGE_METADATA_BYTES_MAX (64 * 1024)
#define FB_PACKAGE_ENTRIES_MAX 10000
#define FB_PACKAGE_EXPANDED_BYTES_MAX (256 * 1024 * 1024)
/* functions of one chaincode, and the longest name of an event, which Fabric does not limit */
#define FB_PACKAGE_FUNCTIONS_MAX 10000
#define FB_EVENT_NAME_BYTES_MAX 1024

/* transactions of a block: bounds a channel's max_message_count, which Fabric does not limit */
#define FB_BLOCK_TRANSACTIONS_MAX 100000
/*
 * transactions of one batch: with their framing and the rest of the block they must fit into one
 * message
 */
#define FB_BATCH_BYTES_MAX (96 * 1024 * 1024)
#define FB_BLOCK_METADATA_COUNT 5

/* range queries: core/ledger/kvledger/txmgmt/txmgr/query_executor.go, chaincode_support.go */
#define FB_RANGE_MERKLE_DEGREE 50
#define FB_RANGE_PREFETCH 100
#define FB_QUERY_RESULTS_MAX 100000

/* Raft */
#define FB_RAFT_NODES_MAX 32
#define FB_RAFT_ENTRIES_PER_MESSAGE_MAX 64
#define FB_RAFT_BYTES_PER_MESSAGE_MAX (4 * 1024 * 1024)
/*
 * entries that one node keeps in its log: each takes 16 bytes of memory; a host that never compacts
 * is stopped here
 */
#define FB_RAFT_TRAIL_ENTRIES_MAX (4 * 1024 * 1024)
/*
 * Entries that a follower stores beyond the committed ones. A leader that follows the rules has few
 * batches in flight. A leader that does not can fill the disks of the others only up to this limit,
 * and the entries of the next leader replace its entries.
 */
#define FB_RAFT_UNCOMMITTED_ENTRIES_MAX (64 * 1024)
#define FB_RAFT_UNCOMMITTED_BYTES_MAX (UINT64_C(1024) * 1024 * 1024)

#endif
