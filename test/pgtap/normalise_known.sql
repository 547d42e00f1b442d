-- Normalisers: known answers. The form after "=" is expected; none means that the value is refused.
BEGIN;
SELECT plan(22);
CREATE TEMP TABLE known (normaliser text, region text, value text, form text);
INSERT INTO known (normaliser, value, form) VALUES
  ('trim', 'U0001', 'U0001'), ('trim', E' \t\n U 1 \r\n', 'U 1'), ('trim', E'\u00a0\u3000a\u2003', 'a'), ('trim', E'\ufeffa\u200bb\u200d', 'ab'),
  ('trim', E'\u202ea\u202c\u200f', 'a'), ('trim', E'\u00adso\u00adft', 'soft'), ('trim', E'\u2066x\u2069', 'x'), ('trim', 'Ａｂ１２', 'Ab12'),
  ('trim', 'ﬁ', 'fi'), ('trim', E'e\u0301', 'é'), ('trim', 'ｶﾞ', 'ガ'), ('trim', '①', '1'), ('trim', '㎏', 'kg'), ('trim', E'\u2764\ufe0f', E'\u2764'),
  ('trim', '👩‍👩‍👧', '👩👩👧'), ('trim', 'null', 'null'), ('trim', '', NULL), ('trim', ' ', NULL), ('trim', E'\u200b\u3000', NULL), ('trim', E'\u3164', NULL),
  ('trim', E'a\tb', NULL), ('trim', E'a\nb', NULL), ('trim', E'a\u0085b', NULL), ('trim', E'a\u007fb', NULL), ('trim', E'a\ufffdb', NULL),
  ('trim', repeat('x', 800), repeat('x', 800)), ('trim', repeat('x', 801), NULL), ('trim', repeat('中', 266), repeat('中', 266)), ('trim', repeat('中', 267), NULL),
  ('trim', repeat('ﷺ', 40), NULL), ('trim', 'Апельсин', 'Апельсин'),
  ('lower', 'ABC', 'abc'), ('lower', 'ÀÉÎ', 'àéî'), ('lower', 'ΑΣ', 'ασ'), ('lower', 'Москва', 'москва'), ('lower', 'İ', 'i'), ('lower', 'ẞ', 'ß'), ('lower', E'J\u030c', 'ǰ'),
  ('lower', 'Ⅳ', 'iv'), ('lower', 'ＷＸ', 'wx'), ('lower', '京Ａ', '京a'), ('lower', 'Ⱥ', 'ⱥ'), ('lower', '𐐀', '𐐨'), ('lower', 'ა', 'ა'),
  ('digits', '12 34-56.78/9', '123456789'), ('digits', '007', '007'), ('digits', '１２', '12'), ('digits', '12a', NULL), ('digits', ' - ', NULL),
  ('uuid', 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'),
  ('uuid', '{a0eebc999c0b4ef8bb6d6bb9bd380a11}', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'),
  ('uuid', 'urn:uuid:a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'),
  ('uuid', 'a0eebc99-9c0b4ef8-bb6d-6bb9bd380a11', NULL), ('uuid', '00000000-0000-0000-0000-000000000000', NULL), ('uuid', 'a0eebc99', NULL),
  ('hash', 'D41D8CD98F00B204E9800998ECF8427E', 'd41d8cd98f00b204e9800998ecf8427e'), ('hash', '0x' || repeat('aB', 32), repeat('ab', 32)),
  ('hash', repeat('a', 64), NULL), ('hash', repeat('ab', 15), NULL), ('hash', repeat('ab', 65), NULL), ('hash', repeat('ag', 16), NULL), ('hash', repeat('ab', 16) || 'a', NULL),
  ('device', '38400000-8CF0-11BD-B23E-10B96E40000D', '38400000-8cf0-11bd-b23e-10b96e40000d'), ('device', '{38400000-8CF0-11BD-B23E-10B96E40000D}', '38400000-8cf0-11bd-b23e-10b96e40000d'),
  ('device', '38400000-0000-0000-0000-000000000000', '38400000-0000-0000-0000-000000000000'), ('device', '00000000-0000-0000-0000-000000000000', NULL),
  ('device', 'FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF', NULL), ('device', 'A0-B1-C2-D3-E4-F5', 'a0:b1:c2:d3:e4:f5'), ('device', 'a0:B1:c2:d3:e4:f5', 'a0:b1:c2:d3:e4:f5'),
  ('device', '9774D56D682E549D', '9774d56d682e549d'), ('device', '358240051111110', '358240051111110'), ('device', 'Pixel-7_xYz', 'Pixel-7_xYz'),
  ('device', 'short', NULL), ('device', 'a b c d e f g h', NULL), ('device', repeat('ab', 65), NULL), ('device', '111111111111111', NULL),
  ('cookie', 'GA1.2.1234567890.1700000000', '1234567890.1700000000'), ('cookie', 'GA1.1-2.1234567890.1700000000', '1234567890.1700000000'),
  ('cookie', '%22a0eebc99-9c0b%22', 'a0eebc99-9c0b'), ('cookie', '"Abc"', 'Abc'), ('cookie', 'fb.1.1558571054389.1098115397', 'fb.1.1558571054389.1098115397'),
  ('cookie', 'Ab=', 'Ab='), ('cookie', 'a b', NULL), ('cookie', 'a;b', NULL), ('cookie', '""', NULL), ('cookie', 'GA1.', 'GA1.'),
  ('openid', 'oLVPpjqs9BhvzwPj5A-vTYAX3GLc', 'oLVPpjqs9BhvzwPj5A-vTYAX3GLc'), ('openid', ' oLVPpjqs9BhvzwPj5A-vTYAX3GLc ', 'oLVPpjqs9BhvzwPj5A-vTYAX3GLc'),
  ('unionid', 'o6_bmasdasdsad6_2sgVt7hMZOPfL', 'o6_bmasdasdsad6_2sgVt7hMZOPfL'), ('external_userid', 'woAJ2GCAAAXtWyujaWJHDDGi0mACAAAA', 'woAJ2GCAAAXtWyujaWJHDDGi0mACAAAA'),
  ('openid', 'OPENID', NULL), ('openid', repeat('o', 28), NULL), ('openid', 'oLVPpjqs9BhvzwPj5A vTYAX3GLc', NULL), ('unionid', repeat('ab', 33), NULL), ('openid', 'oLVPpjqs9BhvzwPj5AévTYAX3GLc', NULL);
INSERT INTO known (normaliser, value, form) VALUES
  ('email', 'Ann@Example.ORG', 'ann@example.org'), ('email', ' ann@example.org. ', 'ann@example.org'), ('email', 'mailto:Ann@example.org?subject=Hi', 'ann@example.org'),
  ('email', 'Ann Lee <ann@example.org>', 'ann@example.org'), ('email', '"Lee, Ann" <ann@example.org>', 'ann@example.org'), ('email', '<ann@example.org>', 'ann@example.org'),
  ('email', '''ann@example.org''', 'ann@example.org'), ('email', 'Ａｎｎ＠ｅｘａｍｐｌｅ．ｏｒｇ', 'ann@example.org'), ('email', 'ann@example。org', 'ann@example.org'),
  ('email', E'an\u200bn@example.org', 'ann@example.org'), ('email', 'a+news@gmail.com', 'a+news@gmail.com'), ('email', 'a.b@gmail.com', 'a.b@gmail.com'),
  ('email', 'o''hara@example.org', 'o''hara@example.org'), ('email', '张三@例子.公司', '张三@例子.公司'), ('email', 'JÖRG@MÜLLER.de', 'jörg@müller.de'),
  ('email', 'ann@xn--mller-kva.de', 'ann@xn--mller-kva.de'), ('email', 'a..b.@docomo.ne.jp', 'a..b.@docomo.ne.jp'), ('email', '😀@example.org', '😀@example.org'),
  ('email', repeat('l', 64) || '@example.org', repeat('l', 64) || '@example.org'), ('email', 'ann@123.com', 'ann@123.com'), ('email', 'ann@почта.рф', 'ann@почта.рф'),
  ('email', 'ann@東京tower.jp', 'ann@東京tower.jp'),
  ('email', repeat('l', 65) || '@example.org', NULL), ('email', 'ann', NULL), ('email', 'ann@', NULL), ('email', '@example.org', NULL), ('email', 'ann@example', NULL),
  ('email', 'a@b@example.org', NULL), ('email', '"a b"@example.org', NULL), ('email', 'ann@[127.0.0.1]', NULL), ('email', 'ann@127.0.0.1', NULL), ('email', 'ann@-example.org', NULL),
  ('email', 'ann@example-.org', NULL), ('email', 'ann@exa mple.org', NULL), ('email', 'ann@example..org', NULL), ('email', 'ann@example.o', NULL), ('email', 'ann@exam_ple.org', NULL),
  ('email', '.ann@example.org', NULL), ('email', 'ann,bob@example.org', NULL), ('email', 'ann@example.org, bob@example.org', NULL), ('email', 'ann@' || repeat('l', 64) || '.org', NULL),
  ('email', 'ann@' || repeat('abcdefgh.', 28) || 'org', NULL), ('email', 'ann@раypal.com', NULL), ('email', 'ann@gοοgle.com', NULL), ('email', '<>', NULL), ('email', 'mailto:', NULL), ('email', '@', NULL),
  ('email_gmail', 'A.N.N+x@GoogleMail.com', 'ann@gmail.com'), ('email_gmail', 'a.n.n+x@example.org', 'a.n.n+x@example.org'), ('email_gmail', '+x@gmail.com', NULL);
-- Numbers of shops, ministries and specimens that are printed for everybody, in the ways people write them.
INSERT INTO known (normaliser, region, value, form) SELECT 'phone', v.* FROM (VALUES
  (NULL, '+86 139 1111 2222', '+8613911112222'), ('CN', '13911112222', '+8613911112222'), ('CN', '139-1111-2222', '+8613911112222'), ('CN', '013911112222', '+8613911112222'),
  ('CN', '8613911112222', '+8613911112222'), ('CN', '008613911112222', '+8613911112222'), ('CN', '(010) 6552 9988', '+861065529988'), ('CN', '+86 (0)10 6552 9988', '+861065529988'),
  ('CN', '0755-86013388', '+8675586013388'), ('CN', '400-810-8888', '+864008108888'), ('CN', '＋８６　１３９１１１１２２２２', '+8613911112222'), ('CN', '١٣٩١١١١٢٢٢٢', '+8613911112222'),
  ('CN', 'tel:+86-139-1111-2222', '+8613911112222'), ('CN', '(+86)13911112222', '+8613911112222'), ('CN', E'\u202a+86 139 1111 2222\u202c', '+8613911112222'), ('CN', '139‐1111‑2222', '+8613911112222'),
  ('CN', '1391111222', NULL), ('CN', '139111122223', NULL), ('CN', '12911112222', NULL), ('CN', '10086', NULL), ('CN', '110', NULL), ('CN', '25911112222', NULL), ('CN', '010-65529988-801', NULL),
  ('CN', '010-65529988转801', NULL), ('CN', '+86 139 1111 2222 ext 3', NULL), ('CN', '138****1234', NULL), ('CN', '+1391111', NULL), ('CN', '++8613911112222', NULL), ('CN', '13911112222+', NULL),
  (NULL, '13911112222', NULL), (NULL, '008613911112222', '+8613911112222'), ('XX', '13911112222', NULL), (NULL, '+', NULL), (NULL, '()', NULL), (NULL, '+999 1234567', NULL), (NULL, '+86', NULL),
  ('US', '(415) 555-2671', '+14155552671'), ('US', '1-415-555-2671', '+14155552671'), ('US', '+1 415 555 2671', '+14155552671'), ('US', '011 86 139 1111 2222', '+8613911112222'),
  ('US', '415-155-2671', NULL), ('US', '115-555-2671', NULL), ('US', '555-2671', NULL), ('US', '1-800-FLOWERS', NULL), ('CA', '613 996 9922', '+16139969922'), ('JM', '876 926 1234', '+18769261234'),
  ('GB', '020 7946 0958', '+442079460958'), ('GB', '+44 (0)20 7946 0958', '+442079460958'), ('GB', '07400 123456', '+447400123456'), ('GB', '447400123456', '+447400123456'), ('GB', '0044 20 7946 0958', '+442079460958'),
  ('DE', '030 18272720', '+493018272720'), ('DE', '+49 (0) 30 18272720', '+493018272720'), ('DE', '0171/1234567', '+491711234567'), ('DE', '491711234567', '+491711234567'), ('DE', '0049 171 1234567', '+491711234567'),
  ('FR', '01 42 92 81 00', '+33142928100'), ('FR', '06.12.34.56.78', '+33612345678'), ('FR', '+33 (0)6 12 34 56 78', '+33612345678'), ('FR', '+33 06 12 34 56 78', '+33612345678'), ('FR', '06 12 34 56', NULL),
  ('IT', '06 6982', '+39066982'), ('IT', '+39 06 6982', '+39066982'), ('IT', '312 345 6789', '+393123456789'), ('ES', '612 34 56 78', '+34612345678'), ('ES', '34612345678', '+34612345678'), ('PT', '912 345 678', '+351912345678'),
  ('NL', '06-12345678', '+31612345678'), ('BE', '0470 12 34 56', '+32470123456'), ('CH', '044 668 18 00', '+41446681800'), ('AT', '0664 123456', '+43664123456'), ('SE', '070-123 45 67', '+46701234567'),
  ('NO', '406 12 345', '+4740612345'), ('DK', '32 12 34 56', '+4532123456'), ('FI', '041 2345678', '+358412345678'), ('IE', '085 012 3456', '+353850123456'), ('PL', '512 345 678', '+48512345678'),
  ('CZ', '601 123 456', '+420601123456'), ('HU', '06 20 123 4567', '+36201234567'), ('HU', '20 123 4567', '+36201234567'), ('RO', '0712 034 567', '+40712034567'), ('GR', '691 234 5678', '+306912345678'),
  ('RU', '8 (912) 345-67-89', '+79123456789'), ('RU', '+7 912 345-67-89', '+79123456789'), ('RU', '79123456789', '+79123456789'), ('RU', '8 10 86 139 1111 2222', '+8613911112222'), ('KZ', '8 771 000 9998', '+77710009998'),
  ('UA', '050 123 4567', '+380501234567'), ('BY', '8 029 491-19-11', '+375294911911'), ('TR', '0501 234 56 78', '+905012345678'), ('IL', '050-234-5678', '+972502345678'), ('SA', '051 234 5678', '+966512345678'),
  ('AE', '050 123 4567', '+971501234567'), ('EG', '0100 123 4567', '+201001234567'), ('ZA', '071 123 4567', '+27711234567'), ('NG', '0802 123 4567', '+2348021234567'), ('KE', '0712 123456', '+254712123456'),
  ('CI', '01 23 45 67 89', '+2250123456789'), ('MA', '0650-123456', '+212650123456'), ('IN', '081234 56789', '+918123456789'), ('IN', '918123456789', '+918123456789'), ('PK', '0301 2345678', '+923012345678'),
  ('BD', '01812-345678', '+8801812345678'), ('LK', '071 234 5678', '+94712345678'), ('TH', '081 234 5678', '+66812345678'), ('VN', '0912 345 678', '+84912345678'), ('MY', '012-345 6789', '+60123456789'),
  ('SG', '8123 4567', '+6581234567'), ('ID', '0812-345-678', '+62812345678'), ('ID', '62812345678', '+62812345678'), ('PH', '0905 123 4567', '+639051234567'), ('JP', '090-1234-5678', '+819012345678'),
  ('JP', '03-3581-0101', '+81335810101'), ('JP', '010 86 139 1111 2222', '+8613911112222'), ('KR', '010-2000-0000', '+821020000000'), ('KR', '02-2100-2114', '+82221002114'), ('KR', '002 86 139 1111 2222', '+8613911112222'),
  ('TW', '0912 345 678', '+886912345678'), ('TW', '02 2349 2323', '+886223492323'), ('HK', '5123 4567', '+85251234567'), ('MO', '6612 3456', '+85366123456'), ('MN', '8812 3456', '+97688123456'),
  ('AU', '0412 345 678', '+61412345678'), ('AU', '(02) 9374 4000', '+61293744000'), ('AU', '0011 86 139 1111 2222', '+8613911112222'), ('NZ', '021 123 4567', '+64211234567'),
  ('BR', '(11) 96123-4567', '+5511961234567'), ('BR', '0 11 96123-4567', '+5511961234567'), ('BR', '5511961234567', '+5511961234567'), ('BR', '55 99123-4567', '+5555991234567'),
  ('MX', '222 123 4567', '+522221234567'), ('MX', '+52 1 222 123 4567', '+522221234567'), ('MX', '044 222 123 4567', '+522221234567'), ('AR', '+54 9 11 2345-6789', '+5491123456789'), ('AR', '011 15-2345-6789', '+5491123456789'), ('AR', '0351 15-234-5678', '+5493512345678'), ('AR', '02966 15-23-4567', '+5492966234567'), ('AR', '011 4343-4343', '+541143434343'), ('CL', '2 2123 4567', '+56221234567'),
  ('CO', '321 1234567', '+573211234567'), ('PE', '912 345 678', '+51912345678'), ('VA', '06 698', NULL),
  (NULL, '+800 1234 5678', '+80012345678'), (NULL, '+881 612 345 678', '+881612345678'), (NULL, '+383 43 201 234', '+38343201234'), (NULL, '+290 51234', '+29051234'), (NULL, '+1 234 567 8901', '+12345678901'),
  (NULL, '+49 12345678901234', NULL), (NULL, '+123456789012345678901', NULL)
) v;

SELECT is_empty(format('SELECT region, value, form, cdp_internal.normalise_identifier(value, normaliser, region) AS have FROM known
  WHERE normaliser = %L AND cdp_internal.normalise_identifier(value, normaliser, region) IS DISTINCT FROM form', n.name), n.name || ' gives the known forms')
FROM cdp.normaliser_builtin() n;
SELECT is_empty('SELECT name FROM cdp.normaliser_builtin() n WHERE NOT EXISTS (SELECT FROM known k WHERE k.normaliser = n.name AND form IS NOT NULL)', 'each has some');
SELECT is_empty('SELECT form FROM known WHERE form IS NOT NULL AND cdp_internal.normalise_identifier(form, normaliser, region) IS DISTINCT FROM form', 'a form stays as it is');
SELECT is_empty('SELECT form FROM known WHERE normaliser = ''phone'' AND cdp_internal.normalise_identifier(form, normaliser, NULL) IS DISTINCT FROM form', 'an E.164 number needs no region');

SELECT is(cdp_internal.normalise_identifier(NULL, 'trim', NULL), NULL, 'NULL is none');
SELECT is(cdp_internal.normalise_identifier('x', NULL, NULL), NULL, 'nor without a normaliser');
SELECT throws_ok($$SELECT cdp_internal.normalise_identifier(NULL, 'trimm', NULL)$$, '22023', 'unknown normaliser', 'an unknown normaliser');
SELECT set_eq($$SELECT array_agg(DISTINCT m[1]) FROM pg_constraint c, regexp_matches(pg_get_constraintdef(c.oid), '''([a-z_]+)''', 'g') m WHERE c.conname = 'identifier_type_normaliser_check'$$,
  'SELECT array_agg(name ORDER BY name) FROM cdp.normaliser_builtin()', 'the table takes those names and no other');
SELECT is_empty('SELECT normaliser FROM cdp.identifier_type_builtin() EXCEPT SELECT name FROM cdp.normaliser_builtin()', 'as the built-in types do');
SELECT ok((SELECT bool_and(cdp_internal.phone_region_known(c)) FROM unnest('{CN,US,DE,HK,MO,TW,GB,XK,SS,AC,GS}'::text[]) c) AND NOT cdp_internal.phone_region_known('XX')
  AND NOT cdp_internal.phone_region_known('') AND NOT cdp_internal.phone_region_known('cn'), 'regions are countries in capitals');
SELECT finish();
ROLLBACK;
