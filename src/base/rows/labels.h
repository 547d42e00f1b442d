/*
 * labels.h
 *		The sorted labels of a pass.
 */
#ifndef CDP_LABELS_H
#define CDP_LABELS_H

#include "cdp.h"

#include "lib/stringinfo.h"

#define CDP_MAX_LABELS (1 << 24)
#define CDP_NO_LABEL PG_UINT32_MAX

/* The labels of an input, sorted: C order for text, by number for integers. */
typedef struct CdpLabels
{
	int			n;
	bool		is_int;
	char	  **name;			/* integers as decimal text */
	int32	   *code;			/* integers only, else NULL */
} CdpLabels;

extern int	cdp_label_find(const CdpLabels *labels, const char *name);
extern bool cdp_labels_equal(const CdpLabels *a, const CdpLabels *b);
extern CdpLabels *cdp_labels_union(const CdpLabels *a, const CdpLabels *b, uint32 **map_a, uint32 **map_b);
extern void cdp_labels_write(const CdpLabels *labels, StringInfo buf);
extern CdpLabels *cdp_labels_read(StringInfo buf);

#endif							/* CDP_LABELS_H */
