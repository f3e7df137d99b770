/* block_audit.c: audit a whole block as bytes */
#include "core/block_audit/block_audit_internal.h"

#include "core/proto/proto.h"

static FbStatus
read_previous(Audit *audit, FbBytes bytes, AuditPrevious *previous, FbError *error)
{
	BlockView view;
	FbStatus status = block_parse(bytes, audit->allocator, &view, error);
	FbBytes slot;

	if (audit_is_failure(status))
		return status;
	if (status != FB_OK)
	{
		/* it is not what is audited: the caller has to give one that can be read */
		error->status = FB_INVALID_ARGUMENT;
		return FB_INVALID_ARGUMENT;
	}
	memset(previous, 0, sizeof(*previous));
	previous->header = view.header;
	previous->is_config = block_is_configuration(&view);
	slot = view.metadata[COMMON__BLOCK_METADATA_INDEX__COMMIT_HASH];
	status = block_commit_hash_parse(slot, audit->allocator, &previous->commit_hash, error);
	if (audit_is_failure(status))
		return status;
	status = block_last_config(&view, audit->allocator, &previous->last_config_number, error);
	return audit_is_failure(status) ? status : FB_OK;
}

/*
 * Are these the bytes that Go writes for this content: every field once, in the order of the
 * numbers, in its shortest form, and no field that Fabric does not have?
 */
static FbStatus
check_encoding(Audit *audit, FbBytes bytes, FbError *error)
{
	Common__Block *block;
	bool canonical;

	FB_TRY(PROTO_UNPACK(common__block, bytes, audit->allocator, &block, error));
	FB_TRY(proto_is_canonical(&block->base, bytes, audit->allocator, &canonical, error));
	if (!canonical)
		audit_problem(audit, -1, "encoding",
					  "The block holds bytes that its content does not need, or not in this form.");
	return FB_OK;
}

FbStatus
audit_block(Audit *audit, FbBytes block, FbBytes previous_block, FbError *error)
{
	AuditPrevious previous;
	const AuditPrevious *known = NULL;
	BlockView view;
	FbStatus status;

	if (previous_block.size > 0)
	{
		FB_TRY(read_previous(audit, previous_block, &previous, error));
		known = &previous;
	}
	status = block_parse(block, audit->allocator, &view, error);
	if (audit_is_failure(status))
		return status;
	if (status != FB_OK)
	{
		audit_problem(audit, -1, "malformed", "%s%s%s", error->message,
					  error->detail[0] ? ": " : "", error->detail);
		return FB_OK;
	}
	FB_TRY(check_encoding(audit, block, error));
	FB_TRY(audit_frame(audit, &view, known, error));
	FB_TRY(audit_orderers(audit, &view, known, error));
	FB_TRY(audit_transactions(audit, &view, error));
	return audit_commit_hash(audit, &view, known, error);
}
