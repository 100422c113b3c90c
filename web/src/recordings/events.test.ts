import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { follow, retryDelayMs, type Stream } from "./events";

class ScriptedStream extends EventTarget {
  readyState = 0;

  opens(): void {
    this.readyState = 1;
    this.dispatchEvent(new Event("open"));
  }

  /** The server answered with something else than a stream. */
  isRefused(): void {
    this.readyState = 2;
    this.dispatchEvent(new Event("error"));
  }

  /** The connection dropped, and the browser connects again by itself. */
  drops(): void {
    this.readyState = 0;
    this.dispatchEvent(new Event("error"));
  }

  close(): void {
    this.readyState = 2;
  }
}

describe("retryDelayMs", () => {
  test("doubles from a second up to half a minute", () => {
    expect([1, 2, 3, 4, 5, 6, 7, 99].map((failures) => retryDelayMs(failures, 1))).toEqual([
      1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000,
    ]);
  });

  test("is spread over the second half of that", () => {
    expect([0, 0.5, 1].map((random) => retryDelayMs(3, random))).toEqual([2_000, 3_000, 4_000]);
  });

  test("is never nothing", () => expect(retryDelayMs(0, 0)).toBe(500));
});

describe("follow", () => {
  const streams: ScriptedStream[] = [];
  const onOpen = vi.fn();
  const onEvent = vi.fn();
  const start = () =>
    follow(
      () => {
        streams.push(new ScriptedStream());
        return streams.at(-1) as unknown as Stream;
      },
      { kinds: ["recording", "job"], onOpen, onEvent },
    );

  beforeEach(() => {
    vi.useFakeTimers();
    vi.spyOn(Math, "random").mockReturnValue(1);
  });
  afterEach(() => {
    vi.useRealTimers();
    vi.restoreAllMocks();
    onOpen.mockReset();
    onEvent.mockReset();
    streams.length = 0;
  });

  test("events of the kinds that are known are handed on", () => {
    start();
    for (const kind of ["recording", "job", "weather"]) {
      streams[0]!.dispatchEvent(new MessageEvent(kind, { data: `"${kind}"` }));
    }
    expect(onEvent.mock.calls).toEqual([
      ["recording", '"recording"'],
      ["job", '"job"'],
    ]);
  });

  test("a dropped stream is left to the browser", () => {
    start();
    streams[0]!.opens();
    streams[0]!.drops();
    vi.advanceTimersByTime(120_000);
    expect(streams.length).toBe(1);
    streams[0]!.opens();
    expect(onOpen).toHaveBeenCalledTimes(2);
  });

  test("a refused stream is opened again, later each time, and sooner again once it was open", () => {
    start();
    const opened = (afterMs: number) => {
      vi.advanceTimersByTime(afterMs - 1);
      const before = streams.length;
      vi.advanceTimersByTime(1);
      return streams.length - before;
    };
    for (const delay of [1_000, 2_000, 4_000]) {
      streams.at(-1)!.isRefused();
      expect(opened(delay)).toBe(1);
    }
    streams.at(-1)!.opens();
    streams.at(-1)!.isRefused();
    expect(opened(1_000)).toBe(1);
  });

  test("a sign of life ends the waiting, and changes nothing where none waits", () => {
    const follower = start();
    follower.retryNow();
    expect(streams.length).toBe(1);
    streams[0]!.isRefused();
    follower.retryNow();
    expect(streams.length).toBe(2);
    vi.advanceTimersByTime(60_000);
    expect(streams.length).toBe(2);
  });

  test("closed, it stays closed", () => {
    const follower = start();
    streams[0]!.isRefused();
    follower.close();
    follower.retryNow();
    vi.advanceTimersByTime(60_000);
    expect(streams.length).toBe(1);
  });
});
