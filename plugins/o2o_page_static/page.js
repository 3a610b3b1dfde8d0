"use strict";

/* Every value from the server reaches the page as text, never as markup. */

const LISTS = { quarantined: "Set aside", rejected: "Refused", in_doubt: "In doubt", held: "Held" };
const ACTIONS = {
  in_doubt: [["confirm in doubt", "Confirm: o2o has them"], ["release in doubt", "Send again"]],
  held: [["approve held", "Approve and send"]],
  rejected: [["send refused again", "Send again"]],
};
const params = new URLSearchParams(location.search);
const run = params.get("run") && !params.get("run").includes("{") ? params.get("run") : null;
const dag = params.get("dag") && !params.get("dag").includes("{") ? params.get("dag") : null;
/* whose people are shown: the DAG's from which the page was opened, or the one chosen in the header */
let client = null;
/* Airflow shows the tab on every DAG */
let elsewhere = null;
let mayAct = false;

const $ = (id) => document.getElementById(id);

function el(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value !== undefined && value !== false) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

function say(words, bad = false) {
  $("message").textContent = words || "";
  $("message").hidden = !words;
  $("message").classList.toggle("bad", bad);
}

const address = (path) => "api/" + path + (client === null ? "" : `${path.includes("?") ? "&" : "?"}client=${encodeURIComponent(client)}`);
const here = (found) => "?" + new URLSearchParams({ ...(dag ? { dag } : { client }), ...found });

async function ask(path, body) {
  const options = body === undefined ? {} : {
    method: "POST", body: JSON.stringify(body), headers: { "Content-Type": "application/json", "X-O2O": "1" },
  };
  const answer = await fetch(address(path), { credentials: "same-origin", ...options });
  if (answer.ok) return answer;
  let detail = "";
  try { detail = (await answer.json()).detail; } catch { /* no JSON: the status says it */ }
  const words = { 401: "Log in to Airflow first.", 403: "You may not do this." }[answer.status];
  throw new Error(words || (typeof detail === "string" && detail) || `The server answered ${answer.status}.`);
}

const json = async (path, body) => (await ask(path, body)).json();
const number = (value) => Number(value).toLocaleString("en");
const time = (value) => (value ? value.replace("T", " ").replace("+00:00", " UTC") : "–");

function age(value) {
  if (!value) return "nobody";
  const minutes = Math.max(0, Math.round((Date.now() - Date.parse(value)) / 60000));
  return minutes < 120 ? `${minutes} min` : minutes < 2880 ? `${Math.round(minutes / 60)} h` : `${Math.round(minutes / 1440)} days`;
}

function card(title, value, share, bad = false) {
  const bar = share === undefined ? null : el("div", { class: "bar" }, el("i"));
  if (bar) bar.firstChild.style.width = `${Math.round(100 * share)}%`;
  return el("div", { class: bad ? "card bad" : "card" }, el("b", {}, value), el("span", {}, title), bar);
}

function table(columns, rows) {
  const head = el("tr", {}, ...columns.map(([title, , kind, sorted]) => el("th", { class: kind, "aria-sort": sorted }, title)));
  const body = rows.map((row) => el("tr", {}, ...columns.map(([, value, kind]) => {
    const content = value(row);
    return el("td", { class: kind }, content instanceof Node ? content : String(content ?? ""));
  })));
  return el("div", { class: "scroll" }, el("table", {}, el("thead", {}, head), el("tbody", {}, ...body)));
}

async function show(view) {
  say("");
  try {
    const content = await view();
    $("main").replaceChildren(...content.filter(Boolean));
    for (const later of document.querySelectorAll("[data-plot]")) later.draw();
  } catch (error) { say(error.message, true); }
}

function tabs(current) {
  const entries = run ? [["run", "This run"]] : [["overview", "Overview"], ...Object.entries(LISTS)];
  $("tabs").replaceChildren(...entries.map(([name, title]) =>
    el("button", { type: "button", "aria-current": name === current ? "page" : undefined, onclick: () => open_(name) }, title)));
}

function open_(name) {
  tabs(name);
  if (elsewhere) return say(`The DAG ${elsewhere} does not register anybody with o2o, or you may not see its runs.`);
  if (name === "overview") return show(overview);
  if (name === "run") return show(oneRun);
  return show(() => worklist(name, {}));
}

/* Overview */

async function overview() {
  const data = await json("overview");
  mayAct = data.may_act;
  const { funnel } = data;
  const share = (value) => (funnel.interested ? value / funnel.interested : 0);
  const titles = { interested: "interested", checked: "passed the checks", sent: "sent to o2o", registered: "registered" };
  return [
    el("div", { class: "cards", id: "funnel" }, ...Object.entries(titles).map(([name, title]) =>
      card(title, number(funnel[name]), share(funnel[name])))),
    el("div", { class: "cards" },
      card("oldest pending", age(data.oldest.pending)),
      card("longest in doubt", age(data.oldest.in_doubt), undefined, Boolean(data.oldest.in_doubt)),
      card("circuit breaker" + (data.breaker.detail ? `: ${data.breaker.detail}` : ""), data.breaker.open ? "open" : "closed",
        undefined, data.breaker.open),
      card(`held by the fuse (limit ${number(data.fuse.limit)} a run)`, number(data.fuse.held), undefined, data.fuse.held > 0)),
    el("h2", {}, "Registrations a day"), plot(data.days),
    el("h2", {}, "Who did not get through"),
    data.losses.length ? table([
      ["Where", (loss) => el("button", { type: "button", onclick: () => { tabs(loss.kind);
        show(() => worklist(loss.kind, { reason: loss.reason })); } }, LISTS[loss.kind])],
      ["Reason", (loss) => loss.reason.replaceAll("_", " ")],
      ["", (loss) => number(loss.count), "number"]], data.losses) : el("p", { class: "faint" }, "Nobody."),
    el("h2", {}, "The last runs"), runTable(data.runs),
  ];
}

function runTable(rows) {
  const counts = ["extracted", "known", "quarantined", "registered", "calls", "created", "existing", "rejected", "in_doubt", "not_processed"];
  return table([
    ["Run", (one) => el("a", { href: here({ run: one.run_id }) }, one.run_id)],
    ["Started", (one) => time(one.started_at), "time"],
    ["Settled", (one) => (one.settled_at ? time(one.settled_at) : "not yet"), "time"],
    ...counts.map((name) => [name.replaceAll("_", " "), (one) => number(one[name]), "number"]),
  ], rows);
}

function plot(days) {
  const holder = el("div", { class: "plot", "data-plot": true });
  holder.draw = () => {
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(name).trim();
    const axis = { stroke: colour("--faint"), grid: { stroke: colour("--line") }, ticks: { stroke: colour("--line") } };
    const bars = uPlot.paths.bars({ size: [0.7, 40] });
    const series = [["created", "--good"], ["existing", "--accent"], ["rejected", "--bad"]].map(([name, shade]) =>
      ({ label: name, stroke: colour(shade), fill: colour(shade), paths: bars, points: { show: false } }));
    // stacked: each series holds the sum of those below it, and the tallest is drawn first
    const sums = ["created", "existing", "rejected"].map((_, index, names) =>
      days.map((day) => names.slice(0, index + 1).reduce((sum, name) => sum + day[name], 0)));
    series.forEach((one, index) => { const name = one.label; one.value = (_, __, ___, at) => (at === null ? "–" : number(days[at][name])); });
    const options = { width: Math.max(280, holder.clientWidth), height: 200, tzDate: (at) => uPlot.tzDate(new Date(at * 1000), "Etc/UTC"),
      scales: { y: { range: (_, __, most) => [0, Math.max(5, most)] } },
      axes: [axis, axis], series: [{ value: "{YYYY}-{MM}-{DD}" }, ...series.slice().reverse()] };
    const drawn = new uPlot(options, [days.map((day) => day.at), ...sums.slice().reverse()], holder);
    addEventListener("resize", () => drawn.setSize({ width: Math.max(280, holder.clientWidth), height: 200 }));
  };
  return holder;
}

async function oneRun() {
  const data = await json("overview?run=" + encodeURIComponent(run));
  mayAct = data.may_act;
  if (!data.runs.length) return [el("p", {}, "The ledger does not know this run: it has not read the warehouse yet.")];
  return [el("h2", {}, run), runTable(data.runs),
    el("p", {}, el("a", { href: address("docs?run=" + encodeURIComponent(run)), target: "_blank", rel: "noopener" }, "What Great Expectations found (Data Docs)")),
    el("p", {}, el("a", { href: here({}) }, "All registrations"))];
}

/* A person */

async function person(text) {
  const data = await json("person", { text });
  if (!data.person) {
    if (!data.matches.length) return [el("p", {}, "Nobody in the ledger has this id, number or address.")];
    return [el("h2", {}, "Several people"), el("div", { class: "tools" }, ...data.matches.map((id) =>
      el("button", { type: "button", onclick: () => show(() => person(id)) }, id)))];
  }
  const one = data.person;
  return [
    el("h2", {}, `${one.employee_id}: ${one.status.replaceAll("_", " ")}`),
    el("p", { class: "sentence", id: "sentence" }, one.sentence),
    buttons(one.status, () => [one.employee_id], () => show(() => person(one.employee_id))),
    el("h2", {}, "What happened"),
    el("ol", { class: "timeline" }, ...one.events.map((event) =>
      el("li", { class: event.what.replace("set aside", "aside") },
        el("span", { class: "faint" }, `${time(event.at)} · ${event.what.replaceAll("_", " ")}`
          + (event.actor === "pipeline" ? "" : ` by ${event.actor}`)), el("br"), event.words || "–"))),
    el("h2", {}, "What would be, or was, sent"),
    el("dl", {}, ...Object.entries(one.details).flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)])),
  ];
}

/* Worklists and decisions */

async function worklist(name, { reason, sort = "since", descending = false, pages = [null] }) {
  const body = { name, reason: reason ?? null, sort, descending, after: pages.at(-1) };
  const data = await json("worklist", body);
  const chosen = () => [...document.querySelectorAll("input[data-id]:checked")].map((box) => box.dataset.id);
  const again = (changes) => show(() => worklist(name, { reason, sort, descending, pages, ...changes }));
  const by = (title, key, value, kind) => {
    const mine = sort === key;
    const turn = () => again({ sort: key, descending: mine && !descending, pages: [null] });
    const arrow = mine ? (descending ? " ↓" : " ↑") : "";
    return [el("button", { type: "button", class: "sort", onclick: turn }, title + arrow), value, kind,
      mine ? (descending ? "descending" : "ascending") : undefined];
  };
  const columns = [
    by("Employee", "employee_id",
      (row) => el("button", { type: "button", onclick: () => show(() => person(row.employee_id)) }, row.employee_id)),
    by("Since", "since", (row) => time(row.since), "time"), by("Reason", "reason", (row) => row.reason),
    ["Name", (row) => `${row.first_name ?? ""} ${row.last_name ?? ""}`], ["E-mail", (row) => row.email],
  ];
  if (mayAct && ACTIONS[name]) {
    columns.unshift(["", (row) => el("input", { type: "checkbox", "data-id": row.employee_id, "aria-label": `Choose ${row.employee_id}` })]);
  }
  return [
    el("div", { class: "tools" },
      reason ? el("button", { type: "button", onclick: () => again({ reason: undefined, pages: [null] }) }, `${reason.replaceAll("_", " ")} ✕`) : null,
      el("button", { type: "button", onclick: () => download(name, reason) }, "Download CSV"),
      buttons(name, chosen, () => again({}))),
    data.rows.length ? table(columns, data.rows) : el("p", { class: "faint" }, "Nobody."),
    el("div", { class: "tools" },
      el("button", { type: "button", disabled: pages.length === 1, onclick: () => again({ pages: pages.slice(0, -1) }) }, "Back"),
      el("span", { class: "faint" }, `Page ${pages.length}`),
      el("button", { type: "button", disabled: !data.after, onclick: () => again({ pages: [...pages, data.after] }) }, "Next")),
  ];
}

function buttons(status, ids, done) {
  if (!mayAct || !ACTIONS[status]) return null;
  return el("div", { class: "tools" }, ...ACTIONS[status].map(([action, title]) =>
    el("button", { type: "button", class: "primary", onclick: () => decide(action, title, ids(), done) }, title)));
}

async function decide(action, title, ids, done) {
  if (!ids.length) return say("Choose somebody first.", true);
  $("ask-title").textContent = title;
  $("ask-words").textContent = `${number(ids.length)} people: ${ids.slice(0, 12).join(", ")}${ids.length > 12 ? ", …" : ""}`;
  $("why").value = "";
  $("ask").returnValue = "cancel";
  $("ask").showModal();
  await new Promise((resolve) => $("ask").addEventListener("close", resolve, { once: true }));
  if ($("ask").returnValue !== "ok") return undefined;
  try {
    const answer = await json("act", { action, employee_ids: ids, why: $("why").value });
    await done();
    return say(answer.words);
  } catch (error) { return say(error.message, true); }
}

async function download(name, reason) {
  try {
    const blob = await (await ask("worklist.csv", { name, reason: reason ?? null })).blob();
    const link = el("a", { href: URL.createObjectURL(blob), download: `o2o-${name}.csv` });
    link.click();
    URL.revokeObjectURL(link.href);
  } catch (error) { say(error.message, true); }
}

/* Light or dark as Airflow is, which keeps its choice where a frame of the same site can read it */
const theme = localStorage.getItem("theme");
const dark = theme === "dark" || (theme !== "light" && matchMedia("(prefers-color-scheme: dark)").matches);
document.documentElement.classList.toggle("dark", dark);

$("find").addEventListener("submit", (event) => {
  event.preventDefault();
  tabs("");
  show(() => person($("query").value));
});
async function begin() {
  const found = await json("clients");
  const asked = found.find((one) => (dag ? one.dag_id === dag : one.name === params.get("client")));
  elsewhere = dag && !asked ? dag : null;
  client = (asked || found[0]).name;
  $("client").replaceChildren(...found.map(({ name }) => el("option", { value: name, selected: name === client }, name)));
  $("client").hidden = found.length < 2 || Boolean(dag);
  /* a whole new page, so that nothing of the other client stays on it */
  $("client").addEventListener("change", () => location.assign("?" + new URLSearchParams({ client: $("client").value })));
  if (dag && asked && found.length > 1) document.querySelector("h1").textContent += ` of ${client}`;
  open_(run ? "run" : "overview");
}

begin().catch((error) => say(error.message, true));
