-- Every query names the owner: `parley/store/recordings.py` binds it once.

-- name: get_recording^
SELECT * FROM recording_list WHERE id = :id AND owner = :owner;

-- name: list_recordings
SELECT * FROM recording_list
WHERE owner = :owner
  -- Begun live, and cut off before anything of it was kept. A file that came to nothing is there to be seen.
  AND NOT (samples = 0 AND state = 'interrupted' AND origin = 'live')
  AND (CAST(:before_created AS timestamptz) IS NULL
       OR (created_at, id) < (CAST(:before_created AS timestamptz), CAST(:before_id AS uuid)))
ORDER BY created_at DESC, id DESC
LIMIT :count;

-- name: rename_recording$
UPDATE recordings SET title = :title WHERE id = :id AND owner = :owner RETURNING id;

-- name: delete_recording$
DELETE FROM recordings WHERE id = :id AND owner = :owner RETURNING id;

-- name: list_parts
SELECT p.start_sample, p.end_sample, p.blob_key, p.ends_segment
FROM audio_parts p JOIN recordings r ON r.id = p.recording_id
WHERE r.id = :id AND r.owner = :owner AND p.end_sample > :first AND p.start_sample < :last
ORDER BY p.start_sample;

-- name: list_segments
SELECT s.*
FROM segments s JOIN recordings r ON r.id = s.recording_id
WHERE r.id = :id AND r.owner = :owner AND s.number >= :first
ORDER BY s.number LIMIT CAST(:count AS integer);

-- name: count_segments$
SELECT count(*) FROM segments s JOIN recordings r ON r.id = s.recording_id WHERE r.id = :id AND r.owner = :owner;
