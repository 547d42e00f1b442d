-- Ours: the customers who may be written to, by the gate.
SELECT count(*), sum(c) FROM cdp.consented_customers('marketing', 'email') c;
