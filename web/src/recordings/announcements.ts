/** What the server announces, to whoever of this page wants to know: one stream, by kind. */

import { eventsUrl } from "../api/client";
import type { JobEvent } from "../api/jobs";
import { follow } from "./events";

export type Change = "created" | "updated" | "deleted";

interface Announced {
  recording: { recording_id: string; change: Change };
  job: JobEvent;
}

type Kind = keyof Announced;
type Listener<K extends Kind> = (event: Announced[K]) => unknown;

export class Announcements {
  readonly #listeners: { [K in Kind]: Set<Listener<K>> } = { recording: new Set(), job: new Set() };
  readonly #gapListeners = new Set<(first: boolean) => void>();

  on<K extends Kind>(kind: K, listener: Listener<K>): () => void {
    this.#listeners[kind].add(listener);
    return () => void this.#listeners[kind].delete(listener);
  }

  /** Called when something may have been missed, so what is shown is loaded anew; `first`: since the page began. */
  onGap(listener: (first: boolean) => void): () => void {
    this.#gapListeners.add(listener);
    return () => void this.#gapListeners.delete(listener);
  }

  /** Follows the stream until the function it returns is called. */
  open(): () => void {
    let opened = false;
    const events = follow(() => new EventSource(eventsUrl), {
      kinds: Object.keys(this.#listeners),
      onOpen: () => {
        // The browser asks for what it missed, but the server keeps only so much.
        this.#gap(!opened);
        opened = true;
      },
      onEvent: (kind, data) => this.#tell(kind as Kind, data),
    });
    const lookAgain = (): void => {
      if (document.visibilityState !== "visible") return;
      events.retryNow();
      this.#gap(false);
    };
    window.addEventListener("online", lookAgain);
    document.addEventListener("visibilitychange", lookAgain);
    return () => {
      document.removeEventListener("visibilitychange", lookAgain);
      window.removeEventListener("online", lookAgain);
      events.close();
    };
  }

  #tell<K extends Kind>(kind: K, data: string): void {
    const event = JSON.parse(data) as Announced[K];
    for (const listener of this.#listeners[kind]) listener(event);
  }

  #gap(first: boolean): void {
    for (const listener of this.#gapListeners) listener(first);
  }
}
