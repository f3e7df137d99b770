/*
 * check.h: helpers for unit tests. A test is a function that calls CHECK(...) for each fact; main
 * runs each with CHECK_TEST(function(arguments)) and returns check_finish("directory/file"). A
 * failed check prints its place and text, and the test continues. The result counts tests; the
 * number of their checks, most of them in loops over random values, is printed beside it.
 */
#ifndef FABRIC_TEST_CHECK_H
#define FABRIC_TEST_CHECK_H

#include "arena.h"

#include <stdio.h>
#include <stdlib.h>

static int checks_passed;
static int checks_failed;
static int tests_passed;
static int tests_failed;
static int tests_checks;		/* checks made in tests */
static int tests_checks_failed; /* and the number that failed */

/* run one test: a call of a function */
#define CHECK_TEST(call)                                                                        \
	do                                                                                          \
	{                                                                                           \
		int before = checks_passed + checks_failed;                                             \
		int failed_before = checks_failed;                                                      \
                                                                                                \
		call;                                                                                   \
		check_count_test(checks_passed + checks_failed - before, checks_failed - failed_before, \
						 #call, __FILE__, __LINE__);                                            \
	} while (0)

#define CHECK(condition) check_fact((condition), #condition, __FILE__, __LINE__)
#define CHECK_STATUS(actual, expected) \
	check_status((actual), (expected), #actual, __FILE__, __LINE__)
#define CHECK_TEXT(actual, expected) check_text((actual), (expected), #actual, __FILE__, __LINE__)
/* compare bytes with lower-case hex */
#define CHECK_HEX(bytes, hex) check_hex((bytes), (hex), #bytes, __FILE__, __LINE__)

static inline bool
check_fact(bool holds, const char *what, const char *file, int line)
{
	if (holds)
		checks_passed++;
	else
	{
		checks_failed++;
		fprintf(stderr, "%s:%d: failed: %s\n", file, line, what);
	}
	return holds;
}

static inline bool
check_status(FbStatus actual, FbStatus expected, const char *what, const char *file, int line)
{
	if (check_fact(actual == expected, what, file, line))
		return true;
	fprintf(stderr, "    is %s, expected %s\n", test_status_name(actual),
			test_status_name(expected));
	return false;
}

static inline bool
check_text(const char *actual, const char *expected, const char *what, const char *file, int line)
{
	if (check_fact(actual != NULL && strcmp(actual, expected) == 0, what, file, line))
		return true;
	fprintf(stderr, "    is \"%s\"\n    expected \"%s\"\n", actual ? actual : "(null)", expected);
	return false;
}

static inline bool
check_hex(FbBytes actual, const char *expected, const char *what, const char *file, int line)
{
	char *hex = malloc(actual.size * 2 + 1);
	bool same;

	fb_hex_encode(actual, hex);
	same = check_text(hex, expected, what, file, line);
	free(hex);
	return same;
}

/*
 * Read a whole file into memory of malloc; ends the program when it cannot be read. Paths are
 * relative to the repository's root
 */
static inline FbBytes
check_read_file(const char *path)
{
	FILE *file = fopen(path, "rb");
	uint8_t *data = NULL;
	size_t size = 0;
	size_t capacity = 0;

	if (file == NULL)
	{
		fprintf(stderr, "could not open %s\n", path);
		exit(2);
	}
	for (;;)
	{
		size_t got;

		if (size == capacity)
		{
			capacity = capacity ? capacity * 2 : 65536;
			data = realloc(data, capacity);
		}
		got = fread(data + size, 1, capacity - size, file);
		if (got == 0)
			break;
		size += got;
	}
	fclose(file);
	return fb_bytes(data, size);
}

/* a test without a check proves nothing, so it fails */
static inline void
check_count_test(int checks, int failed, const char *what, const char *file, int line)
{
	tests_checks += checks;
	tests_checks_failed += failed;
	if (checks > 0 && failed == 0)
	{
		tests_passed++;
		return;
	}
	tests_failed++;
	fprintf(stderr, "%s:%d: test failed: %s: %d of %d checks\n", file, line, what, failed, checks);
}

/* checks in main itself count as one more test */
static inline int
check_finish(const char *name)
{
	int outside = checks_passed + checks_failed - tests_checks;

	if (outside > 0)
		check_count_test(outside, checks_failed - tests_checks_failed, "main", name, 0);
	printf("%s: %d passed, %d failed (%d checks)\n", name, tests_passed, tests_failed,
		   checks_passed + checks_failed);
	return tests_failed > 0;
}

#endif
