#!/usr/bin/env bash
# Quality of the judgement of daily values: exits with 1 when a figure is worse than in the best row that research found
# (weekday medians, Theil-Sen, errors of its own past), or than that method on the same made-up series, where other methods
# stand beside it; false alarms of the low series are held to the research's row only. Needs no data. REPS series of each kind (default 300), SEED of all of them.
# Makes a cluster of its own under build/.
set -euo pipefail
cd "$(dirname "$0")/../.."
. tools/env.sh

[ -n "${CDP_KEEP_SERVER:-}" ] || bash tools/server.sh
eval "$(bash tools/cluster.sh start quality)"
trap 'bash tools/cluster.sh stop quality' EXIT
psql -qX -d postgres -v ON_ERROR_STOP=1 -c 'CREATE DATABASE quality' >/dev/null
out=$(PGOPTIONS="-c quality.reps=${REPS:-300} -c quality.seed=${SEED:-0.2026}" psql -qXAt -d quality -v ON_ERROR_STOP=1 -f test/quality/anomaly.sql)
printf '%s\n' "$out"
if printf '%s\n' "$out" | grep -q '^BELOW' || [ "$(printf '%s\n' "$out" | grep -c '^ok')" -ne 18 ]; then
	exit 1
fi
