/*
 * key_file.c: private keys as files of the keystore directory, which are created and removed with
 * the transaction; and secrets in statements
 */
#include "server/ca/ca.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "storage/fd.h"

#include <sys/stat.h>
#include <unistd.h>

typedef struct PendingFile
{
	char *path;
	bool at_commit; /* false: remove at abort */
	SubTransactionId subtransaction;
} PendingFile;

static List *pending = NIL; /* of PendingFile *, in TopTransactionContext */

/* ---- files follow the transaction ---- */

/*
 * The transaction has ended, so this must not raise an error. A private key file that remains
 * without an owner is logged.
 */
static void
remove_file(const char *path)
{
	if (unlink(path) != 0 && errno != ENOENT)
		ereport(WARNING,
				(errcode_for_file_access(), errmsg("could not remove key file \"%s\": %m", path),
				 errhint("Remove it by hand: nothing in the database refers to it.")));
}

static void
key_file_at_transaction_end(XactEvent event, void *argument)
{
	ListCell *cell;
	bool committed = event == XACT_EVENT_COMMIT;

	if (event == XACT_EVENT_PRE_PREPARE && pending != NIL)
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("cannot PREPARE a transaction that has changed the keystore")));
	if (event != XACT_EVENT_COMMIT && event != XACT_EVENT_ABORT)
		return;
	foreach(cell, pending)
	{
		PendingFile *file = lfirst(cell);

		if (file->at_commit == committed)
			remove_file(file->path);
	}
	pending = NIL;
}

static void
end_of_subtransaction(SubXactEvent event, SubTransactionId own, SubTransactionId parent,
					  void *argument)
{
	ListCell *cell;

	foreach(cell, pending)
	{
		PendingFile *file = lfirst(cell);

		if (file->subtransaction != own)
			continue;
		if (event == SUBXACT_EVENT_COMMIT_SUB)
			file->subtransaction = parent;
		else if (event == SUBXACT_EVENT_ABORT_SUB)
		{
			if (!file->at_commit)
				remove_file(file->path);
			pending = foreach_delete_current(pending, cell);
		}
	}
}

static void
key_file_remember(const char *path, bool at_commit)
{
	static bool registered = false;
	MemoryContext old;
	PendingFile *file;

	if (!registered)
	{
		RegisterXactCallback(key_file_at_transaction_end, NULL);
		RegisterSubXactCallback(end_of_subtransaction, NULL);
		registered = true;
	}
	old = MemoryContextSwitchTo(TopTransactionContext);
	file = palloc(sizeof(PendingFile));
	file->path = pstrdup(path);
	file->at_commit = at_commit;
	file->subtransaction = GetCurrentSubTransactionId();
	pending = lappend(pending, file);
	MemoryContextSwitchTo(old);
}

/* ---- paths ---- */

static char *
directory_path(void)
{
	if (guc_keystore_directory[0] == '/')
		return pstrdup(guc_keystore_directory);
	return psprintf("%s/%s", DataDir, guc_keystore_directory);
}

#define REFUSE_KEY_FILE(status, path, detail)                                                \
	ereport(                                                                                 \
		ERROR,                                                                               \
		(fb_errcode(status), errmsg("could not use \"%s\" of the keystore", (path)), detail, \
		 errhint(                                                                            \
			 "Check fabric.keystore_directory, its owner and its permissions (directory 0700, files 0600).")))

static void
ensure_directory(const char *path)
{
	struct stat status;

	if (mkdir(path, S_IRWXU) == 0)
	{
		fsync_fname(path, true);
		return;
	}
	if (errno != EEXIST || stat(path, &status) != 0)
		REFUSE_KEY_FILE(FB_NOT_CONFIGURED, path, errdetail("%m."));
	if (!S_ISDIR(status.st_mode) || status.st_uid != geteuid() ||
		(status.st_mode & (S_IRWXG | S_IRWXO)))
		REFUSE_KEY_FILE(
			FB_NOT_CONFIGURED, path,
			errdetail(
				"It must be a directory that belongs to the database user and that no other user can enter."));
}

/*
 * Labels may hold any character, so files are named by their hash. The random part gives every key
 * its own file: a label that is dropped and added again in one transaction needs both files until
 * the end of the transaction decides which one remains.
 */
static char *
file_name_of(const char *purpose, const char *label)
{
	uint8_t digest[CRYPTO_SHA256_BYTES];
	uint8_t random[8];
	char hex[2 * CRYPTO_SHA256_BYTES + 1];
	char random_hex[2 * sizeof(random) + 1];
	FbError error;

	crypto_sha256(fb_bytes_of_text(label), digest);
	fb_hex_encode(fb_bytes(digest, sizeof(digest)), hex);
	hex[32] = '\0';
	error_check(crypto_random(random, sizeof(random), &error), &error);
	fb_hex_encode(fb_bytes(random, sizeof(random)), random_hex);
	return psprintf("%s_%s_%s.pem", purpose, hex, random_hex);
}

/* ---- reading and writing ---- */

char *
key_file_write(const char *purpose, const char *label, FbBytes pem)
{
	char *directory = directory_path();
	char *name = file_name_of(purpose, label);
	char *path = psprintf("%s/%s", directory, name);
	char *temporary = psprintf("%s.%d.tmp", path, MyProcPid);
	int file;

	ensure_directory(directory);
	/* before the file is created, so that no key remains if anything fails from here on */
	key_file_remember(temporary, false);
	key_file_remember(path, false);
	file = OpenTransientFilePerm(temporary, O_WRONLY | O_CREAT | O_TRUNC | PG_BINARY,
								 S_IRUSR | S_IWUSR);
	if (file < 0)
		REFUSE_KEY_FILE(FB_NOT_CONFIGURED, temporary, errdetail("%m."));
	errno = 0;
	if (write(file, pem.data, pem.size) != (ssize_t) pem.size || pg_fsync(file) != 0)
	{
		/* a short write without an error: the disk is full */
		if (errno == 0)
			errno = ENOSPC;
		REFUSE_KEY_FILE(FB_NOT_CONFIGURED, temporary, errdetail("%m."));
	}
	CloseTransientFile(file);
	(void) durable_rename(temporary, path, ERROR);
	return name;
}

FbBytes
key_file_read(const char *file_name)
{
	char *path = psprintf("%s/%s", directory_path(), file_name);
	struct stat status;
	FILE *file = AllocateFile(path, PG_BINARY_R);
	uint8_t *data;
	size_t size;

	if (file == NULL || fstat(fileno(file), &status) != 0)
		REFUSE_KEY_FILE(FB_INVALID_KEY, path, errdetail("%m."));
	if (!S_ISREG(status.st_mode) || status.st_uid != geteuid() ||
		(status.st_mode & (S_IRWXG | S_IRWXO)))
		REFUSE_KEY_FILE(
			FB_INVALID_KEY, path,
			errdetail(
				"A private key must be a file that belongs to the database user and that no other user can read."));
	if (status.st_size > FB_CERTIFICATE_BYTES_MAX)
		REFUSE_KEY_FILE(FB_INVALID_KEY, path, errdetail("It is too large for a private key."));
	data = palloc(status.st_size + 1);
	size = fread(data, 1, status.st_size, file);
	FreeFile(file);
	return fb_bytes(data, size);
}

void
key_file_remove_at_commit(const char *file_name)
{
	key_file_remember(psprintf("%s/%s", directory_path(), file_name), true);
}

/* ---- secrets in statements ---- */

static void
hide_statement(void *argument)
{
	errhidestmt(true);
	errhidecontext(true);
}

StaticAssertDecl(sizeof(ErrorContextCallback) <= sizeof(((SecretScope *) 0)->callback),
				 "space for the callback");

void
secret_scope_begin(SecretScope *scope)
{
	ErrorContextCallback *callback = (ErrorContextCallback *) scope->callback;

	callback->callback = hide_statement;
	callback->arg = NULL;
	callback->previous = error_context_stack;
	scope->previous = error_context_stack;
	error_context_stack = callback;
}

void
secret_scope_end(SecretScope *scope)
{
	error_context_stack = scope->previous;
}
