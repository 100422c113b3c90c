import { describe, expect, test } from "vitest";
import { clock, day, spokenDuration, daysAgo, shortDate } from "./time";
import { proseParts } from "./prose";
import { units } from "./units";
import { weave, wordAt } from "./weave";

const join = (text: string): string =>
  units(text)
    .map((unit) => (unit.spaced ? " " : "") + unit.text)
    .join("");

describe("units", () => {
  test.each([
    "The quick, brown fox.",
    "a well-set page—and more",
    "本日はお集まりいただき、ありがとうございます。",
    "最初の「読書室」の公開 is 3月 soon",
    "Buổi sáng hôm nay",
    "- a dash to begin with",
    "한국어 문장입니다.",
    "C++ & (brackets) 50% £3.20",
  ])("nothing of %j is lost", (text) => expect(join(text)).toBe(text));

  test("hyphens are places to break", () => {
    expect(units("well-set page").map(({ text }) => text)).toEqual(["well-", "set", "page"]);
  });

  test("each ideograph stands alone, with the marks that may not begin a line", () => {
    expect(units("読書、室").map(({ text }) => text)).toEqual(["読", "書、", "室"]);
    expect(units("「読」書").map(({ text }) => text)).toEqual(["「読」", "書"]);
  });

  test("what has no italics stays upright", () => {
    expect(units("読 said 한국").map(({ upright }) => upright)).toEqual([true, false, true]);
  });
});

describe("weave", () => {
  const words = (...texts: string[]) => texts.map((text) => ({ text }));
  const woven = (text: string, ...parts: string[]) => {
    const result = weave(text, words(...parts));
    return result.woven.map(({ gap, word }) => gap + word.text).join("") + result.rest;
  };

  test("blanks and joins are as the text has them", () => {
    expect(woven("the quick fox", "the", "quick", "fox")).toBe("the quick fox");
    expect(woven("読書室です。", "読書", "室", "です。")).toBe("読書室です。");
  });

  test("a text without words is kept whole", () => expect(woven("Only text.")).toBe("Only text."));

  test("a word that is not in the text is set with a blank", () => expect(woven("one", "one", "two")).toBe("one two"));
});

describe("wordAt", () => {
  const words = [
    { start_ms: 0, end_ms: 400 },
    { start_ms: 500, end_ms: 900 },
    { start_ms: 3000, end_ms: 3200 },
  ];
  test.each([
    [0, 0],
    [450, 0],
    [500, 1],
    [1300, 1],
    [2000, -1],
    [3100, 2],
    [9000, -1],
  ])("at %i ms it is word %i", (ms, index) => expect(wordAt(words, ms)).toBe(index));
});

describe("proseParts", () => {
  const marked = (text: string) => proseParts(text).map((part) => (part.code ? `<${part.text}>` : part.text));

  test("commands stand apart from what is said about them", () => {
    expect(marked("Run `parley models get base`, or `parley models use PATH`.")).toEqual([
      "Run ",
      "<parley models get base>",
      ", or ",
      "<parley models use PATH>",
      ".",
    ]);
    expect(marked("`make web`")).toEqual(["<make web>"]);
  });

  test.each(["Connect once to the network.", "A stray ` stays.", "Nothing `` between."])(
    "%j is left as it is",
    (text) => expect(marked(text)).toEqual([text]),
  );

  test("nothing is nothing", () => expect(marked("")).toEqual([]));
});

describe("times", () => {
  test.each([
    [0, "0:00"],
    [-40, "0:00"],
    [499, "0:00"],
    [5_600, "0:06"],
    [42_400, "0:42"],
    [59_600, "1:00"],
    [751_000, "12:31"],
    [3_599_499, "59:59"],
    [3_599_500, "1:00:00"],
    [3_723_000, "1:02:03"],
  ])("%i ms is written %s", (ms, written) => expect(clock(ms)).toBe(written));

  test("for ears, in words", () => {
    expect(spokenDuration(125_000)).toBe("2 minutes 5 seconds");
    expect(spokenDuration(3_601_000)).toBe("1 hour 1 second");
    expect(spokenDuration(5_600)).toBe("6 seconds");
    expect(spokenDuration(0)).toBe("0 seconds");
  });

  test("a day is as short as it can be understood", () => {
    const now = new Date(2026, 10, 20, 9);
    const at = (...parts: [number, number, number, number]) => day(new Date(...parts).toISOString(), now, "en-GB");
    expect(at(2026, 10, 20, 1)).toBe("Today");
    expect(at(2026, 10, 19, 23)).toBe("Yesterday");
    expect(at(2026, 10, 12, 8)).toBe("12 Nov");
    expect(at(2025, 8, 26, 8)).toBe("Sept 2025");
  });
});

test("so many days ago is a date of the calendar", () => {
  expect(daysAgo(7, new Date(2026, 2, 3, 23, 59))).toBe("2026-02-24");
  expect(shortDate("2026-02-24", "en-GB")).toBe("24 Feb 2026");
});
