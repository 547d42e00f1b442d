-- Ticks end where a pass over everybody would, whatever happened in between and in whatever order; membership of any past
-- moment is what it was. Every step commits, so without a transaction around.
SELECT plan(10);
\ir segment_world.inc
SELECT cdp.upload_list('press', 'email', '{}'), cdp.upload_list('staff', 'email', '{}');
SELECT setseed(0.1);
SELECT pg_temp.an_event(-n) FROM generate_series(1, 12) n;
SELECT cdp.create_segment(v.name, v.rule, 'service') FROM public.variant v WHERE v.nth = 1 ORDER BY v.name = 'both', v.name;

CREATE TABLE public.outcome (n int, what text, ran text, reason text, entered bigint, wrong text, late bigint);
CREATE TABLE public.seen (run_id bigint, as_of timestamptz, segment_id int, members bytea);
CREATE FUNCTION pg_temp.go(n integer, seed double precision) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  what text := pg_temp.step(n);
  r record;
  late bigint;
BEGIN
  r := cdp.segment_tick((SELECT w.at FROM public.world w));
  late := cdp_internal.list_arrivals();
  INSERT INTO public.outcome VALUES (n, what, r.kind, r.reason, r.entered, pg_temp.differences(), late);
  INSERT INTO public.seen SELECT (SELECT max(x.run_id) FROM cdp_data.segment_run x), r.at, s.segment_id, cdp_internal.segment_bits(s.segment_id) FROM cdp_data.segment s WHERE s.segment_id % 4 = n % 4;
END $$;
SELECT format('SELECT CASE WHEN %1$s %% 35 = 0 THEN setseed(%1$s / 1000.0) END, pg_temp.go(%1$s, 0)', n) FROM generate_series(1, 140) n \gexec

SELECT is((SELECT string_agg(format('%s. %s (%s): %s', o.n, o.what, o.ran, o.wrong), E'\n' ORDER BY o.n) FROM public.outcome o WHERE o.wrong IS NOT NULL), NULL, 'after every step a pass finds what the ticks found');
SELECT is((SELECT sum(late) FROM public.outcome), 0::numeric, 'nobody on a list came in unseen');
SELECT cmp_ok((SELECT count(*) FROM public.outcome WHERE ran = 'tick'), '>', 80::bigint, 'most steps needed changed customers only');
SELECT cmp_ok((SELECT count(*) FROM public.outcome WHERE ran = 'tick' AND entered > 0), '>', 25::bigint, 'of whom some entered');
SELECT cmp_ok((SELECT count(DISTINCT cause) FROM cdp_data.segment_transition), '>=', 6::bigint, 'for every sort of cause');
SELECT cmp_ok((SELECT count(*) FROM (SELECT segment_id FROM cdp_data.segment_transition WHERE entered GROUP BY 1) x), '>=', 20::bigint, 'into all sorts of segments');
SELECT is((SELECT count(*) FROM cdp_data.segment_defect), 0::bigint, 'no defects yet');
SELECT is((SELECT defects FROM cdp.audit_segments((SELECT at FROM public.world))), 0::bigint, 'nor does an audit find any');
-- The past: what each moment was found to be, less who was erased since. A moment that runs came back to is told by the last of them.
CREATE TABLE public.gone AS SELECT (SELECT cdp.roaring_build(customer_id) FROM cdp_data.erased_customer) AS bits;
SELECT is_empty($$SELECT s.run_id, s.segment_id FROM public.seen s, public.gone g
  WHERE s.run_id = (SELECT max(r.run_id) FROM cdp_data.segment_run r WHERE r.as_of <= s.as_of)
    AND s.members IS NOT NULL AND cdp.roaring_andnot(s.members, g.bits) <> cdp_internal.segment_bits_at(s.segment_id, s.as_of)$$, 'members of the past are those that were seen then');
SELECT is_empty($$SELECT t.segment_id, t.customer_id FROM (SELECT x.*, lag(x.entered) OVER (PARTITION BY x.segment_id, x.customer_id ORDER BY x.transition_id) AS was FROM cdp_data.segment_transition x) t
  WHERE t.entered = coalesce(t.was, false)$$, 'who enters was out, who leaves was in');
SELECT * FROM finish();
