// Additions to pages that also work without JavaScript. No eval and no inline code: the CSP allows neither.
// hx-disable on <body> makes htmx disable the submit buttons of a form until the answer arrives; a button that sends
// a request itself has hx-disable="this". Elements with data-quiet load by themselves: no focus moves, nothing is read.
"use strict";
const region = () => document.getElementById("meldung"); // a live region is read only if it existed before its text
const lost = () => document.activeElement === null || document.activeElement === document.body;
const quiet = (ctx) => ctx.sourceEvent?.type === "every" || ctx.sourceElement.matches("[data-quiet]");
const closeDialog = () => document.querySelector("dialog[open]")?.close(); // returns the focus to where it was

function show(button, visible) {
  document.getElementById(button.dataset.show).type = visible ? "text" : "password";
  button.setAttribute("aria-pressed", visible);
}
function count(clock) { // shows the wait; the server enforces it
  const button = document.getElementById(clock.getAttribute("aria-controls"));
  const end = Date.now() + clock.dataset.countdown * 1000;
  clock.removeAttribute("data-countdown"); // started once, also when swaps follow
  (function tick() {
    const left = Math.ceil((end - Date.now()) / 1000); // by the clock: background tabs skip timeouts
    clock.hidden = left <= 0;
    button.disabled = left > 0;
    clock.querySelector("span").textContent = left;
    if (left > 0 && clock.isConnected) setTimeout(tick, 1000);
  })();
}
function wake() { // elements that need JavaScript are hidden in the HTML
  document.querySelectorAll("[data-show]").forEach((button) => { button.hidden = false; });
  document.querySelectorAll("[data-countdown]").forEach(count);
  document.querySelector("dialog[data-modal]:not([open])")?.showModal();
}
function settle({ target, detail: { ctx } }) {
  if (ctx.swap === "none") return; // 204 and 5xx change nothing on the page
  wake();
  if (quiet(ctx)) return;
  const root = ctx.target?.isConnected ? ctx.target : document.getElementById(ctx.target?.id) ?? target;
  const office = document.title.slice(document.title.indexOf(" – ")); // the title names the heading, also after a swap
  const refused = document.querySelector("[data-refused]") ? "Fehler: " : "";
  document.title = refused + document.querySelector("h1").textContent.trim() + office;
  // Errors and notices first. htmx handles [autofocus] and a focused field that still exists; never leave it on <body>.
  const goal = root.querySelector("[data-outcome]") ?? (lost() ? root.querySelector("h1, h2, h3") ?? root : null);
  goal?.setAttribute("tabindex", "-1");
  goal?.focus();
}
function fail(kind, ctx) { // nothing was swapped: the form is unchanged, the button gets the focus back
  if (quiet(ctx)) return;
  closeDialog();
  const ours = ctx.response?.headers.get("HX-Retarget") === "#meldung"; // otherwise the text is from a proxy
  region().innerHTML = ours ? ctx.text : region().dataset[kind];
  setTimeout(() => { if (lost()) ctx.request.submitter?.focus(); });
}
wake();
document.querySelector("[data-refused], [data-outcome]")?.focus();
document.addEventListener("click", ({ target }) => {
  const button = target.closest("[data-show]");
  if (button) show(button, button.getAttribute("aria-pressed") === "false");
});
document.addEventListener("input", ({ target }) => { // only confirms that both are the same; the server validates
  const same = target.form?.querySelector("[data-same]");
  const [one, other] = [...same?.htmlFor ?? []].map((id) => document.getElementById(id).value);
  if (same) same.value = one && one === other ? same.dataset.same : "";
});
document.addEventListener("keydown", (event) => { // arrow keys move between the search field and its hits
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key], hits = [...document.querySelectorAll("[data-hit]")];
  const here = hits.indexOf(event.target);
  if (!step || here < 0 || !hits[here + step]) return;
  event.preventDefault();
  hits[here + step].focus();
});
document.addEventListener("submit", ({ target }) => { // hidden again, so that browsers offer to store the password
  target.querySelectorAll("[data-show]").forEach((button) => show(button, false));
}, true);
document.addEventListener("htmx:before:request", (event) => { // polls wait while the page is hidden
  if (!quiet(event.detail.ctx)) region().textContent = ""; else if (document.hidden) event.preventDefault();
});
document.addEventListener("htmx:before:swap", closeDialog);
document.addEventListener("htmx:after:swap", settle);
document.addEventListener("htmx:error", ({ detail: { ctx } }) => { if (ctx) fail(ctx.response ? "broken" : "offline", ctx); });
document.addEventListener("htmx:response:error", ({ detail: { ctx } }) => { if (ctx.response.status >= 500) fail("broken", ctx); });
// Back after logging out: Firefox and Safari show the page from their back/forward cache. Load it again instead.
addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
