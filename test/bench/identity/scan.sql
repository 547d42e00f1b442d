-- What reading the links costs by itself.
SELECT count(a), count(b) FROM links;
