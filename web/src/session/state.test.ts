import { describe, expect, test } from "vitest";
import type { Final, Partial, Ready, ServerMessage } from "../wire";
import { fromMicrophone } from "./problems";
import { IDLE, reduce, type OpenSegment, type SessionAction, type SessionState } from "./state";

const READY: Ready = {
  type: "ready",
  protocol: 1,
  recording_id: "r1",
  resume_token: "t",
  next_sample: 0,
  recognizer: { name: "faster-whisper", model: "small", device: "cpu", fallback: false, reason: "asked for" },
};

const partial = (segment: number, revision: number, committed: string, tentative: string): Partial => ({
  type: "partial",
  segment,
  revision,
  start_ms: segment * 1000,
  committed,
  tentative,
  lag_ms: 120,
});

const final = (segment: number, text: string): Final => ({
  type: "final",
  segment,
  start_ms: segment * 1000,
  end_ms: segment * 1000 + 900,
  text,
  words: [],
  language: "en",
  confidence: 0.9,
  suspect: false,
});

const run = (actions: SessionAction[], from: SessionState = IDLE): SessionState => actions.reduce(reduce, from);
const received = (...messages: ServerMessage[]): SessionAction[] =>
  messages.map((message) => ({ type: "message", message }));

const CONNECTING = run([{ type: "asked", at: 7 }, { type: "capturing" }]);
const LIVE = run(received(READY), CONNECTING);

function open(state: SessionState, segment: number): OpenSegment {
  const found = state.segments.find((known) => known.segment === segment);
  if (found?.kind !== "open") throw new Error(`segment ${segment} is not open`);
  return found;
}

describe("phases", () => {
  test("a session goes from asking through live to closed", () => {
    expect(CONNECTING.phase).toBe("connecting");
    expect(LIVE.phase).toBe("live");
    const finishing = run([{ type: "stopped" }], LIVE);
    expect(finishing.phase).toBe("finishing");
    const closed = run(received({ type: "closed", recording_id: "r1", duration_ms: 4200 }), finishing);
    expect(closed).toMatchObject({ phase: "closed", recordingId: "r1", durationMs: 4200, keptMs: 4200 });
  });

  test("stopping before the server is ready still finishes", () => {
    const stopped = run([{ type: "stopped" }, ...received(READY)], CONNECTING);
    expect(stopped).toMatchObject({ phase: "finishing", recordingId: "r1" });
  });

  test("a refused microphone ends in failed, with what to do", () => {
    const refused = fromMicrophone(new DOMException("", "NotAllowedError"));
    const state = run([
      { type: "asked", at: 7 },
      { type: "troubled", problem: refused },
    ]);
    expect(state.phase).toBe("failed");
    expect(state.problem?.message).toBe(
      "The microphone is blocked. Allow it in the address bar, then press record again.",
    );
  });

  test("a server at capacity ends in failed, with its own words and the time to wait", () => {
    const full: ServerMessage = {
      type: "error",
      code: "at_capacity",
      message: "All places are taken.",
      retryable: true,
      retry_after_s: 20,
    };
    const state = run([...received(full), { type: "disconnected" }], CONNECTING);
    expect(state).toMatchObject({ phase: "failed", problem: { message: "All places are taken.", retryAfterS: 20 } });
  });

  test("a lost connection says what is kept", () => {
    const state = run(
      [{ type: "captured", ms: 65_000 }, ...received({ type: "ack", samples: 61 * 16_000 }), { type: "disconnected" }],
      LIVE,
    );
    expect(state.phase).toBe("lost");
    expect(state.problem?.message).toBe(
      "The connection was lost. Everything up to 1:01 is kept. The last 4 seconds may be missing.",
    );
  });

  test("the end of the connection after closed changes nothing", () => {
    const closed = run(received({ type: "closed", recording_id: "r1", duration_ms: 1 }), LIVE);
    expect(run([{ type: "disconnected" }], closed)).toBe(closed);
  });

  test("an error while live is shown and the session goes on", () => {
    const error: ServerMessage = { type: "error", code: "engine_error", message: "It stumbled.", retryable: true };
    expect(run(received(error), LIVE)).toMatchObject({ phase: "live", problem: { message: "It stumbled." } });
  });

  test("the hint that no words come goes with the first words", () => {
    const hint: ServerMessage = { type: "error", code: "no_words", message: "No words.", retryable: false };
    const state = run(received(hint, final(0, "")), LIVE);
    expect(state.problem?.message).toBe("No words.");
    expect(run(received(final(1, "hello")), state).problem).toBeNull();
  });

  test("recording again starts from nothing", () => {
    const lost = run([...received(final(0, "old")), { type: "disconnected" }], LIVE);
    expect(run([{ type: "asked", at: 7 }], lost)).toEqual({ ...IDLE, phase: "asking", startedAt: 7 });
  });
});

describe("text", () => {
  test("speech_start opens a segment without words", () => {
    const state = run(received({ type: "speech_start", segment: 0, start_ms: 300 }), LIVE);
    expect(open(state, 0)).toMatchObject({ committed: "", tentative: "", start_ms: 300 });
  });

  test("a partial replaces the partial before it", () => {
    const state = run(received(partial(0, 0, "", "the quick"), partial(0, 1, "the", "quick brown")), LIVE);
    expect(open(state, 0)).toMatchObject({ committed: "the", tentative: "quick brown" });
  });

  test("an older revision is passed over", () => {
    const state = run(received(partial(0, 3, "the quick", ""), partial(0, 2, "the", "quack")), LIVE);
    expect(open(state, 0).committed).toBe("the quick");
  });

  test("committed text never shrinks, whatever arrives", () => {
    const words = ["the", "the quick", "the", "a quick brown", "", "the quick brown fox", "the slow"];
    let state = LIVE;
    let before = "";
    words.forEach((committed, revision) => {
      state = run(received(partial(0, revision, committed, "tail")), state);
      expect(open(state, 0).committed.startsWith(before)).toBe(true);
      before = open(state, 0).committed;
    });
    expect(before).toBe("the quick brown fox");
  });

  test("what was committed is not repeated in the tail when the server takes it back", () => {
    const state = run(received(partial(0, 0, "the quick", ""), partial(0, 1, "the", "quick brown")), LIVE);
    expect(open(state, 0)).toMatchObject({ committed: "the quick", tentative: "brown" });
  });

  test("a final replaces the partials of its segment, and never changes", () => {
    const state = run(received(partial(0, 0, "the", "quick"), final(0, "The quick."), final(0, "Else.")), LIVE);
    expect(state.segments).toMatchObject([{ kind: "final", text: "The quick." }]);
    expect(run(received(partial(0, 9, "late", "")), state).segments).toEqual(state.segments);
  });

  test("segments stand in the order of their numbers, however they arrive", () => {
    const state = run(received(partial(2, 0, "", "three"), final(0, "One."), partial(1, 0, "two", "")), LIVE);
    expect(state.segments.map(({ segment }) => segment)).toEqual([0, 1, 2]);
  });

  test("acks only move forward", () => {
    const state = run(received({ type: "ack", samples: 32_000 }, { type: "ack", samples: 16_000 }), LIVE);
    expect(state.keptMs).toBe(2000);
  });
});
