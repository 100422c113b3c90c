/**
 * A live session as the page shows it: a pure function of what the microphone, the socket and the person did.
 *
 *     idle → asking → connecting → live ⇄ reconnecting → finishing → closed
 *               └───────┴───────────┴────────┴──────────────┴──────→ failed (nothing was recorded) · lost (something was)
 *
 * A recording that was interrupted begins again at `asking` (to be gone on with) or at `finishing`. A connection that
 * broke ends nothing: it is tried again for as long as it takes.
 *
 * Two promises to the reader hold here whatever arrives: committed text never shrinks, and a final never changes.
 */

import {
  samplesToMs,
  type Final,
  type Partial,
  type RecognizerInfo,
  type ServerError,
  type ServerMessage,
} from "../wire";
import { cutShort, ended, fromServer, type Cure, type Problem } from "./problems";

export type Phase =
  "idle" | "asking" | "connecting" | "live" | "reconnecting" | "finishing" | "closed" | "lost" | "failed";

export interface OpenSegment {
  kind: "open";
  segment: number;
  start_ms: number;
  /** Of the partial shown; -1 while there was only `speech_start`. */
  revision: number;
  committed: string;
  tentative: string;
}

export interface FinalSegment extends Omit<Final, "type"> {
  kind: "final";
}

export type LiveSegment = OpenSegment | FinalSegment;

export interface SessionState {
  phase: Phase;
  /** The connection is gone, and is being tried again. */
  away: boolean;
  /** When record was pressed, in milliseconds since 1970. */
  startedAt: number;
  recordingId: string | null;
  recognizer: RecognizerInfo | null;
  /** Audio of the recording so far, wherever it is. */
  capturedMs: number;
  /** What `capturedMs` was when the connection became ready. */
  capturedAtReadyMs: number;
  /** Audio that the server says is durable. */
  keptMs: number;
  /** What is not yet kept by the server outlives this page. */
  spooled: boolean;
  /** Audio received by the server but not yet covered by the words on the page. */
  lagMs: number;
  /** Length of the kept recording, known once the session is closed. */
  durationMs: number | null;
  /** In the order of their numbers. */
  segments: readonly LiveSegment[];
  problem: Problem | null;
}

export type SessionAction =
  | { type: "asked"; at: number }
  /** A recording that was interrupted: to go on with it, or else only to finish it. */
  | {
      type: "resumed";
      startedAt: number;
      recordingId: string | null;
      capturedMs: number;
      keptMs: number;
      onward: boolean;
    }
  | { type: "cleared" }
  | { type: "capturing" }
  | { type: "captured"; ms: number }
  | { type: "message"; message: ServerMessage }
  | { type: "stopped" }
  | { type: "troubled"; problem: Problem }
  /** It cannot begin. */
  | { type: "failed"; problem: Problem }
  | { type: "dismissed" }
  | { type: "spooling"; works: boolean }
  /** The connection ended, and is tried again; `error` is what the server said last. */
  | { type: "disconnected"; error: ServerError | null }
  /** The connection ended for good. */
  | { type: "ended"; error: ServerError | null }
  /** The server closed the recording at `durationMs`, without all of its audio; `error` is why, where it said so. */
  | { type: "cutShort"; durationMs: number; error: ServerError | null };

export const IDLE: SessionState = {
  phase: "idle",
  away: false,
  startedAt: 0,
  recordingId: null,
  recognizer: null,
  capturedMs: 0,
  capturedAtReadyMs: 0,
  keptMs: 0,
  spooled: false,
  lagMs: 0,
  durationMs: null,
  segments: [],
  problem: null,
};

/** The microphone is (about to be) open: between pressing record and the end of the session. */
export function isActive(phase: Phase): boolean {
  return ["asking", "connecting", "live", "reconnecting", "finishing"].includes(phase);
}

/** Audio that only this device has, in milliseconds. */
export function heldMs({ capturedMs, keptMs }: Pick<SessionState, "capturedMs" | "keptMs">): number {
  return Math.max(0, capturedMs - keptMs);
}

/** The number of the first segment whose final is not here yet. */
export function nextSegment({ segments }: Pick<SessionState, "segments">): number {
  const missing = segments.findIndex(({ kind, segment }, i) => kind !== "final" || segment !== i);
  return missing < 0 ? segments.length : missing;
}

export function reduce(state: SessionState, action: SessionAction): SessionState {
  switch (action.type) {
    case "asked":
      return isActive(state.phase) ? state : { ...IDLE, phase: "asking", startedAt: action.at };
    case "resumed": {
      const { type: _, onward, ...known } = action;
      return { ...IDLE, ...known, phase: onward ? "asking" : "finishing", spooled: true };
    }
    case "cleared":
      return IDLE;
    case "capturing":
      return state.phase === "asking" ? { ...state, phase: "connecting" } : state;
    case "captured":
      return { ...state, capturedMs: action.ms };
    case "message":
      return receive(state, action.message);
    case "stopped":
      return isActive(state.phase) && state.phase !== "asking" ? { ...state, phase: "finishing" } : state;
    case "troubled":
      return { ...state, problem: action.problem };
    case "failed":
      return isActive(state.phase) ? { ...state, phase: "failed", problem: action.problem } : state;
    case "dismissed":
      return { ...state, problem: null };
    case "spooling":
      return { ...state, spooled: action.works };
    case "disconnected":
      return disconnect(state, action.error);
    case "ended":
      return end(state, action.error);
    case "cutShort":
      return cut(state, action.durationMs, action.error);
  }
}

function receive(state: SessionState, message: ServerMessage): SessionState {
  if (!isActive(state.phase)) return state;
  switch (message.type) {
    case "ready":
      return {
        ...cured(state, "ready"),
        phase: state.phase === "connecting" || state.phase === "reconnecting" ? "live" : state.phase,
        away: false,
        recordingId: message.recording_id,
        recognizer: message.recognizer ?? state.recognizer,
        capturedAtReadyMs: state.capturedMs,
        segments: state.segments.map(forNewRevisions),
      };
    case "recognizer":
      return { ...state, recognizer: message.recognizer };
    case "ack": {
      const keptMs = samplesToMs(message.samples);
      return keptMs > state.keptMs ? { ...cured(state, "ack"), keptMs } : state;
    }
    case "speech_start":
      return find(state, message.segment)
        ? state
        : withSegment(state, {
            kind: "open",
            segment: message.segment,
            start_ms: message.start_ms,
            revision: -1,
            committed: "",
            tentative: "",
          });
    case "partial":
      return receivePartial(state, message);
    case "final": {
      if (find(state, message.segment)?.kind === "final") return state;
      const { type: _, ...final } = message;
      return { ...withSegment(final.text ? cured(state, "words") : state, { kind: "final", ...final }), lagMs: 0 };
    }
    case "error":
      return { ...state, problem: fromServer(message) ?? state.problem };
    case "closed":
      return {
        ...state,
        phase: "closed",
        recordingId: message.recording_id,
        durationMs: message.duration_ms,
        keptMs: Math.max(state.keptMs, message.duration_ms),
        lagMs: 0,
        away: false,
        problem: state.problem?.cure ? null : state.problem,
      };
    case "pong":
      return state;
  }
}

function receivePartial(state: SessionState, partial: Partial): SessionState {
  const known = find(state, partial.segment);
  if (known?.kind === "final" || (known && partial.revision <= known.revision)) return state;
  const { committed, tentative } = keepCommitted(known?.committed ?? "", partial);
  const said = committed !== "" || tentative !== "";
  return {
    ...withSegment(said ? cured(state, "words") : state, {
      kind: "open",
      segment: partial.segment,
      start_ms: partial.start_ms,
      revision: partial.revision,
      committed,
      tentative,
    }),
    lagMs: partial.lag_ms,
  };
}

/** What is shown for `partial` when `before` was already committed: never less than `before`. */
function keepCommitted(before: string, partial: Partial): { committed: string; tentative: string } {
  if (partial.committed.startsWith(before)) return partial;
  const whole = [partial.committed, partial.tentative].filter(Boolean).join(" ");
  return { committed: before, tentative: whole.startsWith(before) ? whole.slice(before.length).trim() : "" };
}

function disconnect(state: SessionState, error: ServerError | null): SessionState {
  if (!isActive(state.phase)) return state;
  const problem = (error?.retryable ? fromServer(error) : null) ?? state.problem;
  return { ...state, phase: state.phase === "live" ? "reconnecting" : state.phase, away: true, lagMs: 0, problem };
}

function end(state: SessionState, error: ServerError | null): SessionState {
  if (!isActive(state.phase)) return state;
  const begun = state.recordingId !== null;
  const problem = ended(error, begun, { keptMs: state.keptMs, heldMs: heldMs(state), spooled: state.spooled });
  return { ...state, phase: begun ? "lost" : "failed", away: false, lagMs: 0, problem };
}

function cut(state: SessionState, keptMs: number, error: ServerError | null): SessionState {
  if (!isActive(state.phase)) return state;
  const problem = cutShort(error, { keptMs, heldMs: state.capturedMs - keptMs, spooled: state.spooled });
  return { ...state, phase: "lost", keptMs, away: false, lagMs: 0, problem };
}

/** Without the problem that `cure` shows to be over. A new connection is a new beginning: the server tells again. */
function cured(state: SessionState, cure: Cure): SessionState {
  const known = state.problem?.cure;
  return known && (known === cure || cure === "ready") ? { ...state, problem: null } : state;
}

/** A connection counts the revisions of open segments from 0; what is on the page stays until there is more. */
function forNewRevisions(segment: LiveSegment): LiveSegment {
  return segment.kind === "open" ? { ...segment, revision: -1 } : segment;
}

function find(state: SessionState, segment: number): LiveSegment | undefined {
  return state.segments.find((known) => known.segment === segment);
}

function withSegment(state: SessionState, segment: LiveSegment): SessionState {
  const others = state.segments.filter((known) => known.segment !== segment.segment);
  return { ...state, segments: [...others, segment].sort((a, b) => a.segment - b.segment) };
}
