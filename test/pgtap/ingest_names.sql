-- One rule for the names of fields in every road: single calls, messages, columns of loads, targets of contracts. Whatever a name is
-- spelled like, all roads take it for the same attribute or identifier type, under any locale.
SELECT plan(31);
SELECT cdp.add_source('call'), cdp.add_source('message'), cdp.add_source('load'), cdp.add_source('contract');

-- The spelling itself
SELECT results_eq($$SELECT n, cdp_internal.snake(n) FROM unnest(ARRAY['firstName', 'First Name', 'first-name', '__first.name__', 'ＦＩＲＳＴ＿ＮＡＭＥ', 'Größe', E'Gro\u0308ße', 'GRÖßE', 'straßeUndHausNr', '尺码', '会员 等级', '城市A', 'ИмяКлиента', 'ИМЯ', '$event', 'utm2Source', 'HTTPServer', '--', '', 'İstanbul']) WITH ORDINALITY u (n, o) ORDER BY o$$,
  $$VALUES ('firstName', 'first_name'), ('First Name', 'first_name'), ('first-name', 'first_name'), ('__first.name__', 'first_name'), ('ＦＩＲＳＴ＿ＮＡＭＥ', 'first_name'), ('Größe', 'größe'), (E'Gro\u0308ße', 'größe'), ('GRÖßE', 'größe'),
    ('straßeUndHausNr', 'straße_und_haus_nr'), ('尺码', '尺码'), ('会员 等级', '会员_等级'), ('城市A', '城市a'), ('ИмяКлиента', 'имя_клиента'), ('ИМЯ', 'имя'), ('$event', '$event'), ('utm2Source', 'utm2_source'), ('HTTPServer', 'httpserver'),
    ('--', ''), ('', ''), ('İstanbul', 'istanbul')$$, 'one spelling of a name');
SELECT is(cdp_internal.snake(E'a\tB'), E'a\tB', 'what is no name stays as it is');
SELECT is(length(cdp_internal.snake(repeat('aB ', 100000))), 300000, 'nor is a very long text');
SELECT is_empty($$SELECT n FROM (SELECT string_agg(substr('aZ9_ -.$éÉß李號ŻżǅǆΣς１Ａ', 1 + floor(random() * 24)::integer, 1), '') AS n FROM generate_series(1, 6) c, generate_series(1, 3000) r GROUP BY r) x
  WHERE cdp_internal.snake(cdp_internal.snake(n)) <> cdp_internal.snake(n)$$, 'spelled anew it does not change');

-- Names of one's own, in every alphabet
SELECT cdp.add_attribute('shoeSize', 'numeric'), cdp.add_attribute('Größe', 'text'), cdp.add_attribute('尺码', 'text'), cdp.add_attribute('会员等级', 'text'), cdp.add_attribute('title', 'text'),
  cdp.add_attribute('size-eu', 'text'), cdp.add_attribute('Имя', 'text');
SELECT cdp.add_identifier_type('loyaltyCard');
SELECT throws_ok($$SELECT cdp.add_attribute('shoe_size')$$, '42710', NULL, 'a second spelling of an attribute');
SELECT throws_ok($$SELECT cdp.add_attribute('GRÖßE')$$, '42710', NULL, 'in any alphabet');
SELECT throws_ok($$SELECT cdp.add_attribute('loyalty_card')$$, '42710', NULL, 'or of an identifier type');
SELECT throws_ok($$SELECT cdp.add_attribute('firstName')$$, '42710', NULL, 'or of a built-in one');
SELECT lives_ok($$SELECT cdp.add_attribute('shoeSize', strategy => 'most_frequent')$$, 'its own spelling changes it');

-- What a source said, {"attribute": value}, and by which identifiers; n is the record
CREATE FUNCTION pg_temp.said(source text, n integer) RETURNS jsonb LANGUAGE sql AS $$
  SELECT jsonb_build_object('attributes', (SELECT jsonb_object_agg(a.name, replace(v.value, source, '')) FROM cdp_data.attribute_value v JOIN cdp_data.attribute_all a USING (attribute_id) JOIN cdp_data.source s USING (source_id)
      WHERE s.name = source AND v.customer_id = r.home),
    'identifiers', (SELECT jsonb_agg(t.name || ':' || replace(i.value, source, '') ORDER BY t.name, i.value) FROM cdp_data.identifier i JOIN cdp_data.identifier_type_all t USING (type_id) WHERE i.customer_id = r.home))
  FROM (SELECT i.customer_id AS home FROM cdp_data.identifier i WHERE i.value = source || '-' || n) r
$$;
-- One record, {"field": value}, by each road; ~ in a value is the name of the road, so that they share no identifier
CREATE PROCEDURE pg_temp.tell(n integer, record jsonb) LANGUAGE plpgsql AS $$
DECLARE
  id text := '-' || n;
  list text;
  told bigint;
BEGIN
  PERFORM cdp.identify('call', jsonb_build_object('crm_id', 'call' || id), replace(record::text, '~', 'call')::jsonb);
  PERFORM cdp.ingest('message', jsonb_build_object('type', 'identify', 'messageId', 'm' || n, 'traits', replace(record::text, '~', 'message')::jsonb,
    'context', jsonb_build_object('externalIds', jsonb_build_array(jsonb_build_object('type', 'crmId', 'id', 'message' || id)))));
  SELECT string_agg(format('%L AS %I', value, key), ', ') INTO list FROM jsonb_each_text(replace(record::text, '~', 'load')::jsonb);
  EXECUTE format('CREATE TEMP TABLE people AS SELECT %L::text AS crm_id, %s', 'load' || id, list);
  PERFORM cdp.load_customers('load', 'people');
  DROP TABLE people;
END
$$;
CALL pg_temp.tell(1, '{"shoeSize": "38", "Größe": "M", "尺码": "中", "会员等级": "金", "firstName": "Ann", "title": "Dr", "size-eu": "4", "Имя": "Анна", "loyaltyCard": "~L1"}');
SELECT is(pg_temp.said('call', 1), '{"attributes": {"shoeSize": "38", "Größe": "M", "尺码": "中", "会员等级": "金", "first_name": "Ann", "title": "Dr", "size-eu": "4", "Имя": "Анна"}, "identifiers": ["crm_id:-1", "loyaltyCard:L1"]}',
  'a call tells attributes by their own names');
SELECT is(pg_temp.said('message', 1), pg_temp.said('call', 1), 'a message, too');
SELECT is(pg_temp.said('load', 1), pg_temp.said('call', 1), 'and a load');
CALL pg_temp.tell(2, '{"shoe_size": "39", "GRÖßE": "L", "SizeEU": "no", "size_eu": "5", "имя": "Ольга", "FIRST NAME": "Eve", "Loyalty Card": "~L2"}');
SELECT is(pg_temp.said('call', 2), '{"attributes": {"shoeSize": "39", "Größe": "L", "first_name": "Eve", "size-eu": "5", "Имя": "Ольга"}, "identifiers": ["crm_id:-2", "loyaltyCard:L2"]}', 'or in another spelling');
SELECT is(pg_temp.said('load', 2), pg_temp.said('call', 2), 'in every road');
CALL pg_temp.tell(3, '{"name": "Li Na", "created_at": "2026-01-02T00:00:00Z", "address.city": "杭州", "description": "hello"}');
SELECT is(pg_temp.said('call', 3) -> 'attributes', '{"full_name": "Li Na", "registered_at": "2026-01-02T00:00:00Z", "city": "杭州", "note": "hello"}', 'names of the specification mean what they mean');
SELECT is(pg_temp.said('load', 3), pg_temp.said('call', 3), 'in every road');
CALL pg_temp.tell(4, '{"shoe_size": "1", "shoeSize": "2", "Shoe Size": "3", "firstName": "a", "First Name": "b", "loyalty_card": "~L4", "loyaltyCard": "~L5"}');
SELECT is(pg_temp.said('call', 4), '{"attributes": {"shoeSize": "2", "first_name": "a"}, "identifiers": ["crm_id:-4", "loyaltyCard:L4", "loyaltyCard:L5"]}', 'of several spellings in one record the exact one counts, then the last; all identify');
SELECT is(pg_temp.said('message', 4), pg_temp.said('call', 4), 'in every');
SELECT is(pg_temp.said('load', 4), pg_temp.said('call', 4), 'road');

-- Identifiers of a call
SELECT is((SELECT refused FROM cdp.identify('call', '{"userId": "u-77", "Loyalty-Card": "L7", "no such": "x"}')), '[{"code": "unknown_identifier_type", "type": "no such"}]', 'identifiers of a call in any spelling');
SELECT is(cdp.customer_of('user_id', 'u-77'), cdp.customer_of('loyaltyCard', 'L7'), 'identify');

-- Contracts name targets by the same rule, and keep the name that there is
SELECT is_empty($$SELECT * FROM cdp.check_contract('customer', '[{"field": "a", "target": "identifier userId"}, {"field": "b", "target": "attribute shoe_size"}, {"field": "c", "target": "attribute größe"}]')$$, 'targets of a contract in any spelling');
SELECT cdp.declare_contract('contract', 'customer', '[{"field": "a", "target": "identifier userId"}, {"field": "b", "target": "attribute shoe_size"}, {"field": "c", "target": "attribute größe"}]');
SELECT is((SELECT array_agg(f.target_name ORDER BY f.nth) FROM cdp_data.source_field f), '{user_id,shoeSize,Größe}', 'are kept as they are called');
SELECT results_eq($$SELECT path, code FROM cdp.check_contract('customer', '[{"field": "a", "target": "identifier userId"}, {"field": "b", "target": "attribute shoe_size"}, {"field": "c", "target": "attribute shoeSize"}]')$$,
  $$VALUES ('fields[3].target', 'twice')$$, 'and given once');
UPDATE cdp_data.source_contract SET status = 'live';
CREATE TABLE delivered AS SELECT 'c-1' AS a, '40' AS b, 'XL' AS c;
SELECT is((SELECT inserted FROM cdp.load_customers('contract', 'delivered')), 1::bigint, 'such a contract is obeyed');
SELECT is((SELECT jsonb_object_agg(a.name, v.value) FROM cdp_data.attribute_value v JOIN cdp_data.attribute_all a USING (attribute_id) JOIN cdp_data.source s USING (source_id) WHERE s.name = 'contract'),
  '{"shoeSize": "40", "Größe": "XL"}', 'by loads');
SELECT cdp.ingest('contract', '{"type": "identify", "messageId": "c2", "traits": {"a": "c-2", "b": "41", "c": "S"}}');
SELECT is((SELECT jsonb_object_agg(a.name, v.value) FROM cdp_data.attribute_value v JOIN cdp_data.attribute_all a USING (attribute_id) JOIN cdp_data.source s USING (source_id) WHERE s.name = 'contract' AND v.value IN ('41', 'S')),
  '{"shoeSize": "41", "Größe": "S"}', 'and messages');

-- Property: any spellings of any names, in any mixture, mean the same in every road
SELECT setseed(0.4);
CREATE TEMP TABLE spelling AS
SELECT n, (SELECT jsonb_object_agg(f.name, '~' || f.n || '.' || r.n || '@example.org') FROM (
    SELECT x.n, CASE floor(random() * 6)::integer WHEN 0 THEN x.name WHEN 1 THEN upper(x.name) WHEN 2 THEN initcap(x.name) WHEN 3 THEN replace(x.name, '_', '-') WHEN 4 THEN replace(initcap(x.name), '_', '') ELSE '_' || x.name END AS name
    FROM unnest(ARRAY['city', 'first_name', 'last_name', 'Größe', '尺码', 'Имя', 'job_title', 'name', 'title', 'company.name', 'email', 'no such', 'size-eu']) WITH ORDINALITY AS x (name, n) WHERE random() < 0.5 OR x.n = 1) f) AS record
FROM generate_series(100, 139) AS r (n);
SELECT count(*) FROM (SELECT n, record FROM spelling ORDER BY n) x;
DO $$
DECLARE
  s record;
BEGIN
  FOR s IN SELECT * FROM spelling ORDER BY n LOOP
    CALL pg_temp.tell(s.n, s.record);
  END LOOP;
END
$$;
SELECT cmp_ok((SELECT count(DISTINCT pg_temp.said('call', s.n)) FROM spelling s), '>', 30::bigint, 'many records');
SELECT is_empty($$SELECT s.n, s.record, pg_temp.said('call', s.n) FROM spelling s WHERE pg_temp.said('call', s.n) IS DISTINCT FROM pg_temp.said('message', s.n)$$, 'calls and messages agree on each');
SELECT is_empty($$SELECT s.n, s.record, pg_temp.said('call', s.n), pg_temp.said('load', s.n) FROM spelling s WHERE pg_temp.said('call', s.n) IS DISTINCT FROM pg_temp.said('load', s.n)$$, 'calls and loads, too');
SELECT is_empty($$SELECT a.name FROM cdp_data.attribute_all a WHERE NOT EXISTS (SELECT FROM cdp_internal.field_targets(ARRAY[a.name]) f WHERE f.target_kind = 'attribute' AND f.target_name = a.name AND f.is_exact)$$, 'every attribute can be told by its name');
SELECT finish();
