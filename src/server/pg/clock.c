/*
 * clock: the time since some moment in the past. For how long something has waited: unlike the time
 * of day it never jumps
 */
#include "server/pg/pg.h"

#include <time.h>

uint64
clock_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64) now.tv_sec * 1000 + (uint64) now.tv_nsec / 1000000;
}
