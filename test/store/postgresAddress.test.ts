import { describe, expect, test } from "bun:test";
import { arrayLiteral } from "../../src/store/arrayLiteral.ts";
import { describeAddress, parsePostgresUrl } from "../../src/store/postgresAddress.ts";

describe("parsePostgresUrl()", () => {
  test("reads user, password, host, port, database and TLS", () => {
    const url =
      "postgresql://al%40ice:p%3A%2Fw@db.example.org:5433/chat?sslmode=verify-ca&sslrootcert=/etc/ca.pem";
    expect(parsePostgresUrl(url)).toEqual({
      host: "db.example.org",
      port: 5433,
      database: "chat",
      user: "al@ice",
      password: "p:/w",
      sslMode: "verify-ca",
      sslRootCertificate: "/etc/ca.pem",
    });
  });

  test("goes without TLS to this machine only, unless told otherwise", () => {
    const modeOf = (rest: string) => parsePostgresUrl(`postgres://u@${rest}`).sslMode;
    for (const local of ["localhost/d", "127.0.0.1/d", "127.8.8.8:9/d", "[::1]/d", "/d?host=/run/postgresql"])
      expect([local, modeOf(local)]).toEqual([local, "disable"]);
    for (const remote of [
      "db/d",
      "10.0.0.1/d",
      "localhost.example.org/d",
      "[::2]/d",
      "127.0.0.1.example.org/d",
    ])
      expect([remote, modeOf(remote)]).toEqual([remote, "verify-full"]);
    expect(modeOf("db/d?sslmode=disable")).toBe("disable");
    expect(modeOf("localhost/d?sslmode=verify-full")).toBe("verify-full");
  });

  test("reads the folder of a socket and the port beside it", () => {
    for (const url of [
      "postgresql://u@/d?host=/run/postgresql&port=6000",
      "postgresql://u@%2Frun%2Fpostgresql:6000/d",
    ])
      expect(parsePostgresUrl(url)).toMatchObject({
        host: "/run/postgresql",
        port: 6000,
        sslMode: "disable",
      });
  });

  for (const [what, url] of [
    ["another protocol", "mysql://u:secret@h/d"],
    ["no URL", "secret"],
    ["no database", "postgres://u:secret@h"],
    ["no user", "postgres://:secret@h/d"],
    ["several hosts", "postgres://u:secret@h,i/d"],
    ["two hosts", "postgres://u:secret@h/d?host=i"],
    ["a port out of range", "postgres://u:secret@h/d?port=65536"],
    ["an unknown parameter", "postgres://u:secret@h/d?options=-csearch_path%3Dx"],
    ["a parameter twice", "postgres://u:secret@h/d?sslmode=disable&sslmode=require"],
    ["a mode that falls back to clear text", "postgres://u:secret@h/d?sslmode=prefer"],
    ["a fragment", "postgres://u:secret@h/d#x"],
    ["a broken escape", "postgres://u:secret%@h/d"],
    ["a zero byte", "postgres://u%00:secret@h/d"],
    ["a path below the database", "postgres://u:secret@h/d/e"],
  ] as const)
    test(`refuses ${what} without repeating the password`, () => {
      let refusal: unknown;
      try {
        parsePostgresUrl(url);
      } catch (error) {
        refusal = error;
      }
      expect(refusal).toMatchObject({ name: "StoreError", code: "CANNOT_OPEN" });
      expect(Bun.inspect(refusal)).not.toContain("secret");
    });
});

test("describeAddress() leaves out the password", () => {
  expect(describeAddress(parsePostgresUrl("postgres://u:secret@[::2]:1/d"))).toBe("u@[::2]:1/d");
});

test("arrayLiteral() quotes every element", () => {
  expect(arrayLiteral([])).toBe("{}");
  expect(arrayLiteral(["a", 'q"', "\\", "{}", "NULL", ""])).toBe('{"a","q\\"","\\\\","{}","NULL",""}');
  expect(arrayLiteral([1, -2])).toBe('{"1","-2"}');
  expect(arrayLiteral([true, false])).toBe('{"true","false"}');
  expect(arrayLiteral([Uint8Array.of(0, 255)])).toBe('{"\\\\x00ff"}');
});
