{% include "tables.js" %}
// Grades: stored in this browser per table of scores, shown on every picture of a galaxy, exported as CSV.
const section = document.getElementById("galleries");
const cards = [...section.querySelectorAll(".galaxy")];
const shelf = "lensctl grades of " + section.dataset.evaluation;
const KEYS = { a: "A", b: "B", c: "C", n: "not" };
const grades = {};
for (const card of cards) if (card.dataset.given) grades[card.dataset.galaxyId] = card.dataset.given;
let kept = true;
try {
  Object.assign(grades, JSON.parse(localStorage.getItem(shelf) ?? "{}"));
} catch { kept = false; }
const show = () => {
  const counts = { A: 0, B: 0, C: 0, not: 0 };
  const galaxies = new Set();
  for (const card of cards) {
    const grade = grades[card.dataset.galaxyId];
    if (grade) card.dataset.grade = grade; else delete card.dataset.grade;
    for (const button of card.querySelectorAll(".keys button")) button.setAttribute("aria-pressed", button.value === grade);
    if (grade && !galaxies.has(card.dataset.galaxyId)) counts[grade] += 1;
    galaxies.add(card.dataset.galaxyId);
  }
  const done = Object.values(counts).reduce((a, b) => a + b);
  document.getElementById("graded-count").textContent =
    `${done} of ${galaxies.size} galaxies graded: A ${counts.A}, B ${counts.B}, C ${counts.C}, not ${counts.not}` +
    (kept ? "" : ". This browser cannot store grades: download them before leaving.");
};
const keep = () => {
  try { localStorage.setItem(shelf, JSON.stringify(grades)); } catch { kept = false; }
  show();
};
const grade = (card, value) => {
  grades[card.dataset.galaxyId] = value;  // "" also removes a grade that came with the page
  keep();
};
const go = (card, step) => {
  const next = cards[cards.indexOf(card) + step];
  if (!next) return;
  next.closest("details").open = true;  // so that no gallery is skipped
  next.focus();
};
for (const card of cards) {
  const keys = document.createElement("div");
  keys.className = "keys";
  keys.setAttribute("role", "group");
  keys.setAttribute("aria-label", "Grade " + card.dataset.galaxyId);
  for (const value of Object.values(KEYS)) {
    const button = document.createElement("button");
    button.type = "button";
    button.value = button.textContent = value;
    button.tabIndex = -1;
    button.addEventListener("click", () => grade(card, grades[card.dataset.galaxyId] === value ? "" : value));
    keys.append(button);
  }
  card.append(keys);
  card.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const key = event.key.toLowerCase();
    if (key in KEYS) { grade(card, KEYS[key]); go(card, 1); }
    else if (key === "u") grade(card, "");
    else if (key === "arrowright") go(card, 1);
    else if (key === "arrowleft") go(card, -1);
    else if (key === "o") card.querySelector("a")?.click();
    else return;
    event.preventDefault();
  });
}
document.getElementById("download").addEventListener("click", () => {
  const field = (value) => /[",\n\r]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value;
  const names = ["galaxy_id", "ra", "dec", "grading", "ref", "label", "tier", "p"];
  const lines = [names.join(",")];
  const seen = new Set();
  for (const { dataset } of cards) {
    const value = grades[dataset.galaxyId];
    if (!value || seen.has(dataset.galaxyId)) continue;
    seen.add(dataset.galaxyId);
    lines.push([dataset.galaxyId, dataset.ra, dataset.dec, value, section.dataset.ref, dataset.label, dataset.tier, dataset.p].map(field).join(","));
  }
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([lines.join("\n") + "\n"], { type: "text/csv" }));
  link.download = "grades.csv";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
});
document.getElementById("forget").addEventListener("click", () => {
  if (!confirm("Clear all grades in this report?")) return;
  for (const card of cards) grades[card.dataset.galaxyId] = "";
  keep();
});
show();
