#!/usr/bin/env bash
# Makes the private copy of the installed server under build/server and installs this checkout into it.
# PostgreSQL finds its folders relative to its own program, so a copy is a complete server.
# CDP_KEEP_SERVER=1 takes the server that is there already (check_deep.sh builds one with assertions).
set -euo pipefail
. "$(dirname "$0")/env.sh"

system=/usr/lib/postgresql/$CDP_PG_MAJOR
stamp=$(dpkg-query -W -f '${Package} ${Version}\n' "postgresql*-$CDP_PG_MAJOR*" 2>/dev/null | sort | cksum)
if [ -z "${CDP_KEEP_SERVER:-}" ] && [ "$(cat "$CDP_PREFIX/stamp" 2>/dev/null)" != "$stamp" ]; then
	rm -rf "$CDP_PREFIX"
	mkdir -p "$CDP_PREFIX/lib/postgresql" "$CDP_PREFIX/share/postgresql" "$CDP_PREFIX/include/postgresql"
	cp -a "$system" "$CDP_PREFIX/lib/postgresql/"
	cp -a "/usr/share/postgresql/$CDP_PG_MAJOR" "$CDP_PREFIX/share/postgresql/"
	cp -a "/usr/include/postgresql/$CDP_PG_MAJOR" "$CDP_PREFIX/include/postgresql/"
	# Headers of libpq, which PGXS expects beside the server's.
	cp -a /usr/include/postgresql/*.h /usr/include/postgresql/libpq /usr/include/postgresql/internal \
		"$CDP_PREFIX/include/postgresql/" 2>/dev/null || true
	rm -f "$CDP_PREFIX/share/postgresql/$CDP_PG_MAJOR/extension/"pg_cdp*
	chmod -R a+rX "$CDP_PREFIX"
	echo "$stamp" >"$CDP_PREFIX/stamp"
fi
make -C "$CDP_TOP" -s -j2 PG_CONFIG="$CDP_BIN/pg_config" all
make -C "$CDP_TOP" -s PG_CONFIG="$CDP_BIN/pg_config" install >/dev/null
