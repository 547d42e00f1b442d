-- Types of customer value.
CREATE TYPE cdp.customer_summary AS (
  key text,
  frequency integer,
  recency double precision,
  t_age double precision,
  monetary double precision,
  total numeric,
  first_at timestamptz,
  last_at timestamptz,
  holdout_frequency integer,
  holdout_total numeric
);
COMMENT ON TYPE cdp.customer_summary IS
'What a customer''s purchases come to, made by cdp.rfm_pass. key: his id as text; frequency: purchases (at most one a period) after the first; recency: from the first to the last one; t_age: from the first one to the end of what is known (as_of), both in the unit asked for; monetary: mean value of the purchases after the first (with include_first of all), less refunds, NULL without any; total: value of all purchases less refunds; first_at and last_at: times of the first and the last purchase; holdout_frequency and holdout_total: purchases, and their value less refunds, of as_of <= time < holdout_until, NULL when no holdout was asked for.';
