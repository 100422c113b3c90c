/** Searching what was said: the messages of `GET /api/v1/search`. */

import { query, request } from "./client";

/** A stretch of text; `match`: words of the query stand here. */
export interface Piece {
  text: string;
  match: boolean;
}

export interface SegmentHit {
  number: number;
  start_ms: number;
  end_ms: number;
  /** Joined, they are its text. */
  pieces: Piece[];
}

/** A passage that was found. */
export interface Hit {
  recording_id: string;
  title: string | null;
  created_at: string;
  language: string;
  start_ms: number;
  end_ms: number;
  /** Where its best segment begins: to play from here. */
  at_ms: number;
  segments: SegmentHit[];
}

export interface SearchAnswer {
  hits: Hit[];
  /** Where the next page begins; null on the last. */
  next_offset: number | null;
}

export interface Filters {
  /** The id of one. */
  recording: string;
  language: string;
  /** YYYY-MM-DD, as the reader's calendar has it, both included. */
  since: string;
  until: string;
}

export const search = (
  q: string,
  { recording, language, since, until }: Filters,
  offset: number,
  signal: AbortSignal,
): Promise<SearchAnswer> => {
  const bounds = { since: since && beginning(since), until: until && end(until) };
  return request(`/search${query({ q, recording, language, ...bounds, limit: 20, offset: offset || null })}`, {
    signal,
  });
};

function beginning(date: string): string {
  return new Date(`${date}T00:00:00`).toISOString();
}

function end(date: string): string {
  return new Date(`${date}T23:59:59.999`).toISOString();
}
