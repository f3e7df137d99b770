/*
 * policy: the language and its bytes, the greedy evaluation (docs/wire-format.md, "Test vectors"),
 * errors with their position, ImplicitMeta, paths, ApplicationPolicies, layouts, hostile bytes, an
 * allocator that fails.
 */
#include "core/policy/policy.h"
#include "core/proto/proto.h"
#include "unit/check.h"

static FbArena arena;
static FbAllocator *allocator = &arena.allocator;

static FbBytes
compile(const char *text)
{
	FbBytes envelope;
	FbError error;

	if (!CHECK_STATUS(policy_compile(allocator, fb_bytes_of_text(text), &envelope, NULL, &error),
					  FB_OK))
		fprintf(stderr, "    %s: %s %s\n", text, error.message, error.detail);
	return envelope;
}

/* ---- policies as text and as bytes (docs/wire-format.md, "Test vectors") ---- */

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

static void
test_compile_errors(void)
{
	static const struct
	{
		const char *text;
		const char *message;
		const char *detail; /* its beginning */
	} errors[] = {
		{"", "expected AND, OR or OutOf", "The policy is empty."},
		{"   ", "expected AND, OR or OutOf", "At the end of the policy"},
		{"'A.member'", "expected AND, OR or OutOf", "At character 1, before: 'A.member'"},
		{"A.member", "expected AND, OR or OutOf", "At character 1, before: A.member"},
		{"OR()", "expected a principal in quotes or an operator", "At character 4, before: )"},
		{"And('A.MEMBER')", "the principal is not 'MSPID.role'",
		 "At character 5, before: 'A.MEMBER')"},
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
		{"OR('A.member'", "expected \",\" or \")\"",
		 "At the end of the policy, after: OR('A.member'"},
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
	FbError error;
	FbBytes envelope;
	char long_text[FB_POLICY_TEXT_BYTES_MAX + 2];
	FbBuffer buffer;
	FbBytes bytes;

	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++)
	{
		char message[FB_ERROR_MESSAGE_BYTES + 32];

		snprintf(message, sizeof(message), "invalid policy: %s", errors[i].message);
		CHECK_STATUS(policy_compile(allocator, fb_bytes_of_text(errors[i].text), &envelope, NULL,
									&error),
					 FB_INVALID_POLICY);
		if (!CHECK_TEXT(error.message, message) ||
			!CHECK(strncmp(error.detail, errors[i].detail, strlen(errors[i].detail)) == 0))
			fprintf(stderr, "    of %s: %s\n", errors[i].text, error.detail);
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

	/* limits: bytes, depth, principals */
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

/* ---- evaluation (docs/wire-format.md, "Test vectors") ---- */

static bool
satisfied(const char *policy, const char *signers)
{
	FbBytes principals[16];
	size_t count = 0;
	bool result = false;
	FbError error;

	for (const char *from = signers; *from != '\0';)
	{
		size_t size = strcspn(from, ",");

		principals[count++] = fb_bytes(from, size);
		from += size + (from[size] == ',');
	}
	if (!CHECK_STATUS(policy_satisfied(allocator, compile(policy), principals, count, &result,
									   &error),
					  FB_OK))
		fprintf(stderr, "    %s\n", error.message);
	return result;
}

static void
test_satisfied(void)
{
	static const struct
	{
		const char *policy;
		const char *signers;
		bool satisfied;
	} table[] = {
		{"AND(OR('A.member','B.member'),'A.member')", "A.peer,B.peer", false},
		{"AND('A.member',OR('A.member','B.member'))", "A.peer,B.peer", true},
		{"AND('A.member','A.admin')", "A.admin,A.peer", false},
		{"AND('A.member','A.admin')", "A.peer,A.admin", true},
		{"AND('A.admin','A.member')", "A.admin,A.peer", true},
		{"AND(OutOf(1,'A.member','B.member'),'B.member')", "A.peer,B.peer", false},
		{"AND('B.member',OutOf(1,'A.member','B.member'))", "A.peer,B.peer", true},
		{"OutOf(2,'A.member','A.member')", "A.peer", false},
		{"OutOf(2,'A.member','A.member')", "A.peer,A.admin", true},
		{"OutOf(2,AND('A.member','B.member'),AND('A.member','C.member'))", "A.peer,B.peer,C.peer",
		 false},
		{"OutOf(2,AND('A.member','B.member'),AND('A.member','C.member'))",
		 "A.peer,A.peer,B.peer,C.peer", true},
		{"OutOf(0,'A.member')", "", true},
		{"OutOf(3,'A.member','B.member')", "A.member,B.member", false},
		/* a failing operator gives back the identities that it used */
		{"AND(OR(AND('A.member','C.member'),'B.member'),'A.member')", "A.peer,B.peer", true},
		/*
		 * ... and an operator that succeeds keeps even those that it did not need: a larger set can
		 * fail
		 */
		{"AND(OR(AND('A.member','C.member'),'B.member'),'A.member')", "A.peer,B.peer,C.peer",
		 false},
		{"OR('A.member')", "", false},
		{"OR('A.member')", "B.member", false},
		{"OR('A.member')", "A.orderer", true},
		{"OR('A.member')", "A.member", true},
		{"OR('A.peer')", "A.member", false},
		{"OR('A.client')", "A.peer", false},
		{"OR('A.peer')", "B.peer,A.client,A.peer", true},
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		if (!CHECK(satisfied(table[i].policy, table[i].signers) == table[i].satisfied))
			fprintf(stderr, "    %s with %s\n", table[i].policy, table[i].signers);
}

static void
test_satisfied_errors(void)
{
	FbBytes envelope = compile("OR('A.member')");
	FbBytes bad[] = {FB_BYTES_LITERAL("A"), FB_BYTES_LITERAL(""), FB_BYTES_LITERAL("A.Member"),
					 FB_BYTES_LITERAL("'A.member'")};
	FbBytes many[FB_POLICY_SIGNATURES_MAX + 1];
	bool result = true;
	FbError error;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		CHECK_STATUS(policy_satisfied(allocator, envelope, &bad[i], 1, &result, &error),
					 FB_INVALID_ARGUMENT);
	CHECK(!result);
	for (size_t i = 0; i < FB_POLICY_SIGNATURES_MAX + 1; i++)
		many[i] = FB_BYTES_LITERAL("B.peer");
	many[FB_POLICY_SIGNATURES_MAX - 1] = FB_BYTES_LITERAL("A.peer");
	CHECK_STATUS(policy_satisfied(allocator, envelope, many, FB_POLICY_SIGNATURES_MAX + 1, &result,
								  &error),
				 FB_LIMIT_EXCEEDED);
	CHECK_STATUS(policy_satisfied(allocator, envelope, many, FB_POLICY_SIGNATURES_MAX, &result,
								  &error),
				 FB_OK);
	CHECK(result);
	CHECK_STATUS(policy_satisfied(allocator, FB_BYTES_LITERAL("\xff"), many, 1, &result, &error),
				 FB_MALFORMED_MESSAGE);
}

/* ---- envelopes that no text produces ---- */

static FbBytes
from_hex(const char *hex)
{
	uint8_t *out = fb_allocate(allocator, strlen(hex) / 2);

	CHECK(fb_hex_decode(hex, strlen(hex), out));
	return fb_bytes(out, strlen(hex) / 2);
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
	Common__SignaturePolicy gate = COMMON__SIGNATURE_POLICY__INIT;
	Common__SignaturePolicy__NOutOf n_out_of = COMMON__SIGNATURE_POLICY__NOUT_OF__INIT;
	SignaturePolicy *policy;
	Common__SignaturePolicy chain[FB_POLICY_DEPTH_MAX + 1];
	Common__SignaturePolicy *pointers[FB_POLICY_DEPTH_MAX + 1];
	Common__SignaturePolicy__NOutOf gates[FB_POLICY_DEPTH_MAX + 1];

	leaf.type_case = COMMON__SIGNATURE_POLICY__TYPE_SIGNED_BY;
	for (size_t i = 0; i < FB_POLICY_RULES_MAX; i++)
		leaves[i] = &leaf;
	for (size_t i = 0; i <= FB_POLICY_PRINCIPALS_MAX; i++)
		principals[i] = &principal;
	gate.type_case = COMMON__SIGNATURE_POLICY__TYPE_N_OUT_OF;
	gate.n_out_of = &n_out_of;
	n_out_of.rules = leaves;
	envelope.rule = &gate;
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
		common__signature_policy__nout_of__init(&gates[i]);
		chain[i].type_case = COMMON__SIGNATURE_POLICY__TYPE_N_OUT_OF;
		chain[i].n_out_of = &gates[i];
		pointers[i] = i == 0 ? &leaf : &chain[i - 1];
		gates[i].n = 1;
		gates[i].n_rules = 1;
		gates[i].rules = &pointers[i];
	}
	envelope.rule = &chain[FB_POLICY_DEPTH_MAX - 1];
	CHECK_STATUS(signature_policy_from_message(allocator, &envelope, &policy, NULL), FB_OK);
	envelope.rule = &chain[FB_POLICY_DEPTH_MAX];
	CHECK_STATUS(signature_policy_from_message(allocator, &envelope, &policy, NULL),
				 FB_LIMIT_EXCEEDED);
}

/* ---- a configuration tree by hand ---- */

static Common__ConfigGroup *
new_group(void)
{
	Common__ConfigGroup *group = fb_allocate(allocator, sizeof(*group));

	common__config_group__init(group);
	group->groups = fb_allocate_array(allocator, 16, sizeof(group->groups[0]));
	group->policies = fb_allocate_array(allocator, 16, sizeof(group->policies[0]));
	return group;
}

/* names are added in sorted order, as the decoder delivers them */
static Common__ConfigGroup *
add_group(Common__ConfigGroup *parent, const char *name)
{
	Common__ConfigGroup__GroupsEntry *entry = fb_allocate(allocator, sizeof(*entry));

	common__config_group__groups_entry__init(entry);
	entry->key = (char *) name;
	entry->value = new_group();
	parent->groups[parent->n_groups++] = entry;
	return entry->value;
}

static Common__ConfigPolicy *
add_policy_bytes(Common__ConfigGroup *group, const char *name, int type, FbBytes value)
{
	Common__ConfigGroup__PoliciesEntry *entry = fb_allocate(allocator, sizeof(*entry));

	common__config_group__policies_entry__init(entry);
	entry->key = (char *) name;
	entry->value = fb_allocate(allocator, sizeof(*entry->value));
	common__config_policy__init(entry->value);
	entry->value->policy = fb_allocate(allocator, sizeof(*entry->value->policy));
	common__policy__init(entry->value->policy);
	entry->value->policy->type = type;
	entry->value->policy->value = proto_data(value);
	group->policies[group->n_policies++] = entry;
	return entry->value;
}

static void
add_policy(Common__ConfigGroup *group, const char *name, const char *rule)
{
	FbBytes value;

	if (strchr(rule, '(') != NULL)
		add_policy_bytes(group, name, COMMON__POLICY__POLICY_TYPE__SIGNATURE, compile(rule));
	else
	{
		CHECK_STATUS(policy_compile_implicit_meta(allocator, fb_bytes_of_text(rule), &value, NULL),
					 FB_OK);
		add_policy_bytes(group, name, COMMON__POLICY__POLICY_TYPE__IMPLICIT_META, value);
	}
}

typedef struct Names
{
	const char *msp_ids[8];
	size_t count;
} Names;

static bool
match_name(void *context, size_t signer_index, const Principal *principal)
{
	const Names *names = context;

	return principal->kind == PRINCIPAL_ROLE &&
		   strcmp(principal->msp_id, names->msp_ids[signer_index]) == 0;
}

static bool
passes(const PolicyManager *manager, const char *path, Names names)
{
	return policy_evaluate_match(policy_manager_find(manager, path), names.count, match_name,
								 &names);
}

static void
test_manager(void)
{
	Common__ConfigGroup *channel = new_group();
	Common__ConfigGroup *application = add_group(channel, "Application");
	PolicyManager *manager;
	const Policy *policy;
	char *text;
	FbBytes bytes;
	FbError error;
	static const char *const organizations[] = {"A", "B", "C", "D"};
	Names nobody = {{NULL}, 0};
	Names a = {{"A"}, 1};
	Names ab = {{"A", "B"}, 2};
	Names abc = {{"A", "B", "C"}, 3};
	Names ax = {{"A", "X"}, 2};

	for (size_t i = 0; i < 4; i++)
	{
		Common__ConfigGroup *group = add_group(application, organizations[i]);
		char rule[32];

		snprintf(rule, sizeof(rule), "OR('%s.member')", organizations[i]);
		add_policy(group, "Admins", rule);
		if (i < 3)
			add_policy(group, "Three", rule); /* D has none */
	}
	add_policy(application, "AllAdmins", "ALL Admins");
	add_policy(application, "AnyAdmins", "ANY Admins");
	add_policy(application, "MajorityAdmins", "MAJORITY Admins");
	add_policy(application, "MajorityMissing", "MAJORITY Missing");
	add_policy(application, "MajorityThree", "MAJORITY Three");
	add_policy(application, "AllThree", "ALL Three");
	add_policy(channel, "Any", "ANY AnyAdmins");
	add_policy(channel, "Deep", "ANY B/Admins");
	add_policy(channel, "All", "ALL AllAdmins");
	/* Orderer has no sub-groups at all */
	for (int rule = 0; rule < 3; rule++)
	{
		static const char *const names[] = {"ANY Admins", "ALL Admins", "MAJORITY Admins"};

		if (rule == 0)
			add_group(channel, "Orderer");
		add_policy(channel->groups[1]->value, names[rule], names[rule]);
	}
	if (!CHECK_STATUS(policy_manager_create(allocator, channel, &manager, &error), FB_OK))
		fprintf(stderr, "    %s %s\n", error.message, error.detail);

	CHECK(!passes(manager, "/Channel/Application/AnyAdmins", nobody) &&
		  passes(manager, "/Channel/Application/AnyAdmins", a));
	CHECK(!passes(manager, "/Channel/Application/MajorityAdmins", ab) &&
		  passes(manager, "/Channel/Application/MajorityAdmins", abc));
	CHECK(!passes(manager, "/Channel/Application/AllAdmins", abc));
	CHECK(!passes(manager, "/Channel/Application/MajorityMissing", abc));
	/* the organization without the policy counts: 3 of 4 are needed, and 4 of 4 is impossible */
	CHECK(!passes(manager, "/Channel/Application/MajorityThree", ab) &&
		  passes(manager, "/Channel/Application/MajorityThree", abc));
	CHECK(!passes(manager, "/Channel/Application/AllThree", abc));
	/* without sub-groups: never satisfied */
	CHECK(passes(manager, "/Channel/Orderer/ANY Admins", nobody));
	CHECK(passes(manager, "/Channel/Orderer/ALL Admins", nobody));
	CHECK(passes(manager, "/Channel/Orderer/MAJORITY Admins", nobody));
	/* over two levels; Orderer has no policy AnyAdmins */
	CHECK(passes(manager, "/Channel/Any", a) && !passes(manager, "/Channel/Any", nobody));
	CHECK(passes(manager, "/Channel/Deep", ab) && !passes(manager, "/Channel/Deep", a));
	CHECK(!passes(manager, "/Channel/All", abc));
	/* each sub-policy sees all signers, foreign ones do no harm */
	CHECK(passes(manager, "/Channel/Application/AnyAdmins", ax));

	/* paths */
	policy = policy_manager_find(manager, "/Channel/Application/A/Admins");
	CHECK(policy != NULL && policy == policy_manager_find(manager, "Application/A/Admins"));
	CHECK_TEXT(policy_path(policy), "/Channel/Application/A/Admins");
	CHECK(policy_manager_find(manager, "Any") == policy_manager_find(manager, "/Channel/Any"));
	{
		static const char *const unknown[] = {"",
											  "/",
											  "/Orderer/Any",
											  "/Orderer/ANY Admins",
											  "/Channel",
											  "/Channel/",
											  "Channel/Any",
											  "/ChannelX/Any",
											  "/Channel//Any",
											  "//Any",
											  "/Channel/Any/",
											  "/Channel/Application/E/Admins",
											  "/Channel/Application/A/admins",
											  "Application",
											  "/Application/A/Admins",
											  "/Channel/Application/A/B/Admins"};

		for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++)
			if (!CHECK(policy_manager_find(manager, unknown[i]) == NULL))
				fprintf(stderr, "    %s\n", unknown[i]);
	}
	CHECK(!policy_evaluate_match(NULL, 1, match_name, &a));
	CHECK_STATUS(policy_describe(allocator,
								 policy_manager_find(manager, "Application/MajorityThree"), &text,
								 NULL),
				 FB_OK);
	CHECK_TEXT(text, "MAJORITY Three of A, B, C, D");
	CHECK_STATUS(policy_describe(allocator, policy, &text, NULL), FB_OK);
	CHECK_TEXT(text, "OR('A.member')");

	/* ApplicationPolicies */
	CHECK_STATUS(application_policy_of_reference(allocator, "/Channel/Application/MajorityAdmins",
												 &bytes, NULL),
				 FB_OK);
	CHECK_HEX(fb_bytes(bytes.data, 2), "1223");
	CHECK_STATUS(policy_from_application_policy(allocator, manager, bytes, &policy, &error), FB_OK);
	CHECK(policy == policy_manager_find(manager, "/Channel/Application/MajorityAdmins"));
	CHECK_STATUS(application_policy_of_reference(allocator, "/Channel/Application/None", &bytes,
												 NULL),
				 FB_OK);
	CHECK_STATUS(policy_from_application_policy(allocator, manager, bytes, &policy, &error),
				 FB_INVALID_POLICY);
	CHECK_TEXT(error.message, "the channel has no policy \"/Channel/Application/None\"");
	CHECK(policy == NULL);
	CHECK_STATUS(application_policy_of_reference(allocator, "", &bytes, NULL), FB_INVALID_POLICY);
	CHECK_STATUS(application_policy_of_envelope(allocator, compile("OR('Org1MSP.member')"), &bytes,
												NULL),
				 FB_OK);
	CHECK_HEX(bytes, "0a17120812060801120208001a0b12090a074f7267314d5350");
	CHECK_STATUS(policy_from_application_policy(allocator, manager, bytes, &policy, &error), FB_OK);
	CHECK_TEXT(policy_path(policy), "signature policy");
	CHECK_STATUS(policy_from_application_policy(allocator, manager, FB_BYTES_EMPTY, &policy,
												&error),
				 FB_INVALID_POLICY);
	CHECK_STATUS(policy_from_application_policy(allocator, manager, FB_BYTES_LITERAL("\xff"),
												&policy, &error),
				 FB_INVALID_POLICY);
	CHECK_STATUS(application_policy_of_envelope(allocator, FB_BYTES_LITERAL("x"), &bytes, &error),
				 FB_MALFORMED_MESSAGE);
}

/* a tree with one bad policy is refused, and the error has its path */
static void
test_manager_errors(void)
{
	for (int kind = 0; kind < 8; kind++)
	{
		Common__ConfigGroup *channel = new_group();
		Common__ConfigGroup *group = add_group(add_group(channel, "Application"), "A");
		PolicyManager *manager;
		FbError error;

		switch (kind)
		{
			case 0:
				add_policy_bytes(group, "P", COMMON__POLICY__POLICY_TYPE__SIGNATURE,
								 FB_BYTES_LITERAL("\xff"));
				break;
			case 1:
				add_policy_bytes(group, "P", COMMON__POLICY__POLICY_TYPE__SIGNATURE,
								 FB_BYTES_EMPTY);
				break;
			case 2:
				add_policy_bytes(group, "P", COMMON__POLICY__POLICY_TYPE__MSP, FB_BYTES_EMPTY);
				break;
			case 3:
				add_policy_bytes(group, "P", COMMON__POLICY__POLICY_TYPE__UNKNOWN, FB_BYTES_EMPTY);
				break;
			case 4:
				add_policy_bytes(group, "P", COMMON__POLICY__POLICY_TYPE__IMPLICIT_META,
								 FB_BYTES_LITERAL("\xff"));
				break;
			case 5:
				add_policy_bytes(group, "P", COMMON__POLICY__POLICY_TYPE__IMPLICIT_META,
								 FB_BYTES_LITERAL("\x10\x07"));
				break;
			case 6:
				add_policy_bytes(group, "P", COMMON__POLICY__POLICY_TYPE__SIGNATURE,
								 from_hex("080112021200")); /* version 1 */
				break;
			case 7:
				add_policy_bytes(group, "P", 1, FB_BYTES_EMPTY)->policy = NULL;
				break;
		}
		CHECK_STATUS(policy_manager_create(allocator, channel, &manager, &error),
					 FB_INVALID_POLICY);
		CHECK_TEXT(error.message, "invalid policy \"/Channel/Application/A/P\"");
		CHECK(error.detail[0] != '\0' && manager == NULL);
	}
}

static void
test_implicit_meta_text(void)
{
	static const char *const bad[] = {"",
									  "ANY",
									  "ANY ",
									  "any Readers",
									  "ANY  Readers",
									  " ANY Readers",
									  "ANY Readers ",
									  "SOME Readers",
									  "MAJORITY\tReaders",
									  "ANY Readers Writers"};
	FbBytes bytes;
	FbError error;

	CHECK_STATUS(policy_compile_implicit_meta(allocator, FB_BYTES_LITERAL("ANY Readers"), &bytes,
											  NULL),
				 FB_OK);
	CHECK_HEX(bytes, "0a0752656164657273");
	CHECK_STATUS(policy_compile_implicit_meta(allocator, FB_BYTES_LITERAL("MAJORITY Admins"),
											  &bytes, NULL),
				 FB_OK);
	CHECK_HEX(bytes, "0a0641646d696e731002");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		CHECK_STATUS(policy_compile_implicit_meta(allocator, fb_bytes_of_text(bad[i]), &bytes,
												  &error),
					 FB_INVALID_POLICY);
	CHECK_STATUS(policy_compile_implicit_meta(allocator, FB_BYTES_EMPTY, &bytes, &error),
				 FB_INVALID_POLICY);
	CHECK_STATUS(policy_compile_implicit_meta(allocator, FB_BYTES_LITERAL("ANY Re\0aders"), &bytes,
											  &error),
				 FB_INVALID_POLICY);
}

/* ---- layouts ---- */

static const Policy *
policy_of(const char *text)
{
	const Policy *policy = NULL;

	CHECK_STATUS(policy_from_envelope(allocator, compile(text), &policy, NULL), FB_OK);
	return policy;
}

/* "A B, C": the layouts as text, endorsers by name */
static const char *
layouts_text(const Policy *const *policies, size_t policies_count, const char *endorsers,
			 size_t layouts_max)
{
	PolicyEndorser list[FB_POLICY_ENDORSERS_MAX];
	size_t count = 0;
	PolicyLayout *layouts;
	size_t layouts_count = 0;
	FbBuffer buffer;
	FbError error;

	for (const char *from = endorsers; *from != '\0';)
	{
		size_t size = strcspn(from, " ");

		list[count++] = (PolicyEndorser) {.msp_id = fb_text_copy(allocator, fb_bytes(from, size))};
		from += size + (from[size] == ' ');
	}
	CHECK_STATUS(policy_layouts(allocator, policies, policies_count, list, count, layouts_max,
								&layouts, &layouts_count, &error),
				 FB_OK);
	fb_buffer_init(&buffer, allocator);
	for (size_t i = 0; i < layouts_count; i++)
	{
		fb_buffer_append_text(&buffer, i == 0 ? "" : ", ");
		if (layouts[i].endorsers_count == 0)
			fb_buffer_append_text(&buffer, "-");
		for (size_t k = 0; k < layouts[i].endorsers_count; k++)
			fb_buffer_append_format(&buffer, "%s%s", k == 0 ? "" : " ",
									list[layouts[i].endorsers[k]].msp_id);
	}
	fb_buffer_append_byte(&buffer, '\0');
	return (const char *) buffer.data;
}

static void
test_layouts(void)
{
	static const struct
	{
		const char *policy;
		const char *endorsers;
		const char *layouts;
	} table[] = {
		{"OR('A.peer','B.peer')", "B A", "B, A"},
		{"AND('A.peer','B.peer')", "B A", "B A"},
		{"AND('A.peer','B.peer')", "A C", ""},
		{"OutOf(2,'A.peer','B.peer','C.peer')", "C A B", "C A, C B, A B"},
		{"OutOf(2,'A.peer','B.peer','C.peer')", "C D B", "C B"},
		{"OR(AND('A.peer','B.peer'),'C.member')", "A B C D", "C, A B"},
		{"OR('A.client')", "A", ""},
		{"OR('A.admin','A.member')", "A", "A"},
		{"OutOf(0,'A.peer')", "A", "-"},
		{"OutOf(2,'A.peer')", "A", ""},
		{"OutOf(2,'A.peer','A.peer')", "A", ""},
		{"OutOf(2,'A.peer','A.peer')", "A B A", "A A"},
		/* greedy evaluation: {A,B} does not satisfy, two of A or two of B do */
		{"AND(OR('A.peer','B.peer'),'A.peer')", "A B", ""},
		{"AND(OR('A.peer','B.peer'),'A.peer')", "A B A", "A A"},
		{"AND(OR('A.peer','B.peer'),'B.peer')", "A B B", "B B"},
		/* C in addition would break it */
		{"AND(OR(AND('A.peer','C.peer'),'B.peer'),'A.peer')", "C A B", "A B"},
		{"OutOf(1,'A.peer','B.peer')", "", ""},
	};
	Common__ConfigGroup *channel = new_group();
	Common__ConfigGroup *application = add_group(channel, "Application");
	static const char *const names[] = {"A", "B", "C", "D", "E"};
	const Policy *two[2];
	PolicyManager *manager;

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
	{
		const Policy *policy = policy_of(table[i].policy);

		if (!CHECK_TEXT(layouts_text(&policy, 1, table[i].endorsers, 10), table[i].layouts))
			fprintf(stderr, "    of %s with %s\n", table[i].policy, table[i].endorsers);
	}
	two[0] = policy_of("OutOf(2,'A.peer','B.peer','C.peer')");
	CHECK_TEXT(layouts_text(two, 1, "A B C", 1), "A B");
	CHECK_TEXT(layouts_text(two, 1, "A B C", 0), "");
	two[1] = policy_of("OR('C.peer','D.peer')");
	CHECK_TEXT(layouts_text(two, 2, "A B C D", 10), "A C, B C, A B D");
	two[1] = NULL;
	CHECK_TEXT(layouts_text(two, 2, "A B C D", 10), "");

	for (size_t i = 0; i < 5; i++)
	{
		char rule[32];

		snprintf(rule, sizeof(rule), "OR('%s.peer')", names[i]);
		add_policy(add_group(application, names[i]), "Endorsement", rule);
	}
	add_policy(application, "All", "ALL Endorsement");
	add_policy(application, "Any", "ANY Endorsement");
	add_policy(application, "Majority", "MAJORITY Endorsement");
	CHECK_STATUS(policy_manager_create(allocator, channel, &manager, NULL), FB_OK);
	two[0] = policy_manager_find(manager, "Application/Majority");
	CHECK_TEXT(layouts_text(two, 1, "D A B C", 10), "D A B, D A C, D B C, A B C");
	CHECK_TEXT(layouts_text(two, 1, "D A", 10), "");
	two[0] = policy_manager_find(manager, "Application/Any");
	CHECK_TEXT(layouts_text(two, 1, "E D", 10), "E, D");
	two[0] = policy_manager_find(manager, "Application/All");
	CHECK_TEXT(layouts_text(two, 1, "E D C B A", 10), "E D C B A");
	CHECK_TEXT(layouts_text(two, 1, "E D C B", 10), "");

	/*
	 * One endorser can satisfy several organizations' policies: then the number of organizations
	 * does not give a lower bound.
	 */
	application = add_group(channel, "Shared");
	add_policy(add_group(application, "A"), "Endorsement", "OR('A.peer')");
	add_policy(add_group(application, "B"), "Endorsement", "OR('A.peer')");
	add_policy(add_group(application, "C"), "Endorsement", "OR('C.peer')");
	add_policy(application, "Majority", "MAJORITY Endorsement");
	CHECK_STATUS(policy_manager_create(allocator, channel, &manager, NULL), FB_OK);
	two[0] = policy_manager_find(manager, "Shared/Majority");
	CHECK_TEXT(layouts_text(two, 1, "C A B", 10), "A");
}

static const Policy *
policy_of_principal(Common__MSPPrincipal__Classification kind, FbBytes bytes)
{
	Common__SignaturePolicyEnvelope envelope = COMMON__SIGNATURE_POLICY_ENVELOPE__INIT;
	Common__SignaturePolicy rule = COMMON__SIGNATURE_POLICY__INIT;
	Common__MSPPrincipal principal = COMMON__MSPPRINCIPAL__INIT;
	Common__MSPPrincipal *principals[] = {&principal};
	const Policy *policy = NULL;
	FbBytes packed;

	principal.principal_classification = kind;
	principal.principal = proto_data(bytes);
	rule.type_case = COMMON__SIGNATURE_POLICY__TYPE_SIGNED_BY;
	envelope.rule = &rule;
	envelope.identities = principals;
	envelope.n_identities = 1;
	CHECK_STATUS(PROTO_PACK(&envelope, allocator, &packed, NULL), FB_OK);
	CHECK_STATUS(policy_from_envelope(allocator, packed, &policy, NULL), FB_OK);
	return policy;
}

/*
 * Principals that are not roles: an endorser is its identity, and nominal; its organizational units
 * are unknown.
 */
static void
test_layouts_of_kinds(void)
{
	static const struct
	{
		Common__MSPPrincipal__Classification kind;
		const char *principal; /* hex */
		size_t layouts_count;
	} table[] = {
		{COMMON__MSPPRINCIPAL__CLASSIFICATION__ROLE,
		 "0a0141"
		 "1000",
		 1},
		{COMMON__MSPPRINCIPAL__CLASSIFICATION__ROLE,
		 "0a0141"
		 "1003",
		 1},
		{COMMON__MSPPRINCIPAL__CLASSIFICATION__ROLE,
		 "0a0141"
		 "1001",
		 0},
		{COMMON__MSPPRINCIPAL__CLASSIFICATION__ROLE,
		 "0a0142"
		 "1000",
		 0},
		{COMMON__MSPPRINCIPAL__CLASSIFICATION__ORGANIZATION_UNIT,
		 "0a0141"
		 "1203616263",
		 0},
		{COMMON__MSPPRINCIPAL__CLASSIFICATION__IDENTITY,
		 "0a0141"
		 "120158",
		 0},														  /* no certificate */
		{COMMON__MSPPRINCIPAL__CLASSIFICATION__ANONYMITY, "", 2},	  /* nominal: every endorser */
		{COMMON__MSPPRINCIPAL__CLASSIFICATION__ANONYMITY, "0801", 0}, /* anonymous */
		/* combined: a member and a peer; a member and an admin; a member and anonymous */
		{COMMON__MSPPRINCIPAL__CLASSIFICATION__COMBINED,
		 "0a0712050a0141"
		 "1000"
		 "0a0712050a0141"
		 "1003",
		 1},
		{COMMON__MSPPRINCIPAL__CLASSIFICATION__COMBINED,
		 "0a0712050a0141"
		 "1000"
		 "0a0712050a0141"
		 "1001",
		 0},
		{COMMON__MSPPRINCIPAL__CLASSIFICATION__COMBINED,
		 "0a0712050a0141"
		 "1000"
		 "0a060803"
		 "12020801",
		 0},
	};

	PolicyEndorser endorsers[] = {{.msp_id = "C"}, {.msp_id = "A"}, {.msp_id = "A"}};
	PolicyLayout *layouts;
	size_t layouts_count;
	const Policy *policy;

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
	{
		policy = policy_of_principal(table[i].kind, from_hex(table[i].principal));
		CHECK_STATUS(policy_layouts(allocator, &policy, 1, endorsers, 2, 10, &layouts,
									&layouts_count, NULL),
					 FB_OK);
		if (!CHECK(layouts_count == table[i].layouts_count))
			fprintf(stderr, "    %zu: %zu\n", i, layouts_count);
		for (size_t k = 0; k < layouts_count; k++)
			CHECK(layouts[k].endorsers_count == 1 &&
				  layouts[k].endorsers[0] == 1 - (layouts_count - 1 - k));
	}

	/* one endorser and no other, byte for byte */
	for (uint32_t i = 1; i <= 2; i++)
	{
		FbBytes pem =
			check_read_file(i == 1 ? "test/vectors/x509/peer.pem" : "test/vectors/x509/client.pem");

		CHECK_STATUS(identity_serialize("A", pem, allocator, &endorsers[i].identity, NULL), FB_OK);
		free((void *) pem.data);
	}
	for (uint32_t i = 1; i <= 2; i++)
	{
		policy = policy_of_principal(COMMON__MSPPRINCIPAL__CLASSIFICATION__IDENTITY,
									 endorsers[i].identity);
		CHECK_STATUS(policy_layouts(allocator, &policy, 1, endorsers, 3, 10, &layouts,
									&layouts_count, NULL),
					 FB_OK);
		CHECK(layouts_count == 1 && layouts[0].endorsers_count == 1 &&
			  layouts[0].endorsers[0] == i);
		CHECK_STATUS(policy_layouts(allocator, &policy, 1, endorsers, i, 10, &layouts,
									&layouts_count, NULL),
					 FB_OK);
		CHECK(layouts_count == 0);
	}
}

/* ---- layouts of random policies against the plain definition: all sets, by size, then in order,
 * without those that contain a known one ---- */

static void
append_random_rule(FbBuffer *text, FbRand *rand, int depth)
{
	static const char *const roles[] = {"member", "peer", "peer", "member", "admin"};
	uint64_t rules = fb_rand_below(rand, 4) + 1;

	if (depth == 0 || (depth < 3 && fb_rand_below(rand, 2) == 0))
	{
		fb_buffer_append_format(text, "'%c.%s'", (char) ('A' + fb_rand_below(rand, 4)),
								roles[fb_rand_below(rand, 5)]);
		return;
	}
	fb_buffer_append_format(text, "OutOf(%d",
							(int) fb_rand_below(rand, 12) == 0
								? 0
								: (int) fb_rand_below(rand, rules) + 1);
	for (uint64_t i = 0; i < rules; i++)
	{
		fb_buffer_append_text(text, ",");
		append_random_rule(text, rand, depth - 1);
	}
	fb_buffer_append_text(text, ")");
}

typedef struct Chosen
{
	const PolicyEndorser *endorsers;
	uint32_t places[8];
	size_t count;
} Chosen;

static bool
match_peer(void *context, size_t signer_index, const Principal *principal)
{
	const Chosen *chosen = context;

	return strcmp(chosen->endorsers[chosen->places[signer_index]].msp_id, principal->msp_id) == 0 &&
		   (principal->role == IDENTITY_MEMBER || principal->role == IDENTITY_PEER);
}

/* bits of the sets of this size in the order of their members: 0 1 2, 0 1 3, 0 2 3, ... */
static void
plain_layouts(const Policy *const *policies, size_t policies_count, Chosen *chosen,
			  size_t endorsers_count, size_t size, uint32_t *found, size_t *found_count, size_t max)
{
	uint32_t mask = 0;
	bool good = true;

	if (chosen->count < size)
	{
		uint32_t from = chosen->count == 0 ? 0 : chosen->places[chosen->count - 1] + 1;

		for (uint32_t i = from; i < endorsers_count; i++)
		{
			chosen->places[chosen->count++] = i;
			plain_layouts(policies, policies_count, chosen, endorsers_count, size, found,
						  found_count, max);
			chosen->count--;
		}
		return;
	}
	for (size_t i = 0; i < size; i++)
		mask |= UINT32_C(1) << chosen->places[i];
	for (size_t i = 0; i < *found_count; i++)
		good = good && (found[i] & ~mask) != 0;
	for (size_t i = 0; i < policies_count; i++)
		good = good && policy_evaluate_match(policies[i], chosen->count, match_peer, chosen);
	if (good && *found_count < max)
		found[(*found_count)++] = mask;
}

static void
test_random_layouts(void)
{
	FbRand rand;
	size_t several = 0;

	fb_rand_seed(&rand, 13);
	for (int round = 0; round < 2000; round++)
	{
		static const char *const names[] = {"A", "B", "C", "D", "E"};
		PolicyEndorser endorsers[6];
		size_t endorsers_count = fb_rand_below(&rand, 7);
		size_t policies_count = fb_rand_below(&rand, 3) == 0 ? 2 : 1;
		size_t max = fb_rand_below(&rand, 2) == 0 ? 64 : fb_rand_below(&rand, 4) + 1;
		const Policy *policies[2];
		Chosen chosen = {.endorsers = endorsers};
		uint32_t expected[64];
		size_t expected_count = 0;
		PolicyLayout *layouts;
		size_t layouts_count;
		FbBytes bytes = FB_BYTES_EMPTY;

		for (size_t i = 0; i < endorsers_count; i++)
			endorsers[i] = (PolicyEndorser) {.msp_id = names[fb_rand_below(&rand, 5)]};
		for (size_t i = 0; i < policies_count; i++)
		{
			FbBuffer text;

			fb_buffer_init(&text, allocator);
			append_random_rule(&text, &rand, 3);
			CHECK_STATUS(fb_buffer_bytes(&text, &bytes, NULL), FB_OK);
			policies[i] = policy_of(fb_text_copy(allocator, bytes));
		}
		for (size_t size = 0; size <= endorsers_count; size++)
			plain_layouts(policies, policies_count, &chosen, endorsers_count, size, expected,
						  &expected_count, max);
		CHECK_STATUS(policy_layouts(allocator, policies, policies_count, endorsers, endorsers_count,
									max, &layouts, &layouts_count, NULL),
					 FB_OK);
		if (!CHECK(layouts_count == expected_count))
		{
			fprintf(stderr, "    round %d: %.*s\n", round, (int) bytes.size,
					(const char *) bytes.data);
			continue;
		}
		several += layouts_count > 1;
		for (size_t i = 0; i < layouts_count; i++)
		{
			uint32_t mask = 0;

			for (size_t k = 0; k < layouts[i].endorsers_count; k++)
			{
				CHECK(k == 0 || layouts[i].endorsers[k] > layouts[i].endorsers[k - 1]);
				mask |= UINT32_C(1) << layouts[i].endorsers[k];
			}
			CHECK(mask == expected[i]);
		}
	}
	CHECK(several > 200);
}

/* the endorsers of a layout, with one left out */
typedef struct Layout
{
	const PolicyEndorser *endorsers;
	const PolicyLayout *layout;
	size_t without;
} Layout;

static bool
match_layout(void *context, size_t signer_index, const Principal *principal)
{
	const Layout *layout = context;
	size_t place = signer_index + (signer_index >= layout->without);

	return strcmp(layout->endorsers[layout->layout->endorsers[place]].msp_id, principal->msp_id) ==
		   0;
}

/*
 * Many organizations: the lower bound finds the first set at once, and the budget ends a hopeless
 * search.
 */
static void
test_large_layouts(void)
{
	FbBuffer text;
	FbBuffer endorsers;
	FbBytes bytes;
	const Policy *policy;
	PolicyEndorser list[FB_POLICY_ENDORSERS_MAX + 1] = {{0}};
	char names[FB_POLICY_ENDORSERS_MAX][32];
	PolicyLayout *layouts;
	size_t layouts_count;
	FbError error;

	fb_buffer_init(&text, allocator);
	fb_buffer_init(&endorsers, allocator);
	fb_buffer_append_text(&text, "OutOf(16");
	for (int i = 0; i < 30; i++)
	{
		fb_buffer_append_format(&text, ",'Org%d.peer'", i);
		fb_buffer_append_format(&endorsers, "%sOrg%d", i == 0 ? "" : " ", i);
	}
	fb_buffer_append_text(&text, ")");
	fb_buffer_append_byte(&endorsers, '\0');
	fb_buffer_bytes(&text, &bytes, NULL);
	policy = policy_of(fb_text_copy(allocator, bytes));
	CHECK_TEXT(
		layouts_text(&policy, 1, (const char *) endorsers.data, 1),
		"Org0 Org1 Org2 Org3 Org4 Org5 Org6 Org7 Org8 Org9 Org10 Org11 Org12 Org13 Org14 Org15");

	/* two halves of which the second one decides: the lower bound is 1, the result 12 */
	fb_buffer_init(&text, allocator);
	fb_buffer_append_text(&text, "OutOf(12");
	for (int i = 0; i < 30; i++)
		fb_buffer_append_format(&text, ",OR(AND('Org%d.peer','Org%d.peer'),'Org%d.peer')", i,
								(i + 1) % 30, (i + 2) % 30);
	fb_buffer_append_text(&text, ")");
	fb_buffer_bytes(&text, &bytes, NULL);
	policy = policy_of(fb_text_copy(allocator, bytes));
	{
		for (size_t i = 0; i < 30; i++)
		{
			snprintf(names[i], sizeof(names[i]), "Org%zu", i);
			list[i].msp_id = names[i];
		}
		CHECK_STATUS(policy_layouts(allocator, &policy, 1, list, 30, 2, &layouts, &layouts_count,
									&error),
					 FB_OK);
		if (CHECK(layouts_count == 1 && layouts[0].endorsers_count < 30))
		{
			CHECK(policy_evaluate_match(policy, layouts[0].endorsers_count, match_layout,
										&(Layout) {list, &layouts[0], SIZE_MAX}));
			for (size_t i = 0; i < layouts[0].endorsers_count; i++)
				CHECK(!policy_evaluate_match(policy, layouts[0].endorsers_count - 1, match_layout,
											 &(Layout) {list, &layouts[0], i}));
		}
	}

	for (size_t i = 0; i <= FB_POLICY_ENDORSERS_MAX; i++)
		list[i].msp_id = "A";
	CHECK_STATUS(policy_layouts(allocator, &policy, 1, list, FB_POLICY_ENDORSERS_MAX + 1, 1,
								&layouts, &layouts_count, &error),
				 FB_LIMIT_EXCEEDED);
	policy = policy_of("AND('A.peer','A.peer')");
	CHECK_STATUS(policy_layouts(allocator, &policy, 1, list, FB_POLICY_ENDORSERS_MAX, 1, &layouts,
								&layouts_count, &error),
				 FB_OK);
	CHECK(layouts_count == 1 && layouts[0].endorsers_count == 2);
}

/*
 * ---- hostile bytes: every envelope with one byte changed is decoded or refused; a decoded one can
 * be used ----
 */

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

/* ---- an allocator that fails the n-th call ---- */

typedef FbStatus (*Work)(FbAllocator *memory);

static FbStatus
work_compile(FbAllocator *memory)
{
	FbBytes envelope;
	FbBytes application_policy;
	FbBytes principals[] = {FB_BYTES_LITERAL("A.peer")};
	bool result;
	char *text;
	const Policy *policy;
	PolicyEndorser endorsers[] = {{.msp_id = "A"}, {.msp_id = "B"}};
	PolicyLayout *layouts;
	size_t layouts_count;
	FbError error;

	FB_TRY(policy_compile(memory, FB_BYTES_LITERAL("OR('A.peer', AND('B.peer', 'A.member'))"),
						  &envelope, NULL, &error));
	FB_TRY(policy_print(memory, envelope, &text, &error));
	FB_TRY(policy_satisfied(memory, envelope, principals, 1, &result, &error));
	FB_TRY(application_policy_of_envelope(memory, envelope, &application_policy, &error));
	FB_TRY(policy_from_application_policy(memory, NULL, application_policy, &policy, &error));
	FB_TRY(policy_describe(memory, policy, &text, &error));
	FB_TRY(policy_layouts(memory, &policy, 1, endorsers, 2, 4, &layouts, &layouts_count, &error));
	return policy_compile_implicit_meta(memory, FB_BYTES_LITERAL("ANY Readers"), &envelope, &error);
}

static Common__ConfigGroup *failing_tree;

static FbStatus
work_manager(FbAllocator *memory)
{
	PolicyManager *manager;
	FbError error;

	return policy_manager_create(memory, failing_tree, &manager, &error);
}

static void
walk_failures(Work work)
{
	for (size_t fail_at = 1;; fail_at++)
	{
		FbArena failing;
		FbStatus status;

		fb_arena_init(&failing);
		failing.fail_at = fail_at;
		status = work(&failing.allocator);
		fb_arena_reset(&failing);
		if (status == FB_OK)
		{
			CHECK(fail_at > 5);
			return;
		}
		if (!CHECK_STATUS(status, FB_OUT_OF_MEMORY))
			return;
	}
}

int
main(void)
{
	fb_arena_init(&arena);
	CHECK_TEST(test_compile());
	CHECK_TEST(test_numbering());
	CHECK_TEST(test_compile_errors());
	CHECK_TEST(test_notice());
	CHECK_TEST(test_satisfied());
	CHECK_TEST(test_satisfied_errors());
	CHECK_TEST(test_decode());
	CHECK_TEST(test_decode_limits());
	CHECK_TEST(test_manager());
	CHECK_TEST(test_manager_errors());
	CHECK_TEST(test_implicit_meta_text());
	CHECK_TEST(test_layouts());
	CHECK_TEST(test_layouts_of_kinds());
	CHECK_TEST(test_random_layouts());
	CHECK_TEST(test_large_layouts());
	CHECK_TEST(test_hostile());
	CHECK_TEST(walk_failures(work_compile));
	failing_tree = new_group();
	add_policy(add_group(add_group(failing_tree, "Application"), "A"), "Admins", "OR('A.peer')");
	add_policy(failing_tree->groups[0]->value, "Admins", "ANY Admins");
	CHECK_TEST(walk_failures(work_manager));
	fb_arena_reset(&arena);
	return check_finish("policy");
}
