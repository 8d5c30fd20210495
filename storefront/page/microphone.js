// The microphone: what is said is recorded here, as short as it may be, and goes to the service as it is.

import { byId } from "./dom.js";
import { say } from "./language.js";

/** The service takes 30 seconds; a recorder ends a little after it is told to. */
const LONGEST_MS = 29_000;
const BITS_A_SECOND = 32_000;
const WAV_RATE = 16_000;
const TYPES = ["audio/webm;codecs=opus", "audio/ogg;codecs=opus"];
const TROUBLES = {
  NotAllowedError: "microphone_refused",
  NotFoundError: "microphone_missing",
  NotReadableError: "microphone_busy",
};

/** Whether this browser can record; it does so on pages of this machine and on those that come by TLS. */
export const canRecord = () => Boolean(navigator.mediaDevices?.getUserMedia && globalThis.MediaRecorder);

/** Records between two presses of its button; calls `onSaid` with a Blob, `onTrouble` and `onState` with a sentence. */
export class Microphone {
  constructor({ onSaid, onTrouble, onState }) {
    this.button = byId("microphone");
    this.label = byId("microphone-label");
    this.onSaid = onSaid;
    this.onTrouble = onTrouble;
    this.onState = onState;
    this.recorder = null;
    this.button.addEventListener("click", () => (this.recorder ? this.stop() : this.start()));
    this.button.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && this.recorder) this.cancel();
    });
  }

  /** Shows the button where the service hears and this browser records. */
  offer(hears) {
    this.button.hidden = !(hears && canRecord());
  }

  async start() {
    if (this.starting) return;
    this.starting = true;
    try {
      const stream = await navigator.mediaDevices.getUserMedia({ audio: { channelCount: 1 } });
      this.record(stream);
    } catch (error) {
      this.onTrouble(say(TROUBLES[error.name] ?? "microphone_trouble"));
    } finally {
      this.starting = false;
    }
  }

  record(stream) {
    const mimeType = TYPES.find((type) => MediaRecorder.isTypeSupported(type));
    const recorder = new MediaRecorder(stream, { mimeType, audioBitsPerSecond: BITS_A_SECOND });
    const pieces = [];
    recorder.addEventListener("dataavailable", ({ data }) => pieces.push(data));
    recorder.addEventListener("stop", () => {
      for (const track of stream.getTracks()) track.stop();
      if (recorder.kept) this.deliver(new Blob(pieces, { type: recorder.mimeType }), Boolean(mimeType));
    });
    recorder.start();
    this.recorder = recorder;
    this.timer = setTimeout(() => this.stop(), LONGEST_MS);
    this.render(true);
    this.onState(say("listening_how"));
  }

  /** Ends the recording and sends it. */
  stop() {
    this.end(true);
  }

  /** Ends the recording and forgets it. */
  cancel() {
    this.end(false);
    this.onState(say("forgotten"));
  }

  end(kept) {
    if (!this.recorder) return;
    clearTimeout(this.timer);
    this.recorder.kept = kept;
    this.recorder.stop();
    this.recorder = null;
    this.render(false);
  }

  async deliver(blob, taken) {
    try {
      this.onSaid(taken ? blob : await asWav(blob));
    } catch {
      this.onTrouble(say("recording_trouble"));
    }
  }

  render(listening) {
    this.button.setAttribute("aria-pressed", String(listening));
    this.label.textContent = say(listening ? "listening" : "speak");
  }
}

/** Makes a WAV of what a browser records in a format of its own; its first channel, at the rate that a voice needs. */
export async function asWav(blob) {
  // A context resamples what it decodes to its own rate.
  const sound = await new OfflineAudioContext(1, 1, WAV_RATE).decodeAudioData(await blob.arrayBuffer());
  const samples = sound.getChannelData(0);
  const length = samples.length;
  const view = new DataView(new ArrayBuffer(44 + 2 * length));
  const write = (place, text) => [...text].forEach((letter, offset) => view.setUint8(place + offset, letter.charCodeAt(0)));
  write(0, "RIFF");
  view.setUint32(4, 36 + 2 * length, true);
  write(8, "WAVEfmt ");
  view.setUint32(16, 16, true);
  view.setUint16(20, 1, true);
  view.setUint16(22, 1, true);
  view.setUint32(24, WAV_RATE, true);
  view.setUint32(28, 2 * WAV_RATE, true);
  view.setUint16(32, 2, true);
  view.setUint16(34, 16, true);
  write(36, "data");
  view.setUint32(40, 2 * length, true);
  samples.forEach((sample, place) => view.setInt16(44 + 2 * place, Math.max(-1, Math.min(1, sample)) * 32_767, true));
  return new Blob([view], { type: "audio/wav" });
}
