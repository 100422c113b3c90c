import { useEffect, useRef } from "react";

type Keys = Readonly<Record<string, () => void>>;

/** Single-key shortcuts, while nobody is typing and no dialog is open. Letters are given in lower case. */
export function useKeys(keys: Keys): void {
  const current = useRef(keys);
  useEffect(() => {
    current.current = keys;
  });
  useEffect(() => {
    const onKeyDown = (event: KeyboardEvent): void => {
      if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
      if (event.repeat && event.key.length === 1) return;
      if (document.querySelector("dialog[open]") || takesKey(event.target, event.key)) return;
      const action = current.current[event.key.length === 1 ? event.key.toLowerCase() : event.key];
      if (!action) return;
      event.preventDefault();
      action();
    };
    document.addEventListener("keydown", onKeyDown);
    return () => document.removeEventListener("keydown", onKeyDown);
  }, []);
}

/** The focused element has its own use for the key. */
function takesKey(target: EventTarget | null, key: string): boolean {
  if (!(target instanceof HTMLElement)) return false;
  if (target.isContentEditable) return true;
  if (target instanceof HTMLInputElement) return target.type !== "range" || key.startsWith("Arrow");
  if (target instanceof HTMLTextAreaElement || target instanceof HTMLSelectElement) return true;
  return key === " " && target.closest("button, a, summary") !== null;
}
