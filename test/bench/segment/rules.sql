-- The rules of the segment benchmark, once as data, and from it the text that we evaluate and the SQL that peers run: so all sides answer
-- the same questions. Times are UTC. 27 atoms count events of a kind within days before the moment of asking, eight of them with a
-- condition on a property. 35 rules: 15 counts, 10 "did this and not that", 10 "this, then that within seven days", of the frequent
-- kinds: visit, product, cart, payment (1 to 4) and a fifth one (6), which people do and come back after.
\set ON_ERROR_STOP on
CREATE SCHEMA bench;
CREATE FUNCTION bench.as_of() RETURNS timestamptz IMMUTABLE LANGUAGE sql RETURN timestamptz '2026-06-30 00:00:00+00';

CREATE TABLE bench.atom (nth integer PRIMARY KEY, kind integer, days integer, least integer, key text, op text, value integer);
INSERT INTO bench.atom (nth, kind, days, least) VALUES
  (1, 1, 7, 3), (2, 1, 30, 5), (3, 1, 90, 10), (4, 2, 7, 2), (5, 2, 30, 4), (7, 3, 14, 1), (9, 4, 30, 1), (10, 4, 90, 2), (12, 6, 45, 2),
  (13, 7, 60, 3), (14, 8, 90, 2), (15, 9, 30, 1), (16, 5, 90, 1), (17, 10, 60, 1), (18, 11, 90, 1), (22, 12, 90, 1), (23, 13, 30, 1),
  (24, 4, 7, 1), (27, 1, 14, 1);
INSERT INTO bench.atom VALUES
  (6, 2, 90, 2, 'category', '=', 7), (8, 3, 60, 2, 'category', '<', 10), (11, 4, 90, 1, 'amount', '>=', 40000), (19, 2, 30, 1, 'category', '<', 25),
  (20, 3, 90, 1, 'category', '>=', 40), (21, 4, 60, 1, 'amount', '<', 5000), (25, 2, 90, 1, 'category', '=', 3), (26, 5, 30, 1, 'amount', '>=', 20000);

-- a and b are atoms of the sorts count and didnot, kinds of the sort sequence.
CREATE TABLE bench.rule (nth integer PRIMARY KEY, sort text, a integer, b integer);
INSERT INTO bench.rule SELECT n, 'count', n, NULL FROM generate_series(1, 15) AS n;
INSERT INTO bench.rule SELECT 15 + n, 'didnot', v[1], v[2] FROM (VALUES
  (1, '{7,24}'::integer[]), (2, '{2,16}'), (3, '{17,9}'), (4, '{18,1}'), (5, '{19,10}'), (6, '{20,21}'), (7, '{27,22}'), (8, '{12,23}'), (9, '{25,26}'), (10, '{3,14}')) AS x (n, v);
INSERT INTO bench.rule SELECT 25 + n, 'sequence', v[1], v[2] FROM (VALUES
  (1, '{1,2}'::integer[]), (2, '{2,1}'), (3, '{2,3}'), (4, '{1,3}'), (5, '{3,1}'), (6, '{3,2}'), (7, '{1,4}'), (8, '{2,4}'), (9, '{1,6}'), (10, '{6,1}')) AS x (n, v);

-- Ours: an atom, and a rule, as text.
CREATE FUNCTION bench.atom_text(atom integer) RETURNS text LANGUAGE sql STABLE
RETURN (SELECT format('count(k%s last %s days%s) >= %s', a.kind, a.days, ' where ' || a.key || ' ' || a.op || ' ' || a.value, a.least) FROM bench.atom AS a WHERE a.nth = atom);
CREATE VIEW bench.rule_text AS
  SELECT r.nth, CASE r.sort WHEN 'count' THEN bench.atom_text(r.a) WHEN 'didnot' THEN bench.atom_text(r.a) || ' and not ' || bench.atom_text(r.b)
    ELSE format('seq(k%s -> k%s within 7 days; last 90 days)', r.a, r.b) END AS rule
  FROM bench.rule AS r;
-- The 35, and 195 more over the same 37 parts (27 atoms, 10 sequences): this and that, this and not that, this with that or a third.
CREATE TABLE bench.mixed AS
  SELECT 35 + n AS nth, n % 3 AS sort, 1 + n % 37 AS a, 1 + (n * 7 + n / 37 + 1) % 37 AS b, 1 + (n * 11 + n / 37 + 2) % 37 AS c FROM generate_series(1, 195) AS n;
CREATE FUNCTION bench.part_text(part integer) RETURNS text LANGUAGE sql STABLE
RETURN coalesce(bench.atom_text(part), (SELECT t.rule FROM bench.rule_text AS t WHERE t.nth = part - 2));
CREATE VIEW bench.rule_text_230 AS
  SELECT t.nth, t.rule FROM bench.rule_text AS t
  UNION ALL
  SELECT m.nth, format(CASE m.sort WHEN 0 THEN '%s and %s' WHEN 1 THEN '%s and not %s' ELSE '%s and (%s or %s)' END, bench.part_text(m.a), bench.part_text(m.b), bench.part_text(m.c)) FROM bench.mixed AS m;

-- A plain table knows kinds by number; the catalogue gives them names.
CREATE TABLE bench.input AS
  SELECT s.name, (SELECT jsonb_build_object('timezone', 'UTC', 'kinds', jsonb_object_agg('k' || k, jsonb_build_object('id', k, 'seen', true))) FROM generate_series(1, 20) AS k) AS catalog, s.rules
  FROM (SELECT '35' AS name, jsonb_agg(jsonb_build_object('id', t.nth, 'name', 'rule ' || t.nth, 'rule', cdp.segment_rule(t.rule)) ORDER BY t.nth) AS rules FROM bench.rule_text AS t
        UNION ALL
        SELECT '230', jsonb_agg(jsonb_build_object('id', t.nth, 'name', 'rule ' || t.nth, 'rule', cdp.segment_rule(t.rule)) ORDER BY t.nth) FROM bench.rule_text_230 AS t) AS s;

-- Peers: who fits an atom; dialect is postgres or duckdb.
CREATE FUNCTION bench.moment(days integer, dialect text) RETURNS text LANGUAGE sql IMMUTABLE
RETURN format(CASE dialect WHEN 'duckdb' THEN 'TIMESTAMP %L' ELSE 'TIMESTAMPTZ %L' END,
  to_char((bench.as_of() - make_interval(days => days)) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS') || CASE dialect WHEN 'duckdb' THEN '' ELSE '+00' END);
CREATE FUNCTION bench.atom_where(atom integer, dialect text) RETURNS text LANGUAGE sql STABLE
RETURN (SELECT format('kind = %s AND "at" >= %s', a.kind, bench.moment(a.days, dialect)) || coalesce(' AND ' || a.key || ' ' || a.op || ' ' || a.value, '') FROM bench.atom AS a WHERE a.nth = atom);
CREATE FUNCTION bench.atom_query(atom integer, dialect text) RETURNS text LANGUAGE sql STABLE
RETURN (SELECT format('SELECT customer FROM events WHERE %s AND "at" < %s GROUP BY customer', bench.atom_where(atom, dialect), bench.moment(0, dialect))
  || CASE WHEN a.least > 1 THEN format(' HAVING count(*) >= %s', a.least) ELSE '' END FROM bench.atom AS a WHERE a.nth = atom);
CREATE FUNCTION bench.rule_query(rule integer, dialect text, form text) RETURNS text LANGUAGE sql STABLE
RETURN (SELECT CASE
  WHEN r.sort = 'count' THEN bench.atom_query(r.a, dialect)
  WHEN r.sort = 'didnot' THEN format('SELECT customer FROM (%s) AS x WHERE NOT EXISTS (SELECT 1 FROM (%s) AS y WHERE y.customer = x.customer)', bench.atom_query(r.a, dialect), bench.atom_query(r.b, dialect))
  WHEN form = 'asof' THEN format('SELECT DISTINCT y.customer FROM (SELECT customer, "at" FROM events WHERE kind = %2$s AND "at" >= %3$s AND "at" < %4$s) AS y ASOF JOIN '
    '(SELECT customer, "at" FROM events WHERE kind = %1$s AND "at" >= %3$s AND "at" < %4$s) AS x ON y.customer = x.customer AND y."at" > x."at" WHERE y."at" <= x."at" + INTERVAL 7 DAYS',
    r.a, r.b, bench.moment(90, dialect), bench.moment(0, dialect))
  WHEN form = 'join' THEN format('SELECT DISTINCT x.customer FROM (SELECT customer, "at" FROM events WHERE kind = %1$s AND "at" >= %3$s AND "at" < %4$s) AS x JOIN '
    '(SELECT customer, "at" FROM events WHERE kind = %2$s AND "at" >= %3$s AND "at" < %4$s) AS y ON y.customer = x.customer AND y."at" > x."at" AND y."at" <= x."at" + INTERVAL ''7 days''',
    r.a, r.b, bench.moment(90, dialect), bench.moment(0, dialect))
  ELSE format('SELECT DISTINCT customer FROM (SELECT customer, kind, "at", max("at") FILTER (WHERE kind = %1$s) OVER (PARTITION BY customer ORDER BY "at" ROWS UNBOUNDED PRECEDING) AS latest '
    'FROM events WHERE kind IN (%1$s, %2$s) AND "at" >= %3$s AND "at" < %4$s) AS x WHERE kind = %2$s AND "at" <= latest + INTERVAL ''7 days''',
    r.a, r.b, bench.moment(90, dialect), bench.moment(0, dialect)) END
  FROM bench.rule AS r WHERE r.nth = rule);

-- What is asked of the customers found: how many, and in the run that checks also a sum that tells sets apart.
CREATE FUNCTION bench.checksum(customer text) RETURNS text LANGUAGE sql IMMUTABLE
RETURN format('coalesce(sum(%s * 2654435761 %% 4294967291), 0)', customer);
-- DuckDB finds a frequent second step fastest by ASOF, a rare one (payment) by a plain join.
CREATE FUNCTION bench.peer_separate(dialect text, form text, checks boolean) RETURNS SETOF text LANGUAGE sql STABLE
BEGIN ATOMIC
  SELECT format('SELECT %s AS nth, count(*) AS customers%s FROM (%s) AS r;', r.nth, CASE WHEN checks THEN ', ' || bench.checksum('customer') ELSE '' END, bench.rule_query(r.nth, dialect, form))
  FROM bench.rule AS r ORDER BY r.nth;
END;
-- DuckDB: all counts in one scan, in two forms of the same: FILTER, and sums of cases.
CREATE FUNCTION bench.peer_merged(form text, checks boolean) RETURNS text LANGUAGE sql STABLE
BEGIN ATOMIC
  WITH fits AS (
    SELECT r.nth, format('a%s >= %s', a.nth, a.least) || coalesce((SELECT format(' AND a%s < %s', b.nth, b.least) FROM bench.atom AS b WHERE b.nth = r.b), '') AS fits
    FROM bench.rule AS r JOIN bench.atom AS a ON a.nth = r.a WHERE r.sort <> 'sequence'
  )
  SELECT format('SELECT %s FROM (SELECT customer, %s FROM events WHERE "at" >= %s AND "at" < %s GROUP BY customer) AS c;',
    (SELECT string_agg(format('count(*) FILTER (WHERE %s)', f.fits) || CASE WHEN checks THEN format(', %s', bench.checksum(format('CASE WHEN %s THEN customer END', f.fits))) ELSE '' END, ', ' ORDER BY f.nth) FROM fits AS f),
    (SELECT string_agg(format(CASE form WHEN 'filter' THEN 'count(*) FILTER (WHERE %s)' ELSE 'sum(CASE WHEN %s THEN 1 ELSE 0 END)' END || ' AS a%s',
       bench.atom_where(a.nth, 'duckdb'), a.nth), ', ' ORDER BY a.nth) FROM bench.atom AS a),
    bench.moment(90, 'duckdb'), bench.moment(0, 'duckdb'));
END;

-- What checks the 230: the parts of each customer by plain SQL as bits, and the rules as conditions on them.
CREATE FUNCTION bench.oracle() RETURNS TABLE (nth integer, customers bigint, checksum numeric) LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE (SELECT 'CREATE TEMP TABLE part AS SELECT customer, bit_or(1::bigint << nth) AS parts FROM (' || string_agg(format('SELECT %s AS nth, customer FROM (%s) AS p', p, coalesce(bench.atom_query(p, 'postgres'), bench.rule_query(p - 2, 'postgres', ''))), ' UNION ALL ')
    || ') AS x GROUP BY customer' FROM generate_series(1, 37) AS p);
  RETURN QUERY EXECUTE (SELECT string_agg(format('SELECT %s, count(*), %s FROM part WHERE %s', m.nth, bench.checksum('customer'),
    format(CASE m.sort WHEN 0 THEN 'parts & %1$s <> 0 AND parts & %2$s <> 0' WHEN 1 THEN 'parts & %1$s <> 0 AND parts & %2$s = 0' ELSE 'parts & %1$s <> 0 AND parts & (%2$s | %3$s) <> 0' END,
      1::bigint << m.a, 1::bigint << m.b, 1::bigint << m.c)), ' UNION ALL ' ORDER BY m.nth) FROM bench.mixed AS m);
  DROP TABLE part;
END $$;
