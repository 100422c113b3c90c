-- An owner's own templates. Every query names the owner.

-- name: list_templates
SELECT * FROM templates WHERE owner = :owner ORDER BY name;

-- name: get_template^
SELECT * FROM templates WHERE owner = :owner AND name = :name;

-- name: create_template$
-- Two at once can be one over the limit, which is there for whoever makes them in a loop.
INSERT INTO templates (owner, name, title, instructions)
SELECT :owner, :name, :title, :instructions
WHERE (SELECT count(*) FROM templates WHERE owner = :owner) < :most
ON CONFLICT DO NOTHING
RETURNING name;

-- name: put_template$
INSERT INTO templates (owner, name, title, instructions)
SELECT :owner, :name, :title, :instructions
WHERE (SELECT count(*) FROM templates WHERE owner = :owner AND name <> :name) < :most
ON CONFLICT (owner, name) DO UPDATE
SET title = EXCLUDED.title, instructions = EXCLUDED.instructions, updated_at = now()
RETURNING name;

-- name: delete_template$
DELETE FROM templates WHERE owner = :owner AND name = :name RETURNING name;
