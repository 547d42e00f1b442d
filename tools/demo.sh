#!/usr/bin/env bash
# make demo: the whole way on a throw-away cluster: install, set up, load, report.
#   make demo                    a made-up shop with 20,000 customers (CUSTOMERS=100000 for more, SEED=2 for others);
#                                it ends on 2026-01-11, so that everybody sees the same (UNTIL=today or UNTIL=2026-06-30 for another day)
#   make demo DATA=touches.csv   your own data. UTF-8, comma-separated, with a header. Columns, in any order:
#       customer   who: any text
#       time       when: 2026-01-31 23:59:59, or with an offset: 2026-01-31T23:59:59+08:00, ...Z
#       channel    where the touch came from: any text; may be empty in a row with revenue
#       revenue    empty: a touch; a number: a conversion of that value; negative: a refund
#     and if you like
#       id         key of the record (else its line is the key); currency  code of the money
#       campaign, medium; all other columns are kept as properties
#     Times without an offset are in TIMEZONE, money without a code in CURRENCY (Asia/Shanghai and CNY unless you say).
# A bad row is named with its line, and then nothing is loaded. The cluster stays until the next demo, or
#   bash tools/cluster.sh stop demo
set -euo pipefail
. "$(dirname "$0")/env.sh"
timezone=${TIMEZONE:-Asia/Shanghai} currency=${CURRENCY:-CNY} customers=${CUSTOMERS:-20000} seed=${SEED:-1} data=${DATA:-} until=${UNTIL:-2026-01-11}
unset DATA MAKEFLAGS MFLAGS MAKEOVERRIDES # the build's own make has another use for DATA

die() {
	echo "demo: $1" >&2
	[ $# -lt 2 ] || echo "      $2" >&2
	exit 1
}
[[ $customers =~ ^[1-9][0-9]{0,6}$ ]] || die "CUSTOMERS=$customers is no number from 1 to 9999999"
[[ $seed =~ ^[0-9]{1,9}$ ]] || die "SEED=$seed is no number"
[ "$until" != today ] || until=$(TZ=$timezone date +%F)
[[ $until =~ ^20[0-9]{2}-[0-9]{2}-[0-9]{2}$ ]] && date -d "$until" >/dev/null 2>&1 || die "UNTIL=$until is no day such as 2026-01-11, nor today"

# The header decides about the columns; all else is decided inside the database.
if [ -n "$data" ]; then
	[ -f "$data" ] && [ -r "$data" ] || die "there is no readable file $data"
	header=$(head -n 1 -- "$data" | sed $'1s/^\xEF\xBB\xBF//; s/\r$//' | tr -d '"')
	[[ $header != *[^[:print:]]* || $header =~ [^[:ascii:]] ]] || die "$data line 1: the header has unprintable characters"
	IFS=, read -r -a columns <<<"$header"
	sql_columns=
	for i in "${!columns[@]}"; do
		name=$(sed -E 's/^[[:space:]]+|[[:space:]]+$//g' <<<"${columns[i]}" | tr '[:upper:]' '[:lower:]')
		[ -n "$name" ] || die "$data line 1: column $((i + 1)) has no name"
		[ "$name" != nth ] || die "$data line 1: the name nth is taken"
		[[ ",$sql_columns," != *",\"$name\","* ]] || die "$data line 1: column $name comes twice"
		sql_columns+="${sql_columns:+,}\"$name\""
	done
	[[ $header == *,* || $header != *[$';\t']* ]] || die "$data line 1: the columns are not separated by commas" \
		"Save the file as CSV with commas, in UTF-8. The header is: $header"
	for name in customer time channel revenue; do
		[[ ",$sql_columns," == *",\"$name\","* ]] || die "$data line 1: there is no column $name" \
			"The header must have customer,time,channel,revenue (in any order; more columns may follow). It is: $header"
	done
fi

echo "pg_cdp demo"
echo "1. packages and a private copy of the server"
bash "$CDP_TOP/tools/install_packages.sh" build
. "$CDP_TOP/tools/env.sh"
bash "$CDP_TOP/tools/server.sh"
echo "2. a throw-away cluster, CREATE EXTENSION pg_cdp, CALL cdp.setup(timezone => '$timezone', currency => '$currency', phone_region => 'CN')"
eval "$(bash "$CDP_TOP/tools/cluster.sh" start demo)"
createdb -T template0 -E UTF8 demo
export PGDATABASE=demo PGOPTIONS="-c client_min_messages=warning"
cd "$CDP_TOP/test/demo" # psql's \i

# Runs SQL of test/demo; a failure is told in one sentence, without psql's places.
run() {
	local errors
	errors=$(mktemp)
	if ! psql -qXAt -v ON_ERROR_STOP=1 "$@" 2>"$errors"; then
		echo "demo: that did not work, and nothing of it was kept:" >&2
		sed -E -e 's/^psql:[^ ]* //' -e '/^CONTEXT:  (PL|SQL)/d' -e '/^(PL\/pgSQL|SQL)/d' \
			-e '/^CONTEXT:  COPY own, /{s/^CONTEXT:  COPY own, (line [0-9]+).*/\1 of the file/;q}' "$errors" >&2 # the row follows
		! grep -q 'invalid byte sequence' "$errors" || echo "Save the file as CSV in UTF-8; spreadsheets call it \"CSV UTF-8\"." >&2
		rm -f "$errors"
		bash "$CDP_TOP/tools/cluster.sh" stop demo
		exit 1
	fi
	rm -f "$errors"
}

if ! psql -qX -v ON_ERROR_STOP=1 -v timezone="$timezone" -v currency="$currency" <<<"CREATE EXTENSION pg_cdp;
		CALL cdp.setup(timezone => :'timezone', currency => :'currency', phone_region => 'CN');
		ALTER DATABASE demo SET timezone = :'timezone';" 2>&1; then # what is typed into psql later reads and shows the same times
	bash "$CDP_TOP/tools/cluster.sh" stop demo
	exit 1
fi
step=4
if [ -n "$data" ]; then
	echo "3. your file, checked and loaded: $data"
	cd - >/dev/null
	sed $'1s/^\xEF\xBB\xBF//' -- "$data" | run -1 -v timezone="$timezone" -c 'CREATE SCHEMA demo' \
		-c "CREATE TABLE demo.own (nth bigint GENERATED ALWAYS AS IDENTITY, ${sql_columns//,/ text, } text)" \
		-c "\\copy demo.own ($sql_columns) from pstdin csv header" -f "$CDP_TOP/test/demo/own.sql"
	cd "$CDP_TOP/test/demo"
	echo
else
	echo "3. a made-up shop with $customers customers, generated and loaded"
	run -v customers="$customers" -v days=180 -v until="$until" -v seed="$seed" -v timezone="$timezone" -f shop.sql
	echo
	echo "4. who is who: the shop knows people by account, WeCom by its own id, the newsletter by address; three lists tell more"
	run -v timezone="$timezone" -f identity.sql
	echo "5. one of them asks to be forgotten"
	run -f privacy.sql
	echo
	step=6
fi
echo "$step. what each channel earned, by model: SELECT * FROM cdp.attribution();"
psql -qX -v ON_ERROR_STOP=1 -P footer=off -f report.sql
if [ -z "$data" ]; then
	echo "7. who saw the shop, was in contact with it, and bought, within 30 days: SELECT * FROM cdp.funnel(...);"
	psql -qX -v ON_ERROR_STOP=1 -P footer=off -f funnel.sql
	echo "8. who bought twice or more and stays away: cdp.create_segment('gone quiet', 'count(purchase) >= 2 and not did(purchase last 60 days)', 'analytics');"
	psql -qX -v ON_ERROR_STOP=1 -P footer=off -v until="$until" -f segment.sql
	echo "9. customers bring friends: cdp.referral_click(...), cdp.referral_convert(...), then SELECT * FROM cdp.referral_report('friends', margin => 0.4);"
	psql -qX -v ON_ERROR_STOP=1 -P footer=off -v until="$until" -f referral.sql
fi
echo "Try next:"
echo
if [ -n "$data" ]; then cat next_own.sql; else cat next.sql; fi
echo
echo "Connect with:   $CDP_BIN/psql -h $PGHOST -U postgres demo"
echo "Take away with: bash tools/cluster.sh stop demo"
