/** Samples as they go over the wire. No DOM here: the worklet runs this on the audio thread. */

/** Mono from any number of channels: their mean. float32 [-1, 1] in, one array of the same length out. */
export function mixDown(channels: readonly Float32Array[]): Float32Array {
  const [first] = channels;
  if (!first) return new Float32Array(0);
  if (channels.length === 1) return first;
  const mono = new Float32Array(first.length);
  for (const channel of channels) for (let i = 0; i < mono.length; i++) mono[i]! += channel[i]! / channels.length;
  return mono;
}

/** float32 [-1, 1] to signed 16-bit; what is louder than full scale is clipped, never wrapped. */
export function toPcm16(sample: number): number {
  const scaled = Math.round(sample * 32768);
  return scaled > 32767 ? 32767 : scaled < -32768 ? -32768 : scaled;
}

/** Gathers samples into chunks of `size`. The last, shorter chunk comes from `flush`. */
export class Chunker {
  #chunk: Int16Array;
  #filled = 0;

  constructor(readonly size: number) {
    this.#chunk = new Int16Array(size);
  }

  push(samples: Float32Array, emit: (chunk: Int16Array) => void): void {
    for (const sample of samples) {
      this.#chunk[this.#filled++] = toPcm16(sample);
      if (this.#filled === this.size) {
        emit(this.#chunk);
        this.#chunk = new Int16Array(this.size);
        this.#filled = 0;
      }
    }
  }

  flush(): Int16Array {
    const rest = this.#chunk.slice(0, this.#filled);
    this.#filled = 0;
    return rest;
  }
}

/** How loud a chunk is to the eye, 0 to 1: its RMS between -60 and -12 dB of full scale. */
export function level(chunk: Int16Array): number {
  if (chunk.length === 0) return 0;
  let energy = 0;
  for (const sample of chunk) energy += (sample / 32768) ** 2;
  const decibels = 10 * Math.log10(energy / chunk.length + 1e-12);
  return Math.min(1, Math.max(0, (decibels + 60) / 48));
}
