/*
 * remote.c: every SQL text that runs on another node, with a typed function for each. The list of
 * fabric_node in src/sql/privileges.sql names the called functions. Names are qualified, because
 * sessions of other nodes have search_path = pg_catalog.
 */
#include "server/wire/wire_internal.h"

#include "catalog/pg_type_d.h"
#include "mb/pg_wchar.h"
#include "lib/stringinfo.h"
#include "port/pg_bswap.h"

const RemoteStatementText remote_statements[REMOTE_STATEMENTS_COUNT] = {
	[REMOTE_ENDORSE] =
		{
			.name = "fabric_endorse",
			.sql = "SELECT response, height FROM fabric_internal.endorse($1, $2, $3)",
			.parameters_count = 3,
			.parameter_types = {BYTEAOID, INT8OID, INT8OID},
		},
	[REMOTE_SUBMIT] =
		{
			.name = "fabric_submit",
			.sql = "SELECT fabric_internal.submit($1, $2)",
			.parameters_count = 2,
			.parameter_types = {TEXTOID, BYTEAOID},
		},
	[REMOTE_DELIVER] =
		{
			.name = "fabric_deliver",
			.sql = "SELECT fabric_internal.deliver($1, $2, $3)",
			.parameters_count = 3,
			.parameter_types = {BYTEAOID, INT4OID, INT4OID},
		},
	[REMOTE_RAFT_RECEIVE] =
		{
			.name = "fabric_raft_receive",
			.sql = "SELECT fabric_internal.raft_receive($1, $2, $3)",
			.parameters_count = 3,
			.parameter_types = {TEXTOID, INT8OID, BYTEAOID},
		},
	[REMOTE_RAFT_FORWARD] =
		{
			.name = "fabric_raft_forward",
			.sql = "SELECT fabric_internal.raft_forward($1, $2, $3)",
			.parameters_count = 3,
			.parameter_types = {TEXTOID, INT8OID, BYTEAOID},
		},
	[REMOTE_PRIVATE_PUT] =
		{
			.name = "fabric_private_put",
			.sql = "SELECT fabric_internal.private_put($1, $2, $3)",
			.parameters_count = 3,
			.parameter_types = {BYTEAOID, TEXTOID, BYTEAOID},
		},
	[REMOTE_PRIVATE_GET] =
		{
			.name = "fabric_private_get",
			.sql = "SELECT fabric_internal.private_get($1, $2, $3)",
			.parameters_count = 3,
			.parameter_types = {BYTEAOID, INT8OID, INT4OID},
		},
};

/* for answers of a few bytes, or an error with its texts */
#define SHORT_ANSWER_BYTES_MAX (64 * 1024)

bool
remote_function_is(const char *function_name)
{
	static const char schema[] = "fabric_internal.";
	size_t size = strlen(function_name);

	for (int i = 0; i < REMOTE_STATEMENTS_COUNT; i++)
	{
		const char *called = strstr(remote_statements[i].sql, schema);

		if (called == NULL)
			continue;
		called += sizeof(schema) - 1;
		if (strncmp(called, function_name, size) == 0 && called[size] == '(')
			return true;
	}
	return false;
}

static void
set_int4(RemoteRequest *request, int parameter_index, int32 value)
{
	uint32 network = pg_hton32((uint32) value);

	memcpy(request->integers[parameter_index], &network, sizeof(network));
	request->parameters[parameter_index] =
		fb_bytes(request->integers[parameter_index], sizeof(network));
}

static void
set_int8(RemoteRequest *request, int parameter_index, uint64 value)
{
	uint64 network = pg_hton64(value);

	memcpy(request->integers[parameter_index], &network, sizeof(network));
	request->parameters[parameter_index] =
		fb_bytes(request->integers[parameter_index], sizeof(network));
}

static void
begin_request(RemoteRequest *request, RemoteStatement statement, size_t answer_bytes_max)
{
	request->statement = statement;
	request->label = 0;
	request->answer_bytes_max = answer_bytes_max;
}

void
remote_request_endorse(RemoteRequest *request, FbBytes signed_proposal, uint64 min_height,
					   uint64 seen_height)
{
	begin_request(request, REMOTE_ENDORSE, FB_MESSAGE_BYTES_MAX);
	request->parameters[0] = signed_proposal;
	set_int8(request, 1, min_height);
	set_int8(request, 2, seen_height);
}

void
remote_request_submit(RemoteRequest *request, const char *channel, FbBytes envelope)
{
	begin_request(request, REMOTE_SUBMIT, SHORT_ANSWER_BYTES_MAX);
	request->parameters[0] = fb_bytes_of_text(channel);
	request->parameters[1] = envelope;
}

bool
remote_answer_kind(const RemoteRequest *request, AnswerKind *kind)
{
	*kind = request->statement == REMOTE_ENDORSE ? ANSWER_ENDORSEMENT : ANSWER_SUBMISSION;
	return request->statement == REMOTE_ENDORSE || request->statement == REMOTE_SUBMIT;
}

void
remote_request_deliver(RemoteRequest *request, FbBytes seek, int32 bytes_max, int32 wait_ms)
{
	/* one block more than bytes_max */
	begin_request(request, REMOTE_DELIVER, (size_t) Max(bytes_max, 0) + FB_MESSAGE_BYTES_MAX);
	request->parameters[0] = seek;
	set_int4(request, 1, bytes_max);
	set_int4(request, 2, wait_ms);
}

void
remote_request_raft_receive(RemoteRequest *request, const char *channel, uint64 sender_id,
							FbBytes message)
{
	begin_request(request, REMOTE_RAFT_RECEIVE, SHORT_ANSWER_BYTES_MAX);
	request->parameters[0] = fb_bytes_of_text(channel);
	set_int8(request, 1, sender_id);
	request->parameters[2] = message;
}

void
remote_request_raft_forward(RemoteRequest *request, const char *channel, uint64 sender_id,
							FbBytes envelopes)
{
	begin_request(request, REMOTE_RAFT_FORWARD, SHORT_ANSWER_BYTES_MAX);
	request->parameters[0] = fb_bytes_of_text(channel);
	set_int8(request, 1, sender_id);
	request->parameters[2] = envelopes;
}

void
remote_request_private_put(RemoteRequest *request, FbBytes signed_request, const char *tx_id,
						   FbBytes private_rwset)
{
	begin_request(request, REMOTE_PRIVATE_PUT, SHORT_ANSWER_BYTES_MAX);
	request->parameters[0] = signed_request;
	request->parameters[1] = fb_bytes_of_text(tx_id);
	request->parameters[2] = private_rwset;
}

void
remote_request_private_get(RemoteRequest *request, FbBytes signed_request, uint64 block_number,
						   int32 position)
{
	begin_request(request, REMOTE_PRIVATE_GET, FB_MESSAGE_BYTES_MAX);
	request->parameters[0] = signed_request;
	set_int8(request, 1, block_number);
	set_int4(request, 2, position);
}

RemoteRequest *
remote_request_copy(MemoryContext context, const RemoteRequest *request)
{
	RemoteRequest *copy = MemoryContextAllocZero(context, sizeof(RemoteRequest));

	copy->statement = request->statement;
	copy->answer_bytes_max = request->answer_bytes_max;
	copy->label = request->label;
	for (int index = 0; index < remote_statements[request->statement].parameters_count; index++)
	{
		FbBytes from = request->parameters[index];
		uint8_t *data = MemoryContextAllocHuge(context, Max(from.size, 1));

		if (from.size > 0)
			memcpy(data, from.data, from.size);
		copy->parameters[index] = fb_bytes(data, from.size);
	}
	return copy;
}

bool
remote_is_usual(const PGresult *result)
{
	const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);

	return PQresultStatus(result) == PGRES_TUPLES_OK ||
		   (sqlstate != NULL && strcmp(sqlstate, fb_status_sqlstate(FB_CHAINCODE_ERROR)) == 0);
}

/* the status of an SQLSTATE; FB_INTERNAL for those of PostgreSQL itself */
static FbStatus
status_of_sqlstate(const char *sqlstate)
{
	for (int status = 1; status < FB_STATUS_COUNT; status++)
	{
		if (strcmp(fb_status_sqlstate((FbStatus) status), sqlstate) == 0)
			return (FbStatus) status;
	}
	return FB_INTERNAL;
}

void
remote_error(WireError *to, const char *address, const PGresult *result)
{
	const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
	const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
	const char *detail = PQresultErrorField(result, PG_DIAG_MESSAGE_DETAIL);
	const char *hint = PQresultErrorField(result, PG_DIAG_MESSAGE_HINT);

	memset(to, 0, sizeof(*to));
	strlcpy(to->address, address, sizeof(to->address));
	if (sqlstate == NULL || strncmp(sqlstate, "57P", 3) == 0)
	{
		/*
		 * A failure in libpq, or the other server is shutting down: the request may or may not
		 * have been executed.
		 */
		strlcpy(to->sqlstate, fb_status_sqlstate(FB_NODE_UNREACHABLE), sizeof(to->sqlstate));
		fb_fail(&to->error, FB_NODE_UNREACHABLE, "lost connection to node \"%s\"", address);
		if (message != NULL)
			fb_error_detail(&to->error, "The node said: %s.", message);
		return;
	}
	strlcpy(to->sqlstate, sqlstate, sizeof(to->sqlstate));
	to->not_executed = true;
	fb_fail(&to->error, status_of_sqlstate(sqlstate), "%s",
			message != NULL ? message : "unknown error");
	if (detail != NULL)
		fb_error_detail(&to->error, "%s", detail);
	if (hint != NULL)
		fb_error_hint(&to->error, "%s", hint);
}

void
remote_note_contact(const char *address, const PGresult *result)
{
	WireError error;

	if (PQresultStatus(result) == PGRES_TUPLES_OK)
	{
		contact_note_answer(address);
		return;
	}
	remote_error(&error, address, result);
	/* the node is shutting down */
	if (error.error.status == FB_NODE_UNREACHABLE)
	{
		contact_note_failure(address,
							 error.error.detail[0] != '\0' ? error.error.detail
														   : error.error.message,
							 CONTACT_SINCE_NOW);
		return;
	}
	contact_note_answer(address);
	/*
	 * Note only errors that concern the node, not the request: other texts may quote data that a
	 * client sent.
	 */
	switch (error.error.status)
	{
		case FB_CHAINCODE_NOT_FOUND:
		case FB_NODE_BEHIND:
		case FB_CHANNEL_NOT_FOUND:
		case FB_NOT_CONSENTER:
		case FB_NO_LEADER:
		case FB_NOT_CONFIGURED:
			contact_note_failure(address, error.error.message, CONTACT_ANSWERED);
			break;
		default:
			break;
	}
}

void
wire_error_unreachable(WireError *to, const char *address, const char *reason, bool not_executed)
{
	memset(to, 0, sizeof(*to));
	strlcpy(to->address, address, sizeof(to->address));
	strlcpy(to->sqlstate, fb_status_sqlstate(FB_NODE_UNREACHABLE), sizeof(to->sqlstate));
	to->not_executed = not_executed;
	if (not_executed)
		fb_fail(&to->error, FB_NODE_UNREACHABLE, "could not connect to node \"%s\"", address);
	else
		fb_fail(&to->error, FB_NODE_UNREACHABLE, "lost connection to node \"%s\"", address);
	fb_error_detail(&to->error, "%s", reason);
}

/*
 * The fields of an error that form a refusal, in this order when packed: for each, its size as
 * int32 (-1: absent) and its bytes.
 */
static const int refusal_fields[] = {PG_DIAG_DATATYPE_NAME, PG_DIAG_MESSAGE_PRIMARY,
									 PG_DIAG_MESSAGE_DETAIL, PG_DIAG_MESSAGE_HINT, PG_DIAG_CONTEXT};

FbBytes
remote_pack_refusal(MemoryContext context, const PGresult *result)
{
	MemoryContext old_context = MemoryContextSwitchTo(context);
	StringInfoData packed;

	initStringInfo(&packed);
	for (int i = 0; i < lengthof(refusal_fields); i++)
	{
		const char *value = PQresultErrorField(result, refusal_fields[i]);
		/* the other node chooses the length */
		int32 size = value != NULL ? (int32) strnlen(value, WIRE_REFUSAL_TEXT_BYTES_MAX) : -1;

		appendBinaryStringInfo(&packed, (const char *) &size, sizeof(size));
		if (size > 0)
			appendBinaryStringInfo(&packed, value, size);
	}
	MemoryContextSwitchTo(old_context);
	return fb_bytes(packed.data, packed.len);
}

/*
 * Take the next packed field; NULL when it is absent or empty. The other node chooses the content:
 * invalid characters become question marks.
 */
static char *
refusal_field(MemoryContext context, FbBytes *packed)
{
	int32 size = -1;
	char *text;
	int at = 0;

	if (packed->size < sizeof(size))
		return NULL;
	memcpy(&size, packed->data, sizeof(size));
	*packed = fb_bytes(packed->data + sizeof(size), packed->size - sizeof(size));
	if (size <= 0 || (size_t) size > packed->size)
		return NULL;
	text = MemoryContextAlloc(context, size + 1);
	memcpy(text, packed->data, size);
	text[size] = '\0';
	*packed = fb_bytes(packed->data + size, packed->size - size);
	while (at < size)
	{
		unsigned char byte = (unsigned char) text[at];
		int length = Max(pg_mblen(text + at), 1);
		bool valid = length <= size - at && pg_verifymbstr(text + at, length, true);

		if (!valid || (byte < ' ' && byte != '\n' && byte != '\t') || byte == 0x7f)
			text[at] = '?';
		at += valid ? length : 1;
	}
	return text;
}

WireRefusal *
remote_refusal(MemoryContext context, FbBytes packed)
{
	WireRefusal *refusal = MemoryContextAllocZero(context, sizeof(WireRefusal));
	char *sqlstate = refusal_field(context, &packed);
	char *message = refusal_field(context, &packed);

	if (sqlstate != NULL && strlen(sqlstate) == 5 &&
		strspn(sqlstate, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ") == 5)
		strlcpy(refusal->sqlstate, sqlstate, sizeof(refusal->sqlstate));
	refusal->message = message != NULL ? message : "chaincode refused the transaction";
	refusal->detail = refusal_field(context, &packed);
	refusal->hint = refusal_field(context, &packed);
	refusal->context = refusal_field(context, &packed);
	return refusal;
}
