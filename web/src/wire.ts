/** The wire protocol of `/ws/s2t`, version 1, as the page speaks it. The server's `parley/wire.py` defines it. */

/** The clock of the protocol: `ack.samples` and `ready.next_sample` count samples at this rate. */
export const WIRE_SAMPLE_RATE = 16_000;

export interface Start {
  type: "start";
  sample_rate: number;
  encoding: "pcm_s16le";
  channels: 1;
  language?: string;
  title?: string;
  /** `ready.resume_token`: goes on with that recording in place of a new one. */
  resume?: string;
  /** Finals from this number on are sent again. */
  next_segment?: number;
}

export type ClientMessage = Start | { type: "finalize" } | { type: "stop" } | { type: "ping" };

export interface RecognizerInfo {
  name: string;
  model: string;
  device: string;
  /** A better recogniser was asked for; `reason` says why it does not run and `remedy` what brings it. */
  fallback: boolean;
  reason: string;
  remedy?: string;
}

export interface Word {
  text: string;
  start_ms: number;
  end_ms: number;
  confidence: number;
}

export interface Ready {
  type: "ready";
  protocol: number;
  recording_id: string;
  resume_token: string;
  /** Audio is to be sent from here on. */
  next_sample: number;
  /** Absent while no engine is at hand: the audio is kept, the words come later. */
  recognizer?: RecognizerInfo;
}

export interface Partial {
  type: "partial";
  segment: number;
  revision: number;
  start_ms: number;
  committed: string;
  tentative: string;
  lag_ms: number;
}

export interface Final {
  type: "final";
  segment: number;
  start_ms: number;
  end_ms: number;
  text: string;
  words: Word[];
  language: string;
  confidence: number;
  suspect: boolean;
}

export interface ServerError {
  type: "error";
  code: string;
  message: string;
  retryable: boolean;
  retry_after_s?: number | null;
}

/** The recording is closed, and stored; `duration_ms` of it. */
export interface Closed {
  type: "closed";
  recording_id: string;
  duration_ms: number;
}

export type ServerMessage =
  | Ready
  | { type: "ack"; samples: number }
  | { type: "speech_start"; segment: number; start_ms: number }
  | Partial
  | Final
  | { type: "recognizer"; recognizer: RecognizerInfo }
  | { type: "pong" }
  | ServerError
  | Closed;

const SERVER_TYPES = new Set(["ready", "ack", "speech_start", "partial", "final", "recognizer", "pong", "error", "closed"]);

/** One text message of the server; null for what this version does not know, which is to be passed over. */
export function parseServerMessage(text: string): ServerMessage | null {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== "object" || value === null || !("type" in value)) return null;
    return SERVER_TYPES.has(String(value.type)) ? (value as ServerMessage) : null;
  } catch {
    return null;
  }
}

/** `samples` at `sampleRate` in whole milliseconds. */
export function samplesToMs(samples: number, sampleRate = WIRE_SAMPLE_RATE): number {
  return Math.floor((samples * 1000) / sampleRate);
}
