/* Lists the cases: search, filters and pages. Everything that comes from data is set as text, never as markup. */
"use strict";
(() => {
  const STEP = 25;
  const all = JSON.parse(document.getElementById("data").textContent);
  const at = (id) => document.getElementById(id);
  const [form, list, status, pages] = ["controls", "list", "status", "pages"].map(at);
  const fields = { q: at("q"), tag: at("tag"), expected: at("expected"), told: at("told"), order: at("order") };
  let found = [];
  let page = 0;

  const make = (name, kind, text) => {
    const made = document.createElement(name);
    if (kind) made.className = kind;
    if (text !== undefined) made.textContent = text;
    if (text !== undefined) made.dir = "auto";
    return made;
  };
  const many = (count, what) => `${count.toLocaleString("en")} ${what}${count === 1 ? "" : "s"}`;
  const percent = (share) => `${(100 * share).toFixed(0)} %`;

  const flat = (value) =>
    value === null || value === undefined ? "" : typeof value !== "object" ? String(value)
      : Object.values(value).map(flat).join(" ");
  const words = (each) => {
    if (each.hay === undefined) {
      each.hay = [each.i, each.f, flat(each.x), flat(each.e), flat(each.o), flat(each.t), each.w, each.y, flat(each.k), each.tr]
        .join(" ").normalize("NFKC").toLowerCase();
    }
    return each.hay;
  };
  const brief = (given) => {
    if (given === null || given === undefined) return "";
    if (typeof given !== "object") return String(given);
    if (Array.isArray(given)) return given.map(brief).join(" / ");
    const main = ["turns", "text", "reply", "question"].find((name) => given[name] !== undefined);
    return main ? brief(given[main]) : flat(given);
  };

  /* ---- one case ---- */
  let wanted = new Set();
  const textOf = (value) => {
    const made = make("p", wanted.has(value) ? "text good" : "text", String(value));
    if (String(value).length > 1200) Object.assign(made, { tabIndex: 0 }).setAttribute("role", "group");
    return made;
  };
  const show = (value) => {
    if (value === null || value === undefined || value === "") return make("p", "text quiet", value === "" ? "empty" : "none");
    if (Array.isArray(value)) {
      if (!value.length) return make("p", "text quiet", "none");
      if (value.every((each) => typeof each !== "object" || each === null) && value.length === 1) return show(value[0]);
      const short = value.length > 5 && value.every((each) => String(each).length < 30);
      const made = make("ol", short ? "short" : value.length > 12 ? "long" : "");
      if (!short && value.length > 12) made.tabIndex = 0;
      for (const each of value) made.append(make("li")), made.lastChild.append(show(each));
      return made;
    }
    if (typeof value === "object") {
      const made = make("dl");
      for (const [name, each] of Object.entries(value)) {
        const line = make("div");
        const told = make("dd");
        told.append(show(each));
        line.append(make("dt", "", name), told);
        made.append(line);
      }
      return made;
    }
    return textOf(typeof value === "number" && !Number.isInteger(value) ? Number(value.toFixed(4)) : value);
  };
  const part = (title, value, kind) => {
    const made = make("div", `part ${kind || ""}`);
    made.append(make("h4", "", title), show(value));
    return made;
  };
  const fill = (body, each) => {
    if (each.y) body.append(make("p", "why", each.y));
    if (each.b !== undefined) body.append(make("p", "why", each.ch === "broken" ? "It went right in the earlier run." : `In the earlier run: ${each.b}`));
    const parts = make("div", "parts");
    wanted = new Set(each.e && Array.isArray(each.e.documents) ? each.e.documents : []);
    parts.append(part("Input", each.x));
    if (each.e !== undefined) parts.append(part("Expected", each.e));
    if (each.o !== undefined) parts.append(part("Output", each.o, "whole"));
    if (each.s && Object.keys(each.s).length) parts.append(part("Scores", each.s, "whole flowing"));
    body.append(parts);
    const meta = make("p", "meta");
    for (const tag of each.t || []) meta.append(make("span", "chip", tag), " ");
    const facts = [each.i, each.f, each.n && `repeat ${each.n}`, each.l !== undefined && `${each.l} ms`,
      each.c && `$${each.c}`, each.tr && `trace ${each.tr}`, each.m && "shortened; cases.jsonl has all of it"];
    meta.append(make("span", "", facts.filter(Boolean).join(" · ")));
    body.append(meta);
  };
  const draw = (each, open) => {
    const item = make("li", each.w ? "wrong" : "");
    const box = make("details");
    const head = make("summary");
    const body = make("div", "body");
    head.append(make("span", "brief", brief(each.x).slice(0, 600) || each.i));
    head.append(make("span", "sure", each.u === undefined ? "" : `${percent(each.u)} sure`));
    head.append(each.w ? make("span", "said bad", each.w) : make("span", "said good", each.k ? `right: ${each.k[1]}` : "right"));
    box.append(head, body);
    const once = () => { if (box.open && !body.firstChild) fill(body, each); };
    box.addEventListener("toggle", once);
    if (open) { box.open = true; once(); }
    item.append(box);
    return item;
  };

  /* ---- which cases ---- */
  const shown = () => (form.querySelector("input[name=show]:checked") || { value: "all" }).value;
  const fits = (each, what, asked) => {
    const way = { wrong: each.w, right: !each.w, all: true, broken: each.ch === "broken", mended: each.ch === "mended" }[what];
    if (!way) return false;
    if (fields.tag.value && !(each.t || []).includes(fields.tag.value)) return false;
    if (fields.expected.value && (!each.k || each.k[0] !== fields.expected.value)) return false;
    if (fields.told.value && (!each.k || each.k[1] !== fields.told.value)) return false;
    return asked.every((word) => words(each).includes(word));
  };
  const ORDERS = {
    slow: (one, other) => other.l - one.l,
    id: (one, other) => one.i.localeCompare(other.i, "en", { numeric: true }),
  };
  const render = () => {
    const last = Math.max(0, Math.ceil(found.length / STEP) - 1);
    page = Math.min(Math.max(page, 0), last);
    const from = page * STEP;
    const some = found.slice(from, from + STEP);
    list.replaceChildren(...some.map((each, number) => draw(each, number < 3 && page === 0)));
    status.textContent = found.length
      ? `${many(found.length, "case")}${last ? `; ${from + 1} to ${from + some.length} are shown` : ""}.`
      : "No case fits. Clear the search, or choose another filter.";
    pages.hidden = !last;
    at("page").textContent = `${page + 1} of ${last + 1}`;
    at("previous").disabled = page === 0;
    at("next").disabled = page === last;
  };
  const remember = () => {
    const kept = new URLSearchParams();
    for (const [name, field] of Object.entries(fields)) if (field.value && field.value !== "worst") kept.set(name, field.value);
    if (shown() !== start) kept.set("show", shown());
    if (page) kept.set("page", page + 1);
    try { history.replaceState(null, "", `#cases${kept.size ? `?${kept}` : ""}`); } catch { /* some viewers forbid it */ }
  };
  const search = (first) => {
    const asked = fields.q.value.normalize("NFKC").toLowerCase().split(/\s+/).filter(Boolean);
    const what = shown();
    found = all.filter((each) => fits(each, what, asked));
    if (ORDERS[fields.order.value]) found.sort(ORDERS[fields.order.value]);
    page = first || 0;
    render();
  };
  const turn = (by, button, other) => {
    page += by;
    render();
    remember();
    (button.disabled ? other : button).focus();
    at("cases").scrollIntoView({ block: "start" });
  };

  /* ---- the controls ---- */
  const offer = (field, names) => {
    for (const name of [...new Set(names)].sort((one, other) => one.localeCompare(other, "en", { numeric: true }))) {
      const option = make("option", "", name);
      option.value = name;
      field.append(option);
    }
    field.closest("label").hidden = field.options.length < 3;
    field.closest("label").style.display = field.options.length < 3 ? "none" : "";
  };
  offer(fields.tag, all.flatMap((each) => each.t || []));
  offer(fields.expected, all.flatMap((each) => (each.k ? [each.k[0]] : [])));
  offer(fields.told, all.flatMap((each) => (each.k ? [each.k[1]] : [])));
  const choose = (what) => {
    const radio = [...form.querySelectorAll("input[name=show]")].find((each) => each.value === what);
    if (radio) radio.checked = true;
  };
  const start = all.some((each) => each.ch === "broken") ? "broken" : all.some((each) => each.w) ? "wrong" : "all";
  const asked = new URLSearchParams(location.hash.split("?")[1] || "");
  choose(start);
  choose(asked.get("show"));
  for (const [name, field] of Object.entries(fields)) if (asked.get(name)) field.value = asked.get(name);

  let waiting;
  fields.q.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => { search(); remember(); }, 120);
  });
  form.addEventListener("change", () => { search(); remember(); });
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(() => { choose(start); search(); remember(); fields.q.focus(); }));
  at("previous").addEventListener("click", () => turn(-1, at("previous"), at("next")));
  at("next").addEventListener("click", () => turn(1, at("next"), at("previous")));
  for (const cell of document.querySelectorAll("a.cell")) {
    cell.addEventListener("click", (event) => {
      event.preventDefault();
      fields.q.value = fields.tag.value = "";
      fields.expected.value = cell.dataset.expected;
      fields.told.value = cell.dataset.told;
      choose("all");
      search();
      remember();
      at("cases").scrollIntoView();
      fields.q.focus({ preventScroll: true });
    });
  }
  form.hidden = false;
  search(Number(asked.get("page") || 1) - 1);
})();
