-- What suits the indexed peer: each of its queries is answered from the index alone.
CREATE INDEX events_covering ON events (kind, at) INCLUDE (customer, amount, category);
VACUUM (ANALYZE) events;
