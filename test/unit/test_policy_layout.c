/* policy: layouts, the sets of organizations that satisfy a policy, against the plain definition */
#include "unit/policy_samples.h"

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
	const Policy *two[2];

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
}

/* meta policies of a channel */
static void
test_layouts_of_channel(void)
{
	Common__ConfigGroup *channel = new_group();
	Common__ConfigGroup *application = add_group(channel, "Application");
	static const char *const names[] = {"A", "B", "C", "D", "E"};
	const Policy *two[2];
	PolicyManager *manager;

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

static const struct
{
	Common__MSPPrincipal__Classification kind;
	const char *principal; /* hex */
	size_t layouts_count;
} layouts_of_kinds[] = {
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

/*
 * Principals that are not roles: an endorser is its identity, and nominal; its organizational units
 * are unknown.
 */
static void
test_layouts_of_kinds(void)
{
	PolicyEndorser endorsers[] = {{.msp_id = "C"}, {.msp_id = "A"}, {.msp_id = "A"}};
	PolicyLayout *layouts;
	size_t layouts_count;
	const Policy *policy;

	for (size_t i = 0; i < sizeof(layouts_of_kinds) / sizeof(layouts_of_kinds[0]); i++)
	{
		policy =
			policy_of_principal(layouts_of_kinds[i].kind, from_hex(layouts_of_kinds[i].principal));
		CHECK_STATUS(policy_layouts(allocator, &policy, 1, endorsers, 2, 10, &layouts,
									&layouts_count, NULL),
					 FB_OK);
		if (!CHECK(layouts_count == layouts_of_kinds[i].layouts_count))
			fprintf(stderr, "    %zu: %zu\n", i, layouts_count);
		for (size_t k = 0; k < layouts_count; k++)
			CHECK(layouts[k].endorsers_count == 1 &&
				  layouts[k].endorsers[0] == 1 - (layouts_count - 1 - k));
	}
}

/* one endorser and no other, byte for byte */
static void
test_layouts_of_identity(void)
{
	PolicyEndorser endorsers[] = {{.msp_id = "C"}, {.msp_id = "A"}, {.msp_id = "A"}};
	PolicyLayout *layouts;
	size_t layouts_count;
	const Policy *policy;

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

int
main(void)
{
	fb_arena_init(&arena);
	CHECK_TEST(test_layouts());
	CHECK_TEST(test_layouts_of_channel());
	CHECK_TEST(test_layouts_of_kinds());
	CHECK_TEST(test_layouts_of_identity());
	CHECK_TEST(test_random_layouts());
	CHECK_TEST(test_large_layouts());
	fb_arena_reset(&arena);
	return check_finish("policy/layout");
}
