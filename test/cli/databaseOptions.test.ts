import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type DatabaseOptions, databaseOptions } from "../../src/cli/databaseOptions.ts";
import { readDotEnv } from "../../src/cli/dotEnv.ts";

type Settings = Readonly<Record<string, string>>;

function chosen(db: string | undefined, environment: Settings, dotEnv: Settings): DatabaseOptions {
  return databaseOptions(
    db,
    (name) => environment[name],
    (name) => dotEnv[name],
  );
}

/** @returns where it stores, short */
function place(db: string | undefined, environment: Settings = {}, dotEnv: Settings = {}): string {
  const options = chosen(db, environment, dotEnv);
  return options.kind === "sqlite" ? options.file : options.name;
}

const parts = { DB_HOST: "h", DB_PORT: "5433", DB_NAME: "n", DB_USER: "u", DB_PASSWORD: "p" };
const url = "postgresql://u:secret@urlhost/d";

describe("databaseOptions()", () => {
  test("goes by the flag, then the environment, then .env, then securechat.db", () => {
    expect(place(undefined)).toBe("securechat.db");
    expect(place(undefined, {}, parts)).toBe("u@h:5433/n");
    expect(place(undefined, {}, { ...parts, DATABASE_URL: url })).toBe("u@urlhost:5432/d");
    expect(place(undefined, parts, { DATABASE_URL: url })).toBe("u@h:5433/n");
    expect(place(undefined, { ...parts, DATABASE_URL: url })).toBe("u@urlhost:5432/d");
    expect(place("/var/lib/x.db", { DATABASE_URL: url }, parts)).toBe("/var/lib/x.db");
    expect(place("postgres://a@b/c", { DATABASE_URL: url })).toBe("a@b:5432/c");
    expect(place(undefined, { DATABASE_URL: "" }, { DB_HOST: "" })).toBe("securechat.db");
  });

  test("takes a part from .env that the environment does not have", () => {
    const options = chosen(undefined, { DB_HOST: "other", DB_SSLMODE: "require" }, parts);
    expect(options).toMatchObject({
      kind: "postgres",
      address: { host: "other", port: 5433, database: "n", user: "u", password: "p", sslMode: "require" },
    });
  });

  test("needs name and user, host and port are this machine's", () => {
    expect(chosen(undefined, { DB_NAME: "n", DB_USER: "u" }, {})).toMatchObject({
      address: { host: "localhost", port: 5432, password: undefined, sslMode: "disable" },
    });
    expect(chosen(undefined, { ...parts, DB_HOST: "db.example.org" }, {})).toMatchObject({
      address: { sslMode: "verify-full" },
    });
    for (const missing of ["DB_NAME", "DB_USER"])
      expect(() => chosen(undefined, { ...parts, [missing]: "" }, {})).toThrow(missing);
  });

  for (const db of [
    url,
    "postgres://u:@h/d",
    "postgres://u:se/cret@h/d",
    "mysql://u:secret@h/d",
    "postgres://:s@h",
  ])
    test(`refuses --db ${db.replace(/s[ecrt/]*@/, "…@")}, which has room for a password`, () => {
      expect(() => place(db)).toThrow("--db can't take a URL with a password");
    });

  test("gives a URL in --db the password of DB_PASSWORD", () => {
    expect(chosen("postgres://u@h/d", { DB_PASSWORD: "p" }, {})).toMatchObject({
      address: { password: "p" },
    });
  });

  test("says which setting can't be used, and never a password", () => {
    for (const [environment, source] of [
      [{ DATABASE_URL: "postgres://u:secret@h" }, "DATABASE_URL"],
      [{ DATABASE_URL: "secret" }, "DATABASE_URL"],
      [{ ...parts, DB_PASSWORD: "secret", DB_PORT: "x" }, "DB_PORT"],
      [{ ...parts, DB_PASSWORD: "secret", DB_SSLMODE: "prefer" }, "sslmode"],
      [{ ...parts, DB_PASSWORD: "secret\0" }, "DB_PASSWORD"],
    ] as const) {
      let message = "";
      try {
        chosen(undefined, environment, {});
      } catch (error) {
        expect(error).toMatchObject({ name: "CliError", exitCode: 2 });
        message = error instanceof Error ? error.message : "";
      }
      expect(message).toContain(source);
      expect(message).not.toContain("secret");
    }
  });
});

describe("readDotEnv()", () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), "securechat-dotenv-"));
  });
  afterAll(() => rmSync(folder, { recursive: true }));
  const read = (content: string) => {
    const file = join(folder, "env");
    writeFileSync(file, content);
    return Object.fromEntries(readDotEnv(file));
  };

  test("reads names and values as the original's file has them", () => {
    expect(
      read(
        [
          "# comment",
          "",
          "DB_HOST=localhost",
          "  export DB_PORT = 5432  ",
          "A='single # \\n \"x\" '  # comment",
          'B="double \\" \\\\ \\n # y"',
          "C=plain text with spaces # comment",
          "D=with#hash",
          "E=",
          "E2=''",
          "DB_PASSWORD=a=b$c",
        ].join("\r\n"),
      ),
    ).toEqual({
      DB_HOST: "localhost",
      DB_PORT: "5432",
      A: 'single # \\n "x" ',
      B: 'double " \\ \n # y',
      C: "plain text with spaces",
      D: "with#hash",
      E: "",
      E2: "",
      DB_PASSWORD: "a=b$c",
    });
  });

  test("finds nothing in a file that is not there", () => {
    expect([...readDotEnv(join(folder, "missing"))]).toEqual([]);
  });

  for (const line of ["secret", "1A=secret", "A='secret", 'A="secret', "A='x' secret", "A B=secret"])
    test(`refuses the line ${line} without repeating it`, () => {
      expect(() => read(`OK=1\n${line}`)).toThrow("line 2");
      expect(() => read(`OK=1\n${line}`)).not.toThrow("secret");
    });

  test("reads .env.example, in which every setting is a comment", () => {
    const example = new URL("../../.env.example", import.meta.url).pathname;
    expect([...readDotEnv(example)]).toEqual([]);
    const settings = read(readFileSync(example, "utf8").replace(/^#(?=[A-Z])/gm, ""));
    expect(settings.DB_SSLMODE).toBe("verify-full");
    expect(Object.keys(settings)).toHaveLength(8);
  });
});

test("databaseOptions() repeats no part of a URL that lacks its @, where the password stands for the port", () => {
  const refused = (url: string) => {
    try {
      databaseOptions(
        undefined,
        (name) => (name === "DATABASE_URL" ? url : undefined),
        () => undefined,
      );
      return "accepted";
    } catch (error) {
      return error instanceof Error ? error.message : "";
    }
  };
  for (const url of ["postgresql://alice:s3cret/chat", "postgresql://alice@db/chat?sslmode=s3cret"]) {
    expect(refused(url)).toStartWith("DATABASE_URL: ");
    expect(refused(url)).not.toContain("s3cret");
  }
});
