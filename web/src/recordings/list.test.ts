import { describe, expect, test } from "vitest";
import type { Recording } from "../api/client";
import { EMPTY_LIST, find, isUnwritten, nameOf, reduceList, shown, type ListAction } from "./list";

const recording = (id: string, hour: number, more: Partial<Recording> = {}): Recording => ({
  id,
  title: null,
  state: "finished",
  created_at: `2026-11-20T${String(hour).padStart(2, "0")}:00:00+00:00`,
  duration_ms: 1000,
  language: "en",
  preview: "",
  origin: "live",
  source_name: null,
  same_as: null,
  ...more,
});
const loaded: ListAction = {
  type: "loaded",
  page: { recordings: [recording("a", 8), recording("b", 9)], next_cursor: null },
};
const run = (...actions: ListAction[]) => actions.reduce(reduceList, EMPTY_LIST);
const ids = (...actions: ListAction[]) => shown(run(...actions)).map(({ id }) => id);

test("the newest is first, wherever it came from", () => {
  expect(ids(loaded, { type: "changed", recording: recording("c", 10) })).toEqual(["c", "b", "a"]);
});

test("a changed recording takes its own place", () => {
  const state = run(loaded, { type: "changed", recording: recording("a", 8, { title: "New" }) });
  expect(state.recordings.map(({ title }) => title)).toEqual([null, "New"]);
});

test("a deletion hides at once and can be undone", () => {
  expect(ids(loaded, { type: "leaving", id: "a" })).toEqual(["b"]);
  expect(ids(loaded, { type: "leaving", id: "a" }, { type: "staying", id: "a" })).toEqual(["b", "a"]);
  expect(ids(loaded, { type: "leaving", id: "a" }, loaded)).toEqual(["b"]);
});

test("a failure does not take away what was shown", () => {
  expect(run({ type: "failed", error: "No." }).status).toBe("failed");
  expect(run(loaded, { type: "failed", error: "No." }).status).toBe("ready");
});

test("older recordings are added once", () => {
  const page = { recordings: [recording("a", 8), recording("z", 1)], next_cursor: "more" };
  expect(ids(loaded, { type: "extended", page })).toEqual(["b", "a", "z"]);
});

describe("a session that this page lost", () => {
  const live: ListAction = { type: "changed", recording: recording("c", 10, { state: "recording", duration_ms: 0 }) };
  const lost: ListAction = { type: "lost", id: "c", keptMs: 4200 };

  test("is interrupted at once, whatever the server still says of it", () => {
    for (const actions of [
      [loaded, live, lost],
      [loaded, lost, live],
    ]) {
      expect(find(run(...actions), "c")).toMatchObject({ state: "interrupted", duration_ms: 4200 });
      expect(shown(run(...actions)).map(({ state }) => state)).toEqual(["interrupted", "finished", "finished"]);
    }
  });

  test("cannot be deleted before the server knows", () => {
    const ended: ListAction = { type: "changed", recording: recording("c", 10, { state: "interrupted" }) };
    expect(find(run(live, lost), "c")?.deletable).toBe(false);
    expect(find(run(live, lost, ended), "c")).toMatchObject({ deletable: true, duration_ms: 1000 });
  });

  test("says nothing about another one", () => {
    expect(find(run(live, { type: "lost", id: "x", keptMs: 1 }), "c")).toMatchObject({ state: "recording" });
    expect(find(run(lost), "c")).toBeNull();
  });
});

test("a recording is called by its title, else by its file, its first words, or what it is", () => {
  expect(nameOf(recording("a", 1, { title: "T", preview: "P" }))).toBe("T");
  expect(nameOf(recording("a", 1, { preview: "P" }))).toBe("P");
  expect(nameOf(recording("a", 1, { state: "recording" }))).toBe("New recording");
  expect(nameOf(recording("a", 1, { preview: "P", source_name: "f.mp3" }))).toBe("f.mp3");
  expect(nameOf(recording("a", 1, { source_name: "f.mp3", state: "processing" }))).toBe("f.mp3");
  expect(nameOf(recording("a", 1))).toBe("No words");
});

test("a file whose job ended early is unwritten, a live recording that was interrupted is what it is", () => {
  expect(isUnwritten(recording("a", 1, { state: "processing", origin: "upload" }))).toBe(true);
  expect(isUnwritten(recording("a", 1, { state: "interrupted", origin: "import" }))).toBe(true);
  expect(isUnwritten(recording("a", 1, { state: "interrupted" }))).toBe(false);
  expect(isUnwritten(recording("a", 1, { origin: "upload" }))).toBe(false);
});
