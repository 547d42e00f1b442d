# Sourced by the benchmarks of the rooms: goals, lines, CPU seconds of a backend, medians.
#
# BENCH_TOP   the checkout     BENCH_DIR   a folder under build/ for data and results
# BENCH_RUNS  measured runs of each query, after one that warms up and gives the answer
# bench_bad   1 once a line was wrong or could not be measured

bench_bad=0

# A field of goals.csv: goal NAME operator|goal
goal() {
	awk -F, -v name="$1" -v field="$2" 'NR > 1 && $1 == name { print field == "goal" ? $3 : $2; found = 1 }
		END { exit !found }' "$BENCH_TOP/test/bench/goals.csv"
}

# Prints a line of a goal: line NAME VALUE
line() {
	echo "BENCH $1 $2 $(goal "$1" operator) $(goal "$1" goal)"
}

# Says that the answers differ, or that a figure could not be taken: wrong NAME WHY; broken NAME WHY
wrong() {
	echo "  $2"
	echo "BENCH $1 wrong"
	bench_bad=1
}
broken() {
	echo "  $2"
	echo "BENCH $1 not measured"
	bench_bad=1
}

# The median of the figures of that name: median NAME < lines of "name seconds"
median() {
	awk -v name="$1" '$1 == name { print $2 }' | sort -g |
		awk '{ v[NR] = $1 } END { if (!NR) exit 1; printf "%.3f", NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'
}

# The lowest and highest: spread NAME < lines of "name seconds"
spread() {
	awk -v name="$1" '$1 == name { print $2 }' | sort -g | awk 'NR == 1 { low = $1 } { high = $1 } END { printf "%.3f to %.3f", low, high }'
}

# A ratio with three digits: ratio A B
ratio() { awk -v a="$1" -v b="$2" 'BEGIN { printf "%.3f", a / b }'; }

# Makes bench_cpu() in a database: nanoseconds of CPU (user and system) that the calling backend has used.
bench_cpu() {
	psql -qX -v ON_ERROR_STOP=1 -d "$1" <<-'SQL'
		CREATE FUNCTION bench_cpu() RETURNS bigint LANGUAGE plpgsql AS $$
		DECLARE
		  stat text[];
		BEGIN
		  IF (pg_stat_file('/proc/self/schedstat', true)).size IS NOT NULL THEN
		    RETURN split_part(pg_read_file('/proc/self/schedstat', 0, 200), ' ', 1)::bigint;
		  END IF;
		  -- after the name in brackets: state is field 1, user and system time 12 and 13, in ticks of 10 ms
		  stat := string_to_array(regexp_replace(pg_read_file('/proc/self/stat', 0, 2000), '^.*\) ', ''), ' ');
		  RETURN (stat[12]::bigint + stat[13]::bigint) * 10000000;
		END $$;
	SQL
}

# Runs queries in turn in one session: measure DATABASE RUNS SETTINGS NAME=FILE ...
# SETTINGS is SQL run first. Each file runs once to warm up, which writes its answer to BENCH_DIR/NAME.tsv,
# and then RUNS times, alternating, so that a change of the machine's pace meets all of them.
# Prints "NAME seconds" for each run.
measure() {
	local database=$1 runs=$2 settings=$3 query run
	shift 3
	{
		echo "$settings"
		echo '\o /dev/null'
		echo '\pset footer off'
		for query in "$@"; do
			echo "\\o $BENCH_DIR/${query%%=*}.tsv"
			echo "\\i ${query#*=}"
		done
		for ((run = 0; run < runs; run++)); do
			for query in "$@"; do
				echo '\o /dev/null'
				echo 'SELECT bench_cpu() AS cdp_before \gset'
				echo "\\i ${query#*=}"
				echo 'SELECT (bench_cpu() - :cdp_before) / 1e9 AS cdp_used \gset'
				echo '\o'
				echo "\\echo ${query%%=*} :cdp_used"
			done
		done
	} | psql -qXA -F $'\t' -v ON_ERROR_STOP=1 -d "$database" -f -
}

# Runs a script that measures for itself: delegated NAME SCRIPT
# It prints raw figures, and then "RATIO NAME VALUE" or "WRONG NAME WHY".
delegated() {
	local out name=$1 script=$2 verdict
	if [ ! -f "$BENCH_TOP/$script" ]; then
		broken "$name" "$script is missing"
		return
	fi
	if ! out=$(cd "$BENCH_TOP" && CDP_BENCH_DIR="$BENCH_DIR" CDP_BENCH_RUNS="$BENCH_RUNS" bash "$script" 2>&1); then
		printf '%s\n' "$out" | sed 's/^/  /'
		broken "$name" "$script failed"
		return
	fi
	printf '%s\n' "$out" | grep -vE '^(RATIO|WRONG) ' || true
	verdict=$(printf '%s\n' "$out" | grep -E "^(RATIO|WRONG) $name " | tail -n 1)
	case "$verdict" in
	RATIO*) line "$name" "$(cut -d' ' -f3 <<<"$verdict")" ;;
	WRONG*) wrong "$name" "$(cut -d' ' -f3- <<<"$verdict")" ;;
	*) broken "$name" "$script printed no figure" ;;
	esac
}
