-- resume: who may write to a recording, and where its transcription goes on
-- depends: 20261120_01_recordings

-- migrate: apply
ALTER TABLE recordings
    ADD COLUMN fence   bigint NOT NULL DEFAULT 1,
    ADD COLUMN options jsonb  NOT NULL DEFAULT '{}',
    ADD COLUMN stopped boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN recordings.fence IS 'grows with each session that takes the recording over; only the newest writes';
COMMENT ON COLUMN recordings.options IS 'how it is transcribed: language, task, vocabulary';
COMMENT ON COLUMN recordings.stopped IS 'the client said stop: all of its audio is here, though its last finals may not be';
CREATE INDEX recordings_under_way ON recordings (alive_at) WHERE state = 'recording';
CREATE INDEX recordings_empty ON recordings (alive_at) WHERE samples = 0;

ALTER TABLE audio_parts ADD COLUMN ends_segment boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN audio_parts.ends_segment IS 'the client ended the open segment behind this part';

ALTER TABLE segments
    ADD COLUMN resume_at bigint,
    ADD COLUMN continues boolean NOT NULL DEFAULT false;
UPDATE segments SET resume_at = end_sample;
ALTER TABLE segments ALTER COLUMN resume_at SET NOT NULL;
COMMENT ON COLUMN segments.resume_at IS 'the sample from which the search for the next segment begins';
COMMENT ON COLUMN segments.continues IS 'the next segment begins there at once: speech was cut for its length';

-- migrate: rollback
ALTER TABLE segments DROP COLUMN continues, DROP COLUMN resume_at;
ALTER TABLE audio_parts DROP COLUMN ends_segment;
DROP INDEX recordings_empty;
DROP INDEX recordings_under_way;
ALTER TABLE recordings DROP COLUMN stopped, DROP COLUMN options, DROP COLUMN fence;
