/** Jobs: what is done with a file or a recording, step by step, as `docs/jobs.md` tells. */

import { json, path, query, request, type Recording } from "./client";

export type JobState = "queued" | "running" | "waiting" | "succeeded" | "failed" | "dead" | "cancelled";

export interface JobError {
  class: "retryable" | "permanent" | "quota" | "delayed" | "lost";
  code: string;
  message: string;
}

/** An attempt that came to nothing. */
export interface JobFailure {
  at: string;
  attempt: number;
  error: JobError;
}

export interface JobStep {
  name: string;
  kind: string;
  state: JobState | "pending";
  attempt: number;
  /** 0 to 1. */
  progress: number;
  stage: string | null;
  error: JobError | null;
  failures: JobFailure[];
}

export interface Job {
  id: string;
  recording_id: string | null;
  pipeline: string[];
  priority: "urgent" | "normal" | "bulk";
  state: JobState;
  options: JobOptions;
  /** Why it waits for something that is away, as a sentence. */
  delayed: string | null;
  percent: number;
  /** The step that runs, waits, or ended the job. */
  step: string | null;
  stage: string | null;
  /** Seconds of work and waits still to come, where that is known. */
  remaining_s: number | null;
  created_at: string;
  started_at: string | null;
  finished_at: string | null;
  error: JobError | null;
  steps: JobStep[];
}

/** What the server's event stream says of a job as it goes on. */
export interface JobEvent {
  job_id: string;
  recording_id: string | null;
  state: JobState | "deleted";
  delayed: string | null;
  step: string | null;
  stage: string | null;
  percent: number;
  remaining_s: number | null;
}

export interface JobPage {
  jobs: Job[];
  next_cursor: string | null;
}

export interface JobOptions {
  language?: string | null;
  template?: string;
}

export interface JobRequest {
  pipeline?: string[];
  priority?: Job["priority"];
  options?: JobOptions;
}

/** `passed_over`: those that were not dead, or whose audio is another job's by now. */
export interface DeadLettersAnswer {
  done: string[];
  passed_over: string[];
}

interface JobQuery {
  state?: JobState;
  recording?: string;
  limit?: number;
  cursor?: string | null;
}

/** Newest first. */
export const listJobs = (wanted: JobQuery = {}): Promise<JobPage> => request(`/jobs${query({ ...wanted })}`);

export const getJob = (id: string): Promise<Job> => request(job(id));

export const cancelJob = (id: string): Promise<Job> => request(`${job(id)}/cancel`, { method: "POST" });

/** Dead jobs get all their attempts again. */
export const replayJobs = (ids: readonly string[]): Promise<DeadLettersAnswer> =>
  request("/jobs/replay", json("POST", { ids }));

/** Dead jobs are given up. */
export const discardJobs = (ids: readonly string[]): Promise<DeadLettersAnswer> =>
  request("/jobs/discard", json("POST", { ids }));

/** One more job on a recording that is there. */
export const startJob = (recordingId: string, wanted: JobRequest): Promise<unknown> =>
  request(`${path(recordingId)}/jobs`, json("POST", wanted));

/** A recording of what lies at `url`. */
export const importUrl = (url: string): Promise<{ recording: Recording; job: Job }> =>
  request("/recordings/import", json("POST", { url }));

function job(id: string): string {
  return `/jobs/${encodeURIComponent(id)}`;
}
