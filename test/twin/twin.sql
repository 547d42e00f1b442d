-- Loads the plain-SQL twin of the attribution engine into the current database: \ir ../twin/twin.sql
\set QUIET on
SET jit = off;
SET TimeZone = 'UTC';
\ir 10_journeys.sql
\ir 20_rules.sql
\ir 30_models.sql
\ir 40_check.sql
