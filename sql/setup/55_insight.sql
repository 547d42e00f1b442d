-- Segment room, insight: of whom segments are made up, kept for reports, and views for BI tools.

-- step: segment_composition
CREATE TABLE IF NOT EXISTS cdp_data.segment_composition (
  segment_id integer NOT NULL,
  attribute text COLLATE "C" NOT NULL,
  value text COLLATE "C" NOT NULL,
  place integer NOT NULL,
  members bigint NOT NULL,
  everybody bigint NOT NULL,
  as_of timestamptz NOT NULL,
  PRIMARY KEY (segment_id, attribute, value)
);
COMMENT ON TABLE cdp_data.segment_composition IS 'How many members of each segment, and of all customers, have which value of which internal attribute. Written by cdp.refresh_segment_profiles(), read best through cdp_bi.segment_profile. Counts only, and no word that fewer than five customers share.';
COMMENT ON COLUMN cdp_data.segment_composition.value IS 'A word, a range of numbers or moments, (other): rarer words together, (none): no value.';
COMMENT ON COLUMN cdp_data.segment_composition.place IS 'Order of the values of an attribute: words by frequency, ranges ascending.';
COMMENT ON COLUMN cdp_data.segment_composition.everybody IS 'Of all who may be used for analytics.';

-- step: again: what segment compositions are
SELECT cdp_internal.declare_impersonal('segment', 'cdp_data.segment_composition', '{*}', 'counts of customers for words that at least five share');
SELECT cdp_internal.declare_mixed_sources('cdp_data.segment_composition');
SELECT cdp_internal.declare_grant(t.template, 'SELECT', 'TABLE', 'cdp_data.segment_composition') FROM unnest(array['admin', 'analyst', 'marketer', 'privacy']) AS t (template);
SELECT cdp_internal.declare_job('segment_profiles', 'segment', 'SELECT cdp.refresh_segment_profiles()', '1 day at 04:30', 'Counts of whom segments are made up, for cdp_bi.segment_profile.');

-- step: again: insight views
CREATE OR REPLACE VIEW cdp_bi.segment_overlap WITH (security_invoker = true) AS
  SELECT o.a::varchar(200) AS a, o.b::varchar(200) AS b, o.customers_a, o.customers_b, o.common, o.share_of_a, o.share_of_b, o.jaccard, o.lift FROM cdp.segment_overlap() o;
COMMENT ON VIEW cdp_bi.segment_overlap IS 'How many members each two segments share: cdp.segment_overlap() of all active and paused ones.';
CREATE OR REPLACE VIEW cdp_bi.segment_duplicate WITH (security_invoker = true) AS
  SELECT o.a::varchar(200) AS a, o.b::varchar(200) AS b, o.customers_a, o.customers_b, o.common, o.jaccard FROM cdp.segment_overlap() o WHERE o.a < o.b AND o.jaccard >= 0.95;
COMMENT ON VIEW cdp_bi.segment_duplicate IS 'Pairs of active or paused segments with nearly the same members: of those in either at least 95 in 100 are in both. One of them may be enough.';
CREATE OR REPLACE VIEW cdp_bi.segment_profile WITH (security_invoker = true) AS
  SELECT x.segment_id, x.segment, x.attribute, x.value, x.place, CASE WHEN x.see THEN x.members END AS members, CASE WHEN x.see THEN x.everybody END AS everybody,
    CASE WHEN x.see THEN x.members::double precision / nullif(x.all_members, 0) END AS share_of_members, CASE WHEN x.see THEN x.everybody::double precision / nullif(x.all_customers, 0) END AS share_of_everybody,
    CASE WHEN x.see THEN (x.members::double precision / nullif(x.all_members, 0)) / nullif(x.everybody::double precision / nullif(x.all_customers, 0), 0) END AS lift, x.as_of
  FROM (
    -- Small groups are not told, nor one more beside them: without it the sum of the others would tell them. That one has at least
    -- as many in it as the minimum where they have few (big), or all of the attribute is hidden. What few of everybody have, and
    -- one value beside it (beside), is hidden for every segment alike: the rows of one would tell those of another.
    SELECT h.*, NOT h.hid AND NOT coalesce(h.all_members BETWEEN 1 AND h.least_people - 1, false) AND NOT (bool_or(h.few) OVER w AND NOT bool_or(h.beside AND NOT h.few AND h.big) OVER w
      AND (row_number() OVER (PARTITION BY h.segment_id, h.attribute, h.hid ORDER BY h.big DESC, h.members, h.everybody, h.value) = 1 OR NOT bool_or(h.big AND NOT h.hid) OVER w)) AS see
    FROM (
      SELECT z.*, z.few OR z.rare OR z.beside AS hid
      FROM (
        SELECT y.*, y.few_in OR y.few_out AS few,
          (y.members >= y.least_people OR NOT bool_or(y.few_in) OVER w) AND (y.everybody - y.members >= y.least_people OR NOT bool_or(y.few_out) OVER w) AS big,
          bool_or(y.rare) OVER w AND NOT y.rare AND row_number() OVER (PARTITION BY y.segment_id, y.attribute, y.rare ORDER BY y.everybody, y.value) = 1 AS beside
        FROM (
          SELECT s.segment_id, s.name::varchar(200) AS segment, c.attribute::varchar(200) AS attribute, c.value::varchar(200) AS value, c.place, c.members, c.everybody, c.as_of, g.minimum_audience AS least_people,
            coalesce(c.members BETWEEN 1 AND g.minimum_audience - 1, false) AS few_in, coalesce(c.everybody - c.members BETWEEN 1 AND g.minimum_audience - 1, false) AS few_out,
            coalesce(c.everybody < g.minimum_audience, false) AS rare, sum(c.members) OVER w AS all_members, sum(c.everybody) OVER w AS all_customers
          FROM cdp_data.segment_composition c JOIN cdp_data.segment s ON s.segment_id = c.segment_id CROSS JOIN cdp_data.setting g
          WINDOW w AS (PARTITION BY c.segment_id, c.attribute)) y
        WINDOW w AS (PARTITION BY y.segment_id, y.attribute)) z) h
    WINDOW w AS (PARTITION BY h.segment_id, h.attribute)) x;
COMMENT ON VIEW cdp_bi.segment_profile IS 'Of whom each active or paused segment is made up against all customers, by internal attributes and figures of profiles, as the nightly job counted them. With a minimum audience (cdp_data.setting) figures about fewer people are NULL, and those beside them that would tell them.';
CREATE OR REPLACE VIEW cdp_bi.segment_unused WITH (security_invoker = true) AS
  SELECT s.segment_id, s.name::varchar(200) AS segment, s.state::varchar(20) AS state, s.owner::varchar(200) AS owner, s.created_at, coalesce(t.customers, 0) AS customers, u.last_used AS last_used_at,
    (now()::date - coalesce(u.last_used, s.created_at)::date)::integer AS unused_days
  FROM cdp_data.segment s LEFT JOIN cdp_data.segment_state t ON t.segment_id = s.segment_id
    LEFT JOIN (SELECT x.segment_id, max(x.last_used) AS last_used, bool_or(x.last_used IS NULL) AS now_used FROM cdp.segment_uses() x GROUP BY x.segment_id) u ON u.segment_id = s.segment_id
  WHERE s.state IN ('active', 'paused') AND NOT coalesce(u.now_used, false) AND coalesce(u.last_used, s.created_at) < now() - interval '30 days';
COMMENT ON VIEW cdp_bi.segment_unused IS 'Active and paused segments that nothing uses now, nor used in the last 30 days: cdp.segment_uses() tells what is a use. Reading members by hand is none, for it leaves no trace.';
SELECT cdp_internal.declare_column(v.views::text[], v.name, v.meaning) FROM (VALUES
  ('{segment_overlap,segment_duplicate}', 'a', 'Name of a segment.'),
  ('{segment_overlap,segment_duplicate}', 'b', 'Name of another segment (in segment_overlap also the same).'),
  ('{segment_overlap,segment_duplicate}', 'customers_a', 'Members of a; NULL: too few to be told.'),
  ('{segment_overlap,segment_duplicate}', 'customers_b', 'Members of b; NULL: too few to be told.'),
  ('{segment_overlap,segment_duplicate}', 'common', 'Members of both; NULL: too few to be told.'),
  ('{segment_overlap}', 'share_of_a', 'common by customers_a (0 to 1).'),
  ('{segment_overlap}', 'share_of_b', 'common by customers_b (0 to 1).'),
  ('{segment_overlap,segment_duplicate}', 'jaccard', 'common by those in either: 1 for the same members.'),
  ('{segment_overlap}', 'lift', 'How many times more members of one are in the other than of everybody: 1 for as many. NULL: nobody in one, or no pass yet.'),
  ('{segment_profile,segment_unused}', 'segment_id', 'Number of the segment.'),
  ('{segment_profile,segment_unused}', 'segment', 'Name of the segment.'),
  ('{segment_profile}', 'attribute', 'Name of an internal attribute or figure of profiles.'),
  ('{segment_profile}', 'value', 'A word, a range, (other): rarer words, (none): no value.'),
  ('{segment_profile}', 'place', 'Order of the values of the attribute.'),
  ('{segment_profile}', 'members', 'Members who have the value; NULL: too few to be told.'),
  ('{segment_profile}', 'everybody', 'Customers who have the value; NULL: too few to be told.'),
  ('{segment_profile}', 'share_of_members', 'members by all members (0 to 1).'),
  ('{segment_profile}', 'share_of_everybody', 'everybody by all customers (0 to 1).'),
  ('{segment_profile}', 'lift', 'share_of_members by share_of_everybody: 1 for as many.'),
  ('{segment_profile}', 'as_of', 'When it was counted.'),
  ('{segment_unused}', 'state', 'active or paused.'),
  ('{segment_unused}', 'owner', 'Who answers for it; NULL: nobody is named.'),
  ('{segment_unused}', 'created_at', 'When it was made.'),
  ('{segment_unused}', 'customers', 'Members as of the last run.'),
  ('{segment_unused}', 'last_used_at', 'When something last used it; NULL: never.'),
  ('{segment_unused}', 'unused_days', 'Days since then, or since it was made.')
) AS v (views, name, meaning);

-- step: again: grants of insight views
SELECT cdp_internal.declare_grant(t.template, 'SELECT', 'TABLE', 'cdp_bi.' || r.name)
FROM unnest(array['admin', 'analyst', 'marketer', 'privacy']) AS t (template), unnest(array['segment_overlap', 'segment_duplicate', 'segment_profile', 'segment_unused']) AS r (name);
