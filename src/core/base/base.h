/*
 * base: the foundation of all of core: byte strings, buffers, status and error, the allocator,
 * assertions.
 *
 * Rules of core:
 *   - A function that can fail returns FbStatus and, where there is more to tell, fills in the
 *     caller's FbError.
 *   - No function in core prints, exits, jumps, reads a clock or keeps global state.
 *   - Memory comes from an FbAllocator. An allocator is an *arena*: an allocation lives until the
 *     owner of the arena resets it, so core does not free single allocations on its error paths.
 *     release() may do nothing; it is only a hint for big buffers.
 */
#ifndef FABRIC_CORE_BASE_H
#define FABRIC_CORE_BASE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "core/base/limits.h"

/* ---- bytes: a borrowed, immutable run of bytes; data may be NULL when size is 0 ---- */

typedef struct FbBytes
{
	const uint8_t *data;
	size_t size;
} FbBytes;

#define FB_BYTES_EMPTY ((FbBytes) {NULL, 0})
#define FB_BYTES_LITERAL(s) ((FbBytes) {(const uint8_t *) (s), sizeof(s) - 1})

extern FbBytes fb_bytes(const void *data, size_t size);
extern FbBytes fb_bytes_of_text(const char *text); /* without the terminating zero */
extern bool fb_bytes_equal(FbBytes a, FbBytes b);
/* memcmp order, and a prefix before the longer string: the order of Go strings, and of bytea */
extern int fb_bytes_compare(FbBytes a, FbBytes b);

/* ---- status: the only list of kinds of failure. SQLSTATE class LF, see docs/operations.md ---- */

#define FB_STATUS_LIST(X)                                                    \
	X(FB_OK, "00000", "successful completion")                               \
	/* LF0: the request */                                                   \
	X(FB_INVALID_ARGUMENT, "LF001", "invalid argument")                      \
	X(FB_MALFORMED_MESSAGE, "LF002", "malformed message")                    \
	X(FB_LIMIT_EXCEEDED, "LF003", "limit exceeded")                          \
	X(FB_NOT_PRELOADED, "LF004", "library not preloaded")                    \
	X(FB_NOT_CONFIGURED, "LF005", "node not configured")                     \
	/* LF1: identity and signature */                                        \
	X(FB_INVALID_CERTIFICATE, "LF101", "invalid certificate")                \
	X(FB_INVALID_KEY, "LF102", "invalid private key")                        \
	X(FB_INVALID_SIGNATURE, "LF103", "invalid signature")                    \
	X(FB_UNKNOWN_MSP, "LF104", "unknown MSP")                                \
	X(FB_INVALID_IDENTITY, "LF105", "invalid identity")                      \
	X(FB_CERTIFICATE_EXPIRED, "LF106", "certificate expired")                \
	X(FB_CERTIFICATE_REVOKED, "LF107", "certificate revoked")                \
	X(FB_UNKNOWN_IDENTITY, "LF108", "unknown identity")                      \
	/* LF2: policy and access */                                             \
	X(FB_INVALID_POLICY, "LF201", "invalid policy")                          \
	X(FB_POLICY_NOT_SATISFIED, "LF202", "policy not satisfied")              \
	X(FB_ACCESS_DENIED, "LF203", "access denied")                            \
	/* LF3: chaincode */                                                     \
	X(FB_CHAINCODE_ERROR, "LF301", "chaincode error")                        \
	X(FB_CHAINCODE_NOT_FOUND, "LF302", "chaincode not found")                \
	X(FB_INVALID_PACKAGE, "LF303", "invalid chaincode package")              \
	X(FB_NONDETERMINISTIC_CHAINCODE, "LF304", "chaincode not deterministic") \
	X(FB_NOT_IN_SIMULATION, "LF305", "not in a simulation")                  \
	X(FB_CHAINCODE_TIMEOUT, "LF306", "chaincode timeout")                    \
	X(FB_SANDBOX_VIOLATION, "LF307", "operation not allowed in chaincode")   \
	X(FB_LIFECYCLE_ERROR, "LF308", "lifecycle rule violated")                \
	X(FB_ENDORSEMENT_MISMATCH, "LF309", "endorsements differ")               \
	X(FB_ENDORSEMENT_FAILED, "LF310", "endorsement failed")                  \
	/* LF4: ledger */                                                        \
	X(FB_CHANNEL_NOT_FOUND, "LF401", "channel not found")                    \
	X(FB_CHANNEL_EXISTS, "LF402", "channel already exists")                  \
	X(FB_BLOCK_NOT_FOUND, "LF403", "block not found")                        \
	X(FB_TRANSACTION_NOT_FOUND, "LF404", "transaction not found")            \
	X(FB_BLOCK_REFUSED, "LF405", "block refused")                            \
	X(FB_LEDGER_IMMUTABLE, "LF406", "ledger is append-only")                 \
	X(FB_TRANSACTION_INVALID, "LF407", "transaction invalid")                \
	X(FB_MVCC_READ_CONFLICT, "LF408", "read conflict")                       \
	X(FB_DUPLICATE_TXID, "LF409", "duplicate transaction id")                \
	X(FB_INVALID_CONFIG, "LF410", "invalid channel configuration")           \
	/* LF5: ordering and wire */                                             \
	X(FB_BUSY, "LF501", "too many requests")                                 \
	X(FB_NO_LEADER, "LF502", "no leader")                                    \
	X(FB_NODE_UNREACHABLE, "LF503", "node unreachable")                      \
	X(FB_COMMIT_TIMEOUT, "LF504", "commit status unknown")                   \
	X(FB_NOT_CONSENTER, "LF505", "node is not a consenter")                  \
	X(FB_STALE_CONFIG, "LF506", "configuration changed")                     \
	X(FB_NODE_BEHIND, "LF507", "node lacks recent blocks")                   \
	X(FB_CHAINS_DIFFER, "LF508", "chains of nodes differ")                   \
	X(FB_OTHER_VERSION, "LF509", "message of an unsupported version")        \
	/* LF9: internal */                                                      \
	X(FB_OUT_OF_MEMORY, "53200", "out of memory")                            \
	X(FB_CRYPTO_FAILURE, "LF901", "cryptographic library failure")           \
	X(FB_CORRUPTED, "LF902", "data corrupted")                               \
	X(FB_INTERNAL, "LF903", "internal error")

typedef enum FbStatus
{
#define FB_STATUS_ENUM(name, sqlstate, text) name,
	FB_STATUS_LIST(FB_STATUS_ENUM)
#undef FB_STATUS_ENUM
		FB_STATUS_COUNT
} FbStatus;

extern const char *fb_status_sqlstate(FbStatus status); /* five characters */
extern const char *fb_status_text(FbStatus status);		/* "successful completion" */

/* ---- error: a description for the caller ---- */

/* message: lower case, no period at the end; detail and hint: full sentences */

typedef struct FbError
{
	FbStatus status;
	char message[FB_ERROR_MESSAGE_BYTES];
	char detail[FB_ERROR_DETAIL_BYTES]; /* may be empty */
	char hint[FB_ERROR_HINT_BYTES];		/* may be empty */
} FbError;

/*
 * Fill in *error (which may be NULL) and return status. Long texts are cut at a character boundary.
 */
extern FbStatus fb_fail(FbError *error, FbStatus status, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
extern void fb_error_detail(FbError *error, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
extern void fb_error_hint(FbError *error, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
extern FbStatus fb_out_of_memory(FbError *error);

/*
 * Print into a field of fixed size; text that does not fit is cut at a character boundary. Whatever
 * the arguments hold, the result is valid UTF-8 without control characters other than tab and line
 * feed: a question mark replaces each other byte. So no message can bring bytes that are not text
 * into a client's session, or escape sequences into the terminal of a person who reads the log.
 */
extern void fb_print_cut(char *field, size_t field_bytes, const char *format, va_list arguments)
	__attribute__((format(printf, 3, 0)));

/* return early with the status if the call fails */
#define FB_TRY(call)                      \
	do                                    \
	{                                     \
		FbStatus fb_try_status_ = (call); \
		if (fb_try_status_ != FB_OK)      \
			return fb_try_status_;        \
	} while (0)

/* ---- allocator ---- */

typedef struct FbAllocator
{
	void *(*allocate)(struct FbAllocator *self,
					  size_t size); /* NULL when out of memory; never jumps */
	void (*release)(struct FbAllocator *self, void *pointer); /* accepts NULL; may do nothing */
} FbAllocator;

/* not zeroed; NULL when out of memory; size 0 gives a valid pointer */
extern void *fb_allocate(FbAllocator *allocator, size_t size);
extern void *fb_allocate_zero(FbAllocator *allocator, size_t size);
/* zeroed; NULL also on overflow */
extern void *fb_allocate_array(FbAllocator *allocator, size_t count, size_t size);
extern void fb_release(FbAllocator *allocator, void *pointer);
extern FbStatus fb_bytes_copy(FbAllocator *allocator, FbBytes from, FbBytes *to, FbError *error);
/* zero-terminated; NULL when out of memory */
extern char *fb_text_copy(FbAllocator *allocator, FbBytes from);

/* ---- buffer: a growing byte string ---- */

/* A failure stays: append without checks, check once at the end. */

typedef struct FbBuffer
{
	FbAllocator *allocator;
	uint8_t *data;
	size_t size;
	size_t capacity;
	bool failed; /* memory ran out; the content is incomplete */
} FbBuffer;

extern void fb_buffer_init(FbBuffer *buffer, FbAllocator *allocator);
extern void fb_buffer_append(FbBuffer *buffer, const void *data, size_t size);
extern void fb_buffer_append_bytes(FbBuffer *buffer, FbBytes bytes);
extern void fb_buffer_append_text(FbBuffer *buffer, const char *text);
extern void fb_buffer_append_format(FbBuffer *buffer, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
extern void fb_buffer_append_byte(FbBuffer *buffer, uint8_t byte);
/* FB_OUT_OF_MEMORY if failed */
extern FbStatus fb_buffer_bytes(const FbBuffer *buffer, FbBytes *bytes, FbError *error);

/* ---- hex ---- */
extern void fb_hex_encode(FbBytes bytes, char *out); /* lower case; out has 2 * size + 1 bytes */
/* out has hex_size / 2 bytes; false if not hex */
extern bool fb_hex_decode(const char *hex, size_t hex_size, uint8_t *out);

/* ---- UTF-8 ---- */
extern bool fb_utf8_valid(FbBytes bytes); /* as Go's utf8.Valid: no surrogates, no overlong forms,
											 up to U+10FFFF; U+0000 is valid */
/*
 * Size in bytes of the character at the start of data; 0: data do not start with a whole valid
 * character.
 */
extern size_t fb_utf8_character(const uint8_t *data, size_t size);
/*
 * Size of the longest prefix of at most size_max bytes that does not end inside a character; for
 * "%.*s" in messages.
 */
extern int fb_utf8_cut(FbBytes bytes, int size_max);

/*
 * Readable form of bytes for messages: of keys, names and values, which may hold any bytes. Text
 * stays text. U+0000, which separates the parts of composite keys, becomes U+2400. Other control
 * characters, and those that change the direction of text, become \u and four hex digits. Bytes
 * that are not UTF-8 become \x and hex digits. Longer input is cut at a character boundary and ends
 * with "...". Use it as the argument of a %s: FB_DISPLAY(key). The text lives until the end of the
 * enclosing block.
 */
#define FB_DISPLAY_BYTES 256
typedef struct FbDisplay
{
	char text[FB_DISPLAY_BYTES];
} FbDisplay;

#define FB_DISPLAY(bytes) fb_display(&(FbDisplay) {{0}}, (bytes))
extern const char *fb_display(FbDisplay *display, FbBytes bytes);

/* ---- pseudo-random numbers ---- */

/* From a seed (xoshiro256**), for the Raft core and the simulator; never for secrets. */
typedef struct FbRand
{
	uint64_t state[4];
} FbRand;

extern void fb_rand_seed(FbRand *rand, uint64_t seed);
extern uint64_t fb_rand_next(FbRand *rand);
extern uint64_t fb_rand_below(FbRand *rand, uint64_t limit); /* uniform in [0, limit); limit > 0 */

/* ---- work.c: counts of the most expensive steps of this process ---- */

/* No result depends on these counts. */

/*
 * Name, action, object. A decode is one walk over the bytes of an outermost message of that type,
 * whether it is unpacked or only checked and read in place.
 */
#define FB_WORK_LIST(X)                                                    \
	X(FB_WORK_DECODE_ENVELOPE, "decode", "common.Envelope")                \
	X(FB_WORK_DECODE_PAYLOAD, "decode", "common.Payload")                  \
	X(FB_WORK_DECODE_CHANNEL_HEADER, "decode", "common.ChannelHeader")     \
	X(FB_WORK_DECODE_SIGNATURE_HEADER, "decode", "common.SignatureHeader") \
	X(FB_WORK_DECODE_BLOCK, "decode", "common.Block")                      \
	X(FB_WORK_DECODE_BLOCK_DATA, "decode", "common.BlockData")             \
	X(FB_WORK_DECODE_PROPOSAL, "decode", "protos.Proposal")                \
	X(FB_WORK_DECODE_RESPONSE, "decode", "protos.ProposalResponse")        \
	X(FB_WORK_DECODE_TRANSACTION, "decode", "protos.Transaction")          \
	X(FB_WORK_DECODE_RWSET, "decode", "rwset.TxReadWriteSet")              \
	X(FB_WORK_DECODE_OTHER, "decode", "other messages")                    \
	X(FB_WORK_HASH, "hash", "SHA-256")                                     \
	X(FB_WORK_HASH_BLOCK_DATA, "hash", "block data")                       \
	X(FB_WORK_SIGN, "sign", "ECDSA")                                       \
	X(FB_WORK_VERIFY, "verify", "ECDSA")                                   \
	X(FB_WORK_COMPRESS, "compress", "envelope")                            \
	X(FB_WORK_DECOMPRESS, "decompress", "envelope")                        \
	X(FB_WORK_STATEMENT, "execute", "SQL statement")                       \
	X(FB_WORK_PERIODIC_STATEMENT, "execute", "periodic SQL statement")

typedef enum FbWork
{
#define FB_WORK_ENUM(name, action, object) name,
	FB_WORK_LIST(FB_WORK_ENUM)
#undef FB_WORK_ENUM
		FB_WORK_COUNT
} FbWork;

extern void fb_work_add(FbWork work);
/* count since the start of the process; never decreases */
extern uint64_t fb_work_done(FbWork work);
extern const char *fb_work_action(FbWork work);
extern const char *fb_work_object(FbWork work);

/* ---- assertions ---- */

/*
 * For invariants of the code, never for input; active in release builds. The server replaces the
 * hook once.
 */
typedef void (*FbAssertHook)(const char *condition, const char *file, int line);
extern FbAssertHook fb_assert_hook; /* the default prints and aborts; the server's hook ends the
									   process with FATAL */
#define FB_ASSERT(condition) \
	((condition) ? (void) 0 : fb_assert_failed(#condition, __FILE__, __LINE__))
extern void fb_assert_failed(const char *condition, const char *file, int line)
	__attribute__((noreturn, cold));

#endif
