-- Deliveries of webhooks: across owners, as workers make them.

-- name: in_turn
-- One worker after the other claims, so that each sees what those before it have taken.
SELECT pg_advisory_xact_lock(:lock);

-- name: claim
-- Of what is due: one for each target that has none under way, so that one which hangs holds up nobody else's; at most
-- `per_owner` of an owner at once; those that have waited longest first. `targets` goes through the index from each
-- target's first entry to the next target's: the cost grows with the targets that wait, not with what waits for them.
WITH RECURSIVE under_way AS MATERIALIZED (
    SELECT owner, target FROM webhook_deliveries WHERE state = 'pending' AND claimed_until > now()
), targets AS (
    (SELECT owner, target FROM webhook_deliveries WHERE state = 'pending' ORDER BY owner, target LIMIT 1)
    UNION ALL
    SELECT next.owner, next.target
    FROM targets CROSS JOIN LATERAL (
        SELECT owner, target FROM webhook_deliveries
        WHERE state = 'pending' AND (owner, target) > (targets.owner, targets.target)
        ORDER BY owner, target LIMIT 1
    ) next
), due AS (
    SELECT first.*,
           row_number() OVER (PARTITION BY first.owner ORDER BY first.not_before, first.id)
           + (SELECT count(*) FROM under_way u WHERE u.owner = first.owner) AS place
    FROM targets CROSS JOIN LATERAL (
        SELECT id, owner, webhook_id, not_before FROM webhook_deliveries
        WHERE state = 'pending' AND owner = targets.owner AND target = targets.target
        ORDER BY not_before LIMIT 1
    ) first
    WHERE first.not_before <= now()
      AND NOT EXISTS (SELECT FROM under_way u WHERE u.owner = targets.owner AND u.target = targets.target)
), chosen AS (
    SELECT id, webhook_id FROM due WHERE place <= :per_owner ORDER BY not_before, id LIMIT :count
)
UPDATE webhook_deliveries d
SET attempts = d.attempts + 1, fence = d.fence + 1,
    claimed_until = now() + make_interval(secs => :lease_s), not_before = now() + make_interval(secs => :lease_s)
FROM chosen LEFT JOIN webhooks w ON w.id = chosen.webhook_id
WHERE d.id = chosen.id AND d.state = 'pending'
RETURNING d.id, d.fence, d.owner, d.webhook_id, coalesce(w.url, d.url) AS url, w.secret, coalesce(w.active, true) AS active,
    d.event, d.payload, d.attempts;

-- name: settle$
UPDATE webhook_deliveries
SET state = :state, claimed_until = NULL, not_before = now() + make_interval(secs => :after_s),
    status = :status, duration_ms = :duration_ms, response = :response, error = :error,
    finished_at = CASE WHEN CAST(:state AS text) <> 'pending' THEN now() END
WHERE id = :id AND fence = :fence AND state = 'pending'
RETURNING id;

-- name: switch_off$
UPDATE webhooks SET active = false, why_off = :why WHERE id = :webhook_id AND active RETURNING id;

-- name: forget
DELETE FROM webhook_deliveries
WHERE id IN (SELECT id FROM webhook_deliveries
             WHERE state <> 'pending' AND finished_at < now() - make_interval(days => :keep_days)
             ORDER BY finished_at LIMIT 1000)
RETURNING id;

-- name: tell$
-- What `notify` says when it is reached: that the job has succeeded, or how far it is where steps follow.
SELECT tell_webhooks(id, CASE WHEN pipeline[cardinality(pipeline)] = :step THEN 'job.succeeded' ELSE 'job.progressed' END)
FROM jobs WHERE id = :job_id;
