/**
 * The audio that the server has not yet acknowledged, so that a session can go on from any sample it asks for.
 *
 * Positions are counted twice: in source samples (the microphone's rate) inside, at 16 kHz on the wire.
 */

import { WIRE_SAMPLE_RATE } from "../wire";

/** Ten minutes at 48 kHz are 58 MB: long enough to ride out a lost connection, small enough for a phone. */
const CAPACITY_S = 600;

export class AudioRing {
  #chunks: Int16Array[] = [];
  /** Source position of the first sample still held. */
  #first = 0;
  /** Source position after the last sample. */
  #end = 0;

  constructor(
    readonly sampleRate: number,
    readonly capacityS = CAPACITY_S,
  ) {}

  /** Audio taken so far, in milliseconds. */
  get capturedMs(): number {
    return Math.floor((this.#end * 1000) / this.sampleRate);
  }

  get heldMs(): number {
    return Math.floor(((this.#end - this.#first) * 1000) / this.sampleRate);
  }

  push(chunk: Int16Array): void {
    this.#chunks.push(chunk);
    this.#end += chunk.length;
    while (this.#end - this.#first > this.capacityS * this.sampleRate) this.#dropFirst();
  }

  /** The server keeps everything up to `wireSample` (16 kHz): whole chunks before it are let go. */
  acknowledge(wireSample: number): void {
    const kept = this.#source(wireSample);
    while (this.#chunks[0] && this.#first + this.#chunks[0].length <= kept) this.#dropFirst();
  }

  /** What is held from `wireSample` (16 kHz) on, in order. Starts later where that was already let go. */
  from(wireSample: number): Int16Array[] {
    const wanted = this.#source(wireSample);
    const result: Int16Array[] = [];
    let position = this.#first;
    for (const chunk of this.#chunks) {
      const skip = Math.max(0, wanted - position);
      if (skip < chunk.length) result.push(skip === 0 ? chunk : chunk.subarray(skip));
      position += chunk.length;
    }
    return result;
  }

  #source(wireSample: number): number {
    return Math.floor((wireSample * this.sampleRate) / WIRE_SAMPLE_RATE);
  }

  #dropFirst(): void {
    const chunk = this.#chunks.shift();
    if (chunk) this.#first += chunk.length;
  }
}
