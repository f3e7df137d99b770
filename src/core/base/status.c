/*
 * status.c: status codes and their texts, from the one list in base.h, and how errors are filled in
 */
#include "core/base/base.h"

#include <stdio.h>
#include <stdlib.h>

typedef struct StatusEntry
{
	const char *sqlstate;
	const char *text;
} StatusEntry;

static const StatusEntry entries[] = {
#define STATUS_ENTRY(name, sqlstate, text) {sqlstate, text},
	FB_STATUS_LIST(STATUS_ENTRY)
#undef STATUS_ENTRY
};

static const StatusEntry *
status_entry(FbStatus status)
{
	return &entries[(unsigned) status < FB_STATUS_COUNT ? status : FB_INTERNAL];
}

const char *
fb_status_sqlstate(FbStatus status)
{
	return status_entry(status)->sqlstate;
}

const char *
fb_status_text(FbStatus status)
{
	return status_entry(status)->text;
}

/* in place: see fb_print_cut */
static void
make_printable(char *text)
{
	for (size_t i = 0; text[i] != '\0';)
	{
		size_t size = fb_utf8_character((const uint8_t *) text + i, strnlen(text + i, 4));

		if (size == 0 || (size == 1 && ((unsigned char) text[i] < 0x20 || text[i] == 0x7F) &&
						  text[i] != '\n' && text[i] != '\t'))
		{
			text[i] = '?';
			size = 1;
		}
		i += size;
	}
}

void
fb_print_cut(char *field, size_t field_bytes, const char *format, va_list arguments)
{
	int printed = vsnprintf(field, field_bytes, format, arguments);

	if (printed < 0)
	{
		field[0] = '\0';
		return;
	}
	if ((size_t) printed >= field_bytes)
	{
		size_t end = field_bytes - 1;
		size_t start = end;

		/*
		 * go back to the first byte of the last character; keep the character only if it is whole
		 */
		while (start > 0 && ((unsigned char) field[start - 1] & 0xC0) == 0x80)
			start--;
		if (start > 0 && ((unsigned char) field[start - 1] & 0xC0) == 0xC0)
		{
			unsigned char lead = (unsigned char) field[start - 1];
			size_t wanted = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;

			if (end - (start - 1) < wanted)
				end = start - 1;
		}
		field[end] = '\0';
	}
	make_printable(field);
}

FbStatus
fb_fail(FbError *error, FbStatus status, const char *format, ...)
{
	if (error != NULL)
	{
		va_list arguments;

		error->status = status;
		error->detail[0] = '\0';
		error->hint[0] = '\0';
		va_start(arguments, format);
		fb_print_cut(error->message, sizeof(error->message), format, arguments);
		va_end(arguments);
	}
	return status;
}

void
fb_error_detail(FbError *error, const char *format, ...)
{
	va_list arguments;

	if (error == NULL)
		return;
	va_start(arguments, format);
	fb_print_cut(error->detail, sizeof(error->detail), format, arguments);
	va_end(arguments);
}

void
fb_error_hint(FbError *error, const char *format, ...)
{
	va_list arguments;

	if (error == NULL)
		return;
	va_start(arguments, format);
	fb_print_cut(error->hint, sizeof(error->hint), format, arguments);
	va_end(arguments);
}

FbStatus
fb_out_of_memory(FbError *error)
{
	return fb_fail(error, FB_OUT_OF_MEMORY, "out of memory");
}

static void
assert_default(const char *condition, const char *file, int line)
{
	fprintf(stderr, "assertion failed: %s (%s:%d)\n", condition, file, line);
	abort();
}

FbAssertHook fb_assert_hook = assert_default;

void
fb_assert_failed(const char *condition, const char *file, int line)
{
	fb_assert_hook(condition, file, line);
	abort(); /* reached only if the hook returns */
}
