import { describe, expect, test } from "vitest";
import { Chunker, level, mixDown, toPcm16 } from "./pcm";

describe("toPcm16", () => {
  test.each([
    [0, 0],
    [1, 32767],
    [-1, -32768],
    [1.7, 32767],
    [-1.7, -32768],
    [0.5, 16384],
  ])("%f becomes %i", (sample, expected) => expect(toPcm16(sample)).toBe(expected));
});

test("mixing down takes the mean of the channels", () => {
  expect([...mixDown([Float32Array.of(1, 0), Float32Array.of(0, -0.5)])]).toEqual([0.5, -0.25]);
});

test("no sample is lost or repeated, however the audio was cut", () => {
  const all = Float32Array.from({ length: 1000 }, (_, i) => i / 32768);
  for (const cut of [1, 7, 128, 999]) {
    const chunker = new Chunker(160);
    const out: number[] = [];
    for (let i = 0; i < all.length; i += cut) chunker.push(all.subarray(i, i + cut), (chunk) => out.push(...chunk));
    expect(out.length % 160).toBe(0);
    out.push(...chunker.flush());
    expect(out).toEqual(Array.from({ length: 1000 }, (_, i) => i));
    expect(chunker.flush().length).toBe(0);
  }
});

test("the level is nothing in silence and full in loud speech", () => {
  expect(level(new Int16Array(100))).toBe(0);
  expect(level(new Int16Array(100).fill(16000))).toBe(1);
  expect(level(new Int16Array(0))).toBe(0);
});
