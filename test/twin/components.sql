-- The slow, obvious twin of cdp.components: every node starts with its own id as component, and takes the smallest
-- component of its neighbours until nothing changes. Not installed; the tests read it with \ir.
--
-- Input: a table twin.link (a text, b text). Ids are text in the collation "C", which orders uuids and padded numbers too.
CREATE SCHEMA IF NOT EXISTS twin;
CREATE TABLE twin.link (a text COLLATE "C", b text COLLATE "C");

CREATE FUNCTION twin.components() RETURNS TABLE (id text, component text) LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
  CREATE TEMP TABLE node ON COMMIT DROP AS
    SELECT DISTINCT n.id, n.id AS component FROM (SELECT a AS id FROM twin.link UNION ALL SELECT b FROM twin.link) n WHERE n.id IS NOT NULL;
  LOOP
    UPDATE node SET component = best.component
      FROM (SELECT e.b AS id, min(n.component) AS component
            FROM (SELECT a, b FROM twin.link UNION ALL SELECT b, a FROM twin.link) e JOIN node n ON n.id = e.a GROUP BY e.b) best
      WHERE node.id = best.id AND best.component < node.component;
    EXIT WHEN NOT FOUND;
  END LOOP;
  RETURN QUERY SELECT n.id, n.component FROM node n;
  DROP TABLE node;
END $$;
