/*
 * block_audit: is a block consistent? Every byte of it is covered by a hash or a signature, or can
 * be recomputed by a rule.
 *
 * - block_audit.c: a whole block as bytes: verify_block
 * - frame.c: header, links, data hash, encoding, metadata, orderers' signatures
 * - report.c: report problems to the caller
 * - transactions.c: ids, clients' and endorsers' signatures, plausible codes, the commit hash
 *
 * Without a configuration, a signature is checked with the certificate that the block contains:
 * this finds every changed byte, but does not prove that the signer was allowed to sign. With the
 * configuration, signers must be valid identities of the channel's organizations and orderers must
 * satisfy /Channel/Orderer/BlockValidation. No check here needs the state before the block; checks
 * that do (endorsement policies, read conflicts) need the whole chain and are in server/audit.
 */
#ifndef FABRIC_CORE_BLOCK_AUDIT_H
#define FABRIC_CORE_BLOCK_AUDIT_H

#include "core/base/base.h"
#include "core/block/block.h"
#include "core/config/config.h"
#include "core/txn/txn.h"

typedef struct AuditProblem
{
	int64_t tx_index;	 /* -1: of the block */
	const char *problem; /* one of the words below */
	char detail[FB_ERROR_DETAIL_BYTES];
} AuditProblem;

/*
 * The words: malformed, encoding, header, previous_hash, data_hash, transactions, metadata,
 * last_config, orderer_signature, block_validation, validation_code, commit_hash, envelope, tx_id,
 * creator_signature, endorser_signature.
 */

/* receives the problems; false: stop the audit */
typedef bool (*AuditReport)(void *context, const AuditProblem *problem);

typedef struct Audit
{
	FbAllocator *allocator;		/* for the work; may be reset after the call */
	const ConfigBundle *bundle; /* NULL: the configuration is not available */
	/* ids of consenters that the block must name; NULL: unknown, as of a configuration block */
	const ConsenterIds *consenter_ids;
	AuditReport report;
	void *report_context;

	/* the other fields are private: set them to zero */
	bool stopped; /* report has said so */
	size_t problems_count;
} Audit;

/* values of the previous block that the audit of a block needs */
typedef struct AuditPrevious
{
	BlockHeader header;
	FbBytes commit_hash; /* empty: there is none (block 0), or it is not known */
	bool is_config;
	uint64_t last_config_number;
} AuditPrevious;

/*
 * Audit pb(common.Block), as a peer stores it or as an orderer delivers it (no codes, no commit
 * hash). previous_block: the bytes of the previous block, or empty. Problems are reported; that the
 * bytes are not a block is one of them. The status is FB_OK unless the audit itself failed:
 * FB_OUT_OF_MEMORY, FB_CRYPTO_FAILURE; FB_INVALID_ARGUMENT when previous_block is not a block.
 */
extern FbStatus audit_block(Audit *audit, FbBytes block, FbBytes previous_block, FbError *error);

/* ---- the parts of the audit, for callers that have a block in another form ---- */

/* tx_index -1: the block; printf-like detail */
extern void audit_problem(Audit *audit, int64_t tx_index, const char *problem, const char *format,
						  ...) __attribute__((format(printf, 4, 5)));

/*
 * check number and lengths, well-formedness and data hash, and unless previous is NULL the link to
 * it
 */
extern FbStatus audit_frame(Audit *audit, const BlockView *view, const AuditPrevious *previous,
							FbError *error);

/*
 * check slots 0, 1 and 3: encoding, the last configuration's number, every orderer's signature, and
 * the policy if there is a bundle
 */
extern FbStatus audit_orderers(Audit *audit, const BlockView *view, const AuditPrevious *previous,
							   FbError *error);

/* check every transaction separately, and slot 2 if there is one */
extern FbStatus audit_transactions(Audit *audit, const BlockView *view, FbError *error);

/*
 * Check slot 4 (docs/wire-format.md, "Commit hash"), if the block holds everything that it covers;
 * needs previous unless the block is 0 or 1.
 */
extern FbStatus audit_commit_hash(Audit *audit, const BlockView *view,
								  const AuditPrevious *previous, FbError *error);

#endif
