// What the command is compared with on Node: its own fetch, a bound on the calls at once, a question at each tick.
// Started by calls.py: node peer.mjs PROVIDERS LINES POLL OUTPUT
import { readFileSync, writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

const [file, lines, poll, output] = process.argv.slice(2);
const { VAPI_BASE_URL, VAPI_API_KEY, VAPI_PHONE_NUMBER_ID, VAPI_ASSISTANT_ID } = process.env;
const [, ...rows] = readFileSync(file, "utf8").trim().split("\r\n").map((line) => line.split(","));
const headers = { Authorization: `Bearer ${VAPI_API_KEY}`, "Content-Type": "application/json" };

const send = async (path, options) => (await fetch(`${VAPI_BASE_URL}/call${path}`, { headers, ...options })).json();
const tick = () => sleep(1000 * Number(poll));

async function place([name, number, service]) {
  const asked = {
    name,
    phoneNumberId: VAPI_PHONE_NUMBER_ID,
    assistantId: VAPI_ASSISTANT_ID,
    customer: { number, name },
    assistantOverrides: { variableValues: { provider_name: name, service_needed: service } },
  };
  let known = await send("", { method: "POST", body: JSON.stringify(asked) });
  while (known.status !== "ended") {
    await tick();
    known = await send(`/${known.id}`);
  }
  return known;
}

async function analysed(known) {
  while (!known.analysis) {
    await tick();
    known = await send(`/${known.id}`);
  }
  return known;
}

const bodies = [];
const left = rows.entries();
async function line() {
  for (const [index, row] of left) {
    const known = await place(row);
    bodies[index] = analysed(known);
  }
}
await Promise.all(Array.from({ length: Number(lines) }, line));
writeFileSync(output, JSON.stringify(await Promise.all(bodies)));
