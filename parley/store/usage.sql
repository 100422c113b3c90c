-- What was used and what it cost. Every query names the owner.

-- name: book_usage$
INSERT INTO usage (owner, entry, job_id, step, purpose, provider, model, tokens_in, tokens_out, audio_s, cost)
VALUES (:owner, :entry, :job_id, :step, :purpose, :provider, :model, :tokens_in, :tokens_out, :audio_s, :cost)
ON CONFLICT DO NOTHING
RETURNING id;

-- name: cost_between$
SELECT coalesce(sum(cost), 0) FROM usage WHERE owner = :owner AND at >= :first AND at < :until;

-- name: sums_between
-- One row of all, one for each provider and model, one for each step and purpose.
SELECT provider, model, step, purpose, GROUPING(provider) = 0 AS of_provider, GROUPING(purpose) = 0 AS of_step,
       count(*) AS uses, coalesce(sum(tokens_in), 0) AS tokens_in, coalesce(sum(tokens_out), 0) AS tokens_out,
       coalesce(sum(audio_s), 0) AS audio_s, coalesce(sum(cost), 0) AS cost
FROM usage
WHERE owner = :owner AND at >= :first AND at < :until
GROUP BY GROUPING SETS ((), (provider, model), (step, purpose))
ORDER BY cost DESC, uses DESC, provider, model, step, purpose;

-- name: jobs_between
-- The jobs that cost most; the job may be gone by now, its recording too.
SELECT u.job_id, j.recording_id, u.uses, u.tokens_in, u.tokens_out, u.audio_s, u.cost
FROM (
    SELECT job_id, count(*) AS uses, sum(tokens_in) AS tokens_in, sum(tokens_out) AS tokens_out,
           sum(audio_s) AS audio_s, sum(cost) AS cost
    FROM usage
    WHERE owner = :owner AND at >= :first AND at < :until AND job_id IS NOT NULL
    GROUP BY job_id
    ORDER BY cost DESC, max(id) DESC
    LIMIT :count
) u LEFT JOIN jobs j ON j.id = u.job_id AND j.owner = :owner
ORDER BY u.cost DESC, u.job_id;

-- name: sum_of_job^
SELECT count(*) AS uses, coalesce(sum(tokens_in), 0) AS tokens_in, coalesce(sum(tokens_out), 0) AS tokens_out,
       coalesce(sum(audio_s), 0) AS audio_s, coalesce(sum(cost), 0) AS cost
FROM usage
WHERE owner = :owner AND job_id = :job_id;
