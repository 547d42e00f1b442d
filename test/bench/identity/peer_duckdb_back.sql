-- The way back: what a node went to in one round is looked up in the labels of the next.
CREATE OR REPLACE TABLE label{m} AS
SELECT map{m}.v, coalesce(label{n}.r, map{m}.r) AS r FROM map{m} LEFT JOIN label{n} ON label{n}.v = map{m}.r;
DROP TABLE map{m};
DROP TABLE label{n};
