/*
 * fraudar_bare.c
 *		The peer of cdp.fraud_dense_blocks: greedy peeling as a program of its
 *		own over arrays of edges, with the same weights, which are whole numbers.
 *			fraudar_bare EDGES RUNS MEMBERS
 *		EDGES has a line "account attribute" for each edge, numbers without gaps.
 *		Reads them and sorts them to both sides, so that each node's neighbours lie side
 *		by side; then RUNS times peels. Prints "bare SECONDS" of CPU time for each, in which
 *		reading and sorting do not count, and writes the block's members.
 */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct
{
	int64_t		key;
	uint32_t	node;
} Entry;

static uint32_t na, nb, m;
static uint32_t *from, *to;		/* as read */
static uint32_t *first, *next;	/* both sides: neighbours of each node, attributes behind accounts */
static Entry *heap;
static uint32_t *at;			/* place in the heap + 1, 0 = gone */
static uint32_t *order;
static int64_t *unit;

static int
less(Entry a, Entry b)
{
	return a.key < b.key || (a.key == b.key && a.node < b.node);
}

static void
up(uint32_t i, Entry e)
{
	while (i > 0 && less(e, heap[(i - 1) >> 2]))
	{
		heap[i] = heap[(i - 1) >> 2];
		at[heap[i].node] = i + 1;
		i = (i - 1) >> 2;
	}
	heap[i] = e;
	at[e.node] = i + 1;
}

static void
down(uint32_t i, uint32_t n, Entry e)
{
	uint32_t	c;

	while ((c = 4 * i + 1) < n)
	{
		uint32_t	end = c + 4 < n ? c + 4 : n;
		uint32_t	best = c;

		for (c++; c < end; c++)
			if (less(heap[c], heap[best]))
				best = c;
		if (!less(heap[best], e))
			break;
		heap[i] = heap[best];
		at[heap[i].node] = i + 1;
		i = best;
	}
	heap[i] = e;
	at[e.node] = i + 1;
}

/* Sorts the edges to both sides: neighbours of node i from next[first[i]] on. */
static void
sort_edges(void)
{
	uint32_t	n = na + nb;

	memset(first, 0, sizeof(uint32_t) * (n + 1));
	for (uint32_t i = 0; i < m; i++)
	{
		first[from[i]]++;
		first[na + to[i]]++;
	}
	for (uint32_t i = 0, sum = 0; i <= n; i++)
	{
		uint32_t	count = i < n ? first[i] : 0;

		first[i] = sum;
		sum += count;
	}
	for (uint32_t i = 0; i < m; i++)
	{
		next[first[from[i]]++] = na + to[i];
		next[first[na + to[i]]++] = from[i];
	}
	for (uint32_t i = n; i > 0; i--)
		first[i] = first[i - 1];
	first[0] = 0;
}

/* Peels once; returns how many nodes were gone at the best moment. */
static uint32_t
run(void)
{
	uint32_t	n = na + nb;
	uint32_t	left = n;
	uint32_t	best = 0;
	int64_t		total = 0;
	int64_t		best_total;

	for (uint32_t b = 0; b < nb; b++)
		unit[b] = (int64_t) rint(4294967296.0 / log((first[na + b + 1] - first[na + b]) + 5.0));
	for (uint32_t i = 0; i < n; i++)
	{
		heap[i].key = 0;
		heap[i].node = i;
		at[i] = i + 1;
		for (uint32_t k = first[i]; k < first[i + 1]; k++)
			heap[i].key += unit[i < na ? next[k] - na : i - na];
		if (i < na)
			total += heap[i].key;
	}
	for (uint32_t i = n; i > 0; i--)
		down(i - 1, n, heap[i - 1]);
	best_total = total;
	for (uint32_t gone = 0; gone < n; gone++)
	{
		Entry		e = heap[0];

		order[gone] = e.node;
		at[e.node] = 0;
		total -= e.key;
		if (--left > 0)
			down(0, left, heap[left]);
		for (uint32_t k = first[e.node]; k < first[e.node + 1]; k++)
		{
			uint32_t	other = next[k];

			if (at[other] != 0)
			{
				Entry		o = heap[at[other] - 1];

				o.key -= unit[e.node < na ? other - na : e.node - na];
				up(at[other] - 1, o);
			}
		}
		if (left > 0 && (__int128) total * (n - best) > (__int128) best_total * left)
		{
			best = gone + 1;
			best_total = total;
		}
	}
	return best;
}

static double
cpu(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static int
compare(const void *a, const void *b)
{
	uint32_t	x = *(const uint32_t *) a;
	uint32_t	y = *(const uint32_t *) b;

	return (x > y) - (x < y);
}

int
main(int argc, char **argv)
{
	FILE	   *in = argc == 4 ? fopen(argv[1], "r") : NULL;
	FILE	   *out;
	uint32_t	room = 1024;
	uint32_t	best = 0;
	unsigned	a, b;

	if (in == NULL)
		return 1;
	from = malloc(sizeof(uint32_t) * room);
	to = malloc(sizeof(uint32_t) * room);
	while (fscanf(in, "%u %u", &a, &b) == 2)
	{
		if (m == room)
		{
			room *= 2;
			from = realloc(from, sizeof(uint32_t) * room);
			to = realloc(to, sizeof(uint32_t) * room);
		}
		from[m] = a;
		to[m++] = b;
		na = a >= na ? a + 1 : na;
		nb = b >= nb ? b + 1 : nb;
	}
	fclose(in);
	first = malloc(sizeof(uint32_t) * (na + nb + 1));
	next = malloc(sizeof(uint32_t) * 2 * m);
	heap = malloc(sizeof(Entry) * (na + nb));
	at = malloc(sizeof(uint32_t) * (na + nb));
	order = malloc(sizeof(uint32_t) * (na + nb));
	unit = malloc(sizeof(int64_t) * nb);
	sort_edges();
	for (int i = -1; i < atoi(argv[2]); i++) /* the first warms up */
	{
		double		began = cpu();

		best = run();
		if (i >= 0)
			printf("bare %.6f\n", cpu() - began);
	}
	qsort(order + best, na + nb - best, sizeof(uint32_t), compare);
	out = fopen(argv[3], "w");
	for (uint32_t i = best; out != NULL && i < na + nb; i++)
		fprintf(out, order[i] < na ? "account %u\n" : "attribute %u\n", order[i] < na ? order[i] : order[i] - na);
	return out == NULL || fclose(out) != 0;
}
