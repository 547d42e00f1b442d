-- Connector room, watch: what the figures of channels say about where to put work and money. Each rule gives rows with what it
-- measured, its test, and what is missing when it cannot be made; one function judges them all together.

CREATE OR REPLACE FUNCTION cdp_internal.advice_sums(until date, days integer)
RETURNS TABLE (connection text, stream text, metric text, standard text, currency text, recent numeric, recent_days bigint, previous numeric, previous_days bigint)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
BEGIN
  RETURN QUERY
  SELECT c.name::text, s.name::text, x.metric, x.standard, x.currency, sum(x.value) FILTER (WHERE x.day > until - days), count(x.value) FILTER (WHERE x.day > until - days),
    sum(x.value) FILTER (WHERE x.day <= until - days), count(x.value) FILTER (WHERE x.day <= until - days)
  FROM cdp_data.connection c CROSS JOIN LATERAL cdp_internal.channel_series(c.connection_id, until - 2 * days + 1, until) x JOIN cdp_data.stream s ON s.connection_id = c.connection_id AND s.stream_id = x.stream_id
  WHERE c.state IN ('live', 'degraded') AND x.standard IS NOT NULL AND x.kind = 'sum' AND x.state IN ('final', 'restated')
  GROUP BY c.name, s.name, x.metric, x.standard, x.currency;
END
$$;
COMMENT ON FUNCTION cdp_internal.advice_sums(date, integer) IS
'Sums of each metric with a name that channels share, of live connections, over the final ones of so many days up to until (recent) and of as many before (previous), and how many days that were.';

CREATE OR REPLACE FUNCTION cdp_internal.advice_quality(until date)
RETURNS TABLE (rule_id text, connection text, subject text, p double precision, holds boolean, missing text, severity text, insight text, action text, evidence jsonb, impact numeric, impact_unit text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
BEGIN
  RETURN QUERY
  SELECT 'A01', c.name::text, 'quality', NULL::double precision, q.score < c.min_quality, CASE WHEN q.score IS NULL THEN 'a quality of the last seven days: CALL cdp.watch()' END, 'high',
    format('The quality of its data is %s, %s %s; the worst is stream %s with %s.', q.score, CASE WHEN q.score < c.min_quality THEN 'below' ELSE 'not below' END, c.min_quality, q.worst_stream, q.worst_score),
    format('Mend stream %s before anything is decided by these figures.', q.worst_stream), jsonb_build_object('score', q.score, 'limit', c.min_quality, 'worst_stream', q.worst_stream, 'worst_score', q.worst_score, 'day', q.day), NULL::numeric, NULL
  FROM cdp_data.connection c LEFT JOIN LATERAL (SELECT x.* FROM cdp_bi.channel_quality x WHERE x.connection_id = c.connection_id AND x.day BETWEEN until - 6 AND until + 7 ORDER BY x.day DESC LIMIT 1) q ON true
  WHERE c.state IN ('live', 'degraded');
END
$$;
COMMENT ON FUNCTION cdp_internal.advice_quality(date) IS 'A01 of cdp.channel_advice(): connections whose quality is below min_quality.';

CREATE OR REPLACE FUNCTION cdp_internal.advice_trend(until date, days integer)
RETURNS TABLE (rule_id text, connection text, subject text, p double precision, holds boolean, missing text, severity text, insight text, action text, evidence jsonb, impact numeric, impact_unit text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
BEGIN
  RETURN QUERY
  WITH moved AS (
    SELECT s.*, t.n, t.level, t.slope, t.low, t.high, t.weekly, t.p, t.change_day, t.before, t.after, t.change_p, CASE WHEN s.standard IN ('lost_followers', 'refunds') THEN -1 ELSE 1 END * t.weekly AS better
    FROM cdp_internal.advice_sums(until, days) s LEFT JOIN cdp.channel_trends(NULL, 2 * days, until) t ON t.connection_name = s.connection AND t.stream = s.stream AND t.metric = s.metric AND coalesce(t.currency, '') = s.currency
    WHERE s.standard NOT IN ('spend')
  )
  SELECT CASE WHEN m.better >= 0 THEN 'A03' ELSE 'A02' END, m.connection, concat_ws(' ', m.stream, m.metric, nullif(m.currency, '')), m.p, abs(m.better) >= 0.03,
    CASE WHEN m.p IS NULL OR m.n < 28 THEN format('28 final days; there are %s', coalesce(m.n, m.recent_days + m.previous_days)) WHEN m.better IS NULL THEN 'a level above 0' END,
    CASE WHEN m.better >= 0 THEN 'low' WHEN m.better <= -0.1 THEN 'high' ELSE 'medium' END,
    format('%s %s by %s %% a week (level %s a day, %s days)%s.', m.metric, CASE WHEN m.slope >= 0 THEN 'grows' ELSE 'falls' END, round(abs(m.weekly * 100)::numeric, 1), round(m.level::numeric, 1), m.n,
      CASE WHEN m.change_p < 0.01 THEN format('; its level was %s before %s and %s since', round(m.before::numeric, 1), m.change_day, round(m.after::numeric, 1)) END),
    CASE WHEN m.better < 0 THEN format('Look at what changed%s: content, frequency, budget, contact ways.', CASE WHEN m.change_p < 0.01 THEN ' about ' || m.change_day END)
      ELSE 'Keep on with what was done lately, and see how far it carries.' END,
    jsonb_build_object('days', m.n, 'level', round(m.level::numeric, 4), 'slope', round(m.slope::numeric, 6), 'slope_low', round(m.low::numeric, 6), 'slope_high', round(m.high::numeric, 6), 'weekly', round(m.weekly::numeric, 6),
      'change_day', m.change_day, 'before', m.before, 'after', m.after, 'change_p', m.change_p), round((7 * 7 * m.slope)::numeric, 1), format('%s a week, after one more week like these', m.metric)
  FROM moved m;
END
$$;
COMMENT ON FUNCTION cdp_internal.advice_trend(date, integer) IS
'A02 (a metric gets worse) and A03 (it gets better) of cdp.channel_advice(): the trend of each metric over twice the days (cdp.channel_trends()), at least 3 % of the level a week. Lost followers and refunds get worse when they grow.';

CREATE OR REPLACE FUNCTION cdp_internal.advice_loss(until date, days integer)
RETURNS TABLE (rule_id text, connection text, subject text, p double precision, holds boolean, missing text, severity text, insight text, action text, evidence jsonb, impact numeric, impact_unit text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
BEGIN
  RETURN QUERY
  WITH pair AS (
    SELECT l.connection, l.stream, round(l.recent)::bigint AS lost, round(n.recent)::bigint AS won, round(l.previous)::bigint AS lost_before, round(n.previous)::bigint AS won_before
    FROM cdp_internal.advice_sums(until, days) l JOIN cdp_internal.advice_sums(until, days) n ON n.connection = l.connection AND n.stream = l.stream AND n.standard = 'new_followers' WHERE l.standard = 'lost_followers'
  )
  SELECT 'A04', x.connection, x.stream || ' followers', d.p_value, d.difference > 0, CASE WHEN least(x.won + x.lost, x.won_before + x.lost_before) >= 30 THEN NULL ELSE format('30 followers won or lost in %s final days and in those before; there are %s and %s', days, coalesce(x.won + x.lost, 0), coalesce(x.won_before + x.lost_before, 0)) END,
    CASE WHEN x.lost > x.won THEN 'high' ELSE 'medium' END,
    format('For %s who came %s went; in the %s days before, for %s who came %s went.', x.won, x.lost, days, x.won_before, x.lost_before),
    'Look at what was sent before people left, how often, and where those who left had come from.',
    jsonb_build_object('won', x.won, 'lost', x.lost, 'won_before', x.won_before, 'lost_before', x.lost_before, 'difference', round(d.difference::numeric, 6), 'low', round(d.low::numeric, 6), 'high', round(d.high::numeric, 6)),
    round((x.lost - (x.won + x.lost) * x.lost_before::numeric / nullif(x.won_before + x.lost_before, 0)), 1), format('fewer followers lost in %s days, at the share of before', days)
  FROM pair x LEFT JOIN LATERAL cdp.rate_difference(x.lost, x.won + x.lost, x.lost_before, x.won_before + x.lost_before) d ON least(x.won + x.lost, x.won_before + x.lost_before) >= 30;
END
$$;
COMMENT ON FUNCTION cdp_internal.advice_loss(date, integer) IS
'A04 of cdp.channel_advice(): of those who came or went, more went than in the days before (cdp.rate_difference()).';

CREATE OR REPLACE FUNCTION cdp_internal.advice_price(rule text, names text[], results numeric[], spends numeric[], result_name text, currency text)
RETURNS TABLE (rule_id text, connection text, subject text, p double precision, holds boolean, missing text, severity text, insight text, action text, evidence jsonb, impact numeric, impact_unit text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
BEGIN
  RETURN QUERY
  WITH one AS (
    SELECT u.name, round(greatest(u.result, 0))::bigint AS n, u.spend, sum(round(greatest(u.result, 0))) OVER ()::bigint AS total, sum(u.spend) OVER () AS money, count(*) OVER () AS channels
    FROM unnest(names, results, spends) AS u (name, result, spend) WHERE u.spend > 0
  ), tested AS (
    SELECT o.*, o.money - o.spend AS other_money, o.total - o.n AS others, (o.spend / o.money)::double precision AS share FROM one o
  )
  SELECT rule, t.name, result_name, least(1, 2 * cdp.binomial_tail(t.n, t.total, t.share, false)), t.n * t.other_money < 0.8 * t.others * t.spend,
    CASE WHEN t.channels < 2 THEN format('another channel with spend in %s', currency) WHEN t.total * t.share < 10 OR t.total * (1 - t.share) < 10 THEN format('%s of which at least 10 would be expected here and elsewhere by the spend; there are %s in all', result_name, t.total) END,
    'high', format('%s %s for %s %s here, %s for %s %s on the other channels.', t.n, result_name, round(t.spend, 2), currency, t.others, round(t.other_money, 2), currency),
    'Move a part of the budget to the other channels, keep the rest the same, and compare again after four weeks: an association is no cause.',
    jsonb_build_object('results', t.n, 'spend', round(t.spend, 2), 'cost', round(t.spend / nullif(t.n, 0), 4), 'other_results', t.others, 'other_spend', round(t.other_money, 2), 'other_cost', round(t.other_money / nullif(t.others, 0), 4), 'currency', currency, 'share_of_spend', round(t.share::numeric, 6)),
    round(t.spend * t.others / nullif(t.other_money, 0) - t.n, 1), format('%s more for the same money, at the cost of the other channels', result_name)
  FROM tested t;
END
$$;
COMMENT ON FUNCTION cdp_internal.advice_price(text, text[], numeric[], numeric[], text, text) IS
'Of channels (names) with results for their spends in one currency, each against all others: does it bring fewer results than by its share of the spend? Exact binomial test, two-sided, given the results of all. Holds when its results for the money are below 80 % of the others''.';

CREATE OR REPLACE FUNCTION cdp_internal.advice_cost(until date, days integer)
RETURNS TABLE (rule_id text, connection text, subject text, p double precision, holds boolean, missing text, severity text, insight text, action text, evidence jsonb, impact numeric, impact_unit text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
BEGIN
  RETURN QUERY
  WITH s AS MATERIALIZED (
    SELECT x.connection, x.standard, x.currency, sum(x.recent) AS recent FROM cdp_internal.advice_sums(until, days) x GROUP BY x.connection, x.standard, x.currency
  ), pair AS (
    SELECT r.standard, m.currency, array_agg(r.connection ORDER BY r.connection) AS names, array_agg(r.recent ORDER BY r.connection) AS results, array_agg(m.recent ORDER BY r.connection) AS spends
    FROM s r JOIN s m ON m.connection = r.connection AND m.standard = 'spend' AND m.recent > 0 WHERE r.standard IN ('orders', 'leads', 'new_followers', 'clicks') AND r.recent IS NOT NULL
    GROUP BY r.standard, m.currency
  )
  SELECT a.* FROM pair p CROSS JOIN LATERAL cdp_internal.advice_price('A05', p.names, p.results, p.spends, p.standard, p.currency) a;
END
$$;
COMMENT ON FUNCTION cdp_internal.advice_cost(date, integer) IS
'A05 of cdp.channel_advice(): orders, leads, new followers or clicks for the spend, as the channels themselves tell both, compared between connections in one currency.';

CREATE OR REPLACE FUNCTION cdp_internal.advice_attributed(until date, days integer)
RETURNS TABLE (rule_id text, connection text, subject text, p double precision, holds boolean, missing text, severity text, insight text, action text, evidence jsonb, impact numeric, impact_unit text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
  zone text;
  money text;
  names text[];
  results numeric[];
  spends numeric[];
BEGIN
  SELECT t.timezone, t.currency INTO zone, money FROM cdp_data.setting t;
  BEGIN
    SELECT array_agg(a.label ORDER BY a.label), array_agg(a.conversions ORDER BY a.label), array_agg(a.spend ORDER BY a.label) INTO names, results, spends
    FROM cdp.attribution(models => '{linear}', since => (until - days + 1)::timestamp AT TIME ZONE zone, until => (until + 1)::timestamp AT TIME ZONE zone) a WHERE a.spend > 0 AND a.conversions IS NOT NULL;
  EXCEPTION WHEN insufficient_privilege OR data_exception THEN
    RETURN QUERY SELECT 'A06', NULL::text, 'attributed conversions', NULL::double precision, false, format('an attribution report: %s', SQLERRM), 'high', NULL, NULL, '{}'::jsonb, NULL::numeric, NULL;
    RETURN;
  END;
  IF names IS NULL THEN
    RETURN QUERY SELECT 'A06', NULL::text, 'attributed conversions', NULL::double precision, false, format('spend of channels in the %s days up to %s (cdp_data.spend)', days, until), 'high', NULL, NULL, '{}'::jsonb, NULL::numeric, NULL;
    RETURN;
  END IF;
  RETURN QUERY SELECT * FROM cdp_internal.advice_price('A06', names, results, spends, 'attributed conversions', money);
END
$$;
COMMENT ON FUNCTION cdp_internal.advice_attributed(date, integer) IS
'A06 of cdp.channel_advice(): conversions that the linear model of cdp.attribution() gives to channels, for what was spent on them (cdp_data.spend), each channel against the others.';

CREATE OR REPLACE FUNCTION cdp_internal.advice_content(until date, days integer)
RETURNS TABLE (rule_id text, connection text, subject text, p double precision, holds boolean, missing text, severity text, insight text, action text, evidence jsonb, impact numeric, impact_unit text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
BEGIN
  RETURN QUERY
  WITH told AS MATERIALIZED (
    SELECT m.connection_id, m.content_kind, m.content_id, m.standard, sum(m.value) AS n
    FROM cdp_data.channel_metric m JOIN cdp_data.connection c USING (connection_id)
    WHERE c.state IN ('live', 'degraded') AND m.content_id IS NOT NULL AND m.day BETWEEN until - days + 1 AND until AND NOT m.is_total AND m.kind <> 'ratio' AND m.standard IN ('impressions', 'views', 'viewers', 'reach', 'likes', 'comments', 'shares')
    GROUP BY m.connection_id, m.content_kind, m.content_id, m.standard
  ), content AS (
    -- What it is seen by: the first of these that the content has.
    SELECT t.connection_id, t.content_kind, t.content_id,
      round(coalesce(max(t.n) FILTER (WHERE t.standard = 'impressions'), max(t.n) FILTER (WHERE t.standard = 'views'), max(t.n) FILTER (WHERE t.standard = 'viewers'), max(t.n) FILTER (WHERE t.standard = 'reach')))::bigint AS tries,
      round(sum(t.n) FILTER (WHERE t.standard IN ('likes', 'comments', 'shares')))::bigint AS hits
    FROM told t GROUP BY t.connection_id, t.content_kind, t.content_id
  ), fit AS (
    SELECT x.*, count(*) OVER w AS contents, sum(x.hits) OVER w - x.hits AS other_hits, sum(x.tries) OVER w - x.tries AS other_tries
    FROM content x WHERE x.tries >= 100 AND x.hits BETWEEN 0 AND x.tries WINDOW w AS (PARTITION BY x.connection_id, x.content_kind)
  ), best AS (
    SELECT DISTINCT ON (f.connection_id, f.content_kind) f.* FROM fit f ORDER BY f.connection_id, f.content_kind, f.hits::numeric / f.tries DESC, f.content_id
  )
  SELECT 'A07', c.name::text, concat_ws(' ', b.content_kind, b.content_id), least(1, d.p_value * b.contents), d.lift >= 0.5, CASE WHEN b.contents < 3 THEN format('three contents of kind %s that were seen 100 times; there are %s', b.content_kind, b.contents) END, 'low',
    format('%s of %s who saw it reacted (%s %%), of the other %s %s %%.', b.hits, b.tries, round(100.0 * b.hits / b.tries, 1), b.contents - 1, round(100.0 * b.other_hits / nullif(b.other_tries, 0), 1)),
    'Make more like it, and see whether these do as well: the best of many is in part the luckiest.',
    jsonb_build_object('content', b.content_id, 'kind', b.content_kind, 'reactions', b.hits, 'seen', b.tries, 'contents', b.contents, 'other_reactions', b.other_hits, 'other_seen', b.other_tries, 'lift', round(d.lift::numeric, 4), 'tests', b.contents), NULL::numeric, NULL
  FROM best b JOIN cdp_data.connection c USING (connection_id) LEFT JOIN LATERAL cdp.rate_difference(b.hits, b.tries, b.other_hits::bigint, b.other_tries::bigint) d ON b.contents >= 3;
END
$$;
COMMENT ON FUNCTION cdp_internal.advice_content(date, integer) IS
'A07 of cdp.channel_advice(): of each kind of content of a connection the one with the most reactions (likes, comments, shares) for those who saw it, against all others together: half as many again, and p times the contents that were compared (Bonferroni).';

CREATE OR REPLACE FUNCTION cdp.channel_advice(days integer DEFAULT 28, until date DEFAULT NULL, attribution boolean DEFAULT true, discovery double precision DEFAULT 0.1)
RETURNS TABLE (rule_id text, connection_name text, subject text, status text, severity text, insight text, action text, evidence jsonb, expected_impact numeric, impact_unit text, confidence double precision, p_value double precision, q_value double precision)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_variable
DECLARE
  last_day date := coalesce(until, (SELECT max(c.day) FROM cdp_data.coverage c WHERE c.state = 'final'));
BEGIN
  PERFORM cdp_internal.require_setup();
  IF days IS NULL OR days NOT BETWEEN 14 AND 365 OR NOT isfinite(until) OR attribution IS NULL OR NOT (discovery > 0 AND discovery < 1) THEN
    RAISE EXCEPTION 'days are from 14 to 365, discovery lies between 0 and 1' USING ERRCODE = 'invalid_parameter_value', DETAIL = format('Got %s days until %s, discovery %s.', days, until, discovery);
  ELSIF last_day IS NULL THEN
    RETURN; -- no day of any channel is final
  END IF;
  RETURN QUERY
  WITH trust AS MATERIALIZED (
    SELECT a.* FROM cdp_internal.advice_quality(last_day) a
  ), found AS MATERIALIZED (
    SELECT * FROM trust
    UNION ALL SELECT a.* FROM cdp_internal.advice_trend(last_day, days) a UNION ALL SELECT a.* FROM cdp_internal.advice_loss(last_day, days) a UNION ALL SELECT a.* FROM cdp_internal.advice_cost(last_day, days) a
    UNION ALL SELECT a.* FROM cdp_internal.advice_attributed(last_day, days) a WHERE attribution UNION ALL SELECT a.* FROM cdp_internal.advice_content(last_day, days) a
  ), shown AS (
    -- Figures that are not to be trusted prove nothing.
    SELECT f.*, coalesce(f.missing, CASE WHEN f.rule_id NOT IN ('A01', 'A06') THEN (SELECT format('data to be trusted: %s', t.insight) FROM trust t WHERE t.connection = f.connection AND t.holds) END) AS lacks, row_number() OVER (ORDER BY f.rule_id, f.connection, f.subject) AS n FROM found f
  ), judged AS (
    SELECT q.q, q.n FROM (SELECT array_agg(CASE WHEN s.lacks IS NULL THEN s.p END ORDER BY s.n) AS p FROM shown s) x CROSS JOIN LATERAL unnest(cdp.false_discovery(x.p)) WITH ORDINALITY AS q (q, n)
  )
  SELECT s.rule_id, s.connection, s.subject, v.status, s.severity, CASE WHEN s.lacks IS NULL THEN s.insight ELSE 'It takes ' || s.lacks END, CASE v.status WHEN 'recommended' THEN s.action END, coalesce(jsonb_strip_nulls(s.evidence), '{}'),
    CASE v.status WHEN 'recommended' THEN s.impact END, CASE WHEN v.status = 'recommended' AND s.impact IS NOT NULL THEN s.impact_unit END,
    CASE WHEN s.lacks IS NOT NULL THEN NULL WHEN s.p IS NULL THEN 1 ELSE 1 - j.q END, CASE WHEN s.lacks IS NULL THEN s.p END, CASE WHEN s.lacks IS NULL THEN j.q END
  FROM shown s JOIN judged j ON j.n = s.n
    CROSS JOIN LATERAL (SELECT CASE WHEN s.lacks IS NOT NULL THEN 'insufficient data' WHEN s.holds AND coalesce(j.q, 0) <= discovery THEN 'recommended' ELSE 'no evidence' END AS status) v
  ORDER BY array_position('{recommended,no evidence,insufficient data}'::text[], v.status), array_position('{high,medium,low}'::text[], s.severity), s.rule_id, s.connection, s.subject;
END
$$;
COMMENT ON FUNCTION cdp.channel_advice(integer, date, boolean, double precision) IS
'What the figures of live channels say about where to put work and money, over so many days up to until (NULL: the last final day): a row for each thing that a rule looked at. A01: data below their quality, to be mended first; A02, A03: a metric gets worse or better, over twice the days; A04: more of those who come leave again than before; A05: fewer results for the spend than other channels, as they tell it; A06: the same with attributed conversions (attribution => false leaves it out); A07: a content that people react to more than to others. status: recommended (it holds, and its q_value is at most discovery), no evidence (it was tested and does not), insufficient data (insight says what it takes; also where the data of the connection are not to be trusted). evidence: the numbers as JSON; expected_impact in impact_unit, when things go on as assumed there. p_value: of the rule''s test; q_value: its false discovery rate among all tests made here (Benjamini and Hochberg 1995); confidence: 1 - q_value, of A01, which stands on a fact, 1. Tests take days and people as independent, which they are not quite; all of it is association, not cause. Only days that are final count. Writes nothing. Errors: 22023 out of range; 55000 before cdp.setup().';
