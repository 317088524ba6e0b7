// What pages do beyond HTML and htmx: copy a value, tell times by the clock here, and leave a table alone while boxes in it are ticked.
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
