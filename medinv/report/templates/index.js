"use strict";
const body = document.querySelector("tbody");
const rows = [...body.rows];
const text = document.getElementById("text");
const outcome = document.getElementById("outcome");
document.querySelector(".filter").hidden = false;

const filter = () => {
  const wanted = text.value.trim().toLowerCase();
  for (const row of rows) row.hidden = (outcome.value && row.dataset.outcome !== outcome.value) || !row.textContent.toLowerCase().includes(wanted);
  document.getElementById("shown").textContent = rows.filter((row) => !row.hidden).length + " / " + rows.length;
};
text.addEventListener("input", filter);
outcome.addEventListener("input", filter);
document.querySelector(".filter").addEventListener("submit", (event) => event.preventDefault());
filter();

const key = (row, column) => {
  const cell = row.cells[column];
  return cell.dataset.value === undefined ? cell.textContent.trim().toLowerCase() : Number(cell.dataset.value);
};
document.querySelectorAll("th").forEach((heading, column) => {
  if (heading.dataset.sort === undefined) return;
  const button = document.createElement("button");
  button.type = "button";
  button.append(...heading.childNodes);
  heading.append(button);
  button.addEventListener("click", () => {
    const rising = heading.getAttribute("aria-sort") !== "ascending";
    for (const other of document.querySelectorAll("th")) other.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", rising ? "ascending" : "descending");
    const order = (a, b) => (key(a, column) < key(b, column) ? -1 : key(a, column) > key(b, column) ? 1 : 0);
    rows.sort((a, b) => (rising ? order(a, b) : order(b, a)));
    body.append(...rows);
  });
});
