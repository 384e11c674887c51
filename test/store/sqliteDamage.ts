import { Database } from "bun:sqlite";
import type { Column, Damage } from "./storeDamage.ts";

/** Every column of every table that has rows. */
export function sqliteColumns(file: string): Column[] {
  using database = new Database(file, { readonly: true });
  return database
    .query<{ name: string }, []>("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")
    .all()
    .filter(({ name }) => database.query(`SELECT 1 FROM "${name}" LIMIT 1`).get() !== null)
    .flatMap(({ name: table }) =>
      database
        .query<{ name: string; type: string }, []>(`PRAGMA table_info("${table}")`)
        .all()
        .map(({ name: column, type }) => ({
          table,
          column,
          type: type === "INTEGER" ? "integer" : type === "BLOB" ? "bytes" : "text",
        })),
    );
}

/** @returns whether a row could be changed: types and uniqueness hold for whoever damages a database too */
export function damageSqlite(file: string, { table, column, value }: Damage): boolean {
  using database = new Database(file);
  database.run("PRAGMA foreign_keys = OFF");
  database.run("PRAGMA ignore_check_constraints = ON");
  return database.query(`UPDATE OR IGNORE "${table}" SET "${column}" = ?`).run(value).changes > 0;
}
