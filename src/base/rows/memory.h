/*
 * memory.h
 *		How much memory a pass may use, and what its errors call it.
 */
#ifndef CDP_PASS_MEMORY_H
#define CDP_PASS_MEMORY_H

#include "cdp.h"

typedef struct CdpPassMemory
{
	const char *pass;			/* such as "attribution" */
	const char *setting;		/* such as "cdp.attribution_memory" */
	int			kilobytes;
	const char *fewer;			/* what makes the labels fewer, such as "group by channel" */
} CdpPassMemory;

/* The limit in bytes. */
static inline Size
cdp_pass_memory_bytes(const CdpPassMemory *memory)
{
	return (Size) memory->kilobytes * 1024;
}

#endif							/* CDP_PASS_MEMORY_H */
