-- language models: answers that are kept until their step is done, how long a step has waited for one, and translations
-- depends: 20261128_01_sources

-- migrate: apply
CREATE TABLE llm_answers (
    recording_id uuid        NOT NULL REFERENCES recordings ON DELETE CASCADE,
    question     bytea       NOT NULL,
    owner        text        NOT NULL,
    purpose      text        NOT NULL,
    answer       text        NOT NULL,
    provider     text        NOT NULL,
    model        text        NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (recording_id, question)
);
COMMENT ON TABLE llm_answers IS 'what was paid for: a step that is run again does not ask it again';
COMMENT ON COLUMN llm_answers.question IS 'SHA-256 of all that was asked';
COMMENT ON COLUMN llm_answers.answer IS 'JSON; as text, which holds what jsonb does not: escaped NULs and halves of pairs';

CREATE TABLE llm_waits (
    step_id bigint      PRIMARY KEY REFERENCES job_steps ON DELETE CASCADE,
    since   timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE llm_waits IS 'since when a step has waited for a language model that is away';

CREATE TABLE translations (
    recording_id uuid        NOT NULL REFERENCES recordings ON DELETE CASCADE,
    language     text        NOT NULL,
    number       integer     NOT NULL,
    text         text        NOT NULL,
    provider     text,
    model        text,
    created_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (recording_id, language, number)
);
COMMENT ON TABLE translations IS 'segments in another language, by the number of the segment';
COMMENT ON COLUMN translations.provider IS 'whose language model translated it; null where it was spoken in this language';

-- migrate: rollback
DROP TABLE translations;
DROP TABLE llm_waits;
DROP TABLE llm_answers;
