/*
 * interpreter.c: chaincode in languages other than SQL and PL/pgSQL.
 *
 * The problem. The interpreter of such a language runs inside the session's process, and a trusted
 * language isolates its code from the operating system only as far as its authors intended. Two
 * gaps matter to the node, and PL/Perl has both: $SIG{ALRM} = 'IGNORE' removes the handler of the
 * timer on which every time limit depends (and similarly those of SIGINT, SIGTERM, SIGQUIT), and
 * printing to STDERR writes into the server's log without a limit.
 *
 * The rule. While such code runs, standard output and standard error are /dev/null, and a thread
 * restores the handlers of all signals every KEEPER_MS and sends a SIGALRM to the session's thread
 * in case one was lost in between. The server's handler tolerates an additional SIGALRM. The thread
 * uses nothing of the server: it makes system calls only, blocks all signals, and ends with the
 * call. Another process could do the same only with ptrace.
 */
#include "postgres.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/dependency.h"
#include "catalog/pg_depend.h"
#include "catalog/pg_language.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_proc.h"
#include "commands/proclang.h"
#include "miscadmin.h"
#include "utils/fmgroids.h"
#include "utils/inval.h"
#include "utils/syscache.h"

#include "server/chaincode/chaincode_internal.h"

#define KEEPER_MS 50
#define KEEPER_STACK_BYTES (128 * 1024)

static struct
{
	bool entered;
	struct sigaction handlers[NSIG];
	bool has_handler[NSIG];
	int output; /* copies of standard output and error */
	int error;
	pthread_t keeper;
	int stop; /* eventfd */
	pid_t session_thread;
} interpreter;

/* ---- packages that need an interpreter ---- */

static Oid known_schema = InvalidOid;
static bool known_needed;

static void
forget_known(Datum argument, int cache_id, uint32 hash)
{
	known_schema = InvalidOid;
}

static bool
function_needs_interpreter(Oid function)
{
	HeapTuple tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	Oid language;

	if (!HeapTupleIsValid(tuple))
		return false;
	language = ((Form_pg_proc) GETSTRUCT(tuple))->prolang;
	ReleaseSysCache(tuple);
	return language != SQLlanguageId && language != get_language_oid("plpgsql", true);
}

static bool
schema_needs_interpreter(Oid schema)
{
	Relation depend = table_open(DependRelationId, AccessShareLock);
	bool needed = false;
	ScanKeyData keys[2];
	SysScanDesc scan;
	HeapTuple tuple;

	ScanKeyInit(&keys[0], Anum_pg_depend_refclassid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(NamespaceRelationId));
	ScanKeyInit(&keys[1], Anum_pg_depend_refobjid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(schema));
	scan = systable_beginscan(depend, DependReferenceIndexId, true, NULL, lengthof(keys), keys);
	while (!needed && HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_depend row = (Form_pg_depend) GETSTRUCT(tuple);

		if (row->classid == ProcedureRelationId)
			needed = function_needs_interpreter(row->objid);
	}
	systable_endscan(scan);
	table_close(depend, AccessShareLock);
	return needed;
}

bool
interpreter_needed(Oid schema)
{
	static bool registered = false;

	if (!registered)
	{
		CacheRegisterSyscacheCallback(PROCOID, forget_known, (Datum) 0);
		registered = true;
	}
	if (known_schema != schema)
	{
		known_needed = schema_needs_interpreter(schema);
		known_schema = schema;
	}
	return known_needed;
}

/* ---- the thread that restores signal handlers ---- */

static void
save_handlers(void)
{
	for (int number = 1; number < NSIG; number++)
		interpreter.has_handler[number] =
			number != SIGKILL && number != SIGSTOP &&
			sigaction(number, NULL, &interpreter.handlers[number]) == 0;
}

static void
restore_handlers(void)
{
	for (int number = 1; number < NSIG; number++)
		if (interpreter.has_handler[number])
			(void) sigaction(number, &interpreter.handlers[number], NULL);
}

static void *
keep_handlers(void *argument)
{
	struct pollfd stop = {.fd = interpreter.stop, .events = POLLIN};

	while (poll(&stop, 1, KEEPER_MS) == 0)
	{
		restore_handlers();
		(void) syscall(SYS_tgkill, MyProcPid, interpreter.session_thread, SIGALRM);
	}
	return NULL;
}

static bool
start_keeper(void)
{
	pthread_attr_t attributes;
	sigset_t all, saved;
	bool started;

	interpreter.stop = eventfd(0, EFD_CLOEXEC);
	if (interpreter.stop < 0)
		return false;
	interpreter.session_thread = (pid_t) syscall(SYS_gettid);
	sigfillset(&all);
	if (pthread_attr_init(&attributes) != 0)
	{
		close(interpreter.stop);
		return false;
	}
	(void) pthread_attr_setstacksize(&attributes, KEEPER_STACK_BYTES);
	/* a thread inherits the signal mask of its creator */
	(void) pthread_sigmask(SIG_SETMASK, &all, &saved);
	started = pthread_create(&interpreter.keeper, &attributes, keep_handlers, NULL) == 0;
	(void) pthread_sigmask(SIG_SETMASK, &saved, NULL);
	(void) pthread_attr_destroy(&attributes);
	if (!started)
		close(interpreter.stop);
	return started;
}

/* ---- standard output and error ---- */

static void
close_output(void)
{
	if (interpreter.output >= 0)
		close(interpreter.output);
	if (interpreter.error >= 0)
		close(interpreter.error);
}

static bool
redirect_output(void)
{
	int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);

	interpreter.output = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
	interpreter.error = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
	if (interpreter.output < 0 || interpreter.error < 0 || nowhere < 0)
	{
		close_output();
		if (nowhere >= 0)
			close(nowhere);
		return false;
	}
	fflush(stdout);
	fflush(stderr);
	(void) dup2(nowhere, STDOUT_FILENO);
	(void) dup2(nowhere, STDERR_FILENO);
	close(nowhere);
	return true;
}

void
interpreter_abandon(void)
{
	if (interpreter.entered)
		(void) dup2(interpreter.error, STDERR_FILENO);
}

bool
interpreter_entered(void)
{
	return interpreter.entered;
}

/* ---- entering and leaving ---- */

void
interpreter_enter(void)
{
	Assert(!interpreter.entered);
	save_handlers();
	if (!redirect_output())
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_RESOURCES),
						errmsg("could not redirect the output of a language's interpreter: %m")));
	if (!start_keeper())
	{
		(void) dup2(interpreter.output, STDOUT_FILENO);
		(void) dup2(interpreter.error, STDERR_FILENO);
		close_output();
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_RESOURCES),
						errmsg("could not start a thread beside a language's interpreter: %m")));
	}
	interpreter.entered = true;
}

void
interpreter_leave(void)
{
	uint64_t one = 1;

	if (!interpreter.entered)
		return;
	interpreter.entered = false;
	if (write(interpreter.stop, &one, sizeof(one)) != sizeof(one))
		elog(FATAL, "could not stop the thread beside a language's interpreter: %m");
	(void) pthread_join(interpreter.keeper, NULL);
	close(interpreter.stop);
	restore_handlers();
	(void) dup2(interpreter.output, STDOUT_FILENO);
	(void) dup2(interpreter.error, STDERR_FILENO);
	close_output();
}
