// After the build: packs every file of dist/ and writes the table by which the server knows them.
import { createHash } from "node:crypto";
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
export const DIST = here("../dist/");
const TABLE = here("../../crates/server/src/http/studio/assets.rs");
const TYPES = {
  css: "text/css; charset=utf-8",
  html: "text/html; charset=utf-8",
  js: "text/javascript; charset=utf-8",
  svg: "image/svg+xml",
};

/** What the build made, without what this program adds. */
export function built(folder) {
  const names = readdirSync(folder, { recursive: true, withFileTypes: true });
  return names
    .filter((entry) => entry.isFile() && !/\.(gz|br)$/.test(entry.name))
    .map((entry) => `${entry.parentPath}/${entry.name}`.replace(/\/+/g, "/").slice(folder.replace(/\/+/g, "/").length))
    .sort();
}

/** The table of the files, as rustfmt would have it. */
export function table(folder) {
  const assets = built(folder).map((path) => {
    const hash = createHash("sha256").update(readFileSync(folder + path)).digest("hex").slice(0, 16);
    const bytes = (suffix) => `include_bytes!("../../../../../studio/dist/${path}${suffix}")`;
    const packed = (suffix) => (existsSync(folder + path + suffix) ? `Some(${bytes(suffix)})` : "None");
    return `    Asset {
        path: "${path}",
        content_type: "${TYPES[path.split(".").at(-1)]}",
        etag: "W/\\"${hash}\\"",
        plain: ${bytes("")},
        gzip: ${packed(".gz")},
        brotli: ${packed(".br")},
    },
`;
  });
  return `//! The files of the pages, one entry each. Written by the build of \`studio/\` (\`cargo xtask studio\`), not by hand.

use super::Asset;

pub(super) const ASSETS: &[Asset] = &[
${assets.join("")}];
`;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const sizes = [];
  for (const path of built(DIST)) {
    const bytes = readFileSync(DIST + path);
    const gzip = gzipSync(bytes, { level: 9 });
    const brotli = brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length } });
    // Very small files grow when they are packed: they are sent as they are.
    if (gzip.length < bytes.length) writeFileSync(`${DIST}${path}.gz`, gzip);
    if (brotli.length < bytes.length) writeFileSync(`${DIST}${path}.br`, brotli);
    sizes.push({ path, bytes: bytes.length, gzip: gzip.length, brotli: brotli.length });
  }
  writeFileSync(TABLE, table(DIST));
  execFileSync("rustfmt", ["--edition", "2024", "--config", "max_width=110", TABLE], { stdio: "inherit" });
  console.table(sizes);
}
