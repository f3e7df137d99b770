/*
 * source_tokens: the tokens of function bodies in SQL and PL/pgSQL, read with PostgreSQL's scanner,
 * and what they may not contain (source_check.c).
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_namespace.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "parser/scanner.h"
#include "utils/builtins.h"
#include "utils/formatting.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "server/chaincode/chaincode_internal.h"
#include "server/pg/compat.h"

/* findings shown in one error */
#define FINDINGS_SHOWN_MAX 20

typedef struct Token
{
	int code; /* of the core scanner; 0 at the end */
	/* identifier or keyword (lower case), or the content of a string; otherwise "" */
	const char *text;
	int line; /* in the package's source */
} Token;

typedef struct Body
{
	SourceFunction *function;
	CheckedSource *checked;
	Token *tokens; /* two empty tokens before and some after them, so that looking at neighbors
					  needs no checks */
	int count;
	StringInfoData refused; /* lines of the detail */
	int refused_count;
	const char *hint;
} Body;

int
source_line_of(const char *text, int location)
{
	int line = 1;

	for (int i = 0; i < location && text[i] != '\0'; i++)
		line += text[i] == '\n';
	return line;
}

/* ---- tokens ---- */

static void
append_token(Body *body, int *capacity, int code, const char *text, int line)
{
	if (body->count + 16 >= *capacity)
	{
		*capacity *= 2;
		body->tokens = repalloc_huge(body->tokens, *capacity * sizeof(Token));
	}
	body->tokens[body->count++] = (Token) {code, text, line};
}

/*
 * Append the tokens of a text whose first line is first_line. A string equal to nested (the body)
 * is replaced by its own tokens.
 */
static void
source_scan(Body *body, int *capacity, const char *text, int first_line, const char *nested)
{
	core_yy_extra_type extra;
	core_yyscan_t scanner = scanner_init(text, &extra, &ScanKeywords, ScanKeywordTokens);
	int line = first_line;
	int position = 0;

	for (;;)
	{
		core_YYSTYPE value;
		YYLTYPE location = 0;
		int code;

		value.str = NULL;
		code = core_yylex(&value, &location, scanner);
		if (code == 0)
			break;
		for (; position < location; position++)
			line += text[position] == '\n';
		if (code == TOKEN_SCONST && nested != NULL && strcmp(value.str, nested) == 0)
		{
			body->function->body_line = line;
			source_scan(body, capacity, nested, line, NULL);
		}
		else if (code == TOKEN_IDENT || code == TOKEN_SCONST)
			append_token(body, capacity, code, value.str, line);
		else if (code > TOKEN_NOT_EQUALS)
			append_token(body, capacity, code, value.keyword, line);
		else
			append_token(body, capacity, code, "", line);
		CHECK_FOR_INTERRUPTS();
	}
	scanner_finish(scanner);
}

static bool
is_word(const Token *token)
{
	return token->code == TOKEN_IDENT || token->code > TOKEN_NOT_EQUALS;
}

/* an unquoted keyword */
static bool
token_is(const Token *token, const char *keyword)
{
	return is_word(token) && strcmp(token->text, keyword) == 0;
}

/* ---- findings ---- */

static void
refuse_token(Body *body, const Token *token, const char *what, const char *why)
{
	body->refused_count++;
	if (body->refused_count <= FINDINGS_SHOWN_MAX)
		appendStringInfo(&body->refused, "%sLine %d: %s %s.", body->refused.len > 0 ? "\n" : "",
						 token->line, what, why);
}

static void
warn_token(Body *body, const Token *token, const char *what, const char *why)
{
	body->checked->warnings =
		lappend(body->checked->warnings, psprintf("function \"%s\", line %d: %s %s",
												  body->function->name, token->line, what, why));
}

/* functions and keywords that authors commonly use, and the reason for refusing each */
static const struct
{
	const char *name;
	const char *why;
	const char *hint;
} known_names[] = {
	{"random", "returns another value on every node", NULL},
	{"random_normal", "returns another value on every node", NULL},
	{"setseed", "returns another value on every node", NULL},
	{"gen_random_uuid", "returns another value on every node",
	 "Use fabric.get_tx_id() for something unique, or pass the value as an argument."},
	{"now", "returns another time on every node",
	 "Use fabric.get_tx_timestamp() for the time of the transaction."},
	{"clock_timestamp", "returns another time on every node",
	 "Use fabric.get_tx_timestamp() for the time of the transaction."},
	{"statement_timestamp", "returns another time on every node",
	 "Use fabric.get_tx_timestamp() for the time of the transaction."},
	{"transaction_timestamp", "returns another time on every node",
	 "Use fabric.get_tx_timestamp() for the time of the transaction."},
	{"timeofday", "returns another time on every node",
	 "Use fabric.get_tx_timestamp() for the time of the transaction."},
	{"current_timestamp", "returns another time on every node",
	 "Use fabric.get_tx_timestamp() for the time of the transaction."},
	{"current_date", "returns another time on every node",
	 "Use fabric.get_tx_timestamp() for the time of the transaction."},
	{"current_time", "returns another time on every node",
	 "Use fabric.get_tx_timestamp() for the time of the transaction."},
	{"localtime", "returns another time on every node",
	 "Use fabric.get_tx_timestamp() for the time of the transaction."},
	{"localtimestamp", "returns another time on every node",
	 "Use fabric.get_tx_timestamp() for the time of the transaction."},
	{"nextval", "uses a sequence of one database",
	 "Keep a counter in the world state, or use fabric.get_tx_id()."},
	{"currval", "uses a sequence of one database",
	 "Keep a counter in the world state, or use fabric.get_tx_id()."},
	{"lastval", "uses a sequence of one database",
	 "Keep a counter in the world state, or use fabric.get_tx_id()."},
	{"setval", "uses a sequence of one database",
	 "Keep a counter in the world state, or use fabric.get_tx_id()."},
	{"current_user", "names a role of one database",
	 "Use fabric.get_client_id() and fabric.get_client_msp_id()."},
	{"current_role", "names a role of one database",
	 "Use fabric.get_client_id() and fabric.get_client_msp_id()."},
	{"session_user", "names a role of one database",
	 "Use fabric.get_client_id() and fabric.get_client_msp_id()."},
	{"user", "names a role of one database",
	 "Use fabric.get_client_id() and fabric.get_client_msp_id()."},
	{"current_catalog", "differs between nodes", NULL},
	{"current_schema", "differs between nodes", NULL},
};

static void
refuse_name(Body *body, const Token *token, const char *what)
{
	const char *why = "may give another result on another node, or has effects outside the ledger";

	for (int i = 0; i < lengthof(known_names); i++)
		if (strcmp(known_names[i].name, token->text) == 0)
		{
			why = known_names[i].why;
			if (body->hint == NULL)
				body->hint = known_names[i].hint;
		}
	refuse_token(body, token, what, why);
}

/* token is a word followed by "(" */
static void
check_call(Body *body, int index)
{
	const Token *token = &body->tokens[index];
	const Token *previous = token - 1;
	bool usable;
	bool exists;
	bool of_fabric = false;

	if (token->code > TOKEN_NOT_EQUALS &&
		ScanKeywordCategories[ScanKeywordLookup(token->text, &ScanKeywords)] == RESERVED_KEYWORD)
		return;
	if (previous->code == '.' && is_word(previous - 1))
	{
		if (strcmp((previous - 1)->text, "fabric") == 0)
			of_fabric = true;
		else if (strcmp((previous - 1)->text, "pg_catalog") != 0)
			return; /* a column, or a function of a schema that the sandbox refuses */
	}
	exists = of_fabric ? false : usable_builtin_exists(token->text, &usable);
	if (!exists)
		exists = usable_fabric_function_exists(token->text, &usable);
	if (exists && !usable)
		refuse_name(body, token, psprintf("%s()", token->text));
	else if (exists && strcmp(token->text, "age") == 0)
	{
		int depth = 0;
		bool comma = false;

		for (const Token *t = token + 1; t->code != 0; t++)
		{
			depth += (t->code == '(') - (t->code == ')');
			comma |= depth == 1 && t->code == ',';
			if (depth == 0)
				break;
		}
		if (!comma)
			refuse_token(body, token, "age() with one argument",
						 "counts from the node's date of today");
	}
}

static bool
is_date_word(const char *text)
{
	char *word = pstrdup(text);
	char *first = word;
	size_t size;

	while (isspace((unsigned char) *first))
		first++;
	for (size = strlen(first); size > 0 && isspace((unsigned char) first[size - 1]); size--)
		first[size - 1] = '\0';
	return pg_strcasecmp(first, "now") == 0 || pg_strcasecmp(first, "today") == 0 ||
		   pg_strcasecmp(first, "tomorrow") == 0 || pg_strcasecmp(first, "yesterday") == 0;
}

static void
check_string(Body *body, int index)
{
	const Token *token = &body->tokens[index];
	const Token *previous = token - 1;

	if (token_is(previous, "sqlstate") &&
		(strcmp(token->text, "57014") == 0 || strcmp(token->text, "57000") == 0))
		refuse_token(body, token, "the handler", "would catch the end of the time limit");
	if (is_date_word(token->text) &&
		((token + 1)->code == TOKEN_TYPECAST || token_is(previous, "timestamp") ||
		 token_is(previous, "timestamptz") || token_is(previous, "date") ||
		 token_is(previous, "time") || token_is(previous, "timetz")))
		refuse_token(body, token, psprintf("'%s'", token->text),
					 "returns another time on every node");
}

/*
 * Is it a word that begins a statement which chaincode cannot use? Elsewhere such words are
 * ordinary names.
 */
static bool
is_forbidden_statement(const char *word)
{
	static const char *const words[] = {"alter",	"analyze", "call",	   "checkpoint", "cluster",
										"comment",	"commit",  "copy",	   "deallocate", "discard",
										"do",		"drop",	   "grant",	   "listen",	 "load",
										"lock",		"notify",  "prepare",  "refresh",	 "reindex",
										"reset",	"revoke",  "rollback", "set",		 "truncate",
										"unlisten", "vacuum"};

	for (int i = 0; i < lengthof(words); i++)
		if (strcmp(word, words[i]) == 0)
			return true;
	return false;
}

static bool
starts_statement(const Token *token)
{
	const Token *previous = token - 1;

	return previous->code == 0 || previous->code == ';' || token_is(previous, "begin") ||
		   token_is(previous, "then") || token_is(previous, "else") || token_is(previous, "loop");
}

/* Does the token make the word before it a variable, so that it does not begin a statement? */
static bool
continues_assignment(const Token *token)
{
	return token->code == TOKEN_COLON_EQUALS || token->code == '=' || token->code == '.' ||
		   token->code == '[';
}

static bool
updates_table(const Token *token)
{
	for (int i = 1; i <= 8; i++)
	{
		const Token *next = token + i;

		if (token_is(next, "set"))
			return i > 1;
		if (!is_word(next) && next->code != '.' && next->code != '*')
			return false;
	}
	return false;
}

static void
source_check_statement(Body *body, int index)
{
	const Token *token = &body->tokens[index];
	const Token *previous = token - 1;
	const Token *next = token + 1;
	const char *why = "writes to a table; use fabric.put_state and fabric.del_state";

	/* index 0 is the CREATE of the function itself */
	if (index == 0 || previous->code == '.' || token_is(previous, "as"))
		return;
	if ((token_is(token, "insert") || token_is(token, "merge")) && token_is(next, "into"))
		refuse_token(body, token, token_is(token, "insert") ? "INSERT" : "MERGE", why);
	else if (token_is(token, "delete") && token_is(next, "from") && !token_is(previous, "into"))
		refuse_token(body, token, "DELETE", why);
	else if (token_is(token, "update") && token_is(previous, "for"))
		refuse_token(body, token, "FOR UPDATE", "locks rows of a table");
	else if (token_is(token, "update") && updates_table(token))
		refuse_token(body, token, "UPDATE", why);
	else if (token->code > TOKEN_NOT_EQUALS && token_is(token, "create"))
		refuse_token(body, token, "CREATE", "makes objects in one database");
	else if (token_is(token, "execute") && !continues_assignment(next) && next->code != '(' &&
			 next->code != ')')
		warn_token(body, token, "EXECUTE",
				   "runs dynamic SQL, which cannot be checked for what differs between nodes");
	else if (starts_statement(token) && !continues_assignment(next) &&
			 is_forbidden_statement(token->text))
		refuse_token(body, token, asc_toupper(token->text, strlen(token->text)),
					 "cannot be used in chaincode");
	else if ((token_is(token, "query_canceled") || token_is(token, "operator_intervention")) &&
			 (token_is(previous, "when") || token_is(previous, "or")))
		refuse_token(body, token, "the handler", "would catch the end of the time limit");
}

/* Does the body define the name as a WITH query? */
static bool
is_with_query(const Body *body, const char *name)
{
	for (int i = 0; i < body->count; i++)
	{
		const Token *token = &body->tokens[i];

		if (is_word(token) && strcmp(token->text, name) == 0 &&
			(token_is(token + 1, "as") || (token + 1)->code == '(') &&
			(token_is(token - 1, "with") || token_is(token - 1, "recursive") ||
			 (token - 1)->code == ','))
			return true;
	}
	return false;
}

/*
 * Check FROM and JOIN followed by the name of an existing relation. After FROM there can also be
 * something else (EXTRACT, TRIM ...).
 */
static void
check_from(Body *body, int index)
{
	const Token *name = &body->tokens[index + 1];
	const char *schema = NULL;
	Oid relation = InvalidOid;

	if (token_is(name, "only"))
		name++;
	if (!is_word(name))
		return;
	if ((name + 1)->code == '.' && is_word(name + 2))
	{
		schema = name->text;
		name += 2;
	}
	if ((name + 1)->code == '(' || (schema == NULL && is_with_query(body, name->text)))
		return;
	if (schema != NULL)
	{
		Oid schema_oid = get_namespace_oid(schema, true);

		if (OidIsValid(schema_oid))
			relation = get_relname_relid(name->text, schema_oid);
	}
	else
	{
		Oid fabric = get_namespace_oid("fabric", true);

		relation = get_relname_relid(name->text, PG_CATALOG_NAMESPACE);
		if (!OidIsValid(relation) && OidIsValid(fabric))
			relation = get_relname_relid(name->text, fabric);
	}
	if (OidIsValid(relation))
	{
		refuse_token(body, name, psprintf("relation \"%s\"", name->text),
					 "belongs to one database");
		if (body->hint == NULL)
			body->hint =
				"Chaincode reads the world state: fabric.get_state, fabric.get_state_by_range.";
	}
}

static void
check_tokens(Body *body)
{
	for (int i = 0; i < body->count; i++)
	{
		const Token *token = &body->tokens[i];

		CHECK_FOR_INTERRUPTS();
		if (token->code == TOKEN_SCONST)
			check_string(body, i);
		if (!is_word(token))
			continue;
		if ((token + 1)->code == '(')
			check_call(body, i);
		else if (token->code > TOKEN_NOT_EQUALS && (token - 1)->code != '.' &&
				 !token_is(token - 1, "as"))
		{
			for (int k = 0; k < lengthof(known_names); k++)
				if (strcmp(known_names[k].name, token->text) == 0)
					refuse_name(body, token, asc_toupper(token->text, strlen(token->text)));
		}
		source_check_statement(body, i);
		if (token_is(token, "from") || token_is(token, "join"))
			check_from(body, i);
	}
}

void
source_tokens_check(CheckedSource *checked, SourceFunction *function, const char *statement_text,
					const char *body_text)
{
	Body body = {.function = function, .checked = checked};
	int capacity = 1024;

	/*
	 * two empty tokens before the first and 16 after the last, so that looking at neighbors never
	 * leaves the array
	 */
	body.tokens = palloc(capacity * sizeof(Token));
	memset(body.tokens, 0, 2 * sizeof(Token));
	body.tokens[0].text = body.tokens[1].text = "";
	body.count = 2;
	initStringInfo(&body.refused);
	source_scan(&body, &capacity, statement_text, source_line_of(checked->text, function->location),
				body_text);
	for (int i = 0; i < 16; i++)
		body.tokens[body.count + i] = (Token) {0, "", 0};
	body.tokens += 2;
	body.count -= 2;
	check_tokens(&body);
	if (body.refused_count == 0)
		return;
	if (body.refused_count > FINDINGS_SHOWN_MAX)
		appendStringInfo(&body.refused, "\n%d more.", body.refused_count - FINDINGS_SHOWN_MAX);
	ereport(ERROR, (fb_errcode(FB_NONDETERMINISTIC_CHAINCODE),
					errmsg("chaincode function \"%s\" is not deterministic", function->name),
					errdetail_internal("%s", body.refused.data),
					body.hint ? errhint("%s", body.hint) : 0));
}
