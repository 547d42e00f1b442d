-- Referral room, tracking: codes and QR pictures. Nothing here knows a table.

CREATE OR REPLACE FUNCTION cdp.referral_code_check(code text,
  OUT valid boolean, OUT kind text, OUT folded text, OUT display text, OUT problem text, OUT place integer, OUT suggestion text)
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_referral_code_check';
COMMENT ON FUNCTION cdp.referral_code_check(text) IS
'What a referral code is, from its letters alone: valid; kind: random (eight symbols of 23456789ABCDEFGHJKMNPQRSTUVWXYZ and a check digit) or vanity (3 to 50 of a-z, 0-9 and the dash); folded: as it is stored; display: as it is shown, K7M4-Q2TX-9; problem: empty, too_short, too_long, bad_character or check_digit (one symbol is wrong, or two changed places; or it never was a code); place: of the character at fault, from 1; suggestion: the only code that differs from what came in the one symbol that no code has (O for Q, 1 for 7), also beside a valid vanity code. Capitals, blanks, full-width forms and dashes of any kind are all the same; a vanity code keeps its dashes. The check digit makes sum(i * value) divisible by 31, which finds every single wrong symbol, every change of neighbours or of symbols one apart, and every twin error. Says nothing about whether the code was issued. NULL for NULL.';

CREATE OR REPLACE FUNCTION cdp_internal.referral_code_fold(code text) RETURNS text
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_referral_code_fold';
COMMENT ON FUNCTION cdp_internal.referral_code_fold(text) IS
'A referral code as it is stored: nine symbols without dashes, or the vanity code in lower case. NULL when the text is no code (cdp.referral_code_check() tells why), and for NULL.';

CREATE OR REPLACE FUNCTION cdp.referral_code_format(code text) RETURNS text
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_referral_code_format';
COMMENT ON FUNCTION cdp.referral_code_format(text) IS
'A referral code as it is shown to people: K7M4-Q2TX-9, or the vanity code in lower case. NULL for NULL. Error 22P02 when the text is no code.';

CREATE OR REPLACE FUNCTION cdp_internal.referral_code_random(words text[]) RETURNS text
LANGUAGE c VOLATILE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_referral_code_random';
COMMENT ON FUNCTION cdp_internal.referral_code_random(text[]) IS
'A new random referral code in its stored form, from the random numbers of the operating system, each of 31^8 equally likely but those in which one of the words (lower case) can be read. NULL for NULL. Errors: 54000 when every code holds one of the words.';

CREATE OR REPLACE FUNCTION cdp_internal.referral_code_word(code text, anywhere text[], whole text[]) RETURNS text
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_referral_code_word';
COMMENT ON FUNCTION cdp_internal.referral_code_word(text, text[], text[]) IS
'The first word of anywhere that can be read somewhere in a code, else the first of whole that can be read as all of it or as a part between dashes; NULL without one. Also with look-alikes (0 for o, 5 for s, 4 for a), letters repeated and dashes between. Words are 1 to 62 of a-z and 0-9; NULLs and longer ones never match. NULL when an argument is NULL.';

CREATE OR REPLACE FUNCTION cdp.referral_word_builtin() RETURNS TABLE (word text, kind text, place text)
LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
  SELECT w.word, v.kind, v.place
  FROM (VALUES
    -- rude wherever they stand: English; German, French, Spanish, Italian, Portuguese; Russian, Polish and Turkish in Latin letters; pinyin and what is typed for it
    ('rude'::text, 'anywhere'::text, 'asshole bastard bitch blowjob bollock bugger bukkake chink cunt dildo fagg faggot fellat fuck genocide hitler honky jerkoff jizz kkk milf molest motherf nigg nigger penis phuck porn prick pussy queef retard schlong shit skank slut smegma spastic spick tosser tranny vagina wank wetback whore'),
    ('rude', 'anywhere', 'fick fotze kacke kanake missgeburt nutte schlampe schwuchtel titten wichs bougnoule connard encul enfoire merde niquer salope cabron cojones gilipoll hijoput maricon mierda cazzo coglion culattone minchia puttana stronz buceta caralho merdo viado'),
    ('rude', 'anywhere', 'blyad pidar pizd zalup chuj jeba kurw pierdol amcik orospu siktir yarrak caonima cnmb nmsl rinima tamade wcnm'),
    -- rude alone, harmless inside other words: grass, title, peacock, brochure, computer, Ignazio
    ('rude', 'whole', 'anal anus arsch arse ass balls batard boner bum butt clit cock coon crap cum damn dick djb dumb dyke fag fat fica figa foda fu fuk gay gook gypsy hell hoe homo hure idiot jap jew joder kike kill knob kys lesbo moron nazi negro nig nob paki pedo pee perv piss poo poop porra puta pute puto rape rapist sb scum semen sex shabi slag spic stfu suck suka tit tits tmd troia turd twat ugly verga wop wtf xxx'),
    -- words that seem to come from the house, or that a program may take for something else
    ('reserved', 'whole', 'about abuse account accounts admin administrator affiliate api app apps auth billing blog bonus cash checkout code codes coupon coupons customer-service default delete demo discount dashboard deal deals example false free friend gift guest help helpdesk home info internal invite legal link links login logout mail manager me moderator nil none null official offer offers ok order orders partner pay payment payout payouts press privacy promo promotion qr ref referral refer refund register reward rewards root sale security service settings shop signin signup sitemap staff static status store supervisor support system team terms test testing true undefined unsubscribe user username voucher webmaster winner www you')
  ) AS v (kind, place, words), LATERAL unnest(string_to_array(v.words, ' ')) AS w (word);
END;
COMMENT ON FUNCTION cdp.referral_word_builtin() IS
'Words that no referral code may have, in lower case. kind: rude or reserved (it would look official); place: anywhere in a code, or whole (all of it, or a part between dashes). A random code holds no rude word of either place. They are read with look-alikes, as cdp_internal.referral_code_word() does. Belongs to the release and is read-only.';

CREATE OR REPLACE FUNCTION cdp.qr_svg(content text, level text DEFAULT 'M', quiet_zone integer DEFAULT 4, dark text DEFAULT '#000000', light text DEFAULT '#ffffff') RETURNS text
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_qr_svg';
COMMENT ON FUNCTION cdp.qr_svg(text, text, integer, text, text) IS
'A QR code as an SVG picture, one unit a module: the smallest symbol that holds content in UTF-8. level: L, M, Q or H, how much damage it bears (7, 15, 25, 30 per cent). quiet_zone: modules of empty border, 0 to 64; scanners want 4. Colors as #rgb or #rrggbb. Drawn from what libqrencode finds. NULL when an argument is NULL. Errors: 22023 empty content, bad level, border or color, or colors that a scanner can not tell apart; 54000 content that no QR code holds.';

CREATE OR REPLACE FUNCTION cdp.qr_png(content text, level text DEFAULT 'M', quiet_zone integer DEFAULT 4, scale integer DEFAULT 8) RETURNS bytea
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_qr_png';
COMMENT ON FUNCTION cdp.qr_png(text, text, integer, integer) IS
'A QR code as a PNG picture, black on white, one bit a pixel. scale: pixels a module, 1 to 64; the rest as cdp.qr_svg(). NULL when an argument is NULL. Errors: 22023 empty content, bad level, border or scale; 54000 content that no QR code holds.';
