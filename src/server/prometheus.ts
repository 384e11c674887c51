import { Counter, Gauge, Histogram, Registry } from "prom-client";
import type { ServerGauges } from "./serverGauges.ts";
import type { ServerMeter } from "./serverMeter.ts";

/** Upper ends, seconds: from a store in memory to a disk that is in trouble. */
const seconds = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

/** Counts for a scraper of Prometheus (text format 0.0.4). */
export class PrometheusMeter implements ServerMeter {
  readonly #registry = new Registry();
  readonly #connections = this.#counter("connections_total", "TCP connections", ["outcome"]);
  readonly #handshakes = this.#histogram("handshake_seconds", "Channel handshakes", ["outcome"]);
  readonly #requests = this.#histogram("request_seconds", "Requests other than posts", ["type", "outcome"]);
  readonly #entries = this.#counter("entries_total", "Posted entries", ["outcome"]);
  readonly #pushed = this.#counter("pushed_entries_total", "Entries sent to members who were online", []);
  readonly #expired = this.#counter("expired_conversations_total", "Conversations deleted for their age", []);
  readonly #stored = this.#histogram("store_seconds", "Calls of the store", ["call", "outcome"]);

  constructor(version: string, gauges: () => ServerGauges) {
    this.#gauge("connections", "Connections that are open", () => gauges().connections);
    this.#gauge("sessions", "Connections that are logged in", () => gauges().sessions);
    this.#gauge("posts_waiting", "Posts that wait for their turn", () => gauges().postsWaiting);
    this.#gauge(
      "certificate_end_timestamp_seconds",
      "When the server's certificate ends",
      () => gauges().certificateEndsMs / 1000,
    );
    this.#gauge(
      "crl_next_update_timestamp_seconds",
      "When the revocation list in use is overdue; absent without one",
      () => secondsOf(gauges().crlNextUpdateMs),
    );
    this.#processGauges();
    const build = new Gauge({
      name: "securechat_build_info",
      help: "Version of this server",
      labelNames: ["version"],
      registers: [this.#registry],
    });
    build.set({ version }, 1);
  }

  connection(outcome: "accepted" | "refused"): void {
    this.#connections.inc({ outcome });
  }

  handshake(outcome: string, duration: number): void {
    this.#handshakes.observe({ outcome }, duration);
  }

  request(type: string, outcome: string, duration: number): void {
    this.#requests.observe({ type, outcome }, duration);
  }

  entry(outcome: string): void {
    this.#entries.inc({ outcome });
  }

  pushed(entries: number): void {
    this.#pushed.inc(entries);
  }

  expired(conversations: number): void {
    this.#expired.inc(conversations);
  }

  stored(call: string, outcome: string, duration: number): void {
    this.#stored.observe({ call, outcome }, duration);
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  text(): Promise<string> {
    return this.#registry.metrics();
  }

  /** The names that every dashboard for processes knows. */
  #processGauges(): void {
    const registers = [this.#registry];
    const cpu: Counter = new Counter({
      name: "process_cpu_seconds_total",
      help: "User and system CPU time",
      registers,
      collect: () => {
        const { user, system } = process.cpuUsage();
        cpu.reset();
        cpu.inc((user + system) / 1e6);
      },
    });
    const memory: Gauge = new Gauge({
      name: "process_resident_memory_bytes",
      help: "Resident memory",
      registers,
      collect: () => memory.set(process.memoryUsage.rss()),
    });
    const start = new Gauge({ name: "process_start_time_seconds", help: "Start of the process", registers });
    start.set(Math.round(Date.now() / 1000 - process.uptime()));
  }

  #counter<Label extends string>(name: string, help: string, labelNames: Label[]): Counter<Label> {
    return new Counter({ name: `securechat_${name}`, help, labelNames, registers: [this.#registry] });
  }

  #histogram<Label extends string>(name: string, help: string, labelNames: Label[]): Histogram<Label> {
    const registers = [this.#registry];
    return new Histogram({ name: `securechat_${name}`, help, labelNames, buckets: seconds, registers });
  }

  #gauge(name: string, help: string, read: () => number | undefined): void {
    const gauge: Gauge = new Gauge({
      name: `securechat_${name}`,
      help,
      registers: [this.#registry],
      collect: () => {
        const value = read();
        if (value === undefined) gauge.remove();
        else gauge.set(value);
      },
    });
  }
}

function secondsOf(ms: number | undefined): number | undefined {
  return ms === undefined ? undefined : ms / 1000;
}
