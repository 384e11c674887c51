import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { dirname, join, normalize, resolve } from "node:path";

const source = resolve(import.meta.dir, "../src");

/** Imports go down this list only. Folders on one line don't import each other. */
const floors: readonly (readonly string[])[] = [
  ["cli"],
  ["server", "client"],
  ["classic"],
  ["evidence"],
  ["store"],
  ["group"],
  ["log"],
  ["channel"],
  ["wire"],
  ["pki"],
  ["crypto"],
  ["base"],
];
// Design §10: these two pairs never meet, although the list alone would allow it.
const strangers: readonly (readonly [string, string])[] = [
  ["evidence", "store"],
  ["store", "group"],
];

/** Who alone may import a library. */
const owners: readonly (readonly [RegExp, string])[] = [
  [/^(@noble\/|node:crypto$|crypto$)/, "crypto"],
  [/^(pkijs|asn1js)$/, "pki"],
  [/^ts-mls/, "group"],
  [/^postgres$/, "store"],
  [/^cac$/, "cli"],
  [/^prom-client$/, "server"],
];

interface Import {
  readonly file: string;
  readonly floor: string;
  readonly target: string;
}

const files = [...new Bun.Glob("**/*.ts").scanSync(source)].sort();
const transpiler = new Bun.Transpiler({ loader: "ts" });
const imports: readonly Import[] = files.flatMap((file) => {
  const text = readFileSync(join(source, file), "utf8");
  const floor = file.split("/")[0] ?? "";
  // The transpiler leaves out what is imported for its type only; the order holds for types as well.
  const typeImports = [...text.matchAll(/\bfrom\s+"([^"]+)"/g)].map((match) => match[1] ?? "");
  const all = new Set([...transpiler.scanImports(text).map(({ path }) => path), ...typeImports]);
  return [...all].map((target) => ({ file, floor, target }));
});
const local = imports
  .filter(({ target }) => target.startsWith("."))
  .map((item) => ({ ...item, to: normalize(join(dirname(item.file), item.target)) }));

const heightOf = (floor: string) => floors.findIndex((names) => names.includes(floor));

describe("the import order", () => {
  test("has every folder of src on one of its floors", () => {
    expect(files.filter((file) => heightOf(file.split("/")[0] ?? "") === -1)).toEqual([]);
    expect(local.length).toBeGreaterThan(50);
  });

  test("only goes down", () => {
    const wrong = local
      .filter(({ to }) => !to.startsWith(".."))
      .filter(({ floor, to }) => {
        const target = to.split("/")[0] ?? "";
        const known = strangers.some(([from, at]) => from === floor && at === target);
        return target !== floor && (known || heightOf(target) <= heightOf(floor));
      });
    expect(wrong.map(({ file, to }) => `${file} -> ${to}`)).toEqual([]);
  });

  test("leaves src for package.json only", () => {
    const outside = local.filter(({ to }) => to.startsWith("..") && to !== "../package.json");
    expect(outside.map(({ file, to }) => `${file} -> ${to}`)).toEqual([]);
  });

  test("has no cycle between files", () => {
    const edges = new Map<string, string[]>();
    for (const { file, to } of local) edges.set(file, [...(edges.get(file) ?? []), to]);
    const done = new Set<string>();
    const cycles: string[] = [];
    const visit = (file: string, path: readonly string[]): void => {
      if (path.includes(file)) cycles.push([...path.slice(path.indexOf(file)), file].join(" -> "));
      else if (!done.has(file)) {
        for (const next of edges.get(file) ?? []) visit(next, [...path, file]);
        done.add(file);
      }
    };
    for (const file of files) visit(file, []);
    expect(cycles).toEqual([]);
  });

  test("gives each library to the one folder that owns it", () => {
    const wrong = imports.filter(({ floor, target }) =>
      owners.some(([library, owner]) => library.test(target) && floor !== owner),
    );
    expect(wrong.map(({ file, target }) => `${file} -> ${target}`)).toEqual([]);
  });

  test("keeps sockets, files, clocks, the environment and random numbers out of the lower floors", () => {
    const low = new Set(["base", "crypto", "pki", "wire", "channel", "log", "group", "evidence"]);
    const ambient =
      /\bDate\.now\(|\bnew Date\(\)|\bperformance\.now\(|\bprocess\.env\b|\bBun\.(?:env|listen|connect|file|write|spawn)\b|\bMath\.random\(|\bsetTimeout\(|\bsetInterval\(|from "(?:node:)?(?:fs|net|os|child_process)|\bgetRandomValues\(|\brandomBytes\(/;
    // The crypto floor is where random numbers come from.
    const wrong = files.filter(
      (file) =>
        low.has(file.split("/")[0] ?? "") &&
        file !== "crypto/systemRandom.ts" &&
        file !== "crypto/native.ts" &&
        file !== "crypto/noble.ts" &&
        ambient.test(readFileSync(join(source, file), "utf8")),
    );
    expect(wrong).toEqual([]);
  });
});
