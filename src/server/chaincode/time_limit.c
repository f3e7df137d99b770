/*
 * time_limit.c: ending code that does not end by itself.
 *
 * The problem. Chaincode is written by others, and so are many functions that it may call: a loop
 * in PL/Perl or PL/Tcl never checks PostgreSQL's interrupts, nor do many functions in C (btrim of a
 * long text by many characters, translate, operators on long arrays, XPath, numeric). A timeout
 * that only requests cancellation is not enough, and neither are pg_cancel_backend,
 * pg_terminate_backend and a fast shutdown, which are also only requests. A list of such functions,
 * or limits on the size of their arguments, would have to be complete for all versions of the
 * server and for all languages.
 *
 * The rule. While code of a package runs, a timeout of the server checks the process every TICK_MS,
 * with these stages:
 *
 *   1. At the limit, the process gets the request that pg_cancel_backend makes. Nearly all code
 *   reacts, and the session continues with an error.
 *   2. If a request, this one or one of another session, was accepted but the code still runs
 *   PATIENCE_MS later, then the code caught the error. The process gets the request that
 *   pg_terminate_backend makes, which cannot be caught.
 *   3. If a request has not been accepted after PATIENCE_MS, it never will be. The process ends
 *   itself inside the signal handler, as a FATAL error does, as soon as a tick interrupts it at a
 *   sound moment; at any other moment it waits for the next tick.
 *   4. When the process has used FORCE_CPU_MS more of CPU time without such a moment, or the exit
 *   hangs, it calls _exit(2). The postmaster handles that as a crash and restarts the instance:
 *   nothing that was acknowledged is lost, but all sessions are. A process that waits (for a disk,
 *   for a lock) uses no CPU time and never ends in this way.
 *
 * Sound moments. Ending a process inside a signal handler runs the abort of its transaction and the
 * callbacks of its exit on top of the interrupted code. Other processes could see shared memory
 * half changed. All shared data is changed only with an LWLock held or in a critical section; both
 * hold off interrupts, and the tick does nothing then (InterruptHoldoffCount, CritSectionCount). So
 * no page, no WAL record and no lock table is ever left half changed, independently of the
 * following. There remains the process's own memory, which the abort uses: the allocators, resource
 * owners, hash tables, caches, open files, the error being reported, the message being sent. The
 * stack of the interrupted code is walked (frame_is_sound): it must not contain a function of
 * these, nor code of the C library (malloc, system calls; comparing strings by a locale is the
 * exception, because it can take long), of the dynamic linker, or of OpenSSL. None of these
 * functions runs for long, and none calls functions of SQL, so code that does not react for a
 * second is nearly always interrupted outside of them. A function that is missing in the list would
 * have to be interrupted in the few instructions where its data is inconsistent; then the exit
 * would fail, which is stage 4.
 *
 * The client sees an error with SQLSTATE LF306 in stage 1, FATAL with LF306 in stages 2 and 3
 * (57014 or 57P01 when another session made the request), a lost connection in stage 4. Another
 * node that waits for this endorsement sees that this organization failed, and asks another one.
 * The process does not wait for a client that does not read its socket.
 *
 * Rejected:
 *   - A child process for each simulation, by fork from the session: it would share the session's
 *     locks, pins and place in shared memory without owning them, so that ending it with a signal
 *     would always be the crash of stage 4. Reads of the state would have to use a pipe, catalog
 *     lookups too.
 *   - Background workers that simulate: memory and processes of a second connection for each
 *     session, and the same problem in the worker.
 *   - siglongjmp out of the handler, to keep the session: the exit only needs the data that the
 *     abort uses; continuing needs all other data as well.
 *   - SIGKILL by a watching process: stage 4 every time.
 *
 * PL/Perl can set signal handlers; see interpreter.c.
 */
#include "postgres.h"

#include <dlfcn.h>
#include <poll.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>
#include <unwind.h>

/*
 * the headers of GSSAPI need not be installed; the fields of Port that exist only with it are the
 * last fields, and are not used
 */
#undef ENABLE_GSS
#include "libpq/libpq-be.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "tcop/dest.h"
#include "tcop/tcopprot.h"
#include "utils/memutils.h"
#include "utils/timeout.h"

#include "server/chaincode/chaincode_internal.h"

#include "server/pg/compat.h"

#define TICK_MS 100
#define FIRST_TICK_MS 500
#define PATIENCE_MS 500
#define FORCE_CPU_MS 3000
#define EXIT_MS 15000
/* the functions that must not be interrupted do not call deeply nested functions */
#define FRAMES_MAX 64

typedef enum LimitCause
{
	CAUSE_NONE,
	CAUSE_LIMIT,
	CAUSE_CANCEL,
	CAUSE_TERMINATE
} LimitCause;

/* state of the running code; written outside the handler only while it is not active */
static struct
{
	volatile sig_atomic_t active;
	volatile sig_atomic_t exiting;
	volatile sig_atomic_t expired;
	volatile sig_atomic_t told_to_end; /* by this file, so that it cannot be caught */
	volatile LimitCause cause;		   /* of the request that the code has not followed */
	volatile uint64 asked_ms;		   /* time of the request, as clock_ms returns it */
	volatile uint64
		force_cpu_ms; /* CPU time of the process when stage 3 began; 0: it has not begun */
	uint64 started_ms;
	int limit_ms;
	char *stack_base;
	char what[NAMEDATALEN * 2]; /* for messages */
} limit;

static TimeoutId limit_timeout;

/* ---- is this a sound moment to end the process? ---- */

/* prefixes of names: functions of the server that must not be interrupted */
/* clang-format off */
static const char *const critical_functions[] = {
	/* memory */
	"palloc", "pfree", "repalloc", "MemoryContext", "AllocSet", "Generation", "Slab", "Bump", "AlignedAlloc", "ResourceOwner",
	"hash_search", "hash_create", "hash_destroy", "hash_seq_", "hash_update",
	/* caches and catalogs */
	"SearchSysCache", "SearchCatCache", "ReleaseSysCache", "ReleaseCatCache", "GetSysCache", "CatCache", "CatalogCache", "Relation", "relation_", "table_", "index_", "heap_",
	"systable_", "toast_", "AcceptInvalidation", "CacheInvalidate", "CallSyscache", "LocalExecuteInval", "ReceiveShared", "SendShared", "SI",
	"CreateCachedPlan", "CompleteCachedPlan", "SaveCachedPlan", "ReleaseCachedPlan", "DropCachedPlan", "lookup_type_cache", "assign_record_type",
	/* locks, buffers, files, shared memory */
	"Lock", "Unlock", "LW", "s_lock", "ProcSleep", "ProcWait", "ProcArray", "ProcSignal", "ProcessInterrupts", "ReadBuffer", "ReleaseBuffer",
	"ReleaseAndRead", "MarkBuffer", "IncrBuffer", "ExtendBuffer", "PinBuffer", "UnpinBuffer", "smgr", "mdread", "mdnblocks", "mdopen", "mdexists", "mdclose", "mdprefetch", "File", "PathName",
	"OpenTransient", "OpenTemporary", "BufFile", "XLog", "pgstat_", "dsm_", "dsa_",
	/* transactions, snapshots, portals, SPI */
	"GetSnapshotData", "GetTransactionSnapshot", "GetLatestSnapshot", "PushActive", "PopActive", "PushCopied", "UpdateActive", "RegisterSnapshot", "UnregisterSnapshot",
	"BeginInternalSub", "ReleaseCurrentSub", "RollbackAndRelease", "AtEO", "AtSub", "CommandCounter", "GetCurrentTransaction", "CreatePortal", "CreateNewPortal", "PortalDrop",
	"PortalDefine", "PinPortal", "UnpinPortal", "SPI_connect", "SPI_finish", "SPI_freeplan", "SPI_keepplan",
	/* errors, the client, settings, timeouts, waits, the end */
	"err", "EmitErrorReport", "CopyErrorData", "FlushErrorState", "FreeErrorData", "ReThrowError", "ThrowErrorData", "pg_re_throw", "write_", "pq_", "secure_", "be_",
	"WaitLatch", "WaitEventSet", "SetLatch", "ResetLatch", "ConditionVariable", "set_config", "NewGUC", "SetUserId", "PushOverride", "PopOverride", "enable_timeout",
	"disable_timeout", "reschedule_timeouts", "load_", "proc_exit", "shmem_exit",
	/* the functions of this library that chaincode calls */
	"fabric_",
};
/* clang-format on */

/* prefixes of file names: libraries whose code must not be interrupted */
static const char *const critical_libraries[] = {"ld-",		   "ld.",	"linux-",
												 "libpthread", "libdl", "libcrypto",
												 "libssl",	   "libpq", "libgcc"};
/* exceptions in the C library: comparing long texts by a locale */
static const char *const long_libc_functions[] = {"strcoll",   "__strcoll", "strxfrm",
												  "__strxfrm", "wcscoll",	"wcsxfrm"};

static bool
begins_with_any(const char *name, const char *const *beginnings, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (strncmp(name, beginnings[i], strlen(beginnings[i])) == 0)
			return true;
	return false;
}

#ifdef COMPAT_NAMELESS_ALLOCATORS
/* the allocators' functions are not exported, and pfree ends with a jump to one of them */
static const MemoryContextMethods *allocator_methods[3];

static void
find_allocators(void)
{
	MemoryContext generation, slab;

	generation =
		GenerationContextCreate(CurrentMemoryContext, "fabric time limit", SLAB_DEFAULT_BLOCK_SIZE,
								SLAB_DEFAULT_BLOCK_SIZE, SLAB_DEFAULT_BLOCK_SIZE);
	slab =
		SlabContextCreate(CurrentMemoryContext, "fabric time limit", SLAB_DEFAULT_BLOCK_SIZE, 64);
	allocator_methods[0] = TopMemoryContext->methods;
	allocator_methods[1] = generation->methods;
	allocator_methods[2] = slab->methods;
	MemoryContextDelete(generation);
	MemoryContextDelete(slab);
}

static bool
is_allocator(void *pc)
{
	void *function = _Unwind_FindEnclosingFunction(pc);

	for (int i = 0; i < lengthof(allocator_methods); i++)
	{
		const MemoryContextMethods *methods = allocator_methods[i];

		if (function == (void *) methods->alloc || function == (void *) methods->free_p ||
			function == (void *) methods->realloc || function == (void *) methods->reset ||
			function == (void *) methods->delete_context)
			return true;
	}
	return false;
}
#else
static void
find_allocators(void)
{
}

static bool
is_allocator(void *pc)
{
	return false;
}
#endif

typedef struct StackWalk
{
	bool interrupted; /* the handler's own frames have been passed */
	bool complete;	  /* all relevant frames were seen */
	bool sound;
	bool in_libc;		/* the previous frame belongs to the C library */
	bool long_function; /* and that part of the stack is one of long_libc_functions */
	int frames_count;
} StackWalk;

/* a frame of the C library is sound only as part of a call of one of long_libc_functions */
static bool
libc_frame_is_sound(StackWalk *walk, const Dl_info *info)
{
	const char *name = info->dli_sname ? info->dli_sname : "";

	walk->in_libc = true;
	if (begins_with_any(name, long_libc_functions, lengthof(long_libc_functions)))
		walk->long_function = true;
	return strstr(name, "alloc") == NULL && strstr(name, "free") == NULL;
}

static bool
frame_is_sound(StackWalk *walk, void *pc)
{
	Dl_info info;
	const char *file;

	if (dladdr(pc, &info) == 0 || info.dli_fname == NULL)
		return false;
	file = strrchr(info.dli_fname, '/') ? strrchr(info.dli_fname, '/') + 1 : info.dli_fname;
	if (strncmp(file, "libc.", 5) == 0 || strncmp(file, "libc-", 5) == 0)
		return libc_frame_is_sound(walk, &info);
	if (walk->in_libc && !walk->long_function)
		return false;
	walk->in_libc = walk->long_function = false;
	if (begins_with_any(file, critical_libraries, lengthof(critical_libraries)))
		return false;
	if (info.dli_sname != NULL &&
		begins_with_any(info.dli_sname, critical_functions, lengthof(critical_functions)))
		return false;
	return !is_allocator(pc);
}

static _Unwind_Reason_Code
look_at_frame(struct _Unwind_Context *context, void *argument)
{
	StackWalk *walk = argument;
	int before = 0;
	uintptr_t pc = (uintptr_t) _Unwind_GetIPInfo(context, &before);

	/* the program counter of a frame that a signal interrupted is not a return address */
	if (!walk->interrupted && !before)
		return _URC_NO_REASON;
	walk->interrupted = true;
	if (walk->frames_count++ >= FRAMES_MAX || (char *) _Unwind_GetCFA(context) >= limit.stack_base)
	{
		walk->complete = true;
		return _URC_NORMAL_STOP;
	}
	if (pc == 0 || !frame_is_sound(walk, (void *) (before ? pc : pc - 1)))
	{
		walk->sound = false;
		return _URC_NORMAL_STOP;
	}
	return _URC_NO_REASON;
}

static bool
moment_is_sound(void)
{
	StackWalk walk = {.sound = true};

	(void) _Unwind_Backtrace(look_at_frame, &walk);
	return walk.complete && walk.sound && !(walk.in_libc && !walk.long_function);
}

/* ---- ending the process ---- */

/*
 * A client that does not read must not keep the process alive: make sure that sending never blocks.
 */
static void
drop_deaf_client(void)
{
	struct pollfd client = {.events = POLLOUT};

	if (whereToSendOutput != DestRemote || MyProcPort == NULL)
		return;
	client.fd = MyProcPort->sock;
	if (poll(&client, 1, 0) != 1 || !(client.revents & POLLOUT))
		whereToSendOutput = DestNone;
}

static void
raise_fatal(void)
{
	switch (limit.cause)
	{
		case CAUSE_CANCEL:
			ereport(FATAL,
					(errcode(ERRCODE_QUERY_CANCELED),
					 errmsg("terminating connection because %s did not react to the cancellation",
							limit.what)));
			break;
		case CAUSE_TERMINATE:
			ereport(FATAL,
					(errcode(ERRCODE_ADMIN_SHUTDOWN),
					 errmsg("terminating connection due to administrator command"),
					 errdetail("The session was running %s, which did not react.", limit.what)));
			break;
		default:
			ereport(FATAL,
					(fb_errcode(FB_CHAINCODE_TIMEOUT),
					 errmsg("terminating connection because %s did not finish in %d ms", limit.what,
							limit.limit_ms),
					 errdetail("It could not be interrupted."),
					 errhint("The limit of this node is fabric.chaincode_execute_timeout.")));
	}
}

static void
time_limit_end_process(void)
{
	sigset_t alarm;

	limit.exiting = true;
	sandbox_guard(InvalidOid);
	interpreter_abandon();
	drop_deaf_client();
	sigemptyset(&alarm);
	sigaddset(&alarm, SIGALRM);
	sigprocmask(SIG_UNBLOCK, &alarm, NULL);
	enable_timeout_after(limit_timeout, EXIT_MS);
	/* the code's own callbacks read data that may be inconsistent */
	error_context_stack = NULL;
	raise_fatal();
}

static void
crash_process(const char *why)
{
	static const char who[] = "FATAL:  fabric: the process of a chaincode is ended at once: ";

	interpreter_abandon();
	if (write(STDERR_FILENO, who, sizeof(who) - 1) < 0 ||
		write(STDERR_FILENO, why, strlen(why)) < 0)
		_exit(2);
	_exit(2);
}

/* ---- the tick, inside the server's handler of SIGALRM, which holds off interrupts once ---- */

static uint64
cpu_ms(void)
{
	struct timespec used;

	if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used) != 0)
		return 0;
	return (uint64) used.tv_sec * 1000 + used.tv_nsec / 1000000;
}

static void
note_request(LimitCause cause, uint64 now)
{
	if (limit.cause != CAUSE_NONE)
		return;
	limit.asked_ms = now;
	limit.cause = cause;
}

static void
ask_to_cancel(void)
{
	QueryCancelPending = true;
	InterruptPending = true;
	SetLatch(MyLatch);
}

static void
time_limit_ask_to_end(uint64 now)
{
	limit.told_to_end = true;
	limit.asked_ms = now;
	drop_deaf_client();
	ProcDiePending = true;
	InterruptPending = true;
	SetLatch(MyLatch);
}

static void
force_end(void)
{
	if (InterruptHoldoffCount > 1 || CritSectionCount > 0)
		return;
	if (limit.force_cpu_ms == 0)
		limit.force_cpu_ms = cpu_ms() + 1;
	if (moment_is_sound())
		time_limit_end_process();
	if (cpu_ms() > limit.force_cpu_ms + FORCE_CPU_MS)
		crash_process("it can be neither interrupted nor ended\n");
}

static void
limit_tick(void)
{
	uint64 now = clock_ms();

	if (limit.exiting)
		crash_process("its exit hangs\n");
	if (!limit.active || proc_exit_inprogress)
		return;
	if (!limit.expired && now - limit.started_ms >= (uint64) limit.limit_ms)
	{
		limit.expired = true;
		if (limit.cause == CAUSE_NONE)
		{
			note_request(CAUSE_LIMIT, now);
			ask_to_cancel();
			return;
		}
	}
	if (limit.cause == CAUSE_NONE)
	{
		if (ProcDiePending || QueryCancelPending)
			note_request(ProcDiePending ? CAUSE_TERMINATE : CAUSE_CANCEL, now);
		return;
	}
	if (now - limit.asked_ms < PATIENCE_MS)
		return;
	if (!limit.told_to_end && !QueryCancelPending && !ProcDiePending)
		time_limit_ask_to_end(now);
	else
		force_end();
}

/* ---- functions for other files ---- */

static void
set_up_once(void)
{
	static bool done = false;
	StackWalk walk = {.sound = true};

	if (done)
		return;
	find_allocators();
	/* the unwinder allocates its data at the first use */
	(void) _Unwind_Backtrace(look_at_frame, &walk);
	limit_timeout = RegisterTimeout(USER_TIMEOUT, limit_tick);
	done = true;
}

void
time_limit_start(const char *what, int limit_ms, void *stack_base)
{
	set_up_once();
	limit.expired = limit.told_to_end = false;
	limit.cause = CAUSE_NONE;
	limit.force_cpu_ms = 0;
	limit.limit_ms = limit_ms;
	limit.stack_base = stack_base;
	strlcpy(limit.what, what, sizeof(limit.what));
	limit.started_ms = clock_ms();
	limit.active = true;
	enable_timeout_every(limit_timeout,
						 TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
													 Min(limit_ms, FIRST_TICK_MS)),
						 TICK_MS);
}

bool
time_limit_stop(void)
{
	if (!limit.active)
		return false;
	limit.active = false;
	disable_timeout(limit_timeout, false);
	/*
	 * the code reacted at the last moment; another session may also have asked to end this one, so
	 * the request stays
	 */
	if (limit.told_to_end)
		raise_fatal();
	/* the cancellation that the limit requested must not hit the caller */
	if (limit.cause == CAUSE_LIMIT)
		QueryCancelPending = false;
	return limit.expired;
}

void
time_limit_note_cancellation(void)
{
	if (limit.active)
		note_request(CAUSE_CANCEL, clock_ms());
}

bool
time_limit_ends_session(void)
{
	return limit.active && limit.told_to_end;
}

void
time_limit_describe_end(void)
{
	switch (limit.cause)
	{
		case CAUSE_CANCEL:
			errcode(ERRCODE_QUERY_CANCELED);
			errmsg("terminating connection because %s caught the cancellation", limit.what);
			break;
		case CAUSE_LIMIT:
			fb_errcode(FB_CHAINCODE_TIMEOUT);
			errmsg("terminating connection because %s did not finish in %d ms", limit.what,
				   limit.limit_ms);
			errdetail("It caught the cancellation.");
			errhint("The limit of this node is fabric.chaincode_execute_timeout.");
			break;
		default:
			break;
	}
}
