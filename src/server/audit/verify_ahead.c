/*
 * verify_ahead.c: background workers that verify signatures ahead of a walk of the chain.
 *
 * The problem. Most of the time of a verification is spent on signatures, one after the other,
 * while the replay itself (codes, versions, the commit hash) needs the blocks in order. A parallel
 * verification must find exactly what a serial one finds, whatever is damaged, must be cancellable,
 * and must work on a standby and while a worker cannot be started or ends.
 *
 * The rule. The caller's session walks the chain alone, as without workers. Workers only spare it
 * the verification of signatures: each takes every n-th block, verifies the signatures of its
 * transactions with the keys that the transactions name, and sends the digests of the valid ones
 * (over identity, signed digest and signature) through a queue of its own in dynamic shared memory.
 * When the walk needs a signature of the block, it looks the digest up, and verifies the signature
 * itself if the digest is not there. An identity's validity, roles and policies are judged by the
 * walk. So a worker that reads other bytes than the walk, or does not run, or cannot decode a
 * block, costs time and never changes a result.
 *
 * A queue holds the digests of a few thousand transactions; a worker that is further ahead waits.
 * When the session ends the walk, or its transaction is aborted, the segment is detached and the
 * workers end at their next message.
 *
 * Rejected: PostgreSQL's parallel mode (ParallelContext), which forbids the leader to write, which
 * rebuild_state does, and to start subtransactions, with which damaged envelopes are read. Dividing
 * the chain into ranges that are replayed at the same time: the state at the beginning of a range
 * is known only after the ranges before it, and the tables cannot be trusted for it.
 */
#include "server/audit/audit_internal.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/dsm.h"
#include "storage/ipc.h"
#include "storage/shm_mq.h"
#include "storage/shm_toc.h"
#include "tcop/tcopprot.h"
#include "utils/snapmgr.h"

#define MAGIC 0x66766168
#define QUEUE_BYTES ((Size) 256 * 1024)
/* below this number of blocks, starting workers takes longer than it saves */
#define BLOCKS_MIN 64

enum
{
	KEY_PLAN,
	KEY_QUEUES
};

/* of all workers; in shared memory */
typedef struct AheadPlan
{
	Oid database;
	char channel[FB_CHANNEL_ID_BYTES_MAX + 1];
	uint64 to;
	uint32 workers_count;
} AheadPlan;

/* a message: this, then the digests of valid signatures */
typedef struct AheadBlock
{
	uint64 number;
} AheadBlock;

typedef struct AheadDigest
{
	uint8_t bytes[CRYPTO_SHA256_BYTES];
} AheadDigest;

static void
signature_digest(FbBytes identity, FbBytes message_digest, FbBytes signature, AheadDigest *digest)
{
	uint64 size = identity.size;
	FbBytes parts[4] = {fb_bytes(&size, sizeof(size)), identity, message_digest, signature};

	crypto_sha256_parts(parts, lengthof(parts), digest->bytes);
}

static int
compare_digests(const void *left, const void *right)
{
	return memcmp(left, right, sizeof(AheadDigest));
}

/* ---- the session ---- */

typedef struct AheadQueue
{
	BackgroundWorkerHandle *worker;
	shm_mq_handle *queue;	   /* NULL: there is no worker, or it has ended */
	const AheadBlock *message; /* received, and not used up; NULL: none */
	Size message_bytes;
} AheadQueue;

struct VerifyAhead
{
	dsm_segment *segment;
	int queues_count;
	AheadDigest *digests; /* of the current block, sorted */
	size_t digests_count;
	size_t digests_capacity;
	AheadQueue queues[FLEXIBLE_ARRAY_MEMBER];
};

static bool
start_verifier(VerifyAhead *ahead, int index)
{
	BackgroundWorker worker = {
		.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION,
		.bgw_start_time = BgWorkerStart_ConsistentState,
		.bgw_restart_time = BGW_NEVER_RESTART,
		.bgw_notify_pid = MyProcPid,
		.bgw_main_arg = UInt32GetDatum(dsm_segment_handle(ahead->segment)),
	};

	memcpy(worker.bgw_extra, &index, sizeof(index));
	strlcpy(worker.bgw_library_name, "fabric", BGW_MAXLEN);
	strlcpy(worker.bgw_function_name, "fabric_verifier_main", BGW_MAXLEN);
	strlcpy(worker.bgw_name, "fabric verifier", BGW_MAXLEN);
	strlcpy(worker.bgw_type, "fabric verifier", BGW_MAXLEN);
	return RegisterDynamicBackgroundWorker(&worker, &ahead->queues[index].worker);
}

VerifyAhead *
verify_ahead_start(const Ledger *ledger, uint64 to)
{
	int count = to < BLOCKS_MIN - 1 ? 0 : guc_verify_workers;
	VerifyAhead *ahead;
	shm_toc_estimator estimator;
	shm_toc *toc;
	AheadPlan *plan;
	char *queues;
	Size size;

	if (count == 0)
		return NULL;
	shm_toc_initialize_estimator(&estimator);
	shm_toc_estimate_chunk(&estimator, sizeof(AheadPlan));
	shm_toc_estimate_chunk(&estimator, QUEUE_BYTES * (Size) count);
	shm_toc_estimate_keys(&estimator, 2);
	size = shm_toc_estimate(&estimator);
	ahead = palloc0(offsetof(VerifyAhead, queues) + (Size) count * sizeof(AheadQueue));
	ahead->segment = dsm_create(size, DSM_CREATE_NULL_IF_MAXSEGMENTS);
	if (ahead->segment == NULL)
		return NULL;
	toc = shm_toc_create(MAGIC, dsm_segment_address(ahead->segment), size);
	plan = shm_toc_allocate(toc, sizeof(AheadPlan));
	*plan = (AheadPlan) {.database = MyDatabaseId, .to = to, .workers_count = (uint32) count};
	strlcpy(plan->channel, ledger->channel, sizeof(plan->channel));
	shm_toc_insert(toc, KEY_PLAN, plan);
	queues = shm_toc_allocate(toc, QUEUE_BYTES * (Size) count);
	shm_toc_insert(toc, KEY_QUEUES, queues);
	for (int i = 0; i < count; i++)
	{
		shm_mq *queue = shm_mq_create(queues + (Size) i * QUEUE_BYTES, QUEUE_BYTES);

		shm_mq_set_receiver(queue, MyProc);
		/* without a free process the walk verifies these blocks itself */
		if (start_verifier(ahead, i))
			ahead->queues[i].queue = shm_mq_attach(queue, ahead->segment, ahead->queues[i].worker);
	}
	ahead->queues_count = count;
	return ahead;
}

/* wait for the queue's next message */
static void
receive_digests(AheadQueue *queue)
{
	void *message;

	if (shm_mq_receive(queue->queue, &queue->message_bytes, &message, false) == SHM_MQ_SUCCESS)
		queue->message = message;
	else
	{
		shm_mq_detach(queue->queue);
		queue->queue = NULL;
	}
}

void
verify_ahead_block(VerifyAhead *ahead, uint64 number)
{
	AheadQueue *queue = &ahead->queues[number % (uint64) ahead->queues_count];

	ahead->digests_count = 0;
	while (queue->queue != NULL && (queue->message == NULL || queue->message->number < number))
	{
		queue->message = NULL;
		receive_digests(queue);
	}
	/* the next message tells of a later block: the worker did not find this one */
	if (queue->message == NULL || queue->message->number > number)
		return;
	ahead->digests_count = (queue->message_bytes - sizeof(AheadBlock)) / sizeof(AheadDigest);
	if (ahead->digests_count > ahead->digests_capacity)
	{
		if (ahead->digests != NULL)
			pfree(ahead->digests);
		ahead->digests_capacity = ahead->digests_count * 2;
		ahead->digests = MemoryContextAllocHuge(GetMemoryChunkContext(ahead),
												ahead->digests_capacity * sizeof(AheadDigest));
	}
	if (ahead->digests_count == 0)
		return;
	memcpy(ahead->digests, queue->message + 1, ahead->digests_count * sizeof(AheadDigest));
	qsort(ahead->digests, ahead->digests_count, sizeof(AheadDigest), compare_digests);
}

bool
verify_ahead_contains(const VerifyAhead *ahead, FbBytes identity, FbBytes message_digest,
					  FbBytes signature)
{
	AheadDigest digest;

	if (ahead->digests_count == 0)
		return false;
	signature_digest(identity, message_digest, signature, &digest);
	return bsearch(&digest, ahead->digests, ahead->digests_count, sizeof(AheadDigest),
				   compare_digests) != NULL;
}

void
verify_ahead_end(VerifyAhead *ahead)
{
	dsm_detach(ahead->segment);
}

/* ---- a worker ---- */

typedef struct Verifier
{
	const AheadPlan *plan;
	uint32 index;
	shm_mq_handle *queue;
	const Channel *channel;
	Snapshot snapshot;
	/* of the current block */
	uint64 number;
	AheadDigest *digests;
	size_t digests_count;
	size_t digests_capacity;
} Verifier;

static void
verify_signature(Verifier *verifier, const PolicySignature *signature)
{
	uint8_t message_digest[CRYPTO_SHA256_BYTES];
	const Identity *identity;
	FbError error;

	CHECK_FOR_INTERRUPTS();
	if (msp_manager_identity(verifier->channel->bundle->msps, signature->identity, &identity,
							 &error) != FB_OK)
		return;
	policy_signature_digest(signature, message_digest);
	if (identity_verify_digest(identity, message_digest, signature->signature, &error) != FB_OK)
		return;
	if (verifier->digests_count == verifier->digests_capacity)
	{
		verifier->digests_capacity = Max(64, verifier->digests_capacity * 2);
		verifier->digests = verifier->digests == NULL
								? palloc(verifier->digests_capacity * sizeof(AheadDigest))
								: repalloc_huge(verifier->digests,
												verifier->digests_capacity * sizeof(AheadDigest));
	}
	signature_digest(signature->identity, fb_bytes(message_digest, sizeof(message_digest)),
					 signature->signature, &verifier->digests[verifier->digests_count++]);
}

static void
verify_transaction(Verifier *verifier, FbBytes envelope)
{
	FbAllocator *allocator = memory_allocator(CurrentMemoryContext);
	TxView view;
	TxCode code;
	FbError why;

	if (check_envelope(allocator, envelope, &view, &code, &why) != FB_OK || code != TX_VALID)
		return;
	verify_signature(verifier, &(PolicySignature) {view.creator, view.signature, {view.payload}});
	if (check_transaction(allocator, fb_bytes_of_text(verifier->channel->name), &view, &code,
						  &why) != FB_OK ||
		code != TX_VALID)
		return;
	for (size_t i = 0; i < view.endorsements_count; i++)
		verify_signature(verifier, &(PolicySignature) {view.endorsements[i].endorser,
													   view.endorsements[i].signature,
													   {view.proposal_response_payload,
														view.endorsements[i].endorser}});
}

static void
verify_block_ahead(void *context)
{
	Verifier *verifier = context;
	const Ledger *ledger = verifier->channel->ledger;
	int count;
	StoredTransaction *rows =
		block_store_stored_transactions(ledger, verifier->number, verifier->snapshot, &count);

	for (int i = 0; i < count; i++)
		verify_transaction(verifier, envelope_codec_decode(ledger, rows[i].envelope));
}

/* false: the session does not wait for more */
static bool
send_digests(Verifier *verifier)
{
	AheadBlock block = {verifier->number};
	shm_mq_iovec parts[2] = {{(const char *) &block, sizeof(block)},
							 {(const char *) verifier->digests,
							  verifier->digests_count * sizeof(AheadDigest)}};

	return shm_mq_sendv(verifier->queue, parts, verifier->digests_count > 0 ? 2 : 1, false, true) ==
		   SHM_MQ_SUCCESS;
}

static void
verify_own_blocks(Verifier *verifier)
{
	MemoryContext context =
		AllocSetContextCreate(CurrentMemoryContext, "fabric verifier", ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(context);
	uint64 count = verifier->plan->workers_count;
	uint64 number = verifier->index;
	bool wanted = true;

	while (wanted && number <= verifier->plan->to)
	{
		uint64 next = block_store_next(verifier->channel->ledger, number);
		char *why;

		CHECK_FOR_INTERRUPTS();
		MemoryContextReset(context);
		if (next > verifier->plan->to)
			break;
		/* the first block of this worker that is not before the next one */
		number = next + (verifier->index + count - next % count) % count;
		if (number > verifier->plan->to)
			break;
		verifier->number = number;
		verifier->digests = NULL;
		verifier->digests_count = verifier->digests_capacity = 0;
		/* what cannot be read here is reported by the walk */
		(void) ledger_try(verify_block_ahead, verifier, &why);
		wanted = send_digests(verifier);
		msp_manager_trim(verifier->channel->bundle->msps);
		number++;
	}
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(context);
}

void
fabric_verifier_main(Datum argument)
{
	dsm_segment *segment;
	shm_toc *toc;
	char *queues;
	shm_mq *queue;
	int index;
	Verifier verifier = {0};

	memcpy(&index, MyBgworkerEntry->bgw_extra, sizeof(index));
	verifier.index = (uint32) index;
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();
	/* gone: the verification has ended */
	segment = dsm_attach(DatumGetUInt32(argument));
	toc = segment != NULL ? shm_toc_attach(MAGIC, dsm_segment_address(segment)) : NULL;
	if (toc == NULL)
		proc_exit(0);
	/* keep it beyond the transaction that will be started */
	dsm_pin_mapping(segment);
	verifier.plan = shm_toc_lookup(toc, KEY_PLAN, false);
	queues = shm_toc_lookup(toc, KEY_QUEUES, false);
	queue = (shm_mq *) (queues + (Size) index * QUEUE_BYTES);
	shm_mq_set_sender(queue, MyProc);
	verifier.queue = shm_mq_attach(queue, segment, NULL);
	BackgroundWorkerInitializeConnectionByOid(verifier.plan->database, InvalidOid, 0);
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	verifier.snapshot = GetActiveSnapshot();
	verifier.channel = channel_open(verifier.plan->channel);
	FAULT_POINT("verifier");
	verify_own_blocks(&verifier);
	PopActiveSnapshot();
	CommitTransactionCommand();
	dsm_detach(segment);
	proc_exit(0);
}
