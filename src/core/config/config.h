/*
 * config: the configuration of a channel: read from configuration blocks, checked, and made for new
 * channels.
 *
 * - tree.c: access to groups and values of a decoded ConfigGroup
 * - names.c: names, addresses, durations
 * - acl.c: the policy that guards each resource
 * - bundle.c: ConfigBundle: one configuration, parsed once and then read only
 * - config_profile.c: ConfigProfile: the choices of the creator of a channel; checked
 * - genesis.c: the genesis block of a profile
 * - config_update.c: apply an update; does a new configuration follow from the current one?
 * - config_compute.c: the update that leads from one configuration to another
 * - transition.c: may one configuration follow another, as a whole?
 * - consenters.c: the Raft ids of the consenters, and how they follow from configuration blocks
 * - consenter_rules.c: may an orderer accept an update that changes the consenters?
 *
 * Rules of Fabric: common/channelconfig, common/configtx, internal/configtxgen/encoder
 * (docs/wire-format.md, "Channel configuration"). Configuration messages contain protobuf maps and
 * have no canonical bytes: received bytes are kept and passed on, never packed again.
 */
#ifndef FABRIC_CORE_CONFIG_H
#define FABRIC_CORE_CONFIG_H

#include "core/base/base.h"
#include "core/policy/policy.h"

struct Common__Config;

/* ---- names (common/configtx/validator.go) ---- */

/*
 * [a-z][a-z0-9.-]*, at most FB_CHANNEL_ID_BYTES_MAX bytes; otherwise FB_INVALID_ARGUMENT with an
 * explanation
 */
extern FbStatus config_check_channel_id(FbBytes channel_id, FbError *error);

/*
 * The name of a group, value or policy: [a-zA-Z0-9.-]+, not "." or "..", at most
 * FB_CONFIG_ID_BYTES_MAX bytes; otherwise FB_INVALID_CONFIG.
 */
extern FbStatus config_check_element_id(FbBytes element_id, FbError *error);

/*
 * Parse "host:port", port 1 to 65535. *host is allocated; the brackets around an IPv6 address are
 * removed. FB_INVALID_ARGUMENT, FB_OUT_OF_MEMORY.
 */
extern FbStatus config_parse_address(FbAllocator *allocator, FbBytes address, char **host,
									 uint16_t *port, FbError *error);

/*
 * Convert a Go duration ("2s", "500ms", "1m30s", "1.5h") to nanoseconds, and back as Go's
 * Duration.String prints it. It may be negative. FB_INVALID_CONFIG (syntax, overflow of 63 bits).
 * text needs CONFIG_DURATION_TEXT_BYTES.
 */
#define CONFIG_DURATION_TEXT_BYTES 32
extern FbStatus config_parse_duration(FbBytes text, int64_t *nanoseconds, FbError *error);
extern void config_print_duration(int64_t nanoseconds, char text[CONFIG_DURATION_TEXT_BYTES]);

/* ---- the bundle ---- */

typedef struct ConfigAddress
{
	const char *host;
	uint32_t port;
} ConfigAddress;

typedef struct ConfigOrganization
{
	const char *name; /* of its group in the tree; often equal to the MSP id */
	const char *msp_id;
	FbBytes msp_config;		/* MSPConfig, as received */
	size_t endpoints_count; /* orderer organizations: "host:port" of its orderers */
	const char *const *endpoints;
	size_t anchors_count; /* application organizations: its anchor peers */
	const ConfigAddress *anchors;
	/* application organizations: guards its implicit collections; never NULL */
	const Policy *endorsement;
} ConfigOrganization;

/* A member of the Raft group, etcdraft.Consenter. Its Raft id: see ConsenterIds. */
typedef struct ConfigConsenter
{
	const char *host;
	uint32_t port;
	FbBytes client_tls_certificate; /* PEM, as received */
	FbBytes server_tls_certificate;
} ConfigConsenter;

typedef struct ConfigRaftOptions
{
	int64_t tick_interval_ns;
	uint32_t election_ticks;
	uint32_t heartbeat_ticks;
	uint32_t inflight_blocks_max;
	uint32_t snapshot_interval_bytes;
} ConfigRaftOptions;

typedef struct ConfigAcl
{
	const char *resource; /* "peer/Propose" */
	const char *policy;	  /* absolute path of a policy */
} ConfigAcl;

typedef struct ConfigBundle
{
	const char *channel_id;
	uint64_t sequence;
	/* ConfigEnvelope, as received; the world state keeps it under CHANNEL_CONFIG_ENV_BYTES */
	FbBytes config_envelope;
	const struct Common__Config *config; /* decoded, for values that the bundle does not have */

	/* application and orderer organizations' MSPs; owned, see config_bundle_destroy */
	MspManager *msps;
	const PolicyManager *policies;

	/* Orderer */
	bool has_orderer;			/* false: the fields of this section are zero */
	const char *consensus_type; /* "etcdraft" */
	bool maintenance;			/* ConsensusType.state is STATE_MAINTENANCE */
	FbBytes consensus_metadata; /* as received */
	size_t consenters_count;	/* etcdraft only */
	const ConfigConsenter *consenters;
	ConfigRaftOptions raft;
	uint32_t batch_messages_max;
	uint32_t batch_bytes_absolute_max;
	uint32_t batch_bytes_preferred_max;
	int64_t batch_timeout_ns;
	size_t orderer_organizations_count;
	const ConfigOrganization *orderer_organizations; /* sorted by name */
	size_t orderer_addresses_count; /* the channel's OrdererAddresses value, which predates
									   endpoints of organizations */
	const char *const *orderer_addresses;

	/* Application */
	bool has_application;
	size_t application_organizations_count;
	const ConfigOrganization *application_organizations; /* sorted by name */
	size_t acls_count; /* overrides only; use config_acl_policy_path */
	const ConfigAcl *acls;
	const Policy *lifecycle_endorsement; /* guards _lifecycle; never NULL if has_application */

	/* capabilities, required ones as received, sorted */
	size_t channel_capabilities_count;
	const char *const *channel_capabilities;
	size_t orderer_capabilities_count;
	const char *const *orderer_capabilities;
	size_t application_capabilities_count;
	const char *const *application_capabilities;
} ConfigBundle;

/*
 * Parse and check a configuration. config_envelope: bytes of a ConfigEnvelope (payload data of the
 * CONFIG transaction); they and the allocator must outlive the bundle.
 *
 * The checks are those of Fabric's NewBundle: channel and element names are valid, every value of
 * the known groups decodes and there is no unrecognized value or group, the hashing algorithm is
 * SHA256 and the width of the hashing structure 2^32 - 1, every MSP (one definition per id), batch
 * sizes and timeout, consenters and Raft options, every policy decodes, this node knows all
 * capabilities. Unlike Fabric, a node
 * refuses channels below capability V2_0 (whose rules for identities and validation differ) and
 * system channels.
 *
 * Errors: FB_INVALID_CONFIG (the problem and its place), FB_MALFORMED_MESSAGE, FB_INVALID_POLICY,
 * FB_INVALID_CERTIFICATE, FB_LIMIT_EXCEEDED, FB_OUT_OF_MEMORY, FB_CRYPTO_FAILURE. On error *bundle
 * is NULL and there is nothing to destroy.
 */
extern FbStatus config_bundle_create(FbAllocator *allocator, const char *channel_id,
									 FbBytes config_envelope, ConfigBundle **bundle,
									 FbError *error);

/*
 * The same from a configuration block (common.Block bytes) or its only envelope: header type
 * CONFIG, channel id from the channel header. Hashes and signatures of the block are not checked
 * here. FB_INVALID_CONFIG also when it is not a configuration block.
 */
extern FbStatus config_bundle_from_block(FbAllocator *allocator, FbBytes block,
										 ConfigBundle **bundle, FbError *error);
extern FbStatus config_bundle_from_envelope(FbAllocator *allocator, FbBytes envelope,
											ConfigBundle **bundle, FbError *error);

/*
 * Does this configuration follow from the bundle's, as Fabric's orderers make it? config_envelope:
 * the data of a CONFIG transaction, as received. FB_OK only if its sequence is the next one
 * (otherwise FB_STALE_CONFIG), it holds an update of this channel for the current versions, the
 * update changes at least one element that exists, it has the signatures that the mod_policy of
 * every changed element requires, and the new configuration is the result of this update
 * (common/configtx/validator.go, Validate). The
 * values of the new configuration are not checked. verify: as in policy_signatures_create. Errors:
 * FB_INVALID_CONFIG, FB_POLICY_NOT_SATISFIED, FB_MALFORMED_MESSAGE, FB_LIMIT_EXCEEDED,
 * FB_OUT_OF_MEMORY, FB_CRYPTO_FAILURE.
 */
extern FbStatus config_check_update(FbAllocator *allocator, const ConfigBundle *bundle,
									FbBytes config_envelope, PolicyVerify verify,
									void *verify_context, FbError *error);

/*
 * The configuration that an update makes of the bundle's: bytes of a ConfigEnvelope with the next
 * sequence and with the update as last_update (common/configtx/validator.go, ProposeConfigUpdate).
 * envelope: bytes of a common.Envelope of type CONFIG_UPDATE, untrusted. The rules are those of
 * config_check_update, which accepts the result. The values of the new configuration are not
 * checked: make a bundle of them, and call config_check_successor. Errors: those of
 * config_check_update.
 */
extern FbStatus config_apply_update(FbAllocator *allocator, const ConfigBundle *bundle,
									FbBytes envelope, PolicyVerify verify, void *verify_context,
									FbBytes *config_envelope, FbError *error);

/*
 * May `next` replace `current`, on every node? No organization has another MSP id, no section is
 * gone (common/channelconfig/bundle.go, ValidateNew), and at most one consenter is added, removed
 * or replaced (Fabric's orderers accept no other update). Errors: FB_INVALID_CONFIG.
 */
extern FbStatus config_check_successor(const ConfigBundle *current, const ConfigBundle *next,
									   FbError *error);

/*
 * May an orderer accept that `next` replaces `current`? The state of the consensus type changes
 * alone, and its type only in maintenance mode (orderer/common/msgprocessor/maintenancefilter.go).
 * next was made from the result of config_apply_update. Errors:
 * FB_INVALID_CONFIG, FB_OUT_OF_MEMORY.
 */
extern FbStatus config_check_orderer_rules(FbAllocator *allocator, const ConfigBundle *current,
										   const ConfigBundle *next, FbError *error);

/*
 * Does this version know all capabilities that a configuration (ConfigEnvelope) requires? Otherwise
 * FB_OTHER_VERSION: a newer version may accept it, so a node must neither apply nor reject it.
 * Also FB_MALFORMED_MESSAGE, FB_LIMIT_EXCEEDED, FB_OUT_OF_MEMORY.
 */
extern FbStatus config_check_capabilities(FbAllocator *allocator, FbBytes config_envelope,
										  FbError *error);

/*
 * The update that leads from one configuration to another: bytes of a ConfigUpdate with the read
 * and write set that configtxlator computes (internal/configtxlator/update/update.go), with names
 * in sorted order. original, updated: bytes of a common.Config, untrusted. Errors:
 * FB_INVALID_CONFIG (no difference, no channel group), FB_INVALID_ARGUMENT (channel_id),
 * FB_MALFORMED_MESSAGE, FB_LIMIT_EXCEEDED, FB_OUT_OF_MEMORY.
 */
extern FbStatus config_compute_update(FbAllocator *allocator, const char *channel_id,
									  FbBytes original, FbBytes updated, FbBytes *update,
									  FbError *error);

/* free the memory outside the allocator (certificates of the MSPs); accepts NULL */
extern void config_bundle_destroy(ConfigBundle *bundle);

/* ---- consenters.c, consenter_rules.c: Raft ids of the consenters, and changes of them ---- */

/* the ids under one configuration */
typedef struct ConsenterIds
{
	uint32_t count;					 /* as many as bundle->consenters; 0: no etcdraft, or unknown */
	uint64_t ids[FB_RAFT_NODES_MAX]; /* in the order of bundle->consenters; never 0 */
	uint64_t next_id;				 /* of the next consenter that is added */
} ConsenterIds;

/* what a configuration changes about the consenters; at most one of the ids is not 0 */
typedef struct ConsenterChange
{
	uint64_t added_id;
	uint64_t removed_id;
	uint64_t rotated_id; /* it has another TLS client certificate */
} ConsenterChange;

/* of the first configuration: 1 to consenters_count, which is at most FB_RAFT_NODES_MAX */
extern void consenter_ids_first(size_t consenters_count, ConsenterIds *ids);

/*
 * The ids after a configuration block, and what it changes. before: the ids under old_bundle.
 * Errors: FB_INVALID_CONFIG when more than one consenter is added, removed or replaced.
 */
extern FbStatus consenter_ids_follow(const ConsenterIds *before, const ConfigBundle *old_bundle,
									 const ConfigBundle *new_bundle, ConsenterIds *after,
									 ConsenterChange *change, FbError *error);

/*
 * The ids that the metadata of a block name (slot 0, untrusted), not compared with any
 * configuration. Errors: FB_MALFORMED_MESSAGE (also: none, 0, twice, not below the next id),
 * FB_LIMIT_EXCEEDED, FB_OUT_OF_MEMORY.
 */
extern FbStatus consenter_ids_parse(FbBytes signatures_slot, FbAllocator *allocator,
									ConsenterIds *ids, FbError *error);

/*
 * Do the metadata of a block name these ids? Always, if expected has none. Errors: FB_BLOCK_REFUSED
 * when they differ, and those of consenter_ids_parse.
 */
extern FbStatus consenter_ids_require(const ConsenterIds *expected, FbBytes signatures_slot,
									  FbAllocator *allocator, FbError *error);

/* the consenters that answered within the last election timeout, as the leader knows, and itself */
typedef struct ActiveConsenters
{
	uint32_t count;
	uint64_t ids[FB_RAFT_NODES_MAX];
} ActiveConsenters;

/*
 * May an orderer accept that `next` replaces `current`, as far as consenters are concerned? ids: of
 * current. active: NULL: unknown, as on a follower; otherwise the change must leave a quorum of
 * active consenters. now: seconds since 1970 UTC. Errors: FB_INVALID_CONFIG,
 * FB_CERTIFICATE_EXPIRED (of a new certificate), FB_OUT_OF_MEMORY, FB_CRYPTO_FAILURE.
 */
extern FbStatus config_check_consenters(const ConfigBundle *current, const ConsenterIds *ids,
										const ConfigBundle *next, const ActiveConsenters *active,
										int64_t now, FbError *error);

extern bool consenter_ids_equal(const ConsenterIds *a, const ConsenterIds *b);
extern bool consenter_ids_has(const ConsenterIds *ids, uint64_t id);
/* the id of the consenter at this index of the configuration; 0: the ids are unknown */
extern uint64_t consenter_ids_id(const ConsenterIds *ids, size_t index);

/* ---- bundle.c, acl.c: what a bundle says ---- */

/* find by MSP id, not by group name; NULL if there is none */
extern const ConfigOrganization *config_application_organization(const ConfigBundle *bundle,
																 const char *msp_id);
extern const ConfigOrganization *config_orderer_organization(const ConfigBundle *bundle,
															 const char *msp_id);

/*
 * Do the channel's required application capabilities include or imply this level? "V2_5" implies
 * "V2_0", for example.
 */
extern bool config_has_application_capability(const ConfigBundle *bundle, const char *capability);

/*
 * The policy that guards a resource of this channel (core/aclmgmt): from the channel's ACLs value
 * if it names the resource, otherwise Fabric's default. NULL for unrecognized resources, which are
 * refused, and for those of the local MSP, see config_acl_local_access.
 */
extern const char *config_acl_policy_path(const ConfigBundle *bundle, const char *resource);

/* Who of the local MSP may use a resource that belongs to no channel; no channel can change that.
 */
typedef enum ConfigLocalAccess
{
	CONFIG_ACCESS_NOT_LOCAL,
	CONFIG_ACCESS_LOCAL_ADMINS,
	CONFIG_ACCESS_LOCAL_MEMBERS
} ConfigLocalAccess;

extern ConfigLocalAccess config_acl_local_access(const char *resource);

/* paths of the policies that nodes refer to by name */
#define CONFIG_POLICY_CHANNEL_READERS "/Channel/Readers"
#define CONFIG_POLICY_CHANNEL_WRITERS "/Channel/Writers"
#define CONFIG_POLICY_APPLICATION_READERS "/Channel/Application/Readers"
#define CONFIG_POLICY_APPLICATION_WRITERS "/Channel/Application/Writers"
#define CONFIG_POLICY_APPLICATION_ADMINS "/Channel/Application/Admins"
#define CONFIG_POLICY_ENDORSEMENT "/Channel/Application/Endorsement"
#define CONFIG_POLICY_LIFECYCLE_ENDORSEMENT "/Channel/Application/LifecycleEndorsement"
#define CONFIG_POLICY_BLOCK_VALIDATION "/Channel/Orderer/BlockValidation"

/* ---- new channels ---- */

/*
 * Replace or add one policy of the group at path: "/Channel", "/Channel/Application",
 * "/Channel/Orderer/Org1MSP", ...
 */
typedef struct ProfilePolicy
{
	const char *group;
	const char *name;
	bool implicit_meta; /* true: rule is like "MAJORITY Admins"; false: policy language */
	const char *rule;
} ProfilePolicy;

typedef struct ProfileOrganization
{
	const char *name;		/* group name; NULL: the MSP id */
	FbBytes msp_config;		/* bytes of msp.MSPConfig, which contains the MSP id */
	bool application;		/* member of the Application group */
	bool orderer;			/* member of the Orderer group */
	size_t endpoints_count; /* "host:port"; for orderer members, at least one unless the profile has
							   orderer_addresses */
	const char *const *endpoints;
	size_t anchors_count; /* application members; may be none */
	const ConfigAddress *anchors;
} ProfileOrganization;

/* All choices of the creator of a channel. Start with config_profile_defaults. */
typedef struct ConfigProfile
{
	const char *channel_id;
	size_t organizations_count;
	const ProfileOrganization *organizations;
	size_t consenters_count;
	const ConfigConsenter *consenters;
	ConfigRaftOptions raft;
	uint32_t batch_messages_max;
	uint32_t batch_bytes_absolute_max;
	uint32_t batch_bytes_preferred_max;
	int64_t batch_timeout_ns;
	size_t orderer_addresses_count; /* "host:port" of all orderers, for configurations without
									   endpoints; usually empty */
	const char *const *orderer_addresses;
	size_t acls_count;
	const ConfigAcl *acls; /* policy absolute, or relative to /Channel/Application */
	size_t policies_count; /* changes to the default policies */
	const ProfilePolicy *policies;
	const char *channel_capability; /* one level each, "V2_0" */
	const char *orderer_capability;
	const char *application_capability;
	int64_t timestamp_s;		   /* of the genesis transaction, seconds since 1970 UTC */
	uint8_t nonce[FB_NONCE_BYTES]; /* random, from the caller */
} ConfigProfile;

/*
 * Set all fields to zero, then the values of configtx.yaml's sample: 500 messages, 10 MB absolute,
 * 2 MB preferred, 2 s, tick 500 ms, election 10, heartbeat 1, V2_0.
 */
extern void config_profile_defaults(ConfigProfile *profile);

/*
 * Refuse a profile whose channel would be unusable: bad channel or group name, no application or no
 * orderer organization, an MSP id or group name twice, an invalid MSP, no consenter, a consenter
 * twice or without certificates, an endpoint without port, batch sizes 0 or preferred above
 * absolute, timeout or Raft options out of range, an ACL for an unrecognized or local resource, a
 * policy that does not compile. Errors: FB_INVALID_CONFIG, FB_INVALID_ARGUMENT, FB_INVALID_POLICY,
 * FB_INVALID_CERTIFICATE, FB_OUT_OF_MEMORY; the detail names the place.
 */
extern FbStatus config_profile_check(FbAllocator *allocator, const ConfigProfile *profile,
									 FbError *error);

/*
 * Check the profile and make its genesis block: bytes of block number 0 as configtxgen -outputBlock
 * makes them: one CONFIG envelope without creator and signature, transaction id SHA-256(nonce),
 * Fabric's default policies, mod_policy Admins everywhere. Policies of application organizations:
 * Readers admin, peer or client; Writers admin or client; Admins admin; Endorsement peer. Orderer
 * organizations: Readers and Writers member, Admins admin.
 */
extern FbStatus config_genesis_block(FbAllocator *allocator, const ConfigProfile *profile,
									 FbBytes *block, FbError *error);

#endif
