import { useRef, useState, type CSSProperties, type ReactNode } from "react";
import { Link } from "wouter";
import type { Recording } from "../api/client";
import type { Job } from "../api/jobs";
import { isUnwritten, nameOf, shown, type KnownRecording } from "../recordings/list";
import { JobNote, JobProgress } from "../jobs/JobLine";
import { isUnderWay, standingJob } from "../jobs/state";
import { useJobs, useList, useServices } from "../services";
import { clock, day, spokenDuration, timeOfDay } from "../text/time";
import { BinIcon, PencilIcon } from "./icons";
import { Prose } from "./Prose";
import { TitleField } from "./TitleField";

interface Props {
  onRecord: () => void;
  /** Beside the heading. */
  actions: ReactNode;
  /** Between the heading and the list. */
  children: ReactNode;
}

/** The recordings, set like a table of contents: what was said, and how long it took. */
export function RecordingList({ onRecord, actions, children }: Props) {
  const { library } = useServices();
  const list = useList();
  const recordings = shown(list);
  return (
    <section className="contents" aria-labelledby="contents-title" data-status={list.status}>
      <header className="contents-head">
        <h1 id="contents-title">Recordings</h1>
        {actions}
      </header>
      {children}
      {list.status === "loading" && <Skeleton />}
      {list.status === "failed" && (
        <div className="state" role="alert">
          <p>
            The recordings could not be loaded. <Prose text={list.error} />
          </p>
          <button type="button" className="button" onClick={() => void library.load()}>
            Try again
          </button>
        </div>
      )}
      {list.status === "ready" && recordings.length === 0 && (
        <div className="state" data-testid="empty">
          <p>
            Nothing is recorded yet. Press record and speak, or drop a file here; you read along, and every word is
            kept.
          </p>
          <button type="button" className="button" onClick={onRecord}>
            Record <kbd>R</kbd>
          </button>
        </div>
      )}
      {list.status === "ready" && (
        <ol className="recording-list" data-testid="recording-list">
          {recordings.map((recording) => (
            <Row key={recording.id} recording={recording} />
          ))}
        </ol>
      )}
      {list.status === "ready" && list.nextCursor && <More onMore={() => library.loadMore()} />}
    </section>
  );
}

function Row({ recording }: { recording: KnownRecording }) {
  const { library } = useServices();
  const job = standingJob(useJobs(), recording.id);
  const [editing, setEditing] = useState(false);
  const rename = useRef<HTMLButtonElement>(null);
  const name = nameOf(recording);
  const stopEditing = (): void => {
    setEditing(false);
    requestAnimationFrame(() => rename.current?.focus({ preventScroll: true }));
  };
  return (
    <li
      className="recording-item"
      data-testid="recording-item"
      data-id={recording.id}
      data-state={recording.state}
      style={{ "--done": (job?.percent ?? 0) / 100 } as CSSProperties}
    >
      <p className="recording-date">
        <span>{day(recording.created_at, new Date())}</span>{" "}
        <time dateTime={recording.created_at}>{timeOfDay(recording.created_at)}</time>
      </p>
      <div className="recording-name">
        {editing ? (
          <TitleField
            title={recording.title ?? ""}
            placeholder={recording.source_name || recording.preview || "Title"}
            onCancel={stopEditing}
            onSave={(title) => {
              stopEditing();
              void library.rename(recording.id, title);
            }}
          />
        ) : (
          <Link
            href={`/recordings/${recording.id}`}
            className="recording-link"
            lang={name === recording.preview ? (recording.language ?? undefined) : undefined}
          >
            {name}
          </Link>
        )}
        {job && showsJob(recording, job) ? <JobNote job={job} /> : <RecordingState recording={recording} />}
      </div>
      <span className="recording-duration tabular" aria-label={spokenDuration(recording.duration_ms)}>
        {recording.state !== "recording" && recording.duration_ms > 0 && clock(recording.duration_ms)}
      </span>
      <span className="recording-actions">
        <button
          ref={rename}
          type="button"
          className="quiet-button"
          aria-label={`Rename “${name}”`}
          data-tip="Rename"
          onClick={() => setEditing(true)}
        >
          <PencilIcon />
        </button>
        <button
          type="button"
          className="quiet-button"
          aria-label={`Delete “${name}”`}
          data-tip="Delete"
          disabled={!recording.deletable}
          onClick={() => library.remove(recording)}
        >
          <BinIcon />
        </button>
      </span>
      {job && isUnderWay(job) && <JobProgress job={job} />}
    </li>
  );
}

/** What became of the notes of a recording that is there is not what its row is about. */
function showsJob(recording: Recording, job: Job): boolean {
  return isUnderWay(job) || isUnwritten(recording);
}

function RecordingState({ recording }: { recording: Recording }) {
  switch (recording.state) {
    case "recording":
      return (
        <span className="recording-note on-air">
          <span className="dot" aria-hidden="true" />
          Recording now
        </span>
      );
    case "processing":
      return <span className="recording-note">Being written down</span>;
    case "interrupted":
      return (
        <span className="recording-note">
          {recording.duration_ms > 0 ? `Interrupted, kept up to ${clock(recording.duration_ms)}` : "Not written down"}
        </span>
      );
    case "finished":
      return recording.preview && nameOf(recording) !== recording.preview ? (
        <span className="recording-note recording-preview" lang={recording.language ?? undefined}>
          {recording.preview}
        </span>
      ) : null;
  }
}

function More({ onMore }: { onMore: () => Promise<void> }) {
  const [busy, setBusy] = useState(false);
  return (
    <button
      type="button"
      className="button more"
      disabled={busy}
      onClick={() => {
        setBusy(true);
        void onMore().finally(() => setBusy(false));
      }}
    >
      Show older recordings
    </button>
  );
}

/** Where the rows will stand. */
function Skeleton() {
  return (
    <div className="skeleton" role="status" aria-label="Loading the recordings">
      {[82, 64, 74, 46].map((width) => (
        <div key={width} className="skeleton-row">
          <span style={{ width: `${width}%` }} />
          <span />
        </div>
      ))}
    </div>
  );
}
