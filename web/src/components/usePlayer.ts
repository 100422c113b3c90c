import { useCallback, useEffect, useMemo, useRef, useState, type RefObject } from "react";

export const SEEK_MS = 5_000;
const SPEEDS = [1, 1.25, 1.5, 2, 0.75] as const;

export interface Player {
  audio: RefObject<HTMLAudioElement | null>;
  playing: boolean;
  /** The place, to a tenth of a second. */
  ms: number;
  durationMs: number;
  speed: number;
  failed: boolean;
  toggle: () => void;
  /** Plays from `fromMs`, up to `untilMs` where that is not null. */
  play: (fromMs: number, untilMs: number | null) => void;
  pause: () => void;
  seek: (ms: number) => void;
  skip: (ms: number) => void;
  nextSpeed: () => void;
  retry: () => void;
  /** Called at once, on every frame while it plays, and after every seek, with the place in whole milliseconds. */
  onFrame: (listener: (ms: number, playing: boolean) => void) => () => void;
}

/** The state of one native audio element, which does the playing. */
export function usePlayer(knownDurationMs: number): Player {
  const audio = useRef<HTMLAudioElement>(null);
  const listeners = useRef(new Set<(ms: number, playing: boolean) => void>());
  const until = useRef<number | null>(null);
  const [playing, setPlaying] = useState(false);
  const [ms, setMs] = useState(0);
  const [loadedMs, setLoadedMs] = useState(0);
  const [speed, setSpeed] = useState(1);
  const [failed, setFailed] = useState(false);
  const durationMs = loadedMs || knownDurationMs;

  useEffect(() => {
    const element = audio.current;
    if (!element) return;
    let frame = 0;
    const tell = (): void => {
      const now = placeOf(element);
      setMs(Math.floor(now / 100) * 100);
      for (const listener of listeners.current) listener(now, !element.paused);
      if (until.current !== null && now >= until.current && !element.paused) {
        until.current = null;
        element.pause();
      }
    };
    const run = (): void => {
      tell();
      frame = element.paused ? 0 : requestAnimationFrame(run);
    };
    const on = (): void => {
      setPlaying(!element.paused);
      cancelAnimationFrame(frame);
      run();
    };
    const onDuration = (): void => {
      setFailed(false);
      if (Number.isFinite(element.duration)) setLoadedMs(element.duration * 1000);
    };
    const onError = (): void => setFailed(true);
    const events: [string, () => void][] = [
      ["play", on],
      ["pause", on],
      ["ended", on],
      ["seeking", tell],
      ["seeked", tell],
      // Frames do not come to a page that is not seen.
      ["timeupdate", tell],
      ["durationchange", onDuration],
      ["error", onError],
    ];
    for (const [name, handler] of events) element.addEventListener(name, handler);
    return () => {
      cancelAnimationFrame(frame);
      for (const [name, handler] of events) element.removeEventListener(name, handler);
    };
  }, []);

  useEffect(() => {
    if (audio.current) audio.current.playbackRate = speed;
  }, [speed]);

  const toggle = useCallback(() => {
    const element = audio.current;
    if (!element) return;
    until.current = null;
    // What keeps it from playing arrives as an error event of the element.
    if (element.paused) void element.play().catch(() => undefined);
    else element.pause();
  }, []);
  const seek = useCallback((to: number) => {
    until.current = null;
    if (audio.current) audio.current.currentTime = Math.max(0, to / 1000);
  }, []);
  const play = useCallback(
    (from: number, to: number | null) => {
      seek(from);
      until.current = to;
      void audio.current?.play().catch(() => undefined);
    },
    [seek],
  );
  const pause = useCallback(() => audio.current?.pause(), []);
  const skip = useCallback((by: number) => seek((audio.current?.currentTime ?? 0) * 1000 + by), [seek]);
  const nextSpeed = useCallback(() => setSpeed((now) => SPEEDS[(SPEEDS.indexOf(now as 1) + 1) % SPEEDS.length]!), []);
  const retry = useCallback(() => {
    setFailed(false);
    audio.current?.load();
  }, []);
  const onFrame = useCallback((listener: (ms: number, playing: boolean) => void) => {
    listeners.current.add(listener);
    if (audio.current) listener(placeOf(audio.current), !audio.current.paused);
    return () => void listeners.current.delete(listener);
  }, []);

  return useMemo(
    () => ({
      audio,
      playing,
      ms,
      durationMs,
      speed,
      failed,
      toggle,
      play,
      pause,
      seek,
      skip,
      nextSpeed,
      retry,
      onFrame,
    }),
    [playing, ms, durationMs, speed, failed, toggle, play, pause, seek, skip, nextSpeed, retry, onFrame],
  );
}

/** Rounded, because 2.345 s times 1000 may fall short of the 2345 ms at which a word begins. */
function placeOf(element: HTMLAudioElement): number {
  return Math.round(element.currentTime * 1000);
}
