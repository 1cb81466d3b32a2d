// Makes `dist` of `app`: the same bytes from the same sources, so that what is committed can be checked.
import { copyFileSync, readFileSync, writeFileSync } from "node:fs";
import { build } from "esbuild";

await build({
  entryPoints: [
    { in: "app/main.tsx", out: "app" },
    { in: "app/style.css", out: "app" },
  ],
  outdir: "dist",
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  jsx: "automatic",
  jsxImportSource: "preact",
  legalComments: "none",
  charset: "utf8",
});
for (const name of ["index.html", "icon.svg"]) copyFileSync(`app/${name}`, `dist/${name}`);

const licence = (name) => {
  const { version } = JSON.parse(readFileSync(`node_modules/${name}/package.json`, "utf8"));
  return `${name} ${version}\n\n${readFileSync(`node_modules/${name}/LICENSE`, "utf8").trim()}\n`;
};
const parts = ["preact", "@preact/signals", "@preact/signals-core", "uplot"];
writeFileSync("dist/licences.txt", parts.map(licence).join(`\n${"-".repeat(80)}\n\n`));
