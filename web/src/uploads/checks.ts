/** What can be said of a file before any of it is sent. Whether it holds sound only the server can tell. */

import { bytes } from "../text/amounts";

/** Why `file` is not worth sending, as a sentence; null where it is. `mostBytes`: the server's limit, if it is known. */
export function refusal(file: Pick<File, "name" | "size">, mostBytes: number | null): string | null {
  if (file.size === 0) return "This file is empty.";
  if (mostBytes !== null && file.size > mostBytes) {
    return `This file has ${bytes(file.size)}; the server takes at most ${bytes(mostBytes)}.`;
  }
  return null;
}

/** A whole address of the web, or null: "example.com/talk.mp3" is taken for https. */
export function webAddress(text: string): string | null {
  const written = text.trim();
  if (written === "" || /\s/u.test(written)) return null;
  const whole = /^[a-z][a-z0-9+.-]*:/iu.test(written) && !/^[^/]+:\d/u.test(written) ? written : `https://${written}`;
  try {
    const url = new URL(whole);
    return (url.protocol === "https:" || url.protocol === "http:") && url.hostname ? url.href : null;
  } catch {
    return null;
  }
}

/** Whether a refused or failed request is worth another try: not where the server said no to the file itself. */
export function comesBack(status: number | null): boolean {
  if (status === null || status >= 500) return true;
  // Two were at the same place, too many at once, or a part that was damaged on its way.
  return [408, 409, 423, 425, 429, 460].includes(status);
}
