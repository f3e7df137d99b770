/* config: names of channels and elements, addresses, durations */
#include "unit/config_samples.h"

static void
test_names(void)
{
	static const char *const good_channels[] = {"a", "mychannel", "a.b-c9", "z0"};
	static const char *const bad_channels[] = {"",			 "A",		  "1a",	 ".a",		 "-a",
											   "my_channel", "myChannel", "a b", "\xc3\xa9", "a/"};
	static const char *const good_elements[] = {"a", "A", "9", "Org1MSP", "-", "...", "a.b-c"};
	static const char *const bad_elements[] = {"", ".", "..", "a_b", "a/b", "a b", "\xc3\xa9"};
	char long_name[FB_CHANNEL_ID_BYTES_MAX + 1];

	for (size_t i = 0; i < sizeof(good_channels) / sizeof(good_channels[0]); i++)
		CHECK_STATUS(config_check_channel_id(fb_bytes_of_text(good_channels[i]), &error), FB_OK);
	for (size_t i = 0; i < sizeof(bad_channels) / sizeof(bad_channels[0]); i++)
		CHECK_STATUS(config_check_channel_id(fb_bytes_of_text(bad_channels[i]), &error),
					 FB_INVALID_ARGUMENT);
	CHECK_TEXT(error.message, "invalid channel name \"a/\"");
	for (size_t i = 0; i < sizeof(good_elements) / sizeof(good_elements[0]); i++)
		CHECK_STATUS(config_check_element_id(fb_bytes_of_text(good_elements[i]), &error), FB_OK);
	for (size_t i = 0; i < sizeof(bad_elements) / sizeof(bad_elements[0]); i++)
		CHECK_STATUS(config_check_element_id(fb_bytes_of_text(bad_elements[i]), &error),
					 FB_INVALID_CONFIG);
	memset(long_name, 'a', sizeof(long_name));
	CHECK_STATUS(config_check_channel_id(fb_bytes(long_name, FB_CHANNEL_ID_BYTES_MAX), &error),
				 FB_OK);
	CHECK_STATUS(config_check_channel_id(fb_bytes(long_name, FB_CHANNEL_ID_BYTES_MAX + 1), &error),
				 FB_INVALID_ARGUMENT);
	CHECK_STATUS(config_check_element_id(fb_bytes(long_name, FB_CONFIG_ID_BYTES_MAX), &error),
				 FB_OK);
	CHECK_STATUS(config_check_element_id(fb_bytes(long_name, FB_CONFIG_ID_BYTES_MAX + 1), &error),
				 FB_INVALID_CONFIG);
	CHECK_STATUS(config_check_channel_id(FB_BYTES_LITERAL("a\0b"), &error), FB_INVALID_ARGUMENT);
}

static void
test_addresses(void)
{
	static const struct
	{
		const char *address;
		const char *host; /* NULL: refused */
		int port;
	} table[] = {
		{"localhost:7050", "localhost", 7050},
		{"10.0.0.1:1", "10.0.0.1", 1},
		{"a-b.c:65535", "a-b.c", 65535},
		{"[::1]:7050", "::1", 7050},
		{"", NULL, 0},
		{"localhost", NULL, 0},
		{":7050", NULL, 0},
		{"localhost:", NULL, 0},
		{"localhost:0", NULL, 0},
		{"localhost:65536", NULL, 0},
		{"localhost:070500", NULL, 0},
		{"localhost:+70", NULL, 0},
		{"::1:7050", NULL, 0},
		{"[]:7050", NULL, 0},
		{"[::1:7050", NULL, 0},
		{"a b:7050", NULL, 0},
		{"a\nb:7050", NULL, 0},
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
	{
		char *host;
		uint16_t port = 0;
		FbStatus status = config_parse_address(allocator, fb_bytes_of_text(table[i].address), &host,
											   &port, &error);

		if (!CHECK_STATUS(status, table[i].host != NULL ? FB_OK : FB_INVALID_ARGUMENT))
			fprintf(stderr, "    %s\n", table[i].address);
		if (status == FB_OK)
			CHECK(strcmp(host, table[i].host) == 0 && port == table[i].port);
	}
}

static void
test_durations(void)
{
	static const struct
	{
		const char *text;
		int64_t nanoseconds;
		const char *printed; /* NULL: the same text */
	} good[] = {
		{"0s", 0, NULL},
		{"0", 0, "0s"},
		{"-0", 0, "0s"},
		{"1ns", 1, NULL},
		{"999ns", 999, NULL},
		{"1\xc2\xb5s", 1000, NULL},
		{"1us", 1000, "1\xc2\xb5s"},
		{"1.5us", 1500, "1.5\xc2\xb5s"},
		{"500ms", 500000000, NULL},
		{"2s", 2000000000, NULL},
		{"1.5s", 1500000000, NULL},
		{".5s", 500000000, "500ms"},
		{"1.s", 1000000000, "1s"},
		{"90s", INT64_C(90000000000), "1m30s"},
		{"1h", INT64_C(3600000000000), "1h0m0s"},
		{"1.5h", INT64_C(5400000000000), "1h30m0s"},
		{"1h2m3.004s", INT64_C(3723004000000), "1h2m3.004s"},
		{"-250ms", -250000000, NULL},
		{"+3m", INT64_C(180000000000), "3m0s"},
		{"2562047h47m16.854775807s", INT64_MAX, NULL},
		{"1.0000000000000000001s", 1000000000, "1s"},
	};
	static const char *const bad[] = {"",
									  "1",
									  "s",
									  ".s",
									  "-",
									  "1 s",
									  "1d",
									  "1s ",
									  "s1",
									  "1.2.3s",
									  "2562047h47m16.854775808s",
									  "99999999999999999999s",
									  "1e3s",
									  "--1s"};
	int64_t nanoseconds;
	char text[CONFIG_DURATION_TEXT_BYTES];

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
	{
		CHECK_STATUS(config_parse_duration(fb_bytes_of_text(good[i].text), &nanoseconds, &error),
					 FB_OK);
		if (!CHECK(nanoseconds == good[i].nanoseconds))
			fprintf(stderr, "    %s is %lld\n", good[i].text, (long long) nanoseconds);
		config_print_duration(nanoseconds, text);
		CHECK_TEXT(text, good[i].printed != NULL ? good[i].printed : good[i].text);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (!CHECK_STATUS(config_parse_duration(fb_bytes_of_text(bad[i]), &nanoseconds, &error),
						  FB_INVALID_CONFIG))
			fprintf(stderr, "    %s\n", bad[i]);
	config_print_duration(INT64_MIN, text);
	CHECK_TEXT(text, "-2562047h47m16.854775808s");
}

int
main(void)
{
	fb_arena_init(&arena);
	CHECK_TEST(test_names());
	CHECK_TEST(test_addresses());
	CHECK_TEST(test_durations());
	fb_arena_reset(&arena);
	return check_finish("config/names");
}
