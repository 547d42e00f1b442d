/*
 * cdp.h
 *		What every C file of pg_cdp starts from: PostgreSQL's headers, the
 *		differences between its versions, and the words for errors.
 *
 * This is the only file that looks at PG_VERSION_NUM.
 */
#ifndef CDP_H
#define CDP_H

#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

#if PG_VERSION_NUM < 150000
#error "pg_cdp needs PostgreSQL 15 or later"
#endif

/* PostgreSQL 18 lets a module tell its name and version. */
#ifdef PG_MODULE_MAGIC_EXT
#define CDP_MODULE_MAGIC PG_MODULE_MAGIC_EXT(.name = "pg_cdp", .version = CDP_VERSION)
#else
#define CDP_MODULE_MAGIC PG_MODULE_MAGIC
#endif

/* The number of the running transaction among those of its session; takes storage/proc.h. */
#if PG_VERSION_NUM >= 170000
#define CDP_LOCAL_TRANSACTION (MyProc->vxid.lxid)
#else
#define CDP_LOCAL_TRANSACTION (MyProc->lxid)
#endif

/* Memory of what a check hook read from a setting; takes utils/guc.h. */
#if PG_VERSION_NUM >= 160000
#define CDP_GUC_ALLOC(size) guc_malloc(LOG, (size))
#define CDP_GUC_FREE(p) guc_free(p)
#else
#define CDP_GUC_ALLOC(size) malloc(size)
#define CDP_GUC_FREE(p) free(p)
#endif

/* A set of sockets to wait for, until it is freed; takes storage/latch.h. */
#if PG_VERSION_NUM >= 170000
#define CDP_WAIT_SET(n) CreateWaitEventSet(NULL, (n))
#else
#define CDP_WAIT_SET(n) CreateWaitEventSet(CurrentMemoryContext, (n))
#endif

/* Stands before the declaration of a function that does not return. */
#ifdef pg_noreturn
#define CDP_NORETURN pg_noreturn
#else
#define CDP_NORETURN pg_attribute_noreturn()
#endif

/* Declares an SQL-callable function; its C name must start with cdp_. */
#define CDP_FUNCTION(name) PG_FUNCTION_INFO_V1(name)

#endif /* CDP_H */
