// Moves through the rows of a page, and keeps the page up to date: when a change comes,
// the page is loaded again, and what it shows takes the place of what was shown.
"use strict";

let selected = -1;

const rows = () => [...document.querySelectorAll("[data-row]")];
const linkOf = (row) => row.querySelector("a[href]");

function select(index) {
  const all = rows();
  selected = Math.max(-1, Math.min(index, all.length - 1));
  all.forEach((row, i) => row.classList.toggle("selected", i === selected));
  if (selected < 0) return;
  all[selected].scrollIntoView({ block: "nearest" });
  linkOf(all[selected])?.focus({ preventScroll: true });
}

function press(key) {
  const keyed = document.querySelector(`[data-key="${CSS.escape(key)}"]`);
  if (keyed) keyed.click();
  return keyed !== null;
}

const keys = {
  j: () => select(selected + 1),
  k: () => select(Math.max(0, selected - 1)),
  Enter: () => linkOf(rows()[selected] ?? document.createElement("i"))?.click(),
  "/": () => document.querySelector("[data-search]")?.select(),
};

document.addEventListener("keydown", (e) => {
  if (e.ctrlKey || e.metaKey || e.altKey || e.isComposing) return;
  if (e.target instanceof HTMLInputElement) {
    if (e.key === "Escape") e.target.blur();
    return;
  }
  if (e.key === "Enter" && e.target !== document.body && selected < 0) return; // the focused link opens itself
  if (keys[e.key]) {
    keys[e.key]();
    e.preventDefault();
  } else if (press(e.key)) {
    e.preventDefault();
  }
});

// State of the stream.
function say(kind, text) {
  const state = document.getElementById("state");
  if (!state) return;
  state.className = `state ${kind}`;
  state.textContent = text;
}

// Loads the page again: one load at a time, and one more for what came in the meantime.
let loading = false;
let stale = false;

async function refresh() {
  stale = true;
  if (loading) return;
  loading = true;
  while (stale) {
    stale = false;
    try {
      const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
      if (answer.ok) replace(await answer.text());
    } catch {
      break; // the stream says that the inspector is gone
    }
  }
  loading = false;
}

function replace(html) {
  const next = new DOMParser().parseFromString(html, "text/html").querySelector("main");
  const known = new Set(rows().map((row) => linkOf(row)?.href));
  const kept = linkOf(rows()[selected] ?? document.createElement("i"))?.href;
  const search = document.querySelector("[data-search]");
  if (search && search === document.activeElement) return; // do not take away what is being typed
  document.querySelector("main").replaceWith(next);
  for (const row of rows()) {
    if (!known.has(linkOf(row)?.href)) row.classList.add("new");
  }
  select(kept ? rows().findIndex((row) => linkOf(row)?.href === kept) : -1);
}

// Adds a change to the list of the page that follows changes.
function list(change) {
  const body = document.getElementById("changes");
  const row = document.createElement("tr");
  row.dataset.row = "";
  row.className = "new";
  for (const [name, text] of [["time", change.recorded], ["hash", change.ref], ["number", change.size], ["type", change.type]]) {
    const cell = row.insertCell();
    cell.className = name;
    cell.textContent = text;
  }
  const to = document.createElement("a");
  to.href = change.href;
  to.textContent = change.ref;
  row.cells[1].replaceChildren(to);
  body.prepend(row);
  while (body.rows.length > 200) body.lastElementChild.remove();
  if (selected >= 0) select(selected + 1);
  body.parentElement.hidden = false;
  document.getElementById("none")?.remove();
}

// A browser has few connections to one host: a page that is hidden gives its own back.
let stream = null;
let last = "";
const live = document.body.dataset.live;

function follow() {
  stream?.close();
  stream = null;
  if (!live || document.hidden) return;
  stream = new EventSource(live);
  stream.onopen = () => {
    say("live", "live");
    if (last && !document.getElementById("changes")) refresh(); // what came while it was closed
    last = "open";
  };
  stream.onerror = () => say("gone", "no connection");
  stream.addEventListener("change", (e) => {
    const change = JSON.parse(e.data);
    if (document.getElementById("changes")) list(change);
    else refresh();
  });
  stream.addEventListener("failed", (e) => {
    stream.close();
    say("gone", JSON.parse(e.data));
  });
}

document.addEventListener("visibilitychange", follow);
follow();
