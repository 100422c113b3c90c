import { useEffect, useRef } from "react";
import { useServices, useSession } from "../services";
import { isActive, type SessionState } from "../session/state";
import { clock, fullClock, spokenDuration } from "../text/time";
import { Dock } from "./Dock";
import { useCountdown } from "./useCountdown";

/** Text that is this far behind the voice is worth a word. */
const LAG_SHOWN_MS = 2_000;
/** The server acknowledges every few seconds; this much without it means that the connection is slow. */
const UNSAFE_SHOWN_MS = 15_000;

export function RecordDock() {
  const { session } = useServices();
  const state = useSession();
  const wait = useCountdown(state.phase === "failed" ? state.problem : null);
  const active = isActive(state.phase);
  const label = active ? "Stop recording" : "Record";
  return (
    <Dock
      label="Recording"
      line={<LevelLine active={active} />}
      start={
        <time
          className={`clock ${active ? "" : "at-rest"}`}
          data-testid="elapsed"
          aria-label={spokenDuration(state.capturedMs)}
        >
          {clock(state.capturedMs)}
        </time>
      }
      controls={
        <button
          type="button"
          className="record-button"
          data-testid="record-button"
          data-recording={active}
          aria-label={label}
          aria-keyshortcuts="R"
          data-tip={`${active ? "Stop" : "Record"} · R`}
          disabled={state.phase === "finishing" || wait > 0}
          onClick={() => session.toggle()}
        >
          <span aria-hidden="true" />
        </button>
      }
      end={<ConnectionState state={state} wait={wait} />}
    />
  );
}

function ConnectionState({ state, wait }: { state: SessionState; wait: number }) {
  const kept =
    state.phase === "live" || state.phase === "finishing" || state.phase === "closed" || state.phase === "lost";
  return (
    <div className="connection" data-phase={state.phase}>
      <p data-testid="connection-state" data-phase={state.phase} role="status">
        {state.phase === "live" && <span className="dot" aria-hidden="true" />}
        {sayPhase(state)}
      </p>
      {kept ? (
        <p className="kept-safe" data-testid="kept-safe" data-ms={state.keptMs}>
          kept safe to <span className="tabular">{fullClock(state.keptMs)}</span>
        </p>
      ) : wait > 0 ? (
        <p className="tabular">try again in {wait} s</p>
      ) : (
        <p className="key-hint">
          <kbd>R</kbd> to record
        </p>
      )}
    </div>
  );
}

function sayPhase({ phase, lagMs, capturedMs, keptMs }: SessionState): string {
  const unsafeMs = capturedMs - keptMs;
  switch (phase) {
    case "idle":
      return "Ready";
    case "asking":
      return "Asking for the microphone";
    case "connecting":
      return "Connecting";
    case "live":
      if (unsafeMs >= UNSAFE_SHOWN_MS) return `Live, ${Math.floor(unsafeMs / 1000)} s not yet safe`;
      return lagMs >= LAG_SHOWN_MS ? `Live, ${(lagMs / 1000).toFixed(1)} s behind` : "Live";
    case "finishing":
      return "Finishing";
    case "closed":
      return "Kept";
    case "lost":
      return "Connection lost";
    case "failed":
      return "Not recording";
  }
}

/** Breathes with the voice. Moves outside of React: ten times a second is too often to render for. */
function LevelLine({ active }: { active: boolean }) {
  const { session } = useServices();
  const line = useRef<HTMLDivElement>(null);
  useEffect(
    () =>
      session.onLevel((level) => {
        line.current?.style.setProperty("--level", level.toFixed(3));
      }),
    [session],
  );
  return <div ref={line} className="level-line" data-active={active} data-testid="level" aria-hidden="true" />;
}
