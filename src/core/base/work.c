/*
 * work.c: counts of the expensive steps. An operator sees from them where a node spends its time,
 * and a test sees whether a transaction costs more than before. Core is single-threaded (base.h),
 * so the counts are plain numbers of this process; the server sums them over all processes.
 */
#include "core/base/base.h"

static uint64_t counts[FB_WORK_COUNT];

void
fb_work_add(FbWork work)
{
	counts[work]++;
}

uint64_t
fb_work_done(FbWork work)
{
	return counts[work];
}

const char *
fb_work_action(FbWork work)
{
	static const char *const actions[FB_WORK_COUNT] = {
#define FB_WORK_ACTION(name, action, object) action,
		FB_WORK_LIST(FB_WORK_ACTION)
#undef FB_WORK_ACTION
	};

	return actions[work];
}

const char *
fb_work_object(FbWork work)
{
	static const char *const objects[FB_WORK_COUNT] = {
#define FB_WORK_OBJECT(name, action, object) object,
		FB_WORK_LIST(FB_WORK_OBJECT)
#undef FB_WORK_OBJECT
	};

	return objects[work];
}
