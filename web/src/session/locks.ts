/** Which recordings living tabs hold, by the Web Locks API: the browser lets go of a lock when its page dies. */

const PREFIX = "parley-recording-";

export interface Locks {
  /** Holds `key` until the returned function is called; null where another page holds it. */
  hold(key: string): Promise<(() => void) | null>;
  /** The keys that pages hold, this one included. */
  held(): Promise<ReadonlySet<string>>;
  /** Resolves when no page holds `key`. */
  whenFree(key: string): Promise<void>;
}

export const locks: Locks = {
  hold: (key) =>
    new Promise((resolve, reject) => {
      const request = navigator.locks.request(PREFIX + key, { ifAvailable: true }, (lock) => {
        if (!lock) return resolve(null);
        return new Promise<void>((release) => resolve(release));
      });
      request.catch(reject);
    }),

  async held() {
    const { held = [] } = await navigator.locks.query();
    return new Set(held.map(({ name = "" }) => name.slice(PREFIX.length)));
  },

  async whenFree(key) {
    await navigator.locks.request(PREFIX + key, () => undefined);
  },
};
