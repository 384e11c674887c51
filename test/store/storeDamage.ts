/** What stands in a column in place of what was written there. */
export type DamagedValue = string | number | bigint | null | Uint8Array;

/** Of the column's type, and nothing that was ever written there. */
export const damagedValues: Readonly<Record<"text" | "integer" | "bytes", readonly DamagedValue[]>> = {
  text: [
    "",
    "x",
    "0".repeat(64),
    "\u001b[2J\n",
    "{}",
    "é".repeat(5_000),
    "$argon2id$v=19$m=4194304,t=99,p=1$AAAA$AAAA",
  ],
  integer: [-1, 0, 1, 7, 2 ** 31, 2 ** 53 - 1, 2n ** 62n, -(2n ** 62n)],
  bytes: ["", "00", "ff".repeat(32), "00000001ff", "7b7d".repeat(600)].map((hex) => Uint8Array.fromHex(hex)),
};

export interface Column {
  readonly table: string;
  readonly column: string;
  readonly type: keyof typeof damagedValues;
}

/** One column with another value in all of its rows, or in as many as its rules allow. */
export interface Damage extends Column {
  readonly value: DamagedValue;
}

/** @returns each column with each value of its type */
export function damagesOf(columns: readonly Column[]): Damage[] {
  return columns.flatMap((column) => damagedValues[column.type].map((value) => ({ ...column, value })));
}

export function nameOf({ table, column, value }: Damage): string {
  const text = value instanceof Uint8Array ? `${value.length} bytes` : String(value);
  return `${table}.${column} = ${text.slice(0, 40)}`;
}
