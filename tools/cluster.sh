#!/usr/bin/env bash
# Throw-away clusters of the project, each with its own data folder and socket, no TCP port.
#   cluster.sh start NAME [setting=value ...]   make it anew and start it; prints the PG* variables to eval.
#                                               It gets a key file of its own; cdp.key_file= does without
#   cluster.sh env NAME                          print them again
#   cluster.sh stop NAME                         stop it and remove it
# CDP_POSTGRES names a program to start in place of postgres (check_deep.sh: valgrind).
set -euo pipefail
. "$(dirname "$0")/env.sh"

action=$1 name=$2
# Callers eval what this prints. Nothing printed would be success for eval, and psql would turn to the machine's own server.
if [ "$action" != stop ]; then trap '[ $? -eq 0 ] || echo false' EXIT; fi
shift 2
data=$CDP_WORK/cluster/$name
sockets=$CDP_SOCKETS/$name

print_env() {
	echo "export PGHOST='$sockets' PGPORT=5432 PGUSER=postgres PATH='$CDP_BIN':\"\$PATH\""
	echo "unset PGSERVICE PGDATABASE PGPASSWORD PGOPTIONS"
}

stop() {
	if [ -f "$data/postmaster.pid" ]; then
		"${CDP_RUN[@]}" "$CDP_BIN/pg_ctl" -D "$data" -m immediate -w stop >/dev/null 2>&1 || true
	fi
	rm -rf "$data" "$sockets" "$data.key"
}

case "$action" in
start)
	stop
	mkdir -p "$CDP_WORK/cluster" "$sockets" "$data"
	if [ "$(id -u)" -eq 0 ]; then chown "$CDP_USER" "$data" "$sockets" "$CDP_WORK/cluster"; fi
	chmod 700 "$data" "$sockets" # connections are trusted, so no other user of the machine may make one
	(cd / && "${CDP_RUN[@]}" "$CDP_BIN/initdb" -D "$data" -U postgres -A trust -E UTF8 --locale=C.UTF-8 --no-sync >/dev/null)
	(umask 077 && echo "1 $(od -An -N32 -tx1 /dev/urandom | tr -d ' \n')" >"$data.key") # keys for digests and encryption
	if [ "$(id -u)" -eq 0 ]; then chown "$CDP_USER" "$data.key"; fi
	{
		echo "cdp.key_file = '$data.key'"
		echo "listen_addresses = ''"
		echo "unix_socket_directories = '$sockets'"
		# Throw-away data: safety against a power cut is not worth the time. Crash tests set these back.
		echo "fsync = off"
		echo "synchronous_commit = off"
		echo "full_page_writes = off"
		echo "max_wal_size = 4GB"
		echo "shared_buffers = 256MB"
		for setting in "$@"; do echo "${setting%%=*} = '${setting#*=}'"; done
	} >>"$data/postgresql.conf"
	if ! (cd / && "${CDP_RUN[@]}" "$CDP_BIN/pg_ctl" ${CDP_POSTGRES:+-p "$CDP_POSTGRES"} -D "$data" -l "$data/log" -t 180 -w start >/dev/null); then
		tail -n 20 "$data/log" >&2
		exit 1
	fi
	print_env
	;;
env) print_env ;;
stop) stop ;;
*)
	echo "usage: cluster.sh start|env|stop NAME [setting=value ...]" >&2
	exit 2
	;;
esac
