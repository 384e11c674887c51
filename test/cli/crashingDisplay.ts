import { TerminalDevice, terminalOutput } from "../../src/cli/terminalDevice.ts";

// Takes the terminal, and fails in a way that nobody has foreseen when a key is pressed.
const output = terminalOutput();
if (output === undefined) throw new Error("no terminal");
const device = new TerminalDevice(output);
device.open({
  keys: ([key]) => {
    if (key?.kind === "text" && key.text === "r") void Promise.reject(new Error("a rejection"));
    else throw new Error("an exception");
    return [];
  },
  end: () => {},
  resized: () => {},
  resumed: () => {},
});
device.write("ready\r\n");
