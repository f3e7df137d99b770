/*
 * base: errors are cut at character boundaries, buffers grow and fail stickily, UTF-8 as in Go,
 * hex, arena
 */
#include "unit/check.h"

static void
test_errors(void)
{
	FbError error;
	char long_text[2 * FB_ERROR_MESSAGE_BYTES];

	CHECK_STATUS(fb_fail(&error, FB_INVALID_ARGUMENT, "bad \"%s\"", "x"), FB_INVALID_ARGUMENT);
	CHECK_TEXT(error.message, "bad \"x\"");
	CHECK_TEXT(error.hint, "");
	CHECK_TEXT(fb_status_sqlstate(FB_MVCC_READ_CONFLICT), "LF408");
	CHECK_STATUS(fb_fail(NULL, FB_BUSY, "x"), FB_BUSY);

	/* two-byte characters, so that the cut falls in the middle of one */
	for (size_t i = 0; i + 1 < sizeof(long_text); i += 2)
		memcpy(long_text + i, "\xc3\xa9", 2);
	long_text[sizeof(long_text) - 1] = '\0';
	fb_fail(&error, FB_BUSY, "%s", long_text);
	CHECK(strlen(error.message) == FB_ERROR_MESSAGE_BYTES - 2);
	CHECK(fb_utf8_valid(fb_bytes_of_text(error.message)));

	/* every code once, and well formed */
	for (int a = 0; a < FB_STATUS_COUNT; a++)
	{
		CHECK(strlen(fb_status_sqlstate(a)) == 5);
		for (int b = a + 1; b < FB_STATUS_COUNT; b++)
			CHECK(strcmp(fb_status_sqlstate(a), fb_status_sqlstate(b)) != 0);
	}
}

static void
test_buffer(void)
{
	FbArena arena;
	FbBuffer buffer;
	FbBytes bytes;

	fb_arena_init(&arena);
	fb_buffer_init(&buffer, &arena.allocator);
	for (int i = 0; i < 1000; i++)
		fb_buffer_append_format(&buffer, "%03d", i);
	CHECK_STATUS(fb_buffer_bytes(&buffer, &bytes, NULL), FB_OK);
	CHECK(bytes.size == 3000 && memcmp(bytes.data + 2997, "999", 3) == 0);

	for (size_t fail_at = 1; fail_at < 4; fail_at++)
	{
		fb_arena_reset(&arena);
		arena.fail_at = fail_at;
		fb_buffer_init(&buffer, &arena.allocator);
		for (int i = 0; i < 1000; i++)
			fb_buffer_append_byte(&buffer, 'x');
		CHECK_STATUS(fb_buffer_bytes(&buffer, &bytes, NULL), FB_OUT_OF_MEMORY);
	}
	arena.fail_at = 0;
	CHECK(fb_allocate_array(&arena.allocator, SIZE_MAX / 2, 3) == NULL);
	fb_arena_reset(&arena);
}

static void
test_text(void)
{
	uint8_t raw[4];
	char hex[9];

	CHECK(fb_utf8_valid(FB_BYTES_LITERAL("a\0\xF4\x8F\xBF\xBF")));
	CHECK(!fb_utf8_valid(FB_BYTES_LITERAL("\xF4\x90\x80\x80")));
	CHECK(!fb_utf8_valid(FB_BYTES_LITERAL("\xED\xA0\x80")));
	CHECK(!fb_utf8_valid(FB_BYTES_LITERAL("\xC0\x80")));
	CHECK(!fb_utf8_valid(FB_BYTES_LITERAL("\xE2\x82")));
	CHECK(fb_utf8_cut(FB_BYTES_LITERAL("ab"), 2) == 2 &&
		  fb_utf8_cut(FB_BYTES_LITERAL("abc"), 2) == 2);
	CHECK(fb_utf8_cut(FB_BYTES_LITERAL("a\xc3\xa9z"), 2) == 1 &&
		  fb_utf8_cut(FB_BYTES_LITERAL("a\xc3\xa9z"), 3) == 3);
	CHECK(fb_utf8_cut(FB_BYTES_LITERAL("\xc3\xa9"), 1) == 0 && fb_utf8_cut(FB_BYTES_EMPTY, 5) == 0);
	CHECK(fb_hex_decode("00fFa0", 6, raw) && memcmp(raw, "\0\xff\xa0", 3) == 0);
	CHECK(!fb_hex_decode("0", 1, raw) && !fb_hex_decode("0g", 2, raw));
	fb_hex_encode(FB_BYTES_LITERAL("\x01\xfe"), hex);
	CHECK_TEXT(hex, "01fe");
	CHECK(fb_bytes_compare(FB_BYTES_LITERAL("a"), FB_BYTES_LITERAL("a\0")) < 0);
	CHECK(fb_bytes_compare(FB_BYTES_LITERAL("\xff"), FB_BYTES_LITERAL("a")) > 0);
}

static void
test_display(void)
{
	char many[2000];
	const char *shown;
	FbError error;

	CHECK_TEXT(FB_DISPLAY(FB_BYTES_EMPTY), "");
	CHECK_TEXT(FB_DISPLAY(FB_BYTES_LITERAL("gar\xC3\xA7on \xF0\x9F\x98\x80 %s%n")),
			   "gar\xC3\xA7on \xF0\x9F\x98\x80 %s%n");
	/* composite keys */
	CHECK_TEXT(FB_DISPLAY(FB_BYTES_LITERAL("\0owner~id\0Ada\0")), "\xE2\x90\x80owner~id\xE2\x90\x80"
																  "Ada\xE2\x90\x80");
	/*
	 * characters that would move the cursor, begin another line, or change the direction of the
	 * text
	 */
	CHECK_TEXT(FB_DISPLAY(FB_BYTES_LITERAL("a\x1b[2J\r\nb\x7f\xC2\x85\xE2\x80\xAE\xEF\xBB\xBF")),
			   "a\\u001b[2J\\u000d\\u000ab\\u007f\\u0085\\u202e\\ufeff");
	CHECK_TEXT(FB_DISPLAY(FB_BYTES_LITERAL("a\xff")), "\\x61ff");
	CHECK_TEXT(FB_DISPLAY(FB_BYTES_LITERAL("\xE2\x82")), "\\xe282");
	for (int lead = 0; lead < 5; lead++)
	{
		memset(many, 'a', sizeof(many));
		for (int i = lead; i + 1 < (int) sizeof(many); i += 2)
			memcpy(many + i, "\xC3\xA9", 2);
		many[sizeof(many) - 1] = 'z';
		shown = FB_DISPLAY(fb_bytes(many, sizeof(many)));
		CHECK(strlen(shown) < FB_DISPLAY_BYTES && strlen(shown) > FB_DISPLAY_BYTES - 16);
		CHECK(fb_utf8_valid(fb_bytes_of_text(shown)) &&
			  strcmp(shown + strlen(shown) - 3, "...") == 0);
	}
	/* only the characters with the longest escapes, and no text at all */
	memset(many, 1, sizeof(many));
	shown = FB_DISPLAY(fb_bytes(many, sizeof(many)));
	CHECK(strlen(shown) < FB_DISPLAY_BYTES && strncmp(shown, "\\u0001\\u0001", 12) == 0 &&
		  strcmp(shown + strlen(shown) - 3, "...") == 0);
	memset(many, 0xff, sizeof(many));
	shown = FB_DISPLAY(fb_bytes(many, sizeof(many)));
	CHECK(strlen(shown) < FB_DISPLAY_BYTES && strncmp(shown, "\\xffff", 6) == 0 &&
		  strcmp(shown + strlen(shown) - 3, "...") == 0);
	/* whatever bytes a message is given, the result is text for clients and logs */
	fb_fail(&error, FB_INTERNAL, "%s", "a\xff\xE2\x82 \x1b[2J\xC3\xA9\tb\nc\x7f");
	CHECK_TEXT(error.message, "a??? ?[2J\xC3\xA9\tb\nc?");
	fb_error_detail(&error, "%s", "\xED\xA0\x80.");
	CHECK_TEXT(error.detail, "???.");
}

static void
test_rand(void)
{
	FbRand a;
	FbRand b;
	unsigned seen = 0;

	fb_rand_seed(&a, 7);
	fb_rand_seed(&b, 7);
	for (int i = 0; i < 100; i++)
	{
		uint64_t value = fb_rand_below(&a, 5);

		CHECK(value < 5 && value == fb_rand_below(&b, 5));
		seen |= 1u << value;
	}
	CHECK(seen == 31);
}

int
main(void)
{
	CHECK_TEST(test_errors());
	CHECK_TEST(test_buffer());
	CHECK_TEST(test_text());
	CHECK_TEST(test_display());
	CHECK_TEST(test_rand());
	return check_finish("base");
}
