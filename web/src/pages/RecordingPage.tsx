import { useCallback, useEffect, useMemo, useState, type ReactNode } from "react";
import { Link, useLocation } from "wouter";
import { ApiError, audioUrl, getTranscript, type Recording, type Transcript } from "../api/client";
import { ExportMenu } from "../components/ExportMenu";
import { ArrowLeftIcon, BinIcon, PencilIcon } from "../components/icons";
import { PlayerDock, PlayerDockSkeleton } from "../components/PlayerDock";
import { Prose } from "../components/Prose";
import { TitleField } from "../components/TitleField";
import { TranscriptView } from "../components/TranscriptView";
import { SEEK_MS, usePlayer, type Player } from "../components/usePlayer";
import type { Job } from "../api/jobs";
import { JobLine, useStandingJob } from "../jobs/JobLine";
import { isUnderWay } from "../jobs/state";
import { NotesSection } from "../notes/NotesSection";
import type { Source } from "../notes/sources";
import { useNotes, type LoadedNotes } from "../notes/useNotes";
import { sentence } from "../recordings/library";
import { find, isUnwritten, nameOf, type KnownRecording } from "../recordings/list";
import { useList, useServices } from "../services";
import { languageName } from "../text/languages";
import { clock, longDay, timeOfDay } from "../text/time";
import { useKeys } from "../useKeys";
import { MissingPage } from "./MissingPage";

const NOTHING_CITED: ReadonlySet<number> = new Set();
/** A long transcript that grows is not loaded all the time: so many times longer than loading took, it rests. */
const REST = 20;
const SHORTEST_REST_MS = 2_000;

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
  const { library, playback } = useServices();
  const [, navigate] = useLocation();
  const [editing, setEditing] = useState(false);
  const [template, setTemplate] = useState<string | null>(null);
  const { notes, load: loadNotes } = useNotes(recording.id, template);
  const job = useShownJob(recording);
  const player = usePlayer(recording.duration_ms);
  const { source, setSource, cited, follows } = useSource(player);
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
  useLinkedPlace(player.play);
  const { play } = player;
  useEffect(
    () =>
      playback.register(recording.id, ({ startMs, endMs }) => {
        setSource(null);
        play(startMs, endMs);
      }),
    [play, playback, recording.id, setSource],
  );

  return (
    <>
      <main tabIndex={-1} className="column recording">
        <BackLink />
        <header className="recording-head">
          {editing ? (
            <TitleField
              title={recording.title ?? ""}
              placeholder={recording.source_name || recording.preview || "Title"}
              onCancel={() => setEditing(false)}
              onSave={(title) => {
                setEditing(false);
                void library.rename(recording.id, title);
              }}
            />
          ) : (
            <h1
              className={name === recording.preview ? "untitled" : ""}
              lang={name === recording.preview ? (recording.language ?? undefined) : undefined}
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
            {recording.duration_ms > 0 ? (
              <ExportMenu id={recording.id} template={notes.status === "ready" ? notes.body.template : null} />
            ) : (
              <span />
            )}
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
        {job && <JobLine job={job} />}
        {loaded.status === "ready" && (
          <>
            <NotesSection
              recording={recording}
              transcript={loaded.transcript}
              player={player}
              notes={notes}
              template={template}
              onTemplate={setTemplate}
              onRetry={() => void loadNotes()}
              open={source}
              onPlay={setSource}
              onGo={(ms) => {
                setSource(null);
                player.play(ms, null);
                document.querySelector(".transcript")?.scrollIntoView({ block: "nearest" });
              }}
            />
            <Text transcript={loaded.transcript} notes={notes} recording={recording} job={job}>
              <TranscriptView
                transcript={loaded.transcript}
                onFrame={player.onFrame}
                onSeek={player.seek}
                cited={cited}
                follows={follows}
              />
            </Text>
          </>
        )}
        {loaded.status === "loading" && <TextSkeleton />}
        {loaded.status === "failed" && <Failure error={loaded.error} onRetry={onRetry} />}
      </main>
      <PlayerDock player={player} src={audioUrl(recording.id)} />
    </>
  );
}

/** The job that has something to say here; one that was cancelled on purpose only where the words are missing. */
function useShownJob(recording: Recording): Job | null {
  const job = useStandingJob(recording.id);
  return job?.state === "cancelled" && !isUnwritten(recording) ? null : job;
}

interface TextProps {
  transcript: Transcript;
  recording: Recording;
  notes: LoadedNotes;
  job: Job | null;
  children: ReactNode;
}

function Text({ transcript, recording, notes, job, children }: TextProps) {
  if (transcript.segments.some(({ text }) => text !== "")) {
    return (
      <section aria-label="Transcript">
        {notes.status === "ready" && <h2 className="part-title">What was said</h2>}
        {children}
      </section>
    );
  }
  // Why nothing came of a file is said above.
  if (isUnwritten(recording) && job && !isUnderWay(job)) return null;
  return (
    <div className="state">
      <p>{withoutWords(recording)}</p>
    </div>
  );
}

function withoutWords(recording: Recording): string {
  if (recording.state === "recording") return "Nothing was said yet.";
  if (recording.state === "processing") return "What is said appears here as it is written down.";
  if (isUnwritten(recording)) return "This file was not written down.";
  return "No words were heard in this recording. You can still play it.";
}

/** What the notes play: its words are lit below the item, and marked in the transcript, which then does not scroll. */
function useSource(player: Player) {
  const [source, setSource] = useState<Source | null>(null);
  const { play, pause } = player;
  const choose = useCallback(
    (chosen: Source | null) => {
      setSource(chosen);
      if (chosen) play(chosen.startMs, chosen.endMs);
      else pause();
    },
    [pause, play],
  );
  const cited = useMemo(
    () => (source ? new Set(source.segments.map(({ segment }) => segment)) : NOTHING_CITED),
    [source],
  );
  return { source, setSource: choose, cited, follows: source === null };
}

/** A link may name the second that it is about: `#t=754`. */
function useLinkedPlace(play: Player["play"]): void {
  useEffect(() => {
    const [, seconds] = /^#t=(\d+(?:\.\d+)?)$/u.exec(window.location.hash) ?? [];
    if (seconds !== undefined) play(Number(seconds) * 1000, null);
  }, [play]);
}

function StateLine({ recording }: { recording: Recording }) {
  if (recording.same_as !== null) {
    return (
      <p className="state-line">
        The same audio as <Link href={`/recordings/${recording.same_as}`}>an earlier recording</Link>, so its words were
        taken from there.
      </p>
    );
  }
  if (recording.state === "recording") {
    return (
      <p className="state-line on-air">
        <span className="dot" aria-hidden="true" />
        Being recorded now. The text grows as it is spoken.
      </p>
    );
  }
  if (recording.state === "interrupted" && (recording.origin === "live" || recording.duration_ms > 0)) {
    return (
      <p className="state-line">
        This recording was interrupted. Everything up to {clock(recording.duration_ms)} is kept.
      </p>
    );
  }
  return null;
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

  useGrowth(id, load);

  // A list that was loaded again may no longer hold a recording this old.
  useEffect(() => {
    if (!known && loaded.status === "ready") void library.refresh(id);
  }, [id, known, library, loaded.status]);

  return { loaded, load };
}

/** While a job writes it down, the transcript is loaded again as it grows, and rests in between. */
function useGrowth(id: string, load: () => Promise<void>): void {
  const { board } = useServices();
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    let restsUntil = 0;
    const grow = async (): Promise<void> => {
      const began = performance.now();
      await load();
      const took = performance.now() - began;
      restsUntil = performance.now() + Math.max(SHORTEST_REST_MS, REST * took);
      timer = undefined;
    };
    const stop = board.onProgress((recordingId) => {
      if (recordingId !== id || timer !== undefined) return;
      timer = setTimeout(() => void grow(), Math.max(0, restsUntil - performance.now()));
    });
    return () => {
      stop();
      clearTimeout(timer);
    };
  }, [board, id, load]);
}
