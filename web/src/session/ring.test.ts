import { describe, expect, test } from "vitest";
import { AudioRing } from "./ring";

const ramp = (from: number, length: number): Int16Array => Int16Array.from({ length }, (_, i) => from + i);

function filled(chunks: number, start = 0, capacityS?: number): AudioRing {
  const ring = new AudioRing(1000, start, capacityS);
  for (let i = 0; i < chunks; i++) ring.push(ramp(start + i * 100, 100));
  return ring;
}

describe("AudioRing", () => {
  test("gives what lies from any position on to the end of its chunk", () => {
    const ring = filled(5);
    for (const position of [0, 1, 99, 100, 250, 499]) {
      const end = Math.floor(position / 100) * 100 + 100;
      expect(ring.at(position)).toEqual(ramp(position, end - position));
    }
  });

  test("walked from any position, it gives every sample once", () => {
    for (const position of [0, 50, 333]) expect(filled(5).from(position)).toEqual(ramp(position, 500 - position));
  });

  test("holds what was not let go, and nothing before it but the rest of its chunk", () => {
    const ring = filled(5);
    ring.letGo(250);
    expect([ring.first, ring.end]).toEqual([200, 500]);
    expect(ring.at(199)).toBeNull();
    expect(ring.at(250)).toEqual(ramp(250, 50));
    ring.letGo(100);
    expect(ring.first).toBe(200);
  });

  test("is empty, and goes on where it was, once all is let go", () => {
    const ring = filled(5);
    ring.letGo(9_999);
    expect([ring.first, ring.end, ring.at(500)]).toEqual([500, 500, null]);
    ring.push(ramp(500, 10));
    expect(ring.at(505)).toEqual(ramp(505, 5));
  });

  test("begins at any position", () => {
    const ring = filled(2, 7_000);
    expect([ring.first, ring.end]).toEqual([7_000, 7_200]);
    expect(ring.at(6_999)).toBeNull();
    expect(ring.from(0)).toEqual(ramp(7_000, 200));
  });

  test("never drops anything by itself, but says when it is full", () => {
    const ring = filled(9, 0, 1);
    expect(ring.full).toBe(false);
    ring.push(ramp(900, 200));
    expect([ring.full, ring.first]).toEqual([true, 0]);
    ring.letGo(500);
    expect(ring.full).toBe(false);
  });
});
