import { describe, expect, test } from "vitest";
import type { Job, JobEvent } from "../api/jobs";
import { jobPhrase, jobReason, jobRest } from "./phrase";
import { jobOf, NO_JOBS, queueOf, reduceJobs, saysTooLittle, type JobsAction } from "./state";

const job = (id: string, more: Partial<Job> = {}): Job => ({
  id,
  recording_id: `r-${id}`,
  pipeline: ["transcribe", "summarise"],
  priority: "normal",
  state: "running",
  options: {},
  delayed: null,
  percent: 10,
  step: "transcribe",
  stage: null,
  remaining_s: null,
  created_at: "2026-11-20T08:00:00Z",
  started_at: null,
  finished_at: null,
  error: null,
  steps: [],
  ...more,
});
const at = (minute: number): string => `2026-11-20T08:${String(minute).padStart(2, "0")}:00Z`;
const loaded = (...jobs: Job[]): JobsAction => ({ type: "loaded", page: { jobs, next_cursor: null } });
const run = (...actions: JobsAction[]) => actions.reduce(reduceJobs, NO_JOBS);
const event = (id: string, more: Partial<JobEvent> = {}): JobEvent => ({
  job_id: id,
  recording_id: `r-${id}`,
  state: "running",
  delayed: null,
  step: "transcribe",
  stage: "stage",
  percent: 40,
  remaining_s: 30,
  ...more,
});

describe("what is known of jobs", () => {
  test("an event moves its job on, and no other", () => {
    const state = run(loaded(job("a"), job("b")), { type: "went_on", event: event("a") });
    expect(state.jobs.get("a")).toMatchObject({ percent: 40, remaining_s: 30, stage: "stage" });
    expect(state.jobs.get("b")?.percent).toBe(10);
  });

  test("an event of a job that is not known, or is in another state or step, asks for the job", () => {
    const state = run(loaded(job("a")));
    expect(saysTooLittle(state, event("a"))).toBe(false);
    expect(saysTooLittle(state, event("x"))).toBe(true);
    expect(saysTooLittle(state, event("a", { state: "succeeded" }))).toBe(true);
    expect(saysTooLittle(state, event("a", { step: "summarise" }))).toBe(true);
  });

  test("a job that was deleted goes", () => {
    const state = run(loaded(job("a"), job("b")));
    const deleted = event("a", { state: "deleted" });
    expect([...reduceJobs(state, { type: "went_on", event: deleted }).jobs.keys()]).toEqual(["b"]);
    expect(saysTooLittle(state, deleted)).toBe(false);
  });

  test("a recording's job is the newest on it", () => {
    const first = job("a", { recording_id: "r", created_at: at(1) });
    const second = job("b", { recording_id: "r", created_at: at(2) });
    expect(jobOf(run(loaded(second, first)), "r")?.id).toBe("b");
    expect(jobOf(run(loaded(second, first)), "other")).toBeNull();
  });

  test("a failure does not take away what was shown", () => {
    expect(run({ type: "failed", error: "No." }).status).toBe("failed");
    expect(run(loaded(job("a")), { type: "failed", error: "No." }).status).toBe("ready");
  });

  test("a deleted recording's jobs go with it", () => {
    expect([...run(loaded(job("a"), job("b")), { type: "recording_removed", recordingId: "r-a" }).jobs.keys()]).toEqual(
      ["b"],
    );
  });
});

test("the queue shows what waits in the order it came, and what is over with the newest first", () => {
  const queue = queueOf(
    run(
      loaded(
        job("w2", { state: "waiting", created_at: at(3) }),
        job("w1", { state: "queued", created_at: at(2) }),
        job("e1", { state: "failed", created_at: at(1) }),
        job("e2", { state: "succeeded", created_at: at(4) }),
        job("d", { state: "dead" }),
        job("r", { state: "running" }),
      ),
    ),
  );
  expect(queue.running.map(({ id }) => id)).toEqual(["r"]);
  expect(queue.waiting.map(({ id }) => id)).toEqual(["w1", "w2"]);
  expect(queue.dead.map(({ id }) => id)).toEqual(["d"]);
  expect(queue.ended.map(({ id }) => id)).toEqual(["e2", "e1"]);
});

describe("a job in words", () => {
  const error = { class: "permanent" as const, code: "no_audio", message: "The file holds no sound." };

  test("says what is being done, how far it is, and what is left", () => {
    expect(jobPhrase(job("a"))).toBe("Writing down what is said");
    expect(jobRest(job("a", { percent: 43, remaining_s: 130 }))).toBe("43 %, about 2 min left");
    expect(jobRest(job("a", { state: "queued", percent: 0 }))).toBe("");
  });

  test("names a step that is not built in", () => {
    expect(jobPhrase(job("a", { step: "redact" }))).toBe("Working on “redact”");
  });

  test("gives the reason where it stands still or ended, and only there", () => {
    expect(jobReason(job("a", { state: "waiting", delayed: "The engine is away." }))).toBe("The engine is away.");
    expect(jobReason(job("a", { state: "failed", error }))).toBe("The file holds no sound.");
    expect(jobReason(job("a", { state: "running", error }))).toBeNull();
  });
});
