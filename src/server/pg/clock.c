/*
 * clock.c: milliseconds since a fixed moment in the past, to measure durations. Unlike the time of
 * day, the value never jumps.
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
