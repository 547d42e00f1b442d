#!/usr/bin/env bash
# Quality of fraud rules: exits with 1 below a figure of the lists in referral_life_sum.sql, referral_blocks.sql and referral.sql,
# with 4 when nothing is below but some figure could not be measured here.
# A made-up life of a programme, over seeds, says what is decided for whom, offices first; it needs no data.
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
seeds=(0.1 0.2 0.3 0.4 0.5) # LIVES=file keeps what each seed gave

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

echo "a made-up life of referrals, with the built-in weights, seeds ${seeds[*]}:"
lives=
for seed in "${seeds[@]}"; do
	psql -qX -d postgres -v ON_ERROR_STOP=1 -c "CREATE DATABASE life_${seed#0.}" >/dev/null
	lives+=$(psql -qXAt -d "life_${seed#0.}" -v ON_ERROR_STOP=1 -v seed="$seed" -f test/quality/referral_life.sql)$'\n'
done
[ -z "${LIVES:-}" ] || printf '%s' "$lives" >"$LIVES"
summed=$(psql -qXAt -d postgres -v ON_ERROR_STOP=1 -v lives="$lives" -f test/quality/referral_life_sum.sql)
printf '%s\n' "$summed"
if printf '%s\n' "$summed" | grep -q '^BELOW' || [ "$(printf '%s\n' "$summed" | grep -c '^ok')" -ne 8 ]; then
	status=1
fi
echo "dense blocks in 2 million edges:"
measure blocks referral_blocks.sql 3
data=${CDP_SHARED:-../shared/data}/referral
if [ -f "$data/hop_edges.csv.gz" ] && [ -f "$data/hop_sybils.csv" ] && [ -f "$data/hop_eligible.csv" ]; then
	data=$(cd "$data" && pwd)
	echo "accounts that farmed an airdrop:"
	measure accounts referral.sql 34
else
	echo "SKIP graph rules on labelled accounts: $data/hop_edges.csv.gz and its neighbours are absent"
	[ "$status" -ne 0 ] || status=4
fi
exit $status
