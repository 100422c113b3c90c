/** The jobs this page knows, as a pure function of what was loaded and announced. */

import type { Job, JobEvent, JobPage, JobState } from "../api/jobs";

export interface JobsState {
  status: "loading" | "ready" | "failed";
  /** By id. */
  jobs: ReadonlyMap<string, Job>;
  /** Why it failed, as a sentence. */
  error: string;
  nextCursor: string | null;
}

export type JobsAction =
  | { type: "loaded"; page: JobPage }
  | { type: "extended"; page: JobPage }
  | { type: "failed"; error: string }
  | { type: "got"; jobs: readonly Job[] }
  | { type: "went_on"; event: JobEvent }
  | { type: "removed"; id: string }
  | { type: "recording_removed"; recordingId: string };

export const NO_JOBS: JobsState = { status: "loading", jobs: new Map(), error: "", nextCursor: null };

export function reduceJobs(state: JobsState, action: JobsAction): JobsState {
  switch (action.type) {
    case "loaded":
      return {
        status: "ready",
        error: "",
        nextCursor: action.page.next_cursor,
        jobs: withJobs(new Map(), action.page.jobs),
      };
    case "extended":
      return { ...state, nextCursor: action.page.next_cursor, jobs: withJobs(state.jobs, action.page.jobs) };
    case "failed":
      return state.status === "ready" ? state : { ...state, status: "failed", error: action.error };
    case "got":
      return { ...state, jobs: withJobs(state.jobs, action.jobs) };
    case "went_on": {
      const before = state.jobs.get(action.event.job_id);
      if (!before) return state;
      const after = wentOn(before, action.event);
      return { ...state, jobs: after ? withJobs(state.jobs, [after]) : without(state.jobs, (job) => job === before) };
    }
    case "removed":
      return { ...state, jobs: without(state.jobs, ({ id }) => id === action.id) };
    case "recording_removed":
      return { ...state, jobs: without(state.jobs, ({ recording_id }) => recording_id === action.recordingId) };
  }
}

/** An event says less than the job itself: with another state or step, or a job that is not known, it is asked for. */
export function saysTooLittle(state: JobsState, event: JobEvent): boolean {
  const known = state.jobs.get(event.job_id);
  if (event.state === "deleted") return false;
  return !known || known.state !== event.state || known.step !== event.step;
}

/** The newest job on a recording. */
export function jobOf(state: JobsState, recordingId: string): Job | null {
  let newest: Job | null = null;
  for (const job of state.jobs.values()) {
    if (job.recording_id !== recordingId) continue;
    if (!newest || Date.parse(job.created_at) > Date.parse(newest.created_at)) newest = job;
  }
  return newest;
}

const ENDED: ReadonlySet<JobState> = new Set(["succeeded", "failed", "dead", "cancelled"]);

/** It goes on, or will. */
export function isUnderWay(job: Pick<Job, "state">): boolean {
  return !ENDED.has(job.state);
}

/** The job of a recording that is still shown with it: one that goes on, or that did not end well. */
export function standingJob(state: JobsState, recordingId: string): Job | null {
  const job = jobOf(state, recordingId);
  return job?.state === "succeeded" ? null : job;
}

export interface Queue {
  running: Job[];
  /** Those that wait: for their turn, for another attempt, or for something that is away. */
  waiting: Job[];
  dead: Job[];
  ended: Job[];
}

/** Jobs as the queue shows them: what runs and waits in the order it came, what is over with the newest first. */
export function queueOf(state: JobsState): Queue {
  const jobs = [...state.jobs.values()].sort((a, b) => Date.parse(a.created_at) - Date.parse(b.created_at));
  const newest = [...jobs].reverse();
  return {
    running: jobs.filter((job) => job.state === "running"),
    waiting: jobs.filter((job) => job.state === "queued" || job.state === "waiting"),
    dead: newest.filter((job) => job.state === "dead"),
    ended: newest.filter((job) => ENDED.has(job.state) && job.state !== "dead"),
  };
}

function wentOn(job: Job, event: JobEvent): Job | null {
  const { state, delayed, step, stage, percent, remaining_s } = event;
  return state === "deleted" ? null : { ...job, state, delayed, step, stage, percent, remaining_s };
}

function withJobs(jobs: ReadonlyMap<string, Job>, more: readonly Job[]): ReadonlyMap<string, Job> {
  const next = new Map(jobs);
  for (const job of more) next.set(job.id, job);
  return next;
}

function without(jobs: ReadonlyMap<string, Job>, goes: (job: Job) => boolean): ReadonlyMap<string, Job> {
  return new Map([...jobs].filter(([, job]) => !goes(job)));
}
