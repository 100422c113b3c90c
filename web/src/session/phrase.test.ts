import { describe, expect, test } from "vitest";
import type { Ready } from "../wire";
import { heldPhrase, phrase } from "./phrase";
import { IDLE, reduce, type SessionAction, type SessionState } from "./state";

const LIVE: SessionState = { ...IDLE, phase: "live", recordingId: "r1" };
const READY: Ready = { type: "ready", protocol: 1, recording_id: "r1", resume_token: "t", next_sample: 0 };
const after = (...actions: SessionAction[]): string => phrase(actions.reduce(reduce, LIVE));
const captured = (ms: number): SessionAction => ({ type: "captured", ms });
const acknowledged = (ms: number): SessionAction => ({ type: "message", message: { type: "ack", samples: ms * 16 } });
const behind = (lag_ms: number): SessionAction => ({
  type: "message",
  message: { type: "partial", segment: 0, revision: 0, start_ms: 0, committed: "", tentative: "a", lag_ms },
});

test("audio that waits for its acknowledgement is worth no word for a while", () => {
  expect(after(captured(14_999))).toBe("Live");
  expect(after(captured(74_999), acknowledged(60_000))).toBe("Live");
});

test("audio that waits too long is said, by its length", () => {
  expect(after(captured(15_000))).toBe("Live, 15 s not yet safe");
  expect(after(captured(80_900), acknowledged(60_000))).toBe("Live, 20 s not yet safe");
});

test("an acknowledgement takes the line back", () => {
  expect(after(captured(80_000), acknowledged(60_000), acknowledged(79_000))).toBe("Live");
});

test("an acknowledgement of less than is known brings no line", () => {
  expect(after(captured(80_000), acknowledged(79_000), acknowledged(10_000))).toBe("Live");
});

test("text that is far behind is said, unless the audio itself is in question", () => {
  expect(after(behind(1_999))).toBe("Live");
  expect(after(behind(2_340))).toBe("Live, 2.3 s behind");
  expect(after(behind(2_340), captured(15_000))).toBe("Live, 15 s not yet safe");
});

test("only a live session speaks of what is not safe", () => {
  expect(after(captured(60_000), { type: "stopped" })).toBe("Finishing");
  expect(after(captured(60_000), { type: "ended", error: null })).toBe("Not recording");
});

describe("while the connection is away", () => {
  const away: SessionAction = { type: "disconnected", error: null };
  const held = (...actions: SessionAction[]): string => heldPhrase(actions.reduce(reduce, LIVE));

  test("it is said that nothing is lost, and how much is held", () => {
    expect(after(captured(72_000), acknowledged(60_000), away)).toBe("Reconnecting, nothing is lost");
    expect(held(captured(72_000), acknowledged(60_000), away)).toBe("12 s held");
    expect(held(captured(125_000), acknowledged(60_000))).toBe("1:05 held");
    expect(held(captured(1_000), acknowledged(2_000))).toBe("0 s held");
  });

  test("what waits to be finished says so", () => {
    expect(after(captured(60_000), { type: "stopped" }, away)).toBe("Waiting to finish");
  });

  test("back again, it catches up without a word", () => {
    const ready: SessionAction = { type: "message", message: { ...READY, next_sample: 960_000 } };
    expect(after(captured(100_000), acknowledged(60_000), away, ready, captured(101_000))).toBe("Live");
    expect(after(captured(100_000), away, ready, captured(115_000))).toBe("Live, 115 s not yet safe");
  });
});
