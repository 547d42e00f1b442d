/*
 * unionfind.h
 *		Union-find over dense numbers: one 32-bit word a node.
 *
 * A word below zero is a root and holds minus the size of its set; any other
 * word is the parent. Sets are joined by size, so that no path is longer than
 * log2 of the nodes, and lookups halve the path.
 */
#ifndef CDP_UNIONFIND_H
#define CDP_UNIONFIND_H

/* The root of a node's set. */
static inline int32
cdp_set_root(int32 *parent, int32 x)
{
	while (parent[x] >= 0)
	{
		int32		up = parent[x];

		if (parent[up] >= 0)
			parent[x] = parent[up];
		x = up;
	}
	return x;
}

/* How many nodes the set of a root has. */
static inline int32
cdp_set_size(const int32 *parent, int32 root)
{
	return -parent[root];
}

/* Joins the sets of two different roots; returns the root of both: the one of the larger set, or the first. */
static inline int32
cdp_set_join(int32 *parent, int32 a, int32 b)
{
	if (cdp_set_size(parent, b) > cdp_set_size(parent, a))
	{
		int32		swap = a;

		a = b;
		b = swap;
	}
	parent[a] += parent[b];
	parent[b] = a;
	return a;
}

#endif							/* CDP_UNIONFIND_H */
