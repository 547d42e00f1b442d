#!/usr/bin/env bash
# tools/env.sh finds folders that work wherever the checkout stands and whatever TMPDIR says.
set -euo pipefail
cd "$(dirname "$0")/.."
bad=0
top=$(mktemp -d -t pg_cdp-check.XXXXXX)
finish() { rm -rf "$top" "/var/tmp/pg_cdp-$(printf '%s' "$top/two words" | cksum | cut -d' ' -f1)"; }
trap finish EXIT
mkdir -p "$top/two words/tools" "$top/plain/tools" "$top/private"
cp tools/env.sh "$top/two words/tools/"
cp tools/env.sh "$top/plain/tools/"
chmod 755 "$top"
chmod 700 "$top/private"

check() { # title command: the command's status decides
	if ! bash -euo pipefail -c "$2" check "$top"; then
		echo "tools/env.sh: $1"
		bad=1
	fi
}
# make can include no file, and run no pg_config, whose path has blanks.
check 'a checkout with a blank in its path builds in a folder without' '. "$1/two words/tools/env.sh"; [[ -d $CDP_WORK && $CDP_WORK != *[[:space:]]* ]]'
# 107 bytes are what a socket may have; the longest name of a cluster here has 11.
long=$(printf 'x%.0s' {1..100})
check 'sockets do not stand below a TMPDIR so deep that no socket fits' "export TMPDIR=/tmp/$long; "'. "$1/plain/tools/env.sh"; [ ${#CDP_SOCKETS} -lt 80 ]'
if [ "$(id -u)" -eq 0 ]; then
	check "sockets do not stand below root's own TMPDIR" 'export TMPDIR="$1/private"; . "$1/plain/tools/env.sh"; [[ $CDP_SOCKETS != "$1"/* ]]'
fi
check 'a PostgreSQL older than 15 is not chosen' 'ls() { echo /usr/lib/postgresql/14/bin/postgres; }; . "$1/plain/tools/env.sh"; [ "$CDP_PG_MAJOR" -ge 15 ]'
exit $bad
