({ // Contrast of controls in the state they are in, for contrast.py (WCAG 2.2, 1.4.3 and 1.4.11); colours are sRGB with alpha.
  controls: "a[href], button, input:not([type=hidden]), select, textarea, summary, .kern-badge",

  /** Number the controls in view and return what each looks like, so that equals are measured once. */
  collect() {
    document.querySelectorAll("[data-probe]").forEach((it) => it.removeAttribute("data-probe"));
    return [...document.querySelectorAll(this.controls)].filter((it) => it.checkVisibility()).map((it, number) => {
      it.dataset.probe = number;
      const around = it.parentElement.className, state = [it.checked, it.readOnly, it.disabled, it.ariaPressed];
      return [it.localName, it.type, it.className, ...state, around, getComputedStyle(it).color, this.behind(it)].join("|");
    });
  },

  /** Press every button that shows a password and check every box; call again to undo. */
  toggle() {
    document.querySelectorAll("[data-show]").forEach((it) => it.click());
    document.querySelectorAll("[type=checkbox], [type=radio]").forEach((it) => { it.checked = !it.checked; });
  },

  measure(numbers, state) { return this.probes(numbers).flatMap((it) => this.faults(it, state)); },

  focused(numbers, state) {
    const before = document.activeElement;
    const found = this.probes(numbers).filter((it) => !it.disabled && it.tabIndex >= 0).flatMap((it) => {
      it.focus({ preventScroll: true });
      return [...this.faults(it, state), ...this.ring(it, state)];
    });
    if (before === document.body) document.activeElement.blur(); else before.focus({ preventScroll: true });
    return found;
  },

  disabled(numbers, state) {
    const active = this.probes(numbers).filter((it) => it.disabled === false);
    active.forEach((it) => { it.disabled = true; });
    const found = active.flatMap((it) => this.faults(it, state));
    active.forEach((it) => { it.disabled = false; });
    return found;
  },

  /** The controls with these numbers, but for those that a poll has replaced. */
  probes: (numbers) => numbers.map((number) => document.querySelector(`[data-probe="${number}"]`)).filter((it) => it),

  faults(it, state) {
    const found = [], say = (what, ratio, least) => {
      if (ratio < least - 0.005) found.push(`${state}: ${what} ${ratio.toFixed(2)} < ${least}: ${it.outerHTML.slice(0, 160)}`);
    };
    for (const node of [it, ...it.querySelectorAll("*")]) {
      const css = getComputedStyle(node), own = [...node.childNodes].some((one) => one.nodeType === 3 && one.data.trim());
      const text = own || node.matches("input:not([type=checkbox], [type=radio]), select, textarea");
      if (!node.checkVisibility() || node.closest(".kern-sr-only")) continue;
      const size = parseFloat(css.fontSize), large = size >= 24 || (size >= 18.66 && css.fontWeight >= 700);
      if (text) say("text", this.ratio(this.seen(node, css.color), this.seen(node)), large ? 3 : 4.5);
      if (node.matches(".kern-icon")) say("icon", this.ratio(this.seen(node), this.behind(node)), 3);
    }
    if (it.disabled) return found; // 1.4.11 leaves out what is inactive; its words are to be read
    const box = it.matches("select") ? it.parentElement : it;
    if (it.matches("select")) say("arrow", this.ratio(this.mark(box, "::after"), this.seen(box)), 3);
    if (it.matches("[type=checkbox], [type=radio]")) {
      if (getComputedStyle(it).appearance === "auto") return found; // drawn by the browser
      if (it.checked) say("mark", this.ratio(this.mark(it, "::before"), this.seen(it)), 3);
    }
    const bounded = it.matches("input, select, textarea, .kern-btn:not(.kern-btn--tertiary)");
    if (bounded) say("boundary", Math.max(...this.edges(box).map((edge) => this.ratio(...edge))), 3);
    return found;
  },

  /** The ring of the focus, or its absence; a tile lies on pictures of any colour, so that its ring needs two. */
  ring(it, state) {
    const tile = it.closest(".kmz-tile"), css = getComputedStyle(tile ?? it), rings = [], behind = this.behind(tile ?? it);
    if (css.outlineStyle === "auto") return []; // drawn by the browser
    const inside = parseFloat(css.outlineOffset) < 0 ? this.seen(it) : behind;
    if (css.outlineStyle !== "none" && parseFloat(css.outlineWidth) >= 2) rings.push([this.over(css.outlineColor, inside), inside]);
    if (tile && parseFloat(css.borderTopWidth) >= 2) rings.push([this.over(css.borderTopColor, behind), behind]);
    const shadow = css.boxShadow.match(/^(.+?\)|\w+) 0px 0px 0px ([\d.]+)px/);
    if (shadow?.[2] >= 2) rings.push([this.over(shadow[1], behind), behind]);
    const inks = rings.map(([ink]) => ink), pairs = tile ? inks.flatMap((one) => inks.map((other) => [one, other])) : rings;
    const best = Math.max(0, ...pairs.map((pair) => this.ratio(...pair)));
    return best < 3 ? [`${state}: ring ${best.toFixed(2)} < 3: ${it.outerHTML.slice(0, 160)}`] : [];
  },

  /** What sets a control off: pairs of a colour and the one beside it. */
  edges(it) {
    const css = getComputedStyle(it), behind = this.behind(it), pairs = [[this.seen(it), behind]];
    for (const side of ["Top", "Right", "Bottom", "Left"])
      if (parseFloat(css[`border${side}Width`]) > 0) pairs.push([this.seen(it, css[`border${side}Color`]), behind]);
    if (css.outlineStyle !== "none") pairs.push([this.over(css.outlineColor, behind), behind]);
    const shadow = css.boxShadow.match(/^(.+?\)|\w+) 0px 0px 0px/);
    if (shadow) pairs.push([this.over(shadow[1], behind), behind]);
    return pairs;
  },

  /** The colour of a sign that a pseudo-element draws with its background or its border. */
  mark(it, pseudo) {
    const css = getComputedStyle(it, pseudo);
    if (css.content === "none" || css.display === "none") return this.seen(it);
    const painted = this.rgba(css.backgroundColor)[3] > 0;
    return this.seen(it, painted ? css.backgroundColor : css.borderBottomColor);
  },

  /** The contrast of the ring that turns on a button whose form is on its way, as soon as it appears. */
  async spinner(selector) {
    const button = document.querySelector(selector);
    while (getComputedStyle(button, "::after").opacity !== "1") await new Promise(requestAnimationFrame);
    return this.ratio(this.seen(button, getComputedStyle(button, "::after").borderBottomColor), this.seen(button));
  },

  behind(it) { return this.seen(it.parentElement); },

  /** The colour at the element as it is seen: all backgrounds below it, and `ink` on it, with each group's opacity. */
  seen(it, ink) {
    const chain = [];
    for (let one = it; one; one = one.parentElement) chain.unshift(getComputedStyle(one));
    const paint = (depth, below) => {
      const css = chain[depth];
      let inside = this.over(css.backgroundColor, below);
      if (depth + 1 < chain.length) inside = paint(depth + 1, inside);
      else if (ink) inside = this.over(ink, inside);
      return this.over([...inside.slice(0, 3), Number(css.opacity)], below);
    };
    return paint(0, this.rgba("Canvas"));
  },

  over(colour, below) {
    const [r, g, b, alpha] = Array.isArray(colour) ? colour : this.rgba(colour);
    return [r, g, b].map((part, index) => part * alpha + below[index] * (1 - alpha)).concat(1);
  },

  /** Any CSS colour as [r, g, b, alpha] from 0 to 1; the browser converts it. */
  rgba(colour) {
    this.known ??= new Map();
    if (!this.known.has(colour)) {
      const probe = document.body.appendChild(document.createElement("i"));
      probe.style.forcedColorAdjust = "none";
      probe.style.color = `color(from ${colour} srgb r g b / alpha)`;
      const parts = getComputedStyle(probe).color.match(/-?[\d.]+(e-?\d+)?/g).map(Number);
      probe.remove();
      this.known.set(colour, [...parts.slice(0, 3).map((part) => Math.min(Math.max(part, 0), 1)), parts[3] ?? 1]);
    }
    return this.known.get(colour);
  },

  ratio(one, other) {
    const [dark, light] = [one, other].map((colour) => {
      const [r, g, b] = colour.map((part) => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
      return 0.2126 * r + 0.7152 * g + 0.0722 * b + 0.05;
    }).sort((a, b) => a - b);
    return light / dark;
  },
})
