-- Across owners: these queries give out names and sample ranges, never what was said.

-- name: claim_abandoned^
-- The claim is the takeover: a client that comes back at the same moment is before it or after it.
UPDATE recordings SET alive_at = now(), fence = fence + 1
WHERE id = (
    SELECT id FROM recordings
    WHERE state = 'recording' AND alive_at < now() - make_interval(secs => :after_s)
    ORDER BY alive_at LIMIT 1 FOR UPDATE SKIP LOCKED
)
RETURNING owner, id, fence, samples, state, options, stopped;

-- name: discard_empty!
DELETE FROM recordings
WHERE samples = 0 AND state = 'interrupted' AND origin = 'live' AND alive_at < now() - make_interval(secs => :after_s);

-- name: claim_uncompacted^
-- An attempt may take a minute and a hundredth of the recording's time. One that failed, or whose gateway died, is made
-- again after that; after twice as long each time, up to a day.
UPDATE recordings
SET compact_attempt = compact_attempt + 1,
    compact_after = now() + least(
        interval '1 day',
        (interval '1 minute' + make_interval(secs => samples / 1600000.0)) * power(2, least(compact_attempt, 12))
    )
WHERE id = (
    SELECT id FROM recordings
    WHERE state NOT IN ('recording', 'processing') AND compacted_fence <> fence
      AND compact_after <= now() AND alive_at < now() - make_interval(secs => :settled_s)
    ORDER BY compact_after LIMIT 1 FOR UPDATE SKIP LOCKED
)
RETURNING owner, id, fence, compact_attempt, samples;

-- name: hold_claim$
-- Locks the recording if the claim still holds: nobody came back to it, nobody else makes another attempt.
SELECT id FROM recordings
WHERE id = :id AND fence = :fence AND compact_attempt = :attempt AND state NOT IN ('recording', 'processing')
FOR UPDATE;

-- name: claimed_parts
SELECT start_sample, end_sample, blob_key, ends_segment FROM audio_parts
WHERE recording_id = :id ORDER BY start_sample;

-- name: delete_parts!
DELETE FROM audio_parts WHERE recording_id = :id;

-- name: insert_part!
INSERT INTO audio_parts (recording_id, start_sample, end_sample, blob_key, ends_segment)
VALUES (:id, :start_sample, :end_sample, :blob_key, :ends_segment);

-- name: mark_compacted!
UPDATE recordings SET compacted_fence = fence, compact_attempt = 0, compact_after = now()
WHERE id = :id AND fence = :fence AND compact_attempt = :attempt AND state NOT IN ('recording', 'processing');
