import { IDBFactory } from "fake-indexeddb";
import "fake-indexeddb/auto";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { ServerMessage } from "../wire";
import type { Locks } from "./locks";
import { LiveSession } from "./session";
import { Spool, type Held } from "./spool";

/** A socket that writes down what was sent: messages as objects, audio as its samples. */
class ScriptedSocket extends EventTarget {
  readyState = 1;
  bufferedAmount = 0;
  readonly sent: unknown[] = [];

  send(data: string | Int16Array): void {
    this.sent.push(typeof data === "string" ? JSON.parse(data) : [...data]);
  }

  close(): void {
    this.readyState = 3;
  }

  opens(): void {
    this.dispatchEvent(new Event("open"));
  }

  says(message: ServerMessage): void {
    this.dispatchEvent(new MessageEvent("message", { data: JSON.stringify(message) }));
  }

  /** `opens`, then `ready` from `next_sample` on. */
  isReady(next_sample = 0, resume_token = "t"): void {
    this.opens();
    this.says(ready(next_sample, resume_token));
  }

  drops(code = 1006): void {
    this.readyState = 3;
    this.dispatchEvent(Object.assign(new Event("close"), { code }));
  }

  get audio(): number[] {
    return this.sent.filter((one): one is number[] => Array.isArray(one)).flat();
  }

  get messages(): unknown[] {
    return this.sent.filter((one) => !Array.isArray(one));
  }
}

/** A microphone at 16 kHz that hands over `rest` when it is closed. */
class ScriptedMicrophone {
  rest: number[] = [];
  closed = 0;
  hear: (chunk: Int16Array) => void = () => undefined;
  vanish: () => void = () => undefined;

  constructor(readonly sampleRate = 16_000) {}

  async close(): Promise<void> {
    this.closed++;
    if (this.rest.length > 0) this.hear(Int16Array.from(this.rest.splice(0)));
  }
}

/** The locks of one browser. */
function scriptedLocks(): Locks & { keys: Set<string> } {
  const keys = new Set<string>();
  return {
    keys,
    async hold(key) {
      if (keys.has(key)) return null;
      keys.add(key);
      return () => void keys.delete(key);
    },
    held: async () => new Set(keys),
    whenFree: async () => undefined,
  };
}

const ready = (next_sample: number, resume_token = "t"): ServerMessage => ({
  type: "ready",
  protocol: 1,
  recording_id: "r1",
  resume_token,
  next_sample,
  recognizer: { name: "faster-whisper", model: "small", device: "cpu", fallback: false, reason: "asked for" },
});
const ack = (samples: number): ServerMessage => ({ type: "ack", samples });
const closedAt = (samples: number): ServerMessage => ({
  type: "closed",
  recording_id: "r1",
  duration_ms: Math.floor(samples / 16),
});
const closed = closedAt(0);
const refusal = (code: string, retryable: boolean, retry_after_s: number | null = null): ServerMessage => ({
  type: "error",
  code,
  message: "In its own words.",
  retryable,
  retry_after_s,
});

interface Options {
  refused?: DOMException;
  spool?: Spool | null;
  locks?: Locks;
  sampleRate?: number;
}

function page({ refused, spool = null, locks = scriptedLocks(), sampleRate }: Options = {}) {
  const microphone = new ScriptedMicrophone(sampleRate);
  const sockets: ScriptedSocket[] = [];
  const letSleep = vi.fn();
  const session = new LiveSession({
    cannotRecord: () => null,
    openMicrophone: async (onChunk, onEnded) => {
      if (refused) throw refused;
      microphone.hear = onChunk;
      microphone.vanish = onEnded;
      return microphone;
    },
    connect: () => {
      sockets.push(new ScriptedSocket());
      return sockets.at(-1) as unknown as WebSocket;
    },
    keepAwake: () => letSleep,
    spool: Promise.resolve(spool),
    locks,
  });
  return {
    session,
    sockets,
    letSleep,
    microphone,
    /** The connection of the moment. */
    socket: () => sockets.at(-1)!,
    say: (...samples: number[]) => microphone.hear(Int16Array.from(samples)),
  };
}

async function recording(options: Options = {}) {
  const here = page(options);
  await here.session.start();
  return here;
}

const START = { type: "start", sample_rate: 16_000, encoding: "pcm_s16le", channels: 1 };
const ramp = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i);

beforeEach(() => {
  vi.stubGlobal("WebSocket", { OPEN: 1 });
  // What IndexedDB needs runs on; what the session waits for is under the test's hand.
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "setInterval", "clearInterval", "performance"] });
  vi.spyOn(Math, "random").mockReturnValue(1);
});

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

describe("a recording", () => {
  test("sends what was said before the server was ready first", async () => {
    const { socket, say } = await recording();
    say(1, 2);
    socket().opens();
    say(3, 4);
    socket().says(ready(0));
    say(5);
    expect(socket().sent).toEqual([START, [1, 2], [3, 4], [5]]);
  });

  test("sends its last samples before stop", async () => {
    const { session, socket, microphone, letSleep, say } = await recording();
    socket().isReady();
    say(1);
    microphone.rest = [2, 3];
    await session.stop();
    expect(socket().sent).toEqual([START, [1], [2, 3], { type: "stop" }]);
    expect(session.snapshot().phase).toBe("finishing");
    socket().says(closed);
    expect(session.snapshot().phase).toBe("closed");
    expect(letSleep).toHaveBeenCalled();
  });

  test("stopped before the server was ready, still sends everything", async () => {
    const { session, socket, say } = await recording();
    say(1);
    await session.stop();
    socket().isReady();
    expect(socket().sent).toEqual([START, [1], { type: "stop" }]);
  });

  test("ends, and says so, when the microphone goes away", async () => {
    const { session, socket, microphone } = await recording();
    socket().isReady();
    microphone.vanish();
    await Promise.resolve();
    expect(session.snapshot()).toMatchObject({ phase: "finishing", problem: { code: "microphone_ended" } });
  });

  test("opens no connection without a microphone", async () => {
    const { session, sockets } = await recording({ refused: new DOMException("", "NotAllowedError") });
    expect(session.snapshot()).toMatchObject({ phase: "failed", problem: { code: "microphone_blocked" } });
    expect(sockets).toEqual([]);
  });

  test("waits for a socket that takes no more", async () => {
    const { socket, say } = await recording();
    socket().isReady();
    socket().bufferedAmount = 2 << 20;
    say(1);
    say(2);
    expect(socket().audio).toEqual([]);
    socket().bufferedAmount = 0;
    await vi.advanceTimersByTimeAsync(100);
    expect(socket().audio).toEqual([1, 2]);
  });

  test("says that it has no copy where the browser has no storage, and goes on", async () => {
    const { session, socket, say } = await recording();
    socket().isReady();
    await vi.waitFor(() => expect(session.snapshot().problem?.code).toBe("not_spooled"));
    say(1);
    expect([session.snapshot().phase, socket().audio]).toEqual(["live", [1]]);
  });

  test("without storage ends where the memory does, and still sends all of it", async () => {
    const { session, socket, microphone } = await recording({ sampleRate: 100 });
    const minute = new Int16Array(60 * 100);
    for (let i = 0; i < 31; i++) microphone.hear(minute);
    await vi.waitFor(() => expect(microphone.closed).toBe(1));
    expect(session.snapshot()).toMatchObject({ phase: "finishing", problem: { code: "memory_full" } });
    socket().isReady();
    expect(socket().audio.length).toBe(31 * minute.length);
    expect(socket().messages.at(-1)).toEqual({ type: "stop" });
  });
});

describe("a lost connection", () => {
  test("is made again, and goes on from the sample that the server names", async () => {
    const { session, socket, sockets, microphone, say } = await recording();
    socket().isReady(0, "first");
    say(...ramp(0, 100));
    socket().drops();
    expect(session.snapshot()).toMatchObject({ phase: "reconnecting", away: true });
    say(...ramp(100, 200));
    vi.advanceTimersByTime(500);
    expect(sockets.length).toBe(2);
    socket().isReady(60, "second");
    say(...ramp(200, 210));
    expect(socket().messages).toEqual([{ ...START, resume: "first", next_segment: 0 }]);
    expect(socket().audio).toEqual(ramp(60, 210));
    expect(session.snapshot()).toMatchObject({ phase: "live", away: false });
    expect(microphone.closed).toBe(0);
    socket().drops(1012);
    vi.advanceTimersByTime(1_000);
    socket().opens();
    expect(socket().messages).toEqual([{ ...START, resume: "second", next_segment: 0 }]);
  });

  test("asks only for the finals that are not here", async () => {
    const { socket } = await recording();
    socket().isReady();
    const final = { start_ms: 0, end_ms: 1, text: "One.", words: [], language: "en", confidence: 1, suspect: false };
    socket().says({ type: "final", segment: 0, ...final });
    socket().drops();
    vi.advanceTimersByTime(500);
    socket().opens();
    expect(socket().messages).toEqual([{ ...START, resume: "t", next_segment: 1 }]);
  });

  test("is tried again more and more rarely, until there is a server again", async () => {
    const { session, socket, sockets } = await recording();
    const waits: number[] = [];
    for (let i = 0; i < 7; i++) {
      const before = sockets.length;
      socket().drops();
      for (waits.push(0); sockets.length === before; waits[i]! += 100) vi.advanceTimersByTime(100);
    }
    expect(waits).toEqual([500, 1_000, 2_000, 4_000, 8_000, 15_000, 15_000]);
    expect(session.snapshot()).toMatchObject({ phase: "connecting", away: true });
    socket().isReady();
    expect(session.snapshot()).toMatchObject({ phase: "live", away: false });
  });

  test("is tried again at once when the network comes back", async () => {
    const { session, socket, sockets } = await recording();
    socket().isReady();
    for (let i = 0; i < 5; i++) {
      socket().drops();
      session.retryNow();
    }
    expect(sockets.length).toBe(6);
    session.retryNow();
    expect(sockets.length).toBe(6);
  });

  test("of a full server is tried again when the server asked for it", async () => {
    const { session, socket, sockets } = await recording();
    socket().opens();
    socket().says(refusal("at_capacity", true, 5));
    socket().drops(1013);
    expect(session.snapshot()).toMatchObject({ phase: "connecting", problem: { code: "at_capacity" } });
    vi.advanceTimersByTime(5_400);
    expect(sockets.length).toBe(1);
    vi.advanceTimersByTime(100);
    expect(sockets.length).toBe(2);
    socket().isReady();
    expect(session.snapshot()).toMatchObject({ phase: "live", problem: null });
  });

  test("while finishing is made again to finish", async () => {
    const { session, socket, say } = await recording();
    socket().isReady();
    say(...ramp(0, 100));
    await session.stop();
    socket().drops();
    expect(session.snapshot()).toMatchObject({ phase: "finishing", away: true });
    vi.advanceTimersByTime(500);
    socket().isReady(40);
    expect(socket().audio).toEqual(ramp(40, 100));
    expect(socket().messages.at(-1)).toEqual({ type: "stop" });
  });

  test("to a server that lost the recording before it kept anything of it begins another, of all that was said", async () => {
    const { session, socket, sockets, say } = await recording();
    socket().isReady();
    say(...ramp(0, 100));
    socket().drops();
    vi.advanceTimersByTime(500);
    socket().opens();
    socket().says(refusal("resume_invalid", false));
    socket().drops(1008);
    say(...ramp(100, 110));
    vi.advanceTimersByTime(1_000);
    expect(sockets.length).toBe(3);
    socket().isReady();
    expect([socket().messages, socket().audio]).toEqual([[START], ramp(0, 110)]);
    expect(session.snapshot()).toMatchObject({ phase: "live", away: false });
    socket().says(refusal("resume_invalid", false));
    socket().says(ack(1_000));
    socket().drops(1008);
    expect(session.snapshot()).toMatchObject({ phase: "lost", problem: { code: "resume_invalid" } });
  });

  test("that another window's session cut off is not made again, though its close was lost", async () => {
    const { session, socket, sockets } = await recording();
    socket().isReady();
    socket().says(refusal("superseded", false));
    socket().drops();
    vi.advanceTimersByTime(60_000);
    expect([session.snapshot().phase, sockets.length]).toEqual(["lost", 1]);
  });

  test("is final where the server says so, and everything is let go", async () => {
    const { session, socket, sockets, microphone, letSleep } = await recording();
    socket().isReady();
    socket().says(refusal("superseded", false));
    socket().drops(1008);
    expect(session.snapshot()).toMatchObject({ phase: "lost", problem: { code: "superseded" } });
    vi.advanceTimersByTime(60_000);
    expect([sockets.length, microphone.closed, vi.getTimerCount()]).toEqual([1, 1, 0]);
    expect(letSleep).toHaveBeenCalledOnce();
  });

  test("that the server closed because the page slept is made again when it wakes", async () => {
    const { session, socket, say } = await recording();
    socket().isReady();
    say(...ramp(0, 100));
    socket().says(refusal("no_audio", false));
    socket().says(closed);
    expect(session.snapshot().phase).toBe("live");
    socket().drops(1008);
    vi.advanceTimersByTime(500);
    socket().isReady(80);
    expect([session.snapshot().phase, socket().audio]).toEqual(["live", ramp(80, 100)]);
  });

  test("whatever was told before, is only lost where the server ended it", async () => {
    const { session, socket } = await recording();
    socket().isReady();
    socket().says(refusal("no_words", false));
    socket().drops(1012);
    expect(session.snapshot().phase).toBe("reconnecting");
    vi.advanceTimersByTime(500);
    socket().isReady();
    socket().says(refusal("malformed_audio", false));
    socket().says(ack(10));
    socket().says(closed);
    socket().drops(1007);
    expect(session.snapshot()).toMatchObject({ phase: "lost", problem: { code: "malformed_audio" } });
  });

  test("whatever is cut wherever, the server has every sample once and in order", async () => {
    vi.mocked(Math.random).mockRestore();
    let seed = 20261120;
    const dice = (sides: number): number => {
      seed = (seed * 1103515245 + 12345) % 2 ** 31;
      return Math.floor((seed / 2 ** 31) * sides);
    };
    for (let round = 0; round < 20; round++) {
      const { session, socket, say } = await recording();
      const kept: number[] = [];
      let from = 0;
      /** The server makes durable what it has got: some of it, or all. */
      const keep = (all: boolean): void => {
        const got = socket().audio.slice(kept.length - from);
        kept.push(...got.slice(0, all ? got.length : dice(got.length + 1)));
      };
      let said = 0;
      for (let step = 0; step < 60; step++) {
        say(...ramp(said, (said += 1 + dice(400))));
        if (socket().readyState !== 1) vi.advanceTimersByTime(dice(15_000));
        if (socket().readyState === 1 && socket().messages.length === 0) {
          socket().opens();
          if (dice(3) > 0) socket().says(ready((from = kept.length)));
        } else if (dice(3) === 0) {
          keep(false);
          if (dice(2)) socket().says(ack(kept.length));
        } else if (dice(3) === 0) {
          keep(false);
          socket().drops();
        }
      }
      socket().drops();
      await session.stop();
      while (socket().readyState !== 1) vi.advanceTimersByTime(100);
      socket().isReady((from = kept.length));
      keep(true);
      expect(kept.length).toBe(said);
      expect(kept.every((sample, i) => sample === i)).toBe(true);
      expect(socket().messages.at(-1)).toEqual({ type: "stop" });
      socket().says(closedAt(kept.length));
      expect(session.snapshot().phase).toBe("closed");
    }
  });
});

describe("silence", () => {
  test("a server that says nothing for twelve seconds is taken for lost, and tried again", async () => {
    const { session, socket, sockets, say } = await recording();
    const [first] = sockets;
    socket().isReady();
    say(...Array<number>(16_000).fill(0));
    vi.advanceTimersByTime(11_000);
    expect(session.snapshot().phase).toBe("live");
    vi.advanceTimersByTime(1_000);
    expect([session.snapshot().phase, first?.readyState]).toEqual(["reconnecting", 3]);
    vi.advanceTimersByTime(500);
    first?.says(ready(0));
    expect([session.snapshot().phase, sockets.length]).toEqual(["reconnecting", 2]);
  });

  test("anything the server says is enough to go on; it is asked every ten seconds", async () => {
    const { session, socket } = await recording();
    socket().isReady();
    for (let i = 0; i < 24; i++) {
      vi.advanceTimersByTime(5_000);
      socket().says({ type: "pong" });
    }
    expect(session.snapshot().phase).toBe("live");
    expect(socket().messages).toEqual([START, ...Array<unknown>(12).fill({ type: "ping" })]);
  });

  test("a server that never is ready is tried again, and was not asked for anything", async () => {
    const { session, socket, sockets } = await recording();
    socket().opens();
    vi.advanceTimersByTime(12_500);
    expect(session.snapshot()).toMatchObject({ phase: "connecting", away: true });
    expect(sockets.map(({ messages }) => messages)).toEqual([[START], []]);
  });

  test("after the end nothing more is asked", async () => {
    const { session, socket } = await recording();
    socket().isReady();
    await session.stop();
    socket().says(closed);
    vi.advanceTimersByTime(60_000);
    expect(session.snapshot().phase).toBe("closed");
    expect(socket().messages).toEqual([START, { type: "stop" }]);
    expect(vi.getTimerCount()).toBe(0);
  });
});

describe("with storage", () => {
  /** Samples; at 16 kHz, as the wire counts, it is ten times as many. */
  const SECOND = 1_600;
  const wire = (samples: number): number => samples * 10;
  const STORED = { ...START, sample_rate: SECOND };
  let spool: Spool;
  const locks = scriptedLocks();
  beforeEach(async () => {
    vi.stubGlobal("indexedDB", new IDBFactory());
    locks.keys.clear();
    spool = await Spool.open();
  });

  const entry = async (): Promise<Held> => (await spool.list())[0]!;
  const written = (session: LiveSession, to: number) =>
    vi.waitFor(async () => {
      session.flush();
      expect((await entry())?.to).toBe(to);
    });
  const count = (samples: number): number[] => ramp(0, samples).map((i) => i % 30_000);

  /** A page that recorded `seconds`, had `kept` samples acknowledged, and then died. */
  async function died(seconds: number, kept: number, begun = true): Promise<Held> {
    const dying = await recording({ spool, locks, sampleRate: SECOND });
    if (begun) dying.socket().isReady();
    const all = count(seconds * SECOND);
    for (let second = 0; second < seconds; second++) {
      dying.say(...all.slice(second * SECOND, (second + 1) * SECOND));
      await written(dying.session, (second + 1) * SECOND);
    }
    if (kept > 0) dying.socket().says(ack(wire(kept)));
    dying.session.flush();
    await vi.waitFor(async () => expect((await entry()).keptTo).toBe(kept));
    locks.keys.clear();
    return await entry();
  }

  test("what is captured lies there as it goes, and is held by this page", async () => {
    const held = await died(3, 1.5 * SECOND);
    expect(held).toMatchObject({ recordingId: "r1", resumeToken: "t", sampleRate: SECOND, to: 3 * SECOND });
    const { session } = await recording({ spool, locks, sampleRate: SECOND });
    await vi.waitFor(() => expect(session.snapshot().spooled).toBe(true));
    expect(locks.keys.size).toBe(1);
  });

  test("nothing is left there, and nothing is held, when the server has closed the recording", async () => {
    const { session, socket, say } = await recording({ spool, locks, sampleRate: SECOND });
    socket().isReady();
    say(...count(2 * SECOND));
    await written(session, 2 * SECOND);
    await session.stop();
    socket().says(closedAt(wire(2 * SECOND)));
    await vi.waitFor(() => expect(locks.keys.size).toBe(0));
    expect([await spool.list(), await spool.db.count("parts")]).toEqual([[], 0]);
  });

  test("a page that comes later finishes what was interrupted", async () => {
    const held = await died(3, 1.5 * SECOND);
    const { session, socket, sockets } = page({ spool, locks, sampleRate: SECOND });
    void session.resume(held, false);
    await vi.waitFor(() => expect(sockets.length).toBe(1));
    expect(session.snapshot()).toMatchObject({ phase: "finishing", capturedMs: 3000, keptMs: 1500 });
    socket().isReady(wire(1.5 * SECOND));
    await vi.waitFor(() => expect(socket().messages.length).toBe(2));
    expect(socket().messages).toEqual([{ ...STORED, resume: "t", next_segment: 0 }, { type: "stop" }]);
    expect(socket().audio).toEqual(count(3 * SECOND).slice(1.5 * SECOND));
    socket().says(closedAt(wire(3 * SECOND)));
    await vi.waitFor(async () => expect(await spool.list()).toEqual([]));
  });

  test("a page that comes later goes on recording, with a pause between", async () => {
    const held = await died(2, SECOND);
    const { session, socket, sockets, say } = page({ spool, locks, sampleRate: SECOND });
    void session.resume(held, true);
    await vi.waitFor(() => expect(sockets.length).toBe(1));
    socket().isReady(wire(SECOND));
    await vi.waitFor(() => expect(socket().audio.length).toBe(3 * SECOND));
    say(7, 8, 9);
    const pause = Array<number>(2 * SECOND).fill(0);
    expect(socket().audio).toEqual([...count(2 * SECOND).slice(SECOND), ...pause, 7, 8, 9]);
    expect(session.snapshot()).toMatchObject({ phase: "live", capturedMs: 4001 });
  });

  test("where the server has more than this device remembers, what is said now still reaches it from its beginning", async () => {
    const held = await died(2, SECOND);
    const { session, socket, sockets, say } = page({ spool, locks, sampleRate: SECOND });
    await session.resume(held, true);
    expect(sockets.length).toBe(1);
    say(7, 8, 9);
    socket().isReady(wire(10 * SECOND));
    await vi.waitFor(() => expect(socket().audio).toEqual([7, 8, 9]));
    expect(session.snapshot()).toMatchObject({ phase: "live", capturedMs: 10_001 });
    socket().drops();
    await vi.advanceTimersByTimeAsync(2_000);
    expect(sockets.length).toBe(2);
    socket().isReady(wire(10 * SECOND + 1));
    await vi.waitFor(() => expect(socket().audio).toEqual([8, 9]));
  });

  test("a recording that never reached the server becomes one", async () => {
    const held = await died(2, 0, false);
    expect(held.recordingId).toBeNull();
    const { session, socket, sockets } = page({ spool, locks, sampleRate: SECOND });
    void session.resume(held, false);
    await vi.waitFor(() => expect(sockets.length).toBe(1));
    socket().isReady();
    await vi.waitFor(() => expect(socket().messages).toEqual([STORED, { type: "stop" }]));
    expect(socket().audio).toEqual(count(2 * SECOND));
  });

  test("what a refused resume would have added becomes a recording of its own", async () => {
    const held = await died(3, 2 * SECOND);
    const refused = page({ spool, locks, sampleRate: SECOND });
    void refused.session.resume(held, false);
    await vi.waitFor(() => expect(refused.sockets.length).toBe(1));
    refused.socket().says(refusal("resume_expired", false));
    refused.socket().drops(1008);
    expect(refused.session.snapshot()).toMatchObject({ phase: "lost", problem: { code: "resume_expired" } });
    await vi.waitFor(() => expect(locks.keys.size).toBe(0));

    const { session, socket, sockets } = page({ spool, locks, sampleRate: SECOND });
    void session.resume(await entry(), false);
    await vi.waitFor(() => expect(sockets.length).toBe(1));
    expect(session.snapshot()).toMatchObject({ recordingId: null, capturedMs: 1000, keptMs: 0 });
    socket().isReady(0);
    await vi.waitFor(() => expect(socket().messages).toEqual([STORED, { type: "stop" }]));
    expect(socket().audio).toEqual(count(3 * SECOND).slice(2 * SECOND));
    socket().says(ack(wire(SECOND / 2)));
    expect(session.snapshot().keptMs).toBe(500);
  });

  test("what the server closed without is kept, and can still be sent to it", async () => {
    const { session, socket, say } = await recording({ spool, locks, sampleRate: SECOND });
    socket().isReady();
    say(...count(3 * SECOND));
    await session.stop();
    socket().says(refusal("unsupported_language", false));
    socket().says(ack(wire(SECOND)));
    socket().says(closedAt(wire(SECOND)));
    expect(session.snapshot()).toMatchObject({ phase: "lost", keptMs: 1000, problem: { code: "cut_short" } });
    expect(session.snapshot().problem?.message).toBe(
      "In its own words. Everything up to 0:01 is kept. The last 2 seconds are still held here.",
    );
    await vi.waitFor(() => expect(locks.keys.size).toBe(0));
    expect(await entry()).toMatchObject({ to: 3 * SECOND, keptTo: SECOND, resumeToken: "t", stopped: true });

    const later = page({ spool, locks, sampleRate: SECOND });
    void later.session.resume(await entry(), false);
    await vi.waitFor(() => expect(later.sockets.length).toBe(1));
    later.socket().isReady(wire(SECOND));
    await vi.waitFor(() => expect(later.socket().audio).toEqual(count(3 * SECOND).slice(SECOND)));
  });

  test("what a recording was finished without becomes one of its own", async () => {
    const held = await died(3, SECOND);
    const { session, socket, sockets } = page({ spool, locks, sampleRate: SECOND });
    void session.resume(held, false);
    await vi.waitFor(() => expect(sockets.length).toBe(1));
    socket().isReady(wire(1.5 * SECOND));
    socket().says(ack(wire(1.5 * SECOND)));
    socket().says(closedAt(wire(1.5 * SECOND)));
    expect(session.snapshot()).toMatchObject({ phase: "lost", problem: { code: "cut_short" } });
    await vi.waitFor(() => expect(locks.keys.size).toBe(0));
    expect(await entry()).toMatchObject({ recordingId: null, resumeToken: null, origin: 1.5 * SECOND, to: 3 * SECOND });
  });

  test("what another page went on with, and then died, is taken up where that one left it", async () => {
    const offered = await died(2, SECOND);
    const other = page({ spool, locks, sampleRate: SECOND });
    void other.session.resume(offered, true);
    await vi.waitFor(() => expect(other.sockets.length).toBe(1));
    other.socket().isReady(wire(SECOND), "newer");
    other.socket().drops();
    other.say(...ramp(0, SECOND));
    await written(other.session, 5 * SECOND);
    locks.keys.clear();

    const { session, socket, sockets } = page({ spool, locks, sampleRate: SECOND });
    void session.resume(offered, false);
    await vi.waitFor(() => expect(sockets.length).toBe(1));
    expect(session.snapshot()).toMatchObject({ phase: "finishing", capturedMs: 5000, keptMs: 1000 });
    socket().isReady(wire(SECOND));
    const pause = Array<number>(2 * SECOND).fill(0);
    const all = [...count(2 * SECOND), ...pause, ...ramp(0, SECOND)];
    await vi.waitFor(() => expect(socket().audio).toEqual(all.slice(SECOND)));
    expect(socket().messages[0]).toMatchObject({ resume: "newer" });
  });

  test("what another page holds is left alone", async () => {
    const held = await died(1, 0);
    locks.keys.add(held.key);
    const { session, sockets } = page({ spool, locks, sampleRate: SECOND });
    await session.resume(held, false);
    expect(session.snapshot()).toMatchObject({ phase: "failed", problem: { code: "superseded" } });
    expect([sockets.length, locks.keys.size]).toEqual([0, 1]);
  });

  test("what goes on elsewhere is not offered here", async () => {
    const { session, socket, say } = await recording({ spool, locks, sampleRate: SECOND });
    socket().isReady();
    say(...count(2 * SECOND));
    await written(session, 2 * SECOND);
    socket().says(refusal("superseded", false));
    socket().drops(1008);
    await Promise.resolve();
    expect([session.snapshot().phase, locks.keys.size]).toEqual(["lost", 1]);
    expect(await entry()).toMatchObject({ to: 2 * SECOND });
  });

  test("what another page has finished meanwhile is not begun again", async () => {
    const held = await died(1, 0);
    await spool.discard(held.key);
    const { session, sockets } = page({ spool, locks, sampleRate: SECOND });
    await session.resume(held, false);
    expect(session.snapshot()).toMatchObject({ phase: "failed", problem: { code: "finished_elsewhere" } });
    await vi.waitFor(() => expect(locks.keys.size).toBe(0));
    expect([sockets.length, await spool.list()]).toEqual([0, []]);
  });

  test("a microphone of another rate leaves the recording to be finished", async () => {
    const held = await died(1, 0);
    const { session, microphone } = page({ spool, locks, sampleRate: 48_000 });
    await session.resume(held, true);
    expect(session.snapshot()).toMatchObject({ phase: "failed", problem: { code: "other_sample_rate" } });
    expect(microphone.closed).toBe(1);
    await vi.waitFor(() => expect(locks.keys.size).toBe(0));
    expect((await entry()).to).toBe(SECOND);
  });

  test("what left the memory in a long absence is read back", async () => {
    const { session, socket, say } = await recording({ spool, locks, sampleRate: SECOND });
    socket().isReady();
    socket().drops();
    const minutes = count(130 * SECOND);
    for (let second = 0; second < 130; second++) {
      say(...minutes.slice(second * SECOND, (second + 1) * SECOND));
      if (second % 10 === 9) await written(session, (second + 1) * SECOND);
    }
    vi.advanceTimersByTime(500);
    socket().isReady(0);
    await vi.waitFor(() => expect(socket().audio.length).toBe(minutes.length));
    expect(socket().audio).toEqual(minutes);
  });

  test("what cannot be read at the moment is tried again, and nothing is left out", async () => {
    const held = await died(3, 0);
    const { session, socket, sockets, say } = page({ spool, locks, sampleRate: SECOND });
    void session.resume(held, true);
    await vi.waitFor(() => expect(sockets.length).toBe(1));
    const read = vi.spyOn(spool, "read").mockRejectedValue(new DOMException("", "UnknownError"));
    socket().isReady();
    say(7, 8, 9);
    await vi.waitFor(() => expect(session.snapshot().problem?.code).toBe("not_readable"));
    expect(socket().audio).toEqual([]);
    read.mockRestore();
    await vi.advanceTimersByTimeAsync(1_000);
    await vi.waitFor(() => expect(socket().audio.length).toBe(5 * SECOND + 3));
    expect(socket().audio.slice(0, 3 * SECOND)).toEqual(count(3 * SECOND));
    socket().says(ack(wire(SECOND)));
    expect(session.snapshot().problem).toBeNull();
  });

  test("an entry that cannot be read leaves the recording to be taken up later", async () => {
    const held = await died(1, 0);
    vi.spyOn(spool, "get").mockRejectedValue(new DOMException("", "UnknownError"));
    const { session, sockets } = page({ spool, locks, sampleRate: SECOND });
    await session.resume(held, false);
    expect(session.snapshot()).toMatchObject({ phase: "failed", problem: { code: "unreadable" } });
    await vi.waitFor(() => expect(locks.keys.size).toBe(0));
    expect([sockets.length, (await entry()).to]).toEqual([0, SECOND]);
  });

  test("what the browser threw away is said to be missing, and the rest is sent", async () => {
    const held = await died(3, 0);
    await spool.db.delete("parts", IDBKeyRange.bound([held.key], [held.key, Infinity]));
    const { session, socket, sockets, say } = page({ spool, locks, sampleRate: SECOND });
    void session.resume(held, true);
    await vi.waitFor(() => expect(sockets.length).toBe(1));
    socket().isReady();
    say(7, 8, 9);
    await vi.waitFor(() => expect(socket().audio.length).toBe(2 * SECOND + 3));
    expect(session.snapshot().problem?.message).toBe("3 seconds of this recording could not be held and are missing.");
    socket().says(ack(wire(2 * SECOND)));
    expect(session.snapshot()).toMatchObject({ keptMs: 2000, capturedMs: 2001 });
  });

  test("what waits to be finished can be set aside", async () => {
    const { session, socket, say } = await recording({ spool, locks, sampleRate: SECOND });
    socket().isReady();
    say(...count(SECOND / 2));
    socket().drops();
    await session.stop();
    await vi.waitFor(() => expect(session.snapshot().spooled).toBe(true));
    session.setAside();
    expect(session.snapshot().phase).toBe("idle");
    await vi.waitFor(() => expect(locks.keys.size).toBe(0));
    expect(await entry()).toMatchObject({ to: SECOND / 2, stopped: true, recordingId: "r1" });
  });
});
