import { useEffect, useRef } from "react";
import { useServices, useSession } from "../services";
import { heldPhrase, phrase } from "../session/phrase";
import { isCalm } from "../session/problems";
import { heldMs, isActive, type SessionState } from "../session/state";
import { clock, spokenDuration } from "../text/time";
import { Dock } from "./Dock";
import { useCountdown } from "./useCountdown";

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
  const kept = ["live", "finishing", "closed", "lost"].includes(state.phase);
  return (
    <div
      className="connection"
      data-phase={state.phase}
      data-away={state.away}
      data-calm={state.problem !== null && isCalm(state.problem)}
    >
      <p data-testid="connection-state" data-phase={state.phase} data-away={state.away} role="status">
        {(state.phase === "live" || state.away) && <span className="dot" aria-hidden="true" />}
        {phrase(state)}
      </p>
      {state.away ? (
        <p className="tabular" data-testid="held" data-ms={heldMs(state)}>
          {heldPhrase(state)}
        </p>
      ) : kept ? (
        <p className="kept-safe" data-testid="kept-safe" data-ms={state.keptMs}>
          kept safe to <span className="tabular">{clock(state.keptMs)}</span>
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
