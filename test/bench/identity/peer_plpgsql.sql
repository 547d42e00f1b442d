-- All rows of the PL/pgSQL peer; how many nodes there are is told to it (see bench.identifiers).
SELECT count(id) AS nodes, count(component) AS labelled FROM union_find(current_setting('bench.identifiers')::integer);
