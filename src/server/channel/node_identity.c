/* node_identity.c: the identity of this node: certificate and key from files, read again when they
 * change */
#include "server/channel/channel.h"

#include "miscadmin.h"
#include "storage/fd.h"

#include <sys/stat.h>
#include <unistd.h>

static char *
absolute_path(const char *path)
{
	return path[0] == '/' ? pstrdup(path) : psprintf("%s/%s", DataDir, path);
}

#define REFUSE_NODE_FILE(status, path, detail, hint) \
	ereport(ERROR, (fb_errcode(status), errmsg("could not use file \"%s\"", (path)), detail, hint))

static void
check_secret_mode(const char *setting, const char *path, const struct stat *status)
{
	/* the rules of ssl_key_file: owned by the server's user with 0600 or less, or by root with 0640
	 * or less */
	if (!S_ISREG(status->st_mode))
		REFUSE_NODE_FILE(FB_INVALID_KEY, path,
						 errdetail("Setting %s: It is not a regular file.", setting),
						 errhint("Name the file of the private key."));
	if (status->st_uid != geteuid() && status->st_uid != 0)
		REFUSE_NODE_FILE(FB_INVALID_KEY, path,
						 errdetail("Setting %s: It must be owned by the database user or root.",
								   setting),
						 errhint("Change its owner."));
	if ((status->st_uid == geteuid() && (status->st_mode & (S_IRWXG | S_IRWXO))) ||
		(status->st_uid == 0 && (status->st_mode & (S_IWGRP | S_IXGRP | S_IRWXO))))
		REFUSE_NODE_FILE(FB_INVALID_KEY, path,
						 errdetail("Setting %s: Group or others have access to the private key.",
								   setting),
						 errhint("Set its permissions to 0600: chmod 600."));
}

FbBytes
node_read_file(const char *setting, const char *path, bool secret)
{
	char *full;
	FILE *file;
	struct stat status;
	uint8_t *data;
	size_t size;

	if (path[0] == '\0')
		ereport(
			ERROR,
			(fb_errcode(FB_NOT_CONFIGURED), errmsg("setting \"%s\" is not set", setting),
			 errhint(
				 "Set it in postgresql.conf and reload; docs/operations.md describes the files of a node.")));
	full = absolute_path(path);
	file = AllocateFile(full, PG_BINARY_R);
	if (file == NULL || fstat(fileno(file), &status) != 0)
		REFUSE_NODE_FILE(FB_NOT_CONFIGURED, full, errdetail("Setting %s: %m.", setting),
						 errhint("Put the file there or correct the setting."));
	if (secret)
		check_secret_mode(setting, full, &status);
	if (status.st_size > FB_CERTIFICATE_BYTES_MAX * 16)
		REFUSE_NODE_FILE(FB_LIMIT_EXCEEDED, full,
						 errdetail("Setting %s: It is too large.", setting),
						 errhint("Name a file with PEM certificates or a key."));
	data = palloc(status.st_size + 1);
	size = fread(data, 1, status.st_size, file);
	if (ferror(file))
		REFUSE_NODE_FILE(FB_NOT_CONFIGURED, full,
						 errdetail("Setting %s: It could not be read.", setting),
						 errhint("Check the file."));
	data[size] = '\0';
	FreeFile(file);
	return fb_bytes(data, size);
}

bool
node_is_configured(void)
{
	return guc_node_msp_id[0] != '\0' && guc_node_certificate_file[0] != '\0' &&
		   guc_node_key_file[0] != '\0';
}

/* ---- the signer, kept while the files stay as they are ---- */

typedef struct FileMark
{
	char path[MAXPGPATH];
	struct timespec modified;
	off_t size;
	ino_t inode;
} FileMark;

static void
mark_file(const char *path, FileMark *mark)
{
	struct stat status;

	memset(mark, 0, sizeof(*mark));
	strlcpy(mark->path, path, sizeof(mark->path));
	if (path[0] != '\0' && stat(absolute_path(path), &status) == 0)
	{
		mark->modified = status.st_mtim;
		mark->size = status.st_size;
		mark->inode = status.st_ino;
	}
}

static Signer *kept_signer = NULL;
static MemoryContext kept_signer_context = NULL;
static FileMark kept_certificate_mark;
static FileMark kept_key_mark;
static char *kept_msp_id = NULL;
static TimestampTz checked_at = 0;

/*
 * check the files at most once a second: two stat calls cost more than a look-up in the verified
 * set
 */
static bool
node_files_are_current(void)
{
	FileMark certificate;
	FileMark key;
	TimestampTz now = GetCurrentTimestamp();

	if (kept_signer == NULL || strcmp(kept_msp_id, guc_node_msp_id) != 0)
		return false;
	if (now - checked_at < USECS_PER_SEC &&
		strcmp(kept_certificate_mark.path, guc_node_certificate_file) == 0 &&
		strcmp(kept_key_mark.path, guc_node_key_file) == 0)
		return true;
	mark_file(guc_node_certificate_file, &certificate);
	mark_file(guc_node_key_file, &key);
	if (memcmp(&certificate, &kept_certificate_mark, sizeof(FileMark)) != 0 ||
		memcmp(&key, &kept_key_mark, sizeof(FileMark)) != 0)
		return false;
	checked_at = now;
	return true;
}

const Signer *
node_signer(void)
{
	MemoryContext context;
	FileMark certificate_mark;
	FileMark key_mark;
	FbBytes certificate;
	FbBytes key;
	Signer *signer;
	FbError error;
	FbStatus status;

	if (node_files_are_current())
		return kept_signer;
	if (guc_node_msp_id[0] == '\0')
		ereport(
			ERROR,
			(fb_errcode(FB_NOT_CONFIGURED),
			 errmsg("setting \"%s\" is not set", "fabric.node_msp_id"),
			 errhint(
				 "Set it to the MSP ID of this node's organization in postgresql.conf and reload.")));
	mark_file(guc_node_certificate_file, &certificate_mark);
	mark_file(guc_node_key_file, &key_mark);
	certificate = node_read_file("fabric.node_certificate_file", guc_node_certificate_file, false);
	key = node_read_file("fabric.node_key_file", guc_node_key_file, true);

	context = AllocSetContextCreate(TopMemoryContext, "fabric node identity", ALLOCSET_SMALL_SIZES);
	status = signer_create(guc_node_msp_id, certificate, key, memory_allocator(context), &signer,
						   &error);
	crypto_wipe((void *) key.data, key.size);
	if (status != FB_OK)
	{
		MemoryContextDelete(context);
		fb_error_hint(&error, "Check fabric.node_certificate_file and fabric.node_key_file.");
		error_throw(&error);
	}
	signer_destroy(kept_signer);
	if (kept_signer_context != NULL)
		MemoryContextDelete(kept_signer_context);
	kept_signer = signer;
	kept_certificate_mark = certificate_mark;
	kept_key_mark = key_mark;
	kept_signer_context = context;
	kept_msp_id = MemoryContextStrdup(context, guc_node_msp_id);
	checked_at = GetCurrentTimestamp();
	return kept_signer;
}

static FbStatus
check_accepted(const Channel *channel, const Signer *signer, FbError *error)
{
	const Identity *identity;
	FbStatus status =
		msp_manager_identity(channel->bundle->msps, signer_identity(signer), &identity, error);

	if (status == FB_OUT_OF_MEMORY || status == FB_CRYPTO_FAILURE)
		error_throw(error);
	return status;
}

bool
node_is_accepted(const Channel *channel)
{
	FbError error;

	return guc_node_certificate_file[0] != '\0' &&
		   check_accepted(channel, node_signer(), &error) == FB_OK;
}

const Signer *
node_channel_signer(const Channel *channel)
{
	const Signer *signer = node_signer();
	FbError error;

	if (check_accepted(channel, signer, &error) == FB_OK)
		return signer;
	ereport(
		ERROR,
		(fb_errcode(error.status),
		 errmsg("this node cannot sign anything on channel \"%s\"", channel->name),
		 errdetail("%s%s%s", error.message, error.detail[0] ? ": " : "", error.detail),
		 errhint(
			 "Check fabric.node_certificate_file and fabric.node_msp_id: the other organizations would not accept it.")));
}

uint64
node_tls_generation(void)
{
	static FileMark kept_mark;
	static TimestampTz looked_at = 0;
	static uint64 generation = 0;
	TimestampTz now = GetCurrentTimestamp();
	FileMark mark;

	if (generation > 0 && now - looked_at < USECS_PER_SEC &&
		strcmp(kept_mark.path, guc_tls_certificate_file) == 0)
		return generation;
	mark_file(guc_tls_certificate_file, &mark);
	if (generation == 0 || memcmp(&mark, &kept_mark, sizeof(FileMark)) != 0)
		generation++;
	kept_mark = mark;
	looked_at = now;
	return generation;
}

FbBytes
node_tls_certificate_der(void)
{
	CryptoCertificate *certificate;
	FbBytes pem;
	FbBytes der;
	uint8_t *copy;
	FbError error;

	if (guc_tls_certificate_file[0] == '\0')
		return FB_BYTES_EMPTY;
	pem = node_read_file("fabric.tls_certificate_file", guc_tls_certificate_file, false);
	error_check(crypto_certificate_parse(pem, &certificate, &error), &error);
	der = crypto_certificate_der(certificate);
	copy = palloc(der.size);
	memcpy(copy, der.data, der.size);
	crypto_certificate_free(certificate);
	return fb_bytes(copy, der.size);
}
