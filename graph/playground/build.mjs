// Bundles src into dist, for playground.go to embed. Names of assets carry a
// hash of their content, so a browser may keep them for ever. The committed
// placeholder stays: it is what a checkout without npm serves. Nothing in dist
// is touched before the bundle is known to be good.
import { build } from "esbuild";
import { mkdir, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const dist = join(here, "dist");

const { outputFiles, metafile } = await build({
  absWorkingDir: here,
  entryPoints: ["src/main.jsx"],
  outdir: "dist/assets",
  entryNames: "[name]-[hash]",
  chunkNames: "[name]-[hash]",
  bundle: true,
  splitting: true,
  format: "esm",
  target: "es2022",
  jsx: "automatic",
  minify: true,
  legalComments: "eof",
  define: { "process.env.NODE_ENV": '"production"' },
  metafile: true,
  write: false,
  logLevel: "warning",
});

const [script, { cssBundle: style }] = Object.entries(metafile.outputs).find(([, output]) => output.entryPoint === "src/main.jsx");
const page = (await readFile(join(here, "src/index.html"), "utf8"))
  .replace("{{script}}", basename(script))
  .replace("{{style}}", basename(style));

for (const name of await readdir(dist)) {
  if (name !== "placeholder.html") {
    await rm(join(dist, name), { recursive: true });
  }
}
await mkdir(join(dist, "assets"), { recursive: true });
for (const file of outputFiles) {
  await writeFile(file.path, file.contents);
}
await writeFile(join(dist, "index.html"), page);

const bytes = outputFiles.reduce((sum, file) => sum + file.contents.length, 0);
console.log(`graph/playground/dist: ${outputFiles.length + 1} files, ${(bytes / 1e6).toFixed(1)} MB`);
