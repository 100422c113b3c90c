-- Every query names the owner: `parley/store/sources.py` binds it once.

-- name: list_parts
SELECT p.start_byte, p.end_byte, p.blob_key
FROM source_parts p JOIN recordings r ON r.id = p.recording_id
WHERE r.id = :id AND r.owner = :owner
ORDER BY p.start_byte;

-- name: standing^
-- The state that lists tell: a live recording whose client has been gone for a while is interrupted.
SELECT r.state, EXISTS (SELECT FROM source_parts WHERE recording_id = r.id) AS has_source
FROM recording_list r WHERE r.id = :id AND r.owner = :owner;

-- name: get_source^
SELECT source_name, source_url FROM recordings WHERE id = :id AND owner = :owner;

-- name: insert_recording!
INSERT INTO recordings (id, owner, title, state, origin, source_name, source_url)
VALUES (:id, :owner, :title, 'processing', :origin, :source_name, :source_url);

-- name: name_source!
-- The name that it got first stays.
UPDATE recordings SET source_name = coalesce(source_name, :source_name) WHERE id = :id AND owner = :owner;

-- name: insert_part$
-- A source's bytes never change: the first ones stay.
INSERT INTO source_parts (recording_id, start_byte, end_byte, blob_key)
SELECT id, :start_byte, :end_byte, :blob_key FROM recordings WHERE id = :id AND owner = :owner
ON CONFLICT DO NOTHING
RETURNING start_byte;

-- name: recording_of_job$
SELECT recording_id FROM jobs WHERE id = :job_id AND owner = :owner;

-- name: lock_recording$
-- Two that want to be alone with it come one after the other.
SELECT id FROM recordings WHERE id = :id AND owner = :owner FOR NO KEY UPDATE;

-- name: living_job$
SELECT id FROM jobs
WHERE recording_id = :id AND owner = :owner AND state IN ('queued', 'running', 'waiting') LIMIT 1;
