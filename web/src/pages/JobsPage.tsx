import { useEffect, type CSSProperties, type ReactNode } from "react";
import { Link } from "wouter";
import type { Job } from "../api/jobs";
import { ArrowLeftIcon } from "../components/icons";
import { Prose } from "../components/Prose";
import { JobProgress } from "../jobs/JobLine";
import { doing, jobPhrase, jobReason, jobRest } from "../jobs/phrase";
import { isUnderWay, queueOf } from "../jobs/state";
import { find, nameOf } from "../recordings/list";
import { useJobs, useList, useServices } from "../services";
import { count } from "../text/amounts";
import { day, timeOfDay } from "../text/time";

/** What is being done with recordings: what runs, what waits and why, and what did not work. */
export default function JobsPage() {
  const { board } = useServices();
  const state = useJobs();
  useEffect(() => {
    document.title = "Queue · Parley";
  }, []);
  useEffect(() => void board.load(), [board]);
  return (
    <main tabIndex={-1} className="column jobs-page" data-status={state.status}>
      <Link href="/" className="back-link">
        <ArrowLeftIcon /> Recordings
      </Link>
      <h1>Queue</h1>
      {state.status === "loading" && <Skeleton />}
      {state.status === "failed" && (
        <div className="state" role="alert">
          <p>
            The queue could not be loaded. <Prose text={state.error} />
          </p>
          <button type="button" className="button" onClick={() => void board.load()}>
            Try again
          </button>
        </div>
      )}
      {state.status === "ready" && <Queue />}
    </main>
  );
}

function Queue() {
  const { board } = useServices();
  const state = useJobs();
  const { running, waiting, dead, ended } = queueOf(state);
  if (state.jobs.size === 0) {
    return (
      <div className="state" data-testid="queue-empty">
        <p>Nothing is being worked on, and nothing waits. Files you add are written down here.</p>
        <Link href="/" className="button">
          Go to the recordings
        </Link>
      </div>
    );
  }
  return (
    <>
      <Part title="Running" jobs={running} />
      <Part title="Waiting" jobs={waiting} />
      <Part
        title="Did not work"
        jobs={dead}
        actions={
          dead.length > 1 && (
            <>
              <button
                type="button"
                className="text-button"
                data-testid="replay-all"
                onClick={() => void board.replay(dead)}
              >
                Try all {dead.length} again
              </button>
              <button type="button" className="text-button" onClick={() => void board.discard(dead)}>
                Give all up
              </button>
            </>
          )
        }
      />
      <Part title="Over" jobs={ended} />
      {state.nextCursor !== null && (
        <button type="button" className="button more" onClick={() => void board.loadMore()}>
          Show older jobs
        </button>
      )}
    </>
  );
}

function Part({ title, jobs, actions }: { title: string; jobs: readonly Job[]; actions?: ReactNode }) {
  if (jobs.length === 0) return null;
  return (
    <section className="jobs-part" aria-label={title} data-testid="jobs-part" data-part={title}>
      <header>
        <h2>{title}</h2>
        <span>{actions}</span>
      </header>
      <ol>
        {jobs.map((job) => (
          <Row key={job.id} job={job} />
        ))}
      </ol>
    </section>
  );
}

function Row({ job }: { job: Job }) {
  const reason = jobReason(job);
  const under = isUnderWay(job);
  return (
    <li
      className="job-item"
      data-testid="job-item"
      data-state={job.state}
      style={{ "--done": job.percent / 100 } as CSSProperties}
    >
      <p className="recording-date">
        <span>{day(job.created_at, new Date())}</span>{" "}
        <time dateTime={job.created_at}>{timeOfDay(job.created_at)}</time>
      </p>
      <div className="job-words">
        <div>
          <p className="job-name">
            <About job={job} />
            {job.priority !== "normal" && <span className="job-priority">{job.priority}</span>}
          </p>
          <p className="recording-note">
            {jobPhrase(job)}
            {jobRest(job) && <span className="tabular">, {jobRest(job)}</span>}
            {reason && (
              <>
                . <Prose text={reason} />
              </>
            )}
          </p>
        </div>
        <Actions job={job} />
      </div>
      {!under && job.steps.some(({ failures }) => failures.length > 0) && <History job={job} />}
      {under && <JobProgress job={job} />}
    </li>
  );
}

function About({ job }: { job: Job }) {
  const known = find(useList(), job.recording_id ?? "");
  if (job.recording_id === null) return <span>A job without a recording</span>;
  return <Link href={`/recordings/${job.recording_id}`}>{known ? nameOf(known) : "A recording"}</Link>;
}

function Actions({ job }: { job: Job }) {
  const { board } = useServices();
  if (isUnderWay(job)) {
    return (
      <button type="button" className="text-button" onClick={() => void board.cancel(job)}>
        Cancel
      </button>
    );
  }
  if (job.state === "succeeded") return null;
  return (
    <span className="job-actions">
      <button type="button" className="text-button" onClick={() => void board.again(job)}>
        Try again
      </button>
      {job.state === "dead" && (
        <button type="button" className="text-button" onClick={() => void board.discard([job])}>
          Give up
        </button>
      )}
    </span>
  );
}

/** Every attempt that came to nothing, with its reason. */
function History({ job }: { job: Job }) {
  const failures = job.steps.flatMap((step) => step.failures.map((failure) => ({ ...failure, step: step.name })));
  return (
    <details className="job-history">
      <summary>{count(failures.length, "attempt")}</summary>
      <ol>
        {failures.map((failure, i) => (
          <li key={i}>
            <time dateTime={failure.at} className="tabular">
              {timeOfDay(failure.at)}
            </time>{" "}
            {doing(failure.step)}: {failure.error.message} <code className="command">{failure.error.code}</code>
          </li>
        ))}
      </ol>
    </details>
  );
}

/** Where the rows will stand. */
function Skeleton() {
  return (
    <div className="skeleton" role="status" aria-label="Loading the queue">
      {[72, 58, 66].map((width) => (
        <div key={width} className="skeleton-row">
          <span style={{ width: `${width}%` }} />
          <span />
        </div>
      ))}
    </div>
  );
}
