import { useState } from "react";
import type { Recording, Transcript } from "../api/client";
import type { Template } from "../api/notes";
import { Prose } from "../components/Prose";
import type { Player } from "../components/usePlayer";
import { isUnderWay, jobOf } from "../jobs/state";
import { sentence } from "../recordings/library";
import { useJobs, useServices } from "../services";
import { NotesView } from "./NotesView";
import type { Source } from "./sources";
import { useTemplates, type LoadedNotes } from "./useNotes";

interface Props {
  recording: Recording;
  transcript: Transcript;
  player: Player;
  notes: LoadedNotes;
  /** The one that was chosen; null: the newest notes, whatever they are. */
  template: string | null;
  onTemplate: (name: string) => void;
  onRetry: () => void;
  open: Source | null;
  onPlay: (source: Source | null) => void;
  onGo: (ms: number) => void;
}

/** Notes above the transcript: what was said, in short, by the template that was chosen. */
export function NotesSection({ notes, template: chosen, onTemplate, ...rest }: Props) {
  const templates = useTemplates();
  const { recording, transcript } = rest;
  const writing = useWriting(recording.id);
  const template = notes.status === "ready" ? notes.body.template : (chosen ?? "standard");

  if (recording.state === "recording" || transcript.segments.every(({ text }) => text === "")) return null;
  if (notes.status === "loading") return <NotesSkeleton />;
  // A recording that is still worked on says so above; an empty place for its notes would say it twice.
  if (notes.status === "none" && writing.busy) return null;
  return (
    <section className="notes" aria-labelledby="notes-title">
      <header className="notes-head">
        <h2 id="notes-title">Notes</h2>
        <Tools
          templates={templates}
          template={template}
          there={notes.status === "ready"}
          writing={writing.busy}
          onChoose={onTemplate}
          onWrite={() => void writing.start(template)}
        />
      </header>
      <Shown notes={notes} {...rest} />
    </section>
  );
}

function Shown({
  notes,
  recording,
  onRetry,
  ...rest
}: Omit<Props, "notes" | "template" | "onTemplate"> & { notes: Exclude<LoadedNotes, { status: "loading" }> }) {
  if (notes.status === "none") {
    return <p className="notes-none">There are no such notes of this recording yet.</p>;
  }
  if (notes.status === "failed") {
    return (
      <p className="notes-none" role="alert">
        The notes could not be loaded. <Prose text={sentence(notes.error)} />{" "}
        <button type="button" className="link-button" onClick={onRetry}>
          Try again
        </button>
      </p>
    );
  }
  const { method, provider, model } = notes.body.notes;
  return (
    <>
      <NotesView notes={notes.body.notes} language={recording.language ?? undefined} {...rest} />
      <p className="notes-by" data-testid="notes-by" data-method={method}>
        {method === "extractive"
          ? "Extracted: sentences of the transcript, no language model."
          : `Written by a language model (${[provider, model].filter(Boolean).join(", ")}). Each item plays what it rests on.`}
      </p>
    </>
  );
}

interface ToolsProps {
  templates: readonly Template[];
  template: string;
  there: boolean;
  writing: boolean;
  onChoose: (name: string) => void;
  onWrite: () => void;
}

function Tools({ templates, template, there, writing, onChoose, onWrite }: ToolsProps) {
  return (
    <span className="notes-tools">
      {templates.length > 1 && (
        <label>
          <span className="for-ears">Kind of notes</span>
          <select value={template} data-testid="template" onChange={(event) => onChoose(event.currentTarget.value)}>
            {!templates.some(({ name }) => name === template) && <option value={template}>{template}</option>}
            {templates.map(({ name, title }) => (
              <option key={name} value={name}>
                {title}
              </option>
            ))}
          </select>
        </label>
      )}
      <button type="button" className="text-button" data-testid="write-notes" disabled={writing} onClick={onWrite}>
        {writing ? "Being written" : there ? "Write again" : "Write them"}
      </button>
    </span>
  );
}

/** Whether notes are being written, and how to have them written. */
function useWriting(recordingId: string): { busy: boolean; start: (template: string) => Promise<void> } {
  const { board } = useServices();
  const [asking, setAsking] = useState(false);
  const job = jobOf(useJobs(), recordingId);
  return {
    busy: asking || (job !== null && isUnderWay(job) && job.pipeline.includes("summarise")),
    start: async (template) => {
      setAsking(true);
      await board.startOn(recordingId, { pipeline: ["summarise"], priority: "urgent", options: { template } });
      setAsking(false);
    },
  };
}

/** Where the notes will stand. */
function NotesSkeleton() {
  return (
    <div className="notes skeleton" role="status" aria-label="Loading the notes">
      {[96, 88, 54].map((width) => (
        <div key={width} className="skeleton-line" style={{ width: `${width}%` }} />
      ))}
    </div>
  );
}
