-- What budgets refused (0 and 1 are blocked and truncated), and what they rerouted (2).
SELECT strftime('%H:%M', e.time / 1000000000, 'unixepoch') AS at,
  CASE e.action WHEN 0 THEN 'blocked' WHEN 1 THEN 'truncated' WHEN 2 THEN 'downgraded' END AS action,
  e.path, n.name AS model, e.projected / 1e9 AS would_come_to, e.cap / 1e9 AS cap
FROM events e JOIN names n ON n.id = e.model
WHERE e.action IN (0, 1, 2) AND e.dimension = 0
ORDER BY e.time;
