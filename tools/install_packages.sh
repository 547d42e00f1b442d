#!/usr/bin/env bash
# Installs the Debian or Ubuntu packages that a command needs, and nothing when they are there.
#   install_packages.sh build|test|bench|deep|root ...
set -euo pipefail
. "$(dirname "$0")/env.sh"

packages() {
	case "$1" in
	build) echo gcc make libc6-dev libssl-dev libroaring-dev libqrencode-dev zlib1g-dev libcurl4-openssl-dev "postgresql-$CDP_PG_MAJOR" "postgresql-server-dev-$CDP_PG_MAJOR" ;;
	test)
		# Not every release has one for its PostgreSQL; test/t/recipe.pl is skipped without it.
		apt-cache show "postgresql-$CDP_PG_MAJOR-pgaudit" >/dev/null 2>&1 && echo "postgresql-$CDP_PG_MAJOR-pgaudit"
		echo "postgresql-$CDP_PG_MAJOR-pgtap" "postgresql-$CDP_PG_MAJOR-cron" libtap-parser-sourcehandler-pgtap-perl libipc-run-perl libio-socket-ssl-perl perl zbar-tools librsvg2-bin
		;;
	bench)
		# A node of another make often brings its own npm, with which Debian's would conflict.
		command -v node >/dev/null && command -v npm >/dev/null || echo nodejs npm
		echo curl libio-socket-ssl-perl perl liblapack-dev gfortran "postgresql-$CDP_PG_MAJOR-similarity" "postgresql-$CDP_PG_MAJOR-pgrouting"
		;;
	deep) echo valgrind clang clang-tools cppcheck dpkg-dev bison flex libreadline-dev zlib1g-dev ;;
	root) echo debootstrap debian-archive-keyring ;;
	*) echo "install_packages.sh: no package group '$1'" >&2; exit 2 ;;
	esac
}

missing=()
for group in "$@"; do
	for package in $(packages "$group"); do
		dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
	done
done
[ ${#missing[@]} -eq 0 ] && exit 0

echo "installing: ${missing[*]}"
sudo=()
if [ "$(id -u)" -ne 0 ]; then
	if ! sudo -n true 2>/dev/null; then
		echo "these packages are missing and you are neither root nor able to sudo without a password." >&2
		echo "run this once:  sudo apt-get install ${missing[*]}" >&2
		exit 1
	fi
	sudo=(sudo)
fi
# A new PostgreSQL package would start a cluster of its own; the project needs only the programs.
if [ ! -e /etc/postgresql-common/createcluster.conf ]; then
	"${sudo[@]}" mkdir -p /etc/postgresql-common
	echo 'create_main_cluster = false' | "${sudo[@]}" tee /etc/postgresql-common/createcluster.conf >/dev/null
fi
"${sudo[@]}" apt-get update -qq
"${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
