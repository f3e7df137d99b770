/*
 * ca_registry.c: registration of identities that may enroll: secrets, roles, attributes.
 *
 * A secret is stored as bcrypt of its SHA-256, because bcrypt ignores input after 72 bytes. To slow
 * down guessing, a failed attempt takes FAILURE_MS, during which no session can try the same id.
 * The error and the time are the same for an unknown id and for a wrong secret.
 */
#include "server/ca/ca_internal.h"

#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"

#define ENROLLMENT_ID_BYTES_MAX 64 /* X.520 ub-common-name */
#define OU_BYTES_MAX 64			   /* X.520 ub-organizational-unit-name */
#define SECRET_BYTES_MIN 8
#define SECRET_RANDOM_BYTES 16
#define FAILURE_MS 500

/*
 * a salt for checks of unknown ids: no secret has such a hash, and the check costs the same as a
 * real one
 */
#define NO_HASH "$2a$08$abcdefghijklmnopqrstuu"

/* ---- attributes ---- */

#define REFUSE_ATTRIBUTES(detail)                                                              \
	ereport(                                                                                   \
		ERROR,                                                                                 \
		(fb_errcode(FB_INVALID_ARGUMENT), errmsg("invalid attributes of an identity"), detail, \
		 errhint(                                                                              \
			 "Attributes are {\"name\": \"value\"} or {\"name\": {\"value\": \"text\", \"ecert\": false}}.")))

/* {"value": "...", "ecert": true} */
static void
read_flagged(JsonbContainer *object, CaAttribute *attribute)
{
	JsonbValue *value = getKeyJsonValueFromContainer(object, "value", 5, NULL);
	JsonbValue *ecert = getKeyJsonValueFromContainer(object, "ecert", 5, NULL);

	if (value == NULL || value->type != jbvString || (ecert != NULL && ecert->type != jbvBool) ||
		JsonContainerSize(object) != 1 + (ecert != NULL))
		REFUSE_ATTRIBUTES(errdetail(
			"Attribute \"%s\" must have a text \"value\" and may have a boolean \"ecert\", nothing else.",
			error_excerpt(attribute->name)));
	attribute->value = memory_cstring(fb_bytes(value->val.string.val, value->val.string.len));
	/* as in Fabric CA, where the flag has to be set */
	attribute->for_all = ecert != NULL && ecert->val.boolean;
}

static CaAttribute *
registry_read_attributes(Jsonb *json, int *count)
{
	CaAttribute *attributes;
	JsonbIterator *iterator;
	JsonbIteratorToken token;
	JsonbValue value;

	*count = 0;
	if (json == NULL)
		return NULL;
	if (!JB_ROOT_IS_OBJECT(json))
		REFUSE_ATTRIBUTES(errdetail("They must be a JSON object."));
	if (VARSIZE(json) > FB_CA_ATTRIBUTES_BYTES_MAX)
		ereport(ERROR, (fb_errcode(FB_LIMIT_EXCEEDED),
						errmsg("attributes of an identity have more than %d bytes",
							   FB_CA_ATTRIBUTES_BYTES_MAX)));
	attributes = palloc0(JB_ROOT_COUNT(json) * sizeof(CaAttribute) + 1);
	iterator = JsonbIteratorInit(&json->root);
	while ((token = JsonbIteratorNext(&iterator, &value, true)) != WJB_DONE)
	{
		CaAttribute *attribute = &attributes[*count];

		if (token == WJB_KEY)
		{
			attribute->name = memory_cstring(fb_bytes(value.val.string.val, value.val.string.len));
			if (attribute->name[0] == '\0' || strncmp(attribute->name, "hf.", 3) == 0)
				REFUSE_ATTRIBUTES(
					errdetail("\"%s\" is not a valid name: it is empty, or begins with \"hf.\".",
							  error_excerpt(attribute->name)));
		}
		else if (token == WJB_VALUE)
		{
			if (value.type == jbvString)
			{
				attribute->value =
					memory_cstring(fb_bytes(value.val.string.val, value.val.string.len));
				attribute->for_all = true;
			}
			else if (value.type == jbvBinary && JsonContainerIsObject(value.val.binary.data))
				read_flagged(value.val.binary.data, attribute);
			else
				REFUSE_ATTRIBUTES(errdetail("The value of attribute \"%s\" must be a text.",
											error_excerpt(attribute->name)));
			(*count)++;
		}
	}
	return attributes;
}

/* ---- secrets ---- */

static void
secret_digest(const char *secret, char hex[2 * CRYPTO_SHA256_BYTES + 1])
{
	uint8_t digest[CRYPTO_SHA256_BYTES];

	crypto_sha256(fb_bytes_of_text(secret), digest);
	fb_hex_encode(fb_bytes(digest, sizeof(digest)), hex);
}

/* bcrypt; hash_like NULL: with a new salt, otherwise with that of the given hash */
static char *
secret_hash(const char *secret, const char *hash_like)
{
	char digest[2 * CRYPTO_SHA256_BYTES + 1];
	Oid types[2] = {TEXTOID, TEXTOID};
	Datum values[2];
	char *sql;
	char *hash;
	SpiScope scope;

	secret_digest(secret, digest);
	values[0] = CStringGetTextDatum(digest);
	values[1] = hash_like == NULL ? (Datum) 0 : CStringGetTextDatum(hash_like);
	crypto_wipe(digest, sizeof(digest));
	if (hash_like == NULL)
		sql = psprintf("SELECT %s($1, %s('bf', 8))", pgcrypto_function("crypt"),
					   pgcrypto_function("gen_salt"));
	else
		sql = psprintf("SELECT %s($1, $2)", pgcrypto_function("crypt"));
	spi_begin(&scope);
	if (SPI_execute_with_args(sql, hash_like == NULL ? 1 : 2, types, values, NULL, true, 1) !=
			SPI_OK_SELECT ||
		SPI_processed != 1)
		elog(ERROR, "pgcrypto returned no result");
	hash = ca_column_text(&scope, 1);
	spi_end(&scope);
	crypto_wipe(VARDATA_ANY(DatumGetPointer(values[0])),
				VARSIZE_ANY_EXHDR(DatumGetPointer(values[0])));
	return hash;
}

/* comparison in constant time */
static bool
equal_hashes(const char *a, const char *b)
{
	size_t size = strlen(a);
	uint8_t difference = 0;

	if (strlen(b) != size)
		return false;
	for (size_t i = 0; i < size; i++)
		difference |= (uint8_t) a[i] ^ (uint8_t) b[i];
	return difference == 0;
}

static char *
make_secret(void)
{
	uint8_t random[SECRET_RANDOM_BYTES];
	char *hex = palloc(2 * sizeof(random) + 1);
	FbError error;

	error_check(crypto_random(random, sizeof(random), &error), &error);
	fb_hex_encode(fb_bytes(random, sizeof(random)), hex);
	crypto_wipe(random, sizeof(random));
	return hex;
}

/* ---- registration ---- */

static bool
is_role(const char *text)
{
	for (int role = IDENTITY_ADMIN; role <= IDENTITY_ORDERER; role++)
		if (strcmp(text, identity_role_name((IdentityRole) role)) == 0)
			return true;
	return false;
}

/*
 * The parts of an affiliation become OUs. None may look like a NodeOU, because an identity has
 * exactly one NodeOU.
 */
static void
check_affiliation(const char *affiliation)
{
	List *parts;
	ListCell *cell;

	if (affiliation[0] == '\0')
		return;
	parts = ca_affiliation_parts(affiliation);
	if (list_length(parts) > 16)
		ereport(ERROR,
				(fb_errcode(FB_LIMIT_EXCEEDED), errmsg("an affiliation has more than 16 parts")));
	foreach(cell, parts)
	{
		const char *part = lfirst(cell);

		if (part[0] == '\0' || strlen(part) > OU_BYTES_MAX || is_role(part))
			ereport(
				ERROR,
				(fb_errcode(FB_INVALID_ARGUMENT),
				 errmsg("invalid affiliation \"%s\"", error_excerpt(affiliation)),
				 errdetail(
					 "Its parts, separated by dots, must have 1 to 64 bytes and not be client, peer, admin or orderer.")));
	}
}

static void
check_registration(const CaRegistration *registration)
{
	const char *id = registration->enrollment_id;

	if (id[0] == '\0' || strlen(id) > ENROLLMENT_ID_BYTES_MAX)
		ereport(ERROR,
				(fb_errcode(FB_INVALID_ARGUMENT),
				 errmsg("an enrollment id must have 1 to %d bytes", ENROLLMENT_ID_BYTES_MAX)));
	for (const char *c = id; *c != '\0'; c++)
		if ((uint8_t) *c < ' ' || *c == 0x7f)
			ereport(ERROR, (fb_errcode(FB_INVALID_ARGUMENT),
							errmsg("an enrollment id must not contain control characters")));
	if (!is_role(registration->role))
		ereport(ERROR, (fb_errcode(FB_INVALID_ARGUMENT),
						errmsg("unrecognized role \"%s\"", error_excerpt(registration->role)),
						errdetail("It must be client, peer, admin or orderer.")));
	if (registration->secret != NULL && strlen(registration->secret) < SECRET_BYTES_MIN)
		ereport(ERROR, (fb_errcode(FB_INVALID_ARGUMENT),
						errmsg("the secret must have at least %d bytes", SECRET_BYTES_MIN)));
	if (registration->secret != NULL && strlen(registration->secret) > FB_CA_SECRET_BYTES_MAX)
		ereport(ERROR, (fb_errcode(FB_LIMIT_EXCEEDED),
						errmsg("the secret has more than %d bytes", FB_CA_SECRET_BYTES_MAX)));
	if (registration->enrollments_max < 1 && registration->enrollments_max != -1)
		ereport(ERROR,
				(fb_errcode(FB_INVALID_ARGUMENT),
				 errmsg("argument \"max_enrollments\" must be positive, or -1 for no limit")));
	check_affiliation(registration->affiliation);
}

char *
ca_register(const char *ca, const CaRegistration *registration)
{
	static SpiStatement insert = {
		"INSERT INTO fabric_internal.ca_identity (ca, enrollment_id, role, affiliation, secret_hash, attributes, max_enrollments) "
		"VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING",
		7,
		{TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, JSONBOID, INT4OID}};
	CaAuthority *authority = ca_find(ca);
	char *secret;
	Datum values[7];
	SpiScope scope;
	bool inserted;
	int count;

	check_registration(registration);
	(void) registry_read_attributes(registration->attributes, &count);
	secret = registration->secret != NULL ? pstrdup(registration->secret) : make_secret();
	values[0] = CStringGetTextDatum(authority->ca);
	values[1] = CStringGetTextDatum(registration->enrollment_id);
	values[2] = CStringGetTextDatum(registration->role);
	values[3] = CStringGetTextDatum(registration->affiliation);
	values[4] = CStringGetTextDatum(secret_hash(secret, NULL));
	values[5] =
		registration->attributes == NULL ? (Datum) 0 : JsonbPGetDatum(registration->attributes);
	values[6] = Int32GetDatum(registration->enrollments_max);
	spi_begin(&scope);
	spi_run(&insert, values, registration->attributes == NULL ? "     n " : NULL, false, 0);
	inserted = SPI_processed > 0;
	spi_end(&scope);
	if (!inserted)
		ereport(ERROR, (fb_errcode(FB_INVALID_ARGUMENT),
						errmsg("\"%s\" is already registered at authority \"%s\"",
							   registration->enrollment_id, ca)));
	return secret;
}

List *
ca_affiliation_parts(const char *affiliation)
{
	List *parts = NIL;
	const char *start = affiliation;

	for (const char *c = affiliation;; c++)
	{
		if (*c != '.' && *c != '\0')
			continue;
		parts = lappend(parts, memory_cstring(fb_bytes(start, c - start)));
		if (*c == '\0')
			return parts;
		start = c + 1;
	}
}

/* ---- authentication ---- */

void
ca_lock_identity(const char *ca, const char *enrollment_id)
{
	uint32 hash = hash_combine(string_hash(ca, strlen(ca) + 1),
							   string_hash(enrollment_id, strlen(enrollment_id) + 1));

	/*
	 * No other code locks objects of this table. The lock also works for ids that do not exist, so
	 * that they behave the same.
	 */
	LockDatabaseObject(spi_relation_oid("ca_identity"), (Oid) hash, 0, ExclusiveLock);
}

/* Not interruptible: a caller who could cancel the delay could keep guessing. */
static void
fail_slowly(void)
{
	TimestampTz end = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), FAILURE_MS);
	long left;

	HOLD_INTERRUPTS();
	while ((left = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), end)) > 0)
		pg_usleep(left * 1000);
	RESUME_INTERRUPTS();
	ereport(ERROR, (fb_errcode(FB_ACCESS_DENIED), errmsg("enrollment refused"),
					errhint("Check the enrollment id and its secret.")));
}

typedef struct StoredIdentity
{
	CaIdentity identity;
	char *hash; /* NULL: there is no such identity */
	bool revoked;
} StoredIdentity;

static StoredIdentity
registry_read_identity(const char *ca, const char *enrollment_id)
{
	static SpiStatement statement = {
		"SELECT role, affiliation, secret_hash, revoked_at, attributes FROM fabric_internal.ca_identity WHERE ca = $1 AND enrollment_id = $2 "
		"FOR UPDATE",
		2,
		{TEXTOID, TEXTOID}};
	Datum values[2] = {CStringGetTextDatum(ca), CStringGetTextDatum(enrollment_id)};
	StoredIdentity stored = {.identity.enrollment_id = pstrdup(enrollment_id)};
	Jsonb *attributes = NULL;
	SpiScope scope;

	spi_begin(&scope);
	/*
	 * Not read-only: the identity may have been registered by the same statement. Locked, because
	 * an old snapshot must not hide a revocation.
	 */
	spi_run(&statement, values, NULL, false, 1);
	if (SPI_processed > 0)
	{
		bool is_null;
		Datum value = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 5, &is_null);

		stored.identity.role = ca_column_text(&scope, 1);
		stored.identity.affiliation = ca_column_text(&scope, 2);
		stored.hash = ca_column_text(&scope, 3);
		stored.revoked = !ca_column_is_null(4);
		if (!is_null)
		{
			MemoryContext inner = MemoryContextSwitchTo(scope.outer);

			attributes = DatumGetJsonbPCopy(value);
			MemoryContextSwitchTo(inner);
		}
	}
	spi_end(&scope);
	stored.identity.attributes =
		registry_read_attributes(attributes, &stored.identity.attributes_count);
	return stored;
}

static void
refuse_revoked(const StoredIdentity *stored)
{
	if (stored->revoked)
		ereport(ERROR, (fb_errcode(FB_CERTIFICATE_REVOKED),
						errmsg("identity \"%s\" is revoked", stored->identity.enrollment_id)));
}

static CaIdentity *
copy_identity(const StoredIdentity *stored)
{
	CaIdentity *identity = palloc(sizeof(CaIdentity));

	*identity = stored->identity;
	return identity;
}

CaIdentity *
ca_authenticate(const char *ca, const char *enrollment_id, const char *secret)
{
	static SpiStatement count = {
		"UPDATE fabric_internal.ca_identity SET enrollments = enrollments + 1 WHERE ca = $1 AND enrollment_id = $2 "
		"AND (max_enrollments = -1 OR enrollments < max_enrollments)",
		2,
		{TEXTOID, TEXTOID}};
	Datum values[2] = {CStringGetTextDatum(ca), CStringGetTextDatum(enrollment_id)};
	StoredIdentity stored;
	SpiScope scope;
	bool counted;
	bool right;

	/* an id or a secret that cannot be registered needs no hashing */
	if (strlen(enrollment_id) > ENROLLMENT_ID_BYTES_MAX || strlen(secret) > FB_CA_SECRET_BYTES_MAX)
		ereport(ERROR, (fb_errcode(FB_LIMIT_EXCEEDED),
						errmsg("the enrollment id or its secret is too long")));
	ca_lock_identity(ca, enrollment_id);
	stored = registry_read_identity(ca, enrollment_id);
	right = equal_hashes(secret_hash(secret, stored.hash != NULL ? stored.hash : NO_HASH),
						 stored.hash != NULL ? stored.hash : NO_HASH);
	if (!right || stored.hash == NULL)
		fail_slowly();
	/* the caller is authenticated from here on, and may learn the reason */
	refuse_revoked(&stored);
	spi_begin(&scope);
	spi_run(&count, values, NULL, false, 0);
	counted = SPI_processed > 0;
	spi_end(&scope);
	if (!counted)
		ereport(ERROR,
				(fb_errcode(FB_ACCESS_DENIED), errmsg("identity \"%s\" has used up its enrollments",
													  error_excerpt(enrollment_id))));
	return copy_identity(&stored);
}

CaIdentity *
ca_identity(const char *ca, const char *enrollment_id)
{
	StoredIdentity stored = registry_read_identity(ca, enrollment_id);

	if (stored.hash == NULL)
		ereport(ERROR, (fb_errcode(FB_ACCESS_DENIED), errmsg("enrollment refused")));
	refuse_revoked(&stored);
	return copy_identity(&stored);
}
