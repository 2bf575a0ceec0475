// Comfort on top of pages that all work without it. No eval, no inline code: the CSP allows neither.
// hx-disable on <body> makes htmx disable the submit buttons inside whatever sends, until the answer is there; a button
// that sends by itself says hx-disable="this". What asks by itself says data-quiet: it moves no focus and says nothing.
"use strict";
const region = () => document.getElementById("meldung"); // there from the start, or it would not be read out
const lost = () => document.activeElement === null || document.activeElement === document.body;
const quiet = (ctx) => ctx.sourceEvent?.type === "every" || ctx.sourceElement.matches("[data-quiet]");
const closeDialog = () => document.querySelector("dialog[open]")?.close(); // gives the focus back to where it was

function show(button, visible) {
  document.getElementById(button.dataset.show).type = visible ? "text" : "password";
  button.setAttribute("aria-pressed", visible);
}
function count(clock) { // the button works without this, the server counts as well; here one sees how long
  const button = document.getElementById(clock.getAttribute("aria-controls"));
  const end = Date.now() + clock.dataset.countdown * 1000;
  clock.removeAttribute("data-countdown"); // started once, however many swaps follow
  (function tick() {
    const left = Math.ceil((end - Date.now()) / 1000); // by the clock: a sleeping tab skips ticks
    clock.hidden = left <= 0;
    button.disabled = left > 0;
    clock.querySelector("span").textContent = left;
    if (left > 0 && clock.isConnected) setTimeout(tick, 1000);
  })();
}
function wake() { // what makes no sense without JavaScript stands hidden in the page
  document.querySelectorAll("[data-show]").forEach((button) => { button.hidden = false; });
  document.querySelectorAll("[data-countdown]").forEach(count);
  document.querySelector("dialog[data-modal]:not([open])")?.showModal();
}
function settle({ target, detail: { ctx } }) {
  if (ctx.swap === "none") return; // 204 and 5xx leave the page alone
  wake();
  if (quiet(ctx)) return;
  const root = ctx.target?.isConnected ? ctx.target : document.getElementById(ctx.target?.id) ?? target;
  const office = document.title.slice(document.title.indexOf(" – ")); // the page's name is its heading, also in place
  const refused = document.querySelector("[data-refused]") ? "Fehler: " : "";
  document.title = refused + document.querySelector("h1").textContent.trim() + office;
  // Errors and notices first; htmx has seen to [autofocus] and to a field that is still there; never leave <body>.
  const goal = root.querySelector("[data-outcome]") ?? (lost() ? root.querySelector("h1, h2, h3") ?? root : null);
  goal?.setAttribute("tabindex", "-1");
  goal?.focus();
}
function fail(kind, ctx) { // nothing was swapped: the form stands as it was, the button gets the focus back
  if (quiet(ctx)) return;
  closeDialog();
  const ours = ctx.response?.headers.get("HX-Retarget") === "#meldung"; // else a proxy speaks, in words of its own
  region().innerHTML = ours ? ctx.text : region().dataset[kind];
  setTimeout(() => { if (lost()) ctx.request.submitter?.focus(); });
}
wake();
document.querySelector("[data-refused], [data-outcome]")?.focus();
document.addEventListener("click", ({ target }) => {
  const button = target.closest("[data-show]");
  if (button) show(button, button.getAttribute("aria-pressed") === "false");
});
document.addEventListener("input", ({ target }) => { // a help only: it praises and never blames, the server decides
  const same = target.form?.querySelector("[data-same]");
  const [one, other] = [...same?.htmlFor ?? []].map((id) => document.getElementById(id).value);
  if (same) same.value = one && one === other ? same.dataset.same : "";
});
document.addEventListener("keydown", (event) => { // from the search down through its hits and back; Enter opens one
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key], hits = [...document.querySelectorAll("[data-hit]")];
  const here = hits.indexOf(event.target);
  if (!step || here < 0 || !hits[here + step]) return;
  event.preventDefault();
  hits[here + step].focus();
});
document.addEventListener("submit", ({ target }) => { // browsers offer to store passwords, not readable text
  target.querySelectorAll("[data-show]").forEach((button) => show(button, false));
}, true);
document.addEventListener("htmx:before:request", (event) => { // what asks by itself waits while nobody looks
  if (!quiet(event.detail.ctx)) region().textContent = ""; else if (document.hidden) event.preventDefault();
});
document.addEventListener("htmx:before:swap", closeDialog);
document.addEventListener("htmx:after:swap", settle);
document.addEventListener("htmx:error", ({ detail: { ctx } }) => { if (ctx) fail(ctx.response ? "broken" : "offline", ctx); });
document.addEventListener("htmx:response:error", ({ detail: { ctx } }) => { if (ctx.response.status >= 500) fail("broken", ctx); });
// Back after logging out: Firefox and Safari show the kept page, private data and all. Ask the server instead.
addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
