-- Answers of language models that are kept until their step is done, and steps that wait for one.

-- name: kept_answer^
SELECT answer, provider, model FROM llm_answers
WHERE recording_id = :recording_id AND owner = :owner AND question = :question;

-- name: keep_answer!
INSERT INTO llm_answers (recording_id, question, owner, purpose, answer, provider, model)
SELECT r.id, :question, r.owner, :purpose, :answer, :provider, :model
FROM recordings r WHERE r.id = :recording_id AND r.owner = :owner
ON CONFLICT DO NOTHING;

-- name: forget_answers!
DELETE FROM llm_answers WHERE recording_id = :recording_id AND owner = :owner AND purpose = :purpose;

-- name: wait$
INSERT INTO llm_waits (step_id) SELECT id FROM job_steps WHERE id = :step_id AND owner = :owner
ON CONFLICT (step_id) DO UPDATE SET since = llm_waits.since
RETURNING EXTRACT(EPOCH FROM now() - since)::float8;

-- name: end_wait!
DELETE FROM llm_waits WHERE step_id = :step_id;
