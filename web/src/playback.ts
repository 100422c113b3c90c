/**
 * Playing a stretch of any recording from anywhere on the page.
 *
 * Where the recording is open, its own player does it; else the small one at the foot of the page.
 */

export interface Stretch {
  recordingId: string;
  startMs: number;
  /** Where it stops by itself; null: at the recording's end. */
  endMs: number | null;
  /** What the recording is called. */
  title: string;
}

type Player = (stretch: Stretch) => void;

export class Playback {
  #stretch: Stretch | null = null;
  readonly #open = new Map<string, Player>();
  readonly #listeners = new Set<() => void>();

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  /** What the small player is to play; a new object for every time it is asked to. */
  readonly stretch = (): Stretch | null => this.#stretch;

  play(stretch: Stretch): void {
    const player = this.#open.get(stretch.recordingId);
    if (player) {
      this.#show(null);
      return player(stretch);
    }
    this.#show({ ...stretch });
  }

  close(): void {
    this.#show(null);
  }

  /** While recording `id` is open on the page, `player` plays it. */
  register(id: string, player: Player): () => void {
    this.#open.set(id, player);
    if (this.#stretch?.recordingId === id) this.#show(null);
    return () => void (this.#open.get(id) === player && this.#open.delete(id));
  }

  #show(stretch: Stretch | null): void {
    if (stretch === this.#stretch) return;
    this.#stretch = stretch;
    for (const listener of this.#listeners) listener();
  }
}

/** One voice at a time: what begins to play silences all else. */
export function oneAtATime(): () => void {
  const onPlay = ({ target }: Event): void => {
    for (const audio of document.querySelectorAll("audio")) if (audio !== target) audio.pause();
  };
  document.addEventListener("play", onPlay, true);
  return () => document.removeEventListener("play", onPlay, true);
}
