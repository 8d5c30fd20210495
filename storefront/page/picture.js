// Pictures before they are sent: what cameras and clipboards give is made into what the service takes.

import { say } from "./language.js";

const ACCEPTED = ["image/jpeg", "image/png", "image/webp"];
const LARGEST_SIDE = 2048;
const LARGEST_BYTES = 4_000_000;

/**
 * Gives the picture as it will be sent: the file itself, or a smaller JPEG of it where it is large or of another
 * format. Throws an Error with a sentence for people when the browser cannot read it.
 */
export async function prepared(file) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(file);
  } catch {
    throw new Error(say("no_picture", { name: file.name || say("this_file") }));
  }
  const scale = Math.min(1, LARGEST_SIDE / Math.max(bitmap.width, bitmap.height));
  if (scale === 1 && file.size <= LARGEST_BYTES && ACCEPTED.includes(file.type)) return file;
  return redrawn(bitmap, Math.max(1, Math.round(bitmap.width * scale)), Math.max(1, Math.round(bitmap.height * scale)));
}

function redrawn(bitmap, width, height) {
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d");
  context.fillStyle = "#fff"; // JPEG knows no transparency; the service lays it on white as well
  context.fillRect(0, 0, width, height);
  context.drawImage(bitmap, 0, 0, width, height);
  return canvas.convertToBlob({ type: "image/jpeg", quality: 0.9 });
}
