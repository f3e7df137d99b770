/*
 * import_queue.c: pass a block from a session to the ledger worker of a channel, and return the
 * worker's answer.
 *
 * The problem. A block may have 100 MB, so it does not fit into the fixed shared memory, and a
 * segment of its size could exceed the limits of the operating system.
 *
 * The rule. The session creates a segment of dynamic shared memory for its request: a header, and
 * a shm_mq of at most 1 MB through which the block streams into the worker's own memory. The
 * handle of the segment is in the channel's slot; the worker attaches when it is woken.
 *
 * Every wait has a limit or can be interrupted. The worker reads without waiting, between its
 * other duties, so a session that is stopped stops nothing else. The session waits for its latch,
 * can be canceled at any time, and notices when the worker ends, because the worker's process id
 * in the slot changes. A side that leaves detaches from the segment, and the other side notices.
 * If a session left before the worker attached, the slot has a handle that can no longer be
 * attached, or the handle of the next session.
 */
#include "server/pg/shmem_internal.h"

#include "miscadmin.h"
#include "storage/proc.h"
#include "storage/shm_mq.h"
#include "utils/wait_event.h"

/*
 * Size of the queue: a typical block fits, so that neither side waits for the other; a large block
 * streams through.
 */
#define QUEUE_BYTES_MIN (16 * 1024)
#define QUEUE_BYTES_MAX (1024 * 1024)
/* interval at which a session checks the worker without being woken */
#define LOOK_MS 1000

/* the start of the segment; the queue follows */
typedef struct ImportRequest
{
	int ledger_id;
	bool accept_differences;
	PGPROC *session;
	pg_atomic_uint32 answered; /* 1: answer is complete */
	ImportAnswer answer;
} ImportRequest;

#define REQUEST_BYTES MAXALIGN(sizeof(ImportRequest))

static shm_mq *
request_queue(ImportRequest *request)
{
	return (shm_mq *) ((char *) request + REQUEST_BYTES);
}

/* ---- the session ---- */

typedef struct RunningWorker
{
	pid_t pid; /* 0: no worker runs */
	uint32 generation;
} RunningWorker;

static RunningWorker
running_worker(ChannelSlot *slot)
{
	RunningWorker worker;

	SpinLockAcquire(&slot->mutex);
	worker = (RunningWorker) {slot->workers[WORKER_LEDGER].state.pid,
							  slot->workers[WORKER_LEDGER].generation};
	SpinLockRelease(&slot->mutex);
	return worker;
}

static bool
still_runs(ChannelSlot *slot, const RunningWorker *worker)
{
	RunningWorker now = running_worker(slot);

	return now.pid == worker->pid && now.generation == worker->generation;
}

static void
wait_for_latch(long timeout_ms)
{
	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, timeout_ms,
					 PG_WAIT_EXTENSION);
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
}

/* the launcher may delay the next start after a failure */
static bool
wait_for_worker(ChannelSlot *slot, int timeout_ms, RunningWorker *worker)
{
	uint64 started_ms = clock_ms();

	while ((*worker = running_worker(slot)).pid == 0)
	{
		if (clock_ms() - started_ms >= (uint64) timeout_ms)
			return false;
		wait_for_latch(50);
	}
	return true;
}

static bool
is_answered(ImportRequest *request)
{
	if (pg_atomic_read_u32(&request->answered) == 0)
		return false;
	pg_read_barrier();
	return true;
}

/* true once the worker has answered; false when it ends before */
static bool
stream_block(ChannelSlot *slot, const RunningWorker *worker, ImportRequest *request,
			 shm_mq_handle *queue, FbBytes block)
{
	bool sent = false;

	while (!is_answered(request))
	{
		if (!sent)
		{
			shm_mq_result result = shm_mq_send(queue, block.size, block.data, true, true);

			if (result == SHM_MQ_DETACHED)
				return is_answered(request);
			sent = result == SHM_MQ_SUCCESS;
		}
		/* the worker answers before it ends */
		if (!still_runs(slot, worker))
			return is_answered(request);
		wait_for_latch(LOOK_MS);
	}
	return true;
}

bool
import_queue_send(ChannelSlot *slot, int ledger_id, FbBytes block, bool accept_differences,
				  int start_timeout_ms, ImportAnswer *answer)
{
	RunningWorker worker;
	dsm_segment *segment;
	ImportRequest *request;
	shm_mq *queue;
	shm_mq_handle *handle;
	Size queue_bytes =
		MAXALIGN(Min(Max(block.size + block.size / 8, QUEUE_BYTES_MIN), QUEUE_BYTES_MAX));
	bool answered;

	if (!wait_for_worker(slot, start_timeout_ms, &worker))
		return false;
	/* after an error the resource owner detaches the segment, and the worker notices */
	segment = dsm_create(REQUEST_BYTES + queue_bytes, 0);
	request = dsm_segment_address(segment);
	memset(request, 0, sizeof(*request));
	request->ledger_id = ledger_id;
	request->accept_differences = accept_differences;
	request->session = MyProc;
	pg_atomic_init_u32(&request->answered, 0);
	queue = shm_mq_create(request_queue(request), queue_bytes);
	shm_mq_set_sender(queue, MyProc);
	handle = shm_mq_attach(queue, segment, NULL);

	SpinLockAcquire(&slot->mutex);
	slot->import_handle = dsm_segment_handle(segment);
	SpinLockRelease(&slot->mutex);
	shmem_worker_wake(slot, WORKER_LEDGER);
	answered = stream_block(slot, &worker, request, handle, block);
	if (answered)
		*answer = request->answer;
	shm_mq_detach(handle);
	dsm_detach(segment);
	return answered;
}

/* ---- the worker ---- */

static dsm_segment *taken_segment = NULL;
static ImportRequest *taken_request = NULL;
static shm_mq_handle *taken_queue = NULL;

static void
leave_request(void)
{
	shm_mq_detach(taken_queue);
	dsm_detach(taken_segment);
	taken_segment = NULL;
	taken_request = NULL;
	taken_queue = NULL;
}

/* attach to the request in the slot; false when there is none, or its session is gone */
static bool
take_request(ChannelSlot *slot)
{
	MemoryContext caller;
	dsm_handle handle;
	shm_mq *queue;

	SpinLockAcquire(&slot->mutex);
	handle = slot->import_handle;
	slot->import_handle = DSM_HANDLE_INVALID;
	SpinLockRelease(&slot->mutex);
	if (handle == DSM_HANDLE_INVALID)
		return false;
	caller = MemoryContextSwitchTo(TopMemoryContext);
	taken_segment = dsm_attach(handle);
	if (taken_segment != NULL)
	{
		/* the mapping must outlive the transaction that commits the block */
		dsm_pin_mapping(taken_segment);
		taken_request = dsm_segment_address(taken_segment);
		queue = request_queue(taken_request);
		shm_mq_set_receiver(queue, MyProc);
		taken_queue = shm_mq_attach(queue, taken_segment, NULL);
		/* the request may be for the ledger of an earlier membership */
		if (taken_request->ledger_id != slot->ledger_id)
			leave_request();
	}
	MemoryContextSwitchTo(caller);
	return taken_segment != NULL;
}

bool
import_queue_receive(ChannelSlot *slot, FbBytes *block, bool *accept_differences)
{
	while (taken_segment != NULL || take_request(slot))
	{
		Size size;
		void *data;

		switch (shm_mq_receive(taken_queue, &size, &data, true))
		{
			case SHM_MQ_SUCCESS:
				*block = fb_bytes(data, size);
				*accept_differences = taken_request->accept_differences;
				return true;
			case SHM_MQ_WOULD_BLOCK:
				return false;
			case SHM_MQ_DETACHED:
				leave_request();
				break;
		}
	}
	return false;
}

void
import_queue_answer(const ImportAnswer *answer)
{
	PGPROC *session = taken_request->session;

	taken_request->answer = *answer;
	pg_write_barrier();
	pg_atomic_write_u32(&taken_request->answered, 1);
	/* if the session is gone, another process is woken for nothing */
	SetLatch(&session->procLatch);
	leave_request();
}
