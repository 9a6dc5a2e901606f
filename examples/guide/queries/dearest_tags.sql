-- Who spent how much, of which feature.
SELECT u.value AS user, f.value AS feature, count(*) AS calls, sum(r.usd) / 1e9 AS usd
FROM records r
JOIN tags u ON u.tag_set = r.tag_set AND u.key = 'user_id'
JOIN tags f ON f.tag_set = r.tag_set AND f.key = 'feature'
GROUP BY 1, 2
ORDER BY sum(r.usd) DESC;
