/* transactions.c: audit each transaction separately, the validation codes, and the commit hash */
#include "core/block_audit/block_audit_internal.h"

#include "core/proto/proto.h"
#include "core/rwset/rwset.h"

#include <inttypes.h>

/*
 * Can this code be found from the bytes of a transaction alone? For the others, VALID among them,
 * the ledger before it must be known.
 */
static bool
is_code_of_bytes(int code)
{
	switch (code)
	{
		case TX_VALID:
		case TX_DUPLICATE_TXID:
		case TX_ENDORSEMENT_POLICY_FAILURE:
		case TX_MVCC_READ_CONFLICT:
		case TX_PHANTOM_READ_CONFLICT:
		case TX_INVALID_WRITESET:
		case TX_INVALID_CHAINCODE:
			return false;
		default:
			return true;
	}
}

static const char *
name_of_code(int code)
{
	const char *name = tx_code_name(code);

	return name != NULL ? name : "unknown";
}

/*
 * The code must be `expected` or `also_allowed`, which is the same if there is no choice. why: the
 * reason for the expected code, or "".
 */
static void
expect_code(Audit *audit, size_t index, int code, int expected, int also_allowed, const char *why)
{
	if (code != expected && code != also_allowed)
		audit_problem(audit, (int64_t) index, "validation_code",
					  "It is marked %d (%s), but its bytes make it %d (%s)%s%s.", code,
					  name_of_code(code), expected, name_of_code(expected), why[0] ? ": " : "",
					  why);
}

/* findings about one transaction */
typedef struct Findings
{
	TxView view;
	TxCode code; /* from its bytes, as if its signatures were valid */
	/*
	 * The same, but VALID if only check_action found something: validation looks for duplicates
	 * before it, so that DUPLICATE_TXID may be right too.
	 */
	TxCode code_before_action;
	bool has_creator; /* the envelope could be read */
	bool signed_by_creator;
	FbError why; /* empty message: there is no problem, or the code says enough */
	FbError signature_why;
} Findings;

/* with_signature: verify the creator's, which is slow */
static FbStatus
examine_transaction(Audit *audit, FbBytes envelope, bool with_signature, Findings *findings,
					FbError *error)
{
	FbBytes channel_id;

	memset(findings, 0, offsetof(Findings, why));
	findings->why.message[0] = '\0';
	findings->signature_why.message[0] = '\0';
	FB_TRY(check_envelope(audit->allocator, envelope, &findings->view, &findings->code,
						  &findings->why));
	findings->code_before_action = findings->code;
	if (findings->code != TX_VALID)
		return FB_OK;
	findings->has_creator = true;
	channel_id = audit->bundle != NULL ? fb_bytes_of_text(audit->bundle->channel_id)
									   : findings->view.channel_id;
	if (with_signature)
		FB_TRY(audit_signature(audit,
							   &(PolicySignature) {findings->view.creator,
												   findings->view.signature,
												   {findings->view.payload}},
							   &findings->signed_by_creator, &findings->signature_why));
	FB_TRY(check_transaction(audit->allocator, channel_id, &findings->view, &findings->code,
							 &findings->why));
	findings->code_before_action = findings->code;
	if (findings->code != TX_VALID || findings->view.type != TX_TYPE_ENDORSER_TRANSACTION)
		return FB_OK;
	return check_action(audit->allocator, &findings->view, &findings->code, &findings->why);
}

/*
 * A valid transaction has at least one valid endorsement, unless its policy needs no signature.
 * More than one cannot be required here: the policies of the ledger before the block determine
 * which endorsements are needed, and further endorsements may be invalid.
 */
static FbStatus
check_endorsements(Audit *audit, size_t index, const TxView *view, FbError *error)
{
	FbError why; /* of the first endorsement */

	why.message[0] = '\0';
	for (size_t i = 0; i < view->endorsements_count; i++)
	{
		PolicySignature signature = {view->endorsements[i].endorser,
									 view->endorsements[i].signature,
									 {view->proposal_response_payload,
									  view->endorsements[i].endorser}};
		FbError reason;
		bool valid;

		FB_TRY(audit_signature(audit, &signature, &valid, i == 0 ? &why : &reason));
		if (valid)
			return FB_OK;
	}
	if (view->endorsements_count == 0)
		audit_problem(audit, (int64_t) index, "endorser_signature", "It has no endorsement.");
	else
		audit_problem(audit, (int64_t) index, "endorser_signature",
					  "None of its %zu endorsements is valid; the first: %s.",
					  view->endorsements_count, why.message);
	return FB_OK;
}

/* code: from slot 2; -1 when the block is from an orderer */
static FbStatus
check_one(Audit *audit, size_t index, FbBytes envelope, int code, FbError *error)
{
	Findings findings;

	FB_TRY(examine_transaction(audit, envelope, true, &findings, error));
	if (code == -1)
	{
		if (findings.code != TX_VALID)
			audit_problem(audit, (int64_t) index,
						  findings.code == TX_BAD_PROPOSAL_TXID ? "tx_id" : "envelope", "%s: %s.",
						  name_of_code(findings.code), findings.why.message);
	}
	else if (!findings.has_creator)
		expect_code(audit, index, code, findings.code, findings.code, findings.why.message);
	else if (!findings.signed_by_creator && audit->bundle != NULL)
		expect_code(audit, index, code, TX_BAD_CREATOR_SIGNATURE, TX_BAD_CREATOR_SIGNATURE,
					findings.signature_why.message);
	else if (audit->bundle == NULL && code == TX_BAD_CREATOR_SIGNATURE)
		return FB_OK; /* without a configuration, it is not known whether the creator belongs to the
						 channel */
	else if (findings.code_before_action != TX_VALID)
		expect_code(audit, index, code, findings.code, findings.code, findings.why.message);
	else if (findings.code != TX_VALID)
		expect_code(audit, index, code, findings.code, TX_DUPLICATE_TXID, findings.why.message);
	else if (is_code_of_bytes(code))
		/* the bytes have no fault, so that no code of a fault in them can be right */
		expect_code(audit, index, code, TX_VALID, TX_VALID, "");
	if (findings.has_creator && !findings.signed_by_creator && code != TX_BAD_CREATOR_SIGNATURE)
		audit_problem(audit, (int64_t) index, "creator_signature",
					  "The client's signature is not valid: %s.", findings.signature_why.message);
	if ((code == -1 || code == TX_VALID) && findings.code == TX_VALID &&
		findings.view.type == TX_TYPE_ENDORSER_TRANSACTION && !audit->stopped)
		return check_endorsements(audit, index, &findings.view, error);
	return FB_OK;
}

/* no two valid transactions may have the same id */
static FbStatus
check_ids(Audit *audit, const BlockView *view, FbBytes filter, FbError *error)
{
	FbBytes *tx_ids = fb_allocate_array(audit->allocator, view->data_count, sizeof(FbBytes));
	uint8_t *codes = fb_allocate_array(audit->allocator, view->data_count, 1);

	FB_ASSERT(filter.size == view->data_count);
	if (tx_ids == NULL || codes == NULL)
		return fb_out_of_memory(error);
	for (size_t i = 0; i < view->data_count; i++)
	{
		Envelope envelope;
		FbStatus status = envelope_parse(audit->allocator, view->data[i], &envelope, error);

		if (audit_is_failure(status))
			return status;
		codes[i] = filter.data[i];
		if (status == FB_OK && envelope.type == TX_TYPE_ENDORSER_TRANSACTION)
			tx_ids[i] = envelope.tx_id;
	}
	FB_TRY(check_mark_duplicates(audit->allocator, tx_ids, codes, view->data_count, error));
	for (size_t i = 0; i < view->data_count; i++)
		if (codes[i] != filter.data[i])
			audit_problem(audit, (int64_t) i, "tx_id",
						  "An earlier valid transaction of the block has the same id.");
	return FB_OK;
}

FbStatus
audit_transactions(Audit *audit, const BlockView *view, FbError *error)
{
	FbBytes filter = view->metadata[COMMON__BLOCK_METADATA_INDEX__TRANSACTIONS_FILTER];
	bool has_codes = filter.size > 0 && filter.size == view->data_count;

	if (filter.size > 0 && !has_codes)
		audit_problem(audit, -1, "validation_code",
					  "There are %zu validation codes for %zu transactions.", filter.size,
					  view->data_count);
	for (size_t i = 0; has_codes && i < filter.size; i++)
		if (tx_code_name(filter.data[i]) == NULL || filter.data[i] == TX_NOT_VALIDATED)
			audit_problem(audit, (int64_t) i, "validation_code",
						  "Code %d does not exist in a committed block.", filter.data[i]);
	if (view->header.number == 0)
	{
		/* the genesis transaction has no signature */
		if (has_codes && filter.data[0] != TX_VALID)
			audit_problem(audit, 0, "validation_code", "The genesis transaction is marked %d (%s).",
						  filter.data[0], name_of_code(filter.data[0]));
		return FB_OK;
	}
	for (size_t i = 0; i < view->data_count && !audit->stopped; i++)
		FB_TRY(check_one(audit, i, view->data[i], has_codes ? filter.data[i] : -1, error));
	return has_codes && !audit->stopped ? check_ids(audit, view, filter, error) : FB_OK;
}

/* ---- the commit hash ---- */

/*
 * The writes of the valid transactions. Their reads are ignored, because whether these were current
 * is not checked here. *complete is false when the block alone does not determine the writes: one
 * that changes only the metadata of a key counts as a write of the value that the key had before,
 * which is not in the block.
 */
static FbStatus
find_updates(Audit *audit, const BlockView *view, FbBytes filter, MvccResult *result,
			 bool *complete, FbError *error)
{
	MvccTransaction *transactions =
		fb_allocate_array(audit->allocator, view->data_count, sizeof(MvccTransaction));
	MvccBlock *block;

	FB_ASSERT(filter.size == view->data_count);
	*complete = false;
	if (transactions == NULL)
		return fb_out_of_memory(error);
	for (size_t i = 0; i < view->data_count; i++)
	{
		Findings findings;

		transactions[i].code = filter.data[i];
		if (filter.data[i] != TX_VALID)
			continue;
		FB_TRY(examine_transaction(audit, view->data[i], false, &findings, error));
		if (findings.view.type == TX_TYPE_CONFIG)
			return FB_OK; /* its writes are not in a read-write set */
		if (findings.view.rwset != NULL)
			rwset_forget_reads(findings.view.rwset);
		transactions[i].rwset = findings.view.rwset;
	}
	FB_TRY(mvcc_prepare(audit->allocator, transactions, view->data_count, &block, error));
	for (size_t i = 0; i < block->keys_count; i++)
		if (block->keys[i].value_needed)
			return FB_OK;
	*complete = true;
	return mvcc_validate(audit->allocator, block, view->header.number, NULL, result, error);
}

FbStatus
audit_commit_hash(Audit *audit, const BlockView *view, const AuditPrevious *previous,
				  FbError *error)
{
	FbBytes slot = view->metadata[COMMON__BLOCK_METADATA_INDEX__COMMIT_HASH];
	FbBytes filter = view->metadata[COMMON__BLOCK_METADATA_INDEX__TRANSACTIONS_FILTER];
	FbBytes received;
	FbBytes packed;
	MvccResult result;
	uint8_t hash[CRYPTO_SHA256_BYTES];
	bool complete;
	FbStatus status = block_commit_hash_parse(slot, audit->allocator, &received, error);

	if (audit_is_failure(status))
		return status;
	if (status != FB_OK)
	{
		audit_problem(audit, -1, "commit_hash", "Metadata slot 4 cannot be read: %s.",
					  error->message);
		return FB_OK;
	}
	FB_TRY(block_commit_hash_pack(received, audit->allocator, &packed, error));
	if (slot.size > 0 && !fb_bytes_equal(packed, slot))
		audit_problem(audit, -1, "commit_hash",
					  "Metadata slot 4 holds bytes that its content does not need.");
	if (view->header.number == 0)
	{
		if (received.size > 0)
			audit_problem(audit, -1, "commit_hash", "Block 0 has no commit hash.");
		return FB_OK;
	}
	if (received.size == 0)
	{
		if (previous != NULL && previous->commit_hash.size > 0 && filter.size > 0)
			audit_problem(audit, -1, "commit_hash",
						  "The block before has a commit hash, this one has none.");
		return FB_OK;
	}
	if (filter.size != view->data_count)
	{
		audit_problem(audit, -1, "commit_hash",
					  "There is a commit hash, but not one validation code for each transaction.");
		return FB_OK;
	}
	if (view->header.number > 1 && (previous == NULL || previous->commit_hash.size == 0))
		return FB_OK;
	FB_TRY(find_updates(audit, view, filter, &result, &complete, error));
	if (!complete)
		return FB_OK;
	update_commit_hash(filter, result.updates, result.updates_count,
					   view->header.number == 1 ? FB_BYTES_EMPTY : previous->commit_hash, hash);
	if (!fb_bytes_equal(fb_bytes(hash, sizeof(hash)), received))
		audit_problem(audit, -1, "commit_hash",
					  "The commit hash is not that of the validation codes and writes.");
	return FB_OK;
}
