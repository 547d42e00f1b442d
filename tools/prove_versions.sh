#!/usr/bin/env bash
# Proof: the source compiles without a warning and runs on PostgreSQL 17 (Debian 13) and 18 (forky), each in an empty root.
#   prove_versions.sh [17|18] [suite ...]     both, with the suites regress and pgtap, when nothing is named
# Takes about ten minutes and 2 GB for each root under CDP_ROOTS (/var/tmp).
set -euo pipefail
cd "$(dirname "$0")/.."
CDP_TOP=$PWD
. tools/root.sh

versions=(17 18)
case "${1:-}" in
17 | 18)
	versions=("$1")
	shift
	;;
esac
suites=${*:-regress pgtap}

result=0
for version in "${versions[@]}"; do
	case $version in
	17) suite=trixie ;;
	18) suite=forky ;;
	esac
	if ! make_root "pg$version" "$suite" sid make,git,ca-certificates; then
		echo "FAILED: no $suite root"
		result=1
		continue
	fi
	echo "== PostgreSQL $version on $suite: compile with -Werror, suites $suites ($(date +%T))"
	if in_root "pg$version" bash -c '
		git config --global --add safe.directory "*"
		git clone -q /mnt/source ~/pg_cdp && cd ~/pg_cdp &&
		bash tools/test.sh '"$suites"' && ( . tools/env.sh && "$CDP_BIN/postgres" --version )'; then
		echo "PROVED: PostgreSQL $version"
		rm -rf --one-file-system "$roots/pg$version"
	else
		echo "FAILED: PostgreSQL $version"
		result=1
	fi
done
exit $result
