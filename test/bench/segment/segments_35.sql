-- Ours, the 35 rules.
\set rules 35
\set checksum ''
\ir segments.sql
