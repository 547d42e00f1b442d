-- The gate of consent in attribution: after random consents, withdrawals, merges, unmerges and moved identifiers every
-- report equals the engine over plain joins without the rows of customers who are not allowed, by every road; roll-ups
-- follow through the change feed, and by the clock where a grant runs out without a word.
BEGIN;
SELECT plan(13 + 14 * 6);
SET client_min_messages = error;
\ir report_data.inc
CREATE FUNCTION pg_temp.figures(p cdp.attribution_partial) RETURNS text LANGUAGE sql AS
$$ SELECT string_agg(t::text, E'\n' ORDER BY model, label) FROM cdp.attribution_totals(p) t WHERE conversions <> 0 OR value <> 0 $$;
-- A refund that came under another customer counts, or is left out, with its conversion.
CREATE TABLE pg_temp.crossing (id bigint, customer bigint);
CREATE VIEW pg_temp.whose AS
SELECT coalesce(c.customer, f.customer) AS customer, f.at, f.id, f.kind, f.is_touch, f.is_conversion, f.channel, f.value, f.refers_to
FROM pg_temp.flat f LEFT JOIN pg_temp.crossing c ON c.id = f.refers_to WHERE f.flags = 0;
-- The oracle: who is allowed by the ledger, customer by customer, and the engine over the rest.
CREATE TABLE pg_temp.allowed (root bigint PRIMARY KEY);
CREATE FUNCTION pg_temp.settle() RETURNS bigint LANGUAGE sql AS $$
  TRUNCATE pg_temp.allowed, pg_temp.crossing;
  INSERT INTO pg_temp.crossing SELECT f.id, f.customer FROM pg_temp.flat f WHERE f.id IN (SELECT w.touchpoint_id FROM cdp_data.touchpoint_awaited w);
  INSERT INTO pg_temp.allowed SELECT c.customer_id FROM cdp_data.customer c, cdp.consent_at(c.customer_id, 'analytics') a WHERE c.parent_id = c.customer_id AND a.allowed;
  SELECT count(*) FROM pg_temp.allowed
$$;
CREATE FUNCTION pg_temp.oracle() RETURNS text LANGUAGE sql AS $$
  SELECT pg_temp.figures(cdp.attribution_pass(customer, at, CASE WHEN is_touch THEN channel END, value, cdp.attribution_options(models => '{last,linear,markov}', grouped_by => 'channel', time_zone => 'Asia/Shanghai'), id, kind, NULL::bigint, refers_to))
  FROM pg_temp.whose WHERE customer IN (TABLE pg_temp.allowed)
$$;
CREATE FUNCTION pg_temp.direct() RETURNS text LANGUAGE sql AS $$ SELECT pg_temp.figures(cdp.attribution_run(models => '{last,linear,markov}')) $$;
CREATE FUNCTION pg_temp.rollup() RETURNS text LANGUAGE sql AS $$ SELECT pg_temp.figures(cdp.attribution_rollup_run('main')) $$;

SELECT is(cdp_internal.consent_gate('analytics'), NULL, 'nobody refused: readers ask nothing per row');
SELECT is((SELECT jsonb_agg(l) FROM cdp.attribution_left_out() l), '[{"value": 0, "touches": 0, "customers": 0, "conversions": 0}]', 'and nothing is left out');
CREATE TEMP TABLE everybody AS SELECT pg_temp.direct() AS figures;
SELECT cdp.define_attribution_rollup('main', models => '{last,linear,markov}');
SELECT count(*) AS built FROM cdp.refresh_attribution();
-- A refund under another customer than its conversion, as loads note it.
INSERT INTO cdp_data.touchpoint (customer_id, identifier_id, occurred_at, origin_id, source_id, load_id, kind_id, value, currency, refers_to)
SELECT 17, 34, c.occurred_at + interval '1 day', c.origin_id, 900, 900, 80, -1, c.currency, c.touchpoint_id FROM cdp_data.touchpoint c WHERE c.kind_id = 60 AND c.customer_id = 20 AND c.flags = 0 ORDER BY 1 LIMIT 1;
INSERT INTO cdp_data.touchpoint_awaited (source_id, source_key, customer_id, touchpoint_id, first_at, last_at, load_id, owner_id, owner_identifier_id)
SELECT 900, 'x', 17, r.refers_to, r.occurred_at, r.occurred_at, 900, c.customer_id, c.identifier_id FROM cdp_data.touchpoint r JOIN cdp_data.touchpoint c ON c.touchpoint_id = r.refers_to WHERE r.customer_id = 17 AND r.value = -1;
SELECT cdp_internal.feed_write('{17, 20}', 'load');
SELECT cdp.record_consent('test source', 'analytics', 'denied', customer => 20);
SELECT is(pg_temp.settle(), 236::bigint, 'one refused, besides those that were merged away');
SELECT isnt(pg_temp.direct(), (SELECT figures FROM everybody), 'his conversions are out');
SELECT is(pg_temp.direct(), pg_temp.oracle(), 'with the refund that another customer brought');
SELECT is(pg_temp.rollup(), pg_temp.direct(), 'the roll-up as well');
SELECT is((SELECT l::text FROM cdp.attribution_left_out() l), (SELECT format('(%s,%s,%s,%s)', count(DISTINCT customer), count(*) FILTER (WHERE is_conversion AND kind <> 'refund'),
  round(sum(CASE WHEN kind = 'refund' THEN -abs(value) ELSE value END), 6), count(*) FILTER (WHERE is_touch)) FROM pg_temp.whose WHERE customer = 20), 'what is left out is told in figures');
SELECT is(pg_temp.figures(cdp.attribution_run(models => '{last}', customers => '{20}')), NULL, 'asked for alone, he has none');

CREATE FUNCTION pg_temp.change() RETURNS text LANGUAGE plpgsql AS $$
DECLARE a bigint := 1 + floor(random() * 240); b bigint := 1 + floor(random() * 240); ids bigint[];
BEGIN
  CASE floor(random() * 6)::int
    WHEN 0, 1, 2 THEN
      FOR i IN 1 .. 15 LOOP
        PERFORM cdp.record_consent('test source', 'analytics', (ARRAY['granted', 'denied', 'withdrawn', 'granted'])[1 + floor(random() * 4)::int],
          jsonb_build_object('user_id', 'p' || 2 + floor(random() * 480)::int), explicit => random() < 0.7,
          effective_at => now() - floor(random() * 20) * interval '1 day');
      END LOOP;
      RETURN '15 consents';
    WHEN 3 THEN
      a := cdp_internal.root_of(a); b := cdp_internal.root_of(b);
      UPDATE cdp_data.customer SET parent_id = b WHERE customer_id = a;
      ids := ARRAY[a, b];
    WHEN 4 THEN
      SELECT c.customer_id, cdp_internal.root_of(c.customer_id) INTO a, b FROM cdp_data.customer c WHERE c.parent_id <> c.customer_id ORDER BY random() LIMIT 1;
      UPDATE cdp_data.customer SET parent_id = customer_id WHERE customer_id = a;
      ids := ARRAY[a, b];
    ELSE
      INSERT INTO cdp_data.identifier_override VALUES (2 * a, b) ON CONFLICT (identifier_id) DO UPDATE SET customer_id = excluded.customer_id;
      ids := ARRAY(SELECT generate_series(1, 240));
  END CASE;
  PERFORM cdp_internal.feed_write(ids, 'merge') WHERE array_position(ids, NULL) IS NULL;
  RETURN 'people';
END $$;
CREATE FUNCTION pg_temp.rounds(n int) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE what text; want text; few bigint[];
BEGIN
  FOR round IN 1 .. n LOOP
    what := format('round %s: %s, then %s', round, pg_temp.change(), pg_temp.change());
    IF round = 8 THEN
      PERFORM cdp.set_purpose('analytics', rule => 'opt_in');
      PERFORM cdp.record_consent('test source', 'analytics', 'granted', jsonb_build_object('user_id', 'p' || 5 * i), explicit => i % 3 = 0) FROM generate_series(1, 90) i;
      PERFORM cdp.refresh_attribution();
      DELETE FROM cdp_data.change_feed; -- what this transaction wrote itself is never read
      what := what || ', from here on by opt_in';
    END IF;
    want := format('%s of 240', pg_temp.settle());
    what := what || ', allowed are ' || want;
    want := pg_temp.oracle();
    RETURN NEXT public.ok(pg_temp.direct() = want, what || ', direct');
    RETURN NEXT public.ok(pg_temp.rollup() = want, what || ', the roll-up live');
    few := ARRAY(SELECT customer_id FROM cdp_data.customer WHERE parent_id = customer_id AND customer_id % 7 = round % 7);
    RETURN NEXT public.is(pg_temp.figures(cdp.attribution_run(models => '{last}', customers => few)),
      (SELECT pg_temp.figures(cdp.attribution_pass(customer, at, CASE WHEN is_touch THEN channel END, value, cdp.attribution_options(models => '{last}', grouped_by => 'channel', time_zone => 'Asia/Shanghai'), id, kind, NULL::bigint, refers_to))
       FROM pg_temp.whose WHERE customer IN (TABLE pg_temp.allowed) AND customer = ANY (few)), what || ', some customers');
    RETURN NEXT public.is((SELECT count(*) FROM cdp.attribution_credit(models => '{last}', slice => 50) c WHERE c.customer_id NOT IN (TABLE pg_temp.allowed)), 0::bigint, what || ', credit names nobody else');
    PERFORM cdp.refresh_attribution();
    DELETE FROM cdp_data.change_feed;
    RETURN NEXT public.ok(pg_temp.rollup() = want, what || ', the roll-up stored');
    RETURN NEXT public.is((SELECT count(*) FROM cdp_data.attribution_journey j WHERE j.customer_id NOT IN (TABLE pg_temp.allowed)), 0::bigint, what || ', which keeps no journey of anybody else');
  END LOOP;
END $$;
SELECT pg_temp.rounds(14);

-- A grant that runs out, and a withdrawal of the future, need nobody to write anything. Time passes by data: what was said
-- and the roll-up's own moment are moved, as if a day had gone by since its refresh.
CREATE TEMP TABLE turn AS SELECT clock_timestamp() AS said, now() + interval '1 day' AS at, NULL::timestamptz AS past;
SELECT cdp.record_consent('test source', 'analytics', 'granted', '{"user_id": "p10"}', effective_at => said, expires_at => at),
  cdp.record_consent('test source', 'analytics', 'withdrawn', '{"user_id": "p15"}', effective_at => at) FROM turn;
SELECT count(*) AS refreshed FROM cdp.refresh_attribution();
DELETE FROM cdp_data.change_feed;
CREATE TEMP TABLE before AS SELECT pg_temp.settle() AS n, pg_temp.oracle() AS figures;
SELECT ok(pg_temp.rollup() = figures, 'before') FROM before;
UPDATE turn SET past = clock_timestamp();
UPDATE cdp_data.consent SET expires_at = past FROM turn WHERE expires_at = at;
UPDATE cdp_data.consent_state SET explicit_until = past FROM turn WHERE explicit_until = at;
UPDATE cdp_data.consent SET effective_at = past FROM turn WHERE effective_at = at;
UPDATE cdp_data.consent_state SET from_at = past, refused_at = past FROM turn WHERE from_at = at;
UPDATE cdp_data.attribution_rollup SET basis = jsonb_set(basis, '{gate_at}', to_jsonb(said)) FROM turn;
SELECT cmp_ok(pg_temp.settle(), '<', (SELECT n FROM before), 'the clock alone takes some out');
SELECT ok(pg_temp.direct() = pg_temp.oracle(), 'of the reports');
SELECT ok(pg_temp.rollup() = pg_temp.oracle(), 'and of the roll-up, though the feed says nothing');
SELECT count(*) AS refreshed FROM cdp.refresh_attribution();
SELECT ok(pg_temp.rollup() = pg_temp.oracle(), 'also stored');
SELECT * FROM finish();
ROLLBACK;
