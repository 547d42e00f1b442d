/*
 * unsafe.c
 *		The peer of identify_vs_unsafe: a library of the benchmark, made of the
 *		same files as ours with CDP_UNION_UNSAFE, which takes away the locks of
 *		roots, the second look-up, the subtransaction around them, and the
 *		writing of the winner's row.  The project never installs it.
 */
#include "cdp.h"

PG_MODULE_MAGIC;
