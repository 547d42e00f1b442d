-- One round: nodes get random numbers (DuckDB's hash of a 64-bit number is a permutation, so no two get the same),
-- every node goes to the smallest number around it, and links go to where their ends went.
CREATE OR REPLACE TABLE map{n} AS
SELECT v, least(hash(v), min(hash(w))) AS r FROM (SELECT v, w FROM e{m} UNION ALL SELECT w, v FROM e{m}) GROUP BY v;
CREATE OR REPLACE TABLE e{n} AS
SELECT DISTINCT x.r AS v, y.r AS w FROM e{m} JOIN map{n} x ON e{m}.v = x.v JOIN map{n} y ON e{m}.w = y.v WHERE x.r <> y.r;
DROP TABLE e{m};
SELECT count(*) FROM e{n};
