-- The same in FROM, where the server keeps the rows first.
SELECT count(id) AS nodes, count(component) AS labelled FROM cdp.connected_components('links');
