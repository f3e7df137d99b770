/* declarations that the files of core/config share */
#ifndef FABRIC_CORE_CONFIG_INTERNAL_H
#define FABRIC_CORE_CONFIG_INTERNAL_H

#include "core/config/config.h"
#include "core/proto/proto.h"

/* NULL when there is no element of that name */
extern const Common__ConfigGroup *config_tree_group(const Common__ConfigGroup *group,
													const char *name);
extern const Common__ConfigValue *config_tree_value(const Common__ConfigGroup *group,
													const char *name);
extern const Common__ConfigPolicy *config_tree_policy(const Common__ConfigGroup *group,
													  const char *name);

/* the same type and bytes; NULL equals NULL only */
extern bool config_same_policy(const Common__Policy *a, const Common__Policy *b);

/*
 * Check the names of all groups, values and policies below group, and the number of groups and
 * policies. path: the group's own, for messages. Errors: FB_INVALID_CONFIG, FB_LIMIT_EXCEEDED.
 */
extern FbStatus config_tree_check_names(const Common__ConfigGroup *group, const char *path,
										FbError *error);

/* Only these values may be in the group; names ends with NULL. Errors: FB_INVALID_CONFIG. */
extern FbStatus config_tree_check_values(const Common__ConfigGroup *group, const char *path,
										 const char *const *names, FbError *error);

/*
 * Decode the bytes of a value that may be missing (then *message is the type's default message).
 * Errors name path and value.
 */
extern FbStatus config_tree_unpack(FbAllocator *allocator, const Common__ConfigGroup *group,
								   const char *path, const char *name,
								   const ProtobufCMessageDescriptor *descriptor,
								   ProtobufCMessage **message, FbError *error);

/*
 * The update in an envelope of type CONFIG_UPDATE; envelope may be NULL, signed_update too. Errors:
 * FB_INVALID_CONFIG, FB_MALFORMED_MESSAGE, FB_LIMIT_EXCEEDED, FB_OUT_OF_MEMORY.
 */
extern FbStatus config_unpack_update(FbAllocator *allocator, const Common__Envelope *envelope,
									 Common__ConfigUpdateEnvelope **signed_update,
									 Common__ConfigUpdate **update, FbError *error);

/*
 * Can this node take part in a channel that requires the capability? kind: "Channel", "Orderer",
 * "Application".
 */
extern bool config_capability_known(const char *kind, const char *capability);

/*
 * Check etcdraft options and consenters as Fabric's VerifyConfigMetadata does; certificates are
 * parsed but not verified. Errors: FB_INVALID_CONFIG.
 */
extern FbStatus config_check_raft(const ConfigRaftOptions *options,
								  const ConfigConsenter *consenters, size_t consenters_count,
								  FbError *error);

/* Errors: FB_INVALID_CONFIG */
extern FbStatus config_check_batch(uint32_t messages_max, uint32_t bytes_absolute_max,
								   uint32_t bytes_preferred_max, int64_t timeout_ns,
								   FbError *error);

/* Make an absolute path; relative paths are below /Channel/Application. NULL when out of memory. */
extern const char *config_acl_absolute_path(FbAllocator *allocator, const char *policy);

/*
 * "host:port" as common/channelconfig/orderer.go, brokerEntrySeemsValid, accepts it: letters,
 * digits, '.' and '-' inside, only letters and digits at the ends; the host may be missing; port
 * below 65536.
 */
extern bool config_is_kafka_broker(const char *broker);

/* Has a channel a default policy for this resource? Others have no use in its ACLs. */
extern bool config_acl_is_known(const char *resource);

#endif
