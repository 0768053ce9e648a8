"use strict";
for (const control of document.querySelectorAll(".control")) control.hidden = false;

for (const slider of document.querySelectorAll("input[data-opacity]")) {
  const figure = slider.closest("figure");
  const show = () => {
    for (const overlay of figure.querySelectorAll(".overlay")) overlay.setAttribute("opacity", slider.value / 100);
    figure.querySelector("output").textContent = slider.value + " %";
    slider.setAttribute("aria-valuetext", slider.value + " %");
  };
  slider.addEventListener("input", show);
  show();
}

for (const slider of document.querySelectorAll("input[data-step]")) {
  const figure = slider.closest("figure");
  const names = slider.dataset.step.split("|");
  const show = () => {
    figure.querySelectorAll(".frame").forEach((frame, index) => frame.setAttribute("visibility", index == slider.value ? "visible" : "hidden"));
    figure.querySelector("output").textContent = names[slider.value];
    slider.setAttribute("aria-valuetext", names[slider.value]);
  };
  slider.addEventListener("input", show);
  show();
}
