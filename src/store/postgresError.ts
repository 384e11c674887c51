import postgres from "postgres";
import { StoreError } from "./storeError.ts";

/** What PostgreSQL said, without the statement, its parameters and the rows that it is about. */
export class PostgresFailure extends Error {
  override readonly name = "PostgresFailure";
  /** PostgreSQL's documentation, appendix A; "" when the connection failed. */
  readonly sqlState: string;

  constructor(sqlState: string, message: string) {
    super(message);
    this.sqlState = sqlState;
  }
}

/** Connection, resources, operator, system: the same statement may do later. */
const passing = /^(08|53|57|58|40)|^(55P03|55006|25006|25P03|28...|3D000)$/;
/** Their texts speak of the server alone; those of other classes may quote values. */
const quotable = /^(08|0A|28|2B|3D|3F|42|53|55|57|58|25)/;

/** @returns the store's error for what postgres.js or a socket has thrown */
export function storeErrorOf(error: unknown): StoreError {
  if (error instanceof StoreError) return error;
  if (!(error instanceof postgres.PostgresError)) {
    const text = error instanceof Error ? error.message : String(error);
    return unavailable("the connection to the database failed", new PostgresFailure("", text));
  }
  const { code, message, constraint_name: constraint } = error;
  const detail = quotable.test(code) ? message : constraint === undefined ? "" : `constraint ${constraint}`;
  const cause = new PostgresFailure(
    code,
    detail === "" ? `SQLSTATE ${code}` : `${detail} (SQLSTATE ${code})`,
  );
  if (passing.test(code)) return unavailable("the database can't do it now", cause);
  if (code === "XX001" || code === "XX002")
    return new StoreError("CORRUPT", "the database is damaged", { cause });
  return new StoreError("MISUSE", "the database refused a statement", { cause });
}

export function unavailable(message: string, cause?: Error): StoreError {
  return new StoreError("UNAVAILABLE", message, { cause });
}

/** @returns PostgreSQL's code for an error of the store, if it comes from there */
export function sqlStateOf(error: unknown): string | undefined {
  const cause = error instanceof StoreError ? error.cause : undefined;
  return cause instanceof PostgresFailure && cause.sqlState !== "" ? cause.sqlState : undefined;
}
