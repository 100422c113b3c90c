-- uploads: files that come in parts, or past the gateway, until they are recordings
-- depends: 20261128_01_sources

-- migrate: apply
CREATE TABLE uploads (
    id              uuid PRIMARY KEY,
    owner           text NOT NULL,
    way             text NOT NULL CHECK (way IN ('tus', 'form', 'presigned')),
    length          bigint NOT NULL CHECK (length > 0),
    received        bigint NOT NULL DEFAULT 0 CHECK (received BETWEEN 0 AND length),
    metadata        text NOT NULL DEFAULT '',
    wanted          jsonb NOT NULL,
    idempotency_key text,
    created_at      timestamptz NOT NULL DEFAULT now(),
    expires_at      timestamptz NOT NULL,
    dropped_at      timestamptz,
    recording_id    uuid REFERENCES recordings ON DELETE CASCADE,
    job_id          uuid REFERENCES jobs ON DELETE SET NULL
);
COMMENT ON COLUMN uploads.id IS 'the recording that it becomes has the same';
COMMENT ON COLUMN uploads.received IS 'durable bytes, from the first on';
COMMENT ON COLUMN uploads.metadata IS 'as a tus client sent it, for HEAD';
COMMENT ON COLUMN uploads.wanted IS 'the recording and the job to make of it, checked when it was created';
COMMENT ON COLUMN uploads.idempotency_key IS 'the same request again gets the same upload';
COMMENT ON COLUMN uploads.dropped_at IS 'it is being deleted: nothing more is kept of it';
COMMENT ON COLUMN uploads.recording_id IS 'once it is complete: what it became, or what the same request had become before';
CREATE UNIQUE INDEX uploads_idempotency ON uploads (owner, idempotency_key)
    WHERE idempotency_key IS NOT NULL AND dropped_at IS NULL;
CREATE INDEX uploads_expiring ON uploads (expires_at);
CREATE INDEX uploads_of_recording ON uploads (recording_id) WHERE recording_id IS NOT NULL;
CREATE INDEX uploads_of_job ON uploads (job_id) WHERE job_id IS NOT NULL;

-- Of an upload that is not complete; then they are the recording's `source_parts`. What comes whole (form, presigned) has
-- its one part from the start: it says where the file will be.
CREATE TABLE upload_parts (
    upload_id  uuid   NOT NULL REFERENCES uploads ON DELETE CASCADE,
    start_byte bigint NOT NULL CHECK (start_byte >= 0),
    end_byte   bigint NOT NULL CHECK (end_byte > start_byte),
    blob_key   text   NOT NULL,
    PRIMARY KEY (upload_id, start_byte)
);

-- migrate: rollback
DROP TABLE upload_parts;
DROP TABLE uploads;
