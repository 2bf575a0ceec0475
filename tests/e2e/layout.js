({ // Faults of the page as it is shown, for accessibility.py; each function returns the elements at fault.
  axe: async (runOnly, preload) => (await axe.run(document, { runOnly, preload, resultTypes: ["violations"] })).violations
    .flatMap(({ id, nodes }) => nodes.map(({ html, failureSummary }) => `${id}: ${html} ${failureSummary}`)),

  layout(css, checks) { // the CSP allows a style sheet that a script constructs
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(css);
    document.adoptedStyleSheets.push(sheet);
    const found = checks.flatMap((check) => this[check]());
    document.adoptedStyleSheets.pop();
    return found;
  },

  tooWide: () => document.documentElement.scrollWidth <= innerWidth ? [] : // no page scrolls sideways
    [...document.querySelectorAll("body *:not(.kern-sr-only, .kern-sr-only *, .kmz-skip)")]
      .filter((it) => it.getBoundingClientRect().right > innerWidth + 1)
      .map((it) => `too wide: ${it.outerHTML.slice(0, 120)}`),

  tooSmall: () => [...document.querySelectorAll("button, input:not([type=hidden]), select, textarea, summary, a.kern-btn")]
    .filter((it) => it.checkVisibility()).map((it) => it.closest(".kmz-tile") ?? it)
    .filter((it) => {
      const { width, height } = it.getBoundingClientRect();
      return Math.min(width, height) < (it.matches(".kmz-tile") ? 44 : 24);
    }).map((it) => `too small: ${it.outerHTML}`),

  cutOff: () => [...document.querySelectorAll("body *")].filter((it) => it.checkVisibility() && it.clientHeight > 1
    && ["hidden", "clip"].includes(getComputedStyle(it).overflowY) && it.scrollHeight > it.clientHeight + 1)
    .map((it) => `cut off: ${it.outerHTML.slice(0, 120)}`),

  invisible: () => { // forced colours remove backgrounds: buttons and fields need a border, and an icon is a background
    const behind = getComputedStyle(document.body).backgroundColor;
    return [...document.querySelectorAll("button, .kern-btn, input:not([type=hidden]), select, textarea, .kern-icon")]
      .filter((it) => it.checkVisibility() && !it.matches(".kern-btn--tertiary")).filter((it) => {
        const css = getComputedStyle(it);
        if (it.matches(".kern-icon")) return css.backgroundColor === behind;
        if (it.matches("[type=checkbox], [type=radio]") && css.appearance === "auto") return false; // drawn by the browser
        return !bordered(getComputedStyle(it.closest(".kern-form-input__select-wrapper") ?? it));
      }).map((it) => `invisible: ${it.outerHTML.slice(0, 120)}`);
    function bordered(css) { return parseFloat(css.borderBottomWidth) > 0 && css.borderBottomColor !== behind; }
  },
})
