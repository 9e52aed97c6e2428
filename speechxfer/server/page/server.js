// Speaks with the server: transcripts of recordings as events, and Realtime sessions.
export const RATE = 24000;
let token = sessionStorage.getItem("token") ?? "";

export function setToken(value) {
  token = value;
  sessionStorage.setItem("token", value);
}

export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

async function request(path, options = {}) {
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  const response = await fetch(path, { ...options, headers });
  if (!response.ok) {
    const body = await response.json().catch(() => null);
    throw new Refused(response.status, body?.error?.message ?? `the server answered ${response.status}`);
  }
  return response;
}

export async function models() {
  return (await (await request("/v1/models")).json()).data.map((model) => model.id);
}

function form(recording, name, model, fields) {
  const body = new FormData();
  body.append("file", recording, name);
  body.append("model", model);
  for (const [field, value] of fields) body.append(field, value);
  return { method: "POST", body };
}

export async function transcript(recording, name, model, format) {
  const response = await request("/v1/audio/transcriptions", form(recording, name, model, [["response_format", format]]));
  return response.blob();
}

// The segments of a recording as they come, each with its words.
export async function* segments(recording, name, model, signal) {
  const fields = [
    ["response_format", "verbose_json"], ["stream", "true"],
    ["timestamp_granularities[]", "segment"], ["timestamp_granularities[]", "word"],
  ];
  const response = await request("/v1/audio/transcriptions", { ...form(recording, name, model, fields), signal });
  for await (const event of events(response.body)) {
    if (event.type === "error") throw new Refused(400, event.error.message);
    if (event.type === "transcript.text.delta") yield { ...event.segments[0], words: event.words };
  }
}

async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    text += value;
    const lines = text.split("\n");
    text = lines.pop();
    for (const line of lines) if (line.startsWith("data: ")) yield JSON.parse(line.slice(6));
  }
}

// A session: `send(samples)` takes floats, `finish()` asks for the rest; `onEvent` is called with each event.
export function session(model, onEvent, onEnd) {
  const address = new URL("/v1/realtime", location.href);
  address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  address.search = new URLSearchParams({ intent: "transcription", model });
  const socket = new WebSocket(address, token ? ["realtime", `openai-insecure-api-key.${token}`] : ["realtime"]);
  const waiting = [];
  const send = (event) => {
    const text = JSON.stringify(event);
    if (socket.readyState === WebSocket.OPEN) socket.send(text);
    else waiting.push(text);
  };
  socket.addEventListener("open", () => waiting.splice(0).forEach((text) => socket.send(text)));
  socket.addEventListener("message", (message) => onEvent(JSON.parse(message.data)));
  socket.addEventListener("close", (event) => onEnd(event));
  return {
    send: (samples) => send({ type: "input_audio_buffer.append", audio: base64(samples) }),
    finish: () => send({ type: "input_audio_buffer.commit" }),
    close: () => socket.close(),
  };
}

export function pcm(samples) {
  const view = new DataView(new ArrayBuffer(2 * samples.length));
  samples.forEach((sample, index) => view.setInt16(2 * index, Math.max(-1, Math.min(1, sample)) * 32767, true));
  return new Uint8Array(view.buffer);
}

function base64(samples) {
  return btoa(Array.from(pcm(samples), (byte) => String.fromCharCode(byte)).join(""));
}

// Pieces of 16-bit samples as a WAV file.
export function wav(pieces) {
  const size = pieces.reduce((sum, piece) => sum + piece.length, 0);
  const view = new DataView(new ArrayBuffer(44));
  const text = (at, letters) => [...letters].forEach((one, index) => view.setUint8(at + index, one.charCodeAt(0)));
  text(0, "RIFF"); view.setUint32(4, 36 + size, true); text(8, "WAVEfmt ");
  view.setUint32(16, 16, true); view.setUint16(20, 1, true); view.setUint16(22, 1, true);
  view.setUint32(24, RATE, true); view.setUint32(28, 2 * RATE, true);
  view.setUint16(32, 2, true); view.setUint16(34, 16, true); text(36, "data"); view.setUint32(40, size, true);
  return new Blob([view, ...pieces], { type: "audio/wav" });
}
