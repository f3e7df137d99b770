/*
 * check.h: what a unit test needs. A test program calls CHECK(...) for each fact and returns
 * check_finish("room/file"). A failed check prints where and what, and goes on.
 */
#ifndef FABRIC_TEST_CHECK_H
#define FABRIC_TEST_CHECK_H

#include "core/base/base.h"

#include <stdio.h>
#include <stdlib.h>

static int checks_passed;
static int checks_failed;

#define CHECK(condition) check_fact((condition), #condition, __FILE__, __LINE__)
#define CHECK_STATUS(actual, expected) \
	check_status((actual), (expected), #actual, __FILE__, __LINE__)
#define CHECK_TEXT(actual, expected) check_text((actual), (expected), #actual, __FILE__, __LINE__)
/* bytes against lower-case hex */
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
	fprintf(stderr, "    is %s, expected %s\n", fb_status_name(actual), fb_status_name(expected));
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
 * the whole file, from malloc; ends the program when it cannot be read. Paths are relative to the
 * repository's root
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

static inline int
check_finish(const char *name)
{
	printf("%s: %d passed, %d failed\n", name, checks_passed, checks_failed);
	return checks_failed > 0;
}

#endif
