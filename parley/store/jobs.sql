-- Jobs as their owner sees them. Every query names the owner. Whoever changes more than one row of a job locks its row in
-- `jobs` first, so that nobody waits for anybody in a circle.

-- name: make_job^
-- `mine` is kept from being deleted until the caller's transaction ends. The first step is due at once; a trigger tells
-- the dispatchers.
WITH mine AS (
    SELECT id FROM recordings WHERE id = :recording_id AND owner = :owner FOR KEY SHARE
), job AS (
    INSERT INTO jobs (id, owner, recording_id, pipeline, priority, options, delayed, idempotency_key, content_key)
    SELECT :id, :owner, :recording_id, :pipeline, :priority, :options, :delayed, :idempotency_key, :content_key
    WHERE CAST(:recording_id AS uuid) IS NULL OR EXISTS (SELECT FROM mine)
    ON CONFLICT DO NOTHING
    RETURNING id
), steps AS (
    INSERT INTO job_steps (job_id, position, owner, priority, name, kind, state)
    SELECT job.id, number - 1, :owner, :priority, name, kind, CASE number WHEN 1 THEN 'queued' ELSE 'pending' END
    FROM job CROSS JOIN unnest(CAST(:pipeline AS text[]), CAST(:kinds AS text[])) WITH ORDINALITY AS s (name, kind, number)
    ORDER BY number
    RETURNING id, kind, position
)
SELECT EXISTS (SELECT FROM mine) AS owned, first.id AS step_id, first.kind
FROM (VALUES (1)) AS one LEFT JOIN steps first ON first.position = 0;

-- name: same_job^
SELECT id, idempotency_key = :idempotency_key AS same_request
FROM jobs
WHERE owner = :owner
  AND (idempotency_key = :idempotency_key
       OR content_key = :content_key AND state NOT IN ('failed', 'dead', 'cancelled'))
ORDER BY same_request DESC NULLS LAST
LIMIT 1;

-- name: get_jobs
-- A row a step: job and steps as they were at one moment. The webhooks are counted once a job.
WITH j AS MATERIALIZED (
    SELECT jobs.*, recordings.samples,
           (SELECT jsonb_object_agg(state, count)
            FROM (SELECT state, count(*) FROM webhook_deliveries
                  WHERE owner = :owner AND job_id = jobs.id GROUP BY state) deliveries
           ) AS webhooks
    FROM jobs LEFT JOIN recordings ON recordings.id = jobs.recording_id
    WHERE jobs.id = ANY(CAST(:ids AS uuid[])) AND jobs.owner = :owner
)
SELECT j.id, j.owner, j.recording_id, j.pipeline, j.priority, j.state, j.options, j.delayed,
       j.created_at, j.started_at, j.finished_at, j.samples, j.webhooks, now() AS now,
       s.id AS step_id, s.name, s.kind, s.state AS step_state, s.attempt, s.worker, s.progress, s.stage,
       s.error_class, s.error_code, s.error_message, s.failures, s.result, s.usage, s.not_before,
       s.started_at AS step_started_at, s.finished_at AS step_finished_at
FROM j JOIN job_steps s ON s.job_id = j.id AND s.owner = :owner
ORDER BY j.created_at DESC, j.id DESC, s.position;

-- name: list_jobs
SELECT id FROM jobs
WHERE owner = :owner
  AND (CAST(:state AS text) IS NULL OR state = CAST(:state AS text))
  AND (CAST(:recording_id AS uuid) IS NULL OR recording_id = CAST(:recording_id AS uuid))
  AND (CAST(:before_created AS timestamptz) IS NULL
       OR (created_at, id) < (CAST(:before_created AS timestamptz), CAST(:before_id AS uuid)))
ORDER BY created_at DESC, id DESC
LIMIT :count;

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
