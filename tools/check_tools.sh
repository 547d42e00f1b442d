#!/usr/bin/env bash
# The scripts tell a failure as one: a test file that dies counts, a cluster that does not start stops its caller before
# psql turns to another server, no other user of the machine gets into a cluster, and each check refuses what it is for.
set -euo pipefail
cd "$(dirname "$0")/.."
bad=0
top=$(mktemp -d -t pg_cdp-check.XXXXXX)
finish() {
	bash tools/cluster.sh stop check >/dev/null 2>&1 || true
	rm -rf "$top"
}
trap finish EXIT

wrong() {
	echo "$1"
	bad=1
}

# ---- tools/prove.pl
counted() { # title, counts as a pattern, what the file prints
	printf '%s\n' "$3" >"$top/file"
	rm -f "$top/counts"
	perl tools/prove.pl --counts "$top/counts" --exec cat "$top/file" >/dev/null 2>&1 || true
	[[ $(cat "$top/counts" 2>/dev/null) == $2 ]] || wrong "tools/prove.pl: $1 counts as '$(cat "$top/counts" 2>/dev/null)'"
}
counted 'a file that passes' '2 0 0' $'1..2\nok 1\nok 2'
counted 'a file that bails out' '? [1-9]* 0' $'1..2\nok 1\nBail out!  gone'
counted 'a broken plan' '1 [1-9]* 0' $'1..2\nok 1'
counted 'a file without tests' '0 [1-9]* 0' ''

# ---- tools/cluster.sh
started() { bash -c 'set -e; eval "$(bash tools/cluster.sh start check '"$1"' 2>/dev/null)"; psql -qXAt -d postgres -c "SELECT 1"' 2>/dev/null; }
[ "$(started timezone=UTC)" = 1 ] || wrong "tools/cluster.sh: a cluster does not start"
sockets=$(sed -n "s/^export PGHOST='\([^']*\)'.*/\1/p" <(bash tools/cluster.sh env check))
[ "$(stat -c %a "$sockets")" = 700 ] || wrong "tools/cluster.sh: any user of the machine gets into a cluster, as superuser"
if bash -c 'set -e; eval "$(bash tools/cluster.sh start check no_such_setting=1 2>/dev/null)"'; then
	wrong "tools/cluster.sh: a caller goes on when the cluster did not start, with psql turned to another server"
fi

# ---- tools/demo.sh
printf 'customer;time;channel;revenue\nu1;2026-01-01;mail;\n' >"$top/semicolons.csv"
said=$(DATA=$top/semicolons.csv bash tools/demo.sh 2>&1 || true)
[[ $said == *'not separated by commas'* ]] || wrong "tools/demo.sh: does not say that columns are separated by commas"

# ---- the checks: each must pass on a copy of the checkout and fail with one thing planted
copy=$top/copy
mkdir "$copy"
tar -cf - --exclude=./build --exclude=./.git --exclude='*.o' --exclude='*.so' --exclude=node_modules . | tar -xf - -C "$copy"
refuses() { # check, file, text added to it
	mkdir -p "$(dirname "$copy/$2")"
	[ ! -f "$copy/$2" ] || cp "$copy/$2" "$top/kept"
	printf '%b' "$3" >>"$copy/$2"
	if (cd / && "$copy/tools/$1") >/dev/null 2>&1; then
		wrong "tools/$1: accepts in $2: $3"
	fi
	rm -f "$copy/$2"
	[ ! -f "$top/kept" ] || mv "$top/kept" "$copy/$2"
}
for check in check_c.pl check_files.pl check_layers.pl check_sql.pl check_versions.sh; do
	(cd / && "$copy/tools/$check") >"$top/said" 2>&1 || wrong "tools/$check: does not pass on a copy: $(head -n 3 "$top/said")"
done
for folder in src/core src/core/deeper; do
	refuses check_c.pl $folder/new.c 'ereport(ERROR, (errmsg("no code")));\n'
	refuses check_c.pl $folder/new.c 'ereport(ERROR, (errcode(1), errmsg("Upper case")));\n'
	refuses check_c.pl $folder/new.c 'static int\nf(void)\n{\n}\n'
	refuses check_c.pl $folder/new.h '#if PG_VERSION_NUM > 1\n#endif\n'
	refuses check_layers.pl $folder/new.h '#include "attribution/result/sums.h"\n'
done
refuses check_c.pl src/core/new.c "/* Long. */\nstatic int\nf(void)\n{\n$(printf '\\n%.0s' {1..125})}\n"
refuses check_layers.pl src/nowhere/new.c '\n'
refuses check_layers.pl src/connector/new.c '#include <curl/curl.h>\n'
refuses check_layers.pl sql/again/10_new.sql 'SELECT cdp.attribution_totals(NULL);\n'
refuses check_files.pl docs/new.md 'no heading\n'
refuses check_files.pl src/core/new.c 'int nothing_said;\n'
refuses check_files.pl README.md "$(printf '\\n%.0s' {1..1200})"
refuses check_files.pl docs/new.md "# New\n\nTO""DO\n"
refuses check_sql.pl sql/again/10_new.sql 'CREATE TABLE cdp.x ();\n'
refuses check_sql.pl sql/once/10_new.sql 'CREATE TABLE IF NOT EXISTS cdp.x ();\n'
refuses check_sql.pl sql/again/10_new.sql "CREATE OR REPLACE FUNCTION cdp.x() RETURNS int LANGUAGE sql AS \$\$SELECT 1\$\$;\n"
refuses check_versions.sh test/old/pg_cdp--0.0.0.sql '\n'

# Without nm nothing is known about the symbols.
mkdir "$top/bin"
printf '#!/bin/sh\nexit 127\n' >"$top/bin/nm"
chmod 755 "$top/bin/nm"
if PATH="$top/bin:$PATH" tools/check_symbols.sh >/dev/null 2>&1; then
	wrong "tools/check_symbols.sh: passes without nm"
fi
exit $bad
