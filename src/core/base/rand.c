/* rand.c: xoshiro256** by Blackman and Vigna, seeded by splitmix64: repeatable, fast, not secret */
#include "core/base/base.h"

static uint64_t
splitmix64_next(uint64_t *state)
{
	uint64_t z = (*state += UINT64_C(0x9E3779B97F4A7C15));

	z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
	return z ^ (z >> 31);
}

static uint64_t
rotate_left(uint64_t x, int bits)
{
	return (x << bits) | (x >> (64 - bits));
}

void
fb_rand_seed(FbRand *rand, uint64_t seed)
{
	for (int i = 0; i < 4; i++)
		rand->state[i] = splitmix64_next(&seed);
}

uint64_t
fb_rand_next(FbRand *rand)
{
	uint64_t *s = rand->state;
	uint64_t result = rotate_left(s[1] * 5, 7) * 9;
	uint64_t t = s[1] << 17;

	s[2] ^= s[0];
	s[3] ^= s[1];
	s[1] ^= s[2];
	s[0] ^= s[3];
	s[2] ^= t;
	s[3] = rotate_left(s[3], 45);
	return result;
}

uint64_t
fb_rand_below(FbRand *rand, uint64_t limit)
{
	uint64_t threshold;
	uint64_t value;

	FB_ASSERT(limit > 0);
	threshold = -limit % limit; /* reject the uneven tail */
	do
		value = fb_rand_next(rand);
	while (value < threshold);
	return value % limit;
}
