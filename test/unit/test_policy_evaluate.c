/* policy: evaluation, and the policies of a configuration tree; every allocation fails once */
#include "unit/policy_samples.h"

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

static bool
passes(const PolicyManager *manager, const char *path, Names names)
{
	return policy_evaluate_match(policy_manager_find(manager, path), names.count, match_name,
								 &names);
}

/* a channel with four organizations, where one lacks a policy, and a group without organizations */
static PolicyManager *
make_manager(void)
{
	Common__ConfigGroup *channel = new_group();
	Common__ConfigGroup *application = add_group(channel, "Application");
	static const char *const organizations[] = {"A", "B", "C", "D"};
	PolicyManager *manager;
	FbError error;

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
	return manager;
}

static void
test_meta_policies(void)
{
	PolicyManager *manager;
	Names no_names = {{NULL}, 0};
	Names a = {{"A"}, 1};
	Names ab = {{"A", "B"}, 2};
	Names abc = {{"A", "B", "C"}, 3};
	Names ax = {{"A", "X"}, 2};

	manager = make_manager();
	CHECK(!passes(manager, "/Channel/Application/AnyAdmins", no_names) &&
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
	CHECK(passes(manager, "/Channel/Orderer/ANY Admins", no_names));
	CHECK(passes(manager, "/Channel/Orderer/ALL Admins", no_names));
	CHECK(passes(manager, "/Channel/Orderer/MAJORITY Admins", no_names));
	/* over two levels; Orderer has no policy AnyAdmins */
	CHECK(passes(manager, "/Channel/Any", a) && !passes(manager, "/Channel/Any", no_names));
	CHECK(passes(manager, "/Channel/Deep", ab) && !passes(manager, "/Channel/Deep", a));
	CHECK(!passes(manager, "/Channel/All", abc));
	/* each sub-policy sees all signers, foreign ones do no harm */
	CHECK(passes(manager, "/Channel/Application/AnyAdmins", ax));
}

/* paths */
static void
test_manager_paths(void)
{
	PolicyManager *manager;
	const Policy *policy;
	char *text;
	Names a = {{"A"}, 1};

	manager = make_manager();
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
}

/* ApplicationPolicies */
static void
test_application_policies(void)
{
	PolicyManager *manager;
	const Policy *policy;
	FbBytes bytes;
	FbError error;

	manager = make_manager();
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
	CHECK_TEST(test_satisfied());
	CHECK_TEST(test_satisfied_errors());
	CHECK_TEST(test_meta_policies());
	CHECK_TEST(test_manager_paths());
	CHECK_TEST(test_application_policies());
	CHECK_TEST(test_manager_errors());
	CHECK_TEST(test_implicit_meta_text());
	CHECK_TEST(walk_failures(work_compile));
	failing_tree = new_group();
	add_policy(add_group(add_group(failing_tree, "Application"), "A"), "Admins", "OR('A.peer')");
	add_policy(failing_tree->groups[0]->value, "Admins", "ANY Admins");
	CHECK_TEST(walk_failures(work_manager));
	fb_arena_reset(&arena);
	return check_finish("policy/evaluate");
}
