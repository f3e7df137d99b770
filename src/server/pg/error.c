/* error.c: conversion between FbError and ereport */
#include "server/pg/pg.h"

#include "mb/pg_wchar.h"

/* enough to recognize a name */
#define EXCERPT_BYTES 200

int
error_sqlstate(FbStatus status)
{
	const char *state = fb_status_sqlstate(status);

	return MAKE_SQLSTATE(state[0], state[1], state[2], state[3], state[4]);
}

FbStatus
error_status_of(int sqlstate)
{
	for (int status = FB_OK + 1; status < FB_STATUS_COUNT; status++)
		if (error_sqlstate((FbStatus) status) == sqlstate)
			return (FbStatus) status;
	return FB_INTERNAL;
}

static bool
is_control(char character)
{
	return ((unsigned char) character < ' ' && character != '\t' && character != '\n') ||
		   character == 0x7f;
}

/* control characters other than tab and line feed could change the terminal of the log's reader */
static bool
has_controls(const char *text, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (is_control(text[i]))
			return true;
	return false;
}

const char *
error_excerpt(const char *text)
{
	size_t size = strnlen(text, EXCERPT_BYTES + 1);
	bool cut = size > EXCERPT_BYTES;
	char *copy;

	if (!cut && !has_controls(text, size))
		return text;
	copy = psprintf("%.*s%s", cut ? pg_mbcliplen(text, (int) size, EXCERPT_BYTES) : (int) size,
					text, cut ? "..." : "");
	for (char *at = copy; *at != '\0'; at++)
		if (is_control(*at))
			*at = '?';
	return copy;
}

const char *
error_printable(FbBytes bytes)
{
	bool cut = bytes.size > EXCERPT_BYTES;
	const char *data = (const char *) bytes.data;
	int size;
	char *text;

	if (bytes.size == 0)
		return "";
	size = cut ? pg_mbcliplen(data, EXCERPT_BYTES + 1, EXCERPT_BYTES) : (int) bytes.size;
	if (!pg_verifymbstr(data, size, true) || memchr(data, '\0', size) != NULL)
		return psprintf("(%zu bytes)", bytes.size);
	text = psprintf("%.*s%s", size, data, cut ? "..." : "");
	for (char *at = text; *at != '\0'; at++)
		if ((unsigned char) *at < ' ' || *at == 0x7f)
			*at = '?';
	return text;
}

void
error_raise(FbStatus status, const FbError *error, const char *file, int line, const char *function)
{
	bool described = error->status == status && error->message[0] != '\0';

	/* like ereport, with the location of the caller */
	if (errstart_cold(ERROR, TEXTDOMAIN))
	{
		fb_errcode(status);
		errmsg_internal("%s", described ? error->message : fb_status_text(status));
		if (described && error->detail[0] != '\0')
			errdetail_internal("%s", error->detail);
		if (described && error->hint[0] != '\0')
			errhint("%s", error->hint);
		errfinish(file, line, function);
	}
	pg_unreachable();
}

void
error_capture(const ErrorData *data, FbError *error)
{
	fb_fail(error, error_status_of(data->sqlerrcode), "%s",
			data->message ? data->message : "unknown error");
	if (data->detail)
		fb_error_detail(error, "%s", data->detail);
	if (data->hint)
		fb_error_hint(error, "%s", data->hint);
}
