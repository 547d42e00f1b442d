#!/usr/bin/env bash
# Proof: loads and reports at size. Loads N touchpoints (100 million) in batches through cdp.load_touchpoints(), into
# monthly partitions, prints how long each batch took and how large the tables became, then asks for reports and
# compares what they say with plain counts and sums.
#   prove_size.sh [touchpoints in millions, 100] [touchpoints of a customer, 10]
# Takes about 45 GB under the work folder and an hour. Prints PROVED, or FAILED with what differs.
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/env.sh

millions=${1:-100} batch=5000000
customers=$((millions * 1000000 / ${2:-10}))
bash tools/server.sh
eval "$(bash tools/cluster.sh start size shared_buffers=2GB maintenance_work_mem=1GB max_wal_size=8GB autovacuum=on jit=off)"
trap 'bash tools/cluster.sh stop size' EXIT
sql() { psql -qXAt -v ON_ERROR_STOP=1 -d size "$@"; }

createdb size
sql -c 'CREATE EXTENSION pg_cdp' -c "CALL cdp.setup(timezone => 'Asia/Shanghai', currency => 'CNY')" -c "SELECT cdp.add_source('shop')" >/dev/null
echo "== $millions million touchpoints of $customers customers over a year, batches of $batch rows, $(date +%T)"
for ((from = 0; from < millions * 1000000; from += batch)); do
	sql <<-SQL
	SET client_min_messages = warning;
	DROP TABLE IF EXISTS staging;
	CREATE UNLOGGED TABLE staging AS
	SELECT 'order-' || i AS source_key, timestamptz '2026-01-01 00:00+08' - interval '365 days' + make_interval(secs => i * 31536000.0 / ($millions * 1000000.0)) AS occurred_at,
	  'user_id' AS identifier_type, 'u' || 1 + abs(hashint8extended(i, 2) % $customers) AS identifier,
	  CASE WHEN i % 50 = 0 THEN 'purchase' ELSE (ARRAY['visit','ad_click','message_open','video_view'])[1 + i % 4] END AS kind,
	  (ARRAY['wechat','douyin','xiaohongshu','weibo','google','newsletter'])[1 + abs(hashint8extended(i, 3)) % 6] AS source,
	  (ARRAY['social','cpc','email'])[1 + abs(hashint8extended(i, 4)) % 3] AS medium,
	  CASE WHEN i % 50 = 0 THEN (abs(hashint8extended(i, 6)) % 100000 / 100.0)::numeric(20,2) END AS value
	FROM generate_series($from + 1, $((from + batch))) i;
	SELECT clock_timestamp() AS started \gset
	SELECT format('   to %s million: %s inserted, %s quarantined, %s s', ($from + $batch) / 1000000, l.inserted, l.quarantined,
	  round(extract(epoch FROM clock_timestamp() - :'started'::timestamptz))) FROM cdp.load_touchpoints('shop', 'staging') l;
	SQL
done
sql -c 'DROP TABLE staging' -c 'CALL cdp.maintain()' 2>/dev/null
sql <<'SQL'
SELECT '   ' || rpad(name, 24) || pg_size_pretty(rows) || ' rows, ' || pg_size_pretty(indexes) || ' indexes' FROM (
  SELECT 'touchpoint' AS name, sum(pg_table_size(p.relid)) AS rows, sum(pg_indexes_size(p.relid)) AS indexes FROM pg_partition_tree('cdp_data.touchpoint') p WHERE p.isleaf
  UNION ALL SELECT t, pg_table_size(('cdp_data.' || t)::regclass), pg_indexes_size(('cdp_data.' || t)::regclass) FROM unnest(ARRAY['touchpoint_key', 'identifier', 'customer']) t) s;
SQL

echo "== reports, $(date +%T)"
# Seconds and the answer in one line.
report() { # $1: name, $2: query of one text
	sql <<-SQL
	SELECT clock_timestamp() AS started \gset
	SELECT ($2) AS answer \gset
	SELECT '   ' || '$1' || ': ' || round(extract(epoch FROM clock_timestamp() - :'started'::timestamptz)) || ' s, ' || :'answer';
	SQL
}
whole="since => '2025-01-01 00:00+08', until => '2026-01-01 00:00+08', as_of => '2026-01-02 00:00+08'"
report 'count(*), max(time)' "SELECT count(*) || ' rows to ' || max(occurred_at) FROM cdp_data.touchpoint"
report 'one month, five models' "SELECT round(sum(r.value) FILTER (WHERE r.model = 'last'), 2) || ' of last' FROM cdp.attribution(models => '{last,linear,u_shaped,markov,shapley}', lookback => '30 days', since => '2025-12-01 00:00+08', until => '2026-01-01 00:00+08', as_of => '2026-01-02 00:00+08') r"
report 'the year, five models' "SELECT round(sum(r.value) FILTER (WHERE r.model = 'linear'), 2) || ' of linear' FROM cdp.attribution(models => '{last,linear,u_shaped,markov,shapley}', lookback => '30 days', $whole) r"
PGOPTIONS="-c cdp.attribution_memory=256MB" report 'the year in 256 MB, spilled, three models' "SELECT round(sum(r.value) FILTER (WHERE r.model = 'linear'), 2) || ' of linear' FROM cdp.attribution(models => '{last,linear,u_shaped}', lookback => '30 days', $whole) r"
verdict=$(sql <<SQL
SELECT CASE WHEN count(*) = 3 AND bool_and(r.value = o.value AND r.conversions = o.n) THEN 'PROVED: credit of each model adds up to all ' || max(o.n) || ' conversions and their value'
  ELSE 'FAILED: ' || string_agg(format('%s gives %s of %s', r.model, r.value, o.value), ', ') END
FROM (SELECT a.model, sum(a.value) AS value, round(sum(a.conversions)) AS conversions
      FROM cdp.attribution(models => '{last,linear,u_shaped}', lookback => '30 days', $whole) a GROUP BY 1) r,
  (SELECT sum(t.value) AS value, count(*) AS n FROM cdp_data.touchpoint t JOIN cdp_data.touch_kind_all k USING (kind_id)
   WHERE k.is_conversion AND t.occurred_at >= timestamptz '2025-01-01 00:00+08' AND t.occurred_at < timestamptz '2026-01-01 00:00+08') o;
SQL
)
echo "$verdict"
case $verdict in PROVED*) ;; *) exit 1 ;; esac
