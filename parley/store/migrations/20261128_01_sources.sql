-- sources: recordings that begin as a file, and where the file is
-- depends: 20261120_04_jobs

-- migrate: apply
ALTER TABLE recordings
    ADD COLUMN origin      text NOT NULL DEFAULT 'live' CHECK (origin IN ('live', 'upload', 'import')),
    ADD COLUMN source_name text,
    ADD COLUMN source_url  text,
    ADD COLUMN same_as     uuid,
    DROP CONSTRAINT recordings_state_check,
    ADD CONSTRAINT recordings_state_check CHECK (state IN ('recording', 'processing', 'finished', 'interrupted'));
COMMENT ON COLUMN recordings.state IS 'processing: it came as a file, and a job has not yet written down all of it';
COMMENT ON COLUMN recordings.source_name IS 'the name that the file had where it came from';
COMMENT ON COLUMN recordings.source_url IS 'the address that the file is fetched from';
COMMENT ON COLUMN recordings.same_as IS 'the recording of the same audio that its transcript was taken from';

-- The bytes of the file, contiguous from 0, as they came: one blob, or one for each part of a resumable upload.
CREATE TABLE source_parts (
    recording_id uuid   NOT NULL REFERENCES recordings ON DELETE CASCADE,
    start_byte   bigint NOT NULL CHECK (start_byte >= 0),
    end_byte     bigint NOT NULL CHECK (end_byte > start_byte),
    blob_key     text   NOT NULL,
    PRIMARY KEY (recording_id, start_byte)
);

DROP VIEW recording_list;
CREATE VIEW recording_list AS
SELECT r.id, r.owner, r.title, r.created_at, r.samples, r.origin, r.source_name, r.same_as,
       CASE WHEN r.state = 'recording' AND r.alive_at < now() - interval '30 seconds' THEN 'interrupted'
            ELSE r.state END AS state,
       (SELECT s.language FROM segments s
        WHERE s.recording_id = r.id AND s.text <> ''
        GROUP BY s.language ORDER BY sum(s.end_sample - s.start_sample) DESC LIMIT 1) AS language,
       coalesce((SELECT left(string_agg(first.text, ' ' ORDER BY first.number), 200)
                 FROM (SELECT s.text, s.number FROM segments s
                       WHERE s.recording_id = r.id AND s.text <> ''
                       ORDER BY s.number LIMIT 3) first), '') AS preview
FROM recordings r;

-- migrate: rollback
DROP VIEW recording_list;
DROP TABLE source_parts;
UPDATE recordings SET state = 'interrupted' WHERE state = 'processing';
ALTER TABLE recordings
    DROP CONSTRAINT recordings_state_check,
    ADD CONSTRAINT recordings_state_check CHECK (state IN ('recording', 'finished', 'interrupted')),
    DROP COLUMN same_as, DROP COLUMN source_url, DROP COLUMN source_name, DROP COLUMN origin;
CREATE VIEW recording_list AS
SELECT r.id, r.owner, r.title, r.created_at, r.samples,
       CASE WHEN r.state = 'recording' AND r.alive_at < now() - interval '30 seconds' THEN 'interrupted'
            ELSE r.state END AS state,
       (SELECT s.language FROM segments s
        WHERE s.recording_id = r.id AND s.text <> ''
        GROUP BY s.language ORDER BY sum(s.end_sample - s.start_sample) DESC LIMIT 1) AS language,
       coalesce((SELECT left(string_agg(first.text, ' ' ORDER BY first.number), 200)
                 FROM (SELECT s.text, s.number FROM segments s
                       WHERE s.recording_id = r.id AND s.text <> ''
                       ORDER BY s.number LIMIT 3) first), '') AS preview
FROM recordings r;
