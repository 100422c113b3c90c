/** Sends a recording over one connection that is ready, no faster than its socket takes it, and `stop` behind it. */

import type { Connection } from "./connection";
import type { AudioRing } from "./ring";

/** How soon a congested socket is looked at again. */
const CONGESTION_MS = 50;

/** Where the audio is that left the memory. */
export interface Archive {
  /** From `position` to the end of some part; null where the browser threw it away. */
  read(position: number): Promise<Int16Array | null>;
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
      if (this.connection.congested) await pause(CONGESTION_MS);
      else this.#sendChunk(this.ring.at(this.#sentTo) ?? (await this.archive.read(this.#sentTo)));
    }
    this.#sending = false;
    if (this.#complete && this.connection.ready) this.connection.send({ type: "stop" });
  }

  #sendChunk(chunk: Int16Array | null): void {
    if (!this.connection.ready) return;
    if (chunk) {
      this.connection.sendAudio(chunk);
      this.#sentTo += chunk.length;
    } else {
      this.archive.missing(this.ring.first - this.#sentTo);
      this.#sentTo = this.ring.first;
    }
  }
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
