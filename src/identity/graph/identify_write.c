/*
 * identify_write.c
 *		What one record writes: identifiers, roots, links and the ledger.
 */
#include "cdp.h"

#include "catalog/pg_type_d.h"
#include "executor/spi.h"

#include "core/feed.h"
#include "identity/graph/identify.h"

/* A number for a new customer. */
int64
cdp_next_customer(void)
{
	int64		id;

	cdp_run(CDP_NEXT_CUSTOMER, NULL, NULL);
	id = cdp_cell_int8(0, 1);
	cdp_done();
	return id;
}

/* Makes a customer of that number. */
void
cdp_add_customer(int64 customer_id)
{
	Datum		arg = Int64GetDatum(customer_id);

	cdp_run(CDP_ADD_CUSTOMER, &arg, NULL);
}

/* Gives an identifier that this call made another home. */
void
cdp_move_home(int64 identifier_id, int64 customer_id)
{
	Datum		arg[2] = {Int64GetDatum(identifier_id), Int64GetDatum(customer_id)};

	cdp_run(CDP_MOVE_HOME, arg, NULL);
}

/* The record's new identifiers in the order in which they are written: by type and value. */
static int
order_of_writing(CdpRecord *r, CdpOne **fresh)
{
	int			n = 0;

	for (int i = 0; i < r->k; i++)
	{
		CdpOne	   *one = &r->one[i];
		int			at;

		if (!one->fresh)
			continue;
		/* Those of one type are in order already. */
		for (at = n; at > 0 && fresh[at - 1]->type->type_id > one->type->type_id; at--)
			fresh[at] = fresh[at - 1];
		fresh[at] = one;
		n++;
	}
	return n;
}

/*
 * Makes the identifiers that are not known, with a customer as their home.
 * False when somebody else made one of them meanwhile; then some may be made.
 */
bool
cdp_add_identifiers(CdpRecord *r, int64 home)
{
	CdpOne	   *fresh[CDP_RECORD_MAX];
	int			n = order_of_writing(r, fresh);
	Datum		arg[4];
	bool		all;

	arg[2] = Int64GetDatum(home);
	arg[3] = TimestampTzGetDatum(r->at);
	if (n == 1)
	{
		arg[0] = Int16GetDatum(fresh[0]->type->type_id);
		arg[1] = PointerGetDatum(fresh[0]->value);
		cdp_run(CDP_ADD_IDENTIFIER, arg, NULL);
	}
	else
	{
		cdp_record_arrays(r, true, &arg[0], &arg[1]);
		cdp_run(CDP_ADD_IDENTIFIERS, arg, NULL);
	}
	all = SPI_processed == n;
	for (int i = 0; i < n && all; i++)
	{
		fresh[i]->id = cdp_cell_int8(i, 1);
		fresh[i]->home = home;
	}
	cdp_done();
	return all;
}

/*
 * Notes that identifiers were seen at a time.  Rows are locked by type and
 * value: those that need no note only when asked so.
 */
void
cdp_touch(const int64 *id, int n, TimestampTz at, bool lock_all)
{
	Datum		arg[2] = {cdp_ids(id, n), TimestampTzGetDatum(at)};

	if (n > 1 || lock_all)
	{
		cdp_run(CDP_LOCK_IDENTIFIERS, arg, NULL);
		cdp_done();
	}
	cdp_run(CDP_TOUCH, arg, NULL);
	pfree(DatumGetPointer(arg[0]));
}

/*
 * Points the roots that became one at the winner.  Of a winner who lost nobody
 * the ledger tells nothing, so its own row is written: what it holds has
 * changed.  Beside losers it is left as it is; see identify_lock.c.
 */
void
cdp_write_roots(const int64 *root, int n, int64 winner)
{
	int64		id[CDP_RECORD_MAX];
	Datum		arg[2];
	int			m = 0;

	for (int i = 0; i < n; i++)
	{
#ifdef CDP_UNION_UNSAFE
		if (root[i] == winner)
			continue;
#endif
		if (n == 1 || root[i] != winner)
			id[m++] = root[i];
	}
	if (m == 0)
		return;
	arg[0] = cdp_ids(id, m);
	arg[1] = Int64GetDatum(winner);
	cdp_run(CDP_WRITE_ROOTS, arg, NULL);
	pfree(DatumGetPointer(arg[0]));
}

/* A pair that is to be written, with its ends in order. */
typedef struct Wanted
{
	int64		a;
	int64		b;
	const CdpPair *pair;
} Wanted;

/* Orders pairs by their ends. */
static int
compare_wanted(const void *x, const void *y)
{
	const Wanted *v = x,
			   *w = y;

	if (v->a != w->a)
		return v->a < w->a ? -1 : 1;
	return (v->b > w->b) - (v->b < w->b);
}

/* Writes the links of these pairs with the state and reason they have, and that the record's load supports them. */
void
cdp_write_links(CdpRecord *r, CdpPair *const *pair, int n)
{
	Wanted		want[2 * CDP_RECORD_MAX];
	int64		a[2 * CDP_RECORD_MAX],
				b[2 * CDP_RECORD_MAX];
	Datum		state[2 * CDP_RECORD_MAX],
				reason[2 * CDP_RECORD_MAX],
				blocker[2 * CDP_RECORD_MAX];
	bool		no_reason[2 * CDP_RECORD_MAX],
				no_blocker[2 * CDP_RECORD_MAX];
	int			lower = 1;
	Datum		arg[8];

	if (n == 0)
		return;
	for (int i = 0; i < n; i++)
	{
		int64		hub = r->one[pair[i]->hub].id,
					other = r->one[pair[i]->other].id;

		want[i].a = Min(hub, other);
		want[i].b = Max(hub, other);
		want[i].pair = pair[i];
	}
	arg[5] = TimestampTzGetDatum(r->at);
	arg[6] = Int64GetDatum(r->load_id);
	arg[7] = r->event_key;
	if (n == 1)
	{
		const CdpPair *p = pair[0];
		char		nulls[] = "        ";

		arg[0] = Int64GetDatum(want[0].a);
		arg[1] = Int64GetDatum(want[0].b);
		arg[2] = CStringGetTextDatum(p->state);
		arg[3] = p->reason == NULL ? (Datum) 0 : CStringGetTextDatum(p->reason);
		arg[4] = Int64GetDatum(p->blocker);
		nulls[3] = p->reason == NULL ? 'n' : ' ';
		nulls[4] = p->blocker == 0 ? 'n' : ' ';
		nulls[7] = r->no_key ? 'n' : ' ';
		cdp_run(CDP_WRITE_LINK, arg, nulls);
		return;
	}
	qsort(want, n, sizeof(Wanted), compare_wanted);
	for (int i = 0; i < n; i++)
	{
		const CdpPair *p = want[i].pair;

		a[i] = want[i].a;
		b[i] = want[i].b;
		state[i] = CStringGetTextDatum(p->state);
		no_reason[i] = p->reason == NULL;
		reason[i] = no_reason[i] ? (Datum) 0 : CStringGetTextDatum(p->reason);
		no_blocker[i] = p->blocker == 0;
		blocker[i] = Int64GetDatum(p->blocker);
	}
	arg[0] = cdp_ids(a, n);
	arg[1] = cdp_ids(b, n);
	arg[2] = PointerGetDatum(construct_array(state, n, TEXTOID, -1, false, TYPALIGN_INT));
	arg[3] = PointerGetDatum(construct_md_array(reason, no_reason, 1, &n, &lower, TEXTOID, -1, false, TYPALIGN_INT));
	arg[4] = PointerGetDatum(construct_md_array(blocker, no_blocker, 1, &n, &lower, INT8OID, sizeof(int64), true, TYPALIGN_DOUBLE));
	cdp_run(CDP_WRITE_LINKS, arg, r->no_key ? "       n" : NULL);
}

/* The identifiers between which the link stands that brought a loser to the winner: the loser's strongest and the hub, else the winner's strongest. */
static void
ends_of_merge(const CdpRecord *r, int64 loser, int64 winner, int64 *a, int64 *b)
{
	const CdpOne *hub = &r->one[r->first_hub];
	int64		own = 0,
				other = 0;

	for (int i = 0; i < r->k; i++)
	{
		const CdpOne *one = &r->one[i];

		if (!one->accepted || one->fresh)
			continue;
		if (one->root == loser && own == 0)
			own = one->id;
		else if (one->root == winner && other == 0)
			other = one->id;
	}
	if (own != hub->id)
	{
		if (hub->fresh || hub->root != loser)
			other = hub->id;
		else
			own = hub->id;
	}
	*a = other == 0 ? own : Min(own, other);
	*b = Max(own, other);
}

/*
 * Writes the ledger lines of a merge: one for each root that lost its number,
 * with the sizes before; the winner grows from line to line.  at is a time after the locks and before the links of the record,
 * so that an unmerge can tell earlier links from those of the merge.
 */
void
cdp_write_ledger(CdpRecord *r, int64 winner, TimestampTz at)
{
	int64		loser[CDP_RECORD_MAX],
				a[CDP_RECORD_MAX],
				b[CDP_RECORD_MAX];
	Datum		size[2][CDP_RECORD_MAX];
	bool		no_size[2][CDP_RECORD_MAX];
	int32		winner_size = -1;
	int			n = 0,
				lower = 1;
	char		nulls[] = "           ";
	Datum		arg[11];

	for (int i = 0; i < r->njoined; i++)
		if (r->joined[i] == winner)
			winner_size = r->size[i];
	for (int i = 0; i < r->njoined; i++)
	{
		if (r->joined[i] == winner)
			continue;
		loser[n] = r->joined[i];
		ends_of_merge(r, loser[n], winner, &a[n], &b[n]);
		size[0][n] = Int32GetDatum(winner_size);
		no_size[0][n] = winner_size < 0;
		size[1][n] = Int32GetDatum(r->size[i]);
		no_size[1][n] = r->size[i] < 0;
		winner_size = winner_size < 0 || r->size[i] < 0 ? -1 : winner_size + r->size[i];
		n++;
	}
	arg[0] = cdp_ids(loser, n);
	arg[1] = cdp_ids(a, n);
	arg[2] = cdp_ids(b, n);
	arg[3] = PointerGetDatum(construct_md_array(size[0], no_size[0], 1, &n, &lower, INT4OID, sizeof(int32), true, TYPALIGN_INT));
	arg[4] = PointerGetDatum(construct_md_array(size[1], no_size[1], 1, &n, &lower, INT4OID, sizeof(int32), true, TYPALIGN_INT));
	arg[5] = Int64GetDatum(winner);
	arg[6] = TimestampTzGetDatum(at);
	arg[7] = r->cause;
	arg[8] = r->source_id;
	arg[9] = Int64GetDatum(r->load_id);
	arg[10] = r->event_key;
	nulls[8] = r->no_source ? 'n' : ' ';
	nulls[10] = r->no_key ? 'n' : ' ';
	cdp_run(CDP_WRITE_LEDGER, arg, nulls);
}

/* Tells the change feed that these roots become one: who loses its number, then the winner. */
void
cdp_tell_merge(const int64 *root, int n, int64 winner)
{
	int64		told[CDP_RECORD_MAX];
	int			m = 0;

	for (int i = 0; i < n; i++)
		if (root[i] != winner)
			told[m++] = root[i];
	told[m++] = winner;
	cdp_feed_write(cdp_ids(told, m), CStringGetTextDatum("merge"));
}

/* Whether an identifier of the record could turn out to be shared by too many through links that come to be. */
bool
cdp_may_crowd(const CdpRecord *r, int i)
{
	const CdpOne *one = &r->one[i];

	/* A new one has no neighbours but those of the record. */
	if (one->type->degree == 0)
		return false;
	return r->k > 20 || (!one->fresh && (one->stop == NULL || strcmp(one->stop, CDP_SUPER_NODE) != 0));
}

/*
 * Which identifiers of the record have more distinct neighbours than their
 * type allows, or would have with more new ones.  Never reads more links of
 * one than that.  Returns how many, their numbers in crowded.
 */
int
cdp_crowded(const CdpRecord *r, int more, int64 *crowded)
{
	int64		id[CDP_RECORD_MAX];
	Datum		most[CDP_RECORD_MAX];
	Datum		arg[3];
	int			n = 0,
				found;

	for (int i = 0; i < r->k; i++)
	{
		if (!cdp_may_crowd(r, i))
			continue;
		id[n] = r->one[i].id;
		most[n++] = Int32GetDatum(r->one[i].type->degree);
	}
	if (n == 0)
		return 0;
	arg[0] = cdp_ids(id, n);
	arg[1] = PointerGetDatum(construct_array(most, n, INT4OID, sizeof(int32), true, TYPALIGN_INT));
	arg[2] = Int32GetDatum(more);
	cdp_phase_begin();
	cdp_read(CDP_CROWDED, arg, NULL);
	cdp_phase_end();
	found = (int) SPI_processed;
	for (int i = 0; i < found; i++)
		crowded[i] = cdp_cell_int8(i, 1);
	cdp_done();
	return found;
}
