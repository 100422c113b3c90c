import { describe, expect, test } from "vitest";
import { AudioRing } from "./ring";

const ramp = (from: number, length: number): Int16Array => Int16Array.from({ length }, (_, i) => from + i);
const samples = (chunks: Int16Array[]): number[] => chunks.flatMap((chunk) => [...chunk]);

describe("AudioRing", () => {
  test("gives back from any 16 kHz sample on, at the source rate", () => {
    const ring = new AudioRing(48_000);
    for (let i = 0; i < 5; i++) ring.push(ramp(i * 48, 48));
    expect(samples(ring.from(20))).toEqual([...ramp(60, 180)]);
  });

  test("holds nothing that was acknowledged and everything that was not", () => {
    const ring = new AudioRing(16_000);
    for (let i = 0; i < 4; i++) ring.push(ramp(i * 100, 100));
    ring.acknowledge(250);
    expect(samples(ring.from(250))).toEqual([...ramp(250, 150)]);
    expect(ring.heldMs).toBe(12);
    expect(ring.capturedMs).toBe(25);
  });

  test("lets the oldest go beyond its capacity", () => {
    const ring = new AudioRing(1000, 1);
    for (let i = 0; i < 15; i++) ring.push(ramp(i * 100, 100));
    expect(ring.heldMs).toBe(1000);
    expect(samples(ring.from(0))[0]).toBe(500);
  });
});
