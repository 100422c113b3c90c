import { useCallback, useEffect, useState } from "react";
import { Link, useLocation } from "wouter";
import {
  ApiError,
  audioDownloadUrl,
  audioUrl,
  getTranscript,
  transcriptDownloadUrl,
  TRANSCRIPT_FORMATS,
  type Recording,
  type Transcript,
} from "../api/client";
import { ArrowLeftIcon, BinIcon, PencilIcon } from "../components/icons";
import { PlayerDock, PlayerDockSkeleton } from "../components/PlayerDock";
import { Prose } from "../components/Prose";
import { TitleField } from "../components/TitleField";
import { TranscriptView } from "../components/TranscriptView";
import { SEEK_MS, usePlayer, type Player } from "../components/usePlayer";
import { sentence } from "../recordings/library";
import { find, nameOf, type KnownRecording } from "../recordings/list";
import { useList, useServices } from "../services";
import { clock, longDay, timeOfDay } from "../text/time";
import { useKeys } from "../useKeys";
import { MissingPage } from "./MissingPage";

type Loaded =
  { status: "loading" } | { status: "failed"; error: unknown } | { status: "ready"; transcript: Transcript };

export function RecordingPage({ id }: { id: string }) {
  const recording = find(useList(), id);
  const { loaded, load } = useTranscript(id, recording !== null);

  if (loaded.status === "failed" && loaded.error instanceof ApiError && loaded.error.status === 404) {
    return <MissingPage what="This recording does not exist, or it was deleted." />;
  }
  // What the list already knows is shown at once; only the text has to be waited for.
  if (recording) return <Opened recording={recording} loaded={loaded} onRetry={() => void load()} />;
  return (
    <>
      <main tabIndex={-1} className="column recording">
        <BackLink />
        {loaded.status === "failed" ? (
          <Failure error={loaded.error} onRetry={() => void load()} />
        ) : (
          <>
            <div className="recording-head skeleton" aria-hidden="true">
              <div className="skeleton-title" />
              <div className="skeleton-meta" />
            </div>
            <TextSkeleton />
          </>
        )}
      </main>
      {loaded.status !== "failed" && <PlayerDockSkeleton />}
    </>
  );
}

function Failure({ error, onRetry }: { error: unknown; onRetry: () => void }) {
  return (
    <div className="state" role="alert">
      <p>
        It could not be loaded. <Prose text={sentence(error)} />
      </p>
      <button type="button" className="button" onClick={onRetry}>
        Try again
      </button>
    </div>
  );
}

/** Where the passages will stand. */
function TextSkeleton() {
  return (
    <div className="skeleton" role="status" aria-label="Loading the recording">
      {[94, 88, 62, 97, 91, 48].map((width) => (
        <div key={width} className="skeleton-line" style={{ width: `${width}%` }} />
      ))}
    </div>
  );
}

interface OpenedProps {
  recording: KnownRecording;
  loaded: Loaded;
  onRetry: () => void;
}

function Opened({ recording, loaded, onRetry }: OpenedProps) {
  const { library } = useServices();
  const [, navigate] = useLocation();
  const [editing, setEditing] = useState(false);
  const player = usePlayer(recording.duration_ms);
  const name = nameOf(recording);

  const remove = (): void => {
    if (!recording.deletable) return;
    library.remove(recording);
    navigate("/");
  };
  useKeys({
    " ": player.toggle,
    ArrowLeft: () => player.skip(-SEEK_MS),
    ArrowRight: () => player.skip(SEEK_MS),
    s: player.nextSpeed,
    e: () => setEditing(true),
    Delete: remove,
  });
  useEffect(() => {
    document.title = `${name} · Parley`;
  }, [name]);

  return (
    <>
      <main tabIndex={-1} className="column recording">
        <BackLink />
        <header className="recording-head">
          {editing ? (
            <TitleField
              title={recording.title ?? ""}
              placeholder={recording.preview || "Title"}
              onCancel={() => setEditing(false)}
              onSave={(title) => {
                setEditing(false);
                void library.rename(recording.id, title);
              }}
            />
          ) : (
            <h1
              className={recording.title ? "" : "untitled"}
              lang={recording.title ? undefined : (recording.language ?? undefined)}
            >
              {name}
            </h1>
          )}
          <p className="recording-meta">
            <time dateTime={recording.created_at}>
              {longDay(recording.created_at, new Date())}, {timeOfDay(recording.created_at)}
            </time>
            <span className="tabular">{clock(recording.duration_ms)}</span>
            {recording.language && <span>{languageName(recording.language)}</span>}
          </p>
          <div className="recording-tools">
            <Downloads id={recording.id} />
            <span className="tool-buttons">
              <button
                type="button"
                className="quiet-button"
                aria-label="Rename"
                aria-keyshortcuts="E"
                data-tip="Rename · E"
                onClick={() => setEditing(true)}
              >
                <PencilIcon />
              </button>
              <button
                type="button"
                className="quiet-button"
                aria-label="Delete"
                aria-keyshortcuts="Delete"
                data-tip="Delete · Del"
                disabled={!recording.deletable}
                onClick={remove}
              >
                <BinIcon />
              </button>
            </span>
          </div>
        </header>
        <StateLine recording={recording} />
        {loaded.status === "ready" && <Text transcript={loaded.transcript} recording={recording} player={player} />}
        {loaded.status === "loading" && <TextSkeleton />}
        {loaded.status === "failed" && <Failure error={loaded.error} onRetry={onRetry} />}
      </main>
      <PlayerDock player={player} src={audioUrl(recording.id)} />
    </>
  );
}

function Text({ transcript, recording, player }: { transcript: Transcript; recording: Recording; player: Player }) {
  if (transcript.segments.every(({ text }) => text === "")) {
    return (
      <div className="state">
        <p>
          {recording.state === "recording"
            ? "Nothing was said yet."
            : "No words were heard in this recording. You can still play it."}
        </p>
      </div>
    );
  }
  return <TranscriptView transcript={transcript} onFrame={player.onFrame} onSeek={player.seek} />;
}

function StateLine({ recording }: { recording: Recording }) {
  if (recording.state === "recording") {
    return (
      <p className="state-line on-air">
        <span className="dot" aria-hidden="true" />
        Being recorded now. The text grows as it is spoken.
      </p>
    );
  }
  if (recording.state === "interrupted") {
    return (
      <p className="state-line">
        This recording was interrupted. Everything up to {clock(recording.duration_ms)} is kept.
      </p>
    );
  }
  return null;
}

function Downloads({ id }: { id: string }) {
  return (
    <p className="downloads">
      <span>Download</span>
      {TRANSCRIPT_FORMATS.map((format) => (
        <a key={format} href={transcriptDownloadUrl(id, format)} download>
          {format.toUpperCase()}
        </a>
      ))}
      <a href={audioDownloadUrl(id)} download>
        WAV
      </a>
    </p>
  );
}

function BackLink() {
  return (
    <Link href="/" className="back-link">
      <ArrowLeftIcon /> Recordings
    </Link>
  );
}

/** The transcript of `id`, loaded anew when the server says that it changed. */
function useTranscript(id: string, known: boolean): { loaded: Loaded; load: () => Promise<void> } {
  const { library } = useServices();
  const [loaded, setLoaded] = useState<Loaded>({ status: "loading" });

  const load = useCallback(async () => {
    try {
      const [transcript] = await Promise.all([getTranscript(id), library.refresh(id)]);
      setLoaded({ status: "ready", transcript });
    } catch (error) {
      // A transcript that is already shown stays.
      setLoaded((before) => (before.status === "ready" ? before : { status: "failed", error }));
    }
  }, [id, library]);

  useEffect(() => {
    void load();
    return library.onChange((changed, change) => {
      if (changed !== id) return;
      if (change === "deleted") setLoaded({ status: "failed", error: new ApiError(404, "not_found", "") });
      else void load();
    });
  }, [id, library, load]);

  // A list that was loaded again may no longer hold a recording this old.
  useEffect(() => {
    if (!known && loaded.status === "ready") void library.refresh(id);
  }, [id, known, library, loaded.status]);

  return { loaded, load };
}

function languageName(code: string): string {
  try {
    return new Intl.DisplayNames(undefined, { type: "language" }).of(code) ?? code;
  } catch {
    return code;
  }
}
