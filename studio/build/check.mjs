// Whether dist/ is what the sources build to, and the server's table names exactly its files.
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { brotliDecompressSync, gunzipSync } from "node:zlib";
import { DIST, built } from "./finish.mjs";

const fresh = `${mkdtempSync(join(tmpdir(), "studio-"))}/`;
const stale = [];
try {
  execFileSync("npx", ["vite", "build", "--logLevel", "warn"], {
    cwd: fileURLToPath(new URL("..", import.meta.url)),
    env: { ...process.env, STUDIO_DIST: fresh },
    stdio: "inherit",
  });
  const paths = new Set([...built(fresh), ...built(DIST)]);
  const assets = readFileSync(new URL("../../crates/server/src/http/studio/assets.rs", import.meta.url), "utf8");
  for (const path of paths) {
    if (!existsSync(fresh + path) || !existsSync(DIST + path)) {
      stale.push(`${path} is on one side only`);
      continue;
    }
    const wanted = readFileSync(fresh + path);
    // Packed bytes differ between versions of the packers; what they unpack to must not.
    const packed = { "": (bytes) => bytes, ".gz": gunzipSync, ".br": brotliDecompressSync };
    for (const [suffix, unpack] of Object.entries(packed)) {
      if (suffix !== "" && !existsSync(DIST + path + suffix)) continue;
      if (!wanted.equals(unpack(readFileSync(DIST + path + suffix)))) stale.push(`${path}${suffix} differs`);
    }
    if (!assets.includes(`"${path}"`)) stale.push(`${path} is not in assets.rs`);
  }
} finally {
  rmSync(fresh, { recursive: true });
}
if (stale.length > 0) {
  console.error(`studio/dist is not what its sources build to; run \`cargo xtask studio\`:\n  ${stale.join("\n  ")}`);
  process.exit(1);
}
console.log("studio/dist is what its sources build to.");
