/*
 * Writes the events of the attribution benchmark as CSV, in time order.
 *
 *   generate TOUCHES CUSTOMERS CONVERSIONS SEED > events.csv
 *
 * Columns: customer, at (UTC, microseconds), channel, revenue. A touch has a channel,
 * a conversion has a revenue. The same arguments give the same bytes on any machine:
 * all arithmetic is on integers.
 *
 * Shape: a year; 12 channels with a heavy tail; customers with a heavy-tailed number of
 * touches (mean TOUCHES / CUSTOMERS) that come in spells of interest of up to six weeks;
 * a conversion follows a touch drawn at random by up to three days, now and then by up to
 * forty, so that some conversions have no touch in their window. No customer has two
 * events at one moment, so that peers need no rule for ties.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DAY INT64_C(86400000000)
#define YEAR (365 * DAY)

typedef struct Event
{
	int64_t		at;				/* microseconds since the start of the year */
	uint32_t	customer;
	int32_t		what;			/* channel, or -cents of a conversion */
} Event;

static const char *const channels[12] = {
	"Paid Search", "Organic Search", "Direct", "Email", "WeChat", "Douyin",
	"Display", "Xiaohongshu", "Referral", "Affiliate", "Weibo", "SMS"
};
static const int shares[12] = {22, 18, 16, 11, 9, 7, 5, 4, 3, 2, 2, 1};

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

/* A geometric number with the given mean, in 0 .. 400 * mean. */
static int64_t
geometric(int64_t mean)
{
	int64_t		n = 0;

	while (n < 400 * mean && below(mean + 1) != 0)
		n++;
	return n;
}

/* A channel by its share; a third of the touches repeat the one before. */
static int
draw_channel(int before)
{
	int			r;
	int			c = 0;

	if (before >= 0 && below(3) == 0)
		return before;
	for (r = (int) below(100); r >= shares[c]; c++)
		r -= shares[c];
	return c;
}

/* Orders events by time, then customer: qsort callback. */
static int
compare(const void *a, const void *b)
{
	const Event *x = a;
	const Event *y = b;

	if (x->at != y->at)
		return x->at < y->at ? -1 : 1;
	return x->customer < y->customer ? -1 : x->customer > y->customer;
}

/* How many touches each customer has; the counts add up to touches. Caller frees. */
static uint32_t *
draw_counts(int64_t touches, int64_t customers)
{
	uint32_t   *count = malloc(customers * sizeof(*count));
	int64_t		mean = touches / customers;
	int64_t		sum = 0;

	if (!count)
		abort();
	for (int64_t c = 0; c < customers; c++)
	{
		/* Three in four are casual, one in five regular, one in twenty heavy. */
		int64_t		kind = below(20);
		int64_t		m = kind < 15 ? mean * 3 / 5 : kind < 19 ? mean * 3 / 2 : mean * 3;

		count[c] = 1 + (uint32_t) geometric(m > 0 ? m : 1);
		sum += count[c];
	}
	while (sum != touches)
	{
		int64_t		c = below(customers);

		if (sum < touches)
			count[c]++, sum++;
		else if (count[c] > 1)
			count[c]--, sum--;
	}
	return count;
}

/* Fills a customer's touches, in spells of up to six weeks. */
static void
draw_touches(Event *e, uint32_t customer, uint32_t n)
{
	int64_t		start = 0;
	int64_t		length = 1;
	uint32_t	left = 0;
	int			channel = -1;

	for (uint32_t i = 0; i < n; i++)
	{
		if (left-- == 0)
		{
			length = DAY + below(42 * DAY);
			start = below(YEAR - length);
			left = (uint32_t) geometric(5);
		}
		channel = draw_channel(channel);
		e[i].at = start + below(length);
		e[i].customer = customer;
		e[i].what = channel;
	}
}

/* Moves events apart where one customer has two at one moment, then sorts all by time. */
static void
sort_events(Event *e, int64_t n)
{
	int			again = 1;

	while (again)
	{
		again = 0;
		qsort(e, n, sizeof(*e), compare);
		for (int64_t i = 1; i < n; i++)
			if (e[i].at == e[i - 1].at && e[i].customer == e[i - 1].customer)
			{
				e[i].at += 1000;
				again = 1;
			}
	}
}

/* The time as text, 2025-01-01 being the start. */
static int
format_time(char *to, size_t size, int64_t at)
{
	static const int days[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	int			day = (int) (at / DAY);
	int64_t		rest = at % DAY;
	int			year = 2025;
	int			month = 0;

	while (day >= days[month])
	{
		day -= days[month];
		if (++month == 12)
			month = 0, year++;
	}
	return snprintf(to, size, "%04d-%02d-%02d %02d:%02d:%02d.%06d+00", year, month + 1, day + 1,
				   (int) (rest / INT64_C(3600000000)), (int) (rest / 60000000 % 60),
				   (int) (rest / 1000000 % 60), (int) (rest % 1000000));
}

int
main(int argc, char **argv)
{
	int64_t		touches = argc > 1 ? atoll(argv[1]) : 0;
	int64_t		customers = argc > 2 ? atoll(argv[2]) : 0;
	int64_t		conversions = argc > 3 ? atoll(argv[3]) : 0;
	int64_t		n = touches + conversions;
	int64_t		filled = 0;
	uint32_t   *count;
	Event	   *e;

	if (touches < 1 || customers < 1 || touches < customers || conversions < 1 || customers > UINT32_MAX)
	{
		fprintf(stderr, "usage: generate TOUCHES CUSTOMERS CONVERSIONS SEED > events.csv\n");
		return 2;
	}
	state = argc > 4 ? strtoull(argv[4], NULL, 10) : 1;
	count = draw_counts(touches, customers);
	e = malloc(n * sizeof(*e));
	if (!e)
		abort();
	for (int64_t c = 0; c < customers; c++)
	{
		draw_touches(e + filled, (uint32_t) c + 1, count[c]);
		filled += count[c];
	}
	for (int64_t i = touches; i < n; i++)
	{
		const Event *touch = &e[below(touches)];
		int64_t		days = below(16) == 0 ? 40 : 3;

		e[i].at = touch->at + 1 + below(days * DAY);
		e[i].customer = touch->customer;
		/* 9.90 to 509.89, one in fifty ten times as much; one in a hundred is free */
		e[i].what = -(int32_t) ((990 + below(50000)) * (below(50) == 0 ? 10 : 1));
		if (below(100) == 0)
			e[i].what = INT32_MIN;
	}
	sort_events(e, n);

	printf("customer,at,channel,revenue\n");
	for (int64_t i = 0; i < n; i++)
	{
		char		at[64];

		format_time(at, sizeof(at), e[i].at);
		if (e[i].what >= 0)
			printf("%u,%s,%s,\n", e[i].customer, at, channels[e[i].what]);
		else if (e[i].what == INT32_MIN)
			printf("%u,%s,,0.00\n", e[i].customer, at);
		else
			printf("%u,%s,,%d.%02d\n", e[i].customer, at, -e[i].what / 100, -e[i].what % 100);
	}
	free(e);
	free(count);
	return fflush(stdout) != 0 || ferror(stdout);
}
