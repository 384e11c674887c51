export interface HostPort {
  readonly host: string;
  readonly port: number;
}

/**
 * Reads `HOST`, `HOST:PORT` or `[IPv6]:PORT`.
 *
 * @param defaultPort `undefined`: a port has to be given
 * @returns `undefined` for anything else
 */
export function parseHostPort(text: string, defaultPort: number | undefined): HostPort | undefined {
  const match = /^(\[[0-9a-fA-F:]+\]|[^:[\]]+)(?::(0|[1-9][0-9]{0,4}))?$/.exec(text);
  const port = match?.[2] === undefined ? defaultPort : Number(match[2]);
  if (match?.[1] === undefined || port === undefined || port > 65_535) return undefined;
  return { host: match[1].replace(/^\[|\]$/g, ""), port };
}

export function formatHostPort({ host, port }: HostPort): string {
  return `${host.includes(":") ? `[${host}]` : host}:${port}`;
}
