/** What a job is doing, in a few words. */

import type { Job } from "../api/jobs";
import { left } from "../text/amounts";

const DOING: Readonly<Record<string, string>> = {
  fetch: "Fetching the file",
  transcribe: "Writing down what is said",
  translate: "Translating",
  summarise: "Writing the notes",
  index: "Making it searchable",
  notify: "Telling whoever asked",
};

/** The step, for a person; a step that is not built in by its name. */
export function doing(step: string | null): string {
  if (step === null) return "Finishing";
  return DOING[step] ?? `Working on “${step}”`;
}

/** The state in one line, without the reason why it is not going on. */
export function jobPhrase(job: Job): string {
  switch (job.state) {
    case "queued":
      return job.delayed ? "Waiting" : job.percent > 0 ? doing(job.step) : "In the queue";
    case "running":
      return doing(job.step);
    case "waiting":
      return job.delayed ? "Waiting" : `${doing(job.step)}: it did not work, and is tried again`;
    case "succeeded":
      return "Done";
    case "failed":
      return "It could not be done";
    case "dead":
      return "It did not work, however often it was tried";
    case "cancelled":
      return "Cancelled";
  }
}

/** "43 %, about 2 min left": what is known of the rest; empty where nothing is. */
export function jobRest(job: Job): string {
  if (job.state !== "running" && job.state !== "queued" && job.state !== "waiting") return "";
  const parts = [];
  if (job.percent > 0 || job.state === "running") parts.push(`${job.percent} %`);
  if (job.remaining_s !== null && job.state === "running") parts.push(left(job.remaining_s));
  return parts.join(", ");
}

/** Why a job stands still or ended without success; null where it goes on. */
export function jobReason(job: Job): string | null {
  if (job.delayed && (job.state === "queued" || job.state === "waiting")) return job.delayed;
  if (job.state === "succeeded" || job.state === "cancelled" || job.state === "running") return null;
  return job.error?.message ?? null;
}
