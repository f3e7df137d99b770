/*
 * block_audit: does a block prove what it says? Every byte of it is covered by a hash, a signature,
 * or a rule that it can be recomputed by.
 *
 * - block_audit.c: a whole block as bytes: verify_block
 * - frame.c: header, links, data hash, encoding, metadata, orderers' signatures
 * - report.c: problems go to the caller
 * - transactions.c: ids, clients' and endorsers' signatures, plausible codes, the commit hash
 *
 * Without a configuration a signature is checked with the certificate that came with it: this shows
 * every changed byte, but not that the signer was allowed to sign. With the configuration, signers
 * must be valid identities of the channel's organisations and orderers must satisfy
 * /Channel/Orderer/BlockValidation. Nothing here needs the state before the block; what does
 * (endorsement policies, read conflicts) is the business of whoever has the whole chain.
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
	const char *problem; /* a word, see below */
	char detail[FB_ERROR_DETAIL_BYTES];
} AuditProblem;

/*
 * The words: malformed, encoding, header, previous_hash, data_hash, transactions, metadata,
 * last_config, orderer_signature, block_validation, validation_code, commit_hash, envelope, tx_id,
 * creator_signature, endorser_signature.
 */

/* where problems go; false: enough, stop looking */
typedef bool (*AuditReport)(void *context, const AuditProblem *problem);

typedef struct Audit
{
	FbAllocator *allocator;		/* for the work; may be reset after the call */
	const ConfigBundle *bundle; /* NULL: no configuration at hand */
	AuditReport report;
	void *report_context;

	/* the rest is private: zero it */
	bool stopped;
	size_t problems_count;
} Audit;

/* what a block says about the one before it */
typedef struct AuditPrevious
{
	BlockHeader header;
	FbBytes commit_hash; /* empty: none (block 0), or unknown */
	bool is_config;
	uint64_t last_config_number;
} AuditPrevious;

/*
 * Audit pb(common.Block), as a peer stores it or as an orderer delivers it (no codes, no commit
 * hash). previous_block: the bytes of the block before, or empty. Problems are reported, also that
 * the bytes are no block. The status is FB_OK unless the work itself failed: FB_OUT_OF_MEMORY,
 * FB_CRYPTO_FAILURE; FB_INVALID_ARGUMENT when previous_block is no block.
 */
extern FbStatus audit_block(Audit *audit, FbBytes block, FbBytes previous_block, FbError *error);

/* ---- the parts, for whoever has a block in another form ---- */

/* tx_index -1: the block; printf-like detail */
extern void audit_problem(Audit *audit, int64_t tx_index, const char *problem, const char *format,
						  ...) __attribute__((format(printf, 4, 5)));

/* number and lengths, well-formedness, data hash; the link to previous unless NULL */
extern FbStatus audit_frame(Audit *audit, const BlockView *view, const AuditPrevious *previous,
							FbError *error);

/*
 * slots 0, 1 and 3: encoding, the last configuration's number, every orderer's signature, and the
 * policy if there is a bundle
 */
extern FbStatus audit_orderers(Audit *audit, const BlockView *view, const AuditPrevious *previous,
							   FbError *error);

/* every transaction by itself, and slot 2 if there is one */
extern FbStatus audit_transactions(Audit *audit, const BlockView *view, FbError *error);

/*
 * slot 4 (docs/wire-format.md, "Commit hash"), if the block holds all that it covers; needs
 * previous unless the block is 0 or
 * 1
 */
extern FbStatus audit_commit_hash(Audit *audit, const BlockView *view,
								  const AuditPrevious *previous, FbError *error);

#endif
