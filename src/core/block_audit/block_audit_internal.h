/* declarations that the files of core/block_audit share */
#ifndef FABRIC_CORE_BLOCK_AUDIT_INTERNAL_H
#define FABRIC_CORE_BLOCK_AUDIT_INTERNAL_H

#include "core/block_audit/block_audit.h"
#include "core/policy/policy.h"

/* a failure of the audit itself, not a problem of the block */
static inline bool
audit_is_failure(FbStatus status)
{
	return status == FB_OUT_OF_MEMORY || status == FB_CRYPTO_FAILURE;
}

/*
 * With the bundle: must be by a valid identity of the channel; without: by the certificate that the
 * identity contains. If not valid, error has the reason.
 */
extern FbStatus audit_signature(Audit *audit, const PolicySignature *signature, bool *valid,
								FbError *error);

#endif
