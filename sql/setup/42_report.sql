-- Attribution room: what reports over touchpoints need beside core's tables.

-- step: refund index
CREATE INDEX IF NOT EXISTS touchpoint_refund_idx ON cdp_data.touchpoint (customer_id) WHERE refers_to IS NOT NULL OR value < 0;
COMMENT ON INDEX cdp_data.touchpoint_refund_idx IS 'Finds refunds that come long after their conversion, so that a report of one month need not read all months.';
