// The server that `cargo xtask clients --test` has started, and small media to send to it.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after } from "node:test";

function named(name) {
  const value = process.env[name];
  assert.ok(value, `${name} is not set: run \`cargo xtask clients --test\``);
  return value;
}

export const URL = named("KINORA_URL").replace(/\/+$/, "");
export const API_KEY = named("KINORA_API_KEY");

/** A folder for the tests of one file, gone at their end. */
export const folder = mkdtempSync(join(tmpdir(), "kinora-clients-"));
after(() => rmSync(folder, { recursive: true }));

function ffmpeg(name, ...argumentList) {
  const path = join(folder, name);
  execFileSync("ffmpeg", ["-hide_banner", "-loglevel", "error", "-y", ...argumentList, path], { stdio: "inherit" });
  return path;
}

/** A picture of one colour. */
export const picture = (name, colour = "teal", size = "320x240") =>
  ffmpeg(name, "-f", "lavfi", "-i", `color=${colour}:size=${size}`, "-frames:v", "1");

/** A clip of two seconds with sound. */
export const clip = (name) =>
  ffmpeg(
    name,
    ...["-f", "lavfi", "-i", "testsrc=size=320x240:rate=24", "-f", "lavfi", "-i", "sine=frequency=330"],
    ...["-t", "2", "-pix_fmt", "yuv420p", "-shortest"],
  );

export const isMp4 = (bytes) => Buffer.from(bytes).subarray(4, 8).toString() === "ftyp" && bytes.byteLength > 10_000;

export const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
