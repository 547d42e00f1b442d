#!/usr/bin/env bash
# One version everywhere: pg_cdp.control, META.json, the newest heading of CHANGELOG.md. And every released version,
# kept as test/old/pg_cdp--A.sql, has its delta, so that ALTER EXTENSION UPDATE finds a way from it.
set -euo pipefail
cd "$(dirname "$0")/.."
bad=0
control=$(sed -n "s/^default_version *= *'\(.*\)'.*/\1/p" pg_cdp.control)
changelog=$(sed -n 's/^## \([0-9][0-9.]*\).*/\1/p' CHANGELOG.md | head -n 1)
meta=$(sed '/"meta-spec"/,$d' META.json | sed -n 's/.*"version": *"\([^"]*\)".*/\1/p' | sort -u)
for found in "CHANGELOG.md:$changelog" "META.json:$meta"; do
	if [ "${found#*:}" != "$control" ]; then
		echo "${found%%:*} says version '${found#*:}', pg_cdp.control says '$control'"
		bad=1
	fi
done
for old in test/old/pg_cdp--*.sql; do
	[ -f "$old" ] || continue
	version=${old#test/old/pg_cdp--}
	version=${version%.sql}
	if [ "$version" != "$control" ] && [ ! -f "sql/delta/$version--$control.sql" ]; then
		echo "no way from released version $version: make sql/delta/$version--$control.sql (it may be empty)"
		bad=1
	fi
done
exit $bad
