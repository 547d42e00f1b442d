# Sourced by the project's scripts: which PostgreSQL, which folders, which user runs the server.
#
# CDP_PG_MAJOR   major version (PG_MAJOR=17 in the environment chooses another)
# CDP_WORK       folder for the private server and the clusters: build/, or a folder under /var/tmp
#                when the user who runs the server cannot enter build/
# CDP_PREFIX     the private copy of the server; CDP_BIN its programs
# CDP_RUN        command prefix that runs a program as the server's user (empty for a normal user)

CDP_TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

_cdp_major() {
	local found
	found=$(ls -d /usr/lib/postgresql/*/bin/postgres 2>/dev/null | sed -E 's#.*/postgresql/([0-9]+)/.*#\1#' | sort -n)
	for major in $found; do # one that can compile comes first
		[ -x "/usr/lib/postgresql/$major/bin/pg_config" ] && { echo "$major"; return; }
	done
	[ -n "$found" ] && { echo "$found" | tail -n 1; return; }
	# Nothing installed: what this release of the distribution calls "postgresql".
	apt-cache depends postgresql 2>/dev/null | grep -q 'postgresql-[0-9]' || {
		[ "$(id -u)" -eq 0 ] && apt-get update -qq >/dev/null 2>&1
	}
	found=$(apt-cache depends postgresql 2>/dev/null | sed -nE 's/.*Depends: postgresql-([0-9]+)$/\1/p' | head -n 1)
	echo "${found:-15}"
}
CDP_PG_MAJOR=${PG_MAJOR:-$(_cdp_major)}

CDP_RUN=()
CDP_WORK=$CDP_TOP/build
mkdir -p "$CDP_WORK"
if [ "$(id -u)" -eq 0 ]; then
	# PostgreSQL refuses to run as root; the package brings a user for it.
	CDP_USER=postgres
	CDP_RUN=(runuser -u "$CDP_USER" --)
	if getent passwd "$CDP_USER" >/dev/null && ! runuser -u "$CDP_USER" -- test -x "$CDP_WORK" 2>/dev/null; then
		CDP_WORK=/var/tmp/pg_cdp-$(printf '%s' "$CDP_TOP" | cksum | cut -d' ' -f1)
		mkdir -p "$CDP_WORK"
		chmod 755 "$CDP_WORK"
	fi
else
	CDP_USER=$(id -un)
fi
CDP_PREFIX=$CDP_WORK/server
CDP_BIN=$CDP_PREFIX/lib/postgresql/$CDP_PG_MAJOR/bin
# Socket paths are limited to about 100 bytes, so they do not stand below a deep checkout.
CDP_SOCKETS=${TMPDIR:-/tmp}/pg_cdp-$(printf '%s' "$CDP_WORK" | cksum | cut -d' ' -f1)
