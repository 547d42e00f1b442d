#!/usr/bin/env bash
# Runs one pgTAP file in a fresh database cloned from cdp_template (made by test.sh) and drops it again.
# psql variables: top (the checkout), shared (folder of the shared data sets or empty), have_shared (true or false).
set -euo pipefail
file=$1
database=cdp_$(basename "$file" .sql)
PGOPTIONS="-c client_min_messages=warning" psql -qX -d postgres -v ON_ERROR_STOP=1 \
	-c "DROP DATABASE IF EXISTS \"$database\" WITH (FORCE)" -c "CREATE DATABASE \"$database\" TEMPLATE cdp_template"
have_shared=false
[ -z "$CDP_SHARED" ] || have_shared=true
status=0
PGOPTIONS='-c client_min_messages=warning' timeout 900 psql -qXAt -P pager=off -d "$database" -v ON_ERROR_STOP=1 -v VERBOSITY=default \
	-v top="$CDP_TOP" -v shared="$CDP_SHARED" -v have_shared=$have_shared -f "$file" || status=$?
psql -qX -d postgres -c "DROP DATABASE IF EXISTS \"$database\" WITH (FORCE)"
exit $status
