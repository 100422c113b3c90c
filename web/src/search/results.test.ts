import { expect, test } from "vitest";
import type { Hit, SegmentHit } from "../api/search";
import { excerpt, fromSearch, grouped, toSearch } from "./results";

const segment = (number: number, characters: number): SegmentHit => ({
  number,
  start_ms: number * 1000,
  end_ms: number * 1000 + 900,
  pieces: characters > 0 ? [{ text: "x".repeat(characters), match: false }] : [],
});
const hit = (recording_id: string, at_ms: number, segments: SegmentHit[] = []): Hit => ({
  recording_id,
  title: null,
  created_at: "2026-11-20T08:00:00Z",
  language: "en",
  start_ms: 0,
  end_ms: 10_000,
  at_ms,
  segments,
});
const shown = (at: number, ...lengths: number[]) => {
  const { segments, before, after } = excerpt(
    hit(
      "r",
      at * 1000,
      lengths.map((length, i) => segment(i, length)),
    ),
  );
  return [segments.map(({ number }) => number), before, after];
};

test("hits stand by recording, the best recording first, each in the order of time", () => {
  const groups = grouped([hit("b", 5_000), hit("a", 1_000), hit("b", 2_000)]);
  expect(groups.map(({ recordingId, hits }) => [recordingId, hits.map(({ at_ms }) => at_ms)])).toEqual([
    ["b", [2_000, 5_000]],
    ["a", [1_000]],
  ]);
});

test("an excerpt holds the best segment, whatever its length", () => {
  expect(shown(1, 50, 900, 50)).toEqual([[1], true, true]);
});

test("an excerpt goes on behind its best segment, then before it, as far as there is room", () => {
  expect(shown(1, 50, 100, 50, 50)).toEqual([[0, 1, 2, 3], false, false]);
  expect(shown(1, 200, 100, 100, 50)).toEqual([[1, 2, 3], true, false]);
});

test("a segment in which nothing was heard is no part of an excerpt", () => {
  expect(shown(0, 100, 0, 100)).toEqual([[0, 2], false, false]);
});

test("an address says what was searched, and an address is what was searched", () => {
  const wanted = { q: "grey cloth?", recording: "r", language: "en", since: "2026-11-01", until: "" };
  expect(toSearch(wanted)).toBe("/search?q=grey+cloth%3F&recording=r&language=en&since=2026-11-01");
  expect(fromSearch(toSearch(wanted).slice("/search".length))).toEqual(wanted);
  expect(toSearch({ q: "" })).toBe("/search");
});
