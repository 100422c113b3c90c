/** Where in a recording something rests: numbers of segments turned into stretches that can be played. Pure. */

import type { TranscriptSegment } from "../api/client";

/** Consecutive segments. */
export interface Source {
  startMs: number;
  endMs: number;
  segments: readonly TranscriptSegment[];
}

/** A pause this long between two segments, and they are two stretches. */
const APART_MS = 15_000;

/** The stretches that `numbers` make up of `transcript`, in the order of time; numbers that are not there are left out. */
export function sourcesOf(numbers: readonly number[], transcript: readonly TranscriptSegment[]): Source[] {
  const wanted = new Set(numbers);
  const sources: Source[] = [];
  let before: TranscriptSegment | null = null;
  for (const segment of inTime(transcript)) {
    if (!wanted.has(segment.segment)) {
      // A segment in which nothing was heard parts nothing.
      if (segment.text !== "") before = null;
      continue;
    }
    const last = sources.at(-1);
    if (last && before && segment.start_ms - before.end_ms < APART_MS) {
      sources[sources.length - 1] = { ...last, endMs: segment.end_ms, segments: [...last.segments, segment] };
    } else {
      sources.push({ startMs: segment.start_ms, endMs: segment.end_ms, segments: [segment] });
    }
    before = segment;
  }
  return sources;
}

function inTime(transcript: readonly TranscriptSegment[]): TranscriptSegment[] {
  return [...transcript].sort((a, b) => a.start_ms - b.start_ms);
}
