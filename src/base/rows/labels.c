/*
 * labels.c
 *		The sorted labels of a pass: search, union, and their bytes.
 */
#include "base/rows/labels.h"

#include "base/wire.h"
#include "libpq/pqformat.h"
#include "mb/pg_wchar.h"

/* Orders label i of a against label k of b. */
static int
compare_labels(const CdpLabels *a, int i, const CdpLabels *b, int k)
{
	if (a->is_int)
		return a->code[i] < b->code[k] ? -1 : a->code[i] > b->code[k];
	return strcmp(a->name[i], b->name[k]);
}

/* The index of a label, or -1. */
int
cdp_label_find(const CdpLabels *labels, const char *name)
{
	int			low = 0;
	int			high = labels->n - 1;
	int			code = 0;

	if (labels->is_int)
	{
		char	   *end;
		long		value = strtol(name, &end, 10);

		if (end == name || *end != '\0' || value < PG_INT32_MIN || value > PG_INT32_MAX)
			return -1;
		code = (int) value;
	}
	while (low <= high)
	{
		int			middle = low + (high - low) / 2;
		int			c = labels->is_int ? (labels->code[middle] > code) - (labels->code[middle] < code)
			: strcmp(labels->name[middle], name);

		if (c == 0)
			return middle;
		if (c < 0)
			low = middle + 1;
		else
			high = middle - 1;
	}
	return -1;
}

/* Tells whether both have the same labels. */
bool
cdp_labels_equal(const CdpLabels *a, const CdpLabels *b)
{
	if (a->n != b->n || a->is_int != b->is_int)
		return false;
	for (int i = 0; i < a->n; i++)
		if (compare_labels(a, i, b, i) != 0)
			return false;
	return true;
}

/* Both lists as one, with the new place of each old label; names are shared, the rest is new in the current context. */
CdpLabels *
cdp_labels_union(const CdpLabels *a, const CdpLabels *b, uint32 **map_a, uint32 **map_b)
{
	CdpLabels  *u = palloc0(sizeof(CdpLabels));
	Size		size = Max((Size) a->n + b->n, 1);
	int			i = 0;
	int			k = 0;

	u->is_int = a->n > 0 ? a->is_int : b->is_int;
	u->name = MemoryContextAllocHuge(CurrentMemoryContext, size * sizeof(char *));
	u->code = u->is_int ? MemoryContextAllocHuge(CurrentMemoryContext, size * sizeof(int32)) : NULL;
	*map_a = MemoryContextAllocHuge(CurrentMemoryContext, size * sizeof(uint32));
	*map_b = MemoryContextAllocHuge(CurrentMemoryContext, size * sizeof(uint32));
	while (i < a->n || k < b->n)
	{
		int			c = i >= a->n ? 1 : k >= b->n ? -1 : compare_labels(a, i, b, k);

		u->name[u->n] = c <= 0 ? a->name[i] : b->name[k];
		if (u->is_int)
			u->code[u->n] = c <= 0 ? a->code[i] : b->code[k];
		if (c <= 0)
			(*map_a)[i++] = u->n;
		if (c >= 0)
			(*map_b)[k++] = u->n;
		u->n++;
	}
	return u;
}

/* Appends the labels: kind, number, and each as text or code. */
void
cdp_labels_write(const CdpLabels *labels, StringInfo buf)
{
	pq_sendbyte(buf, labels->is_int);
	cdp_wire_put_uint(buf, labels->n);
	for (int i = 0; i < labels->n; i++)
	{
		if (labels->is_int)
			cdp_wire_put_int(buf, labels->code[i]);
		else
			cdp_wire_put_text(buf, labels->name[i]);
	}
}

/* Reads labels and checks that they ascend and are valid text; all in the current context. */
CdpLabels *
cdp_labels_read(StringInfo buf)
{
	CdpLabels  *labels = palloc0(sizeof(CdpLabels));
	int			kind = cdp_wire_get_byte(buf);

	if (kind > 1)
		cdp_wire_broken("label kind");
	labels->is_int = kind == 1;
	labels->n = cdp_wire_get_count(buf, 1, "labels");
	if (labels->n > CDP_MAX_LABELS)
		cdp_wire_broken("number of labels");
	labels->name = MemoryContextAllocHuge(CurrentMemoryContext, Max((Size) labels->n, 1) * sizeof(char *));
	if (labels->is_int)
		labels->code = MemoryContextAllocHuge(CurrentMemoryContext, Max((Size) labels->n, 1) * sizeof(int32));
	for (int i = 0; i < labels->n; i++)
	{
		if (labels->is_int)
		{
			int64		code = cdp_wire_get_int(buf);

			if (code < PG_INT32_MIN || code > PG_INT32_MAX)
				cdp_wire_broken("label code");
			labels->code[i] = (int32) code;
			labels->name[i] = psprintf("%d", (int) code);
		}
		else
			labels->name[i] = cdp_wire_get_text(buf);
		if (i > 0 && compare_labels(labels, i - 1, labels, i) >= 0)
			cdp_wire_broken("order of labels");
	}
	return labels;
}
