-- The text of segment rules: what each construct is in JSONB, that text and JSONB go round without a loss, and what errors say.
BEGIN;
SELECT plan(117);
SET client_min_messages = error;
\ir ../twin/segment_rules.sql

-- One line each: text as printed, and the node that it is.
CREATE TEMP TABLE form (id serial, t text, j jsonb);
INSERT INTO form (t, j) VALUES
  ($$country = 'CN'$$, '{"attr": "country", "eq": "CN"}'),
  ($$country != 'O''Brien'$$, '{"attr": "country", "neq": "O''Brien"}'),
  ($$ltv < -1.50$$, '{"attr": "ltv", "lt": -1.50}'),
  ($$ltv <= 3$$, '{"attr": "ltv", "lte": 3}'),
  ($$ltv > 3$$, '{"attr": "ltv", "gt": 3}'),
  ($$ltv >= 3$$, '{"attr": "ltv", "gte": 3}'),
  ($$member = true$$, '{"attr": "member", "eq": true}'),
  ($$member != false$$, '{"attr": "member", "neq": false}'),
  ($$x = null$$, '{"attr": "x", "eq": null}'),
  ($$country in ('CN', 'US', 3)$$, '{"attr": "country", "in": ["CN", "US", 3]}'),
  ($$country not in ()$$, '{"attr": "country", "not_in": []}'),
  ($$age between 18 and 35$$, '{"attr": "age", "between": [18, 35]}'),
  ($$age not between 18 and 35$$, '{"attr": "age", "not_between": [18, 35]}'),
  ($$email is known$$, '{"attr": "email", "exists": true}'),
  ($$email is missing$$, '{"attr": "email", "exists": false}'),
  ($$city starts with '上'$$, '{"attr": "city", "prefix": "上"}'),
  ($$city ends with ''$$, '{"attr": "city", "suffix": ""}'),
  ($$city contains '%_'$$, '{"attr": "city", "contains": "%_"}'),
  ($$city not contains 'x'$$, '{"attr": "city", "not_contains": "x"}'),
  ($$tags has 'vip'$$, '{"attr": "tags", "has": "vip"}'),
  ($$tags has any ('a', 'b')$$, '{"attr": "tags", "has_any": ["a", "b"]}'),
  ($$tags has all ('a', 'b')$$, '{"attr": "tags", "has_all": ["a", "b"]}'),
  ($$signed_up in last 30 days$$, '{"attr": "signed_up", "last": "30 days"}'),
  ($$renewal in next 3 months$$, '{"attr": "renewal", "next": "3 months"}'),
  ($$seen before last 1 year$$, '{"attr": "seen", "before_last": "1 year"}'),
  ($$birthday anniversary in next 7 days$$, '{"attr": "birthday", "anniversary_next": "7 days"}'),
  ($$"List" = 1 and "first name" = 2 and "上海" = 3 and "a""b" = 4$$, '{"all": [{"attr": "List", "eq": 1}, {"attr": "first name", "eq": 2}, {"attr": "上海", "eq": 3}, {"attr": "a\"b", "eq": 4}]}'),
  ($$(a = 1 and b = 2) or c = 3$$, '{"any": [{"all": [{"attr": "a", "eq": 1}, {"attr": "b", "eq": 2}]}, {"attr": "c", "eq": 3}]}'),
  ($$a = 1 and (b = 2 or c = 3)$$, '{"all": [{"attr": "a", "eq": 1}, {"any": [{"attr": "b", "eq": 2}, {"attr": "c", "eq": 3}]}]}'),
  ($$(a = 1 and b = 2) and c = 3$$, '{"all": [{"all": [{"attr": "a", "eq": 1}, {"attr": "b", "eq": 2}]}, {"attr": "c", "eq": 3}]}'),
  ($$not (a = 1 or b = 2)$$, '{"not": {"any": [{"attr": "a", "eq": 1}, {"attr": "b", "eq": 2}]}}'),
  ($$not not a = 1$$, '{"not": {"not": {"attr": "a", "eq": 1}}}'),
  ($$all(a = 1)$$, '{"all": [{"attr": "a", "eq": 1}]}'),
  ($$not any(all(a = 1))$$, '{"not": {"any": [{"all": [{"attr": "a", "eq": 1}]}]}}'),
  ($$everybody$$, '{"all": []}'),
  ($$nobody$$, '{"any": []}'),
  ($$did("cart add")$$, '{"did": "cart add"}'),
  ($$did(refund last 90 days)$$, '{"did": "refund", "last": "90 days"}'),
  ($$did(refund or order last 3 months)$$, '{"did": ["refund", "order"], "last": "3 months"}'),
  ($$did(any(refund))$$, '{"did": ["refund"]}'),
  ($$did(refund between 90 days ago and 30 days ago)$$, '{"did": "refund", "between": ["90 days", "30 days"]}'),
  ($$did(refund this month)$$, '{"did": "refund", "this": "month"}'),
  ($$did(refund previous quarter)$$, '{"did": "refund", "previous": "quarter"}'),
  ($$did(refund since '2024-01-01' until '2024-06-01')$$, '{"did": "refund", "since": "2024-01-01", "until": "2024-06-01"}'),
  ($$did(refund until '2024-06-01T08:00:00Z')$$, '{"did": "refund", "until": "2024-06-01T08:00:00Z"}'),
  ($$did(refund last '2 fortnights')$$, '{"did": "refund", "last": "2 fortnights"}'),
  ($$count(buy last 30 days where amount > 50 and channel = 'email') >= 2$$, '{"did": "buy", "last": "30 days", "count": {"gte": 2}, "where": {"all": [{"prop": "amount", "gt": 50}, {"field": "channel", "eq": "email"}]}}'),
  ($$count(buy where "channel" = 'a' or not (value > 5 and any())) between 2 and 4$$, '{"did": "buy", "count": {"between": [2, 4]}, "where": {"any": [{"prop": "channel", "eq": "a"}, {"not": {"all": [{"field": "value", "gt": 5}, {"any": []}]}}]}}'),
  ($$days(visit last 4 weeks) >= 5$$, '{"did": "visit", "last": "4 weeks", "days": {"gte": 5}}'),
  ($$sum(amount of buy last 90 days) >= 500$$, '{"did": "buy", "last": "90 days", "sum": "amount", "gte": 500}'),
  ($$sum(value of buy) != 100$$, '{"did": "buy", "sum": {"field": "value"}, "neq": 100}'),
  ($$avg("value" of buy between 9 days ago and 1 day ago) > 3$$, '{"did": "buy", "avg": "value", "gt": 3, "between": ["9 days", "1 day"]}'),
  ($$min(amount of buy) < 3$$, '{"did": "buy", "min": "amount", "lt": 3}'),
  ($$max(amount of buy) != 3$$, '{"did": "buy", "max": "amount", "neq": 3}'),
  ($$distinct(product_id of buy or cart last 30 days) >= 3$$, '{"did": ["buy", "cart"], "distinct": "product_id", "gte": 3, "last": "30 days"}'),
  ($$first(coupon of buy last 30 days) starts with 'X'$$, '{"did": "buy", "first_value": "coupon", "prefix": "X", "last": "30 days"}'),
  ($$last(coupon of buy this year) in ('a')$$, '{"did": "buy", "last_value": "coupon", "in": ["a"], "this": "year"}'),
  ($$last(coupon of buy last 30 days) not contains 'q'$$, '{"did": "buy", "last_value": "coupon", "not_contains": "q", "last": "30 days"}'),
  ($$first_time(buy last 30 days where amount > 5)$$, '{"first_time": "buy", "last": "30 days", "where": {"prop": "amount", "gt": 5}}'),
  ($$regularly(buy in at least 3 of 4 weeks)$$, '{"regularly": "buy", "at_least": 3, "of": 4, "unit": "week"}'),
  ($$stopped(buy between 180 days ago and 30 days ago)$$, '{"stopped": "buy", "between": ["180 days", "30 days"]}'),
  ($$resumed(buy after 60 days last 7 days)$$, '{"resumed": "buy", "after": "60 days", "last": "7 days"}'),
  ($$seq("cart add" -> buy within 7 days same product_id, "shop id"; last 90 days)$$, '{"seq": [{"did": "cart add"}, {"did": "buy", "within": "7 days", "same": ["product_id", "shop id"]}], "last": "90 days"}'),
  ($$seq(a where x = 1 -> b or c where y = 2 -> no d within 1 hour same () where z = 3; total 14 days; without "cart remove" where q = 1; ties order)$$,
   '{"seq": [{"did": "a", "where": {"prop": "x", "eq": 1}}, {"did": ["b", "c"], "where": {"prop": "y", "eq": 2}}, {"absent": "d", "within": "1 hour", "same": [], "where": {"prop": "z", "eq": 3}}], "total": "14 days", "not_between": {"did": "cart remove", "where": {"prop": "q", "eq": 1}}, "ties": "order"}'),
  ($$seq(a -> b; without (c, d or e where x = 1))$$, '{"seq": [{"did": "a"}, {"did": "b"}], "not_between": [{"did": "c"}, {"did": ["d", "e"], "where": {"prop": "x", "eq": 1}}]}'),
  ($$segment vip$$, '{"segment": "vip"}'),
  ($$list "press 2025"$$, '{"list": "press 2025"}'),
  ($$trait rfm_r >= 4$$, '{"trait": "rfm_r", "gte": 4}'),
  ($$trait rfm_r is known$$, '{"trait": "rfm_r", "exists": true}'),
  ($$top 10% by ltv$$, '{"rank": {"attr": "ltv"}, "top": "10%"}'),
  ($$bottom 100 by trait clv$$, '{"rank": {"trait": "clv"}, "bottom": 100}'),
  ($$consent marketing$$, '{"consent": "marketing"}'),
  ($$consent marketing by email$$, '{"consent": "marketing", "channel": "email"}'),
  ($$holdout global$$, '{"holdout": "global"}'),
  ($$holdout global arm control$$, '{"holdout": "global", "arm": "control"}');

SELECT is(cdp.segment_rule(t), jsonb_build_object('v', 1, 'where', j), 'reads ' || left(t, 60)) FROM form ORDER BY id;
SELECT is((SELECT string_agg(t || ' <> ' || printed, E'\n' ORDER BY id) FROM (SELECT id, t, cdp.segment_rule_text(jsonb_build_object('v', 1, 'where', j)) AS printed FROM form) x WHERE printed <> t), NULL, 'and each is printed as it was typed');
SELECT is(cdp.segment_rule($$A = 'x' AND Not Did(buy LAST 30 Days WHERE Channel IN ('a')) Or a <> 1; TIME zone 'Asia/Shanghai'; nulls SQL$$),
  '{"v": 1, "tz": "Asia/Shanghai", "nulls": "sql", "where": {"any": [{"all": [{"attr": "A", "eq": "x"}, {"not": {"did": "buy", "last": "30 days", "where": {"field": "channel", "in": ["a"]}}}]}, {"attr": "a", "neq": 1}]}}'::jsonb, 'words of the language in any case, names as they are; zone and nulls');
SELECT is(cdp.segment_rule_text('{"v": 1, "tz": "UTC", "nulls": "set", "where": {"any": []}}'), $$nobody; time zone 'UTC'; nulls set$$, 'options are printed');
SELECT is(cdp.segment_rule($$did(下单 last 30 days) and 国家 = '中国'$$), '{"v": 1, "where": {"all": [{"did": "下单", "last": "30 days"}, {"attr": "国家", "eq": "中国"}]}}'::jsonb, 'Chinese names need no quotes');
SELECT is(cdp.segment_rule_text(cdp.segment_rule($$country in ('CN', 'US') and (count(order last 30 days where amount > 50) >= 2 or sum(value of order last 1 year) >= 5000 or segment vip) and not did(refund last 90 days)$$)),
$$country in ('CN', 'US')
and (
  count(order last 30 days where amount > 50) >= 2
  or sum(value of order last 1 year) >= 5000
  or segment vip
)
and not did(refund last 90 days)$$, 'a long rule has one operand a line');

SELECT is((SELECT string_agg(cdp.segment_rule_text(cdp.segment_rule('did(a last 3 days where x = 1)' || t)), ' ') FROM unnest(ARRAY['', ' >= 2', ' = 0', ' <> 3', ' between 1 and 2']) t),
  'did(a last 3 days where x = 1) count(a last 3 days where x = 1) >= 2 count(a last 3 days where x = 1) = 0 count(a last 3 days where x = 1) != 3 count(a last 3 days where x = 1) between 1 and 2', 'did with a number is a count');
SELECT is(cdp.segment_rule($$country in ('CN','US') and (ltv >= 300 or segment vip) and not did("Refund" last 90 days) and did("Order Completed" last 30 days where amount > 50) >= 2 and seq("Cart Add" -> "Order Completed" within 7 days same product_id)$$),
  '{"v": 1, "where": {"all": [{"attr": "country", "in": ["CN", "US"]}, {"any": [{"attr": "ltv", "gte": 300}, {"segment": "vip"}]}, {"not": {"did": "Refund", "last": "90 days"}},
    {"did": "Order Completed", "last": "30 days", "count": {"gte": 2}, "where": {"prop": "amount", "gt": 50}}, {"seq": [{"did": "Cart Add"}, {"did": "Order Completed", "within": "7 days", "same": ["product_id"]}]}]}}'::jsonb, 'a whole audience');
SELECT is(cdp.segment_rule('a = 1 and b = 2 or c = 3'), cdp.segment_rule('(a = 1 and b = 2) or c = 3'), 'and binds closer than or');

-- Round trips of random rules, sensible and not; each construct came up.
SELECT setseed(0.42) \g /dev/null
CREATE TEMP TABLE random_rule AS SELECT n, twin.segment_rule(CASE WHEN n % 2 = 0 THEN 0 ELSE 0.1 END) AS j FROM generate_series(1, 3000) n;
SELECT is((SELECT string_agg(j::text || ' -> ' || cdp.segment_rule_text(j), E'\n') FROM (SELECT j FROM random_rule WHERE cdp.segment_rule(cdp.segment_rule_text(j)) <> j LIMIT 3) x), NULL, 'JSONB to text to JSONB is the identity');
SELECT is((SELECT string_agg(t, E'\n') FROM (SELECT cdp.segment_rule_text(j) AS t FROM random_rule) x WHERE cdp.segment_rule_text(cdp.segment_rule(t)) <> t), NULL, 'text to JSONB to text is the identity');
SELECT is((SELECT count(*) FROM unnest(ARRAY['"attr"', '"count"', '"days"', '"sum"', '"avg"', '"min"', '"max"', '"distinct"', '"first_value"', '"last_value"', '"first_time"', '"regularly"', '"stopped"', '"resumed"',
  '"seq"', '"absent"', '"same"', '"total"', '"ties"', '"not_between": \[', '"not_between": {', '"segment"', '"list"', '"trait"', '"rank"', '"consent"', '"holdout"', '"has_any"', '"anniversary_next"', '"this"', '"previous"', '"since"', '"until"', '"nulls"', '"tz"']) w
  WHERE NOT EXISTS (SELECT FROM random_rule WHERE j::text ~ w)), 0::bigint, 'and the random rules hold every construct');

SELECT is((SELECT string_agg(j::text, E'\n') FROM (SELECT cdp_internal.rule_canonical(j) AS j FROM (SELECT j FROM random_rule WHERE NOT EXISTS (SELECT FROM cdp_internal.rule_check(j, NULL) c WHERE c.severity = 'error') OFFSET 0) x) x
  WHERE cdp.segment_rule(cdp.segment_rule_text(j)) <> j), NULL, 'canonical forms come back the same');
SELECT is((SELECT count(*) FROM random_rule, cdp_internal.rule_check(j, twin.segment_catalog()) c WHERE n % 2 = 0 AND c.severity = 'error'), 0::bigint, 'the sensible ones are without an error');
SELECT cmp_ok((SELECT count(*) FROM random_rule WHERE n % 2 = 1 AND EXISTS (SELECT FROM cdp_internal.rule_check(j, twin.segment_catalog()) c WHERE c.severity = 'error')), '>', 500::bigint, 'and of the others many have one');

-- Errors: where, what was expected, what may be meant.
CREATE FUNCTION pg_temp.err(t text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE d text; h text; m text; s text;
BEGIN
  PERFORM cdp.segment_rule(t);
  RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS d = PG_EXCEPTION_DETAIL, h = PG_EXCEPTION_HINT, s = RETURNED_SQLSTATE;
  RETURN s || '|' || d || '|' || h;
END $$;
SELECT is(pg_temp.err(E'country = ''CN''\nand did("买" lats 30 days)'), '42601|Line 2, column 13 (offset 27): a window, "where" or ) is expected, but there is "lats".|Did you mean "last"?', 'line and column count characters');
SELECT is(pg_temp.err('cuont(buy) > 1'), '42601|Line 1, column 1 (offset 0): did, count, sum, seq or another function is expected, but there is "cuont".|Did you mean "count"?', 'an unknown function');
SELECT is(pg_temp.err('did(buy last 30 dyas)'), '42601|Line 1, column 17 (offset 16): a unit such as hours, days, weeks or months is expected, but there is "dyas".|Did you mean "days"?', 'an unknown unit');
SELECT is(pg_temp.err('did(buy last 30 days）'), '42601|Line 1, column 21 (offset 20): this is a sign of full width.|Write ) in its place.', 'a bracket of full width');
SELECT is(pg_temp.err('country = CN'), '42601|Line 1, column 11 (offset 10): a number, a text in single quotes, true or false is expected, but there is "CN".|Text stands in single quotes: ''CN''.', 'a text without quotes');
SELECT is(pg_temp.err('list = 3'), '42601|Line 1, column 6 (offset 5): the name of a list is expected, but there is "=".|If "list" is the name of an attribute, write it in double quotes.', 'a word of the language as attribute');
SELECT is(pg_temp.err('a == 3'), '42601|Line 1, column 4 (offset 3): a number, a text in single quotes, true or false is expected, but there is "=".|Equality is written with one =.', 'two signs of equality');
SELECT is(pg_temp.err($$a = 'secret$$), '42601|Line 1, column 5 (offset 4): this string has no closing ''.|', 'an open string');
SELECT is(pg_temp.err($$a 'secret'$$), '42601|Line 1, column 3 (offset 2): a comparison such as =, >=, in, between, is known or contains is expected, but there is a string.|', 'a string is not repeated');
SELECT is(pg_temp.err('did(buy last 30 days this month)'), '42601|Line 1, column 22 (offset 21): this is a second window.|An event has one window; write two atoms with "and".', 'two windows');
SELECT is(pg_temp.err('a = 1 b = 2'), '42601|Line 1, column 7 (offset 6): "and", "or", a semicolon or the end is expected, but there is "b".|', 'no word between');
SELECT is(pg_temp.err(''), '42601|Line 1, column 1 (offset 0): an attribute, a function such as did(...), "segment" or a bracket is expected, but there is the end.|', 'no text');
SELECT is(pg_temp.err('sum(x of buy) between 1 and 2'), '42601|Line 1, column 15 (offset 14): "between" cannot stand behind this aggregate.|Write two atoms with "and": one with >=, one with <=.', 'what JSONB cannot hold');
SELECT is((SELECT string_agg(t || ': ' || coalesce(nullif(split_part(pg_temp.err(t), '|', 3), ''), 'no hint'), E'\n') FROM unnest(ARRAY['a is null', 'a is not null', 'a like 3', 'did(b last month)', 'did(b in last 3 days)', 'a = 1 && b = 2', 'a = 1 || b = 2']) t),
'a is null: Null is written "is missing", and not null "is known".
a is not null: Null is written "is missing", and not null "is known".
a like 3: Patterns are written "starts with", "ends with" and "contains".
did(b last month): "last 1 month" reaches back from now, "previous month" is the one of the calendar.
did(b in last 3 days): A window begins without "in": last 30 days.
a = 1 && b = 2: Write "and".
a = 1 || b = 2: Write "or".', 'habits of other languages');
SELECT is(left(pg_temp.err(repeat('(', 100000)), 60), '54001|More than 200 brackets and nots stand in each other.|', 'brackets without end');
SELECT is(left(pg_temp.err(repeat('not ', 100000) || 'a = 1'), 60), '54001|More than 200 brackets and nots stand in each other.|', 'nots without end');
SELECT is(left(pg_temp.err('a = ' || repeat('9', 2000)), 70), '42601|Line 1, column 5 (offset 4): this number has more than 1000 digi', 'a number without end');
SELECT is(left(pg_temp.err('a = 1e999999999999'), 70), '42601|Line 1, column 5 (offset 4): this number has an exponent above 1', 'an exponent without end');
SELECT is(left(pg_temp.err(repeat('a = 1 and ', 200000)), 40), '54000|It has 2000000 bytes; 1048576 are ', 'a text without end');

-- What no text can say is refused with its path.
CREATE FUNCTION pg_temp.err(j jsonb) RETURNS text LANGUAGE plpgsql AS $$
DECLARE d text; s text;
BEGIN
  RETURN cdp.segment_rule_text(j);
EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS d = PG_EXCEPTION_DETAIL, s = RETURNED_SQLSTATE;
  RETURN s || '|' || d;
END $$;
SELECT is(pg_temp.err('{"v": 1, "where": {"all": [{"attr": "a", "eq": 1, "x": 2}]}}'::jsonb), '22023|At /where/all/0: the key "x" has no place here.', 'an unknown key');
SELECT is(pg_temp.err('{"v": 1, "where": {"attr": "a", "eq": 1, "gt": 2}}'::jsonb), '22023|At /where: "eq" and "gt" are two comparisons; write one.', 'two comparisons');
SELECT is(pg_temp.err('[]'::jsonb), '22023|At the top: an object is expected.', 'no object');
SELECT is(pg_temp.err('{"v": 2, "where": {"all": []}}'::jsonb), '22023|At /v: 1 is expected.', 'another version');
SELECT is(pg_temp.err((repeat('{"not":', 200) || '1' || repeat('}', 200))::jsonb), '22023|At the top: "where" is missing.', 'no rule');
SELECT is(pg_temp.err(('{"v": 1, "where":' || repeat('{"not":', 200) || '{"attr": "a", "eq": 1}' || repeat('}', 201))::jsonb), '54001|More than 100 nodes stand in each other.', 'nodes without end');
SELECT is(cdp.segment_rule(cdp.segment_rule_text(j)), j, 'what may be printed can be read, however deep') FROM (SELECT ('{"v": 1, "where":' || repeat('{"not": {"all": [{"attr": "b", "eq": 1}, ', 49) || '{"attr": "a", "eq": 1}' || repeat(']}}', 49) || '}')::jsonb) x(j);
SELECT is(cdp.segment_rule(NULL), NULL, 'NULL is NULL');
SELECT is(cdp.segment_rule_text(NULL), NULL, 'and back');
SELECT * FROM finish();
ROLLBACK;
