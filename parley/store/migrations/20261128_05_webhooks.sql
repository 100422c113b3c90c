-- webhooks: who is told what becomes of jobs, and the log of telling them (docs/webhooks.md)
-- depends: 20261128_01_sources

-- migrate: apply
CREATE TABLE webhooks (
    id         uuid        PRIMARY KEY DEFAULT gen_random_uuid(),
    owner      text        NOT NULL,
    url        text        NOT NULL,
    secret     text        NOT NULL,
    events     text[]      NOT NULL CHECK (cardinality(events) > 0),
    active     boolean     NOT NULL DEFAULT true,
    why_off    text,
    created_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON COLUMN webhooks.why_off IS 'why it was switched off, where its owner did not do it';
CREATE INDEX webhooks_by_owner ON webhooks (owner, created_at, id);

CREATE TABLE webhook_keys (
    owner  text PRIMARY KEY,
    secret text NOT NULL
);
COMMENT ON TABLE webhook_keys IS 'what deliveries to the address that a job itself names are signed with';

-- An outbox: a row is written in the transaction in which it becomes true, and delivered by any worker afterwards.
CREATE TABLE webhook_deliveries (
    id            uuid        PRIMARY KEY DEFAULT gen_random_uuid(),
    owner         text        NOT NULL,
    webhook_id    uuid        REFERENCES webhooks ON DELETE CASCADE,
    url           text,
    target        text        GENERATED ALWAYS AS (coalesce(CAST(webhook_id AS text), md5(url))) STORED NOT NULL,
    job_id        uuid        REFERENCES jobs ON DELETE CASCADE,
    event         text        NOT NULL,
    payload       jsonb       NOT NULL,
    state         text        NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'delivered', 'failed')),
    attempts      integer     NOT NULL DEFAULT 0,
    fence         bigint      NOT NULL DEFAULT 0,
    not_before    timestamptz NOT NULL DEFAULT now(),
    claimed_until timestamptz,
    status        integer,
    duration_ms   integer,
    response      text,
    error         text,
    created_at    timestamptz NOT NULL DEFAULT now(),
    finished_at   timestamptz,
    CHECK ((webhook_id IS NULL) <> (url IS NULL)),
    CHECK ((finished_at IS NULL) = (state = 'pending'))
);
COMMENT ON COLUMN webhook_deliveries.url IS 'the address that the job itself names, where it is to no webhook';
COMMENT ON COLUMN webhook_deliveries.fence IS 'grows with each attempt; only the newest writes how it went';
COMMENT ON COLUMN webhook_deliveries.claimed_until IS 'an attempt is under way; from then on it counts as lost';
COMMENT ON COLUMN webhook_deliveries.status IS 'the HTTP status of the last attempt''s answer';
-- From owner to owner and target to target: what waits for one costs the others nothing.
CREATE INDEX webhook_deliveries_due ON webhook_deliveries (owner, target, not_before) WHERE state = 'pending';
CREATE INDEX webhook_deliveries_under_way ON webhook_deliveries (claimed_until)
    WHERE state = 'pending' AND claimed_until IS NOT NULL;
CREATE INDEX webhook_deliveries_by_owner ON webhook_deliveries (owner, created_at DESC, id DESC);
CREATE INDEX webhook_deliveries_of_webhook ON webhook_deliveries (webhook_id, created_at DESC, id DESC)
    WHERE webhook_id IS NOT NULL;
CREATE INDEX webhook_deliveries_of_job ON webhook_deliveries (job_id) WHERE job_id IS NOT NULL;
CREATE INDEX webhook_deliveries_old ON webhook_deliveries (finished_at) WHERE state <> 'pending';

CREATE FUNCTION iso_utc(moment timestamptz) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT to_char(moment AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
$$;

-- Writes the deliveries of an event of a job: to the owner's webhooks that want it, and to the address that the job names.
CREATE FUNCTION tell_webhooks(about uuid, event text) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    job     jobs%ROWTYPE;
    message jsonb;
    told    integer;
BEGIN
    SELECT * INTO job FROM jobs WHERE id = about;
    SELECT jsonb_build_object(
        'id', gen_random_uuid(),
        'type', event,
        'created_at', iso_utc(now()),
        'job', jsonb_build_object(
            'id', job.id,
            'pipeline', job.pipeline,
            'done', (SELECT coalesce(jsonb_agg(name ORDER BY position), '[]') FROM job_steps
                     WHERE job_id = job.id AND state = 'succeeded'),
            'created_at', iso_utc(job.created_at),
            'started_at', iso_utc(job.started_at),
            'error', (SELECT jsonb_build_object('step', name, 'class', error_class, 'code', error_code,
                                                'message', error_message)
                      FROM job_steps WHERE job_id = job.id AND state IN ('failed', 'dead'))
        ),
        'recording', (SELECT jsonb_build_object('id', id, 'title', title, 'duration_ms', samples / 16)
                      FROM recordings WHERE id = job.recording_id)
    ) INTO message;
    INSERT INTO webhook_deliveries (owner, webhook_id, url, job_id, event, payload)
    SELECT job.owner, target.webhook_id, target.url, job.id, event, message
    FROM (
        SELECT w.id AS webhook_id, CAST(NULL AS text) AS url
        FROM webhooks w WHERE w.owner = job.owner AND w.active AND event = ANY (w.events)
        UNION ALL
        SELECT NULL, job.options ->> 'webhook_url' WHERE job.options ->> 'webhook_url' IS NOT NULL
    ) target;
    GET DIAGNOSTICS told = ROW_COUNT;
    RETURN told;
END;
$$;

-- A job that is to tell of its end, and comes to another one than it should, tells of that.
CREATE FUNCTION job_fell_short() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM tell_webhooks(NEW.id, 'job.' || NEW.state);
    RETURN NULL;
END;
$$;
CREATE TRIGGER job_fell_short AFTER UPDATE OF state ON jobs FOR EACH ROW
    WHEN (OLD.state = 'running' AND NEW.state IN ('failed', 'dead') AND 'notify' = ANY (NEW.pipeline))
    EXECUTE FUNCTION job_fell_short();

-- migrate: rollback
DROP TRIGGER job_fell_short ON jobs;
DROP FUNCTION job_fell_short;
DROP FUNCTION tell_webhooks;
DROP FUNCTION iso_utc;
DROP TABLE webhook_deliveries;
DROP TABLE webhook_keys;
DROP TABLE webhooks;
