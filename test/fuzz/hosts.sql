-- Hosts, lists of hosts and ranges of random text, sound ones with damage among them. No internal error; what the list takes as an
-- entry is allowed as a host, and says the same in another way of writing; what the list takes as a range is one to PostgreSQL,
-- too, opens its own addresses and never a service of metadata.
\set VERBOSITY terse
SET client_min_messages = error;
SELECT setseed(:seed), set_config('fuzz.rounds', :'rounds', false) \g /dev/null

CREATE FUNCTION pg_temp.pick(VARIADIC a text[]) RETURNS text LANGUAGE sql AS 'SELECT a[1 + floor(random() * cardinality(a))::integer]';
CREATE FUNCTION pg_temp.damage(t text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  at integer;
BEGIN
  FOR n IN 1 .. floor(random() * 3)::integer LOOP
    at := floor(random() * (length(t) + 1))::integer;
    t := left(t, at) || CASE WHEN random() < 0.7 THEN pg_temp.pick('', '0', '9', '.', ':', '/', '[', ']', '@', '%', '*', '-', '_', ' ', 'x', 'f', '#', '?', '\', E'\t', E'\x01', '微', repeat('a', 300)) ELSE substr(t, at, 3) END || substr(t, at + 1 + floor(random() * 2)::integer);
  END LOOP;
  RETURN t;
END $$;
CREATE FUNCTION pg_temp.host() RETURNS text LANGUAGE sql AS $$
  SELECT pg_temp.damage(pg_temp.pick('', '', 'https://', 'http://', 'HTTP://') || pg_temp.pick('qyapi.weixin.qq.com', 'localhost', '127.0.0.1', '0x7f.1', '017700000001', '2130706433', '1.2', '[::1]', '[2001:DB8::a]', '[::ffff:1.2.3.4]', 'a', 'xn--fsqu00a.example', '*.example.org', 'A_b.c-d.E.')
    || pg_temp.pick('', '', ':443', ':80', ':8080', ':65535')) $$;
CREATE FUNCTION pg_temp.range() RETURNS text LANGUAGE sql AS $$
  SELECT pg_temp.damage(pg_temp.pick('10.0.0.0', '127.0.0.1', '0.0.0.0', '192.168.4.0', '169.254.0.0', '::', '::1', 'fd00::', '64:ff9b::', '2001:db8::', '::ffff:0:0') || pg_temp.pick('', '/0', '/8', '/16', '/22', '/24', '/32', '/64', '/96', '/128')) $$;

DO $$
DECLARE
  t text;
  answer text;
  taken integer := 0;
  given inet;
BEGIN
  FOR round IN 1 .. current_setting('fuzz.rounds')::integer LOOP
    t := pg_temp.host();
    answer := cdp_internal.host_verdict(t, ARRAY[t]);
    IF coalesce(answer, 'ok') NOT IN ('ok', 'malformed', 'not_ascii', 'userinfo', 'not_allowed', 'http_not_allowed') THEN
      RAISE EXCEPTION 'round %: "%" is "%"', round, t, answer;
    END IF;
    BEGIN
      PERFORM set_config('cdp.allowed_hosts', t, true);
      IF t ~ '[^\s,]' AND t !~ ',' AND t !~ '\*' THEN
        taken := taken + 1;
        IF cdp_internal.host_verdict(btrim(t, E' \t\n\r')) IS NOT NULL OR cdp_internal.host_verdict(upper(btrim(t, E' \t\n\r'))) IS NOT NULL THEN
          RAISE EXCEPTION 'round %: "%" stands on the list and is refused', round, t USING ERRCODE = 'P0001';
        END IF;
      END IF;
    EXCEPTION WHEN invalid_parameter_value THEN
      IF answer IS NULL THEN
        RAISE EXCEPTION 'round %: "%" is a host, but the setting refuses it', round, t;
      END IF;
    END;
    PERFORM set_config('cdp.allowed_hosts', '', true);

    t := pg_temp.range();
    BEGIN
      PERFORM set_config('cdp.allowed_private_ranges', t, true);
    EXCEPTION WHEN invalid_parameter_value THEN
      PERFORM set_config('cdp.allowed_private_ranges', '', true);
      CONTINUE;
    END;
    CONTINUE WHEN t !~ '[^\s,]' OR t ~ ',';
    taken := taken + 1;
    given := btrim(t, E' \t\n\r')::cidr; -- an error when PostgreSQL sees no range in it
    answer := cdp_internal.address_verdict(host(given)::inet);
    -- Zero is the server itself whatever it is called, and open all the same; what stands for an address of IPv4 has two gates.
    IF answer IS NOT NULL AND answer NOT IN ('metadata', 'link_local') AND NOT given && ANY ('{::/96,::ffff:0:0/96,::ffff:0:0:0/96,64:ff9b::/32,2001::/32,2002::/16}'::cidr[]) THEN
      RAISE EXCEPTION 'round %: "%" is open, and its first address is "%"', round, t, answer;
    END IF;
    IF EXISTS (SELECT FROM unnest('{169.254.169.254,fd00:ec2::254,100.100.100.200,::ffff:169.254.169.254,64:ff9b::a9fe:a9fe}'::inet[]) a WHERE cdp_internal.address_verdict(a) IS NULL) THEN
      RAISE EXCEPTION 'round %: "%" opens a service of metadata', round, t;
    END IF;
  END LOOP;
  IF taken < current_setting('fuzz.rounds')::integer / 4 THEN
    RAISE EXCEPTION 'only % sound ones among % rounds', taken, current_setting('fuzz.rounds');
  END IF;
END $$;
