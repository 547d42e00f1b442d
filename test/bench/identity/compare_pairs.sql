-- Pairs of names for compare.sh: seeded by the row's number, so the same everywhere.
CREATE EXTENSION pg_cdp;
CREATE EXTENSION pg_similarity;
CREATE FUNCTION pick(seed bigint, n integer) RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT (abs(hashint8extended(seed, 7)) % n)::integer';
-- Two to four syllables; names of one block begin alike.
CREATE FUNCTION a_name(block bigint, seed bigint) RETURNS text LANGUAGE sql IMMUTABLE AS $$
  SELECT (ARRAY['mar', 'jo', 'chri', 'ste', 'wil', 'ka', 'ro', 'an', 'be', 'el', 'ja', 'li', 'tho', 'da', 'sa', 'mi'])[1 + pick(block, 16)]
    || string_agg((ARRAY['na', 'ber', 'ti', 'ne', 'lia', 'son', 'phen', 'ra', 'tt', 'chel', 'ry', 'mas', 'vid', 'nes', 'lo', 'ki', 'der', 'st', 'el', 'a'])[1 + pick(seed * 8 + k, 20)], '' ORDER BY k)
  FROM generate_series(1, 1 + pick(seed * 8, 3)) k $$;
CREATE FUNCTION typed_again(name text, seed bigint) RETURNS text LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE pick(seed, 5) WHEN 0 THEN name WHEN 1 THEN overlay(name PLACING '' FROM p FOR 1) WHEN 2 THEN overlay(name PLACING 'e' FROM p FOR 1)
    WHEN 3 THEN overlay(name PLACING 'h' FROM p FOR 0) ELSE left(name, p - 1) || reverse(substr(name, p, 2)) || substr(name, p + 2) END
  FROM (SELECT 1 + pick(seed + 1, length(name))) s (p) $$;
CREATE FUNCTION a_chinese_name(seed bigint) RETURNS text LANGUAGE sql IMMUTABLE AS $$
  SELECT substr('王李张刘陈杨黄赵吴周徐孙马朱胡郭何林高罗', 1 + pick(seed, 20), 1)
    || string_agg(substr('伟芳娜敏静丽强磊军洋勇艳杰娟涛明超秀霞平刚桂英华玉兰红梅鑫宇', 1 + pick(seed * 4 + k, 30), 1), '' ORDER BY k)
  FROM generate_series(1, 1 + pick(seed * 4, 3)) k $$;
CREATE TABLE pair AS
SELECT a, CASE WHEN i % 2 = 0 THEN typed_again(a, i * 3) ELSE a_name(i, i * 2 + 1) END AS b, a_chinese_name(i * 2) AS a_chinese, a_chinese_name(CASE WHEN i % 2 = 0 THEN i * 2 ELSE i END) AS b_chinese
FROM generate_series(1, :pairs) g (i), LATERAL (SELECT a_name(i, i * 2) AS a) s;
VACUUM (ANALYZE, FREEZE) pair;
