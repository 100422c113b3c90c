import { useEffect, type RefObject } from "react";
import { wordAt } from "../text/weave";
import type { Word } from "../wire";
import type { Player } from "./usePlayer";

/** After the reader scrolled, the text stays where it is for this long. */
const HANDS_OFF_MS = 4_000;

/**
 * Lights the word being said, of those in `place` that bear their index in `words` as `data-word`.
 *
 * `follows`: the page scrolls along with it, unless the reader scrolls.
 */
export function useSpoken(
  place: RefObject<HTMLElement | null>,
  words: readonly Word[],
  onFrame: Player["onFrame"],
  follows: boolean,
): void {
  useEffect(() => {
    let lit: Element | null = null;
    let scrolledAt = -Infinity;
    const onWheel = (): void => {
      scrolledAt = performance.now();
    };
    window.addEventListener("wheel", onWheel, { passive: true });
    window.addEventListener("touchmove", onWheel, { passive: true });
    const stop = onFrame((ms, playing) => {
      const index = playing || ms > 0 ? wordAt(words, ms) : -1;
      const word = index < 0 ? null : (place.current?.querySelector(`[data-word="${index}"]`) ?? null);
      if (word === lit) return;
      lit?.classList.remove("spoken");
      word?.classList.add("spoken");
      lit = word;
      if (word && playing && follows && performance.now() - scrolledAt > HANDS_OFF_MS) bringIntoView(word);
    });
    return () => {
      lit?.classList.remove("spoken");
      stop();
      window.removeEventListener("wheel", onWheel);
      window.removeEventListener("touchmove", onWheel);
    };
  }, [follows, onFrame, place, words]);
}

function bringIntoView(word: Element): void {
  const { top, bottom } = word.getBoundingClientRect();
  if (top < 96 || bottom > window.innerHeight - 176) window.scrollBy({ top: top - window.innerHeight * 0.4 });
}
