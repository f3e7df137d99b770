/*
 * core/crypto, PEM: the bytes in which Go's pem.Decode finds a block, and those in which it does
 * not. The expected results of the table were printed by Go's own encoding/pem for the same input.
 */
#include "core/crypto/crypto_internal.h"
#include "unit/check.h"

#define T(text) FB_BYTES_LITERAL(text)
#define B "-----BEGIN CERTIFICATE-----\n"
#define E "-----END CERTIFICATE-----\n"
#define D "AQIDBA==\n"
#define AQID_10 "AQIDAQIDAQIDAQIDAQIDAQIDAQIDAQIDAQIDAQID"
#define AQID_40 AQID_10 AQID_10 AQID_10 AQID_10
#define HEX_10 "010203010203010203010203010203010203010203010203010203010203"
#define HEX_40 HEX_10 HEX_10 HEX_10 HEX_10

typedef struct PemCase
{
	const char *name;
	FbBytes text;
	const char *content; /* hex; NULL: no block */
} PemCase;

static const PemCase pem_cases[] = {
	{"as written by everybody", T(B D E), "01020304"},
	{"without the last line end", T(B D "-----END CERTIFICATE-----"), "01020304"},
	{"lines end with CRLF",
	 T("-----BEGIN CERTIFICATE-----\r\nAQIDBA==\r\n-----END CERTIFICATE-----\r\n"), "01020304"},
	{"lines end with CR", T("-----BEGIN CERTIFICATE-----\rAQIDBA==\r-----END CERTIFICATE-----\r"),
	 NULL},
	{"another type", T("-----BEGIN X509 CRL-----\n" D "-----END X509 CRL-----\n"), "01020304"},
	{"an empty type", T("-----BEGIN -----\n" D "-----END -----\n"), "01020304"},
	{"types differ", T(B D "-----END X509 CRL-----\n"), NULL},
	{"text before", T("Subject: CN=x\nsome text\n" B D E), "01020304"},
	{"text before on the same line", T("x" B D E), NULL},
	{"a byte order mark before", T("\357\273\277" B D E), NULL},
	{"blanks before on the same line", T(" " B D E), NULL},
	{"an empty line before", T("\n" B D E), "01020304"},
	{"U+0000 before", T("\000" B D E), NULL},
	{"text behind", T(B D E "text"), "01020304"},
	{"text behind the end on its line", T(B D "-----END CERTIFICATE-----x\n"), NULL},
	{"blanks behind the end on its line", T(B D "-----END CERTIFICATE----- \t\n"), "01020304"},
	{"blanks behind the beginning on its line", T("-----BEGIN CERTIFICATE----- \t\n" D E),
	 "01020304"},
	{"text behind the beginning on its line", T("-----BEGIN CERTIFICATE-----x\n" D E), NULL},
	{"a second block", T(B D E B "BQYH\n" E), "01020304"},
	{"a bad block, then a good one", T(B "A\n" E B D E), "01020304"},
	{"a block without end, then a good one", T("-----BEGIN A-----\nAAAA\n" B D E), "01020304"},
	{"a bad beginning, then a good one", T("-----BEGIN A----\n" B D E), "01020304"},
	{"a header", T(B "Proc-Type: 4,ENCRYPTED\n\n" D E), "01020304"},
	{"a header without an empty line", T(B "a: b\n" D E), "01020304"},
	{"headers only", T(B "a: b\n" E), NULL},
	{"headers, an empty line and nothing", T(B "a: b\n\n" E), ""},
	{"a line with a colon inside", T(B "AQID\na:b\nBA==\n" E), NULL},
	{"headers up to the end of the text", T(B "a: b\n"), NULL},
	{"nothing between", T(B E), ""},
	{"nothing between but an empty line", T(B "\n" E), ""},
	{"no line end before the end", T(B "AQIDBA==" E), NULL},
	{"no end", T(B D), NULL},
	{"no line end behind the beginning", T("-----BEGIN CERTIFICATE-----" D E), NULL},
	{"one digit in a line", T(B "A\nQ\nI\nD\nB\nA\n=\n=\n" E), "01020304"},
	{"a very long line", T(B AQID_40 "\n" E), HEX_40},
	{"blanks and tabs inside", T(B " A Q\tID \t\nBA = =\n" E), "01020304"},
	{"CR inside", T(B "AQ\rID\r\rBA==\n" E), "01020304"},
	{"a vertical tab inside", T(B "AQ\013ID\n" E), NULL},
	{"no padding", T(B "AQIDBA\n" E), NULL},
	{"one padding of two", T(B "AQIDBA=\n" E), NULL},
	{"three paddings", T(B "AQIDBA===\n" E), NULL},
	{"padding in the middle", T(B "AQ==AQID\n" E), NULL},
	{"padding first", T(B "=AQI\n" E), NULL},
	{"only padding", T(B "====\n" E), NULL},
	{"padding after one digit", T(B "A===\n" E), NULL},
	{"unused bits set", T(B "AR==\n" E), "01"},
	{"unused bits set, one padding", T(B "AQJ=\n" E), "0102"},
	{"digits of the other alphabet", T(B "-_-_\n" E), NULL},
	{"plus and slash", T(B "+/+/\n" E), "fbffbf"},
	{"a character that is no digit", T(B "AQ*D\n" E), NULL},
	{"the end inside a line", T(B "AQID" E E), NULL},
	{"four dashes", T("----BEGIN CERTIFICATE----\n" D "----END CERTIFICATE----\n"), NULL},
	{"six dashes at the beginning", T("-" B D E), NULL},
	{"a type with dashes", T("-----BEGIN A-----B-----\n" D "-----END A-----B-----\n"), "01020304"},
	{"lower case", T("-----begin certificate-----\n" D "-----end certificate-----\n"), NULL},
	{"the end first", T(E B D E), "01020304"},
	{"beginning twice", T(B B D E), "01020304"},
	{"a beginning that looks like a header", T("-----BEGIN a:-----\n" B D E), "01020304"},
	{"a beginning with a colon in its place",
	 T("-----BEGIN A-----\n-----BEGIN a:-----\nAQID\n-----END a:-----\n-----END A-----\n"), NULL},
	{"empty", T(""), NULL},
	{"a line", T("\n"), NULL},
	{"the beginning alone", T("-----BEGIN "), NULL},
};

static void
test_table(void)
{
	for (size_t i = 0; i < sizeof(pem_cases) / sizeof(pem_cases[0]); i++)
	{
		/* a copy without anything after it, for the sanitizer */
		uint8_t *copy = malloc(pem_cases[i].text.size + (pem_cases[i].text.size == 0));
		FbBytes der;
		FbError error;

		memcpy(copy, pem_cases[i].text.data, pem_cases[i].text.size);
		CHECK_STATUS(pem_read_first(fb_bytes(copy, pem_cases[i].text.size), &der, &error), FB_OK);
		if (!CHECK((der.data == NULL) == (pem_cases[i].content == NULL)) ||
			(der.data != NULL && !CHECK_HEX(der, pem_cases[i].content)))
			fprintf(stderr, "    %s\n", pem_cases[i].name);
		fb_release(&crypto_heap, (void *) der.data);
		free(copy);
	}
}

/* blocks by name, and in sequence */
static void
test_names(void)
{
	static const char *const names[] = {"CERTIFICATE", "X", NULL};
	FbBytes text = T("-----BEGIN Y-----\nAAAA\n-----END Y-----\n" B "a: b\n" D E B D E
					 "text\n-----BEGIN X-----\nBQYH\n-----END X-----\n");
	FbBytes rest;
	FbBytes der;
	const char *name;

	CHECK_STATUS(pem_read(text, names, &der, &rest, &name, NULL), FB_OK);
	CHECK_HEX(der, "01020304"); /* not the block with a header */
	CHECK(name == names[0]);
	fb_release(&crypto_heap, (void *) der.data);
	CHECK_STATUS(pem_read(rest, names, &der, &rest, &name, NULL), FB_OK);
	CHECK_HEX(der, "050607");
	CHECK(name == names[1]);
	fb_release(&crypto_heap, (void *) der.data);
	CHECK_STATUS(pem_read(rest, names, &der, &rest, &name, NULL), FB_OK);
	CHECK(der.data == NULL && rest.size == 0);
	/* pem_read accepts DER unchanged; pem_read_first does not */
	CHECK_STATUS(pem_read(T("\x30\x82\x01"), names, &der, &rest, &name, NULL), FB_OK);
	CHECK_HEX(der, "308201");
	fb_release(&crypto_heap, (void *) der.data);
	CHECK_STATUS(pem_read_first(T("\x30\x82\x01"), &der, NULL), FB_OK);
	CHECK(der.data == NULL);
}

/* a creator's certificate in forms that Fabric accepts, and in forms that it refuses */
static void
test_certificates(void)
{
	FbBytes pem = check_read_file("test/vectors/x509/client.pem");
	CryptoCertificate *certificate;
	CryptoCertificate *other;
	FbArena arena;
	FbBuffer buffer;
	FbBytes text;

	fb_arena_init(&arena);
	CHECK_STATUS(crypto_certificate_parse_pem(pem, &certificate, NULL), FB_OK);
	CHECK_STATUS(crypto_certificate_parse_pem(crypto_certificate_der(certificate), &other, NULL),
				 FB_INVALID_CERTIFICATE);
	for (int i = 0; i < 3; i++)
	{
		/* a block of another type before it decides, whatever its name is */
		fb_buffer_init(&buffer, &arena.allocator);
		fb_buffer_append_text(&buffer, i == 0	? "text\n\n"
									   : i == 1 ? "-----BEGIN ANY-----\nAAAA\n-----END ANY-----\n"
												: "-----BEGIN ANY-----\nA\n-----END ANY-----\n");
		fb_buffer_append_bytes(&buffer, pem);
		CHECK_STATUS(fb_buffer_bytes(&buffer, &text, NULL), FB_OK);
		CHECK_STATUS(crypto_certificate_parse_pem(text, &other, NULL),
					 i == 1 ? FB_INVALID_CERTIFICATE : FB_OK);
		if (i == 1)
			continue;
		CHECK(fb_bytes_equal(crypto_certificate_der(certificate), crypto_certificate_der(other)));
		crypto_certificate_free(other);
	}
	crypto_certificate_free(certificate);
	fb_arena_reset(&arena);
	free((void *) pem.data);
}

int
main(void)
{
	CHECK_TEST(test_table());
	CHECK_TEST(test_names());
	CHECK_TEST(test_certificates());
	return check_finish("crypto/pem");
}
