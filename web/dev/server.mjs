/**
 * A double of the gateway, for looking at the page and nothing else: the real protocol over a real socket, but the
 * words are a script (dev/script.mjs), whatever is said into the microphone.
 *
 *     node dev/server.mjs [--port 8000] [--scene …]
 *
 * Scenes: empty · fallback · capacity · lost (breaks after 8 s, and is back after another 30) · superseded (after 8 s)
 *         · failing (the API answers 503) · slow · unavailable
 *         · queue · delayed · slow-upload · no-search
 */

import { createReadStream, existsSync, statSync } from "node:fs";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { WebSocketServer } from "ws";
import { batch } from "./batch.mjs";
import { seeds, segmentsOf, SPOKEN } from "./script.mjs";

const { values: options } = parseArgs({
  options: { port: { type: "string", default: "8000" }, scene: { type: "string", default: "" } },
});
const RATE = 16_000;
const DIST = fileURLToPath(new URL("../dist", import.meta.url));
const TYPES = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript",
  ".css": "text/css",
  ".svg": "image/svg+xml",
  ".woff2": "font/woff2",
};
const RECOGNIZER =
  options.scene === "fallback"
    ? {
        name: "pocketsphinx",
        model: "en-us",
        device: "cpu",
        fallback: true,
        reason: "No Whisper model: the model hub cannot be reached.",
        remedy:
          "Run `parley models get small`, or on a machine without a network `parley models use PATH` with a folder that holds a converted model.",
      }
    : { name: "faster-whisper", model: "small", device: "cpu", fallback: false, reason: "asked for" };

const recordings = new Map(
  options.scene === "empty" ? [] : seeds(Date.now()).map((entry) => [entry.recording.id, entry]),
);
const followers = new Set();

function event(name, data) {
  for (const response of followers) response.write(`event: ${name}\ndata: ${JSON.stringify(data)}\n\n`);
}

function announce(recording_id, change) {
  event("recording", { recording_id, change });
}

const handleBatch = batch({ scene: options.scene, recordings, announce, event });

const server = createServer(async (request, response) => {
  const url = new URL(request.url, "http://double");
  const json = (status, body) =>
    response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
  const error = (status, code, message) =>
    json(status, { error: { code, message, retryable: status >= 500, retry_after_s: null, request_id: "double" } });

  if (!url.pathname.startsWith("/api/v1")) return file(url.pathname, response);
  const path = url.pathname.slice("/api/v1".length);
  if (path === "/events") {
    response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store" }).write(":\n\n");
    followers.add(response);
    return request.on("close", () => followers.delete(response));
  }
  if (path === "/status") {
    const down = options.scene === "unavailable";
    return json(200, {
      version: "double",
      recognizer: down ? null : RECOGNIZER,
      engine: down ? "unavailable" : "ready",
    });
  }
  if (options.scene === "slow") await new Promise((resolve) => setTimeout(resolve, 20_000));
  if (options.scene === "failing") return error(503, "backend_unavailable", "The database is not answering.");
  if (path === "/recordings") {
    const all = [...recordings.values()].map(({ recording }) => recording);
    return json(200, { recordings: all.sort((a, b) => b.created_at.localeCompare(a.created_at)), next_cursor: null });
  }
  const body = async () => {
    let text = "";
    for await (const chunk of request) text += chunk;
    return text;
  };
  if ((await handleBatch(path, url, request, { json, error, body, response })) !== false) return;
  const [, id, part] = path.match(/^\/recordings\/([^/]+)(?:\/(\w+))?$/) ?? [];
  const entry = recordings.get(id);
  if (!entry) return error(404, "not_found", "There is no such recording.");
  if (part === "audio") return audio(entry, request, response);
  if (part === "transcript") return json(200, { recording_id: id, segments: entry.segments });
  if (request.method === "PATCH") {
    entry.recording.title = JSON.parse(await body()).title;
    announce(id, "updated");
  }
  if (request.method === "DELETE") {
    recordings.delete(id);
    announce(id, "deleted");
    return response.writeHead(204).end();
  }
  return json(200, entry.recording);
});

function file(path, response) {
  const wanted = join(DIST, normalize(path));
  const found = existsSync(wanted) && statSync(wanted).isFile() ? wanted : join(DIST, "index.html");
  response.writeHead(200, { "content-type": TYPES[extname(found)] ?? "application/octet-stream" });
  createReadStream(found).pipe(response);
}

/** What was recorded, or a soft hum of the right length, with range requests. */
function audio({ recording, pcm }, request, response) {
  const wav = toWav(pcm ?? hum(recording.duration_ms));
  const [, from, to] = request.headers.range?.match(/bytes=(\d+)-(\d*)/) ?? [];
  const start = from ? Number(from) : 0;
  const end = to ? Number(to) : wav.length - 1;
  response.writeHead(from ? 206 : 200, {
    "content-type": "audio/wav",
    "accept-ranges": "bytes",
    "content-length": end - start + 1,
    ...(from && { "content-range": `bytes ${start}-${end}/${wav.length}` }),
  });
  response.end(wav.subarray(start, end + 1));
}

function hum(ms) {
  const samples = new Int16Array((ms * RATE) / 1000);
  for (let i = 0; i < samples.length; i++)
    samples[i] = 900 * Math.sin((2 * Math.PI * 180 * i) / RATE) * Math.sin((Math.PI * i) / RATE) ** 2;
  return samples;
}

function toWav(samples) {
  const head = Buffer.alloc(44);
  const bytes = samples.length * 2;
  head.write("RIFF", 0);
  head.writeUInt32LE(36 + bytes, 4);
  head.write("WAVEfmt ", 8);
  head.writeUInt32LE(16, 16);
  head.writeUInt16LE(1, 20);
  head.writeUInt16LE(1, 22);
  head.writeUInt32LE(RATE, 24);
  head.writeUInt32LE(RATE * 2, 28);
  head.writeUInt16LE(2, 32);
  head.writeUInt16LE(16, 34);
  head.write("data", 36);
  head.writeUInt32LE(bytes, 40);
  return Buffer.concat([head, Buffer.from(samples.buffer, samples.byteOffset, bytes)]);
}

// --- /ws/s2t

/** What the double keeps of a recording, by its resume token: its place in the script and its audio. */
const sessions = new Map();
let awayUntil = 0;

function newSession() {
  const entry = { recording: null, segments: [], pcm: null };
  return { entry, chunks: [], samples: 0, next: 0, rate: 0, recordingId: `r-live-${sessions.size + 1}` };
}

new WebSocketServer({ server, path: "/ws/s2t" }).on("connection", (socket) => {
  if (Date.now() < awayUntil) return socket.terminate();
  const script = segmentsOf(SPOKEN, { suspect: 3 });
  let session = newSession(),
    revision = 0,
    started = false,
    timer;
  const send = (message) => socket.send(JSON.stringify(message));
  const nowMs = () => (session.samples * 1000) / session.rate;

  function final() {
    const { entry } = session;
    const segment = script[session.next++];
    started = false;
    revision = 0;
    entry.segments.push(segment);
    entry.recording.preview = entry.segments
      .map(({ text }) => text)
      .join(" ")
      .slice(0, 120);
    send({ type: "final", ...segment });
  }

  function tick() {
    const now = nowMs();
    const segment = script[session.next];
    send({ type: "ack", samples: Math.floor((Math.max(0, now - 1200) * RATE) / 1000) });
    if (!segment || now < segment.start_ms) return;
    if (!started) {
      started = true;
      return send({ type: "speech_start", segment: segment.segment, start_ms: segment.start_ms });
    }
    if (now > segment.end_ms + 400) return final();
    const said = segment.words.filter((word) => word.end_ms < now - 150).map((word) => word.text);
    const committed = said.slice(0, Math.max(0, said.length - 4));
    if (said.length > 0) {
      send({
        type: "partial",
        segment: segment.segment,
        revision: revision++,
        start_ms: segment.start_ms,
        committed: committed.join(" "),
        tentative: said.slice(committed.length).join(" "),
        lag_ms: 300,
      });
    }
  }

  function begin(rate, nextSegment) {
    const { entry, recordingId } = session;
    const created_at = entry.recording?.created_at ?? new Date().toISOString();
    const known = { id: recordingId, title: null, created_at, duration_ms: 0, language: "en", preview: "" };
    Object.assign(known, { origin: "live", source_name: null, same_as: null });
    entry.recording = { ...known, ...entry.recording, state: "recording" };
    session.rate = rate;
    // A whole number of samples at either rate.
    const wire = Math.floor(session.samples / rate) * RATE;
    session.chunks = [concat(session.chunks).subarray(0, (wire * rate) / RATE)];
    session.samples = session.chunks[0].length;
    recordings.set(recordingId, entry);
    sessions.set(recordingId, session);
    announce(recordingId, "created");
    send({
      type: "ready",
      protocol: 1,
      recording_id: recordingId,
      resume_token: recordingId,
      next_sample: wire,
      recognizer: RECOGNIZER,
    });
    for (const segment of entry.segments.slice(nextSegment)) send({ type: "final", ...segment });
    timer = setInterval(tick, 250);
    if (options.scene === "lost" && wire === 0) setTimeout(breaks, 8000);
    if (options.scene === "superseded") setTimeout(superseded, 8000);
  }

  function breaks() {
    awayUntil = Date.now() + 30_000;
    socket.terminate();
  }

  function superseded() {
    send({ type: "error", code: "superseded", message: "Another connection took over.", retryable: false });
    socket.close(1008);
  }

  socket.on("message", (data, binary) => {
    if (binary) {
      const chunk = new Int16Array(data.buffer.slice(data.byteOffset, data.byteOffset + data.length));
      session.chunks.push(chunk);
      session.samples += chunk.length;
      return;
    }
    const message = JSON.parse(data.toString());
    if (message.type === "ping") return send({ type: "pong" });
    if (message.type === "start") {
      if (options.scene === "capacity") {
        send({
          type: "error",
          code: "at_capacity",
          message: "All 8 places for live recordings are taken.",
          retryable: true,
          retry_after_s: 20,
        });
        return socket.close(1013);
      }
      session = sessions.get(message.resume) ?? session;
      begin(message.sample_rate, message.next_segment ?? 0);
    }
    if (message.type === "stop") {
      clearInterval(timer);
      setTimeout(() => {
        if (started) final();
        finish("finished");
        send({ type: "ack", samples: Math.floor((nowMs() * RATE) / 1000) });
        send({ type: "closed", recording_id: session.recordingId, duration_ms: Math.floor(nowMs()) });
        socket.close();
      }, 900);
    }
  });
  socket.on("close", () => {
    clearInterval(timer);
    if (session.entry.recording?.state === "recording") finish("interrupted");
  });

  function finish(state) {
    const { entry, chunks, samples, rate } = session;
    Object.assign(entry.recording, { state, duration_ms: Math.floor(nowMs()) });
    const length = Math.floor((samples * RATE) / rate);
    entry.pcm = new Int16Array(length);
    const whole = concat(chunks);
    for (let i = 0; i < length; i++) entry.pcm[i] = whole[Math.floor((i * rate) / RATE)];
    announce(entry.recording.id, "updated");
  }
});

function concat(chunks) {
  const whole = new Int16Array(chunks.reduce((length, chunk) => length + chunk.length, 0));
  let at = 0;
  for (const chunk of chunks) {
    whole.set(chunk, at);
    at += chunk.length;
  }
  return whole;
}

server.listen(Number(options.port), "127.0.0.1", () => {
  console.log(`The double answers at http://127.0.0.1:${options.port} (scene: ${options.scene || "usual"})`);
});
