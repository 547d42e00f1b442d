-- The links as they are; a node that is linked with itself only is a component of its own.
CREATE OR REPLACE TABLE e0 AS SELECT a AS v, b AS w FROM links;
