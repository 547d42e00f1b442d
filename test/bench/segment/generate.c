/*
 * Writes the events of the segment benchmark as CSV, nearly in time order.
 *
 *   generate EVENTS CUSTOMERS SEED > segment_events.csv
 *
 * Columns: customer (1 to CUSTOMERS), at (UTC, microseconds), kind (1 to 20), amount
 * (cents, of kinds 4 and 5), category (0 to 49, of kinds 2 to 5), properties (the two as a
 * JSON object, where there are any). The same arguments give the same bytes on any machine:
 * all arithmetic is on integers.
 *
 * Shape: 180 days up to 2026-06-30; customers with a heavy tail, who come in visits of a few
 * events: every other event goes on with a visit of the last minutes or days, and a third of
 * those with the next of the kinds 1 to 4, which are a shop's way: visit, product, cart, payment
 * (24, 19, 7 and 2 of a hundred events). Rows stand up to half a minute off the order of
 * time. No two rows have one time, so that peers need no rule for ties.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define DAY INT64_C(86400000000)
#define SPAN (180 * DAY)
#define END INT64_C(20634)		/* days from 1970-01-01 to 2026-06-30 */
#define VISITS (1 << 18)
#define KINDS 20

/* Of ten thousand events that begin a visit or go on freely, how many are of each kind. */
static const int shares[KINDS] = {
	2600, 1700, 400, 150, 60, 900, 700, 600, 500, 450,
	400, 350, 300, 250, 200, 150, 120, 90, 50, 30
};

typedef struct Visit
{
	uint32_t	customer;
	int			kind;
} Visit;

static Visit visits[VISITS];
static uint64_t state;

/* The next 64 random bits (splitmix64). */
static uint64_t
random_bits(void)
{
	uint64_t	z = (state += UINT64_C(0x9E3779B97F4A7C15));

	z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
	return z ^ (z >> 31);
}

/* A random number in 0 .. n-1. */
static int64_t
below(int64_t n)
{
	return (int64_t) (((unsigned __int128) random_bits() * (uint64_t) n) >> 64);
}

/* A customer, the low numbers more often: density falls as one over the root of the number. */
static uint32_t
some_customer(int64_t customers)
{
	uint64_t	u = random_bits() >> 32;

	return (uint32_t) (1 + (int64_t) (((unsigned __int128) (u * u) * (uint64_t) customers) >> 64));
}

/* A kind by the shares. */
static int
some_kind(void)
{
	int			left = (int) below(10000);
	int			kind = 0;

	while (kind < KINDS - 1 && left >= shares[kind])
		left -= shares[kind++];
	return kind + 1;
}

/* Prints a time in UTC: microseconds since 1970. */
static void
print_time(int64_t at)
{
	int64_t		day = at / DAY;
	int64_t		rest = at % DAY;
	int64_t		z = day + 719468;	/* days since 0000-03-01 */
	int64_t		era = z / 146097;
	int64_t		of_era = z % 146097;
	int64_t		year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
	int64_t		of_year = of_era - (365 * year + year / 4 - year / 100);
	int64_t		month = (5 * of_year + 2) / 153;

	printf("%04d-%02d-%02d %02d:%02d:%02d.%06d+00", (int) (year + era * 400 + (month >= 10)), (int) (month < 10 ? month + 3 : month - 9),
		   (int) (of_year - (153 * month + 2) / 5 + 1), (int) (rest / INT64_C(3600000000)), (int) (rest / 60000000 % 60),
		   (int) (rest / 1000000 % 60), (int) (rest % 1000000));
}

int
main(int argc, char **argv)
{
	int64_t		events;
	int64_t		customers;
	int64_t		step;
	int64_t		late;

	if (argc != 4)
	{
		fprintf(stderr, "usage: generate EVENTS CUSTOMERS SEED\n");
		return 1;
	}
	events = atoll(argv[1]);
	customers = atoll(argv[2]);
	state = strtoull(argv[3], NULL, 10);
	step = SPAN / events;
	late = INT64_C(30000000) / step;
	for (int i = 0; i < VISITS; i++)
		visits[i] = (Visit) {some_customer(customers), 0};
	puts("customer,at,kind,amount,category,properties");
	for (int64_t i = 0; i < events; i++)
	{
		Visit	   *v = &visits[below(VISITS)];
		int			category;

		if (below(2) == 0)
			*v = (Visit) {some_customer(customers), some_kind()};
		else if (v->kind >= 1 && v->kind < 4 && below(3) == 0)
			v->kind++;
		else
			v->kind = some_kind();
		printf("%u,", v->customer);
		/* The remainder tells any two rows apart that came to the same step. */
		print_time((END - 180) * DAY + i * step + (late > 0 ? below(late) * step : 0) + i % step);
		category = (int) below(50);
		if (v->kind == 4 || v->kind == 5)
		{
			int			amount = 100 + (int) below(50000);

			printf(",%d,%d,%d,\"{\"\"amount\"\": %d, \"\"category\"\": %d}\"\n", v->kind, amount, category, amount, category);
		}
		else if (v->kind == 2 || v->kind == 3)
			printf(",%d,,%d,\"{\"\"category\"\": %d}\"\n", v->kind, category, category);
		else
			printf(",%d,,,\n", v->kind);
	}
	return 0;
}
