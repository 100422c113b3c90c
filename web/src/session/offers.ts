/** Recordings that were interrupted: this device holds what is left of them, and no living page does. */

import type { Locks } from "./locks";
import type { Held, Spool } from "./spool";

export class Offers {
  #offers: readonly Held[] = [];
  readonly #watched = new Set<string>();
  readonly #listeners = new Set<() => void>();

  constructor(
    readonly spool: Promise<Spool | null>,
    readonly locks: Locks,
  ) {}

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  readonly snapshot = (): readonly Held[] => this.#offers;

  /** Looks anew. What another page holds is looked at again when that page lets go of it, or dies. */
  async load(): Promise<void> {
    const spool = await this.spool;
    if (!spool) return;
    // Asked before and after: what ends or begins meanwhile is not offered.
    const before = await this.locks.held();
    const all = await spool.list();
    const taken = new Set([...before, ...(await this.locks.held())]);
    for (const { key } of all) if (taken.has(key)) this.#watch(key);
    this.#show(all.filter(({ key, to, keptTo, recordingId }) => !taken.has(key) && (recordingId || to > keptTo)));
  }

  /** What the server does not have of it is gone, unless another page goes on with it; what the server has stays. */
  async discard(key: string): Promise<void> {
    this.#show(this.#offers.filter((offer) => offer.key !== key));
    // Another page may have taken it up since it was offered.
    const letGo = await this.locks.hold(key);
    if (!letGo) return this.load();
    await (await this.spool)?.discard(key);
    letGo();
  }

  #watch(key: string): void {
    if (this.#watched.has(key)) return;
    this.#watched.add(key);
    void this.locks.whenFree(key).then(() => {
      this.#watched.delete(key);
      void this.load();
    });
  }

  #show(offers: readonly Held[]): void {
    this.#offers = offers;
    for (const listener of this.#listeners) listener();
  }
}
