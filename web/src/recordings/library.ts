/** The recordings this page knows: loads them, follows the server's events, renames, deletes with undo. */

import {
  ApiError,
  deleteRecording,
  getRecording,
  listRecordings,
  renameRecording,
  type Recording,
} from "../api/client";
import type { JobEvent } from "../api/jobs";
import type { Announcements, Change } from "./announcements";
import { EMPTY_LIST, nameOf, reduceList, type ListAction, type ListState } from "./list";

/** One short message at the foot of the page. */
export interface Notice {
  message: string;
  /** The recording whose deletion can still be undone. */
  undo: Recording | null;
}

type ChangeListener = (id: string, change: Change) => unknown;

export class Library {
  #list: ListState = EMPTY_LIST;
  #notice: Notice | null = null;
  readonly #listeners = new Set<() => void>();
  readonly #changeListeners = new Set<ChangeListener>();
  /** Where the jobs that were told of are, by id. */
  readonly #places = new Map<string, string>();

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  readonly list = (): ListState => this.#list;
  readonly notice = (): Notice | null => this.#notice;

  /** Called for every change that the server announces, and for deletions made here. */
  onChange(listener: ChangeListener): () => void {
    this.#changeListeners.add(listener);
    return () => this.#changeListeners.delete(listener);
  }

  /** Loads the list and follows the server's announcements from here on. */
  open(announcements: Announcements): () => void {
    void this.load();
    const stops = [
      announcements.onGap((first) => {
        if (!first || this.#list.status === "failed") void this.load();
      }),
      announcements.on("recording", ({ recording_id, change }) => {
        if (change === "deleted") return this.#removed(recording_id);
        void this.refresh(recording_id);
        this.#announce(recording_id, change);
      }),
      announcements.on("job", (event) => this.#followJob(event)),
    ];
    const finish = (): void => this.finishDeletion(true);
    window.addEventListener("pagehide", finish);
    return () => {
      window.removeEventListener("pagehide", finish);
      for (const stop of stops) stop();
    };
  }

  async load(): Promise<void> {
    this.#dispatch({ type: "loading" });
    try {
      this.#dispatch({ type: "loaded", page: await listRecordings(null) });
    } catch (error) {
      this.#dispatch({ type: "failed", error: sentence(error) });
    }
  }

  async loadMore(): Promise<void> {
    if (!this.#list.nextCursor) return;
    try {
      this.#dispatch({ type: "extended", page: await listRecordings(this.#list.nextCursor) });
    } catch (error) {
      this.say(sentence(error));
    }
  }

  /** Fetches one recording anew; passes over what went wrong, because the next event or load brings it. */
  async refresh(id: string): Promise<void> {
    try {
      this.#dispatch({ type: "changed", recording: await getRecording(id) });
    } catch (error) {
      if (error instanceof ApiError && error.status === 404) this.#dispatch({ type: "removed", id });
    }
  }

  /** The session of this page that made recording `id` is gone, with everything up to `keptMs` kept. */
  lost(id: string, keptMs: number): void {
    this.#dispatch({ type: "lost", id, keptMs });
  }

  /** Shows the new title at once; takes it back, and says so, where the server refuses. */
  async rename(id: string, title: string | null): Promise<void> {
    const recording = this.#list.recordings.find((known) => known.id === id);
    if (!recording) return;
    this.#dispatch({ type: "changed", recording: { ...recording, title } });
    try {
      this.#dispatch({ type: "changed", recording: await renameRecording(id, title) });
    } catch (error) {
      this.#dispatch({ type: "changed", recording });
      this.say(`The title was not saved. ${sentence(error)}`);
    }
  }

  /** Takes the recording out of the list; the server deletes it once the notice is gone without an undo. */
  remove(recording: Recording): void {
    this.finishDeletion();
    this.#dispatch({ type: "leaving", id: recording.id });
    this.#show({ message: `Deleted “${shorten(nameOf(recording))}”.`, undo: recording });
  }

  undo(): void {
    const recording = this.#notice?.undo;
    if (!recording) return;
    this.#dispatch({ type: "staying", id: recording.id });
    this.#show(null);
  }

  /** What was deleted goes for good. `leaving`: the page is about to go away. */
  finishDeletion(leaving = false): void {
    const recording = this.#notice?.undo;
    this.#show(null);
    if (!recording) return;
    deleteRecording(recording.id, leaving).then(
      () => this.#removed(recording.id),
      (error: unknown) => {
        if (error instanceof ApiError && error.status === 404) return this.#removed(recording.id);
        this.#dispatch({ type: "staying", id: recording.id });
        this.say(`It could not be deleted. ${sentence(error)}`);
      },
    );
  }

  say(message: string): void {
    this.finishDeletion();
    this.#show({ message, undo: null });
  }

  /** With every step that a job takes, its recording may be another: written down, given a title. */
  #followJob({ job_id, recording_id, step, state }: JobEvent): void {
    const place = `${step} ${state}`;
    if (recording_id === null || this.#places.get(job_id) === place) return;
    this.#places.set(job_id, place);
    void this.refresh(recording_id);
    this.#announce(recording_id, "updated");
  }

  #removed(id: string): void {
    this.#dispatch({ type: "removed", id });
    this.#announce(id, "deleted");
  }

  #announce(id: string, change: Change): void {
    for (const listener of this.#changeListeners) listener(id, change);
  }

  #show(notice: Notice | null): void {
    if (this.#notice === notice) return;
    this.#notice = notice;
    this.#tell();
  }

  #dispatch(action: ListAction): void {
    const next = reduceList(this.#list, action);
    if (next === this.#list) return;
    this.#list = next;
    this.#tell();
  }

  #tell(): void {
    for (const listener of this.#listeners) listener();
  }
}

export function sentence(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function shorten(text: string): string {
  return text.length <= 40 ? text : `${text.slice(0, 40).trimEnd()}…`;
}
