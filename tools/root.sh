# Sourced by the proofs: empty Debian roots made by debootstrap, and commands that run inside them.
# The mirror is the one that this machine's own apt uses. Mounts live in a namespace of their own and end with it.

[ "$(id -u)" -eq 0 ] || { echo "making an empty Debian root needs root" >&2; exit 1; }
bash tools/install_packages.sh root
roots=${CDP_ROOTS:-/var/tmp/pg_cdp-roots}
mkdir -p "$roots"

# Address of the mirror of Debian's main archive (label Debian, not Debian-Security).
debian_mirror() {
	apt-get indextargets --format '$(LABEL)|$(REPO_URI)' 'Identifier: Packages' | sed -n 's/^Debian|//p' | sort -u | head -n 1
}

# make_root NAME SUITE SCRIPT PACKAGES: a minimal root of that suite with these packages and nothing else.
make_root() {
	local root=$roots/$1 mirror
	mirror=$(debian_mirror)
	[ -n "$mirror" ] || { echo "this machine's apt knows no Debian archive; run apt-get update" >&2; exit 1; }
	rm -rf --one-file-system "$root"
	echo "making an empty $2 root in $root"
	debootstrap --variant=minbase --include="$4" "$2" "$root" "$mirror" "/usr/share/debootstrap/scripts/$3" >"$root.log" 2>&1 || {
		tail -n 20 "$root.log" >&2
		return 1
	}
	# How this machine reaches its mirror (proxy, expired snapshots) holds inside as well.
	apt-config dump | grep -E '^Acquire::(http|https|ftp|Check|Retries)' >"$root/etc/apt/apt.conf.d/99host" || true
	echo 'APT::Install-Recommends "false";' >>"$root/etc/apt/apt.conf.d/99host"
}

# in_root NAME command ...: runs it inside, with /proc, /dev and /tmp, and with the checkout readable at /mnt/source.
in_root() {
	local root=$roots/$1
	shift
	mkdir -p "$root/mnt/source"
	unshare --mount --pid --fork --propagation private bash -c '
		set -e
		root=$1 top=$2
		shift 2
		mount -t proc proc "$root/proc"
		mount --rbind /dev "$root/dev"
		mount -t tmpfs -o mode=1777 shm "$root/dev/shm"
		mount -t tmpfs -o mode=1777 tmp "$root/tmp"
		mount --bind -o ro "$top" "$root/mnt/source"
		exec chroot "$root" env -i HOME=/root LANG=C.UTF-8 PATH=/usr/sbin:/usr/bin:/sbin:/bin "$@"' \
		in_root "$root" "$CDP_TOP" "$@"
}
