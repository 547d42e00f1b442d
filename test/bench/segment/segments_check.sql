-- Ours, 230 rules, of which the first are the 35, with a sum that tells sets apart.
\set rules 230
\set checksum ', (SELECT coalesce(sum(m * 2654435761 % 4294967291), 0) FROM cdp.roaring_ids(c.members) AS m)'
\ir segments.sql
