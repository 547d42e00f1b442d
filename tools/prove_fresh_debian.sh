#!/usr/bin/env bash
# Proof: an empty Debian 12 root with nothing but make, git and a network to its mirror runs `make demo` and `make test`
# from a fresh clone, as root and then as a normal user. Takes about half an hour and 2 GB under CDP_ROOTS (/var/tmp).
#   prove_fresh_debian.sh [suite]     bookworm when none is named
set -euo pipefail
cd "$(dirname "$0")/.."
CDP_TOP=$PWD
. tools/root.sh
suite=${1:-bookworm}

make_root "fresh-$suite" "$suite" sid make,git,ca-certificates
# The updates and security fixes that this machine uses, where they are of the same release.
if grep -qs "$suite" /etc/apt/sources.list.d/debian.sources; then
	cp /etc/apt/sources.list.d/debian.sources "$roots/fresh-$suite/etc/apt/sources.list.d/"
fi

result=0
run() { # title command
	echo "== $1 ($(date +%T))"
	if ! in_root "fresh-$suite" bash -c "$2"; then
		echo "FAILED: $1"
		result=1
	fi
}
run "clone" 'git config --global --add safe.directory "*"; git clone -q /mnt/source ~/pg_cdp && cd ~/pg_cdp && git log --oneline -1'
run "make demo as root" 'cd ~/pg_cdp && make demo'
run "make test as root" 'cd ~/pg_cdp && make test'
run "clone as a normal user" 'useradd -m tester && runuser -u tester -- sh -c "cd && git config --global --add safe.directory \* && git clone -q /mnt/source pg_cdp"'
run "make demo as a normal user" 'cd /home/tester/pg_cdp && HOME=/home/tester runuser -u tester -- make demo'
run "make test as a normal user" 'cd /home/tester/pg_cdp && HOME=/home/tester runuser -u tester -- make test'
[ $result -eq 0 ] && echo "PROVED: fresh $suite, root and normal user" && rm -rf --one-file-system "$roots/fresh-$suite"
exit $result
