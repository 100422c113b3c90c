/** Sends a recording over one connection that is ready, no faster than its socket takes it, and `stop` behind it. */

import type { Connection } from "./connection";
import type { AudioRing } from "./ring";

/** How soon a congested socket is looked at again. */
const CONGESTION_MS = 50;
/** How soon storage that could not be read is asked again. */
const READ_AGAIN_MS = 1_000;

/** Where the audio is that left the memory. */
export interface Archive {
  /** From `position` to the end of some part; null where the browser threw it away. Rejects where it cannot tell. */
  read(position: number): Promise<Int16Array | null>;
  /** It could not be read, and is tried again: what comes after it waits. */
  unreadable(): void;
  /** This many samples cannot be sent: the recording goes on without them. */
  missing(samples: number): void;
}

export class Sender {
  #sentTo: number;
  #sending = false;
  #complete = false;

  /** Audio goes out from `position` (source samples) on. */
  constructor(
    readonly connection: Connection,
    readonly ring: AudioRing,
    readonly archive: Archive,
    position: number,
  ) {
    this.#sentTo = position;
  }

  /** What is in the ring is all there will be. */
  complete(): void {
    this.#complete = true;
    void this.send();
  }

  /** Sends what was not sent yet. What is in memory goes out before this returns, unless the socket is congested. */
  async send(): Promise<void> {
    if (this.#sending) return;
    this.#sending = true;
    while (this.connection.ready && this.#sentTo < this.ring.end) {
      const inMemory = this.ring.at(this.#sentTo);
      if (this.connection.congested) await pause(CONGESTION_MS);
      else if (inMemory) this.#sendChunk(inMemory);
      else await this.#sendArchived();
    }
    this.#sending = false;
    if (this.#complete && this.connection.ready) this.connection.send({ type: "stop" });
  }

  #sendChunk(chunk: Int16Array): void {
    this.connection.sendAudio(chunk);
    this.#sentTo += chunk.length;
  }

  async #sendArchived(): Promise<void> {
    try {
      const chunk = await this.archive.read(this.#sentTo);
      if (!this.connection.ready) return;
      if (chunk) return this.#sendChunk(chunk);
      this.archive.missing(this.ring.first - this.#sentTo);
      this.#sentTo = this.ring.first;
    } catch {
      this.archive.unreadable();
      await pause(READ_AGAIN_MS);
    }
  }
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
