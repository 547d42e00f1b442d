-- Orders that are there; told by curl and not there as told; there and not told; whether the pull is at its end; days that are known.
CREATE TEMP TABLE page (body text);
\copy page FROM PSTDIN WITH (FORMAT csv, QUOTE E'\x01', DELIMITER E'\x02')
CREATE TEMP TABLE told AS SELECT o FROM page, jsonb_array_elements(body::jsonb -> 'orders') o;
CREATE TEMP TABLE landed AS SELECT r.payload AS o FROM cdp_data.raw_record r JOIN cdp_data.connection c USING (connection_id) WHERE c.name = :'connection';
SELECT concat_ws(' ', (SELECT count(*) FROM landed), (SELECT count(*) FROM (SELECT o FROM told EXCEPT ALL SELECT o FROM landed) x), (SELECT count(*) FROM (SELECT o FROM landed EXCEPT ALL SELECT o FROM told) x),
  (SELECT bool_and(t.done) FROM cdp_data.stream_part t JOIN cdp_data.connection c USING (connection_id) WHERE c.name = :'connection'),
  (SELECT count(*) FROM cdp_data.coverage k JOIN cdp_data.connection c USING (connection_id) WHERE c.name = :'connection' AND k.state IN ('provisional', 'final')));
