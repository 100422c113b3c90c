-- steps: what steps there are, for those who make jobs; workers hear of what is due
-- depends: 20261128_01_sources

-- migrate: apply
CREATE TABLE step_types (
    name  text PRIMARY KEY,
    kind  text NOT NULL,
    needs text[] NOT NULL DEFAULT '{}',
    gives text[] NOT NULL DEFAULT '{}'
);
COMMENT ON TABLE step_types IS 'the steps that workers know; each worker adds its own when it starts';
INSERT INTO step_types (name, kind, needs, gives) VALUES
    ('fetch', 'stt', '{}', '{source}'),
    ('transcribe', 'stt', '{source}', '{audio,transcript}'),
    ('summarise', 'llm', '{transcript}', '{notes}'),
    ('translate', 'llm', '{transcript}', '{translation}'),
    ('index', 'index', '{transcript}', '{passages}'),
    ('notify', 'notify', '{}', '{}');

-- Dispatchers listen. One notice a kind and transaction: PostgreSQL drops what is the same.
CREATE FUNCTION job_step_due() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('parley_steps_due', NEW.kind);
    RETURN NULL;
END;
$$;
CREATE TRIGGER job_step_due_when_made AFTER INSERT ON job_steps
    FOR EACH ROW WHEN (NEW.state = 'queued') EXECUTE FUNCTION job_step_due();
CREATE TRIGGER job_step_due AFTER UPDATE OF state ON job_steps
    FOR EACH ROW WHEN (OLD.state IS DISTINCT FROM NEW.state
                       AND NEW.state IN ('queued', 'waiting') AND NEW.not_before <= now())
    EXECUTE FUNCTION job_step_due();

-- A worker that is at it stops at once, not at its next heartbeat.
CREATE FUNCTION job_step_lost() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('parley_steps_lost', CAST(OLD.id AS text));
    RETURN NULL;
END;
$$;
CREATE TRIGGER job_step_cancelled AFTER UPDATE OF state ON job_steps
    FOR EACH ROW WHEN (OLD.state = 'running' AND NEW.state = 'cancelled') EXECUTE FUNCTION job_step_lost();
CREATE TRIGGER job_step_deleted AFTER DELETE ON job_steps
    FOR EACH ROW WHEN (OLD.state = 'running') EXECUTE FUNCTION job_step_lost();

CREATE INDEX jobs_delayed ON jobs (delayed) WHERE delayed IS NOT NULL AND state = 'queued';

-- migrate: rollback
DROP INDEX jobs_delayed;
DROP TRIGGER job_step_deleted ON job_steps;
DROP TRIGGER job_step_cancelled ON job_steps;
DROP TRIGGER job_step_due ON job_steps;
DROP TRIGGER job_step_due_when_made ON job_steps;
DROP FUNCTION job_step_lost;
DROP FUNCTION job_step_due;
DROP TABLE step_types;
