/*
 * generate.c
 *		Writes an identity graph for the benchmark: generate IDENTIFIERS LINKS SEED
 *
 * Persons own 2 to 500 identifiers, by a power law (exponent 2.3). Their identifiers hang together as a hub (55 %), a
 * chain (30 %) or a random tree (15 %); further links repeat pairs within a person at random, until there are LINKS.
 * Twenty shared devices are linked with 2,000 persons each. Links come in random order and direction.
 *
 * A line is: a and b as numbers spread over 64 bits, and the same as numbers from 1 on. Seeded and in integers, so that
 * the bytes are the same everywhere.
 */
#include <inttypes.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define LARGEST 500
#define DEVICES 20
#define PERSONS_OF_DEVICE 2000

typedef struct Link
{
	uint32_t	a;
	uint32_t	b;
} Link;

static uint64_t state;

/* The next random number (splitmix64). */
static uint64_t
next(void)
{
	uint64_t	z = state += UINT64_C(0x9E3779B97F4A7C15);

	z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
	return z ^ (z >> 31);
}

/* A random number below n. */
static uint32_t
below(uint32_t n)
{
	return (uint32_t) (((next() >> 32) * n) >> 32);
}

/* The identifier of a number from 0 on: a permutation of 64 bits, so no two are equal. */
static int64_t
spread(uint64_t z)
{
	z = (z + 1) * UINT64_C(0x9E3779B97F4A7C15);
	z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
	return (int64_t) (z ^ (z >> 31));
}

/* Weights of the sizes 2 to LARGEST, summed up, of 2^32. */
static void
size_table(uint32_t *upto)
{
	double		sum = 0;
	double		so_far = 0;

	for (int k = 2; k <= LARGEST; k++)
		sum += pow(k, -2.3);
	for (int k = 2; k <= LARGEST; k++)
	{
		so_far += pow(k, -2.3);
		upto[k] = (uint32_t) (so_far / sum * 4294967295.0);
	}
	upto[LARGEST] = UINT32_MAX;
}

int
main(int argc, char **argv)
{
	uint32_t	n = argc > 1 ? (uint32_t) atol(argv[1]) : 0;
	uint32_t	nlinks = argc > 2 ? (uint32_t) atol(argv[2]) : 0;
	uint32_t	used = DEVICES;
	uint32_t	m = 0;
	uint32_t	persons = 0;
	uint32_t	upto[LARGEST + 1];
	uint32_t   *start = malloc(sizeof(uint32_t) * ((size_t) n + 1));
	Link	   *link = malloc(sizeof(Link) * ((size_t) nlinks + 1));

	if (argc != 4 || n < 1000 || (uint64_t) n + DEVICES * PERSONS_OF_DEVICE > nlinks || start == NULL || link == NULL)
	{
		fprintf(stderr, "usage: generate IDENTIFIERS LINKS SEED (identifiers at least 1000, links at least %d more)\n",
				DEVICES * PERSONS_OF_DEVICE);
		return 2;
	}
	state = (uint64_t) atol(argv[3]);
	size_table(upto);
	while (used < n)
	{
		uint32_t	dice = (uint32_t) (next() >> 32);
		uint32_t	shape = below(100);
		uint32_t	size = 2;

		while (dice > upto[size])
			size++;
		if (size > n - used)
			size = n - used;
		start[persons++] = used;
		for (uint32_t i = 1; i < size; i++)
			link[m++] = (Link) {used + (shape < 55 ? 0 : shape < 85 ? i - 1 : below(i)), used + i};
		used += size;
	}
	start[persons] = n;
	for (uint32_t d = 0; d < DEVICES; d++)
		for (int i = 0; i < PERSONS_OF_DEVICE; i++)
			link[m++] = (Link) {d, start[below(persons)]};
	while (m < nlinks)
	{
		uint32_t	p = below(persons);
		uint32_t	size = start[p + 1] - start[p];

		link[m++] = (Link) {start[p] + below(size), start[p] + below(size)};
	}
	for (uint32_t i = m; i > 1; i--)
	{
		uint32_t	k = below(i);
		Link		swap = link[k];

		link[k] = link[i - 1];
		link[i - 1] = next() & 1 ? swap : (Link) {swap.b, swap.a};
	}
	for (uint32_t i = 0; i < m; i++)
		printf("%" PRId64 "\t%" PRId64 "\t%u\t%u\n", spread(link[i].a), spread(link[i].b), link[i].a + 1, link[i].b + 1);
	return 0;
}
