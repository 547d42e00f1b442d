-- The type of referral codes with a check digit.
CREATE FUNCTION cdp_internal.referral_code_is(code text) RETURNS boolean
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_referral_code_is';
COMMENT ON FUNCTION cdp_internal.referral_code_is(text) IS
'Whether a text is a referral code whose check digit is right, in any way of writing (cdp.referral_code_check()). False for vanity codes, which have none. NULL for NULL.';

CREATE DOMAIN cdp.referral_code AS text COLLATE "C" CONSTRAINT check_digit CHECK (cdp_internal.referral_code_is(VALUE));
COMMENT ON DOMAIN cdp.referral_code IS
'A referral code with a right check digit, in any way of writing: k7m4q2tx9 is as good as K7M4-Q2TX-9 (cdp_internal.referral_code_fold() makes them equal). Says nothing about whether it was issued; vanity codes are none. For columns and forms of a shop that is not online. Error 23514; cdp.referral_code_check() tells what is wrong.';
