/*
 * keystore.c: client identities that this node holds for applications.
 *
 * An identity is granted to database roles. A session makes a signer from the key file once, and
 * caches it as long as the identity's row is the same (its xmin). An encrypted key is decrypted by
 * keystore_open and is only in this session's memory.
 *
 * A role that opens a key has proved that it knows the passphrase; no other role may use the key
 * without it. So an opened key is used only by the role that opened it. It is wiped at the end of
 * the transaction, unless fabric.session_identity declares that the session has one client (guc.c
 * has the reasons); and in any case when the session user changes, and when fabric.identity_opened
 * is turned off, as RESET ALL and DISCARD ALL do. Connection poolers run these when a client
 * leaves.
 */
#include "server/ca/ca_internal.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/hsearch.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#define LABEL_BYTES NAMEDATALEN

typedef struct KeptSigner
{
	char label[LABEL_BYTES]; /* hash key */
	uint32 row_version;		 /* xmin of the identity's row */
	MemoryContext context;
	Signer *signer;
	bool opened;   /* made from an encrypted key: only keystore_open can make it again */
	Oid opened_by; /* of an opened key: the current role at that time */
	Oid opened_in; /* the session user at that time */
} KeptSigner;

static HTAB *kept = NULL;

static void
check_label(const char *label)
{
	if (label[0] == '\0' || strlen(label) >= LABEL_BYTES)
		ereport(ERROR, (fb_errcode(FB_INVALID_ARGUMENT),
						errmsg("the label of an identity must have 1 to 63 bytes"),
						errhint("Choose another label.")));
}

/* ---- signers of this session ---- */

static void
keystore_forget(KeptSigner *entry)
{
	if (entry->signer != NULL)
	{
		signer_destroy(entry->signer);
		MemoryContextDelete(entry->context);
	}
	entry->signer = NULL;
}

static KeptSigner *
find_kept(const char *label, bool create)
{
	KeptSigner *entry;
	bool found;

	if (kept == NULL)
	{
		HASHCTL control = {.keysize = LABEL_BYTES, .entrysize = sizeof(KeptSigner)};

		kept = hash_create("fabric identities", 16, &control, HASH_ELEM | HASH_STRINGS);
	}
	entry = hash_search(kept, label, create ? HASH_ENTER : HASH_FIND, &found);
	if (create && !found)
		entry->signer = NULL;
	return entry;
}

static void
forget_opened(bool of_other_users_only)
{
	HASH_SEQ_STATUS status;
	KeptSigner *entry;

	if (kept == NULL)
		return;
	hash_seq_init(&status, kept);
	while ((entry = hash_seq_search(&status)) != NULL)
		if (entry->opened && (!of_other_users_only || entry->opened_in != GetSessionUserId()))
			keystore_forget(entry);
}

static void
forget_all_opened(void)
{
	forget_opened(false);
}

static void
keystore_at_transaction_end(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_ABORT || event == XACT_EVENT_PREPARE)
		forget_opened(guc_session_identity);
}

static void
watch_opened(void)
{
	static bool registered = false;

	if (registered)
		return;
	RegisterXactCallback(keystore_at_transaction_end, NULL);
	guc_on_identities_closed(forget_all_opened);
	registered = true;
}

static void
keystore_keep(const char *label, uint32 row_version, const char *msp_id, FbBytes certificate,
			  FbBytes key, bool opened)
{
	MemoryContext context =
		AllocSetContextCreate(TopMemoryContext, "fabric identity", ALLOCSET_SMALL_SIZES);
	Signer *signer;
	FbError error;
	FbStatus status =
		signer_create(msp_id, certificate, key, memory_allocator(context), &signer, &error);
	KeptSigner *entry;

	crypto_wipe((void *) key.data, key.size);
	if (status != FB_OK)
	{
		MemoryContextDelete(context);
		error_throw(&error);
	}
	entry = find_kept(label, true);
	keystore_forget(entry);
	entry->signer = signer;
	entry->context = context;
	entry->row_version = row_version;
	entry->opened = opened;
	entry->opened_by = GetUserId();
	entry->opened_in = GetSessionUserId();
}

/* ---- rows ---- */

typedef struct IdentityRow
{
	char *label;
	uint32 version;
	char *msp_id;
	FbBytes certificate;
	char *key_file; /* NULL: encrypted */
	bytea *encrypted_key;
} IdentityRow;

static bytea *
column_bytea(HeapTuple row, TupleDesc description, int column)
{
	bool is_null;
	Datum value = SPI_getbinval(row, description, column, &is_null);

	return is_null ? NULL : DatumGetByteaPCopy(value);
}

enum
{
	IDENTITY_LABEL = 1,
	IDENTITY_MSP_ID = 2,
	IDENTITY_CERTIFICATE = 3,
	IDENTITY_KEY_FILE = 4,
	IDENTITY_ENCRYPTED_KEY = 5,
	GRANT_LABEL = 1,
	GRANT_ROLE = 2
};

/* rows of a table whose primary key begins with the label; label NULL: all rows */
static SysScanDesc
scan_label(Relation table, const char *label, Snapshot snapshot)
{
	ScanKeyData key;

	if (label == NULL)
		return systable_beginscan(table, InvalidOid, false, snapshot, 0, NULL);
	StaticAssertStmt((int) IDENTITY_LABEL == (int) GRANT_LABEL, "one key for both tables");
	ScanKeyInit(&key, IDENTITY_LABEL, BTEqualStrategyNumber, F_TEXTEQ, CStringGetTextDatum(label));
	return systable_beginscan(table, RelationGetPrimaryKeyIndex(table), true, snapshot, 1, &key);
}

/* NULL: the column is null */
static char *
text_of_row(HeapTuple row, TupleDesc description, int column)
{
	bool is_null;
	Datum value = heap_getattr(row, column, description, &is_null);

	return is_null ? NULL : TextDatumGetCString(value);
}

/* the labels of the identities that a role may use, at most two; label NULL: of all identities */
static int
find_labels(const char *label, Oid role, Snapshot snapshot, char *labels[2])
{
	Relation table = table_open(spi_relation_oid("identity_grant"), AccessShareLock);
	SysScanDesc scan = scan_label(table, label, snapshot);
	HeapTuple row;
	int count = 0;

	while (count < 2 && HeapTupleIsValid(row = systable_getnext(scan)))
	{
		bool is_null;
		Oid granted_to =
			DatumGetObjectId(heap_getattr(row, GRANT_ROLE, RelationGetDescr(table), &is_null));
		char *found;

		CHECK_FOR_INTERRUPTS();
		if (!has_privs_of_role(role, granted_to))
			continue;
		found = text_of_row(row, RelationGetDescr(table), GRANT_LABEL);
		if (count == 0 || strcmp(found, labels[0]) != 0)
			labels[count++] = found;
	}
	systable_endscan(scan);
	table_close(table, AccessShareLock);
	return count;
}

/* false: there is none, although it was granted */
static bool
read_identity(const char *label, Snapshot snapshot, IdentityRow *identity)
{
	Relation table = table_open(spi_relation_oid("identity"), AccessShareLock);
	TupleDesc description = RelationGetDescr(table);
	SysScanDesc scan = scan_label(table, label, snapshot);
	HeapTuple row = systable_getnext(scan);
	bool found = HeapTupleIsValid(row);

	if (found)
	{
		bool is_null;
		Datum key = heap_getattr(row, IDENTITY_ENCRYPTED_KEY, description, &is_null);

		identity->label = text_of_row(row, description, IDENTITY_LABEL);
		identity->version = HeapTupleHeaderGetRawXmin(row->t_data);
		identity->msp_id = text_of_row(row, description, IDENTITY_MSP_ID);
		identity->certificate =
			fb_bytes_of_text(text_of_row(row, description, IDENTITY_CERTIFICATE));
		identity->key_file = text_of_row(row, description, IDENTITY_KEY_FILE);
		identity->encrypted_key = is_null ? NULL : DatumGetByteaPCopy(key);
	}
	systable_endscan(scan);
	table_close(table, AccessShareLock);
	return found;
}

/*
 * Read the identities that a role may use; label NULL: all of them. At most two rows, since the
 * caller needs to know whether there is exactly one.
 *
 * Every call of an application comes here, so the tables are scanned directly: a statement costs
 * more than the rest of a short query. The newest snapshot, because a grant that was withdrawn
 * must not count; but the leader of a parallel query must not take a new one.
 */
static int
read_granted(const char *label, Oid role, IdentityRow rows[2])
{
	Snapshot snapshot =
		RegisterSnapshot(IsInParallelMode() ? GetActiveSnapshot() : GetLatestSnapshot());
	char *labels[2];
	int labels_count = find_labels(label, role, snapshot, labels);
	int count = 0;

	for (int i = 0; i < labels_count; i++)
		if (read_identity(labels[i], snapshot, &rows[count]))
			count++;
	UnregisterSnapshot(snapshot);
	return count;
}

/*
 * A setting that another client of the same connection may have left does not choose an identity.
 * If the role has only one identity, the setting does no harm.
 */
static void
check_choice(void)
{
	IdentityRow rows[2];

	if (guc_identity_is_chosen() ||
		(read_granted(NULL, GetUserId(), rows) == 1 && strcmp(rows[0].label, guc_identity) == 0))
		return;
	ereport(
		ERROR,
		(fb_errcode(FB_UNKNOWN_IDENTITY),
		 errmsg("identity \"%s\" was not chosen in this transaction", error_excerpt(guc_identity)),
		 errdetail(
			 "fabric.identity was set in an earlier transaction of this session, perhaps for another client of a connection pooler."),
		 errhint(
			 "Choose it in the same transaction with SET LOCAL fabric.identity, or with the argument identity of fabric.submit_transaction. "
			 "For connections that are not shared, turn on fabric.session_identity in the options of the connection or with ALTER ROLE.")));
}

const Signer *
keystore_signer(const char *label)
{
	const char *wanted = label != NULL ? label : guc_identity[0] != '\0' ? guc_identity : NULL;
	IdentityRow rows[2];
	int count;
	KeptSigner *entry;

	if (label == NULL && wanted != NULL)
		check_choice();
	count = read_granted(wanted, GetUserId(), rows);

	if (count == 0 && wanted != NULL)
		ereport(
			ERROR,
			(fb_errcode(FB_UNKNOWN_IDENTITY),
			 errmsg("identity \"%s\" does not exist or is not granted to role \"%s\"",
					error_excerpt(wanted), GetUserNameFromId(GetUserId(), false)),
			 errhint(
				 "Grant it with fabric.grant_identity, or choose another one with the setting fabric.identity.")));
	if (count == 0)
		ereport(ERROR,
				(fb_errcode(FB_UNKNOWN_IDENTITY),
				 errmsg("no identity is granted to role \"%s\"",
						GetUserNameFromId(GetUserId(), false)),
				 errhint(
					 "Add one with fabric.add_identity and grant it with fabric.grant_identity.")));
	if (count > 1)
		ereport(ERROR,
				(fb_errcode(FB_UNKNOWN_IDENTITY),
				 errmsg("several identities are granted to this role"),
				 errhint(
					 "Choose one: SET LOCAL fabric.identity = 'LABEL', in the same transaction.")));
	entry = find_kept(rows[0].label, false);
	if (entry != NULL && entry->opened && entry->opened_in != GetSessionUserId())
		keystore_forget(entry);
	if (entry != NULL && entry->signer != NULL && entry->row_version == rows[0].version &&
		(!entry->opened || entry->opened_by == GetUserId()))
		return entry->signer;
	if (rows[0].key_file == NULL)
		ereport(
			ERROR,
			(fb_errcode(FB_UNKNOWN_IDENTITY),
			 errmsg("the key of identity \"%s\" is encrypted and not opened in this %s",
					rows[0].label, guc_session_identity ? "session" : "transaction"),
			 entry != NULL && entry->signer != NULL && entry->opened
				 ? errdetail("Another role has opened it.")
				 : 0,
			 errhint(
				 guc_session_identity
					 ? "Open it with fabric.open_identity and its passphrase."
					 : "Open it with fabric.open_identity and its passphrase, in the same transaction or with fabric.session_identity on.")));
	keystore_keep(rows[0].label, rows[0].version, rows[0].msp_id, rows[0].certificate,
				  key_file_read(rows[0].key_file), false);
	return find_kept(rows[0].label, false)->signer;
}

/* ---- encryption by pgcrypto ---- */

char *
pgcrypto_function(const char *name)
{
	static SpiStatement statement = {
		"SELECT quote_ident(n.nspname) FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace "
		"WHERE e.extname = 'pgcrypto'",
		0,
		{0}};
	SpiScope scope;
	char *function;

	spi_begin(&scope);
	spi_run(&statement, NULL, NULL, true, 1);
	if (SPI_processed != 1)
		elog(ERROR, "extension pgcrypto is missing");
	function =
		MemoryContextStrdup(scope.outer,
							psprintf("%s.%s",
									 SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1),
									 name));
	spi_end(&scope);
	return function;
}

static bytea *
run_pgcrypto(const char *sql, bytea *data, const char *passphrase)
{
	Oid types[2] = {BYTEAOID, TEXTOID};
	Datum values[2] = {PointerGetDatum(data), CStringGetTextDatum(passphrase)};
	SpiScope scope;
	bytea *result;
	MemoryContext inner;

	spi_begin(&scope);
	if (SPI_execute_with_args(sql, 2, types, values, NULL, true, 1) != SPI_OK_SELECT ||
		SPI_processed != 1)
		elog(ERROR, "pgcrypto returned no result");
	inner = MemoryContextSwitchTo(scope.outer);
	result = column_bytea(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);
	MemoryContextSwitchTo(inner);
	spi_end(&scope);
	return result;
}

void
secret_check_passphrase(const char *passphrase)
{
	if (strlen(passphrase) < 8)
		ereport(ERROR, (fb_errcode(FB_INVALID_ARGUMENT),
						errmsg("the passphrase must have at least 8 bytes"),
						errhint("Choose a longer one.")));
}

bytea *
secret_encrypt(FbBytes key, const char *passphrase)
{
	bytea *clear = memory_bytea(key);
	bytea *encrypted = run_pgcrypto(
		psprintf(
			"SELECT %s($1, $2, 'cipher-algo=aes256, s2k-mode=3, s2k-digest-algo=sha256, s2k-count=65011712')",
			pgcrypto_function("pgp_sym_encrypt_bytea")),
		clear, passphrase);

	crypto_wipe(VARDATA(clear), VARSIZE(clear) - VARHDRSZ);
	return encrypted;
}

FbBytes
secret_decrypt(bytea *encrypted, const char *passphrase, const char *what)
{
	char *sql = psprintf("SELECT %s($1, $2)", pgcrypto_function("pgp_sym_decrypt_bytea"));
	bytea *volatile clear = NULL;

	PG_TRY();
	{
		clear = run_pgcrypto(sql, encrypted, passphrase);
	}
	PG_CATCH();
	{
		/* the transaction ends with an error in any case; pgcrypto's own text is less clear */
		if (geterrcode() == ERRCODE_EXTERNAL_ROUTINE_INVOCATION_EXCEPTION ||
			geterrcode() == ERRCODE_EXTERNAL_ROUTINE_EXCEPTION)
		{
			FlushErrorState();
			ereport(ERROR, (fb_errcode(FB_INVALID_KEY), errmsg("%s could not be decrypted", what),
							errhint("Check the passphrase.")));
		}
		PG_RE_THROW();
	}
	PG_END_TRY();
	return memory_bytes(clear);
}

/* ---- functions for SQL ---- */

static void
check_pair(const char *msp_id, FbBytes certificate, FbBytes private_key)
{
	MemoryContext context =
		AllocSetContextCreate(CurrentMemoryContext, "fabric identity check", ALLOCSET_SMALL_SIZES);
	Signer *signer;
	FbError error;
	FbStatus status =
		signer_create(msp_id, certificate, private_key, memory_allocator(context), &signer, &error);

	if (status == FB_OK)
		signer_destroy(signer);
	MemoryContextDelete(context);
	error_check(status, &error);
}

void
keystore_add(const char *label, const char *msp_id, FbBytes certificate, FbBytes private_key,
			 const char *passphrase)
{
	static SpiStatement insert = {
		"INSERT INTO fabric_internal.identity (label, msp_id, certificate, key_file, encrypted_key) VALUES ($1, $2, $3, $4, $5) "
		"ON CONFLICT DO NOTHING",
		5,
		{TEXTOID, TEXTOID, TEXTOID, TEXTOID, BYTEAOID}};
	Datum values[5] = {CStringGetTextDatum(label), CStringGetTextDatum(msp_id),
					   PointerGetDatum(memory_text(certificate))};
	char nulls[6] = "   nn";
	SpiScope scope;
	bool inserted;

	check_label(label);
	check_pair(msp_id, certificate, private_key);
	if (passphrase != NULL)
		secret_check_passphrase(passphrase);
	spi_begin(&scope);
	if (passphrase != NULL)
	{
		values[4] = PointerGetDatum(secret_encrypt(private_key, passphrase));
		nulls[4] = ' ';
	}
	spi_run(&insert, values, nulls, false, 0);
	inserted = SPI_processed > 0;
	spi_end(&scope);
	if (!inserted)
		ereport(ERROR,
				(fb_errcode(FB_INVALID_ARGUMENT), errmsg("identity \"%s\" already exists", label),
				 errhint("Choose another label, or remove it with fabric.drop_identity.")));
	if (passphrase == NULL)
	{
		/* only after the insert: a label that is taken must not affect the existing file */
		static SpiStatement update =
			{"UPDATE fabric_internal.identity SET key_file = $2 WHERE label = $1",
			 2,
			 {TEXTOID, TEXTOID}};
		Datum update_values[2] = {values[0], CStringGetTextDatum(
												 key_file_write("identity", label, private_key))};

		spi_begin(&scope);
		spi_run(&update, update_values, NULL, false, 0);
		spi_end(&scope);
	}
}

/* Run a statement on one label; FB_UNKNOWN_IDENTITY when it must change a row and did not. */
static char *
keystore_change(SpiStatement *statement, const char *label, Oid role, bool must_exist)
{
	Datum values[2] = {CStringGetTextDatum(label), ObjectIdGetDatum(role)};
	SpiScope scope;
	char *result = NULL;
	bool found;

	spi_begin(&scope);
	spi_run(statement, values, NULL, false, 0);
	found = SPI_processed > 0;
	if (found && SPI_tuptable != NULL)
	{
		char *value = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);

		result = value == NULL ? NULL : MemoryContextStrdup(scope.outer, value);
	}
	spi_end(&scope);
	if (!found && must_exist)
		ereport(ERROR, (fb_errcode(FB_UNKNOWN_IDENTITY),
						errmsg("identity \"%s\" does not exist", error_excerpt(label))));
	return result;
}

void
keystore_drop(const char *label)
{
	static SpiStatement statement =
		{"DELETE FROM fabric_internal.identity WHERE label = $1 RETURNING key_file", 1, {TEXTOID}};
	char *key_file = keystore_change(&statement, label, InvalidOid, true);

	if (key_file != NULL)
		key_file_remove_at_commit(key_file);
	keystore_close(label);
}

static void
require_identity(const char *label)
{
	static SpiStatement exists =
		{"SELECT NULL::text FROM fabric_internal.identity WHERE label = $1", 1, {TEXTOID}};

	(void) keystore_change(&exists, label, InvalidOid, true);
}

void
keystore_grant(const char *label, Oid role)
{
	static SpiStatement statement = {
		"INSERT INTO fabric_internal.identity_grant (label, role) VALUES ($1, $2) ON CONFLICT DO NOTHING",
		2,
		{TEXTOID, OIDOID}};

	require_identity(label);
	(void) keystore_change(&statement, label, role, false);
}

void
keystore_revoke(const char *label, Oid role)
{
	static SpiStatement statement =
		{"DELETE FROM fabric_internal.identity_grant WHERE label = $1 AND role = $2",
		 2,
		 {TEXTOID, OIDOID}};

	require_identity(label);
	(void) keystore_change(&statement, label, role, false);
}

void
keystore_open(const char *label, const char *passphrase)
{
	IdentityRow rows[2];

	if (read_granted(label, GetUserId(), rows) == 0)
		ereport(ERROR, (fb_errcode(FB_UNKNOWN_IDENTITY),
						errmsg("identity \"%s\" does not exist or is not granted to role \"%s\"",
							   error_excerpt(label), GetUserNameFromId(GetUserId(), false))));
	if (rows[0].encrypted_key == NULL)
		return; /* a key in a file need not be opened */
	watch_opened();
	keystore_keep(label, rows[0].version, rows[0].msp_id, rows[0].certificate,
				  secret_decrypt(rows[0].encrypted_key, passphrase, "the key"), true);
	guc_note_identity_opened();
}

void
keystore_close(const char *label)
{
	KeptSigner *entry = strlen(label) < LABEL_BYTES ? find_kept(label, false) : NULL;

	if (entry != NULL)
		keystore_forget(entry);
}
