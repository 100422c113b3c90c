/// <reference types="audioworklet" />
/**
 * Runs on the audio thread: mono, 16-bit, in chunks of about 100 ms.
 *
 * Out: ArrayBuffer (pcm_s16le), and null once everything before "flush" has been sent. In: "flush".
 */

import { Chunker, mixDown } from "./pcm";

const CHUNK_S = 0.1;

class Capture extends AudioWorkletProcessor {
  readonly #chunker = new Chunker(Math.round(sampleRate * CHUNK_S));
  #open = true;

  constructor() {
    super();
    this.port.onmessage = () => {
      this.#open = false;
      this.#send(this.#chunker.flush());
      this.port.postMessage(null);
    };
  }

  process([input]: Float32Array[][]): boolean {
    if (this.#open && input) this.#chunker.push(mixDown(input), (chunk) => this.#send(chunk));
    return this.#open;
  }

  #send(chunk: Int16Array): void {
    if (chunk.length > 0) this.port.postMessage(chunk.buffer, [chunk.buffer]);
  }
}

registerProcessor("parley-capture", Capture);
