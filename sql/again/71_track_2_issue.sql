-- Referral room, tracking: codes are issued, taken back, and made into links. One statement for however many advocates.

CREATE OR REPLACE FUNCTION cdp_internal.referral_words(kinds text[], places text[]) RETURNS text[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN ARRAY(SELECT w.word FROM cdp_data.referral_word_all w WHERE w.kind = ANY (kinds) AND w.place = ANY (places) ORDER BY w.word);
END
$$;
COMMENT ON FUNCTION cdp_internal.referral_words(text[], text[]) IS
'The words of cdp_data.referral_word_all of these kinds (rude, reserved) and places (anywhere, whole).';

CREATE OR REPLACE FUNCTION cdp.check_vanity_code(code text) RETURNS TABLE (problem text, message text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
  c record;
  word text;
BEGIN
  PERFORM cdp_internal.require_setup();
  c := cdp.referral_code_check(coalesce(check_vanity_code.code, ''));
  IF c.kind = 'random' OR c.valid AND regexp_replace(upper(c.folded), '-', '', 'g') ~ '^[2-9A-HJKMNP-Z]{9}$' THEN
    RETURN QUERY SELECT 'looks_random', 'nine symbols of the alphabet of random codes would be read as one of those: add or leave out a character';
    RETURN;
  ELSIF NOT c.valid THEN
    RETURN QUERY SELECT c.problem, CASE c.problem WHEN 'bad_character' THEN format('character %s is none of a-z, 0-9 and the dash', c.place) WHEN 'empty' THEN 'there is no letter or digit'
      WHEN 'too_short' THEN 'it has fewer than 3 characters' ELSE 'it has more than 50 characters' END;
    RETURN;
  END IF;
  IF c.folded ~ '^-|-$|--' THEN
    RETURN QUERY SELECT 'dashes', 'dashes stand between letters and digits, one at a time';
  END IF;
  word := cdp_internal.referral_code_word(c.folded, cdp_internal.referral_words('{rude}', '{anywhere}'), cdp_internal.referral_words('{rude}', '{whole}'));
  IF word IS NOT NULL THEN
    RETURN QUERY SELECT 'rude', format('the word "%s" can be read in it', word);
  END IF;
  word := cdp_internal.referral_code_word(c.folded, cdp_internal.referral_words('{reserved}', '{anywhere}'), cdp_internal.referral_words('{reserved}', '{whole}'));
  IF word IS NOT NULL THEN
    RETURN QUERY SELECT 'reserved', format('the word "%s" seems to come from the house', word);
  END IF;
  IF EXISTS (SELECT FROM cdp_data.referral_code x WHERE x.kind = 'vanity' AND x.revoked_reason IS DISTINCT FROM 'erased' AND translate(replace(x.code, '-', ''), '0134578', 'oleastb') = translate(replace(c.folded, '-', ''), '0134578', 'oleastb')) THEN
    RETURN QUERY SELECT 'taken', 'this code, or one that looks like it, is or was another''s';
  END IF;
END
$$;
COMMENT ON FUNCTION cdp.check_vanity_code(text) IS
'Everything that keeps a text from becoming a vanity code, a row each; none when it may: problem (too_short, too_long, bad_character, empty, looks_random, dashes, rude, reserved, taken) and a message in words. Words: cdp_data.referral_word_all, also where look-alikes or dashes hide them. taken also for codes that look like one that was issued.';

CREATE OR REPLACE FUNCTION cdp_internal.referral_code_put(campaign integer, customers bigint[], channel text, expires timestamptz, test boolean, at timestamptz)
RETURNS TABLE (customer_id bigint, referral_code_id bigint)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_column
DECLARE
  words text[] := cdp_internal.referral_words('{rude}', '{anywhere,whole}');
  left_over bigint[] := customers;
  made record;
BEGIN
  -- A code that is there already is drawn once in 10^11 times; then the customer is asked for again.
  FOR attempt IN 1 .. 20 LOOP
    WITH drawn AS MATERIALIZED (
      SELECT u.c, u.n, cdp_internal.referral_code_random(words) AS code FROM unnest(left_over) WITH ORDINALITY AS u (c, n)
    ), put AS (
      INSERT INTO cdp_data.referral_code AS r (code, kind, referral_campaign_id, customer_id, is_test, channel, issued_at, expires_at)
      SELECT d.code, 'random', campaign, d.c, test, referral_code_put.channel, at, expires FROM drawn d ORDER BY d.n ON CONFLICT DO NOTHING
      RETURNING r.referral_code_id, r.code
    )
    SELECT array_agg(d.c ORDER BY d.n) FILTER (WHERE p.code IS NOT NULL) AS customers, array_agg(p.referral_code_id ORDER BY d.n) FILTER (WHERE p.code IS NOT NULL) AS ids,
      array_agg(d.c ORDER BY d.n) FILTER (WHERE p.code IS NULL) AS missing
    INTO made FROM drawn d LEFT JOIN put p ON p.code = d.code;
    RETURN QUERY SELECT * FROM unnest(made.customers, made.ids);
    left_over := made.missing;
    EXIT WHEN left_over IS NULL;
  END LOOP;
  IF left_over IS NOT NULL THEN
    RAISE EXCEPTION 'no free code was found' USING ERRCODE = 'program_limit_exceeded', DETAIL = 'Tried 20 times.', HINT = 'Look how many words cdp_data.referral_word_all forbids.';
  END IF;
END
$$;
COMMENT ON FUNCTION cdp_internal.referral_code_put(integer, bigint[], text, timestamptz, boolean, timestamptz) IS
'Writes a new random code for each of these customers (twice for one who is named twice). Returns their numbers. Error 54000: nearly every code holds a word that is forbidden.';

CREATE OR REPLACE FUNCTION cdp_internal.referral_enrol(campaign integer, customers bigint[]) RETURNS TABLE (customer_id bigint, referral_code_id bigint)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_column
DECLARE
  wanted record;
BEGIN
  -- Of two that enrol the same people at once the second finds the codes of the first.
  PERFORM pg_advisory_xact_lock(hashint8extended(campaign, 7234571));
  SELECT array_agg(x.c ORDER BY x.c) AS customers, array_agg(x.root ORDER BY x.c) AS roots INTO wanted
  FROM (SELECT DISTINCT u AS c, cdp_internal.customer_root((SELECT cdp_internal.customer_map()), NULL, u, NULL) AS root
    FROM unnest(referral_enrol.customers) u WHERE EXISTS (SELECT FROM cdp_data.customer k WHERE k.customer_id = u)) x;
  IF wanted.customers IS NULL THEN
    RETURN;
  END IF;
  CREATE TEMP TABLE cdp_referral_enrol ON COMMIT DROP AS
  WITH RECURSIVE under (root, id) AS (
    SELECT DISTINCT r, r FROM unnest(wanted.roots) r
    UNION SELECT u.root, c.customer_id FROM under u JOIN cdp_data.customer c ON c.parent_id = u.id AND c.parent_id <> c.customer_id
  )
  SELECT u.root, min(k.referral_code_id) AS id
  FROM under u LEFT JOIN LATERAL (
    SELECT x.referral_code_id FROM cdp_data.referral_code x
    WHERE x.customer_id = u.id AND x.referral_campaign_id = campaign AND NOT x.is_test AND x.revoked_at IS NULL AND (x.expires_at IS NULL OR x.expires_at > now()) ORDER BY 1 LIMIT 1) k ON true
  GROUP BY u.root;
  UPDATE pg_temp.cdp_referral_enrol e SET id = p.referral_code_id
  FROM cdp_internal.referral_code_put(campaign, ARRAY(SELECT e.root FROM pg_temp.cdp_referral_enrol e WHERE e.id IS NULL ORDER BY e.root), '', NULL, false, now()) p WHERE p.customer_id = e.root;
  RETURN QUERY SELECT u.c, e.id FROM unnest(wanted.customers, wanted.roots) AS u (c, root) JOIN pg_temp.cdp_referral_enrol e ON e.root = u.root ORDER BY u.c;
  DROP TABLE pg_temp.cdp_referral_enrol;
END
$$;
COMMENT ON FUNCTION cdp_internal.referral_enrol(integer, bigint[]) IS
'The code of each of these customers in a referral campaign: the oldest one that he, or who is one person with him, has and that still counts; else a new random one of his root. Customers who are not there are left out. Waits for others who enrol in the campaign.';

CREATE OR REPLACE FUNCTION cdp.issue_referral_code(campaign text, customer bigint, vanity text DEFAULT NULL, channel text DEFAULT '', expires_at timestamptz DEFAULT NULL,
  is_test boolean DEFAULT false, issued_at timestamptz DEFAULT NULL) RETURNS text
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
  id integer := cdp_internal.referral_campaign_of(campaign);
  at timestamptz := coalesce(issued_at, now());
  root bigint;
  wrong record;
  made bigint;
  given text;
BEGIN
  root := cdp_internal.root_of(customer);
  IF root IS NULL THEN
    RAISE EXCEPTION 'there is no customer %', coalesce(customer::text, 'NULL') USING ERRCODE = 'invalid_parameter_value', HINT = 'cdp.customer_of(type, value) finds one.';
  ELSIF at > now() + interval '1 minute' OR NOT isfinite(at) THEN
    RAISE EXCEPTION 'a code can not be issued in the future' USING ERRCODE = 'datetime_field_overflow', DETAIL = format('issued_at is %s.', at), HINT = 'Leave it out: now.';
  ELSIF expires_at <= at THEN
    RAISE EXCEPTION 'the code would expire before it is issued' USING ERRCODE = 'invalid_parameter_value', DETAIL = format('It is issued at %s and expires at %s.', at, expires_at);
  ELSIF octet_length(channel) > 100 THEN
    RAISE EXCEPTION 'channel must have at most 100 bytes' USING ERRCODE = 'invalid_parameter_value', DETAIL = format('It has %s.', octet_length(channel));
  END IF;
  IF vanity IS NULL THEN
    made := (SELECT p.referral_code_id FROM cdp_internal.referral_code_put(id, ARRAY[root], coalesce(channel, ''), expires_at, coalesce(is_test, false), at) p);
    given := (SELECT c.code FROM cdp_data.referral_code c WHERE c.referral_code_id = made);
  ELSE
    SELECT string_agg(c.problem, ', ') AS codes, string_agg(c.message, '; ') AS words INTO wrong FROM cdp.check_vanity_code(vanity) c;
    IF wrong.codes IS NULL THEN
      INSERT INTO cdp_data.referral_code AS r (code, kind, referral_campaign_id, customer_id, is_test, channel, issued_at, expires_at)
      VALUES (cdp_internal.referral_code_fold(vanity), 'vanity', id, root, coalesce(is_test, false), coalesce(channel, ''), at, expires_at)
      ON CONFLICT DO NOTHING RETURNING r.code INTO given;
    END IF;
    IF wrong.codes = 'taken' OR wrong.codes IS NULL AND given IS NULL THEN
      RAISE EXCEPTION 'the vanity code is taken' USING ERRCODE = 'unique_violation', DETAIL = 'It, or one that looks like it, is or was another''s.', HINT = 'Add a number.';
    ELSIF given IS NULL THEN
      RAISE EXCEPTION 'this can not be a vanity code' USING ERRCODE = 'invalid_parameter_value', DETAIL = format('%s: %s.', wrong.codes, wrong.words), HINT = 'cdp.check_vanity_code() tells it without trying.';
    END IF;
  END IF;
  RETURN cdp.referral_code_format(given);
END
$$;
COMMENT ON FUNCTION cdp.issue_referral_code(text, bigint, text, text, timestamptz, boolean, timestamptz) IS
'Gives an advocate a referral code: SELECT cdp.issue_referral_code(''friends'', 42). Random, or vanity when one is wished for. The code is of the root of customer. expires_at: first moment at which it does not count (NULL: never). is_test: what comes by it is marked as a test. issued_at NULL: now; earlier for codes that were printed before. Each call makes a code; cdp_internal.referral_enrol() gives the one that is there. Returns it as it is shown. Errors: 42704 no such campaign, 22023 unknown customer or no vanity code, 23505 it is taken, 22008 issued in the future.';

CREATE OR REPLACE FUNCTION cdp_internal.referral_code_of(given text, OUT referral_code_id bigint, OUT code text, OUT referral_campaign_id integer, OUT customer_id bigint,
  OUT is_test boolean, OUT channel text, OUT expires_at timestamptz)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  c record;
BEGIN
  PERFORM cdp_internal.require_setup();
  SELECT r.referral_code_id, r.code, r.referral_campaign_id, r.customer_id, r.is_test, r.channel, r.expires_at
  INTO referral_code_id, code, referral_campaign_id, customer_id, is_test, channel, expires_at
  FROM cdp_data.referral_code r WHERE r.code = cdp_internal.referral_code_fold(given);
  IF NOT FOUND THEN
    c := cdp.referral_code_check(coalesce(given, ''));
    RAISE EXCEPTION 'there is no such referral code' USING ERRCODE = 'undefined_object', DETAIL = coalesce(format('What is wrong: %s.', c.problem), 'It has the form of one, but was never issued.'),
      HINT = coalesce(format('Did you mean %s?', c.suggestion), 'SELECT * FROM cdp_data.referral_code; lists them.');
  END IF;
END
$$;
COMMENT ON FUNCTION cdp_internal.referral_code_of(text) IS
'The row of a code, however it is written. Error 42704 when there is none.';

CREATE OR REPLACE FUNCTION cdp.revoke_referral_code(code text, reason text DEFAULT 'revoked') RETURNS boolean
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  c record := cdp_internal.referral_code_of(code);
BEGIN
  PERFORM cdp_internal.require_text('reason', reason, 200);
  UPDATE cdp_data.referral_code r SET revoked_at = clock_timestamp(), revoked_reason = reason WHERE r.referral_code_id = c.referral_code_id AND r.revoked_at IS NULL;
  RETURN FOUND;
END
$$;
COMMENT ON FUNCTION cdp.revoke_referral_code(text, text) IS
'Takes a referral code back: clicks and conversions from now on do not count by it, what came before does. reason: a word without personal data. False when it was taken back before. Errors: 42704 no such code, 22023 reason.';

CREATE OR REPLACE FUNCTION cdp.rotate_referral_code(code text, reason text DEFAULT 'rotated') RETURNS text
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  c record := cdp_internal.referral_code_of(code);
  made bigint;
BEGIN
  PERFORM FROM cdp_data.referral_code r WHERE r.referral_code_id = c.referral_code_id FOR UPDATE;
  IF NOT cdp.revoke_referral_code(code, reason) THEN
    RAISE EXCEPTION 'the code was taken back before' USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'cdp.issue_referral_code() makes a new one.';
  END IF;
  made := (SELECT p.referral_code_id
    FROM cdp_internal.referral_code_put(c.referral_campaign_id, ARRAY[c.customer_id], c.channel, CASE WHEN c.expires_at > now() THEN c.expires_at END, c.is_test, now()) p);
  RETURN (SELECT cdp.referral_code_format(r.code) FROM cdp_data.referral_code r WHERE r.referral_code_id = made);
END
$$;
COMMENT ON FUNCTION cdp.rotate_referral_code(text, text) IS
'Takes a code back and gives its advocate a new random one, such as when it has leaked to a site of coupons. Returns the new one as it is shown. Errors: 42704 no such code, 55000 it was taken back before.';

CREATE OR REPLACE FUNCTION cdp.referral_link(code text) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  c record := cdp_internal.referral_code_of(code);
  template text := (SELECT r.link_template FROM cdp_data.referral_campaign r WHERE r.referral_campaign_id = c.referral_campaign_id);
BEGIN
  IF coalesce(template, '') = '' THEN
    RAISE EXCEPTION 'the campaign of the code has no link_template' USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'cdp.edit_referral_campaign(name, ''{"link_template": "https://shop.example/r/{code}"}'') sets it.';
  END IF;
  RETURN replace(template, '{code}', c.code);
END
$$;
COMMENT ON FUNCTION cdp.referral_link(text) IS
'The link of a referral code, by the template of its campaign: cdp.qr_svg(cdp.referral_link(''K7M4-Q2TX-Q'')) draws it. Errors: 42704 no such code, 55000 the campaign has no template.';
