/*
 * guc.c: every setting of the extension, with its unit and range.
 *
 * Design note: which client chose the identity?
 *
 * The problem. A server process can serve many clients in turn: a connection pooler in transaction
 * mode gives it to one client for a transaction, then to the next, and the server does not notice.
 * Anything that one client leaves behind (a SET, an opened key), the next client would use.
 *
 * The rule. The server cannot tell a pooled connection from a direct one, so it does not try. A
 * value of fabric.identity counts when it certainly belongs to the client of the current
 * transaction:
 *
 *   - it was set in this transaction: by SET LOCAL, by SET in the same transaction block or string
 *     of statements, or by the SET clause of a function;
 *   - it was not set in the session, but in postgresql.conf, by ALTER ROLE, by ALTER DATABASE, or
 *     in the options of the connection, which poolers do not pass on;
 *   - fabric.session_identity is on: the administrator, or the client when it connects, declares
 *     that the connection is not shared. SET cannot turn it on, because the next client would
 *     inherit that too.
 *
 * Otherwise the keystore raises an error: with another identity as a fallback, the client would
 * sign as an identity that it did not choose. Opened identities follow the same rule (keystore.c).
 *
 * Rejected: guessing from the peer's address or application_name (sometimes wrong, and then
 * unnoticed).
 */
#include "server/pg/pg.h"

#include "miscadmin.h"
#include "postmaster/postmaster.h"
#include "utils/guc.h"

#include "server/pg/compat.h"

char *guc_database;
char *guc_node_msp_id;
char *guc_node_certificate_file;
char *guc_node_key_file;
char *guc_tls_certificate_file;
char *guc_tls_key_file;
char *guc_tls_ca_file;
char *guc_node_role;
char *guc_keystore_directory;
char *guc_snapshot_directory;
char *guc_identity;
bool guc_detect_copied_directory;
bool guc_session_identity;
bool guc_allow_drop_extension;
static bool guc_identity_opened;
int guc_max_channels;
int guc_inbox_size;
int guc_chaincode_execute_timeout;
int guc_chaincode_memory_limit;
int guc_endorsement_timeout;
int guc_broadcast_timeout;
int guc_commit_timeout;
int guc_hot_key_timeout;
int guc_log_min_call_duration;
int guc_connect_timeout;
int guc_deliver_wait;
int guc_deliver_batch_size;
int guc_authentication_time_window;
int guc_raft_election_timeout;
bool guc_raft_trace;
int guc_raft_heartbeat_interval;
int guc_raft_log_tail;
int guc_raft_log_tail_size;
int guc_worker_restart_delay;
int guc_relay_connections;
int guc_node_connections;
int guc_reserved_connections;
int guc_verify_workers;

static void
define_text(const char *name, char **variable, const char *value, GucContext context,
			const char *description)
{
	DefineCustomStringVariable(name, description, NULL, variable, value, context, 0, NULL, NULL,
							   NULL);
}

static void
define_number(const char *name, int *variable, int value, int least, int most, GucContext context,
			  int unit, const char *description)
{
	DefineCustomIntVariable(name, description, NULL, variable, value, least, most, context, unit,
							NULL, NULL, NULL);
}

/*
 * for settings that are fixed at server start; without preloading, PostgreSQL does not allow
 * PGC_POSTMASTER, and the values are not used
 */
static GucContext
startup_context(void)
{
	return process_shared_preload_libraries_in_progress ? PGC_POSTMASTER : PGC_SIGHUP;
}

static void
define_node_settings(void)
{
	define_text("fabric.database", &guc_database, "postgres", startup_context(),
				"Database that holds the extension; the background workers connect to it.");
	define_text("fabric.node_msp_id", &guc_node_msp_id, "", PGC_SIGHUP,
				"MSP ID of the organization that this node belongs to.");
	define_text("fabric.node_certificate_file", &guc_node_certificate_file, "", PGC_SIGHUP,
				"Certificate (PEM) with which this node endorses and orders.");
	define_text("fabric.node_key_file", &guc_node_key_file, "", PGC_SIGHUP,
				"Private key (PEM, mode 0600) of the node's certificate.");
	define_text("fabric.tls_certificate_file", &guc_tls_certificate_file, "", PGC_SIGHUP,
				"TLS client certificate (PEM) for connections to other nodes.");
	define_text("fabric.tls_key_file", &guc_tls_key_file, "", PGC_SIGHUP,
				"Private key (PEM, mode 0600) of the TLS client certificate.");
	define_text("fabric.tls_ca_file", &guc_tls_ca_file, "", PGC_SIGHUP,
				"TLS root certificates (PEM) of the organizations of the network.");
	define_text("fabric.node_role", &guc_node_role, "", PGC_SIGHUP,
				"Database role as which this node logs in at other nodes.");
	define_text(
		"fabric.keystore_directory", &guc_keystore_directory, "fabric_keystore", PGC_SIGHUP,
		"Directory of the private keys that this node holds for CAs and client identities.");
	define_text("fabric.snapshot_directory", &guc_snapshot_directory, "", PGC_SIGHUP,
				"Directory of the snapshots that this node writes and joins channels by.");
}

/* ---- the identity that signs ---- */

/*
 * origin of a value of fabric.identity: the "extra" of the setting, which PostgreSQL saves and
 * restores with the value
 */
typedef struct IdentityChoice
{
	bool in_session;				/* set by a command in the session, not by configuration */
	LocalTransactionId transaction; /* if in_session: the transaction that set it */
} IdentityChoice;

static const IdentityChoice *identity_choice;
static void (*identities_closed)(void);

static bool
made_in_session(GucSource source)
{
	return source > PGC_S_OVERRIDE && source != PGC_S_TEST;
}

static bool
check_identity(char **value, void **extra, GucSource source)
{
	IdentityChoice *choice = compat_setting_extra(sizeof(IdentityChoice));

	if (choice == NULL)
		return false;
	choice->in_session = made_in_session(source);
	choice->transaction = choice->in_session && MyProc != NULL ? compat_local_transaction()
															   : InvalidLocalTransactionId;
	*extra = choice;
	return true;
}

static void
assign_identity(const char *value, void *extra)
{
	identity_choice = extra;
}

static bool
check_session_identity(bool *value, void **extra, GucSource source)
{
	if (!made_in_session(source))
		return true;
	GUC_check_errmsg("parameter \"fabric.session_identity\" cannot be changed in a session");
	GUC_check_errdetail("A connection pooler would leave the change behind for its next client.");
	GUC_check_errhint(
		"Set it in postgresql.conf, with ALTER ROLE or ALTER DATABASE, or in the options of the connection.");
	return false;
}

static void
assign_identity_opened(bool value, void *extra)
{
	if (!value && identities_closed != NULL)
		identities_closed();
}

bool
guc_identity_is_chosen(void)
{
	return guc_session_identity || identity_choice == NULL || !identity_choice->in_session ||
		   identity_choice->transaction == compat_local_transaction();
}

void
guc_note_identity_opened(void)
{
	(void) set_config_option("fabric.identity_opened", "on", PGC_USERSET, PGC_S_SESSION,
							 guc_session_identity ? GUC_ACTION_SET : GUC_ACTION_LOCAL, true, 0,
							 false);
}

void
guc_on_identities_closed(void (*closed)(void))
{
	identities_closed = closed;
}

static void
define_identity_settings(void)
{
	DefineCustomStringVariable(
		"fabric.identity", "Label of the client identity that signs.",
		"Set it in the transaction that uses it (SET LOCAL), unless fabric.session_identity is on.",
		&guc_identity, "", PGC_USERSET, 0, check_identity, assign_identity, NULL);
	DefineCustomBoolVariable(
		"fabric.session_identity",
		"Lets a chosen and an opened identity last for the session instead of the transaction.",
		"Only for connections that no pooler shares among clients. Cannot be changed by SET.",
		&guc_session_identity, false, PGC_USERSET, 0, check_session_identity, NULL, NULL);
	DefineCustomBoolVariable("fabric.identity_opened",
							 "Whether this session has opened an identity.",
							 "Turning it off closes them all; so do RESET ALL and DISCARD ALL.",
							 &guc_identity_opened, false, PGC_USERSET,
							 GUC_DISALLOW_IN_FILE | GUC_NOT_IN_SAMPLE, NULL, assign_identity_opened,
							 NULL);
}

static void
define_guards(void)
{
	DefineCustomBoolVariable(
		"fabric.allow_drop_extension",
		"Lets DROP EXTENSION remove joined channels and certificate authorities.",
		"Also by CASCADE from something else, and with DROP DATABASE ... WITH (FORCE).",
		&guc_allow_drop_extension, false, PGC_SUSET, GUC_NOT_IN_SAMPLE, NULL, NULL, NULL);
}

static void
define_limits(void)
{
	define_number("fabric.max_channels", &guc_max_channels, 8, 1, 256, startup_context(), 0,
				  "Channels that this node can join at the same time.");
	define_number(
		"fabric.inbox_size", &guc_inbox_size, 32 * 1024, 256, 1024 * 1024, startup_context(),
		GUC_UNIT_KB,
		"Bytes of envelopes and Raft messages that may wait for the orderer of a channel.");
	define_number(
		"fabric.relay_connections", &guc_relay_connections, 64, 0, 1000, PGC_SIGHUP, 0,
		"Connections to one other node that carry the requests of all sessions, at most; 0 lets every session make its own.");
	define_number(
		"fabric.node_connections", &guc_node_connections, 0, 0, MAX_BACKENDS, PGC_SIGHUP, 0,
		"Connections that the role of one other node may have here, at most; 0: half of all, divided by the number of such roles.");
	define_number(
		"fabric.reserved_connections", &guc_reserved_connections, -1, -1, MAX_BACKENDS, PGC_SIGHUP,
		0,
		"Connections that are kept for the role of each other node; -1: 2 for each channel and 4 more.");
	define_number(
		"fabric.verify_workers", &guc_verify_workers, 2, 0, 64, PGC_SUSET, 0,
		"Background processes that verify signatures for fabric.verify_chain and fabric.rebuild_state, at most; 0 starts none.");
	define_number("fabric.deliver_batch_size", &guc_deliver_batch_size, 8 * 1024, 64, 256 * 1024,
				  PGC_SIGHUP, GUC_UNIT_KB,
				  "Bytes of blocks that one request to another node asks for.");
	define_number(
		"fabric.raft_log_tail", &guc_raft_log_tail, 1000, 4, 1000000, PGC_SIGHUP, 0,
		"Log entries that the orderer keeps for slow followers after they are in the ledger, at most.");
	define_number(
		"fabric.raft_log_tail_size", &guc_raft_log_tail_size, 64 * 1024, 64, 64 * 1024 * 1024,
		PGC_SIGHUP, GUC_UNIT_KB,
		"Bytes of log entries that the orderer keeps for slow followers after they are in the ledger, at most.");
}

static void
define_times(void)
{
	define_number("fabric.chaincode_execute_timeout", &guc_chaincode_execute_timeout, 30000, 10,
				  3600000, PGC_SIGHUP, GUC_UNIT_MS,
				  "Longest time that a chaincode function may run.");
	define_number(
		"fabric.chaincode_memory_limit", &guc_chaincode_memory_limit, 1024 * 1024, 0, MAX_KILOBYTES,
		PGC_SIGHUP, GUC_UNIT_KB,
		"Largest memory of a process, and of its temporary files, while a chaincode function runs in it; 0 turns the limit off.");
	define_number("fabric.endorsement_timeout", &guc_endorsement_timeout, 30000, 100, 3600000,
				  PGC_USERSET, GUC_UNIT_MS,
				  "Longest time to wait for the endorsements of a transaction.");
	define_number("fabric.broadcast_timeout", &guc_broadcast_timeout, 30000, 100, 3600000,
				  PGC_USERSET, GUC_UNIT_MS,
				  "Longest time to try to hand a transaction to the orderers.");
	define_number("fabric.commit_timeout", &guc_commit_timeout, 60000, 100, 3600000, PGC_USERSET,
				  GUC_UNIT_MS,
				  "Longest time to wait for a submitted transaction to be committed on this node.");
	define_number(
		"fabric.hot_key_timeout", &guc_hot_key_timeout, 5000, 0, 3600000, PGC_USERSET, GUC_UNIT_MS,
		"Longest time that a transaction waits for others of this node that change the same keys; 0 hands it in at once.");
	define_number(
		"fabric.log_min_call_duration", &guc_log_min_call_duration, -1, -1, 3600000, PGC_SUSET,
		GUC_UNIT_MS,
		"Shortest duration of a call that is logged, with where it waited; -1 logs none.");
	define_number("fabric.connect_timeout", &guc_connect_timeout, 5000, 100, 600000, PGC_SIGHUP,
				  GUC_UNIT_MS, "Longest time to connect to another node.");
	define_number("fabric.deliver_wait", &guc_deliver_wait, 10000, 100, 600000, PGC_SIGHUP,
				  GUC_UNIT_MS,
				  "Longest time that one request for new blocks waits at the other node.");
	define_number(
		"fabric.authentication_time_window", &guc_authentication_time_window, 15 * 60, 0, 86400,
		PGC_SIGHUP, GUC_UNIT_S,
		"Largest difference between a request's timestamp and this node's clock; 0 turns the check off.");
	define_number(
		"fabric.raft_election_timeout", &guc_raft_election_timeout, 1000, 50, 600000, PGC_SIGHUP,
		GUC_UNIT_MS,
		"Time without a leader after which an orderer calls an election (randomized up to twice this value).");
	define_number(
		"fabric.raft_heartbeat_interval", &guc_raft_heartbeat_interval, 100, 10, 60000, PGC_SIGHUP,
		GUC_UNIT_MS,
		"Time between two heartbeats of a Raft leader; must be well below fabric.raft_election_timeout.");
	DefineCustomBoolVariable(
		"fabric.detect_copied_directory",
		"Takes a consenter whose data directory is a copy for restored: it recovers before it votes.",
		"Turn it off only where files change their identity without being copied.",
		&guc_detect_copied_directory, true, PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomBoolVariable(
		"fabric.raft_trace", "Logs every decision of Raft, one line each.",
		"For finding out why there was an election, or why a consenter falls behind; hundreds of lines each second.",
		&guc_raft_trace, false, PGC_SIGHUP, 0, NULL, NULL, NULL);
	define_number("fabric.worker_restart_delay", &guc_worker_restart_delay, 1000, 10, 600000,
				  PGC_SIGHUP, GUC_UNIT_MS,
				  "Shortest time between two starts of the same background worker.");
}

void
guc_define(void)
{
	define_node_settings();
	define_identity_settings();
	define_guards();
	define_limits();
	define_times();
	fault_define();
	MarkGUCPrefixReserved("fabric");
}
