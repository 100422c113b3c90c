/** The jobs of this page: loads them, follows the server's announcements, and does what can be done with a job. */

import { ApiError } from "../api/client";
import {
  cancelJob,
  discardJobs,
  getJob,
  listJobs,
  replayJobs,
  startJob,
  type Job,
  type JobEvent,
  type JobRequest,
} from "../api/jobs";
import type { Announcements } from "../recordings/announcements";
import { sentence } from "../recordings/library";
import { count } from "../text/amounts";
import { NO_JOBS, reduceJobs, saysTooLittle, type JobsAction, type JobsState } from "./state";

const LOADED = 100;

export class JobBoard {
  #state: JobsState = NO_JOBS;
  readonly #listeners = new Set<() => void>();
  readonly #progressListeners = new Set<(recordingId: string) => void>();
  readonly #asking = new Map<string, Promise<void>>();
  readonly #askingNext = new Map<string, Promise<void>>();

  /** `say` shows one message to whoever is at the page. */
  constructor(private readonly say: (message: string) => void) {}

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  readonly snapshot = (): JobsState => this.#state;

  /** Called whenever a job on a recording got further. */
  onProgress(listener: (recordingId: string) => void): () => void {
    this.#progressListeners.add(listener);
    return () => void this.#progressListeners.delete(listener);
  }

  open(announcements: Announcements): () => void {
    void this.load();
    const stops = [
      announcements.onGap((first) => {
        if (!first || this.#state.status === "failed") void this.load();
      }),
      announcements.on("job", (event) => this.#wentOn(event)),
      announcements.on("recording", ({ recording_id, change }) => {
        if (change === "deleted") this.#dispatch({ type: "recording_removed", recordingId: recording_id });
      }),
    ];
    return () => {
      for (const stop of stops) stop();
    };
  }

  async load(): Promise<void> {
    try {
      this.#dispatch({ type: "loaded", page: await listJobs({ limit: LOADED }) });
    } catch (error) {
      this.#dispatch({ type: "failed", error: sentence(error) });
    }
  }

  async loadMore(): Promise<void> {
    try {
      this.#dispatch({ type: "extended", page: await listJobs({ limit: LOADED, cursor: this.#state.nextCursor }) });
    } catch (error) {
      this.say(sentence(error));
    }
  }

  /** Looks for the jobs of a recording that may be older than those that were loaded. */
  async findFor(recordingId: string): Promise<void> {
    try {
      this.#dispatch({ type: "got", jobs: (await listJobs({ recording: recordingId, limit: 5 })).jobs });
    } catch {
      // Nothing is shown of a job then; the next event or load brings it.
    }
  }

  async cancel(job: Job): Promise<void> {
    await this.#attempt(() => cancelJob(job.id), [job]);
  }

  /** Once more: what died goes on where it stopped, what failed or was cancelled begins again. */
  async again(job: Job): Promise<void> {
    if (job.state === "dead") return this.replay([job]);
    if (job.recording_id === null) return;
    await this.startOn(job.recording_id, { pipeline: job.pipeline, priority: job.priority, options: job.options });
  }

  /** One more job on a recording that is there. */
  async startOn(recordingId: string, wanted: JobRequest): Promise<void> {
    await this.#attempt(() => startJob(recordingId, wanted), []);
    await this.findFor(recordingId);
  }

  async replay(jobs: readonly Job[]): Promise<void> {
    const ids = jobs.map(({ id }) => id);
    await this.#attempt(async () => {
      const { passed_over } = await replayJobs(ids);
      if (passed_over.length > 0) this.say(`${count(passed_over.length, "job")} could not be tried again.`);
    }, jobs);
  }

  async discard(jobs: readonly Job[]): Promise<void> {
    await this.#attempt(() => discardJobs(jobs.map(({ id }) => id)), jobs);
  }

  async #attempt(action: () => Promise<unknown>, changed: readonly Job[]): Promise<void> {
    try {
      await action();
    } catch (error) {
      this.say(sentence(error));
    }
    await Promise.all(changed.map(({ id }) => this.#ask(id)));
  }

  #wentOn(event: JobEvent): void {
    if (saysTooLittle(this.#state, event)) void this.#ask(event.job_id);
    this.#dispatch({ type: "went_on", event });
    if (event.recording_id !== null) for (const listener of this.#progressListeners) listener(event.recording_id);
  }

  /** One question for a job at a time, and one more behind it: events may come faster than answers. */
  #ask(id: string): Promise<void> {
    const asked = this.#asking.get(id);
    if (!asked) return this.#start(id);
    let next = this.#askingNext.get(id);
    if (!next) {
      next = asked.then(() => {
        this.#askingNext.delete(id);
        return this.#start(id);
      });
      this.#askingNext.set(id, next);
    }
    return next;
  }

  #start(id: string): Promise<void> {
    const asked = this.#get(id).finally(() => this.#asking.delete(id));
    this.#asking.set(id, asked);
    return asked;
  }

  async #get(id: string): Promise<void> {
    try {
      this.#dispatch({ type: "got", jobs: [await getJob(id)] });
    } catch (error) {
      if (error instanceof ApiError && error.status === 404) this.#dispatch({ type: "removed", id });
    }
  }

  #dispatch(action: JobsAction): void {
    const next = reduceJobs(this.#state, action);
    if (next === this.#state) return;
    this.#state = next;
    for (const listener of this.#listeners) listener();
  }
}
