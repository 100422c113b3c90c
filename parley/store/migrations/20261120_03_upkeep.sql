-- upkeep: which closed recordings still have to become one file
-- depends: 20261120_02_resume

-- migrate: apply
ALTER TABLE recordings
    ADD COLUMN compacted_fence bigint      NOT NULL DEFAULT 0,
    ADD COLUMN compact_after   timestamptz NOT NULL DEFAULT '-infinity',
    ADD COLUMN compact_attempt integer     NOT NULL DEFAULT 0;
COMMENT ON COLUMN recordings.compacted_fence IS 'the fence under which its audio became one file, with nothing left beside it';
COMMENT ON COLUMN recordings.compact_after IS 'no attempt at that before this time: one is under way, or failed';
COMMENT ON COLUMN recordings.compact_attempt IS 'attempts since the last that came to its end';
CREATE INDEX recordings_to_compact ON recordings (compact_after)
    WHERE state <> 'recording' AND compacted_fence <> fence;

-- migrate: rollback
DROP INDEX recordings_to_compact;
ALTER TABLE recordings DROP COLUMN compact_attempt, DROP COLUMN compact_after, DROP COLUMN compacted_fence;
