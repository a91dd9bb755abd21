// The four workflows through the page, end to end, with files of one's own; and where a result can go on.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { audit, choose, drop, makeIt, mode, openHouse, pick, shortest, slot, until } from "./house.mjs";

let house;
before(async () => (house = await openHouse()));
after(() => house?.close());

const price = (page) => page.locator(".price b").textContent();
const priced = (page, expected) => until(`the price is ${expected}`, async () => (await page.locator(".price b").count()) === 1 && (await price(page)) === expected);

test("words become a video that plays and can be taken along", async () => {
  const page = await house.open();
  await page.getByRole("textbox", { name: "Prompt" }).fill("A lantern drifts over a lake");
  await pick(page, "720p");
  await pick(page, "9:16");
  await priced(page, "50 credits");
  await shortest(page);
  await priced(page, "20 credits");
  await page.getByText("More settings").click();
  await page.getByLabel("Seed").fill("7");
  const made = await makeIt(page, house);
  const { feature, prompt, aspect_ratio, duration, seed } = made.input;
  assert.deepEqual(
    { feature, prompt, aspect_ratio, duration, seed },
    { feature: "text-image", prompt: "A lantern drifts over a lake", aspect_ratio: "9:16", duration: 2, seed: 7 },
  );
  const video = page.locator("video.screen");
  const shown = await video.evaluate((video) => ({ width: video.videoWidth, height: video.videoHeight, seconds: Math.round(video.duration) }));
  assert.deepEqual(shown, { width: 720, height: 1280, seconds: 2 });
  await video.evaluate((video) => video.play());
  await until("it plays", () => video.evaluate((video) => video.currentTime > 0.2));
  const poster = await video.getAttribute("poster");
  assert.equal((await page.request.get(new URL(poster, house.url).href)).headers()["content-type"], "image/jpeg");
  const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("link", { name: "Download" }).click()]);
  assert.equal(download.suggestedFilename(), made.data.videos[0].file_name);
  assert.equal(readFileSync(await download.path()).length, made.data.videos[0].file_size);
  await page.context().close();
});

test("an image begins it, with a sound of one's own", async () => {
  const page = await house.open();
  await pick(page, "An image");
  await choose(page, "First frame", house.media("first.png"));
  await page.getByText("320 × 240").waitFor();
  await page.locator("summary", { hasText: "Sound" }).click();
  await choose(page, "Sound (optional)", house.media("sound.mp3"));
  await shortest(page);
  const { input } = await makeIt(page, house);
  assert.equal(input.image_url, "upload://first.png");
  assert.equal(input.audio_url, "upload://sound.mp3");
  assert.equal(input.aspect_ratio, undefined, "the shape of the image is kept");
  await page.context().close();
});

test("a video that is being made is seen as far as it is", async () => {
  const page = await house.open();
  await page.getByRole("textbox", { name: "Prompt" }).fill("A long river");
  await page.getByRole("slider", { name: "Duration" }).press("End");
  await page.getByRole("button", { name: /^Make/ }).click();
  const picture = page.getByRole("img", { name: "The video so far: A long river" });
  await picture.waitFor();
  const size = () => picture.evaluate((image) => [image.naturalWidth, image.naturalHeight]);
  await until("it is drawn", async () => (await size())[0] > 0);
  assert.deepEqual(await size(), [320, 180]);
  const first = await picture.getAttribute("src");
  assert.match(first, /^blob:/);
  await until("a later one takes its place", async () => (await picture.getAttribute("src")) !== first);
  assert.ok(await page.locator(".underway progress").isVisible());
  assert.deepEqual(await audit(page), []);
  await page.locator(".result").getByRole("button", { name: "Cancel", exact: true }).click();
  await page.getByText("Canceled. Its credits are back.", { exact: true }).waitFor();
  assert.equal(await picture.count(), 0);
  await page.context().close();
});

test("first and last frame, one chosen and one dropped", async () => {
  const page = await house.open();
  await mode(page, "First & last frame");
  await choose(page, "First frame", house.media("first.png"));
  await drop(page, "Last frame", house.media("last.png"), "image/png");
  await shortest(page);
  const { input } = await makeIt(page, house);
  assert.equal(input.feature, "frames");
  assert.deepEqual([input.image_url, input.end_image_url], ["upload://first.png", "upload://last.png"]);
  await page.context().close();
});

test("references keep the order that the person gives them", async () => {
  const page = await house.open();
  await mode(page, "Reference");
  await page.getByRole("textbox", { name: "Prompt" }).fill("Image 1 and Image 2 dance like Video 1");
  await choose(page, "Reference images", house.media("first.png"), house.media("last.png"));
  await choose(page, "Another image", house.media("third.png"));
  await page.getByRole("button", { name: "Move Image 3 forward" }).click();
  await page.getByRole("button", { name: "Remove Image 1" }).click();
  await choose(page, "Reference videos", house.media("second.mp4"));
  await shortest(page);
  // 2 s that are made and 1.5 s that are referred to.
  await priced(page, "35 credits");
  const { input, usage } = await makeIt(page, house);
  assert.equal(input.feature, "reference");
  assert.deepEqual(input.reference_image_urls, ["upload://third.png", "upload://last.png"]);
  assert.deepEqual(input.video_refs, ["upload://second.mp4"]);
  assert.equal(usage.total, 35);
  await page.context().close();
});

test("a clip is edited, its sound kept, for the price that was said", async () => {
  const page = await house.open();
  await mode(page, "Edit");
  await page.getByLabel("What should change").fill("Make it night");
  await drop(page, "Clip to edit", house.media("clip.mp4"), "video/mp4");
  await choose(page, "Reference image (optional)", house.media("third.png"));
  await page.getByText("More settings").click();
  await page.getByLabel("Keep the clip’s own sound").check();
  await until("there is a price", async () => (await page.locator(".price b").count()) === 1);
  const said = await price(page);
  const { input, usage } = await makeIt(page, house);
  assert.equal(`${usage.total} credits`, said);
  const { feature, video_url, reference_image_url, duration, audio_setting } = input;
  assert.deepEqual(
    { feature, video_url, reference_image_url, duration, audio_setting },
    { feature: "edit-video", video_url: "upload://clip.mp4", reference_image_url: "upload://third.png", duration: 0, audio_setting: "origin" },
  );
  await page.context().close();
});

test("several results of one edit stand side by side", async () => {
  const page = await house.open();
  await mode(page, "Edit");
  await page.getByLabel("What should change").fill("Make it snow");
  await choose(page, "Clip to edit", house.media("clip.mp4"));
  await page.getByText("More settings").click();
  await page.getByRole("group", { name: /How many/ }).getByRole("radio", { name: "2" }).check();
  const { data } = await makeIt(page, house);
  assert.equal(data.videos.length, 2);
  await page.getByRole("group", { name: "Results" }).getByRole("button", { name: "2" }).click();
  assert.ok((await page.locator("video.screen").getAttribute("src")).includes(data.videos[1].file_name));
  await page.context().close();
});

test("a result goes on as first frame, clip to continue, reference and clip to edit", async () => {
  const made = await house.make("The beginning of more");
  const page = await house.open(`/studio#/video/${made.id}`);
  const video = page.locator("video.screen");
  const goOn = async (name, label) => {
    await page.goto(`${house.url}/studio#/video/${made.id}`);
    await until("the player has a picture", () => video.evaluate((video) => video.readyState >= 2));
    await page.getByRole("button", { name }).click();
    await slot(page, label).locator(".shown").waitFor();
  };
  await goOn("Use as last frame", "Last frame");
  await goOn("Use as first frame", "First frame");
  await slot(page, "First frame").getByText("1280 × 720").waitFor();
  assert.equal(await page.getByRole("tab", { selected: true }).textContent(), "First & last frame", "what was there already is kept");
  await goOn("Continue this clip", "Clip to continue");
  await slot(page, "Clip to continue").getByText("2 s").waitFor();
  await page.goto(`${house.url}/studio#/video/${made.id}`);
  await page.getByRole("button", { name: "Use as reference" }).click();
  await page.getByText("Video 1", { exact: true }).waitFor();
  await goOn("Edit this", "Clip to edit");
  await page.getByLabel("What should change").fill("Turn it upside down");
  const { input } = await makeIt(page, house);
  assert.equal(input.feature, "edit-video");
  assert.equal(input.video_url, `upload://${made.data.videos[0].file_name}`);
  await page.context().close();
});

test("the request is to be had as curl, Python and TypeScript that run", async () => {
  const page = await house.open();
  await pick(page, "An image");
  await choose(page, "First frame", house.media("first.png"));
  await page.getByRole("textbox", { name: "Prompt" }).fill(`It's "quoted" @once; done`);
  await shortest(page);
  await page.getByRole("button", { name: "Copy as code" }).click();
  const dialog = page.getByRole("dialog");
  const text = async (language) => {
    await dialog.getByRole("tab", { name: language }).click();
    return dialog.locator("pre").textContent();
  };
  const options = { cwd: join(house.folder, "media"), env: { ...process.env, KINORA_API_KEY: house.key }, encoding: "utf8" };
  const answer = JSON.parse(execFileSync("sh", ["-c", `${await text("curl")} --silent`], options));
  assert.equal(answer.input?.prompt, `It's "quoted" @once; done`, JSON.stringify(answer));
  assert.equal(answer.input.image_url, "upload://first.png");
  const program = join(house.folder, "media", "sample.mjs");
  writeFileSync(program, await text("TypeScript"));
  const file = execFileSync(process.execPath, [program], options).trim();
  const { input, data } = await house.newest();
  assert.equal(input.prompt, answer.input.prompt);
  assert.equal(readFileSync(join(house.folder, "media", file)).length, data.videos[0].file_size);
  // Its library may be missing here; that it can be read at all is seen without.
  const python = await text("Python");
  execFileSync("python3", ["-c", "import ast, sys; ast.parse(sys.stdin.read())"], { input: python });
  assert.match(python, /\("image_url", open\("first\.png", "rb"\)\)/);
  await page.keyboard.press("Escape");
  await dialog.waitFor({ state: "hidden" });
  await page.context().close();
});
