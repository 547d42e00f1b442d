-- Segment rules in plain words, English and Chinese, and the expansion of named behaviours.
BEGIN;
SELECT plan(80);
SET client_min_messages = error;
\ir ../twin/segment_rules.sql

CREATE TEMP TABLE said (id serial, t text, en text, zh text);
INSERT INTO said (t, en, zh) VALUES
  ($$everybody$$, 'All customers.', '全部客户。'),
  ($$not everybody$$, 'No customers.', '没有客户。'),
  ($$country = 'CN'$$, 'country is ''CN''', 'country 等于 ''CN'''),
  ($$not country = 'CN'$$, 'country is not ''CN''', 'country 不等于 ''CN'''),
  ($$not age < 3$$, 'it is not so that age is less than 3', '以下不成立：age 小于 3'),
  ($$age between 18 and 35$$, 'age is between 18 and 35', 'age 在 18 与 35 之间（含两端）'),
  ($$country in ('CN', 'US')$$, 'country is one of ''CN'', ''US''', 'country 是以下之一：''CN''、''US'''),
  ($$"first name" is missing$$, '"first name" is not known', '"first name" 没有值'),
  ($$city not contains 'x'$$, 'city does not contain ''x''', 'city 不包含 ''x'''),
  ($$tags has all ('a', 'b')$$, 'tags has all of ''a'', ''b''', 'tags 同时含有：''a''、''b'''),
  ($$renewal in next 1 month$$, 'renewal lies in the next month', 'renewal 在未来 1 个月内'),
  ($$seen before last 2 years$$, 'seen lies before the last 2 years', 'seen 早于最近 2 年'),
  ($$did(refund last 1 day)$$, 'they did refund at least once in the last day', '最近 1 天内 refund 至少 1 次'),
  ($$not did(refund or chargeback last 90 days)$$, 'they did not do refund or chargeback in the last 90 days', '最近 90 天内没有 refund 或 chargeback'),
  ($$count(buy) = 1$$, 'they did buy exactly once at any time', '至今 buy 恰好 1 次'),
  ($$count(buy this month) > 2$$, 'they did buy more than 2 times this month', '本月 buy 多于 2 次'),
  ($$count(buy previous day) < 1$$, 'they did not do buy yesterday', '昨天没有 buy'),
  ($$not count(buy this day) < 2$$, 'it is not so that they did buy fewer than 2 times today', '以下不成立：今天 buy 少于 2 次'),
  ($$days(visit previous week) >= 1$$, 'they did visit on at least 1 day in the previous week', '上周有 visit 的天数：至少 1 天'),
  ($$days(visit between 60 days ago and 30 days ago) <= 3$$, 'they did visit on at most 3 different days between 60 and 30 days ago', '从 60 天前到 30 天前有 visit 的天数：至多 3 天'),
  ($$sum(value of buy between 2 weeks ago and 1 day ago where channel = 'email' and (amount > 3 or gift = true)) >= 500$$,
   'the sum of money of their buy events between 2 weeks and 1 day ago, where the channel is ''email'' and (amount is more than 3 or gift is true), is at least 500',
   '从 2 周前到 1 天前 buy（只计：渠道 等于 ''email'' 且 （amount 大于 3 或 gift 等于 true））的 金额 合计 不小于 500'),
  ($$distinct(product_id of buy since '2024-01-01' until '2024-06-01') >= 3$$, 'the number of different values of product_id of their buy events from 2024-01-01 to before 2024-06-01 is at least 3', '自 2024-01-01 起，2024-06-01 之前 buy 的 product_id 不同取值的个数 不小于 3'),
  ($$last(coupon of buy) starts with 'X'$$, 'the last known coupon of their buy events at any time starts with ''X''', '至今 buy 的 coupon 最后一个已知值 以 ''X'' 开头'),
  ($$first_time(buy last 30 days)$$, 'they did buy for the first time in the last 30 days', '最近 30 天内首次有 buy'),
  ($$regularly(buy in at least 1 of 1 month)$$, 'they did buy in at least 1 of the last 1 complete month', '最近 1 个完整的月中至少有 1 个月有 buy'),
  ($$regularly(buy in at least 3 of 4 weeks)$$, 'they did buy in at least 3 of the last 4 complete weeks', '最近 4 个完整的周中至少有 3 周有 buy'),
  ($$stopped(buy between 180 days ago and 30 days ago)$$, 'they did buy between 180 and 30 days ago but not since', '从 180 天前到 30 天前有 buy，此后没有'),
  ($$resumed(buy after 60 days last 7 days where amount > 5)$$, 'they did buy in the last 7 days after a pause of at least 60 days, where amount is more than 5', '最近 7 天内又有 buy（只计：amount 大于 5），之前至少停了 60 天'),
  ($$not segment vip$$, 'they are not in the segment vip', '不属于分群 vip'),
  ($$list "press 2025"$$, 'they are on the list "press 2025"', '在名单 "press 2025" 中'),
  ($$trait rfm_r >= 4$$, 'the trait rfm_r is at least 4', '特征 rfm_r 不小于 4'),
  ($$not top 10% by ltv$$, 'they are not among the top 10% by ltv', '按 ltv 排名不在前 10%'),
  ($$bottom 100 by trait clv$$, 'they are among the bottom 100 by the trait clv', '按特征 clv 排名在后 100 名'),
  ($$consent marketing by email$$, 'they consent to marketing by email', '同意用途 marketing（渠道 email）'),
  ($$holdout global$$, 'they are in the group control of the holdout global', '在留出组 global 的 control 组中');
SELECT is(cdp.segment_describe(cdp.segment_rule(t)), CASE WHEN id <= 2 THEN en ELSE 'Customers for whom this holds: ' || en || '.' END, 'English: ' || left(t, 50)) FROM said ORDER BY id;
SELECT is(cdp.segment_describe(cdp.segment_rule(t), 'zh'), CASE WHEN id <= 2 THEN zh ELSE '满足以下条件的客户：' || zh || '。' END, 'Chinese: ' || left(t, 50)) FROM said ORDER BY id;

SELECT is(cdp.segment_describe(cdp.segment_rule($$a = 1 and (b = 2 or c = 3 and not (d = 4 or e = 5)) and seq("cart add" -> buy within 7 days same product_id -> no refund within 1 day; last 90 days; total 14 days; without cancel where x = 1; ties order); time zone 'Asia/Shanghai'; nulls sql$$)),
'Customers for whom all of these hold:
- a is 1
- at least one of these holds:
  - b is 2
  - all of these hold:
    - c is 3
    - none of these holds:
      - d is 4
      - e is 5
- they did one after the other, the first in the last 90 days, the last at most 14 days after it:
  1. "cart add"
  2. buy at most 7 days later with the same product_id
  3. no refund for 1 day after it
  with no cancel in between, where x is 1
  counting events of the same moment as they were recorded
Days and months are those of Asia/Shanghai.
A comparison with a missing value is unknown, and so is its opposite; customers of whom the whole is unknown are left out.', 'groups, steps, zone and nulls');
SELECT is(cdp.segment_describe(cdp.segment_rule($$not (a = 1 and (b = 2 or c = 3)) or seq("cart add" -> buy within 7 days same product_id -> no refund within 1 day; last 90 days; total 14 days; without cancel; ties order)$$), 'zh'),
'满足以下至少一个条件的客户：
- 不同时满足以下全部条件：
  - a 等于 1
  - 满足以下至少一个条件：
    - b 等于 2
    - c 等于 3
- 依次发生，第一步在最近 90 天内，从第一步到最后一步不超过 14 天：
  1. "cart add"
  2. buy，距上一步不超过 7 天，与上一步相同的 product_id
  3. 没有 refund，直到上一步之后 1 天
  其间没有 cancel
  同一时刻的事件按记录的先后计', 'the same in Chinese');

-- What stands in a value or a name can not look like more of the rule.
SELECT is(cdp.segment_describe('{"v": 1, "where": {"all": [{"attr": "city", "eq": "a'' and b\n- they are in the segment vip"}, {"list": "x\" or y\ny"}]}}'), E'Customers for whom all of these hold:\n- city is ''a'''' and b?- they are in the segment vip''\n- they are on the list "x"" or y?y"', 'quotes are doubled and lines not broken');
SELECT is(cdp.segment_describe('{"v": 1, "where": {"attr": "a\tb", "eq": "O''Brien"}}', 'zh'), '满足以下条件的客户："a?b" 等于 ''O''''Brien''。', 'in Chinese, too');

-- Groups of two or three plain comparisons: what is said tells how they nest, so different rules are said differently.
SELECT setseed(0.1) \g /dev/null
CREATE FUNCTION pg_temp.tree(depth integer) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  RETURN CASE WHEN depth > 0 AND random() < 0.7 THEN jsonb_build_object(twin.pick('all', 'any'), jsonb_build_array(pg_temp.tree(depth - 1), pg_temp.tree(depth - 1)))
    WHEN depth > 0 AND random() < 0.3 THEN jsonb_build_object('not', jsonb_build_object(twin.pick('all', 'any'), jsonb_build_array(pg_temp.tree(depth - 1), pg_temp.tree(depth - 1))))
    ELSE jsonb_build_object('attr', twin.pick('a', 'b'), twin.pick('lt', 'gt'), 1) END;
END $$;
CREATE TEMP TABLE tree AS SELECT DISTINCT jsonb_build_object('v', 1, 'where', pg_temp.tree(3)) AS j FROM generate_series(1, 3000);
SELECT cmp_ok((SELECT count(*) FROM tree), '>', 1000::bigint, 'many ways to nest');
SELECT is((SELECT count(DISTINCT cdp.segment_describe(j)) FROM tree), (SELECT count(*) FROM tree), 'each is told in its own words');
SELECT lives_ok('SELECT cdp.segment_describe(j), cdp.segment_describe(j, ''zh''), cdp.segment_describe(j, ''expansion'')::jsonb FROM (SELECT twin.segment_rule(0.1) AS j FROM generate_series(1, 1000)) x', 'whatever a rule says can be told');

SELECT is(cdp.segment_describe(cdp.segment_rule($$first_time(buy last 30 days where a = 1) or not first_time(buy last 3 months) or stopped(x or y between 6 months ago and 2 months ago)
  or regularly(buy in at least 3 of 4 weeks where a = 1) or resumed(buy after 60 days last 7 days) or did(z)$$), 'expansion')::jsonb,
'{"v": 1, "where": {"any": [
  {"all": [{"did": "buy", "last": "30 days", "where": {"prop": "a", "eq": 1}}, {"not": {"did": "buy", "between": ["36500 days", "30 days"], "where": {"prop": "a", "eq": 1}}}]},
  {"not": {"all": [{"did": "buy", "last": "3 months"}, {"not": {"did": "buy", "between": ["100 years", "3 months"]}}]}},
  {"all": [{"did": ["x", "y"], "between": ["6 months", "2 months"]}, {"not": {"did": ["x", "y"], "last": "2 months"}}]},
  {"did": "buy", "where": {"prop": "a", "eq": 1}, "periods": {"unit": "week", "of": 4, "gte": 3}},
  {"did": "buy", "last": "7 days", "gap": {"gte": "60 days"}},
  {"did": "z"}]}}'::jsonb, 'what named behaviours stand for');
SELECT is(cdp.segment_describe('city = ''Xian''', l), cdp.segment_describe('{"v": 1, "where": {"attr": "city", "eq": "Xian"}}'::jsonb, l), 'a rule as text is told the same: ' || l) FROM unnest('{zh}'::text[]) l;
SELECT throws_ok('SELECT cdp.segment_describe(''{"v": 1, "where": {"all": []}}'', ''fr'')', '22023', 'rules cannot be described in this language', 'a language that is not there');
SELECT * FROM finish();
ROLLBACK;
