/* policy: texts and envelopes: compiled, decoded, refused */
#include "unit/policy_samples.h"

static void
test_compile(void)
{
	static const struct
	{
		const char *text;
		const char *hex;
	} vectors[] = {
		{"OR('Org1MSP.member')", "120812060801120208001a0b12090a074f7267314d5350"},
		{"AND('Org1MSP.peer','Org2MSP.peer')",
		 "120c120a080212020800120208011a0d120b0a074f7267314d535010031a0d120b0a074f7267324d53501003"},
		{"OutOf(2,'Org1MSP.member','Org2MSP.member','Org3MSP.admin')",
		 "1210120e08021202080012020801120208021a0b12090a074f7267314d53501a0b12090a074f7267324d53501a0d120b0a074f7267334d53501001"},
		{"OR('A.member',AND('A.member','B.member'))",
		 "12161214080112020802120c120a080212020800120208011a0512030a01411a0512030a01421a0512030a0141"},
	};
	/* pairs of texts with the same bytes */
	static const char *const same[][2] = {
		{"OR('A.member')", " or ( \"A.member\" )\n"},
		{"OR('A.member')", "Or('A.member')"},
		{"AND('A.member')", "OR('A.member')"},
		{"AND('A.member','B.client')", "And\t('A.member',\r\n'B.client')"},
		{"and('A.member','B.client')", "OUTOF(2,'A.member','B.client')"},
		{"OutOf(1,'A.member','B.client')", "outof('1','A.member','B.client')"},
		{"OutOf(1,'A.member','B.client')", "OutOf( \"1\" ,'A.member',\"B.client\")"},
	};
	static const char *const round_trips[] = {
		"OR('Org1MSP.member')",
		"AND('Org1.ORG.admin', 'a-b.c.orderer')",
		"OutOf(2, OR('A.peer', 'B.peer'), AND('C.client', OutOf(0, 'D.member')), OutOf(4, 'E.member', 'E.member', 'E.member'))",
		"OR(AND('A.member', OR('B.member', AND('C.member', 'D.member'))), OR('E.member', 'F.member'), 'G.member')",
		"AND(OR('admin.member'), 'peer.member.member')",
	};

	for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++)
		CHECK_HEX(compile(vectors[i].text), vectors[i].hex);
	for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++)
		CHECK(fb_bytes_equal(compile(same[i][0]), compile(same[i][1])));
	for (size_t i = 0; i < sizeof(round_trips) / sizeof(round_trips[0]); i++)
	{
		FbBytes envelope = compile(round_trips[i]);
		char *text = NULL;

		CHECK_STATUS(policy_print(allocator, envelope, &text, NULL), FB_OK);
		CHECK_TEXT(text, round_trips[i]);
		CHECK(fb_bytes_equal(compile(text), envelope));
	}
}

/*
 * The numbers of the principals: inner operators first, then the outer operator's own, in the order
 * of the text.
 */
static void
test_numbering(void)
{
	SignaturePolicy *policy;
	FbBytes envelope = compile(
		"AND('X.member', OR('A.member', AND('B.member')), 'Y.member', OR('C.member'), 'Z.member')");
	char order[8] = "";

	CHECK_STATUS(signature_policy_decode(allocator, envelope, &policy, NULL), FB_OK);
	for (size_t i = 0; i < policy->principals_count; i++)
		order[i] = policy->principals[i]->msp_id[0];
	CHECK_TEXT(order, "BACXYZ");
	CHECK(policy->rule.rules[0].signed_by == 3 && policy->rule.rules[2].signed_by == 4 &&
		  policy->rule.rules[4].signed_by == 5);
	CHECK(policy->rule.needed == 5 && policy->version == 0);
}

static const struct
{
	const char *text;
	const char *message;
	const char *detail; /* its beginning */
} compile_errors[] = {
	{"", "expected AND, OR or OutOf", "The policy is empty."},
	{"   ", "expected AND, OR or OutOf", "At the end of the policy"},
	{"'A.member'", "expected AND, OR or OutOf", "At character 1, before: 'A.member'"},
	{"A.member", "expected AND, OR or OutOf", "At character 1, before: A.member"},
	{"OR()", "expected a principal in quotes or an operator", "At character 4, before: )"},
	{"And('A.MEMBER')", "the principal is not 'MSPID.role'", "At character 5, before: 'A.MEMBER')"},
	{"OR('A')", "the principal is not 'MSPID.role'", "At character 4"},
	{"OR('.member')", "the principal is not 'MSPID.role'", "At character 4"},
	{"OR('A.')", "the principal is not 'MSPID.role'", "At character 4"},
	{"OR('A.owner')", "the principal is not 'MSPID.role'", "At character 4"},
	{"OR('Org_1.member')", "the principal is not 'MSPID.role'", "At character 4"},
	{"OR('A.member ')", "the principal is not 'MSPID.role'", "At character 4"},
	{"OR('\xc3\xa9.member')", "the principal is not 'MSPID.role'", "At character 4"},
	{"OR('A.member', '\xc3\xa9', XOR('B.member'))", "the principal is not 'MSPID.role'",
	 "At character 16"},
	{"OR('A.member', XOR('B.member'))", "expected AND, OR or OutOf",
	 "At character 16, before: XOR('B.member'))"},
	{"aNd('A.member')", "expected AND, OR or OutOf", "At character 1"},
	{"OR 'A.member'", "expected \"(\"", "At character 4, before: 'A.member'"},
	{"OR('A.member'", "expected \",\" or \")\"", "At the end of the policy, after: OR('A.member'"},
	{"OR('A.member',)", "expected a principal in quotes or an operator",
	 "At character 15, before: )"},
	{"OR('A.member' 'B.member')", "expected \",\" or \")\"", "At character 15"},
	{"OR('A.member)", "the quote is not closed", "At character 4, before: 'A.member)"},
	{"OR('A.member\")", "the quote is not closed", "At character 4"},
	{"OR('A.member') ;", "expected the end of the policy", "At character 16, before: ;"},
	{"OR('A.member'))", "expected the end of the policy", "At character 15, before: )"},
	{"OutOf('A.member','B.member')", "expected the number of rules that OutOf needs",
	 "At character 7"},
	{"OutOf(1.5,'A.member')", "expected \",\" and the rules of OutOf", "At character 8"},
	{"OutOf(,'A.member')", "expected the number of rules that OutOf needs", "At character 7"},
	{"OutOf(1)", "expected \",\" and the rules of OutOf", "At character 8"},
	{"OutOf(1,)", "expected a principal in quotes or an operator", "At character 9"},
	{"OutOf(99999999999,'A.member')", "expected the number of rules that OutOf needs",
	 "At character 7"},
	{"OutOf(-,'A.member')", "expected the number of rules that OutOf needs", "At character 7"},
	{"OutOf(4,'A.member','B.member')", "OutOf needs 4 of 2 rules", "At character 1"},
	{"OutOf(-1,'A.member','B.member')", "OutOf needs -1 of 2 rules", "At character 1"},
	{"OR(AND('A.member', OutOf(3,'A.member')))", "OutOf needs 3 of 1 rules", "At character 20"},
	{"OR('A.member', \xff)", "the text is not UTF-8", ""},
};

static void
test_compile_errors(void)
{
	FbError error;
	FbBytes envelope;

	for (size_t i = 0; i < sizeof(compile_errors) / sizeof(compile_errors[0]); i++)
	{
		char message[FB_ERROR_MESSAGE_BYTES + 32];

		snprintf(message, sizeof(message), "invalid policy: %s", compile_errors[i].message);
		CHECK_STATUS(policy_compile(allocator, fb_bytes_of_text(compile_errors[i].text), &envelope,
									NULL, &error),
					 FB_INVALID_POLICY);
		if (!CHECK_TEXT(error.message, message) ||
			!CHECK(strncmp(error.detail, compile_errors[i].detail,
						   strlen(compile_errors[i].detail)) == 0))
			fprintf(stderr, "    of %s: %s\n", compile_errors[i].text, error.detail);
		CHECK(envelope.size == 0);
	}
	CHECK_STATUS(policy_compile(allocator, FB_BYTES_EMPTY, &envelope, NULL, NULL),
				 FB_INVALID_POLICY);
	CHECK_STATUS(policy_compile(allocator, FB_BYTES_LITERAL("OR('A.mem\0ber')"), &envelope, NULL,
								&error),
				 FB_INVALID_POLICY);
	CHECK_STATUS(policy_compile(allocator, FB_BYTES_LITERAL("OR\0('A.member')"), &envelope, NULL,
								&error),
				 FB_INVALID_POLICY);
}

/* limits: bytes, depth, principals */
static void
test_compile_limits(void)
{
	FbError error;
	FbBytes envelope;
	char long_text[FB_POLICY_TEXT_BYTES_MAX + 2];
	FbBuffer buffer;
	FbBytes bytes;

	memset(long_text, ' ', sizeof(long_text));
	CHECK_STATUS(policy_compile(allocator, fb_bytes(long_text, sizeof(long_text)), &envelope, NULL,
								&error),
				 FB_LIMIT_EXCEEDED);
	for (int depth = FB_POLICY_DEPTH_MAX; depth <= FB_POLICY_DEPTH_MAX + 1; depth++)
	{
		fb_buffer_init(&buffer, allocator);
		for (int i = 0; i < depth; i++)
			fb_buffer_append_text(&buffer, "OR(");
		fb_buffer_append_text(&buffer, "'A.member'");
		for (int i = 0; i < depth; i++)
			fb_buffer_append_text(&buffer, ")");
		fb_buffer_bytes(&buffer, &bytes, NULL);
		CHECK_STATUS(policy_compile(allocator, bytes, &envelope, NULL, &error),
					 depth <= FB_POLICY_DEPTH_MAX ? FB_OK : FB_LIMIT_EXCEEDED);
		if (depth <= FB_POLICY_DEPTH_MAX)
		{
			SignaturePolicy *policy;
			const Policy *resolved;

			/* a policy that can be written can be used, also inside an ApplicationPolicy */
			CHECK_STATUS(signature_policy_decode(allocator, envelope, &policy, &error), FB_OK);
			CHECK_STATUS(application_policy_of_envelope(allocator, envelope, &bytes, &error),
						 FB_OK);
			CHECK_STATUS(policy_from_application_policy(allocator, NULL, bytes, &resolved, &error),
						 FB_OK);
		}
	}
	for (int count = FB_POLICY_PRINCIPALS_MAX; count <= FB_POLICY_PRINCIPALS_MAX + 1; count++)
	{
		fb_buffer_init(&buffer, allocator);
		fb_buffer_append_text(&buffer, "OR('A.member'");
		for (int i = 1; i < count; i++)
			fb_buffer_append_text(&buffer, ",'A.member'");
		fb_buffer_append_text(&buffer, ")");
		fb_buffer_bytes(&buffer, &bytes, NULL);
		CHECK_STATUS(policy_compile(allocator, bytes, &envelope, NULL, &error),
					 count <= FB_POLICY_PRINCIPALS_MAX ? FB_OK : FB_LIMIT_EXCEEDED);
	}
}

static void
test_notice(void)
{
	PolicyNotice notice;
	FbBytes envelope;

	CHECK_STATUS(policy_compile(allocator, FB_BYTES_LITERAL("AND('A.member')"), &envelope, &notice,
								NULL),
				 FB_OK);
	CHECK_TEXT(notice.text, "");
	CHECK_STATUS(policy_compile(allocator, FB_BYTES_LITERAL("AND('A.member', OutOf(0,'A.member'))"),
								&envelope, &notice, NULL),
				 FB_OK);
	CHECK_TEXT(notice.text,
			   "policy has an operator that is always satisfied, without any signature");
	CHECK_TEXT(notice.detail, "At character 17, before: OutOf(0,'A.member'))");
	CHECK_STATUS(policy_compile(allocator, FB_BYTES_LITERAL("OutOf(3,'A.member','B.member')"),
								&envelope, &notice, NULL),
				 FB_OK);
	CHECK_TEXT(notice.text, "policy has an operator that can never be satisfied");
}

static void
test_decode(void)
{
	static const struct
	{
		const char *hex;
		FbStatus status;
		const char *text;
	} table[] = {
		{"", FB_INVALID_POLICY, NULL},			/* no rule */
		{"1200", FB_INVALID_POLICY, NULL},		/* an empty rule */
		{"12021200", FB_OK, "<0 of no rules>"}, /* Fabric's accept-all */
		{"120412020801", FB_OK, "<1 of no rules>"},
		{"12020800", FB_INVALID_POLICY, NULL}, /* a principal beyond the (empty) list */
		{"12020800"
		 "1a0512030a0141",
		 FB_OK, "'A.member'"},
		{"12020801"
		 "1a0512030a0141",
		 FB_INVALID_POLICY, NULL},
		{"120b08ffffffffffffffffff01"
		 "1a0512030a0141",
		 FB_INVALID_POLICY, NULL},									 /* signed_by -1 */
		{"12061204080112001a0512030a0141", FB_INVALID_POLICY, NULL}, /* an empty rule inside */
		{"12020800"
		 "1a00",
		 FB_OK, "'.member'"}, /* an unknown role */
		{"12020800"
		 "1a0708011203ffffff",
		 FB_OK, "<unreadable principal>"},
		{"12020800"
		 "1a06080712020a00",
		 FB_OK, "<unreadable principal>"},
		{"12020800"
		 "1a0712050a01411009",
		 FB_OK, "<unreadable principal>"},
		{"12020800"
		 "1a0c0801"
		 "12080a0141"
		 "1203616263",
		 FB_OK, "<A unit abc>"},
		{"0801"
		 "12021200",
		 FB_OK, "<0 of no rules>"}, /* another version: the manager refuses it, the evaluation of a
									   single envelope does not */
		{"ff", FB_MALFORMED_MESSAGE, NULL},
		{"12ff", FB_MALFORMED_MESSAGE, NULL},
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
	{
		char *text = NULL;
		FbStatus status;

		status = policy_print(allocator, from_hex(table[i].hex), &text, NULL);
		if (!CHECK_STATUS(status, table[i].status))
			fprintf(stderr, "    of %s\n", table[i].hex);
		if (status == FB_OK)
			CHECK_TEXT(text, table[i].text);
	}
}

/* operators nested deeper than allowed, and more rules than allowed, made as messages */
static void
test_decode_limits(void)
{
	Common__SignaturePolicyEnvelope envelope = COMMON__SIGNATURE_POLICY_ENVELOPE__INIT;
	Common__MSPPrincipal principal = COMMON__MSPPRINCIPAL__INIT;
	Common__MSPPrincipal *principals[FB_POLICY_PRINCIPALS_MAX + 1];
	Common__SignaturePolicy leaf = COMMON__SIGNATURE_POLICY__INIT;
	Common__SignaturePolicy *leaves[FB_POLICY_RULES_MAX];
	Common__SignaturePolicy outer = COMMON__SIGNATURE_POLICY__INIT;
	Common__SignaturePolicy__NOutOf n_out_of = COMMON__SIGNATURE_POLICY__NOUT_OF__INIT;
	SignaturePolicy *policy;
	Common__SignaturePolicy chain[FB_POLICY_DEPTH_MAX + 1];
	Common__SignaturePolicy *pointers[FB_POLICY_DEPTH_MAX + 1];
	Common__SignaturePolicy__NOutOf operators[FB_POLICY_DEPTH_MAX + 1];

	leaf.type_case = COMMON__SIGNATURE_POLICY__TYPE_SIGNED_BY;
	for (size_t i = 0; i < FB_POLICY_RULES_MAX; i++)
		leaves[i] = &leaf;
	for (size_t i = 0; i <= FB_POLICY_PRINCIPALS_MAX; i++)
		principals[i] = &principal;
	outer.type_case = COMMON__SIGNATURE_POLICY__TYPE_N_OUT_OF;
	outer.n_out_of = &n_out_of;
	n_out_of.rules = leaves;
	envelope.rule = &outer;
	envelope.identities = principals;
	envelope.n_identities = 1;
	n_out_of.n_rules = FB_POLICY_RULES_MAX - 1;
	CHECK_STATUS(signature_policy_from_message(allocator, &envelope, &policy, NULL), FB_OK);
	n_out_of.n_rules = FB_POLICY_RULES_MAX;
	CHECK_STATUS(signature_policy_from_message(allocator, &envelope, &policy, NULL),
				 FB_LIMIT_EXCEEDED);
	n_out_of.n_rules = 1;
	envelope.n_identities = FB_POLICY_PRINCIPALS_MAX;
	CHECK_STATUS(signature_policy_from_message(allocator, &envelope, &policy, NULL), FB_OK);
	envelope.n_identities = FB_POLICY_PRINCIPALS_MAX + 1;
	CHECK_STATUS(signature_policy_from_message(allocator, &envelope, &policy, NULL),
				 FB_LIMIT_EXCEEDED);
	envelope.n_identities = 1;

	for (size_t i = 0; i <= FB_POLICY_DEPTH_MAX; i++)
	{
		common__signature_policy__init(&chain[i]);
		common__signature_policy__nout_of__init(&operators[i]);
		chain[i].type_case = COMMON__SIGNATURE_POLICY__TYPE_N_OUT_OF;
		chain[i].n_out_of = &operators[i];
		pointers[i] = i == 0 ? &leaf : &chain[i - 1];
		operators[i].n = 1;
		operators[i].n_rules = 1;
		operators[i].rules = &pointers[i];
	}
	envelope.rule = &chain[FB_POLICY_DEPTH_MAX - 1];
	CHECK_STATUS(signature_policy_from_message(allocator, &envelope, &policy, NULL), FB_OK);
	envelope.rule = &chain[FB_POLICY_DEPTH_MAX];
	CHECK_STATUS(signature_policy_from_message(allocator, &envelope, &policy, NULL),
				 FB_LIMIT_EXCEEDED);
}

/* ---- hostile bytes ---- */

/* Every envelope with one byte changed is decoded or refused; a decoded one can be used. */

static void
test_hostile(void)
{
	FbBytes envelope = compile(
		"OutOf(2, OR('A.peer', 'B.peer'), AND('C.client', OutOf(0, 'D.member')), 'E.member')");
	Names names = {{"A", "B", "C", "D"}, 4};
	size_t accepted = 0;

	for (size_t i = 0; i < envelope.size; i++)
		for (int bit = 0; bit < 8; bit++)
		{
			uint8_t copy[512];
			SignaturePolicy *policy;
			char *text;

			memcpy(copy, envelope.data, envelope.size);
			copy[i] ^= (uint8_t) (1 << bit);
			if (signature_policy_decode(allocator, fb_bytes(copy, envelope.size), &policy, NULL) !=
				FB_OK)
				continue;
			accepted++;
			signature_policy_evaluate(policy, names.count, match_name, &names);
			CHECK_STATUS(policy_print(allocator, fb_bytes(copy, envelope.size), &text, NULL),
						 FB_OK);
		}
	CHECK(accepted > 0);
	for (size_t size = 0; size < envelope.size; size++)
	{
		SignaturePolicy *policy;

		signature_policy_decode(allocator, fb_bytes(envelope.data, size), &policy, NULL);
	}
}

int
main(void)
{
	fb_arena_init(&arena);
	CHECK_TEST(test_compile());
	CHECK_TEST(test_numbering());
	CHECK_TEST(test_compile_errors());
	CHECK_TEST(test_compile_limits());
	CHECK_TEST(test_notice());
	CHECK_TEST(test_decode());
	CHECK_TEST(test_decode_limits());
	CHECK_TEST(test_hostile());
	fb_arena_reset(&arena);
	return check_finish("policy/text");
}
