-- Webhooks and the log of their deliveries, as their owner sees them. Every query names the owner. What workers do with
-- deliveries is in batch/deliveries.sql.

-- name: create_webhook^
-- Two at once can be one over the limit, which is there for whoever makes them in a loop.
INSERT INTO webhooks (owner, url, secret, events, active)
SELECT :owner, :url, :secret, CAST(:events AS text[]), :active
WHERE (SELECT count(*) FROM webhooks WHERE owner = :owner) < :most
RETURNING *;

-- name: list_webhooks
SELECT * FROM webhooks WHERE owner = :owner ORDER BY created_at, id;

-- name: get_webhook^
SELECT * FROM webhooks WHERE id = :id AND owner = :owner;

-- name: update_webhook^
UPDATE webhooks
SET url = coalesce(:url, url), secret = coalesce(:secret, secret),
    events = coalesce(CAST(:events AS text[]), events), active = coalesce(CAST(:active AS boolean), active),
    why_off = CASE WHEN CAST(:active AS boolean) IS NULL THEN why_off END
WHERE id = :id AND owner = :owner
RETURNING *;

-- name: delete_webhook$
DELETE FROM webhooks WHERE id = :id AND owner = :owner RETURNING id;

-- name: insert_test^
INSERT INTO webhook_deliveries (owner, webhook_id, event, payload)
SELECT owner, id, :event, jsonb_build_object('id', gen_random_uuid(), 'type', CAST(:event AS text),
                                             'created_at', iso_utc(now()), 'job', NULL, 'recording', NULL)
FROM webhooks WHERE id = :id AND owner = :owner
RETURNING *;

-- name: list_deliveries
-- The newest first: all of the owner, or those of one webhook or job.
SELECT * FROM webhook_deliveries
WHERE owner = :owner
  AND (CAST(:webhook_id AS uuid) IS NULL OR webhook_id = CAST(:webhook_id AS uuid))
  AND (CAST(:job_id AS uuid) IS NULL OR job_id = CAST(:job_id AS uuid))
  AND (CAST(:state AS text) IS NULL OR state = CAST(:state AS text))
  AND (CAST(:before_created AS timestamptz) IS NULL
       OR (created_at, id) < (CAST(:before_created AS timestamptz), CAST(:before_id AS uuid)))
ORDER BY created_at DESC, id DESC
LIMIT :count;

-- name: get_delivery^
SELECT * FROM webhook_deliveries WHERE id = :id AND owner = :owner;

-- name: redeliver^
UPDATE webhook_deliveries
SET state = 'pending', attempts = 0, not_before = now(), finished_at = NULL
WHERE id = :id AND owner = :owner AND state <> 'pending'
RETURNING *;

-- name: own_key$
-- The first of an owner's stays until it is replaced.
INSERT INTO webhook_keys (owner, secret) VALUES (:owner, :secret)
ON CONFLICT (owner) DO UPDATE SET secret = webhook_keys.secret
RETURNING secret;

-- name: replace_key$
INSERT INTO webhook_keys (owner, secret) VALUES (:owner, :secret)
ON CONFLICT (owner) DO UPDATE SET secret = EXCLUDED.secret
RETURNING secret;
