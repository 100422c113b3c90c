import { useEffect, useRef, type RefObject } from "react";

/** Room kept below the line that is being written: the dock and two lines. */
const ROOM_PX = 176;

/** Keeps the end of the text in view while it grows, unless the reader has scrolled up to read. */
export function useFollow(end: RefObject<HTMLElement | null>, active: boolean, changes: unknown): void {
  const following = useRef(true);
  const lastTop = useRef(0);

  useEffect(() => {
    if (!active) return;
    following.current = true;
    const onScroll = (): void => {
      const bottom = end.current?.getBoundingClientRect().bottom ?? 0;
      if (window.scrollY < lastTop.current - 4) following.current = false;
      else if (bottom <= window.innerHeight - ROOM_PX + 64) following.current = true;
      lastTop.current = window.scrollY;
    };
    window.addEventListener("scroll", onScroll, { passive: true });
    return () => window.removeEventListener("scroll", onScroll);
  }, [active, end]);

  useEffect(() => {
    const bottom = end.current?.getBoundingClientRect().bottom;
    if (!active || !following.current || bottom === undefined) return;
    const hidden = bottom - (window.innerHeight - ROOM_PX);
    // `behavior` comes from the style sheet, which knows about reduced motion.
    if (hidden > 0) window.scrollBy({ top: hidden });
  }, [active, changes, end]);
}
