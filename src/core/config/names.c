/*
 * names.c: names, addresses and durations in configurations (common/configtx/validator.go; Go's
 * time package)
 */
#include "core/config/config_internal.h"

#include <stdio.h>

static bool
is_lower(uint8_t c)
{
	return c >= 'a' && c <= 'z';
}

static bool
name_is_digit(uint8_t c)
{
	return c >= '0' && c <= '9';
}

FbStatus
config_check_channel_id(FbBytes channel_id, FbError *error)
{
	bool good = channel_id.size > 0 && is_lower(channel_id.data[0]);

	if (channel_id.size > FB_CHANNEL_ID_BYTES_MAX)
		return fb_fail(error, FB_INVALID_ARGUMENT, "channel name has %zu bytes, more than %d",
					   channel_id.size, FB_CHANNEL_ID_BYTES_MAX);
	for (size_t i = 0; i < channel_id.size && good; i++)
	{
		uint8_t c = channel_id.data[i];

		good = is_lower(c) || name_is_digit(c) || c == '.' || c == '-';
	}
	if (good)
		return FB_OK;
	fb_fail(error, FB_INVALID_ARGUMENT, "invalid channel name \"%s\"", FB_DISPLAY(channel_id));
	fb_error_hint(
		error,
		"A channel name begins with a lower-case letter and has lower-case letters, digits, \".\" and \"-\".");
	return FB_INVALID_ARGUMENT;
}

bool
config_is_kafka_broker(const char *broker)
{
	const char *colon = strchr(broker, ':');
	uint32_t port = 0;

	if (colon == NULL || colon[1] == '\0')
		return false;
	for (const char *c = colon + 1; *c != '\0'; c++)
	{
		if (!name_is_digit((uint8_t) *c))
			return false;
		port = port * 10 + (uint32_t) (*c - '0');
		if (port > UINT16_MAX)
			return false;
	}
	for (const char *c = broker; c < colon; c++)
	{
		bool inside = c > broker && c + 1 < colon && (*c == '.' || *c == '-');

		if (!inside && !is_lower((uint8_t) *c) && !(*c >= 'A' && *c <= 'Z') &&
			!name_is_digit((uint8_t) *c))
			return false;
	}
	return true;
}

FbStatus
config_check_element_id(FbBytes element_id, FbError *error)
{
	bool good = element_id.size > 0 && !fb_bytes_equal(element_id, FB_BYTES_LITERAL(".")) &&
				!fb_bytes_equal(element_id, FB_BYTES_LITERAL(".."));

	if (element_id.size > FB_CONFIG_ID_BYTES_MAX)
		return fb_fail(error, FB_INVALID_CONFIG,
					   "name of a configuration element has %zu bytes, more than %d",
					   element_id.size, FB_CONFIG_ID_BYTES_MAX);
	for (size_t i = 0; i < element_id.size && good; i++)
	{
		uint8_t c = element_id.data[i];

		good = is_lower(c) || (c >= 'A' && c <= 'Z') || name_is_digit(c) || c == '.' || c == '-';
	}
	if (good)
		return FB_OK;
	fb_fail(error, FB_INVALID_CONFIG, "invalid name \"%s\" of a configuration element",
			FB_DISPLAY(element_id));
	fb_error_hint(error,
				  "Names of groups, values and policies have letters, digits, \".\" and \"-\".");
	return FB_INVALID_CONFIG;
}

FbStatus
config_parse_address(FbAllocator *allocator, FbBytes address, char **host, uint16_t *port,
					 FbError *error)
{
	size_t colon = address.size;
	FbBytes name;
	uint32_t number = 0;
	bool good;

	*host = NULL;
	while (colon > 0 && address.data[colon - 1] != ':')
		colon--;
	name = fb_bytes(address.data, colon > 0 ? colon - 1 : 0);
	good = name.size > 0 && address.size > colon && address.size - colon <= 5;
	for (size_t i = colon; i < address.size && good; i++)
	{
		good = name_is_digit(address.data[i]);
		number = number * 10 + (address.data[i] - '0');
	}
	if (good && name.data[0] == '[')
	{
		good = name.size > 2 && name.data[name.size - 1] == ']';
		if (good)
			name = fb_bytes(name.data + 1, name.size - 2);
	}
	else if (good && memchr(name.data, ':', name.size) != NULL)
		good = false;
	for (size_t i = 0; i < name.size && good; i++)
		good =
			name.data[i] > ' ' && name.data[i] < 0x7F && name.data[i] != '[' && name.data[i] != ']';
	if (!good || number == 0 || number > UINT16_MAX)
	{
		fb_fail(error, FB_INVALID_ARGUMENT, "invalid address \"%s\"", FB_DISPLAY(address));
		fb_error_hint(error, "An address is host:port; an IPv6 address is written in brackets.");
		return FB_INVALID_ARGUMENT;
	}
	*host = fb_text_copy(allocator, name);
	if (*host == NULL)
		return fb_out_of_memory(error);
	*port = (uint16_t) number;
	return FB_OK;
}

static bool
take_unit(FbBytes text, size_t *position, int64_t *unit)
{
	/* "ms" before "m": the first unit that matches is used */
	static const struct
	{
		const char *name;
		int64_t nanoseconds;
	} units[] = {
		{"ns", 1},
		{"us", 1000},
		{"\xc2\xb5s", 1000},
		{"\xce\xbcs", 1000},
		{"ms", 1000000},
		{"s", 1000000000},
		{"m", INT64_C(60) * 1000000000},
		{"h", INT64_C(3600) * 1000000000},
	};

	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
	{
		size_t size = strlen(units[i].name);

		if (text.size - *position >= size &&
			memcmp(text.data + *position, units[i].name, size) == 0)
		{
			*position += size;
			*unit = units[i].nanoseconds;
			return true;
		}
	}
	return false;
}

/* further digits of a fraction, even of an hour, are less than a nanosecond: they are dropped */
#define FRACTION_SCALE_MAX INT64_C(1000000000000000000)

FbStatus
config_parse_duration(FbBytes text, int64_t *nanoseconds, FbError *error)
{
	size_t i = 0;
	bool negative = false;
	bool good;
	__int128 total = 0;

	*nanoseconds = 0;
	if (text.size > 0 && (text.data[0] == '-' || text.data[0] == '+'))
		negative = text.data[i++] == '-';
	if (fb_bytes_equal(fb_bytes(text.data + i, text.size - i), FB_BYTES_LITERAL("0")))
		return FB_OK; /* the only number that is valid without a unit */
	good = i < text.size;
	while (good && i < text.size)
	{
		__int128 whole = 0;
		__int128 fraction = 0;
		__int128 scale = 1;
		bool any_digit = false;
		int64_t unit = 0;

		for (; i < text.size && name_is_digit(text.data[i]) && good; i++, any_digit = true)
		{
			whole = whole * 10 + (text.data[i] - '0');
			good = whole <= INT64_MAX;
		}
		if (good && i < text.size && text.data[i] == '.')
			for (i++; i < text.size && name_is_digit(text.data[i]); i++, any_digit = true)
				if (scale < FRACTION_SCALE_MAX)
				{
					fraction = fraction * 10 + (text.data[i] - '0');
					scale *= 10;
				}
		good = good && any_digit && take_unit(text, &i, &unit);
		if (good)
			total += whole * unit + fraction * unit / scale;
		good = good && total <= INT64_MAX;
	}
	if (!good)
	{
		fb_fail(error, FB_INVALID_CONFIG, "invalid duration \"%s\"", FB_DISPLAY(text));
		fb_error_hint(
			error, "A duration is a number with a unit: ns, us, ms, s, m or h, such as \"500ms\".");
		return FB_INVALID_CONFIG;
	}
	*nanoseconds = negative ? (int64_t) -total : (int64_t) total;
	return FB_OK;
}

/* print value in units of 10^digits nanoseconds, with as many fraction digits as needed */
static int
print_fraction(char *text, size_t text_bytes, uint64_t value, int digits)
{
	uint64_t scale = 1;
	uint64_t fraction;
	int size;

	for (int i = 0; i < digits; i++)
		scale *= 10;
	size = snprintf(text, text_bytes, "%llu", (unsigned long long) (value / scale));
	fraction = value % scale;
	if (fraction == 0)
		return size;
	while (fraction % 10 == 0)
	{
		fraction /= 10;
		digits--;
	}
	return size + snprintf(text + size, text_bytes - (size_t) size, ".%0*llu", digits,
						   (unsigned long long) fraction);
}

void
config_print_duration(int64_t nanoseconds, char text[CONFIG_DURATION_TEXT_BYTES])
{
	const uint64_t minute = UINT64_C(60) * 1000000000;
	uint64_t value = nanoseconds < 0 ? -(uint64_t) nanoseconds : (uint64_t) nanoseconds;
	char number[CONFIG_DURATION_TEXT_BYTES];
	const char *sign = nanoseconds < 0 ? "-" : "";

	if (value < 1000)
		snprintf(text, CONFIG_DURATION_TEXT_BYTES, value == 0 ? "0s" : "%s%lluns", sign,
				 (unsigned long long) value);
	else if (value < 1000000000)
	{
		int digits = value < 1000000 ? 3 : 6;

		print_fraction(number, sizeof(number), value, digits);
		snprintf(text, CONFIG_DURATION_TEXT_BYTES, "%s%.20s%s", sign, number,
				 digits == 3 ? "\xc2\xb5s" : "ms");
	}
	else
	{
		unsigned long long hours = value / (60 * minute);
		unsigned long long minutes = value / minute % 60;

		print_fraction(number, sizeof(number), value % minute, 9);
		if (hours > 0)
			snprintf(text, CONFIG_DURATION_TEXT_BYTES, "%s%lluh%llum%.13ss", sign, hours, minutes,
					 number);
		else if (minutes > 0)
			snprintf(text, CONFIG_DURATION_TEXT_BYTES, "%s%llum%.13ss", sign, minutes, number);
		else
			snprintf(text, CONFIG_DURATION_TEXT_BYTES, "%s%.13ss", sign, number);
	}
}
