import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { patienceMs, World } from "./world.ts";

setDefaultTimeout(patienceMs);

let world: World;

beforeAll(async () => {
  world = await World.create(["alice"]);
});

afterAll(async () => {
  await world.dispose();
});

async function startWatched(args: readonly string[] = []) {
  const { server, port } = await world.startServer(["--metrics", "127.0.0.1:0", ...args]);
  const url = await server.waitFor("metrics", (line) => /Metrics on (http:\/\/\S+)\/metrics/.exec(line)?.[1]);
  return { server, port, url };
}

test("serve --metrics counts what happens and says that it is ready", async () => {
  const { server, port, url } = await startWatched();
  const alice = await world.chat("alice", port, ["--register"]);
  expect(alice.exitCode).toBe(0);

  const metrics = await fetch(`${url}/metrics`);
  const text = await metrics.text();
  expect(metrics.headers.get("content-type")).toContain("version=0.0.4");
  expect(text).toMatch(/^securechat_connections_total\{outcome="accepted"\} [1-9]/m);
  expect(text).toMatch(/^securechat_handshake_seconds_count\{outcome="ok"\} 1$/m);
  expect(text).toMatch(/^securechat_request_seconds_count\{type="register",outcome="ok"\} 1$/m);
  expect(text).toMatch(/^securechat_store_seconds_count\{call="accounts\.create",outcome="ok"\} 1$/m);
  expect(text).toMatch(/^process_resident_memory_bytes [1-9]\d+$/m);
  expect(text).toMatch(/^securechat_certificate_end_timestamp_seconds [1-9]\d+/m);
  expect(text).not.toContain("alice");

  expect((await fetch(`${url}/healthz`)).status).toBe(200);
  const ready = await fetch(`${url}/readyz`);
  expect([ready.status, await ready.text()]).toEqual([200, "ready\n"]);
  expect((await fetch(`${url}/metrics`, { method: "POST", body: "x" })).status).toBe(405);
  expect((await fetch(`${url}/`)).status).toBe(404);
  server.stop("SIGTERM");
  expect(await server.exited).toBe(0);
});

test("serve --log-format json writes one object a line, sessions named in a field", async () => {
  const { server, port } = await world.startServer(["--log-format", "json"]);
  await world.chat("alice", port, ["--login"]);
  server.stop("SIGTERM");
  expect(await server.exited).toBe(0);
  const lines = server.output
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line));
  for (const line of lines) {
    expect(line.time).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    expect(["info", "warning", "error"]).toContain(line.level);
  }
  expect(lines).toContainEqual(
    expect.objectContaining({ session: "SESSION-001", message: "Client authenticated: alice" }),
  );
});

test.each([
  [["--metrics", "9090"], "--metrics must be HOST:PORT"],
  [["--metrics", "127.0.0.1:99999"], "--metrics must be HOST:PORT"],
  [["--metrics", "203.0.113.1:0"], "can't serve metrics on 203.0.113.1:0"],
  [["--log-format", "xml"], "--log-format must be text or json"],
])("serve refuses %p", async (args, reason) => {
  const { exitCode, stderr } = await world.run("server", ["serve", ...args]);
  expect(exitCode).toBe(2);
  expect(stderr).toContain(reason);
});
