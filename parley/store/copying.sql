-- Both recordings are the owner's: every query says so.

-- name: mark_same$
UPDATE recordings r SET samples = o.samples, same_as = o.id, state = 'finished'
FROM recordings o
WHERE r.id = :id AND r.owner = :owner
  AND o.id = :original AND o.owner = :owner AND o.state = 'finished' AND o.samples = :samples
RETURNING r.id;

-- name: forget_parts!
DELETE FROM audio_parts p USING recordings r WHERE p.recording_id = r.id AND r.id = :id AND r.owner = :owner;

-- name: copy_part!
INSERT INTO audio_parts (recording_id, start_sample, end_sample, blob_key, ends_segment)
SELECT id, :start_sample, :end_sample, :blob_key, :ends_segment FROM recordings WHERE id = :id AND owner = :owner;

-- name: copy_segments!
INSERT INTO segments (recording_id, number, start_sample, end_sample, resume_at, continues,
                      text, words, language, confidence, suspect)
SELECT :id, s.number, s.start_sample, s.end_sample, s.resume_at, s.continues,
       s.text, s.words, s.language, s.confidence, s.suspect
FROM segments s JOIN recordings r ON r.id = s.recording_id
WHERE r.id = :original AND r.owner = :owner
ON CONFLICT DO NOTHING;
