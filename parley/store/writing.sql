-- What a session writes. Every query names the owner, and all but the first three the fence: only the newest session of a
-- recording changes anything.

-- name: create_recording!
INSERT INTO recordings (id, owner, title, options) VALUES (:id, :owner, :title, :options);

-- name: take_over^
-- A finished recording stays finished: whoever comes back to it is only told what it missed.
UPDATE recordings
SET fence = fence + 1, alive_at = now(), stopped = false,
    state = CASE state WHEN 'finished' THEN state ELSE 'recording' END
WHERE id = :id AND owner = :owner
RETURNING owner, id, fence, samples, state, options, stopped;

-- name: current^
SELECT owner, id, fence, samples, state, options, stopped FROM recordings WHERE id = :id AND owner = :owner;

-- name: last_final^
SELECT s.number, s.end_sample, s.resume_at, s.continues
FROM segments s JOIN recordings r ON r.id = s.recording_id
WHERE r.id = :id AND r.owner = :owner
ORDER BY s.number DESC LIMIT 1;

-- name: last_words$
SELECT max(s.number)
FROM segments s JOIN recordings r ON r.id = s.recording_id
WHERE r.id = :id AND r.owner = :owner AND s.text <> '';

-- name: standing^
SELECT fence, samples FROM recordings WHERE id = :id AND owner = :owner;

-- name: add_part$
-- Parts follow each other without a gap: one that does not begin at the durable end is no part.
WITH mine AS (
    UPDATE recordings SET samples = :end_sample, alive_at = now()
    WHERE id = :id AND owner = :owner AND fence = :fence AND samples = :start_sample
    RETURNING id
)
INSERT INTO audio_parts (recording_id, start_sample, end_sample, blob_key, ends_segment)
SELECT id, :start_sample, :end_sample, :blob_key, :ends_segment FROM mine
RETURNING end_sample;

-- name: mark_part$
UPDATE audio_parts p SET ends_segment = true
FROM recordings r
WHERE r.id = :id AND r.owner = :owner AND r.fence = :fence AND p.recording_id = r.id AND p.end_sample = :end_sample
RETURNING p.end_sample;

-- name: add_segment$
-- A final never changes: the first one stays. The lock keeps a takeover waiting, so that it sees this final or none of
-- it is written.
WITH mine AS (
    SELECT id FROM recordings WHERE id = :id AND owner = :owner AND fence = :fence FOR SHARE
)
INSERT INTO segments (recording_id, number, start_sample, end_sample, resume_at, continues,
                      text, words, language, confidence, suspect)
SELECT id, :number, :start_sample, :end_sample, :resume_at, :continues,
       :text, :words, :language, :confidence, :suspect
FROM mine
ON CONFLICT DO NOTHING
RETURNING number;

-- name: touch_recording$
UPDATE recordings SET alive_at = now() WHERE id = :id AND owner = :owner AND fence = :fence RETURNING id;

-- name: stop_recording$
UPDATE recordings SET stopped = true WHERE id = :id AND owner = :owner AND fence = :fence RETURNING id;

-- name: finish_recording$
UPDATE recordings SET state = :state WHERE id = :id AND owner = :owner AND fence = :fence RETURNING id;

-- name: reopen_recording$
-- Under a new fence: compaction that took it for closed finds that out, and comes again when it is.
UPDATE recordings SET state = 'processing', fence = fence + 1, alive_at = now()
WHERE id = :id AND owner = :owner AND fence = :fence AND state = 'interrupted'
RETURNING id;

-- name: discard_recording$
DELETE FROM recordings WHERE id = :id AND owner = :owner AND fence = :fence AND samples = 0 RETURNING id;
