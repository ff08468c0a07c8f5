// The selector: every combination is in the page; this shows the one that is chosen, keeps the
// choice in the address, and greys out what does not go together. Nothing is fetched.
(() => {
  "use strict";
  // how old the page's knowledge of upstream is: the clock of who reads it says that
  const looked = document.getElementById("looked");
  if (looked) {
    const hours = Math.round((Date.now() - Date.parse(looked.dateTime)) / 36e5);
    looked.textContent = hours < 48 ? `${hours} h ago` : `${Math.round(hours / 24)} days ago`;
  }
  const form = document.getElementById("selector");
  if (!form) return;
  const offers = JSON.parse(document.getElementById("offers").textContent);
  const names = ["machine", "accelerator", "train", "python"];
  const command = document.getElementById("command");
  const note = document.getElementById("note");
  const copy = document.getElementById("copy");

  const value = (name) => new FormData(form).get(name);
  const choose = (name, wanted) => {
    for (const input of form.elements[name] instanceof RadioNodeList ? form.elements[name] : [form.elements[name]]) {
      input.checked = input.value === wanted;
    }
  };
  const chosen = () => Object.fromEntries(names.map((name) => [name, value(name)]));
  const fits = (offer, wish, upTo) => names.slice(0, upTo).every((name) => offer[name] === wish[name]);

  const prefer = (pool, wanted) => {
    const kept = pool.filter(wanted);
    return kept.length ? kept : pool;
  };

  // The nearest combination there is: earlier groups count more; a release before a train that
  // moves, a plain Python before a free-threaded one, and the newest of those wins.
  const settle = (changed) => {
    const wish = chosen();
    const order = changed ? [changed, ...names.filter((name) => name !== changed)] : names;
    let pool = offers;
    for (const name of order) pool = prefer(pool, (offer) => offer[name] === wish[name]);
    pool = prefer(pool, (offer) => /^\d/.test(offer.train));
    const best = prefer(pool, (offer) => !offer.python.endsWith("t")).at(-1);
    for (const name of names) choose(name, best[name]);
    return best;
  };

  const show = (changed) => {
    const offer = settle(changed);
    const tool = value("tool");
    command.textContent = offer.commands[tool];
    names.forEach((name, index) => {
      for (const input of form.querySelectorAll(`input[name="${name}"]`)) {
        const there = offers.some((each) => fits(each, offer, index) && each[name] === input.value);
        input.parentElement.classList.toggle("off", !there);
      }
    });
    note.textContent = "";
    const state = new URLSearchParams({ ...chosen(), tool });
    history.replaceState(null, "", `#${state}`);
  };

  const restore = () => {
    const state = new URLSearchParams(location.hash.slice(1));
    const first = offers[Number(form.dataset.first)];
    const known = names.every((name) => state.has(name));
    for (const name of names) choose(name, known ? state.get(name) : first[name]);
    if (known && state.has("tool")) choose("tool", state.get("tool"));
    if (!value("tool")) choose("tool", "conda");
    return known;
  };

  const copied = async () => {
    try {
      await navigator.clipboard.writeText(command.textContent);
      note.textContent = "Copied.";
    } catch {
      // from file:// some browsers give no clipboard: select it, so that one key copies it
      getSelection().selectAllChildren(command);
      note.textContent = "Selected: press Ctrl+C.";
    }
  };

  form.hidden = false;
  document.getElementById("all").open = false;
  form.addEventListener("change", (event) => show(names.includes(event.target.name) ? event.target.name : ""));
  copy.addEventListener("click", copied);
  addEventListener("hashchange", () => { if (restore()) show(""); });
  const place = location.hash;
  restore();
  show("");
  // a link to a section keeps its address until something is chosen
  if (place && !place.includes("=")) {
    history.replaceState(null, "", place);
    document.getElementById(place.slice(1))?.scrollIntoView();
  }
})();
