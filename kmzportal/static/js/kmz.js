// Enhancements of pages that also work without JavaScript. No eval and no inline code: the CSP forbids both.
// hx-disable on <body> makes htmx disable the submit buttons of a form until the response arrives; a button that
// sends a request itself has hx-disable="this". Elements with data-background-poll load without a user action, so the
// focus does not move and no message is announced.
"use strict";
const region = () => document.getElementById("meldung"); // a live region must exist before its text
const lost = () => document.activeElement === null || document.activeElement === document.body;
const isBackgroundPoll = (ctx) => ctx.sourceEvent?.type === "every" || ctx.sourceElement.matches("[data-background-poll]");
const inputs = "main form[method=post] :is(input:not([type=hidden], [readonly]), select, textarea)";
let typed = null; // the form that was typed in last

function closeDialog() { // the browser restores the focus
  document.querySelector("dialog[open]")?.close();
  document.querySelector("main").hidden = false;
}
function show(button, visible) {
  document.getElementById(button.dataset.show).type = visible ? "text" : "password";
  const [, one, other] = button.firstElementChild.children; // after the field's name "Anzeigen" and "Verbergen"
  one.hidden = visible;
  other.hidden = !visible;
}
function end() { // of the session: others may read what is shown, and what was typed can still be sent
  if (document.querySelector(inputs)) document.querySelector("main").hidden = true; else location.reload();
}
function logIn() { // the server keeps the input and asks to log in
  const form = typed?.isConnected ? typed : document.querySelector(inputs).form;
  form.requestSubmit(form.querySelector("[type=submit]"));
}
function count(clock) { // shows the waiting time; the server enforces it
  const button = document.getElementById(clock.getAttribute("aria-controls"));
  const end = Date.now() + clock.dataset.countdown * 1000;
  clock.removeAttribute("data-countdown"); // start it only once, also after swaps
  (function tick() {
    const left = Math.ceil((end - Date.now()) / 1000); // from the system time: browsers delay timeouts in background tabs
    clock.hidden = left <= 0;
    button.disabled = left > 0;
    clock.querySelector("span").textContent = left;
    if (left > 0 && clock.isConnected) setTimeout(tick, 1000);
  })();
}
const lines = (id) => [...document.getElementById(id).children].map((line) => line.textContent.trim()).join("\n") + "\n";
async function copy(button) {
  await navigator.clipboard.writeText(lines(button.dataset.copy));
  region().textContent = button.dataset.done;
}
function save(button) {
  const file = document.createElement("a");
  file.href = URL.createObjectURL(new Blob([lines(button.dataset.save)], { type: "text/plain" }));
  file.download = button.dataset.name;
  file.click();
  setTimeout(() => URL.revokeObjectURL(file.href), 10000); // the browser reads it after the click
}
function wake() { // elements that need JavaScript are hidden in the HTML
  document.querySelectorAll("[data-show], [data-print], [data-copy], [data-save]").forEach((button) => {
    button.hidden = "copy" in button.dataset && !navigator.clipboard; // which is there with https only
  });
  document.querySelectorAll("[data-countdown]").forEach(count);
  const dialog = document.querySelector("dialog[data-modal]");
  dialog?.removeAttribute("data-modal"); // opens once: after it was closed a poll of another part must not open it again
  dialog?.showModal();
  if (document.querySelector("dialog[data-ended]")) end();
}
function settle({ target, detail: { ctx } }) {
  if (ctx.swap === "none") return; // 204 and 5xx change nothing on the page
  wake();
  if (isBackgroundPoll(ctx)) return;
  const root = ctx.target?.isConnected ? ctx.target : document.getElementById(ctx.target?.id) ?? target;
  const office = document.title.slice(document.title.indexOf(" – ")); // the title contains the heading, also after a swap
  const refused = document.querySelector("[data-refused]") ? "Fehler: " : "";
  document.title = refused + document.querySelector("h1").textContent.trim() + office;
  // Errors and notices first. htmx handles [autofocus] and a focused field that still exists; never leave it on <body>.
  const focused = root.querySelector("[data-outcome]") ?? (lost() ? root.querySelector("h1, h2, h3") ?? root : null);
  focused?.setAttribute("tabindex", "-1");
  focused?.focus();
}
function fail(kind, ctx) { // nothing was swapped: the form is unchanged, its button gets the focus
  if (isBackgroundPoll(ctx)) return;
  closeDialog();
  const ours = ctx.response?.headers.get("HX-Retarget") === "#meldung"; // otherwise the text is from a proxy
  region().innerHTML = ours ? ctx.text : region().dataset[kind];
  setTimeout(() => {
    if (lost()) ctx.request.submitter?.focus();
    ctx.request.submitter?.scrollIntoView({ block: "nearest" }); // above the message
  });
}
wake();
document.querySelector("[data-refused], [data-outcome]")?.focus();
document.addEventListener("click", ({ target }) => {
  const button = target.closest("[data-show]");
  if (button) show(button, document.getElementById(button.dataset.show).type === "password");
  if (target.closest("[data-print]")) print();
  if (target.closest("[data-log-in]")) logIn();
  if (target.closest("[data-copy]")) copy(target.closest("[data-copy]"));
  if (target.closest("[data-save]")) save(target.closest("[data-save]"));
});
document.addEventListener("cancel", (event) => { // Escape
  if (!event.target.matches("[data-ended]")) return;
  event.preventDefault();
  logIn();
}, true);
let pause;
document.addEventListener("input", ({ target }) => { // only shows length and that both are equal; the server validates
  const form = target.form, value = (output, field = 0) => document.getElementById(output.htmlFor[field]).value;
  if (form?.matches("main form[method=post]")) typed = form;
  const same = form?.querySelector("[data-same]"), length = form?.querySelector("[data-minimum]");
  if (same) same.value = value(same) && value(same) === value(same, 1) ? same.dataset.same : "";
  clearTimeout(pause); // screen readers speak each change, so only after a pause
  if (length) pause = setTimeout(() => {
    if (!length.isConnected) return; // sent meanwhile
    const letters = [...value(length)].length, missing = length.dataset.minimum - letters; // code points, as the server counts
    length.value = !letters ? "" : missing > 0 ? length.dataset.short.replace("#", missing) : length.dataset.long;
  }, 400);
});
document.addEventListener("keydown", (event) => { // arrow keys move between search field and hits
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key], hits = [...document.querySelectorAll("[data-hit]")];
  const here = hits.indexOf(event.target);
  if (!step || here < 0 || !hits[here + step]) return;
  event.preventDefault();
  hits[here + step].focus();
});
document.addEventListener("keydown", (event) => { // "/" moves to the search of the desk, but not while typing
  const search = document.querySelector("[data-search]");
  if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || !search) return;
  if (event.target.closest("input:not([type=checkbox], [type=radio]), textarea, select, dialog")) return;
  event.preventDefault();
  search.focus();
  search.select();
});
document.addEventListener("submit", ({ target }) => { // hidden again, so that browsers offer to store the password
  target.querySelectorAll("[data-show]").forEach((button) => show(button, false));
}, true);
document.addEventListener("htmx:before:request", (event) => { // no background polls while the page is hidden
  if (!isBackgroundPoll(event.detail.ctx)) region().textContent = ""; else if (document.hidden) event.preventDefault();
});
document.addEventListener("htmx:before:swap", ({ detail: { ctx } }) => { // polls of other parts leave the dialog open
  if (ctx.swap !== "none" && (!isBackgroundPoll(ctx) || ctx.target.querySelector("dialog"))) closeDialog();
});
document.addEventListener("htmx:after:swap", settle);
document.addEventListener("htmx:error", ({ detail: { ctx } }) => { if (ctx) fail(ctx.response ? "broken" : "offline", ctx); });
document.addEventListener("htmx:response:error", ({ detail: { ctx } }) => { if (ctx.response.status >= 500) fail("broken", ctx); });
// Back after logging out: Firefox and Safari show the page from their back/forward cache. Load it again instead.
addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
