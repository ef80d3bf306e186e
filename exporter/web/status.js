
"use strict";
{
  const box = document.querySelector("input[name=q]");
  box.addEventListener("input", () => {
    const words = box.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const article of document.querySelectorAll("article")) {
      let left = 0;
      for (const row of article.querySelectorAll("tr")) {
        const text = row.textContent.toLowerCase();
        row.hidden = !words.every((word) => text.includes(word));
        left += row.hidden ? 0 : 1;
      }
      article.hidden = left === 0;
    }
  });
}
