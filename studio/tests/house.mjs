// A house for the tests: a server of the real program on empty data, a real browser, and small media to send.
//
// KINORA names the program (default: the debug build), CHROMIUM the browser (default: the system's).
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const KINORA = resolve(process.env.KINORA ?? here("../../target/debug/kinora"));
const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";
const AXE = readFileSync(here("../node_modules/axe-core/axe.min.js"), "utf8");

/** Long enough for a busy machine; whatever is quicker is not waited for. */
export const PATIENCE = 120_000;

export const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

/** Waits until `look` returns something true. */
export async function until(what, look, patience = PATIENCE) {
  const end = Date.now() + patience;
  for (;;) {
    const found = await look();
    if (found) return found;
    if (Date.now() > end) throw new Error(`${what}: not within ${patience / 1000} s`);
    await sleep(100);
  }
}

function ffmpeg(...argumentList) {
  execFileSync("ffmpeg", ["-hide_banner", "-loglevel", "error", "-y", ...argumentList], { stdio: "inherit" });
}

/** Small media of every kind that is taken, and one that is not. */
function makeMedia(folder) {
  mkdirSync(folder);
  const path = (name) => join(folder, name);
  const picture = (name, colour, size) => ffmpeg("-f", "lavfi", "-i", `color=${colour}:size=${size}`, "-frames:v", "1", path(name));
  picture("first.png", "teal", "320x240");
  picture("last.png", "orange", "320x240");
  picture("third.png", "purple", "320x240");
  picture("tiny.png", "red", "100x100");
  const sound = ["-f", "lavfi", "-i", "sine=frequency=330"];
  const clip = ["-f", "lavfi", "-i", "testsrc=size=320x240:rate=24", ...sound, "-pix_fmt", "yuv420p", "-shortest"];
  ffmpeg(...clip, "-t", "2", path("clip.mp4"));
  ffmpeg(...clip, "-t", "1.5", path("second.mp4"));
  ffmpeg(...sound, "-t", "3", path("sound.mp3"));
  return path;
}

/** Starts everything. `close` ends it, and says what the pages complained about. */
export async function openHouse(settings = {}) {
  assert.ok(existsSync(KINORA), `${KINORA} is not there: build it, or name it by KINORA`);
  assert.ok(existsSync(CHROMIUM), `${CHROMIUM} is not there: install it, or name it by CHROMIUM`);
  const folder = mkdtempSync(join(tmpdir(), "kinora-studio-"));
  const ready = join(folder, "ready");
  const log = openSync(join(folder, "log"), "w");
  // A setting of the person's own server must not reach this one.
  const own = Object.entries(process.env).filter(([name]) => !name.startsWith("KINORA"));
  const server = spawn(
    KINORA,
    ["serve", "--listen", "127.0.0.1:0", "--engine", "test-pattern", "--data-dir", join(folder, "data"), "--ready-file", ready],
    {
      env: { ...Object.fromEntries(own), KINORA_RATE_LIMITS__CREATE_PER_MINUTE: "6000", ...settings },
      stdio: ["ignore", log, log],
    },
  );
  const ended = new Promise((done) => server.once("exit", done));
  let browser;
  const complaints = [];
  const close = async () => {
    await browser?.close();
    server.kill("SIGTERM");
    await ended;
    rmSync(folder, { recursive: true });
    assert.deepEqual(complaints, [], "the pages ran without errors");
  };
  try {
    await until("the server is ready", () => {
      assert.equal(server.exitCode, null, readFileSync(join(folder, "log"), "utf8"));
      return existsSync(ready);
    });
    browser = await chromium.launch({
      executablePath: CHROMIUM,
      args: [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
      ],
    });
  } catch (error) {
    await close();
    throw error;
  }
  const { url, studio_url: studioUrl, api_key: key } = JSON.parse(readFileSync(ready, "utf8"));

  /** A page of its own visit; signed in, with the first key, unless told otherwise. */
  async function open(path = "/studio", { signedIn = true, key: its = key, ...options } = {}) {
    const context = await browser.newContext({ viewport: { width: 1280, height: 860 }, reducedMotion: "reduce", ...options });
    if (signedIn) await context.addInitScript((key) => localStorage.setItem("kinora-key", key), its);
    const page = await context.newPage();
    page.setDefaultTimeout(PATIENCE);
    page.on("pageerror", (error) => complaints.push(`${error}`));
    page.on("console", (message) => {
      // Refusals by the API are what some tests are about.
      const refusal = message.text().startsWith("Failed to load resource");
      if (message.type() === "error" && !refusal) complaints.push(message.text());
    });
    await page.goto(new URL(path, url).href);
    return page;
  }

  /** Asks the API itself, past the page. */
  async function api(path, { method, body, headers = {} } = {}) {
    const answer = await fetch(`${url}/api/v1${path}`, {
      method: method ?? (body === undefined ? "GET" : "POST"),
      headers: { authorization: `Bearer ${key}`, ...(body === undefined ? {} : { "content-type": "application/json" }), ...headers },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    const text = await answer.text();
    assert.ok(answer.ok, `${path}: ${answer.status} ${text}`);
    return text === "" ? null : JSON.parse(text);
  }

  /** A short clip, made without the page. */
  const make = (prompt, members = {}) =>
    api("/generation/wan/wan-v2.7-video", {
      body: { prompt, resolution: "720p", duration: 2, ...members },
      headers: { prefer: "wait=60" },
    });
  const newest = async () => (await api("/generations?limit=1")).data[0];

  return { url, studioUrl, key, folder, media: makeMedia(join(folder, "media")), browser, open, api, make, newest, close };
}

/** What an accessibility audit finds that matters, as lines to read. */
export async function audit(page) {
  // Evaluated by the debugger, which the policy of the page does not bind.
  await page.evaluate(AXE);
  const { violations } = await page.evaluate(() => globalThis.axe.run({ resultTypes: ["violations"] }));
  return violations
    .filter(({ impact }) => impact === "serious" || impact === "critical")
    .flatMap(({ id, help, nodes }) => nodes.map((node) => `${id}: ${help}: ${node.target} ${node.failureSummary}`));
}

/** The fault of a control: found by what the control says describes it. */
export const faultOf = (control) =>
  until("a fault is shown", () =>
    control.evaluate((element) =>
      (element.getAttribute("aria-describedby") ?? "")
        .split(" ")
        .map((id) => document.getElementById(id))
        .find((one) => one?.classList.contains("fault"))
        ?.textContent,
    ),
  );

/** The slot for a medium, by its label. */
export const slot = (page, label) => page.getByRole("group", { name: label, exact: true });

/** Gives a slot a file by its picker. */
export const choose = (page, label, ...paths) => slot(page, label).locator("input[type=file]").setInputFiles(paths);

/** Lets a file fall onto a slot. */
export async function drop(page, label, path, type) {
  const bytes = readFileSync(path).toString("base64");
  const transfer = await page.evaluateHandle(
    async ({ bytes, name, type }) => {
      const data = new DataTransfer();
      const raw = Uint8Array.from(atob(bytes), (letter) => letter.charCodeAt(0));
      data.items.add(new File([raw], name, { type }));
      return data;
    },
    { bytes, name: path.split("/").at(-1), type },
  );
  const target = slot(page, label);
  await target.dispatchEvent("dragover", { dataTransfer: transfer });
  await target.dispatchEvent("drop", { dataTransfer: transfer });
}

/** The mode of the form. */
export const mode = (page, name) => page.getByRole("tab", { name, exact: true }).click();

/** One of a few values side by side. */
export const pick = (page, name) => page.getByRole("radio", { name, exact: true }).check();

/** Takes the shortest of the durations that are offered. */
export async function shortest(page) {
  await page.getByRole("slider", { name: "Duration" }).press("Home");
}

/** Sends the form, and waits for the video of it. */
export async function makeIt(page, house) {
  const before = (await house.newest())?.id;
  await page.getByRole("button", { name: /^Make/ }).click();
  const made = await until("the generation has ended", async () => {
    const fault = await page.locator(".fault, .trouble").allTextContents();
    assert.deepEqual(fault, [], "the form is accepted");
    const one = await house.newest();
    return one !== undefined && one.id !== before && ["COMPLETED", "FAILED", "CANCELED"].includes(one.status) && one;
  });
  assert.equal(made.status, "COMPLETED", made.message);
  const video = page.locator("video.screen");
  await video.waitFor();
  await until("the player has the video", () => video.evaluate((video) => video.readyState >= 1));
  return made;
}
