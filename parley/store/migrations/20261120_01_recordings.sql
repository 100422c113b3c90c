-- recordings, their durable audio, and their finals
-- depends:

-- migrate: apply
CREATE TABLE recordings (
    id          uuid PRIMARY KEY,
    owner       text NOT NULL,
    title       text,
    state       text NOT NULL DEFAULT 'recording' CHECK (state IN ('recording', 'finished', 'interrupted')),
    created_at  timestamptz NOT NULL DEFAULT now(),
    alive_at    timestamptz NOT NULL DEFAULT now(),
    samples     bigint NOT NULL DEFAULT 0 CHECK (samples >= 0)
);
COMMENT ON COLUMN recordings.alive_at IS 'last sign of the gateway that records it';
COMMENT ON COLUMN recordings.samples IS 'durable audio, samples at 16 kHz';
CREATE INDEX recordings_by_owner ON recordings (owner, created_at DESC, id DESC);

-- Parts are contiguous and never overlap: a part's key is its first sample.
CREATE TABLE audio_parts (
    recording_id uuid NOT NULL REFERENCES recordings ON DELETE CASCADE,
    start_sample bigint NOT NULL CHECK (start_sample >= 0),
    end_sample   bigint NOT NULL CHECK (end_sample > start_sample),
    blob_key     text NOT NULL,
    PRIMARY KEY (recording_id, start_sample)
);

CREATE TABLE segments (
    recording_id uuid NOT NULL REFERENCES recordings ON DELETE CASCADE,
    number       integer NOT NULL CHECK (number >= 0),
    start_sample bigint NOT NULL CHECK (start_sample >= 0),
    end_sample   bigint NOT NULL CHECK (end_sample >= start_sample),
    text         text NOT NULL,
    words        jsonb NOT NULL,
    language     text NOT NULL,
    confidence   real NOT NULL,
    suspect      boolean NOT NULL,
    PRIMARY KEY (recording_id, number)
);

-- A recording whose gateway has given no sign for half a minute was interrupted, whatever its row says. Its language is
-- the one that was spoken longest.
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

-- migrate: rollback
DROP VIEW recording_list;
DROP TABLE segments;
DROP TABLE audio_parts;
DROP TABLE recordings;
