-- Every query of an owner names the owner: `parley/store/uploads.py` binds it once. The last three go across owners, and
-- give out ids only.

-- name: insert_upload$
INSERT INTO uploads (id, owner, way, length, metadata, wanted, idempotency_key, expires_at)
VALUES (:id, :owner, :way, :length, :metadata, :wanted, :idempotency_key, :expires_at)
ON CONFLICT (owner, idempotency_key) WHERE idempotency_key IS NOT NULL AND dropped_at IS NULL DO NOTHING
RETURNING id;

-- name: same_upload^
SELECT *, recording_id IS NULL AND expires_at < now() AS expired
FROM uploads WHERE owner = :owner AND idempotency_key = :idempotency_key AND dropped_at IS NULL;

-- name: get_upload^
SELECT * FROM uploads WHERE id = :id AND owner = :owner AND way = :way AND dropped_at IS NULL;

-- name: advance$
-- Of two parts for one place, one finds the upload where it was.
UPDATE uploads SET received = :after, expires_at = :expires_at
WHERE id = :id AND owner = :owner AND received = :before AND dropped_at IS NULL AND recording_id IS NULL
RETURNING id;

-- name: insert_part!
INSERT INTO upload_parts (upload_id, start_byte, end_byte, blob_key) VALUES (:id, :start_byte, :end_byte, :blob_key);

-- name: list_parts
SELECT start_byte, end_byte, blob_key FROM upload_parts WHERE upload_id = :id ORDER BY start_byte;

-- name: delete_parts!
DELETE FROM upload_parts WHERE upload_id = :id;

-- name: lock_upload^
SELECT * FROM uploads WHERE id = :id AND owner = :owner AND dropped_at IS NULL FOR UPDATE;

-- name: complete!
UPDATE uploads SET received = length, recording_id = :recording_id, job_id = :job_id WHERE id = :id AND owner = :owner;

-- name: drop_upload$
UPDATE uploads SET dropped_at = now()
WHERE id = :id AND owner = :owner AND dropped_at IS NULL AND recording_id IS NULL
RETURNING id;

-- name: claim_expired$
-- One that somebody began to delete and did not come to the end with is found again.
UPDATE uploads SET dropped_at = now()
WHERE id = (
    SELECT id FROM uploads
    WHERE recording_id IS NULL
      AND (dropped_at IS NULL AND expires_at < now() OR dropped_at < now() - interval '5 minutes')
    ORDER BY expires_at LIMIT 1 FOR UPDATE SKIP LOCKED
)
RETURNING id;

-- name: forget!
DELETE FROM uploads WHERE id = :id AND dropped_at IS NOT NULL;

-- name: forget_complete!
DELETE FROM uploads WHERE recording_id IS NOT NULL AND expires_at < now();
