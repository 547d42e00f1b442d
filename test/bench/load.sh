#!/usr/bin/env bash
# load_vs_copy: CPU seconds of the backend for COPY + cdp.load_touchpoints(), against COPY of the same file +
# INSERT into a plain table, typed by casts, with the same partitions and the same indexes: the primary key of
# touchpoint, and the one of touchpoint_key, which on a partitioned plain table cannot even be unique.
# The plain side resolves no customers or origins, checks no row, keeps no ledger and would load a record twice.
#
#   CDP_BENCH_LOAD_ROWS=1000000   rows of the file; a tenth as many customers
#   CDP_BENCH_RUNS=5              runs of each side, in turn; the figure is the ratio of the medians
# Called by tools/bench.sh it uses that cluster; alone it makes one. Prints RATIO, or WRONG when the tables differ.
set -euo pipefail
cd "$(dirname "$0")/../.."
. tools/env.sh
rows=${CDP_BENCH_LOAD_ROWS:-1000000} runs=${CDP_BENCH_RUNS:-5} dir=${CDP_BENCH_DIR:-$CDP_WORK/bench}
BENCH_TOP=$CDP_TOP
. test/bench/lib.sh
mkdir -p "$dir"
file=$dir/load.csv
if [ -z "${CDP_BENCH_DIR:-}" ]; then
	bash tools/server.sh
	eval "$(bash tools/cluster.sh start bench_load shared_buffers=1GB jit=off max_parallel_workers_per_gather=0 autovacuum=off timezone=UTC max_wal_size=16GB)"
	trap 'bash tools/cluster.sh stop bench_load; rm -f "$file"' EXIT
else
	trap 'dropdb --if-exists bench_load; rm -f "$file"' EXIT
fi

# One database for each side and run, so that no run finds what another left.
fresh() {
	dropdb --if-exists bench_load 2>/dev/null
	createdb -T template0 -E UTF8 -l C.UTF-8 bench_load
	psql -qX -v ON_ERROR_STOP=1 -d bench_load -c 'CREATE EXTENSION pg_cdp' -c "CALL cdp.setup(timezone => 'Asia/Shanghai', currency => 'CNY')" \
		-c "SELECT cdp.add_source('bench')" -c "SELECT cdp.create_staging('staging')" >/dev/null
	bench_cpu bench_load
	psql -qX -v ON_ERROR_STOP=1 -d bench_load -c CHECKPOINT
}

fresh
psql -qX -v ON_ERROR_STOP=1 -d bench_load -c "\\copy ($(tr '\n' ' ' <<SQL
	SELECT to_hex(hashint8extended(i, 1)) AS source_key,
	  to_char(timestamp '2026-01-01' + make_interval(secs => i * 7776000.0 / $rows), 'YYYY-MM-DD HH24:MI:SS.MS') AS occurred_at,
	  'user_id' AS identifier_type,
	  (1 + floor(abs(hashint8extended(i, 2)) / 9223372036854775808.0 * $rows / 10))::bigint AS identifier,
	  CASE WHEN i % 50 = 0 THEN 'purchase' ELSE (ARRAY['visit','ad_click','message_open','video_view'])[1 + i % 4] END AS kind,
	  (ARRAY['wechat','douyin','xiaohongshu','weibo','google','newsletter'])[1 + abs(hashint8extended(i, 3)) % 6] AS source,
	  (ARRAY['social','cpc','email'])[1 + abs(hashint8extended(i, 4)) % 3] AS medium,
	  'campaign ' || abs(hashint8extended(i, 5)) % 40 AS campaign,
	  NULL AS referrer_host, NULL AS add_way, NULL AS qr_scene,
	  CASE WHEN i % 50 = 0 THEN (abs(hashint8extended(i, 6)) % 100000 / 100.0)::numeric(20,2) END AS value,
	  CASE WHEN i % 50 = 0 THEN 'CNY' END AS currency,
	  CASE WHEN i % 10 = 0 THEN '{"page": "/item/' || i % 1000 || '"}' END AS properties, NULL AS refers_to, NULL AS flags
	FROM generate_series(1, $rows) i
SQL
)) TO '$file' CSV"
echo "  load_vs_copy: $rows rows, $((rows / 10)) customers, $(stat -c %s "$file") bytes of CSV"

plain_tables="
CREATE TABLE plain (id bigint GENERATED ALWAYS AS IDENTITY, source_id integer, source_key text COLLATE \"C\", customer_id bigint, occurred_at timestamptz,
  kind text, source text, medium text, campaign text, referrer_host text, add_way text, qr_scene text, value numeric(20,6), currency text, properties jsonb,
  refers_to text, flags integer, PRIMARY KEY (customer_id, occurred_at, id)) PARTITION BY RANGE (occurred_at);
CREATE INDEX ON plain (source_id, source_key);
CREATE TABLE plain_1 PARTITION OF plain FOR VALUES FROM ('2025-12-01') TO ('2026-01-01');
CREATE TABLE plain_2 PARTITION OF plain FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
CREATE TABLE plain_3 PARTITION OF plain FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
CREATE TABLE plain_4 PARTITION OF plain FOR VALUES FROM ('2026-03-01') TO ('2026-04-01');
CREATE TABLE plain_5 PARTITION OF plain FOR VALUES FROM ('2026-04-01') TO ('2026-05-01');"
copy_sql="\\copy staging from '$file' csv"
plain_sql="INSERT INTO plain (source_id, source_key, customer_id, occurred_at, kind, source, medium, campaign, referrer_host, add_way, qr_scene, value, currency, properties, refers_to, flags)
SELECT 1, source_key, identifier::bigint, occurred_at::timestamp AT TIME ZONE 'Asia/Shanghai', kind, source, medium, campaign, referrer_host, add_way, qr_scene,
  value::numeric(20,6), currency, properties::jsonb, refers_to, flags::integer FROM staging;"
load_sql="SELECT format('# %s read, %s inserted, %s corrected, %s unchanged, %s quarantined', rows_read, inserted, corrected, unchanged, quarantined)
FROM cdp.load_touchpoints('bench', 'staging', time_zone => 'Asia/Shanghai');"
sum="count(*) || ' ' || sum(hashtextextended(concat_ws('|', source_key, person, extract(epoch FROM occurred_at), kind, source, medium, campaign, value, currency, properties), 0)::numeric)"
plain_sum="SELECT $sum FROM (SELECT *, customer_id::text AS person FROM plain) p;"
load_sum="SELECT $sum FROM (SELECT k.source_key, i.value AS person, t.occurred_at, n.name AS kind, o.source, o.medium, o.campaign, t.value, t.currency, t.properties
  FROM cdp_data.touchpoint t JOIN cdp_data.touchpoint_key k USING (touchpoint_id, customer_id, occurred_at) JOIN cdp_data.identifier i USING (identifier_id)
  JOIN cdp_data.origin o USING (origin_id) JOIN cdp_data.touch_kind_all n USING (kind_id)) l;"

# Prints "SIDE_copy seconds" and "SIDE_insert seconds", and writes the checksum: side NAME TABLES INSERT SUM
side() {
	fresh
	psql -qXAt -v ON_ERROR_STOP=1 -d bench_load -f - <<-SQL
		$2
		SET maintenance_work_mem = '256MB'; SET work_mem = '256MB';
		SELECT bench_cpu() AS a \\gset
		$copy_sql
		SELECT bench_cpu() AS b \\gset
		$3
		SELECT bench_cpu() AS c \\gset
		SELECT '$1_copy', (:b - :a) / 1e9;
		SELECT '$1_insert', (:c - :b) / 1e9;
		SELECT '$1', (:c - :a) / 1e9;
		\\o $dir/$1.sum
		$4
	SQL
}
: >"$dir/load.out"
for ((run = 0; run < runs; run++)); do
	side plain "$plain_tables" "$plain_sql" "$plain_sum"
	side cdp "" "$load_sql" "$load_sum"
	if ! cmp -s "$dir/plain.sum" "$dir/cdp.sum"; then
		echo "WRONG load_vs_copy tables differ: plain $(cat "$dir/plain.sum"), ours $(cat "$dir/cdp.sum")"
		exit 0
	fi
done | tr '|' ' ' | tee -a "$dir/load.out" | grep '^WRONG' && exit 0
for name in plain_copy plain_insert plain cdp_copy cdp_insert cdp; do
	echo "  $name: $(median $name <"$dir/load.out") s CPU ($(spread $name <"$dir/load.out"))"
done
echo "  both hold (rows, checksum): $(cat "$dir/cdp.sum")"
value=$(ratio "$(median cdp <"$dir/load.out")" "$(median plain <"$dir/load.out")")
if [ -n "${CDP_BENCH_DIR:-}" ]; then echo "RATIO load_vs_copy $value"; else line load_vs_copy "$value"; fi
