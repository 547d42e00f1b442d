-- The fraud score: known answers, a plain-SQL twin on random cases, laws, tests of Kolmogorov and Smirnov, addresses, bad input.
BEGIN;
SELECT plan(58);

CREATE FUNCTION pg_temp.s(codes text[], v float8[], policy jsonb DEFAULT cdp.fraud_policy(), loss float8 DEFAULT NULL) RETURNS text LANGUAGE sql AS
  $$ SELECT format('%s %s %s', round(d.score::numeric, 6), d.decision, d.decided_by) FROM cdp.fraud_score_of(codes, v, NULL, policy, loss) d $$;

-- 1 - (1 - .95)(1 - .80)(1 - .60), by hand.
SELECT is(pg_temp.s('{self.phone,self.device,self.address}', '{1,1,1}'), '0.996000 reject score', 'three groups as independent causes');
SELECT is(pg_temp.s('{self.ip_ua,self.ip,self.ip24}', '{1,2,2}'), '0.600000 review score', 'of one group only the largest counts');
SELECT is(pg_temp.s('{self.ip}', '{2}'), '0.250000 approve score', 'two persons at an address: the whole weight');
SELECT is(pg_temp.s('{self.ip}', '{4}'), '0.125000 approve score', 'four: 1 / (1 + log2(4 / 2)) of it');
SELECT is(pg_temp.s('{self.ip}', '{64}'), '0.041667 approve score', 'an office of 64: a sixth');
SELECT is(pg_temp.s('{self.ip}', '{0}'), '0.000000 approve score', 'no common address');
SELECT is(pg_temp.s('{vel.referrer}', '{1e-3}'), '0.300000 approve score', 'a chance of 1e-3: 0.1 * 3');
SELECT is(pg_temp.s('{vel.referrer}', '{1e-12}'), '0.800000 review score', 'a chance of 1e-12: at most 0.8');
SELECT is(pg_temp.s('{vel.referrer}', '{0}'), '0.800000 review score', 'a chance that came out as 0');
SELECT is(pg_temp.s('{vel.referrer}', '{0.05}'), '0.000000 approve score', 'a chance of one in twenty says nothing');
SELECT is((SELECT string_agg(pg_temp.s('{ring.component}', ARRAY[n]), ', ' ORDER BY n) FROM unnest('{4,5,9,10,19,20,1000}'::float8[]) n),
  '0.000000 approve score, 0.600000 review score, 0.600000 review score, 0.800000 review score, 0.800000 review score, 0.850000 review density, 0.850000 review density', 'steps of a component; it never rejects');
SELECT is((SELECT string_agg(pg_temp.s('{ring.cycle}', ARRAY[n]), ', ' ORDER BY n) FROM unnest('{0,2,3,4,5}'::float8[]) n),
  '0.000000 approve score, 0.900000 review density, 0.700000 review score, 0.700000 review score, 0.000000 approve score', 'cycles up to length 4');
SELECT is((SELECT string_agg(pg_temp.s('{ctit.fast,ctit.flat}', v::float8[]), ', ' ORDER BY o) FROM (VALUES (1, '{0.99,1}'), (2, '{1,1}'), (3, '{NULL,9e-5}'), (4, '{2,1e-4}')) t (o, v)),
  '0.600000 review score, 0.000000 approve score, 0.600000 review score, 0.000000 approve score', 'limits are half-open');
SELECT is(pg_temp.s('{ring.component,self.ip}', '{30,2}'), '0.887500 review density', 'a ring and a common address: somebody has to look');
SELECT is(pg_temp.s('{ring.component,self.ip_ua}', '{30,1}'), '0.940000 reject score', 'a ring and what asks for a review by itself: rejected');

-- Lists, then hard rules, then the score.
SELECT is(pg_temp.s('{list.allow,self.phone}', '{1,1}'), '0.950000 approve allow', 'allowed, with the score beside it');
SELECT is(pg_temp.s('{list.block,self.ip}', '{1,2}'), '0.250000 reject block', 'blocked');
SELECT is(pg_temp.s('{list.block,list.allow}', '{1,1}'), '0.000000 approve allow', 'what is allowed by name outdoes a block');
SELECT is(pg_temp.s('{list.ban,list.allow}', '{1,1}'), '0.000000 reject ban', 'a ban outdoes all');
SELECT is(pg_temp.s('{hard.existing_customer,self.phone}', '{1,1}'), '0.950000 ineligible hard', 'not eligible');
SELECT is(pg_temp.s('{list.block,hard.same_person}', '{1,1}'), '0.000000 reject block', 'lists decide before hard rules');

-- Thresholds and costs.
SELECT is(pg_temp.s('{self.name_email_similar}', '{1}', cdp.fraud_policy(review_at => 0.3, reject_at => 0.35)), '0.350000 reject score', 'thresholds are reached, not passed');
SELECT is((SELECT string_agg(pg_temp.s('{self.name_email_similar}', '{1}', cdp.fraud_policy(cost_review => 2, cost_wrong => c), l), ', ' ORDER BY o) FROM (VALUES (1, 10, 5), (2, 10, 6), (3, 3, 20), (4, 3, 5), (5, 10, NULL)) t (o, c, l)),
  '0.350000 approve cost, 0.350000 review cost, 0.350000 reject cost, 0.350000 approve cost, 0.350000 approve score', 'the cheapest of 0.35 * loss, 2 and 0.65 * cost of a wrong rejection');
SELECT is(pg_temp.s('{ring.cycle}', '{2}', cdp.fraud_policy(cost_review => 2, cost_wrong => 3), 1e6), '0.900000 review density', 'density does not reject by costs either');
SELECT is(pg_temp.s('{ring.component}', '{5}', cdp.fraud_policy('{"ring.component": 0.425}')), '0.300000 approve score', 'another weight: steps keep their proportions');
SELECT is(pg_temp.s('{self.phone}', '{1}', cdp.fraud_policy('{"self.phone": 0}')), '0.000000 approve score', 'a weight of 0 switches a rule off');
SELECT is(pg_temp.s('{x}', '{0.5}', cdp.fraud_policy(own_rules => '[{"code": "x", "group": "y", "kind": "soft", "weight": 0.5, "shape": "share"}]', builtin => false)), '0.250000 approve score', 'a rule of one''s own');
SELECT ok(cdp.fraud_policy() ->> 'version' ~ '^1-[0-9a-f]{12}$' AND (SELECT count(DISTINCT p ->> 'version') FROM (VALUES (cdp.fraud_policy()), (cdp.fraud_policy('{"self.ip": 0.2}')), (cdp.fraud_policy(review_at => 0.4)), (cdp.fraud_policy())) v (p)) = 3, 'a stamp for each policy');

-- Reasons and what is missing.
SELECT is((SELECT jsonb_path_query_array(d.reasons, '$[*].code')::text FROM cdp.fraud_score_of('{self.address,self.ip_ua,ctit.fast,email.disposable,leak.coupon_site}', '{1,1,1,1,1}') d),
  '["email.disposable", "leak.coupon_site", "self.address", "self.ip_ua"]', 'reasons by weight, then code');
SELECT is((SELECT d.reasons::text FROM cdp.fraud_score_of('{self.ip,self.ip24}', '{4,2}', ARRAY['{"persons": 4, "ids": [1, 2]}', NULL]::jsonb[]) d),
  '[{"code": "self.ip24", "group": "network", "value": 2, "counts": true, "weight": 0.15, "effective": 0.15}, {"code": "self.ip", "group": "network", "value": 4, "counts": false, "weight": 0.25, "evidence": {"ids": [1, 2], "persons": 4}, "effective": 0.125}]', 'reasons tell what was measured');
SELECT is((SELECT d.degraded FROM cdp.fraud_score_of('{self.phone,self.device}', '{0,NULL}', NULL, cdp.fraud_policy('{"self.ip": 0}')) d),
  (SELECT array_agg(code ORDER BY code COLLATE "C") FROM cdp.fraud_rule_builtin() WHERE code NOT IN ('self.phone', 'self.ip')), 'what is not known is told; rules that are off are not');
SELECT is((SELECT count(*) FROM cdp.fraud_rule_builtin() WHERE code ~ '^ring\.' <> (kind = 'density')), 0::bigint, 'all rings are density');

-- Twin: the rules in plpgsql over random cases, under several policies.
CREATE TEMP TABLE policy AS SELECT row_number() OVER () AS id, p FROM (VALUES (cdp.fraud_policy()), (cdp.fraud_policy('{"ring.component": 0.5, "self.ip": 0.4, "vel.referrer": 0.33}', 0.3, 0.6)), (cdp.fraud_policy(cost_review => 1, cost_wrong => 4))) v (p);
CREATE TEMP TABLE rule AS SELECT o.id, r.value ->> 'code' AS code, r.value ->> 'group' AS grp, r.value ->> 'kind' AS kind, r.value ->> 'shape' AS shape, (r.value ->> 'weight')::float8 AS w,
    ARRAY(SELECT x::float8 FROM jsonb_array_elements_text(r.value -> 'at') x) AS at, ARRAY(SELECT x::float8 FROM jsonb_array_elements_text(r.value -> 'weights') x) AS weights
  FROM policy o, jsonb_array_elements(p -> 'rules') r;
SELECT setseed(0.73);
CREATE TEMP TABLE signal AS
  SELECT o.id, c AS nth, r.code, CASE WHEN r.kind IN ('ban', 'allow', 'block', 'hard') THEN (random() < 0.03)::int ELSE CASE r.shape WHEN 'flag' THEN (random() < 0.15)::int WHEN 'steps' THEN CASE WHEN random() < 0.25 THEN floor(random() * 25) ELSE 0 END
      WHEN 'below' THEN CASE WHEN random() < 0.2 THEN random() * 2e-4 ELSE 1 + random() END WHEN 'tail' THEN power(10, -random() * 12 * (random() < 0.4)::int) WHEN 'hub' THEN floor(random() * random() * 80) END END::float8 AS v,
    jsonb_build_object('n', floor(random() * 1000)) AS e
  FROM policy o CROSS JOIN generate_series(1, 400) c JOIN rule r USING (id) WHERE random() < 0.7;
CREATE INDEX ON signal (id, nth);
ANALYZE signal;
CREATE FUNCTION pg_temp.by_score(pol jsonb, c float8, loss float8) RETURNS text LANGUAGE sql AS $$ SELECT CASE
  WHEN pol ? 'cost_review' AND loss IS NOT NULL THEN CASE least(c * loss, (pol ->> 'cost_review')::float8, (1 - c) * (pol ->> 'cost_wrong')::float8)
    WHEN c * loss THEN 'approve' WHEN (pol ->> 'cost_review')::float8 THEN 'review' ELSE 'reject' END
  WHEN c >= (pol ->> 'reject_at')::float8 THEN 'reject' WHEN c >= (pol ->> 'review_at')::float8 THEN 'review' ELSE 'approve' END $$;
CREATE FUNCTION pg_temp.twin(policy_id bigint, nth int, loss float8, OUT score float8, OUT decision text, OUT codes text) LANGUAGE plpgsql AS $$
DECLARE
  r record; p float8 := 1; q float8 := 1; seen text[] := '{}'; seen_evident text[] := '{}'; fired text[] := '{}'; pol jsonb := (SELECT o.p FROM policy o WHERE o.id = policy_id); evident float8;
BEGIN
  codes := '';
  FOR r IN
    SELECT u.code, u.grp, u.kind, f.w FROM signal s JOIN rule u ON u.id = s.id AND u.code = s.code CROSS JOIN LATERAL (SELECT CASE WHEN u.kind IN ('ban', 'allow', 'block', 'hard') THEN s.v ELSE CASE u.shape
      WHEN 'flag' THEN CASE WHEN s.v > 0 THEN u.w ELSE 0 END WHEN 'below' THEN CASE WHEN s.v < u.at[1] THEN u.w ELSE 0 END
      WHEN 'steps' THEN coalesce(u.weights[(SELECT max(i) FROM generate_subscripts(u.at, 1) i WHERE u.at[i] <= s.v)], 0)
      WHEN 'tail' THEN CASE WHEN s.v < u.at[1] THEN least(u.w, -0.1::float8 * log(s.v)) ELSE 0 END
      WHEN 'hub' THEN CASE WHEN s.v < 1 THEN 0 WHEN s.v <= 2 THEN u.w ELSE u.w / (1 + ln(s.v / 2) / ln(2::float8)) END END END AS w) f
    WHERE s.id = policy_id AND s.nth = twin.nth AND f.w > 0 ORDER BY f.w DESC, u.code COLLATE "C"
  LOOP
    codes := codes || r.code || ' ';
    IF r.kind NOT IN ('soft', 'density') THEN fired := fired || r.kind; CONTINUE; END IF;
    IF r.grp <> ALL (seen) THEN p := p * (1 - r.w); seen := seen || r.grp; END IF;
    IF r.kind = 'soft' AND r.grp <> ALL (seen_evident) THEN q := q * (1 - r.w); seen_evident := seen_evident || r.grp; END IF;
  END LOOP;
  score := 1 - p; evident := 1 - q;
  decision := pg_temp.by_score(pol, score, loss);
  IF decision = 'reject' AND (evident <= 0 OR pg_temp.by_score(pol, evident, loss) = 'approve') THEN decision := 'review'; END IF;
  decision := CASE WHEN 'ban' = ANY (fired) THEN 'reject' WHEN 'allow' = ANY (fired) THEN 'approve' WHEN 'block' = ANY (fired) THEN 'reject' WHEN 'hard' = ANY (fired) THEN 'ineligible' ELSE decision END;
END $$;
CREATE TEMP TABLE got AS SELECT s.id, s.nth, l.loss, cdp.fraud_score_agg(s.code, s.v, s.e, o.p, l.loss) AS d
  FROM signal s JOIN policy o USING (id) CROSS JOIN LATERAL (SELECT CASE WHEN s.nth % 3 = 0 THEN (s.nth % 7)::float8 END AS loss) l GROUP BY s.id, s.nth, l.loss;
CREATE TEMP TABLE want AS SELECT g.id, g.nth, t.* FROM got g, pg_temp.twin(g.id, g.nth, g.loss) t;
SELECT is((SELECT count(*) FROM got), 1200::bigint, 'random cases');
SELECT cmp_ok((SELECT max(abs((g.d).score - w.score)) FROM got g JOIN want w USING (id, nth)), '<', 1e-14::float8, 'scores as the twin');
SELECT is((SELECT count(*) FROM got g JOIN want w USING (id, nth) WHERE (g.d).decision <> w.decision), 0::bigint, 'decisions as the twin');
SELECT is((SELECT count(*) FROM got g JOIN want w USING (id, nth) WHERE (SELECT coalesce(string_agg(r ->> 'code', ' ' ORDER BY o) || ' ', '') FROM jsonb_array_elements((g.d).reasons) WITH ORDINALITY t (r, o)) <> w.codes), 0::bigint, 'reasons and their order as the twin');
SELECT cmp_ok((SELECT count(DISTINCT (d).decision || (d).decided_by) FROM got), '>=', 8::bigint, 'the cases reach every road');
SELECT is((SELECT count(*) FROM got g WHERE (g.d).decision = 'reject' AND (g.d).decided_by IN ('score', 'cost') AND NOT EXISTS (SELECT FROM jsonb_array_elements((g.d).reasons) r WHERE r ->> 'code' !~ '^ring\.')), 0::bigint, 'nobody is rejected by rings alone');
-- Only rings, with all policies and losses.
SELECT is((SELECT count(*) FROM (SELECT cdp.fraud_score_agg(s.code, s.v, NULL, o.p, l) AS d FROM signal s JOIN policy o USING (id), unnest('{NULL,0,1,50,1e6}'::float8[]) l WHERE s.code ~ '^ring\.' GROUP BY s.id, s.nth, l) x WHERE (d).decision = 'reject'), 0::bigint, 'rings alone: no policy and no loss rejects');
SELECT is((SELECT count(*) FROM got g JOIN policy o USING (id), LATERAL (SELECT cdp.fraud_score_of(array_agg(s.code ORDER BY s.v, s.code), array_agg(s.v ORDER BY s.v, s.code), array_agg(s.e ORDER BY s.v, s.code), o.p, g.loss) AS d FROM signal s WHERE s.id = g.id AND s.nth = g.nth) f WHERE f.d::text <> g.d::text), 0::bigint, 'function and aggregate say the same to the last digit, in any order');
SELECT is((SELECT count(*) FROM (SELECT id, nth, cdp.fraud_score_agg(code, v, e, p, CASE WHEN nth % 3 = 0 THEN (nth % 7)::float8 END) AS d
  FROM (SELECT s.*, o.p FROM signal s JOIN policy o USING (id) UNION ALL SELECT s.id, s.nth, s.code, NULL, NULL, o.p FROM signal s JOIN policy o USING (id) UNION ALL SELECT s.id, s.nth, s.code, s.v, s.e, o.p FROM signal s JOIN policy o USING (id) ORDER BY 4 DESC NULLS LAST) a GROUP BY id, nth) x JOIN got g USING (id, nth) WHERE x.d::text <> g.d::text), 0::bigint, 'rows that come twice, or without a value, change nothing');

-- Kolmogorov, one-sided: critical values of Miller, JASA 51 (1956) 111-121, table 1.
CREATE FUNCTION pg_temp.miller(n int, d float8, side text) RETURNS float8 LANGUAGE sql AS
  $$ SELECT p_value FROM (SELECT array_agg(CASE side WHEN 'later' THEN least(1, d + (i - 1)::float8 / n) ELSE greatest(0, i::float8 / n - d) END) AS x FROM generate_series(1, n) i) s, cdp.ks_uniform(x, side) $$;
SELECT cmp_ok((SELECT max(abs(pg_temp.miller(n, d, side) - p) / p) FROM (VALUES (5, 0.50945, 0.05), (10, 0.36866, 0.05), (10, 0.45662, 0.01), (20, 0.26473, 0.05), (20, 0.35241, 0.005)) v (n, d, p), unnest('{later,earlier}'::text[]) side), '<', 3e-4::float8, 'critical values as published');
SELECT is((SELECT round(p_value::numeric, 12) FROM cdp.ks_uniform('{0.9,0.1,0.5}')), 0.645074074074, 'three values by hand: d = 7 / 30, d sum C(3,j) (d + j/3)^(j-1) (1 - d - j/3)^(3-j)');
SELECT is((SELECT k::text FROM cdp.ks_uniform('{}') k), '(,,0)', 'no sample, no answer');
-- Smirnov: all orders of the two samples, counted.
CREATE TEMP TABLE orders AS SELECT n, m, b, array_agg(i::float8 ORDER BY i) FILTER (WHERE b >> (i - 1) & 1 = 1) AS x, array_agg(i::float8 ORDER BY i) FILTER (WHERE b >> (i - 1) & 1 = 0) AS y
  FROM (VALUES (3, 4), (5, 5), (2, 7), (6, 4)) s (n, m), LATERAL generate_series(0, (1 << (n + m)) - 1) b, LATERAL generate_series(1, n + m) i WHERE length(replace(b::bit(12)::text, '0', '')) = n GROUP BY n, m, b;
CREATE TEMP TABLE smirnov AS SELECT o.n, o.m, side, k.statistic, k.p_value FROM orders o, unnest('{later,earlier}'::text[]) side, cdp.ks_two_samples(x, y, side) k;
SELECT cmp_ok((SELECT max(abs(p_value - share)) FROM (SELECT s.p_value, count(*) OVER (PARTITION BY n, m, side ORDER BY statistic DESC)::float8 / count(*) OVER (PARTITION BY n, m, side) AS share FROM smirnov s) t), '<', 1e-14::float8, 'p values are shares of all orders');
SELECT cmp_ok((SELECT abs(ln(e.p_value) / ln(a.p_value) - 1) FROM (SELECT array_agg(i::float8) AS x, array_agg(i + 168::float8) AS y FROM generate_series(1, 3136) i) s, cdp.ks_two_samples(y, x) e, (SELECT array_agg(i::float8) AS x, array_agg(i + 171::float8) AS y FROM generate_series(1, 3249) i) t, cdp.ks_two_samples(t.y, t.x) a), '<', 0.01::float8, 'exact and asymptotic p values meet');
SELECT cmp_ok((SELECT k.p_value FROM (SELECT array_agg(i::float8) AS x FROM generate_series(1, 30) i) a, cdp.ks_two_samples(a.x, ARRAY(SELECT i::float8 - 100 FROM generate_series(1, 60) i)) k), '<', 1e-23::float8, 'small p values keep their digits: 1 / C(90, 30) is about 1.5e-24');

-- Addresses.
SELECT is((SELECT array_agg((cdp.email_parts(a)).canonical ORDER BY o) FROM unnest('{"Li Wei <Li.Wei+shop@GoogleMail.com>",a+b+c@example.org,x@foxmail.com,x@me.com,pm@protonmail.com,+a@example.org,nobody,a@b}'::text[]) WITH ORDINALITY t (a, o)),
  '{liwei@gmail.com,a@example.org,x@qq.com,x@icloud.com,pm@proton.me,+a@example.org,NULL,NULL}', 'the mailbox behind an address');
SELECT is((SELECT string_agg(format('%s %s %s', p.stem, p.serial, p.is_role), ', ' ORDER BY o) FROM unnest('{user12@a.cn,u1@a.cn,tel13800001234@a.cn,info@a.cn,no-reply@a.cn,www@a.cn,abuse@a.cn,infos@a.cn}'::text[]) WITH ORDINALITY t (a, o), cdp.email_parts(a) p),
  'user 12 f, u  f, tel  f, info  t, no-reply  t, www  t, abuse  t, infos  f', 'running numbers and roles');
SELECT is((SELECT count(*) FROM (SELECT (cdp.email_parts(l || '@' || d)).canonical AS c FROM unnest('{a.b,A.B+x,user1,x+,o.k+1+2}'::text[]) l, unnest('{gmail.com,qq.com,foxmail.com,mac.com,example.org}'::text[]) d) x WHERE (cdp.email_parts(c)).canonical IS DISTINCT FROM c), 0::bigint, 'a canonical address stays as it is');
SELECT is((SELECT string_agg(cdp.emails_similar(a, b)::text, ' ' ORDER BY o) FROM (VALUES (1, 'zhangwei', 'zhangwie'), (2, 'zhangwei', 'liuyang1'), (3, 'bo', 'li'), (4, 'anna.schmidt', 'anna.schmidt2'), (5, 'maria.garcia', 'pedro.garcia')) v (o, a, b)), 'true false false true false', 'addresses that look alike');
SELECT is((SELECT count(*) FROM cdp.disposable_domain_builtin() d WHERE (cdp.email_parts('x@' || d)).domain IS DISTINCT FROM d), 0::bigint, 'the built-in domains are in canonical form');

-- Bad input.
SELECT throws_ok($$SELECT cdp.fraud_score_of('{self.phne}', '{1}')$$, '42704', 'no fraud rule of this policy has the code "self.phne"', 'an unknown code');
SELECT throws_ok($$SELECT cdp.fraud_score_of('{self.phone}', '{NaN}')$$, '22023', 'the value of a fraud signal must not be NaN', 'NaN');
SELECT throws_ok($$SELECT cdp.fraud_score_of('{self.phone}', '{1,2}')$$, '22023', 'codes, values and evidence must have one element per rule', 'lengths');
CREATE FUNCTION pg_temp.state(q text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN EXECUTE q; RETURN 'fine'; EXCEPTION WHEN OTHERS THEN RETURN SQLSTATE; END $$;
SELECT is((SELECT string_agg(pg_temp.state(format('SELECT cdp.fraud_score_of(''{}'', ''{}'', NULL, %L)', p)), ' ' ORDER BY o) FROM (VALUES (1, '1'), (2, '{}'), (3, '{"version": "1", "review_at": 0.5, "reject_at": 0.4, "rules": []}'), (4, '{"version": "1", "review_at": 0.5, "reject_at": 0.9, "rules": [1]}'),
    (5, '{"version": "1", "review_at": 0.5, "reject_at": 0.9, "rules": [{"code": "a", "group": "b", "kind": "soft", "weight": 1, "shape": "flag"}]}'), (6, '{"version": "1", "review_at": 0.5, "reject_at": 0.9, "rules": [{"code": "a", "group": "b", "kind": "soft", "weight": 0.1, "shape": "steps", "at": [2, 1], "weights": [0.1, 0.1]}]}'),
    (7, '{"version": "1", "review_at": 0.5, "reject_at": 0.9, "rules": [{"code": "a", "group": "b", "kind": "soft", "weight": 0.1, "shape": "flag"}, {"code": "a", "group": "b", "kind": "soft", "weight": 0.1, "shape": "flag"}]}'), (8, '{"version": "1", "review_at": 0.5, "reject_at": 0.9, "rules": []}')) v (o, p)),
  '22023 22023 22023 22023 22023 22023 22023 fine', 'policies that are none');
SELECT is((SELECT string_agg(pg_temp.state(q), ' ' ORDER BY o) FROM (VALUES (1, $$SELECT cdp.fraud_policy('{"x": 1}')$$), (2, $$SELECT cdp.fraud_policy('{"self.ip": 1}')$$), (3, $$SELECT cdp.fraud_policy('{"list.ban": 0}')$$), (4, $$SELECT cdp.fraud_policy(review_at => 'NaN')$$), (5, $$SELECT cdp.fraud_policy(cost_review => 1)$$), (6, $$SELECT cdp.fraud_policy(NULL)$$),
    (7, $$SELECT cdp.ks_uniform('{1.5}')$$), (8, $$SELECT cdp.ks_uniform('{NULL}')$$), (9, $$SELECT cdp.ks_two_samples('{1}', '{2}', 'x')$$), (10, $$SELECT cdp.ks_two_samples('{Infinity}', '{2}')$$), (11, $$SELECT cdp.fraud_score_of('{self.ip}', '{1}', NULL, cdp.fraud_policy(), -1)$$),
    (12, $$SELECT cdp.fraud_score_agg('self.ip', 1, NULL, cdp.fraud_policy(), l) FROM (VALUES (1), (2)) v (l)$$), (13, $$SELECT cdp.fraud_score_agg('self.ip', 1, NULL, NULL, NULL)$$)) v (o, q)),
  '22023 22023 22023 22023 22023 22023 22023 22004 22023 22023 22023 22023 22004', 'bad arguments have their codes');
SELECT ok(cdp.fraud_score_of(NULL, '{}') IS NULL AND cdp.fraud_score_of('{}', NULL) IS NULL AND cdp.fraud_score_of('{}', '{}', NULL, NULL) IS NULL AND (SELECT cdp.fraud_score_agg(NULL, 1, NULL, cdp.fraud_policy(), NULL) FROM generate_series(1, 0)) IS NULL
  AND (SELECT (cdp.fraud_score_agg(NULL, NULL, NULL, cdp.fraud_policy(), NULL)).decision FROM generate_series(1, 2)) = 'approve', 'NULL gives NULL; a case of which nothing is known is approved, and says what is missing');
SELECT * FROM finish();
ROLLBACK;
