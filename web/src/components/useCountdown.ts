import { useEffect, useState } from "react";
import type { Problem } from "../session/problems";

/** Whole seconds until `problem` is worth another try, counting down from when it was first seen. */
export function useCountdown(problem: Problem | null): number {
  const [seen, setSeen] = useState<{ problem: Problem | null; left: number }>({ problem: null, left: 0 });
  if (seen.problem !== problem) setSeen({ problem, left: Math.ceil(problem?.retryAfterS ?? 0) });
  useEffect(() => {
    if (!problem?.retryAfterS) return;
    const timer = setInterval(() => setSeen((now) => ({ ...now, left: Math.max(0, now.left - 1) })), 1000);
    return () => clearInterval(timer);
  }, [problem]);
  return seen.problem === problem ? seen.left : 0;
}
