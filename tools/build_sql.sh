#!/usr/bin/env bash
# Builds an extension script from its parts and prints it.
#   build_sql.sh install        header + once + again (OR REPLACE stripped, so that a planted object stops it)
#   build_sql.sh update A--B    header + the delta + again
# Files of sql/setup become the body of cdp_internal.setup_script(), which cdp.setup() runs step by step.
set -euo pipefail
cd "$(dirname "$0")/.."

# A step begins with a line "-- step: name"; its text goes on to the next such line.
setup_function() { # $1: CREATE, or CREATE OR REPLACE; the steps themselves stay as they are
	echo "$1 FUNCTION cdp_internal.setup_script()"
	echo "RETURNS TABLE (room text, step text, body text)"
	echo "LANGUAGE sql IMMUTABLE PARALLEL SAFE"
	echo "BEGIN ATOMIC"
	echo "SELECT v.room, v.step, v.body FROM (VALUES"
	awk '
		FNR == 1 { room = FILENAME; sub(/.*\//, "", room); sub(/\.sql$/, "", room); open_step() ; step = "" }
		/^-- step: / { open_step(); step = substr($0, 10); next }
		step != "" { body = body $0 "\n" }
		END { open_step() }
		function open_step() {
			if (step != "") {
				if (body ~ /\$cdp_step\$/) { print "build_sql: $cdp_step$ in a step" > "/dev/stderr"; exit 1 }
				printf "%s  (%c%s%c::text, %c%s%c::text, $cdp_step$%s$cdp_step$::text)", n++ ? ",\n" : "", 39, prev_room, 39, 39, step, 39, body
			}
			body = ""; prev_room = room
		}' sql/setup/*.sql
	echo
	echo ") AS v (room, step, body);"
	echo "END;"
	echo "COMMENT ON FUNCTION cdp_internal.setup_script() IS 'The numbered steps that cdp.setup() runs, in order: room, name and SQL of each. Read-only; part of the release.';"
}

parts() { # one labelled part after the other
	local file
	for file in "$@"; do
		[ -f "$file" ] || continue
		printf '\n-- ---- %s\n' "$file"
		cat "$file"
	done
}

shopt -s nullglob
setup_files=(sql/setup/*.sql)
case "${1:-}" in
install)
	cat sql/00_header.sql
	parts sql/once/*.sql
	[ ${#setup_files[@]} -eq 0 ] || setup_function CREATE
	parts sql/again/*.sql | sed -E 's/^CREATE OR REPLACE /CREATE /'
	;;
update)
	cat sql/00_header.sql
	parts "sql/delta/$2.sql"
	[ ${#setup_files[@]} -eq 0 ] || setup_function 'CREATE OR REPLACE'
	parts sql/again/*.sql
	;;
*)
	echo "usage: build_sql.sh install | update A--B" >&2
	exit 2
	;;
esac
