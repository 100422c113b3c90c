/** Keeps the screen on until the returned function is called. Browsers that cannot are left alone. */
export function keepAwake(): () => void {
  let wanted = true;
  let lock: WakeLockSentinel | null = null;

  const request = async (): Promise<void> => {
    if (!wanted || document.visibilityState !== "visible" || !("wakeLock" in navigator)) return;
    try {
      lock = await navigator.wakeLock.request("screen");
      if (!wanted) void lock.release();
    } catch {
      // Refused, for one on low battery: recording goes on without it.
    }
  };
  // The browser drops the lock when the page is hidden; ask again when it is back.
  const onVisible = (): void => void request();
  document.addEventListener("visibilitychange", onVisible);
  void request();

  return () => {
    wanted = false;
    document.removeEventListener("visibilitychange", onVisible);
    void lock?.release();
  };
}
