-- Ours: which of the fifty segments share how many, each with each.
SELECT a, b, common FROM cdp.segment_overlap() ORDER BY 1, 2;
