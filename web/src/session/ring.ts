/**
 * The newest audio, in memory, until the server keeps it or the browser's storage does.
 *
 * Positions are source samples (the microphone's rate), counted from where this device began the recording.
 */

/** Half an hour at 48 kHz are 173 MB: as much as a page can ask of a phone that has no storage to move it to. */
const CAPACITY_S = 30 * 60;

export interface Chunk {
  /** Position of its first sample. */
  start: number;
  samples: Int16Array;
}

export class AudioRing {
  readonly #chunks: Chunk[] = [];
  #end: number;

  constructor(
    readonly sampleRate: number,
    start = 0,
    readonly capacityS = CAPACITY_S,
  ) {
    this.#end = start;
  }

  /** Position of the first sample that is still here. */
  get first(): number {
    return this.#chunks[0]?.start ?? this.#end;
  }

  /** Position after the last sample. */
  get end(): number {
    return this.#end;
  }

  /** Nothing more should be pushed: it would be more than the device can hold. */
  get full(): boolean {
    return this.#end - this.first >= this.capacityS * this.sampleRate;
  }

  push(samples: Int16Array): void {
    if (samples.length === 0) return;
    this.#chunks.push({ start: this.#end, samples });
    this.#end += samples.length;
  }

  /** From `position` to the end of the chunk it lies in; null where nothing is here (any more, or yet). */
  at(position: number): Int16Array | null {
    if (position < this.first || position >= this.#end) return null;
    const { start, samples } = this.#chunks[this.#indexAt(position)]!;
    return position === start ? samples : samples.subarray(position - start);
  }

  /** Everything from `position` on as one array. */
  from(position: number): Int16Array {
    const wanted = Math.max(position, this.first);
    const result = new Int16Array(Math.max(0, this.#end - wanted));
    for (let at = wanted; at < this.#end;) {
      const chunk = this.at(at)!;
      result.set(chunk, at - wanted);
      at += chunk.length;
    }
    return result;
  }

  /** Whole chunks before `position` are no longer needed here. */
  letGo(position: number): void {
    const whole = position >= this.#end ? this.#chunks.length : this.#indexAt(position);
    if (whole > 0) this.#chunks.splice(0, whole);
  }

  /** The last chunk that begins at or before `position`; -1 where all are later. */
  #indexAt(position: number): number {
    let low = 0;
    let high = this.#chunks.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#chunks[middle]!.start <= position) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }
}
