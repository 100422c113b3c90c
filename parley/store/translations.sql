-- Translations of recordings, segment by segment. Every query names the owner, whose the recording is.

-- name: lock_recording$
SELECT id FROM recordings WHERE id = :id AND owner = :owner FOR KEY SHARE;

-- name: clear_translation!
DELETE FROM translations WHERE recording_id = :id AND language = :language;

-- name: insert_translation!
INSERT INTO translations (recording_id, language, number, text, provider, model)
SELECT :id, :language, line.number, line.text, nullif(line.provider, ''), nullif(line.model, '')
FROM unnest(CAST(:numbers AS integer[]), CAST(:texts AS text[]), CAST(:providers AS text[]), CAST(:models AS text[]))
    AS line (number, text, provider, model);

-- name: get_translation
SELECT t.number, t.text, t.provider, t.model
FROM translations t JOIN recordings r ON r.id = t.recording_id
WHERE r.id = :id AND r.owner = :owner AND t.language = :language
ORDER BY t.number;

-- name: list_translations
SELECT t.language, count(*) AS segments, max(t.created_at) AS created_at
FROM translations t JOIN recordings r ON r.id = t.recording_id
WHERE r.id = :id AND r.owner = :owner
GROUP BY t.language ORDER BY t.language;
