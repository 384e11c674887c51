import type { Flag } from "./commandLine.ts";

/** Of `serve`, for the operator at its side. */
export const operatorFlags: readonly Flag[] = [
  {
    name: "operator",
    description:
      "Talk to members under the server's certificate (default on a terminal); lines come from standard input",
  },
  { name: "no-operator", description: "No operator, also on a terminal, and none is offered to members" },
  {
    name: "transcripts",
    value: "folder",
    description: "The operator's evidence folders (default: transcripts)",
  },
  {
    name: "vault",
    value: "file",
    description: "The operator's vault (default: NAME_vault.db beside the server's key)",
  },
  { name: "no-history", description: "The operator keeps neither words nor openings" },
  {
    name: "json",
    description: "The operator's events on standard output, one a line; the log on standard error",
  },
];
