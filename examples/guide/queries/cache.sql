-- Which share of the input each model read from the provider's cache.
SELECT n.name AS model, sum(r.input + r.cache_read + r.cache_write + r.cache_write_1h) AS input_tokens,
  round(100.0 * sum(r.cache_read) / sum(r.input + r.cache_read + r.cache_write + r.cache_write_1h)) AS percent_cached
FROM records r JOIN names n ON n.id = r.model
GROUP BY 1
ORDER BY 2 DESC;
