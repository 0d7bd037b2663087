"use strict";
// One playhead for all pictures of a song, lyrics that light up, commands to copy, pages of runs that are still going on.
// Every page can be read and heard without it.

const SECOND = 1; // how far an arrow key goes

function followSong(timeline) {
  const players = [...document.querySelectorAll("audio[data-song]")];
  const slider = document.querySelector("#position");
  const clock = document.querySelector("#clock");
  const lyrics = document.querySelector(".karaoke");
  const words = [...document.querySelectorAll(".word")].map((button) => ({
    button, start: Number(button.dataset.start), end: Number(button.dataset.end),
  }));
  const duration = Number(timeline.dataset.duration);
  let current = players[0];

  function show() {
    const at = Math.min(current.currentTime, duration);
    timeline.style.setProperty("--at", at / duration);
    slider.value = at;
    clock.textContent = `${at.toFixed(1)} of ${duration.toFixed(1)} s`;
    slider.setAttribute("aria-valuetext", clock.textContent);
    for (const { button, start, end } of words) {
      button.classList.toggle("sung", start <= at);
      const isNow = start <= at && at < end;
      if (isNow === button.hasAttribute("aria-current")) continue;
      button.toggleAttribute("aria-current", isNow);
      if (isNow) {
        button.setAttribute("aria-current", "true");
        lyrics.scrollTop = button.offsetTop - lyrics.clientHeight / 2;
      }
    }
  }

  function seek(at) {
    current.currentTime = Math.max(0, Math.min(at, duration));
    show();
  }

  function animate() {
    show();
    if (!current.paused) requestAnimationFrame(animate);
  }

  for (const player of players) {
    player.addEventListener("play", () => {
      for (const other of players) if (other !== player) other.pause();
      if (player !== current) player.currentTime = current.currentTime; // levels are compared at one place
      current = player;
      animate();
    });
    for (const event of ["timeupdate", "seeked"]) {
      player.addEventListener(event, () => { if (player === current) show(); });
    }
    player.addEventListener("seeking", () => {
      if (player !== current && current.paused) { current = player; show(); }
    });
  }

  const seekTo = (event) => {
    const box = timeline.getBoundingClientRect();
    seek(((event.clientX - box.left) / box.width) * duration);
  };
  timeline.addEventListener("pointerdown", (event) => { timeline.setPointerCapture(event.pointerId); seekTo(event); });
  timeline.addEventListener("pointermove", (event) => { if (timeline.hasPointerCapture(event.pointerId)) seekTo(event); });
  slider.addEventListener("input", () => seek(Number(slider.value)));

  words.forEach(({ button, start }, place) => {
    button.tabIndex = place ? -1 : 0; // one stop for Tab, arrow keys from word to word
    button.addEventListener("click", () => { seek(start); current.play(); });
    button.addEventListener("focus", () => {
      for (const word of words) word.button.tabIndex = word.button === button ? 0 : -1;
    });
    button.addEventListener("keydown", (event) => {
      const steps = { ArrowRight: place + 1, ArrowLeft: place - 1, Home: 0, End: words.length - 1 };
      const next = words[steps[event.key]];
      if (next) { event.preventDefault(); next.button.focus(); }
    });
  });

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || (event.target !== document.body && event.target !== slider)) return;
    const steps = { ArrowLeft: -SECOND, ArrowRight: SECOND };
    if (event.key in steps) seek(current.currentTime + steps[event.key]);
    else if (event.key === " ") current.paused ? current.play() : current.pause();
    else return;
    event.preventDefault();
  });
  show();
}

for (const timeline of document.querySelectorAll(".timeline")) followSong(timeline);

const takes = [...document.querySelectorAll("audio[data-take]")]; // one is heard at a time
for (const take of takes) {
  take.addEventListener("play", () => takes.forEach((other) => other !== take && other.pause()));
}

for (const button of document.querySelectorAll("[data-copies]")) {
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(button.dataset.copies);
      button.textContent = "Copied";
    } catch { // a browser may refuse it: the command is selected instead
      getSelection().selectAllChildren(button.closest("section").querySelector("code"));
    }
  });
}

// What fills a phone many times is folded there, and open on a desk.
for (const part of document.querySelectorAll("details.desk")) part.open ||= innerWidth >= 608;

const refresh = Number(document.body.dataset.refresh);
if (refresh) {
  setInterval(() => {
    const isHeard = [...document.querySelectorAll("audio")].some((player) => !player.paused);
    if (!isHeard) location.reload();
  }, 1000 * refresh);
}
