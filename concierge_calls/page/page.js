const byId = (id) => document.getElementById(id);
const alertLine = byId("alert");

function complain(sentence) {
  alertLine.textContent = sentence;
  alertLine.hidden = !sentence;
}

async function ask(method, path, body, headers = {}) {
  const options = { method, credentials: "same-origin", headers: { Accept: "application/json", ...headers } };
  if (body !== undefined) {
    options.headers["Content-Type"] = "application/json";
    options.body = JSON.stringify(body);
  }
  let answer;
  try {
    answer = await fetch(path, options);
  } catch {
    throw new Error("The server does not answer. Is concierge-calls serve still running?");
  }
  const text = await answer.text();
  const said = text ? JSON.parse(text) : {};
  if (!answer.ok) {
    const faults = (said.errors || []).map((one) => `${one.field}: ${one.reason}`);
    throw new Error([said.detail || said.title || `The server answered ${answer.status}.`, ...faults].join(" "));
  }
  return said;
}

async function trying(button, work) {
  complain("");
  if (button) button.disabled = true;
  try {
    await work();
  } catch (error) {
    complain(error.message);
  } finally {
    if (button) button.disabled = false;
  }
}

// The token, once

const session = byId("session");
session?.addEventListener("submit", (event) => {
  event.preventDefault();
  trying(session.querySelector("button"), async () => {
    await ask("POST", "/api/v1/session", { token: session.elements.token.value });
    location.reload();
  });
});

// A file, who would be called, and the start

const order = byId("order");
const LARGEST = 3_900_000; // bytes of a file, which in Base64 are nearly the 5 MB that a request may have
let file = null;
let key = newKey(); // of one order: a click that is repeated since its answer was lost begins no second run

function newKey() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

function base64(blob) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result.slice(reader.result.indexOf(",") + 1));
    reader.onerror = () => reject(new Error("The file cannot be read."));
    reader.readAsDataURL(blob);
  });
}

function choose(chosen) {
  file = chosen || null;
  key = newKey();
  byId("chosen").textContent = file ? `Chosen: ${file.name}` : "";
  byId("preview").hidden = true;
}

async function body() {
  if (!file) throw new Error("Choose a providers file first.");
  if (file.size > LARGEST) throw new Error(`${file.name} has more than 3.9 MB; split it, or use: concierge-calls batch`);
  const asked = { fileName: file.name, contentBase64: await base64(file) };
  for (const [name, value] of new FormData(order)) {
    if (typeof value === "string" && value.trim()) asked[name] = name === "maxConcurrent" ? Number(value) : value.trim();
  }
  return asked;
}

function cells(row, values, labels) {
  values.forEach((value, number) => {
    const cell = document.createElement(number ? "td" : "th");
    if (number) cell.dataset.label = labels[number];
    else cell.scope = "row";
    cell.dir = "auto";
    cell.textContent = value || "";
    row.append(cell);
  });
}

function columnsSaid(columnsUsed) {
  const used = Object.entries(columnsUsed).map(([field, column]) => `${field} from '${column}'`);
  return used.length ? [`From columns of the file: ${used.join(", ")}.`] : [];
}

function preview(planned) {
  const labels = ["Provider", "Phone", "Called", "Service", "Where"];
  const rows = planned.results.slice(0, 500).map((one) => {
    const row = document.createElement("tr");
    const phone = one.provider.phone || one.provider.phoneGiven;
    const isCalled = one.status === "pending";
    const why = isCalled ? one.warning : one.error ? one.error.message : one.status;
    const called = `${isCalled ? "yes" : "no"}${why ? `: ${why}` : ""}`;
    cells(row, [one.provider.name, phone, called, one.request.serviceNeeded, one.request.location], labels);
    return row;
  });
  const { total, pending } = planned.stats;
  const more = total > rows.length ? ` The first ${rows.length} are shown.` : "";
  const sentences = [`${pending} of ${total} would be called.${more}`, ...columnsSaid(planned.columnsUsed), ...planned.notes];
  byId("preview-said").replaceChildren(...sentences.map((sentence) => {
    const line = document.createElement("p");
    line.textContent = sentence;
    return line;
  }));
  byId("preview-rows").replaceChildren(...rows);
  byId("start").textContent = pending === 1 ? "Call this provider" : `Call these ${pending} providers`;
  byId("start").disabled = !pending;
  byId("preview").hidden = false;
  byId("preview-title").focus();
}

if (order) {
  const drop = order.querySelector(".drop");
  byId("file").addEventListener("change", (event) => choose(event.target.files[0]));
  for (const kind of ["dragover", "dragleave", "drop"]) {
    // On the whole page: a browser leaves it for a file that is dropped beside the field.
    document.addEventListener(kind, (event) => {
      if (!event.dataTransfer.types.includes("Files")) return;
      event.preventDefault();
      drop.classList.toggle("over", kind === "dragover");
      if (kind === "drop") {
        byId("file").required = false;
        choose(event.dataTransfer.files[0]);
      }
    });
  }
  order.addEventListener("input", () => {
    key = newKey();
    byId("preview").hidden = true;
  });
  order.addEventListener("submit", (event) => {
    event.preventDefault();
    trying(byId("look"), async () => preview(await ask("POST", "/api/v1/runs/preview", await body())));
  });
  byId("start").addEventListener("click", () => {
    trying(byId("start"), async () => {
      const begun = await ask("POST", "/api/v1/runs", await body(), { "Idempotency-Key": key });
      location.assign(`/?run=${encodeURIComponent(begun.runId)}`);
    });
  });
}

// A run, live

const shown = byId("run");

function same(one, other) {
  const closed = (node) => {
    const copy = node.cloneNode(true);
    copy.removeAttribute("open");
    return copy.outerHTML;
  };
  return closed(one) === closed(other);
}

function renewList(old, fresh) {
  const before = [...old.children];
  [...fresh.children].forEach((node, number) => {
    if (!before[number]) old.append(node);
    else if (!same(before[number], node)) {
      node.open = before[number].open;
      before[number].replaceWith(node);
    }
  });
}

async function renew() {
  const answer = await fetch(location.href, { credentials: "same-origin" });
  if (!answer.ok) throw new Error(`The server answered ${answer.status}.`);
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("run");
  if (!fresh) return location.reload();
  const focused = document.activeElement?.id || document.activeElement?.getAttribute("href");
  const parts = [...fresh.children];
  const ids = new Set(parts.map((part) => part.id));
  for (const old of [...shown.children]) if (!ids.has(old.id)) old.remove();
  parts.forEach((part, number) => {
    const old = byId(part.id);
    if (!old) shown.insertBefore(part, shown.children[number] || null);
    else if (part.id === "calls") renewList(old, part);
    else if (!same(old, part)) old.replaceWith(part);
  });
  const again = (node) => node.id === focused || node.getAttribute("href") === focused;
  if (focused && document.activeElement === document.body) [...shown.querySelectorAll("[id], [href]")].find(again)?.focus({ preventScroll: true });
  buttons();
  return fresh.dataset.goesOn === "yes";
}

function watch(run) {
  let due = false;
  let busy = false;
  const events = new EventSource(`/api/v1/runs/${encodeURIComponent(run)}/events?after=${shown.dataset.seq}`);
  const look = async () => {
    if (busy) return void (due = true);
    busy = true;
    due = false;
    const begun = performance.now();
    let goesOn = true;
    try {
      goesOn = await renew();
      complain("");
    } catch {
      complain("The server does not answer; this page goes on when it does.");
    }
    // Never busier with looking than a fifth of the time, however long the run is.
    setTimeout(() => {
      busy = false;
      if (due) look();
    }, Math.max(500, 4 * (performance.now() - begun)));
    if (!goesOn) {
      events.close();
      clearInterval(ticking);
    }
  };
  const ticking = setInterval(look, 5000); // calls grow longer without an event, and a server that is gone sends none
  for (const kind of ["run.started", "call.skipped", "call.dialing", "call.placed", "call.ringing", "call.in_progress", "call.ended", "call.settled", "call.pending", "run.ended"]) {
    events.addEventListener(kind, look);
  }
  events.onmessage = look;
}

function buttons() {
  const stop = (id, query, question) => {
    const button = byId(id);
    if (!button) return;
    button.onclick = () => {
      if (!window.confirm(question)) return;
      trying(button, async () => {
        await ask("DELETE", `/api/v1/runs/${encodeURIComponent(shown.dataset.run)}${query}`);
        await renew();
      });
    };
  };
  stop("stop", "", "Dial nobody else in this run, for good? The calls on the line go on to their end.");
  stop("hang-up", "?hangUp=true", "Dial nobody else, for good, and end the calls on the line?");
}

if (shown) {
  buttons();
  if (shown.dataset.goesOn === "yes") watch(shown.dataset.run);
}
