/**
 * The audio that the server does not keep yet, in the browser's own storage (IndexedDB), so that a page that is
 * reloaded or dies loses about a second of it at most.
 *
 * One entry a recording, and its audio in parts of about a second. A part goes when the server keeps all of it.
 */

import { openDB, type DBSchema, type IDBPDatabase } from "idb";
import type { AudioRing, Chunk } from "./ring";

/** Seconds of audio that are written at once. */
const PART_S = 1;

/** A recording that is under way, or was when its page went away. Positions are source samples, as in `AudioRing`. */
export interface Held {
  /** Names it on this device: there is one before the server knows of it. */
  key: string;
  /** Null until the server knows of it. */
  recordingId: string | null;
  resumeToken: string | null;
  /** Samples per second of the audio. */
  sampleRate: number;
  /** When record was pressed, in milliseconds since 1970. */
  startedAt: number;
  /** Position of the recording's first sample. */
  origin: number;
  /** The server keeps everything before this position. */
  keptTo: number;
  /** Position after the last sample that is held here. */
  to: number;
  /** The person ended it; it only was not sent. */
  stopped: boolean;
}

interface Schema extends DBSchema {
  recordings: { key: string; value: Held };
  parts: { key: [string, number]; value: Chunk & { key: string } };
}

export class Spool {
  private constructor(readonly db: IDBPDatabase<Schema>) {}

  /** Throws what the browser throws, for one in private windows that have no storage. */
  static async open(): Promise<Spool> {
    return new Spool(
      await openDB<Schema>("parley", 1, {
        upgrade(db) {
          db.createObjectStore("recordings", { keyPath: "key" });
          db.createObjectStore("parts", { keyPath: ["key", "start"] });
        },
      }),
    );
  }

  /** Every recording that is held, the newest first. */
  async list(): Promise<Held[]> {
    const all = await this.db.getAll("recordings");
    return all.sort((a, b) => b.startedAt - a.startedAt);
  }

  /** The entry as it is now; undefined where it is gone. */
  get(key: string): Promise<Held | undefined> {
    return this.db.get("recordings", key);
  }

  /** Writes the entry with a part of its audio, and lets go of what the server keeps: all of it, or nothing. */
  async write(held: Held, part: Chunk): Promise<void> {
    // Relaxed: what is written survives the page and the browser, and the disk is not woken every second.
    const transaction = this.db.transaction(["recordings", "parts"], "readwrite", { durability: "relaxed" });
    const parts = transaction.objectStore("parts");
    const work: Promise<unknown>[] = [transaction.objectStore("recordings").put(held)];
    if (part.samples.length > 0) work.push(parts.put({ key: held.key, ...part }));
    work.push(
      parts.openKeyCursor(before(held.key, held.keptTo), "prev").then((last) => {
        return last && parts.delete(IDBKeyRange.bound([held.key], last.primaryKey, false, true));
      }),
    );
    await Promise.all([...work, transaction.done]);
  }

  /** From `position` to the end of the part it lies in; null where nothing is held. */
  async read(key: string, position: number): Promise<Int16Array | null> {
    const cursor = await this.db.transaction("parts").store.openCursor(before(key, position), "prev");
    if (!cursor) return null;
    const { start, samples } = cursor.value;
    return position < start + samples.length ? samples.subarray(position - start) : null;
  }

  async discard(key: string): Promise<void> {
    const transaction = this.db.transaction(["recordings", "parts"], "readwrite");
    await Promise.all([
      transaction.objectStore("recordings").delete(key),
      transaction.objectStore("parts").delete(IDBKeyRange.bound([key], [key, Infinity])),
      transaction.done,
    ]);
  }
}

/** The parts of `key` that begin at or before `position`. */
function before(key: string, position: number): IDBKeyRange {
  return IDBKeyRange.bound([key], [key, position]);
}

/** Brings one recording into the spool as it is made, one write at a time. */
export class SpoolWriter {
  #held: Held;
  #writing: Promise<void> | null = null;
  #changed = true;
  /** It failed, or is not wanted any more. */
  #over = false;

  /** `held.to` is what the spool has already. `onFailed` is called once, where the browser has no room. */
  constructor(
    readonly spool: Spool,
    held: Held,
    readonly ring: AudioRing,
    readonly onFailed: () => void,
  ) {
    this.#held = held;
  }

  /** What the spool has ends at this position. */
  get writtenTo(): number {
    return this.#held.to;
  }

  /** More is in the ring: it is written when it is enough for a part. */
  captured(): void {
    if (!this.#writing && this.ring.end - this.writtenTo >= PART_S * this.ring.sampleRate) void this.flush();
  }

  /** The server keeps more: noted with the next part. */
  kept(keptTo: number): void {
    this.#held = { ...this.#held, keptTo };
    this.#changed = true;
  }

  /** Noted at once. */
  note(facts: Partial<Omit<Held, "key" | "to">>): void {
    this.#held = { ...this.#held, ...facts };
    this.#changed = true;
    void this.flush();
  }

  /** Writes all there is. Does not throw. */
  async flush(): Promise<void> {
    while (this.#writing) await this.#writing;
    if (this.#over || (!this.#changed && this.ring.end === this.writtenTo)) return;
    this.#writing = this.#write();
    await this.#writing;
  }

  async discard(): Promise<void> {
    this.#over = true;
    await this.#writing;
    await this.spool.discard(this.#held.key).catch(() => undefined);
  }

  async #write(): Promise<void> {
    // What the server kept before it was written is not in the ring any more, and not needed.
    const start = Math.max(this.writtenTo, this.ring.first);
    const part = { start, samples: this.ring.from(start) };
    const to = start + part.samples.length;
    this.#changed = false;
    try {
      await this.spool.write({ ...this.#held, to }, part);
      this.#held = { ...this.#held, to };
    } catch {
      this.#over = true;
      this.onFailed();
    } finally {
      this.#writing = null;
    }
  }
}
