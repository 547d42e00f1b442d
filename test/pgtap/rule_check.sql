-- The rule language: each error with its code and exact path, many errors at once, rules of every form, hostile and huge ones.
BEGIN;
\ir rule_catalog.inc
SELECT plan(245);
CREATE FUNCTION pg_temp.found(rule jsonb, catalog jsonb) RETURNS text LANGUAGE sql
AS $$SELECT coalesce(string_agg(path || ' ' || code, E'\n'), '') FROM cdp_internal.rule_check(rule, catalog) WHERE severity = 'error'$$;

-- One row per rule: what is wrong, and the errors expected, one a line. The catalogue knows the purpose marketing only.
CREATE TEMP TABLE bad (n integer GENERATED ALWAYS AS IDENTITY, name text, rule jsonb, expected text);
INSERT INTO bad (name, rule, expected) VALUES
  ('no object', '[1]', ' E_TYPE'),
  ('no where', '{"v":1}', ' E_SYNTAX'),
  ('another version', '{"v":2,"where":{"all":[]}}', '/v E_SYNTAX'),
  ('a version that is no number', '{"v":"1","where":{"all":[]}}', '/v E_TYPE'),
  ('a stray key at the top', '{"v":1,"were":{},"where":{"list":"press"}}', '/were E_UNKNOWN_KEY'),
  ('nulls', '{"v":1,"nulls":"some","where":{"list":"press"}}', '/nulls E_SYNTAX'),
  ('nulls that are no text', '{"v":1,"nulls":null,"where":{"list":"press"}}', '/nulls E_TYPE'),
  ('zone', '{"v":1,"tz":"Mars/Olympus","where":{"list":"press"}}', '/tz E_UNKNOWN_ZONE'),
  ('zone that climbs', '{"v":1,"tz":"../../etc/passwd","where":{"list":"press"}}', '/tz E_UNKNOWN_ZONE'),
  ('zone that is no text', '{"v":1,"tz":8,"where":{"list":"press"}}', '/tz E_TYPE'),
  ('a node that is no object', '{"v":1,"where":5}', '/where E_TYPE'),
  ('an empty node', '{"v":1,"where":{}}', '/where E_SYNTAX'),
  ('a node with an unknown key', '{"v":1,"where":{"atr":"country"}}', '/where/atr E_UNKNOWN_KEY'),
  ('two conditions in one', '{"v":1,"where":{"did":"order","attr":"age","gt":1}}', '/where/did E_SYNTAX'),
  ('all of no array', '{"v":1,"where":{"all":{"list":"press"}}}', '/where/all E_TYPE'),
  ('a key beside all', '{"v":1,"where":{"all":[],"last":"1 day"}}', '/where/last E_UNKNOWN_KEY'),
  ('not of an array', '{"v":1,"where":{"not":[{"list":"press"}]}}', '/where/not E_TYPE'),
  ('unknown attribute', '{"v":1,"where":{"attr":"contry","eq":"CN"}}', '/where/attr E_UNKNOWN_ATTR'),
  ('attribute with no name', '{"v":1,"where":{"attr":"","eq":"CN"}}', '/where/attr E_SYNTAX'),
  ('attribute whose name is a number', '{"v":1,"where":{"attr":3,"eq":"CN"}}', '/where/attr E_TYPE'),
  ('no comparison', '{"v":1,"where":{"attr":"age"}}', '/where E_SYNTAX'),
  ('two comparisons', '{"v":1,"where":{"attr":"age","gt":1,"lt":9}}', '/where/gt E_SYNTAX'),
  ('an operator of another type', '{"v":1,"where":{"attr":"age","prefix":"1"}}', '/where/prefix E_TYPE'),
  ('a constant of another type', '{"v":1,"where":{"attr":"age","gt":"18"}}', '/where/gt E_TYPE'),
  ('null', '{"v":1,"where":{"attr":"age","eq":null}}', '/where/eq E_TYPE'),
  ('an object as constant', '{"v":1,"where":{"attr":"age","eq":{}}}', '/where/eq E_TYPE'),
  ('each constant of a list', '{"v":1,"where":{"attr":"country","in":["CN",1,"US"]}}', '/where/in/1 E_TYPE'),
  ('numbers in a list for text', '{"v":1,"where":{"attr":"country","in":[1,2]}}', '/where/in/0 E_TYPE
/where/in/1 E_TYPE'),
  ('an empty list', '{"v":1,"where":{"attr":"country","in":[]}}', '/where/in E_SYNTAX'),
  ('a list that is none', '{"v":1,"where":{"attr":"country","in":"CN"}}', '/where/in E_TYPE'),
  ('between of three', '{"v":1,"where":{"attr":"age","between":[1,2,3]}}', '/where/between E_SYNTAX'),
  ('exists of a text', '{"v":1,"where":{"attr":"age","exists":"yes"}}', '/where/exists E_TYPE'),
  ('a day that does not exist', '{"v":1,"where":{"attr":"signup","eq":"2026-02-30"}}', '/where/eq E_TYPE'),
  ('a day written otherwise', '{"v":1,"where":{"attr":"signup","gt":"1/2/2026"}}', '/where/gt E_TYPE'),
  ('a moment with hour 24', '{"v":1,"where":{"attr":"seen_at","gt":"2026-01-01T24:00:00"}}', '/where/gt E_TYPE'),
  ('a moment with an odd zone', '{"v":1,"where":{"attr":"seen_at","gt":"2026-01-01T10:00:00 CET"}}', '/where/gt E_TYPE'),
  ('hours of a day', '{"v":1,"where":{"attr":"signup","last":"5 hours"}}', '/where/last E_WINDOW'),
  ('anniversary in hours', '{"v":1,"where":{"attr":"seen_at","anniversary_next":"5 hours"}}', '/where/anniversary_next E_WINDOW'),
  ('order of true and false', '{"v":1,"where":{"attr":"active","gt":false}}', '/where/gt E_TYPE'),
  ('eq on a list', '{"v":1,"where":{"attr":"interests","eq":"golf"}}', '/where/eq E_TYPE'),
  ('has of a number', '{"v":1,"where":{"attr":"interests","has_any":["golf",5]}}', '/where/has_any/1 E_TYPE'),
  ('json has no comparison', '{"v":1,"where":{"attr":"tags","eq":"x"}}', '/where/eq E_TYPE'),
  ('a number of too many digits', '{"v":1,"where":{"attr":"ltv","gt":1e70}}', '/where/gt E_TYPE'),
  ('a number of a million digits', '{"v":1,"where":{"attr":"ltv","gt":1e100000}}', '/where/gt E_TYPE'),
  ('encrypted', '{"v":1,"where":{"attr":"email","eq":"x"}}', '/where/eq E_ENCRYPTED'),
  ('purpose of an attribute', '{"v":1,"where":{"attr":"diagnosis","exists":true}}', '/where/attr E_PURPOSE'),
  ('purpose of a kind', '{"v":1,"where":{"did":"scan","last":"1 day"}}', '/where/did E_PURPOSE'),
  ('purpose of one kind of two', '{"v":1,"where":{"did":["order","scan"],"last":"1 day"}}', '/where/did/1 E_PURPOSE'),
  ('purpose of a property in a condition', '{"v":1,"where":{"did":"order","last":"1 day","where":{"not":{"prop":"card","gt":5}}}}', '/where/where/not/prop E_PURPOSE'),
  ('purpose of a property that is summed', '{"v":1,"where":{"did":"order","last":"1 day","sum":"card","gt":5}}', '/where/sum E_PURPOSE'),
  ('purpose of a property shared', '{"v":1,"where":{"seq":[{"did":"visit"},{"did":"order","same":["card"]}],"last":"1 day"}}', '/where/seq/1/same/0 E_PURPOSE'),
  ('unknown property', '{"v":1,"where":{"did":"form","last":"1 day","min":"amout","gt":5}}', '/where/min E_UNKNOWN_PROPERTY'),
  ('unknown kind', '{"v":1,"where":{"did":"oder","last":"1 day"}}', '/where/did E_UNKNOWN_KIND'),
  ('unknown kind of two', '{"v":1,"where":{"did":["order","oder"],"last":"1 day"}}', '/where/did/1 E_UNKNOWN_KIND'),
  ('no kind', '{"v":1,"where":{"did":[],"last":"1 day"}}', '/where/did E_SYNTAX'),
  ('kind that is no text', '{"v":1,"where":{"did":true,"last":"1 day"}}', '/where/did E_TYPE'),
  ('a stray key beside did', '{"v":1,"where":{"did":"order","lats":"1 day"}}', '/where/lats E_UNKNOWN_KEY'),
  ('a comparison without aggregate', '{"v":1,"where":{"did":"order","last":"1 day","gte":3}}', '/where/gte E_UNKNOWN_KEY'),
  ('window: zero', '{"v":1,"where":{"did":"order","last":"0 days"}}', '/where/last E_WINDOW'),
  ('window: negative', '{"v":1,"where":{"did":"order","last":"-3 days"}}', '/where/last E_WINDOW'),
  ('window: a million years', '{"v":1,"where":{"did":"order","last":"1000000 years"}}', '/where/last E_WINDOW'),
  ('window: overflow', '{"v":1,"where":{"did":"order","last":"99999999999999999999999999 seconds"}}', '/where/last E_WINDOW'),
  ('window: over the maximum', '{"v":1,"where":{"did":"order","last":"101 years"}}', '/where/last E_WINDOW'),
  ('window: over the maximum in days', '{"v":1,"where":{"did":"order","last":"36501 days"}}', '/where/last E_WINDOW'),
  ('window: a word', '{"v":1,"where":{"did":"order","last":"five days"}}', '/where/last E_WINDOW'),
  ('window: an unknown unit', '{"v":1,"where":{"did":"order","last":"5 dayz"}}', '/where/last E_WINDOW'),
  ('window: no unit', '{"v":1,"where":{"did":"order","last":"5"}}', '/where/last E_WINDOW'),
  ('window: empty', '{"v":1,"where":{"did":"order","last":""}}', '/where/last E_WINDOW'),
  ('window: a fraction', '{"v":1,"where":{"did":"order","last":"1.5 days"}}', '/where/last E_WINDOW'),
  ('window: more text', '{"v":1,"where":{"did":"order","last":"5 days ago"}}', '/where/last E_WINDOW'),
  ('window: a quarter', '{"v":1,"where":{"did":"order","last":"1 quarter"}}', '/where/last E_WINDOW'),
  ('window: a number', '{"v":1,"where":{"did":"order","last":30}}', '/where/last E_TYPE'),
  ('window: two', '{"v":1,"where":{"did":"order","last":"1 day","this":"month"}}', '/where/this E_SYNTAX'),
  ('window: last and until', '{"v":1,"where":{"did":"order","last":"1 day","until":"2026-01-01"}}', '/where/until E_SYNTAX'),
  ('window: unknown unit', '{"v":1,"where":{"did":"order","this":"fortnight"}}', '/where/this E_WINDOW'),
  ('window: between turned round', '{"v":1,"where":{"did":"order","between":["30 days","90 days"]}}', '/where/between E_WINDOW'),
  ('window: between of equals', '{"v":1,"where":{"did":"order","between":["1 week","7 days"]}}', '/where/between E_WINDOW'),
  ('window: between of one', '{"v":1,"where":{"did":"order","between":["30 days"]}}', '/where/between E_TYPE'),
  ('window: between of mixed ends', '{"v":1,"where":{"did":"order","between":["3 months","30 days"]}}', '/where/between E_WINDOW'),
  ('window: both ends wrong', '{"v":1,"where":{"did":"order","between":["0 days","x"]}}', '/where/between/0 E_WINDOW
/where/between/1 E_WINDOW'),
  ('window: since after until', '{"v":1,"where":{"did":"order","since":"2026-02-01","until":"2026-02-01"}}', '/where/until E_WINDOW'),
  ('window: since no moment', '{"v":1,"where":{"did":"order","since":"yesterday","until":5}}', '/where/since E_WINDOW
/where/until E_TYPE'),
  ('count of a number', '{"v":1,"where":{"did":"order","last":"1 day","count":2}}', '/where/count E_TYPE'),
  ('count without comparison', '{"v":1,"where":{"did":"order","last":"1 day","count":{}}}', '/where/count E_SYNTAX'),
  ('count with a stray key', '{"v":1,"where":{"did":"order","last":"1 day","count":{"gte":2,"in":[1]}}}', '/where/count/in E_UNKNOWN_KEY'),
  ('count of a fraction', '{"v":1,"where":{"did":"order","last":"1 day","count":{"gte":1.5}}}', '/where/count/gte E_TYPE'),
  ('count beyond reach', '{"v":1,"where":{"did":"order","last":"1 day","count":{"between":[1,1e12]}}}', '/where/count/between/1 E_TYPE'),
  ('two aggregates', '{"v":1,"where":{"did":"order","last":"1 day","count":{"gte":2},"sum":"x","gt":1}}', '/where/sum E_SYNTAX'),
  ('sum compared with text', '{"v":1,"where":{"did":"order","last":"1 day","sum":"amount","gt":"1"}}', '/where/gt E_TYPE'),
  ('sum without comparison', '{"v":1,"where":{"did":"order","last":"1 day","sum":"amount"}}', '/where E_SYNTAX'),
  ('sum of a field without number', '{"v":1,"where":{"did":"order","last":"1 day","sum":{"field":"channel"},"gt":1}}', '/where/sum/field E_SYNTAX'),
  ('sum of nothing', '{"v":1,"where":{"did":"order","last":"1 day","sum":{},"gt":1}}', '/where/sum E_SYNTAX'),
  ('prefix of a number', '{"v":1,"where":{"did":"order","last":"1 day","first_value":"coupon","prefix":5}}', '/where/prefix E_TYPE'),
  ('first value of money as text', '{"v":1,"where":{"did":"order","last":"1 day","first_value":{"field":"value"},"eq":"5"}}', '/where/eq E_TYPE'),
  ('condition that is none', '{"v":1,"where":{"did":"order","last":"1 day","where":{}}}', '/where/where E_SYNTAX'),
  ('condition of two forms', '{"v":1,"where":{"did":"order","last":"1 day","where":{"prop":"a","field":"value","eq":1}}}', '/where/where/field E_SYNTAX'),
  ('condition with a stray key', '{"v":1,"where":{"did":"order","last":"1 day","where":{"prop":"a","eq":1,"last":"1 day"}}}', '/where/where/last E_UNKNOWN_KEY'),
  ('order of true', '{"v":1,"where":{"did":"order","last":"1 day","where":{"prop":"a","gt":true}}}', '/where/where/gt E_TYPE'),
  ('unknown field', '{"v":1,"where":{"did":"order","last":"1 day","where":{"field":"chanel","eq":"email"}}}', '/where/where/field E_UNKNOWN_KEY'),
  ('unknown channel', '{"v":1,"where":{"did":"order","last":"1 day","where":{"field":"channel","in":["email","emial"]}}}', '/where/where/in/1 E_UNKNOWN_CHANNEL'),
  ('unknown group', '{"v":1,"where":{"did":"order","last":"1 day","where":{"field":"channel_group","eq":"paidd"}}}', '/where/where/eq E_UNKNOWN_CHANNEL'),
  ('unknown campaign', '{"v":1,"where":{"did":"order","last":"1 day","where":{"field":"campaign","neq":"summer"}}}', '/where/where/neq E_UNKNOWN_CAMPAIGN'),
  ('unknown source', '{"v":1,"where":{"did":"order","last":"1 day","where":{"field":"source","eq":"x"}}}', '/where/where/eq E_UNKNOWN_SOURCE'),
  ('value compared with text', '{"v":1,"where":{"did":"order","last":"1 day","where":{"any":[{"field":"value","gt":"5"}]}}}', '/where/where/any/0/gt E_TYPE'),
  ('one step', '{"v":1,"where":{"seq":[{"did":"order"}],"last":"1 day"}}', '/where/seq E_SIZE'),
  ('steps that are none', '{"v":1,"where":{"seq":"order","last":"1 day"}}', '/where/seq E_TYPE'),
  ('17 steps', '{"v":1,"where":{"last":"1 day","seq":[{"did":"order"},{"did":"order"},{"did":"order"},{"did":"order"},{"did":"order"},{"did":"order"},{"did":"order"},{"did":"order"},{"did":"order"},{"did":"order"},{"did":"order"},{"did":"order"},{"did":"order"},{"did":"order"},{"did":"order"},{"did":"order"},{"did":"order"}]}}', '/where/seq E_SIZE'),
  ('within at the first step', '{"v":1,"where":{"seq":[{"did":"visit","within":"1 day"},{"did":"order"}],"last":"1 day"}}', '/where/seq/0/within E_UNKNOWN_KEY'),
  ('within of months', '{"v":1,"where":{"seq":[{"did":"visit"},{"did":"order","within":"1 month"}],"last":"1 day"}}', '/where/seq/1/within E_WINDOW'),
  ('a step with neither', '{"v":1,"where":{"seq":[{"did":"visit"},{"within":"1 day"}],"last":"1 day"}}', '/where/seq/1 E_SYNTAX'),
  ('absent first', '{"v":1,"where":{"seq":[{"absent":"visit"},{"did":"order"}],"last":"1 day"}}', '/where/seq/0/absent E_SYNTAX'),
  ('absent without end', '{"v":1,"where":{"seq":[{"did":"visit"},{"absent":"order"}],"last":"1 day"}}', '/where/seq/1 E_SYNTAX'),
  ('same of nothing', '{"v":1,"where":{"seq":[{"did":"visit"},{"did":"order","same":[]}],"last":"1 day"}}', '/where/seq/1/same E_TYPE'),
  ('total of nothing', '{"v":1,"where":{"seq":[{"did":"visit"},{"did":"order"}],"last":"1 day","total":"0 hours"}}', '/where/total E_WINDOW'),
  ('ties', '{"v":1,"where":{"seq":[{"did":"visit"},{"did":"order"}],"last":"1 day","ties":"loose"}}', '/where/ties E_SYNTAX'),
  ('between of an unknown kind', '{"v":1,"where":{"seq":[{"did":"visit"},{"did":"order"}],"last":"1 day","not_between":[{"did":"order"},{"did":"xyz"}]}}', '/where/not_between/1/did E_UNKNOWN_KIND'),
  ('between of nothing', '{"v":1,"where":{"seq":[{"did":"visit"},{"did":"order"}],"last":"1 day","not_between":[]}}', '/where/not_between E_SIZE'),
  ('between that is no event', '{"v":1,"where":{"seq":[{"did":"visit"},{"did":"order"}],"last":"1 day","not_between":"order"}}', '/where/not_between E_TYPE'),
  ('first time without window', '{"v":1,"where":{"first_time":"order"}}', '/where E_SYNTAX'),
  ('regularly: five of four', '{"v":1,"where":{"regularly":"order","at_least":5,"of":4,"unit":"week"}}', '/where/at_least E_WINDOW'),
  ('regularly: all wrong', '{"v":1,"where":{"regularly":"order","at_least":0,"of":1.5,"unit":"year"}}', '/where/at_least E_TYPE
/where/of E_TYPE
/where/unit E_WINDOW'),
  ('stopped until now', '{"v":1,"where":{"stopped":"order","between":["30 days","0 days"]}}', '/where/between/1 E_WINDOW'),
  ('resumed after months', '{"v":1,"where":{"resumed":"order","after":"2 months","last":"7 days"}}', '/where/after E_WINDOW'),
  ('unknown segment', '{"v":1,"where":{"segment":"vipp"}}', '/where/segment E_UNKNOWN_SEGMENT'),
  ('itself', '{"v":1,"where":{"segment":"me"}}', '/where/segment E_CYCLE'),
  ('a circle', '{"v":1,"where":{"not":{"segment":"vip"}}}', '/where/not/segment E_CYCLE'),
  ('a segment of another purpose', '{"v":1,"where":{"segment":"care"}}', '/where/segment E_PURPOSE'),
  ('unknown list', '{"v":1,"where":{"list":"pres"}}', '/where/list E_UNKNOWN_LIST'),
  ('unknown trait', '{"v":1,"where":{"trait":"rfm","gte":4}}', '/where/trait E_UNKNOWN_TRAIT'),
  ('trait of numbers and text', '{"v":1,"where":{"trait":"rfm_r","eq":"4"}}', '/where/eq E_TYPE'),
  ('trait of text and number', '{"v":1,"where":{"trait":"grade","eq":4}}', '/where/eq E_TYPE'),
  ('rank without places', '{"v":1,"where":{"rank":{"trait":"rfm_r"}}}', '/where E_SYNTAX'),
  ('rank of 0%', '{"v":1,"where":{"rank":{"trait":"rfm_r"},"top":"0%"}}', '/where/top E_TYPE'),
  ('rank of 101%', '{"v":1,"where":{"rank":{"trait":"rfm_r"},"top":"101%"}}', '/where/top E_TYPE'),
  ('rank of 10', '{"v":1,"where":{"rank":{"trait":"rfm_r"},"top":"10"}}', '/where/top E_TYPE'),
  ('rank of 10.12345%', '{"v":1,"where":{"rank":{"trait":"rfm_r"},"top":"10.12345%"}}', '/where/top E_TYPE'),
  ('rank of 0', '{"v":1,"where":{"rank":{"trait":"rfm_r"},"top":0}}', '/where/top E_TYPE'),
  ('rank of 1.5', '{"v":1,"where":{"rank":{"trait":"rfm_r"},"top":1.5}}', '/where/top E_TYPE'),
  ('rank of -3', '{"v":1,"where":{"rank":{"trait":"rfm_r"},"top":-3}}', '/where/top E_TYPE'),
  ('rank of %', '{"v":1,"where":{"rank":{"trait":"rfm_r"},"top":"%"}}', '/where/top E_TYPE'),
  ('rank of true', '{"v":1,"where":{"rank":{"trait":"rfm_r"},"top":true}}', '/where/top E_TYPE'),
  ('rank of two', '{"v":1,"where":{"rank":{"trait":"rfm_r","attr":"age"},"top":1}}', '/where/rank E_SYNTAX'),
  ('rank of text', '{"v":1,"where":{"rank":{"attr":"country"},"bottom":1}}', '/where/rank/attr E_TYPE'),
  ('unknown purpose', '{"v":1,"where":{"consent":"markting"}}', '/where/consent E_UNKNOWN_PURPOSE'),
  ('unknown channel of consent', '{"v":1,"where":{"consent":"marketing","channel":"fax"}}', '/where/channel E_UNKNOWN_CHANNEL'),
  ('unknown holdout', '{"v":1,"where":{"holdout":"g"}}', '/where/holdout E_UNKNOWN_HOLDOUT'),
  ('unknown arm', '{"v":1,"where":{"holdout":"h","arm":"z"}}', '/where/arm E_UNKNOWN_HOLDOUT'),
  ('hostile names', '{"v":1,"where":{"all":[{"attr":"x''; DROP TABLE customer; --","eq":"\"; SELECT 1"},{"segment":"$1"},{"a/b~c":1}]}}', '/where/all/0/attr E_UNKNOWN_ATTR
/where/all/1/segment E_UNKNOWN_SEGMENT
/where/all/2/a~1b~0c E_UNKNOWN_KEY'),
  ('many at once', '{"v":1,"where":{"all":[{"attr":"contry","eq":1},{"any":[{"did":"oder","last":"0 days","foo":1},{"not":{"list":"x"}}]},{"seq":[{"did":"visit"},{"absent":"order"}],"total":"1 month"}]}}', '/where/all/0/attr E_UNKNOWN_ATTR
/where/all/1/any/0/foo E_UNKNOWN_KEY
/where/all/1/any/0/did E_UNKNOWN_KIND
/where/all/1/any/0/last E_WINDOW
/where/all/1/any/1/not/list E_UNKNOWN_LIST
/where/all/2/seq/1 E_SYNTAX
/where/all/2/total E_WINDOW');
SELECT is(pg_temp.found(rule, :'catalog'), expected, name) FROM bad ORDER BY n;
SELECT is((SELECT count(*) FROM bad, cdp_internal.rule_check(rule, :'catalog') c
  WHERE c.path IS NULL OR c.code !~ '^E_[A-Z]+(_[A-Z]+)?$' OR c.message = '' OR c.message ~ '^[A-Z]' OR c.hint = ''), 0::bigint, 'each error has path, code and message in lower case');

-- Rules of every form are good, and so is their canonical form, which is its own.
CREATE TEMP TABLE good (n integer GENERATED ALWAYS AS IDENTITY, node jsonb);
INSERT INTO good (node) VALUES
  ('{"attr":"country","eq":"CN"}'),
  ('{"attr":"country","neq":"CN"}'),
  ('{"attr":"country","in":["CN","US"]}'),
  ('{"attr":"country","not_in":["CN"]}'),
  ('{"attr":"country","lt":"CN"}'),
  ('{"attr":"country","between":["A","B"]}'),
  ('{"attr":"country","not_between":["A","B"]}'),
  ('{"attr":"country","prefix":"C"}'),
  ('{"attr":"country","suffix":"C"}'),
  ('{"attr":"country","contains":"C"}'),
  ('{"attr":"country","not_contains":""}'),
  ('{"attr":"country","exists":false}'),
  ('{"attr":"age","gte":18}'),
  ('{"attr":"age","between":[18,30]}'),
  ('{"attr":"ltv","lt":1.5}'),
  ('{"attr":"active","eq":true}'),
  ('{"attr":"signup","eq":"2024-02-29"}'),
  ('{"attr":"signup","last":"3 months"}'),
  ('{"attr":"signup","next":"1 day"}'),
  ('{"attr":"signup","before_last":"2 weeks"}'),
  ('{"attr":"birthday","anniversary_next":"7 days"}'),
  ('{"attr":"seen_at","gte":"2026-01-31T08:00:00.123456+05:30"}'),
  ('{"attr":"seen_at","lt":"2026-01-31"}'),
  ('{"attr":"seen_at","last":"90 minutes"}'),
  ('{"attr":"interests","has":"golf"}'),
  ('{"attr":"interests","has_all":["golf","tea"]}'),
  ('{"attr":"tags","exists":true}'),
  ('{"attr":"email","exists":false}'),
  ('{"did":"order"}'),
  ('{"did":["order","refund"],"last":"30 days"}'),
  ('{"did":"order","last":"100 years","count":{"between":[1,4]}}'),
  ('{"did":"order","this":"quarter","days":{"gte":3}}'),
  ('{"did":"order","previous":"week","sum":"amount","gte":5}'),
  ('{"did":"order","since":"2026-01-01","avg":{"field":"value"},"lt":5}'),
  ('{"did":"order","until":"2026-01-01T00:00:00Z","min":"amount","eq":5}'),
  ('{"did":"order","between":["3 months","1 month"],"max":"amount","neq":5}'),
  ('{"did":"order","between":["3 months","0 days"],"distinct":"sku","gt":5}'),
  ('{"did":"order","last":"1 day","first_value":"coupon","contains":"X"}'),
  ('{"did":"order","last":"1 day","last_value":"coupon","in":[1,2]}'),
  ('{"did":"order","last":"1 day","where":{"all":[{"prop":"a","gt":1},{"any":[{"prop":"b","eq":true},{"field":"channel","eq":"email"}]},{"not":{"field":"value","between":[1,2]}},{"prop":"tags","has_any":["x","y"]},{"field":"campaign","exists":true},{"field":"source","prefix":"s"},{"field":"channel_group","neq":"paid"}]}}'),
  ('{"first_time":"order","last":"30 days","where":{"prop":"a","eq":1}}'),
  ('{"regularly":["order","visit"],"at_least":3,"of":4,"unit":"week"}'),
  ('{"stopped":"visit","between":["90 days","30 days"]}'),
  ('{"resumed":"order","after":"60 days","last":"2 months"}'),
  ('{"seq":[{"did":"cart_add"},{"did":"order","within":"7 days","same":["product_id"],"where":{"prop":"x","eq":1}}],"last":"90 days","total":"8 days","not_between":{"did":"cart_remove"},"ties":"order"}'),
  ('{"seq":[{"did":"cart_add"},{"did":"visit"},{"absent":["order","renewal"],"within":"1 hour"}],"this":"month","not_between":[{"did":"cart_remove"},{"did":"refund","where":{"prop":"x","eq":1}}],"ties":"strict"}'),
  ('{"segment":"plain"}'),
  ('{"list":"press"}'),
  ('{"trait":"rfm_r","between":[1,2]}'),
  ('{"trait":"rfm_r","exists":true}'),
  ('{"trait":"grade","in":["A","B"]}'),
  ('{"rank":{"trait":"rfm_m"},"top":"0.0001%"}'),
  ('{"rank":{"attr":"ltv"},"bottom":100}'),
  ('{"consent":"marketing"}'),
  ('{"consent":"analytics","channel":"email"}'),
  ('{"holdout":"h"}'),
  ('{"holdout":"h","arm":"b"}'),
  ('{"all":[]}'),
  ('{"any":[{"not":{"all":[{"list":"press"}]}}]}');
SELECT is(pg_temp.found(jsonb_build_object('v', 1, 'where', node), :'catalog'), '', 'good: ' || left(node::text, 60)) FROM good ORDER BY n;
SELECT is((SELECT string_agg(node::text, E'\n') FROM good, cdp_internal.rule_canonical(jsonb_build_object('v', 1, 'where', node)) c
  WHERE cdp_internal.rule_canonical(c) <> c OR pg_temp.found(c, :'catalog') <> ''), NULL, 'the canonical form of each is good and its own canonical form');
CREATE TEMP TABLE canonical (n integer GENERATED ALWAYS AS IDENTITY, rule jsonb, expected text);
INSERT INTO canonical (rule, expected) VALUES
  ('{"where":{"list":"press"}}', '{"v": 1, "where": {"list": "press"}}'),
  ('{"v":1,"nulls":"set","tz":"UTC","where":{"all":[{"list":"press"}]}}', '{"v": 1, "tz": "UTC", "where": {"all": [{"list": "press"}]}}'),
  ('{"v":1,"where":{"did":["b","a","b"],"last":"007 day","count":{"gte":1}}}', '{"v": 1, "where": {"did": ["a", "b"], "last": "7 days"}}'),
  ('{"v":1,"where":{"did":["a"],"last":"1 weeks","count":{"gt":0}}}', '{"v": 1, "where": {"did": "a", "last": "1 week"}}'),
  ('{"v":1,"where":{"attr":"x","in":[1.50,2.0]}}', '{"v": 1, "where": {"in": [1.5, 2], "attr": "x"}}'),
  ('{"v":1,"where":{"did":"a","between":["2 day","0 months"]}}', '{"v": 1, "where": {"did": "a", "between": ["2 days", "0 days"]}}'),
  ('{"v":1,"where":{"rank":{"attr":"x"},"top":"010.5000%"}}', '{"v": 1, "where": {"top": "10.5%", "rank": {"attr": "x"}}}'),
  ('{"v":1,"where":{"seq":[{"did":["a"]},{"did":"b"}],"ties":"strict","not_between":[{"did":"c"}]}}', '{"v": 1, "where": {"seq": [{"did": "a"}, {"did": "b"}], "not_between": {"did": "c"}}}'),
  ('{"v":1,"where":{"holdout":"h","arm":"control"}}', '{"v": 1, "where": {"holdout": "h"}}');
SELECT is(cdp_internal.rule_canonical(rule)::text, expected, 'canonical: ' || left(expected, 60)) FROM canonical ORDER BY n;
SELECT throws_ok($$SELECT cdp_internal.rule_canonical('{"where":{"did":"a","last":"0 days"}}')$$, '22023', 'a duration must be above zero', 'no canonical form of a rule with errors');
SELECT is(cdp_internal.rule_canonical(NULL), NULL, 'NULL has none');
SELECT is((SELECT string_agg(path || ' ' || code, ',') FROM cdp_internal.rule_check(NULL, NULL)), ' E_TYPE', 'NULL is no rule');
SELECT is(pg_temp.found('{"where":{"all":[{"attr":"anything","eq":1},{"did":"whatever","last":"0 days"},{"segment":"none"}]}}', NULL), '/where/all/1/last E_WINDOW', 'without a catalogue only the form is checked');

-- Hints.
SELECT is((SELECT hint FROM cdp_internal.rule_check('{"where":{"attr":"contry","eq":"CN"}}', :'catalog')), 'Did you mean "country"?', 'the nearest name');
SELECT is((SELECT message FROM cdp_internal.rule_check('{"where":{"segment":"vip"}}', :'catalog')), 'the segments name each other in a circle: "me" -> "vip" -> "big" -> "me"', 'the whole circle');
SELECT is((SELECT hint FROM cdp_internal.rule_check('{"where":{"did":"scan","last":"1 day"}}', :'catalog')), 'It may be used for: care.', 'the purposes that may');
SELECT is((SELECT message FROM cdp_internal.rule_check(jsonb_build_object('where', jsonb_build_object('list', repeat('é', 200) || chr(7))), :'catalog')), 'list "' || repeat('é', 31) || '..." is not known', 'long names are clipped');
SELECT is((SELECT message FROM cdp_internal.rule_check(jsonb_build_object('where', jsonb_build_object('list', E'a\nb\tc')), :'catalog')), 'list "a?b?c" is not known', 'control characters are not repeated');

-- Depth and size.
CREATE FUNCTION pg_temp.nested(n integer, inner_node text) RETURNS jsonb LANGUAGE sql
AS $$SELECT ('{"v":1,"where":' || repeat('{"not":', n) || inner_node || repeat('}', n) || '}')::jsonb$$;
SELECT is(pg_temp.found(pg_temp.nested(31, '{"list":"press"}'), :'catalog'), '', '32 levels');
SELECT is(pg_temp.found(pg_temp.nested(32, '{"list":"press"}'), :'catalog'), '/where' || repeat('/not', 32) || ' E_DEPTH', '33 levels');
SELECT is(pg_temp.found(pg_temp.nested(1500, '5'), :'catalog'), '/where' || repeat('/not', 32) || ' E_DEPTH', '1,500 levels');
SELECT is(pg_temp.found(pg_temp.nested(30, '{"did":"order","last":"1 day","where":{"not":{"prop":"a","eq":1}}}'), :'catalog'), '/where' || repeat('/not', 30) || '/where/not E_DEPTH', 'conditions of events count');
SELECT is(pg_temp.found(('{"where":{"did":"order","last":"1 day","where":' || repeat('{"any":[', 1000) || repeat(']}', 1000) || '}}')::jsonb, :'catalog'), '/where/where' || repeat('/any/0', 31) || ' E_DEPTH', 'conditions nested 1,000 deep');
CREATE FUNCTION pg_temp.wide(n integer, node text) RETURNS jsonb LANGUAGE sql
AS $$SELECT ('{"v":1,"where":{"any":[' || string_agg(node, ',') || ']}}')::jsonb FROM generate_series(1, n)$$;
SELECT is(pg_temp.found(pg_temp.wide(999, '{"list":"press"}'), :'catalog'), '', '1,000 conditions');
SELECT is(pg_temp.found(pg_temp.wide(1000, '{"list":"press"}'), :'catalog'), '/where/any/999 E_SIZE', '1,001 conditions');
SELECT is(pg_temp.found(pg_temp.wide(50000, '{"list":"press"}'), :'catalog'), '/where/any/999 E_SIZE', '50,001 conditions');
SELECT is((SELECT count(*) || ' ' || max(message) FILTER (WHERE message LIKE '%more%') FROM cdp_internal.rule_check(pg_temp.wide(999, '{"did":"x","last":"0 days"}'), :'catalog')),
  '1000 a duration must be above zero; and 998 more messages', 'at most 1,000 messages');
SELECT is(pg_temp.found(jsonb_build_object('where', jsonb_build_object('attr', 'country', 'in', (SELECT jsonb_agg(i::text) FROM generate_series(1, 10001) i))), :'catalog'), '/where/in E_SIZE', '10,001 constants');
SELECT is(pg_temp.found(jsonb_build_object('where', jsonb_build_object('attr', 'country', 'in', (SELECT jsonb_agg(i::text) FROM generate_series(1, 10000) i))), :'catalog'), '', '10,000 constants');
SELECT is(pg_temp.found(jsonb_build_object('where', jsonb_build_object('attr', 'country', 'eq', repeat('x', 10001))), :'catalog'), '/where/eq E_SIZE', 'a text of 10,001 bytes');
SELECT is(pg_temp.found(jsonb_build_object('where', jsonb_build_object('attr', repeat('x', 10001), 'eq', 'a')), :'catalog'), '/where/attr E_SIZE', 'a name of 10,001 bytes');

-- What a rule names; a catalogue that is none.
SELECT is((SELECT string_agg(what || ' ' || name, ', ') FROM cdp_internal.rule_uses('{"where":{"all":[{"segment":"a"},{"not":{"segment":"b"}},{"segment":"a"},{"attr":"x","eq":1},{"rank":{"trait":"t"},"top":"05%"},{"list":"l"},{"consent":"c"},{"holdout":"h"},{"did":"k","where":{"all":[{"prop":"p","eq":1},{"field":"channel","in":["e","f"]}]}}]}}')),
  'segment a, segment b, attr x, trait t, rank {"rank":{"trait":"t"},"top":"5%"}, list l, consent c, holdout h, kind k, property p, channel e, channel f', 'rule_uses');
SELECT is((SELECT count(hint) FROM cdp_internal.rule_check(pg_temp.wide(500, '{"list":"pres"}'), :'catalog')), 100::bigint, 'near names are looked for in the first errors only');
SELECT throws_ok($$SELECT * FROM cdp_internal.rule_check('{"where":{"attr":"a","eq":1}}', '{"attributes":{"a":{"type":"blob"}}}')$$, '22023', 'the catalogue of rules is malformed', 'an unknown type in the catalogue');
SELECT throws_ok($$SELECT * FROM cdp_internal.rule_check('{"where":{"list":"a"}}', '[]')$$, '22023', 'the catalogue of rules must be an object', 'a catalogue that is an array');
SELECT * FROM finish();
ROLLBACK;
