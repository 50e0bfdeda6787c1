// Keeps the live parts of a page as they are now: fetches the page again and replaces what changed, nothing else.
// A page is whole without it. What a person opened, chose or has the focus on stays.
"use strict";

const SECONDS = 5;
const FOCUSABLE = "a, button, summary, [tabindex]";

function keepOpened(old, fresh) {
  for (const details of old.querySelectorAll("details[open][id]")) {
    fresh.querySelector(`#${CSS.escape(details.id)}`)?.setAttribute("open", "");
  }
}

function replace(old, fresh) {
  keepOpened(old, fresh);
  const selection = document.getSelection();
  const reading = selection && !selection.isCollapsed && old.contains(selection.anchorNode);
  if (reading || fresh.isEqualNode(old)) return;
  const focused = [...old.querySelectorAll(FOCUSABLE)].indexOf(document.activeElement);
  old.replaceWith(document.adoptNode(fresh));
  if (focused >= 0) fresh.querySelectorAll(FOCUSABLE)[focused]?.focus({ preventScroll: true });
}

let begun = 0;
let shown = 0; // the look that the page shows: an earlier one that answers later is older than it

async function refresh() {
  if (document.hidden) return;
  const look = ++begun;
  const notice = document.getElementById("connection");
  try {
    const answer = await fetch(location.href, { headers: { Accept: "text/html" }, cache: "no-store" });
    const text = await answer.text();
    if (look < shown) return;
    shown = look;
    if (answer.status === 401) return location.reload();
    if (!answer.ok) throw new Error(answer.statusText);
    const page = new DOMParser().parseFromString(text, "text/html");
    for (const old of document.querySelectorAll("[data-live]")) {
      const fresh = page.getElementById(old.id);
      if (fresh) replace(old, fresh);
    }
    notice.textContent = "";
  } catch {
    if (look < shown) return;
    shown = look;
    notice.textContent = "The gateway does not answer; what you see is how things were.";
  }
}

if (document.querySelector("[data-live]")) {
  setInterval(refresh, SECONDS * 1000);
  document.addEventListener("visibilitychange", refresh);
}
