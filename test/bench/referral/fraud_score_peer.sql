-- The peer: a plain join that only fetches the rows of each referral: its conversion and click, the code, the order of the advocate,
-- and e-mail, telephone and cookie of both.
SELECT count(*), sum(length(v.ip_digest) + length(v.net_digest) + length(v.agent_digest) + length(v.device_digest) + length(v.payment_digest) + length(v.address_digest) + length(c.ip_digest) + length(c.referrer_host) + c.asn + length(k.code)
  + length(o.ip_digest) + length(o.net_digest) + length(o.agent_digest) + length(o.device_digest) + length(o.payment_digest) + length(o.address_digest)
  + length(em.value) + length(ep.value) + length(ec.value) + length(am.value) + length(ap.value) + length(ac.value)) AS bytes
FROM cdp_data.referral r JOIN cdp_data.referral_conversion v ON v.referral_conversion_id = r.first_conversion_id JOIN cdp_data.referral_click c ON c.referral_click_id = r.referral_click_id JOIN cdp_data.referral_code k ON k.referral_code_id = r.referral_code_id
  LEFT JOIN cdp_data.referral_conversion o ON o.customer_id = r.referrer_id
  LEFT JOIN cdp_data.identifier em ON em.customer_id = r.referee_id AND em.type_id = 2 LEFT JOIN cdp_data.identifier ep ON ep.customer_id = r.referee_id AND ep.type_id = 3 LEFT JOIN cdp_data.identifier ec ON ec.customer_id = r.referee_id AND ec.type_id = 8
  LEFT JOIN cdp_data.identifier am ON am.customer_id = r.referrer_id AND am.type_id = 2 LEFT JOIN cdp_data.identifier ap ON ap.customer_id = r.referrer_id AND ap.type_id = 3 LEFT JOIN cdp_data.identifier ac ON ac.customer_id = r.referrer_id AND ac.type_id = 8;
