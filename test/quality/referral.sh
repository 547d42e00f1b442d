#!/usr/bin/env bash
# Quality of fraud rules: exits with 1 below a figure of the lists in referral_life.sql, referral_blocks.sql and referral.sql.
# A made-up life of a programme says what is decided for whom, offices first; it needs no data.
# Dense blocks injected into a random graph need no data. The graph rules and the fitted model are measured on real accounts
# that farmed an airdrop, ../shared/data/referral (or CDP_SHARED/referral); without it that part says so and is left out.
# Makes a cluster of its own under build/.
set -euo pipefail
cd "$(dirname "$0")/../.."
. tools/env.sh

[ -n "${CDP_KEEP_SERVER:-}" ] || bash tools/server.sh
eval "$(bash tools/cluster.sh start quality)"
trap 'bash tools/cluster.sh stop quality' EXIT
status=0

# Runs a script in a database of its own: measure NAME FILE FIGURES
measure() {
	local out
	psql -qX -d postgres -v ON_ERROR_STOP=1 -c "CREATE DATABASE $1" >/dev/null
	out=$(DATA=${data:-} perl -pe 's/DATA\//$ENV{DATA}\//' "test/quality/$2" | psql -qXAt -d "$1" -v ON_ERROR_STOP=1 -f -)
	printf '%s\n' "$out"
	if printf '%s\n' "$out" | grep -q '^BELOW' || [ "$(printf '%s\n' "$out" | grep -c '^ok')" -ne "$3" ]; then
		status=1
	fi
}

echo "a made-up life of referrals, with the built-in weights:"
measure life referral_life.sql 5
echo "dense blocks in 2 million edges:"
measure blocks referral_blocks.sql 3
data=${CDP_SHARED:-../shared/data}/referral
if [ -f "$data/hop_edges.csv.gz" ] && [ -f "$data/hop_sybils.csv" ] && [ -f "$data/hop_eligible.csv" ]; then
	data=$(cd "$data" && pwd)
	echo "accounts that farmed an airdrop:"
	measure accounts referral.sql 34
else
	echo "SKIP graph rules on labelled accounts: $data/hop_edges.csv.gz and its neighbours are absent"
fi
exit $status
