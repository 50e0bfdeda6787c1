// Keeps the live parts of a page as they are now: fetches the page again and changes what differs, nothing else.
// A page is whole without it. What a person opened, scrolled, selected, presses or has the focus on stays.
"use strict";

const EVERY = 5_000, PATIENCE = 8_000; // ms between two looks, and after which one is given up

function key(node) {
  const named = ["id", "aria-labelledby", "href"].map((name) => node.getAttribute?.(name)).find((value) => value);
  return `${node.nodeName} ${named ?? ""}`;
}

// The one of `node` and those after it that becomes `fresh`: of elements the next with its key, of texts only `node`.
function same(node, fresh) {
  if (fresh.nodeType !== Node.ELEMENT_NODE) return node?.nodeType === fresh.nodeType ? node : null;
  while (node && key(node) !== key(fresh)) node = node.nextSibling;
  return node;
}

function follow(old, fresh) {
  if (old.nodeType !== Node.ELEMENT_NODE) {
    if (old.data !== fresh.data) old.data = fresh.data;
    return;
  }
  for (const { name } of [...old.attributes]) {
    if (name !== "open" && !fresh.hasAttribute(name)) old.removeAttribute(name);
  }
  for (const { name, value } of fresh.attributes) {
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  let next = old.firstChild;
  const passOver = (end) => {
    while (next !== end) {
      const gone = next;
      next = next.nextSibling;
      gone.remove();
    }
  };
  for (const child of [...fresh.childNodes]) {
    const found = same(next, child);
    if (found) {
      passOver(found);
      next = found.nextSibling;
      follow(found, child);
    } else old.insertBefore(child, next);
  }
  passOver(null);
}

let looking = false;
let seen = new Date();

function say(trouble) {
  const at = seen.toISOString().slice(11, 19);
  const said = trouble && `The gateway ${trouble}; what you see is how things were at ${at} UTC.`;
  const notice = document.getElementById("connection");
  if (notice.textContent !== said) notice.textContent = said; // said once, not with every look
}

async function look() {
  if (document.hidden || looking) return;
  looking = true;
  const patience = new AbortController();
  const timer = setTimeout(() => patience.abort(), PATIENCE);
  const asked = { headers: { Accept: "text/html" }, cache: "no-store", signal: patience.signal };
  const answer = await fetch(location.href, asked).catch(() => null);
  const text = await answer?.text().catch(() => null);
  clearTimeout(timer);
  looking = false;
  if (answer?.status === 401) return location.reload();
  if (text == null) return say("does not answer");
  if (!answer.ok) return say(`answers ${answer.status} ${answer.statusText}`);
  const page = new DOMParser().parseFromString(text, "text/html");
  for (const old of document.querySelectorAll("[data-live]")) {
    const fresh = page.getElementById(old.id);
    if (fresh) follow(old, fresh);
  }
  seen = new Date();
  say("");
}

if (document.querySelector("[data-live]")) {
  setInterval(look, EVERY);
  document.addEventListener("visibilitychange", look);
}
