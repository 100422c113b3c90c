/** The server's sentences, in which commands stand between backticks. */

export interface ProsePart {
  text: string;
  /** To be typed or copied as it is. */
  code: boolean;
}

/** `text` in order, without the backticks of its commands. A backtick without a partner stays what it is. */
export function proseParts(text: string): ProsePart[] {
  return text
    .split(/`([^`\n]+)`/u)
    .map((part, i) => ({ text: part, code: i % 2 === 1 }))
    .filter((part) => part.text !== "");
}
