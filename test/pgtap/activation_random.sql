-- Whatever happens, in whatever order: after each run and the job, every destination was told exactly of those who belong there, by
-- another computation; a withdrawal needs neither. Holdouts, priorities, channels and the minimum audience among them. Steps commit.
SELECT plan(9);
\ir segment_world.inc
SELECT cdp.upload_list('press', 'email', '{}'), cdp.upload_list('staff', 'email', '{}');
SELECT setseed(0.1);
SELECT pg_temp.an_event(-n) FROM generate_series(1, 20) n;
SELECT cdp.create_segment(v.name, v.rule, 'service') FROM public.variant v WHERE v.nth = 1 AND v.name IN ('buyers', 'idle', 'days', 'tagged', 'campaign') ORDER BY v.name;
SELECT cdp.create_segment('a', 'not segment buyers', 'marketing', 'email'), cdp.create_segment('b', 'segment idle', 'personalisation'), cdp.create_segment('c', 'did(visit last 20 days) or did(purchase)', 'personalisation'),
  cdp.create_segment('d', 'everybody', 'service'), cdp.create_segment('e', 'segment buyers', 'personalisation');
SELECT cdp.add_destination('mail', 'marketing', 'email'), cdp.add_destination('site', 'personalisation'), cdp.add_destination('app', 'personalisation', attributes => '{city,taste}'), cdp.add_destination('desk', 'service'), cdp.add_destination('wall', 'personalisation');
SELECT count(cdp.record_consent('shop', 'marketing', 'granted', jsonb_build_object('email', 'p' || i || '@example.org'))) FROM generate_series(0, 11) i;
SELECT kind FROM cdp.segment_tick('2026-02-10 08:00+00');
SELECT cdp.create_activation('a', 'a', 'mail', '{email}', holdout => 'half'), cdp.create_activation('b', 'b', 'site', priority_group => 'g', priority => 2), cdp.create_activation('c', 'c', 'app', '{email,cookie}', '{city,taste}', 'tenth', 'g', 1),
  cdp.create_activation('d', 'd', 'desk'), cdp.create_activation('e', 'e', 'wall', priority_group => 'g', priority => 2);

CREATE TABLE public.has (activation text, customer_id bigint, sequence bigint, PRIMARY KEY (activation, customer_id));
CREATE TABLE public.count_of (kind text, n bigint);
CREATE FUNCTION pg_temp.deliver(d text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE m record;
BEGIN
  FOR m IN SELECT * FROM cdp.outbox_take(d, 1000) t LOOP
    INSERT INTO public.count_of VALUES (m.kind, 1);
    IF random() < 0.2 THEN
      -- not delivered, or delivered and not reported: it comes once more
      CONTINUE WHEN random() < 0.5 AND cdp.outbox_failed(m.outbox_id, 'timeout');
    END IF;
    IF m.kind = 'audience_add' THEN
      INSERT INTO public.has AS h VALUES (m.payload ->> 'activation', (m.payload ->> 'customer')::bigint, (m.payload ->> 'sequence')::bigint) ON CONFLICT (activation, customer_id) DO UPDATE SET sequence = excluded.sequence;
    ELSIF m.kind = 'erase' THEN
      DELETE FROM public.has h USING cdp_data.activation a WHERE a.name = h.activation AND a.destination = d AND m.payload -> 'customers' @> to_jsonb(h.customer_id);
    ELSE
      DELETE FROM public.has h WHERE h.activation = m.payload ->> 'activation' AND h.customer_id = (m.payload ->> 'customer')::bigint;
    END IF;
    PERFORM cdp.outbox_sent(m.outbox_id) WHERE random() < 0.9;
  END LOOP;
  UPDATE cdp_data.outbox o SET next_attempt_at = now() - interval '1 second' WHERE o.state IN ('waiting', 'taken');
END $$;
-- Who belongs where, one customer at a time.
CREATE FUNCTION pg_temp.belongs() RETURNS TABLE (activation text, customer_id bigint) LANGUAGE sql AS $$
  WITH fit AS (
    SELECT a.activation_id, a.name, a.priority_group, a.priority, a.holdout_id, m AS customer_id
    FROM cdp_data.activation a JOIN cdp_data.segment s USING (segment_id) JOIN cdp_data.destination d USING (destination) CROSS JOIN LATERAL cdp.segment_members(s.name) m
    WHERE a.state <> 'ended' AND cdp_internal.root_of(m) = m AND cdp.consent_allowed(m, s.purpose, d.channel) AND cdp.consent_allowed(m, 'analytics')
  )
  SELECT f.name, f.customer_id FROM fit f
  WHERE NOT EXISTS (SELECT FROM fit o WHERE o.customer_id = f.customer_id AND f.priority_group <> '' AND o.priority_group = f.priority_group AND (o.priority, o.activation_id) < (f.priority, f.activation_id))
    AND (f.holdout_id IS NULL OR cdp.holdout_arm((SELECT h.name FROM cdp_data.holdout h WHERE h.holdout_id = f.holdout_id), f.customer_id) = 'treatment')
$$;
CREATE FUNCTION pg_temp.told_wrong() RETURNS text LANGUAGE sql AS $$
  SELECT string_agg(format('%s: %s%s', coalesce(b.activation, t.name), CASE WHEN b.activation IS NULL THEN '-' ELSE '+' END, coalesce(b.customer_id, t.customer_id)), ' ')
  FROM pg_temp.belongs() b FULL JOIN (SELECT a.name, m.customer_id FROM cdp_data.activation_member m JOIN cdp_data.activation a USING (activation_id) WHERE m.is_in AND a.state <> 'ended') t ON t.name = b.activation AND t.customer_id = b.customer_id
  WHERE b.activation IS NULL AND (SELECT a.state FROM cdp_data.activation a WHERE a.name = t.name) = 'active' OR t.name IS NULL AND (SELECT a.state FROM cdp_data.activation a WHERE a.name = b.activation) = 'active'
$$;
-- Whom the destinations were told to have though they may not be used.
CREATE FUNCTION pg_temp.refused() RETURNS text LANGUAGE sql AS $$
  SELECT string_agg(format('%s: %s', a.name, m.customer_id), ' ')
  FROM cdp_data.activation_member m JOIN cdp_data.activation a USING (activation_id) JOIN cdp_data.segment s USING (segment_id) JOIN cdp_data.destination d USING (destination)
  WHERE m.is_in AND a.state <> 'ended' AND NOT (cdp.consent_allowed(m.customer_id, s.purpose, d.channel) AND cdp.consent_allowed(m.customer_id, 'analytics'))
$$;
CREATE TABLE public.outcome (n int, what text, refused text, wrong text, stale text, changed bigint);
CREATE FUNCTION pg_temp.go(n integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE what text := pg_temp.step(n); a text; refused text;
BEGIN
  IF random() < 0.15 THEN
    SELECT x.name INTO a FROM cdp_data.activation x WHERE x.state = 'active' ORDER BY random() LIMIT 1;
    CASE floor(random() * 3)::int WHEN 0 THEN PERFORM cdp.pause_activation(x.name) FROM cdp_data.activation x WHERE x.name = a; WHEN 1 THEN PERFORM cdp.reconcile_activation(a, ARRAY(SELECT h.customer_id FROM public.has h WHERE h.activation = a)) WHERE a IS NOT NULL;
      ELSE PERFORM cdp.resume_activation(x.name) FROM cdp_data.activation x WHERE x.state = 'paused'; END CASE;
  END IF;
  IF random() < 0.3 THEN
    PERFORM cdp.record_consent('shop', 'personalisation', pg_temp.pick('{granted,withdrawn}'), pg_temp.someone(), channel => 'email');
    PERFORM cdp.add_destination('site', 'personalisation', pg_temp.pick('{"",email}'));
  END IF;
  refused := CASE WHEN what = 'consent' THEN pg_temp.refused() END;
  PERFORM cdp.segment_tick((SELECT w.at FROM public.world w));
  PERFORM cdp.sync_activations();
  INSERT INTO public.outcome SELECT n, what, refused, pg_temp.told_wrong(), (SELECT string_agg(x.stale, ' ') FROM cdp_data.activation x WHERE x.state = 'active'), (SELECT max(m.sequence) FROM cdp_data.activation_member m);
  PERFORM pg_temp.deliver(d.destination) FROM cdp_data.destination d WHERE random() < 0.6;
END $$;
SELECT format('SELECT CASE WHEN %1$s %% 15 = 0 THEN setseed(%1$s / 1000.0) END, pg_temp.go(%1$s)', n) FROM generate_series(1, 75) n \gexec

SELECT is((SELECT string_agg(format('%s. %s: %s', o.n, o.what, o.wrong), E'\n' ORDER BY o.n) FROM public.outcome o WHERE o.wrong IS NOT NULL), NULL, 'after every step the destinations were told of those who belong there');
SELECT is((SELECT string_agg(format('%s. %s: %s', o.n, o.what, o.refused), E'\n' ORDER BY o.n) FROM public.outcome o WHERE o.refused IS NOT NULL), NULL, 'and right after what people say of nobody who may not be used');
SELECT is((SELECT string_agg(DISTINCT o.stale, ' ') FROM public.outcome o), NULL, 'nothing is left to tell');
SELECT cmp_ok((SELECT count(DISTINCT changed) FROM public.outcome), '>', 15::bigint, 'in many steps something was told');
SELECT cdp.end_holdout('half');
SELECT cdp.resume_activation(x.name) FROM cdp_data.activation x WHERE x.state = 'paused';
SELECT count(*) FROM cdp.sync_activations();
SELECT pg_temp.deliver(d.destination) FROM cdp_data.destination d, generate_series(1, 8);
SELECT is((SELECT count(*) FROM cdp_data.outbox o WHERE o.state IN ('waiting', 'taken') AND o.kind LIKE 'audience%' AND o.attempts = 0), 0::bigint, 'all was delivered at least once');
SELECT is((SELECT string_agg(DISTINCT kind, ' ' ORDER BY kind) FROM public.count_of WHERE kind <> 'erase'), 'audience_add audience_remove audience_withdraw', 'messages of every sort');
SELECT results_eq($$SELECT h.activation COLLATE "C", h.customer_id FROM public.has h ORDER BY 1, 2$$, $$SELECT b.activation COLLATE "C", b.customer_id FROM pg_temp.belongs() b ORDER BY 1, 2$$, 'the destinations have who belongs there, though messages failed and came twice');
SELECT cmp_ok((SELECT count(*) FROM (SELECT activation FROM public.has GROUP BY 1) x), '>=', 4::bigint, 'in most activations somebody is');
UPDATE cdp_data.setting SET minimum_audience = 10000;
SELECT cdp.record_consent('shop', 'analytics', 'granted', jsonb_build_object('email', 'new' || i || '@example.org')) IS NOT NULL FROM generate_series(1, 3) i;
SELECT count(*) FROM cdp.segment_tick((SELECT w.at FROM public.world w));
SELECT is((SELECT count(*) FROM cdp_data.activation_member m WHERE m.customer_id = cdp.customer_of('email', 'new1@example.org')), 0::bigint, 'nobody is added where that would be about too few');
SELECT * FROM finish();
