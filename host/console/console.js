// What pages do beyond HTML and htmx: copy a value, tell times by the clock here, leave a table alone while boxes in it are ticked, and
// be kept up to date only while somebody sees them.
"use strict";

function ready(root) {
  for (const button of root.querySelectorAll("[data-copy][hidden]")) {
    button.hidden = false;
  }
  // Times are in UTC, as those of logs and trails; what it was by the clock here is told to who points there.
  for (const time of root.querySelectorAll("time[datetime]")) {
    time.title = new Date(time.dateTime).toLocaleString();
  }
}

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  try {
    await navigator.clipboard.writeText(button.dataset.copy);
    button.classList.add("was-copied");
    setTimeout(() => button.classList.remove("was-copied"), 1500);
  } catch {
    // No clipboard over plain HTTP from elsewhere: the value is selected, to be copied by hand.
    const value = button.parentElement.querySelector("code");
    getSelection().selectAllChildren(value);
  }
});

document.addEventListener("htmx:sseBeforeMessage", (event) => {
  if (event.target.querySelector("input[type=checkbox]:checked")) event.preventDefault();
});

// A page that is kept up to date holds a connection, of which a browser has six for all its tabs and for the pages that it remembers: one
// that nobody sees gives it back, or the next page would wait for it.
const sources = new Set();
htmx.createEventSource = (url) => {
  const source = new EventSource(url);
  if (document.hidden) source.close();
  else sources.add(source);
  return source;
};

function unwatch() {
  for (const source of sources) source.close();
  sources.clear();
}

function watch() {
  unwatch();
  for (const element of document.querySelectorAll("[sse-connect]")) htmx.trigger(element, "htmx:afterProcessNode");
}

document.addEventListener("visibilitychange", () => (document.hidden ? unwatch() : watch()));
addEventListener("pagehide", unwatch);
addEventListener("pageshow", (event) => {
  if (event.persisted && !document.hidden) watch();
});

// What is open stays open, and who reads by keyboard stays where they are.
document.addEventListener("htmx:beforeSwap", (event) => {
  const open = [...event.target.querySelectorAll("details")].map((details) => details.open);
  event.target.dataset.open = JSON.stringify(open);
});
document.addEventListener("htmx:afterSwap", (event) => {
  const open = JSON.parse(event.target.dataset.open || "[]");
  event.target.querySelectorAll("details").forEach((details, number) => {
    if (open[number]) details.open = true;
  });
  ready(event.target);
});

document.addEventListener("DOMContentLoaded", () => ready(document));
