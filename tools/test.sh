#!/usr/bin/env bash
# Runs the test suites on the private server and ends with "N passed, N failed, N skipped".
#   test.sh [suite ...]     checks regress isolation pgtap tap; all of them when none is named
#   FILES='a b' test.sh pgtap   only these files of the suite (regress, isolation: names without suffix)
# Exits non-zero when something failed or when nothing ran.
set -euo pipefail
unset MAKEFLAGS MFLAGS MAKELEVEL
cd "$(dirname "$0")/.."

say() { printf '\n== %s (%s)\n' "$1" "$(date +%T)"; }
suites=("$@")
[ ${#suites[@]} -gt 0 ] || suites=(checks regress isolation pgtap tap)

say "packages and private server"
bash tools/install_packages.sh build test
. tools/env.sh # only now: the server's user may have come with the packages
export CDP_TOP CDP_BIN CDP_WORK
COPT=${COPT:--Werror} bash tools/server.sh # check_deep.sh gives its own flags
pgxs_test=$(dirname "$(dirname "$("$CDP_BIN/pg_config" --pgxs)")")/test

# PIDs change hands between runs, so each run gets its own folder of counts: one line "passed failed skipped" a suite.
counts=$CDP_WORK/test/counts
rm -rf "$CDP_WORK/test"
mkdir -p "$CDP_WORK/test"
: >"$counts"

shared=${CDP_SHARED:-}
if [ -n "$shared" ] || [ -d ../shared/data ]; then
	shared=$(cd "${shared:-../shared/data}" && pwd)
else
	echo "../shared/data is absent: what needs it will be skipped"
fi
export CDP_SHARED=$shared

cluster=
start_cluster() {
	[ -z "$cluster" ] || return 0
	local settings=(max_connections=60 timezone=UTC)
	if [ -f "$("$CDP_BIN/pg_config" --pkglibdir)/pg_cron.so" ]; then
		settings+=(shared_preload_libraries=pg_cron cron.database_name=postgres)
	fi
	eval "$(bash tools/cluster.sh start test "${settings[@]}")"
	cluster=test
	trap 'bash tools/cluster.sh stop test' EXIT
}

run_checks() {
	local check passed=0 failed=0
	for check in tools/check_*.{pl,sh}; do
		[ "$check" = tools/check_deep.sh ] && continue
		if "./$check"; then
			echo "ok   $check"
			passed=$((passed + 1))
		else
			echo "FAIL $check"
			failed=$((failed + 1))
		fi
	done
	echo "$passed $failed 0" >>"$counts"
}

# Golden output and concurrency specs. pg_regress looks for expected/ in its output folder first.
run_regress() { # folder suffix program
	local dir=$CDP_WORK/test/$1 names=() options=() file
	for file in test/"$1"/*."$2"; do
		[ -f "$file" ] && names+=("$(basename "$file" ".$2")")
	done
	[ -z "${FILES:-}" ] || read -ra names <<<"$FILES"
	[ ${#names[@]} -gt 0 ] || return 0
	start_cluster
	mkdir -p "$dir"
	ln -sfn "$CDP_TOP/expected" "$dir/expected"
	if [ -f "test/$1/shared.sql" ]; then # what the files share
		psql -qX -d postgres -v ON_ERROR_STOP=1 -c "CREATE DATABASE cdp_$1"
		psql -qX -d "cdp_$1" -v ON_ERROR_STOP=1 -f "test/$1/shared.sql"
		options=(--use-existing)
	fi
	(cd "$dir" && "$3" --inputdir="$CDP_TOP/test" --outputdir="$dir" --bindir="$CDP_BIN" --dbname="cdp_$1" "${options[@]}" "${names[@]}") |
		tee "$dir/out" || true
	[ ! -s "$dir/regression.diffs" ] || cat "$dir/regression.diffs"
	# PostgreSQL 15 prints "test x ... ok", 16 and later TAP.
	awk -v n=${#names[@]} '/\.\.\. ok|^ok /{ok++} END{print ok+0, n-ok, 0}' "$dir/out" >>"$counts"
}

run_pgtap() {
	local files=(test/pgtap/*.sql)
	[ -z "${FILES:-}" ] || read -ra files <<<"$FILES"
	[ -f "${files[0]}" ] || return 0
	start_cluster
	if ! psql -qX -d postgres -v ON_ERROR_STOP=1 -c 'CREATE DATABASE cdp_template' ||
		! psql -qX -d cdp_template -v ON_ERROR_STOP=1 -c 'CREATE EXTENSION pgtap' -c 'CREATE EXTENSION pg_cdp' \
			-c "CALL cdp.setup(timezone => 'Asia/Shanghai', currency => 'CNY')"; then
		echo "FAIL the template database"
		echo "0 1 0" >>"$counts"
		return 0
	fi
	perl tools/prove.pl --counts "$counts" --jobs 2 --exec 'bash tools/pgtap_file.sh' "${files[@]}" || true
}

# What a TAP test that failed or died said last.
show_tap_logs() {
	local log
	for log in $(grep -lE '^not ok|error running SQL|died' "$CDP_WORK"/test/tap/tmp_check/log/regress_log_* 2>/dev/null); do
		echo "--- $log"
		grep -E -A12 '^not ok|error running SQL|died' "$log" | cut -c1-300 | head -n 40
	done
}

# As the server's user, who may not be able to read the checkout: so from a copy of it.
run_tap() {
	local files=(test/t/*.pl) tree=$CDP_WORK/test/tree
	[ -z "${FILES:-}" ] || read -ra files <<<"$FILES"
	[ -f "${files[0]}" ] || return 0
	mkdir -p "$tree" "$CDP_WORK/test/tap"
	tar -cf - --exclude=./build --exclude=./.git --exclude='*.o' --exclude=./node_modules . | tar -xf - -C "$tree"
	if [ "$(id -u)" -eq 0 ]; then # tests of updates put older releases beside the current one
		chown -R "$CDP_USER" "$tree" "$CDP_WORK/test/tap" "$("$CDP_BIN/pg_config" --sharedir)/extension"
		chmod 666 "$counts"
	fi
	(
		unset PGHOST PGPORT PGUSER PGDATABASE
		export CDP_TOP=$tree PATH="$CDP_BIN:$PATH" PG_REGRESS="$pgxs_test/regress/pg_regress"
		export TESTDIR="$CDP_WORK/test/tap" TESTDATADIR="$CDP_WORK/test/tap" TESTLOGDIR="$CDP_WORK/test/tap/log"
		cd "$tree"
		"${CDP_RUN[@]}" perl tools/prove.pl --counts "$counts" --jobs 2 \
			--exec "perl -I $pgxs_test/perl -I test/t" "${files[@]}"
	) || show_tap_logs
}

for suite in "${suites[@]}"; do
	say "$suite"
	before=$(wc -l <"$counts")
	case "$suite" in
	checks) run_checks ;;
	regress) run_regress sql sql "$pgxs_test/regress/pg_regress" ;;
	isolation) run_regress specs spec "$pgxs_test/isolation/pg_isolation_regress" ;;
	pgtap) run_pgtap ;;
	tap) run_tap ;;
	*)
		echo "test.sh: no suite '$suite'; there are checks, regress, isolation, pgtap, tap" >&2
		exit 2
		;;
	esac
	if [ "$(wc -l <"$counts")" -eq "$before" ]; then # it had no files, or died before it could count
		echo "FAIL suite $suite ran nothing"
		echo "0 1 0" >>"$counts"
	fi
done

read -r passed failed skipped < <(awk '{p+=$1; f+=$2; s+=$3} END {print p+0, f+0, s+0}' "$counts")
printf '\n%s passed, %s failed, %s skipped\n' "$passed" "$failed" "$skipped"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
