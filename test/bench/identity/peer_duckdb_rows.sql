-- All rows out: each node with the label of its component.
SELECT count(v), count(r) FROM label1;
