-- What workers, the reaper and the dispatcher do: across owners. Whoever changes a step's state locks its job first and
-- the step then, so that nobody waits for anybody in a circle. A heartbeat locks one row and nothing else.

-- name: next_due$
-- Of the highest priority that has something due: the owner with the fewest running steps of this kind; of several such
-- owners, the one whose step has been due longest. `queues` goes through the index from each owner's first entry, which is
-- its oldest, to the next owner's: so the cost grows with the owners that wait, not with their steps. No ORDER BY outside:
-- it would lock a step of every owner.
WITH busy AS MATERIALIZED (
    SELECT owner, count(*) AS running FROM job_steps WHERE kind = :kind AND state = 'running' GROUP BY owner
)
SELECT step.id
FROM (VALUES (0), (1), (2)) AS lane (priority)
CROSS JOIN LATERAL (
    WITH RECURSIVE queues AS (
        (SELECT owner, not_before FROM job_steps
         WHERE kind = :kind AND priority = lane.priority AND state IN ('queued', 'waiting')
         ORDER BY owner, not_before LIMIT 1)
        UNION ALL
        SELECT next.owner, next.not_before
        FROM queues CROSS JOIN LATERAL (
            SELECT owner, not_before FROM job_steps
            WHERE kind = :kind AND priority = lane.priority AND state IN ('queued', 'waiting')
              AND owner > queues.owner
            ORDER BY owner, not_before LIMIT 1
        ) next
    )
    SELECT queues.owner
    FROM queues LEFT JOIN busy ON busy.owner = queues.owner
    WHERE queues.not_before <= now()
    ORDER BY coalesce(busy.running, 0), queues.not_before
) turn
CROSS JOIN LATERAL (
    SELECT s.id
    FROM job_steps s JOIN jobs j ON j.id = s.job_id
    WHERE s.kind = :kind AND s.priority = lane.priority AND s.state IN ('queued', 'waiting')
      AND s.owner = turn.owner AND s.not_before <= now()
    ORDER BY s.not_before, s.id LIMIT 1
    FOR UPDATE OF j, s SKIP LOCKED
) step
LIMIT 1;

-- name: this_due$
SELECT s.id
FROM job_steps s JOIN jobs j ON j.id = s.job_id
WHERE s.id = :step_id AND s.state IN ('queued', 'waiting') AND s.not_before <= now()
FOR UPDATE OF j, s;

-- name: take^
UPDATE job_steps s
SET state = 'running', attempt = attempt + 1, fence = fence + 1, worker = :worker, started_at = now(),
    lease_until = now() + make_interval(secs => :lease_s), reached = greatest(reached, progress)
FROM jobs j
WHERE s.id = :step_id AND j.id = s.job_id AND s.state IN ('queued', 'waiting') AND s.not_before <= now()
RETURNING s.id AS step_id, s.fence, s.job_id, s.owner, j.recording_id, s.name, s.kind, j.priority, s.attempt, s.delays,
    j.options, coalesce((SELECT jsonb_object_agg(e.name, e.result) FROM job_steps e
                         WHERE e.job_id = s.job_id AND e.position < s.position), '{}') AS results;

-- name: keep_recording$
-- Deleting a recording locks it and its jobs then, so whoever writes about it must lock in this order too.
SELECT id FROM recordings WHERE id = :recording_id FOR KEY SHARE;

-- name: hold$
-- Until the transaction ends nobody takes the step, cancels or deletes it.
SELECT s.job_id
FROM job_steps s JOIN jobs j ON j.id = s.job_id
WHERE s.id = :step_id AND s.fence = :fence AND s.state = 'running'
FOR UPDATE OF j, s;

-- name: headway$
-- A hundredth at least, so that attempts that get further come to an end.
SELECT progress >= reached + 0.01 FROM job_steps WHERE id = :step_id;

-- name: standing^
SELECT state, fence FROM job_steps WHERE id = :step_id;

-- name: heartbeat$
UPDATE job_steps
SET lease_until = now() + make_interval(secs => :lease_s),
    progress = coalesce(CAST(:progress AS real), progress), stage = coalesce(CAST(:stage AS text), stage)
WHERE id = :step_id AND fence = :fence AND state = 'running'
RETURNING id;

-- name: succeed$
UPDATE job_steps
SET state = 'succeeded', lease_until = NULL, finished_at = now(), progress = 1, delays = 0,
    error_class = NULL, error_code = NULL, error_message = NULL, result = :result, usage = usage || CAST(:usage AS jsonb)
WHERE id = :step_id AND fence = :fence AND state = 'running'
RETURNING position;

-- name: make_due^
UPDATE job_steps
SET state = 'queued', not_before = now(), announce_at = now()
WHERE job_id = :job_id AND position = :position AND state = 'pending'
RETURNING id, kind;

-- name: end_attempt$
-- An attempt that came to nothing; the decision is batch/retry.py's. Delays leave no history: they have no end.
UPDATE job_steps
SET state = :state, lease_until = NULL, attempt = attempt - CASE WHEN :counts THEN 0 ELSE 1 END,
    delays = CASE WHEN :error_class = 'delayed' THEN delays + 1 ELSE 0 END,
    not_before = now() + make_interval(secs => :after_s), announce_at = now() + make_interval(secs => :after_s),
    finished_at = CASE WHEN CAST(:state AS text) IN ('failed', 'dead') THEN now() END,
    error_class = :error_class, error_code = :error_code, error_message = :error_message,
    failures = CASE WHEN :error_class = 'delayed' THEN failures ELSE
        CASE WHEN jsonb_array_length(failures) >= 20 THEN failures - 0 ELSE failures END || jsonb_build_object(
            'at', now(), 'attempt', attempt, 'worker', worker, 'class', CAST(:error_class AS text),
            'code', CAST(:error_code AS text), 'message', CAST(:error_message AS text))
        END,
    usage = usage || CAST(:usage AS jsonb)
WHERE id = :step_id AND fence = :fence AND state = 'running'
RETURNING not_before;

-- name: release$
-- Its worker stops: nothing was wrong, and the attempt does not count.
UPDATE job_steps
SET state = 'queued', lease_until = NULL, attempt = attempt - 1, not_before = now(), announce_at = now()
WHERE id = :step_id AND fence = :fence AND state = 'running'
RETURNING id;

-- name: expired
SELECT s.id AS step_id, s.fence, s.job_id, s.owner, s.name, s.attempt, s.progress >= s.reached + 0.01 AS headway
FROM job_steps s JOIN jobs j ON j.id = s.job_id
WHERE s.state = 'running' AND s.lease_until < now() AND (CAST(:step_id AS bigint) IS NULL OR s.id = :step_id)
ORDER BY s.lease_until
LIMIT :count
FOR UPDATE OF j, s SKIP LOCKED;

-- name: announce
-- What is due and nobody has claimed, though a message about it was sent a while ago, or none was.
UPDATE job_steps SET announce_at = now() + make_interval(secs => :announce_after_s)
WHERE id IN (
    SELECT id FROM job_steps
    WHERE kind = :kind AND state IN ('queued', 'waiting') AND announce_at <= now()
    ORDER BY announce_at LIMIT :count FOR UPDATE SKIP LOCKED
)
RETURNING id, kind;

-- name: unsent
-- No message about them could be sent: why nothing happens is said, and the next sweep tries again.
WITH again AS (
    UPDATE job_steps SET announce_at = now()
    WHERE id = ANY(CAST(:step_ids AS bigint[])) AND state IN ('queued', 'waiting')
    RETURNING job_id
)
UPDATE jobs SET delayed = :reason
WHERE id IN (SELECT job_id FROM again) AND state IN ('queued', 'waiting') AND delayed IS NULL
RETURNING id, owner;

-- name: sendable_again
UPDATE jobs SET delayed = NULL WHERE state = 'queued' AND delayed = :reason RETURNING id, owner;

-- name: starving$
-- Whether a step of this kind has been due for so long, and nobody took it.
SELECT EXISTS (
    SELECT FROM job_steps
    WHERE kind = :kind AND state IN ('queued', 'waiting') AND not_before <= now() - make_interval(secs => :for_s)
);

-- name: lead$
-- One reaper at a time. Held until the transaction ends.
SELECT pg_try_advisory_xact_lock(:lock);

-- name: attach_recording$
UPDATE jobs j SET recording_id = r.id FROM recordings r
WHERE j.id = :job_id AND r.id = :recording_id AND r.owner = j.owner
RETURNING j.id;

-- name: attach_content!
UPDATE jobs SET content_key = :content_key WHERE id = :job_id;

-- name: job_of_content$
SELECT id FROM jobs
WHERE owner = :owner AND content_key = :content_key AND state NOT IN ('failed', 'dead', 'cancelled');
