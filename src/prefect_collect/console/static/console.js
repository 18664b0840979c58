// What htmx does not do: the digest of the table and the sheet that are shown, the menu as a popover, and closing.
"use strict";

const byId = (id) => document.getElementById(id);
const entries = () => [...byId("menu").querySelectorAll("[role=menuitem]:not([disabled])")];

// What a page asks for by itself, it asks for as often as the server says: many browsers must not cost the jobs much.
const due = new Map();
const asksByItself = (element) => /\bevery\b/.test(element.getAttribute("hx-trigger") ?? "");

document.addEventListener("htmx:configRequest", (event) => {
  if (event.detail.triggeringEvent || !asksByItself(event.target)) return;
  if (Date.now() < (due.get(event.detail.path) ?? 0)) event.preventDefault();
  event.detail.headers["X-Poll"] = "yes";
});

// What was said of the last click is not true of the next one.
document.addEventListener("htmx:beforeRequest", (event) => {
  if (event.detail.requestConfig.verb !== "get") byId("messages").replaceChildren();
});

document.addEventListener("htmx:afterRequest", (event) => {
  const pause = Number(event.detail.xhr?.getResponseHeader("X-Poll-After") ?? 0);
  // The page's own clock ticks every two seconds; half a tick earlier is not too early.
  if (pause) due.set(event.detail.requestConfig.path, Date.now() + pause * 1000 - 1000);
});

// Its failures are shown until it succeeds, and not announced anew each time.
const asks = (element) => (element?.matches?.("#jobs, #deleted, #sheet > article") ? element.closest("[id]").id : "");
const showsFailure = () => byId("messages").dataset.by && byId("messages").hasChildNodes();

document.addEventListener("htmx:afterRequest", (event) => {
  const by = asks(event.detail.elt);
  if (event.detail.successful && by && by === byId("messages").dataset.by) byId("messages").replaceChildren();
});

document.addEventListener("htmx:sendError", (event) => {
  if (!asks(event.detail.elt) || showsFailure()) return;
  const message = document.createElement("p");
  message.className = "message";
  message.textContent = `The console does not answer. What is shown is as of ${new Date().toISOString().slice(0, 19).replace("T", " ")} UTC.`;
  byId("messages").replaceChildren(message);
  byId("messages").dataset.by = asks(event.detail.elt);
});

document.addEventListener("htmx:configRequest", (event) => {
  const shown = event.target.id === "jobs" ? event.target : event.target.matches("#sheet > article") ? byId("sheet") : null;
  if (!shown) return;
  if (document.hidden) event.preventDefault(); // what is not seen is not asked for
  if (event.detail.triggeringEvent?.type === "jobs-changed") return; // what was seen a moment ago is too old
  event.detail.headers["X-Shown"] = shown.dataset.shown || "";
});

document.addEventListener("htmx:afterSwap", (event) => {
  const target = event.detail.target;
  if (target.id === "jobs" || target.id === "sheet") target.dataset.shown = event.detail.xhr.getResponseHeader("X-Shown") || "";
  if (target.id === "menu") {
    // The table may have been drawn anew since the click.
    const at = byId(event.detail.requestConfig.elt.id)?.getBoundingClientRect();
    if (!at) return;
    target.showPopover();
    target.style.top = `${Math.max(0, Math.min(at.bottom, innerHeight - target.offsetHeight))}px`;
    target.style.right = `${document.documentElement.clientWidth - at.right}px`;
    entries()[0]?.focus();
  }
  if (target.id === "messages") {
    target.dataset.by = asks(event.detail.requestConfig.elt);
    if (!target.dataset.by) byId("menu")?.hidePopover?.();
  }
  if (target.id === "dialog") {
    byId("menu")?.hidePopover?.();
    if (!target.open) target.showModal();
  }
  if (target.id === "sheet") {
    if (event.detail.requestConfig.triggeringEvent?.type === "click") target.focus();
  }
});

// The jobs that were deleted in Prefect: what is replaced keeps the list of kept jobs open, and the focus near.
document.addEventListener("htmx:beforeSwap", (event) => {
  if (event.detail.target.id === "deleted") event.detail.target.dataset.open = byId("kept")?.open ? "yes" : "";
});

document.addEventListener("htmx:afterSwap", (event) => {
  if (event.detail.target.id !== "deleted") return;
  if (event.detail.target.dataset.open && byId("kept")) byId("kept").open = true;
  if (event.detail.requestConfig.verb === "post") byId("deleted-title")?.focus();
});

// An answer that refuses is shown too: the server says where.
document.addEventListener("htmx:beforeSwap", (event) => {
  const asked = event.detail.requestConfig.elt;
  if (asked.matches("article") && !asked.isConnected) {
    event.detail.shouldSwap = false; // it is of a sheet that is no longer shown
    return;
  }
  if (event.detail.xhr.status < 400 || !event.detail.xhr.getResponseHeader("HX-Retarget")) return;
  event.detail.shouldSwap = !asks(asked) || !showsFailure();
  if (asks(asked)) return;
  // What is outside of an open dialog cannot be read.
  if (byId("dialog").open) event.detail.target = byId("dialog-messages") ?? event.detail.target;
});

document.addEventListener("job-deleted", (event) => {
  byId("menu")?.hidePopover?.();
  if (byId("sheet").querySelector("article")?.dataset.job !== event.detail.job) return;
  byId("sheet").replaceChildren();
  history.replaceState(null, "", document.querySelector(".brand").getAttribute("href") + location.search);
});

document.addEventListener("dialog-closed", () => byId("dialog").close());

document.addEventListener("click", (event) => {
  const what = event.target.closest("[data-close]")?.dataset.close;
  if (what === "message") event.target.closest("p").remove();
  if (what === "dialog") byId("dialog").close();
  if (what === "sheet") {
    event.preventDefault();
    byId("sheet").replaceChildren();
    history.pushState(null, "", event.target.getAttribute("href") + location.search);
  }
});

document.addEventListener("keydown", (event) => {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (step && event.target.closest("#menu")) {
    event.preventDefault();
    const all = entries();
    all[(all.indexOf(event.target) + step + all.length) % all.length]?.focus();
  }
  if (event.key === "Escape" && !byId("menu")?.matches(":popover-open") && !byId("dialog").open) document.querySelector("[data-close=sheet]")?.click();
});
