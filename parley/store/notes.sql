-- Notes of recordings. Every query names the owner, whose the recording is.

-- name: save_notes$
INSERT INTO notes (recording_id, template, method, provider, model, body)
SELECT id, :template, :method, :provider, :model, :body FROM recordings WHERE id = :id AND owner = :owner
ON CONFLICT (recording_id, template) DO UPDATE
SET method = EXCLUDED.method, provider = EXCLUDED.provider, model = EXCLUDED.model, body = EXCLUDED.body,
    created_at = now()
RETURNING recording_id;

-- name: list_notes
-- The newest first: all of a recording, or those of one template.
SELECT n.*
FROM notes n JOIN recordings r ON r.id = n.recording_id
WHERE r.id = :id AND r.owner = :owner
  AND (CAST(:template AS text) IS NULL OR n.template = CAST(:template AS text))
ORDER BY n.created_at DESC, n.template;

-- name: writing_job^
SELECT id, state, delayed
FROM jobs
WHERE recording_id = :id AND owner = :owner AND 'summarise' = ANY (pipeline)
  AND (CAST(:template AS text) IS NULL OR coalesce(options ->> 'template', :standard) = CAST(:template AS text))
ORDER BY created_at DESC, id DESC
LIMIT 1;
