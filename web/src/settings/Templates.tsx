import { useState, type FormEvent } from "react";
import { deleteTemplate, listTemplates, saveTemplate, type Template } from "../api/notes";
import { Prose } from "../components/Prose";
import { sentence } from "../recordings/library";
import { ListState } from "./ListState";
import { useLoaded } from "./useLoaded";

/** What a language model is asked for when it writes notes: those that are built in, and one's own. */
export function Templates() {
  const [templates, load] = useLoaded(listTemplates);
  const [editing, setEditing] = useState<Template | "new" | null>(null);
  const done = (): void => {
    setEditing(null);
    void load();
  };
  return (
    <section aria-labelledby="templates-title" className="settings-part">
      <header>
        <h2 id="templates-title">Kinds of notes</h2>
        {editing === null && (
          <button type="button" className="text-button" onClick={() => setEditing("new")}>
            Add one
          </button>
        )}
      </header>
      {editing !== null && (
        <TemplateForm template={editing === "new" ? null : editing} onDone={done} onCancel={() => setEditing(null)} />
      )}
      <ListState loaded={templates} onAgain={() => void load()} nothing="There are none.">
        {(items) => (
          <ul className="settings-list">
            {items.map((template) => (
              <Row key={template.name} template={template} onEdit={() => setEditing(template)} onGone={done} />
            ))}
          </ul>
        )}
      </ListState>
    </section>
  );
}

function Row({ template, onEdit, onGone }: { template: Template; onEdit: () => void; onGone: () => void }) {
  const [problem, setProblem] = useState("");
  return (
    <li data-testid="template-item">
      <div>
        <p className="settings-name">{template.title}</p>
        <p className="recording-note settings-text">{template.instructions}</p>
        {problem && (
          <p className="problem" role="alert">
            {problem}
          </p>
        )}
      </div>
      {template.built_in ? (
        <span className="recording-note">built in</span>
      ) : (
        <span className="job-actions">
          <button type="button" className="text-button" onClick={onEdit}>
            Change
          </button>
          <button
            type="button"
            className="text-button"
            onClick={() => deleteTemplate(template.name).then(onGone, (error: unknown) => setProblem(sentence(error)))}
          >
            Delete
          </button>
        </span>
      )}
    </li>
  );
}

interface FormProps {
  template: Template | null;
  onDone: () => void;
  onCancel: () => void;
}

function TemplateForm({ template, onDone, onCancel }: FormProps) {
  const [title, setTitle] = useState(template?.title ?? "");
  const [instructions, setInstructions] = useState(template?.instructions ?? "");
  const [problem, setProblem] = useState("");
  const save = async (event: FormEvent): Promise<void> => {
    event.preventDefault();
    try {
      await saveTemplate(template?.name ?? nameFor(title), title.trim(), instructions.trim());
      onDone();
    } catch (error) {
      setProblem(sentence(error));
    }
  };
  return (
    <form className="settings-form" onSubmit={(event) => void save(event)}>
      <label>
        Title
        <input
          className="field"
          autoFocus
          maxLength={200}
          value={title}
          onChange={({ currentTarget: { value } }) => setTitle(value)}
        />
      </label>
      <label>
        What to write
        <textarea
          className="field"
          rows={5}
          maxLength={8000}
          value={instructions}
          onChange={({ currentTarget: { value } }) => setInstructions(value)}
        />
      </label>
      {problem && (
        <p className="problem" role="alert">
          <Prose text={problem} />
        </p>
      )}
      <p>
        <button
          type="submit"
          className="button"
          disabled={title.trim() === "" || instructions.trim() === "" || nameFor(title) === ""}
        >
          Save
        </button>{" "}
        <button type="button" className="text-button" onClick={onCancel}>
          Cancel
        </button>
      </p>
    </form>
  );
}

/** A name for machines: lower-case letters, digits and dashes; of a title in another script, its letters' numbers. */
export function nameFor(title: string): string {
  const plain = title.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();
  const name = [...plain].map((sign) => (/[a-z0-9]/u.test(sign) ? sign : /\p{L}/u.test(sign) ? code(sign) : "-"));
  return name.join("").replace(/-+/gu, "-").replace(/^-|-$/gu, "").slice(0, 80);
}

function code(sign: string): string {
  return sign.codePointAt(0)!.toString(36);
}
