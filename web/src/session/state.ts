/**
 * A live session as the page shows it: a pure function of what the microphone, the socket and the person did.
 *
 *     idle → asking → connecting → live → finishing → closed
 *               └───────┴───────────┴────────┴──────→ failed (nothing was recorded) · lost (something was)
 *
 * Two promises to the reader hold here whatever arrives: committed text never shrinks, and a final never changes.
 */

import { samplesToMs, type Final, type Partial, type RecognizerInfo, type ServerMessage } from "../wire";
import { connectionLost, fromServer, type Problem } from "./problems";

export type Phase = "idle" | "asking" | "connecting" | "live" | "finishing" | "closed" | "lost" | "failed";

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
  /** When record was pressed, in milliseconds since 1970. */
  startedAt: number;
  recordingId: string | null;
  recognizer: RecognizerInfo | null;
  /** Audio taken from the microphone. */
  capturedMs: number;
  /** Audio that the server says is durable. */
  keptMs: number;
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
  | { type: "cleared" }
  | { type: "capturing" }
  | { type: "captured"; ms: number }
  | { type: "message"; message: ServerMessage }
  | { type: "stopped" }
  | { type: "troubled"; problem: Problem }
  | { type: "dismissed" }
  | { type: "disconnected" };

export const IDLE: SessionState = {
  phase: "idle",
  startedAt: 0,
  recordingId: null,
  recognizer: null,
  capturedMs: 0,
  keptMs: 0,
  lagMs: 0,
  durationMs: null,
  segments: [],
  problem: null,
};

/** The microphone is (about to be) open: between pressing record and the end of the session. */
export function isActive(phase: Phase): boolean {
  return phase === "asking" || phase === "connecting" || phase === "live" || phase === "finishing";
}

export function reduce(state: SessionState, action: SessionAction): SessionState {
  switch (action.type) {
    case "asked":
      return isActive(state.phase) ? state : { ...IDLE, phase: "asking", startedAt: action.at };
    case "cleared":
      return IDLE;
    case "capturing":
      return state.phase === "asking" ? { ...state, phase: "connecting" } : state;
    case "captured":
      return { ...state, capturedMs: action.ms };
    case "message":
      return receive(state, action.message);
    case "stopped":
      return state.phase === "connecting" || state.phase === "live" ? { ...state, phase: "finishing" } : state;
    case "troubled":
      return state.phase === "asking"
        ? { ...state, phase: "failed", problem: action.problem }
        : { ...state, problem: action.problem };
    case "dismissed":
      return { ...state, problem: null };
    case "disconnected":
      return disconnect(state);
  }
}

function receive(state: SessionState, message: ServerMessage): SessionState {
  if (!isActive(state.phase)) return state;
  switch (message.type) {
    case "ready":
      return {
        ...state,
        phase: state.phase === "connecting" ? "live" : state.phase,
        recordingId: message.recording_id,
        recognizer: message.recognizer,
      };
    case "ack":
      return { ...state, keptMs: Math.max(state.keptMs, samplesToMs(message.samples)) };
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
      const problem = state.problem?.code === "no_words" && final.text ? null : state.problem;
      return { ...withSegment(state, { kind: "final", ...final }), lagMs: 0, problem };
    }
    case "error":
      return { ...state, problem: fromServer(message) };
    case "closed":
      return {
        ...state,
        phase: "closed",
        recordingId: message.recording_id,
        durationMs: message.duration_ms,
        keptMs: Math.max(state.keptMs, message.duration_ms),
        lagMs: 0,
      };
    case "pong":
      return state;
  }
}

function receivePartial(state: SessionState, partial: Partial): SessionState {
  const known = find(state, partial.segment);
  if (known?.kind === "final" || (known && partial.revision <= known.revision)) return state;
  const { committed, tentative } = keepCommitted(known?.committed ?? "", partial);
  return {
    ...withSegment(state, {
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

function disconnect(state: SessionState): SessionState {
  if (!isActive(state.phase)) return state;
  if (state.recordingId === null) {
    return { ...state, phase: "failed", problem: state.problem ?? connectionLost(null, state.capturedMs) };
  }
  return { ...state, phase: "lost", problem: state.problem ?? connectionLost(state.keptMs, state.capturedMs) };
}

function find(state: SessionState, segment: number): LiveSegment | undefined {
  return state.segments.find((known) => known.segment === segment);
}

function withSegment(state: SessionState, segment: LiveSegment): SessionState {
  const others = state.segments.filter((known) => known.segment !== segment.segment);
  return { ...state, segments: [...others, segment].sort((a, b) => a.segment - b.segment) };
}
