/*
 * refusal.c: pass a chaincode's error to the client.
 *
 * Message, detail and hint are the chaincode's own. So is the SQLSTATE, so that applications can
 * tell the errors of their chaincode apart, unless the client (or a driver, framework or pooler in
 * between) would take it for the state of its connection, session or transaction: then it is
 * FB_CHAINCODE_ERROR. The context has the chaincode's functions with their lines. Its last line is
 * written by this node and states where the error was raised: chaincode, function, organization,
 * node, and the SQLSTATE as raised. Another node can lie in everything but that last line.
 */
#include "server/gateway/gateway_internal.h"

/* classes of SQLSTATEs that are never passed from a chaincode to the client */
static const char *const withheld_classes[] = {
	"00", "01", "02", "03", /* no errors; SQL statement not yet complete */
	"08",					/* connection exception: drivers reconnect */
	"09", "0A", "0B",		/* 0A000: drivers prepare their statements again */
	"25", "26", "28", "2D",
	"34", "3B", /* state of transaction, statement, authorization, cursor, savepoint */
	"40",		/* transaction rollback: frameworks repeat */
	"53", "54", "55", "57",
	"58", "72", /* resources, limits, object state, operator intervention, system error, snapshot
				   failure */
	"F0", "HV", "LF", "XX" /* configuration file, foreign data, this extension, internal error */
};

static int
refusal_errcode(const char *sqlstate)
{
	/*
	 * PL/pgSQL's WHEN OTHERS does not catch a failed assertion (P0004): the chaincode's assertion
	 * would end the application's block. For a missing privilege (42501) an administrator would
	 * search this node.
	 */
	bool withheld =
		strlen(sqlstate) != 5 || strcmp(sqlstate, "P0004") == 0 || strcmp(sqlstate, "42501") == 0;

	for (int i = 0; i < lengthof(withheld_classes) && !withheld; i++)
		withheld = strncmp(sqlstate, withheld_classes[i], 2) == 0;
	if (withheld)
		return error_sqlstate(FB_CHAINCODE_ERROR);
	return MAKE_SQLSTATE(sqlstate[0], sqlstate[1], sqlstate[2], sqlstate[3], sqlstate[4]);
}

/*
 * The size of the context without the other node's last line, which this node replaces by its own.
 */
static int
refusal_context_size(const char *context)
{
	const char *last = context != NULL ? strrchr(context, '\n') : NULL;

	if (context == NULL)
		return 0;
	if (strncmp(last != NULL ? last + 1 : context, "chaincode \"", strlen("chaincode \"")) != 0)
		return (int) strlen(context);
	return last != NULL ? (int) (last - context) : 0;
}

void
refusal_raise(const ProposalView *proposal, const char *organization, const char *address,
			  const WireRefusal *refusal, const char *detail)
{
	const char *chaincode = error_printable(proposal->chaincode_name);
	int code = refusal_errcode(refusal->sqlstate);
	int context_size = refusal_context_size(refusal->context);

	if (detail == NULL)
		detail = refusal->detail;
	/* for clients that do not show the context */
	if (detail == NULL && code == error_sqlstate(FB_CHAINCODE_ERROR) &&
		refusal->sqlstate[0] != '\0')
		detail = psprintf(_("Raised by chaincode \"%s\" with SQLSTATE %s."), chaincode,
						  refusal->sqlstate);
	ereport(ERROR,
			(errcode(code), errmsg_internal("%s", refusal->message),
			 detail != NULL ? errdetail_internal("%s", detail) : 0,
			 refusal->hint != NULL ? errhint("%s", refusal->hint) : 0,
			 context_size > 0
				 ? errcontext_msg("%s", memory_cstring(fb_bytes(refusal->context, context_size)))
				 : 0,
			 errcontext("chaincode \"%s\", function \"%s\", organization %s%s%s%s%s%s%s", chaincode,
						proposal->args_count > 0 ? error_printable(proposal->args[0]) : "",
						organization, address != NULL ? ", node \"" : "",
						address != NULL ? address : "", address != NULL ? "\"" : "",
						refusal->sqlstate[0] ? " (SQLSTATE " : "", refusal->sqlstate,
						refusal->sqlstate[0] ? ")" : "")));
}

const WireRefusal *
refusal_copy(const WireRefusal *refusal)
{
	WireRefusal *copy = palloc(sizeof(WireRefusal));

	*copy = *refusal;
	copy->message = pstrdup(refusal->message);
	copy->detail = refusal->detail != NULL ? pstrdup(refusal->detail) : NULL;
	copy->hint = refusal->hint != NULL ? pstrdup(refusal->hint) : NULL;
	copy->context = refusal->context != NULL ? pstrdup(refusal->context) : NULL;
	return copy;
}
