-- Everybody, at the moment of the run: after a tick of the same moment it must find nothing.
SELECT kind, touched, entered + "left" AS changes FROM cdp.evaluate_segments(bench.as_of() + make_interval(mins => :run));
