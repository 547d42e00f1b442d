#!/usr/bin/env bash
# The library exports only what PostgreSQL asks for, and names that start with cdp_.
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/env.sh
library=$("$CDP_BIN/pg_config" --pkglibdir)/pg_cdp.so
[ -f "$library" ] || { echo "$library is not built"; exit 1; }
names=$(nm -D --defined-only "$library" | awk '{print $3}')
bad=$(grep -vE '^(cdp_|pg_finfo_cdp_)|^(Pg_magic_func|_PG_init|_init|_fini|_edata|_end|__bss_start)$' <<<"$names" || true)
[ -z "$bad" ] && exit 0
echo "exported, but not named cdp_ (make them static or rename them):"
echo "$bad"
exit 1
