import { describe, expect, test } from "vitest";
import type { ServerError } from "../wire";
import {
  backOffMs,
  beginsAnew,
  failuresAfter,
  isCutShort,
  isEnding,
  positionOf,
  refusesResume,
  sendFrom,
  shouldResume,
} from "./reconnect";

const error = (code: string, retryable: boolean): ServerError => ({ type: "error", code, message: "", retryable });
const end = (code: number, said: ServerError | null = null, readyMs = 0) => ({ code, error: said, readyMs });

describe("shouldResume", () => {
  test.each([1000, 1001, 1005, 1006, 1011, 1012, 1013])("a plain end with %i is resumed", (code) => {
    expect(shouldResume(end(code))).toBe(true);
  });

  test.each([1002, 1003, 1007, 1008, 1009])("a plain end with %i is final", (code) => {
    expect(shouldResume(end(code))).toBe(false);
  });

  test.each([
    [1012, error("going_away", true)],
    [1013, error("at_capacity", true)],
    [1013, error("database_unavailable", true)],
    [1008, error("something_passing", true)],
  ])("%i after an error that passes is resumed", (code, said) => expect(shouldResume(end(code, said))).toBe(true));

  test.each([
    [1008, error("superseded", false)],
    [1008, error("resume_expired", false)],
    [1008, error("resume_invalid", false)],
    [1003, error("unsupported_audio", false)],
    [1011, error("internal", false)],
  ])("%i after an error that stays is final", (code, said) => expect(shouldResume(end(code, said))).toBe(false));

  test.each(["no_words", "engine_error", "malformed_audio"])("a broken connection is resumed after %s", (code) => {
    expect(shouldResume(end(1006, error(code, false)))).toBe(true);
  });

  test.each(["superseded", "resume_invalid", "resume_expired"])("%s is final although its close was lost", (code) => {
    expect(shouldResume(end(1006, error(code, false)))).toBe(false);
  });

  test("a page that slept while the server waited goes on when it wakes", () => {
    expect(shouldResume(end(1008, error("no_audio", false)))).toBe(true);
  });
});

test("an error that the session goes on after is not its end, unless it never began", () => {
  const passing = ["no_words", "engine_unavailable", "storage_unavailable", "malformed_message"];
  expect(passing.some((code) => isEnding(error(code, true), true))).toBe(false);
  expect(passing.every((code) => isEnding(error(code, true), false))).toBe(true);
  expect(["going_away", "malformed_audio", "superseded"].every((code) => isEnding(error(code, false), true))).toBe(
    true,
  );
});

test("only a refused token makes a new recording of the rest", () => {
  expect([error("resume_expired", false), error("resume_invalid", false)].every(refusesResume)).toBe(true);
  expect([error("superseded", false), null].some(refusesResume)).toBe(false);
});

test("only a recording of which the server kept nothing is begun anew", () => {
  const held = { resumeToken: "t", sampleRate: 48_000, origin: 0, keptTo: 0, to: 9 };
  const invalid = error("resume_invalid", false);
  expect(beginsAnew(invalid, held)).toBe(true);
  expect(beginsAnew(invalid, { ...held, origin: 5, keptTo: 5 })).toBe(true);
  expect(beginsAnew(invalid, { ...held, keptTo: 1 })).toBe(false);
  expect(beginsAnew(invalid, { ...held, resumeToken: null })).toBe(false);
  expect(beginsAnew(error("resume_expired", false), held)).toBe(false);
  expect(beginsAnew(null, held)).toBe(false);
});

test("a recording is cut short where it lacks more than is rounded away", () => {
  expect([1050, 1000, 990].some((capturedMs) => isCutShort(capturedMs, 1000))).toBe(false);
  expect(isCutShort(1051, 1000)).toBe(true);
});

describe("back-off", () => {
  test("doubles its ceiling from half a second to fifteen", () => {
    expect([1, 2, 3, 4, 5, 6, 7, 99].map((failures) => backOffMs(failures, 1))).toEqual([
      500, 1_000, 2_000, 4_000, 8_000, 15_000, 15_000, 15_000,
    ]);
  });

  test("is spread over all of that", () => {
    expect([0, 0.25, 1].map((random) => backOffMs(4, random))).toEqual([0, 1_000, 4_000]);
  });

  test("waits for as long as the server asked, and then a little", () => {
    expect(backOffMs(1, 0.5, 5)).toBe(5_250);
  });

  test("begins anew after a connection that was good, and only then", () => {
    expect(failuresAfter(0, end(1006))).toBe(1);
    expect(failuresAfter(6, end(1006, null, 200))).toBe(7);
    expect(failuresAfter(6, end(1006, null, 60_000))).toBe(1);
  });
});

describe("sendFrom", () => {
  const place = { sampleRate: 48_000, origin: 0, keptTo: 480_000, to: 960_000 };

  test("the position that the server names, exactly, at any rate", () => {
    expect(sendFrom(place, 200_000)).toEqual({ position: 600_000, origin: 0, missing: 0 });
    expect(sendFrom({ ...place, sampleRate: 44_100 }, 160 * 1_500).position).toBe(441 * 1_500);
  });

  test("what this device no longer has is missing, and the rest follows without a hole", () => {
    const gone = sendFrom(place, 100_000);
    expect(gone).toEqual({ position: 480_000, origin: 180_000, missing: 180_000 });
    expect(positionOf({ ...place, origin: gone.origin }, 100_000)).toBe(480_000);
  });

  test("a server that has more than this device remembers is gone on after that", () => {
    const more = sendFrom(place, 330_000);
    expect(more).toEqual({ position: 960_000, origin: -30_000, missing: 0 });
    expect(positionOf({ ...place, origin: more.origin }, 330_000)).toBe(960_000);
  });

  test("a recording that begins in the middle has its own clock", () => {
    expect(sendFrom({ ...place, origin: 480_000 }, 0)).toEqual({ position: 480_000, origin: 480_000, missing: 0 });
  });
});
