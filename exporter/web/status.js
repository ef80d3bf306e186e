"use strict";
{
  const two = (number) => String(number).padStart(2, "0");
  const dayOf = (date) => `${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  const timeOf = (date) => [date.getHours(), date.getMinutes(), date.getSeconds()].map(two).join(":");

  const showLocalTimes = () => {
    const today = new Date().toDateString();
    for (const time of document.querySelectorAll("time[datetime]")) {
      const date = new Date(time.dateTime);
      const short = timeOf(date);
      if (time.className === "at") {
        time.textContent = date.toDateString() === today ? short : `${dayOf(date)} ${short}`;
      }
      if (time.title) time.title = `${date.getFullYear()}-${dayOf(date)} ${short} (${time.title})`;
    }
    const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
    document.getElementById("zone").textContent = `Times are local (${zone}).`;
  };

  let latest = 0;
  const load = async (address, ids) => {
    const number = (latest += 1);
    try {
      const answer = await fetch(address);
      if (!answer.ok) throw new Error(answer.statusText);
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      if (number !== latest) return;
      const open = new Set([...document.querySelectorAll("details[open] h3")].map((one) => one.textContent));
      for (const id of ids) document.getElementById(id).replaceWith(page.getElementById(id));
      for (const head of document.querySelectorAll("details h3")) {
        if (open.has(head.textContent)) head.closest("details").open = true;
      }
      document.title = page.title;
      showLocalTimes();
    } catch {
      document.getElementById("lost").hidden = false;
    }
  };

  const box = document.querySelector("input[name=q]");
  const seconds = Number(document.body.dataset.refresh || 0);
  let typing = 0;
  const address = () => {
    const asked = new URLSearchParams();
    if (box.value.trim()) asked.set("q", box.value);
    if (seconds) asked.set("refresh", "on");
    return `${asked}` ? `./?${asked}` : "./";
  };
  box.addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(() => {
      history.replaceState(null, "", `${address()}#metrics`);
      load(address(), ["found"]);
    }, 250);
  });
  showLocalTimes();
  if (seconds) {
    setInterval(() => {
      if (!document.hidden) load(address(), ["verdict", "sources", "queries", "found"]);
    }, 1000 * seconds);
  }
}
