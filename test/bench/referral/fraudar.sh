# Dense blocks beside a bare loop in C over the same arrays.
bench_referral_parts+=(fraudar)

fraudar() {
	local name=fraudar_vs_bare edges=${CDP_BENCH_EDGES:-2000000} f=$BENCH_DIR/figures_fraudar
	echo "== the densest block of $edges edges with a block of 300 x 100 inside, all members out"
	: >"$f"
	createdb bench_referral
	bench_cpu bench_referral
	if ! gcc -O2 -o "$BENCH_DIR/fraudar_bare" "$here/fraudar_bare.c" -lm ||
		! psql -qX -v ON_ERROR_STOP=1 -v edges="$edges" -d bench_referral -f "$here/fraudar_fill.sql" >/dev/null; then
		broken $name "the data could not be made"
		dropdb bench_referral
		return
	fi
	psql -qXAt -F ' ' -d bench_referral -c 'SELECT a, b FROM edge ORDER BY random()' >"$BENCH_DIR/fraudar_edges"
	measure bench_referral "$BENCH_RUNS" "SET jit = off;" fraudar="$here/fraudar.sql" fraudar_table="$here/fraudar_table.sql" >>"$f" || true
	"$BENCH_DIR/fraudar_bare" "$BENCH_DIR/fraudar_edges" "$BENCH_RUNS" "$BENCH_DIR/bare.tsv" >>"$f" || true
	if ! grep -q '^fraudar ' "$f" || ! grep -q '^bare ' "$f"; then
		broken $name "a side gave no figure"
	elif ! cmp -s <(tail -n +2 "$BENCH_DIR/fraudar.tsv") "$BENCH_DIR/bare.tsv" ||
		! cmp -s <(tail -n +2 "$BENCH_DIR/fraudar_table.tsv") "$BENCH_DIR/bare.tsv"; then
		wrong $name "the members of the block differ"
	else
		echo "  ours from a graph: $(median fraudar <"$f") s CPU ($(spread fraudar <"$f")), from the table: $(median fraudar_table <"$f") s ($(spread fraudar_table <"$f"))," \
			"bare C: $(median bare <"$f") s ($(spread bare <"$f")); $(wc -l <"$BENCH_DIR/bare.tsv") members in both"
		line $name "$(ratio "$(median fraudar <"$f")" "$(median bare <"$f")")"
	fi
	dropdb bench_referral
	rm -f "$BENCH_DIR/fraudar_edges"
}
