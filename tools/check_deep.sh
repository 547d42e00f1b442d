#!/usr/bin/env bash
# Slow checks, each in a copy of the checkout under build/deep (or its stand-in, see env.sh):
#   static    cppcheck and clang's analyzer over the C source
#   ubsan     every golden, concurrency and pgTAP test with a library built with -fsanitize=undefined
#   fuzz      random input on that library: types, options, models, texts, messages, envelopes (test/fuzz)
#   assert    the same suites on a server built from Debian's source with assertions
#   valgrind  the files of test/valgrind.list on that server under valgrind
#   crash     the TAP tests of crash and standby
#   quality   matching and fraud rules on labelled data, and anomalies of made-up series, must reach their figures (test/quality); without the data it is skipped
#   check_deep.sh [part ...]     all of them when none is named. FUZZ_ROUNDS (default 20000) sets how long fuzz runs.
# Ends with "N passed, N failed, N skipped"; a part that this machine cannot run is skipped with its reason.
set -uo pipefail
unset MAKEFLAGS MFLAGS MAKELEVEL
cd "$(dirname "$0")/.."
parts=("$@")
[ ${#parts[@]} -gt 0 ] || parts=(static ubsan fuzz assert valgrind crash quality)

bash tools/install_packages.sh build test deep || exit 1
. tools/env.sh
bash tools/server.sh || exit 1
deep=$CDP_WORK/deep
mkdir -p "$deep"
[ ! -d ../shared/data ] || export CDP_SHARED=${CDP_SHARED:-$(cd ../shared/data && pwd)}
passed=0 failed=0 skipped=0

say() { printf '\n=== %s (%s)\n' "$1" "$(date +%T)"; }

# A copy of the checkout whose build/ survives from run to run, so that its server is not made anew.
copy() {
	mkdir -p "$deep/$1/build"
	find "$deep/$1" -mindepth 1 -maxdepth 1 ! -name build -exec rm -rf {} +
	tar -cf - --exclude=./build --exclude=./.git --exclude='*.o' --exclude='*.so' --exclude=./node_modules . | tar -xmf - -C "$deep/$1"
}

do_static() {
	local status=0 include
	include=$("$CDP_BIN/pg_config" --includedir-server)
	echo "cppcheck"
	cppcheck --quiet --error-exitcode=1 --enable=warning,portability --inline-suppr --std=c11 --suppress=missingInclude \
		--suppress=unknownMacro --suppress=ctuuninitvar --include=tools/cppcheck.h -Isrc src || status=1
	echo "clang --analyze"
	# With assertions, so that the analyzer knows what we know.
	find src -name '*.c' -print0 | xargs -0 -n 1 -P 2 clang --analyze -Xclang -analyzer-output=text -Xclang -analyzer-werror \
		-DCDP_VERSION='"x"' -DUSE_ASSERT_CHECKING=1 -D_GNU_SOURCE -Isrc -isystem "$include" -o /dev/null >"$deep/analyze.log" 2>&1 || {
		grep -E '(error|warning):' "$deep/analyze.log"
		echo "the way to each is told in $deep/analyze.log"
		status=1
	}
	return $status
}

# The address of a -fsanitize failure goes to the server's log and ends the backend, so the suites fail.
do_ubsan() {
	copy ubsan
	COPT='-g -fsanitize=undefined -fno-sanitize-recover=undefined' bash "$deep/ubsan/tools/test.sh" regress isolation pgtap
}

do_fuzz() {
	copy ubsan
	COPT='-g -fsanitize=undefined -fno-sanitize-recover=undefined' bash "$deep/ubsan/tools/fuzz.sh" "${FUZZ_ROUNDS:-20000}"
}

# Builds PostgreSQL from Debian's source into the place of the copy's private server. Kept until the source changes.
build_assert_server() {
	local top=$deep/assert prefix=$deep/assert/build/server major=$CDP_PG_MAJOR apt=$deep/apt source
	[ -x "$prefix/lib/postgresql/$major/bin/postgres" ] && [ -f "$deep/assert/build/built" ] && return 0
	# A private apt: this machine's own archives, as source archives, without touching its configuration.
	mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial" "$apt/source"
	apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT) $(SIGNED_BY) $(LABEL)' 'Identifier: Packages' | sort -u |
		awk '/Debian/ {print "deb-src " ($4 ~ /^\// ? "[signed-by=" $4 "] " : "") $1, $2, $3}' >"$apt/sources.list"
	local private=(-o "Dir::Etc::SourceList=$apt/sources.list" -o Dir::Etc::SourceParts=/dev/null
		-o "Dir::State::Lists=$apt/lists" -o "Dir::Cache=$apt/cache" -o APT::Sandbox::User=root)
	echo "source of postgresql-$major"
	apt-get "${private[@]}" update -qq || return 3
	# The newest version may be gone from the archive; take the newest that is there.
	for version in $(apt-cache "${private[@]}" showsrc "postgresql-$major" | sed -n 's/^Version: //p' | sort -rV | uniq); do
		(cd "$apt/source" && apt-get "${private[@]}" source -qq "postgresql-$major=$version" >/dev/null 2>&1) && break
	done
	source=$(find "$apt/source" -maxdepth 1 -type d -name "postgresql-$major-*" | sort -V | tail -n 1)
	[ -n "$source" ] || return 3
	echo "building $(basename "$source") with assertions (log: $deep/assert.log)"
	rm -rf "$prefix"
	mkdir -p "$prefix"
	(
		cd "$source" && ./configure --quiet --enable-cassert --enable-debug --without-llvm --without-icu \
			--prefix="$prefix" --bindir="$prefix/lib/postgresql/$major/bin" --libdir="$prefix/lib/postgresql/$major/lib" \
			--datadir="$prefix/share/postgresql/$major" --includedir="$prefix/include/postgresql" \
			CFLAGS='-O1 -g -fno-omit-frame-pointer -DUSE_VALGRIND' &&
			nice -n 19 make -s -j2 && make -s install && nice -n 19 make -s -j2 -C contrib && make -s -C contrib install &&
			nice -n 19 make -s -j2 -C src/test/isolation && make -s -C src/test/isolation install
	) >"$deep/assert.log" 2>&1 || { tail -n 5 "$deep/assert.log"; return 1; }
	cp /usr/share/postgresql/"$major"/extension/pgtap* "$prefix/share/postgresql/$major/extension/"
	cp "$source/src/tools/valgrind.supp" "$top/build/"
	touch "$top/build/built"
}

do_assert() {
	copy assert
	build_assert_server || return $?
	CDP_KEEP_SERVER=1 COPT='-g' bash "$deep/assert/tools/test.sh" regress isolation pgtap
}

do_valgrind() {
	copy assert
	build_assert_server || return $?
	local top=$deep/assert logs=$deep/valgrind errors files
	rm -rf "$logs"
	mkdir -p "$logs"
	chmod 777 "$logs"
	# pg_ctl starts this in place of postgres; the children carry valgrind along. VALGRIND_OPTS=--track-origins=yes
	# tells where what is not initialised comes from, and takes twice as long.
	cat >"$top/build/postgres_valgrind" <<-SH
		#!/bin/sh
		exec valgrind --quiet --trace-children=yes --leak-check=no --read-var-info=no \
		  --suppressions=$top/build/valgrind.supp --error-markers=VALGRINDERROR-BEGIN,VALGRINDERROR-END \
		  --log-file=$logs/%p.log $top/build/server/lib/postgresql/$CDP_PG_MAJOR/bin/postgres "\$@"
	SH
	chmod 755 "$top/build/postgres_valgrind"
	files=$(grep -v '^#' test/valgrind.list | tr '\n' ' ')
	CDP_KEEP_SERVER=1 COPT='-g' CDP_POSTGRES="$top/build/postgres_valgrind" FILES="$files" bash "$top/tools/test.sh" pgtap || return 1
	ls "$logs"/*.log >/dev/null || return 1 # nothing ran under valgrind
	errors=$(cat "$logs"/*.log | grep -c VALGRINDERROR-BEGIN)
	echo "valgrind: $errors errors"
	[ "$errors" -eq 0 ] || { sed -n '/VALGRINDERROR-BEGIN/,/VALGRINDERROR-END/p' "$logs"/*.log | head -n 60; return 1; }
}

do_crash() { FILES='test/t/crash.pl test/t/standby.pl' bash tools/test.sh tap; }

do_quality() {
	local status=0 script one
	for script in referral identity anomaly; do
		one=0
		bash "test/quality/$script.sh" || one=$?
		case $one in
		0) ;;
		4) [ "$status" -ne 0 ] || status=4 ;;
		*) status=1 ;;
		esac
	done
	return "$status"
}

for part in "${parts[@]}"; do
	say "$part"
	status=0
	"do_$part" || status=$?
	case $status in
	0) passed=$((passed + 1)) && echo "ok   $part" ;;
	4) skipped=$((skipped + 1)) && echo "SKIP $part: data are absent, see its SKIP lines; what could be measured is in order" ;;
	3) skipped=$((skipped + 1)) && echo "SKIP $part: Debian's source of postgresql-$CDP_PG_MAJOR is not to be had here" ;;
	*) failed=$((failed + 1)) && echo "FAIL $part" ;;
	esac
done
printf '\n%s passed, %s failed, %s skipped\n' "$passed" "$failed" "$skipped"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
