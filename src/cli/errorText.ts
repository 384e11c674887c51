/** @returns a message with its code behind it; one of the server's has it there already */
export function withCode(message: string, code: string): string {
  return message.endsWith(`(${code})`) ? message : `${message} (${code})`;
}
