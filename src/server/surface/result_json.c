/* result_json.c: JSON results, and readable forms of stored bytes */
#include "server/surface/surface_internal.h"

#include "mb/pg_wchar.h"
#include "pgtime.h"
#include "utils/fmgrprotos.h"
#include "utils/json.h"

#include "server/ledger/ledger.h"
#include "server/pg/compat.h"

/*
 * values with deeper nesting are not shown as JSON: the server's parser recurses, and a value must
 * not make a view fail
 */
#define VALUE_JSON_DEPTH_MAX 500
/*
 * Limits of digits and exponent of a number in a value. numeric accepts more, but raises an error
 * at its own limits.
 */
#define VALUE_NUMBER_BYTES_MAX 1000
#define VALUE_EXPONENT_MAX 1000
/*
 * jsonb has 28 bits for the size of an array, and needs up to six bytes for one byte of text: in a
 * list of small numbers
 */
#define VALUE_JSON_BYTES_MAX (32 * 1024 * 1024)

FABRIC_FUNCTION(fabric_bytes_to_json);
FABRIC_FUNCTION(fabric_bytes_to_text);
FABRIC_FUNCTION(fabric_key_to_text);

Datum
result_jsonb(const char *json)
{
	return DirectFunctionCall1(jsonb_in, CStringGetDatum(json));
}

void
json_add_name(StringInfo json, const char *name)
{
	char last = json->len > 0 ? json->data[json->len - 1] : '{';

	if (last != '{' && last != '[')
		appendStringInfoChar(json, ',');
	escape_json(json, name);
	appendStringInfoChar(json, ':');
}

void
json_add_text(StringInfo json, const char *name, const char *value)
{
	json_add_name(json, name);
	if (value == NULL)
		appendStringInfoString(json, "null");
	else
		escape_json(json, value);
}

void
json_add_hex(StringInfo json, const char *name, FbBytes value)
{
	char *hex = palloc(value.size * 2 + 1);

	fb_hex_encode(value, hex);
	json_add_text(json, name, hex);
}

void
json_add_time(StringInfo json, const char *name, int64 seconds)
{
	pg_time_t time = (pg_time_t) seconds;
	struct pg_tm *parts = pg_gmtime(&time);

	if (parts == NULL)
		json_add_text(json, name, NULL);
	else
		json_add_text(json, name,
					  psprintf("%04d-%02d-%02dT%02d:%02d:%02dZ", parts->tm_year + 1900,
							   parts->tm_mon + 1, parts->tm_mday, parts->tm_hour, parts->tm_min,
							   parts->tm_sec));
}

/* ---- values ---- */

static bool
is_text_value(FbBytes bytes)
{
	return fb_utf8_valid(bytes) && (bytes.size == 0 || memchr(bytes.data, 0, bytes.size) == NULL);
}

/* brackets outside of strings */
static bool
is_too_deep(FbBytes bytes)
{
	bool in_string = false;
	int depth = 0;

	for (size_t i = 0; i < bytes.size; i++)
	{
		uint8_t c = bytes.data[i];

		if (in_string)
		{
			if (c == '\\')
				i++;
			else if (c == '"')
				in_string = false;
		}
		else if (c == '"')
			in_string = true;
		else if ((c == '[' || c == '{') && ++depth > VALUE_JSON_DEPTH_MAX)
			return true;
		else if (c == ']' || c == '}')
			depth--;
	}
	return false;
}

/* the parser's callback for every scalar: is it a number that numeric would refuse? */
static CompatJsonResult
look_at_scalar(void *state, char *token, JsonTokenType type)
{
	bool *refused = state;
	char *exponent;

	if (type != JSON_TOKEN_NUMBER)
		COMPAT_JSON_RETURN();
	exponent = strpbrk(token, "eE");
	if (strlen(token) > VALUE_NUMBER_BYTES_MAX ||
		(exponent != NULL &&
		 (strlen(exponent) > 6 || abs(atoi(exponent + 1)) > VALUE_EXPONENT_MAX)))
		*refused = true;
	COMPAT_JSON_RETURN();
}

/* Would jsonb_in accept these bytes without an error? */
static bool
is_json(FbBytes bytes)
{
	JsonSemAction actions = {0};
	JsonLexContext *lexer;
	bool refused = false;

	if (bytes.size == 0 || bytes.size > VALUE_JSON_BYTES_MAX || !is_text_value(bytes) ||
		is_too_deep(bytes))
		return false;
	lexer = compat_json_lexer((const char *) bytes.data, bytes.size, PG_UTF8);
	actions.semstate = &refused;
	actions.scalar = look_at_scalar;
	return pg_parse_json(lexer, &actions) == JSON_SUCCESS && !refused;
}

/* bytes_to_json(bytes): null when the bytes are not JSON */
Datum
fabric_bytes_to_json(PG_FUNCTION_ARGS)
{
	FbBytes bytes = PG_GETARG_FB_BYTES(0);

	if (!is_json(bytes))
		PG_RETURN_NULL();
	return result_jsonb(memory_cstring(bytes));
}

/* bytes_to_text(bytes): null when the bytes are not text */
Datum
fabric_bytes_to_text(PG_FUNCTION_ARGS)
{
	FbBytes bytes = PG_GETARG_FB_BYTES(0);

	if (!is_text_value(bytes))
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(memory_text(bytes));
}

/* key_to_text(key): the zeros of composite keys shown, keys that are hashes as hex */
Datum
fabric_key_to_text(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(cstring_to_text(state_key_text(PG_GETARG_FB_BYTES(0))));
}
