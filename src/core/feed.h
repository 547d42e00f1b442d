/*
 * feed.h
 *		The change feed, for C that writes to it.
 */
#ifndef CDP_FEED_H
#define CDP_FEED_H

/* Tells that these customers (bigint[]) changed, for this cause (text). The caller is connected to SPI. */
extern void cdp_feed_write(Datum customer_ids, Datum cause);

#endif							/* CDP_FEED_H */
