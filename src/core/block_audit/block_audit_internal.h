/* what the files of audit share */
#ifndef FABRIC_CORE_BLOCK_AUDIT_INTERNAL_H
#define FABRIC_CORE_BLOCK_AUDIT_INTERNAL_H

#include "core/block_audit/block_audit.h"
#include "core/policy/policy.h"

/* a failure of the work itself, not of what is looked at */
static inline bool
audit_is_failure(FbStatus status)
{
	return status == FB_OUT_OF_MEMORY || status == FB_CRYPTO_FAILURE;
}

/*
 * with the bundle: by a valid identity of the channel; without: by the certificate that it names.
 * error says why not
 */
extern FbStatus audit_signature(Audit *audit, const PolicySignature *signature, bool *valid,
								FbError *error);

#endif
