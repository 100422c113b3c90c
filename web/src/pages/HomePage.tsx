import { useCallback, useEffect, useState } from "react";
import { Link } from "wouter";
import { getStatus, type Status } from "../api/client";
import { Callout } from "../components/Callout";
import { AddIcon, ArrowRightIcon } from "../components/icons";
import { LiveText } from "../components/LiveText";
import { OfferList } from "../components/OfferList";
import { Prose } from "../components/Prose";
import { RecordDock } from "../components/RecordDock";
import { RecordingList } from "../components/RecordingList";
import { queueOf } from "../jobs/state";
import { useJobs, useList, useServices, useSession } from "../services";
import { isCalm } from "../session/problems";
import { isActive, type SessionState } from "../session/state";
import { count } from "../text/amounts";
import { clock, longDay, timeOfDay } from "../text/time";
import { AddPanel } from "../uploads/AddPanel";
import { DropZone } from "../uploads/DropZone";
import { UploadList, useFreshUnfinished } from "../uploads/UploadList";
import { useKeys } from "../useKeys";
import type { RecognizerInfo } from "../wire";

/** Speaking and reading along; when nobody speaks, what was said before. */
export function HomePage() {
  const { session } = useServices();
  const state = useSession();
  const list = useList();
  const status = useStatus(state.phase);
  const active = isActive(state.phase);
  const deleted = state.recordingId !== null && list.leaving.has(state.recordingId);
  const recognizer = state.recognizer ?? status?.recognizer ?? null;

  const [adding, setAdding] = useState(false);
  const stopAdding = useCallback(() => setAdding(false), []);
  useFreshUnfinished();
  useKeys({ u: () => !active && setAdding(true), Escape: stopAdding });
  useEffect(() => {
    document.title = "Parley";
    // What was just said is shown until the reader goes elsewhere; then the list has it.
    return () => session.clear();
  }, [session]);
  return (
    <>
      <main tabIndex={-1} className="column home" data-active={active}>
        {recognizer?.fallback && <FallbackNotice recognizer={recognizer} />}
        {!active && status?.engine === "unavailable" && (
          <Callout tone="note" code="engine_unavailable">
            The recogniser is not answering, so nothing new can be written down for now. Your recordings are safe.
          </Callout>
        )}
        {state.phase !== "idle" && !deleted && <Live state={state} />}
        {!active && <OfferList />}
        {!active && (
          <RecordingList
            onRecord={() => session.toggle()}
            actions={<Actions adding={adding} onAdd={() => setAdding(!adding)} />}
          >
            {adding && <AddPanel onDone={stopAdding} />}
            <UploadList />
          </RecordingList>
        )}
        {!active && <DropZone onDrop={stopAdding} />}
      </main>
      <RecordDock />
    </>
  );
}

/** What can be done beside recording. */
function Actions({ adding, onAdd }: { adding: boolean; onAdd: () => void }) {
  const { running, waiting, dead } = queueOf(useJobs());
  const there = running.length + waiting.length;
  return (
    <span className="contents-actions">
      {(there > 0 || dead.length > 0) && (
        <Link href="/jobs" className="text-button" data-testid="to-jobs">
          {there > 0 ? `${there} in the queue` : `${count(dead.length, "job")} failed`}
        </Link>
      )}
      <button
        type="button"
        className="text-button"
        data-testid="add-files"
        aria-expanded={adding}
        aria-keyshortcuts="U"
        data-tip="Key U"
        onClick={onAdd}
      >
        <AddIcon /> Add files
      </button>
    </span>
  );
}

function Live({ state }: { state: SessionState }) {
  const begun = new Date(state.startedAt).toISOString();
  const active = isActive(state.phase);
  const Heading = active ? "h1" : "h2";
  const said = active || state.segments.some((segment) => segment.kind === "final" && segment.text !== "");
  return (
    <div className="live">
      {said && (
        <Heading className="dateline">
          {longDay(begun, new Date())}, {timeOfDay(begun)}
        </Heading>
      )}
      {said && <LiveText state={state} />}
      {state.problem && (
        <Callout
          tone={isCalm(state.problem) ? "note" : "trouble"}
          code={state.problem.code}
          action={<ProblemAction state={state} />}
        >
          <Prose text={state.problem.message} />
          {state.phase === "lost" && state.recordingId && state.keptMs > 0 && (
            <>
              {" "}
              <Link href={`/recordings/${state.recordingId}`} data-testid="open-recording">
                Open what was kept
              </Link>
            </>
          )}
        </Callout>
      )}
      {state.phase === "finishing" && state.away && <FinishLater state={state} />}
      {state.phase === "closed" && (
        <p className="after-live">
          <span>
            {said ? "Kept." : "No words were heard. The audio is kept."}{" "}
            <span className="tabular">{clock(state.durationMs ?? 0)}</span>
          </span>
          <Link href={`/recordings/${state.recordingId}`} className="button" data-testid="open-recording">
            Open the recording <ArrowRightIcon />
          </Link>
        </p>
      )}
    </div>
  );
}

/** Nobody has to wait for a connection to finish, where the browser can hold what is left. */
function FinishLater({ state }: { state: SessionState }) {
  const { session } = useServices();
  return (
    <Callout
      tone="note"
      code="finishing_away"
      action={
        state.spooled && (
          <button type="button" className="button" data-testid="finish-later" onClick={() => session.setAside()}>
            Finish later
          </button>
        )
      }
    >
      What you said is held here, and is sent when the connection is back.
    </Callout>
  );
}

function ProblemAction({ state }: { state: SessionState }) {
  const { session } = useServices();
  // Where it never began, the message says what to do, and the record button is where it always is.
  if (state.phase === "failed") return null;
  if (state.phase === "lost") {
    return (
      <button type="button" className="button" data-testid="record-again" onClick={() => session.toggle()}>
        Record again
      </button>
    );
  }
  return (
    <button type="button" className="button" onClick={() => session.dismissProblem()}>
      Close
    </button>
  );
}

function FallbackNotice({ recognizer }: { recognizer: RecognizerInfo }) {
  return (
    <Callout tone="note" code="fallback">
      <p>
        A simpler recogniser is writing ({recognizer.name}), so expect mistakes. <Prose text={recognizer.reason} />
      </p>
      {recognizer.remedy && (
        <p>
          <Prose text={recognizer.remedy} />
        </p>
      )}
    </Callout>
  );
}

/** The service's own account of itself; asked again whenever a session begins or ends. */
function useStatus(phase: SessionState["phase"]): Status | null {
  const [status, setStatus] = useState<Status | null>(null);
  const active = isActive(phase);
  useEffect(() => {
    const abort = new AbortController();
    // A server that cannot be reached is told of by the list, with the action that helps.
    getStatus(abort.signal).then(setStatus, () => undefined);
    return () => abort.abort();
  }, [active]);
  return status;
}
