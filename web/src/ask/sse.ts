/** Server-sent events out of the body of an answer: `EventSource` can only ask by GET. */

export interface ServerEvent {
  event: string;
  data: string;
}

/** The events of `body`, in order. What is not ended by an empty line is none. */
export async function* eventsOf(body: ReadableStream<Uint8Array>): AsyncGenerator<ServerEvent> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let rest = "";
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      const [events, left] = cut(rest + decoder.decode(value, { stream: true }));
      rest = left;
      yield* events;
    }
  } finally {
    void reader.cancel().catch(() => undefined);
  }
}

/** The whole events in `text`, and what is left of it. Lines end by \n or \r\n. */
export function cut(text: string): [ServerEvent[], string] {
  const blocks = text.split(/\r?\n\r?\n/u);
  const left = blocks.pop()!;
  return [blocks.flatMap(parsed), left];
}

function parsed(block: string): ServerEvent[] {
  let event = "message";
  const data: string[] = [];
  for (const line of block.split(/\r?\n/u)) {
    const [, field, value] = /^([^:]+):? ?(.*)$/u.exec(line) ?? [];
    if (field === "event") event = value!;
    if (field === "data") data.push(value!);
  }
  return data.length > 0 ? [{ event, data: data.join("\n") }] : [];
}
