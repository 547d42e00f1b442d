-- The peer in PL/pgSQL: union-find on an array with path halving, for nodes that are numbers from 1 to n.
-- The smaller root wins, so one ascending walk at the end finds the component of each node.
CREATE FUNCTION union_find(n integer) RETURNS TABLE (id integer, component integer) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  p integer[] := ARRAY(SELECT generate_series(1, n));
  link record;
  x integer;
  y integer;
BEGIN
  FOR link IN SELECT a, b FROM dense LOOP
    x := link.a;
    y := link.b;
    WHILE p[x] <> x LOOP
      p[x] := p[p[x]];
      x := p[x];
    END LOOP;
    WHILE p[y] <> y LOOP
      p[y] := p[p[y]];
      y := p[y];
    END LOOP;
    IF x < y THEN
      p[y] := x;
    ELSIF y < x THEN
      p[x] := y;
    END IF;
  END LOOP;
  FOR i IN 1 .. n LOOP
    p[i] := p[p[i]];
  END LOOP;
  RETURN QUERY SELECT ordinality::integer, component FROM unnest(p) WITH ORDINALITY AS u (component, ordinality);
END $$;
