-- Every query names the owner: `parley/store/recordings.py` binds it once.

-- name: create_recording!
INSERT INTO recordings (id, owner, title) VALUES (:id, :owner, :title);

-- name: get_recording^
SELECT * FROM recording_list WHERE id = :id AND owner = :owner;

-- name: list_recordings
SELECT * FROM recording_list
WHERE owner = :owner
  AND (CAST(:before_created AS timestamptz) IS NULL
       OR (created_at, id) < (CAST(:before_created AS timestamptz), CAST(:before_id AS uuid)))
ORDER BY created_at DESC, id DESC
LIMIT :count;

-- name: rename_recording$
UPDATE recordings SET title = :title WHERE id = :id AND owner = :owner RETURNING id;

-- name: delete_recording$
DELETE FROM recordings WHERE id = :id AND owner = :owner RETURNING id;

-- name: touch_recording!
UPDATE recordings SET alive_at = now() WHERE id = :id AND owner = :owner;

-- name: finish_recording!
UPDATE recordings SET state = :state WHERE id = :id AND owner = :owner;

-- name: add_part!
-- A part that is there already is left as it is, so that writing it twice changes nothing.
WITH mine AS (
    UPDATE recordings SET samples = greatest(samples, CAST(:end_sample AS bigint)), alive_at = now()
    WHERE id = :id AND owner = :owner
    RETURNING id
)
INSERT INTO audio_parts (recording_id, start_sample, end_sample, blob_key)
SELECT id, :start_sample, :end_sample, :blob_key FROM mine
ON CONFLICT DO NOTHING;

-- name: list_parts
SELECT p.start_sample, p.end_sample, p.blob_key
FROM audio_parts p JOIN recordings r ON r.id = p.recording_id
WHERE r.id = :id AND r.owner = :owner AND p.end_sample > :first AND p.start_sample < :last
ORDER BY p.start_sample;

-- name: add_segment!
-- A final never changes: the first one stays.
INSERT INTO segments (recording_id, number, start_sample, end_sample, text, words, language, confidence, suspect)
SELECT id, :number, :start_sample, :end_sample, :text, :words, :language, :confidence, :suspect
FROM recordings WHERE id = :id AND owner = :owner
ON CONFLICT DO NOTHING;

-- name: list_segments
SELECT s.*
FROM segments s JOIN recordings r ON r.id = s.recording_id
WHERE r.id = :id AND r.owner = :owner
ORDER BY s.number;
