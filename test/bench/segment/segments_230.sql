-- Ours, 230 rules of the same parts.
\set rules 230
\set checksum ''
\ir segments.sql
