import { expect, test } from "vitest";
import { bytes, count, left } from "./amounts";

test("a size has two figures below ten, and no false ones above", () => {
  expect([0, 640, 999, 1_000, 3_140_000, 9_960_000, 412_400_000, 1_250_000_000].map(bytes)).toEqual([
    "0 bytes",
    "640 bytes",
    "999 bytes",
    "1.0 kB",
    "3.1 MB",
    "10 MB",
    "412 MB",
    "1.3 GB",
  ]);
});

test("what rounds up to a thousand is one of the next unit", () => {
  expect(bytes(999_700)).toBe("1.0 MB");
});

test("what is left is said as exactly as it is known", () => {
  expect([0, 12, 54, 70, 170, 3_000, 5_400, 7_100, 36_000].map(left)).toEqual([
    "a few seconds left",
    "15 s left",
    "55 s left",
    "about 1 min left",
    "about 3 min left",
    "about 50 min left",
    "about 1½ h left",
    "about 2 h left",
    "about 10 h left",
  ]);
});

test("one is not many", () => {
  expect([count(1, "file"), count(3, "file"), count(2, "reply", "replies")]).toEqual([
    "1 file",
    "3 files",
    "2 replies",
  ]);
});
