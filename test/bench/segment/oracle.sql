-- What the 195 further rules must give.
SELECT * FROM bench.oracle() ORDER BY 1;
