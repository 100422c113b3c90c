/** What the double pretends to have heard: sentences, and where each was said. */

export const SPOKEN = [
  "The first draft of anything is a conversation with yourself, and it is easier to have it out loud.",
  "So this morning I want to walk through the plan once, without stopping, and see where it catches.",
  "We begin with the archive: eleven hundred hours of interviews, most of them on tape, none of them written down.",
  "If we can search them by the end of winter, the book writes itself.",
  "Marguerite thinks the reading room should open to visitors in March, which is earlier than anyone else dared to say.",
  "I think she is right.",
];

/** Words with times, as a recogniser would give them: longer words take longer, a stop takes a breath. */
export function timed(text, startMs, joins = false) {
  let at = startMs;
  const parts = joins ? [...text] : text.split(" ");
  return parts.map((part) => {
    const start = at;
    at += (joins ? 170 : 90) + part.length * 52;
    const end = at;
    if (/[.,:;。，、]$/.test(part)) at += 220;
    return { text: part, start_ms: start, end_ms: end, confidence: 0.95 };
  });
}

export function segmentsOf(sentences, { language = "en", joins = false, suspect = -1 } = {}) {
  let at = 400;
  return sentences.map((text, segment) => {
    const words = timed(text, at, joins);
    const start = at - 200;
    const end = words.at(-1).end_ms + 300;
    at = end + 600;
    return {
      segment,
      start_ms: Math.max(0, start),
      end_ms: end,
      text,
      words,
      language,
      confidence: segment === suspect ? 0.41 : 0.93,
      suspect: segment === suspect,
    };
  });
}

const JAPANESE = [
  "本日はお集まりいただき、ありがとうございます。",
  "最初の議題は、来年の「読書室」の公開についてです。",
];
const VIETNAMESE = [
  "Buổi sáng hôm nay, chúng tôi nói về những câu chuyện mà bà ngoại thường kể.",
  "Mỗi câu chuyện đều bắt đầu bằng một chuyến đi dài về phía biển.",
];

export function seeds(now) {
  const ago = (hours) => new Date(now - hours * 3_600_000).toISOString();
  return [
    seed("r-archive", "The archive, before winter", ago(2), segmentsOf(SPOKEN, { suspect: 3 })),
    seed(
      "r-short",
      null,
      ago(5),
      segmentsOf(["Remind me to call the binder about the grey cloth, and to ask whether the endpapers came."]),
    ),
    seed("r-interrupted", "Interview with Tomás, part two", ago(26), segmentsOf(SPOKEN.slice(2, 5)), "interrupted"),
    seed("r-japanese", null, ago(52), segmentsOf(JAPANESE, { language: "ja", joins: true })),
    seed("r-vietnamese", "Chuyện bà kể", ago(24 * 9), segmentsOf(VIETNAMESE, { language: "vi" })),
    seed("r-old", null, ago(24 * 420), segmentsOf(["We never did find out who had left the piano in the stairwell."])),
  ];
}

function seed(id, title, created_at, segments, state = "finished") {
  return {
    recording: {
      id,
      title,
      state,
      created_at,
      duration_ms: segments.at(-1).end_ms + 500,
      language: segments[0].language,
      preview: segments
        .map(({ text }) => text)
        .join(" ")
        .slice(0, 120),
      origin: "live",
      source_name: null,
      same_as: null,
    },
    segments,
    pcm: null,
  };
}
