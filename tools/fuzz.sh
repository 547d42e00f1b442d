#!/usr/bin/env bash
# Random input for types, options, models, texts, messages and envelopes: runs every file of test/fuzz on a throw-away cluster.
#   fuzz.sh [rounds [seed]]      a failure prints its seed, with which it comes again
# A file fails when the server dies, the sanitizer speaks, or an error is an internal one (SQLSTATE class XX, but for
# data_corrupted, which is the right answer to bytes that make no sense).
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/env.sh
bash tools/server.sh
rounds=${1:-2000}
seed=${2:-0.$(date +%N)}
eval "$(bash tools/cluster.sh start fuzz log_min_messages=panic)"
trap 'bash tools/cluster.sh stop fuzz' EXIT
psql -qX -d postgres -v ON_ERROR_STOP=1 -c 'CREATE EXTENSION pg_cdp'
status=0
for file in test/fuzz/*.sql; do
	if psql -qXAt -d postgres -v ON_ERROR_STOP=1 -v rounds="$rounds" -v seed="$seed" -v dir="$CDP_WORK/cluster/fuzz" -f "$file"; then
		echo "ok   $file: $rounds rounds, seed $seed"
	else
		echo "FAIL $file: $rounds rounds, seed $seed"
		status=1
		sleep 3 # a crashed server comes back for the next file
	fi
done
if grep -nE 'runtime error|terminated by signal|PANIC' "$CDP_WORK/cluster/fuzz/log"; then
	status=1
fi
exit $status
