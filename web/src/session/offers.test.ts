import { expect, test, vi } from "vitest";
import type { Locks } from "./locks";
import { Offers } from "./offers";
import type { Held, Spool } from "./spool";

const held = (key: string, more: Partial<Held> = {}): Held => ({
  key,
  recordingId: `r-${key}`,
  resumeToken: "t",
  sampleRate: 1000,
  startedAt: 0,
  origin: 0,
  keptTo: 0,
  to: 5_000,
  stopped: false,
  ...more,
});

function setUp(entries: Held[], taken: string[] = []) {
  const living = new Map(taken.map((key) => [key, new EventTarget()]));
  const locks: Locks = {
    hold: (key) => Promise.resolve(living.has(key) ? null : () => undefined),
    held: () => Promise.resolve(new Set(living.keys())),
    whenFree: (key) => new Promise((resolve) => living.get(key)?.addEventListener("death", () => resolve())),
  };
  const spool = {
    list: () => Promise.resolve(entries),
    discard: vi.fn((key: string) =>
      Promise.resolve(void entries.splice(0, 9, ...entries.filter((e) => e.key !== key))),
    ),
  };
  const offers = new Offers(Promise.resolve(spool as unknown as Spool), locks);
  return {
    offers,
    spool,
    takesUp: (key: string) => void living.set(key, new EventTarget()),
    keys: () => offers.snapshot().map(({ key }) => key),
    dies: (key: string) => {
      living.get(key)?.dispatchEvent(new Event("death"));
      living.delete(key);
    },
  };
}

test("what no living page holds is offered", async () => {
  const { offers, keys } = setUp([held("a"), held("b")], ["b"]);
  await offers.load();
  expect(keys()).toEqual(["a"]);
});

test("what a page held is offered as soon as that page dies", async () => {
  const { offers, keys, dies } = setUp([held("a")], ["a"]);
  await offers.load();
  await offers.load();
  expect(keys()).toEqual([]);
  dies("a");
  await vi.waitFor(() => expect(keys()).toEqual(["a"]));
});

test("all of it sent, it still wants to be finished; without a sample there is nothing to offer", async () => {
  const sent = held("sent", { keptTo: 5_000 });
  const empty = held("empty", { recordingId: null, resumeToken: null, to: 0 });
  const { offers, keys } = setUp([sent, empty]);
  await offers.load();
  expect(keys()).toEqual(["sent"]);
});

test("what is discarded is gone at once and for good", async () => {
  const { offers, keys, spool } = setUp([held("a"), held("b")]);
  await offers.load();
  const gone = offers.discard("a");
  expect(keys()).toEqual(["b"]);
  await gone;
  expect(spool.discard).toHaveBeenCalledWith("a");
  await offers.load();
  expect(keys()).toEqual(["b"]);
});

test("what another page has taken up meanwhile is not discarded", async () => {
  const { offers, keys, spool, takesUp, dies } = setUp([held("a")]);
  await offers.load();
  takesUp("a");
  await offers.discard("a");
  expect(spool.discard).not.toHaveBeenCalled();
  dies("a");
  await vi.waitFor(() => expect(keys()).toEqual(["a"]));
});

test("a browser without storage offers nothing", async () => {
  const { offers } = setUp([]);
  const without = new Offers(Promise.resolve(null), offers.locks);
  await without.load();
  expect(without.snapshot()).toEqual([]);
});
