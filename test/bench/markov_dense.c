/*
 * markov_dense.c
 *		The dense way to removal effects: one dgesv of LAPACK for the whole chain
 *		and one for the chain without each label. The peer of markov_solve_vs_dense.
 *
 *		markov_dense FILE RUNS
 * FILE holds lines "from|to|count" with states as labels joined by ">", starts from
 * (start), ends to (conversion) and (null). Prints the CPU seconds of the dgesv calls of
 * each run, then "label removal_effect" for each label and the largest relative residual.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

extern void dgesv_(const int *n, const int *nrhs, double *a, const int *lda, int *pivot, double *b, const int *ldb, int *info);

#define MAX_STATES 4096
#define MAX_LABELS 256

static char *state[MAX_STATES];
static char *label[MAX_LABELS];
static int	states,
			labels;
static double *count;			/* [states * states] by row */
static double conv[MAX_STATES],
			total[MAX_STATES],
			start[MAX_STATES],
			cpu,
			residual;

/* CPU seconds of this process. */
static double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

/* Number of a name in a list, which grows when it is new. */
static int
number(char **list, int *n, int max, const char *name)
{
	for (int i = 0; i < *n; i++)
		if (strcmp(list[i], name) == 0)
			return i;
	if (*n == max)
	{
		fprintf(stderr, "markov_dense: more than %d names\n", max);
		exit(1);
	}
	list[*n] = strdup(name);
	return (*n)++;
}

/* Tells whether a state holds a label. */
static int
holds(const char *s, const char *l)
{
	size_t		n = strlen(l);

	for (const char *at = s; (at = strstr(at, l)) != NULL; at++)
		if ((at == s || at[-1] == '>') && (at[n] == 0 || at[n] == '>'))
			return 1;
	return 0;
}

/* Probability of conversion without the states that are gone: builds I - Q, and times dgesv. */
static double
solve(const char *gone)
{
	int			map[MAX_STATES],
				keep[MAX_STATES],
				n = 0,
				one = 1,
				info;
	double	   *a,
			   *b,
				began,
				norm = 0,
				size = 0,
				p = 0;
	int		   *pivot;

	for (int i = 0; i < states; i++)
	{
		map[i] = gone != NULL && holds(state[i], gone) ? -1 : n;
		if (map[i] >= 0)
			keep[n++] = i;
	}
	a = calloc((size_t) n * n, sizeof(double));
	b = calloc(n, sizeof(double));
	pivot = calloc(n, sizeof(int));
	for (int i = 0; i < n; i++)
	{
		for (int j = 0; j < n; j++)
			a[(size_t) j * n + i] = (i == j) - count[(size_t) keep[i] * states + keep[j]] / total[keep[i]];
		b[i] = conv[keep[i]] / total[keep[i]];
	}
	began = now();
	dgesv_(&n, &one, a, &n, pivot, b, &n, &info);
	cpu += now() - began;
	if (info != 0)
	{
		fprintf(stderr, "markov_dense: dgesv gives %d\n", info);
		exit(1);
	}
	for (int i = 0; i < n; i++)
	{
		long double rest = conv[keep[i]] / total[keep[i]] - (long double) b[i];

		for (int j = 0; j < n; j++)
			rest += (long double) count[(size_t) keep[i] * states + keep[j]] / total[keep[i]] * b[j];
		norm += fabsl(rest);
		size += conv[keep[i]] / total[keep[i]];
		p += start[keep[i]] * b[i];
	}
	if (size > 0 && norm / size > residual)
		residual = norm / size;
	free(a);
	free(b);
	free(pivot);
	return p;
}

int
main(int argc, char **argv)
{
	static char line[65536];
	FILE	   *f = argc == 3 ? fopen(argv[1], "r") : NULL;
	double		effect[MAX_LABELS];

	if (f == NULL)
	{
		fprintf(stderr, "usage: markov_dense FILE RUNS\n");
		return 2;
	}
	count = calloc((size_t) MAX_STATES * MAX_STATES, sizeof(double));
	for (int pass = 0; pass < 2; pass++, rewind(f))
		while (fgets(line, sizeof(line), f) != NULL)
		{
			char	   *from = strtok(line, "|"),
					   *to = strtok(NULL, "|");
			double		n = atof(strtok(NULL, "|\n"));
			int			i = strcmp(from, "(start)") == 0 ? -1 : number(state, &states, MAX_STATES, from);
			int			j = to[0] == '(' ? -1 : number(state, &states, MAX_STATES, to);

			if (pass == 0)
				continue;		/* the first pass numbers the states */
			if (i < 0)
				start[j] = n;
			else
				total[i] += n;
			if (i >= 0 && j >= 0)
				count[(size_t) i * states + j] = n;
			else if (strcmp(to, "(conversion)") == 0)
				conv[i] = n;
		}
	for (int i = 0; i < states; i++)
	{
		char	   *copy = strdup(state[i]);

		for (char *at = strtok(copy, ">"); at != NULL; at = strtok(NULL, ">"))
			number(label, &labels, MAX_LABELS, at);
		free(copy);
	}
	for (int run = 0; run < atoi(argv[2]); run++)
	{
		double		all;

		cpu = 0;
		all = solve(NULL);
		for (int j = 0; j < labels; j++)
			effect[j] = 1 - solve(label[j]) / all;
		printf("cpu %.6f\n", cpu);
	}
	for (int j = 0; j < labels; j++)
		printf("effect %s %.15g\n", label[j], effect[j]);
	printf("residual %.3g\n", residual);
	printf("states %d\n", states);
	return 0;
}
