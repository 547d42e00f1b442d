-- Comparators on random texts against slow twins written from the definitions, and their properties.
SELECT plan(14);

-- The textbook's loops: a quadratic search for matches, marks on both texts.
CREATE FUNCTION pg_temp.jaro(a text, b text) RETURNS double precision LANGUAGE plpgsql AS $$
DECLARE
  x text[] := regexp_split_to_array(a, '');
  y text[] := regexp_split_to_array(b, '');
  window_size integer := greatest(greatest(length(a), length(b)) / 2 - 1, 0);
  in_x text[] := '{}';
  in_y text[] := '{}';
  used boolean[] := array_fill(false, ARRAY[length(b)]);
  m integer;
  t integer := 0;
BEGIN
  IF a = '' OR b = '' THEN
    RETURN CASE WHEN a = b THEN 1 ELSE 0 END;
  END IF;
  FOR i IN 1 .. length(a) LOOP
    FOR j IN greatest(1, i - window_size) .. least(length(b), i + window_size) LOOP
      IF NOT used[j] AND x[i] = y[j] THEN
        used[j] := true;
        in_x := in_x || x[i];
        EXIT;
      END IF;
    END LOOP;
  END LOOP;
  FOR j IN 1 .. length(b) LOOP
    IF used[j] THEN
      in_y := in_y || y[j];
    END IF;
  END LOOP;
  m := cardinality(in_x);
  IF m = 0 THEN
    RETURN 0;
  END IF;
  FOR i IN 1 .. m LOOP
    t := t + CASE WHEN in_x[i] <> in_y[i] THEN 1 ELSE 0 END;
  END LOOP;
  RETURN (m / length(a)::float8 + m / length(b)::float8 + (m - t / 2) / m::float8) / 3;
END $$;
CREATE FUNCTION pg_temp.jaro_winkler(a text, b text) RETURNS double precision LANGUAGE sql AS $$
  SELECT CASE WHEN round(j::numeric, 12) > 0.7 THEN j + 0.1 * (1 - j) * (SELECT count(*) FROM generate_series(1, 4) n WHERE length(a) >= n AND left(a, n) = left(b, n)) ELSE j END FROM pg_temp.jaro(a, b) j $$;

-- The whole table of the dynamic programme.
CREATE FUNCTION pg_temp.edits(a text, b text, swaps boolean) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
  x text[] := regexp_split_to_array(a, '');
  y text[] := regexp_split_to_array(b, '');
  before integer[];
  above integer[];
  now integer[] := ARRAY(SELECT generate_series(0, length(b)));
BEGIN
  FOR i IN 1 .. length(a) LOOP
    before := above;
    above := now;
    now[1] := i;
    FOR j IN 1 .. length(b) LOOP
      now[j + 1] := least(above[j + 1] + 1, now[j] + 1, above[j] + CASE WHEN x[i] = y[j] THEN 0 ELSE 1 END);
      IF swaps AND i > 1 AND j > 1 AND x[i] = y[j - 1] AND x[i - 1] = y[j] THEN
        now[j + 1] := least(now[j + 1], before[j - 1] + 1);
      END IF;
    END LOOP;
  END LOOP;
  RETURN now[length(b) + 1];
END $$;
-- Lowrance and Wagner's table: a swap looks back to the last place where each symbol stands in the other text.
CREATE FUNCTION pg_temp.unrestricted(a text, b text) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
  x text[] := regexp_split_to_array(a, '');
  y text[] := regexp_split_to_array(b, '');
  w integer := length(b) + 1;
  cell integer[] := array_fill(0, ARRAY[(length(a) + 1) * w]); -- row i, column j at i * w + j + 1
  last_row jsonb := '{}';
  last_column integer;
  k integer;
BEGIN
  FOR i IN 0 .. length(a) LOOP cell[i * w + 1] := i; END LOOP;
  FOR j IN 0 .. length(b) LOOP cell[j + 1] := j; END LOOP;
  FOR i IN 1 .. length(a) LOOP
    last_column := 0;
    FOR j IN 1 .. length(b) LOOP
      k := coalesce((last_row ->> y[j])::integer, 0);
      cell[i * w + j + 1] := least(cell[(i - 1) * w + j + 1] + 1, cell[i * w + j] + 1, cell[(i - 1) * w + j] + CASE WHEN x[i] = y[j] THEN 0 ELSE 1 END,
        CASE WHEN k > 0 AND last_column > 0 THEN cell[(k - 1) * w + last_column] + (i - k - 1) + 1 + (j - last_column - 1) END);
      IF x[i] = y[j] THEN
        last_column := j;
      END IF;
    END LOOP;
    last_row := jsonb_set(last_row, ARRAY[x[i]], to_jsonb(i));
  END LOOP;
  RETURN cell[length(a) * w + w];
END $$;
CREATE FUNCTION pg_temp.trigrams(a text) RETURNS text[] LANGUAGE sql AS $$
  SELECT CASE WHEN a = '' THEN '{}' ELSE ARRAY(SELECT DISTINCT substr(E'\x01\x01' || a || E'\x01', i, 3) FROM generate_series(1, length(a) + 1) i) END $$;
CREATE FUNCTION pg_temp.common(x text[], y text[]) RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM (SELECT unnest(x) INTERSECT SELECT unnest(y)) s';

-- Texts of few letters, so that they have much in common: ASCII, Chinese, emoji, combining marks, and mixed.
SELECT setseed(0.42) \g /dev/null
CREATE FUNCTION pg_temp.some_text(letters text, most integer) RETURNS text LANGUAGE sql VOLATILE AS $$
  SELECT coalesce(string_agg(substr(letters, 1 + floor(random() * length(letters))::integer, 1), ''), '') FROM generate_series(1, floor(random() * (most + 1))::integer) $$;
-- A copy with some characters changed, dropped, doubled or swapped, as people type.
CREATE FUNCTION pg_temp.typo(a text, letters text, most integer) RETURNS text LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  place integer;
BEGIN
  FOR n IN 1 .. floor(random() * (most + 1))::integer LOOP
    place := 1 + floor(random() * (length(a) + 1))::integer;
    a := CASE floor(random() * 4)::integer
      WHEN 0 THEN overlay(a PLACING substr(letters, 1 + floor(random() * length(letters))::integer, 1) FROM place)
      WHEN 1 THEN overlay(a PLACING '' FROM place FOR 1)
      WHEN 2 THEN overlay(a PLACING substr(letters, 1 + floor(random() * length(letters))::integer, 1) FROM place FOR 0)
      ELSE left(a, place - 1) || reverse(substr(a, place, 2)) || substr(a, place + 2) END;
  END LOOP;
  RETURN a;
END $$;
CREATE TEMP TABLE alphabet (n integer, letters text);
INSERT INTO alphabet VALUES (0, 'ab'), (1, 'abc '), (2, 'abcdefghijklmnopqrstuvwxyz'), (3, '王李张'), (4, '😀😁a'), (5, U&'e\0301a\0300'), (6, 'éèzß中ж😀 -'), (7, '王李张刘陈杨黄赵吴周徐孙马朱胡郭何林高罗');
CREATE TEMP TABLE pair AS
SELECT g.i, letters, a, CASE WHEN g.i % 3 = 0 THEN pg_temp.some_text(letters, 14) ELSE pg_temp.typo(a, letters, 5) END AS b
FROM generate_series(1, 6000) g (i) JOIN alphabet ON n = g.i % 8, LATERAL (SELECT pg_temp.some_text(letters, 14) AS a, g.i AS again) s;
-- Swaps with something between them, inserted or deleted, which only the unrestricted distance takes for one.
INSERT INTO pair
SELECT 10000 + g.i, letters, CASE WHEN g.i % 2 = 0 THEN a ELSE gap END, CASE WHEN g.i % 2 = 0 THEN gap ELSE a END
FROM generate_series(1, 1000) g (i) JOIN alphabet ON n = 2, LATERAL (SELECT pg_temp.some_text(letters, 14) AS a, 1 + floor(random() * 8)::integer AS place, g.i AS again) s,
  LATERAL (SELECT pg_temp.typo(left(a, place - 1) || substr(a, place + 1, 1) || substr('zyx', 1, 1 + g.i % 3) || substr(a, place, 1) || substr(a, place + 2), letters, g.i % 4) AS gap) t;
-- Around and beyond the 64 rows of a word and the 256 bytes of the stack's space.
CREATE TEMP TABLE long_pair AS
SELECT g.i, letters, a, CASE WHEN g.i % 4 = 0 THEN pg_temp.some_text(letters, 200) ELSE pg_temp.typo(a, letters, 40) END AS b
FROM generate_series(1, 96) g (i) JOIN alphabet ON n = g.i % 8, LATERAL (SELECT pg_temp.some_text(letters, CASE WHEN g.i % 5 = 0 THEN 66 ELSE 330 END) || repeat(left(letters, 1), 40) AS a, g.i AS again) s;
-- Exactly around 64 characters, where one word ends; and more different characters than the stack has room for.
INSERT INTO long_pair
SELECT 1000 + g.i, letters, a, CASE WHEN g.i % 6 = 0 THEN left(pg_temp.typo(a, letters, 60), 64) ELSE left(pg_temp.typo(a, letters, 12) || a, 62 + g.i / 5 % 5) END
FROM generate_series(1, 200) g (i) JOIN alphabet ON n = g.i % 8, LATERAL (SELECT left(pg_temp.some_text(letters, 90) || repeat(letters, 64), 62 + g.i % 5) AS a, g.i AS again) s;
INSERT INTO long_pair
SELECT 2000 + g.i, letters, a, pg_temp.typo(a, letters, 60)
FROM generate_series(1, 8) g (i), (SELECT string_agg(chr(19968 + 7 * c), '' ORDER BY c) FROM generate_series(1, 900) c) l (letters), LATERAL (SELECT pg_temp.some_text(letters, 200) || right(letters, 150) AS a, g.i AS again) s;
CREATE TEMP TABLE long_edits AS SELECT *, pg_temp.edits(a, b, false) AS plain, pg_temp.edits(a, b, true) AS swaps, pg_temp.unrestricted(a, b) AS gaps FROM long_pair;

SELECT is((SELECT count(DISTINCT (a, b)) > 4000 AND count(*) FILTER (WHERE a = '' OR b = '') > 50 AND count(*) FILTER (WHERE cdp.jaro_similarity(a, b) > 0.7) > 1000 FROM pair), true, 'the sample has what it should have');
SELECT is((SELECT string_agg(a || '/' || b, ', ') FROM pair WHERE cdp.jaro_similarity(a, b) <> pg_temp.jaro(a, b)), NULL, 'jaro_similarity equals its twin on 7,000 pairs, to the last bit');
SELECT is((SELECT string_agg(a || '/' || b, ', ') FROM pair WHERE abs(cdp.jaro_winkler(a, b) - pg_temp.jaro_winkler(a, b)) > 1e-15), NULL, 'jaro_winkler equals its twin');
SELECT is((SELECT string_agg(a || '/' || b, ', ') FROM pair WHERE cdp.levenshtein(a, b) <> pg_temp.edits(a, b, false)), NULL, 'levenshtein equals its twin');
SELECT is((SELECT string_agg(a || '/' || b, ', ') FROM pair WHERE cdp.optimal_string_alignment(a, b) <> pg_temp.edits(a, b, true)), NULL, 'optimal_string_alignment equals its twin');
SELECT is((SELECT string_agg(a || '/' || b, ', ') FROM pair WHERE cdp.damerau_levenshtein(a, b) <> pg_temp.unrestricted(a, b)), NULL, 'damerau_levenshtein equals its twin');
SELECT is((SELECT count(*) > 300 AND bool_and(cdp.damerau_levenshtein(a, b) >= 2 AND cdp.optimal_string_alignment(a, b) <= 1.5 * cdp.damerau_levenshtein(a, b)) FROM pair WHERE cdp.damerau_levenshtein(a, b) < cdp.optimal_string_alignment(a, b)), true,
  'many pairs tell the two apart, and none is below 2 or beyond a half more');
SELECT is((SELECT string_agg(a || '/' || b, ', ') FROM pair, LATERAL (SELECT pg_temp.trigrams(a) AS x, pg_temp.trigrams(b) AS y) s, LATERAL (SELECT pg_temp.common(x, y) AS c) t
  WHERE a <> b AND (cdp.trigram_dice(a, b) <> 2 * c / (cardinality(x) + cardinality(y))::float8 OR cdp.trigram_jaccard(a, b) <> c / (cardinality(x) + cardinality(y) - c)::float8)), NULL, 'trigram_dice and trigram_jaccard equal sets in SQL');
SELECT is((SELECT string_agg(a || '/' || b, ', ') FROM pair, LATERAL (SELECT ARRAY(SELECT DISTINCT regexp_split_to_table(a, '')) AS x, ARRAY(SELECT DISTINCT regexp_split_to_table(b, '')) AS y) s, LATERAL (SELECT pg_temp.common(x, y) AS c) t
  WHERE a <> '' AND b <> '' AND cdp.character_jaccard(a, b) <> c / (cardinality(x) + cardinality(y) - c)::float8), NULL, 'character_jaccard equals sets in SQL');

SELECT is((SELECT string_agg(i::text, ', ') FROM long_edits WHERE cdp.levenshtein(a, b) <> plain OR cdp.optimal_string_alignment(a, b) <> swaps OR cdp.damerau_levenshtein(a, b) <> gaps
  OR cdp.jaro_similarity(a, b) <> pg_temp.jaro(a, b)), NULL, 'long texts equal their twins');
SELECT is((SELECT string_agg(i || ':' || m, ', ') FROM long_edits, unnest('{0,1,2,3,7,15,31,33,61,62,63,64,65,100,200,400}'::integer[]) m
  WHERE cdp.levenshtein(a, b, m) <> least(plain, m + 1) OR cdp.optimal_string_alignment(a, b, m) <> least(swaps, m + 1) OR cdp.damerau_levenshtein(a, b, m) <> least(gaps, m + 1)), NULL, 'the bounded forms agree with the whole distance on long texts, for any max');
SELECT is((SELECT string_agg(i || ':' || m, ', ') FROM (SELECT *, cdp.levenshtein(a, b) AS plain, cdp.optimal_string_alignment(a, b) AS swaps, cdp.damerau_levenshtein(a, b) AS gaps FROM pair) p, generate_series(0, 8) m
  WHERE cdp.levenshtein(a, b, m) <> least(plain, m + 1) OR cdp.optimal_string_alignment(a, b, m) <> least(swaps, m + 1) OR cdp.damerau_levenshtein(a, b, m) <> least(gaps, m + 1)), NULL, 'and on short ones');

CREATE TEMP VIEW both_ways AS
SELECT *, ARRAY[cdp.jaro_similarity(a, b), cdp.jaro_winkler(a, b), cdp.levenshtein_similarity(a, b), cdp.damerau_levenshtein_similarity(a, b), cdp.trigram_dice(a, b), cdp.trigram_jaccard(a, b), cdp.character_jaccard(a, b)] AS ab,
  ARRAY[cdp.jaro_similarity(b, a), cdp.jaro_winkler(b, a), cdp.levenshtein_similarity(b, a), cdp.damerau_levenshtein_similarity(b, a), cdp.trigram_dice(b, a), cdp.trigram_jaccard(b, a), cdp.character_jaccard(b, a)] AS ba
FROM (SELECT i, a, b FROM pair UNION ALL SELECT i, a, b FROM long_pair) p;
SELECT is((SELECT string_agg(i::text, ', ') FROM both_ways WHERE ab <> ba), NULL, 'all are symmetrical, to the last bit');
SELECT is((SELECT string_agg(i::text, ', ') FROM both_ways WHERE NOT (0 <= ALL (ab) AND 1 >= ALL (ab)) OR ab[2] < ab[1] OR ab[4] < ab[3] OR ab[5] < ab[6] OR (a = b) <> (ab[3] = 1)
  OR cdp.levenshtein(a, b) NOT BETWEEN abs(length(a) - length(b)) AND greatest(length(a), length(b))), NULL, 'all are within their bounds and in their order');

SELECT * FROM finish();
