import { proseParts } from "../text/prose";

/** Sentences of the server as they are, their commands set as code: one click selects the whole of one. */
export function Prose({ text }: { text: string }) {
  return proseParts(text.trim()).map((part, i) =>
    part.code ? (
      <code key={i} className="command" translate="no">
        {part.text}
      </code>
    ) : (
      part.text
    ),
  );
}
