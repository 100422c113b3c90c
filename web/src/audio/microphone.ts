/** The microphone as chunks of 16-bit mono audio at the device's own rate. */

import captureUrl from "./capture.worklet.ts?worker&url";
import { INSECURE, UNSUPPORTED, type Problem } from "../session/problems";

// Speech, for a recogniser: the loudspeaker is kept out and quiet voices are raised, but noise suppression stays
// off, because it eats soft consonants that recognisers were trained to hear through noise.
const SPEECH: MediaTrackConstraints = {
  channelCount: { ideal: 1 },
  echoCancellation: true,
  autoGainControl: true,
  noiseSuppression: false,
};

/** How long the audio thread may take to hand over its last samples. */
const FLUSH_MS = 500;

export interface Microphone {
  /** Samples per second of every chunk: what the AudioContext really runs at. */
  sampleRate: number;
  /** Hands over the last samples, then lets the microphone go. */
  close(): Promise<void>;
}

/** Has the audio thread's script at hand, so that a recording can begin while the server is away. */
export function prepareMicrophone(): void {
  void fetch(captureUrl).catch(() => undefined);
}

/** Why this page could not record whatever the person allows; null where it can. */
export function cannotRecord(): Problem | null {
  if (!window.isSecureContext) return INSECURE;
  if (!("mediaDevices" in navigator) || !("AudioWorkletNode" in window)) return UNSUPPORTED;
  return null;
}

/**
 * Opens the microphone, at `sampleRate` where one is given and the browser can, else at the device's own. `onEnded` is
 * called when the device goes away by itself. Throws what the browser throws.
 */
export async function openMicrophone(
  onChunk: (chunk: Int16Array) => void,
  onEnded: () => void,
  sampleRate: number | null = null,
): Promise<Microphone> {
  const context = new AudioContext({ latencyHint: "interactive", ...(sampleRate && { sampleRate }) });
  let stream: MediaStream | undefined;
  try {
    stream = await navigator.mediaDevices.getUserMedia({ audio: SPEECH });
    await context.audioWorklet.addModule(captureUrl);
    await context.resume();
    return connect(context, stream, onChunk, onEnded);
  } catch (error) {
    release(context, stream);
    throw error;
  }
}

function connect(
  context: AudioContext,
  stream: MediaStream,
  onChunk: (chunk: Int16Array) => void,
  onEnded: () => void,
): Microphone {
  const node = new AudioWorkletNode(context, "parley-capture");
  const flushed = new Promise<void>((resolve) => {
    node.port.onmessage = ({ data }: MessageEvent<ArrayBuffer | null>) => {
      if (data === null) resolve();
      else onChunk(new Int16Array(data));
    };
  });
  // Its output is silence; but some browsers only run what leads to the loudspeaker.
  context.createMediaStreamSource(stream).connect(node).connect(context.destination);
  for (const track of stream.getAudioTracks()) track.addEventListener("ended", onEnded);
  // iOS suspends the context when a call comes in; go on as soon as it lets us.
  context.addEventListener("statechange", () => {
    if (context.state === "suspended") void context.resume().catch(() => undefined);
  });

  return {
    sampleRate: context.sampleRate,
    async close() {
      node.port.postMessage("flush");
      await Promise.race([flushed, new Promise((resolve) => setTimeout(resolve, FLUSH_MS))]);
      release(context, stream);
    },
  };
}

function release(context: AudioContext, stream: MediaStream | undefined): void {
  stream?.getTracks().forEach((track) => track.stop());
  if (context.state !== "closed") void context.close();
}
