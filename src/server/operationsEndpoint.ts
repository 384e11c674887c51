import { ServerError } from "./serverError.ts";

export interface OperationsEndpoint {
  readonly port: number;
  stop(): Promise<void>;
}

interface EndpointOptions {
  readonly host: string;
  /** 0: the system chooses. */
  readonly port: number;
  /** @returns why clients can't be served at the moment, `undefined` when they can */
  readonly unready: () => Promise<string | undefined>;
  readonly metrics: { readonly contentType: string; text(): Promise<string> };
}

/** Longest time that a request may take to arrive, seconds. */
const idleTimeout = 10;
/** No request has a body. */
const maxRequestBodySize = 1024;

/**
 * Plain HTTP for whoever watches the server: `/healthz` (the process answers), `/readyz` (clients can be served) and
 * `/metrics`. There is no login: bind it to an address that only they reach. Nothing in the answers names a person.
 *
 * @throws {ServerError} `METRICS_UNAVAILABLE`
 */
export function startOperationsEndpoint({
  host,
  port,
  unready,
  metrics,
}: EndpointOptions): OperationsEndpoint {
  const answers = new Map<string, () => Promise<Response>>([
    ["/healthz", async () => plain("ok\n")],
    [
      "/readyz",
      async () => {
        const reason = await unready();
        return reason === undefined ? plain("ready\n") : plain(`not ready: ${reason}\n`, 503);
      },
    ],
    ["/metrics", async () => plain(await metrics.text(), 200, metrics.contentType)],
  ]);
  const fetch = async (request: Request): Promise<Response> => {
    const answer = answers.get(new URL(request.url).pathname);
    if (answer === undefined) return plain("there are /healthz, /readyz and /metrics\n", 404);
    if (request.method !== "GET" && request.method !== "HEAD") return plain("only GET\n", 405);
    return await answer();
  };
  try {
    const server = Bun.serve({
      hostname: host,
      port,
      idleTimeout,
      maxRequestBodySize,
      development: false,
      fetch,
      error: () => plain("failed\n", 500),
    });
    return { port: server.port ?? port, stop: () => server.stop(true) };
  } catch (cause) {
    throw new ServerError("METRICS_UNAVAILABLE", `can't serve metrics on ${host}:${port}`, { cause });
  }
}

function plain(body: string, status = 200, contentType = "text/plain; charset=utf-8"): Response {
  return new Response(body, {
    status,
    headers: { "content-type": contentType, "cache-control": "no-store" },
  });
}
