import { useEffect, type CSSProperties, type ReactNode } from "react";
import type { Job } from "../api/jobs";
import { Callout } from "../components/Callout";
import { Prose } from "../components/Prose";
import { useJobs, useServices } from "../services";
import { jobPhrase, jobReason, jobRest } from "./phrase";
import { isUnderWay, standingJob } from "./state";

/** The job of a recording that is not done or did not end well; looked for where it is older than those that are known. */
export function useStandingJob(recordingId: string): Job | null {
  const { board } = useServices();
  const jobs = useJobs();
  useEffect(() => void board.findFor(recordingId), [board, recordingId]);
  return standingJob(jobs, recordingId);
}

/** What a job is doing, how far it is, and what can be done about it. */
export function JobLine({ job, children }: { job: Job; children?: ReactNode }) {
  const { board } = useServices();
  const reason = jobReason(job);
  if (!isUnderWay(job)) {
    return (
      <Callout
        tone={job.state === "cancelled" ? "note" : "trouble"}
        code={`job_${job.state}`}
        action={
          <button type="button" className="button" onClick={() => void board.again(job)}>
            Try again
          </button>
        }
      >
        <p data-testid="job-state" data-state={job.state}>
          {jobPhrase(job)}. {reason && <Prose text={reason} />}
        </p>
        {children}
      </Callout>
    );
  }
  return (
    <div className="job-line" style={{ "--done": job.percent / 100 } as CSSProperties}>
      <div className="job-words">
        <p role="status">
          <span data-testid="job-state" data-state={job.state} data-step={job.step}>
            {jobPhrase(job)}
          </span>{" "}
          <span className="tabular job-rest">{jobRest(job)}</span>
        </p>
        <button type="button" className="text-button" data-testid="cancel-job" onClick={() => void board.cancel(job)}>
          Cancel
        </button>
      </div>
      {reason && (
        <p className="job-reason" data-testid="job-reason">
          <Prose text={reason} />
        </p>
      )}
      <JobProgress job={job} />
    </div>
  );
}

export function JobProgress({ job }: { job: Job }) {
  return (
    <div
      className="progress-line"
      data-still={job.state !== "running"}
      role="progressbar"
      aria-label={jobPhrase(job)}
      aria-valuenow={job.percent}
      aria-valuemin={0}
      aria-valuemax={100}
    />
  );
}

/** The same in one line, for a list. */
export function JobNote({ job }: { job: Job }) {
  const rest = jobRest(job);
  const reason = jobReason(job);
  return (
    <span className="recording-note" data-testid="job-note" data-state={job.state} data-bad={!isUnderWay(job)}>
      {jobPhrase(job)}
      {rest && <span className="tabular">, {rest}</span>}
      {reason && (
        <>
          . <Prose text={reason} />
        </>
      )}
    </span>
  );
}
