# Sourced by the project's scripts: which PostgreSQL, which folders, which user runs the server.
#
# CDP_PG_MAJOR   major version (PG_MAJOR=17 in the environment chooses another)
# CDP_WORK       folder for the private server and the clusters: build/, or a folder under /var/tmp when the user
#                who runs the server cannot enter build/, or its path has blanks, which make cannot include from
# CDP_PREFIX     the private copy of the server; CDP_BIN its programs
# CDP_RUN        command prefix that runs a program as the server's user (empty for a normal user)

CDP_TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

_cdp_major() {
	local found
	found=$(ls -d /usr/lib/postgresql/*/bin/postgres 2>/dev/null | sed -E 's#.*/postgresql/([0-9]+)/.*#\1#' | awk '$1 >= 15' | sort -n)
	for major in $found; do # one that can compile comes first
		[ -x "/usr/lib/postgresql/$major/bin/pg_config" ] && { echo "$major"; return; }
	done
	[ -n "$found" ] && { echo "$found" | tail -n 1; return; }
	# Nothing installed: what this release of the distribution calls "postgresql".
	apt-cache depends postgresql 2>/dev/null | grep -q 'postgresql-[0-9]' || {
		[ "$(id -u)" -eq 0 ] && apt-get update -qq >/dev/null 2>&1
	}
	found=$(apt-cache depends postgresql 2>/dev/null | sed -nE 's/.*Depends: postgresql-([0-9]+)$/\1/p' | head -n 1)
	if [ "${found:-15}" -lt 15 ]; then
		echo "this release of the distribution brings PostgreSQL $found; pg_cdp needs 15 or later." >&2
		echo "add the archive of https://wiki.postgresql.org/wiki/Apt, install postgresql-15, and come again." >&2
		found=none
	fi
	echo "${found:-15}"
}
CDP_PG_MAJOR=${PG_MAJOR:-$(_cdp_major)}
[ "$CDP_PG_MAJOR" != none ] || exit 1

CDP_RUN=()
_cdp_elsewhere=/var/tmp/pg_cdp-$(printf '%s' "$CDP_TOP" | cksum | cut -d' ' -f1)
CDP_WORK=$CDP_TOP/build
[[ $CDP_WORK != *[[:space:]]* ]] || CDP_WORK=$_cdp_elsewhere
mkdir -p "$CDP_WORK"
if [ "$(id -u)" -eq 0 ]; then
	# PostgreSQL refuses to run as root; the package brings a user for it.
	CDP_USER=postgres
	CDP_RUN=(runuser -u "$CDP_USER" --)
	if getent passwd "$CDP_USER" >/dev/null && ! runuser -u "$CDP_USER" -- test -x "$CDP_WORK" 2>/dev/null; then
		CDP_WORK=$_cdp_elsewhere
		mkdir -p "$CDP_WORK"
		chmod 755 "$CDP_WORK"
	fi
else
	CDP_USER=$(id -un)
fi
CDP_PREFIX=$CDP_WORK/server
CDP_BIN=$CDP_PREFIX/lib/postgresql/$CDP_PG_MAJOR/bin
# Socket paths are limited to about 100 bytes, so they do not stand below a deep checkout, nor below a deep TMPDIR
# or one that the server's user cannot enter (libpam-tmpdir gives root one of its own).
if [ -n "${TMPDIR:-}" ] && { [ ${#TMPDIR} -gt 50 ] || ! "${CDP_RUN[@]}" test -w "$TMPDIR" 2>/dev/null; }; then
	unset TMPDIR
fi
CDP_SOCKETS=${TMPDIR:-/tmp}/pg_cdp-$(printf '%s' "$CDP_WORK" | cksum | cut -d' ' -f1)
