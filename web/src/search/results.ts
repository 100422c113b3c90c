/** What was found, as the page shows it: by recording, cut down to where it is. Pure. */

import type { Filters, Hit, SegmentHit } from "../api/search";

export interface Group {
  recordingId: string;
  title: string | null;
  createdAt: string;
  hits: Hit[];
}

/** Hits by recording, the recordings by their best hit; within one in the order of time. */
export function grouped(hits: readonly Hit[]): Group[] {
  const groups = new Map<string, Group>();
  for (const hit of hits) {
    const { recording_id: recordingId, title, created_at: createdAt } = hit;
    const group = groups.get(recordingId) ?? { recordingId, title, createdAt, hits: [] };
    group.hits.push(hit);
    groups.set(recordingId, group);
  }
  for (const group of groups.values()) group.hits.sort((a, b) => a.at_ms - b.at_ms);
  return [...groups.values()];
}

export interface Excerpt {
  segments: SegmentHit[];
  /** Something of the passage stands before, or behind. */
  before: boolean;
  after: boolean;
}

const MOST_CHARACTERS = 280;

/** The best segment of a passage with as much around it as makes it readable; behind it rather than before it. */
export function excerpt({ segments, at_ms }: Pick<Hit, "segments" | "at_ms">): Excerpt {
  const spoken = segments.filter((segment) => lengthOf(segment) > 0);
  const best = Math.max(
    0,
    spoken.findIndex(({ start_ms }) => start_ms === at_ms),
  );
  let from = best;
  let to = best + 1;
  let room = MOST_CHARACTERS - lengthOf(spoken[best]);
  while (to < spoken.length && lengthOf(spoken[to]) <= room) room -= lengthOf(spoken[to++]);
  while (from > 0 && lengthOf(spoken[from - 1]) <= room) room -= lengthOf(spoken[--from]);
  return { segments: spoken.slice(from, to), before: from > 0, after: to < spoken.length };
}

function lengthOf(segment: SegmentHit | undefined): number {
  return segment?.pieces.reduce((length, { text }) => length + text.trim().length, 0) ?? 0;
}

const NO_FILTERS: Filters = { recording: "", language: "", since: "", until: "" };

export interface Wanted extends Filters {
  q: string;
}

/** The address of a search, and what an address asks for. */
export function toSearch(wanted: Partial<Wanted>): string {
  const parameters = new URLSearchParams();
  for (const name of ["q", "recording", "language", "since", "until"] as const) {
    const value = wanted[name];
    if (value) parameters.set(name, value);
  }
  return parameters.size > 0 ? `/search?${parameters}` : "/search";
}

export function fromSearch(search: string): Wanted {
  const parameters = new URLSearchParams(search);
  const wanted: Wanted = { q: parameters.get("q") ?? "", ...NO_FILTERS };
  for (const name of ["recording", "language", "since", "until"] as const) {
    wanted[name] = parameters.get(name) ?? "";
  }
  return wanted;
}
