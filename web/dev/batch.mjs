/**
 * The batch path of the double: uploads by tus, jobs that take half a minute, notes, search and answers. The words are
 * those of dev/script.mjs, whatever the file; a file whose name does not end like sound or video is refused.
 */

import { segmentsOf, SPOKEN } from "./script.mjs";

const PIPELINE = ["transcribe", "summarise", "index", "notify"];
const STEP_S = [12, 5, 2, 1];
const SOUND = /\.(mp3|wav|m4a|aac|flac|ogg|opus|webm|mp4)$/i;

export function batch({ scene, recordings, announce, event }) {
  const jobs = new Map();
  const uploads = new Map();
  const notes = new Map();
  const templates = [
    template("standard", "Standard", "Notes of a meeting or a talk."),
    template("diary", "Diary", "As the speaker's own diary would tell it."),
  ];
  let count = 0;

  for (const [id, { segments }] of recordings) if (segments.length > 4) notes.set(id, notesOf(segments));
  if (scene === "queue") seedQueue();

  function seedQueue() {
    const [first, second, third] = recordings.keys();
    begin(first, { pipeline: ["summarise"] });
    Object.assign(begin(second, { still: true }), {
      state: "waiting",
      delayed: "The engine at 127.0.0.1:8001 does not answer.",
    });
    Object.assign(begin(third, { still: true }), {
      state: "dead",
      error: { class: "retryable", code: "storage_unavailable", message: "The storage did not take the audio." },
    });
  }

  function recordingOf({ filename, title = null, origin }) {
    const id = `r-file-${++count}`;
    const created_at = new Date().toISOString();
    const known = { title, created_at, duration_ms: 0, language: null, preview: "", source_name: filename };
    const recording = { id, state: "processing", origin, same_as: null, ...known };
    recordings.set(id, { recording, segments: [], pcm: null });
    announce(id, "created");
    return recording;
  }

  function begin(recording_id, { pipeline = PIPELINE, priority = "normal", fails = null, still = false } = {}) {
    const id = `j-${++count}`;
    const steps = pipeline.map((name) => ({
      name,
      kind: "stt",
      state: "pending",
      attempt: 0,
      progress: 0,
      stage: null,
      error: null,
      failures: [],
    }));
    const job = {
      id,
      recording_id,
      pipeline,
      priority,
      state: "queued",
      options: {},
      delayed: scene === "delayed" ? "The engine at 127.0.0.1:8001 does not answer." : null,
      percent: 0,
      step: pipeline[0],
      stage: null,
      remaining_s: null,
      created_at: new Date().toISOString(),
      started_at: null,
      finished_at: null,
      error: null,
      steps,
    };
    jobs.set(id, job);
    tell(job);
    if (!still && !job.delayed) run(job, fails);
    return job;
  }

  function run(job, fails) {
    const total = job.pipeline.reduce((sum, name) => sum + (STEP_S[PIPELINE.indexOf(name)] ?? 4), 0);
    const began = Date.now();
    const script = segmentsOf([...SPOKEN, ...SPOKEN], { suspect: 3 });
    const timer = setInterval(() => {
      if (job.state === "cancelled") return clearInterval(timer);
      const passed = (Date.now() - began) / 1000;
      let before = 0;
      job.step = job.pipeline.find((name) => passed < (before += STEP_S[PIPELINE.indexOf(name)] ?? 4)) ?? null;
      Object.assign(job, {
        state: job.step === null ? "succeeded" : "running",
        percent: Math.min(job.step === null ? 100 : 99, Math.floor((100 * passed) / total)),
        remaining_s: Math.max(0, total - passed),
      });
      const entry = recordings.get(job.recording_id);
      if (!entry) return clearInterval(timer);
      if (fails) {
        clearInterval(timer);
        Object.assign(job, { state: "failed", error: { class: "permanent", code: "not_audio", message: fails } });
        return tell(job);
      }
      if (job.pipeline.includes("transcribe")) {
        const done = Math.min(script.length, Math.floor((script.length * passed) / STEP_S[0]));
        if (done > entry.segments.length) {
          entry.segments = script.slice(0, done);
          entry.recording.preview = entry.segments
            .map(({ text }) => text)
            .join(" ")
            .slice(0, 120);
          Object.assign(entry.recording, { duration_ms: script.at(-1).end_ms + 500, language: "en" });
        }
        if (job.step !== "transcribe" && entry.recording.state === "processing") {
          entry.recording.state = "finished";
          announce(job.recording_id, "updated");
        }
      }
      if (job.step !== "transcribe" && job.step !== "summarise") notes.set(job.recording_id, notesOf(entry.segments));
      if (job.step === null) clearInterval(timer);
      tell(job);
    }, 500);
  }

  function tell(job) {
    const { id: job_id, recording_id, state, delayed, step, stage, percent, remaining_s } = job;
    event("job", { job_id, recording_id, state, delayed, step, stage, percent, remaining_s });
  }

  /** Answers what is about files, jobs, notes and finding; false where it is about something else. */
  return async function handle(path, url, request, { json, error, body, response }) {
    if (path.startsWith("/uploads")) return tus(path, request, { error, response });
    if (path === "/recordings/import") {
      const { url: address } = JSON.parse(await body());
      if (/localhost|127\./.test(address))
        return error(400, "forbidden_address", `${address} leads into this network.`);
      const recording = recordingOf({ filename: address.split("/").at(-1), origin: "import" });
      return json(202, { recording, job: begin(recording.id) });
    }
    if (path === "/jobs") {
      const of = url.searchParams.get("recording");
      const found = [...jobs.values()].filter((job) => !of || job.recording_id === of);
      return json(200, { jobs: found.reverse(), next_cursor: null });
    }
    if (path === "/jobs/replay" || path === "/jobs/discard") {
      for (const id of JSON.parse(await body()).ids) {
        const job = jobs.get(id);
        if (path === "/jobs/replay") run(job, null);
        else Object.assign(job, { state: "failed" });
        tell(job);
      }
      return json(200, {});
    }
    const [, jobId, action] = path.match(/^\/jobs\/([^/]+)(?:\/(\w+))?$/) ?? [];
    if (jobId) {
      const job = jobs.get(jobId);
      if (!job) return error(404, "not_found", "There is no such job.");
      if (action === "cancel") {
        Object.assign(job, { state: "cancelled", remaining_s: null });
        tell(job);
      }
      return json(200, job);
    }
    if (path === "/webhooks") return json(200, { webhooks: [] });
    if (path === "/templates") return json(200, { templates });
    const [, id, part] = path.match(/^\/recordings\/([^/]+)\/(jobs|notes)$/) ?? [];
    if (part === "jobs") return json(202, begin(id, JSON.parse(await body())));
    if (part === "notes") {
      const wanted = url.searchParams.get("template") ?? "standard";
      const found = notes.get(id);
      if (!found || !templates.some(({ name }) => name === wanted))
        return error(404, "no_notes", "There are no notes.");
      return json(200, {
        recording_id: id,
        template: wanted,
        templates: ["standard"],
        created_at: new Date().toISOString(),
        notes: found,
      });
    }
    if (path === "/search") return search(url, { json, error });
    if (path === "/ask") return answer(JSON.parse(await body()), response);
    return false;
  };

  async function tus(path, request, { error, response }) {
    const common = { "tus-resumable": "1.0.0", "tus-version": "1.0.0" };
    if (request.method === "OPTIONS") {
      return response.writeHead(204, { ...common, "tus-max-size": 2_000_000_000 }).end();
    }
    if (request.method === "POST") {
      const id = `up-${++count}`;
      const pairs = (request.headers["upload-metadata"] ?? "").split(",").map((pair) => pair.trim().split(" "));
      const metadata = Object.fromEntries(
        pairs.map(([key, value]) => [key, Buffer.from(value ?? "", "base64").toString()]),
      );
      uploads.set(id, { size: Number(request.headers["upload-length"]), offset: 0, metadata });
      return response.writeHead(201, { ...common, location: `/api/v1/uploads/${id}` }).end();
    }
    const id = path.split("/")[2];
    const upload = uploads.get(id);
    if (!upload) return error(404, "not_found", "There is no such upload.");
    if (request.method === "DELETE") {
      uploads.delete(id);
      return response.writeHead(204, common).end();
    }
    if (request.method === "PATCH") {
      for await (const chunk of request) {
        upload.offset += chunk.length;
        if (scene === "slow-upload") await new Promise((resolve) => setTimeout(resolve, 40));
      }
      if (!SOUND.test(upload.metadata.filename)) {
        uploads.delete(id);
        return error(400, "unsupported_media", "This is a PNG image, and holds no sound.");
      }
      if (upload.offset === upload.size && !upload.recordingId) {
        upload.recordingId = recordingOf({ filename: upload.metadata.filename, origin: "upload" }).id;
        const fails = /broken/.test(upload.metadata.filename) ? "The file ends before its sound begins." : null;
        upload.jobId = begin(upload.recordingId, { priority: upload.metadata.priority, fails }).id;
      }
    }
    const made = upload.recordingId && { "parley-recording-id": upload.recordingId, "parley-job-id": upload.jobId };
    const place = { "upload-offset": upload.offset, "upload-length": upload.size, "cache-control": "no-store" };
    return response.writeHead(request.method === "HEAD" ? 200 : 204, { ...common, ...place, ...made }).end();
  }

  function hits(q, recording_id) {
    const words = q.toLowerCase().match(/\p{L}{3,}/gu) ?? [];
    const found = [];
    for (const { recording, segments } of recordings.values()) {
      if (recording_id && recording.id !== recording_id) continue;
      for (const [i, segment] of segments.entries()) {
        if (!words.some((word) => segment.text.toLowerCase().includes(word))) continue;
        const around = segments.slice(Math.max(0, i - 1), i + 2);
        found.push({
          recording_id: recording.id,
          title: recording.title,
          created_at: recording.created_at,
          language: segment.language,
          start_ms: around[0].start_ms,
          end_ms: around.at(-1).end_ms,
          at_ms: segment.start_ms,
          segments: around.map((one) => ({
            number: one.segment,
            start_ms: one.start_ms,
            end_ms: one.end_ms,
            pieces: pieces(one.text, words),
          })),
          scores: { fused: 1, dense: 0.5, words: 1 },
        });
      }
    }
    return found;
  }

  function search(url, { json, error }) {
    if (scene === "no-search") return error(503, "rag_unavailable", "The search service does not answer.");
    const found = hits(url.searchParams.get("q") ?? "", url.searchParams.get("recording"));
    return json(200, { hits: found.slice(0, 20), next_offset: null });
  }

  async function answer({ question, recording_id }, response) {
    response.writeHead(200, { "content-type": "text/event-stream" });
    const say = (name, data) => response.write(`event: ${name}\ndata: ${JSON.stringify(data)}\n\n`);
    const rest = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
    say("status", { stage: "searching", question: null });
    await rest(500);
    const found = hits(question.replace(/\b(what|when|who|does|the|about|think)\b/gi, ""), recording_id).slice(0, 2);
    const claims = found.map(({ segments, recording_id: of, title, created_at, at_ms }) => {
      const segment = segments.find(({ start_ms }) => start_ms === at_ms);
      const text = segment.pieces.map((piece) => piece.text).join("");
      const where = { segments: [segment.number], start_ms: at_ms, end_ms: segment.end_ms };
      return { text, citations: [{ recording_id: of, title, created_at, ...where, quote: text }] };
    });
    for (const claim of claims) {
      await rest(600);
      say("claim", claim);
    }
    const text = claims.map((claim) => claim.text).join(" ");
    const nothing = recording_id
      ? "Nothing in this recording answers this."
      : "Nothing in your recordings answers this.";
    say("answer", {
      answered: claims.length > 0,
      method: "extract",
      text: text || nothing,
      claims,
      confidence: claims.length > 0 ? 0.9 : 0.1,
      provider: null,
      model: null,
      notice: null,
    });
    say("done", {});
    response.end();
  }
}

function pieces(text, words) {
  return text
    .split(/(\p{L}+)/u)
    .filter(Boolean)
    .map((piece) => ({ text: piece, match: words.some((word) => piece.toLowerCase().includes(word)) }));
}

function template(name, title, instructions) {
  return { name, title, instructions, built_in: true };
}

function notesOf(segments) {
  const of = (...numbers) => numbers.filter((number) => number < segments.length);
  const at = (number) => segments[number] ?? segments[0];
  return {
    title: "The archive, before winter",
    summary: [
      {
        text: "A plan for the archive: eleven hundred hours of interviews are to be made searchable by the end of winter, so that the book can be written from them.",
        segments: of(1, 2, 3),
      },
    ],
    key_points: [
      { text: "Most of the interviews are on tape, and none of them is written down.", segments: of(2) },
      { text: "A first draft is easier to have out loud.", segments: of(0, 4) },
    ],
    decisions: [{ text: "The reading room opens to visitors in March.", segments: of(4, 5) }],
    action_items: [
      {
        text: "Walk through the plan once and see where it catches.",
        segments: of(1),
        owner: "Marguerite",
        due: "2026-12-18",
      },
      { text: "Search the interviews by the end of winter.", segments: of(3), owner: null, due: null },
    ],
    chapters: [
      { title: "A conversation with yourself", start_ms: 0, end_ms: at(1).end_ms, segments: of(0, 1) },
      { title: "The archive", start_ms: at(2).start_ms, end_ms: at(3).end_ms, segments: of(2, 3) },
      { title: "The reading room in March", start_ms: at(4).start_ms, end_ms: at(5).end_ms, segments: of(4, 5) },
    ],
    diary: [],
    method: "extractive",
    provider: null,
    model: null,
  };
}
