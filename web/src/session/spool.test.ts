import { IDBFactory } from "fake-indexeddb";
import "fake-indexeddb/auto";
import { beforeEach, describe, expect, test, vi } from "vitest";
import { AudioRing } from "./ring";
import { Spool, SpoolWriter, type Held } from "./spool";

const HELD: Held = {
  key: "a",
  recordingId: null,
  resumeToken: null,
  sampleRate: 1000,
  startedAt: 5,
  origin: 0,
  keptTo: 0,
  to: 0,
  stopped: false,
};
const ramp = (from: number, length: number): Int16Array => Int16Array.from({ length }, (_, i) => from + i);

let spool: Spool;
beforeEach(async () => {
  vi.stubGlobal("indexedDB", new IDBFactory());
  spool = await Spool.open();
});

/** Everything that can be read of `key` from `position` on. */
async function readAll(position: number, key = "a"): Promise<number[]> {
  const all: number[] = [];
  for (;;) {
    const samples = await spool.read(key, position + all.length);
    if (!samples) return all;
    all.push(...samples);
  }
}

describe("Spool", () => {
  test("gives back from any position what was written, also to a page that comes later", async () => {
    await spool.write({ ...HELD, to: 100 }, { start: 0, samples: ramp(0, 100) });
    await spool.write({ ...HELD, to: 150 }, { start: 100, samples: ramp(100, 50) });
    spool = await Spool.open();
    expect(await readAll(0)).toEqual([...ramp(0, 150)]);
    expect(await readAll(120)).toEqual([...ramp(120, 30)]);
    expect(await spool.read("a", 150)).toBeNull();
    expect(await spool.list()).toEqual([{ ...HELD, to: 150 }]);
  });

  test("lets go of the parts of which the server keeps all", async () => {
    for (let start = 0; start < 500; start += 100) {
      await spool.write({ ...HELD, keptTo: 250, to: start + 100 }, { start, samples: ramp(start, 100) });
    }
    expect(await readAll(0)).toEqual([]);
    expect(await readAll(200)).toEqual([...ramp(200, 300)]);
  });

  test("tells recordings apart, the newest first", async () => {
    await spool.write({ ...HELD, to: 10 }, { start: 0, samples: ramp(0, 10) });
    await spool.write({ ...HELD, key: "b", startedAt: 9, to: 20 }, { start: 0, samples: ramp(50, 20) });
    expect((await spool.list()).map(({ key }) => key)).toEqual(["b", "a"]);
    await spool.discard("b");
    expect((await spool.list()).map(({ key }) => key)).toEqual(["a"]);
    expect([await readAll(0), await readAll(0, "b")]).toEqual([[...ramp(0, 10)], []]);
  });
});

describe("SpoolWriter", () => {
  function setUp({ failing = false } = {}) {
    const ring = new AudioRing(1000);
    const onFailed = vi.fn();
    const full = { write: vi.fn(() => Promise.reject(new DOMException("", "QuotaExceededError"))) };
    const writer = new SpoolWriter(failing ? (full as unknown as Spool) : spool, HELD, ring, onFailed);
    const capture = (samples: number): void => {
      for (let left = samples; left > 0; left -= 100) {
        ring.push(ramp(ring.end, Math.min(100, left)));
        writer.captured();
      }
    };
    return { ring, writer, capture, onFailed, full };
  }

  test("writes what was captured a second at a time", async () => {
    const { writer, capture } = setUp();
    capture(900);
    await Promise.resolve();
    expect(await spool.list()).toEqual([]);
    capture(300);
    await vi.waitFor(() => expect(writer.writtenTo).toBeGreaterThanOrEqual(1000));
    capture(50);
    await writer.flush();
    expect(await readAll(0)).toEqual([...ramp(0, 1250)]);
    expect(await spool.list()).toEqual([{ ...HELD, to: 1250 }]);
  });

  test("notes what the server said at once, what it keeps with the next part", async () => {
    const { writer, capture } = setUp();
    writer.note({ recordingId: "r1", resumeToken: "t" });
    await writer.flush();
    expect(await spool.list()).toMatchObject([{ recordingId: "r1", resumeToken: "t", keptTo: 0 }]);
    capture(1000);
    writer.kept(700);
    await writer.flush();
    expect(await spool.list()).toMatchObject([{ recordingId: "r1", keptTo: 700, to: 1000 }]);
  });

  test("passes over what the server kept before it was written", async () => {
    const { ring, writer, capture } = setUp();
    capture(500);
    ring.letGo(300);
    writer.kept(300);
    await writer.flush();
    expect(await readAll(300)).toEqual([...ramp(300, 200)]);
  });

  test("a browser without room is said once, and asked no more", async () => {
    const { writer, capture, onFailed, full } = setUp({ failing: true });
    capture(1000);
    await writer.flush();
    capture(3000);
    await writer.flush();
    expect([onFailed.mock.calls.length, full.write.mock.calls.length, writer.writtenTo]).toEqual([1, 1, 0]);
  });

  test("nothing is left of what was discarded, though it was just being written", async () => {
    const { writer, capture } = setUp();
    capture(1500);
    void writer.flush();
    await writer.discard();
    capture(2000);
    await writer.flush();
    expect([await spool.list(), await readAll(0)]).toEqual([[], []]);
  });
});
