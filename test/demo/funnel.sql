-- How far customers of the made-up shop go: from seeing it to being in contact to buying.
SELECT s.step, s.labels, s.customers, s.dropped, round(100 * s.of_previous, 1) AS "% of previous", date_trunc('minute', s.median_from_previous) AS "half of them within"
FROM cdp.funnel('{ad_click|page_view|live_view|video_view,add_contact|message_open|message_click|email_click,purchase}', within => '30 days') s
ORDER BY s.step;
