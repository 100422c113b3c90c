-- search: what the indexes of the rag service have to follow, and how far each of them is
-- depends: 20261128_01_sources

-- migrate: apply

-- One row for each recording in which something was said. It outlives its recording until every index has forgotten it,
-- so it refers to none.
CREATE TABLE search_changes (
    recording_id uuid PRIMARY KEY,
    owner        text    NOT NULL,
    version      bigint  NOT NULL DEFAULT 1,
    gone         boolean NOT NULL DEFAULT false
);
COMMENT ON COLUMN search_changes.version IS 'grows with each change of what can be found: a final, a title, the end';
COMMENT ON COLUMN search_changes.gone IS 'the recording was deleted';
CREATE INDEX search_changes_gone ON search_changes (recording_id) WHERE gone;

CREATE TABLE search_indexes (
    name       text PRIMARY KEY,
    place      text NOT NULL,
    model      text NOT NULL,
    dimension  integer NOT NULL CHECK (dimension > 0),
    state      text NOT NULL CHECK (state IN ('building', 'current')),
    notice     text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (place, state)
);
COMMENT ON COLUMN search_indexes.place IS 'where it lies: embedded, or the address of a server';
COMMENT ON COLUMN search_indexes.model IS 'the embedding model, as the settings name it';
COMMENT ON COLUMN search_indexes.notice IS 'why it had to be built, where nobody asked for it';

-- That an index has a recording as it was at a version.
CREATE TABLE search_done (
    index_name   text    NOT NULL REFERENCES search_indexes ON DELETE CASCADE,
    recording_id uuid    NOT NULL,
    version      bigint  NOT NULL,
    passages     integer NOT NULL CHECK (passages >= 0),
    PRIMARY KEY (index_name, recording_id)
);

INSERT INTO search_changes (recording_id, owner)
SELECT r.id, r.owner FROM recordings r
WHERE EXISTS (SELECT FROM segments s WHERE s.recording_id = r.id AND s.text <> '');

-- Each change grows the version and tells whoever listens to parley_search, once a transaction. Rows are locked in the
-- order recordings, search_changes.
CREATE FUNCTION search_segments_came() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    marked uuid;
BEGIN
    FOR marked IN
        INSERT INTO search_changes AS c (recording_id, owner)
        SELECT DISTINCT r.id, r.owner FROM changed JOIN recordings r ON r.id = changed.recording_id
        WHERE changed.text <> ''
        ORDER BY r.id
        ON CONFLICT (recording_id) DO UPDATE SET version = c.version + 1
        RETURNING c.recording_id
    LOOP
        PERFORM pg_notify('parley_search', marked::text);
    END LOOP;
    RETURN NULL;
END;
$$;
CREATE TRIGGER search_segments_came AFTER INSERT ON segments
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION search_segments_came();

CREATE FUNCTION search_segments_changed() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    marked uuid;
BEGIN
    FOR marked IN
        UPDATE search_changes SET version = version + 1
        WHERE recording_id IN (SELECT recording_id FROM changed)
        RETURNING recording_id
    LOOP
        PERFORM pg_notify('parley_search', marked::text);
    END LOOP;
    RETURN NULL;
END;
$$;
CREATE TRIGGER search_segments_changed AFTER UPDATE ON segments
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION search_segments_changed();
CREATE TRIGGER search_segments_went AFTER DELETE ON segments
    REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION search_segments_changed();

CREATE FUNCTION search_recording_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE search_changes SET version = version + 1, gone = (TG_OP = 'DELETE')
    WHERE recording_id = OLD.id;
    IF FOUND THEN
        PERFORM pg_notify('parley_search', OLD.id::text);
    END IF;
    RETURN NULL;
END;
$$;
CREATE TRIGGER search_recording_renamed AFTER UPDATE OF title ON recordings
    FOR EACH ROW WHEN (OLD.title IS DISTINCT FROM NEW.title) EXECUTE FUNCTION search_recording_changed();
CREATE TRIGGER search_recording_went AFTER DELETE ON recordings
    FOR EACH ROW EXECUTE FUNCTION search_recording_changed();

-- migrate: rollback
DROP TRIGGER search_recording_went ON recordings;
DROP TRIGGER search_recording_renamed ON recordings;
DROP TRIGGER search_segments_went ON segments;
DROP TRIGGER search_segments_changed ON segments;
DROP TRIGGER search_segments_came ON segments;
DROP FUNCTION search_recording_changed;
DROP FUNCTION search_segments_changed;
DROP FUNCTION search_segments_came;
DROP TABLE search_done;
DROP TABLE search_indexes;
DROP TABLE search_changes;
