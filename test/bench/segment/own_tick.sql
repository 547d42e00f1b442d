-- Ours: what a new thousand changes, at the moment of the run.
SELECT kind, touched, entered + "left" AS changes FROM cdp.segment_tick(bench.as_of() + make_interval(mins => :run));
