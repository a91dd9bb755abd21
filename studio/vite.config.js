// How the pages are built: two entries, names that change with the bytes, nothing inline, nothing from elsewhere.
import { fileURLToPath } from "node:url";
import { defineConfig } from "vite";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));

export default defineConfig({
  root: here("."),
  base: "/studio/",
  publicDir: false,
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  // `npm run dev` shows the sources live in front of a server that runs already.
  server: { proxy: { "/api": "http://127.0.0.1:8080", "/files": "http://127.0.0.1:8080", "/openapi.json": "http://127.0.0.1:8080" } },
  build: {
    outDir: process.env.STUDIO_DIST ?? here("dist"),
    emptyOutDir: true,
    target: "es2022",
    // Browsers that know light-dark(), so that the colours stay pairs.
    cssTarget: ["chrome123", "firefox120", "safari17.5"],
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0,
    reportCompressedSize: false,
    rollupOptions: { input: { studio: here("studio.html"), docs: here("docs.html") } },
  },
});
