/** What to do when the connection ends, when to try again, and from which sample: decisions only. */

import { WIRE_SAMPLE_RATE, type ServerError } from "../wire";

const FIRST_DELAY_MS = 500;
const LONGEST_DELAY_MS = 15_000;
/** A connection that lived this long was a good one: the next failure counts as the first. */
const GOOD_MS = 5_000;

/** How a connection ended. */
export interface ConnectionEnd {
  /** The close code of the socket; 1006 where it was given up. */
  code: number;
  /** Why the server ended it, where it said so. */
  error: ServerError | null;
  /** How long the connection was ready, in milliseconds; 0 where it never was. */
  readyMs: number;
}

/** Told in the middle of a session, which goes on. */
const PASSED_OVER = new Set([
  "no_words",
  "malformed_message",
  "audio_after_stop",
  "engine_unavailable",
  "database_unavailable",
  "storage_unavailable",
]);
/** Closed by a server or a network that may be back in a moment. */
const PASSING_CODES = new Set([1000, 1001, 1005, 1006, 1011, 1012, 1013]);
/** The server gave up waiting for this page, which was asleep; now it is awake. */
const PAGE_SLEPT = new Set(["no_audio", "client_stalled", "start_timeout"]);

/** Whether the session ends because of `error`; before it was `ready`, every error ends it. */
export function isEnding(error: ServerError, ready: boolean): boolean {
  return !ready || !PASSED_OVER.has(error.code);
}

/** Whether to connect again and resume; else the session is over, for the reason that the server gave. */
export function shouldResume({ code, error }: ConnectionEnd): boolean {
  // These hold although the close behind them was lost: who comes back after `superseded` fights the other window.
  if (error?.code === "superseded" || refusesResume(error)) return false;
  // A connection that broke says nothing about the session, whatever else was told before.
  if (code === 1006) return true;
  if (error) return error.retryable || PAGE_SLEPT.has(error.code);
  return PASSING_CODES.has(code);
}

/** The server will never take `resume` of this recording again, but may take the audio as a new one. */
export function refusesResume(error: ServerError | null): boolean {
  return error !== null && ["resume_invalid", "resume_expired", "resume_unsupported"].includes(error.code);
}

/**
 * The server lost the recording before it had kept anything of it: all of it is here, so another is made of it at once.
 */
export function beginsAnew(error: ServerError | null, held: { resumeToken: string | null } & Place): boolean {
  return error?.code === "resume_invalid" && held.resumeToken !== null && held.keptTo <= held.origin;
}

/** Failures in a row, now that one more connection ended. */
export function failuresAfter(failures: number, { readyMs }: ConnectionEnd): number {
  return readyMs >= GOOD_MS ? 1 : failures + 1;
}

/**
 * How long to wait before the next try, after `failures` in a row (at least 1), in milliseconds.
 *
 * Exponential with full jitter, `random` in [0, 1): many pages that lost one server spread out evenly. What the server
 * asked for (`retryAfterS`) is waited for in full before it.
 * Source: https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
 */
export function backOffMs(failures: number, random: number, retryAfterS: number | null = null): number {
  const ceiling = Math.min(LONGEST_DELAY_MS, FIRST_DELAY_MS * 2 ** (failures - 1));
  return (retryAfterS ?? 0) * 1000 + random * ceiling;
}

/** Where a recording lies on this device, in source samples at `sampleRate`. */
export interface Place {
  sampleRate: number;
  /** Position of the recording's first sample. */
  origin: number;
  /** Everything before this position is kept by the server. */
  keptTo: number;
  /** Position after the last sample. */
  to: number;
}

/** The position of `wireSample` (16 kHz, of the recording). */
export function positionOf({ origin, sampleRate }: Pick<Place, "origin" | "sampleRate">, wireSample: number): number {
  return origin + Math.floor((wireSample * sampleRate) / WIRE_SAMPLE_RATE);
}

/**
 * From which position to send when the server wants `nextSample`, and where the recording begins then.
 *
 * Usually the position is held and `origin` stays. What this device lost before it is `missing` (samples), and the
 * recording goes on without it; where the server has more than this device remembers, it goes on after that.
 */
export function sendFrom(place: Place, nextSample: number): { position: number; origin: number; missing: number } {
  const wanted = positionOf(place, nextSample);
  const position = Math.min(Math.max(wanted, place.keptTo), place.to);
  return { position, origin: place.origin + position - wanted, missing: Math.max(0, position - wanted) };
}

/** What rounding, and the edge of a resampler, take from a recording's length. */
const ROUNDING_MS = 50;

/** Whether a recording that the server closed at `durationMs` lacks some of the `capturedMs` of this device. */
export function isCutShort(capturedMs: number, durationMs: number): boolean {
  return capturedMs - durationMs > ROUNDING_MS;
}
