// Turns the pinned npm packages into the few ES modules that the pages import, and gathers their licences.
// Run `./build` in this folder; the result in ../static/vendor is committed, so that nobody else needs npm.
import { build } from "esbuild";
import { copyFile, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";

const OUT = "../static/vendor";
const ENTRIES = ["ui", "socket", "sound", "chart"];
const LICENCE = /^(licen[cs]e|copying)/i;

function packageFolder(input) {
  const at = input.lastIndexOf("node_modules/");
  if (at < 0) return null;
  const [scope, name] = input.slice(at + "node_modules/".length).split("/");
  return input.slice(0, at) + "node_modules/" + (scope.startsWith("@") ? `${scope}/${name}` : scope);
}

async function licenceOf(folder) {
  const about = JSON.parse(await readFile(join(folder, "package.json"), "utf8"));
  const file = (await readdir(folder)).find((name) => LICENCE.test(name));
  const text = file ? await readFile(join(folder, file), "utf8") : `Licence: ${about.license}\n`;
  return `${about.name} ${about.version} (${about.license})\n\n${text.trim()}\n`;
}

await rm(OUT, { recursive: true, force: true });
const { metafile } = await build({
  entryPoints: ENTRIES.map((name) => `entries/${name}.js`),
  outdir: OUT,
  bundle: true,
  format: "esm",
  minify: true,
  target: "es2022",
  metafile: true,
  legalComments: "none",
});
const folders = new Set(Object.keys(metafile.inputs).map(packageFolder).filter(Boolean));
const licences = await Promise.all([...folders].sort().map(licenceOf));
await writeFile(join(OUT, "LICENCES.txt"), licences.join("\n" + "-".repeat(80) + "\n\n"));
await copyFile(join(dirname("node_modules/uplot/dist/uPlot.min.css"), "uPlot.min.css"), join(OUT, "chart.css"));
