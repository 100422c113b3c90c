-- jobs: what is done with a recording, step by step, by workers that may die at any moment (docs/jobs.md)
-- depends: 20261120_03_upkeep

-- migrate: apply
CREATE TABLE jobs (
    id              uuid PRIMARY KEY,
    owner           text NOT NULL,
    recording_id    uuid REFERENCES recordings ON DELETE CASCADE,
    pipeline        text[] NOT NULL CHECK (cardinality(pipeline) > 0),
    priority        smallint NOT NULL CHECK (priority BETWEEN 0 AND 2),
    state           text NOT NULL DEFAULT 'queued'
                    CHECK (state IN ('queued', 'running', 'waiting', 'succeeded', 'failed', 'dead', 'cancelled')),
    options         jsonb NOT NULL DEFAULT '{}',
    delayed         text,
    idempotency_key text,
    content_key     text,
    created_at      timestamptz NOT NULL DEFAULT now(),
    started_at      timestamptz,
    finished_at     timestamptz,
    CHECK ((finished_at IS NOT NULL) = (state IN ('succeeded', 'failed', 'dead', 'cancelled')))
);
COMMENT ON COLUMN jobs.priority IS '0 urgent, 1 normal, 2 bulk';
COMMENT ON COLUMN jobs.state IS 'of its current step: the trigger below keeps it';
COMMENT ON COLUMN jobs.delayed IS 'why nothing happens although nothing is wrong with it: something that it needs is away';
COMMENT ON COLUMN jobs.idempotency_key IS 'the same request again gets the same job';
COMMENT ON COLUMN jobs.content_key IS 'the same audio with the same settings: one living or succeeded job of an owner has it';
CREATE UNIQUE INDEX jobs_idempotency ON jobs (owner, idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE UNIQUE INDEX jobs_content ON jobs (owner, content_key)
    WHERE content_key IS NOT NULL AND state NOT IN ('failed', 'dead', 'cancelled');
CREATE INDEX jobs_by_owner ON jobs (owner, created_at DESC, id DESC);
CREATE INDEX jobs_by_state ON jobs (owner, state, created_at DESC, id DESC);
CREATE INDEX jobs_of_recording ON jobs (recording_id) WHERE recording_id IS NOT NULL;

-- Owner and priority are the job's: they never change, and the claim orders by them.
CREATE TABLE job_steps (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job_id        uuid NOT NULL REFERENCES jobs ON DELETE CASCADE,
    position      smallint NOT NULL CHECK (position >= 0),
    owner         text NOT NULL,
    priority      smallint NOT NULL,
    name          text NOT NULL,
    kind          text NOT NULL,
    state         text NOT NULL CHECK (state IN ('pending', 'queued', 'running', 'waiting',
                                                 'succeeded', 'failed', 'dead', 'cancelled')),
    attempt       integer NOT NULL DEFAULT 0 CHECK (attempt >= 0),
    delays        integer NOT NULL DEFAULT 0,
    fence         bigint NOT NULL DEFAULT 0,
    worker        text,
    lease_until   timestamptz,
    not_before    timestamptz NOT NULL DEFAULT now(),
    announce_at   timestamptz NOT NULL DEFAULT now(),
    progress      real NOT NULL DEFAULT 0 CHECK (progress BETWEEN 0 AND 1),
    reached       real NOT NULL DEFAULT 0,
    stage         text,
    error_class   text,
    error_code    text,
    error_message text,
    failures      jsonb NOT NULL DEFAULT '[]',
    result        jsonb,
    usage         jsonb NOT NULL DEFAULT '[]',
    started_at    timestamptz,
    finished_at   timestamptz,
    UNIQUE (job_id, position),
    CHECK ((lease_until IS NOT NULL) = (state = 'running'))
);
COMMENT ON COLUMN job_steps.kind IS 'the queue whose workers run it: stt, llm, index, notify';
COMMENT ON COLUMN job_steps.attempt IS 'claims that count; those that ended for no fault of the step are taken back';
COMMENT ON COLUMN job_steps.delays IS 'delays since it last got anywhere';
COMMENT ON COLUMN job_steps.fence IS 'grows with each claim; only the newest writes';
COMMENT ON COLUMN job_steps.not_before IS 'since when, or from when, it is due';
COMMENT ON COLUMN job_steps.announce_at IS 'when the next message about it is sent, unless somebody has claimed it';
COMMENT ON COLUMN job_steps.reached IS 'the furthest that an earlier attempt came';
COMMENT ON COLUMN job_steps.failures IS 'the newest 20 attempts that failed, oldest first';
COMMENT ON COLUMN job_steps.usage IS 'what each attempt cost';
-- A job has one current step.
CREATE UNIQUE INDEX job_steps_current ON job_steps (job_id) WHERE state IN ('queued', 'running', 'waiting');
CREATE INDEX job_steps_due ON job_steps (kind, priority, owner, not_before, id) WHERE state IN ('queued', 'waiting');
CREATE INDEX job_steps_unannounced ON job_steps (kind, announce_at) WHERE state IN ('queued', 'waiting');
-- Without the lease, which every heartbeat moves: so a heartbeat changes no index. No more rows than workers.
CREATE INDEX job_steps_running ON job_steps (kind, owner) WHERE state = 'running';
CREATE INDEX job_steps_measured ON job_steps (name, finished_at DESC) WHERE state = 'succeeded';

-- The state machine: a step moves along these edges only, and its job's state is that of its current step.
CREATE FUNCTION job_step_moved() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (OLD.state, NEW.state) NOT IN (
        ('pending', 'queued'), ('pending', 'cancelled'),
        ('queued', 'running'), ('queued', 'cancelled'),
        ('waiting', 'running'), ('waiting', 'cancelled'),
        ('running', 'queued'), ('running', 'waiting'), ('running', 'succeeded'), ('running', 'failed'),
        ('running', 'dead'), ('running', 'cancelled'),
        ('dead', 'queued'), ('dead', 'failed')
    ) THEN
        RAISE EXCEPTION 'job step %: from % to % is no transition', OLD.id, OLD.state, NEW.state
            USING ERRCODE = 'check_violation';
    END IF;
    UPDATE jobs
    SET state = NEW.state,
        delayed = CASE WHEN NEW.state = 'waiting' AND NEW.error_class = 'delayed' THEN NEW.error_message END,
        started_at = CASE WHEN NEW.state = 'running' THEN coalesce(started_at, now()) ELSE started_at END,
        finished_at = CASE WHEN NEW.state IN ('succeeded', 'failed', 'dead', 'cancelled') THEN now() END
    WHERE id = NEW.job_id AND (NEW.state <> 'succeeded' OR NEW.position = cardinality(pipeline) - 1);
    RETURN NULL;
END;
$$;
CREATE TRIGGER job_step_moved AFTER UPDATE OF state ON job_steps
    FOR EACH ROW WHEN (OLD.state IS DISTINCT FROM NEW.state) EXECUTE FUNCTION job_step_moved();

-- migrate: rollback
DROP TABLE job_steps;
DROP FUNCTION job_step_moved;
DROP TABLE jobs;
