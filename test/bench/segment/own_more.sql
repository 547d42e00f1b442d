-- Fifteen segments by attributes beside the 35.
SET client_min_messages = warning;
SELECT count(cdp.create_segment('attribute ' || lpad(n::text, 2, '0'), r, 'analytics')) FROM unnest(ARRAY[
  'country in (''country 0'', ''country 4'', ''country 8'')', 'city = ''city 2''', 'gender = ''male''', 'birthday < ''1980-01-01''', 'birthday >= ''1990-01-01'' and gender = ''female''',
  'membership_points >= 2500', 'membership_points < 100', 'registered_at >= ''2025-01-01''', 'lifecycle_stage = ''lifecycle_stage 3''', 'preferred_store in (''preferred_store 2'', ''preferred_store 4'')',
  'language = ''language 0'' and membership_level = ''membership_level 0''', 'not timezone = ''timezone 0''', 'region = ''region 3''', 'orders >= 1', 'revenue >= 300']) WITH ORDINALITY AS r (r, n);
