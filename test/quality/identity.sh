#!/usr/bin/env bash
# Quality of matching on labelled data: exits with 1 below a figure of the list in identity.sql.
# Reads ../shared/data/identity (or CDP_SHARED/identity); without it, says so and exits with 4.
# Makes a cluster of its own under build/. Which settings were chosen by looking at labels: see identity.sql.
set -euo pipefail
cd "$(dirname "$0")/../.."
. tools/env.sh

data=${CDP_SHARED:-../shared/data}/identity
for file in febrl3 fake_1000 historical_half; do
	if [ ! -f "$data/$file.csv" ]; then
		echo "SKIP quality of matching: $data/$file.csv is absent"
		exit 4
	fi
done
data=$(cd "$data" && pwd)
[ -n "${CDP_KEEP_SERVER:-}" ] || bash tools/server.sh
eval "$(bash tools/cluster.sh start quality)"
trap 'bash tools/cluster.sh stop quality' EXIT
psql -qX -d postgres -v ON_ERROR_STOP=1 -c 'CREATE DATABASE quality' >/dev/null
out=$(DATA=$data perl -pe 's/DATA\//$ENV{DATA}\//' test/quality/identity.sql | psql -qXAt -d quality -v ON_ERROR_STOP=1 -f -)
printf '%s\n' "$out"
if printf '%s\n' "$out" | grep -q '^BELOW' || [ "$(printf '%s\n' "$out" | grep -c '^ok')" -ne 6 ]; then
	exit 1
fi
