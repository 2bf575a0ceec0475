// Rebuilds every vendored file under kmzportal/static from the npm packages pinned in package.json:
//   cd tools/look && npm ci --ignore-scripts && npm run build
// KERN → sass → purge over all of kmzportal/templates and keep.txt → icons out to files → own.css → one file.
import { createHash } from "node:crypto";
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { transform } from "lightningcss";
import { PurgeCSS } from "purgecss";
import * as sass from "sass";
import subsetFont from "subset-font";

const here = dirname(fileURLToPath(import.meta.url));
const packages = join(here, "node_modules");
const root = join(here, "../..");
const statics = join(root, "kmzportal/static");
const write = (path, text) => writeFileSync(join(statics, path), text);
const copy = (from, to) => copyFileSync(join(packages, from), join(statics, to));
const minify = (css) => transform({ filename: "kmz.css", code: Buffer.from(css), minify: true }).code.toString();
for (const folder of ["css", "icons", "fonts", "js", "LICENSES"]) mkdirSync(join(statics, folder), { recursive: true });

let kern = sass.compile(join(here, "kmz.scss"), { loadPaths: [packages], quietDeps: true, logger: sass.Logger.silent }).css;

// The page follows the system's setting, there is no switch: the themes asked for by attribute or class go.
kern = kern.replace(/(?<!,\n)^\[data-kern-theme=(light|dark)\],\s*\.kern-(light|dark) \{[^}]*\}/gm, "");
// KERN repeats each value beside its variable. All variables are defined, so the repetition goes.
const defined = new Set([...kern.matchAll(/(--kern-[\w-]+)\s*:/g)].map((match) => match[1]));
kern = kern.replace(/var\((--kern-[\w-]+),\s*[^()]*\)/g, (all, name) => (defined.has(name) ? `var(${name})` : all));
// KERN paints icons white in forced colours, invisible on a light scheme: take the text's own colour.
kern = kern.replaceAll("background-color: var(--kern-color-white) !important", "background-color: CanvasText !important");

const names = [...kern.matchAll(/\.kern-icon--([\w-]+) \{\s*-webkit-mask: (url\("data:[^"]+"\))/g)];
const icons = new Map(names.map(([, name, url]) => [url, name]));

const content = [join(root, "kmzportal/templates/**/*"), join(here, "keep.txt"), join(here, "own.css")];
const [purged] = await new PurgeCSS().purge({
  content, css: [{ raw: minify(kern) }], variables: false, keyframes: true,
  defaultExtractor: (text) => text.match(/[\w-]+/g) ?? [],
  safelist: { standard: ["html", "body", /^:/], greedy: [/^(focus|hover)/] },
});
// True of every element anyway, or by the rule `:not(i)`; KERN says each forty times.
const repeated = /(?<=[;{])(?<!:not\(i\)\{)(font-family:var\([^)]+\)|font-style:normal|letter-spacing:[^;}]+|vertical-align:baseline|-webkit-mask:[^;}]*);?/g;
let css = minify(purged.css.replace(repeated, "") + readFileSync(join(here, "own.css"), "utf8"));

// A variable that is set once is a constant: put its value where it is read. What differs between light and
// dark or narrow and wide is set twice and stays a variable. One at a time, because constants name constants.
for (let found = true; found; ) {
  const settings = [...css.matchAll(/(--kern-[\w-]+):([^;{}]+);?/g)];
  found = settings.find(([, name]) =>
    !css.includes(`var(${name})`) || settings.filter((other) => other[1] === name).length === 1);
  if (found) css = css.replace(found[0], "").replaceAll(`var(${found[1]})`, found[2]);
}
css = minify(css);

// `img-src 'self'` forbids data: addresses, so each icon still in use becomes a file.
for (const [url, name] of icons) {
  if (!css.includes(url)) continue;
  const svg = decodeURIComponent(url.slice('url("data:image/svg+xml,'.length, -2)).replaceAll("'", '"');
  write(`icons/${name}.svg`, svg.replace(/ (height|width)=""/g, "").replace(' fill="#000000"', "") + "\n");
  css = css.replaceAll(url, `url(../icons/${name}.svg)`);
}
if (css.includes("data:")) throw new Error("a data: address is left in the style sheet");

const banner = "/*! KERN UX @kern-ux/native 2.7.2, EUPL-1.2, trimmed; Fira Sans, OFL-1.1; own rules. Built by tools/look. */\n";
write("css/kmz.css", banner + css + "\n");
// The fonts keep what western Europe writes and what typesetters put between; small capitals and old figures go.
const signs = [...Array(0x180).keys()].filter((sign) => sign >= 0x20 && (sign < 0x7f || sign > 0x9f));
const text = String.fromCodePoint(...signs) + "–—‘’‚“”„…€•‹›→←↑↓−ẞ\u2009\u2011\u202f";
for (const weight of [400, 600]) {
  const font = readFileSync(join(packages, `@fontsource/fira-sans/files/fira-sans-latin-${weight}-normal.woff2`));
  write(`fonts/fira-sans-latin-${weight}.woff2`, await subsetFont(font, text, { targetFormat: "woff2" }));
}
copy("htmx.org/dist/htmx.min.js", "js/htmx.min.js");
copy("htmx.org/LICENSE", "LICENSES/htmx-0BSD.txt");
copy("@fontsource/fira-sans/LICENSE", "LICENSES/fira-sans-OFL-1.1.txt");
copy("@kern-ux/native/LICENSE.md", "LICENSES/kern-EUPL-1.2.md");

// docs/vendored.md: one row a file, the checksum in it is renewed.
const list = join(root, "docs/vendored.md");
writeFileSync(list, readFileSync(list, "utf8").replace(/`(\S+)`(.*)`[0-9a-f]{64}`/g, (all, file, between) =>
  `\`${file}\`${between}\`${createHash("sha256").update(readFileSync(join(statics, file))).digest("hex")}\``));
console.log(`kmz.css: ${css.length} bytes, ${gzipSync(banner + css, { level: 9 }).length} gzipped`);
