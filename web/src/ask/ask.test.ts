import { describe, expect, test } from "vitest";
import type { Answer, AskEvent, Claim } from "../api/ask";
import { cut, eventsOf } from "./sse";
import { isOver, NOT_ASKING, questionOf, reduceAsking, type AskingAction } from "./state";

describe("events out of a body", () => {
  const text =
    'event: status\r\ndata: {"a":1}\r\n\r\n: ping\n\nevent: claim\ndata: one\ndata: two\n\nevent: answer\ndata: h';

  test("are whole, and the rest waits", () => {
    expect(cut(text)).toEqual([
      [
        { event: "status", data: '{"a":1}' },
        { event: "claim", data: "one\ntwo" },
      ],
      "event: answer\ndata: h",
    ]);
  });

  test("do not depend on where the body was cut, not even within a character", async () => {
    const bytes = new TextEncoder().encode("event: claim\ndata: größer 雨\n\nevent: done\ndata: {}\n\n");
    for (const size of [1, 2, 3, 7, bytes.length]) {
      const body = new ReadableStream<Uint8Array>({
        start(controller) {
          for (let at = 0; at < bytes.length; at += size) controller.enqueue(bytes.slice(at, at + size));
          controller.close();
        },
      });
      const events = [];
      for await (const event of eventsOf(body)) events.push(event);
      expect(events).toEqual([
        { event: "claim", data: "größer 雨" },
        { event: "done", data: "{}" },
      ]);
    }
  });
});

const claim: Claim = { text: "Grey cloth.", citations: [] };
const answer: Answer = {
  answered: true,
  method: "extract",
  text: "Grey cloth.",
  claims: [claim],
  provider: null,
  model: null,
  notice: null,
};
const asked = (id: number, question = "Which cloth?"): AskingAction => ({ type: "asked", id, question });
const came = (id: number, event: AskEvent): AskingAction => ({ type: "came", id, event });
const run = (...actions: AskingAction[]) => actions.reduce(reduceAsking, NOT_ASKING);

describe("a conversation", () => {
  test("claims are shown as they come, and are the answer's in the end", () => {
    const thinking = run(asked(1), came(1, { name: "claim", data: { ...claim, text: "First." } }));
    expect(thinking.turns[0]!.claims.map(({ text }) => text)).toEqual(["First."]);
    expect(isOver(thinking.turns[0]!)).toBe(false);
    const over = reduceAsking(thinking, came(1, { name: "answer", data: answer }));
    expect(over.turns[0]).toMatchObject({ claims: [claim], answer });
  });

  test("an end without an answer is one that broke off", () => {
    expect(run(asked(1), came(1, { name: "done", data: {} })).turns[0]!.error).toBe("The answer broke off.");
    const state = run(asked(1), came(1, { name: "answer", data: answer }), came(1, { name: "done", data: {} }));
    expect(state.turns[0]!.error).toBeNull();
  });

  test("what was answered goes along with the next question, and what broke off does not", () => {
    const state = run(
      { type: "opened", scope: "r" },
      asked(1, "One?"),
      came(1, { name: "answer", data: answer }),
      asked(2, "Two?"),
      { type: "failed", id: 2, error: "Away." },
    );
    expect(questionOf(state, "And three?")).toEqual({
      question: "And three?",
      recording_id: "r",
      history: [{ question: "One?", answer: "Grey cloth." }],
    });
  });

  test("begins anew about another recording, and is still there when it is opened again", () => {
    const state = run({ type: "opened", scope: "r" }, asked(1), came(1, { name: "answer", data: answer }), {
      type: "closed",
    });
    expect(reduceAsking(state, { type: "opened", scope: "r" }).turns.length).toBe(1);
    expect(reduceAsking(state, { type: "opened", scope: null }).turns.length).toBe(0);
  });

  test("a question asked while another waits takes its place", () => {
    expect(run(asked(1, "One?"), asked(2, "Two?")).turns.map(({ question }) => question)).toEqual(["Two?"]);
  });
});
