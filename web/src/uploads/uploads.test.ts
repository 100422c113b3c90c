import { describe, expect, test } from "vitest";
import { comesBack, refusal, webAddress } from "./checks";
import { nextUp, percentSent, reduceUploads, secondsLeft, speed, type UploadAction } from "./state";

const added: UploadAction = {
  type: "added",
  uploads: [
    { key: "a", name: "a.mp3", size: 1_000 },
    { key: "b", name: "b.mp3", size: 500 },
  ],
};
const at = (ms: number, sent: number): UploadAction => ({ type: "progress", key: "a", sent, at: ms });
const run = (...actions: UploadAction[]) => [added, ...actions].reduce(reduceUploads, []);
const first = (...actions: UploadAction[]) => run(...actions)[0]!;

describe("how fast a file goes", () => {
  test("is not known in the beginning", () => {
    expect(speed(first(at(0, 0), at(1_000, 100)))).toBeNull();
    expect(secondsLeft(first())).toBeNull();
  });

  test("is measured over the last ten seconds", () => {
    const upload = first(at(0, 0), at(20_000, 400), at(25_000, 500), at(30_000, 700));
    expect(speed(upload)).toBe(30);
    expect(secondsLeft(upload)).toBe(10);
  });

  test("begins anew behind a pause, and where less was there than it seemed", () => {
    expect(speed(first(at(0, 0), at(2_000, 200), { type: "paused", key: "a" }))).toBeNull();
    expect(speed(first(at(0, 0), at(2_000, 200), at(2_500, 100), at(4_500, 500)))).toBe(200);
  });

  test("a file that stands still has no time left to say", () => {
    expect(secondsLeft(first(at(0, 100), at(5_000, 100)))).toBeNull();
  });
});

test("a hundred percent is all of it", () => {
  expect([0, 999, 1_000].map((sent) => percentSent({ size: 1_000, sent }))).toEqual([0, 99, 100]);
});

test("files go in turn, so many at a time; a paused one gives its place away", () => {
  expect(nextUp(run(), 1)?.key).toBe("a");
  expect(nextUp(run({ type: "sending", key: "a" }), 1)).toBeNull();
  expect(nextUp(run({ type: "sending", key: "a" }), 2)?.key).toBe("b");
  expect(nextUp(run({ type: "away", key: "a", problem: "" }), 1)).toBeNull();
  expect(nextUp(run({ type: "paused", key: "a" }), 1)?.key).toBe("b");
  expect(nextUp(run({ type: "refused", key: "a", problem: "" }), 1)?.key).toBe("b");
  expect(run({ type: "gone", key: "a" }).map(({ key }) => key)).toEqual(["b"]);
});

test("an empty file and one that is too large are refused before anything is sent", () => {
  expect(refusal({ name: "a.mp3", size: 0 }, null)).toBe("This file is empty.");
  expect(refusal({ name: "a.mp3", size: 5e9 }, 2e9)).toBe("This file has 5.0 GB; the server takes at most 2.0 GB.");
  expect(refusal({ name: "a.txt", size: 5e9 }, null)).toBeNull();
  expect(refusal({ name: "a.txt", size: 1 }, 2e9)).toBeNull();
});

test("an address may leave out its https, and has to be one of the web", () => {
  expect(webAddress(" https://example.com/a.mp3 ")).toBe("https://example.com/a.mp3");
  expect(webAddress("example.com/a.mp3")).toBe("https://example.com/a.mp3");
  expect(webAddress("example.com:8080/a.mp3")).toBe("https://example.com:8080/a.mp3");
  for (const wrong of ["", "two words", "ftp://example.com/a", "file:///etc/passwd", "javascript:alert(1)"]) {
    expect(webAddress(wrong)).toBeNull();
  }
});

test("a refusal of the file is final, everything else is tried again", () => {
  expect([null, 500, 503, 409, 429, 460].every(comesBack)).toBe(true);
  expect([400, 403, 413, 415].some(comesBack)).toBe(false);
});
