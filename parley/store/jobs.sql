-- Jobs as their owner sees them. Every query names the owner. Whoever changes more than one row of a job locks its row in
-- `jobs` first, so that nobody waits for anybody in a circle.

-- name: own_recording$
-- Kept from being deleted until the caller's transaction ends.
SELECT id FROM recordings WHERE id = :recording_id AND owner = :owner FOR KEY SHARE;

-- name: insert_job$
INSERT INTO jobs (id, owner, recording_id, pipeline, priority, options, delayed, idempotency_key, content_key)
VALUES (:id, :owner, :recording_id, :pipeline, :priority, :options, :delayed, :idempotency_key, :content_key)
ON CONFLICT DO NOTHING
RETURNING id;

-- name: insert_steps
-- The first is due at once; a trigger tells the dispatchers.
INSERT INTO job_steps (job_id, position, owner, priority, name, kind, state)
SELECT :id, number - 1, :owner, :priority, name, kind, CASE number WHEN 1 THEN 'queued' ELSE 'pending' END
FROM unnest(CAST(:pipeline AS text[]), CAST(:kinds AS text[])) WITH ORDINALITY AS step (name, kind, number)
ORDER BY number
RETURNING id, kind;

-- name: same_job^
SELECT id, idempotency_key = :idempotency_key AS same_request
FROM jobs
WHERE owner = :owner
  AND (idempotency_key = :idempotency_key
       OR content_key = :content_key AND state NOT IN ('failed', 'dead', 'cancelled'))
ORDER BY same_request DESC NULLS LAST
LIMIT 1;

-- name: get_jobs
SELECT j.*, r.samples, now() AS now
FROM jobs j LEFT JOIN recordings r ON r.id = j.recording_id
WHERE j.id = ANY(CAST(:ids AS uuid[])) AND j.owner = :owner;

-- name: list_jobs
SELECT j.*, r.samples, now() AS now
FROM jobs j LEFT JOIN recordings r ON r.id = j.recording_id
WHERE j.owner = :owner
  AND (CAST(:state AS text) IS NULL OR j.state = CAST(:state AS text))
  AND (CAST(:recording_id AS uuid) IS NULL OR j.recording_id = CAST(:recording_id AS uuid))
  AND (CAST(:before_created AS timestamptz) IS NULL
       OR (j.created_at, j.id) < (CAST(:before_created AS timestamptz), CAST(:before_id AS uuid)))
ORDER BY j.created_at DESC, j.id DESC
LIMIT :count;

-- name: list_steps
SELECT * FROM job_steps WHERE job_id = ANY(CAST(:ids AS uuid[])) AND owner = :owner ORDER BY job_id, position;

-- name: lock_job$
SELECT id FROM jobs WHERE id = :id AND owner = :owner FOR UPDATE;

-- name: cancel_steps
UPDATE job_steps SET state = 'cancelled', lease_until = NULL, finished_at = now()
WHERE job_id = :id AND owner = :owner AND state IN ('pending', 'queued', 'running', 'waiting')
  -- A job that ended keeps its steps as they were.
  AND EXISTS (SELECT FROM job_steps current
              WHERE current.job_id = :id AND current.state IN ('queued', 'running', 'waiting'))
RETURNING id;

-- name: delete_job$
DELETE FROM jobs WHERE id = :id AND owner = :owner RETURNING id;

-- name: delay_job$
UPDATE jobs SET delayed = :reason WHERE id = :id AND owner = :owner AND state IN ('queued', 'waiting') RETURNING id;

-- name: replay_step^
UPDATE job_steps
SET state = 'queued', attempt = 0, delays = 0, reached = 0, finished_at = NULL,
    not_before = now(), announce_at = now()
WHERE job_id = :id AND owner = :owner AND state = 'dead'
RETURNING id, kind;

-- name: discard_step$
UPDATE job_steps SET state = 'failed' WHERE job_id = :id AND owner = :owner AND state = 'dead' RETURNING id;

-- name: step_rates
-- Across owners: means only, of the newest 200 runs of each step.
SELECT name, avg(work_s) AS mean_s,
       sum(work_s) FILTER (WHERE audio_s > 0) / sum(audio_s) FILTER (WHERE audio_s > 0) AS per_audio_s
FROM (
    SELECT s.name, CAST(extract(epoch FROM s.finished_at - s.started_at) AS double precision) AS work_s,
           r.samples / CAST(16000 AS double precision) AS audio_s
    FROM unnest(CAST(:names AS text[])) AS wanted (name)
    CROSS JOIN LATERAL (
        SELECT * FROM job_steps WHERE name = wanted.name AND state = 'succeeded' ORDER BY finished_at DESC LIMIT 200
    ) s
    JOIN jobs j ON j.id = s.job_id
    LEFT JOIN recordings r ON r.id = j.recording_id
) measured
GROUP BY name;
