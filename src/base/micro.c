/*
 * micro.c
 *		Money in and out: numeric and float8 to 64-bit micro-units, 128-bit
 *		units to numeric.
 *
 * A numeric is read as it is stored, in digits of 10000; going through text or
 * numeric arithmetic would cost more than the rest of a row.
 */
#include "base/micro.h"

#include <math.h>

#include "utils/numeric.h"

/* The layout of a stored numeric, the same in all supported versions. */
#define NUMERIC_SIGN_BITS 0xC000
#define NUMERIC_SHORT_FORM 0x8000
#define NUMERIC_SPECIAL_FORM 0xC000
#define NUMERIC_NEGATIVE 0x4000
#define NUMERIC_SHORT_NEGATIVE 0x2000
#define NUMERIC_SHORT_WEIGHT_SIGN 0x0040
#define NUMERIC_SHORT_WEIGHT 0x003F

/* Raises the error for a value that is too large. */
static void
value_out_of_range(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
			 errmsg("conversion value is out of range"),
			 errdetail("Values must be below 9.2e12 in absolute value."),
			 errhint("Pass values in the main unit of the currency, not in minor units.")));
}

/* Raises the error for NaN and infinity. */
static void
value_not_finite(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
			 errmsg("conversion value is not a finite number"),
			 errhint("Filter NaN and infinite values out, or turn them into NULL.")));
}

/*
 * Micro-units of a stored numeric, rounded half away from zero; errors when out
 * of range. Returns whether the value was below zero (it may round to zero).
 */
bool
cdp_micro_from_numeric(struct varlena *number, int64 *micro)
{
	const char *p = VARDATA_ANY(number);
	int			len = VARSIZE_ANY_EXHDR(number);
	uint16		header;
	int			weight;
	bool		negative;
	int			ndigits;
	int128		sum = 0;
	int			round_digit = 0;

	if (VARATT_IS_EXTERNAL(number) || VARATT_IS_COMPRESSED(number))
		return cdp_micro_from_numeric(pg_detoast_datum_packed(number), micro);
	memcpy(&header, p, sizeof(header));
	p += sizeof(header);
	len -= sizeof(header);
	if ((header & NUMERIC_SIGN_BITS) == NUMERIC_SPECIAL_FORM)
		value_not_finite();
	if (header & NUMERIC_SHORT_FORM)
	{
		negative = (header & NUMERIC_SHORT_NEGATIVE) != 0;
		weight = (header & NUMERIC_SHORT_WEIGHT_SIGN ? ~NUMERIC_SHORT_WEIGHT : 0) | (header & NUMERIC_SHORT_WEIGHT);
	}
	else
	{
		int16		stored;

		negative = (header & NUMERIC_SIGN_BITS) == NUMERIC_NEGATIVE;
		memcpy(&stored, p, sizeof(stored));
		weight = stored;
		p += sizeof(stored);
		len -= sizeof(stored);
	}
	ndigits = len / (int) sizeof(int16);
	if (ndigits > 0 && weight > 3)
		value_out_of_range();
	/* Digit i counts 10000^(weight - i); micro-units end in the middle of the one of 10000^-2. */
	for (int power = Min(weight, 3); power >= -2; power--)
	{
		int			i = weight - power;
		int16		digit = 0;

		if (i >= 0 && i < ndigits)
			memcpy(&digit, p + i * sizeof(int16), sizeof(int16));
		if (power > -2)
			sum = sum * 10000 + digit;
		else
		{
			sum = sum * 100 + digit / 100;
			round_digit = digit % 100;
		}
	}
	if (weight < -2)
		sum = 0;
	if (round_digit >= 50)
		sum++;
	if (sum >= (int128) (CDP_VALUE_LIMIT * CDP_MICRO))
		value_out_of_range();
	*micro = negative ? -(int64) sum : (int64) sum;
	return negative && ndigits > 0;
}

/*
 * Micro-units of a stored numeric that is a whole number of them below 9e18 in
 * absolute value; false for all others, NaN and infinity too.
 */
bool
cdp_micro_exact(struct varlena *number, int64 *micro)
{
	const char *p = VARDATA_ANY(number);
	int			len = VARSIZE_ANY_EXHDR(number);
	uint16		header;
	int			weight;
	bool		negative;
	int			ndigits;
	int64		sum = 0;
	int			i = 0;

	memcpy(&header, p, sizeof(header));
	p += sizeof(header);
	if (!(header & NUMERIC_SHORT_FORM) || (header & NUMERIC_SIGN_BITS) == NUMERIC_SPECIAL_FORM)
		return false;
	negative = (header & NUMERIC_SHORT_NEGATIVE) != 0;
	weight = (header & NUMERIC_SHORT_WEIGHT_SIGN ? ~NUMERIC_SHORT_WEIGHT : 0) | (header & NUMERIC_SHORT_WEIGHT);
	ndigits = (len - (int) sizeof(header)) / (int) sizeof(int16);
	if (ndigits > 0 && weight >= 3)
	{
		int16		first;

		memcpy(&first, p, sizeof(first));
		if (weight > 3 || first >= 9)	/* 9 * 10^12 and more */
			return false;
	}
	for (int power = ndigits > 0 ? weight : -3; power >= -2 || i < ndigits; power--)
	{
		int16		digit = 0;

		if (i < ndigits)
			memcpy(&digit, p + i++ * sizeof(int16), sizeof(int16));
		if (power > -2)
			sum = sum * 10000 + digit;
		else if (power == -2 && digit % 100 == 0)
			sum = sum * 100 + digit / 100;
		else if (digit != 0)
			return false;
	}
	*micro = negative ? -sum : sum;
	return true;
}

/* Micro-units of a float8, rounded half away from zero; errors when out of range. */
int64
cdp_micro_from_float(double value)
{
	if (!isfinite(value))
		value_not_finite();
	if (fabs(value) >= CDP_VALUE_LIMIT)
		value_out_of_range();
	return (int64) round(value * CDP_MICRO);
}

/* units / 10^scale as numeric without trailing zeros, in the caller's context. */
Datum
cdp_numeric_from_scaled(int128 units, int scale)
{
	char		text[64];
	char	   *p = text + sizeof(text);
	uint128		rest = units < 0 ? -(uint128) units : (uint128) units;
	int			digits = 0;
	bool		significant = false;

	*--p = '\0';
	while (rest != 0 || digits <= scale)
	{
		int			digit = (int) (rest % 10);

		rest /= 10;
		if (digits == scale && significant)
			*--p = '.';
		significant |= digit != 0 || digits >= scale;
		if (significant)
			*--p = '0' + digit;
		digits++;
	}
	if (units < 0)
		*--p = '-';
	return DirectFunctionCall3(numeric_in, CStringGetDatum(p), ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1));
}
