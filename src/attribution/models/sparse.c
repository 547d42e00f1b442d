/*
 * sparse.c
 *		Sparse elimination without subtraction. See sparse.h.
 */
#include "cdp.h"

#include "attribution/models/sparse.h"

/* The rest is eliminated as a dense matrix once a quarter of it is filled. */
#define DENSE_SHARE 0.25
#define ARENA_BLOCK 8192

/* A growing list of (index, value); old arrays stay in the arena until all is freed. */
typedef struct Row
{
	uint32		n;
	uint32		room;
	uint32	   *index;
	double	   *value;			/* NULL for lists of indexes */
} Row;

struct CdpFactor
{
	uint32		n;
	int			sides;
	uint32		sparse;			/* nodes eliminated before the dense rest */
	uint32		dense;
	uint32	   *order;			/* [n] node at each position */
	uint32	   *position;		/* [n] its inverse */
	double	   *diagonal;		/* [n] by node */
	Row		   *upper;			/* [n] row of a node when it was eliminated */
	Row		   *lower;			/* [n] rows that its elimination changed, with factors */
	double	   *block;			/* [dense * dense] upper part and factors of the rest */
	double		flops;
	MemoryContext cxt;
};

typedef struct Elimination
{
	CdpFactor  *f;
	Row		   *row;			/* current rows: remaining columns only */
	Row		   *in;				/* rows that have the column; eliminated ones are passed over */
	uint32	   *in_count;
	double	   *slack;
	uint32	   *where;			/* column -> place in the row at hand + 1 */
	bool	   *done;
	uint32	   *heap;			/* remaining nodes by (cost, node) */
	uint32	   *heap_at;
	uint32		left;
	uint64		filled;			/* off-diagonals among the remaining nodes */
	char	   *arena;
	Size		arena_left;
	Size		bytes;
	Size		bytes_limit;
	MemoryContext scratch;
} Elimination;

/* Allocates an array that counts against the bytes of work; NULL when they do not suffice. */
void *
cdp_sparse_array(CdpSparseWork *work, uint64 count, Size size, MemoryContext cxt)
{
	if (count > work->bytes_limit / size)
		return NULL;
	work->bytes_limit -= count * size;
	return MemoryContextAllocHuge(cxt, Max(count * size, 1));
}

/* Memory of the factor, from blocks; NULL when the limit is passed. */
static void *
arena_get(Elimination *e, Size size)
{
	void	   *p;

	size = MAXALIGN(Max(size, 1));
	if (size > e->arena_left)
	{
		Size		block = Max(size, Max((Size) ARENA_BLOCK, e->bytes / 8));

		if (block > e->bytes_limit || e->bytes > e->bytes_limit - block)
			return NULL;
		e->arena = MemoryContextAllocHuge(e->f->cxt, block);
		e->arena_left = block;
		e->bytes += block;
	}
	p = e->arena;
	e->arena += size;
	e->arena_left -= size;
	return p;
}

/* Makes room for one more entry in a list; false when memory is out. */
static bool
row_room(Elimination *e, Row *row, bool values)
{
	uint32		room;
	uint32	   *index;

	if (row->n < row->room)
		return true;
	room = Max(row->room * 2, 4);
	index = arena_get(e, (Size) room * sizeof(uint32));
	if (index == NULL)
		return false;
	if (row->n > 0)
		memcpy(index, row->index, row->n * sizeof(uint32));
	if (values)
	{
		double	   *value = arena_get(e, (Size) room * sizeof(double));

		if (value == NULL)
			return false;
		if (row->n > 0)
			memcpy(value, row->value, row->n * sizeof(double));
		row->value = value;
	}
	row->index = index;
	row->room = room;
	return true;
}

/* ---- the order: a heap by Markowitz product ---- */

/* How much filling the elimination of a node can cause. */
static inline uint64
node_cost(const Elimination *e, uint32 node)
{
	return (uint64) e->in_count[node] * e->row[node].n;
}

/* Tells whether node a goes before node b. */
static inline bool
goes_before(const Elimination *e, uint32 a, uint32 b)
{
	uint64		x = node_cost(e, a);
	uint64		y = node_cost(e, b);

	return x != y ? x < y : a < b;
}

/* Moves the node at heap place i to where it belongs. */
static void
heap_settle(Elimination *e, uint32 i)
{
	uint32		node = e->heap[i];

	while (i > 0 && goes_before(e, node, e->heap[(i - 1) / 2]))
	{
		e->heap[i] = e->heap[(i - 1) / 2];
		e->heap_at[e->heap[i]] = i;
		i = (i - 1) / 2;
	}
	for (;;)
	{
		uint32		child = 2 * i + 1;

		if (child >= e->left)
			break;
		if (child + 1 < e->left && goes_before(e, e->heap[child + 1], e->heap[child]))
			child++;
		if (!goes_before(e, e->heap[child], node))
			break;
		e->heap[i] = e->heap[child];
		e->heap_at[e->heap[i]] = i;
		i = child;
	}
	e->heap[i] = node;
	e->heap_at[node] = i;
}

/* Takes the cheapest node off the heap. */
static uint32
heap_take(Elimination *e)
{
	uint32		node = e->heap[0];

	e->left--;
	if (e->left > 0)
	{
		e->heap[0] = e->heap[e->left];
		e->heap_at[e->heap[0]] = 0;
		heap_settle(e, 0);
	}
	return node;
}

/* ---- elimination ---- */

/* Allocates zeroed scratch memory of the elimination. */
static void *
scratch(Elimination *e, uint64 count, Size size)
{
	e->bytes += count * size;
	return MemoryContextAllocExtended(e->scratch, Max(count * size, 1), MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
}

/* Copies the matrix into growing rows and column lists; false when memory is out. */
static bool
eliminate_start(Elimination *e, const CdpSparse *m)
{
	uint32		n = m->n;

	e->row = scratch(e, n, sizeof(Row));
	e->in = scratch(e, n, sizeof(Row));
	e->in_count = scratch(e, n, sizeof(uint32));
	e->slack = scratch(e, n, sizeof(double));
	e->where = scratch(e, n, sizeof(uint32));
	e->done = scratch(e, n, sizeof(bool));
	e->heap = scratch(e, n, sizeof(uint32));
	e->heap_at = scratch(e, n, sizeof(uint32));
	e->bytes += n * (2 * sizeof(Row) + 2 * sizeof(uint32) + sizeof(double));
	if (e->bytes > e->bytes_limit)
		return false;
	e->filled = m->first[n];
	for (uint64 k = 0; k < m->first[n]; k++)
		e->in_count[m->col[k]]++;
	for (uint32 i = 0; i < n; i++)
	{
		Row		   *row = &e->row[i];

		row->n = row->room = (uint32) (m->first[i + 1] - m->first[i]);
		e->in[i].room = e->in_count[i];
		row->index = arena_get(e, row->n * sizeof(uint32));
		row->value = arena_get(e, row->n * sizeof(double));
		e->in[i].index = arena_get(e, e->in_count[i] * sizeof(uint32));
		if (row->index == NULL || row->value == NULL || e->in[i].index == NULL)
			return false;
		memcpy(row->index, m->col + m->first[i], row->n * sizeof(uint32));
		memcpy(row->value, m->value + m->first[i], row->n * sizeof(double));
		e->slack[i] = m->slack[i];
	}
	for (uint32 i = 0; i < n; i++)
		for (uint64 k = m->first[i]; k < m->first[i + 1]; k++)
			e->in[m->col[k]].index[e->in[m->col[k]].n++] = i;
	e->left = n;
	for (uint32 i = 0; i < n; i++)
		e->heap[i] = e->heap_at[i] = i;
	for (uint32 i = n / 2; i-- > 0;)
		heap_settle(e, i);
	return true;
}

/* Adds factor times the pivot's row to row i, without column p; false when memory is out. */
static bool
eliminate_row(Elimination *e, uint32 p, uint32 i, double diagonal)
{
	Row		   *row = &e->row[i];
	const Row  *pivot = &e->row[p];
	Row		   *lower = &e->f->lower[p];
	double		factor = 0;
	bool		fits = true;

	for (uint32 k = 0; k < row->n; k++)
		if (row->index[k] == p)
		{
			factor = diagonal > 0 ? row->value[k] / diagonal : 0;
			row->index[k] = row->index[--row->n];
			row->value[k] = row->value[row->n];
			e->filled--;
			break;
		}
	for (uint32 k = 0; k < row->n; k++)
		e->where[row->index[k]] = k + 1;
	for (uint32 k = 0; k < pivot->n; k++)
	{
		uint32		col = pivot->index[k];
		double		more = factor * pivot->value[k];

		if (col == i)
			continue;
		if (e->where[col] != 0)
			row->value[e->where[col] - 1] += more;
		else if (more > 0)
		{
			fits = row_room(e, row, true) && row_room(e, &e->in[col], false);
			if (!fits)
				break;
			row->index[row->n] = col;
			row->value[row->n++] = more;
			e->in[col].index[e->in[col].n++] = i;
			e->in_count[col]++;
			e->filled++;
		}
	}
	for (uint32 k = 0; k < row->n; k++)
		e->where[row->index[k]] = 0;
	e->slack[i] += factor * e->slack[p];
	e->f->flops += row->n + pivot->n;
	if (!fits || !row_room(e, lower, true))
		return false;
	lower->index[lower->n] = i;
	lower->value[lower->n++] = factor;
	return true;
}

/* Eliminates one node; false when memory is out. */
static bool
eliminate_node(Elimination *e, uint32 p)
{
	CdpFactor  *f = e->f;
	Row		   *row = &e->row[p];
	double		diagonal = e->slack[p];

	for (uint32 k = 0; k < row->n; k++)
		diagonal += row->value[k];
	f->diagonal[p] = diagonal;
	f->position[p] = f->sparse;
	f->order[f->sparse++] = p;
	e->done[p] = true;
	for (uint32 k = 0; k < e->in[p].n; k++)
	{
		uint32		i = e->in[p].index[k];

		if (!e->done[i] && !eliminate_row(e, p, i, diagonal))
			return false;
	}
	e->filled -= row->n;
	for (uint32 k = 0; k < row->n; k++)
		e->in_count[row->index[k]]--;
	for (uint32 k = 0; k < row->n; k++)
		heap_settle(e, e->heap_at[row->index[k]]);
	for (uint32 k = 0; k < e->in[p].n; k++)
		if (!e->done[e->in[p].index[k]])
			heap_settle(e, e->heap_at[e->in[p].index[k]]);
	f->upper[p] = *row;
	return true;
}

/* Eliminates the remaining nodes as a dense matrix; false when it is too large. */
static bool
eliminate_dense(Elimination *e, double flops_limit)
{
	CdpFactor  *f = e->f;
	uint32		n = e->left;
	double		flops = (double) n * n * n / 3;
	double	   *block;
	double	   *slack;
	uint32		at = f->sparse;

	if (f->flops + flops > flops_limit ||
		(double) n * n * sizeof(double) + e->bytes > (double) e->bytes_limit)
		return false;
	f->flops += flops;
	f->dense = n;
	f->block = block = MemoryContextAllocExtended(f->cxt, Max((Size) n * n, 1) * sizeof(double), MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	slack = scratch(e, n, sizeof(double));
	for (uint32 i = 0; i < f->n; i++)
		if (!e->done[i])
		{
			f->position[i] = at;
			f->order[at++] = i;
		}
	for (uint32 i = 0; i < n; i++)
	{
		const Row  *row = &e->row[f->order[f->sparse + i]];

		slack[i] = e->slack[f->order[f->sparse + i]];
		for (uint32 k = 0; k < row->n; k++)
			block[(Size) i * n + f->position[row->index[k]] - f->sparse] = row->value[k];
	}
	for (uint32 p = 0; p < n; p++)
	{
		const double *pivot = block + (Size) p * n;
		double		diagonal = slack[p];

		CHECK_FOR_INTERRUPTS();
		for (uint32 k = p + 1; k < n; k++)
			diagonal += pivot[k];
		f->diagonal[f->order[f->sparse + p]] = diagonal;
		for (uint32 i = p + 1; i < n; i++)
		{
			double	   *row = block + (Size) i * n;
			double		factor = diagonal > 0 ? row[p] / diagonal : 0;

			row[p] = factor;
			if (factor == 0)
				continue;
			for (uint32 k = p + 1; k < n; k++)
				row[k] += factor * pivot[k];
			slack[i] += factor * slack[p];
		}
	}
	return true;
}

/*
 * Factors a matrix; the factor lives in its own context below cxt. Returns NULL
 * when more than flops_limit multiply-adds or the bytes of work would be needed;
 * what was spent is added to work either way.
 */
CdpFactor *
cdp_sparse_factor(const CdpSparse *m, double flops_limit, CdpSparseWork *work, MemoryContext cxt)
{
	MemoryContext own = AllocSetContextCreate(cxt, "cdp sparse factor", ALLOCSET_DEFAULT_SIZES);
	Elimination e = {0};
	CdpFactor  *f = MemoryContextAllocZero(own, sizeof(CdpFactor));
	bool		fits;

	e.f = f;
	e.bytes_limit = work->bytes_limit;
	e.scratch = AllocSetContextCreate(own, "cdp sparse elimination", ALLOCSET_DEFAULT_SIZES);
	f->n = m->n;
	f->sides = m->sides;
	f->cxt = own;
	f->order = MemoryContextAllocHuge(own, Max(m->n, 1) * sizeof(uint32));
	f->position = MemoryContextAllocHuge(own, Max(m->n, 1) * sizeof(uint32));
	f->diagonal = MemoryContextAllocHuge(own, Max(m->n, 1) * sizeof(double));
	f->upper = MemoryContextAllocExtended(own, Max(m->n, 1) * sizeof(Row), MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	f->lower = MemoryContextAllocExtended(own, Max(m->n, 1) * sizeof(Row), MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	fits = eliminate_start(&e, m);
	while (fits && e.left > 0 && e.filled < DENSE_SHARE * e.left * e.left)
	{
		CHECK_FOR_INTERRUPTS();
		fits = eliminate_node(&e, heap_take(&e)) && f->flops <= flops_limit;
	}
	fits = fits && eliminate_dense(&e, flops_limit);
	work->flops += f->flops;
	if (!fits)
	{
		MemoryContextDelete(own);
		return NULL;
	}
	MemoryContextDelete(e.scratch);
	return f;
}

/* Frees a factor. */
void
cdp_sparse_free(CdpFactor *f)
{
	MemoryContextDelete(f->cxt);
}

/* Solves M x = b in place. */
void
cdp_sparse_solve(const CdpFactor *f, double *x)
{
	uint32		n = f->dense;
	int			sides = f->sides;

	for (uint32 at = 0; at < f->sparse; at++)
	{
		uint32		p = f->order[at];
		const Row  *lower = &f->lower[p];

		for (uint32 k = 0; k < lower->n; k++)
			for (int s = 0; s < sides; s++)
				x[(Size) lower->index[k] * sides + s] += lower->value[k] * x[(Size) p * sides + s];
	}
	for (uint32 i = 0; i < n; i++)
	{
		double	   *xi = x + (Size) f->order[f->sparse + i] * sides;

		for (uint32 k = 0; k < i; k++)
			for (int s = 0; s < sides; s++)
				xi[s] += f->block[(Size) i * n + k] * x[(Size) f->order[f->sparse + k] * sides + s];
	}
	CHECK_FOR_INTERRUPTS();
	for (uint32 i = n; i-- > 0;)
	{
		uint32		node = f->order[f->sparse + i];
		double	   *xi = x + (Size) node * sides;

		for (uint32 k = i + 1; k < n; k++)
			for (int s = 0; s < sides; s++)
				xi[s] += f->block[(Size) i * n + k] * x[(Size) f->order[f->sparse + k] * sides + s];
		for (int s = 0; s < sides; s++)
			xi[s] = f->diagonal[node] > 0 ? xi[s] / f->diagonal[node] : 0;
	}
	for (uint32 at = f->sparse; at-- > 0;)
	{
		uint32		p = f->order[at];
		const Row  *upper = &f->upper[p];
		double	   *xp = x + (Size) p * sides;

		for (uint32 k = 0; k < upper->n; k++)
			for (int s = 0; s < sides; s++)
				xp[s] += upper->value[k] * x[(Size) upper->index[k] * sides + s];
		for (int s = 0; s < sides; s++)
			xp[s] = f->diagonal[p] > 0 ? xp[s] / f->diagonal[p] : 0;
	}
}

/* ---- the diagonal of the inverse ---- */

/* Positions reached from one by the rows of one side; children always stand later. */
typedef struct Closure
{
	const Row  *row;			/* [n] by node */
	uint32	   *mark;			/* [n] round in which a position was found */
	uint32	   *list;
	uint32		n;
	uint32		seen;			/* how many of them were followed */
	uint32		last;			/* the latest one */
} Closure;

typedef struct Reach
{
	const CdpFactor *f;
	Closure		lower;			/* where the right-hand side spreads to */
	Closure		upper;			/* what the element depends on */
	uint32		round;
	double	   *x;				/* [n] by position */
} Reach;

/* qsort comparator of positions. */
static int
compare_positions(const void *a, const void *b)
{
	uint32		x = *(const uint32 *) a;
	uint32		y = *(const uint32 *) b;

	return x < y ? -1 : x > y;
}

/* Allocates one side. */
static void
closure_start(Closure *c, const CdpFactor *f, const Row *row)
{
	c->row = row;
	c->mark = palloc_extended(Max(f->n, 1) * sizeof(uint32), MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	c->list = palloc_extended(Max(f->n, 1) * sizeof(uint32), MCXT_ALLOC_HUGE);
}

/* Follows one more position of a side, up to a limit; the whole dense rest counts as one place. */
static void
closure_follow(Closure *c, const CdpFactor *f, uint32 round, uint32 limit)
{
	const Row  *row = &c->row[f->order[c->list[c->seen++]]];

	for (uint32 k = 0; k < row->n; k++)
	{
		uint32		position = f->position[row->index[k]];

		if (position > limit)
			continue;
		if (position >= f->sparse)
			c->last = f->n - 1;
		else if (c->mark[position] != round)
		{
			c->mark[position] = round;
			c->list[c->n++] = position;
			c->last = Max(c->last, position);
		}
	}
}

/*
 * Finds the positions that matter for one element of the diagonal. Both sides
 * grow in step; what stands after the end of the one that is done first cannot
 * matter. Tells whether the dense rest does.
 */
static bool
find_reach(Reach *r, uint32 start)
{
	const CdpFactor *f = r->f;
	Closure    *side[2] = {&r->lower, &r->upper};
	uint32		limit = f->n;

	r->round++;
	for (int k = 0; k < 2; k++)
	{
		side[k]->n = 1;
		side[k]->seen = 0;
		side[k]->last = start;
		side[k]->list[0] = start;
		side[k]->mark[start] = r->round;
	}
	while (r->lower.seen < r->lower.n && r->upper.seen < r->upper.n)
		for (int k = 0; k < 2; k++)
			if (side[k]->seen < side[k]->n)
				closure_follow(side[k], f, r->round, limit);
	for (int k = 0; k < 2; k++)
		if (side[k]->seen == side[k]->n)
			limit = Min(limit, side[k]->last);
	for (int k = 0; k < 2; k++)
	{
		uint32		kept = 0;

		while (side[k]->seen < side[k]->n)
		{
			if (side[k]->list[side[k]->seen] <= limit)
				closure_follow(side[k], f, r->round, limit);
			else
				side[k]->seen++;
		}
		for (uint32 i = 0; i < side[k]->n; i++)
			if (side[k]->list[i] <= limit)
				side[k]->list[kept++] = side[k]->list[i];
		side[k]->n = kept;
		qsort(side[k]->list, kept, sizeof(uint32), compare_positions);
	}
	return limit >= f->sparse && f->dense > 0;
}

/* Solves the dense rest from its row `from` on, where x is zero before it. */
static void
solve_dense_rest(const CdpFactor *f, double *x, uint32 from)
{
	uint32		n = f->dense;

	for (uint32 i = from + 1; i < n; i++)
		for (uint32 k = from; k < i; k++)
			x[i] += f->block[(Size) i * n + k] * x[k];
	for (uint32 i = n; i-- > from;)
	{
		double		d = f->diagonal[f->order[f->sparse + i]];

		for (uint32 k = i + 1; k < n; k++)
			x[i] += f->block[(Size) i * n + k] * x[k];
		x[i] = d > 0 ? x[i] / d : 0;
	}
}

/* One element of the diagonal: solves M x = e_position over what it can reach. */
static double
inverse_element(Reach *r, uint32 position, CdpSparseWork *work)
{
	const CdpFactor *f = r->f;
	double	   *x = r->x;
	bool		dense;

	if (position >= f->sparse)
	{
		uint32		i = position - f->sparse;

		memset(x + f->sparse, 0, f->dense * sizeof(double));
		x[position] = 1;
		solve_dense_rest(f, x + f->sparse, i);
		work->flops += (double) (f->dense - i) * (f->dense - i);
		return x[position];
	}
	dense = find_reach(r, position);
	if (dense)
	{
		memset(x + f->sparse, 0, f->dense * sizeof(double));
		work->flops += (double) f->dense * f->dense;
	}
	for (uint32 k = 0; k < r->lower.n; k++)
		x[r->lower.list[k]] = 0;
	for (uint32 k = 0; k < r->upper.n; k++)
		x[r->upper.list[k]] = 0;
	x[position] = 1;
	for (uint32 at = 0; at < r->lower.n; at++)
	{
		uint32		from = r->lower.list[at];
		const Row  *lower = &f->lower[f->order[from]];

		work->flops += lower->n;
		for (uint32 k = 0; k < lower->n; k++)
		{
			uint32		to = f->position[lower->index[k]];

			if (to >= f->sparse ? dense : r->lower.mark[to] == r->round)
				x[to] += lower->value[k] * x[from];
		}
	}
	if (dense)
		solve_dense_rest(f, x + f->sparse, 0);
	for (uint32 at = r->upper.n; at-- > 0;)
	{
		uint32		node = f->order[r->upper.list[at]];
		const Row  *upper = &f->upper[node];
		double		sum = x[r->upper.list[at]];

		work->flops += upper->n;
		for (uint32 k = 0; k < upper->n; k++)
		{
			uint32		from = f->position[upper->index[k]];

			if (from >= f->sparse ? dense : from <= r->upper.list[r->upper.n - 1] && r->upper.mark[from] == r->round)
				sum += upper->value[k] * x[from];
		}
		x[r->upper.list[at]] = f->diagonal[node] > 0 ? sum / f->diagonal[node] : 0;
	}
	return x[position];
}

/* The diagonal of the inverse, by node, in cxt; NULL when the work would pass its limit. */
double *
cdp_sparse_inverse_diagonal(const CdpFactor *f, CdpSparseWork *work, MemoryContext cxt)
{
	Reach		r = {0};
	double	   *diagonal = MemoryContextAllocHuge(cxt, Max(f->n, 1) * sizeof(double));

	r.f = f;
	closure_start(&r.lower, f, f->lower);
	closure_start(&r.upper, f, f->upper);
	r.x = MemoryContextAllocExtended(cxt, Max(f->n, 1) * sizeof(double), MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	for (uint32 at = 0; at < f->n && diagonal != NULL; at++)
	{
		CHECK_FOR_INTERRUPTS();
		diagonal[f->order[at]] = inverse_element(&r, at, work);
		if (work->flops > work->flops_limit)
		{
			pfree(diagonal);
			diagonal = NULL;
		}
	}
	pfree(r.lower.mark);
	pfree(r.lower.list);
	pfree(r.upper.mark);
	pfree(r.upper.list);
	pfree(r.x);
	return diagonal;
}
