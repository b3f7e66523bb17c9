// Plays the cases of the script that is named: a line of JSON in for each, a line out. See player.py.
import "./loopback.mjs";
import { createInterface } from "node:readline";

console.log = console.info = console.error; // packages say things, and lines are ours
const { cases } = await import(`./${process.argv[2]}`);
for await (const line of createInterface({ input: process.stdin })) {
  const { case: name, ...given } = JSON.parse(line);
  let told;
  try {
    told = { made: (await cases[name](given)) ?? null };
  } catch (error) {
    told = { failed: error?.stack ?? String(error) };
  }
  process.stdout.write(JSON.stringify(told) + "\n");
}
process.exit(0); // connections that are kept alive would keep it alive too
