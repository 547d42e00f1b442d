# What the erasure of one person costs among many touchpoints and among few: same partitions, same touches of the person.
bench_governance_parts+=(erase)

erase() {
	local name=erase_scaling many=${CDP_BENCH_ERASE_TOUCHES:-10000000} few=100000 people=40 size
	echo "== erasing $people people of 20 touchpoints each, among $few and among $many touchpoints of others"
	for size in $few "$many"; do
		createdb "bench_erase_$size"
		bench_cpu "bench_erase_$size"
		if ! psql -qX -v ON_ERROR_STOP=1 -v touches="$size" -v people="$people" -d "bench_erase_$size" -f "$here/erase.sql" >/dev/null ||
			! psql -qXAt -F ' ' -v ON_ERROR_STOP=1 -v people="$people" -d "bench_erase_$size" -f "$here/erase_run.sql" >"$BENCH_DIR/figures_erase_$size"; then
			broken $name "the data could not be made, or an erasure failed"
			dropdb "bench_erase_$size"
			return
		fi
		dropdb "bench_erase_$size"
	done
	local a=$BENCH_DIR/figures_erase_$few b=$BENCH_DIR/figures_erase_$many
	if [ "$(grep ^answer "$a")" != "$(grep ^answer "$b")" ] || ! grep -q '^answer [0-9a-f]* 0 0 0$' "$a"; then
		wrong $name "the receipts differ, or something of the people is left"
	else
		echo "  among $many: $(median erase <"$b") s CPU ($(spread erase <"$b")), among $few: $(median erase <"$a") s ($(spread erase <"$a"))"
		line $name "$(ratio "$(median erase <"$b")" "$(median erase <"$a")")"
	fi
}
