import { expect, test } from "vitest";
import type { TranscriptSegment } from "../api/client";
import { sourcesOf } from "./sources";

const segment = (number: number, start_s: number, end_s: number, text = "words"): TranscriptSegment => ({
  segment: number,
  start_ms: start_s * 1000,
  end_ms: end_s * 1000,
  text,
  words: [],
  language: "en",
  confidence: 0.9,
  suspect: false,
});
const transcript = [
  segment(1, 0, 4),
  segment(2, 5, 9),
  segment(3, 10, 14, ""),
  segment(4, 15, 19),
  segment(5, 60, 64),
  segment(6, 65, 69),
];
const times = (numbers: number[], of = transcript) =>
  sourcesOf(numbers, of).map(({ startMs, endMs, segments }) => [startMs / 1000, endMs / 1000, segments.length]);

test("segments one after the other are one stretch, others one each", () => {
  expect(times([1, 2])).toEqual([[0, 9, 2]]);
  expect(times([1, 4])).toEqual([
    [0, 4, 1],
    [15, 19, 1],
  ]);
});

test("a segment without words parts nothing, a long pause does", () => {
  expect(times([2, 4])).toEqual([[5, 19, 2]]);
  expect(times([4, 5, 6])).toEqual([
    [15, 19, 1],
    [60, 69, 2],
  ]);
});

test("order and repetition of the numbers mean nothing, and neither does the order of the transcript", () => {
  expect(times([2, 1, 2])).toEqual([[0, 9, 2]]);
  expect(times([2, 1], [...transcript].reverse())).toEqual([[0, 9, 2]]);
});

test("numbers that are not in the transcript are left out", () => {
  expect(times([99])).toEqual([]);
  expect(times([1, 99])).toEqual([[0, 4, 1]]);
});
