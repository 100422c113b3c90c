-- notes: what recordings are summarised to, the templates for that, and what it all cost
-- depends: 20261128_01_sources

-- migrate: apply
CREATE TABLE notes (
    recording_id uuid        NOT NULL REFERENCES recordings ON DELETE CASCADE,
    template     text        NOT NULL,
    method       text        NOT NULL CHECK (method IN ('llm', 'extractive')),
    provider     text,
    model        text,
    body         jsonb       NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (recording_id, template)
);
COMMENT ON TABLE notes IS 'the newest of each recording and template; whose they are, the recording says';
COMMENT ON COLUMN notes.body IS 'parley.notes.NotesDraft';

CREATE TABLE templates (
    owner        text        NOT NULL,
    name         text        NOT NULL,
    title        text        NOT NULL,
    instructions text        NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    updated_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (owner, name)
);
COMMENT ON TABLE templates IS 'an owner''s own, beside those that are built in';

-- A ledger: rows are added and never changed. It outlives the jobs and the recordings that it is about.
CREATE TABLE usage (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    owner      text             NOT NULL,
    at         timestamptz      NOT NULL DEFAULT now(),
    entry      text             NOT NULL,
    job_id     uuid,
    step       text,
    purpose    text             NOT NULL,
    provider   text             NOT NULL,
    model      text             NOT NULL DEFAULT '',
    tokens_in  bigint           NOT NULL DEFAULT 0 CHECK (tokens_in >= 0),
    tokens_out bigint           NOT NULL DEFAULT 0 CHECK (tokens_out >= 0),
    audio_s    double precision NOT NULL DEFAULT 0 CHECK (audio_s >= 0),
    cost       numeric(20, 10)  NOT NULL DEFAULT 0 CHECK (cost >= 0),
    UNIQUE (owner, entry)
);
COMMENT ON COLUMN usage.entry IS 'which use it was: the same one again is not booked again';
COMMENT ON COLUMN usage.job_id IS 'no reference: what was spent stays booked when the job is deleted';
COMMENT ON COLUMN usage.cost IS 'in the currency of the prices in the settings';
CREATE INDEX usage_by_owner ON usage (owner, at);
CREATE INDEX usage_of_job ON usage (owner, job_id) WHERE job_id IS NOT NULL;

-- migrate: rollback
DROP TABLE usage;
DROP TABLE templates;
DROP TABLE notes;
