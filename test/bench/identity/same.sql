-- Compares the components of two answers, ours(id, component) and peer(id, label): as many nodes, every node in both, and
-- each component of one is one of the other. Prints "same", or what differs.
SELECT CASE
  WHEN nodes <> (SELECT count(*) FROM ours) OR nodes <> (SELECT count(*) FROM peer) OR nodes <> :identifiers
    THEN format('nodes: %s ours, %s peer, %s in both, %s identifiers', (SELECT count(*) FROM ours), (SELECT count(*) FROM peer), nodes, :identifiers)
  WHEN pairs <> components OR pairs <> labels THEN format('components: %s ours, %s peer, %s pairs of them', components, labels, pairs)
  ELSE 'same ' || components END
FROM (SELECT sum(n) AS nodes, count(*) AS pairs, count(DISTINCT component) AS components, count(DISTINCT label) AS labels
      FROM (SELECT o.component, p.label, count(*) AS n FROM ours o JOIN peer p USING (id) GROUP BY 1, 2) g) c;
