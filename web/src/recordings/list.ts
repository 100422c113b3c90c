/** The list of recordings as a pure function of what was loaded, announced and done. Newest first. */

import type { Recording, RecordingPage } from "../api/client";

export interface ListState {
  status: "loading" | "ready" | "failed";
  recordings: readonly Recording[];
  nextCursor: string | null;
  /** Why it failed, as a sentence. */
  error: string;
  /** Deleted here, but it can still be undone: not shown. */
  leaving: ReadonlySet<string>;
  /** Sessions that this page lost, with the milliseconds kept of each. */
  lost: ReadonlyMap<string, number>;
}

/** A recording as this page knows it. */
export interface KnownRecording extends Recording {
  /** The server deletes none that it takes for live. */
  deletable: boolean;
}

export type ListAction =
  | { type: "loading" }
  /** The first page, anew. */
  | { type: "loaded"; page: RecordingPage }
  | { type: "extended"; page: RecordingPage }
  | { type: "failed"; error: string }
  | { type: "changed"; recording: Recording }
  | { type: "removed"; id: string }
  | { type: "leaving"; id: string }
  | { type: "staying"; id: string }
  | { type: "lost"; id: string; keptMs: number };

export const EMPTY_LIST: ListState = {
  status: "loading",
  recordings: [],
  nextCursor: null,
  error: "",
  leaving: new Set(),
  lost: new Map(),
};

export function reduceList(state: ListState, action: ListAction): ListState {
  switch (action.type) {
    case "loading":
      return state.status === "ready" ? state : { ...state, status: "loading", error: "" };
    case "loaded":
      return {
        ...state,
        status: "ready",
        error: "",
        recordings: newestFirst(action.page.recordings),
        nextCursor: action.page.next_cursor,
      };
    case "extended":
      return {
        ...state,
        recordings: action.page.recordings.reduce(upsert, state.recordings),
        nextCursor: action.page.next_cursor,
      };
    case "failed":
      // What was already shown stays: an old list is better than none.
      return state.status === "ready" ? state : { ...state, status: "failed", error: action.error };
    case "changed":
      return { ...state, recordings: upsert(state.recordings, action.recording) };
    case "removed":
      return {
        ...state,
        recordings: state.recordings.filter(({ id }) => id !== action.id),
        leaving: without(state.leaving, action.id),
      };
    case "leaving":
      return { ...state, leaving: new Set(state.leaving).add(action.id) };
    case "staying":
      return { ...state, leaving: without(state.leaving, action.id) };
    case "lost":
      return { ...state, lost: new Map(state.lost).set(action.id, action.keptMs) };
  }
}

export function shown(state: ListState): readonly KnownRecording[] {
  return state.recordings.filter(({ id }) => !state.leaving.has(id)).map((recording) => known(state, recording));
}

export function find(state: ListState, id: string): KnownRecording | null {
  const recording = state.recordings.find((one) => one.id === id);
  return recording ? known(state, recording) : null;
}

/** A session that this page lost is over, though the server waits a while for it before it says so. */
function known(state: ListState, recording: Recording): KnownRecording {
  const keptMs = state.lost.get(recording.id);
  const deletable = recording.state !== "recording";
  if (deletable || keptMs === undefined) return { ...recording, deletable };
  return { ...recording, deletable, state: "interrupted", duration_ms: Math.max(recording.duration_ms, keptMs) };
}

/** It came as a file that is not written down to its end: what becomes of its job is what there is to say of it. */
export function isUnwritten({ origin, state }: Pick<Recording, "origin" | "state">): boolean {
  return state === "processing" || (origin !== "live" && state === "interrupted");
}

/** What a recording is called: its title, else its file, else its first words, else what it is. */
export function nameOf(recording: Pick<Recording, "title" | "preview" | "state" | "source_name">): string {
  const { title, preview, source_name, state } = recording;
  return title || source_name || preview || (state === "recording" ? "New recording" : "No words");
}

function upsert(recordings: readonly Recording[], recording: Recording): readonly Recording[] {
  return newestFirst([...recordings.filter(({ id }) => id !== recording.id), recording]);
}

function newestFirst(recordings: readonly Recording[]): readonly Recording[] {
  return [...recordings].sort((a, b) => Date.parse(b.created_at) - Date.parse(a.created_at));
}

function without(set: ReadonlySet<string>, id: string): ReadonlySet<string> {
  const next = new Set(set);
  next.delete(id);
  return next;
}
