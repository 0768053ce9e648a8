"use strict";
const AT_ONCE = 3;
const byId = (id) => document.getElementById(id);
const say = (text) => { byId("said").textContent = text; };
const plural = (count, word) => count + " " + word + (count === 1 ? "" : "s");
const mine = new Set();

const asked = async (path, method) => {
  const answer = await fetch(path, { method });
  if (!answer.ok) throw new Error((await answer.json().catch(() => ({}))).error || "the server refused: " + answer.status);
  return answer.status === 201 || method === "GET" ? answer.json() : null;
};

// Files of what was dropped, folders with all that they hold.
const filesOf = async (transfer) => {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry && item.webkitGetAsEntry());
  if (!entries.some(Boolean)) return [...transfer.files];
  const found = [];
  const walk = async (entry) => {
    if (!entry) return;
    if (entry.isFile) { found.push(await new Promise((done, failed) => entry.file(done, failed))); return; }
    const reader = entry.createReader();
    for (;;) {
      const some = await new Promise((done, failed) => reader.readEntries(done, failed));
      if (!some.length) return;
      for (const one of some) await walk(one);
    }
  };
  for (const entry of entries) await walk(entry);
  return found;
};

// One file, with its progress; the server is told how its name ends, not what it is.
const put = (path, file, requests, onBytes) => new Promise((done, failed) => {
  const request = new XMLHttpRequest();
  let before = 0;
  requests.add(request);
  request.upload.addEventListener("progress", (event) => { onBytes(event.loaded - before); before = event.loaded; });
  request.addEventListener("loadend", () => {
    requests.delete(request);
    if (request.status === 204) { onBytes(file.size - before); done(); return; }
    let why = "the connection to the server is gone";
    try { why = JSON.parse(request.responseText).error; } catch { if (request.status) why = "the server refused: " + request.status; }
    failed(new Error(why));
  });
  const ending = (file.name.toLowerCase().match(/\.(nii\.gz|[a-z]{2,4})$/) || [""])[0];
  request.open("PUT", path + "?ending=" + encodeURIComponent(ending));
  request.send(file);
});

const send = async (files) => {
  if (!files.length) { say("Nothing was dropped that could be read."); return; }
  const row = byId("row").content.firstElementChild.cloneNode(true);
  const [count, stage] = row.querySelectorAll("span"), bar = row.querySelector("progress"), cancel = row.querySelector("button");
  const total = files.reduce((sum, file) => sum + file.size, 0), requests = new Set();
  let sent = 0, stopped = false, name = null;
  row.querySelector("strong").textContent = new Date().toTimeString().slice(0, 5);
  count.textContent = plural(files.length, "file");
  stage.textContent = "sending";
  bar.max = Math.max(total, 1); bar.value = 0;
  byId("sending").prepend(row); byId("doing").hidden = false;
  say("Sending " + plural(files.length, "file") + ".");
  cancel.addEventListener("click", () => { stopped = true; for (const one of requests) one.abort(); });
  try {
    name = (await asked("uploads", "POST")).upload;
    let next = 0;
    const line = async () => {
      while (next < files.length && !stopped) {
        const number = ++next;
        await put("uploads/" + name + "/files/" + number, files[number - 1], requests, (bytes) => { sent += bytes; bar.value = sent; });
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, line));
    if (stopped) throw new Error("cancelled");
    await asked("uploads/" + name + "/finish", "POST");
    mine.add(name);
    row.remove();
    await look();
  } catch (error) {
    for (const one of requests) one.abort();
    bar.remove();
    stage.textContent = stopped ? "cancelled" : "not sent: " + error.message;
    stage.className = stopped ? "stage" : "stage bad";
    cancel.textContent = "Dismiss";
    cancel.addEventListener("click", () => row.remove());
    say("The upload was " + stage.textContent + ".");
    if (name) asked("uploads/" + name + "/remove", "POST").catch(() => {});
  }
};

// What the server says of all uploads, and the results when one more is done.
let timer = null, stages = new Map();
const last = new Map();
const stagesNow = () => new Map([...byId("uploads").children].map((item) => [item.dataset.upload, item.dataset.stage]));
const putIn = (place, html) => {
  const focused = document.activeElement && document.activeElement.id;
  if (last.get(place.id) === html) return;
  last.set(place.id, html);
  place.innerHTML = html;
  if (focused && byId(focused)) byId(focused).focus();
};
const refresh = async () => {
  const answer = await fetch(location.href);
  if (answer.ok) putIn(byId("results"), new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("results").innerHTML);
};
const look = async () => {
  clearTimeout(timer);
  try {
    const answer = await fetch("status");
    if (!answer.ok) throw new Error();
    putIn(byId("uploads"), await answer.text());
    byId("doing").hidden = !byId("uploads").children.length && !byId("sending").children.length;
  } catch {
    say("The server does not answer: it was ended, or the computer slept.");
    timer = setTimeout(look, 5000);
    return;
  }
  const before = stages;
  stages = stagesNow();
  const over = [...stages].filter(([name, stage]) => ["done", "failed"].includes(stage) && before.get(name) !== stage && (before.has(name) || mine.has(name)));
  if (over.length) {
    await refresh();
    say(over.length === 1 ? "The upload is " + over[0][1] + "." : plural(over.length, "upload") + " are through.");
    if (over.length === 1 && mine.has(over[0][0]) && !byId("sending").children.length && ![...stages.values()].some((stage) => ["waiting", "running"].includes(stage))) {
      const only = (await asked("uploads/" + over[0][0] + "/result", "GET")).report;
      if (only) location.assign(only);
    }
  }
  if ([...stages.values()].some((stage) => ["waiting", "running"].includes(stage))) timer = setTimeout(look, 700);
};

const drop = byId("drop");
drop.hidden = false;
for (const [button, input] of [["choose-files", "files"], ["choose-folder", "folder"]]) {
  byId(button).addEventListener("click", () => byId(input).click());
  byId(input).addEventListener("change", () => { send([...byId(input).files]); byId(input).value = ""; });
}
for (const kind of ["dragenter", "dragover"]) document.addEventListener(kind, (event) => { event.preventDefault(); drop.classList.add("over"); });
document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) drop.classList.remove("over"); });
document.addEventListener("drop", async (event) => { event.preventDefault(); drop.classList.remove("over"); send(await filesOf(event.dataTransfer)); });
// Asked twice, since it is for good.
byId("uploads").addEventListener("submit", async (event) => {
  event.preventDefault();
  const button = event.target.querySelector("button");
  if (!button.classList.contains("sure")) {
    button.classList.add("sure");
    button.firstChild.textContent = "Remove for good? ";
    return;
  }
  try {
    await asked(event.target.getAttribute("action"), "POST");
    await look();
    await refresh();
    say("Removed.");
    byId("choose-files").focus();
  } catch (error) { say("Not removed: " + error.message); }
});
document.addEventListener("focusout", (event) => {
  if (event.target.matches("button.sure")) { event.target.classList.remove("sure"); event.target.firstChild.textContent = "Remove"; }
});
document.addEventListener("change", (event) => { if (event.target.matches(".filter select")) event.target.form.requestSubmit(); });
addEventListener("beforeunload", (event) => { if (byId("sending").querySelector("progress")) event.preventDefault(); });
stages = stagesNow();
look();
