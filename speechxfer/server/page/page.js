// The page: a recording in, by file or microphone; words with times out.
import * as server from "/page/server.js";

const by = (id) => document.getElementById(id);
const state = { recording: null, name: "", speaking: null, asking: null };

function report(text, problem = "") {
  by("status").textContent = text;
  by("problem").textContent = problem;
}

function fail(error) {
  if (error.name === "AbortError") return;
  if (error.status === 401) {
    by("access").hidden = false;
    by("token").focus();
  }
  report("", error.message);
}

function clock(seconds) {
  const whole = Math.floor(seconds);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}.${Math.floor((seconds % 1) * 10)}`;
}

function begin(name) {
  state.asking?.abort();
  state.name = name;
  by("transcript").replaceChildren();
  by("result").hidden = false;
  by("downloads").hidden = true;
}

function play(recording) {
  URL.revokeObjectURL(by("player").src);
  state.recording = recording;
  by("player").src = URL.createObjectURL(recording);
  by("player").hidden = false;
}

// One line of the transcript; `words` as the server gives them, and where it gives none, the whole text.
function line(element, segment) {
  const time = document.createElement("time");
  time.textContent = clock(segment.start);
  const words = segment.words.length ? segment.words : [{ word: segment.text, start: segment.start, end: segment.end }];
  const text = document.createElement("span");
  for (const word of words) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "word";
    button.textContent = word.word;
    button.title = `${clock(word.start)} to ${clock(word.end)}`;
    Object.assign(button.dataset, { start: word.start, end: word.end });
    button.tabIndex = -1;
    text.append(button, " ");
  }
  element.replaceChildren(time, text);
  const first = document.querySelector(".word");
  if (!document.querySelector('.word[tabindex="0"]') && first) first.tabIndex = 0;
}

function newLine() {
  const element = document.createElement("p");
  element.className = "segment";
  by("transcript").append(element);
  element.scrollIntoView({ block: "nearest" });
  return element;
}

function summary() {
  const count = document.querySelectorAll(".word").length;
  by("downloads").hidden = !count;
  return count ? `Done: ${count} ${count === 1 ? "word" : "words"}.` : "Done: no speech was found.";
}

async function transcribe(file) {
  stopSpeaking();
  begin(file.name);
  play(file);
  report(`Transcribing ${file.name} …`);
  state.asking = new AbortController();
  try {
    for await (const segment of server.segments(file, file.name, by("model").value, state.asking.signal)) {
      line(newLine(), segment);
    }
    report(summary());
  } catch (error) {
    fail(error);
  }
}

// Events of a session become lines: first what is likely, then words with times.
function follow(lines, event) {
  if (event.type === "error") return fail(new Error(event.error.message));
  if (event.item_id && !lines.has(event.item_id) && /delta|completed/.test(event.type)) {
    lines.set(event.item_id, newLine());
  }
  const element = lines.get(event.item_id);
  if (event.type.endsWith("transcription.delta")) {
    const likely = element.querySelector(".likely") ?? document.createElement("span");
    likely.className = "likely";
    likely.textContent += event.delta;
    if (!likely.parentNode) element.append(document.createElement("time"), likely);
  } else if (event.type.endsWith("transcription.completed")) {
    const words = event.words;
    line(element, { start: event.start, end: event.end, text: event.transcript, words });
    if (!event.transcript) element.remove();
  }
}

async function speak() {
  const stream = await navigator.mediaDevices.getUserMedia({ audio: { channelCount: 1 } });
  const context = new AudioContext({ sampleRate: server.RATE });
  await context.audioWorklet.addModule("/page/microphone.js");
  const microphone = new AudioWorkletNode(context, "microphone");
  context.createMediaStreamSource(stream).connect(microphone);
  begin("speech.wav");
  by("file").value = "";
  by("player").hidden = true;
  const pieces = [];
  const lines = new Map();
  let ended = false;
  const session = server.session(by("model").value, (event) => {
    follow(lines, event);
    if (ended && /committed|commit_empty/.test(event.type + event.error?.code)) setTimeout(session.close, 300);
  }, (event) => {
    release();
    if (event.code > 1001 && !ended) fail(Object.assign(new Error("the session ended; try again"), { status: event.code === 1006 ? 401 : 0 }));
    else report(summary());
    if (pieces.length) play(server.wav(pieces));
  });
  microphone.port.onmessage = ({ data }) => {
    pieces.push(server.pcm(data));
    session.send(data);
  };
  const release = () => {
    stream.getTracks().forEach((track) => track.stop());
    if (context.state !== "closed") context.close();
    by("speak").setAttribute("aria-pressed", "false");
    by("speak").textContent = "Speak";
    state.speaking = null;
  };
  state.speaking = () => {
    ended = true;
    release();
    report("Transcribing the rest …");
    session.finish();
  };
  by("speak").setAttribute("aria-pressed", "true");
  by("speak").textContent = "Stop";
  report("Listening …");
}

function stopSpeaking() {
  state.speaking?.();
}

function playWord(button) {
  const player = by("player");
  if (player.hidden) return;
  player.currentTime = Math.max(0, button.dataset.start - 0.05);
  state.until = Number(button.dataset.end) + 0.1;
  player.play();
}

function showNow() {
  const now = by("player").currentTime;
  if (state.until && now > state.until) {
    by("player").pause();
    state.until = 0;
  }
  for (const word of document.querySelectorAll(".word")) {
    word.classList.toggle("now", !by("player").paused && word.dataset.start <= now && now < word.dataset.end);
  }
}

function move(event) {
  const words = [...document.querySelectorAll(".word")];
  const at = words.indexOf(document.activeElement);
  const to = { ArrowRight: at + 1, ArrowDown: at + 1, ArrowLeft: at - 1, ArrowUp: at - 1, Home: 0, End: words.length - 1 }[event.key];
  if (at < 0 || to === undefined || !words[to]) return;
  event.preventDefault();
  words[at].tabIndex = -1;
  words[to].tabIndex = 0;
  words[to].focus();
}

async function download(format) {
  const suffix = format === "text" ? "txt" : format;
  report(`Preparing .${suffix} …`);
  const link = document.createElement("a");
  link.href = URL.createObjectURL(await server.transcript(state.recording, state.name, by("model").value, format));
  link.download = state.name.replace(/\.\w+$/, "") + `.${suffix}`;
  link.click();
  URL.revokeObjectURL(link.href);
  report(`Downloaded ${link.download}.`);
}

async function open() {
  const names = await server.models();
  by("model").replaceChildren(...names.map((name) => new Option(name, name)));
  by("access").hidden = true;
  report("");
}

by("access").addEventListener("submit", (event) => {
  event.preventDefault();
  server.setToken(by("token").value.trim());
  open().catch(fail);
});
by("file").addEventListener("change", () => by("file").files[0] && transcribe(by("file").files[0]));
for (const kind of ["dragover", "dragleave", "drop"]) {
  document.addEventListener(kind, (event) => {
    event.preventDefault();
    by("drop").classList.toggle("over", kind === "dragover");
    if (kind === "drop" && event.dataTransfer.files[0]) transcribe(event.dataTransfer.files[0]);
  });
}
by("speak").addEventListener("click", () => (state.speaking ? stopSpeaking() : speak().catch(fail)));
by("transcript").addEventListener("click", (event) => event.target.matches(".word") && playWord(event.target));
by("transcript").addEventListener("keydown", move);
by("downloads").addEventListener("click", (event) => event.target.dataset.format && download(event.target.dataset.format).catch(fail));
by("player").addEventListener("timeupdate", showNow);
by("player").addEventListener("pause", showNow);
open().catch(fail);
