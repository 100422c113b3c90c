-- What the rag service reads of the record, and what it notes of its indexes. The keeper serves all owners; whatever is
-- searched is filtered by owner in the index (`rag/index.py`).

-- name: current_index^
SELECT name, model, dimension, notice FROM search_indexes WHERE place = :place AND state = 'current';

-- name: building_index^
SELECT name, model, dimension, notice FROM search_indexes WHERE place = :place AND state = 'building';

-- name: add_index!
INSERT INTO search_indexes (name, place, model, dimension, state, notice)
VALUES (:name, :place, :model, :dimension, :state, :notice);

-- name: remove_index!
DELETE FROM search_indexes WHERE name = :name;

-- name: promote_index!
UPDATE search_indexes SET state = 'current' WHERE name = :name;

-- name: forget_done!
DELETE FROM search_done WHERE index_name = :name;

-- name: behind
-- Recordings that an index does not have as they are now, those that were deleted first.
SELECT c.recording_id
FROM search_changes c
LEFT JOIN search_done d ON d.index_name = :name AND d.recording_id = c.recording_id
WHERE d.version IS DISTINCT FROM c.version
ORDER BY c.gone DESC, c.recording_id
LIMIT :count;

-- name: how_many_behind$
SELECT count(*)
FROM search_changes c
LEFT JOIN search_done d ON d.index_name = :name AND d.recording_id = c.recording_id
WHERE d.version IS DISTINCT FROM c.version;

-- name: change^
SELECT owner, version, gone FROM search_changes WHERE recording_id = :recording_id;

-- name: done^
SELECT version, passages FROM search_done WHERE index_name = :name AND recording_id = :recording_id;

-- name: recording^
SELECT owner, title, created_at FROM recordings WHERE id = :recording_id;

-- name: spoken
SELECT number, start_sample, end_sample, text, language
FROM segments WHERE recording_id = :recording_id AND text <> ''
ORDER BY number;

-- name: mark_done$
-- Nothing is noted where the recording was forgotten meanwhile; then what was indexed has to go again.
INSERT INTO search_done AS d (index_name, recording_id, version, passages)
SELECT :name, c.recording_id, :version, :passages FROM search_changes c WHERE c.recording_id = :recording_id
ON CONFLICT (index_name, recording_id) DO UPDATE
SET version = greatest(d.version, excluded.version), passages = excluded.passages
RETURNING recording_id;

-- name: forget_gone!
-- A deleted recording is forgotten when no index has it.
WITH left_here AS (
    DELETE FROM search_done WHERE index_name = :name AND recording_id = :recording_id
)
DELETE FROM search_changes c
WHERE c.recording_id = :recording_id AND c.gone AND NOT EXISTS (
    SELECT FROM search_done d WHERE d.recording_id = c.recording_id AND d.index_name <> :name
);

-- name: owners
SELECT DISTINCT owner FROM search_changes;
