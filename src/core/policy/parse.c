/*
 * The policy language: text to the bytes of a SignaturePolicyEnvelope
 * (common/policydsl/policyparser.go).
 *
 *     policy    = operator
 *     operator  = ("And" | "Or") "(" argument {"," argument} ")"
 *               | "OutOf" "(" number "," argument {"," argument} ")"
 *     argument  = operator | principal
 *     principal = quote msp-id "." role quote
 *     number    = ["-"] digits, quoted or not
 *
 * The operators' names may also be all lower or all upper case. Fabric evaluates the text as an
 * expression, which calls a function per operator after the functions of its arguments; each call
 * numbers its own principals. So principals are numbered when an operator closes: those of inner
 * operators are numbered already. That order is part of the bytes.
 */
#include "core/policy/policy_internal.h"

#include <limits.h>
#include <stdio.h>

typedef enum OperatorKind
{
	OPERATOR_NONE,
	OPERATOR_AND,
	OPERATOR_OR,
	OPERATOR_OUT_OF
} OperatorKind;

/*
 * an argument of an operator while its list is read: an operator, or a principal that has no number
 * yet
 */
typedef struct Argument
{
	struct Argument *next;
	Common__SignaturePolicy *rule;
	FbBytes msp_id; /* of a principal */
	IdentityRole role;
	bool is_principal;
} Argument;

typedef struct Parser
{
	FbAllocator *allocator;
	FbBytes text;
	size_t position; /* bytes */
	size_t depth;
	size_t rules_count;
	Common__MSPPrincipal *principals[FB_POLICY_PRINCIPALS_MAX];
	size_t principals_count;
	PolicyNotice *notice;
	FbError *error;
} Parser;

/* position in characters, not bytes, counted from 1, as editors show it */
static size_t
character_number(FbBytes text, size_t position)
{
	size_t number = 1;

	for (size_t i = 0; i < position; i++)
		if ((text.data[i] & 0xC0) != 0x80)
			number++;
	return number;
}

/* move a byte offset to the start of a character, backward or forward */
static size_t
character_start(FbBytes text, size_t position)
{
	while (position > 0 && position < text.size && (text.data[position] & 0xC0) == 0x80)
		position--;
	return position;
}

/* the detail of an error or notice: the place in the text, with some text around it */
static void
describe_place(FbBytes text, size_t position, char *out, size_t out_bytes)
{
	size_t from = position > 20 ? character_start(text, position - 20) : 0;
	size_t to = text.size - position > 40 ? character_start(text, position + 40) : text.size;

	if (text.size == 0)
		snprintf(out, out_bytes, "The policy is empty.");
	else if (position >= text.size)
		snprintf(out, out_bytes, "At the end of the policy, after: %s%s", from > 0 ? "..." : "",
				 FB_DISPLAY(fb_bytes(text.data + from, text.size - from)));
	else
		snprintf(out, out_bytes, "At character %zu, before: %s%s", character_number(text, position),
				 FB_DISPLAY(fb_bytes(text.data + position, to - position)),
				 to < text.size ? "..." : "");
}

static FbStatus
parse_error(Parser *parser, size_t position, const char *what)
{
	char place[FB_ERROR_DETAIL_BYTES];

	fb_fail(parser->error, FB_INVALID_POLICY, "invalid policy: %s", what);
	describe_place(parser->text, position, place, sizeof(place));
	fb_error_detail(parser->error, "%s", place);
	return FB_INVALID_POLICY;
}

static void
give_notice(Parser *parser, size_t position, const char *what)
{
	if (parser->notice == NULL || parser->notice->text[0] != '\0')
		return; /* the first notice is enough */
	snprintf(parser->notice->text, sizeof(parser->notice->text), "%s", what);
	describe_place(parser->text, position, parser->notice->detail, sizeof(parser->notice->detail));
}

static bool
is_space(uint8_t c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool
is_letter(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool
policy_is_digit(uint8_t c)
{
	return c >= '0' && c <= '9';
}

/* skip white space and return the next character without taking it; 0 at the end */
static uint8_t
policy_peek(Parser *parser)
{
	while (parser->position < parser->text.size && is_space(parser->text.data[parser->position]))
		parser->position++;
	return parser->position < parser->text.size ? parser->text.data[parser->position] : 0;
}

static bool
policy_take(Parser *parser, uint8_t wanted)
{
	if (policy_peek(parser) != wanted)
		return false;
	parser->position++;
	return true;
}

static FbStatus
parse_operator_name(Parser *parser, OperatorKind *kind)
{
	static const struct
	{
		const char *name;
		OperatorKind kind;
	} names[] = {
		{"And", OPERATOR_AND},		{"and", OPERATOR_AND},		{"AND", OPERATOR_AND},
		{"Or", OPERATOR_OR},		{"or", OPERATOR_OR},		{"OR", OPERATOR_OR},
		{"OutOf", OPERATOR_OUT_OF}, {"outof", OPERATOR_OUT_OF}, {"OUTOF", OPERATOR_OUT_OF},
	};
	size_t start;
	FbBytes word;

	(void) policy_peek(parser);
	start = parser->position;
	while (parser->position < parser->text.size && is_letter(parser->text.data[parser->position]))
		parser->position++;
	word = fb_bytes(parser->text.data + start, parser->position - start);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (fb_bytes_equal(word, fb_bytes_of_text(names[i].name)))
		{
			*kind = names[i].kind;
			return FB_OK;
		}
	parse_error(parser, start, "expected AND, OR or OutOf");
	if (word.size > 0)
		fb_error_hint(parser->error, "Write principals in quotes, such as 'Org1MSP.peer'.");
	return FB_INVALID_POLICY;
}

/* the content of a quoted text; quotes are ' or ", and there are no escapes */
static FbStatus
parse_quoted(Parser *parser, FbBytes *content)
{
	uint8_t quote = policy_peek(parser);
	size_t start = parser->position;
	const uint8_t *from = parser->text.data + start + 1;
	const uint8_t *end = memchr(from, quote, parser->text.size - start - 1);

	if (end == NULL)
		return parse_error(parser, start, "the quote is not closed");
	*content = fb_bytes(from, (size_t) (end - from));
	parser->position = start + content->size + 2;
	return FB_OK;
}

static bool
parse_decimal(FbBytes text, int32_t *number)
{
	size_t i = text.size > 0 && text.data[0] == '-' ? 1 : 0;
	int64_t value = 0;

	if (i == text.size)
		return false;
	for (; i < text.size; i++)
	{
		if (!policy_is_digit(text.data[i]))
			return false;
		value = value * 10 + (text.data[i] - '0');
		if (value > INT32_MAX)
			return false;
	}
	*number = (int32_t) (text.data[0] == '-' ? -value : value);
	return true;
}

static FbStatus
parse_number(Parser *parser, int32_t *number)
{
	uint8_t first = policy_peek(parser);
	size_t start = parser->position;
	FbBytes digits;

	if (first == '\'' || first == '"')
		FB_TRY(parse_quoted(parser, &digits));
	else
	{
		while (parser->position < parser->text.size &&
			   (policy_is_digit(parser->text.data[parser->position]) ||
				parser->text.data[parser->position] == '-'))
			parser->position++;
		digits = fb_bytes(parser->text.data + start, parser->position - start);
	}
	if (!parse_decimal(digits, number))
		return parse_error(parser, start, "expected the number of rules that OutOf needs");
	return FB_OK;
}

bool
policy_parse_principal(FbBytes text, FbBytes *msp_id, IdentityRole *role)
{
	static const IdentityRole roles[] = {IDENTITY_MEMBER, IDENTITY_ADMIN, IDENTITY_CLIENT,
										 IDENTITY_PEER, IDENTITY_ORDERER};
	size_t dot = text.size;

	/* the role follows the last dot: MSP ids may have dots */
	while (dot > 0 && text.data[dot - 1] != '.')
		dot--;
	if (dot < 2)
		return false;
	*msp_id = fb_bytes(text.data, dot - 1);
	for (size_t i = 0; i < msp_id->size; i++)
	{
		uint8_t c = msp_id->data[i];

		if (!is_letter(c) && !policy_is_digit(c) && c != '.' && c != '-')
			return false;
	}
	for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++)
		if (fb_bytes_equal(fb_bytes(text.data + dot, text.size - dot),
						   fb_bytes_of_text(identity_role_name(roles[i]))))
		{
			*role = roles[i];
			return true;
		}
	return false;
}

static FbStatus
parse_principal(Parser *parser, Argument *argument)
{
	size_t start = parser->position;
	FbBytes content;

	FB_TRY(parse_quoted(parser, &content));
	if (!policy_parse_principal(content, &argument->msp_id, &argument->role))
	{
		parse_error(parser, start, "the principal is not 'MSPID.role'");
		fb_error_hint(
			parser->error,
			"An MSP id has letters, digits, \".\" and \"-\"; roles are admin, member, client, peer and orderer, "
			"in lower case.");
		return FB_INVALID_POLICY;
	}
	if (argument->msp_id.size > FB_MSP_ID_BYTES_MAX)
		return parse_error(parser, start, "the MSP id is too long");
	argument->is_principal = true;
	return FB_OK;
}

/* number a principal with the next number */
static FbStatus
number_principal(Parser *parser, const Argument *argument, Common__SignaturePolicy *rule)
{
	Common__MSPRole role = COMMON__MSPROLE__INIT;
	Common__MSPPrincipal *principal;
	FbBytes packed;

	if (parser->principals_count == FB_POLICY_PRINCIPALS_MAX)
		return fb_fail(parser->error, FB_LIMIT_EXCEEDED, "policy has more than %d principals",
					   FB_POLICY_PRINCIPALS_MAX);
	principal = fb_allocate(parser->allocator, sizeof(*principal));
	role.msp_identifier = fb_text_copy(parser->allocator, argument->msp_id);
	if (principal == NULL || role.msp_identifier == NULL)
		return fb_out_of_memory(parser->error);
	role.role = (Common__MSPRole__MSPRoleType) argument->role;
	FB_TRY(PROTO_PACK(&role, parser->allocator, &packed, parser->error));
	common__mspprincipal__init(principal);
	principal->principal_classification = COMMON__MSPPRINCIPAL__CLASSIFICATION__ROLE;
	principal->principal = proto_data(packed);
	rule->type_case = COMMON__SIGNATURE_POLICY__TYPE_SIGNED_BY;
	rule->signed_by = (int32_t) parser->principals_count;
	parser->principals[parser->principals_count++] = principal;
	return FB_OK;
}

static FbStatus
new_rule(Parser *parser, Common__SignaturePolicy **rule)
{
	if (++parser->rules_count > FB_POLICY_RULES_MAX)
		return fb_fail(parser->error, FB_LIMIT_EXCEEDED, "policy has more than %d rules",
					   FB_POLICY_RULES_MAX);
	*rule = fb_allocate(parser->allocator, sizeof(**rule));
	if (*rule == NULL)
		return fb_out_of_memory(parser->error);
	common__signature_policy__init(*rule);
	return FB_OK;
}

/* The operator is complete: store its rules in the order of the text and number its principals. */
static FbStatus
close_operator(Parser *parser, int32_t needed, const Argument *arguments, size_t arguments_count,
			   Common__SignaturePolicy *rule)
{
	Common__SignaturePolicy__NOutOf *n_out_of = fb_allocate(parser->allocator, sizeof(*n_out_of));

	if (n_out_of == NULL)
		return fb_out_of_memory(parser->error);
	common__signature_policy__nout_of__init(n_out_of);
	n_out_of->n = needed;
	n_out_of->rules =
		fb_allocate_array(parser->allocator, arguments_count, sizeof(n_out_of->rules[0]));
	if (n_out_of->rules == NULL)
		return fb_out_of_memory(parser->error);
	for (const Argument *argument = arguments; argument != NULL; argument = argument->next)
	{
		Common__SignaturePolicy *argument_rule = argument->rule;

		if (argument->is_principal)
		{
			FB_TRY(new_rule(parser, &argument_rule));
			FB_TRY(number_principal(parser, argument, argument_rule));
		}
		n_out_of->rules[n_out_of->n_rules++] = argument_rule;
	}
	rule->type_case = COMMON__SIGNATURE_POLICY__TYPE_N_OUT_OF;
	rule->n_out_of = n_out_of;
	return FB_OK;
}

static FbStatus
parse_operator(Parser *parser, Common__SignaturePolicy **rule)
{
	OperatorKind kind = OPERATOR_NONE;
	size_t start;
	int32_t needed = 0;
	Argument *first = NULL;
	Argument **last = &first;
	size_t arguments_count = 0;

	(void) policy_peek(parser);
	start = parser->position;
	FB_TRY(parse_operator_name(parser, &kind));
	if (++parser->depth > FB_POLICY_DEPTH_MAX)
		return fb_fail(parser->error, FB_LIMIT_EXCEEDED,
					   "policy is nested more than %d operators deep", FB_POLICY_DEPTH_MAX);
	if (!policy_take(parser, '('))
		return parse_error(parser, parser->position, "expected \"(\"");
	if (kind == OPERATOR_OUT_OF)
	{
		FB_TRY(parse_number(parser, &needed));
		if (!policy_take(parser, ','))
			return parse_error(parser, parser->position, "expected \",\" and the rules of OutOf");
	}
	do
	{
		uint8_t c = policy_peek(parser);
		Argument *argument = fb_allocate_zero(parser->allocator, sizeof(*argument));

		if (argument == NULL)
			return fb_out_of_memory(parser->error);
		if (c == '\'' || c == '"')
			FB_TRY(parse_principal(parser, argument));
		else if (is_letter(c))
			FB_TRY(parse_operator(parser, &argument->rule));
		else
			return parse_error(parser, parser->position,
							   "expected a principal in quotes or an operator");
		*last = argument;
		last = &argument->next;
		if (++arguments_count > FB_POLICY_RULES_MAX)
			return fb_fail(parser->error, FB_LIMIT_EXCEEDED, "policy has more than %d rules",
						   FB_POLICY_RULES_MAX);
	} while (policy_take(parser, ','));
	if (!policy_take(parser, ')'))
		return parse_error(parser, parser->position, "expected \",\" or \")\"");

	if (kind == OPERATOR_AND)
		needed = (int32_t) arguments_count;
	else if (kind == OPERATOR_OR)
		needed = 1;
	if (needed < 0 || (size_t) needed > arguments_count + 1)
	{
		char what[FB_ERROR_MESSAGE_BYTES];

		snprintf(what, sizeof(what), "OutOf needs %d of %zu rules", needed, arguments_count);
		return parse_error(parser, start, what);
	}
	if (needed == 0)
		give_notice(parser, start,
					"policy has an operator that is always satisfied, without any signature");
	else if ((size_t) needed > arguments_count)
		give_notice(parser, start, "policy has an operator that can never be satisfied");
	FB_TRY(new_rule(parser, rule));
	FB_TRY(close_operator(parser, needed, first, arguments_count, *rule));
	parser->depth--;
	return FB_OK;
}

FbStatus
policy_compile(FbAllocator *allocator, FbBytes text, FbBytes *envelope, PolicyNotice *notice,
			   FbError *error)
{
	Common__SignaturePolicyEnvelope message = COMMON__SIGNATURE_POLICY_ENVELOPE__INIT;
	Parser *parser;

	*envelope = FB_BYTES_EMPTY;
	if (notice != NULL)
		memset(notice, 0, sizeof(*notice));
	if (text.size > FB_POLICY_TEXT_BYTES_MAX)
		return fb_fail(error, FB_LIMIT_EXCEEDED, "policy has %zu bytes, more than %d", text.size,
					   FB_POLICY_TEXT_BYTES_MAX);
	if (!fb_utf8_valid(text))
		return fb_fail(error, FB_INVALID_POLICY, "invalid policy: the text is not UTF-8");
	parser = fb_allocate_zero(allocator, sizeof(*parser));
	if (parser == NULL)
		return fb_out_of_memory(error);
	parser->allocator = allocator;
	parser->text = text.size > 0 ? text : FB_BYTES_LITERAL("");
	parser->notice = notice;
	parser->error = error;
	FB_TRY(parse_operator(parser, &message.rule));
	(void) policy_peek(parser);
	if (parser->position < text.size)
		return parse_error(parser, parser->position, "expected the end of the policy");
	message.identities = parser->principals;
	message.n_identities = parser->principals_count;
	return PROTO_PACK(&message, allocator, envelope, error);
}

FbStatus
policy_compile_implicit_meta(FbAllocator *allocator, FbBytes text, FbBytes *implicit_meta,
							 FbError *error)
{
	static const char *const rules[] = {"ANY", "ALL", "MAJORITY"}; /* indexed by number */
	Common__ImplicitMetaPolicy message = COMMON__IMPLICIT_META_POLICY__INIT;
	const uint8_t *space = text.size > 0 ? memchr(text.data, ' ', text.size) : NULL;
	FbBytes rule;
	FbBytes sub_policy;

	*implicit_meta = FB_BYTES_EMPTY;
	if (space == NULL || space + 1 == text.data + text.size ||
		memchr(space + 1, ' ', (size_t) (text.data + text.size - (space + 1))) != NULL ||
		!fb_utf8_valid(text) || memchr(text.data, '\0', text.size) != NULL)
	{
		fb_fail(error, FB_INVALID_POLICY,
				"invalid ImplicitMeta policy: expected two words separated by one space");
		fb_error_hint(
			error,
			"Write ANY, ALL or MAJORITY and the name of the sub-policies, such as \"MAJORITY Endorsement\".");
		return FB_INVALID_POLICY;
	}
	rule = fb_bytes(text.data, (size_t) (space - text.data));
	sub_policy = fb_bytes(space + 1, text.size - rule.size - 1);
	for (int i = 0; i < (int) (sizeof(rules) / sizeof(rules[0])); i++)
		if (fb_bytes_equal(rule, fb_bytes_of_text(rules[i])))
		{
			message.rule = (Common__ImplicitMetaPolicy__Rule) i;
			message.sub_policy = fb_text_copy(allocator, sub_policy);
			if (message.sub_policy == NULL)
				return fb_out_of_memory(error);
			return PROTO_PACK(&message, allocator, implicit_meta, error);
		}
	fb_fail(error, FB_INVALID_POLICY, "invalid ImplicitMeta policy: unrecognized rule \"%s\"",
			FB_DISPLAY(rule));
	fb_error_hint(error, "The rules are ANY, ALL and MAJORITY.");
	return FB_INVALID_POLICY;
}
